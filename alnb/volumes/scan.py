"""A scan and its mask in memory, and the way back to the file's grid."""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from alnb.errors import DataError
from alnb.schema import shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alnb.volumes.intensities import Unit

Triple: TypeAlias = tuple[int, int, int]
Matrix: TypeAlias = tuple[tuple[float, ...], ...]  # an affine, row by row

MOST_VOXELS = 2**29  # ours: of a scan, as a whole body's CT of 512×512×2048; they take 1 GiB
MOST_PIXELS = 2**24  # ours: of a slice, 4096×4096
_VOXEL_MM = (0.02, 100.0)  # ours: beyond, the header counts in metres or µm, or is broken
_FAR_MM = 1e5  # ours: no scanner counts so far
_FLAT = 0.05  # ours: the volume that axes of length 1 span; 0.5 at a gantry tilt of 60°
_FRAME = ("S", "P", "L")  # where the display axes z, y, x run to
_LONGEST = 220  # bytes of a scan's name: a file's holds 255, and ours add endings to it
_JOINERS = "\u200c\u200d"  # invisible, and letters of Persian and Indic names are spelt with them
_NO_FILE = re.compile(  # what Windows, macOS or Linux can't have in a file's name
    r"[.-].*|.*[/\\<>:\"|?*].*|.*[ .]|(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Source:
    """The way from display order back to the file."""

    file: str  # base name of the file or folder; empty for made data
    sha256: str  # checksum of the file; empty for made data and folders
    shape: Triple  # of the array in the file, its own axis order
    axes: Triple = (2, 1, 0)  # the file's axis that became z, y and x
    flips: tuple[bool, bool, bool] = (False, False, False)  # whether these run against that axis
    codes: tuple[int, int] = (0, 2)  # NIfTI's qform and sform codes
    qform: Matrix | None = None  # as the file has it, where it is not the scan's affine
    sform: Matrix | None = None  # likewise
    # RAS mm of the first voxel of each slice along the file's third axis, where no affine says it
    origins: tuple[tuple[float, float, float], ...] | None = None

    def to_display(self, array: NDArray[Any]) -> NDArray[Any]:
        """Turn an array of the file's axes into (Z, Y, X); a view."""
        display: NDArray[Any] = array.transpose(self.axes)[self._turned]
        return display

    def to_file(self, array: NDArray[Any]) -> NDArray[Any]:
        """Turn a (Z, Y, X) array into the file's axes; a view, the inverse of `to_display`."""
        stored: NDArray[Any] = array[self._turned].transpose(np.argsort(self.axes).tolist())
        return stored

    def indices(self, display: NDArray[Any]) -> NDArray[np.float64]:
        """Turn (..., 3) positions z, y, x in display order into the file's i, j, k."""
        last = np.array(self.display_shape) - 1
        stored: NDArray[np.float64] = np.where(self.flips, last - display, display)
        return stored[..., np.argsort(self.axes)]

    @property
    def _turned(self) -> tuple[slice, ...]:
        return tuple(slice(None, None, -1 if flip else 1) for flip in self.flips)

    @property
    def display_shape(self) -> Triple:
        """(Z, Y, X) of the scan in display order."""
        z, y, x = (self.shape[axis] for axis in self.axes)
        return z, y, x


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """One scan, in display order.

    Parameters
    ----------
    scan : str
        Its name, as in ``coronacases_001``; also a file's name, as `check_name` allows.
    voxels : (Z, Y, X) array
        int16 HU or uint8 windowed grey; row 0 anterior, column 0 the patient's right.
    affine : (4, 4) float array
        From the file's indices to RAS+ millimetres, as nibabel gives it.
    source : Source
        The way back to the file's grid.
    unit : "hu" or "grey"
        What the voxels are.
    notes : tuple of str
        What the reader found or decided, for the person; without the scan's name.
    stacked : bool
        Whether its slices lie on each other; false for a file of slices of several patients.
    located : bool
        Whether the file can say where in the patient it lies; false for pictures, whose affine is
        made up.

    Raises
    ------
    DataError
        If the name can't name a file, or voxels, source and unit contradict each other.
    """

    scan: str
    voxels: NDArray[Any]
    affine: NDArray[np.float64]
    source: Source
    unit: Unit
    notes: tuple[str, ...] = ()
    stacked: bool = True
    located: bool = True

    def __post_init__(self) -> None:
        check_name(self.scan)
        dtype = {"hu": np.int16, "grey": np.uint8}[self.unit]
        if self.voxels.dtype != dtype or self.voxels.shape != self.source.display_shape:
            raise DataError(
                f"scan {self.scan}: {self.unit} voxels are {np.dtype(dtype)} of shape "
                f"{self.source.display_shape}, not {self.voxels.dtype} of {self.voxels.shape}."
            )

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance of voxel centres along z, y and x."""
        return _spacing_mm(self.affine, self.source)

    @classmethod
    def made(
        cls,
        scan: str,
        voxels: NDArray[Any],
        *,
        unit: Unit,
        spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0),
        file: str = "",
        sha256: str = "",
    ) -> Volume:
        """Wrap voxels that are in display order already, with the affine of an LPS file.

        Parameters
        ----------
        scan, voxels, unit
            As the class takes them.
        spacing_mm : (float, float, float)
            Distance of voxel centres along z, y and x.
        file, sha256 : str
            As `Source` keeps them.
        """
        depth, height, width = voxels.shape
        dz, dy, dx = spacing_mm
        affine = np.diag([-dx, -dy, dz, 1.0])
        source = Source(file, sha256, (width, height, depth))
        return cls(scan, voxels, affine, source, unit)


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """The mask of one scan, in display order."""

    voxels: NDArray[np.uint8]  # (Z, Y, X) class labels, 0 for background; all else is infected
    file: str = ""  # base name of the file; empty for made data, as its checksum
    sha256: str = ""
    note: str = ""  # what was decided about it; empty if nothing had to be


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """What `write_mask` needs of a scan that is not in memory; as `Volume` has it."""

    scan: str
    affine: NDArray[np.float64]
    source: Source

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance of voxel centres along z, y and x."""
        return _spacing_mm(self.affine, self.source)


def _spacing_mm(affine: NDArray[np.float64], source: Source) -> tuple[float, float, float]:
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    dz, dy, dx = (float(lengths[axis]) for axis in source.axes)
    return dz, dy, dx


def upside_down(volume: Volume, labels: Labels | None) -> tuple[Volume, Labels | None]:
    """Swap front and back of a scan whose file names the wrong direction.

    Row 0 becomes where the last row was. Exported masks still lie on the file's grid.
    """
    fz, fy, fx = volume.source.flips
    source = replace(volume.source, flips=(fz, not fy, fx))
    turned = replace(volume, voxels=volume.voxels[:, ::-1], source=source)
    return turned, labels and replace(labels, voxels=labels.voxels[:, ::-1])


def source_of(
    file: str,
    shape: tuple[int, ...],
    affine: NDArray[np.float64],
    codes: tuple[int, int],
    sha256: str,
) -> Source:
    """Find the file's axes that are nearest to the display's.

    Parameters
    ----------
    file, sha256 : str
        As `Source` keeps them.
    shape : (int, int, int)
        Of the array as stored.
    affine : (4, 4) float array
        From its indices to RAS+ millimetres.
    codes : (int, int)
        NIfTI's qform and sform codes.

    Raises
    ------
    DataError
        If the affine can't be the frame of a CT; see `frame_fault`.
    """
    from nibabel import orientations as nio

    if fault := frame_fault(affine):
        raise DataError(
            f"{file}: its affine {fault}. Export it with the scanner's orientation, in mm."
        )
    where = nio.io_orientation(affine)
    turns = nio.ornt_transform(where, nio.axcodes2ornt(_FRAME))  # a file axis: (display axis, sign)
    axes = np.argsort(turns[:, 0])
    z, y, x = (int(axis) for axis in axes)
    fz, fy, fx = (bool(sign < 0) for sign in turns[axes, 1])
    a, b, c = shape
    return Source(file, sha256, (a, b, c), (z, y, x), (fz, fy, fx), codes)


def frame_fault(affine: NDArray[np.float64]) -> str | None:
    """Say why an affine, (4, 4), can't be the frame of a CT; None: it can."""
    axes_mm, first = affine[:3, :3], affine[:3, 3]
    if not np.isfinite(affine).all() or not axes_mm.any(axis=0).all():
        return "names no direction for some axis"
    if np.abs(first).max() > _FAR_MM:
        return f"puts the first voxel at {by_mm(first)}"
    sizes = np.abs(axes_mm).max(axis=0)  # nearly; a norm may overflow
    if sizes.min() < _VOXEL_MM[0] or sizes.max() > _VOXEL_MM[1]:
        return f"says that voxels are {by_mm(sizes)} large"
    if abs(np.linalg.det(axes_mm / np.linalg.norm(axes_mm, axis=0))) < _FLAT:
        return "names one direction for two axes"
    return None


def by_mm(lengths: NDArray[np.float64]) -> str:
    """Write lengths or a place as a person reads it: 0.7×0.7×5 mm."""
    return "×".join(f"{length:.3g}" for length in lengths) + " mm"


def scan_name(path: Path | str) -> str:
    """Return the file's name without its ending: ``a/b_01.nii.gz`` is scan ``b_01``."""
    ending = r"(\.nii|\.hdr)?(\.gz)?$|\.(png|jpe?g|img)$"
    return plain_name(re.sub(ending, "", Path(path).name, flags=re.IGNORECASE))


def plain_name(name: str) -> str:
    """Spell a name in one way: composed as Unicode's NFC, without spaces around it."""
    return unicodedata.normalize("NFC", name).strip()


def check_name(scan: str) -> None:
    r"""Refuse a scan's name that can't name a file on every system, or can't be seen.

    Raises
    ------
    DataError
        If it is empty or too long, begins or ends with a dot, begins with a hyphen, or holds a
        slash, one of ``\\ < > : " | ? *`` or an invisible character.
    """
    seen = all(
        one in _JOINERS or kind[0] in "LMNPS" or kind == "Zs"
        for one, kind in zip(scan, map(unicodedata.category, scan), strict=True)
    )
    length = len(scan.encode(errors="replace"))
    if not seen or not 0 < length <= _LONGEST or _NO_FILE.fullmatch(scan):
        raise DataError(
            f"scan {shown(scan)}: this name can't be a file's name on every system: it is "
            "empty or too long, begins or ends with a dot, a hyphen or a space, or holds a slash, "
            'one of < > : " | ? * or an invisible character. Rename the file.'
        )


def room_for(scan: str, shape: tuple[int, ...], dtype: type[np.int16 | np.uint8]) -> NDArray[Any]:
    """Make an array for a scan's voxels, whose values are not set yet.

    Parameters
    ----------
    scan : str
        Its name or file, for the sentence.
    shape : tuple of int
    dtype : numpy type

    Raises
    ------
    DataError
        If they are more than `MOST_VOXELS`, or the memory is too small for them.
    """
    if math.prod(shape) > MOST_VOXELS:
        raise DataError(f"{scan}: {by(shape)} voxels are no CT. Export the scan by itself.")
    try:
        return np.empty(shape, dtype)
    except MemoryError:
        raise DataError(
            f"{scan}: the memory is too small for its {by(shape)} voxels. Close other programs, "
            "or export a part of the scan."
        ) from None


def mask_misfits(scan: str, mask: tuple[int, ...], image: tuple[int, ...]) -> DataError:
    """Say that a mask is on another grid than its scan.

    Parameters
    ----------
    scan : str
    mask, image : tuple of int
        The shapes that differ.
    """
    return DataError(
        f"scan {scan}: the mask is {by(mask)}, the image {by(image)}. Re-export the mask on "
        f"the image's grid, or leave the scan out with --skip {scan}."
    )


def by(shape: tuple[int, ...]) -> str:
    """Write a shape as a person reads it: 512×512×30."""
    return "×".join(str(length) for length in shape)
