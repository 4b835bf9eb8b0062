"""Runs on the workers of a dask cluster: of this machine, at an address, or jobs of Slurm.

A worker has one run at a time, in a `RunProcess` on all its threads. It writes to a folder of the
worker. The run's small files come back after each cycle, so no disk is shared; if the worker dies,
the run goes on from those files on another.

A worker takes runs once it has shown that it is the same alnb and sees the same dataset: where it
lies here, or in the folder that the worker's environment names as `DATA`.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import logging
import multiprocessing
import os
import pickle
import platform
import queue
import shutil
import signal
import tempfile
import uuid
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import dask
from distributed import Client, Future, LocalCluster, Worker, WorkerPlugin, get_worker
from distributed.comm.core import connect
from distributed.deploy.spec import SpecCluster

import alnb
from alnb.config import Config
from alnb.dataset import Dataset
from alnb.errors import (
    AlnbError,
    ConfigError,
    DataError,
    TrainerError,
    path_sentence,
    quoted,
    saying,
)
from alnb.experiments.engines import Ended, RunProcess, Told
from alnb.experiments.run import FINISHED, MakeLearner, PlannedRun
from alnb.reports import CycleReport
from alnb.session import Session
from alnb.storage import JOURNAL, short_hash, write_durably

DATA = "ALNB_DATA"  # on a worker: the folder of the dataset there
CONNECT_S = 5.0  # ours: a scheduler of the same network answers in milliseconds
SUBMIT_S = 60.0  # ours: sbatch answers in a second
LOOK_S = 0.5  # ours: how often workers are counted, and a worker sees that its run was ended
DEATHS = 3  # ours: a run that takes so many workers with it is at fault itself
SLOT = "alnb"  # the resource of a worker that takes runs: one
LOOPBACK = "127.0.0.1:0"  # a free port for dask's own page, where only this machine reads it
SETTINGS = "~/.config/dask/jobqueue.yaml"
SCHEDULER = "jobqueue.slurm.scheduler-options"  # among dask's settings
FILES = (JOURNAL, "curve.csv", FINISHED)  # that come back; the mark of the end is written last

Files = Mapping[str, bytes]
logger = logging.getLogger(__name__)


# --- on a worker ---


@dataclass(frozen=True)
class Wanted:
    """What must be the same on a worker as here.

    Parameters
    ----------
    versions : mapping
        As `versions_of` returns.
    settings : sequence of dict
        Of all runs, as `Config.to_dict` gives them.
    settings_hash : str
        Of the settings as they are read here.
    folder : Path
        Of the dataset, absolute.
    fingerprint : str
        Of the dataset.
    """

    versions: Mapping[str, str]
    settings: Sequence[dict[str, Any]]
    settings_hash: str
    folder: Path
    fingerprint: str

    @classmethod
    def of(cls, configs: Sequence[Config], dataset: Dataset) -> Wanted:
        """Ask for what is here."""
        settings = [config.to_dict() for config in configs]
        folder = dataset.folder.resolve()
        return cls(versions_of(), settings, _settings_hash(settings), folder, dataset.fingerprint)

    def check(self) -> None:
        """Raise a `ConfigError` or a `DataError` if something differs on this machine."""
        for name, there in versions_of().items():
            if (here := self.versions[name]) != there:
                raise ConfigError(
                    f"it has {name} {there}, and this command {here}, which may train "
                    f"differently. Install {name} {here} there."
                )
        if _settings_hash(self.settings) != self.settings_hash:
            raise ConfigError(
                "it reads the settings of these runs differently, so its alnb was changed. Install "
                "the same alnb there."
            )
        self.dataset().verify()

    def dataset(self) -> Dataset:
        """Open the dataset on this machine; raise a `DataError` if it is not here."""
        folders = [self.folder, *(Path(name) for name in [os.environ.get(DATA)] if name)]
        why = []
        for folder in folders:
            try:
                return Dataset.open(folder, self.fingerprint)
            except AlnbError as error:
                why.append(str(error))
        raise DataError(
            f"it can't read the dataset ({why[-1].rstrip('.')}). Copy {self.folder} to the same "
            f"place there, or start the worker with {DATA}=FOLDER in its environment."
        )


def versions_of() -> dict[str, str]:
    """Return the versions on this machine of what decides how a run trains."""
    return {
        "alnb": alnb.__version__,
        "Python": ".".join(platform.python_version_tuple()[:2]),
        "torch": importlib.metadata.version("torch").partition("+")[0],  # for any device
    }


def _settings_hash(settings: Sequence[dict[str, Any]]) -> str:
    try:
        return short_hash([Config.from_dict(one).to_dict() for one in settings])
    except (TypeError, ValueError):
        return "unreadable"


class Admission(WorkerPlugin):
    """Gives a worker a `SLOT` for a run if it has what is wanted, and tells the client if not."""

    def __init__(self, wanted: Wanted, topic: str) -> None:
        self.wanted, self.topic = wanted, topic

    async def setup(self, worker: Worker) -> None:
        """Check the worker, off its event loop: the whole dataset is read."""
        try:
            await asyncio.to_thread(self.wanted.check)
        except AlnbError as error:
            sentence = f"worker {worker.address}: {error}"
            worker.log_event(self.topic, {"refused": sentence, "worker": worker.address})
            raise TrainerError(sentence) from error
        await worker.set_resources(**{SLOT: 1})


def carry_out_here(
    run: PlannedRun, wanted: Wanted, files: Files, topic: str, learner: MakeLearner | None
) -> None:
    """Finish a run on this worker, as a task of dask, and send what it tells with its files.

    Parameters
    ----------
    run : PlannedRun
    wanted : Wanted
        Names the dataset.
    files : mapping
        What there is of the run already, by name.
    topic : str
        Of the events that are sent: a report after each cycle, then None.
    learner : callable, optional
        As for `engines.carry_out`.

    Raises
    ------
    AlnbError
        If the run fails.
    """
    worker = get_worker()
    key = worker.get_current_task()
    multiprocessing.current_process().daemon = False  # dask's workers are, and may start no process
    with _own_folder(Path(worker.local_directory)) as folder:
        own = replace(run, folder=folder / run.folder.name)
        lay(own.folder, files)
        process = RunProcess(own, wanted.dataset().folder, worker.state.nthreads, learner)
        try:
            report: CycleReport | None
            while worker.state.tasks[key].state != "cancelled":
                if not process.pipe.poll(LOOK_S):
                    continue
                report = process.receive()
                what = pickle.dumps((report, files_of(own.folder)))
                worker.log_event(topic, {"run": run.folder.name, "what": zlib.compress(what)})
                if report is None:
                    return
        finally:
            process.end()


@contextlib.contextmanager
def _own_folder(place: Path) -> Iterator[Path]:
    """Make a folder in a place, and delete it at the end; say where there is no room for it."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="alnb-", dir=place))
    except OSError as error:
        raise TrainerError(path_sentence(error, place)) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# --- what travels ---


def files_of(folder: Path) -> dict[str, bytes]:
    """Read those of `FILES` that are in a run's folder."""
    return {name: (folder / name).read_bytes() for name in FILES if (folder / name).exists()}


@saying("folder")
def lay(folder: Path, files: Files) -> None:
    """Write those of `FILES` that are given into a run's folder, each whole or not at all."""
    for name in FILES:
        if name in files:
            write_durably(folder / name, files[name])


# --- here ---


class Cluster:
    """An `Engine`: the workers of a dask cluster, one run each.

    Parameters
    ----------
    address : str
        ``local:N`` starts N workers here that share the cores, ``slurm`` a worker for each run, and
        ``slurm:N`` so many; ``tcp://HOST:PORT`` is the scheduler of workers that exist.
    runs : sequence of PlannedRun
        All that will be started.
    dataset : Dataset
    learner : callable, optional
        As for `engines.carry_out`.

    Raises
    ------
    AlnbError
        If the address can't be read or nobody answers there, or a worker may not take runs.
    """

    def __init__(
        self,
        address: str,
        runs: Sequence[PlannedRun],
        dataset: Dataset,
        learner: MakeLearner | None,
    ) -> None:
        self._address, self._dataset, self._learner = address, dataset, learner
        self._wanted = Wanted.of([run.config for run in runs], dataset)
        self._topic = f"alnb-{uuid.uuid4().hex}"
        self._events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._working: dict[str, tuple[PlannedRun, Future[None]]] = {}  # by the worker's address
        self._cycles: Counter[str] = Counter()  # how many came back, by the run's name
        self._deaths: Counter[str] = Counter()  # of workers, by the run's name
        self._workers: dict[str, Any] = {}  # dask's, by address
        self._refused: set[str] = set()  # addresses
        self._waiting = False  # for a worker, since there is none
        self._closing = contextlib.ExitStack()
        with contextlib.ExitStack() as opened:
            self._client = _connected(address, len(runs), opened)
            self._client.subscribe_topic(self._topic, lambda event: self._events.put(event[1]))
            opened.callback(self._withdraw)
            self._admit()
            self._closing = opened.pop_all()

    def _admit(self) -> None:
        """Check all workers, and those that join later before they get a run."""
        try:
            with self._answering():
                self._client.register_plugin(Admission(self._wanted, self._topic), self._topic)
        except AlnbError:
            raise
        except Exception as error:  # of a worker that has no such plugin
            raise TrainerError(
                f"a worker of {self._address} can't run alnb ({quoted(error)}). Install alnb "
                f"{alnb.__version__} for the Python of each worker."
            ) from error
        self._look()
        if self._address.startswith("tcp:") and not self._workers:
            raise TrainerError(
                f"{self._address}: no worker has joined that scheduler. Start some: dask worker "
                f"{self._address} --nthreads 1"
            )

    @contextlib.contextmanager
    def _answering(self) -> Iterator[None]:
        """Say that the scheduler has ended, if that is why it can't be asked."""
        try:
            yield
        except (OSError, RuntimeError) as error:
            raise TrainerError(
                f"{self._address}: the scheduler no longer answers ({quoted(error)}). What was "
                "done is kept: start it, and repeat the command."
            ) from error

    def _look(self) -> None:
        """See which workers there are."""
        # not by `scheduler_info`, whose answer a periodic update may replace by one of no workers
        scheduler: Any = self._client.scheduler
        with self._answering():
            self._workers = dict(self._client.sync(scheduler.identity, n_workers=-1)["workers"])

    def free(self) -> bool:
        """Tell whether a worker has no run."""
        return bool(self._idle())

    def _idle(self) -> list[str]:
        return [
            address
            for address in self._admitted()
            if self._workers[address]["status"] == "running" and address not in self._working
        ]

    def _admitted(self) -> list[str]:
        return [
            address
            for address, worker in self._workers.items()
            if worker["resources"].get(SLOT) and address not in self._refused
        ]

    def start(self, run: PlannedRun) -> None:
        """Send a run to a worker without one. Its journal begins here, with this dataset's name."""
        Session.open(run.folder, run.data(self._dataset), run.config).close()
        address = self._idle()[0]
        future = self._client.submit(
            carry_out_here, run, self._wanted, files_of(run.folder), self._topic, self._learner,
            key=f"{run.folder.name}-{uuid.uuid4().hex}", workers=[address], resources={SLOT: 1},
        )  # fmt: skip
        self._working[address] = run, future

    def receive(self) -> Iterator[Told]:
        """Wait a moment for an event; yield it, and the runs whose workers died."""
        with contextlib.suppress(queue.Empty):
            event = self._events.get(timeout=LOOK_S)
            while True:
                yield from self._heard(event)
                event = self._events.get_nowait()
        self._look()
        if not self._workers and not self._waiting:
            logger.warning("%s: no worker is there; the runs wait for one.", self._address)
        self._waiting = not self._workers
        for address, (run, future) in [*self._working.items()]:
            if future.status == "error":
                self._failed(address, run, future)
            if address not in self._workers or future.status in ("cancelled", "lost"):
                yield from self._lost(address)

    def _heard(self, event: Mapping[str, Any]) -> Iterator[Told]:
        """Take what a worker sent; a late one that may take no run is only told of."""
        if "refused" in event:
            self._refused.add(event["worker"])
            self._look()
            if not self._admitted():
                raise TrainerError(event["refused"])
            logger.warning("%s It gets no run.", event["refused"])
            return
        for address, (run, _) in [*self._working.items()]:
            if run.folder.name == event["run"]:
                report, files = pickle.loads(zlib.decompress(event["what"]))  # noqa: S301 - as dask
                if report is None or report.cycle >= self._cycles[event["run"]]:
                    lay(run.folder, files)
                if report is None:
                    del self._working[address]
                else:
                    self._cycles[event["run"]] = report.cycle
                yield run, report or Ended.FINISHED

    def _failed(self, address: str, run: PlannedRun, future: Future[None]) -> None:
        error = future.exception()
        sentence = str(error) if isinstance(error, AlnbError) else f"{quoted(error)}."
        raise TrainerError(f"worker {address}: {sentence}")

    def _lost(self, address: str) -> Iterator[Told]:
        """Take a run from a worker that is gone."""
        run, future = self._working.pop(address)
        future.cancel()
        self._deaths[run.folder.name] += 1
        if self._deaths[run.folder.name] == DEATHS:
            raise TrainerError(
                f"{run.folder.name}: {DEATHS} workers died while they had this run, the last at "
                f"{address}, perhaps because memory ran out. What was done is kept: give the "
                "workers more memory, and repeat the command."
            )
        logger.warning("worker %s is gone; %s goes on elsewhere.", address, run.folder.name)
        yield run, Ended.LOST

    def close(self) -> None:
        """End the runs that are not finished, and the workers that were started for them."""
        self._closing.close()

    def _withdraw(self) -> None:
        """Take back what was asked of the workers."""
        runs = [future for _, future in self._working.values()]
        with contextlib.suppress(Exception):  # of a scheduler that died; then nothing runs there
            self._client.cancel(runs, force=True)
        with contextlib.suppress(Exception):  # of a worker that could not even take the plugin
            self._client.unregister_worker_plugin(self._topic)


# --- addresses ---

_FORMS = "give local:N, tcp://HOST:PORT, slurm or slurm:N"


def _connected(address: str, runs: int, opened: contextlib.ExitStack) -> Client:
    """Connect to a cluster, or start one; `opened` closes what was opened."""
    kind, colon, rest = address.partition(":")
    _quieten()
    target: str | SpecCluster = address
    if kind in ("local", "slurm"):
        if not ((rest.isdecimal() and int(rest)) or (kind == "slurm" and not colon)):
            raise ConfigError(f"--cluster {address!r} can't be read; {_FORMS}.")
        workers = min(int(rest or runs), runs)
        target = _local(workers, opened) if kind == "local" else _slurm(workers, opened)
    elif kind != "tcp":
        raise ConfigError(f"--cluster {address!r} can't be read; {_FORMS}.")
    try:
        if kind == "tcp":
            _greet(address)
        client: Client = opened.enter_context(Client(target, timeout=CONNECT_S))
        return client
    except Exception as error:  # another kind of server answers anything
        raise ConfigError(
            f"--cluster {address}: no dask scheduler answers there "
            f"({quoted(error) or 'something else listens'}). Start one: dask scheduler. It prints "
            "its address."
        ) from error


def _greet(address: str) -> None:
    """Shake hands with a scheduler; a `Client` would wait for ever on another kind of server."""

    async def greet() -> None:
        async with asyncio.timeout(2 * CONNECT_S):
            comm = await connect(address, timeout=CONNECT_S)
        await comm.close()

    with ThreadPoolExecutor(1) as thread:  # a notebook has a loop in this one
        thread.submit(asyncio.run, greet()).result()


def _local(workers: int, opened: contextlib.ExitStack) -> SpecCluster:
    """Start workers on this machine, which only it can reach."""
    threads = max(1, (os.cpu_count() or 1) // workers)
    cluster = LocalCluster(
        workers, threads_per_worker=threads, dashboard_address=LOOPBACK, preload=[__name__]
    )
    return cast("SpecCluster", opened.enter_context(cluster))


def dask_setup(worker: Worker) -> None:
    """Leave Ctrl-C to the command that started a worker, in the same terminal; dask calls this."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _quieten()


def _quieten() -> None:
    """Keep dask's own log off the terminal, since we say what a person can mend."""
    for library in ("distributed", "tornado.application"):
        logging.getLogger(library).setLevel(logging.CRITICAL)


def _slurm(workers: int, opened: contextlib.ExitStack) -> SpecCluster:
    """Ask Slurm for workers, as dask's own settings describe a job."""
    if shutil.which("sbatch") is None:
        raise ConfigError(
            "--cluster slurm: there is no sbatch on this machine. Run the command on a login node "
            "of the cluster."
        )
    from dask_jobqueue.slurm import SLURMCluster

    for name in ("jobqueue.slurm.cores", "jobqueue.slurm.memory"):
        if dask.config.get(name) is None:
            raise ConfigError(
                f"--cluster slurm: {name} is not set. Set it in {SETTINGS}, for a worker's job."
            )
    try:
        options = {"dashboard_address": LOOPBACK, **dask.config.get(SCHEDULER, {})}
        cluster = SLURMCluster(n_workers=workers, scheduler_options=options)
        opened.callback(_close, cluster)
        cluster.sync(_submitted, cluster)
    except (ValueError, RuntimeError, OSError) as error:
        said = quoted(Exception(str(error).rpartition("stderr:")[2]))  # by sbatch
        raise ConfigError(
            f"--cluster slurm: no job can be started ({said}). Correct jobqueue.slurm in "
            f"{SETTINGS}: cores, memory, walltime and queue of a worker's job."
        ) from error
    return cast("SpecCluster", cluster)


async def _submitted(cluster: SpecCluster) -> None:
    """Wait until Slurm has taken the jobs; raise what it says."""
    async with asyncio.timeout(SUBMIT_S):
        while len(cluster.workers) < len(cluster.worker_spec):
            await asyncio.sleep(LOOK_S)
        for job in cluster.workers.values():
            await job


def _close(cluster: SpecCluster) -> None:
    with contextlib.suppress(Exception):  # of jobs that never began
        cluster.close()
