"""Answer a session's open questions in a notebook's cell, without training or charts."""

from __future__ import annotations

import time
from collections.abc import Callable

import ipywidgets as widgets

from alnb.annotation import Verdict, name_of
from alnb.errors import AlnbError
from alnb.pool import Pool
from alnb.regions import Region
from alnb.session import Session
from alnb.ui.label.draft import Draft
from alnb.ui.label.editor import MARK_PX, SMALL, Aside, Editor
from alnb.ui.label.looking import facts_of
from alnb.ui.label.screen import answers_possible, focus
from alnb.ui.label.sentences import question
from alnb.ui.viewer.input import Event, Press
from alnb.ui.viewer.slice_view import SliceView

ASKED = "Click the infection in the frame, or press <b>No infection</b>."
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
    after : callable
        Called after each act, before what is asked is drawn; may ask the next region.
    """

    def __init__(
        self,
        session: Session,
        annotator: str = "reader",
        clock: Callable[[], float] = time.monotonic,
        after: Callable[[], object] = lambda: None,
    ) -> None:
        self.session, self._after = session, after
        pool = Pool(session.dataset, session.state.config)
        self.editor = Editor(session, pool, name_of(annotator), clock)
        self._region: Region | None = None
        self.view = SliceView((session.dataset.size,) * 2)
        self.view.on_event(self._on_event)
        self.clean = self._button("No infection", lambda: self.editor.submit(Verdict.CLEAN))
        self.next = self._button("Next", lambda: self.editor.submit(Verdict.INFECTED))
        self.skip = self._button("Skip", lambda: self.editor.submit(Verdict.SKIPPED))
        self.undo = self._button("Undo", self.editor.undo)
        self._text = widgets.HTML(layout=widgets.Layout(min_height="56px"))  # two lines: no shift
        buttons = widgets.HBox([self.clean, self.next, self.skip, self.undo])
        self.widget = widgets.VBox([self.view.widget, self._text, buttons])
        self._draw()

    def _button(self, text: str, action: Callable[[], object]) -> widgets.Button:
        button = widgets.Button(description=text, layout=widgets.Layout(width="120px"))
        button.on_click(lambda _: self._do(action))
        return button

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Press):
            self._do(lambda: self._press(event))

    def _press(self, press: Press) -> None:
        if press.elsewhere:
            raise Aside(SMALL)
        reach = MARK_PX / self.view.scale
        self.editor.press(press.row, press.col, reach, other=press.shift)

    def _do(self, action: Callable[[], object]) -> None:
        self.editor.touch()
        try:
            action()
            self._after()
        except AlnbError as error:
            self._text.value = f"<b>{error}</b>"
        else:
            self._draw()

    def _draw(self) -> None:
        """Show the region that is marked or asked about, and the cost of the answers."""
        state, editor = self.session.state, self.editor
        region = focus(state, editor.draft)
        if region != editor.draft.region:
            editor.draft = Draft(region)
        if region is None:
            self.view.clear(DONE)
        elif region != self._region:
            editor.shown()
            self.view.show(
                self.session.dataset.image(region.where), region, clicks=editor.draft.clicks,
                regions=editor.pool.regions(region.where),
                facts=facts_of(self.session.dataset, region.where),
            )  # fmt: skip
        else:
            self.view.mark(editor.draft.clicks)
        self._region = region
        possible = answers_possible(editor.draft)
        for name in ("clean", "next", "skip"):
            getattr(self, name).disabled = not possible[f"can_{name}"]
        asked = question(state, editor.draft, editor.marking) if editor.draft.marked else ASKED
        self._text.value = (
            f"{asked}<br>{len(state.pending)} open; {state.cost.nominal_s:.0f} s nominal, "
            f"{state.cost.measured_s:.0f} s by the clock."
        )
