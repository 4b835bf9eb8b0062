"""What the person does with regions: mark, answer, correct, sweep, undo and redo.

A `Stopwatch` times the work on a region; `outline_of` turns a line drawn by hand into a polygon.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from alnb.annotation import Click, Outline, Verdict, Vertex
from alnb.arrays import BACKGROUND, INFECTED
from alnb.cost import PAUSE_S
from alnb.dataset import SliceId
from alnb.errors import AlnbError, SessionError
from alnb.pool import Pool
from alnb.regions import Region
from alnb.session import Session
from alnb.state import State, undone
from alnb.storage import DRAFT
from alnb.ui.label.draft import Draft, distance_px, keep_draft
from alnb.ui.label.screen import Marking, neighbour, regions_of, tile_of
from alnb.ui.label.sentences import corrected

MARK_PX = 8.0  # on the screen: a press this near to a mark removes it
DOUBLE_S = 0.4  # ours: a second press within this time belongs to a double press
STEPS_PX = (2.0, 8.0)  # ours: of the cursor, in pixels of the slice; without and with Shift
DIGITS = 2  # of a point's position, in pixels: finer than any hand
WAYS = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}
SMALL = "Click in the large picture: there you can hit the place exactly."
OUTSIDE = "That is outside the frame: the question is about the region inside it."
ANSWERED = "That cell is answered already; open it in the strip to correct it."
OPEN_MARKS = "The marks here are not an answer yet: keep them with Next, or remove them with Undo."
EMPTY_LINE = "That line encloses nothing; draw around the infection."
ONLY_POINTS = "Infection is outlined in sessions with labels=full; click it in this session."
ONLY_OUTLINES = (
    "A click does not say how far infection reaches: keep the button pressed and draw around it. "
    "With keys, L begins a line."
)
PEN_DOWN = "A line begins at the cursor: arrow keys draw it, L closes it, Undo removes it."
OPEN_LINE = "A line is not closed yet: close it with L, or remove it with Undo."
NO_LINES = "A sweep takes clicks only; leave the sweep to outline infection in a region."
TAKEN_OVER = (
    "This session was opened in another window, which writes it now. Every answer given here is "
    "saved. Continue in that window, view it from here, or reload this page to take it back."
)


UNKEPT = (
    "The marks here can't be saved yet ({}). They stay on screen, and are saved as soon as the "
    "disk takes them; make room or mend the permissions."
)


class Stopwatch:
    """Add up the time between a person's actions; a gap counts `PAUSE_S` at most."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._last = 0.0

    def start(self, now: float) -> None:
        """Start at 0."""
        self.seconds, self._last = 0.0, now

    def touch(self, now: float) -> None:
        """Note that the person did something."""
        self.seconds += min(max(0.0, now - self._last), PAUSE_S)
        self._last = now


def outline_of(points: Sequence[Vertex], region: Region, tolerance_px: float) -> Outline:
    """Close a line drawn by hand, and drop the points that its shape does not need.

    Parameters
    ----------
    points : sequence of (row, col)
        As they were drawn.
    region : Region
        Points outside its rectangle move to its edge.
    tolerance_px : float
        How far from the line the outline may run (Douglas, Peucker 1973), > 0.

    Returns
    -------
    Outline
        Empty if the line encloses nothing.
    """
    from skimage.measure import approximate_polygon

    low = np.array((region.row, region.col)) - 0.5
    high = low + np.array((region.height, region.width))
    ring = np.clip(np.array([*points, points[0]], dtype=np.float64), low, high)
    kept = approximate_polygon(ring, tolerance_px)[:-1].round(DIGITS)
    outline = tuple((float(row), float(col)) for row, col in kept)
    following = np.roll(kept, -1, axis=0)
    area_px = abs(kept[:, 0] @ following[:, 1] - following[:, 0] @ kept[:, 1]) / 2
    return outline if len(set(outline)) >= 3 and area_px >= 1 else ()


def last_annotator(state: State) -> str:
    """Name the person who answered last in this session; empty if no person did."""
    own = (one for one in reversed(state.given) if not (one.simulated or one.session))
    return next((one.annotator for one in own), "")


def _holding(cells: Sequence[Region], clicks: Sequence[Click]) -> tuple[Region, ...]:
    """List the regions that hold a click."""
    return tuple(cell for cell in cells if any(cell.contains(c.row, c.col) for c in clicks))


class Aside(AlnbError):
    """What the person should know; nothing went wrong."""


class Done(Aside):
    """What was done, where it is not plain to see."""


class Editor:
    """The draft of the region on screen, and the session's commands on it.

    A command that can't be done, or would lose marks, raises an `Aside` that says why. One that
    can't be written raises a `SessionError`, and the draft stays.

    Parameters
    ----------
    session : Session
        Open for writing.
    pool : Pool
        Its regions.
    annotator : str
        Written into every answer; may change.
    clock : callable
        Seconds, only ever rising; times the answers.
    """

    def __init__(
        self, session: Session, pool: Pool, annotator: str, clock: Callable[[], float]
    ) -> None:
        self.session = session
        self.pool = pool
        self.annotator = annotator
        self.draft = Draft()
        self.marking: Marking = "infection"  # what a click marks
        self.cursor: Vertex | None = None  # where keys mark, once one has moved it
        self.pen: tuple[Vertex, ...] = ()  # the line that keys are drawing
        self.taught = False  # whether the mask was shown with this region; the answer records it
        self.saved_at = ""
        self.unkept = ""  # why the marks on screen are not on disk
        if session.state.given:
            self._saved(session.journal.events[-1].at)
        self.watch = Stopwatch()
        self._clock = clock
        self._covers: dict[SliceId, bool] = {}
        self._pressed: tuple[float, Click | None] = (0.0, None)

    @property
    def path(self) -> Path:
        """The file that keeps the draft."""
        return self.session.journal.path.with_name(DRAFT)

    def shown(self) -> None:
        """Start the stopwatch, because another region is on screen."""
        self.watch.start(self._clock())
        self.cursor, self.pen = None, ()
        self._pressed = (0.0, None)

    def touch(self) -> None:
        """Count the time since the last action as work."""
        self.watch.touch(self._clock())

    def _put(self, draft: Draft) -> None:
        self.draft = draft
        self.keep()

    def keep(self) -> None:
        """Write the marks for a reload; `unkept` is empty, or says that the disk refuses them."""
        region = self.draft.region
        answered = region is not None and region.key in self.session.state.by_key
        try:
            keep_draft(self.path, self.draft, answered=answered)
        except OSError as error:
            self.unkept = UNKEPT.format(error.strerror)
        else:
            self.unkept = ""

    def _check_owned(self) -> None:
        if not self.session.journal.owned:
            raise SessionError(TAKEN_OVER)

    # --- marks ---

    def press(self, row: float, col: float, reach_px: float, *, other: bool) -> None:
        """Set a click at a position of the slice, or remove the nearest one there.

        Parameters
        ----------
        row, col : float
            In pixels of the slice.
        reach_px : float
            How near to a click the press must be to remove it, in pixels of the slice.
        other : bool
            Whether it marks the other class than `marking`.
        """
        region = self.draft.region
        if region is None:
            return
        background = (self.marking == "background") is not other
        click = Click(round(row, 2), round(col, 2), BACKGROUND if background else INFECTED)
        if not region.contains(click.row, click.col):
            raise Aside(OUTSIDE)
        full = self.session.state.config.labels == "full"
        adds = len(self.draft.toggled(click, reach_px).clicks) > len(self.draft.clicks)
        if full and adds and not background and not self.draft.sweep:
            raise Aside(ONLY_OUTLINES)
        if self.draft.sweep and not _holding(self.open(), [click]):
            raise Aside(ANSWERED)
        self._check_owned()
        now, (before, last) = self._clock(), self._pressed
        if last and now - before < DOUBLE_S and distance_px(click, last) <= reach_px:
            return  # the second press of a double press
        self._pressed = now, click
        self._put(self.draft.toggled(click, reach_px))

    def switch_marking(self) -> None:
        """Mark the other class with the next clicks."""
        self.marking = "infection" if self.marking == "background" else "background"

    def stroke(self, points: Sequence[Vertex]) -> None:
        """Outline what a line drawn by hand encloses."""
        region = self.draft.region
        if region is None:
            return
        if self.draft.sweep:
            raise Aside(NO_LINES)
        tolerance = max(self.session.state.config.outline_tolerance_px, 0.1)
        outline = outline_of(points, region, tolerance)
        if not outline:
            raise Aside(EMPTY_LINE)
        self._check_owned()
        self._put(self.draft.outlined(outline))

    def move_cursor(self, way: str, *, far: bool) -> None:
        """Move the cursor within the region; it starts in the middle."""
        region = self.draft.region
        if region is None:
            return
        low, high = (region.row, region.col), (region.height - 1, region.width - 1)
        place = self.cursor or (low[0] + high[0] / 2, low[1] + high[1] / 2)
        step = STEPS_PX[far]
        row, col = (
            min(max(at + step * by, first), first + size)
            for at, by, first, size in zip(place, WAYS[way], low, high, strict=True)
        )
        self.cursor = (row, col)
        if self.pen:
            self.pen = (*self.pen, self.cursor)

    def line(self) -> None:
        """Begin an outline at the cursor, which then draws it; or close the open one."""
        if self.session.state.config.labels != "full":
            raise Aside(ONLY_POINTS)
        drawn, self.pen = self.pen, ()
        if drawn:
            self.stroke(drawn)
        elif self.cursor is not None:
            self.pen = (self.cursor,)
            raise Aside(PEN_DOWN)

    # --- answers ---

    def submit(self, verdict: Verdict, right: tuple[Outline, ...] = ()) -> str:
        """Answer the region on screen, or sweep its slice; return what that changed, if it did.

        Parameters
        ----------
        verdict : Verdict
        right : tuple of Outline
            The network's own, where the person says that they are right.
        """
        draft, said = self.draft, ""
        if draft.region is None:
            return said
        by: dict[str, Any] = {"annotator": self.annotator, "mask_shown": self.taught}
        if right:
            by |= {"outlines": right, "verified": True}
        if draft.sweep:
            self.session.sweep(draft.swept(self._swept_cells(), self.watch.seconds, **by))
        elif verdict is not Verdict.INFECTED or draft.infected or right:
            answer = draft.answer(verdict, round(self.watch.seconds, 3), **by)
            before = self.session.state.by_key.get(answer.region.key)
            self.session.submit(answer)
            said = corrected(before, answer) if before else ""
        else:
            return said
        self._saved(time.time())
        self._put(Draft())
        return said

    def _saved(self, at: float) -> None:
        """Note when the last change was saved: the local time; also the day, if not today."""
        then, today = time.localtime(at), time.localtime()[:3]
        pattern = "%H:%M:%S" if then[:3] == today else "%Y-%m-%d %H:%M"
        self.saved_at = time.strftime(pattern, then)

    def undo(self) -> None:
        """Take back the last mark; without marks, the last answer."""
        self._check_owned()
        if self.pen:
            self.pen = ()
            return
        if self.draft.can_undo:
            self._put(self.draft.undone())
            return
        answers = self.session.undo()
        if answers:
            self._saved(time.time())
            stands = self.session.state.by_key.get(answers[0].region.key)
            draft = Draft.of(stands or answers[0])
            if "sweep" in self.session.journal.events[-1].data:
                clicks = tuple(click for answer in answers for click in answer.clicks)
                draft = Draft(self._whole(answers[0].region), clicks, held=True, sweep=True)
            self._put(draft)

    def redo(self) -> None:
        """Restore the mark or the answer that was taken back last."""
        self._check_owned()
        if self.draft.future:
            self._put(self.draft.redone())
        elif self.can_redo and self.session.redo():
            self._saved(time.time())
            self._put(Draft())

    @property
    def can_redo(self) -> bool:
        """Whether an answer was taken back and nothing was marked since."""
        return not self.draft.changed and bool(undone(self.session.journal.events))

    # --- another region than the next ---

    def reopen(self, region: Region) -> None:
        """Show a region of the strip, with the marks of its answer."""
        self.check_free()
        answer = self.session.state.by_key.get(region.key)
        self._put(Draft(region, held=True) if answer is None else Draft.of(answer))

    def reopen_key(self, key: str) -> None:
        """Show the region of the strip that has this key."""
        regions = regions_of(self.session.state)
        if key in regions:
            self.reopen(regions[key])

    def step(self, tiles: int) -> None:
        """Show the region that lies this many tiles after the one on screen."""
        current = tile_of(self.session.state, self.draft)
        region = neighbour(self.session.state, current, tiles)
        if region is not None:
            self.reopen(region)

    def back(self) -> None:
        """Leave a region that the person chose."""
        if self.draft.held:
            self.check_free()
            self._put(Draft())

    def check_free(self) -> None:
        """Make sure that no mark or line is open, which would be lost."""
        self.check_line()
        if self.draft.changed or (self.draft.sweep and self.draft.marked):
            raise Aside(OPEN_MARKS)

    def check_line(self) -> None:
        """Make sure that no line is open, which would be lost."""
        if self.pen:
            raise Aside(OPEN_LINE)

    # --- a whole slice at once ---

    def sweep(self) -> None:
        """Show the whole slice, to answer its open regions at once; or leave the sweep."""
        if self.draft.sweep:
            self.back()
        elif self.can_sweep and self.draft.region is not None:
            self.check_free()
            self._put(Draft(self._whole(self.draft.region), held=True, sweep=True))

    def _whole(self, region: Region) -> Region:
        size = self.pool.dataset.size
        return Region(region.where, 0, 0, size, size)

    @property
    def can_sweep(self) -> bool:
        """Whether the slice on screen is of the pool, and its regions cover it once.

        False where infection is outlined, since a sweep makes every region without a click clean.
        """
        region = self.draft.region
        if region is None or self.session.state.config.labels == "full":
            return False
        where = region.where
        if where not in self._covers:
            cells = self.pool.regions(where) if where in self.pool.slices else ()
            self._covers[where] = sum(map(_area, cells)) == self.pool.dataset.size**2
        return self._covers[where]

    def open(self) -> tuple[Region, ...]:
        """List the slice's regions that have no answer, and on which nobody disagrees."""
        if self.draft.region is None:
            return ()
        cells, state = self.pool.regions(self.draft.region.where), self.session.state
        done = state.by_key.keys() | state.disputed.keys()
        return tuple(cell for cell in cells if cell.key not in done)

    def picked(self) -> tuple[Region, ...]:
        """List the cells of a sweep that hold a mark."""
        return _holding(self.open(), self.draft.clicks) if self.draft.sweep else ()

    def _swept_cells(self) -> tuple[Region, ...]:
        """List the open cells; one that shows nothing, such as air, only if it is clicked."""
        cells, picked = self.open(), {cell.key for cell in self.picked()}
        if not cells:
            return ()
        where = cells[0].where
        named = zip(self.pool.regions(where), self.pool.left_out(where), strict=True)
        bare = {cell.key for cell, left_out in named if left_out}
        return tuple(cell for cell in cells if cell.key not in bare or cell.key in picked)


def _area(region: Region) -> int:
    mask = region.mask
    return region.height * region.width if mask is None else int(mask.sum())
