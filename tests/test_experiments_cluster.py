import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import dask
import pytest
from distributed import Client, LocalCluster
from fakes import FEW, FakeLearner, scan_of
from planned import curves, small_runs

from alnb.dataset import Dataset, build
from alnb.errors import AlnbError, ConfigError, DataError, TrainerError
from alnb.experiments import cluster
from alnb.experiments.cluster import Wanted
from alnb.experiments.engines import carry_out
from alnb.experiments.run import check
from alnb.journal import Journal

pytestmark = pytest.mark.usefixtures("untraced")
TESTS = Path(__file__).parent


class Stuck(FakeLearner):
    """The first of them never learns, and leaves a file with its process and its parent's."""

    def __init__(self, dataset, config, *, mark):
        super().__init__(dataset, config)
        self.mark = mark

    def fit(self, answers):
        with contextlib.suppress(FileExistsError):
            with self.mark.open("x") as file:
                file.write(f"{os.getpid()} {os.getppid()}")
            time.sleep(600)
        return super().fit(answers)


class Broken(FakeLearner):
    """Fails as soon as it has to train."""

    def fit(self, answers):
        raise TrainerError("there is nothing to train on.")


class KillsWorker(FakeLearner):
    """Takes its worker with it."""

    def fit(self, answers):
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(600)


@pytest.fixture(scope="module")
def dask_command(tmp_path_factory):
    """Return a function that starts a command of dask, which is ended after the module's tests."""
    folder = tmp_path_factory.mktemp("dask")
    path = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    with contextlib.ExitStack() as ending:

        def start(*words, **env):
            with (folder / "log").open("a") as log:
                process = subprocess.Popen(
                    [sys.executable, "-m", "dask", *map(str, words)], cwd=folder, stdout=log,
                    stderr=log, env={**os.environ, "PYTHONPATH": path, **env},
                )  # fmt: skip
            ending.callback(process.wait)
            ending.callback(process.kill)
            return process

        yield start


@pytest.fixture(scope="module")
def scheduler(dask_command, tmp_path_factory):
    """The address of a scheduler with two workers of one thread each."""
    file = tmp_path_factory.mktemp("scheduler") / "scheduler.json"
    dask_command(
        "scheduler",
        "--host",
        "127.0.0.1",
        "--port",
        0,
        "--dashboard-address",
        "127.0.0.1:0",
        "--scheduler-file",
        file,
    )
    for _ in range(2):
        dask_command("worker", "--scheduler-file", file, "--nthreads", 1, "--no-dashboard")
    with Client(scheduler_file=str(file), timeout=60) as client:
        client.wait_for_workers(2, timeout=60)
        yield client.scheduler.address


def wait_until(true):
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def alive(process):
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, 0)
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    return False


def test_workers_give_what_one_process_gives(scheduler, squares, tmp_path):
    told = []
    here, there = (small_runs(squares, tmp_path / place, seeds=[0]) for place in ("here", "there"))
    carry_out(here, squares, learner=FakeLearner)
    carry_out(
        there, squares, cluster=scheduler, learner=FakeLearner,
        notify=lambda run, report: told.append((run.folder.name, report.cycle)),
    )  # fmt: skip

    assert curves(there) == curves(here)
    assert sorted(told) == sorted((run.folder.name, n) for run in there for n in range(3))
    assert check(there, squares) == dict.fromkeys(there, 1.0)
    assert not list(tmp_path.glob("there/**/cache"))


def test_a_run_whose_worker_is_killed_goes_on_elsewhere(scheduler, squares, tmp_path):
    mark = tmp_path / "mark"
    here, there = (small_runs(squares, tmp_path / place, seeds=[0]) for place in ("here", "there"))
    killed = []

    def heard(run, report):
        if not killed:
            wait_until(lambda: mark.exists() and mark.read_text())
            killed.extend(map(int, mark.read_text().split()))
            os.kill(killed[1], signal.SIGKILL)

    carry_out(there, squares, cluster=scheduler, learner=partial(Stuck, mark=mark), notify=heard)
    carry_out(here, squares, learner=FakeLearner)

    assert curves(there) == curves(here)
    assert not any(map(alive, killed))


def test_after_a_stop_the_same_call_goes_on_and_no_process_is_left(scheduler, squares, tmp_path):
    (run, *_) = small_runs(squares, tmp_path / "runs")
    again = []

    def stop(run, report):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carry_out([run], squares, cluster=scheduler, learner=FakeLearner, notify=stop)
    assert not run.finished
    kinds = [event.kind for event in Journal(run.folder / "journal.jsonl").events]
    done = kinds.count("scored")
    assert done >= 1

    carry_out(
        [run], squares, cluster=scheduler, learner=FakeLearner,
        notify=lambda _, report: again.append(report.cycle),
    )  # fmt: skip
    assert again == [*range(done, 3)]
    assert run.finished


def test_a_run_that_fails_is_said_with_its_worker(scheduler, squares, tmp_path):
    runs = small_runs(squares, tmp_path)

    with pytest.raises(
        TrainerError, match=r"^worker tcp://\S+: (entropy|random)-\d: there is noth"
    ):
        carry_out(runs, squares, cluster=scheduler, learner=Broken)


def test_a_run_that_kills_its_workers_is_given_up(scheduler, squares, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "DEATHS", 2)  # each takes seconds
    (run, *_) = small_runs(squares, tmp_path)

    with pytest.raises(TrainerError, match="entropy-0: 2 workers died while they had this run"):
        carry_out([run], squares, cluster=scheduler, learner=KillsWorker)


# --- who may take runs ---


def test_a_dataset_that_a_worker_can_not_see_is_said(scheduler, squares, tmp_path):
    folder = shutil.copytree(squares.folder, tmp_path / "data")
    dataset = Dataset.open(folder)
    folder.rename(tmp_path / "elsewhere")

    with pytest.raises(
        AlnbError, match=rf"^worker tcp://\S+: it can't read .*{folder}.*ALNB_DATA="
    ):
        carry_out(small_runs(squares, tmp_path), dataset, cluster=scheduler, learner=FakeLearner)
    assert not list(tmp_path.glob("fig5/runs/*"))


def test_a_dataset_is_found_where_the_worker_has_it(squares, tmp_path, monkeypatch):
    folder = shutil.copytree(squares.folder, tmp_path / "data")
    wanted = Wanted.of([], Dataset.open(folder))
    there = folder.rename(tmp_path / "elsewhere")

    monkeypatch.setenv("ALNB_DATA", str(there))
    wanted.check()
    assert wanted.dataset().folder == there


def test_another_dataset_or_a_changed_one_is_refused(squares, tmp_path):
    folder = shutil.copytree(squares.folder, tmp_path / "data")
    wanted = Wanted.of([], Dataset.open(folder))
    path = next((folder / "masks").glob("*.npy"))
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    with pytest.raises(DataError, match="it was changed"):
        wanted.check()

    shutil.rmtree(folder)
    build([scan_of("other", 4, 32, 9)], folder, size=32, split={"other": "train"})
    with pytest.raises(DataError, match="another dataset is there now"):
        wanted.check()


@pytest.mark.parametrize("name", ["alnb", "Python", "torch"])
def test_a_worker_of_another_version_is_refused(squares, monkeypatch, name):
    wanted = Wanted.of([FEW], squares)
    versions = {**cluster.versions_of(), name: "0.1"}
    monkeypatch.setattr(cluster, "versions_of", lambda: versions)

    with pytest.raises(ConfigError, match=rf"it has {name} 0\.1, and this command \d"):
        wanted.check()


def test_a_worker_whose_settings_mean_something_else_is_refused(squares):
    wanted = Wanted.of([FEW], squares)
    newer = {**FEW.to_dict(), "steps": 7}

    with pytest.raises(ConfigError, match="reads the settings of these runs differently"):
        replace(wanted, settings=[newer]).check()
    with pytest.raises(ConfigError, match="reads the settings of these runs differently"):
        replace(wanted, settings=[{"nonsense": 1}]).check()


def test_a_worker_of_another_alnb_is_said(scheduler, dask_command, squares, tmp_path):
    """A worker whose alnb is older than clusters."""
    (tmp_path / "alnb").mkdir()
    (tmp_path / "alnb" / "__init__.py").write_text('__version__ = "0.1"')
    process = dask_command(
        "worker", scheduler, "--nthreads", 1, "--no-dashboard", PYTHONPATH=str(tmp_path)
    )
    with Client(scheduler) as client:
        client.wait_for_workers(3, timeout=60)
    with pytest.raises(TrainerError, match=r"can't run alnb \(.+\)\. Install alnb "):
        carry_out(small_runs(squares, tmp_path), squares, cluster=scheduler, learner=FakeLearner)
    process.terminate()


# --- addresses ---


@pytest.mark.parametrize("address", ["", "local", "local:0", "local:x", "slurm:", "host:8786"])
def test_an_address_that_can_not_be_read_is_said(squares, tmp_path, address):
    with pytest.raises(ConfigError, match=r"can't be read; give local:N, tcp://HOST:PORT, slurm"):
        carry_out(small_runs(squares, tmp_path), squares, cluster=address)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "tcp://nonsense:port", "tcp://"])
def test_an_address_where_nobody_answers_is_said_soon(squares, tmp_path, monkeypatch, address):
    monkeypatch.setattr(cluster, "CONNECT_S", 0.5)

    with pytest.raises(ConfigError, match="no dask scheduler answers there"):
        carry_out(small_runs(squares, tmp_path), squares, cluster=address)


def test_a_scheduler_without_workers_is_said(squares, tmp_path):
    with (
        LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as none,
        pytest.raises(TrainerError, match="no worker has joined that scheduler"),
    ):
        carry_out(small_runs(squares, tmp_path), squares, cluster=none.scheduler_address)


def test_slurm_without_sbatch_is_said(squares, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ConfigError, match="there is no sbatch on this machine"):
        carry_out(small_runs(squares, tmp_path), squares, cluster="slurm")


def test_slurm_runs_a_worker_for_each_run(squares, tmp_path, monkeypatch):
    """With an sbatch that starts the job here."""
    (run, *_), job = small_runs(squares, tmp_path / "runs"), tmp_path / "job.sh"
    start = f'cp "$1" {job}\nbash {job} >{job}.log 2>&1 &\necho "Submitted batch job $!"'
    for name, text in {"sbatch": start, "scancel": 'kill "$1"'}.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), str(TESTS.parent)]))
    with pytest.raises(ConfigError, match=r"jobqueue\.slurm\.cores is not set\. Set it in"):
        carry_out([run], squares, cluster="slurm")

    with dask.config.set({"jobqueue.slurm.cores": 1, "jobqueue.slurm.memory": "1GB"}):
        carry_out([run], squares, cluster="slurm", learner=FakeLearner)

    assert run.finished


def test_without_dask_it_says_what_to_install(squares, tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "alnb.experiments.cluster")
    monkeypatch.setitem(sys.modules, "distributed", None)

    with pytest.raises(ConfigError, match=r"Install it: pip install 'alnb\[cluster\]'"):
        carry_out(small_runs(squares, tmp_path), squares, cluster="local:2")
