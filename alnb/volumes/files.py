"""Read scans and masks from NIfTI files; write masks as NIfTI."""

# mypy: disable-error-code="no-untyped-call"
# nibabel types its modules only in part

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from alnb.errors import DataError
from alnb.storage import replacing, sha256_of
from alnb.volumes.scan import (
    Labels,
    Origin,
    Source,
    Unit,
    Volume,
    by,
    mask_misfits,
    scan_name,
    source_of,
    to_labels,
    to_unit,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

NIFTI = (".nii", ".nii.gz")


def read_nifti(path: Path | str, *, unit: Unit | None = None) -> Volume:
    """Read a scan from a NIfTI file, ``.nii`` or ``.nii.gz``, of three axes.

    A fourth axis of length 1 is dropped. The nearest axes of an oblique affine are taken, and
    nothing is resampled. `unit` says what the values are; None: decided by `to_unit`.

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
    """Read the mask of a scan from a NIfTI file, along any axes that its header lays onto the scan.

    If the header lays it elsewhere and the stored shapes are equal, the header is ignored, and the
    note says so: masks are often saved voxel by voxel with a made-up header.

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


def write_mask(path: Path | str, mask: NDArray[Any], scan: Volume | Origin) -> None:
    """Write a mask as NIfTI on the grid of the file that the scan came from.

    Parameters
    ----------
    path : path
        ``.nii`` or ``.nii.gz``.
    mask : (Z, Y, X) bool or integer array
        In display order, on the source's own in-plane grid; labels in 0…255.
    scan : Volume or Origin
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
    try:
        with replacing(path) as partial:
            nib.save(image, partial)
    except OSError as error:
        raise DataError(f"{path}: the mask can't be written ({error}). Choose --out.") from error


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


def _load_nifti(path: Path) -> tuple[NDArray[Any], NDArray[np.float64], tuple[int, int]]:
    import nibabel as nib

    if not path.is_file():
        raise DataError(f"{path}: there is no such file. Check the path.")
    try:
        image: Any = nib.load(path)
        data: NDArray[Any] = np.asanyarray(image.dataobj)
        if path.suffix.lower() == ".gz":  # to its end, where its checksum stands
            with gzip.open(path) as file:
                while file.read(2**20):
                    pass
    except (
        nib.filebasedimages.ImageFileError, nib.spatialimages.HeaderDataError, EOFError, OSError,
        ValueError, zlib.error,
    ) as error:  # fmt: skip
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
            f"{path.name}: it has {data.ndim} axes ({by(data.shape)}), a scan has 3. "
            "Export one volume a file."
        )
    codes = int(image.header["qform_code"]), int(image.header["sform_code"])
    return data, np.asarray(image.affine, dtype=np.float64), codes
