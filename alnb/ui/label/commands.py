"""What buttons, keys, presses and drags do: one method for each action of `shortcuts.ACTIONS`."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from alnb.annotation import Verdict
from alnb.regions import Region
from alnb.ui.label.editor import MARK_PX, Aside, Editor
from alnb.ui.label.looking import STEP, Viewing
from alnb.ui.label.screen import STRIP, Screen
from alnb.ui.label.training_client import Learning
from alnb.ui.viewer.charts import AXES
from alnb.ui.viewer.input import Drag, Press, Stroke, Wheel

SHOWS = {"entropy", "prediction", "marks", "answered", "grid", "on_region", "mask"}
KEEP_STRIP = {"strip", "show", "window", "opacity", "axis", "help", "auto", "export"}
ANSWERS = {"clean", "next", "skip"}  # what may end a batch
NO_NEIGHBOURS = "This slice has no neighbouring slices: its file holds slices of several patients."
BACK_HOME = "You are back at the slice that is asked about; click again to mark."


class Commands:
    """Turn actions into calls of the editor, the viewing and the training.

    Parameters
    ----------
    editor : Editor
    viewing : Viewing
    learning : Learning
    screen : callable
        Gives the `Screen`, which says what can be done.
    train : callable
        Begins a cycle.
    export : callable
        Begins to write files.

    Attributes
    ----------
    stale : bool
        Whether the pictures must be drawn again.
    strip_from : int or None
        The strip's first tile; None follows the region on screen.
    """

    def __init__(
        self,
        editor: Editor,
        viewing: Viewing,
        learning: Learning,
        screen: Callable[[], Screen],
        train: Callable[[], None],
        export: Callable[[], None],
    ) -> None:
        self.editor = editor
        self.viewing = viewing
        self.learning = learning
        self.stale = True
        self.strip_from: int | None = None
        self._view, self._page = viewing.view, viewing.page
        self._screen, self._train, self._export = screen, train, export

    @staticmethod
    def verb(name: str) -> str:
        """Return the method's part of an action's name."""
        return name.partition(":")[0]

    def do(self, name: str) -> None:
        """Do an action of `shortcuts.ACTIONS`; what follows a colon is its argument."""
        verb, _, argument = name.partition(":")
        if verb in ANSWERS:
            self.editor.check_line()
        if verb not in KEEP_STRIP:
            self.strip_from = None
        handler = getattr(self, f"_do_{verb}")
        handler(argument) if argument else handler()
        if verb in ANSWERS:
            self.train_by_itself()

    def hand(self, event: Press | Stroke | Wheel | Drag) -> None:
        """Do what a press, a stroke, the wheel or a drag on the pictures asks for.

        Raises
        ------
        Aside
            If nothing can be marked there.
        """
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

    def _do_clean(self) -> None:
        if self._screen().can_clean:
            self.editor.submit(Verdict.CLEAN)

    def _do_next(self) -> None:
        if self._screen().can_next:
            self.editor.submit(Verdict.INFECTED)

    def _do_skip(self) -> None:
        if self._screen().can_skip:
            self.editor.submit(Verdict.SKIPPED)

    def _do_undo(self) -> None:
        self.editor.undo()

    def _do_redo(self) -> None:
        self.editor.redo()

    def _do_background(self) -> None:
        infection = self.editor.marking == "background"
        self.editor.marking = "infection" if infection else "background"

    def _do_sweep(self) -> None:
        self.editor.sweep()

    def _do_cursor(self, way: str) -> None:
        if self.viewing.offset and self.editor.pen:
            self._come_home()
        way, _, far = way.partition(",")
        self.editor.move_cursor(way, far=bool(far))

    def _do_mark(self) -> None:
        """Set or remove a mark at the cursor; the first time, only show the cursor."""
        if self.editor.cursor is None:
            self.editor.move_cursor("up", far=False)
        elif not self.viewing.offset:
            self._press(*self.editor.cursor)

    def _do_line(self) -> None:
        if self.editor.cursor is None:
            self.editor.move_cursor("up", far=False)
        if self.viewing.offset:
            self._come_home()
        self.editor.line()

    # --- which region is on screen ---

    def _do_open(self, key: str) -> None:
        self.editor.reopen_key(key)

    def _do_earlier(self) -> None:
        self.editor.step(-1)

    def _do_later(self) -> None:
        self.editor.step(1)

    def _do_strip(self, pages: str) -> None:
        self.strip_from = max(0, self._screen().earlier + int(pages) * STRIP)

    def _do_back(self) -> None:
        """Close the help, else go back to the asked slice, drop a line, or leave the region."""
        if self._page.help_is_shown:
            self._page.toggle_help(False)
        elif self.viewing.offset:
            self._do_home()
        elif self.editor.pen:
            self.editor.pen = ()
        else:
            self.editor.back()

    # --- what is seen ---

    def _do_window(self, name: str) -> None:
        self._page.window_controls.choose(name)

    def _do_slices(self, step: str) -> None:
        region = self.editor.draft.region
        if region is not None:
            self._check_neighbours(region)
            self.viewing.step(int(step), region)
            self.stale = True

    def _check_neighbours(self, region: Region) -> None:
        if not self.viewing.dataset.stacked(region.where.scan):
            raise Aside(NO_NEIGHBOURS)

    def _do_home(self) -> None:
        self.viewing.home()
        self.stale = True

    def _come_home(self) -> NoReturn:
        """Show the asked slice in place of a neighbour, and say that nothing was marked."""
        self._do_home()
        raise Aside(BACK_HOME)

    def _do_zoom(self, way: str) -> None:
        """Zoom around the cursor, or the middle of what is seen."""
        if way == "off":
            self._view.unzoom()
            return
        place = self.editor.cursor or (self._view.viewport.row, self._view.viewport.col)
        self._view.zoom(STEP if way == "in" else 1 / STEP, *place)

    def _do_show(self, name: str) -> None:
        if name in SHOWS and (name != "mask" or self.viewing.dataset.has_masks):
            toggle = getattr(self._page, name)
            toggle.value = not toggle.value

    def _do_opacity(self) -> None:
        more = round(self._page.opacity.value + 0.2, 1)
        self._page.opacity.value = 0.2 if more > 1 else more

    def _do_axis(self) -> None:
        axes = list(AXES)
        self._page.axis.value = axes[(axes.index(self._page.axis.value) + 1) % len(axes)]

    def _do_help(self) -> None:
        self._page.toggle_help()

    def _do_export(self) -> None:
        self._export()

    # --- training ---

    def _do_train(self) -> None:
        if self._screen().can_train:
            self._train()

    def _do_auto(self) -> None:
        self._page.auto.value = not self._page.auto.value

    def train_by_itself(self) -> None:
        """Train where the person wants that and every region asked has an answer."""
        if self._page.auto.value and not self.editor.session.state.pending:
            self._do_train()

    def _do_cancel(self) -> None:
        if self.learning.activity.cycling:
            self.learning.cancel()
