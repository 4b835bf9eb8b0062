"""The loop: ask, answer, train, score; the one place where answers go back to the network.

Whoever can train is a `Learner`, whoever can answer an `Annotator`: the oracle, a person or
the replay of a journal. Nothing here knows torch or the screen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from alnb.acquisition import needs_network
from alnb.annotation import Answer
from alnb.cost import cost_of, price_of
from alnb.dataset import SliceId
from alnb.errors import ConfigError
from alnb.metrics import Scores
from alnb.pool import Pool, affordable, next_picks, start_picks
from alnb.regions import Region
from alnb.reports import CycleReport, FitReport
from alnb.session import Session
from alnb.state import State

Part = Literal["train", "val", "test"]


class Learner(Protocol):
    """Trains a network on answers and says what it makes of slices."""

    def fit(self, answers: Sequence[Answer]) -> FitReport:
        """Train on the answers."""
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


def answer_pending(session: Session, annotator: Annotator) -> None:
    """Answer all that is asked: the few lines that oracle and replay share.

    Where the budget runs out over an answer it is not given, nor are those after it, whatever
    they cost: to pass over the dear ones would be to know them. What a person submits is kept,
    even if it overdraws the budget; nothing is asked after it.
    """
    for region in session.state.pending:
        answer = annotator.answer(region)
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


Scored = Mapping[str, NDArray[np.float64]]


def train_and_score(session: Session, pool: Pool, learner: Learner) -> Scored:
    """Train on the answers, evaluate, score the pool, and note it in the journal.

    A learner finds what it has trained before; a training is noted once.
    """
    state = session.state
    fit = learner.fit(state.answers)
    if not state.trained:
        session.trained(fit, state.answers, cost_of(state.given, state.config))
    begin = time.perf_counter()
    scores = learner.evaluate("test", fit.weights)
    wanted = needs_network(state.config.heuristic)
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

    A session that was stopped goes on where it was. One whose budget ran out over an answer has
    regions pending at its end.

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

    Raises
    ------
    ConfigError
        If the budget does not pay for a single answer.
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
            _check_paid(session.state)
            table = train_and_score(session, pool, learner)
            progress(session.state.reports[-1])
        elif state.cycle >= last or ran_out(state):
            break
        else:
            table = _scores_of(session, pool, learner) if table is None else table
            picks = next_picks(pool, state, table)
            if not picks:
                break
            session.ask(picks)
    return session.state.reports


def _scores_of(session: Session, pool: Pool, learner: Learner) -> Scored:
    """Score the pool with the last network, made again if need be, after a stop lost the table."""
    state = session.state
    if not needs_network(state.config.heuristic):
        return {}
    fit = learner.fit(state.answers)
    return learner.score(pool.slices, fit.weights)
