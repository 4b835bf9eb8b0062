"""A session's open questions, answered by hand in a notebook's cell: no training, no charts."""

from __future__ import annotations

import time
from collections.abc import Callable

import ipywidgets as widgets

from alnb.annotation import Answer, Click, Verdict
from alnb.cost import cost_of
from alnb.errors import AlnbError
from alnb.pool import Pool
from alnb.regions import Region
from alnb.session import Session
from alnb.ui.label.editor import Stopwatch
from alnb.ui.viewer.input import Event, Press
from alnb.ui.viewer.slice_view import RegionView

DONE = "Nothing is open. Run the next cell."


class ByHand:
    """Ask what a session has open, and submit what the reader answers; `widget` is what to show.

    Parameters
    ----------
    session : Session
        Open for writing; whatever asks it.
    annotator : str
        Written into every answer.
    clock : callable
        Seconds, only ever rising; times the answers.

    Attributes
    ----------
    clean, next, skip, undo : ipywidgets.Button
        As they are named.
    """

    def __init__(
        self,
        session: Session,
        annotator: str = "reader",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.session, self.annotator, self._clock = session, annotator, clock
        self._pool = Pool(session.dataset, session.state.config)
        self._region: Region | None = None
        self._clicks: tuple[Click, ...] = ()
        self._watch = Stopwatch()
        self.view = RegionView((session.dataset.size,) * 2)
        self.view.on_event(self._on_event)
        self.clean = _button("No infection", lambda: self._answer(Verdict.CLEAN))
        self.next = _button("Next", lambda: self._answer(Verdict.INFECTED))
        self.skip = _button("Skip", lambda: self._answer(Verdict.SKIPPED))
        self.undo = _button("Undo", self._undo)
        self._text = widgets.HTML()
        buttons = widgets.HBox([self.clean, self.next, self.skip, self.undo])
        self.widget = widgets.VBox([self.view.widget, self._text, buttons])
        self._draw()

    def _on_event(self, event: Event) -> None:
        region = self._region
        self._watch.touch(self._clock())
        if not isinstance(event, Press) or event.elsewhere or region is None:
            return
        if region.contains(event.row, event.col):
            self._clicks = (*self._clicks, Click(round(event.row, 2), round(event.col, 2)))
            self._draw()

    def _answer(self, verdict: Verdict) -> None:
        if self._region is None:
            return
        clicks = self._clicks if verdict is Verdict.INFECTED else ()
        self._watch.touch(self._clock())
        try:
            answer = Answer(self._region, verdict, clicks, self._watch.seconds, self.annotator)
            self.session.submit(answer)
        except AlnbError as error:
            self._text.value = f"<b>{error}</b>"
            return
        self._clicks = ()
        self._draw()

    def _undo(self) -> None:
        self._watch.touch(self._clock())
        if self._clicks:
            self._clicks = self._clicks[:-1]
        elif undone := self.session.undo():
            self._clicks = undone[-1].clicks
        self._draw()

    def _draw(self) -> None:
        """Show the first question that is open, with the clicks set so far."""
        pending = self.session.state.pending
        region = pending[0] if pending else None
        if region is None:
            self.view.clear(DONE)
        elif region != self._region:
            self._watch.start(self._clock())
            self.view.show(
                self.session.dataset.image(region.where), region, clicks=self._clicks,
                regions=self._pool.regions(region.where),
            )  # fmt: skip
        else:
            self.view.mark(self._clicks)
        self._region = region
        for button in (self.clean, self.next, self.skip):
            button.disabled = region is None
        self.next.disabled = not self._clicks
        self.clean.disabled = region is None or bool(self._clicks)
        cost = cost_of(self.session.state.given, self.session.state.config)
        self._text.value = (
            f"Click the infection in the frame, or say that there is none. {len(pending)} open; "
            f"{cost.nominal_s:.0f} s nominal, {cost.measured_s:.0f} s by the clock."
        )


def _button(text: str, handler: Callable[[], None]) -> widgets.Button:
    button = widgets.Button(description=text, layout=widgets.Layout(width="120px"))
    button.on_click(lambda _: handler())
    return button
