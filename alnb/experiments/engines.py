"""Where runs are carried out: in this process, or several at a time on an `Engine`.

On an engine each run has a process of its own, a `RunProcess`. It is started by this process, or by
a worker of a cluster; see `alnb.experiments.cluster`.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from enum import Enum, auto
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Protocol, TypeAlias, cast

from alnb.config import THREADS
from alnb.dataset import Dataset
from alnb.errors import AlnbError, ConfigError, TrainerError, path_sentence, quoted
from alnb.experiments.run import MakeLearner, PlannedRun, finish
from alnb.reports import CycleReport

END_S = 5.0  # how long a process may take to end before it is killed


class Ended(Enum):
    """How a run ended on an engine."""

    FINISHED = auto()
    LOST = auto()  # its worker died; started again, it goes on after its last cycle


Notify: TypeAlias = Callable[[PlannedRun, CycleReport], None]
Told: TypeAlias = tuple[PlannedRun, CycleReport | Ended]


class Engine(Protocol):
    """Carries several runs out at a time."""

    def free(self) -> bool:
        """Tell whether another run can be started."""
        ...

    def start(self, run: PlannedRun) -> None:
        """Start a run, or go on with it."""
        ...

    def receive(self) -> Iterator[Told]:
        """Wait a moment, and yield what was heard of the runs; raise how one of them failed."""
        ...

    def close(self) -> None:
        """End the runs that are not finished; what they did is kept."""
        ...


def carry_out(
    runs: Sequence[PlannedRun],
    dataset: Dataset,
    *,
    jobs: int = 1,
    cluster: str | None = None,
    notify: Notify = lambda run, report: None,
    learner: MakeLearner | None = None,
) -> None:
    """Finish the runs that are not finished.

    Parameters
    ----------
    runs : sequence of PlannedRun
    dataset : Dataset
        With masks.
    jobs : int
        How many at a time, ≥ 1. Several run in processes of their own that share the cores.
    cluster : str, optional
        Run on the workers of a dask cluster instead, one run a worker on all its threads:
        ``local:N``, ``tcp://HOST:PORT``, ``slurm`` or ``slurm:N``.
    notify : callable
        Called in this process with each cycle that is run now.
    learner : callable, optional
        Makes a run's learner; None trains. With several jobs or a cluster it must be importable.

    Raises
    ------
    AlnbError
        If `jobs` is below 1, the cluster can't be used, or a run fails. The others are ended; the
        same call goes on with them.
    """
    if jobs < 1:
        raise ConfigError(f"--jobs is {jobs}; it must be at least 1.")
    if cluster is not None and jobs > 1:
        raise ConfigError("--jobs is for this process's machine; leave it out with --cluster.")
    waiting = [run for run in runs if not run.finished]
    if not waiting:
        return
    if cluster is not None:
        _drive(_on_cluster(cluster, waiting, dataset, learner), waiting, notify)
    elif jobs > 1 and len(waiting) > 1:
        _drive(Processes(min(jobs, len(waiting)), dataset, learner), waiting, notify)
    else:
        for one in waiting:
            finish(one, dataset, partial(notify, one), learner)


def _on_cluster(
    address: str, waiting: Sequence[PlannedRun], dataset: Dataset, learner: MakeLearner | None
) -> Engine:
    try:
        from alnb.experiments.cluster import Cluster
    except ImportError as error:
        raise ConfigError(
            f"--cluster {address}: dask.distributed is not installed ({quoted(error)}). Install "
            "it: pip install 'alnb[cluster]'."
        ) from error
    return Cluster(address, waiting, dataset, learner)


def _drive(engine: Engine, waiting: list[PlannedRun], notify: Notify) -> None:
    """Carry runs out on an engine, and close it."""
    working = 0
    with contextlib.closing(engine):
        while waiting or working:
            while waiting and engine.free():
                engine.start(waiting.pop(0))
                working += 1
            for run, told in engine.receive():
                if isinstance(told, CycleReport):
                    notify(run, told)
                    continue
                working -= 1
                if told is Ended.LOST:
                    waiting.insert(0, run)


class Processes:
    """An `Engine` of this machine: so many processes at a time, which share the cores."""

    def __init__(self, jobs: int, dataset: Dataset, learner: MakeLearner | None) -> None:
        self._jobs, self._dataset, self._learner = jobs, dataset, learner
        self._threads = max(1, (os.cpu_count() or 1) // jobs)
        self._working: dict[Connection, RunProcess] = {}

    def free(self) -> bool:
        """Tell whether another run can be started."""
        return len(self._working) < self._jobs

    def start(self, run: PlannedRun) -> None:
        """Start a run in a process of its own."""
        process = RunProcess(run, self._dataset.folder, self._threads, self._learner)
        self._working[process.pipe] = process

    def receive(self) -> Iterator[Told]:
        """Wait until a process tells something."""
        for pipe in cast("list[Connection]", wait([*self._working])):
            process = self._working[pipe]
            report = process.receive()
            if report is None:
                del self._working[pipe]
            yield process.run, report or Ended.FINISHED

    def close(self) -> None:
        """End all processes."""
        for process in self._working.values():
            process.end()


class RunProcess:
    """A run in a process of its own, which ends with the process that started it.

    Parameters
    ----------
    run : PlannedRun
    folder : Path
        Of the dataset.
    threads : int
        Of torch.
    learner : callable, optional
        As for `carry_out`.

    Attributes
    ----------
    pipe : Connection
        Readable when there is something to `receive`.
    """

    def __init__(
        self, run: PlannedRun, folder: Path, threads: int, learner: MakeLearner | None
    ) -> None:
        self.run = run
        for name, value in THREADS.items():  # inherited; a worker of a cluster has not set them
            os.environ.setdefault(name, value)
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe(duplex=False)
        self._process = context.Process(
            target=_work, args=(theirs, run, folder, threads, learner), daemon=True
        )
        self._process.start()
        theirs.close()  # so that we notice its end

    def receive(self) -> CycleReport | None:
        """Wait for the report of a cycle, or for None when the run is finished.

        Raises
        ------
        TrainerError
            If the run failed, or its process died.
        """
        try:
            message = self.pipe.recv()
        except EOFError:
            self._process.join()
            raise TrainerError(
                f"the process of {self.run.folder.name} ended unexpectedly (exit code "
                f"{self._process.exitcode}), perhaps because memory ran out. What was done is "
                "kept: go on with the same command, and fewer runs at a time."
            ) from None
        if isinstance(message, str):
            raise TrainerError(f"{self.run.folder.name}: {message}")
        if message is None:
            self._process.join()
        return cast("CycleReport | None", message)

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.terminate()
        self._process.join(END_S)
        self._process.kill()
        self._process.join()


def _work(
    pipe: Connection, run: PlannedRun, folder: Path, threads: int, learner: MakeLearner | None
) -> None:
    """Finish a run; send a report after each cycle, then None, or a sentence if it fails."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the starting process gets it, and ends this one
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if learner is None:
        import torch

        torch.set_num_threads(threads)
    with contextlib.suppress(BrokenPipeError):  # the starting process is gone
        try:
            finish(run, Dataset.open(folder), pipe.send, learner)
        except AlnbError as error:
            pipe.send(str(error))
        except OSError as error:
            pipe.send(path_sentence(error, run.folder))
        else:
            pipe.send(None)


def _end_with_parent() -> None:
    """End this process as soon as the one that started it has ended, however it ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
