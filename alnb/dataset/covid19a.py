"""Build COVID-19-A from DICOM series and a PNG mask for every slice."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np

from alnb.dataset.build import Pair, build
from alnb.dataset.files import natural, without
from alnb.dataset.folder import Dataset
from alnb.dataset.gate import some
from alnb.dataset.importers import BuildOptions
from alnb.dicom import read_series
from alnb.errors import DataError
from alnb.volumes import Labels, Unit, mask_misfits, read_picture_labels, sha256_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

LABELS = (127, 255)  # both are infection
_SERIES, _MASKS = "OpenSourceDCMs", "InfectionMasks"


def import_covid19a(
    folder: Path | str,
    out: Path | str,
    *,
    skip: Collection[str] = (),
    unit: Unit | None = None,
    **options: Unpack[BuildOptions],
) -> Dataset:
    """Import COVID-19-A from DICOM series and a PNG mask for every slice.

    Parameters
    ----------
    folder : path
        Holds ``OpenSourceDCMs/DCM<scan>/*s<slice:04d>*`` and
        ``InfectionMasks/<scan>_z<slice>.png``. Slices are sorted by their position; the number
        in a file's name finds its mask, and nothing else.
    out : path
        The dataset's folder.
    skip : collection of str
        Scans to leave out, as in ``DCM3``.
    unit : "hu", "grey" or None
        What the values are after rescaling; None: decided scan by scan.
    **options
        As `build` takes them; the split is the paper's "sep", unless told.

    Returns
    -------
    Dataset
        Labels are 127 and 255, both infected. Masks are flipped left to right and then turned
        by 90°, which lays them onto the stored pixels, as the paper's authors read them.

    Raises
    ------
    DataError
        If a slice has no mask or a mask no slice, masks differ in size from their slices or
        hold another label, a series is broken, or as `build`.
    """
    folder = Path(folder)
    for name in (_SERIES, _MASKS):
        if not (folder / name).is_dir():
            raise DataError(
                f"{folder}: {name} is not in it. Name the folder that holds {_SERIES} and {_MASKS}."
            )
    found = [one for one in (folder / _SERIES).glob("DCM*") if one.is_dir()]
    series = without({one.name: one for one in sorted(found, key=natural)}, skip)
    masks = _masks_by_scan(folder / _MASKS)
    stray = next((scan for scan in masks if scan not in series and scan not in skip), None)
    if stray is not None:
        raise DataError(
            f"{_MASKS}: there are masks of {stray}, and no such series. Add it, or take the "
            "masks out."
        )
    note = "masks were flipped left to right and turned by 90°, as their authors read them."
    options = {
        "name": "covid19a", "split": "sep", "known": LABELS, "notes": (note,), **options,
    }  # fmt: skip
    pairs = (_covid19a(path, masks.get(scan, {}), unit) for scan, path in series.items())
    return build(pairs, out, **options)


def _masks_by_scan(folder: Path) -> dict[str, dict[int, Path]]:
    """Find masks by series and number of slice."""
    masks: dict[str, dict[int, Path]] = {}
    for path in sorted(folder.iterdir()):
        named = re.fullmatch(r"(\w+)_z(\d+)\.png", path.name, flags=re.IGNORECASE)
        if named:
            masks.setdefault(f"DCM{named[1]}", {})[int(named[2])] = path
    return masks


def _covid19a(folder: Path, masks: Mapping[int, Path], unit: Unit | None) -> Pair:
    series = read_series(folder, unit=unit)
    volume = series.volume
    numbers = [tuple(_slice_number(name, folder) for name in names) for names in series.files]
    _check_masks(volume.scan, numbers, masks)
    columns, rows, _ = volume.source.shape
    planes = [
        _turned_mask([masks[one] for one in theirs if one in masks], volume.scan, (rows, columns))
        for theirs in numbers
    ]
    stored = np.stack([plane.T for plane in planes], axis=-1)
    digests = "".join(sha256_of(masks[number]) for number in sorted(masks))
    checksum = hashlib.sha256(digests.encode()).hexdigest()
    labels = np.ascontiguousarray(volume.source.to_display(stored))
    return volume, Labels(labels, f"{len(masks)} files", checksum)


def _slice_number(name: str, folder: Path) -> int:
    found = {int(digits) for digits in re.findall(r"s(\d{4,})", name)}
    if len(found) != 1:
        raise DataError(
            f"{folder.name}: {name} tells no slice's number, as s0012 would. Rename it, or leave "
            "it out."
        )
    return found.pop()


def _check_masks(scan: str, numbers: list[tuple[int, ...]], masks: Mapping[int, Path]) -> None:
    bare = [theirs[0] for theirs in numbers if not any(one in masks for one in theirs)]
    if bare:
        raise DataError(
            f"scan {scan}: {_MASKS} holds no mask for slice {some(bare)}. Add it, or leave the "
            f"scan out with --skip {scan}."
        )
    stray = masks.keys() - {one for theirs in numbers for one in theirs}
    if stray:
        raise DataError(
            f"scan {scan}: there is a mask for slice {some(sorted(stray))}, and no such slice. "
            f"Add it, or leave the scan out with --skip {scan}."
        )


def _turned_mask(paths: list[Path], scan: str, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the (rows, columns) mask of a slice; that of its doubles must be the same."""
    planes = [np.rot90(np.fliplr(read_picture_labels(path))) for path in paths]
    if planes[0].shape != shape:
        raise mask_misfits(scan, planes[0].shape, shape)
    if not all(np.array_equal(planes[0], plane) for plane in planes):
        raise DataError(
            f"scan {scan}: {paths[0].name} and {paths[1].name} are masks of one slice and "
            "differ. Leave one of them out, and its slice."
        )
    return planes[0]
