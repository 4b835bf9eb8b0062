"""Where a session stands; it follows from the events of its journal, and from nothing else."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

from alnb.acquisition import Pick
from alnb.annotation import Answer, Verdict
from alnb.config import Config
from alnb.cost import Cost, cost_of
from alnb.errors import AlnbError, SessionError
from alnb.journal import Event, live
from alnb.metrics import Scores
from alnb.regions import Region
from alnb.reports import CycleReport, FitReport, Sample
from alnb.schema import conform

NO_COST = Cost()


def digest(answers: Iterable[Answer]) -> str:
    """Name a set of answers by what a network would learn from them; a skip teaches nothing."""
    content = sorted(answer.content for answer in answers if answer.verdict is not Verdict.SKIPPED)
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


@dataclass(frozen=True)  # without slots, so that what is derived is kept
class State:
    """Where a session stands."""

    config: Config
    cycle: int = -1  # 0 is the start; -1 before anything was asked
    asked: tuple[Pick, ...] = ()  # in this cycle
    given: tuple[Answer, ...] = ()  # all that stand, oldest first; of a corrected region several
    reopened: tuple[Region, ...] = ()  # taken back, the latest first, and not answered again yet
    trained_on: str = ""  # `digest` of the last training's answers; empty before the first
    fit: FitReport | None = None  # the last training
    fit_cost: Cost = NO_COST  # of its answers
    fit_cycle: int = -1  # its cycle
    reports: tuple[CycleReport, ...] = ()  # the learning curve so far
    samples: tuple[Sample, ...] = ()  # what the live layer predicted between its points
    ever_asked: frozenset[str] = frozenset()  # keys of the regions asked about in any cycle
    # Keys of this cycle's hidden repeats that wait for their second answer: the first is learned
    # from and paid for, but not shown.
    withheld: frozenset[str] = frozenset()
    repeated: tuple[tuple[Answer, Answer], ...] = ()  # first and second answer of each repeat
    # Which of those given are skips of hidden repeats: they took their time, and the answer that
    # the person could not see stands.
    passed: frozenset[int] = frozenset()
    merged: frozenset[str] = frozenset()  # keys of the regions answered in sessions merged here
    inherited: int = 0  # how many of those given were, and can't be taken back here

    @cached_property
    def _last(self) -> Mapping[str, Answer]:
        return self._last_of(len(self.given))

    def _last_of(self, count: int) -> Mapping[str, Answer]:
        """Take the last answer of each region from the first answers given, oldest first."""
        last: dict[str, Answer] = {}
        for n, answer in enumerate(self.given[:count]):
            if n not in self.passed and not answer.aside:
                last.pop(answer.region.key, None)  # a corrected answer is as new as its correction
                last[answer.region.key] = answer
        return last

    @cached_property
    def by_key(self) -> Mapping[str, Answer]:
        """The last answer of each region that may be shown, by the region's key; oldest first."""
        return {key: answer for key, answer in self._last.items() if key not in self.withheld}

    @cached_property
    def answers(self) -> tuple[Answer, ...]:
        """The last answer of each region, oldest first: what a network learns from.

        Where regions overlap, as in a session that was forked to others, the newer answer counts.
        """
        return tuple(self._last.values())

    @cached_property
    def opinions(self) -> tuple[Answer, ...]:
        """The answers that were given for themselves, oldest first; see `agreement.by_person`."""
        return tuple(answer for n, answer in enumerate(self.given) if n not in self.passed)

    @cached_property
    def disputed(self) -> Mapping[str, tuple[Answer, ...]]:
        """Regions on which people disagree and none of their answers stands, by key.

        Each has everyone's own answer on it.
        """
        found: dict[str, dict[str, Answer]] = {}
        for answer in self.opinions:
            key = answer.region.key
            if answer.aside and key not in self._last and answer.verdict is not Verdict.SKIPPED:
                found.setdefault(key, {})[answer.annotator] = answer
        return {key: tuple(each.values()) for key, each in found.items()}

    @cached_property
    def learned(self) -> tuple[Answer, ...]:
        """The answers that the last network has learned, oldest first.

        Empty if one of them was taken back: then it is not known which it has learned.
        """
        learned = tuple(self._last_of(self.fit_cost.answers).values())
        return learned if self.fit is not None and digest(learned) == self.trained_on else ()

    @cached_property
    def pending(self) -> tuple[Region, ...]:
        """Regions to answer, next first: those taken back, then those asked in this cycle.

        None when the budget is spent.
        """
        if self.spent:
            return ()
        wanted = (*self.reopened, *(pick.region for pick in self.asked))
        named = {region.key: region for region in wanted}
        return tuple(region for key, region in named.items() if key not in self.by_key)

    @cached_property
    def cost(self) -> Cost:
        """Of every answer that stands; one that was corrected only took its time."""
        return cost_of(self.given, self.config)

    @property
    def left_s(self) -> float:
        """Nominal seconds that the budget still has; infinite without one, 0 when overdrawn."""
        budget = self.config.budget_s
        return math.inf if budget is None else max(0.0, budget - self.cost.nominal_s)

    @property
    def spent(self) -> bool:
        """Whether the budget has not even a click left."""
        return self.left_s < self.config.click_s

    @cached_property
    def stale(self) -> bool:
        """Whether the network has not learned from just these answers."""
        return digest(self.answers) != self.trained_on

    @property
    def since_training(self) -> int:
        """How many answers came after those of the last training; they are not learned yet."""
        return len(self.given) - (0 if self.fit is None else self.fit_cost.answers)

    @property
    def due(self) -> bool:
        """Whether there are enough new answers for a training, where the live layer asks."""
        first = self.fit is None
        wanted = self.config.start_regions if first else self.config.regions_per_cycle
        return self.stale and self.since_training >= (wanted or 1)

    @property
    def undoable(self) -> bool:
        """Whether an answer can be taken back: not those of sessions that were merged."""
        return len(self.given) > self.inherited

    @property
    def live(self) -> bool:
        """Whether the live layer asks, after each answer."""
        return self.config.asking == "live"

    @property
    def measured(self) -> bool:
        """Whether this cycle's network was trained and scored."""
        return bool(self.reports) and self.reports[-1].cycle >= self.cycle

    @property
    def trained(self) -> bool:
        """Whether this cycle's network exists, if not yet scored."""
        own = not self.live or self.fit_cycle == self.cycle
        return self.fit is not None and own and not self.measured and not self.stale


def _opened(state: State, data: dict[str, Any]) -> State:
    return dataclasses.replace(state, config=Config.from_dict(data["config"]))


def _asked(state: State, data: dict[str, Any]) -> State:
    chosen = data.get("by", {}).get("chosen", False)
    picks = tuple(
        Pick(Region.parse(p["region"]), p["score"], p.get("repeat", False), chosen)
        for p in data["picks"]
    )
    repeats = frozenset(pick.region.key for pick in picks if pick.repeat)
    more = data["cycle"] == state.cycle  # as the live layer asks: one after the other
    return dataclasses.replace(
        state,
        cycle=data["cycle"],
        asked=(*state.asked, *picks) if more else picks,
        ever_asked=state.ever_asked | {pick.region.key for pick in picks},
        withheld=state.withheld | repeats if more else repeats,
    )


def _answered(state: State, data: dict[str, Any]) -> State:
    answer = Answer.from_dict(data)
    key = answer.region.key
    reopened = tuple(region for region in state.reopened if region.key != key)
    repeated, passed = state.repeated, state.passed
    first = state._last.get(key) if key in state.withheld else _repeated(state, answer)
    if first is not None:  # else it was taken back meanwhile, and is asked as any other
        repeated = (*repeated, (first, answer))
        if answer.verdict is Verdict.SKIPPED:
            passed |= {len(state.given)}
    return dataclasses.replace(
        state,
        given=(*state.given, answer),
        reopened=reopened,
        withheld=state.withheld - {key},
        repeated=repeated,
        passed=passed,
    )


def _repeated(state: State, answer: Answer) -> Answer | None:
    """Find the first answer where this is a second one, of a session that was merged."""
    if not answer.repeat:
        return None
    same = (
        one for one in reversed(state.opinions)
        if (one.session, one.region) == (answer.session, answer.region)
    )  # fmt: skip
    return next(same, None)


def _merged(state: State, data: dict[str, Any]) -> State:
    return dataclasses.replace(
        state,
        reopened=tuple(map(Region.parse, data["disputed"])),
        merged=frozenset(answer.region.key for answer in state.given),
        inherited=len(state.given),
    )


def _undone(state: State, data: dict[str, Any]) -> State:
    if "sweep" in data:  # what nobody asked about is not open; what was asked is so by itself
        return state
    return dataclasses.replace(state, reopened=(Region.parse(data["region"]), *state.reopened))


def _trained(state: State, data: dict[str, Any]) -> State:
    cost = conform(data["cost"], Cost)
    if not cost.answers:  # of an older journal, which counted a corrected region again
        cost = dataclasses.replace(cost, answers=cost.regions)
    return dataclasses.replace(
        state,
        fit=FitReport.from_dict(data["fit"]),
        fit_cost=cost,
        fit_cycle=data["cycle"],
        trained_on=data["on"],
    )


def _scored(state: State, data: dict[str, Any]) -> State:
    if state.fit is None:
        raise SessionError("the journal scores a network that was never trained.")
    report = CycleReport(
        cycle=data["cycle"],
        cost=state.fit_cost,
        scores=conform(data["scores"], Scores) if data["scores"] else None,
        fit=state.fit,
        score_s=data["score_s"],
    )
    return dataclasses.replace(state, reports=(*state.reports, report))


def _sampled(state: State, data: dict[str, Any]) -> State:
    sample = Sample.from_dict(data)
    before = tuple(one for one in state.samples if one.cost.nominal_s < sample.cost.nominal_s)
    return dataclasses.replace(state, samples=(*before, sample))  # answers may have been undone


_ADVANCE: dict[str, Callable[[State, dict[str, Any]], State]] = {
    "opened": _opened,
    "asked": _asked,
    "answered": _answered,
    "undone": _undone,
    "trained": _trained,
    "scored": _scored,
    "sampled": _sampled,
    "forked": _opened,
    "merged": _merged,
}


def advance(state: State, event: Event) -> State:
    """Return the state after one more live event; a `SessionError` says if it does not fit."""
    try:
        return _ADVANCE[event.kind](state, event.data)
    except AlnbError as error:
        raise SessionError(f"line {event.seq + 1} of the journal: {error}") from error


def state_of(events: Iterable[Event]) -> State:
    """Replay a journal's events to the state they lead to."""
    return reduce(advance, live(events), State(Config()))


def undone(events: Iterable[Event]) -> list[Event]:
    """List the undone events that `Session.redo` can still take back, the next one last."""
    back: list[Event] = []
    for event in events:
        if event.kind in ("answered", "merged"):
            back.clear()
        elif event.kind == "undone":
            back.append(event)
        elif event.kind == "redone":
            back = [e for e in back if e.data["of"] != event.data["of"]]
    return back
