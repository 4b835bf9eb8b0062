"""What buttons, keys, presses and drags do: a table from `shortcuts.ACTIONS` to functions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NoReturn

import ipywidgets

from alnb.annotation import Verdict
from alnb.regions import Region
from alnb.ui.label.editor import MARK_PX, SMALL, WAYS, Aside, Done, Editor
from alnb.ui.label.looking import STEP, Viewing
from alnb.ui.label.screen import STRIP, Screen, regions_of
from alnb.ui.label.sentences import slice_number
from alnb.ui.label.training_client import TrainingClient
from alnb.ui.viewer.charts import AXES
from alnb.ui.viewer.input import Drag, Press, Stroke, Wheel, Windowing

KEEP_STRIP = {
    "strip", "show", "window", "opacity", "axis", "help", "settings", "auto", "export", "watch",
}  # fmt: skip
ANSWERS = {"clean": Verdict.CLEAN, "next": Verdict.INFECTED, "skip": Verdict.SKIPPED}
GIVING = {*ANSWERS, "right"}  # actions that give an answer
NO_NEIGHBOURS = "This slice has no neighbouring slices: its file holds slices of several patients."
OFF_SLICE = "There is no region to answer at that place."
SPENT = "The budget is spent: no other region can be answered."
BACK_HOME = "You are back at the slice that is asked about; click again to mark."
LOOKED_AWAY = (
    "Nothing was answered: you looked at another slice. This is {}, which is asked about. Press "
    "again to answer it."
)
MARKED = "There are marks here: keep them with Next (N), or take them away with Undo (Z)."
UNMARKED = "Nothing is marked yet: mark the infection first, or press No infection (C)."
SWEEPING = "In a sweep, press The rest is clean (C), or leave the sweep (W)."
NO_GUESS = "There is no outline of the network to accept here: mark the infection yourself."
NOTHING_TO_UNDO = "There is nothing to take back."
NOTHING_TO_REDO = "There is nothing to restore."
DECIDED = "That was the last region that people disagreed about: all are decided."
UNSEEN = "The network has not looked at this slice yet; it will in a moment."
NO_OUTLINE = "The network sees no infection in the frame: click it, or press No infection."
STILL_NONE = (
    "The network sees no infection in the frame, even with your marks: click more of it, or keep "
    "the marks with Next."
)
STORED = (
    "These slices came windowed, so there is no window of HU to choose. Drag with the right button "
    "for brightness and contrast."
)


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
        self.revealed: Region | None = None  # whose outline is shown before any mark
        self.strip_from: int | None = None  # first tile; None follows the region on screen
        self._training = training
        self._view, self._page = viewing.view, viewing.page
        self._screen, self._begin_training = screen, train
        self.actions: dict[str, Callable[..., object]] = {  # by verb: the name before a colon
            **{verb: partial(self._answer, verb) for verb in ANSWERS},
            "right": self._right,
            "undo": self._undo,
            "redo": self._redo,
            "background": editor.switch_marking,
            "sweep": editor.sweep,
            "cursor": self._move_cursor,
            "mark": self._mark,
            "line": self._line,
            "open": self._open,
            "choose": self._choose_beside,
            "earlier": partial(editor.step, -1),
            "later": partial(editor.step, 1),
            "strip": self._turn_strip,
            "back": self._back,
            "window": self._window,
            "slices": self._step,
            "home": self._home,
            "zoom": self._zoom,
            "show": self._show,
            "opacity": self._more_opaque,
            "axis": self._next_axis,
            "help": self._page.toggle_help,
            "settings": self._page.toggle_settings,
            "export": export,
            "watch": self._watch,
            "train": self._train,
            "auto": lambda: _flip(self._page.auto),
            "cancel": training.cancel,
        }

    def do(self, name: str) -> None:
        """Do an action of `shortcuts.ACTIONS`, or of the strip: ``open:KEY``, ``strip:PAGES``."""
        verb, _, argument = name.partition(":")
        if verb in GIVING:
            self._check_seen()
            self.editor.check_line()
        if verb not in KEEP_STRIP:
            self.strip_from = None
        action = self.actions[verb]
        said = action(argument) if argument else action()
        if verb in GIVING:
            self.train_automatically()
            if said:
                raise Done(said)

    def hand(self, event: Press | Stroke | Wheel | Drag | Windowing) -> None:
        """Do what a press, a stroke, the wheel or a drag on the pictures asks for."""
        region = self.editor.draft.region
        if region is None:
            return
        if isinstance(event, Wheel) and (event.elsewhere or event.shift):
            self._check_neighbours(region)
            self.stale |= self.viewing.turn(event.turn, region)
        elif isinstance(event, Wheel):
            self._view.zoom(STEP**event.turn, event.row, event.col)
        elif isinstance(event, Windowing):
            self._page.window_controls.drag(event.right, event.down, event.hold)
            self.viewing.rewindow(region)
        elif isinstance(event, Drag):
            self._view.pan(event.rows, event.cols)
        else:
            self._mark_by_hand(event)

    def _mark_by_hand(self, event: Press | Stroke) -> None:
        if self.viewing.offset:
            self._come_home()
        elif isinstance(event, Stroke):
            self.editor.stroke(event.points)
        elif event.elsewhere:
            self._choose(event.row, event.col)
        else:
            self._press(event.row, event.col, other=event.shift)

    def _press(self, row: float, col: float, *, other: bool = False) -> None:
        self.editor.press(row, col, MARK_PX / self._view.scale, other=other)

    def _open(self, key: str) -> None:
        """Show a region of the strip; one that is only ahead is asked with that."""
        self.editor.check_free()
        for region in self._training.ahead:
            if region.key == key:
                self._training.choose(region)
        self.editor.reopen_key(key)

    def _choose(self, row: float, col: float) -> None:
        """Show the region of the slice that holds a place; one that was never asked is, with that.

        Parameters
        ----------
        row, col : float
            In pixels of the slice.
        """
        region, state = self.editor.draft.region, self.editor.session.state
        assert region is not None  # noqa: S101
        if region.contains(row, col):
            raise Aside(SMALL)
        self.editor.check_free()
        cells = self.viewing.pool.regions(region.where)
        chosen = next((cell for cell in cells if cell.contains(row, col)), None)
        if chosen is None:
            raise Aside(OFF_SLICE)
        if chosen.key not in regions_of(state):
            if state.spent:
                raise Aside(SPENT)
            self._training.choose(chosen)
        self.editor.reopen(chosen)

    def _choose_beside(self, way: str) -> None:
        """Choose the region that lies beside the one on screen."""
        region = self.editor.draft.region
        if region is not None:
            down, right = WAYS[way]
            row = region.row + (region.height - 1) / 2 + down * region.height
            col = region.col + (region.width - 1) / 2 + right * region.width
            self._choose(row, col)

    # --- answers ---

    def _check_seen(self) -> None:
        """Answer only the slice that is on screen: a neighbour gives way to it first."""
        region = self.editor.draft.region
        if region is not None and self.viewing.offset:
            self._home()
            self._view.screen += 1  # what else was pressed for the neighbour counts for nothing
            raise Aside(LOOKED_AWAY.format(slice_number(self.viewing.dataset, region.where)))

    def _undo(self) -> None:
        self._home()  # what is taken back is on the slice that is asked about
        screen = self._screen()
        if screen.owned and not screen.can_undo:
            raise Aside(NOTHING_TO_UNDO)
        self.editor.undo()

    def _redo(self) -> None:
        self._home()
        screen = self._screen()
        if screen.owned and not screen.can_redo:
            raise Aside(NOTHING_TO_REDO)
        self.editor.redo()

    def _answer(self, verb: str) -> str:
        if not getattr(self._screen(), f"can_{verb}"):
            self._refuse(verb)
            return ""
        before = self.editor.session.state.disputed
        said = self.editor.submit(ANSWERS[verb])
        return DECIDED if before and not self.editor.session.state.disputed else said

    def _refuse(self, verb: str) -> None:
        """Say why an answer can't be given now, where a key asks for it: its button is grey."""
        draft = self.editor.draft
        if draft.region is None or not self._screen().owned:
            return  # the page says why
        if draft.sweep:
            raise Aside(SWEEPING)
        raise Aside(UNMARKED if verb == "next" else MARKED)

    def _right(self) -> str:
        """Accept the network's outline; where it is not on screen, show it."""
        region, screen = self.editor.draft.region, self._screen()
        if region is None or not screen.owned:
            return ""
        if not screen.can_right:
            raise Aside(NO_GUESS)
        outlines = self._training.outlines(region, self.editor.draft.clicks)
        if outlines is None:
            raise Aside(UNSEEN)
        if not outlines:
            raise Aside(STILL_NONE if self.editor.draft.marked else NO_OUTLINE)
        follows = self._page.toggles["outline"].value and self.editor.draft.infected
        if self.revealed != region and not follows:
            self.revealed = region
            return ""
        return self.editor.submit(Verdict.INFECTED, outlines)

    def _move_cursor(self, way: str) -> None:
        if self.viewing.offset and self.editor.pen:
            self._come_home()
        way, _, far = way.partition(",")
        self.editor.move_cursor(way, far=bool(far))

    def _mark(self) -> None:
        """Set or remove a mark at the cursor; the first time, only show the cursor."""
        if self.viewing.offset:
            self._come_home()
        if self.editor.cursor is None:
            self.editor.move_cursor("up", far=False)
        else:
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
        """Close a panel, or go back to the asked slice, or drop a line, or leave the region."""
        if self._page.help_is_shown:
            self._page.toggle_help()
        elif self._page.settings_are_shown:
            self._page.toggle_settings()
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

    def _window(self, name: str) -> None:
        if name != "network" and not self._page.window_controls.hu:
            raise Aside(STORED)
        self._page.window_controls.choose(name)

    def _home(self) -> None:
        self.stale |= bool(self.viewing.offset)
        self.viewing.home()

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

    def _watch(self, which: str = "") -> None:
        """Enlarge the test slice, or watch the next."""
        self._page.watched.step(1) if which else self._page.watched.enlarge()

    # --- training ---

    def _train(self) -> None:
        screen = self._screen()
        if screen.can_train:
            self._begin_training()
        elif screen.owned and not screen.can_cancel:
            raise Aside(screen.train_hint)

    def train_automatically(self) -> None:
        """Train if the box is checked and every region of the cycle has an answer."""
        state = self.editor.session.state
        due = state.due if state.live else not state.pending
        if self._page.auto.value and due and self._screen().can_train:
            self._begin_training()


def _flip(box: ipywidgets.Checkbox) -> None:
    box.value = not box.value
