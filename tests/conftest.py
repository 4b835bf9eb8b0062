"""Fixtures that every test can ask for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fakes import scan_of

from alnb.cli import main
from alnb.dataset import Dataset, build

SHARED = Path(__file__).parents[2] / "shared"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run browser tests last: Playwright keeps an event loop, which asyncio.run can't share."""
    items.sort(key=lambda item: "browser" in item.path.parent.name)


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
