"""Open NIfTI files, whatever their names say they are, and read their voxels plane by plane."""

# mypy: disable-error-code="no-untyped-call"
# nibabel types its modules only in part

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np

from alnb.errors import DataError, quoted
from alnb.storage import sha256_of
from alnb.volumes.scan import MOST_PIXELS, MOST_VOXELS, Triple, by

if TYPE_CHECKING:
    from numpy.typing import NDArray

NIFTI = (".nii", ".nii.gz", ".hdr")  # a pair goes by the name of its header
_GZIP = b"\x1f\x8b"
_DEFLATE = 1032  # zlib: no byte of a gzip file becomes more
_HEADER = 540  # NIfTI-2's length; NIfTI-1 needs 348
_KINDS = {
    _GZIP: "a gzip file inside a gzip file", b"NRRD": "NRRD", b"ObjectType": "MetaImage",
    b"NDims": "MetaImage", b"PK\x03\x04": "a zip archive", b"Rar!": "a rar archive",
    b"7z\xbc\xaf": "a 7z archive", b"BZh": "a bzip2 file", b"\xfd7zXZ": "an xz file",
    b"\x28\xb5\x2f\xfd": "a zstd file", b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture", b"II*\0": "a TIFF picture", b"MM\0*": "a TIFF picture",
    b"\x89HDF": "HDF5 or MINC", b"CDF": "MINC", b"\x93NUMPY": "a NumPy array", b"<": "a web page",
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself", b"%PDF": "a PDF",
}  # fmt: skip
"""How files begin that are given to us for NIfTI."""
_ADVICE = "Export it as NIfTI."


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """A NIfTI file that was opened; its voxels are read plane by plane."""

    path: Path  # of the header
    header: Any  # nibabel's
    shape: Triple
    dtype: np.dtype[Any]
    slope: float  # NaN: the voxels are the values
    intercept: float

    @classmethod
    def open(cls, path: Path) -> Stored:
        """Read the header, and check that the voxels can be there.

        Raises
        ------
        DataError
            If the file is missing, a folder, something else, broken, or not of three axes.
        """
        path = _header_of(path)
        if path.is_dir():
            raise DataError(
                f"{path.name}: this is a folder. Name a file, or the folder that holds the files."
            )
        if not path.is_file():
            raise DataError(f"{path}: there is no such file. Check the path.")
        with _sentences(path):
            header = _parsed(path)
            shape = _three_axes(header.get_data_shape(), path)
            slope, intercept = header.get_slope_inter()
            dtype = header.get_data_dtype()
            stored = cls(path, header, shape, dtype, slope or math.nan, intercept or 0.0)
            stored._check_length()
        return stored

    @property
    def voxels(self) -> Path:
        """The file that holds the voxels: the file itself, or the ``.img`` beside its header."""
        if self.header["magic"].item()[:2] != b"ni":
            return self.path
        pair = _beside(self.path, ".img")
        if not pair.is_file():
            raise DataError(f"{self.path.name}: there is no {pair.name} beside it. Add it.")
        return pair

    @property
    def value_dtype(self) -> np.dtype[Any]:
        """The type of a plane's values."""
        scaled = not math.isnan(self.slope) and (self.slope, self.intercept) != (1.0, 0.0)
        number = self.dtype.kind in "biuf"
        return np.dtype(np.float64) if scaled and number else self.dtype

    @property
    def sha256(self) -> str:
        """Checksum of the file; of a pair, of both files' checksums."""
        if self.voxels == self.path:
            return sha256_of(self.path)
        both = sha256_of(self.path) + sha256_of(self.voxels)
        return hashlib.sha256(both.encode()).hexdigest()

    def planes(self) -> Iterator[NDArray[Any]]:
        """Yield the values plane by plane along the last axis, each (a, b) as stored.

        Raises
        ------
        DataError
            If the file ends too early or is broken.
        """
        a, b, count = self.shape
        length = a * b * self.dtype.itemsize
        with _sentences(self.path), _bytes_of(self.voxels) as stream:
            stream.seek(self._start)
            for number in range(count):
                raw = stream.read(length)
                if len(raw) < length:
                    raise DataError(
                        f"{self.path.name}: it is truncated: {number} of {count} slices can be "
                        "read. Copy or download it again."
                    )
                yield self._values(np.frombuffer(raw, self.dtype).reshape((a, b), order="F"))
            while stream.read(2**20):  # to the end of a gzip file, where its checksum stands
                pass

    def _values(self, raw: NDArray[Any]) -> NDArray[Any]:
        if self.value_dtype == self.dtype:
            return raw
        return raw * np.float64(self.slope) + np.float64(self.intercept)

    @property
    def _start(self) -> int:
        """Where the voxels begin; some programs write 0 where they follow the header."""
        offset = int(self.header.get_data_offset())
        return offset or (self.header.single_vox_offset if self.voxels == self.path else 0)

    def _check_length(self) -> None:
        """Refuse before anything is read what can't be there."""
        a, b, _ = self.shape
        if math.prod(self.shape) > MOST_VOXELS or a * b > MOST_PIXELS:
            raise DataError(f"{self.path.name}: {by(self.shape)} voxels are no CT. {_ADVICE}")
        needed = self._start + math.prod(self.shape) * self.dtype.itemsize
        size = self.voxels.stat().st_size
        if size * (_DEFLATE if _is_gzip(self.voxels) else 1) < needed:
            raise DataError(
                f"{self.path.name}: it is truncated: its header promises {by(self.shape)} voxels, "
                "and the file is too short for them. Copy or download it again."
            )


def _header_of(path: Path) -> Path:
    """Return the header of a pair for its ``.img``, and any other path as it is."""
    if path.name.lower().endswith((".img", ".img.gz")):
        return _beside(path, ".hdr")
    return path


def _beside(path: Path, ending: str) -> Path:
    """Return the other file of a pair: of that ending, in upper case or compressed, too."""
    name = path.name[: -len(".gz")] if path.name.lower().endswith(".gz") else path.name
    plain = path.with_name(name[: -len(ending)] + ending)
    others = (plain, plain.with_suffix(ending.upper()), path.with_name(f"{plain.name}.gz"))
    return next((one for one in others if one.is_file()), plain)


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) == _GZIP


@contextmanager
def _bytes_of(path: Path) -> Iterator[IO[bytes]]:
    """Open a file, compressed or not, whatever its name says."""
    if _is_gzip(path):
        with gzip.open(path) as stream:
            yield cast("IO[bytes]", stream)
    else:
        with path.open("rb") as plain:
            yield plain


@contextmanager
def _sentences(path: Path) -> Iterator[None]:
    """Turn what nibabel and gzip say about a broken file into a sentence."""
    from nibabel.spatialimages import HeaderDataError

    try:
        yield
    except DataError:  # says what is wrong already
        raise
    except (HeaderDataError, EOFError, OSError, OverflowError, ValueError, zlib.error) as error:
        raise DataError(
            f"{path.name}: it can't be read as NIfTI; it is truncated or broken ({quoted(error)}). "
            "Copy or download it again."
        ) from error


def _parsed(path: Path) -> Any:  # noqa: ANN401 - nibabel's header
    """Read the header of a NIfTI file, or say what the file is."""
    import nibabel as nib

    with _bytes_of(path) as stream:
        head = stream.read(_HEADER)
    for at, length, single, pair in (
        (344, 348, nib.Nifti1Image, nib.Nifti1Pair),
        (4, _HEADER, nib.Nifti2Image, nib.Nifti2Pair),
    ):
        magic = head[at : at + 2]
        if magic in (b"n+", b"ni") and len(head) >= length:
            return (single if magic == b"n+" else pair).header_class(head[:length])
    raise DataError(f"{path.name}: {_kind_of(head)}")


def _kind_of(head: bytes) -> str:
    """Name what a file is that begins so, and what to do."""
    if not head.strip(b"\0"):
        return "it is empty. Copy or download it again."
    if head[128:132] == b"DICM":
        return "this is DICOM. Import it with alnb import dicom."
    known = next((kind for magic, kind in _KINDS.items() if head.startswith(magic)), None)
    if known:
        return f"it can't be read as NIfTI: this is {known}. {_ADVICE}"
    if head[:4] in ((348).to_bytes(4, "little"), (348).to_bytes(4, "big")):
        if len(head) < 348:
            return "it can't be read as NIfTI: it is truncated. Copy or download it again."
        return f"this is Analyze 7.5, which doesn't say where left and right are. {_ADVICE}"
    return f"it can't be read as NIfTI: it is something else or truncated. {_ADVICE}"


def _three_axes(shape: tuple[int, ...], path: Path) -> Triple:
    """Drop last axes of length 1."""
    axes = [int(length) for length in shape]
    while len(axes) > 3 and axes[-1] == 1:
        axes.pop()
    if len(axes) != 3:
        advice = (
            "Export one volume a file."
            if len(axes) > 3
            else "Stack a scan's slices in one file; the third axis of a single slice has length 1."
        )
        raise DataError(
            f"{path.name}: it has {len(axes)} axes ({by(tuple(axes))}), a scan has 3. {advice}"
        )
    a, b, c = axes
    return a, b, c
