"""The errors that a person sees, and the log that keeps the rest.

An `AlnbError` is one sentence with what was wrong, where, and what to do. `path_sentence` makes one
of what the system says about a file or folder that a person named. Any other exception is a
fault of alnb: `sentence_of` logs its trace, and `log_hint` points to the log in one sentence.
"""

from __future__ import annotations

import errno
import logging
import os
import re
from collections.abc import Callable
from functools import wraps
from inspect import signature
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import ParamSpec, TypeVar

LOG = "alnb.log"
LOG_BYTES, LOG_FILES = 1_000_000, 3  # ours: some thousand traces, and two older files
LOGGER = logging.getLogger("alnb")


LONGEST_NAME = 100  # ours: characters of a name in a sentence, or of a part of a path


class AlnbError(Exception):
    """Base of every error that alnb raises on purpose; its text is for the person."""

    def __init__(self, sentence: object = "") -> None:
        super().__init__(cut(str(sentence)))


class DataError(AlnbError, ValueError):
    """A scan, a mask, a folder or a dataset is missing, broken or does not fit."""


class ConfigError(AlnbError, ValueError):
    """A setting is unknown, out of range or does not fit another."""


class SessionError(AlnbError):
    """A session or its journal cannot be read, written or changed in this way."""


class TrainerError(AlnbError):
    """The training process failed or ended, or cannot do what it was asked for."""


def log_to(folder: Path) -> Path:
    """Write everything that alnb logs in this process to one file, rotated at `LOG_BYTES`.

    The logger ``alnb`` and those below it write there. The file is made at the first line. A second
    call replaces the folder.

    Returns
    -------
    Path
        The file.
    """
    for old in [one for one in LOGGER.handlers if isinstance(one, RotatingFileHandler)]:
        LOGGER.removeHandler(old)
        old.close()
    new = RotatingFileHandler(
        folder / LOG, maxBytes=LOG_BYTES, backupCount=LOG_FILES - 1, encoding="utf-8", delay=True
    )
    new.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    LOGGER.addHandler(new)
    return folder / LOG


def log_hint() -> str:
    """Point to the log, in a sentence after a space; empty before `log_to`."""
    files = [one.baseFilename for one in LOGGER.handlers if isinstance(one, RotatingFileHandler)]
    return f" The log {files[0]} says more." if files else ""


def user_log_folder() -> Path:
    """Make the folder for the log of a page without a session, and return it."""
    from platformdirs import user_log_path

    return user_log_path("alnb", ensure_exists=True)


def sentence_of(error: BaseException) -> str:
    """Put an error into a sentence; log its trace if it is no `AlnbError`."""
    if isinstance(error, AlnbError):
        return str(error)
    LOGGER.error("%s", error, exc_info=error)
    return (
        f"Something went wrong in alnb ({type(error).__name__}: {error}). Every answer is saved; "
        f"reload the page to go on.{log_hint()}"
    )


def cut(sentence: str) -> str:
    """Cut names in a sentence that nobody would read to their end."""
    return re.sub(
        rf"[^\s/\\]{{{LONGEST_NAME + 1},}}", lambda found: f"{found[0][:LONGEST_NAME]}…", sentence
    )


LONGEST_QUOTE = 120  # ours: pydicom names every decoder that failed


def quoted(error: BaseException) -> str:
    """Quote another library's error within a sentence: on one line, and cut where it is long."""
    words = " ".join(str(error).split()).rstrip(".")
    return words if len(words) <= LONGEST_QUOTE else f"{words[:LONGEST_QUOTE]}…"


# --- files and folders that a person named ---

P = ParamSpec("P")
R = TypeVar("R")

_ELSEWHERE = "or name another place"
_NO_ROOM = ("there is no room for it", f"Make room on the disk, {_ELSEWHERE}")
_FORBIDDEN = ("it may not be read or written here", f"Correct the permissions, {_ELSEWHERE}")
_REASONS = {
    errno.ENOSPC: _NO_ROOM, errno.EDQUOT: _NO_ROOM, errno.EFBIG: _NO_ROOM,
    errno.EACCES: _FORBIDDEN, errno.EPERM: _FORBIDDEN, errno.EROFS: _FORBIDDEN,
    errno.ENOENT: ("there is no such file or folder", "Check the path"),
    errno.EISDIR: ("it is a folder", "Name a file"),
    errno.ENOTDIR: ("a part of this path is a file", "Check the path"),
    errno.EEXIST: ("there is a file of this name", "Name another place"),
    errno.ENAMETOOLONG: ("its name is too long", "Name another place"),
}  # fmt: skip
_OF_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}


def refused(error: BaseException | None) -> OSError | None:
    """Find the error of a disk that is full or may only be read, if that is what an error is of."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _OF_DISK:
            return OSError(error.errno, error.strerror)  # it may name what was read
        error = error.__cause__
    return None


def path_sentence(error: OSError, path: Path | str) -> str:
    """Say why a file or folder can't be read or written, and what to do.

    `path` is for errors that name none, as those of a full disk, or a file of ours inside it.
    """
    why, advice = _REASONS.get(
        error.errno or 0, (f"it can't be used ({error.strerror or error})", "Check the path")
    )
    named = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else path
    told = Path(path if Path(path) in Path(named).parents else named)
    return cut(f"{told}: {why}. {advice}.")


def path_error(error: OSError, path: Path | str) -> DataError:
    """Make a `DataError` of `path_sentence`."""
    return DataError(path_sentence(error, path))


def _check_path(path: str) -> None:
    try:
        possible = b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        possible = False
    if not possible:
        raise DataError(f"{path[:200]!r}: no file or folder can be called so. Check the path.")


def saying(argument: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function that takes a path: its `OSError` becomes a `path_error`.

    `argument` is the path's name among the function's arguments. What no file can be called, with
    a null or half a letter in it, is a `DataError`, too.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def call(*args: P.args, **options: P.kwargs) -> R:
            path = signature(function).bind(*args, **options).arguments[argument]
            if isinstance(path, str | Path):
                _check_path(str(path))
            try:
                return function(*args, **options)
            except OSError as error:
                raise path_error(error, path) from error

        return call

    return decorate
