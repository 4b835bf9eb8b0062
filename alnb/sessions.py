"""The sessions and datasets that the start page offers: the user's own, and those in a folder.

A session can be copied, with `fork_session`.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from alnb.annotation import Verdict
from alnb.dataset import Dataset, embedded
from alnb.dataset.importers import embedded_folder
from alnb.dataset.manifest import MANIFEST, SLICES
from alnb.errors import AlnbError, SessionError, path_sentence
from alnb.journal import Journal
from alnb.regions import Region
from alnb.session import Session, default_folder, sessions_folder
from alnb.state import State, state_of
from alnb.storage import ANSWERS, CACHE, JOURNAL, LOCK

_SHOWN = 80  # ours: characters of a dataset's name
MOST = 20  # ours: sessions that are listed; an older one is opened by its folder
NAMED = 3  # ours: of whose answers a session's line tells


@dataclass(frozen=True, slots=True)
class SessionEntry:
    """A session that can be continued."""

    folder: Path
    data: Path | None  # its dataset's folder; None for the embedded dataset
    words: str  # dataset, heuristic, answers and whose they are, part, kind, cycle and date
    problem: str = ""  # why it can't be opened
    held: bool = False  # whether another process writes it now
    dice: float | None = None  # the last on the test part; None where there is none
    annotators: tuple[str, ...] = ()  # persons with a name, the one who answered last at the end
    region: Region | None = None  # what shows the session: infected, answered last, or asked


def datasets_folder() -> Path:
    """Name the folder of the datasets that were imported on the start page."""
    return sessions_folder().with_name("datasets")


def list_sessions(place: Path) -> tuple[SessionEntry, ...]:
    """List the user's own sessions, and those directly in a folder; the one used last first.

    Exported folders hold a journal, too, and are none.
    """
    folders = {*_folders(sessions_folder()), *_folders(place)}
    sessions = (one for one in folders if (one / LOCK).exists() or not (one / ANSWERS).exists())
    journals = [path for folder in sessions if (path := folder / JOURNAL).is_file()]
    journals.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    return tuple(session_entry(path.parent) for path in journals[:MOST])


def list_datasets(place: Path, sessions: Iterable[SessionEntry] = ()) -> dict[str, Path | None]:
    """List datasets by name and folder: in a folder, imported, of sessions; then the embedded one.

    Those that can't be opened come last. Opening one of them says why.
    """
    used = {entry.data for entry in sessions if entry.data and not entry.problem}
    folders = used | {*_folders(place), *_folders(datasets_folder())}
    found: dict[str, Path | None] = {}
    broken: dict[str, Path | None] = {}
    for folder in sorted(folders):
        if (folder / MANIFEST).is_file():
            try:
                found[f"{Dataset.open(folder).name[:_SHOWN]} ({folder})"] = folder
            except AlnbError:
                if (folder / SLICES).is_file():  # or else it is another program's
                    broken[f"{folder.name}: can't be opened ({folder})"] = folder
    return {**found, "embedded phantom": None, **broken}


def free_folder(dataset: Dataset) -> Path:
    """Name the folder of a new session on a dataset: its own, or that with a number."""
    own = default_folder(dataset)
    numbered = (own.with_name(f"{own.name}-{number}") for number in itertools.count(2))
    return next(folder for folder in itertools.chain([own], numbered) if not folder.exists())


def fork_session(entry: SessionEntry) -> Path:
    """Copy a session into a new folder beside it, and return that folder.

    The copy goes on from all answers that stand. Networks are shared until one of the two deletes
    them. The session itself is only read, and may be open elsewhere.

    Raises
    ------
    SessionError
        If nothing was asked yet, or the copy can't be written.
    """
    dataset = embedded() if entry.data is None else Dataset.open(entry.data)
    source = Session(dataset, Journal(entry.folder / JOURNAL))
    name = re.sub(r"-fork(-\d+)?$", "", entry.folder.name)
    numbers = itertools.chain(["-fork"], (f"-fork-{number}" for number in itertools.count(2)))
    places = (entry.folder.with_name(f"{name}{number}") for number in numbers)
    target = next(place for place in places if not place.exists())
    if source.state.cycle < 0:
        raise SessionError("nothing was asked in this session yet; begin a new one.")
    try:
        source.fork(target, source.state.cycle).close()
        if source.cache.is_dir():
            shutil.copytree(source.cache, target / CACHE, copy_function=_shared)
    except OSError as error:
        shutil.rmtree(target, ignore_errors=True)
        raise SessionError(path_sentence(error, target)) from error
    except AlnbError:
        shutil.rmtree(target, ignore_errors=True)
        raise
    return target


def _shared(source: str, target: str) -> str:
    """Link a file, since those of a cache are replaced and never changed; or else copy it."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def _folders(outer: Path) -> Sequence[Path]:
    try:
        return [inner.resolve() for inner in outer.iterdir() if _may_enter(inner)]
    except (OSError, ValueError):  # not there, not ours to read, or no path
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
    entry = SessionEntry(
        folder, data, _words(named["name"], state, events[-1].at, journal.host), held=journal.held,
        dice=_last_dice(state), annotators=_annotators(state), region=_telling(state),
    )  # fmt: skip
    if data == embedded_folder().resolve():
        return replace(entry, data=None)
    problem = "" if _may_enter(data) else f"its dataset is not in {data} any more."
    return replace(entry, problem=problem)


def _telling(state: State) -> Region | None:
    """Choose the region by which a person knows a session again."""
    infected = [one.region for one in state.answers if one.verdict is Verdict.INFECTED]
    others = [*state.pending[:1], *(one.region for one in state.answers)]
    return next(iter([*infected[-1:], *others[-1:]]), None)


def _last_dice(state: State) -> float | None:
    """Take the end of the curve, where it was measured last: after an answer, or a training."""
    trained = [(one.cost.nominal_s, one.scores.dice) for one in state.reports if one.scores]
    taught = [(one.cost.nominal_s, one.scores.dice) for one in state.samples]
    return max(trained + taught, key=lambda one: one[0], default=(0.0, None))[1]


def _annotators(state: State) -> tuple[str, ...]:
    persons = [one.annotator for one in state.given if one.annotator and not one.simulated]
    return tuple(reversed(dict.fromkeys(reversed(persons))))


def _words(name: str, state: State, at: float, host: str) -> str:
    count, config = len(state.answers), state.config
    whose = ", ".join(_annotators(state)[-NAMED:])
    answers = f"{count} answer{'' if count == 1 else 's'}{f' by {whose}' if whose else ''}"
    parts = [name, config.heuristic, answers]
    if config.shares > 1:
        parts.append(f"part {config.share} of {config.shares}")
    if config.labels == "full":
        parts.append("outlines")
    if state.reports:
        parts.append(f"cycle {state.reports[-1].cycle}")
    parts.append(time.strftime("%d %b %Y %H:%M", time.localtime(at)))
    return " · ".join([*parts, *([f"open on the computer {host}"] if host else [])])
