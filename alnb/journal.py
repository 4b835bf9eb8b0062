"""The journal: what has happened in a session, a line each, never edited.

`journal.jsonl` is the only truth; all else in a session's folder can be made again from it.
A line is an `Event` as JSON, on disk (fsync) before `append` returns.

`KINDS` says what the lines of each kind hold.

One process writes at a time. Its mark stands in `journal.owner`; a process that claims the journal
later takes it over, and the former writer learns it at its next line.

Other programs restore, synchronise and delete files. A writer whose file is not as it left it
writes all that it knows again, and keeps the other file beside it: the two are never mixed.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import platform
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
from alnb.storage import (
    LOCK,
    OWNER,
    Stamp,
    short_hash,
    spare_name,
    stamp_of,
    write_all,
    write_durably,
    write_text,
)

logger = logging.getLogger(__name__)

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


class _By(TypedDict):
    weights: str  # the network under the live layer
    answers: Count  # that the live layer had learned
    slices: Count  # that it could ask about, of `Asker.order`
    chosen: NotRequired[bool]  # by the person, whatever it said


class _Asked(TypedDict):
    cycle: Count
    heuristic: str
    picks: list[_Pick]
    by: NotRequired[_By]  # where the live layer chose


class _Sampled(TypedDict):  # a `reports.Sample`
    weights: str
    answers: Count
    slices: Count
    cost: Cost
    scores: Scores


class _Answered(TypedDict):  # an `Answer`
    region: str
    verdict: Verdict
    clicks: list[tuple[Number, Number, int]]  # row, column, label
    seconds: Number
    annotator: str
    outlines: NotRequired[list[list[tuple[Number, Number]]]]
    mask_shown: NotRequired[bool]
    simulated: NotRequired[bool]
    verified: NotRequired[bool]
    sweep: NotRequired[Count]  # the number of the first answer of those given in one go
    corrects: NotRequired[bool]  # older journals don't say: there a correction is priced, too
    rest: NotRequired[bool]  # likewise: there each region of a sweep is priced on its own
    session: NotRequired[str]  # that it was merged from, as `Journal.name`
    repeat: NotRequired[bool]  # a second answer on a hidden repeat, in that session
    aside: NotRequired[bool]  # another person's answer stands in its place, or none yet
    decides: NotRequired[bool]  # between the answers of several people


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


class _MergedSession(TypedDict):
    session: str  # as `Journal.name`
    source: str  # a path
    answers: Count  # that were taken from it, and stood there


class _Forked(TypedDict):
    source: str  # a path
    last: NotRequired[Count]  # the number of its last event that was taken; older versions lost it
    config: dict[str, Any]


class _Merged(TypedDict):
    sessions: list[_MergedSession]
    conflicts: str  # the rule by which one answer stands where people disagree
    disputed: list[str]  # regions that it left open, in the order in which they are asked


KINDS: Mapping[str, Any] = {
    "opened": _Opened,
    "asked": _Asked,
    "answered": _Answered,
    "trained": _Trained,
    "scored": _Scored,
    "sampled": _Sampled,
    "undone": _Taken,
    "redone": _Taken,
    "forked": _Forked,
    "merged": _Merged,
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


def _read(path: Path) -> tuple[list[Event], int, Stamp | None]:
    """Read whole lines, the length in bytes up to where the last one ends, and the file's stamp."""
    try:
        with path.open("rb") as file:
            stamp, content = stamp_of(os.fstat(file.fileno())), file.read()
    except FileNotFoundError:
        return [], 0, None
    except OSError as error:
        raise SessionError(path_sentence(error, path)) from error
    whole = content.rfind(b"\n") + 1
    events: list[Event] = []
    for line in content[:whole].split(b"\n")[:-1]:
        events.append(_parse(line, events, path))
    return events, whole, stamp


def _lines(events: Iterable[Event]) -> bytes:
    return "".join(event.line() for event in events).encode()


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
        self._events, self._length, self._stamp = _read(self.path)
        self._token = uuid.uuid4().hex
        self._claimed = False
        self._note = ""
        self._owner_path = self.path.with_name(OWNER)
        self._lock = FileLock(self.path.with_name(LOCK), timeout=5)

    @property
    def events(self) -> tuple[Event, ...]:
        """All that has happened, oldest first."""
        return tuple(self._events)

    @property
    def name(self) -> str:
        """Its session's name among others: the same in a copy and in a fork, however they go on.

        It follows from how the session began, and from its first answer.
        """
        answered = (event for event in self._events if event.kind == "answered")
        began = [*self._events[:1], *itertools.islice(answered, 1)]
        return short_hash([(event.at, event.data) for event in began])

    # --- who writes ---

    def claim(self, *, take_over: bool = False) -> None:
        """Become the writer; `take_over` claims even from a live process, as a reloaded page does.

        Raises
        ------
        SessionError
            If another live process writes it and `take_over` is False, or the disk refuses.
        """
        try:
            with self._locked():
                if (holder := self.holder) and not take_over:
                    raise SessionError(
                        f"{self.path.parent} is open in another window or run ({holder}). Close "
                        "that one, or choose another folder."
                    )
                self._mark()
                self._events, self._length, self._stamp = _read(self.path)
        except OSError as error:
            raise SessionError(path_sentence(error, self.path.parent)) from error
        self._claimed = True

    @property
    def holder(self) -> str:
        """Which other process writes it, as far as is known; empty if none that lives does.

        Nobody can tell whether a process on another computer lives.
        """
        owner = self._owner()
        if not owner or owner.get("token") == self._token:
            return ""
        number = f"process {shown(owner.get('pid'))}"
        if host := self.host:
            return f"{number} on the computer {host}"
        pid, since = owner.get("pid", 0), owner.get("began")
        if not another_lives(pid):
            return ""
        same = began(pid) == since if since else pid > 1  # 1 is no alnb that didn't say since when
        return number if same else ""

    @property
    def host(self) -> str:
        """The other computer whose process wrote it last, or may do so; empty if it is this one."""
        host = self._owner().get("host", HOST)
        return "" if host == HOST else shown(host).strip("'")

    @property
    def held(self) -> bool:
        """Whether another process that lives writes it."""
        return bool(self.holder)

    @property
    def owned(self) -> bool:
        """Whether this journal may write: claimed, and not taken over since.

        A mark that is gone, or of a process that ended before, was deleted or restored with the
        folder. Only if the file goes on where this journal ends, another one wrote it meanwhile.
        """
        if not self._claimed:
            return False
        owner = self._owner()
        if owner.get("token") == self._token:
            return True
        taken = owner.get("pid") == os.getpid() or self.held
        return not taken and not self._goes_on()

    def release(self) -> None:
        """Stop being the writer, so that others need not take over."""
        if self._claimed and self.path.parent.is_dir():
            with contextlib.suppress(OSError, SessionError), self._locked():
                if self.owned:
                    self._owner_path.unlink(missing_ok=True)
        self._claimed = False

    def _owner(self) -> dict[str, Any]:
        try:
            owner = json.loads(self._owner_path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return owner if isinstance(owner, dict) else {}

    def _mark(self) -> None:
        mark = {"token": self._token, "pid": os.getpid(), "began": began(os.getpid()), "host": HOST}
        write_text(self._owner_path, json.dumps(mark))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except Timeout as error:
            raise SessionError(
                f"{self.path.parent} is being written by another process and did not come free."
            ) from error
        try:
            yield
        finally:
            self._lock.release()

    # --- writing ---

    def append(self, kind: str, data: dict[str, Any]) -> Event:
        """Write one event and wait until it is on disk.

        Raises
        ------
        SessionError
            If another window has taken the session over, or the disk refuses; then nothing
            was written.
        """
        return self.add([(kind, data)])[0]

    def extend(self, kind: str, many: Sequence[dict[str, Any]]) -> tuple[Event, ...]:
        """Write several events of a kind at once, as `add`."""
        return self.add([(kind, data) for data in many])

    def add(
        self, many: Sequence[tuple[str, dict[str, Any]]], times: Sequence[float] = ()
    ) -> tuple[Event, ...]:
        """Write events, each a kind and its data: all or none, however it ends.

        Parameters
        ----------
        many : sequence of (kind, data)
        times : sequence of float
            When each of the first events happened, in seconds since 1970; the others happen now.

        Raises
        ------
        SessionError
            As `append`.
        """
        for kind, data in many:
            if kind not in KINDS:
                raise SessionError(f"a journal has no events of kind {kind!r}.")
            conform(data, KINDS[kind])  # what is written can be read
        if not self._claimed:
            self.claim()
        now = round(self._clock(), 3)
        when = [*times, *[now] * (len(many) - len(times))]
        happened = enumerate(zip(when, many, strict=True), self.count)
        events = [Event(seq, at, *one) for seq, (at, one) in happened]
        try:
            with self._locked():
                self._keep_mark()
                self._write(events)
        except OSError as error:
            raise SessionError(
                f"{self.path} can't be written: {error.strerror or error}. The last answer is not "
                "saved; make room or mend the permissions, then answer again."
            ) from error
        self._events.extend(events)
        return tuple(events)

    @property
    def count(self) -> int:
        """How many events there are; the number of the next."""
        return len(self._events)

    def take_note(self) -> str:
        """Say once what the person should know of the file; empty if there is nothing."""
        note, self._note = self._note, ""
        return note

    def _keep_mark(self) -> None:
        """Make sure that this journal may write, and that others see it."""
        if not self.owned:
            raise SessionError(
                f"{self.path.parent} was opened in another window, which now writes it. What "
                "was answered here is saved; go on there, or reload this page to take it back."
            )
        if self._owner().get("token") != self._token:
            self._mark()

    def _write(self, events: Sequence[Event]) -> None:
        ours = self._is_ours()
        if ours and self._stamp is not None and len(events) == 1:
            self._write_line(_lines(events))
            return
        spare = None if ours else spare_name(self.path)
        lines = _lines([*self._events, *events])
        write_durably(self.path, lines, spare)
        self._length, self._stamp = len(lines), stamp_of(self.path.stat())
        if spare is not None:
            self._note = self._what_happened(spare)
            logger.warning("%s", self._note)

    def _write_line(self, line: bytes) -> None:
        with self.path.open("r+b", buffering=0) as file:
            try:
                file.truncate(self._length)  # a torn line, too
                file.seek(self._length)
                write_all(file.fileno(), line)
                os.fsync(file.fileno())
            except OSError:
                with contextlib.suppress(OSError):
                    file.truncate(self._length)  # what is called not saved must not be there
                    os.fsync(file.fileno())
                raise
            finally:
                self._stamp = stamp_of(os.fstat(file.fileno()))
        self._length += len(line)

    def _is_ours(self) -> bool:
        """Tell whether the file holds all events of this journal, and no others."""
        if self._unchanged():
            return True
        now = self._now()
        if now is None or _lines(now[0]) != _lines(self._events):
            return False
        _, self._length, self._stamp = now
        return True

    def _goes_on(self) -> bool:
        """Tell whether the file holds all events of this journal, and others after them."""
        if self._unchanged():
            return False
        events = (self._now() or [()])[0]
        return len(events) > self.count and _lines(events[: self.count]) == _lines(self._events)

    def _now(self) -> tuple[list[Event], int, Stamp | None] | None:
        """Read the file again; None if it can't be read."""
        try:
            return _read(self.path)
        except SessionError:
            return None

    def _unchanged(self) -> bool:
        try:
            return stamp_of(self.path.stat()) == self._stamp
        except OSError:
            return self._stamp is None

    def _what_happened(self, spare: Path) -> str:
        if not spare.exists():
            return (
                f"{self.path} was gone: another program deleted it. All answers are written there "
                "again."
            )
        return (
            f"Another program changed {self.path} or put another file in its place. All answers "
            f"given here are written there again; the other file is kept as {spare.name}."
        )


# --- processes ---

HOST = platform.node()


def another_lives(pid: Any) -> bool:  # noqa: ANN401 - read from a file
    """Tell whether there is a process of this number, other than this one."""
    return type(pid) is int and pid > 0 and pid != os.getpid() and began(pid) is not None


def began(pid: int) -> str | None:
    """Say when a process began, to compare it only; None if it has ended.

    Linux counts from its own start, so that setting the clock changes nothing.
    """
    if sys.platform == "linux":
        boot = ""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        except OSError:
            return None
        with contextlib.suppress(OSError):  # some containers hide it
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        state, *fields = stat.rpartition(")")[2].split()
        return None if state in "ZX" else f"{boot} {fields[18]}"
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else str(process.create_time())
    except (psutil.Error, OverflowError):
        return None


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


def own(events: Iterable[Event]) -> tuple[Event, ...]:
    """Leave out what was merged from other sessions, and all before."""
    events = tuple(events)
    merged = (n for n, event in enumerate(events) if event.kind == "merged")
    return events[max(merged, default=-1) + 1 :]
