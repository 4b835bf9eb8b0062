import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fakes import install_heuristics

from alnb.config import Config
from alnb.errors import TrainerError
from alnb.oracle import Oracle
from alnb.pool import Pool, start_picks
from alnb.worker import TrainingCancelled, Worker

CONFIG = Config(
    backbone="efficientnet_lite0",
    regions_per_slice=4,
    start_regions=16,
    pretrain_steps=0,
    steps=4,
    batch=2,
    draws=3,
)


@pytest.fixture(scope="module")
def answers(squares):
    oracle = Oracle(squares)
    return [oracle.answer(pick.region) for pick in start_picks(Pool(squares, CONFIG))]


@pytest.fixture
def work(squares, tmp_path):
    """Run a coroutine that is given a worker, and end the worker after it."""

    def run(story, config=CONFIG, **options):
        async def whole():
            heard = []
            worker = Worker(squares, config, tmp_path / "cache", heard.append, **options)
            worker.heard = heard
            try:
                return await story(worker)
            finally:
                await worker.stop()

        return asyncio.run(whole())

    return run


def gone(pid, within_s=10.0):
    """Tell whether a process has ended, or is a zombie that nobody has asked after."""
    stat = Path(f"/proc/{pid}/stat")
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        try:
            state = stat.read_text().rsplit(") ", 1)[1][0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_a_whole_cycle_goes_through_the_process(work, squares, answers):
    async def cycle(worker):
        fit = await worker.fit(answers)
        scores = await worker.evaluate("test", fit.weights)
        slices = squares.part("train")
        table = await worker.score(slices, fit.weights)
        maps = await worker.predict(slices[:2], fit.weights)
        return worker, fit, scores, table, maps

    worker, fit, scores, table, maps = work(cycle)

    assert fit.steps == 4
    assert scores.tp + scores.fp + scores.fn + scores.tn == 4 * 32 * 32
    assert table["entropy"].shape == (8, 4)
    assert [m.mean.shape for m in maps.values()] == [(32, 32)] * 2
    assert {p.stage for p in worker.heard} == {"fit", "evaluate", "score", "predict"}
    assert all(p.loss is not None for p in worker.heard if p.stage == "fit")
    assert worker.backbone == "efficientnet_lite0"
    assert worker.device


def test_the_process_finds_a_packages_heuristic_or_says_what_is_wrong_with_it(
    work, squares, answers, tmp_path, monkeypatch
):
    code = "def low(posterior):\n    return 1 - posterior.mean\n"
    lib = tmp_path / "lib"
    install_heuristics(lib, code, low="theirs:low", gone="theirs:gone")
    monkeypatch.setenv("PYTHONPATH", f"{lib}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")

    async def score(worker):
        fit = await worker.fit(answers)
        return await worker.score(squares.part("train")[:1], fit.weights)

    assert work(score, CONFIG.replace(heuristic="low"))["low"].shape == (1, 4)
    with pytest.raises(TrainerError, match="heuristic 'gone' of the package theirs can't be load"):
        work(score, CONFIG.replace(heuristic="gone"))


def test_a_killed_process_is_a_sentence_and_the_next_training_works(work, answers):
    async def killed(worker):
        await worker.start()
        fitting = asyncio.create_task(worker.fit(answers))
        await asyncio.sleep(0.05)
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(TrainerError, match=r"was killed \(SIGKILL\).*Every answer is saved"):
            await fitting
        return await worker.fit(answers)

    assert work(killed).steps == 4


def test_cancel_stops_within_two_seconds_and_keeps_the_last_network(work, answers):
    async def cancelled(worker):
        fit = await worker.fit(answers[:12])
        worker.heard.clear()
        fitting = asyncio.create_task(worker.fit(answers))
        while not worker.heard:
            await asyncio.sleep(0.01)
        assert worker.heard[0].done < worker.heard[0].total
        worker.cancel()
        with pytest.raises(TrainingCancelled):
            await asyncio.wait_for(fitting, 2)
        return await worker.evaluate("test", fit.weights)

    assert work(cancelled, CONFIG.replace(steps=60)) is not None


def test_a_process_that_does_not_heed_a_cancel_is_ended_and_another_goes_on(work, answers):
    async def stuck(worker):
        fit = await worker.fit(answers[:12])
        first = worker.pid
        fitting = asyncio.create_task(worker.fit(answers))
        await asyncio.sleep(0.05)
        os.kill(first, signal.SIGSTOP)
        worker.cancel()
        with pytest.raises(TrainingCancelled):
            await asyncio.wait_for(fitting, 2)
        scores = await worker.evaluate("test", fit.weights)
        return first, worker.pid, scores

    first, second, scores = work(stuck)
    assert gone(first) and first != second
    assert scores is not None


def test_who_cancels_while_the_process_starts_waits_for_nothing_and_it_goes_on(work, answers):
    async def early(worker):
        fitting = asyncio.create_task(worker.fit(answers))
        while worker.pid is None:
            await asyncio.sleep(0.01)
        first = worker.pid
        begin = time.monotonic()
        worker.cancel()
        with pytest.raises(TrainingCancelled):
            await fitting
        waited = time.monotonic() - begin
        await worker.fit(answers)
        return waited, first == worker.pid

    waited, same = work(early)
    assert waited < 1  # torch takes longer than that to load
    assert same


def test_what_fails_in_the_process_is_a_sentence_and_it_lives_on(work, squares, answers):
    async def failing(worker):
        with pytest.raises(TrainerError, match="weights nonsense are not in"):
            await worker.score(squares.part("train"), "nonsense")
        first = worker.pid
        await worker.fit(answers)
        return first, worker.pid

    first, second = work(failing)

    assert first == second


def test_a_silent_process_is_given_up(work, answers):
    async def silent(worker):
        await worker.start()
        os.kill(worker.pid, signal.SIGSTOP)
        with pytest.raises(TrainerError, match="was silent"):
            await worker.fit(answers)

    work(silent, silence_s=8)


def test_the_process_ends_when_its_starter_is_killed(squares, tmp_path):
    code = """
import asyncio, sys, time
from pathlib import Path
from alnb.config import Config
from alnb.dataset import Dataset
from alnb.worker import Worker
async def main():
    worker = Worker(Dataset.open(sys.argv[1]), Config(), Path(sys.argv[2]))
    await worker.start()
    print(worker.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    starter = subprocess.Popen(
        [sys.executable, "-c", code, str(squares.folder), str(tmp_path / "cache")],
        stdout=subprocess.PIPE,
        text=True,
    )
    with starter:
        pid = int(starter.stdout.readline())
        starter.kill()

    assert gone(pid)


def test_stopping_ends_the_process(work):
    async def stopped(worker):
        await worker.start()
        pid = worker.pid
        await worker.stop()
        return pid

    assert gone(work(stopped), 1)
