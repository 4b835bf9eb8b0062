"""A journal cut into its cycles, and what the explorer shows of it: two sides, two networks."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

from alnb.acquisition import FOREGROUND_RANDOM, HEURISTICS, RANDOM, Pick
from alnb.annotation import Answer
from alnb.config import Config
from alnb.dataset import Dataset
from alnb.errors import SessionError
from alnb.journal import Event, Journal
from alnb.pool import Pool, ScoreTables, next_picks
from alnb.regions import Region
from alnb.reports import CycleReport, FitReport
from alnb.session import labelled_dataset
from alnb.state import State, advance, digest, state_of
from alnb.storage import JOURNAL

CHOICES = (*HEURISTICS, RANDOM, FOREGROUND_RANDOM)


@dataclass(frozen=True, slots=True)
class Step:
    """One cycle of a journal."""

    cycle: int  # 0 is the start
    asked: tuple[Pick, ...]  # best first
    heuristic: str  # what asked; at the start, the one of the settings, which asks nothing yet
    before: State  # as it was just before these regions were asked
    after: State  # as it was just before the next ones were, or as it is
    fit: FitReport | None  # the cycle's last training
    learned: tuple[Answer, ...]  # the answers of that training; empty without one
    report: CycleReport | None  # its point of the curve; None if it was not scored

    @property
    def answers(self) -> dict[str, Answer]:
        """The answers on its regions, by their keys, as they stood when the cycle ended."""
        keys = {pick.region.key for pick in self.asked}
        return {a.region.key: a for a in self.after.answers if a.region.key in keys}


def states_of(events: Sequence[Event]) -> Iterator[State]:
    """Yield the state after each event of a journal."""
    state = State(Config())
    for n, event in enumerate(events):
        taken_back = event.kind in ("undone", "redone")  # these change what lives of the past
        state = state_of(events[: n + 1]) if taken_back else advance(state, event)
        yield state


def steps_of(events: Sequence[Event]) -> tuple[Step, ...]:
    """Cut a journal into its cycles.

    Raises
    ------
    SessionError
        If nothing was ever asked.
    """
    states = list(states_of(events))
    begins = [
        n for n, event in enumerate(events)
        if event.kind == "asked" and (n == 0 or states[n].cycle != states[n - 1].cycle)
    ]  # fmt: skip
    if not begins:
        raise SessionError("the journal asks nothing; there is nothing to step through.")
    ends = pairwise([*begins, len(events)])
    return tuple(_step(events, states, begin, end) for begin, end in ends)


def _step(events: Sequence[Event], states: Sequence[State], begin: int, end: int) -> Step:
    asked = states[begin]
    last = max((n for n in range(begin, end) if events[n].kind == "trained"), default=None)
    return Step(
        cycle=asked.cycle,
        asked=states[end - 1].asked,
        heuristic=events[begin].data["heuristic"],
        before=states[begin - 1] if begin else State(asked.config),
        after=states[end - 1],
        fit=None if last is None else states[last].fit,
        learned=() if last is None else _learned(states[: last + 1]),
        report=next((r for r in reversed(states[-1].reports) if r.cycle == asked.cycle), None),
    )


def _learned(states: Sequence[State]) -> tuple[Answer, ...]:
    """Find the answers that the last training used; more may have come while it ran."""
    for state in reversed(states):
        if digest(state.answers) == states[-1].trained_on:
            return state.answers
    raise SessionError("the journal trained on answers that it does not hold.")


@dataclass(frozen=True)
class Recording:
    """The journal of a run or session, with its dataset; it is only read, and may be open."""

    folder: Path  # of the run or session
    dataset: Dataset
    events: tuple[Event, ...] = field(repr=False)

    @classmethod
    def open(cls, folder: Path, data: Path | None = None) -> Recording:
        """Read ``journal.jsonl`` in a folder; ``data`` is the dataset's, if it was moved.

        Raises
        ------
        SessionError
            If there is no journal in it, it can't be read, or asks nothing.
        DataError
            If its dataset is not where it was, or has changed.
        """
        events = Journal(folder / JOURNAL).events
        if not events:
            raise SessionError(f"{folder} holds no session: there is no {JOURNAL} in it.")
        recording = cls(folder, labelled_dataset(events, data), events)
        _ = recording.steps
        return recording

    def renewed(self) -> tuple[Recording, bool]:
        """Read the journal again, since somebody may be labelling.

        Returns
        -------
        recording : Recording
            With what was written since; this one if nothing was.
        held : bool
            Whether a living process writes it.

        Raises
        ------
        SessionError
            If it can't be read any more.
        """
        journal = Journal(self.folder / JOURNAL)
        if journal.count < len(self.events):
            raise SessionError(
                f"{journal.path} is gone, or shorter than before. This page shows what it read "
                "earlier; reload this page to read the file again."
            )
        if journal.count == len(self.events):
            return self, journal.held
        grown = Recording(self.folder, self.dataset, journal.events)
        if grown.state.config == self.state.config:
            grown.__dict__["pool"] = self.pool  # still the same, and slow on many slices
        return grown, journal.held

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """Its cycles; at least one."""
        return steps_of(self.events)

    @property
    def state(self) -> State:
        """Where it ends."""
        return self.steps[-1].after

    @cached_property
    def pool(self) -> Pool:
        """The regions that could be asked."""
        return Pool(self.dataset, self.state.config)

    @property
    def score(self) -> str:
        """The column of `rows` that is drawn: Dice, or without masks the held-out accuracy."""
        masked = self.dataset.has_masks and self.dataset.part("test")
        return "dice" if masked else "heldout_accuracy"

    @cached_property
    def rows(self) -> tuple[Mapping[str, Any], ...]:
        """Its curve, a row for each cycle that was scored."""
        return tuple(report.row(self.state.config.seed) for report in self.state.reports)

    def largest_change(self) -> int:
        """Return the cycle whose score differs most from the one before it; 0 without two."""
        scored = [(row["cycle"], row[self.score]) for row in self.rows]
        known = [(cycle, value) for cycle, value in scored if not math.isnan(value)]
        changes = [(abs(b - a), -cycle) for (_, a), (cycle, b) in pairwise(known)]
        return -max(changes)[1] if changes else 0

    def would_ask(self, cycle: int, heuristic: str, table: ScoreTables) -> tuple[Pick, ...]:
        """Choose what a heuristic would have asked in a cycle, best first.

        Parameters
        ----------
        cycle : int
            Above 0: the start needs no heuristic.
        heuristic : str
            The cycle's own gives what was asked.
        table : mapping of heuristic to (N, K) float array
            The pool's scores by the network of the cycle before; random heuristics need none.
        """
        before = self.steps[cycle].before
        config = before.config.replace(heuristic=heuristic)
        state = dataclasses.replace(before, config=config)
        return next_picks(Pool(self.dataset, config), state, table)


def agreement(first: Recording, second: Recording) -> tuple[int, int]:
    """Count the regions that two annotators both answered, and those they answered alike."""
    one, other = (
        {a.region.key: a.verdict for a in recording.state.answers} for recording in (first, second)
    )
    both = one.keys() & other.keys()
    return len(both), sum(one[key] == other[key] for key in both)


# --- what the explorer shows of recordings ---


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One side of the view: a region, and the network whose maps lie on it."""

    of: int  # index of the recording
    title: str  # of the panel, as HTML
    region: Region | None  # None where nothing was asked
    network: Step | None  # the cycle whose network made the maps; None where there was none yet
    step: Step  # the cycle that is shown
    answered: bool = True  # whether the answer's clicks are drawn


@dataclass(frozen=True, slots=True)
class ExplorerState:
    """A cycle of one run before and after, or of two runs, or what another heuristic would ask."""

    recordings: Sequence[Recording]  # one or two
    names: Sequence[str]  # what the runs are called
    cycle: int  # the chosen one; a run that has fewer shows its last
    number: int  # of the region in what the cycle asked, from 1
    heuristic: str | None  # whose choice is shown beside what was asked
    after: bool  # of two runs: show the network after the cycle, or the one that asked
    would: Mapping[tuple[int, str], tuple[Pick, ...]]  # by cycle and heuristic, where it is known
    same: bool = True  # of two runs: show the first one's region on both sides, or each its own

    @property
    def steps(self) -> list[Step]:
        """The cycle of each run."""
        return [one.steps[min(self.cycle, len(one.steps) - 1)] for one in self.recordings]

    @property
    def step(self) -> Step:
        """The cycle of the first run."""
        return self.steps[0]

    @property
    def before(self) -> Step | None:
        """The first run's cycle whose network asked; None at the start."""
        return self._earlier()[0]

    @property
    def chosen(self) -> str:
        """The heuristic whose choice is shown; the step's own if none is chosen."""
        step = self.step
        return self.heuristic if self.heuristic and step.cycle else step.heuristic

    @property
    def what_if(self) -> bool:
        """Whether another heuristic's choice is shown beside what was asked."""
        return len(self.recordings) == 1 and self.chosen != self.step.heuristic

    @property
    def known(self) -> bool:
        """Whether the choice of the chosen heuristic is known, or needs not be."""
        return not self.what_if or (self.step.cycle, self.chosen) in self.would

    @property
    def picks(self) -> list[tuple[Pick, ...]]:
        """What each strip of regions shows."""
        if self.what_if:
            return [self.would.get((self.step.cycle, self.chosen), ()), self.step.asked]
        return [step.asked for step in self.steps]

    @property
    def sides(self) -> list[Side]:
        """The two sides."""
        regions = [one[: self.number][-1].region if one else None for one in self.picks]
        step, before = self.step, self.before
        if self.what_if:
            would = f"<b>{escape(self.chosen)}</b> would have asked"
            asked = f"<b>{escape(step.heuristic)}</b> asked"
            return [
                Side(0, would, regions[0], before, step, answered=False),
                Side(0, asked, regions[1], before, step),
            ]
        if len(self.recordings) == 1:
            return [
                Side(0, _titled("Before", before), regions[0], before, step, answered=False),
                Side(0, _titled("After", step), regions[0], step, step),
            ]
        networks = self.steps if self.after else self._earlier()
        if self.same and regions[0] is not None:
            regions = [regions[0], regions[0]]
        runs = zip(self.names, regions, self.steps, networks, strict=True)
        return [
            Side(n, _titled(name, network), region, network, step)
            for n, (name, region, step, network) in enumerate(runs)
        ]

    def _earlier(self) -> list[Step | None]:
        return [
            one.steps[step.cycle - 1] if step.cycle else None
            for one, step in zip(self.recordings, self.steps, strict=True)
        ]


def _titled(name: str, network: Step | None) -> str:
    return f"<b>{escape(name)}</b>" + (f", network of cycle {network.cycle}" if network else "")
