"""Runs without a screen: the annotator is simulated from the masks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from alnb.bench.figures import curve_figure
from alnb.config import Config
from alnb.cycle import Learner, ran_out, run
from alnb.dataset import Dataset
from alnb.errors import DataError
from alnb.oracle import Oracle
from alnb.reports import CycleReport, curve_table
from alnb.session import Session
from alnb.state import State

if TYPE_CHECKING:
    from alnb.training import Progress


def check_masks(dataset: Dataset) -> None:
    """Make sure that an annotator can be simulated on a dataset.

    Raises
    ------
    DataError
        If it has no masks, or none of its train slices is infected.
    """
    if not dataset.has_masks:
        raise DataError(
            f"dataset {dataset.name} has no masks, so nobody can be simulated. Import it with "
            "--masks, or label it yourself: alnb label."
        )
    train = dataset.part("train")
    if not any(dataset.infected_px(where) for where in train):
        raise DataError(
            f"dataset {dataset.name}: none of its {len(train)} train slices is infected, so there "
            "is nothing to learn. Check the masks, or import it with another --split."
        )


def simulate(
    dataset: Dataset,
    out: Path,
    config: Config,
    *,
    cycles: int | None = None,
    learner: Learner | None = None,
    progress: Progress | None = None,
    on_cycle: Callable[[CycleReport], None] = lambda report: None,
) -> tuple[CycleReport, ...]:
    """Run cycles with a simulated annotator, and write the curve after each.

    Parameters
    ----------
    dataset : Dataset
        With masks.
    out : Path
        Gets ``journal.jsonl``, ``curve.csv``, ``curve.html`` and the weights in ``cache``; a run
        that was stopped there goes on.
    config : Config
        Of the run; one that goes on must have the same.
    cycles : int, optional
        After the start; `Config.cycles` if None.
    learner : Learner, optional
        None trains in this process.
    progress : callable, optional
        Hears of each step of a training and each slice scored.
    on_cycle : callable
        Called with the report of each cycle that is run now.

    Returns
    -------
    tuple of CycleReport
        The whole curve.

    Raises
    ------
    DataError
        If the dataset has no masks or no infected slice to train on.
    SessionError
        If `out` holds another run, or is in use.
    """
    check_masks(dataset)
    learner = learner or _trainer(dataset, config, out / "cache", progress)  # may refuse settings
    session = Session.open(out, dataset, config)
    try:

        def noted(report: CycleReport) -> None:
            write_curve(session, out)
            on_cycle(report)

        oracle = Oracle(dataset, config.seed, config)
        reports = run(session, learner, oracle, cycles=cycles, progress=noted)
        write_curve(session, out)
        return reports
    finally:
        session.close()


def why_ended(state: State, cycles: int) -> str:
    """Say why a run ended before its last cycle; empty if it did not.

    Parameters
    ----------
    state : State
        Of the run at its end.
    cycles : int
        How many were wanted after the start.
    """
    if len(state.reports) > cycles:
        return ""
    budget, spent = state.config.budget_s, state.cost.nominal_s
    if state.spent:
        return f"the budget of {budget:g} s is spent ({spent:g} s)"
    if ran_out(state):
        return (
            f"the next answer costs more than is left of the budget of {budget:g} s "
            f"({spent:g} s are spent)"
        )
    return "every region has been asked"


def _trainer(dataset: Dataset, config: Config, cache: Path, progress: Progress | None) -> Learner:
    from alnb.training.trainer import Trainer

    if progress is None:
        return Trainer(dataset, config, cache)
    return Trainer(dataset, config, cache, progress=progress)


def write_curve(session: Session, out: Path) -> None:
    """Write a session's curve as ``curve.csv`` and, for a browser, ``curve.html``."""
    table = curve_table(session.state.reports, session.state.config.seed)
    _write(out / "curve.csv", table.to_csv(index=False))
    masked = session.dataset.has_masks and bool(session.dataset.part("test"))
    rows = [report.row(session.state.config.seed) for report in session.state.reports]
    figure = curve_figure(
        {session.state.config.heuristic: rows}, "dice" if masked else "heldout_accuracy"
    )
    figure.update_layout(title=f"{session.dataset.name}, {session.state.config.heuristic}")
    _write(out / "curve.html", figure.to_html(include_plotlyjs=True))


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
