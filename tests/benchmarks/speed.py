"""What a person waits for, measured on this machine."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alnb.config import Config
from alnb.cycle import Work, answer_pending, drive, learn
from alnb.dataset import Dataset, build, embedded
from alnb.oracle import Oracle
from alnb.pool import Pool, start_picks
from alnb.session import Session
from alnb.volumes import Volume

from .browser_page import time_page
from .memory import peak_memory

SCANS, DEPTH = 100, 100  # 10,000 slices
REPEATS = 5


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure, and what it should not exceed.

    Parameters
    ----------
    what : str
        What was measured.
    value : float or None
        None where it could not be; `note` says why.
    unit : str
        s, ms, MiB, or × for how many times as long as ours another way takes.
    limit : float or None
        What we ask of two cores, at most, or of × at least; None where we ask nothing.
    note : str
        How it was measured.
    """

    what: str
    value: float | None
    unit: str
    limit: float | None = None
    note: str = ""

    @property
    def kept(self) -> bool:
        """Whether it keeps to its limit, as far as was measured."""
        if self.limit is None or self.value is None:
            return True
        return self.value >= self.limit if self.unit == "×" else self.value <= self.limit

    def line(self) -> str:
        """Return it as a line for a terminal."""
        figure = "not measured" if self.value is None else f"{self.value:8.2f} {self.unit}"
        word = "at least" if self.unit == "×" else "limit"
        limit = f"  ({word} {self.limit:g} {self.unit})" if self.limit is not None else ""
        note = f"  {self.note}" if self.note else ""
        return f"{self.what:58s}{figure}{limit}{note}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)


def measure(data: Path | None = None) -> Iterator[Measure]:
    """Take the measures one after another; the page's need Playwright and Chromium.

    Parameters
    ----------
    data : Path, optional
        The dataset of the cycle and the page; None takes the embedded phantom.
    """
    yield Measure("import alnb", _import_s(), "s", 0.5, "median of 5 processes, less Python's own")
    yield Measure("open a dataset of 10,000 slices", _open_s(), "s", 1.0, "100 scans of 100 slices")
    dataset = Dataset.open(data) if data else embedded()
    yield from _cycle(dataset)
    yield from _page(data)
    yield from _network()


def _process_s(code: str) -> float:
    def once() -> float:
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - begin

    return float(np.median([once() for _ in range(REPEATS)]))


def _import_s() -> float:
    return max(0.0, _process_s("import alnb") - _process_s("pass"))


def _open_s() -> float:
    voxels = np.zeros((DEPTH, 8, 8), np.uint8)
    scans = (
        (Volume.made(f"scan_{n:03d}", voxels, unit="grey", spacing_mm=(1.0, 1.0, 1.0)), None)
        for n in range(SCANS)
    )
    with tempfile.TemporaryDirectory() as folder:
        build(scans, Path(folder, "data"), size=8)
        begin = time.perf_counter()
        Dataset.open(Path(folder, "data"))
        return time.perf_counter() - begin


def _cycle(dataset: Dataset) -> Iterator[Measure]:
    """Time a whole cycle."""
    import torch

    session, seconds = _cycle_s(dataset)
    config, fit = session.state.config, session.state.reports[-1].fit
    pool, test = len(dataset.part("train")), len(dataset.part("test"))
    sizes = f"{pool} slices to score, {test} to evaluate"
    on = f"{fit.backbone} on {fit.device}, {dataset.name}, {sizes}"
    yield Measure("a whole cycle", sum(seconds), "s", 20.0, on)
    trained, evaluated, scored = seconds
    yield Measure("  training", trained, "s", None, f"{fit.steps} steps")
    yield Measure("  evaluating", evaluated, "s")
    yield Measure("  scoring", scored, "s", None, f"{config.draws} draws a slice")
    if torch.cuda.is_available():
        yield Measure("  peak memory of the GPU", torch.cuda.max_memory_allocated() / 2**20, "MiB")


def _cycle_s(dataset: Dataset) -> tuple[Session, list[float]]:
    """Run a session's start; return it with the seconds of training, evaluating and scoring."""
    from alnb.training.trainer import Trainer

    seconds = []
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(Session.open(Path(folder, "session"), dataset, Config())) as session,
    ):
        pool = Pool(dataset, session.state.config)
        session.ask(start_picks(pool))
        answer_pending(session, Oracle(dataset))
        trainer = Trainer(dataset, session.state.config, session.cache)

        def timed(request: Work) -> object:
            begin = time.perf_counter()
            result: object = request.by(trainer)
            seconds.append(time.perf_counter() - begin)
            return result

        drive(learn(session, pool), timed)
    return session, seconds


def _network() -> Iterator[Measure]:
    """Compare MC dropout with whole passes, and a pass with what it might be; weigh scoring."""
    from .baselines import time_choices, time_scoring, time_steps

    figures = itertools.chain(time_scoring(), time_steps(), peak_memory(), time_choices())
    for what, value, unit, note in figures:
        wanted = 12.0 if "naive loop, padding 100" in what else None
        yield Measure(what, value, unit, wanted, note)


_LIMITS = {"s": 10.0, "ms": 100.0}


def _page(data: Path | None) -> Iterator[Measure]:
    try:
        for what, value, unit in time_page(data):
            yield Measure(what, value, unit, _LIMITS[unit])
    except ImportError:
        yield Measure("the page", None, "s", None, "install it with pip install 'alnb[test]'")
    except FileNotFoundError as error:
        yield Measure("the page", None, "s", None, str(error))
