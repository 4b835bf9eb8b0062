"""The embedded dataset: the phantom, drawn once into the user's cache."""

from __future__ import annotations

import shutil
from pathlib import Path

from filelock import FileLock

from alnb.dataset.build import Progress
from alnb.dataset.folder import Dataset
from alnb.dataset.importers import import_phantom
from alnb.errors import DataError

EMBEDDED_SIZE = 256  # ours: half the work of 352 at the first start and in every cycle, on two cores
VERSION = 2  # of the phantom; raise it when its slices change, so that old caches are left


def embedded_folder(size: int | None = None) -> Path:
    """Name the folder of the embedded dataset, of slices of `size` pixels; None for `EMBEDDED_SIZE`."""
    from platformdirs import user_cache_path

    other = "" if size in (None, EMBEDDED_SIZE) else f"-{size}"
    return user_cache_path("alnb") / f"phantom-{VERSION}{other}"


def embedded(progress: Progress | None = None, *, size: int | None = None) -> Dataset:
    """Open the embedded dataset; draw it first where there is none.

    Of two processes that need it at once, one draws and the other waits.

    Parameters
    ----------
    progress : callable or None
        Called after each scan that is drawn, with its name and how many are.
    size : int or None
        Side of its slices, in pixels; None for `EMBEDDED_SIZE`. At 128 all takes a quarter of the time, so
        that notebooks can train.

    Raises
    ------
    DataError
        If it can't be written.
    """
    folder = embedded_folder(size)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(str(folder.with_name(f"{folder.name}.lock"))):
            return _opened_or_drawn(folder, size or EMBEDDED_SIZE, progress)
    except OSError as error:
        raise DataError(
            f"the embedded data can't be written to {folder}: {error.strerror}. Mend the "
            "permissions, or name a dataset."
        ) from error


def _opened_or_drawn(folder: Path, size: int, progress: Progress | None) -> Dataset:
    try:
        return Dataset.open(folder)
    except DataError:  # none yet, or an incomplete one
        shutil.rmtree(folder, ignore_errors=True)
        return import_phantom(folder, name="phantom", size=size, progress=progress)
