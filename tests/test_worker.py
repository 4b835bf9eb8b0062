import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from textwrap import indent
from types import SimpleNamespace

import numpy as np
import pytest
from fakes import install_heuristics

from alnb.config import Config
from alnb.errors import LOGGER, TrainerError, log_to
from alnb.oracle import Oracle
from alnb.origins import Origins
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
            worker = Worker(squares, config, tmp_path / "cache", **options)
            try:
                return await story(worker)
            finally:
                await worker.stop()

        return asyncio.run(whole())

    return run


@pytest.fixture(scope="module")
def started(squares, tmp_path_factory):
    """A worker that no test ends, what it heard, and how to run a coroutine on its loop."""
    heard = []
    folder = tmp_path_factory.mktemp("worker")
    with asyncio.Runner() as runner:
        config = CONFIG.replace(steps=40)
        worker = Worker(squares, config, folder / "cache", heard.append, silence_s=8)
        yield SimpleNamespace(worker=worker, heard=heard, run=runner.run)
        runner.run(worker.stop())


@pytest.fixture
def pretended(squares, tmp_path, monkeypatch):
    """Run a coroutine that is given a worker, whose process does what Python code says."""

    def run(story, code, on_progress=lambda progress: None, **options):
        program = tmp_path / "process"
        program.write_text(PROGRAM.format(python=sys.executable, code=indent(code, " " * 8)))
        program.chmod(0o755)
        monkeypatch.setattr("alnb.worker.sys.executable", str(program))

        async def whole():
            worker = Worker(squares, CONFIG, tmp_path / "cache", on_progress, **options)
            try:
                return await asyncio.wait_for(story(worker), 20)
            finally:
                await worker.stop()

        return asyncio.run(whole())

    return run


PROGRAM = """#!{python}
import json, sys, time
def say(event, **fields):
    print(json.dumps(dict(fields, event=event)), flush=True)
for line in sys.stdin:
    command = json.loads(line)
    do, number = command["do"], command.get("id", -1)
    if do == "quit":
        break
    if do == "open":
        cache = command["cache"]
        say("done", id=number, device="none", backbone="none", origin="abc")
    else:
{code}
"""


def gone(pid, within_s=120.0):
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


def test_a_whole_cycle_goes_through_the_process(started, squares, answers):
    worker, slices = started.worker, squares.part("train")

    async def cycle():
        fit = await worker.fit(answers)
        scores = await worker.evaluate("test", fit.weights)
        table = await worker.score(slices, fit.weights)
        return fit, scores, table, await worker.predict(slices[:2], fit.weights)

    fit, scores, table, maps = started.run(cycle())

    assert (fit.steps, fit.batch, fit.crop) == (40, 2, 32)
    assert fit.notice == "EfficientNet-Lite0 with ImageNet weights"
    assert scores.tp + scores.fp + scores.fn + scores.tn == 4 * 32 * 32
    assert table["entropy"].shape == (8, 4)
    assert [m.mean.shape for m in maps.values()] == [(32, 32)] * 2
    assert {p.stage for p in started.heard} == {"fit", "evaluate", "score", "predict"}
    assert all(p.loss is not None for p in started.heard if p.stage == "fit")
    assert worker.backbone == "efficientnet_lite0"
    assert worker.device


def test_cancel_stops_within_two_seconds_and_keeps_the_last_network(started, answers):
    worker, heard = started.worker, started.heard

    async def cancelled():
        fit = await worker.fit(answers)
        pid = worker.pid
        heard.clear()
        fitting = asyncio.create_task(worker.fit(answers[:12]))
        while not heard:
            await asyncio.sleep(0.01)
        assert heard[0].done < heard[0].total
        worker.cancel()
        with pytest.raises(TrainingCancelled):
            await asyncio.wait_for(fitting, 2)
        if worker.pid == pid:  # else a busy machine had it ended, which another test is about
            assert await worker.evaluate("test", fit.weights) is not None

    started.run(cancelled())


def test_what_fails_in_the_process_is_a_sentence_and_it_lives_on(started, squares, answers, log):
    worker = started.worker

    async def failing():
        with pytest.raises(TrainerError, match="weights nonsense are not in"):
            await worker.score(squares.part("train"), "nonsense")
        assert "Traceback" in log.read_text("utf-8")
        first = worker.pid
        await worker.fit(answers)
        assert first == worker.pid

    started.run(failing())


def test_a_page_that_fails_to_show_progress_leaves_the_training_alone(pretended, caplog):
    def fail(progress):
        raise KeyError("a closed page")

    code = """say("progress", id=number, stage="evaluate", done=1, total=1)
say("done", id=number, scores=None)"""

    assert pretended(lambda worker: worker.evaluate("test", ""), code, fail) is None
    assert "could not be shown" in caplog.text and "a closed page" in caplog.text


def test_a_process_without_a_command_ends_and_the_next_command_starts_another(pretended):
    async def story(worker):
        await worker.prepare()
        first = worker.pid
        while worker.pid is not None:
            await asyncio.sleep(0.01)
        assert gone(first)

        works = asyncio.create_task(worker.fit([]))
        while worker.pid is None:
            await asyncio.sleep(0.01)
        second = worker.pid
        await asyncio.sleep(0.3)  # longer than it may be without a command, but it has one
        assert worker.pid == second
        worker.cancel()
        with pytest.raises(TrainingCancelled):
            await works

    code = "if do == 'fit': continue\nif do == 'cancel': say('cancelled', id=number)\n"
    pretended(story, code + "else: say('done', id=number)", idle_s=0.1)


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """A cache of the user's in which no other test has left anything."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    return tmp_path / "user" / "alnb" / "origins"


def test_what_a_process_said_of_the_network_is_known_to_the_next_page(
    pretended, squares, tmp_path, own_cache
):
    assert Worker(squares, CONFIG, tmp_path / "a").origin == ""
    pretended(lambda worker: worker.prepare(), "say('done', id=number)")

    again = Worker(squares, CONFIG, tmp_path / "b")
    assert (again.origin, again.backbone, again.pid) == ("abc", "none", None)
    assert Worker(squares, CONFIG.replace(seed=8), tmp_path / "b").origin == ""  # other settings
    (known,) = own_cache.glob("*/*.json")
    for spoilt in ('{"of": [', "[]", '{"device": 1}'):
        known.write_text(spoilt)
        assert Worker(squares, CONFIG, tmp_path / "b").origin == ""


PUBLISHES = """import numpy as np
from pathlib import Path
from alnb.storage import features_path, replacing
for scan, z in command.get("slices", ()):
    with (Path(__file__).parent / "published").open("a") as note:
        print(scan, z, file=note)
    with replacing(features_path(Path(cache), "abc", scan, z)) as file:
        np.save(file, np.ones((4, 4, 68), np.float16))
    say("progress", id=number, stage="publish", done=1, total=1)
    time.sleep(0.05)
say("done", id=number)"""


@pytest.fixture
def sessions(squares, tmp_path, monkeypatch, own_cache):
    """Make workers of sessions on one dataset, whose processes note what they publish."""
    program = tmp_path / "process"
    program.write_text(PROGRAM.format(python=sys.executable, code=indent(PUBLISHES, " " * 8)))
    program.chmod(0o755)
    monkeypatch.setattr("alnb.worker.sys.executable", str(program))
    made = []

    def make(name):
        made.append(Worker(squares, CONFIG, tmp_path / name))
        return made[-1]

    yield make
    assert {worker.pid for worker in made} == {None}


def noted(tmp_path):
    return (tmp_path / "published").read_text().splitlines()


async def publishes(worker, slices):
    await worker.find_origin()
    await worker.publish(slices, worker.origin)
    return worker.pid


def test_sessions_that_open_a_dataset_at_once_need_one_process(sessions, squares, tmp_path):
    slices = squares.part("train")

    async def story():
        workers = [sessions(f"person-{n}") for n in range(4)]
        pids = await asyncio.gather(*(publishes(worker, slices) for worker in workers))
        for worker in workers:
            await worker.stop()
        return pids

    assert sum(pid is not None for pid in asyncio.run(story())) == 1
    assert len(noted(tmp_path)) == len(slices)
    for n in range(4):
        published = tmp_path / f"person-{n}" / "features-abc"
        assert len(list(published.iterdir())) == len(slices)


def test_a_session_publishes_what_another_left_and_what_is_spoilt(
    sessions, squares, tmp_path, own_cache, monkeypatch
):
    monkeypatch.setattr("alnb.worker.STILL_S", 0.1)
    slices = squares.part("train")

    async def story(name, slices):
        worker = sessions(name)
        await publishes(worker, slices)
        await worker.stop()

    asyncio.run(story("a", slices[:3]))
    shared = sorted(own_cache.glob("*/features-abc/*.npy"))
    assert len(shared) == 3
    shared[0].unlink()
    shared[0].write_bytes(b"spoilt")
    asyncio.run(story("b", slices))

    assert len(noted(tmp_path)) == 3 + len(slices) - 2
    assert all(np.load(path).all() for path in own_cache.glob("*/features-abc/*.npy"))


def test_a_session_goes_on_where_another_is_stuck_or_nothing_can_be_shared(
    sessions, squares, tmp_path, own_cache, monkeypatch
):
    monkeypatch.setattr("alnb.worker.HELD_S", 0.3)
    slices = squares.part("train")[:1]

    async def story(name):
        worker = sessions(name)
        await publishes(worker, slices)
        await worker.stop()

    stuck = Origins(squares, CONFIG, tmp_path / "stuck")
    assert stuck.lock()
    asyncio.run(story("a"))
    stuck.unlock()
    for path in own_cache.glob("*"):
        shutil.rmtree(path)
    own_cache.rmdir()
    own_cache.write_text("no folder")
    asyncio.run(story("b"))

    assert len(noted(tmp_path)) == 2


@pytest.fixture
def log(tmp_path):
    yield log_to(tmp_path)
    for handler in list(LOGGER.handlers):
        LOGGER.removeHandler(handler)
        handler.close()


WORDS = "sys.stderr.write('last words')\nsys.stderr.flush()\n"


@pytest.mark.parametrize(
    ("code", "how", "words"),
    [
        ("raise ValueError('boom')", r"unexpectedly \(exit code 1\)", "ValueError: boom"),
        (f"{WORDS}import os\nos.kill(os.getpid(), 9)", r"killed \(SIGKILL\)", "last words"),
    ],
    ids=["a traceback", "a kill"],
)
def test_the_last_words_of_the_process_are_in_the_log_and_the_sentence_points_there(
    pretended, log, code, how, words
):
    async def story(worker):
        with pytest.raises(TrainerError, match=f"{how}.*The log {re.escape(str(log))} says more"):
            await worker.evaluate("test", "")
        assert words in log.read_text("utf-8")

    pretended(story, code)


def test_what_stops_the_process_before_its_first_command_is_in_the_log(
    squares, tmp_path, log, monkeypatch
):
    program = tmp_path / "process"
    program.write_text(f"#!{sys.executable}\nimport no_such_module\n")
    program.chmod(0o755)
    monkeypatch.setattr("alnb.worker.sys.executable", str(program))

    async def story():
        with pytest.raises(TrainerError, match="the training process ended unexpectedly"):
            await Worker(squares, CONFIG, tmp_path / "cache").start()

    asyncio.run(asyncio.wait_for(story(), 20))
    assert "No module named 'no_such_module'" in log.read_text("utf-8")


@pytest.mark.parametrize("line", ["x" * 99 + "\n", "x" * 100], ids=["lines", "one line"])
def test_a_flood_on_standard_error_holds_no_command_up(pretended, log, line):
    code = f"""sys.stderr.write({line!r} * 10_000)
say("done", id=number, scores=None)"""

    async def story(worker):
        return await worker.evaluate("test", ""), await worker.evaluate("test", "")

    assert pretended(story, code) == (None, None)
    assert "x" * 99 in log.read_text("utf-8")


@pytest.mark.parametrize("line", ["warning: not JSON", '{"id": 1}', "[1]", "x" * 2**21])
def test_an_event_that_cannot_be_read_ends_the_process_with_a_sentence(pretended, line, caplog):
    code = f"print({line!r}, flush=True)"

    async def story(worker):
        with pytest.raises(TrainerError, match=r"event that can't be read.*Every answer is saved"):
            await worker.evaluate("test", "")
        assert worker.pid is None

    pretended(story, code)
    assert "can't be read" in caplog.text


def while_it_prepares(pretended, story):
    """Run a coroutine that is given a worker, and its command that has begun and will not end."""
    heard = []
    code = """if do == "prepare":
    say("progress", id=number, stage="draw", done=1, total=2)
    time.sleep(60)
say("done", id=number, scores=None)"""

    async def whole(worker):
        preparing = asyncio.create_task(worker.prepare())
        while not heard:
            await asyncio.sleep(0.01)
        await story(worker, preparing)

    pretended(whole, code, heard.append)


def test_a_process_that_does_not_heed_a_cancel_is_ended_and_another_goes_on(pretended):
    async def story(worker, preparing):
        first = worker.pid
        worker.cancel()
        assert await worker.evaluate("test", "") is None
        with pytest.raises(TrainingCancelled):
            await asyncio.wait_for(preparing, 2)
        assert worker.pid != first and gone(first, 10)

    while_it_prepares(pretended, story)


def test_what_is_cancelled_while_an_earlier_cancel_is_not_heeded_stays_so(pretended):
    async def story(worker):
        commands = [asyncio.create_task(worker.prepare())]
        while worker.device == "":
            await asyncio.sleep(0.01)
        worker.cancel()
        commands.append(asyncio.create_task(worker.prepare()))
        await asyncio.sleep(0.1)
        worker.cancel()
        for ended in await asyncio.gather(*commands, return_exceptions=True):
            assert isinstance(ended, TrainingCancelled)

    pretended(story, "time.sleep(60)")


def test_the_process_finds_a_packages_heuristic(work, squares, answers, tmp_path, monkeypatch):
    code = "def low(posterior):\n    return 1 - posterior.mean\n"
    lib = tmp_path / "lib"
    install_heuristics(lib, code, low="theirs:low")
    monkeypatch.setenv("PYTHONPATH", f"{lib}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")

    async def score(worker):
        fit = await worker.fit(answers)
        return await worker.score(squares.part("train")[:1], fit.weights)

    assert work(score, CONFIG.replace(heuristic="low"))["low"].shape == (1, 4)


def test_a_killed_process_is_a_sentence_and_another_takes_what_is_asked(pretended):
    async def story(worker, preparing):
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(TrainerError, match=r"was killed \(SIGKILL\).*Every answer is saved"):
            await preparing
        assert await worker.evaluate("test", "") is None

    while_it_prepares(pretended, story)


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
        return waited, first, worker.pid

    waited, first, last = work(early)
    assert waited < 1  # torch takes longer than that to load
    assert first == last
    assert gone(last, 1)  # the worker was stopped


def test_a_silent_process_is_given_up(pretended):
    async def silent(worker):
        await worker.start()
        os.kill(worker.pid, signal.SIGSTOP)
        with pytest.raises(TrainerError, match="was silent"):
            await worker.evaluate("test", "")

    pretended(silent, "say('done', id=number, scores=None)", silence_s=0.5)


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
