"""How much faster two workers of a dask cluster are than one, and whether they give the same."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from distributed import LocalCluster

from alnb.config import Config
from alnb.dataset import Dataset, embedded
from alnb.experiments.engines import carry_out
from alnb.experiments.plan import EXPERIMENTS, Options
from alnb.experiments.run import PlannedRun, runs_of
from alnb.journal import Journal
from alnb.state import state_of
from alnb.storage import JOURNAL

from .speed import Measure

SEEDS = (0, 1)  # by two heuristics: four runs
SPEED_UP = 1.8  # 0.9 of what two workers can bring


def measure_cluster(data: Path | None, pairs: int, steps: int) -> Iterator[Measure]:
    """Time four runs on one worker and on two, of one thread each, in pairs.

    Parameters
    ----------
    data : Path or None
        A dataset's folder; None takes the embedded phantom.
    pairs : int
        How often both are timed, in turn, so that other work on the machine slows both.
    steps : int
        Of each training. Starting a process takes some seconds of a run, whatever follows.

    Yields
    ------
    Measure
        Seconds of each pair, the median speed-up, and how many runs differ.
    """
    dataset = embedded() if data is None else Dataset.open(data)
    ratios, differing = [], 0
    for pair in range(1, pairs + 1):
        (one, told), (two, again) = (_time(dataset, workers, steps) for workers in (1, 2))
        ratios.append(one / two)
        differing += sum(a != b for a, b in zip(told, again, strict=True))
        yield Measure(f"pair {pair}: one worker", one, "s")
        yield Measure(f"pair {pair}: two workers", two, "s", None, f"{one / two:.2f} × faster")
    how = f"median of {pairs}, 4 runs, one thread a worker"
    yield Measure("speed-up of two workers", float(np.median(ratios)), "×", SPEED_UP, how)
    yield Measure("runs that differ", float(differing), "", 0.0, "scores, losses and questions")


def _time(dataset: Dataset, workers: int, steps: int) -> tuple[float, list[list[object]]]:
    """Return the seconds that the runs took, and what each found."""
    config = Config(steps=steps, pretrain_steps=0)  # a start for each seed would take minutes
    experiment = EXPERIMENTS["fig5"](dataset, config, Options(cycles=1))
    with (
        tempfile.TemporaryDirectory() as out,
        LocalCluster(workers, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
    ):
        runs = runs_of(experiment, Path(out), SEEDS)
        begin = time.perf_counter()
        carry_out(runs, dataset, cluster=cluster.scheduler_address)
        return time.perf_counter() - begin, [_found(run) for run in runs]


def _found(run: PlannedRun) -> list[object]:
    events = Journal(run.folder / JOURNAL).events
    asked: list[object] = [event.data["picks"] for event in events if event.kind == "asked"]
    return [*asked, *((one.scores, one.fit.loss) for one in state_of(events).reports)]
