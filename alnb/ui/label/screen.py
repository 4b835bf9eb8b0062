"""The screen as a pure function of the state: what is shown, why, and which buttons work.

Nothing here knows a widget; `page` shows a `Screen`. Its strip has a tile for each region with an
answer, then one for each open region. An `Explainer` says why a region is asked about.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from alnb.acquisition import HEURISTICS, needs_network, rank
from alnb.dataset import Dataset
from alnb.forecast import Forecast, forecast
from alnb.pool import Pool, ScoreTables
from alnb.regions import Region
from alnb.state import State
from alnb.ui.label import sentences
from alnb.ui.label.draft import Draft
from alnb.ui.label.sentences import Activity

STRIP = 13  # tiles shown at once; with an arrow on each side they fill the view's width
HINT = "A point appears here after each training."
LIVE_HINT = "The line begins after the first answer; a point marks each training."
LOOKING_HINT = "The line begins once the network has looked at the test slices; a moment yet."
MAY_REPEAT = (
    "This session asks some regions twice without saying which; scores would tell, so none are "
    "shown."
)
COMMON = "Everybody who shares this dataset is asked about this slice, to compare the answers."
Marking = Literal["infection", "background"]
ScoreTable = NDArray[np.float64]
Cell = tuple[int, int]  # of a region in a table of scores: slice, region


@dataclass(frozen=True, slots=True)
class Tile:
    """One region in the strip."""

    region: Region
    mark: str  # infected, clean, skipped, open
    current: bool
    where: str = ""  # its scan and slice, in words


def regions_of(
    state: State, current: Region | None = None, ahead: Sequence[Region] = ()
) -> dict[str, Region]:
    """List the strip's regions by key: answered ones by their first answer, then the open ones.

    Parameters
    ----------
    state : State
        Of the session.
    current : Region, optional
        The one on screen, if it is not of these.
    ahead : sequence of Region
        What would be asked after the open ones.
    """
    answered = (answer.region for answer in state.given if answer.region.key in state.by_key)
    regions = {region.key: region for region in answered}
    for region in (*state.pending, *([] if current is None else [current]), *ahead):
        regions.setdefault(region.key, region)
    return regions


def strip(
    state: State,
    current: Region | None,
    begin: int | None = None,
    ahead: Sequence[Region] = (),
) -> tuple[tuple[Tile, ...], int, int]:
    """Choose at most `STRIP` tiles to show, and count those to their left and right.

    Parameters
    ----------
    state : State
        Of the session.
    current : Region or None
        The one on screen.
    begin : int, optional
        The first tile's number, from 0; None shows the tiles around the current one.
    ahead : sequence of Region
        What would be asked after the open regions.
    """
    regions = regions_of(state, current, ahead)
    keys = list(regions)
    at = keys.index(current.key) if current is not None else len(keys)
    start = at - STRIP // 2 if begin is None else begin
    start = max(0, min(start, len(keys) - STRIP))
    shown = keys[start : start + STRIP]
    verdicts = {key: str(answer.verdict) for key, answer in state.by_key.items()}
    tiles = tuple(
        Tile(regions[key], verdicts.get(key, "open"), keys[at:][:1] == [key]) for key in shown
    )
    return tiles, start, len(keys) - start - len(tiles)


def tile_of(state: State, draft: Draft) -> Region | None:
    """Find the region whose tile is the current one: in a sweep, one of its slice, open first."""
    if not draft.sweep or draft.region is None:
        return draft.region
    where = draft.region.where
    regions = (*state.pending, *regions_of(state).values())
    return next((region for region in regions if region.where == where), None)


def neighbour(state: State, current: Region | None, step: int) -> Region | None:
    """Find another region of the strip; None beyond its ends.

    Parameters
    ----------
    state : State
        Of the session.
    current : Region or None
        The one on screen; None counts from the end.
    step : int
        How many tiles later, or earlier if negative.
    """
    regions = regions_of(state, current)
    keys = list(regions)
    at = (keys.index(current.key) if current is not None else len(keys)) + step
    return regions[keys[at]] if 0 <= at < len(keys) else None


@dataclass(frozen=True, slots=True)
class Reason:
    """How one heuristic ranks a region."""

    heuristic: str
    score: float  # of the region; nats for entropy and bald
    rank: int  # from 1, in the order in which it would ask under the session's settings
    of: int  # how many regions could be asked
    place: int  # the rank, if it would have asked the region in this cycle; else 0


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a region is asked about."""

    sentence: str
    reasons: tuple[Reason, ...] = ()  # own heuristic first; none where no network scored it
    chance: float = 0.0  # probability that random would have asked it, in [0, 1]
    mean: float | None = None  # the network's mean infection probability in it, if known

    @property
    def plain(self) -> str:
        """The sentence in plain words, with what the network guesses."""
        return sentences.why(self)


@dataclass(frozen=True, slots=True)
class Mode:
    """How the person works now in this window, beyond what the session's state knows."""

    marking: Marking = "infection"  # what a click marks
    strip_from: int | None = None  # first tile of the strip; None follows the region on screen
    can_sweep: bool = False  # the slice has regions to answer at once
    can_redo: bool = False  # an answer was taken back
    guessing: bool = False  # the live layer can outline a region
    revealed: bool = False  # its outline is shown before any mark
    drawing: bool = False  # keys draw a line that is not closed yet
    owned: bool = True  # this window may write; if not, no button that writes works
    left: bool = True  # the pool holds a region that has no answer
    ahead: tuple[Region, ...] = ()  # what would be asked after the open regions, as it is now
    saved_at: str = ""  # when the last answer went to disk, as the page shows it
    fresh: bool = False  # no answer was ever given in this session


@dataclass(frozen=True, slots=True)
class Screen:
    """All that the page shows but the pictures."""

    title: str
    question: str
    hint: str  # what to do at the first question; empty later
    rest: str  # replaces the pictures where no region is shown
    cost: str
    network: str
    network_title: str  # explains it
    device: str
    saved: str
    owned: bool  # whether this window may write
    progress: float
    progress_text: str
    budget: float  # share spent, in [0, 1]
    budget_text: str
    tiles: tuple[Tile, ...]
    earlier: int  # tiles left of the strip
    later: int  # tiles right of it
    can_clean: bool
    can_next: bool
    can_right: bool  # say that the network's outline is right, or have it shown
    can_skip: bool
    can_mark: bool  # and choose the class that clicks mark
    can_undo: bool
    can_redo: bool
    can_sweep: bool
    can_train: bool
    can_cancel: bool
    train_hint: str
    score: str  # the column of the rows that the chart draws
    chart_note: str
    advice: Forecast | None  # of one more minute of labelling, once there are enough points
    chart_hint: str  # stands in the chart while it has no point
    sweeping: bool  # whether a whole slice is on screen
    marking: Marking
    explanation: Explanation | None
    rows: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    samples: tuple[Mapping[str, float], ...] = field(default=(), repr=False)  # of the live layer


def score_of(dataset: Dataset) -> str:
    """Name the column that the chart draws: Dice, if there are masks to measure it on."""
    return "dice" if dataset.has_masks and dataset.part("test") else "heldout_accuracy"


def focus(state: State, draft: Draft) -> Region | None:
    """Choose the region to show: the one being marked, or chosen, else the next to answer."""
    if draft.region is not None and (draft.marked or draft.held or draft.past or draft.future):
        return draft.region
    return state.pending[0] if state.pending else None


def present(
    state: State,
    draft: Draft,
    activity: Activity,
    dataset: Dataset,
    mode: Mode,
    explanation: Explanation | None = None,
) -> Screen:
    """Say what the page shows for a state.

    Parameters
    ----------
    state : State
        Of the session.
    draft : Draft
        The region on screen and its marks.
    activity : Activity
        Of the training process.
    dataset : Dataset
        What is labelled.
    mode : Mode
        How the person works now.
    explanation : Explanation or None
        Why the region is asked about, if that is known.
    """
    left = mode.left and not state.spent
    score = score_of(dataset)
    masks = score == "dice"
    tiles, earlier, later = strip(state, tile_of(state, draft), mode.strip_from, mode.ahead)
    tiles = tuple(
        dataclasses.replace(tile, where=sentences.slice_of(dataset, tile.region.where))
        for tile in tiles
    )
    budget, budget_text = sentences.budget(state, dataset)
    network, network_title = sentences.network(state, activity)
    asked = _asked(state, draft, mode)
    rest = ""
    if draft.region is None:
        asked["question"], rest = sentences.nothing(state, activity, left)
    advice = forecast(state.reports)
    return Screen(
        title=sentences.title(state, dataset),
        **asked,
        hint=sentences.first_hint(state) if mode.fresh and mode.owned and draft.region else "",
        rest=rest,
        cost=sentences.cost(state.cost, state.config.labels) + sentences.repeats(state),
        network=network,
        network_title=network_title,
        device=f"{activity.backbone} on {activity.device}" if activity.device else "",
        saved=f"saved {mode.saved_at}" if mode.saved_at else "",
        owned=mode.owned,
        progress=activity.fraction,
        progress_text=activity.text,
        budget=budget,
        budget_text=budget_text,
        tiles=tiles,
        earlier=earlier,
        later=later,
        can_train=mode.owned and _trainable(state, left) and not activity.cycling,
        can_cancel=mode.owned and activity.cycling,
        train_hint=sentences.train_hint(state, activity, left),
        score=score,
        chart_note=sentences.measured(state, dataset) if masks else sentences.unmasked(dataset),
        advice=advice if left and advice.clear else None,
        chart_hint=_hint(state, dataset, masks=masks),
        explanation=explanation,
        rows=tuple(report.row(state.config.seed) for report in state.reports),
        samples=tuple(sample.row() for sample in state.samples) if masks else (),
    )


def marked(screen: Screen, state: State, draft: Draft, mode: Mode) -> Screen:
    """Say what the page shows after a mark in the same region.

    Parameters
    ----------
    screen : Screen
        Before the mark, of the same state.
    state, draft, mode
        As for `present`; the draft has a region.
    """
    return dataclasses.replace(screen, **_asked(state, draft, mode))


def _hint(state: State, dataset: Dataset, *, masks: bool) -> str:
    if not masks:
        return sentences.unmeasured(state, dataset)
    if not state.live:
        return HINT
    return LOOKING_HINT if state.given else LIVE_HINT


def _asked(state: State, draft: Draft, mode: Mode) -> dict[str, Any]:
    """Return the fields of `Screen` that follow from the marks."""
    return {
        "question": sentences.question(state, draft, mode.marking, revealed=mode.revealed),
        **answers_possible(draft, owned=mode.owned),
        "can_right": mode.owned and mode.guessing and bool(draft.region) and not draft.sweep,
        "can_undo": mode.owned and bool(draft.can_undo or mode.drawing or state.undoable),
        "can_redo": mode.owned and bool(draft.future or mode.can_redo),
        "can_sweep": mode.owned and (draft.sweep or (mode.can_sweep and not draft.changed)),
        "sweeping": draft.sweep,
        "marking": mode.marking,
    }


def answers_possible(draft: Draft, *, owned: bool = True) -> dict[str, bool]:
    """Tell which answers can be given, by fields of `Screen`: none that would drop new marks.

    A clean region is background all over, so it drops no mark on background.
    """
    asking = owned and draft.region is not None
    free = asking and (not draft.marked or (draft.held and not draft.past))
    return {
        "can_clean": asking and (draft.sweep or free or not draft.infected),
        "can_next": asking and not draft.sweep and draft.infected,
        "can_skip": free and not draft.sweep,
        "can_mark": asking,
    }


def _trainable(state: State, left: bool) -> bool:
    """Tell whether a training would learn something, or ask the next regions."""
    done = left and not state.pending and state.fit is not None and not state.live
    useful = state.stale or sentences.unfinished(state) or done
    return bool(sentences.labelled(state)) and useful


def asking_weights(state: State) -> str:
    """Name the weights whose scores chose the regions of this cycle; empty for the start."""
    earlier = [report for report in state.reports if report.cycle < state.cycle]
    return earlier[-1].fit.weights if earlier else ""


class Explainer:
    """Explain the regions of one cycle.

    Parameters
    ----------
    pool : Pool
        All regions.
    state : State
        After the cycle was asked.
    tables : mapping of heuristic to (N, K) array
        The scores that chose it; empty where there are none.
    """

    def __init__(self, pool: Pool, state: State, tables: ScoreTables) -> None:
        self._pool = pool
        asked = [pick for pick in state.asked if not pick.chosen]
        self._asked = {pick.region.key: n for n, pick in enumerate(asked, 1)}
        self._own, self._cycle = state.config.heuristic, state.cycle
        before = tuple(answer for answer in state.given if answer.region.key not in self._asked)
        then = dataclasses.replace(state, given=before)
        names = [name for name in tables if name == self._own or name in HEURISTICS]
        names.sort(key=lambda name: name != self._own)
        self._open = {name: self._askable(pool.own(tables[name], then)) for name in names}
        places = {pool.place(pick.region) for pick in asked}
        self._ranks = {name: self._ranked(scores, places) for name, scores in self._open.items()}

    def _askable(self, scores: ScoreTable) -> ScoreTable:
        """Drop regions that a cycle would have passed over."""
        one = self._pool.config.one_region_a_slice
        picks = self._pool.picks(scores, len(self._asked), one_a_slice=one)
        return self._pool.askable(scores, picks)

    def _ranked(self, scores: ScoreTable, places: set[Cell | None]) -> dict[Cell, int]:
        """Rank these places of the table as the cycle ranks them, from 1."""
        order = rank(scores, scores.size, one_a_slice=self._pool.config.one_region_a_slice)
        return {place: n for n, place in enumerate(order, 1) if place in places}

    def explain(self, region: Region, mean: float | None = None) -> Explanation:
        """Explain one region of the pool; `mean` is its infection probability, where known."""
        if region.key not in self._asked:
            return Explanation("You chose this region; this cycle did not ask about it.", mean=mean)
        if region.where in self._pool.common:
            return Explanation(COMMON, mean=mean)
        count, config = len(self._asked), self._pool.config
        if self._cycle <= 0:  # as `pool.start_picks` chooses
            drawn = _drawn(self._pool, region)
            if config.start == "slices":
                drawn = "all regions of slices drawn at random"
            return Explanation(f"Start: {drawn}; there is no network yet.", mean=mean)
        number = f"Number {self._asked[region.key]} of {count}"
        asked = f"asked by {self._own}"
        if not needs_network(self._own):
            asked = _drawn(self._pool, region)
        if config.repeats:
            return Explanation(f"{number} {asked}. {MAY_REPEAT}")
        place = self._pool.place(region)
        if place is None or place not in self._ranks.get(self._own, {}):
            return Explanation(f"{number} {asked}.", mean=mean)
        reasons = tuple(
            self._reason(name, place, count) for name in self._open if place in self._ranks[name]
        )
        chance = min(1.0, count / reasons[0].of)
        return Explanation(f"{number} by {self._own}.", reasons, chance, mean)

    def _reason(self, name: str, place: Cell, count: int) -> Reason:
        scores, ranked = self._open[name], self._ranks[name][place]
        of = int((~np.isnan(scores)).sum())
        return Reason(name, float(scores[place]), ranked, of, ranked if ranked <= count else 0)


def explain_now(
    pool: Pool, region: Region, tables: ScoreTables, mean: float | None = None
) -> Explanation:
    """Explain a region that was asked because it was the most wanted after the last answer.

    Parameters
    ----------
    pool : Pool
        All regions.
    region : Region
        One of them.
    tables : mapping of heuristic to (N, K) array
        The scores of the open regions that it was chosen from; empty if it was drawn.
    mean : float, optional
        Its infection probability, where known.
    """
    if region.where in pool.common:
        return Explanation(COMMON, mean=mean)
    own, place = pool.config.heuristic, pool.place(region)
    if not needs_network(own):
        return Explanation(f"It was {_drawn(pool, region)}.", mean=mean)
    if not tables or place is None:
        return Explanation(
            f"It was {_drawn(pool, region)}: the network could not choose yet.",
            mean=mean,
        )
    if pool.config.repeats:
        return Explanation(MAY_REPEAT)
    names = [name for name in tables if name == own or name in HEURISTICS]
    names.sort(key=lambda name: name != own)
    reasons = []
    for name in names:
        scores = tables[name]
        ranked, of = 1 + int((scores > scores[place]).sum()), int((~np.isnan(scores)).sum())
        reasons.append(Reason(name, float(scores[place]), ranked, of, int(ranked == 1)))
    sentence = f"Now number 1 by {own}."
    return Explanation(sentence, tuple(reasons), 1 / max(reasons[0].of, 1), mean)


def _drawn(pool: Pool, region: Region) -> str:
    in_lungs = pool.lungs_first and pool.holds_lung(region)
    return "drawn at random in and around the lungs" if in_lungs else "drawn at random"
