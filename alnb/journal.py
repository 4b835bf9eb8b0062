"""The journal: what has happened in a session, a line each, never edited.

`journal.jsonl` is the only truth; all else in a session's folder can be made again from it.
A line is an `Event` as JSON, on disk (fsync) before `append` returns.

`KINDS` says what the lines of each kind hold.

One process writes at a time. Its mark stands in `journal.owner`; a process that claims the journal
later takes it over, and the former writer learns it at its next line.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypeAlias, TypedDict

from filelock import FileLock, Timeout
from msgspec import Meta

from alnb.annotation import Verdict
from alnb.cost import Cost
from alnb.errors import SessionError, path_sentence
from alnb.metrics import Scores
from alnb.reports import FitReport
from alnb.schema import Count, Number, conform, read_json, shown
from alnb.storage import LOCK, OWNER, write_text

_Cycle: TypeAlias = Annotated[int, Meta(ge=-1, le=2**53)]  # -1: before anything was asked


class _DatasetName(TypedDict):
    name: str
    folder: str
    fingerprint: str


class _Opened(TypedDict):
    version: str
    config: dict[str, Any]
    dataset: _DatasetName  # with its split, as slices by part


class _Pick(TypedDict):
    region: str
    score: Number
    repeat: NotRequired[bool]  # of a region that has an answer, which is not shown


class _Asked(TypedDict):
    cycle: Count
    heuristic: str
    picks: list[_Pick]


class _Answered(TypedDict):  # an `Answer`
    region: str
    verdict: Verdict
    clicks: list[tuple[Number, Number, int]]  # row, column, label
    seconds: Number
    annotator: str
    outlines: NotRequired[list[list[tuple[Number, Number]]]]
    mask_shown: NotRequired[bool]
    simulated: NotRequired[bool]
    sweep: NotRequired[Count]  # the number of the first answer of those given in one go


class _Trained(TypedDict):
    cycle: _Cycle
    fit: FitReport
    cost: Cost
    on: str  # digest of the answers


class _Scored(TypedDict):
    cycle: _Cycle
    scores: Scores | None
    score_s: Number


class _Taken(TypedDict):
    of: Count  # the number of an answered event
    region: str
    sweep: NotRequired[Count]


class _Forked(TypedDict):
    source: str  # a path
    last: NotRequired[Count]  # the number of its last event that was taken; older versions lost it
    config: dict[str, Any]


KINDS: Mapping[str, Any] = {
    "opened": _Opened,
    "asked": _Asked,
    "answered": _Answered,
    "trained": _Trained,
    "scored": _Scored,
    "undone": _Taken,
    "redone": _Taken,
    "forked": _Forked,
}
"""The kinds of events, and what each holds beside its number, time and kind."""


class _Line(TypedDict):
    seq: Count
    at: Number
    kind: str


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a journal."""

    seq: int  # 0, 1, 2, … without a gap
    at: float  # seconds since 1970
    kind: str  # one of `KINDS`
    data: dict[str, Any]  # as the table of this module says; plain values

    def line(self) -> str:
        """Return it as a line of JSON."""
        fields = {"seq": self.seq, "at": self.at, "kind": self.kind, **self.data}
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n"


def _parse(line: bytes, past: Sequence[Event], path: Path) -> Event:
    """Read the next line of a journal."""
    seq = len(past)
    place = f"{path}, line {seq + 1}"
    try:
        fields = read_json(line, _Line)
        event = Event(fields.pop("seq"), fields.pop("at"), fields.pop("kind"), fields)
        if event.kind in KINDS:
            conform(event.data, KINDS[event.kind])
    except ValueError as error:
        raise SessionError(
            f"{place}: not a line of a journal ({error}). Restore the file from a copy, or cut it "
            "before this line and go on from there."
        ) from error
    if event.kind not in KINDS:
        raise SessionError(
            f"{place}: of unknown kind {shown(event.kind)}; was it written by a newer version of "
            "alnb?"
        )
    if event.seq != seq or (event.kind == "opened") != (seq == 0):
        raise SessionError(
            f"{place}: {event.kind}, numbered {event.seq}, where {seq} follows; lines are missing "
            "or doubled. Restore the file from a copy."
        )
    of = event.data.get("of") if event.kind in ("undone", "redone") else None
    if of is not None and (of >= seq or past[of].kind != "answered"):
        raise SessionError(
            f"{place}: it takes line {of + 1} for an answer, which it is not. Restore the file "
            "from a copy."
        )
    return event


def _read(path: Path) -> tuple[list[Event], int]:
    """Read whole lines and the length in bytes up to where the last one ends."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return [], 0
    except OSError as error:
        raise SessionError(path_sentence(error, path)) from error
    whole = content.rfind(b"\n") + 1
    events: list[Event] = []
    for line in content[:whole].split(b"\n")[:-1]:
        events.append(_parse(line, events, path))
    return events, whole


class Journal:
    """A journal on disk, read once and appended to; `clock` gives seconds since 1970.

    Its folder is made at the first line.

    Raises
    ------
    SessionError
        If a line other than a torn last one can't be read.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path = Path(path)
        self._clock = clock
        self._events, self._length = _read(self.path)
        self._token = uuid.uuid4().hex
        self._claimed = False
        self._owner_path = self.path.with_name(OWNER)
        self._lock = FileLock(self.path.with_name(LOCK), timeout=5)

    @property
    def events(self) -> tuple[Event, ...]:
        """All that has happened, oldest first."""
        return tuple(self._events)

    def _owner(self) -> dict[str, Any]:
        try:
            owner = json.loads(self._owner_path.read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return owner if isinstance(owner, dict) else {}

    def claim(self, *, take_over: bool = False) -> None:
        """Become the writer; `take_over` claims even from a live process, as a reloaded page does.

        Raises
        ------
        SessionError
            If another live process writes it and `take_over` is False.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SessionError(path_sentence(error, self.path.parent)) from error
        with self._locked():
            if self.held and not take_over:
                raise SessionError(
                    f"{self.path.parent} is open in another window or run (process "
                    f"{self._owner()['pid']}). Close that one, or choose another folder."
                )
            write_text(self._owner_path, json.dumps({"token": self._token, "pid": os.getpid()}))
            self._events, self._length = _read(self.path)
        self._claimed = True

    @property
    def held(self) -> bool:
        """Whether another process that lives writes it."""
        owner = self._owner()
        return owner.get("token") != self._token and _alive(owner.get("pid"))

    @property
    def owned(self) -> bool:
        """Whether this journal may write: claimed, and not taken over since."""
        return self._claimed and self._owner().get("token") == self._token

    def release(self) -> None:
        """Stop being the writer, so that others need not take over."""
        if self._claimed:
            with self._locked():
                if self.owned:
                    self._owner_path.unlink(missing_ok=True)
            self._claimed = False

    def _locked(self) -> Any:  # noqa: ANN401 - filelock's own context manager
        try:
            return self._lock.acquire()
        except Timeout as error:
            raise SessionError(
                f"{self.path.parent} is being written by another process and did not come free."
            ) from error
        except OSError as error:
            raise SessionError(f"{self.path.parent} can't be written: {error.strerror}.") from error

    def append(self, kind: str, data: dict[str, Any]) -> Event:
        """Write one event and wait until it is on disk.

        Raises
        ------
        SessionError
            If another window has taken the session over, or the disk refuses; then nothing
            was written.
        """
        return self.extend(kind, [data])[0]

    def extend(self, kind: str, many: Sequence[dict[str, Any]]) -> tuple[Event, ...]:
        """Write several events of a kind at once, as `append` writes one, with its errors."""
        if kind not in KINDS:
            raise SessionError(f"a journal has no events of kind {kind!r}.")
        for data in many:
            conform(data, KINDS[kind])  # what is written can be read
        if not self._claimed:
            self.claim()
        with self._locked():
            if not self.owned:
                raise SessionError(
                    f"{self.path.parent} was opened in another window, which now writes it. What "
                    "was answered here is saved; go on there, or reload this page to take it back."
                )
            now = round(self._clock(), 3)
            events = tuple(Event(seq, now, kind, data) for seq, data in enumerate(many, self.count))
            self._write("".join(event.line() for event in events).encode())
        self._events.extend(events)
        return events

    @property
    def count(self) -> int:
        """How many events there are; the number of the next."""
        return len(self._events)

    def _write(self, lines: bytes) -> None:
        try:
            with self.path.open("r+b" if self.path.exists() else "xb") as file:
                file.truncate(self._length)
                file.seek(self._length)
                try:
                    file.write(lines)
                    file.flush()
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(self._length)  # what the page calls not saved must not be there
                    raise
        except OSError as error:
            raise SessionError(
                f"{self.path} can't be written: {error.strerror}. The last answer is not saved; "
                "make room or mend the permissions, then answer again."
            ) from error
        self._length += len(lines)


def _alive(pid: int | None) -> bool:
    if pid is None or pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def live(events: Iterable[Event]) -> tuple[Event, ...]:
    """Leave out what was taken back.

    These are the answers that are undone at the end, redone events, and undone events that were
    redone. An undone event that stands tells which region is open again.
    """
    events = tuple(events)
    undone: dict[int, int] = {}  # seq of the answer -> seq of the undone event that stands
    for event in events:
        if event.kind == "undone":
            undone[event.data["of"]] = event.seq
        elif event.kind == "redone":
            undone.pop(event.data["of"], None)
    standing = set(undone.values())
    return tuple(
        event
        for event in events
        if event.seq not in undone
        and event.kind != "redone"
        and (event.kind != "undone" or event.seq in standing)
    )
