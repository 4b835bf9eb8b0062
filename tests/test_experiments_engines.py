import json
import os
import signal
import subprocess
import sys
import time

import pytest
from fakes import FakeLearner
from planned import curves, small_runs

from alnb.errors import ConfigError, TrainerError
from alnb.experiments.engines import carry_out
from alnb.experiments.run import check
from alnb.journal import Journal


class Broken(FakeLearner):
    """Fails as soon as it has to train."""

    def fit(self, answers):
        raise TrainerError("there is nothing to train on.")


class Killed(FakeLearner):
    """Takes its process with it."""

    def fit(self, answers):
        os._exit(9)


@pytest.mark.parametrize("jobs", [1, 2])
def test_runs_are_carried_out_and_told_of(squares, tmp_path, jobs):
    told = []
    todo = small_runs(squares, tmp_path)
    carry_out(
        todo, squares, jobs=jobs, learner=FakeLearner,
        notify=lambda run, report: told.append((run.folder.name, report.cycle)),
    )  # fmt: skip

    assert sorted(told) == sorted((run.folder.name, n) for run in todo for n in range(3))
    assert all(run.finished for run in todo)
    assert check(todo, squares) == dict.fromkeys(todo, 1.0)


def test_several_jobs_give_what_one_gives(squares, tmp_path):
    for jobs in (1, 2):
        carry_out(
            small_runs(squares, tmp_path / str(jobs)), squares, jobs=jobs, learner=FakeLearner
        )

    one, two = (curves(small_runs(squares, tmp_path / str(jobs))) for jobs in (1, 2))
    assert one == two


def test_what_is_finished_is_not_run_again_but_goes_on_with_more_cycles(squares, tmp_path):
    carry_out(small_runs(squares, tmp_path), squares, learner=FakeLearner)
    again = []
    carry_out(small_runs(squares, tmp_path), squares, learner=Broken)
    carry_out(
        small_runs(squares, tmp_path, cycles=3), squares, learner=FakeLearner,
        notify=lambda run, report: again.append(report.cycle),
    )  # fmt: skip

    assert again == [3] * 4


def test_weights_go_when_a_run_is_finished_and_the_journal_stays(squares, tmp_path):
    (run, *_) = small_runs(squares, tmp_path)
    (run.folder / "cache").mkdir(parents=True)
    (run.folder / "cache" / "weights-a.safetensors").write_bytes(b"much")
    carry_out([run], squares, learner=FakeLearner)

    assert {path.name for path in run.folder.iterdir()} >= {"journal.jsonl", "curve.csv"}
    assert not (run.folder / "cache").exists()


def test_no_jobs_are_a_sentence(squares, tmp_path):
    with pytest.raises(ConfigError, match="--jobs is 0; it must be at least 1"):
        carry_out(small_runs(squares, tmp_path), squares, jobs=0)


def test_a_run_that_fails_in_its_process_is_said(squares, tmp_path):
    with pytest.raises(TrainerError, match=r"(entropy|random)-0: there is nothing to train on"):
        carry_out(small_runs(squares, tmp_path), squares, jobs=2, learner=Broken)


def test_a_process_that_dies_is_said(squares, tmp_path):
    with pytest.raises(TrainerError, match=r"-0 ended unexpectedly \(exit code 9\)"):
        carry_out(small_runs(squares, tmp_path), squares, jobs=2, learner=Killed)


def test_a_full_disk_is_a_sentence(squares, disk):
    runs = small_runs(squares, disk.path)
    disk.fill(left=16384)

    with pytest.raises(TrainerError, match=r"-0: .*there is no room for it. Make room"):
        carry_out(runs, squares, jobs=2, learner=FakeLearner)


COMMAND = "from alnb.cli import main; main()"
FAST = (
    "pretrain_steps=0", "steps=2", "draws=2", "start_regions=8", "regions_per_slice=16", "crop=32",
    "backbone=efficientnet_lite0",
)  # fmt: skip


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no Ctrl-C to a single process")
def test_ctrl_c_ends_all_jobs_and_the_same_command_goes_on(squares, tmp_path):
    words = [
        sys.executable, "-c", COMMAND, "bench", "fig5", str(squares.folder), "--seeds", "0",
        "--cycles", "3", "--jobs", "2", "--out", str(tmp_path),
        *(word for setting in FAST for word in ("--set", setting)),
    ]  # fmt: skip
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    first = process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
    _, err = process.communicate(timeout=30)

    assert process.returncode == 130
    assert "the same command goes on" in err
    assert "Traceback" not in err
    assert "cycle" in first
    assert not _alive(process.pid)
    assert not (tmp_path / "fig5.csv").exists()

    done = subprocess.run(words, capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if ": cycle" in line]
    assert 0 < len(lines) < 8  # of 2 runs of 4 cycles, some were done before
    table = (tmp_path / "fig5.csv").read_text().splitlines()
    assert len(table) == 1 + 8
    for path in (tmp_path / "fig5" / "runs").glob("*/journal.jsonl"):
        kinds = [event.kind for event in Journal(path).events]
        assert kinds.count("scored") == 4
    assert json.loads((tmp_path / "fig5.json").read_text())["seeds"] == [0]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no process groups")
def test_jobs_end_at_once_when_the_command_is_killed(squares, tmp_path):
    endless = [setting for setting in FAST if not setting.startswith("steps")] + ["steps=1000000"]
    words = [
        sys.executable, "-c", COMMAND, "bench", "fig5", str(squares.folder), "--seeds", "0",
        "--cycles", "1", "--jobs", "2", "--out", str(tmp_path), "--set", "epochs=1000000",
        *(word for setting in endless for word in ("--set", setting)),
    ]  # fmt: skip
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, start_new_session=True)
    while len(list(tmp_path.glob("fig5/runs/*/journal.jsonl"))) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()

    assert not _alive(process.pid)


def _alive(group):
    """Tell whether a process of a group is left, a moment after it was ended."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.05)
    return True
