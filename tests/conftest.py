"""Fixtures that every test can ask for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fakes import FEW, TWO_STEPS, FakeLearner, scan_of
from platformdirs import user_cache_path, user_data_path
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from alnb.cli import main
from alnb.dataset import Dataset, build
from alnb.experiments.run import simulate
from alnb.oracle import Oracle
from alnb.regions import grid
from tests.attack.faults import Disk
from tests.attack.faults import disk as small_disk

if TYPE_CHECKING:
    from alnb.annotation import Answer
    from alnb.reports import FitReport
    from alnb.training.trainer import Trainer

SHARED = Path(__file__).parents[2] / "shared"


def pytest_configure(config: pytest.Config) -> None:
    """Share the cores between the workers, whose threads would wait for each other."""
    workers = getattr(config.option, "numprocesses", None) or 1
    if workers > 1:
        threads = max(1, (os.cpu_count() or 1) // workers)
        os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # the workers inherit it


ALONE = ("browser_timing", "compare_app", "explore_app", "jupyter", "start_page", "starting")
"""Browser tests that share no server with others, by what their file is named after."""


def _group(file: str) -> str:
    """Name what one worker runs: a file, or all browser tests that share the label app's server."""
    shares = "/browser/" in file and not any(f"test_{name}" in file for name in ALONE)
    return "browser" if shares else file


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest: the largest group, then the other browser tests."""
    items.sort(key=lambda item: (_group(item.path.as_posix()) != "browser",
                                 "browser" not in item.path.parent.name))  # fmt: skip


class BrowserApart(LoadScopeScheduling):
    """Give a worker whole groups of tests."""

    def _split_scope(self, nodeid: str) -> str:
        return _group(nodeid.partition("::")[0])


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> BrowserApart:
    """Share the tests between the workers."""
    return BrowserApart(config, log)


@pytest.fixture(scope="session", autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep caches and sessions of all tests, and of their processes, in one temporary folder.

    The workers share it. The user's own folders must be at the end as they were.
    """
    home = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        home = home.parent
    theirs = (user_cache_path("alnb"), user_data_path("alnb"))
    before = _changed(theirs)
    with pytest.MonkeyPatch.context() as patch:
        if sys.platform == "linux" and "PLAYWRIGHT_BROWSERS_PATH" not in os.environ:
            browsers = user_cache_path("ms-playwright")  # which Playwright looks for in a cache
            patch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(browsers))
        patch.setenv("XDG_CACHE_HOME", str(home / "cache"))
        patch.setenv("XDG_DATA_HOME", str(home / "data"))
        patch.setenv("XDG_STATE_HOME", str(home / "state"))  # logs of pages without a session
        patch.setenv("WIN_PD_OVERRIDE_LOCAL_APPDATA", str(home / "data"))
        assert user_cache_path("alnb").is_relative_to(home)
        assert user_data_path("alnb").is_relative_to(home)
        yield
    changed = [str(path) for path, _ in _changed(theirs) ^ before]
    assert not changed, f"a test, or alnb in use beside it, wrote into your folders: {changed}"


def _changed(folders: tuple[Path, ...]) -> set[tuple[Path, int]]:
    """List what is in folders, and when each was changed."""
    found = [path for folder in folders for path in (folder, *folder.rglob("*")) if path.exists()]
    return {(path, path.stat().st_mtime_ns) for path in found}


@pytest.fixture(scope="session", autouse=True)
def on_a_cpu() -> Iterator[Callable[[], bool] | None]:
    """Compute on the CPU, whose figures are exact, in whatever a module makes for its tests, too.

    Yields
    ------
    callable or None
        What torch says itself, for a test marked `gpu`; None if nothing has imported torch.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        yield None
        return
    really = torch.cuda.is_available
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        yield really


@pytest.fixture(autouse=True)
def on_a_gpu(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    on_a_cpu: Callable[[], bool] | None,
) -> None:
    """Let a test that is marked `gpu` see the GPU."""
    if on_a_cpu is not None and request.node.get_closest_marker("gpu") is not None:
        monkeypatch.setattr(sys.modules["torch"].cuda, "is_available", on_a_cpu)


@pytest.fixture(scope="module")
def untraced() -> Iterator[None]:
    """Leave the processes that a module starts out of the coverage, which slows them by a third."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
        yield


@pytest.fixture
def command_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs a command line and gives its status, output and errors."""

    def once(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["alnb", *map(str, words)])
        status = 0
        try:
            main()
        except SystemExit as end:
            status = int(end.code or 0)
        out, err = capsys.readouterr()
        return status, out, err

    return once


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk of 4 MB; tests that need it skip where none may be mounted."""
    with small_disk(tmp_path) as mounted:
        if mounted is None:
            pytest.skip("this user may not mount a disk")
        yield mounted


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real data beside the checkout; tests that need it skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the folder ../shared with real CT is not here")
    return SHARED


@pytest.fixture(scope="session")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Three scans of four slices of 32 pixels with square infections; one scan to test."""
    parts = {"one": "train", "two": "train", "three": "test"}
    pairs = [scan_of(name, 4, 32, seed) for seed, name in enumerate(parts)]
    return build(pairs, tmp_path_factory.mktemp("data") / "squares", size=32, split=parts)


@pytest.fixture(scope="session")
def unmasked(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The same without masks."""
    parts = {"one": "train", "two": "train", "three": "test"}
    pairs = [(scan_of(name, 4, 32, seed)[0], None) for seed, name in enumerate(parts)]
    return build(pairs, tmp_path_factory.mktemp("data") / "unmasked", size=32, split=parts)


@pytest.fixture(scope="session")
def four_runs(tmp_path_factory: pytest.TempPathFactory, squares: Dataset) -> Path:
    """A folder of runs on `squares`: two heuristics by two seeds."""
    folder = tmp_path_factory.mktemp("runs")
    for heuristic in ("entropy", "random"):
        for seed in (0, 1):
            config = FEW.replace(heuristic=heuristic, seed=seed)
            out = folder / f"{heuristic}-{seed}"
            simulate(squares, out, config, cycles=2, learner=FakeLearner(squares, config))
    return folder


@pytest.fixture(scope="session")
def answered(squares: Dataset) -> list[Answer]:
    """Answers to all regions of four slices."""
    oracle, size = Oracle(squares), (squares.size, squares.size)
    return [oracle.answer(r) for where in squares.part("train")[:4] for r in grid(where, size, 4)]


@pytest.fixture(scope="module")
def trained(
    squares: Dataset, answered: list[Answer], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Trainer, FitReport]:
    """A network that learned from them in two steps."""
    from alnb.training.trainer import Trainer

    trainer = Trainer(squares, TWO_STEPS, tmp_path_factory.mktemp("cache"))
    return trainer, trainer.fit(answered)
