"""Runs with a simulated annotator: one, or those of an experiment.

A run of an experiment lies in ``EXPERIMENT/runs/ARM-SEED`` and goes on if it was stopped there.
`engines` carries them out.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import alnb
from alnb.config import Config
from alnb.curves.charts import curve_figure
from alnb.cycle import Learner, ran_out, run
from alnb.dataset import Dataset, fold
from alnb.errors import SessionError, saying
from alnb.experiments.plan import Arm, Experiment, check_masks
from alnb.oracle import Oracle
from alnb.reports import CycleReport, curve_table
from alnb.schema import Count, read_json
from alnb.session import Session
from alnb.state import State
from alnb.storage import CACHE, JOURNAL, csv_of, write_text

if TYPE_CHECKING:
    from alnb.training import OnProgress

FINISHED = "finished.json"


class _Mark(TypedDict):
    cycles: Count


# --- one run ---


def simulate(
    dataset: Dataset,
    out: Path,
    config: Config,
    *,
    cycles: int | None = None,
    learner: Learner | None = None,
    progress: OnProgress | None = None,
    on_cycle: Callable[[CycleReport], None] = lambda report: None,
) -> tuple[CycleReport, ...]:
    """Run cycles with a simulated annotator, write the curve after each, and return all of it.

    Parameters
    ----------
    dataset : Dataset
        With masks.
    out : Path
        Gets ``journal.jsonl``, ``curve.csv``, ``curve.html`` and the weights in ``cache``. A run
        that was stopped there goes on.
    config : Config
        A run that goes on must have the same.
    cycles : int, optional
        After the start; `Config.cycles` if None.
    learner : Learner, optional
        None trains in this process.
    progress : callable, optional
        Called at each training step and each scored slice.
    on_cycle : callable
        Called with the report of each cycle that is run now.

    Raises
    ------
    DataError
        If the dataset has no masks or no infected slice to train on.
    SessionError
        If `out` holds another run, or is in use.
    """
    check_masks(dataset)
    if learner is None:  # before the session is opened, since it may refuse settings
        from alnb.training.trainer import Trainer

        told = progress or (lambda *_, **__: None)
        learner = Trainer(dataset, config, out / CACHE, progress=told)
    with contextlib.closing(Session.open(out, dataset, config)) as session:

        def noted(report: CycleReport) -> None:
            _write_curve(session, out)
            on_cycle(report)

        oracle = Oracle(dataset, config.seed, config)
        reports = run(session, learner, oracle, cycles=cycles, progress=noted)
        _write_curve(session, out)
    return reports


def why_ended(state: State, cycles: int) -> str:
    """Say why a run ended before its last cycle; empty if it did not.

    ``state`` is the run's at its end, ``cycles`` how many were asked for after the start.
    """
    if len(state.reports) > cycles:
        return ""
    budget, spent = state.config.budget_s, state.cost.nominal_s
    if state.spent:
        return f"the budget of {budget:g} s is spent ({spent:g} s)"
    if ran_out(state):
        return f"of the budget of {budget:g} s, {spent:g} s are spent; the next answer costs more"
    return "every region has been asked"


@saying("out")
def _write_curve(session: Session, out: Path) -> None:
    """Write a session's curve as a table and, for a browser, as a page."""
    dataset, config, reports = session.dataset, session.state.config, session.state.reports
    table = curve_table(reports, config.seed)
    write_text(out / "curve.csv", csv_of(table))
    score = "dice" if dataset.has_masks and dataset.part("test") else "heldout_accuracy"
    figure = curve_figure({config.heuristic: [one.row(config.seed) for one in reports]}, score)
    figure.update_layout(title=f"{dataset.name}, {config.heuristic}")
    write_text(out / "curve.html", figure.to_html(include_plotlyjs=True))


# --- the runs of an experiment ---


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One arm with one seed."""

    arm: Arm
    seed: int
    folder: Path  # its session's
    folds: int | None = None  # as in `Experiment`

    @property
    def config(self) -> Config:
        """The arm's settings with this run's seed, and a start of its own."""
        config = self.arm.config
        return config.replace(seed=self.seed, pretrain_seed=config.pretrain_seed + self.seed)

    def data(self, dataset: Dataset) -> Dataset:
        """Return the dataset that it trains and is measured on."""
        if self.folds is None:
            return dataset
        return fold(dataset, self.seed % self.folds, self.folds)

    @property
    def finished(self) -> bool:
        """Whether it reached the arm's last cycle, or its end before that."""
        try:
            mark = read_json((self.folder / FINISHED).read_bytes(), _Mark)
        except (FileNotFoundError, ValueError):
            return False
        return bool(mark["cycles"] >= self.arm.cycles)

    def share(self, cycle: int, cost_s: float = 0.0) -> float:
        """Estimate how much is done after a cycle, in (0, 1], by cycles or by the budget."""
        done = (cycle + 1) / (self.arm.cycles + 1)
        budget = self.arm.config.budget_s
        return min(1.0, max(done, cost_s / budget if budget else 0.0))

    def priced(self, report: CycleReport) -> CycleReport:
        """Replace the cost of the answers by the arm's own, if it has one."""
        if self.arm.cost_s is None:
            return report
        cost = dataclasses.replace(report.cost, nominal_s=self.arm.cost_s)
        return dataclasses.replace(report, cost=cost)


MakeLearner = Callable[[Dataset, Config], Learner]


def runs_of(experiment: Experiment, out: Path, seeds: Sequence[int]) -> tuple[PlannedRun, ...]:
    """List the runs of an experiment, all arms of a seed before the next seed.

    Parameters
    ----------
    experiment : Experiment
    out : Path
        The folder of all results.
    seeds : sequence of int
    """
    folder = out / experiment.name / "runs"
    return tuple(
        PlannedRun(arm, seed, folder / f"{arm.name}-{seed}", experiment.folds)
        for seed in seeds
        for arm in experiment.arms
    )


def check(runs: Iterable[PlannedRun], dataset: Dataset) -> dict[PlannedRun, float]:
    """Check that the folders hold these runs, and no others; return how much of each is done.

    Raises
    ------
    DataError
        If the dataset has no masks or no infected slice to train on, or was changed since its
        import.
    SessionError
        If a folder holds a run of another dataset, other settings or another version of alnb, or
        is in use.
    """
    check_masks(dataset)
    dataset.verify()
    return {run: _done(run, dataset) for run in runs}


def _done(run: PlannedRun, dataset: Dataset) -> float:
    if not (run.folder / JOURNAL).exists():
        return 0.0
    session = Session.open(run.folder, run.data(dataset), run.config)
    reports, version = session.state.reports, session.journal.events[0].data["version"]
    session.close()
    if version != alnb.__version__:
        raise SessionError(
            f"{run.folder} was made by alnb {version}, and this is {alnb.__version__}, which may "
            "train differently. Give another --out, or delete that folder."
        )
    if run.finished:
        return 1.0
    return run.share(reports[-1].cycle, reports[-1].cost.nominal_s) if reports else 0.0


def finish(
    run: PlannedRun,
    dataset: Dataset,
    on_cycle: Callable[[CycleReport], None],
    learner: MakeLearner | None = None,
) -> None:
    """Run to the end, then delete weights and page: they fill the disk and can be made again.

    Parameters
    ----------
    run : PlannedRun
    dataset : Dataset
        The undivided one.
    on_cycle : callable
        Called with the report of each cycle that is run now.
    learner : callable, optional
        Makes its learner; None trains in this process.

    Raises
    ------
    AlnbError
        As `simulate`.
    """
    data = run.data(dataset)
    simulate(
        data, run.folder, run.config, cycles=run.arm.cycles, on_cycle=on_cycle,
        learner=learner(data, run.config) if learner else None,
    )  # fmt: skip
    shutil.rmtree(run.folder / CACHE, ignore_errors=True)
    (run.folder / "curve.html").unlink(missing_ok=True)
    mark = json.dumps({"cycles": run.arm.cycles}) + "\n"
    (run.folder / FINISHED).write_text(mark, encoding="utf-8")


class Clock:
    """Estimates the time left from what was done of the runs since it started.

    ``shares`` is how much of each run is done already, in [0, 1], as `check` finds; ``now`` gives
    seconds.
    """

    def __init__(
        self, shares: Mapping[PlannedRun, float], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._shares, self._now = dict(shares), now
        self._before, self._begin = self.done, now()

    @property
    def runs(self) -> int:
        """How many runs there are."""
        return len(self._shares)

    @property
    def done(self) -> float:
        """How many of them are done; a run that is half done counts as 0.5."""
        return sum(self._shares.values())

    def note(self, run: PlannedRun, report: CycleReport) -> None:
        """Note a finished cycle."""
        self._shares[run] = run.share(report.cycle, report.cost.nominal_s)

    @property
    def left_s(self) -> float | None:
        """Seconds left if the speed stays the same; None before anything was done."""
        gained = self.done - self._before
        if gained <= 0:
            return None
        return (self._now() - self._begin) / gained * (self.runs - self.done)

    @property
    def left(self) -> str:
        """How many runs are done and the time left, for a line on the screen."""
        count = f"{sum(share >= 1 for share in self._shares.values())} of {self.runs} runs done"
        if self.left_s is None:
            return count
        hours, minutes = divmod(round(self.left_s / 60), 60)
        if not hours and not minutes:
            return f"{count}, under a minute left"
        return f"{count}, about {f'{hours} h {minutes:02d}' if hours else minutes} min left"
