"""The screen as a pure function of the state: what is shown, and which buttons work.

Nothing here knows a widget; `app` puts a `Screen` on the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from alnb.annotation import Answer, Click, Verdict
from alnb.config import FEWEST_TO_HOLD_OUT
from alnb.cost import Cost
from alnb.dataset import Dataset
from alnb.regions import Region
from alnb.session import State

STRIP = 14  # regions shown at once; they fill the width of the view above
FEW_ANSWERS = 20  # ours: a network that learned from fewer asks poor questions
STAGES = {
    "warm": "starting the training process",
    "start": "getting ready to train",
    "features": "looking at every slice once",
    "fit": "training",
    "evaluate": "measuring Dice on the test slices",
    "score": "scoring the regions",
    "predict": "drawing the maps",
}
WEIGHT = {"warm": (0.0, 0.05), "start": (0.0, 0.05), "features": (0.0, 0.05), "fit": (0.05, 0.65),
          "evaluate": (0.65, 0.75), "score": (0.75, 0.97),
          "predict": (0.97, 1.0)}  # fmt: skip # shares of a cycle's time


@dataclass(frozen=True, slots=True)
class Draft:
    """What was clicked in the region on screen and is no answer yet."""

    region: Region | None = None
    clicks: tuple[Click, ...] = ()

    def toggled(self, click: Click, reach_px: float) -> Draft:
        """Add a click, or take back the one that it hit.

        Parameters
        ----------
        click : Click
            Where the person pressed.
        reach_px : float
            How near to an earlier click hits it, in pixels of the slice.
        """
        kept = tuple(
            old
            for old in self.clicks
            if (old.row - click.row) ** 2 + (old.col - click.col) ** 2 > reach_px**2
        )
        if len(kept) < len(self.clicks):
            return replace(self, clicks=kept)
        return replace(self, clicks=(*self.clicks, click))

    def answer(self, verdict: Verdict, seconds: float, annotator: str) -> Answer:
        """Make it an answer on its region."""
        if self.region is None:
            raise ValueError("there is no region to answer")
        clicks = self.clicks if verdict is Verdict.INFECTED else ()
        return Answer(self.region, verdict, clicks, seconds, annotator)


@dataclass(frozen=True, slots=True)
class Activity:
    """What the training process is doing; `stage` is empty when it does nothing."""

    stage: str = ""
    done: int = 0
    total: int = 0
    backbone: str = ""
    device: str = ""

    @property
    def running(self) -> bool:
        """Whether it does anything."""
        return bool(self.stage)

    @property
    def cycling(self) -> bool:
        """Whether a cycle is on its way."""
        return self.running and self.stage != "warm"

    @property
    def fraction(self) -> float:
        """How much of the cycle is done, in [0, 1]."""
        if not self.stage:
            return 0.0
        low, high = WEIGHT[self.stage]
        return low + (high - low) * (self.done / self.total if self.total else 0)

    @property
    def text(self) -> str:
        """What it does, in words."""
        if not self.stage:
            return ""
        counted = f" {self.done} of {self.total}" if self.total else ""
        return f"{STAGES[self.stage]}{counted}"


@dataclass(frozen=True, slots=True)
class Tile:
    """One region of this cycle in the strip."""

    region: Region
    mark: str  # infected, clean, skipped, open
    current: bool


@dataclass(frozen=True, slots=True)
class Screen:
    """All that the page shows but the pictures."""

    title: str
    question: str
    rest: str  # stands in place of the pictures where no region is shown
    cost: str
    network: str
    network_title: str  # what that means
    device: str
    saved: str
    progress: float
    progress_text: str
    tiles: tuple[Tile, ...]
    earlier: int  # tiles left of the strip
    later: int  # tiles right of it
    can_clean: bool
    can_next: bool
    can_skip: bool
    can_undo: bool
    can_train: bool
    can_cancel: bool
    train_hint: str
    score: str  # the column of the rows that the chart draws
    chart_note: str
    chart_hint: str  # stands in the chart as long as it has no point
    rows: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)


def unfinished(state: State) -> bool:
    """Tell whether a training was stopped before it was scored and the next regions asked."""
    if state.fit is None:
        return False
    last = state.reports[-1] if state.reports else None
    return last is None or last.fit != state.fit or last.cycle >= state.cycle


def focus(state: State, draft: Draft) -> Region | None:
    """Choose the region to show: the one being clicked in, else the next to answer."""
    if draft.region is not None and draft.clicks:
        return draft.region
    return state.pending[0] if state.pending else None


def present(
    state: State,
    draft: Draft,
    activity: Activity,
    dataset: Dataset,
    *,
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
        The region on screen and its clicks.
    activity : Activity
        Of the training process.
    dataset : Dataset
        What is labelled.
    saved_at : str
        When the last answer went to disk, as the page shows it.
    owned : bool
        Whether this window may write; one that may not has no buttons that do.
    left : bool
        Whether the pool holds a region that has no answer.
    """
    region = draft.region
    left = left and not state.spent
    asking = owned and region is not None
    labelled = bool(_labelled(state))
    done = left and not state.pending and state.fit is not None  # by skips alone, it may be
    useful = state.stale or unfinished(state) or done
    masks = dataset.has_masks and bool(dataset.part("test"))
    score = "dice" if masks else "heldout_accuracy"
    tiles, earlier, later = _strip(state, region)
    return Screen(
        title=_title(state, dataset),
        question=_question(state, draft, activity, left),
        rest=_rest(state, activity, left) if region is None else "",
        cost=_cost(state.cost),
        network=_network(state, activity),
        network_title=_network_title(state, activity),
        device=f"{activity.backbone} on {activity.device}" if activity.device else "",
        saved=f"saved {saved_at}" if saved_at else "",
        progress=activity.fraction,
        progress_text=activity.text,
        tiles=tiles,
        earlier=earlier,
        later=later,
        can_clean=asking and not draft.clicks,
        can_next=asking and bool(draft.clicks),
        can_skip=asking and not draft.clicks,
        can_undo=owned and bool(draft.clicks or state.given),
        can_train=owned and labelled and useful and not activity.running,
        can_cancel=owned and activity.cycling,
        train_hint=_train_hint(state, activity, left),
        score=score,
        chart_note="" if masks else _unmasked(dataset),
        chart_hint="A point appears here after each training."
        if masks
        else _unmeasured(state, dataset),
        rows=tuple(report.row(state.config.seed) for report in state.reports),
    )


def _labelled(state: State) -> list[Answer]:
    """List the answers that a network learns from."""
    return [answer for answer in state.answers if answer.verdict is not Verdict.SKIPPED]


def _title(state: State, dataset: Dataset) -> str:
    cycle = "start" if state.cycle <= 0 else f"cycle {state.cycle}"
    return f"{dataset.name} · {cycle} · {_count(state)}"


def _count(state: State) -> str:
    if not state.asked:
        again = "1 region is" if len(state.pending) == 1 else f"{len(state.pending)} regions are"
        return f"{again} open again" if state.pending else "no region left to ask"
    verdicts = {answer.region.key: answer.verdict for answer in state.given}
    batch = [verdicts[key] for pick in state.asked if (key := pick.region.key) in verdicts]
    skipped = batch.count(Verdict.SKIPPED)
    count = f"{len(batch) - skipped} of {len(state.asked)} regions answered"
    return f"{count}, {skipped} skipped" if skipped else count


def _question(state: State, draft: Draft, activity: Activity, left: bool) -> str:
    if draft.region is None:
        return _nothing(state, activity, left)
    if draft.clicks:
        count = len(draft.clicks)
        clicks = "1 click" if count == 1 else f"{count} clicks"
        price = state.config.click_s * count
        return (
            f"<b>{clicks}</b> ({price:g} s). Click more infections, click a mark again to take it "
            "back, then press <b>Next</b>."
        )
    return "<b>Is there infection in the frame?</b> Click on it, or press <b>No infection</b>."


def _nothing(state: State, activity: Activity, left: bool) -> str:
    if state.spent:
        spent = f"The budget of {state.config.budget_s:g} s is spent"
        return f"<b>{spent}{_tally(state)}.</b>{_last(state, activity)}"
    if not left:
        return f"<b>There is nothing left to ask{_tally(state)}.</b>{_last(state, activity)}"
    if activity.cycling:
        return "All regions are answered; the next come when the training ends."
    labelled = _labelled(state)
    if not labelled:
        return (
            "<b>All regions were skipped.</b> Press <b>Undo</b> to answer one: skips teach nothing."
        )
    skipped = len(state.answers) > len(labelled)
    done = "done" if skipped else "answered"
    learns = "learns from them and " if state.stale else ""
    return (
        f"<b>All regions of this cycle are {done}.</b> Press <b>Train</b>: the network "
        f"{learns}says where to look next."
    )


def _tally(state: State) -> str:
    labelled = len(_labelled(state))
    skipped = len(state.answers) - labelled
    counts = [f"{n} {word}" for n, word in ((labelled, "answered"), (skipped, "skipped")) if n]
    return f": {' and '.join(counts)}" if counts else ""


def _last(state: State, activity: Activity) -> str:
    if activity.cycling:
        return " The network learns the last answers."
    if _labelled(state) and (state.stale or unfinished(state)):
        return " Press <b>Train</b> once more to learn the last answers."
    return ""


def _rest(state: State, activity: Activity, left: bool) -> str:
    if state.spent:
        return "The budget is spent."
    if not left:
        return "No region is left to look at."
    if activity.cycling:
        return "The next regions come when the training ends."
    return "The regions of this cycle are done."


def _cost(cost: Cost) -> str:
    clicks = "1 click" if cost.clicks == 1 else f"{cost.clicks} clicks"
    regions = "1 region" if cost.regions == 1 else f"{cost.regions} regions"
    return (
        f"<b>{cost.nominal_s:.0f} s</b> nominal · <b>{cost.measured_s:.0f} s</b> measured · "
        f"{regions} · {clicks}"
    )


def _network(state: State, activity: Activity) -> str:
    if activity.cycling:
        return "Network: training"
    if state.fit is None:
        return "Network: not trained yet"
    return "Network: out of date" if state.stale else "Network: up to date"


def _network_title(state: State, activity: Activity) -> str:
    if activity.cycling or state.fit is None:
        return ""
    if state.stale:
        return "There are answers given or taken back since the last training"
    return "It has learned all your answers"


def _train_hint(state: State, activity: Activity, left: bool) -> str:
    if activity.running:
        return "Labelling goes on meanwhile." if state.pending else ""
    if not _labelled(state):
        return "Answer some regions first." if state.pending else "No answer to learn from."
    if not state.stale:
        return _learned_hint(state, left)
    return _ready_hint(state, left)


def _learned_hint(state: State, left: bool) -> str:
    if unfinished(state):
        return "The last training was not finished; Train goes on with it."
    if left and not state.pending:
        return "The network has learned all your answers; Train asks the next regions."
    return "The network has learned all your answers."


def _ready_hint(state: State, left: bool) -> str:
    labelled = _labelled(state)
    if not any(answer.verdict is Verdict.INFECTED for answer in labelled):
        return "No infection clicked yet: the network would learn what is clean, and no more."
    still = len(state.pending)
    ready = f"Ready whenever you are; {still} of this cycle still open." if still else "Ready."
    if left and len(labelled) < FEW_ANSWERS:
        return f"{ready} Few answers yet: the network's questions improve with more."
    return ready


def _unmasked(dataset: Dataset) -> str:
    what = "has no masks" if not dataset.has_masks else "has no test part"
    return (
        f"This dataset {what}, so Dice can't be measured. Shown is the share of held-out answers "
        "whose verdict the network shares."
    )


def _unmeasured(state: State, dataset: Dataset) -> str:
    """Say when the share of held-out answers can be drawn."""
    if state.config.holdout == 0:
        return "The setting holdout is 0: no answer is held out, and no point can be measured."
    if dataset.has_masks and dataset.part("val"):
        return (
            "The validation part's masks choose the network: no answer is held out to measure it."
        )
    if not state.reports:
        return (
            f"A point appears here after each training on {FEWEST_TO_HOLD_OUT} answered regions "
            "or more."
        )
    missing = FEWEST_TO_HOLD_OUT - len(_labelled(state))
    then = f"Answer {missing} more, then train again." if missing > 0 else "Train again."
    return (
        f"No point could be measured: that takes {FEWEST_TO_HOLD_OUT} answered regions, and the "
        f"training had fewer. {then}"
    )


def _strip(state: State, current: Region | None) -> tuple[tuple[Tile, ...], int, int]:
    """Show the tiles around the current one, and count those that do not fit."""
    verdicts = {answer.region.key: str(answer.verdict) for answer in state.given}
    regions = {pick.region.key: pick.region for pick in state.asked}
    if current is not None:
        regions.setdefault(current.key, current)
    keys = list(regions)
    at = keys.index(current.key) if current is not None else len(keys)
    start = max(0, min(at - STRIP // 2, len(keys) - STRIP))
    shown = keys[start : start + STRIP]
    tiles = tuple(
        Tile(regions[key], verdicts.get(key, "open"), current is not None and key == current.key)
        for key in shown
    )
    return tiles, start, len(keys) - start - len(shown)
