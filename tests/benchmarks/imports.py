"""The peak memory of importing a long scan, of plain voxels and of voxels with a slope."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import DTypeLike, NDArray

from .memory import peak_mib
from .speed import Measure

SHAPE = (512, 512, 1000)  # a long chest in thin slices
LIMIT_MIB = 1e9 / 2**20  # what a small notebook computer has to spare
KINDS: dict[str, tuple[DTypeLike, tuple[float, float]]] = {  # voxels, and slope and intercept
    "int16": (np.int16, (1, 0)),
    "int16 and a slope": (np.int16, (0.5, -500)),
    "float32": (np.float32, (1, 0)),
}


def measure_imports() -> Iterator[Measure]:
    """Import made scans with their masks, each in a process of its own; yields MiB."""
    if not Path("/proc/self/status").exists():
        yield Measure("peak memory of an import", None, "MiB", note="measured on Linux alone")
        return
    for kind, (dtype, scale) in KINDS.items():
        with tempfile.TemporaryDirectory() as folder:
            _write(Path(folder, "images", "a.nii.gz"), dtype, scale, _noise())
            _write(Path(folder, "masks", "a.nii.gz"), np.uint8, (1, 0), _noise() % 2)
            began = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-c", f"from {__name__} import run; run({folder!r})"],
                check=True, capture_output=True, text=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )  # fmt: skip
            seconds = time.perf_counter() - began
        size = "×".join(map(str, SHAPE))
        note = f"{size}, with its mask, in {seconds:.0f} s"
        yield Measure(f"import of {kind}", float(done.stdout), "MiB", LIMIT_MIB, note)


def run(folder: str) -> None:
    """Import a folder in this process and print its peak resident memory in MiB."""
    from alnb.dataset import import_nifti

    root = Path(folder)
    import_nifti(root / "images", root / "data", masks=root / "masks")
    print(peak_mib())


def _noise() -> NDArray[np.int64]:
    """Return a slice of -1000…999, which is HU, as is half of it less 500."""
    return np.random.default_rng(0).integers(-1000, 1000, SHAPE[:2])


def _write(path: Path, dtype: DTypeLike, scale: tuple[float, float], plane: NDArray[Any]) -> None:
    """Write a volume of equal slices, slice by slice."""
    header = nib.Nifti1Header()
    header.set_data_shape(SHAPE)
    header.set_data_dtype(dtype)
    header.set_sform(np.diag([-0.7, -0.7, 0.5, 1]), 1)
    header.set_slope_inter(*scale)
    header["vox_offset"] = 352
    path.parent.mkdir()
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(header.binaryblock + bytes(4))
        for _ in range(SHAPE[2]):
            stream.write(plane.astype(dtype).tobytes(order="F"))
