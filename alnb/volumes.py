"""Read scans and write masks; keep how a scan is stored apart from how it is shown.

Every reader returns a `Volume` in display order: z runs from the feet to the head, row 0 is
anterior, column 0 is the patient's right, so the heart lies on the right of the picture and
the spine at its bottom. Whatever the file's axes are (LPS, RAS, LAS, oblique), they are
permuted and flipped to the nearest of these; nothing is resampled, and `Source` remembers
the way back, so that `write_mask` returns a mask to the grid it came from.

Intensities are HU (``"hu"``, int16) or already windowed to 8 bits (``"grey"``, uint8); which
of the two is decided by `to_unit` and never guessed where the values allow both.
"""

# mypy: disable-error-code="no-untyped-call"
# nibabel types its modules only in part

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import numpy as np

from alnb.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Unit = Literal["hu", "grey"]
Triple: TypeAlias = tuple[int, int, int]

NIFTI = (".nii", ".nii.gz")
PICTURES = (".png", ".jpg", ".jpeg")
AIR_HU = -500  # ours: a CT that holds air reaches below this; 8-bit data never does
_FRAME = ("S", "P", "L")  # where the display axes z, y, x run to


@dataclass(frozen=True, slots=True)
class Source:
    """The way from display order back to the file.

    Parameters
    ----------
    file : str
        Base name of the file or folder; empty for made data.
    sha256 : str
        Checksum of the file; empty for made data and folders.
    shape : (int, int, int)
        Shape of the array in the file, its own axis order.
    axes : (int, int, int)
        The file's axis that became z, y and x.
    flips : (bool, bool, bool)
        Whether z, y and x run against the file's axis.
    codes : (int, int)
        NIfTI's qform and sform codes.
    """

    file: str
    sha256: str
    shape: Triple
    axes: Triple = (2, 1, 0)
    flips: tuple[bool, bool, bool] = (False, False, False)
    codes: tuple[int, int] = (0, 2)

    def to_display(self, array: NDArray[Any]) -> NDArray[Any]:
        """Turn an array of the file's axes into (Z, Y, X); a view."""
        display: NDArray[Any] = array.transpose(self.axes)[self._turned]
        return display

    def to_file(self, array: NDArray[Any]) -> NDArray[Any]:
        """Turn a (Z, Y, X) array into the file's axes; a view, the inverse of `to_display`."""
        stored: NDArray[Any] = array[self._turned].transpose(np.argsort(self.axes).tolist())
        return stored

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
        Its name, as in ``coronacases_001``; also a file name, so without slashes.
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

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\w[\w.+ -]*", self.scan):
            raise DataError(
                f"scan {self.scan!r}: a scan is named by letters, digits, '.', '_' and '-' "
                "that begin with a letter or digit. Rename the file."
            )
        dtype = {"hu": np.int16, "grey": np.uint8}[self.unit]
        if self.voxels.dtype != dtype or self.voxels.shape != self.source.display_shape:
            raise DataError(
                f"scan {self.scan}: {self.unit} voxels are {np.dtype(dtype)} of shape "
                f"{self.source.display_shape}, not {self.voxels.dtype} of {self.voxels.shape}."
            )

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
        scan : str
            Its name.
        voxels : (Z, Y, X) int16 or uint8 array
            HU or grey.
        unit : "hu" or "grey"
            What the voxels are.
        spacing_mm : (float, float, float)
            Distance of voxel centres along z, y and x.
        file, sha256 : str
            Where it came from; empty for made data.
        """
        depth, height, width = voxels.shape
        dz, dy, dx = spacing_mm
        affine = np.diag([-dx, -dy, dz, 1.0])
        source = Source(file, sha256, (width, height, depth))
        return cls(scan, voxels, affine, source, unit)


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """The mask of one scan, in display order.

    Parameters
    ----------
    voxels : (Z, Y, X) uint8 array
        Class labels, 0 for background; all else is infected.
    file, sha256 : str
        Base name and checksum of the file; empty for made data.
    note : str
        What was decided about it; empty if nothing had to be.
    """

    voxels: NDArray[np.uint8]
    file: str = ""
    sha256: str = ""
    note: str = ""


def upside_down(volume: Volume, labels: Labels | None) -> tuple[Volume, Labels | None]:
    """Swap front and back of a scan whose file claims the wrong direction.

    Returns
    -------
    Volume, Labels or None
        With row 0 where the last row was; masks still find the way back to the file.
    """
    fz, fy, fx = volume.source.flips
    source = replace(volume.source, flips=(fz, not fy, fx))
    turned = replace(volume, voxels=volume.voxels[:, ::-1], source=source)
    return turned, labels and replace(labels, voxels=labels.voxels[:, ::-1])


class OnGrid(Protocol):
    """What `write_mask` needs of a scan; a `Volume` has it, a stored scan too."""

    @property
    def scan(self) -> str:
        """Its name."""

    @property
    def affine(self) -> NDArray[np.float64]:
        """(4, 4), from the file's indices to RAS+ millimetres."""

    @property
    def source(self) -> Source:
        """The way back to the file's grid."""


# --- intensities -----------------------------------------------------------------------------


def to_unit(data: NDArray[Any], unit: Unit | None, where: str) -> tuple[NDArray[Any], Unit]:
    """Decide what the values are, and store them as that.

    Parameters
    ----------
    data : array of any shape
        Values as the file gives them, after its own slope and intercept.
    unit : "hu", "grey" or None
        What the person says they are; None: decide by the range. Below -500 there is HU;
        within 0…255 it is already windowed; fractions within 0…1 are windowed too (× 255).
    where : str
        The file, for the sentence.

    Returns
    -------
    array of the same shape, "hu" or "grey"
        int16 HU, rounded and clipped to the range of int16, or uint8 grey, rounded.

    Raises
    ------
    DataError
        If a value is not finite, or the range fits neither unit or not the one that was said.
    """
    if data.size == 0:
        raise DataError(f"{where}: the scan is empty. Export it again.")
    if data.dtype.kind not in "biuf":
        raise DataError(f"{where}: voxels of type {data.dtype} are not CT. Export it as numbers.")
    low, high = float(data.min()), float(data.max())
    if not np.isfinite(low + high):  # NaN is carried by min and max
        raise DataError(
            f"{where}: some voxels are NaN or infinite. Replace them, by -1024 for air, "
            "and import again."
        )
    decided = unit or _unit_of(low, high, where)
    if decided == "hu":
        return np.clip(np.rint(data), -32768, 32767).astype(np.int16), "hu"
    if low < 0 or high > 255:
        raise DataError(
            f"{where}: values {low:g}…{high:g} are not 8-bit grey. Leave --unit grey out, "
            "or window the scan to 0…255."
        )
    fractions = data.dtype.kind == "f" and high <= 1
    return np.rint(data * 255.0 if fractions else data).astype(np.uint8), "grey"


def _unit_of(low: float, high: float, where: str) -> Unit:
    if low <= AIR_HU:
        return "hu"
    if low >= 0 and high <= 255:
        return "grey"
    raise DataError(
        f"{where}: values {low:g}…{high:g} could be HU or something else: HU of a chest reach "
        "below -500, windowed scans lie in 0…255. Say which it is with --unit hu or --unit grey."
    )


def to_labels(data: NDArray[Any], where: str) -> NDArray[np.uint8]:
    """Store a mask as class labels.

    Parameters
    ----------
    data : array of any shape
        Whole numbers in 0…255, of any type; 0 is background, all else infected.
    where : str
        The file, for the sentence.

    Returns
    -------
    uint8 array of the same shape

    Raises
    ------
    DataError
        If a value is not a whole number in 0…255.
    """
    if data.dtype.kind in "biuf":
        labels: NDArray[np.uint8] = np.clip(np.nan_to_num(data), 0, 255).astype(np.uint8)
        odd = data[labels != data]
        if odd.size == 0:
            return labels
        found = f"holds {odd.flat[0]:g}"
    else:
        found = f"is of type {data.dtype}"
    raise DataError(
        f"{where}: the mask {found}, which is no label: labels are whole numbers in 0…255, "
        "0 for background. Export it as a label map, without interpolation."
    )


# --- NIfTI -----------------------------------------------------------------------------------


def scan_name(path: Path | str) -> str:
    """Return the file's name without its ending: ``a/b_01.nii.gz`` is scan ``b_01``."""
    return re.sub(r"(\.nii)?(\.gz)?$|\.(png|jpe?g)$", "", Path(path).name, flags=re.IGNORECASE)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_nifti(path: Path | str, *, unit: Unit | None = None) -> Volume:
    """Read a scan from a NIfTI file.

    Parameters
    ----------
    path : path
        ``.nii`` or ``.nii.gz`` of three axes; a fourth of length 1 is dropped.
    unit : "hu", "grey" or None
        What its values are; None: decided by `to_unit`.

    Returns
    -------
    Volume
        In display order; the nearest axes of an oblique affine are taken, nothing resampled.

    Raises
    ------
    DataError
        If the file is missing, truncated, no NIfTI, not of three axes, without orientation
        that can be read, or its values are not CT.
    """
    path = Path(path)
    data, affine, codes = _load_nifti(path)
    source = source_of(path.name, data, affine, codes, sha256_of(path))
    voxels, decided = to_unit(source.to_display(data), unit, path.name)
    return Volume(scan_name(path), np.ascontiguousarray(voxels), affine, source, decided)


def read_mask(path: Path | str, volume: Volume) -> Labels:
    """Read the mask of a scan from a NIfTI file.

    Parameters
    ----------
    path : path
        ``.nii`` or ``.nii.gz``, along any axes as long as its header lays it onto the scan. A
        header that lays it elsewhere is not believed if the stored shapes are equal: masks are
        often saved with the scan's voxels and a header of their own making.
    volume : Volume
        The scan.

    Returns
    -------
    Labels
        In display order; its note says if the header was not believed.

    Raises
    ------
    DataError
        If the file can't be read, is not on the scan's grid, or holds what is no label.
    """
    path = Path(path)
    data, affine, codes = _load_nifti(path)
    own, note = source_of(path.name, data, affine, codes, ""), ""
    if not _same_grid(own, affine, volume):
        if data.shape != volume.source.shape:
            raise mask_misfits(volume.scan, data.shape, volume.source.shape)
        own = volume.source
        note = "the mask's header lays it beside the image, so it was taken voxel by voxel"
    labels = np.ascontiguousarray(own.to_display(to_labels(data, path.name)))
    return Labels(labels, path.name, sha256_of(path), note)


def _same_grid(source: Source, affine: NDArray[np.float64], volume: Volume) -> bool:
    """Tell whether two files show the same place, to half a voxel, once in display order."""
    if source.display_shape != volume.source.display_shape:
        return False
    corners = _corners_mm(source, affine)
    theirs = _corners_mm(volume.source, volume.affine)
    voxel_mm = np.linalg.norm(volume.affine[:3, :3], axis=0)
    return bool(np.abs(corners - theirs).max() <= voxel_mm.min() / 2)


def _corners_mm(source: Source, affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where the first voxel of the display and the ends of its axes lie, (4, 3)."""
    last = np.array(source.display_shape) - 1
    display = np.vstack([np.zeros(3), np.diag(last)])
    stored = np.where(source.flips, last - display, display)[:, np.argsort(source.axes)]
    corners: NDArray[np.float64] = stored @ affine[:3, :3].T + affine[:3, 3]
    return corners


def mask_misfits(scan: str, mask: tuple[int, ...], image: tuple[int, ...]) -> DataError:
    """Say that a mask is on another grid than its scan."""
    return DataError(
        f"scan {scan}: the mask is {_by(mask)}, the image {_by(image)}. Re-export the mask on "
        f"the image's grid, or leave the scan out with --skip {scan}."
    )


def write_mask(path: Path | str, mask: NDArray[Any], scan: OnGrid) -> None:
    """Write a mask as NIfTI on the grid of the file that the scan came from.

    Parameters
    ----------
    path : path
        ``.nii`` or ``.nii.gz``, written to a temporary name and renamed.
    mask : (Z, Y, X) bool or integer array
        In display order, on the source's own in-plane grid; labels in 0…255.
    scan : Volume, or what else has a name, an affine and a `Source`
        Gives the axes, the affine and the header's orientation codes.

    Raises
    ------
    DataError
        If the mask is not of the scan's shape, holds what is no label, or can't be written.
    """
    import nibabel as nib

    path = Path(path)
    if mask.shape != scan.source.display_shape:
        raise mask_misfits(scan.scan, mask.shape, scan.source.display_shape)
    if not path.name.endswith(NIFTI):
        raise DataError(f"{path.name}: a mask is written as .nii or .nii.gz. Name it so.")
    stored = np.ascontiguousarray(scan.source.to_file(to_labels(mask, path.name)))
    image = nib.Nifti1Image(stored, scan.affine)
    qform, sform = scan.source.codes
    image.header.set_xyzt_units("mm")
    image.set_sform(scan.affine, sform)
    image.set_qform(scan.affine, qform)
    partial = path.with_name("partial-" + path.name)
    try:
        nib.save(image, partial)
        partial.replace(path)
    except OSError as error:
        raise DataError(f"{path}: the mask can't be written ({error}). Choose --out.") from error


def _check_archive(path: Path) -> None:
    """Read a gzip file to its end, where its checksum stands; nibabel stops before."""
    if path.suffix.lower() == ".gz":
        with gzip.open(path) as file:
            while file.read(2**20):
                pass


def _load_nifti(path: Path) -> tuple[NDArray[Any], NDArray[np.float64], tuple[int, int]]:
    import nibabel as nib

    if not path.is_file():
        raise DataError(f"{path}: there is no such file. Check the path.")
    try:
        image: Any = nib.load(path)
        data: NDArray[Any] = np.asanyarray(image.dataobj)
        _check_archive(path)
    except (nib.filebasedimages.ImageFileError, EOFError, OSError, ValueError, zlib.error) as error:
        raise DataError(
            f"{path.name}: it can't be read as NIfTI; it is truncated or something else. "
            "Copy or download it again."
        ) from error
    if not isinstance(image, nib.Nifti1Pair):
        raise DataError(f"{path.name}: this is {type(image).__name__}. Export it as NIfTI.")
    while data.ndim > 3 and data.shape[-1] == 1:
        data = data[..., 0]
    if data.ndim != 3:
        raise DataError(
            f"{path.name}: it has {data.ndim} axes ({_by(data.shape)}), a scan has 3. "
            "Export one volume a file."
        )
    codes = int(image.header["qform_code"]), int(image.header["sform_code"])
    return data, np.asarray(image.affine, dtype=np.float64), codes


def source_of(
    file: str,
    data: NDArray[Any],
    affine: NDArray[np.float64],
    codes: tuple[int, int],
    sha256: str,
) -> Source:
    """Find the file's axes that are nearest to the display's.

    Parameters
    ----------
    file, sha256 : str
        As `Source` keeps them.
    data : array of three axes
        As stored.
    affine : (4, 4) float array
        From its indices to RAS+ millimetres.
    codes : (int, int)
        NIfTI's qform and sform codes.

    Raises
    ------
    DataError
        If the affine names no direction for some axis.
    """
    from nibabel import orientations as nio

    where = nio.io_orientation(affine) if np.isfinite(affine).all() else np.full((3, 2), np.nan)
    if np.isnan(where).any():
        raise DataError(
            f"{file}: its affine names no direction for some axis. Export it with the "
            "scanner's orientation."
        )
    turns = nio.ornt_transform(where, nio.axcodes2ornt(_FRAME))  # a file axis: (display axis, sign)
    axes = np.argsort(turns[:, 0])
    z, y, x = (int(axis) for axis in axes)
    fz, fy, fx = (bool(sign < 0) for sign in turns[axes, 1])
    a, b, c = data.shape
    return Source(file, sha256, (a, b, c), (z, y, x), (fz, fy, fx), codes)


def _by(shape: tuple[int, ...]) -> str:
    return "×".join(str(length) for length in shape)


# --- pictures --------------------------------------------------------------------------------


def read_picture(path: Path | str, *, unit: Unit | None = None) -> Volume:
    """Read one slice from a PNG or JPEG file, as it is seen.

    Parameters
    ----------
    path : path
        Colour is turned into luminance, transparency dropped.
    unit : "hu", "grey" or None
        What its values are; None: decided by `to_unit`.

    Returns
    -------
    Volume
        Of one slice, row 0 the picture's top.

    Raises
    ------
    DataError
        If the file is missing or no picture, or its values are not CT.
    """
    path = Path(path)
    pixels = _load_picture(path)
    if pixels.ndim == 3:
        pixels = np.rint(pixels @ [0.2125, 0.7154, 0.0721])  # as skimage's rgb2gray
    voxels, decided = to_unit(pixels[None], unit, path.name)
    return Volume.made(
        scan_name(path), voxels, unit=decided, file=path.name, sha256=sha256_of(path)
    )


def read_picture_mask(path: Path | str, volume: Volume) -> Labels:
    """Read the mask of one slice from a PNG or JPEG file.

    Parameters
    ----------
    path : path
        A palette's numbers are the labels; of colours the brightest channel counts; JPEG
        smears labels, so half white is its border.
    volume : Volume
        The slice.

    Returns
    -------
    Labels
        Of one slice.

    Raises
    ------
    DataError
        If the file is missing, no picture, or of another size.
    """
    labels = read_picture_labels(path)
    if labels.shape != volume.voxels.shape[1:]:
        raise mask_misfits(volume.scan, labels.shape, volume.voxels.shape[1:])
    return Labels(labels[None], Path(path).name, sha256_of(Path(path)))


def read_picture_labels(path: Path | str) -> NDArray[np.uint8]:
    """Return the (Y, X) labels of a PNG or JPEG file, as `read_picture_mask` reads them."""
    path = Path(path)
    pixels = _load_picture(path, palette=True)
    if pixels.ndim == 3:
        pixels = pixels.max(axis=-1)
    if path.suffix.lower() != ".png":
        pixels = pixels > 127
    return to_labels(pixels, path.name)


def _load_picture(path: Path, *, palette: bool = False) -> NDArray[Any]:
    """Return (Y, X) or (Y, X, 3) pixels; `palette` keeps the numbers of a palette's colours."""
    from PIL import Image

    if not path.is_file():
        raise DataError(f"{path}: there is no such file. Check the path.")
    try:
        with Image.open(path) as picture:
            plain = picture.mode in ("1", "L", "I", "I;16", "F") or (
                palette and picture.mode == "P"
            )
            return np.asarray(picture if plain else picture.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(
            f"{path.name}: it can't be read as a picture. Copy or download it again."
        ) from error
