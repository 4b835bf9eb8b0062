"""The sessions and datasets that the start page offers: the user's own, and those in a folder."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from alnb.dataset import Dataset
from alnb.dataset.importers import embedded_folder
from alnb.errors import AlnbError
from alnb.journal import Journal
from alnb.session import default_folder, sessions_folder
from alnb.state import State, state_of
from alnb.storage import JOURNAL

MOST = 20  # ours: sessions that are listed; an older one is opened by its folder


@dataclass(frozen=True, slots=True)
class SessionEntry:
    """A session that can be continued."""

    folder: Path
    data: Path | None  # its dataset's folder; None for the embedded dataset
    words: str  # dataset, heuristic, answers, cycle, score and date
    problem: str = ""  # why it can't be opened
    held: bool = False  # whether another process writes it now


def list_sessions(place: Path) -> tuple[SessionEntry, ...]:
    """List the user's own sessions, and those directly in a folder; the one used last first."""
    folders = {*_folders(sessions_folder()), *_folders(place)}
    journals = [path for folder in folders if (path := folder / JOURNAL).is_file()]
    journals.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    return tuple(session_entry(path.parent) for path in journals[:MOST])


def list_datasets(place: Path, sessions: Iterable[SessionEntry] = ()) -> dict[str, Path | None]:
    """List the datasets in a folder and of sessions: name and folder; the embedded (None) last."""
    used = {entry.data for entry in sessions if entry.data and not entry.problem}
    folders = used | set(_folders(place))
    found: dict[str, Path | None] = {}
    for folder in sorted(folders):
        if (folder / "manifest.json").is_file():
            try:
                found[f"{Dataset.open(folder).name} ({folder})"] = folder
            except AlnbError:  # broken, or of another program
                continue
    return {**found, "embedded phantom": None}


def something_to_choose(place: Path) -> bool:
    """Tell whether there is a session, or a dataset other than the embedded one."""
    return bool(list_sessions(place)) or len(list_datasets(place)) > 1


def free_folder(dataset: Dataset) -> Path:
    """Name the folder of a new session on a dataset: its own, or that with a number."""
    own = default_folder(dataset)
    numbered = (own.with_name(f"{own.name}-{number}") for number in itertools.count(2))
    return next(folder for folder in itertools.chain([own], numbered) if not folder.exists())


def _folders(outer: Path) -> Sequence[Path]:
    try:
        return [inner.resolve() for inner in outer.iterdir() if _may_enter(inner)]
    except OSError:  # not there, or not ours to read
        return []


def _may_enter(folder: Path) -> bool:
    return os.access(folder, os.R_OK | os.X_OK) and folder.is_dir()


def session_entry(folder: Path) -> SessionEntry:
    """Describe the session in a folder."""
    try:
        journal = Journal(folder / JOURNAL)
        events = journal.events
        state = state_of(events)
        named = events[0].data["dataset"]
        data = Path(named["folder"])
    except Exception as error:  # a broken journal: the other sessions are listed all the same
        words = str(error) if isinstance(error, AlnbError) else "its journal can't be read."
        return SessionEntry(folder, None, folder.name, words)
    words = _words(named["name"], state, events[-1].at)
    if data == embedded_folder().resolve():
        return SessionEntry(folder, None, words, held=journal.held)
    problem = "" if _may_enter(data) else f"its dataset is not in {data} any more."
    return SessionEntry(folder, data, words, problem, journal.held)


def _words(name: str, state: State, at: float) -> str:
    count = len(state.answers)
    parts = [name, state.config.heuristic, f"{count} answer{'' if count == 1 else 's'}"]
    if state.reports:
        scores = state.reports[-1].scores
        parts.append(f"cycle {state.reports[-1].cycle}")
        parts += [f"Dice {scores.dice:.3f}"] if scores else []
    return " · ".join([*parts, time.strftime("%d %b %Y %H:%M", time.localtime(at))])
