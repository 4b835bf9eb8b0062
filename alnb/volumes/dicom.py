"""Read a DICOM series as a scan: sort slices by position, rescale them, report doubles and gaps.

Only geometry and pixels are taken from the headers. Names and ids of patients are not kept.
Compressed pixels need a decoder: RLE comes with pydicom, JPEG 2000 and baseline JPEG with
Pillow, JPEG lossless and JPEG-LS with the extra ``alnb[dicom]``.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from alnb.errors import DataError
from alnb.volumes import Unit, Volume, source_of, to_unit

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom import Dataset as Header

Sliced: TypeAlias = "tuple[str, Header]"  # a file's name, and what it holds

_SAME_MM = 0.01  # ours: positions nearer than this are one
_GAP = 1.5  # ours: times the usual distance; below it, steps are uneven and nothing is missing
_TILT = 1.0  # ours: degrees; a smaller tilt is rounding
_NUMBERS = re.compile(r"\d+")
_NEEDED = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "PixelData")


def read_series(
    folder: Path | str, *, unit: Unit | None = None, scan: str | None = None
) -> tuple[Volume, tuple[tuple[str, ...], ...]]:
    """Read a scan and the names of its files from a folder that holds one DICOM series.

    Parameters
    ----------
    folder : path
        Files of one series, in any order and under any name. Other files are skipped and named
        in the notes.
    unit : "hu", "grey" or None
        What the values are after rescaling; None: decided by `to_unit`.
    scan : str or None
        The scan's name; None: the folder's.

    Returns
    -------
    Volume
        Its source grid is the one that DICOM-to-NIfTI converters write: (columns, rows, slices),
        slices in the order of their position. Those of a tilted gantry follow each other along the
        couch, as the affine says. The notes say which slices are there twice, where some are
        missing, which files are not DICOM, and whether the gantry was tilted.
    tuple of tuple of str
        The names of the files of each slice, along the third axis of the source grid. A slice that
        is there twice has more than one.

    Raises
    ------
    DataError
        If there is no series or more than one, slices differ in size, spacing or direction, two
        of one position differ, or a file is empty, broken off or lacks what a slice needs.
    """
    folder = Path(folder)
    name = folder.name if scan is None else scan
    slices, passed_over = _load(folder)
    geometry, (across, down) = slices[0][1], _directions(slices, folder)
    normal = np.cross(across, down)
    depths_mm = np.array([_position(header) @ normal for _, header in slices])
    groups = _by_depth(depths_mm)
    pixels = [_agreed([slices[index] for index in group], folder) for group in groups]
    step, gaps = _step_mm(depths_mm[[group[0] for group in groups]])
    dy, dx = (float(spacing) for spacing in geometry.PixelSpacing)
    lps = np.eye(4)
    first, last = (_position(slices[groups[at][0]][1]) for at in (0, -1))
    along = normal if len(groups) == 1 else (last - first) / ((last - first) @ normal)
    lps[:3] = np.column_stack([across * dx, down * dy, along * step, first])
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps
    data = np.stack([one.T for one in pixels], axis=-1)
    source = source_of(name, data.shape, affine, (1, 1), "")
    voxels, decided = to_unit(source.to_display(data), unit, name)
    notes = (*passed_over, *_double_notes(groups), *gaps, *_tilt_notes(along))
    volume = Volume(name, np.ascontiguousarray(voxels), affine, source, decided, notes)
    return volume, tuple(tuple(slices[i][0] for i in group) for group in groups)


def names_patient(folder: Path | str) -> bool:
    """Tell whether the folder of a series is named by its patient's name or id.

    It is not if the header says that identities were removed: the id is made up then.
    """
    folder = Path(folder)
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        header = _read(path, stop_before_pixels=True)
        if header is not None and (named := _identities(header)):
            removed = str(header.get("PatientIdentityRemoved", "NO")).upper() == "YES"
            return not removed and any(word.lower() in folder.name.lower() for word in named)
    return False


def _read(path: Path, *, stop_before_pixels: bool = False) -> Header | None:
    """Read a DICOM file; None for any other file."""
    import pydicom

    try:
        return pydicom.dcmread(path, stop_before_pixels=stop_before_pixels)
    except (pydicom.errors.InvalidDicomError, EOFError):
        return None


def _identities(header: Header) -> set[str]:
    """Return the words of a patient's name, and the id; single letters identify nobody."""
    words = re.split(r"[\^=\s,]+", str(header.get("PatientName", "")))
    return {word for word in (*words, str(header.get("PatientID", ""))) if len(word) > 1}


def _load(folder: Path) -> tuple[list[Sliced], tuple[str, ...]]:
    """Read the slices of one series, and note which files are not DICOM."""
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder. Check the path.")
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    read = [
        (name, _read(folder / name))
        for name in names
        if name != "DICOMDIR" and not name.startswith(".")
    ]
    slices = [(name, header) for name, header in read if header is not None]
    others = [name for name, header in read if header is None]
    if not slices:
        raise DataError(f"{folder}: no DICOM file is in it. Name the folder of one series.")
    _check_series(folder.name, slices, others)
    note = f"skipped, because not DICOM: {others[0]}{_more(others)}" if others else ""
    return slices, (note,) if note else ()


def _check_series(folder: str, slices: list[Sliced], others: list[str]) -> None:
    """Refuse slices that are broken, incomplete or of several series."""
    broken = [name for name in others if _is_alike(name, slices)]
    if broken:
        raise DataError(
            f"{folder}: {broken[0]}{_more(broken)} can't be read as DICOM, but has a name like "
            "the slices: the file is empty or incomplete. Copy the series again, or remove it."
        )
    for name, header in slices:
        for tag in _NEEDED:
            if header.get(tag) in (None, "", []):
                raise DataError(
                    f"{folder}: the file {name} has no {tag}. Remove files that are no slices."
                )
    series = Counter(str(header.get("SeriesInstanceUID")) for _, header in slices)
    if len(series) > 1:
        raise DataError(
            f"{folder}: it holds {len(series)} series. Put each into a folder of its own."
        )


def _is_alike(name: str, slices: Sequence[Sliced]) -> bool:
    """Tell whether a file has a slice's name with other numbers, or a slice's ending."""
    names = [other for other, _ in slices]
    alike = _NUMBERS.sub("0", name) in {_NUMBERS.sub("0", other) for other in names}
    return alike or _ending(name) in {_ending(other) for other in names} - {""}


def _ending(name: str) -> str:
    """Return how a file's name ends; a number, as in a UID, is no ending."""
    return Path(name).suffix.lower().strip(".0123456789")


def _more(names: Sequence[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""


def _position(header: Header) -> NDArray[np.float64]:
    return np.array(header.ImagePositionPatient, dtype=np.float64)


def _directions(slices: list[Sliced], folder: Path) -> NDArray[np.float64]:
    """Return the directions along rows and columns, (2, 3), the same for every slice."""
    first = slices[0][1]
    directions = np.array(first.ImageOrientationPatient, dtype=np.float64)
    for name, one in slices:
        turned = np.abs(np.array(one.ImageOrientationPatient, dtype=np.float64) - directions)
        same_size = (one.Rows, one.Columns) == (first.Rows, first.Columns)
        same_mm = np.allclose(
            np.array(one.PixelSpacing, float), np.array(first.PixelSpacing, float), atol=_SAME_MM
        )
        if not same_size or not same_mm or turned.max() > 0.01:
            raise DataError(
                f"{folder.name}: {name} has another size, spacing or direction than "
                f"{slices[0][0]}. Remove what is not part of the scan, such as a scout view."
            )
    return directions.reshape(2, 3)


def _by_depth(depths_mm: NDArray[np.float64]) -> list[list[int]]:
    """Sort slices by depth, and put those of one depth together."""
    groups: list[list[int]] = []
    for index in np.argsort(depths_mm, kind="stable"):
        if groups and depths_mm[index] - depths_mm[groups[-1][0]] < _SAME_MM:
            groups[-1].append(int(index))
        else:
            groups.append([int(index)])
    return groups


def _agreed(twins: list[Sliced], folder: Path) -> NDArray[np.float32]:
    """Return the (rows, columns) pixels of a slice, which its doubles must share."""
    (name, header), *others = twins
    pixels = _rescaled(header, folder)
    for other, one in others:
        if not np.array_equal(pixels, _rescaled(one, folder)):
            raise DataError(
                f"{folder.name}: {name} and {other} have the same position and differ. Remove one "
                "of them."
            )
    return pixels


def _double_notes(groups: list[list[int]]) -> list[str]:
    twice, all_ = sum(len(group) > 1 for group in groups), len(groups)
    note = f"slices that are there twice, with equal pixels, were taken once ({twice} of {all_})"
    return [note] if twice else []


def _tilt_notes(along: NDArray[np.float64]) -> list[str]:
    """Say by how much slices that follow each other `along` mm, a mm apart, are tilted."""
    degrees = math.degrees(math.acos(min(1.0, 1 / float(np.linalg.norm(along)))))
    note = f"the gantry was tilted by {degrees:.0f}°: each slice is shifted against the one below"
    return [note] if degrees >= _TILT else []


def _step_mm(depths_mm: NDArray[np.float64]) -> tuple[float, tuple[str, ...]]:
    """Return the distance between slices, and a note on missing ones."""
    if len(depths_mm) == 1:
        return 1.0, ()
    steps = np.diff(depths_mm)
    usual = float(np.median(steps))
    wide = np.flatnonzero(steps > _GAP * usual)
    if not wide.size:
        return float(steps.mean()), ()
    missing = [
        f"{max(1, round(steps[at] / usual) - 1)} after {depths_mm[at]:.1f} mm" for at in wide[:3]
    ]
    more = f" and in {wide.size - 3} more places" if wide.size > 3 else ""
    return usual, (
        f"slices are missing ({', '.join(missing)}{more}; {usual:.1f} mm is usual), so exported "
        "masks lie too low above a gap",
    )


def _rescaled(header: Header, folder: Path) -> NDArray[np.float32]:
    try:
        stored = header.pixel_array
    except (AttributeError, NotImplementedError, RuntimeError, ValueError) as error:
        raise _undecoded(header, folder, error) from error
    slope, intercept = (
        absent if header.get(tag) in (None, "") else float(header[tag].value)
        for tag, absent in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0))
    )
    return stored.astype(np.float32) * np.float32(slope) + np.float32(intercept)


def _undecoded(header: Header, folder: Path, error: Exception) -> DataError:
    from pydicom.pixels.decoders.base import get_decoder

    syntax = header.file_meta.TransferSyntaxUID
    try:
        missing = syntax.is_compressed and not get_decoder(syntax).is_available
    except (NotImplementedError, ValueError):
        missing = False
    if missing:
        return DataError(
            f"{folder.name}: its pixels are compressed ({syntax.name}), and no decoder for that "
            "is installed. Run pip install 'alnb[dicom]', or export the series uncompressed."
        )
    return DataError(
        f"{folder.name}: the pixels of a slice can't be read ({error}). Export the series "
        "uncompressed."
    )
