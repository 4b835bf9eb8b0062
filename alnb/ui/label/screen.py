"""The screen as a pure function of the state: what is shown, and which buttons work.

Nothing here knows a widget; `page` shows a `Screen`. Its strip has one tile for every region that
was answered, then one for every open region.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from alnb.dataset import Dataset
from alnb.forecast import Forecast, forecast
from alnb.regions import Region
from alnb.state import State
from alnb.ui.label import sentences
from alnb.ui.label.draft import Draft
from alnb.ui.label.explanation import Explanation
from alnb.ui.label.training_client import Activity

STRIP = 13  # tiles shown at once; with an arrow on each side they fill the view's width
Marking = Literal["infection", "background"]


@dataclass(frozen=True, slots=True)
class Tile:
    """One region in the strip."""

    region: Region
    mark: str  # infected, clean, skipped, open
    current: bool


@dataclass(frozen=True, slots=True)
class Strip:
    """At most `STRIP` tiles, and how many there are to the left and to the right of them."""

    tiles: tuple[Tile, ...]
    earlier: int
    later: int


def regions_of(state: State, current: Region | None = None) -> dict[str, Region]:
    """List the strip's regions by key: answered ones by their first answer, then the open ones."""
    answered = (answer.region for answer in state.given if answer.region.key in state.by_key)
    regions = {region.key: region for region in answered}
    for region in (*state.pending, *([] if current is None else [current])):
        regions.setdefault(region.key, region)
    return regions


def strip(state: State, current: Region | None, begin: int | None = None) -> Strip:
    """Choose the tiles to show.

    Parameters
    ----------
    state : State
        Of the session.
    current : Region or None
        The one on screen.
    begin : int, optional
        The first tile's number, from 0; None shows the tiles around the current one.
    """
    regions = regions_of(state, current)
    keys = list(regions)
    at = keys.index(current.key) if current is not None else len(keys)
    start = at - STRIP // 2 if begin is None else begin
    start = max(0, min(start, len(keys) - STRIP))
    shown = keys[start : start + STRIP]
    tiles = tuple(Tile(regions[key], _mark(state, key), keys[at:][:1] == [key]) for key in shown)
    return Strip(tiles, start, len(keys) - start - len(tiles))


def _mark(state: State, key: str) -> str:
    return str(state.by_key[key].verdict) if key in state.by_key else "open"


def neighbour(state: State, current: Region | None, step: int) -> Region | None:
    """Find the region `step` tiles after the current one, or before it where `step` < 0."""
    regions = regions_of(state, current)
    keys = list(regions)
    at = (keys.index(current.key) if current is not None else len(keys)) + step
    return regions[keys[at]] if 0 <= at < len(keys) else None


@dataclass(frozen=True, slots=True)
class Mode:
    """How the person works now, beyond what the session knows."""

    marking: Marking = "infection"  # what a click marks
    strip_from: int | None = None  # first tile of the strip; None follows the region on screen
    can_sweep: bool = False  # the slice has regions to answer at once
    can_redo: bool = False  # an answer was taken back
    drawing: bool = False  # keys draw a line that is not closed yet


PLAIN = Mode()


@dataclass(frozen=True, slots=True)
class Screen:
    """All that the page shows but the pictures."""

    title: str
    question: str
    rest: str  # replaces the pictures where no region is shown
    cost: str
    network: str
    network_title: str  # explains it
    device: str
    saved: str
    progress: float
    progress_text: str
    budget: float  # share spent, in [0, 1]
    budget_text: str
    tiles: tuple[Tile, ...]
    earlier: int  # tiles left of the strip
    later: int  # tiles right of it
    can_clean: bool
    can_next: bool
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
    *,
    mode: Mode = PLAIN,
    explanation: Explanation | None = None,
    saved_at: str = "",
    owned: bool = True,
    left: bool = True,
) -> Screen:
    """Say what the page shows.

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
    saved_at : str
        When the last answer went to disk, as the page shows it.
    owned : bool
        Whether this window may write; if not, no button that writes works.
    left : bool
        Whether the pool holds a region that has no answer.
    """
    left = left and not state.spent
    score = score_of(dataset)
    masks = score == "dice"
    tiles = strip(state, None if draft.sweep else draft.region, mode.strip_from)
    budget, budget_text = sentences.budget(state, dataset)
    return Screen(
        title=sentences.title(state, dataset),
        **_asked(state, draft, mode, owned=owned)
        | ({} if draft.region else {"question": sentences.nothing(state, activity, left)}),
        rest="" if draft.region else sentences.rest(state, activity, left),
        cost=sentences.cost(state.cost) + sentences.repeats(state),
        network=sentences.network(state, activity),
        network_title=sentences.network_title(state, activity),
        device=f"{activity.backbone} on {activity.device}" if activity.device else "",
        saved=f"saved {saved_at}" if saved_at else "",
        progress=activity.fraction,
        progress_text=activity.text,
        budget=budget,
        budget_text=budget_text,
        tiles=tiles.tiles,
        earlier=tiles.earlier,
        later=tiles.later,
        can_train=owned and _trainable(state, left) and not activity.cycling,
        can_cancel=owned and activity.cycling,
        train_hint=sentences.train_hint(state, activity, left),
        score=score,
        chart_note="" if masks else sentences.unmasked(dataset),
        advice=_advice(state) if left else None,
        chart_hint="A point appears here after each training."
        if masks
        else sentences.unmeasured(state, dataset),
        explanation=explanation,
        rows=tuple(report.row(state.config.seed) for report in state.reports),
    )


def marked(screen: Screen, state: State, draft: Draft, mode: Mode, *, owned: bool = True) -> Screen:
    """Say what the page shows after a mark in the same region.

    Parameters
    ----------
    screen : Screen
        As it was before, of the same state.
    state, draft, mode, owned
        As for `present`; the draft has a region.
    """
    return dataclasses.replace(screen, **_asked(state, draft, mode, owned=owned))


def _asked(state: State, draft: Draft, mode: Mode, *, owned: bool) -> dict[str, Any]:
    """Return the fields of `Screen` that follow from the marks."""
    return {
        "question": sentences.question(state, draft, mode.marking) if draft.region else "",
        **answers_possible(draft, owned=owned),
        "can_undo": owned and bool(draft.can_undo or mode.drawing or state.given),
        "can_redo": owned and bool(draft.future or mode.can_redo),
        "can_sweep": owned and (draft.sweep or (mode.can_sweep and not draft.changed)),
        "sweeping": draft.sweep,
        "marking": mode.marking,
    }


def _advice(state: State) -> Forecast | None:
    found = forecast(state.reports)
    return found if found.gain is not None else None


def answers_possible(draft: Draft, *, owned: bool = True) -> dict[str, bool]:
    """Tell which answers can be given, by fields of `Screen`: none that would drop new marks."""
    asking = owned and draft.region is not None
    free = asking and (not draft.marked or (draft.held and not draft.past))
    return {
        "can_clean": asking and (draft.sweep or free),
        "can_next": asking and not draft.sweep and draft.infected,
        "can_skip": free and not draft.sweep,
        "can_mark": asking,
    }


def _trainable(state: State, left: bool) -> bool:
    """Tell whether a training would learn something, or ask the next regions."""
    done = left and not state.pending and state.fit is not None
    useful = state.stale or sentences.unfinished(state) or done
    return bool(sentences.labelled(state)) and useful
