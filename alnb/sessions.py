"""The sessions and datasets to choose from at the start: the user's own, and those in a folder."""

from __future__ import annotations

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

MOST = 20  # ours: newest sessions that are listed; what is older has a folder to be named


@dataclass(frozen=True, slots=True)
class Known:
    """A session to go on with.

    Parameters
    ----------
    folder : Path
        Of the session.
    data : Path or None
        Its dataset's folder; None for the embedded dataset.
    words : str
        Dataset, heuristic, answers, cycle, score and date.
    problem : str
        Why it can't be opened; empty if it can.
    held : bool
        Whether another process writes it now; to go on takes it over.
    """

    folder: Path
    data: Path | None
    words: str
    problem: str = ""
    held: bool = False


def known_sessions(place: Path) -> tuple[Known, ...]:
    """List the user's own sessions, and those directly in a folder; the one used last first."""
    folders = {*_folders(sessions_folder()), *_folders(place)}
    journals = [path for folder in folders if (path := folder / JOURNAL).is_file()]
    journals.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    return tuple(known_session(path.parent) for path in journals[:MOST])


def known_datasets(place: Path, sessions: Iterable[Known] = ()) -> dict[str, Path | None]:
    """List datasets, name and folder in words: those in a folder and of sessions; None: embedded.

    The embedded one is last, since who has others came for them.
    """
    folders = {
        *_folders(place),
        *(known.data for known in sessions if known.data and not known.problem),
    }
    found: dict[str, Path | None] = {}
    for folder in sorted(folders):
        if (folder / "manifest.json").is_file():
            try:
                found[f"{Dataset.open(folder).name} ({folder})"] = folder
            except AlnbError:  # broken, or of another program: nothing to offer
                continue
    return {**found, "embedded phantom": None}


def something_to_choose(place: Path) -> bool:
    """Tell whether there is a session, or a dataset but the embedded one."""
    return bool(known_sessions(place)) or len(known_datasets(place)) > 1


def free_folder(dataset: Dataset) -> Path:
    """Name the folder of a new session on a dataset: its own, or that with a number."""
    own = default_folder(dataset)
    number = 1
    folder = own
    while folder.exists():
        number += 1
        folder = own.with_name(f"{own.name}-{number}")
    return folder


def _folders(outer: Path) -> Sequence[Path]:
    try:
        return [inner.resolve() for inner in outer.iterdir() if _may_enter(inner)]
    except OSError:  # not there, or not ours to read
        return []


def _may_enter(folder: Path) -> bool:
    return os.access(folder, os.R_OK | os.X_OK) and folder.is_dir()


def known_session(folder: Path) -> Known:
    """Tell what a person should know of the session in a folder."""
    try:
        journal = Journal.open(folder / JOURNAL)
        events = journal.events
        state = state_of(events)
        named = events[0].data["dataset"]
        data: Path | None = Path(named["folder"])
    except Exception as error:  # of another program, or spoilt: one entry is no reason to show none
        words = str(error) if isinstance(error, AlnbError) else "its journal can't be read."
        return Known(folder, None, folder.name, words)
    problem = ""
    if data == embedded_folder().resolve():
        data = None
    elif data is None or not _may_enter(data):
        problem = f"its dataset is not in {data} any more."
    return Known(folder, data, _words(named["name"], state, events[-1].at), problem, journal.held)


def _words(name: str, state: State, at: float) -> str:
    count = len(state.answers)
    parts = [name, state.config.heuristic, f"{count} answer{'' if count == 1 else 's'}"]
    if state.reports:
        scores = state.reports[-1].scores
        parts.append(f"cycle {state.reports[-1].cycle}")
        parts += [f"Dice {scores.dice:.3f}"] if scores else []
    return " · ".join([*parts, time.strftime("%d %b %Y %H:%M", time.localtime(at))])
