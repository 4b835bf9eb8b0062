"""The loop: ask, answer, train, evaluate, score; the only place where answers go back to a network.

The loop is a generator. It changes the session, and yields a request for each thing that others do:
`Answers`, `Fit`, `Evaluate`, `Score`. A driver has each request performed and sends the result
back: `run` by a simulated annotator and a `Learner`, `drive_async` by a training process while a
person goes on labelling. A loop that was broken off goes on where the session stands.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from alnb.acquisition import needs_network
from alnb.annotation import Answer
from alnb.asking import CANDIDATES, Asker
from alnb.cost import price_of
from alnb.dataset import Part, SliceId
from alnb.errors import ConfigError
from alnb.live import Basis
from alnb.metrics import Scores
from alnb.oracle import Guess
from alnb.pool import Pool, ScoreTables, affordable, next_picks, start_picks
from alnb.regions import Region
from alnb.reports import CycleReport, FitReport
from alnb.session import Session
from alnb.state import State


class Learner(Protocol):
    """Trains a network on answers, and predicts slices with it."""

    def fit(self, answers: Sequence[Answer]) -> FitReport:
        """Train on the answers, or find the network that was trained on them before."""
        ...

    def evaluate(self, part: Part, weights: str) -> Scores | None:
        """Compare the predictions on a part with its masks; None where it has none."""
        ...

    def score(self, slices: Sequence[SliceId], weights: str) -> ScoreTables:
        """Score every region of every slice; NaN where a slice has fewer than K."""
        ...

    @property
    def origin(self) -> str:
        """The name of the network before any answer."""
        ...

    def publish(self, slices: Sequence[SliceId], weights: str) -> None:
        """Write what the live layer learns on, for each slice: `storage.features_path`."""
        ...


class Annotator(Protocol):
    """Answers what it is asked."""

    def answer(self, region: Region, guess: Guess | None = None) -> Answer:
        """Say whether a region is infected, and where; `guess` outlines it as now believed."""
        ...


@dataclass(frozen=True, slots=True)
class Answers:
    """Have the pending regions answered by `Session.submit`; the result is ignored."""

    regions: tuple[Region, ...]


@dataclass(frozen=True, slots=True)
class Fit:
    """Train; the result is a `FitReport`."""

    answers: tuple[Answer, ...]

    def by(self, learner: Any) -> Any:  # noqa: ANN401 - a Learner, or a Worker that awaits it
        """Let a learner do it."""
        return learner.fit(self.answers)


@dataclass(frozen=True, slots=True)
class Evaluate:
    """Measure a network on a part; the result is `Scores`, or None if that has no masks."""

    part: Part
    weights: str

    def by(self, learner: Any) -> Any:  # noqa: ANN401 - as above
        """Let a learner do it."""
        return learner.evaluate(self.part, self.weights)


@dataclass(frozen=True, slots=True)
class Score:
    """Score the regions of slices by a network; the result is `ScoreTables`."""

    slices: tuple[SliceId, ...]
    weights: str

    def by(self, learner: Any) -> Any:  # noqa: ANN401 - as above
        """Let a learner do it."""
        return learner.score(self.slices, self.weights)


@dataclass(frozen=True, slots=True)
class Publish:
    """Publish slices for the live layer; the result is ignored."""

    slices: tuple[SliceId, ...]
    weights: str

    def by(self, learner: Any) -> Any:  # noqa: ANN401 - as above
        """Let a learner do it."""
        return learner.publish(self.slices, self.weights)


Work = Fit | Evaluate | Score | Publish
Request = Answers | Work
R = TypeVar("R")
T = TypeVar("T")
Steps = Generator[R, Any, T]


def learn(session: Session, pool: Pool) -> Steps[Work, ScoreTables]:
    """Train on the answers, evaluate, score the pool, and note it in the journal.

    Yields
    ------
    Fit, Evaluate, Score
        In this order; a heuristic that needs no network needs no `Score`.

    Returns
    -------
    ScoreTables
        Empty for such a heuristic.
    """
    state = session.state
    fit = yield Fit(state.answers)
    if not state.trained:
        session.trained(fit, state.answers, state.cost)
    begin = time.perf_counter()
    scores = yield Evaluate("test", fit.weights)
    tables = yield from _score(pool, state, fit)
    session.scored(scores, time.perf_counter() - begin)
    return tables


def _score(pool: Pool, state: State, fit: FitReport) -> Steps[Work, ScoreTables]:
    if not needs_network(state.config.heuristic):
        return {}
    tables: ScoreTables = yield Score(pool.slices, fit.weights)
    return tables


def _scores_again(session: Session, pool: Pool) -> Steps[Work, ScoreTables]:
    """Score the pool with the last network, after a stop lost the tables."""
    state = session.state
    if not needs_network(state.config.heuristic):
        return {}
    fit = yield Fit(state.answers)
    return (yield from _score(pool, state, fit))


def next_cycle(session: Session, pool: Pool) -> Steps[Work, ScoreTables]:
    """Learn from the answers of this cycle, then ask the regions of the next.

    Returns
    -------
    ScoreTables
        Those by which the regions were chosen.
    """
    begun = _scores_again if session.state.measured else learn
    tables = yield from begun(session, pool)
    session.ask(next_picks(pool, session.state, tables))
    return tables


def loop(session: Session, pool: Pool, enough: Callable[[State], bool]) -> Steps[Request, None]:
    """Run the whole loop: the start, then cycle after cycle.

    Parameters
    ----------
    session : Session
        Open for writing; one that was stopped goes on where it was.
    pool : Pool
        Its regions.
    enough : callable
        Asked after each cycle whether to stop. The loop also ends when nothing is left to ask.

    Raises
    ------
    ConfigError
        If the budget does not pay for a single answer.
    """
    tables: ScoreTables | None = None
    if session.state.cycle < 0:
        session.ask(affordable(start_picks(pool), session.state))
    while True:
        if not session.state.measured:
            yield Answers(session.state.pending)
            _check_paid(session.state)
            tables = yield from learn(session, pool)
        elif enough(session.state):
            return
        else:
            if tables is None:
                tables = yield from _scores_again(session, pool)
            picks = next_picks(pool, session.state, tables)
            if not picks:
                return
            session.ask(picks)


def learn_live(asker: Asker, *, whole: bool = True) -> Steps[Work, None]:
    """Train on the answers, let the live layer ask by the new network, then evaluate it.

    Test slices come last, so that they never stand between a person and a question.

    Parameters
    ----------
    asker : Asker
    whole : bool
        Whether all slices are published before it asks, or only the first `CANDIDATES`.

    Yields
    ------
    Fit, Publish, Publish, Evaluate
        In this order; the second publishes `Asker.sample`.
    """
    session = asker.session
    state = session.state
    fit = yield Fit(state.answers)
    if not state.trained:
        session.trained(fit, state.answers, state.cost)
    begin = time.perf_counter()
    order = asker.order(fit.weights)
    yield Publish(order if whole else order[:CANDIDATES], fit.weights)
    asker.use(Basis(fit.weights, fit.threshold), fit.weights)
    yield Publish(asker.sample, fit.weights)
    asker.measure()
    scores = yield Evaluate("test", fit.weights)
    session.scored(scores, time.perf_counter() - begin)


def live_loop(asker: Asker, origin: str, enough: Callable[[State], bool]) -> Steps[Request, None]:
    """Run the whole loop with the live layer: it asks after each answer, and trains as often.

    Parameters
    ----------
    asker : Asker
        Of a session that is open for writing; one that was stopped goes on where it was.
    origin : str
        The network before any answer.
    enough : callable
        As for `loop`.

    Raises
    ------
    ConfigError
        If the budget does not pay for a single answer.
    """
    session = asker.session
    yield from begin_live(asker, origin)
    while True:
        while not (session.state.due or session.state.trained):
            if not session.state.pending and not asker.ask():
                break
            yield Answers(session.state.pending)
            _check_paid(session.state)
            if session.state.pending:
                break  # the budget ended
            asker.learn()
            asker.measure()
        if session.state.stale or session.state.trained:
            yield from learn_live(asker)
        if enough(session.state) or session.state.spent or not asker.pool.left(session.state):
            return


def begin_live(asker: Asker, origin: str, *, whole: bool = True) -> Steps[Work, None]:
    """Let the live layer ask by the last network, or by the one before any answer.

    Parameters
    ----------
    asker, origin
        As for `live_loop`.
    whole : bool
        Whether all slices are published, and the test part's sample, or only the first
        `CANDIDATES`.
    """
    state, fit = asker.session.state, asker.session.state.fit
    trained = "" if fit is None else fit.weights
    if state.learned:
        fit = yield Fit(state.learned)  # it is kept, or made again
    basis = _basis(state, fit, origin)
    order = asker.order(trained)
    yield Publish(order if whole else order[:CANDIDATES], basis.weights)
    asker.use(basis, trained)
    if whole:
        yield Publish(asker.sample, basis.weights)
        asker.measure()


def resume_live(asker: Asker, origin: str) -> bool:
    """Let the live layer ask by the last network without a learner; tell whether that goes.

    It goes once that network has published all slices.

    Parameters
    ----------
    asker : Asker
    origin : str
        The network before any answer; empty if it is not known.
    """
    state, fit = asker.session.state, asker.session.state.fit
    if fit is None and not origin:
        return False
    asker.use(_basis(state, fit, origin), "" if fit is None else fit.weights)
    return not asker.missing()


def _basis(state: State, fit: FitReport | None, origin: str) -> Basis:
    if fit is None:
        return Basis(origin, learned=state.config.pretrain_steps > 0)
    return Basis(fit.weights, fit.threshold)


def drive(steps: Steps[R, T], perform: Callable[[R], Any]) -> T:
    """Have each request of a loop performed, one after the other.

    Parameters
    ----------
    steps : generator of requests
        As `loop`, `learn` or `next_cycle` return it.
    perform : callable
        Takes a request, returns its result; may raise to stop.

    Returns
    -------
    object
        What the generator returns.
    """
    result: Any = None
    with contextlib.closing(steps):
        while True:
            try:
                request = steps.send(result)
            except StopIteration as end:
                value: T = end.value
                return value
            result = perform(request)


async def drive_async(steps: Steps[R, T], perform: Callable[[R], Awaitable[Any]]) -> T:
    """Do as `drive`, without holding up the event loop."""
    result: Any = None
    with contextlib.closing(steps):
        while True:
            try:
                request = steps.send(result)
            except StopIteration as end:
                value: T = end.value
                return value
            result = await perform(request)


def run(
    session: Session,
    learner: Learner,
    annotator: Annotator,
    *,
    cycles: int | None = None,
    progress: Callable[[CycleReport], None] = lambda report: None,
) -> tuple[CycleReport, ...]:
    """Run cycles until there are enough, the budget is spent or nothing is left to ask.

    A session that was stopped goes on where it was. One whose budget ran out over an answer has
    regions pending at its end.

    Parameters
    ----------
    session : Session
        Open for writing.
    learner, annotator
        They train and answer.
    cycles : int, optional
        After the start; `Config.cycles` if None.
    progress : callable
        Called with each cycle's report.

    Returns
    -------
    tuple of CycleReport
        The whole curve, the start first.

    Raises
    ------
    ConfigError
        If the budget does not pay for a single answer.
    """
    last = session.state.config.cycles if cycles is None else cycles
    reported = len(session.state.reports)

    def enough(state: State) -> bool:
        nonlocal reported
        for report in state.reports[reported:]:
            progress(report)
        reported = len(state.reports)
        return state.cycle >= last or ran_out(state)

    pool = Pool(session.dataset, session.state.config)
    asker = Asker(session, pool) if session.state.config.asking == "live" else None

    def perform(request: Request) -> Any:  # noqa: ANN401 - each request has its own result
        if isinstance(request, Answers):
            return answer_pending(session, annotator, asker)
        return request.by(learner)

    if asker is not None:
        drive(live_loop(asker, learner.origin, enough), perform)
    else:
        drive(loop(session, pool, enough), perform)
    return session.state.reports


def answer_pending(session: Session, annotator: Annotator, asker: Asker | None = None) -> None:
    """Answer all that is asked, until the budget can't pay for an answer.

    That answer is not given, nor are those after it, even if they are cheap: skipping expensive
    answers would require knowing them. What a person submits is kept even if it overdraws the
    budget.

    Parameters
    ----------
    session : Session
        Open for writing.
    annotator : Annotator
    asker : Asker, optional
        Shows the annotator what its live layer outlines.
    """
    for region in session.state.pending:
        guess = None if asker is None else partial(asker.outlines, region)
        answer = annotator.answer(region, guess)
        if price_of(answer, session.state.config) > session.state.left_s:
            break
        session.submit(answer)


def ran_out(state: State) -> bool:
    """Tell whether the budget ended the answering of a cycle before its last region."""
    return state.config.budget_s is not None and (state.spent or bool(state.pending))


def _check_paid(state: State) -> None:
    if not state.given and ran_out(state):
        raise ConfigError(
            f"the budget of {state.config.budget_s:g} s does not pay for the first answer. Give "
            "more."
        )
