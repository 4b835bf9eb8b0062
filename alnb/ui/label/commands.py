"""What buttons, keys, presses and drags do: a table from `shortcuts.ACTIONS` to functions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NoReturn

import ipywidgets

from alnb.annotation import Verdict
from alnb.regions import Region
from alnb.ui.label.editor import MARK_PX, Aside, Editor
from alnb.ui.label.looking import STEP, Viewing
from alnb.ui.label.screen import STRIP, Screen
from alnb.ui.label.training_client import TrainingClient
from alnb.ui.viewer.charts import AXES
from alnb.ui.viewer.input import Drag, Press, Stroke, Wheel

KEEP_STRIP = {"strip", "show", "window", "opacity", "axis", "help", "auto", "export"}
ANSWERS = {"clean": Verdict.CLEAN, "next": Verdict.INFECTED, "skip": Verdict.SKIPPED}
NO_NEIGHBOURS = "This slice has no neighbouring slices: its file holds slices of several patients."
BACK_HOME = "You are back at the slice that is asked about; click again to mark."


class Commands:
    """Turn actions into calls of the editor, the viewing and the training.

    Parameters
    ----------
    editor, viewing, training
        What is called.
    screen : callable
        Gives the `Screen`, which says what can be done.
    train : callable
        Begins a cycle.
    export : callable
        Begins to write files.
    """

    def __init__(
        self,
        editor: Editor,
        viewing: Viewing,
        training: TrainingClient,
        screen: Callable[[], Screen],
        train: Callable[[], None],
        export: Callable[[], None],
    ) -> None:
        self.editor = editor
        self.viewing = viewing
        self.stale = True  # whether the pictures must be drawn again
        self.strip_from: int | None = None  # first tile; None follows the region on screen
        self._view, self._page = viewing.view, viewing.page
        self._screen, self._begin_training = screen, train
        self.actions: dict[str, Callable[..., object]] = {  # by verb: the name before a colon
            **{verb: partial(self._answer, verb) for verb in ANSWERS},
            "undo": editor.undo,
            "redo": editor.redo,
            "background": editor.switch_marking,
            "sweep": editor.sweep,
            "cursor": self._move_cursor,
            "mark": self._mark,
            "line": self._line,
            "open": editor.reopen_key,
            "earlier": partial(editor.step, -1),
            "later": partial(editor.step, 1),
            "strip": self._turn_strip,
            "back": self._back,
            "window": self._page.window_controls.choose,
            "slices": self._step,
            "home": self._home,
            "zoom": self._zoom,
            "show": self._show,
            "opacity": self._more_opaque,
            "axis": self._next_axis,
            "help": self._page.toggle_help,
            "export": export,
            "train": self._train,
            "auto": lambda: _flip(self._page.auto),
            "cancel": training.cancel,
        }

    def do(self, name: str) -> None:
        """Do an action of `shortcuts.ACTIONS`, or of the strip: ``open:KEY``, ``strip:PAGES``."""
        verb, _, argument = name.partition(":")
        if verb in ANSWERS:
            self.editor.check_line()
        if verb not in KEEP_STRIP:
            self.strip_from = None
        action = self.actions[verb]
        action(argument) if argument else action()
        if verb in ANSWERS:
            self.train_automatically()

    def hand(self, event: Press | Stroke | Wheel | Drag) -> None:
        """Do what a press, a stroke, the wheel or a drag on the pictures asks for."""
        region = self.editor.draft.region
        if region is None:
            return
        if isinstance(event, Wheel) and (event.elsewhere or event.shift):
            self._check_neighbours(region)
            self.stale |= self.viewing.turn(event.turn, region)
        elif isinstance(event, Wheel):
            self._view.zoom(STEP**event.turn, event.row, event.col)
        elif isinstance(event, Drag):
            self._view.pan(event.rows, event.cols)
        elif self.viewing.offset:
            self._come_home()
        elif isinstance(event, Stroke):
            self.editor.stroke(event.points)
        else:
            self._press(event.row, event.col, elsewhere=event.elsewhere, other=event.shift)

    def _press(
        self, row: float, col: float, *, elsewhere: bool = False, other: bool = False
    ) -> None:
        reach = MARK_PX / self._view.scale
        self.editor.press(row, col, reach, elsewhere=elsewhere, other=other)

    # --- answers ---

    def _answer(self, verb: str) -> None:
        if getattr(self._screen(), f"can_{verb}"):
            self.editor.submit(ANSWERS[verb])

    def _move_cursor(self, way: str) -> None:
        if self.viewing.offset and self.editor.pen:
            self._come_home()
        way, _, far = way.partition(",")
        self.editor.move_cursor(way, far=bool(far))

    def _mark(self) -> None:
        """Set or remove a mark at the cursor; the first time, only show the cursor."""
        if self.editor.cursor is None:
            self.editor.move_cursor("up", far=False)
        elif not self.viewing.offset:
            self._press(*self.editor.cursor)

    def _line(self) -> None:
        if self.editor.cursor is None:
            self.editor.move_cursor("up", far=False)
        if self.viewing.offset:
            self._come_home()
        self.editor.line()

    def _turn_strip(self, pages: str) -> None:
        self.strip_from = max(0, self._screen().earlier + int(pages) * STRIP)

    def _back(self) -> None:
        """Close the help, or go back to the asked slice, or drop a line, or leave the region."""
        if self._page.help_is_shown:
            self._page.toggle_help()
        elif self.viewing.offset:
            self._home()
        elif self.editor.pen:
            self.editor.pen = ()
        else:
            self.editor.back()

    # --- what is seen ---

    def _step(self, slices: str) -> None:
        region = self.editor.draft.region
        if region is not None:
            self._check_neighbours(region)
            self.viewing.step(int(slices), region)
            self.stale = True

    def _check_neighbours(self, region: Region) -> None:
        if not self.viewing.dataset.stacked(region.where.scan):
            raise Aside(NO_NEIGHBOURS)

    def _home(self) -> None:
        self.viewing.home()
        self.stale = True

    def _come_home(self) -> NoReturn:
        """Show the asked slice in place of a neighbour, and say that nothing was marked."""
        self._home()
        raise Aside(BACK_HOME)

    def _zoom(self, way: str) -> None:
        """Zoom around the cursor, or around the middle of the panel."""
        if way == "off":
            self._view.unzoom()
            return
        place = self.editor.cursor or (self._view.viewport.row, self._view.viewport.col)
        self._view.zoom(STEP if way == "in" else 1 / STEP, *place)

    def _show(self, name: str) -> None:
        if name != "mask" or self.viewing.dataset.has_masks:
            _flip(self._page.toggles[name])

    def _more_opaque(self) -> None:
        more = round(self._page.opacity.value + 0.2, 1)
        self._page.opacity.value = 0.2 if more > 1 else more

    def _next_axis(self) -> None:
        axes = list(AXES)
        self._page.axis.value = axes[(axes.index(self._page.axis.value) + 1) % len(axes)]

    # --- training ---

    def _train(self) -> None:
        if self._screen().can_train:
            self._begin_training()

    def train_automatically(self) -> None:
        """Train if the box is checked and every region of the cycle has an answer."""
        if self._page.auto.value and not self.editor.session.state.pending:
            self._train()


def _flip(box: ipywidgets.Checkbox) -> None:
    box.value = not box.value
