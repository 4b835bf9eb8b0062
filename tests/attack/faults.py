"""A disk that fills up, or may only be read, at any moment of labelling, importing and exporting.

What was acknowledged must be there, and what was refused not even in part. A refusal is a sentence.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from alnb.errors import AlnbError
from alnb.journal import Journal
from alnb.session import Session
from alnb.storage import JOURNAL
from tests.attack.kills import DOING, half_export, planned
from tests.attack.run import Outcome
from tests.attack.targets import SIDE, _dataset, _quick, _volumes

MOUNT = shutil.which("mount") or ""
STEPS = 40  # of one session
WHAT = (*dict.fromkeys(DOING), "answer", "fork", "open", "import", "phantom")
LEFT = (0, 1, 200, 4095, 4096, 8192, 20_000)  # bytes that a full disk still takes


class Disk:
    """A disk in memory that has little room, at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def fill(self, left: int = 0) -> None:
        """Take all the room, but for so many bytes, in pages of 4096."""
        with contextlib.suppress(OSError), self._filler.open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        os.truncate(self._filler, max(0, self._filler.stat().st_size - left))

    def free(self) -> None:
        """Give the room back."""
        self._filler.unlink()

    def set_writable(self, yes: bool) -> None:
        """Let it be written, or only read."""
        how = f"remount,{'rw' if yes else 'ro'}"
        subprocess.run([MOUNT, "-o", how, str(self.path)], check=True)

    @contextlib.contextmanager
    def refusing(self, how: int | str) -> Iterator[None]:
        """Let it be full but for so many bytes, or "read only"."""
        if how == "read only":
            self.set_writable(False)
        else:
            self.fill(int(how))
        try:
            yield
        finally:
            if how == "read only":
                self.set_writable(True)
            else:
                self.free()


@contextlib.contextmanager
def disk(folder: Path) -> Iterator[Disk | None]:
    """Mount a disk of 4 MB in a folder; None where this user may not."""
    place = folder / "disk"
    place.mkdir()
    words = [MOUNT, "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if not MOUNT or subprocess.run(words, capture_output=True).returncode:
        yield None
        return
    try:
        yield Disk(place)
    finally:
        subprocess.run([str(Path(MOUNT).with_name("umount")), "--lazy", str(place)], check=True)


def faults(count: int, seed: int) -> Iterator[Outcome]:
    """Let a disk refuse so many times; yield how each ended. Nothing where none can be mounted."""
    done = 0
    while done < count:
        with tempfile.TemporaryDirectory(prefix="alnb-faults-") as inside:
            folder = Path(inside)
            with disk(folder) as small:
                if small is None:
                    return
                for outcome in _one_session(folder, small, seed + done):
                    yield outcome
                    done += 1


def _one_session(folder: Path, small: Disk, seed: int) -> Iterator[Outcome]:
    rng = random.Random(f"faults {seed}")
    dataset = _dataset(folder)
    place = small.path / "session"
    session = Session.open(place, dataset, _quick())
    for number in range(STEPS):
        how = rng.choice((*LEFT, "read only"))
        doing = rng.choice(WHAT)
        before = session.journal.events
        act: Callable[[], object] | None
        if doing in ("import", "phantom"):
            act = _building(doing, small.path / "data")
        elif doing == "open":
            act = _opening(small.path / f"other-{number}", session)
        else:
            plan = planned(session, doing, rng)
            act = None if plan is None else plan[1]
        if act is None:
            continue
        with small.refusing(how):
            ended, detail = _tried(act)
        if ended in ("read", "refused"):
            wrong = _wrong(place, session, before, ended) or half_export(place)
            wrong = wrong or _half_data(small.path / "data", ended, doing)
            ended, detail = ("lost", wrong) if wrong else (ended, detail)
        yield Outcome("fault", seed, ended, f"{doing}, {how}: {detail}")
        for left in ("data", "export"):
            shutil.rmtree(small.path / left, ignore_errors=True)


def _tried(act: Callable[[], object]) -> tuple[str, str]:
    try:
        act()
    except AlnbError as error:
        return "refused", str(error)
    except Exception as error:
        return type(error).__name__, str(error)
    return "read", ""


def _building(what: str, out: Path) -> Callable[[], object]:
    from alnb.dataset import build, import_phantom

    if what == "import":
        return lambda: build(_volumes(), out, size=SIDE, split="mixed")
    return lambda: import_phantom(out, scans=1, size=32)


def _opening(place: Path, session: Session) -> Callable[[], object]:
    def act() -> None:
        try:
            Session.open(place, session.dataset, _quick()).close()
        finally:
            if (place / JOURNAL).exists() and not (place / JOURNAL).stat().st_size:
                raise AssertionError("an empty journal is left")

    return act


def _wrong(place: Path, session: Session, before: tuple[object, ...], ended: str) -> str:
    """Say how the journal on disk differs from what the session says, or a refusal changed it."""
    if ended == "refused" and len(session.journal.events) != len(before):
        return "what was refused is in the session"
    kept = [event.line() for event in Journal(place / JOURNAL).events]
    said = [event.line() for event in session.journal.events]
    return "" if kept == said else f"{len(said)} events were acknowledged, {len(kept)} are there"


def _half_data(out: Path, ended: str, doing: str) -> str:
    if doing not in ("import", "phantom"):
        return ""
    left = [path.name for path in out.rglob("*")] if out.exists() else []
    return f"{left[:3]} are left" if ended == "refused" and left else ""
