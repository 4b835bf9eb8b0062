"""The loop: ask, answer, train, score; the one place where answers go back to the network.

Whoever can train is a `Learner`, whoever can answer an `Annotator`: the oracle, a person or
the replay of a journal. Nothing here knows torch or the screen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from alnb.acquisition import RANDOM, Pick, check_heuristic, random_scores, rank
from alnb.annotation import Answer
from alnb.arrays import Mask
from alnb.config import Config
from alnb.cost import cost_of
from alnb.dataset import Dataset, SliceId
from alnb.errors import SessionError
from alnb.journal import Event, live
from alnb.metrics import Scores
from alnb.regions import Division, QuadTree, Region, bare, in_lungs
from alnb.reports import CycleReport, FitReport
from alnb.session import Session, State

Part = Literal["train", "val", "test"]


class Learner(Protocol):
    """Trains a network on answers and says what it makes of slices."""

    def fit(self, answers: Sequence[Answer], previous: str | None = None) -> FitReport:
        """Train on the answers, from `previous` weights if the settings say so."""
        ...

    def score(self, slices: Sequence[SliceId], weights: str) -> Mapping[str, NDArray[np.float64]]:
        """Score every region of every slice: for each heuristic (N, K), higher more wanted.

        Regions are the columns of a `Division`; NaN where a slice has fewer than K.
        """
        ...

    def evaluate(self, part: Part, weights: str) -> Scores | None:
        """Compare the predictions on a part with its masks; None where it has none."""
        ...


class Annotator(Protocol):
    """Answers what it is asked."""

    def answer(self, region: Region) -> Answer:
        """Say whether a region is infected, and click where."""
        ...


class Replay:
    """An annotator that answers as a journal's did.

    Parameters
    ----------
    events : sequence of Event
        Of that journal; of several answers on a region the last that stands is given.
    """

    def __init__(self, events: Sequence[Event]) -> None:
        answers = (Answer.from_dict(e.data) for e in live(events) if e.kind == "answered")
        self._answers = {answer.region.key: answer for answer in answers}

    def answer(self, region: Region) -> Answer:
        """Give the answer of the journal.

        Raises
        ------
        SessionError
            If that journal has none.
        """
        try:
            return self._answers[region.key]
        except KeyError:
            raise SessionError(f"the journal has no answer on region {region.key}.") from None


@dataclass(frozen=True)
class Pool:
    """The regions of a dataset's train part, as a table of N slices by K regions."""

    dataset: Dataset
    config: Config

    @cached_property
    def slices(self) -> tuple[SliceId, ...]:
        """The N slices to ask about."""
        return self.dataset.part("train")

    @cached_property
    def _row_of(self) -> dict[SliceId, int]:
        return {where: n for n, where in enumerate(self.slices)}

    @cached_property
    def _division(self) -> Division:
        return Division(self.dataset, self.config)

    def regions(self, where: SliceId) -> tuple[Region, ...]:
        """List the regions of a slice, in the order of the table's columns; at most K."""
        return self._division.regions(where)

    def borders(self, where: SliceId, state: State) -> tuple[Region, ...]:
        """List the regions of a slice that are decided: all, or a quad-tree's that were asked."""
        if self._division.tree is None:
            return self.regions(where)
        asked = (Region.parse(key) for key in sorted(state.ever_asked))
        return tuple(region for region in asked if region.where == where)

    @property
    def shape(self) -> tuple[int, int]:
        """(N, K)."""
        return len(self.slices), self._division.columns

    def open(self, scores: NDArray[np.float64], state: State) -> NDArray[np.float64]:
        """Return the scores with NaN where a region can't be asked.

        It can't if it was answered, or shares a pixel with one that was. Of a quad-tree only
        those blocks can be asked that it now divides a slice into, by these scores, or evenly
        if they are random: see `QuadTree.leaves`.
        """
        scores = scores.astype(np.float64)
        tree, count = self._division.tree, self.config.regions_per_slice
        if tree is not None:
            by = np.zeros_like(scores) if self.config.heuristic == RANDOM else scores
            scores[~tree.leaves(by, self._asked(state, tree), count)] = np.nan
        for answer in state.answers:
            n = self._row_of.get(answer.region.where)
            if n is not None:
                scores[n, self._sharing(answer.region)] = np.nan
        return scores

    def _asked(self, state: State, tree: QuadTree) -> Mask:
        """Mark what a quad-tree may not cut: (N, K) True for blocks that were ever asked about.

        Asked, not answered: an answer may come after the next regions were asked. A region of
        another kind, in a session that was forked, stands for the smallest blocks it reaches into.
        """
        asked = np.zeros(self.shape, dtype=bool)
        for region in map(Region.parse, state.ever_asked):
            n, block = self._row_of.get(region.where), tree.number(region)
            if n is not None and block is not None:
                asked[n, block] = True
            elif n is not None:
                shared = self._sharing(region)
                asked[n, shared[shared >= tree.first_smallest]] = True
        return asked

    @cached_property
    def _shared(self) -> dict[str, NDArray[np.intp]]:
        return {}

    def _sharing(self, region: Region) -> NDArray[np.intp]:
        """Find the columns whose regions share a pixel with this one."""
        if region.key not in self._shared:
            drawn = region.drawn((self.dataset.size, self.dataset.size))
            shares = [other.pixels(drawn).any() for other in self.regions(region.where)]
            self._shared[region.key] = np.flatnonzero(shares)
        return self._shared[region.key]

    def picks(
        self, scores: NDArray[np.float64], count: int, *, one_a_slice: bool
    ) -> tuple[Pick, ...]:
        """Pick the best of the open regions, without those that show nothing.

        Only slices that are about to be picked are looked at, whatever the size of the pool.
        """
        scores = scores.copy()
        looked_at: set[int] = set()
        while True:
            best = rank(scores, count, one_a_slice=one_a_slice)
            new = {n for n, _ in best} - looked_at
            if not new:
                break
            for n in new:
                scores[n, self.left_out(self.slices[n])] = np.nan
            looked_at |= new
        return tuple(Pick(self.regions(self.slices[n])[k], float(scores[n, k])) for n, k in best)

    def left_out(self, where: SliceId) -> Mask:
        """Tell which regions of a slice are never asked, (K,): they show nothing, or are none."""
        regions = self.regions(where)
        left_out = np.ones(self.shape[1], dtype=bool)
        left_out[: len(regions)] = False
        if not self.config.ask_bare:
            hu = self.dataset.unit(where) == "hu"
            left_out[: len(regions)] = bare(self.dataset.raw(where), regions, hu=hu)
        return left_out


def _rng(config: Config, cycle: int) -> np.random.Generator:
    return np.random.default_rng([config.seed, cycle])


def start_picks(pool: Pool) -> tuple[Pick, ...]:
    """Choose what to ask before there is a network.

    Either random regions, one a slice as long as there are slices, a share of them where there
    is lung (ours); or all regions of random slices (paper 4.1).
    """
    config = pool.config
    rng = _rng(config, 0)
    scores = pool.open(np.zeros(pool.shape), State(config)) + random_scores(pool.shape, rng)
    if config.start == "regions":
        _prefer_lungs(pool, scores, rng)
        return pool.picks(scores, config.start_regions, one_a_slice=True)
    count = min(config.start_slices, len(pool.slices))
    chosen = rng.choice(len(pool.slices), size=count, replace=False)
    return tuple(
        Pick(region, float(score))
        for n in chosen.tolist()
        for region, score, left_out in zip(
            pool.regions(pool.slices[n]), scores[n], pool.left_out(pool.slices[n]), strict=False
        )  # the table may have columns beyond the regions
        if not (left_out or np.isnan(score))
    )


def _prefer_lungs(pool: Pool, scores: NDArray[np.float64], rng: np.random.Generator) -> None:
    """Raise the random scores of lung regions in as many slices as the start should find lung in.

    Only so many slices are looked at, so that a start costs the same in a pool of any size.
    """
    wanted = round(pool.config.start_in_lungs * pool.config.start_regions)
    for n in rng.permutation(len(pool.slices)).tolist():
        if wanted < 1:
            return
        where = pool.slices[n]
        lungs = np.flatnonzero(in_lungs(pool.dataset.image(where), pool.regions(where)))
        if len(lungs):
            scores[n, lungs] += 1
            wanted -= 1


def next_picks(
    pool: Pool, state: State, scores: Mapping[str, NDArray[np.float64]]
) -> tuple[Pick, ...]:
    """Choose what to ask next.

    Parameters
    ----------
    pool : Pool
        All regions.
    state : State
        Which of them are answered.
    scores : mapping of heuristic to (N, K) float array
        As `Learner.score` gives them; the random heuristic needs none.

    Returns
    -------
    tuple of Pick
        At most `Config.regions_per_cycle`; empty when every region is answered.

    Raises
    ------
    ConfigError
        If there is no heuristic of the name in `Config`.
    """
    config = pool.config
    if check_heuristic(config.heuristic) == RANDOM:
        table = random_scores(pool.shape, _rng(config, state.cycle + 1))
        # random draws regions, not slices: the paper's baseline (3)
        return pool.picks(pool.open(table, state), config.regions_per_cycle, one_a_slice=False)
    table = scores[config.heuristic]
    return pool.picks(
        pool.open(table, state), config.regions_per_cycle, one_a_slice=config.one_region_a_slice
    )


def answer_pending(session: Session, annotator: Annotator) -> None:
    """Answer all that is asked: the three lines that oracle, person and replay share."""
    for region in session.state.pending:
        answer = annotator.answer(region)
        session.submit(answer)


def affordable(picks: Sequence[Pick], state: State) -> tuple[Pick, ...]:
    """Leave out the picks that the budget has no seconds for, at one click a region."""
    budget = state.config.budget_s
    if budget is None:
        return tuple(picks)
    left = int(max(budget - state.cost.nominal_s, 0) // state.config.click_s)
    return tuple(picks[:left])


def previous_weights(state: State) -> str | None:
    """Name the weights that this cycle's training starts from, if it starts warm."""
    earlier = [report for report in state.reports if report.cycle < state.cycle]
    return earlier[-1].fit.weights if earlier else None


Scored = Mapping[str, NDArray[np.float64]]


def train_and_score(session: Session, pool: Pool, learner: Learner) -> Scored:
    """Train on the answers, evaluate, score the pool, and note it in the journal.

    A learner finds what it has trained before; a training is noted once.
    """
    state = session.state
    fit = learner.fit(state.answers, previous_weights(state))
    if not state.trained:
        session.trained(fit, state.answers, cost_of(state.given, state.config))
    begin = time.perf_counter()
    scores = learner.evaluate("test", fit.weights)
    wanted = state.config.heuristic != RANDOM
    table = learner.score(pool.slices, fit.weights) if wanted else {}
    session.scored(scores, time.perf_counter() - begin)
    return table


def run(
    session: Session,
    learner: Learner,
    annotator: Annotator,
    *,
    cycles: int | None = None,
    progress: Callable[[CycleReport], None] = lambda report: None,
) -> tuple[CycleReport, ...]:
    """Run cycles until there are enough, the budget is spent or nothing is left to ask.

    A session that was stopped goes on where it was.

    Parameters
    ----------
    session : Session
        Open for writing.
    learner, annotator
        Who trains and who answers.
    cycles : int, optional
        After the start; `Config.cycles` if None.
    progress : callable
        Called with each cycle's report.

    Returns
    -------
    tuple of CycleReport
        The whole curve, the start first.
    """
    pool = Pool(session.dataset, session.state.config)
    last = session.state.config.cycles if cycles is None else cycles
    table: Scored | None = None
    if session.state.cycle < 0:
        session.ask(affordable(start_picks(pool), session.state))
    while True:
        state = session.state
        if len(state.reports) <= state.cycle:
            answer_pending(session, annotator)
            table = train_and_score(session, pool, learner)
            progress(session.state.reports[-1])
        elif state.cycle >= last:
            break
        else:
            table = _scores_of(session, pool, learner) if table is None else table
            picks = affordable(next_picks(pool, state, table), state)
            if not picks:
                break
            session.ask(picks)
    return session.state.reports


def _scores_of(session: Session, pool: Pool, learner: Learner) -> Scored:
    """Score the pool with the last network, made again if need be, after a stop lost the table."""
    state = session.state
    if state.config.heuristic == RANDOM:
        return {}
    fit = learner.fit(state.answers, previous_weights(state))
    return learner.score(pool.slices, fit.weights)
