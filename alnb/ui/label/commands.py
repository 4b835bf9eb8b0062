"""What buttons, keys and hands mean: one method for each action of `actions.ACTIONS`."""

from __future__ import annotations

from collections.abc import Callable

from alnb.annotation import Verdict
from alnb.regions import Region
from alnb.ui.label.editor import Answering, Aside
from alnb.ui.label.looking import STEP, Viewing
from alnb.ui.label.screen import STRIP, Screen
from alnb.ui.label.training_client import Learning
from alnb.ui.viewer.charts import AXES
from alnb.ui.viewer.input import Drag, Press, Stroke, Wheel

MARK_PX = 8.0  # on the screen: a press this near to a mark takes it back
SHOWS = {"entropy", "prediction", "marks", "answered", "grid", "on_region", "mask"}
LOOKING = {
    "strip",
    "show",
    "window",
    "opacity",
    "axis",
    "help",
    "auto",
    "export",
}  # leave the strip where it is
ANSWERS = {"clean", "next", "skip"}  # what may end a batch
NO_NEIGHBOURS = "This slice has no neighbours: its file holds slices of several patients."
BACK_HOME = "This is the slice that is asked about again; now click to mark."


class Commands:
    """Turn actions into what is answered, looked at and trained.

    Parameters
    ----------
    answering : Answering
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
        Whether the pictures must be drawn anew.
    strip_from : int or None
        The strip's first tile; None follows the region on screen.
    """

    def __init__(
        self,
        answering: Answering,
        viewing: Viewing,
        learning: Learning,
        screen: Callable[[], Screen],
        train: Callable[[], None],
        export: Callable[[], None],
    ) -> None:
        self.answering = answering
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
        """Do an action, named as in `actions.ACTIONS`; what follows a colon is handed on."""
        verb, _, what = name.partition(":")
        if verb in ANSWERS:
            self.answering.check_line()
        if verb not in LOOKING:
            self.strip_from = None
        getattr(self, f"do_{verb}")(what)
        if verb in ANSWERS:
            self.train_by_itself()

    def hand(self, event: Press | Stroke | Wheel | Drag) -> None:
        """Do what a hand did on the pictures.

        Raises
        ------
        Aside
            If nothing can be marked there.
        """
        region = self.answering.draft.region
        if region is None:
            return
        if isinstance(event, Wheel) and (event.elsewhere or event.shift):
            self._look_for_neighbours(region)
            self.stale |= self.viewing.turn(event.turn, region)
        elif isinstance(event, Wheel):
            self._view.zoom(STEP**event.turn, event.row, event.col)
        elif isinstance(event, Drag):
            self._view.pan(event.rows, event.cols)
        elif self.viewing.offset:
            self.do_home("")
            raise Aside(BACK_HOME)
        elif isinstance(event, Stroke):
            self.answering.stroke(event.points)
        else:
            self._press(event.row, event.col, elsewhere=event.elsewhere, other=event.shift)

    def _press(
        self, row: float, col: float, *, elsewhere: bool = False, other: bool = False
    ) -> None:
        reach = MARK_PX / self._view.scale
        self.answering.press(row, col, reach, elsewhere=elsewhere, other=other)

    def do_clean(self, _what: str) -> None:
        """Answer that the region is clean; in a sweep, that the rest is."""
        if self._screen().can_clean:
            self.answering.submit(Verdict.CLEAN)

    def do_next(self, _what: str) -> None:
        """Answer with the marks set."""
        if self._screen().can_next:
            self.answering.submit(Verdict.INFECTED)

    def do_skip(self, _what: str) -> None:
        """Leave the region unanswered; it waits in the strip."""
        if self._screen().can_skip:
            self.answering.submit(Verdict.SKIPPED)

    def do_undo(self, _what: str) -> None:
        """Take the last mark or answer back."""
        self.answering.undo()

    def do_redo(self, _what: str) -> None:
        """Give it again."""
        self.answering.redo()

    def do_background(self, _what: str) -> None:
        """Let clicks mark background, or infection again."""
        other = self.answering.marking == "infection"
        self.answering.marking = "background" if other else "infection"

    def do_sweep(self, _what: str) -> None:
        """Answer the whole slice at once, or leave that."""
        self.answering.sweep()

    def do_open(self, key: str) -> None:
        """Open a region of the strip."""
        self.answering.reopen_key(key)

    def do_earlier(self, _what: str) -> None:
        """Open the region before this one in the strip."""
        self.answering.step(-1)

    def do_later(self, _what: str) -> None:
        """Open the one after."""
        self.answering.step(1)

    def do_strip(self, pages: str) -> None:
        """Page the strip."""
        shown = self._screen()
        self.strip_from = max(0, shown.earlier + int(pages) * STRIP)

    def do_back(self, _what: str) -> None:
        """Close the help, go back to the own slice, or to the next region."""
        if self._page.help_is_shown:
            self._page.toggle_help(False)
        elif self.viewing.offset:
            self.do_home("")
        elif self.answering.pen:
            self.answering.pen = ()
        else:
            self.answering.back()

    def do_cursor(self, what: str) -> None:
        """Move the cursor of who works without a mouse."""
        if self.viewing.offset and self.answering.pen:
            self.do_home("")
            raise Aside(BACK_HOME)
        way, _, far = what.partition(",")
        self.answering.move_cursor(way, far=bool(far))

    def do_mark(self, _what: str) -> None:
        """Set or take back a mark at the cursor."""
        if self.answering.cursor is None:
            self.answering.move_cursor("up", far=False)
        elif not self.viewing.offset:
            self._press(*self.answering.cursor)

    def do_line(self, _what: str) -> None:
        """Begin an outline at the cursor, or close it."""
        if self.answering.cursor is None:
            self.answering.move_cursor("up", far=False)
        if self.viewing.offset:
            self.do_home("")
            raise Aside(BACK_HOME)
        self.answering.line()

    def do_window(self, name: str) -> None:
        """Look through another window."""
        self._page.looks.choose(name)

    def do_slices(self, step: str) -> None:
        """Look at a neighbouring slice."""
        region = self.answering.draft.region
        if region is not None:
            self._look_for_neighbours(region)
            self.viewing.step(int(step), region)
            self.stale = True

    def _look_for_neighbours(self, region: Region) -> None:
        if not self.viewing.dataset.stacked(region.where.scan):
            raise Aside(NO_NEIGHBOURS)

    def do_home(self, _what: str) -> None:
        """Look at the slice that is asked about."""
        self.viewing.home()
        self.stale = True

    def do_zoom(self, way: str) -> None:
        """Zoom around the cursor, or the middle of what is seen."""
        if way == "off":
            self._view.unzoom()
            return
        place = self.answering.cursor or (self._view.frame.row, self._view.frame.col)
        self._view.zoom(STEP if way == "in" else 1 / STEP, *place)

    def do_show(self, name: str) -> None:
        """Switch an overlay on or off."""
        if name in SHOWS and (name != "mask" or self.viewing.dataset.has_masks):
            toggle = getattr(self._page, name)
            toggle.value = not toggle.value

    def do_opacity(self, _what: str) -> None:
        """Make the overlays more opaque, then faint again."""
        at = round(self._page.opacity.value + 0.2, 1)
        self._page.opacity.value = 0.2 if at > 1 else at

    def do_axis(self, _what: str) -> None:
        """Draw the score against the next axis."""
        axes = list(AXES)
        self._page.axis.value = axes[(axes.index(self._page.axis.value) + 1) % len(axes)]

    def do_help(self, _what: str) -> None:
        """Show the keys, or hide them."""
        self._page.toggle_help()

    def do_export(self, _what: str) -> None:
        """Write what there is as files."""
        self._export()

    def do_train(self, _what: str) -> None:
        """Train on the answers so far, then ask the next regions; labelling goes on."""
        if self._screen().can_train:
            self._train()

    def do_auto(self, _what: str) -> None:
        """Let trainings begin by themselves, or on Train alone."""
        self._page.auto.value = not self._page.auto.value

    def train_by_itself(self) -> None:
        """Train where that is wanted, all that was asked has an answer, and it is of use."""
        if self._page.auto.value and not self.answering.session.state.pending:
            self.do_train("")

    def do_cancel(self, _what: str) -> None:
        """Stop what the training process does; the last network is kept."""
        if self.learning.activity.cycling:
            self.learning.cancel()
