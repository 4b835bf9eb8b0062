"""What lies on disk: names of files, hashes, and writing that is whole or not at all.

A session's folder holds its journal, which is the only truth, and what can be made again:

    journal.jsonl  .lock  .owner            events, who may write them
    journal.other-N.jsonl                   what another program put in the journal's place
    draft.json                              marks that are no answer yet
    alnb.log                                what went wrong in page and training process
    cache/weights-NAME.safetensors          networks, named by all that they follow from
    cache/scores-NAME.npz                   how much each region of the pool is wanted
    cache/maps-NAME-SCAN-Z.npz              what is shown of a slice
    cache/features-NAME/SCAN-Z.npy          what the live layer learns on, of a slice
    agreement.csv, annotators.csv           how far people agree, in a session that was merged

`alnb.origins` has what sessions share.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import re
import shutil
import tokenize
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from alnb.errors import LOG

if TYPE_CHECKING:
    import pandas as pd

JOURNAL = "journal.jsonl"
OWNER = "journal.owner"
LOCK = "journal.lock"
DRAFT = "draft.json"
CACHE = "cache"
AGREEMENT = ("agreement.csv", "annotators.csv")
ANSWERS = "answers.csv"  # of an export
STAGED = "-staged"  # ends the name of a temporary folder, after the number of its process
EXPORTED = ("curve.csv", "curve.html", *AGREEMENT)
SESSION_FILES = frozenset(
    {JOURNAL, OWNER, LOCK, DRAFT, LOG, f"{LOG}.1", f"{LOG}.2", CACHE, *EXPORTED}
)
"""What alnb puts into a session's folder, beside `spare_name`s and temporary files."""

_LEFT = re.compile(  # of kills, of other programs, and of older versions of alnb
    rf"\.\d+-({'|'.join(map(re.escape, sorted(SESSION_FILES)))})"
    r"|journal\.other-\d+\.jsonl|journal\.new|app\.log|training\.log"
)

Stamp: TypeAlias = tuple[int, int, int, int]
"""Which file it is, its length, and when it was written last."""

UNREADABLE = (
    OSError, EOFError, ValueError, KeyError, TypeError, OverflowError, MemoryError, RecursionError,
    SyntaxError, tokenize.TokenError, BadZipFile, zlib.error, NotImplementedError, RuntimeError,
)  # fmt: skip
"""What reading an array raises where the file is missing, broken or made by an attacker."""


@contextlib.contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """Give a temporary folder; what is in it moves into `folder` when the block ends well.

    If anything fails, nothing of it stays, and `folder` neither if it was new.

    Parameters
    ----------
    folder : Path
        Files of the same names in it are replaced.

    Yields
    ------
    Path
        In `folder`.
    """
    stage, new = folder / f".{os.getpid()}{STAGED}", not folder.exists()
    try:
        stage.mkdir(parents=True, exist_ok=True)
        yield stage
        for path in sorted(stage.rglob("*")):
            if not path.is_dir():
                target = folder / path.relative_to(stage)
                target.parent.mkdir(parents=True, exist_ok=True)
                path.replace(target)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        if new:
            with contextlib.suppress(OSError):  # something is in it
                folder.rmdir()


def is_of_session(name: str) -> bool:
    """Tell whether a file of this name in a session's folder is alnb's own, a leftover too."""
    return name in SESSION_FILES or bool(_LEFT.fullmatch(name))


def spare_name(path: Path) -> Path:
    """Name a new file beside one, for what may not be overwritten: ``journal.other-1.jsonl``."""
    numbered = (
        path.with_name(f"{path.stem}.other-{number}{path.suffix}") for number in itertools.count(1)
    )
    return next(spare for spare in numbered if not spare.exists())


def names_of(folders: Sequence[Path]) -> list[str]:
    """Name each folder by the end of its path, long enough to differ from the others.

    Examples
    --------
    >>> names_of([Path("/a/one"), Path("/b/one")])
    ['a/one', 'b/one']
    """
    parts = [folder.resolve().parts for folder in folders]
    longest = max(map(len, parts), default=1)
    depth = next(
        (n for n in range(1, longest) if len({path[-n:] for path in parts}) == len(parts)), longest
    )
    return ["/".join(path[-depth:]) for path in parts]


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name to write to; the file gets its own name when the block ends well.

    If anything fails, a file that was there before stays as it was.

    Parameters
    ----------
    path : Path
        The file to write. Its folder is made.

    Yields
    ------
    Path
        In the same folder, with the same ending.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all, in UTF-8 with plain line ends."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_durably(path: Path, content: bytes, spare: Path | None = None) -> None:
    """Write a file, whole or not at all, and return once it will outlast a loss of power.

    Parameters
    ----------
    path : Path
    content : bytes
    spare : Path, optional
        Keeps the file that was there before, if there was one.
    """
    with replacing(path) as temporary:
        with temporary.open("wb", buffering=0) as file:
            write_all(file.fileno(), content)
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, temporary)
            if spare is not None:
                link(path, spare)
    with contextlib.suppress(OSError):  # not every system lets a folder be opened
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def link(path: Path, other: Path) -> None:
    """Give a file a second name, or copy it where a disk has no such links."""
    try:
        os.link(path, other)
    except OSError:
        with replacing(other) as temporary:
            shutil.copy2(path, temporary)


def write_all(descriptor: int, content: bytes) -> None:
    """Write to a file without a buffer; a full disk takes a part, and then raises."""
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]


def write_arrays(path: Path, /, **arrays: NDArray[Any]) -> None:
    """Write arrays by name to an .npz file, whole or not at all."""
    with replacing(path) as temporary, ZipFile(temporary, "w") as archive:
        for name, array in arrays.items():  # np.savez can't name one "file"
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, array, allow_pickle=False)


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read what `write_arrays` wrote; empty if the file is missing or broken."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except UNREADABLE:
        return {}


def stamp_of(found: os.stat_result) -> Stamp:
    """Return what changes when a file is replaced or written to."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def sha256_of(path: Path) -> str:
    """Hash a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def short_hash(what: Any, digits: int = 16) -> str:  # noqa: ANN401 - any JSON value
    """Hash plain values, the same for equal ones.

    Parameters
    ----------
    what : JSON value
        Keys are sorted.
    digits : int
        Of the hexadecimal result, 64 at most.
    """
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:digits]


# --- a cache of networks and what they say ---


def weights_path(cache: Path, name: str) -> Path:
    """Name the file of a network."""
    return cache / f"weights-{name}.safetensors"


def scores_path(cache: Path, weights: str) -> Path:
    """Name the file of the pool's scores by a network."""
    return cache / f"scores-{weights}.npz"


def maps_path(cache: Path, weights: str, scan: str, z: int) -> Path:
    """Name the file of a slice's maps; the scan's name is hashed, since it may be no file name.

    Parameters
    ----------
    cache : Path
        Its folder.
    weights : str
        Of the network.
    scan : str
    z : int
        From 0.
    """
    return cache / f"maps-{weights}-{_named(scan)}-{z}.npz"


def features_path(cache: Path, weights: str, scan: str, z: int) -> Path:
    """Name the file of a slice's features.

    Parameters
    ----------
    cache, weights, scan, z
        As for `maps_path`.
    """
    return cache / f"features-{weights}" / f"{_named(scan)}-{z}.npy"


def _named(scan: str) -> str:
    return hashlib.sha256(scan.encode()).hexdigest()[:12]


def forget(cache: Path, kind: str, keep: int) -> None:
    """Delete the oldest files of a kind, or folders, and what was left half written.

    Parameters
    ----------
    cache : Path
        Their folder.
    kind : str
        "weights", "scores", "maps", "features" or "code".
    keep : int
        How many of the newest stay.
    """
    for path in (*cache.glob(f"{kind}-*.tmp"), *cache.glob(f".*-{kind}-*")):
        if not _is_written(path):
            path.unlink(missing_ok=True)
    found = [(path.stat().st_mtime, path) for path in cache.glob(f"{kind}-*")]
    for _, path in sorted(found)[: max(0, len(found) - keep)]:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _is_written(path: Path) -> bool:
    """Tell whether the process that `replacing` named a file by lives."""
    try:
        os.kill(int(path.name[1:].partition("-")[0]), 0)
    except (ValueError, OverflowError, ProcessLookupError):
        return False
    except PermissionError:
        pass
    return True


# --- text in tables ---

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # OWASP, CSV injection


def inert(cell: Any) -> Any:  # noqa: ANN401 - any value of a table
    """Put an apostrophe before a text that a spreadsheet would run as a formula."""
    runs = isinstance(cell, str) and cell.lstrip("'").startswith(_FORMULA)
    return f"'{cell}" if runs else cell


def from_inert(cell: str) -> str:
    """Read what `inert` wrote."""
    return cell[1:] if cell.startswith("'") and inert(cell) != cell else cell


def csv_of(table: pd.DataFrame) -> str:
    """Write a table as CSV, in which no text is a formula to a spreadsheet."""
    texts = table.select_dtypes(exclude="number")
    safe = {str(name): column.map(inert) for name, column in texts.items()}
    return str(table.assign(**safe).to_csv(index=False, lineterminator="\n"))
