"""Run attempts in a process of its own, under limits of time and memory, and judge each."""

from __future__ import annotations

import contextlib
import multiprocessing
import random
import resource
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from alnb.errors import AlnbError
from tests.attack.targets import TARGETS

SECONDS, BYTES = 10, 10**9  # what an attempt may take, beside what Python and its libraries do
LONGEST = 300  # characters of a sentence, without the paths of its folder


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended: "read", "refused", or what did not hold and where."""

    target: str
    seed: int
    ended: str
    detail: str = ""
    seconds: float = 0.0

    @property
    def held(self) -> bool:
        """Whether it was read, or refused in a sentence."""
        return self.ended in ("read", "refused")


class _TooLong(BaseException):
    """Time is up; no `except Exception` may swallow it."""


def _ring(*_: object) -> None:
    raise _TooLong


@contextlib.contextmanager
def _limits() -> Iterator[None]:
    used = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (used + BYTES, hard))
    signal.signal(signal.SIGPROF, _ring)
    signal.setitimer(signal.ITIMER_PROF, SECONDS, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def attempt(name: str, seed: int, keep: Path | None = None) -> Outcome:
    """Spoil a file by a seed and open it.

    Parameters
    ----------
    name : str
        Of `TARGETS`.
    seed : int
    keep : Path, optional
        Gets the folder of an attempt that did not hold.
    """
    folder = Path(tempfile.mkdtemp(prefix="alnb-attack-"))
    target = TARGETS[name]
    started = 0.0
    try:
        target.spoil(random.Random(f"{name} {seed}"), folder)
        started = time.process_time()
        ended, detail = _opened(name, folder)
    finally:
        seconds = time.process_time() - started
        outcome = Outcome(name, seed, ended, detail, round(seconds, 2))
        if keep and not outcome.held:
            shutil.copytree(folder, keep / f"{name}-{seed}".replace(" ", "-"), dirs_exist_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
    return outcome


def _opened(name: str, folder: Path) -> tuple[str, str]:
    try:
        with _limits(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            TARGETS[name].open(folder)
    except AlnbError as error:
        text = str(error).replace(str(folder), "")
        return ("refused", text) if len(text) <= LONGEST else ("wordy", text[:200])
    except MemoryError:
        return "memory", ""
    except _TooLong:
        return "slow", _place_of(None)
    except BaseException as error:
        return type(error).__name__, f"{_place_of(error)}: {str(error)[:120]}"
    return "read", ""


def _place_of(error: BaseException | None) -> str:
    """Name the last line of alnb's that was running."""
    import sys

    trace = (error or sys.exc_info()[1]).__traceback__  # type: ignore[union-attr]
    ours = [f for f in traceback.extract_tb(trace) if "/alnb/" in f.filename]
    return f"{ours[-1].filename.split('/alnb/')[-1]}:{ours[-1].lineno}" if ours else ""


def _serve(jobs: list[tuple[str, int]], keep: Path | None, pipe: Connection) -> None:
    import logging

    import torch

    logging.disable()  # nibabel tells of every field that it mends
    torch.set_num_threads(1)
    for name, seed in jobs:
        pipe.send((name, seed))
        pipe.send(attempt(name, seed, keep))
    pipe.send(None)


def run(jobs: Iterable[tuple[str, int]], keep: Path | None = None) -> Iterator[Outcome]:
    """Run attempts, each a target's name and a seed; one that kills the process is told as such."""
    left = list(jobs)
    context = multiprocessing.get_context("spawn")
    while left:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_serve, args=(left, keep, theirs), daemon=True)
        process.start()
        theirs.close()
        begun: tuple[str, int] | None = None
        try:
            while (said := ours.recv()) is not None:
                if isinstance(said, Outcome):
                    yield said
                    begun = None
                else:
                    begun, left = said, left[1:]
        except EOFError:
            process.join()
            if begun is None:
                raise RuntimeError("the attacking process did not start") from None
            yield Outcome(*begun, "killed", f"exit code {process.exitcode}")
            continue
        process.join()
        return


def table(outcomes: Iterable[Outcome]) -> str:
    """Write what was tried and what held, a line each target."""
    tried: Counter[str] = Counter()
    counts: dict[str, Counter[str]] = {}
    for outcome in outcomes:
        tried[outcome.target] += 1
        kind = outcome.ended if outcome.held else "not held"
        counts.setdefault(outcome.target, Counter())[kind] += 1
    lines = ["target             tried    read  refused  not held"]
    for name, many in tried.items():
        one = counts[name]
        lines.append(
            f"{name:16} {many:7d} {one['read']:7d} {one['refused']:8d} {one['not held']:9d}"
        )
    return "\n".join(lines)
