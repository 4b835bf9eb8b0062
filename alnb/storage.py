"""What lies on disk: names of files, hashes, and writing that is whole or not at all.

A session's folder holds its journal, which is the only truth, and what can be made again:

    journal.jsonl  .lock  .owner            events, who may write them
    draft.json                              marks that are no answer yet
    alnb.log                                what went wrong in page and training process
    cache/weights-NAME.safetensors          networks, named by all that they follow from
    cache/scores-NAME.npz                   how much each region of the pool is wanted
    cache/maps-NAME-SCAN-Z.npz              what is shown of a slice
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tokenize
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from alnb.errors import LOG

JOURNAL = "journal.jsonl"
OWNER = "journal.owner"
LOCK = "journal.lock"
DRAFT = "draft.json"
CACHE = "cache"
EXPORTED = ("curve.csv", "curve.html")
SESSION_FILES = frozenset(
    {JOURNAL, OWNER, LOCK, DRAFT, LOG, f"{LOG}.1", f"{LOG}.2", CACHE, *EXPORTED}
)
"""What alnb puts into a session's folder; older versions also wrote app.log and training.log."""

UNREADABLE = (
    OSError, EOFError, ValueError, KeyError, TypeError, OverflowError, MemoryError, RecursionError,
    SyntaxError, tokenize.TokenError, BadZipFile, zlib.error, NotImplementedError, RuntimeError,
)  # fmt: skip
"""What reading an array raises where the file is missing, broken or made by an attacker."""


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
    named = hashlib.sha256(scan.encode()).hexdigest()[:12]
    return cache / f"maps-{weights}-{named}-{z}.npz"


def forget(cache: Path, kind: str, keep: int) -> None:
    """Delete the oldest files of a kind.

    Parameters
    ----------
    cache : Path
        Their folder.
    kind : str
        "weights", "scores" or "maps".
    keep : int
        How many of the newest stay.
    """
    found = [(path.stat().st_mtime, path) for path in cache.glob(f"{kind}-*")]
    for _, path in sorted(found)[: max(0, len(found) - keep)]:
        path.unlink(missing_ok=True)
