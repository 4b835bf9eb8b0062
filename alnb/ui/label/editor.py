"""How long the person worked on a region: by the clock, without pauses.

A sweep, a whole slice answered at once: which of its regions that is about.

Lines drawn by hand, made outlines: polygons with as few points as their shape needs.

What the person says of regions: marks, answers, corrections, sweeps, and the way back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from alnb.annotation import Answer, Click, Outline, Verdict, Vertex
from alnb.arrays import BACKGROUND, INFECTED
from alnb.cost import PAUSE_S
from alnb.dataset import SliceId
from alnb.errors import AlnbError, SessionError
from alnb.pool import Pool
from alnb.regions import Region
from alnb.session import Session
from alnb.state import State, undone
from alnb.ui.label.draft import DRAFT_FILE, Draft, distance_px, keep_draft
from alnb.ui.label.screen import Marking, neighbour, regions_of


class Stopwatch:
    """Add up the time between what a person does; a gap counts `PAUSE_S` at most.

    Attributes
    ----------
    seconds : float
        So far.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._last = 0.0

    def start(self, now: float) -> None:
        """Begin anew: a region is shown."""
        self.seconds, self._last = 0.0, now

    def touch(self, now: float) -> None:
        """Note that the person did something."""
        self.seconds += min(max(0.0, now - self._last), PAUSE_S)
        self._last = now


Regions = tuple[Region, ...]


def covered(pool: Pool, where: SliceId) -> bool:
    """Tell whether a slice is of the pool, and its regions cover it once."""
    cells = pool.regions(where) if where in pool.slices else ()
    return sum(map(_area, cells)) == pool.dataset.size**2


def open_cells(pool: Pool, state: State, where: SliceId) -> Regions:
    """List a slice's regions that have no answer."""
    return tuple(cell for cell in pool.regions(where) if cell.key not in state.by_key)


def holding(cells: Sequence[Region], clicks: Sequence[Click]) -> Regions:
    """List the regions that hold a click."""
    return tuple(cell for cell in cells if any(cell.contains(c.row, c.col) for c in clicks))


def answered_by_a_sweep(pool: Pool, cells: Regions, clicks: Sequence[Click]) -> Regions:
    """List those of a slice's open regions that a sweep answers.

    Not those that show nothing, as mere air, unless they were clicked.
    """
    if not cells:
        return ()
    where = cells[0].where
    names = zip(pool.regions(where), pool.left_out(where), strict=True)
    bare = {cell.key for cell, left_out in names if left_out}
    picked = {cell.key for cell in holding(cells, clicks)}
    return tuple(cell for cell in cells if cell.key not in bare or cell.key in picked)


def _area(region: Region) -> int:
    mask = region.mask
    return region.height * region.width if mask is None else int(mask.sum())


DIGITS = 2  # of a point's position, in pixels: finer than any hand


def outline_of(points: Sequence[Vertex], region: Region, tolerance_px: float) -> Outline:
    """Close a line drawn by hand, and drop the points that its shape does not need.

    Parameters
    ----------
    points : sequence of (row, col)
        As they were drawn.
    region : Region
        What lies outside its rectangle is drawn in to its edge.
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
    return outline if len(set(outline)) >= 3 and _enclosed(kept) >= 1 else ()


def _enclosed(ring: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    """Find the area in a closed ring, in pixels."""
    following = np.roll(ring, -1, axis=0)
    return abs(float(ring[:, 0] @ following[:, 1] - following[:, 0] @ ring[:, 1])) / 2


DOUBLE_S = 0.4  # ours: a second press within this was no second thought
STEPS_PX = (2.0, 8.0)  # ours: of the cursor, in pixels of the slice; with Shift
WAYS = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}
OUTSIDE = "That is outside the frame: the question is about the region inside it."
SMALL = "Click in the large picture: there the place can be hit exactly."
ANSWERED = "That cell is answered already; open it in the strip to correct it."
OPEN_MARKS = (
    "The marks here are no answer yet: keep them with Next, or take them back with Undo, first."
)
EMPTY_LINE = "That line encloses nothing; draw around the infection."
POINTS_ALONE = "Infection is outlined in sessions with labels=full; here it is clicked."
PEN_DOWN = "A line begins at the cursor: arrows draw it, L closes it, Undo takes it away."
OPEN_LINE = "A line is begun: close it with L, or take it away with Undo, first."
NO_LINES = "A whole slice is answered by clicks; leave the sweep to outline in a region."
TAKEN_OVER = (
    "This session was opened in another window, which now writes it. Everything answered here is "
    "saved. Go on there, look on from here, or reload this page to take it back."
)


def last_annotator(state: State) -> str:
    """Name the person who answered last; empty where nobody did, or only a simulated one."""
    return next((a.annotator for a in reversed(state.given) if not a.simulated), "")


class Aside(AlnbError):
    """What the person should know; nothing went wrong."""


class Answering:
    """The draft of the region on screen, and the session's commands on it.

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

    Attributes
    ----------
    draft : Draft
        What is on screen.
    marking : str
        What a click marks: "infection" or "background".
    cursor : (row, col) or None
        Of who marks with keys alone.
    pen : tuple of (row, col)
        The line that keys are drawing; empty if none.
    taught : bool
        Whether the mask was on screen with this region; then its answer says so.
    saved_at : str
        When what was done last went to disk; with the day, if that is another.
    """

    def __init__(
        self, session: Session, pool: Pool, annotator: str, clock: Callable[[], float]
    ) -> None:
        self.session = session
        self.pool = pool
        self.annotator = annotator
        self.draft = Draft()
        self.marking: Marking = "infection"
        self.cursor: Vertex | None = None
        self.pen: tuple[Vertex, ...] = ()
        self.taught = False
        self.saved_at = _said(session.journal.events[-1].at) if session.state.given else ""
        self.watch = Stopwatch()
        self._clock = clock
        self._covers: dict[SliceId, bool] = {}
        self._pressed: tuple[float, Click | None] = (0.0, None)

    @property
    def path(self) -> Path:
        """Of the file that keeps the draft."""
        return self.session.journal.path.with_name(DRAFT_FILE)

    def shown(self) -> None:
        """Start to count: another region is on screen."""
        self.watch.start(self._clock())
        self.cursor, self.pen = None, ()
        self._pressed = (0.0, None)

    def touch(self) -> None:
        """Count the time since the last thing done, a pause in part: whoever looks works, too."""
        self.watch.touch(self._clock())

    def _put(self, draft: Draft) -> None:
        self.draft = draft
        region = draft.region
        answered = region is not None and region.key in self.session.state.by_key
        keep_draft(self.path, draft, answered=answered)

    def _check_owned(self) -> None:
        if not self.session.journal.owned:
            raise SessionError(TAKEN_OVER)

    # --- marks ---

    def press(
        self, row: float, col: float, reach_px: float, *, elsewhere: bool, other: bool
    ) -> None:
        """Set a click at a position of the slice, or take back the one that is there.

        Parameters
        ----------
        row, col : float
            Where.
        reach_px : float
            How near to a click hits it, in pixels of the slice.
        elsewhere : bool
            Whether it was on the small picture, where nothing is marked.
        other : bool
            Whether it marks background while others mark infection, or the other way round.

        Raises
        ------
        Aside
            If nothing can be marked there.
        """
        region = self.draft.region
        if region is None:
            return
        background = (self.marking == "background") is not other
        click = Click(round(row, 2), round(col, 2), BACKGROUND if background else INFECTED)
        inside = region.contains(click.row, click.col)
        if elsewhere or not inside:
            raise Aside(SMALL if inside else OUTSIDE)
        if self.draft.sweep and not any(c.contains(click.row, click.col) for c in self.open()):
            raise Aside(ANSWERED)
        self._check_owned()
        now, (before, last) = self._clock(), self._pressed
        if last and now - before < DOUBLE_S and distance_px(click, last) <= reach_px:
            return  # the second press of a double press
        self._pressed = now, click
        self._put(self.draft.toggled(click, reach_px))

    def stroke(self, points: Sequence[Vertex]) -> None:
        """Outline what a line drawn by hand encloses.

        Raises
        ------
        Aside
            If it encloses nothing.
        """
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
        """Move the cursor within the region; at first it stands in the middle."""
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
        """Begin an outline at the cursor, which draws it from then on; or close the one begun.

        Raises
        ------
        Aside
            If infection is not outlined here, or the line encloses nothing.
        """
        if self.session.state.config.labels != "full":
            raise Aside(POINTS_ALONE)
        drawn, self.pen = self.pen, ()
        if drawn:
            self.stroke(drawn)
        elif self.cursor is not None:
            self.pen = (self.cursor,)
            raise Aside(PEN_DOWN)

    # --- answers ---

    def submit(self, verdict: Verdict) -> None:
        """Answer the region on screen, or sweep its slice.

        Raises
        ------
        SessionError
            If it could not be written; the draft is kept.
        """
        draft = self.draft
        if draft.region is None:
            return
        by = {"annotator": self.annotator, "mask_shown": self.taught}
        if draft.sweep:
            cells = answered_by_a_sweep(self.pool, self.open(), draft.clicks)
            self.session.sweep(draft.swept(cells, self.watch.seconds, **by))
        elif verdict is not Verdict.INFECTED or draft.infected:
            seconds = round(self.watch.seconds, 3)
            self.session.submit(draft.answer(verdict, seconds, **by))
        else:
            return
        self._saved()
        self._put(Draft())

    def _saved(self) -> None:
        self.saved_at = _said(time.time())

    def undo(self) -> None:
        """Take the last mark back, or the last answer where nothing was marked since."""
        self._check_owned()
        if self.pen:
            self.pen = ()
            return
        if self.draft.can_undo:
            self._put(self.draft.undone())
            return
        answers = self.session.undo()
        if answers:
            self._saved()
            swept = "sweep" in self.session.journal.events[-1].data
            self._put(self._swept(answers) if swept else Draft.of(answers[0]))

    def _swept(self, answers: Sequence[Answer]) -> Draft:
        """Open a sweep again that was taken back."""
        clicks = tuple(click for answer in answers for click in answer.clicks)
        return Draft(self._whole(answers[0].region), clicks, held=True, sweep=True)

    def redo(self) -> None:
        """Give the mark or the answer again that was taken back last."""
        self._check_owned()
        if self.draft.future:
            self._put(self.draft.redone())
        elif self.can_redo and self.session.redo():
            self._saved()
            self._put(Draft())

    @property
    def can_redo(self) -> bool:
        """Whether an answer was taken back, and nothing was marked since."""
        return not self.draft.changed and bool(undone(self.session.journal.events))

    # --- another region than the next ---

    def reopen(self, region: Region) -> None:
        """Show a region of the strip; with its marks, if it was answered.

        Raises
        ------
        Aside
            If marks would be lost.
        """
        self._check_free()
        answer = self.session.state.by_key.get(region.key)
        self._put(Draft(region, held=True) if answer is None else Draft.of(answer))

    def reopen_key(self, key: str) -> None:
        """Show the region of the strip that is named so."""
        regions = regions_of(self.session.state)
        if key in regions:
            self.reopen(regions[key])

    def step(self, tiles: int) -> None:
        """Show the region so many tiles after the one on screen."""
        current = None if self.draft.sweep else self.draft.region
        region = neighbour(self.session.state, current, tiles)
        if region is not None:
            self.reopen(region)

    def back(self) -> None:
        """Leave a region that the person chose."""
        if self.draft.held:
            self._check_free()
            self._put(Draft())

    def _check_free(self) -> None:
        self.check_line()
        if self.draft.changed or (self.draft.sweep and self.draft.marked):
            raise Aside(OPEN_MARKS)

    def check_line(self) -> None:
        """Make sure that no line is begun, which would be lost.

        Raises
        ------
        Aside
            If one is.
        """
        if self.pen:
            raise Aside(OPEN_LINE)

    # --- a whole slice at once ---

    def sweep(self) -> None:
        """Show the whole slice, to answer its open regions at once; or leave that.

        Raises
        ------
        Aside
            If marks would be lost.
        """
        if self.draft.sweep:
            self.back()
        elif self.can_sweep and self.draft.region is not None:
            self._check_free()
            self._put(Draft(self._whole(self.draft.region), held=True, sweep=True))

    def _whole(self, region: Region) -> Region:
        size = self.pool.dataset.size
        return Region(region.where, 0, 0, size, size)

    @property
    def can_sweep(self) -> bool:
        """Whether the slice on screen is of the pool, and its regions cover it once.

        Not where infection is outlined: what a sweep leaves unclicked is clean.
        """
        region = self.draft.region
        outlines = self.session.state.config.labels == "full"
        return region is not None and not outlines and self._covered(region.where)

    def _covered(self, where: SliceId) -> bool:
        if where not in self._covers:
            self._covers[where] = covered(self.pool, where)
        return self._covers[where]

    def open(self) -> tuple[Region, ...]:
        """List the slice's regions that have no answer."""
        if self.draft.region is None:
            return ()
        return open_cells(self.pool, self.session.state, self.draft.region.where)

    def picked(self) -> tuple[Region, ...]:
        """List the cells of a sweep that hold a mark."""
        return holding(self.open(), self.draft.clicks) if self.draft.sweep else ()


def _said(at: float) -> str:
    """Say when it was, on the clock of this machine; with the day, if it was not today."""
    then, now = time.localtime(at), time.localtime()
    same = then[:3] == now[:3]
    return time.strftime("%H:%M:%S" if same else "%Y-%m-%d %H:%M", then)
