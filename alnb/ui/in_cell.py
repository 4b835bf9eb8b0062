"""Answer a session's open questions in a notebook's cell: no training, no charts."""

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

DONE = "Every question has an answer. Run the next cell."


class InCell:
    """Show what a session asks, and submit what the reader answers; `widget` is what to show.

    Parameters
    ----------
    session : Session
        Open for writing.
    annotator : str
        Written into every answer.
    clock : callable
        Seconds, only ever rising; times the answers.
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
        """Show the first open question, with the clicks set so far."""
        state = self.session.state
        region = next(iter(state.pending), None)
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
        self.skip.disabled = region is None
        self.next.disabled = not self._clicks
        self.clean.disabled = region is None or bool(self._clicks)
        cost = cost_of(state.given, state.config)
        self._text.value = (
            "Click the infection in the frame, or press No infection. "
            f"{len(state.pending)} open; {cost.nominal_s:.0f} s nominal, "
            f"{cost.measured_s:.0f} s by the clock."
        )


def _button(text: str, handler: Callable[[], None]) -> widgets.Button:
    button = widgets.Button(description=text, layout=widgets.Layout(width="120px"))
    button.on_click(lambda _: handler())
    return button
