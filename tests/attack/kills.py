"""A process that labels is killed at any moment: what it acknowledged must be there afterwards.

Each round goes on with the session of the round before, as its user would. The process tells what
it is about to do, does it, and acknowledges it; then it is killed with SIGKILL. The journal must
hold all that was acknowledged, and the last command whole or not at all. Forks and merges must
hold a whole session or none, exports whole files.
"""

from __future__ import annotations

import contextlib
import csv
import json
import multiprocessing
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from alnb.acquisition import Pick
from alnb.annotation import Answer, Click, Verdict
from alnb.dataset import Dataset
from alnb.errors import SessionError
from alnb.export.export import write_export
from alnb.journal import Event, Journal
from alnb.merge import merge
from alnb.regions import Region
from alnb.session import Session
from alnb.sessions import fork_session, session_entry
from alnb.storage import JOURNAL, short_hash, spare_name
from tests.attack.run import Outcome
from tests.attack.targets import SIDE, _dataset, _quick

ENDS = ("forked", "merged")  # the last event of each
CELL = 3  # px: 64 regions a slice, so that a sweep writes many lines
LONGEST_S = 0.25  # from the first command to the kill, at most
ROUNDS = 20  # of one session; a longer one takes long to read
WAIT_S = 60
DOING = ("answer",) * 16 + ("sweep", "sweep", "undo", "redo", "undo", "fork", "export", "merge")


@dataclass
class Told:
    """What a process said until it was killed."""

    events: list[Event] = field(default_factory=list)  # acknowledged, those of before too
    doing: str = ""  # what it had begun and not acknowledged
    growth: int = 0  # how many events that adds
    forks: dict[str, str] = field(default_factory=dict)  # acknowledged, and a hash of the events
    answers: int = 0  # acknowledged in this round
    code: int | None = None  # how it ended


def rounds(count: int, seed: int) -> Iterator[tuple[Outcome, int]]:
    """Kill a process so many times; yield how each ended, and the answers that it acknowledged."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.attack.kills", "pandas", "PIL.Image"])  # as exports do
    done = 0
    while done < count:
        with tempfile.TemporaryDirectory(prefix="alnb-kills-") as inside:
            folder = Path(inside)
            _dataset(folder)
            told = Told()
            for number in range(seed + done, seed + min(count, done + ROUNDS)):
                told = _killed(context, folder, number, told)
                problem = _problem(folder, told)
                outcome = Outcome("kill", number, "lost" if problem else "read", problem)
                yield outcome, told.answers
                if problem:
                    break
                told.events = [*Journal(folder / "session" / JOURNAL).events]
        done += ROUNDS


def _killed(context: Any, folder: Path, seed: int, before: Told) -> Told:
    """Let a process label, and kill it; return what it said."""
    told = Told(before.events, forks=before.forks)
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_label, args=(folder, seed, theirs))
    process.start()
    theirs.close()
    rng = random.Random(seed)
    try:
        with contextlib.suppress(EOFError, OSError):
            for _ in range(rng.choice((1, 2, 2, 2, 2))):  # while it opens the session, or later
                if not ours.poll(WAIT_S):
                    raise RuntimeError("the process that labels said nothing")
                _hear(told, ours.recv())
            until = time.monotonic() + rng.uniform(0, LONGEST_S)
            while (left := until - time.monotonic()) > 0:
                if ours.poll(left):
                    _hear(told, ours.recv())
            process.kill()
            while True:  # what it had said before it was killed
                _hear(told, ours.recv())
    finally:
        process.kill()
        process.join()
        ours.close()
    told.code = process.exitcode
    return told


def _hear(told: Told, said: dict[str, Any]) -> None:
    if "doing" in said:
        told.doing, told.growth = said["doing"], said["growth"]
        return
    told.doing, told.growth = "", 0
    told.events = [*told.events, *said["events"]]
    told.answers += sum(event.kind == "answered" for event in said["events"])
    told.forks |= said["fork"]


def _label(folder: Path, seed: int, pipe: Connection) -> None:
    """Go on with the session for ever."""
    rng = random.Random(f"kill {seed}")
    dataset = Dataset.open(folder / "data")
    new = not (folder / "session" / JOURNAL).exists()
    begun = len(Journal(folder / "session" / JOURNAL).events)
    pipe.send({"doing": "open", "growth": int(new)})
    session = Session.open(folder / "session", dataset, _quick())
    pipe.send({"events": session.journal.events[begun:], "fork": {}})
    while True:
        doing = rng.choice(DOING)
        plan = planned(session, doing, rng)
        if plan is not None:
            growth, act = plan
            begun = session.journal.count
            pipe.send({"doing": doing, "growth": growth})
            came = act()
            fork = came if isinstance(came, dict) else {}
            pipe.send({"events": session.journal.events[begun:], "fork": fork})


def planned(session: Session, doing: str, rng: random.Random) -> Any:
    """Return how many events a command adds, and the command; None where it can't be done."""
    state, folder = session.state, session.journal.path.parent
    cells = _cells(rng.choice(session.dataset.slices))
    if doing == "answer":
        if not state.pending:
            picks = [Pick(cell, 0.5) for cell in rng.sample(cells, 4)]
            return 1, lambda: session.ask(picks)
        return 1, lambda: session.submit(_answer(state.pending[0], rng))
    if doing == "sweep":
        answers = [_answer(cell, rng) for cell in cells]
        return len(cells), lambda: session.sweep(answers)
    if doing in ("undo", "redo"):
        return _grouped(session, doing), getattr(session, doing)
    if state.cycle < 0:
        return None
    if doing == "fork":
        return 0, lambda: _told(fork_session(session_entry(folder)))
    if doing == "merge":
        forks = [path.parent for path in sorted(folder.parent.glob(f"session-fork*/{JOURNAL}"))]
        return (0, lambda: _merged(rng.sample(forks, 2))) if len(forks) > 1 else None
    return 0, lambda: [*write_export(folder, folder.with_name("export"))] and None


def _grouped(session: Session, doing: str) -> int:
    """Count what an undo or redo writes, on a copy that is not written."""
    from alnb.journal import live
    from alnb.session import _group
    from alnb.state import undone

    events = session.journal.events
    standing = [event for event in live(events) if event.kind == "answered"]
    return len(_group(standing if doing == "undo" else undone(events)))


def _merged(forks: list[Path]) -> dict[str, Any]:
    place = spare_name(forks[0].with_name("merged"))
    try:
        merge(forks, place)
    except SessionError:  # one of them holds no answer
        return {}
    return _told(place)


def _told(place: Path) -> dict[str, Any]:
    return {place.name: _hash(Journal(place / JOURNAL).events)}


def _cells(where: Any) -> list[Region]:
    starts = range(0, SIDE, CELL)
    return [Region(where, row, col, CELL, CELL) for row in starts for col in starts]


def _answer(cell: Region, rng: random.Random) -> Answer:
    if rng.random() < 0.5:
        return Answer(cell, Verdict.CLEAN, (), 1.5, "Ada")
    return Answer(cell, Verdict.INFECTED, (Click(cell.row + 1, cell.col + 1),), 2.5, "Ada")


def _hash(events: Any) -> str:
    return short_hash([event.line() for event in events])


def _problem(folder: Path, told: Told) -> str:
    """Say what was lost, or is half there; empty if nothing is."""
    if told.code != -signal.SIGKILL:
        return f"{told.doing}: the process ended by itself ({told.code})"
    try:
        events = Journal(folder / "session" / JOURNAL).events
        begun = [event.line() for event in events[: len(told.events)]]
        if begun != [event.line() for event in told.events]:
            return f"{len(told.events)} events were acknowledged, {len(events)} are there"
        if len(events) - len(told.events) not in (0, told.growth):
            return f"{told.doing}: {len(events) - len(told.events)} of {told.growth} events"
        return _half_fork(folder, told) or half_export(folder)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _half_fork(folder: Path, told: Told) -> str:
    places = chain(folder.glob(f"session-fork*/{JOURNAL}"), folder.glob(f"merged*/{JOURNAL}"))
    found = {path.parent.name: Journal(path).events for path in places}
    lost = {name for name, known in told.forks.items() if _hash(found.get(name, ())) != known}
    half = {name for name, events in found.items() if events[-1].kind not in ENDS}
    return f"forks and merges lost {sorted(lost)}, half {sorted(half)}" if lost or half else ""


def half_export(folder: Path) -> str:
    out = folder / "export"
    for table in ("answers.csv", "curve.csv"):
        if (out / table).exists():
            with (out / table).open(newline="") as file:
                if len({len(row) for row in csv.reader(file)}) != 1:
                    return f"{table} is half there"
    if (out / JOURNAL).exists() and not Journal(out / JOURNAL).events:
        return "the exported journal is empty"
    if (out / "coco" / "keypoints.json").exists():
        json.loads((out / "coco" / "keypoints.json").read_text())
    for left in out.glob(".*-staged"):  # nobody reads it
        shutil.rmtree(left)
    return ""
