"""Read a DICOM series as a scan: sort slices by position, rescale them, report doubles and gaps.

Only geometry and pixels are taken from the headers. Names and ids of patients are not kept, and
notes name no file. Compressed pixels need a decoder: RLE comes with pydicom, JPEG 2000 and baseline
JPEG with Pillow, JPEG lossless and JPEG-LS with the extra ``alnb[dicom]``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from alnb.errors import DataError, saying
from alnb.volumes import Origin, Source, Unit, Volume, source_of
from alnb.volumes.dicom_files import Plane, Series, find_series
from alnb.volumes.dicom_pixels import Pixels
from alnb.volumes.dicom_stack import MOVED_MM, Stack, differing, every_stack, stacked
from alnb.volumes.intensities import Reading, Values, added, reading_of
from alnb.volumes.scan import room_for

if TYPE_CHECKING:
    from numpy.typing import NDArray


@saying("series")
def read_series(
    series: Series | Path | str,
    *,
    unit: Unit | None = None,
    offset: float | None = None,
    scan: str | None = None,
    acquisition: int | None = None,
) -> tuple[Volume, tuple[tuple[str, ...], ...]]:
    """Read a scan and the names of its files from one DICOM series.

    Parameters
    ----------
    series : Series or path
        As `find_series` finds it; or a folder that holds one series, in any order and under any
        name, in folders of any depth. What is no slice is left out, and counted in the notes.
    unit : "hu", "grey" or None
        What the values are after rescaling; None: decided by `to_unit`.
    offset : float or None
        As `to_unit` takes it. Series whose headers name an intercept other than 0 don't get it,
        unless their values are refused without.
    scan : str or None
        The scan's name; None: the folder's.
    acquisition : int or None
        Which acquisition to take of several that lie in one another.

    Returns
    -------
    Volume
        Its source grid is the one that DICOM-to-NIfTI converters write: (columns, rows, slices),
        slices in the order of their position. Those of a tilted gantry follow each other along the
        couch, as the affine says. The source's checksum is that of positions and pixels. The notes
        say which slices are there twice, where they are missing or uneven, what was left out, what
        the header lacks, and whether the gantry was tilted.
    tuple of tuple of str
        The names of the files of each slice, along the third axis of the source grid. A slice that
        is there twice has more than one.

    Raises
    ------
    DataError
        If there is no series or more than one, slices differ in size, spacing or direction, two
        of one position differ, several acquisitions lie in one another and none was chosen, or a
        file is empty, broken off or lacks what a slice needs.
    """
    left: tuple[str, ...] = ()
    if not isinstance(series, Series):
        series, left = _only_series(Path(series))
    where = series.folder.resolve().name
    stack = stacked(series.planes, where, acquisition)
    pixels = Pixels([group[0] for group in stack.groups], where)
    name = where if scan is None else scan
    rows, columns = stack.groups[0][0].shape
    source = source_of(name, (columns, rows, len(stack.groups)), stack.affine, (1, 1), "")
    if stack.origins is not None:
        x, y, z = stack.origins.T.tolist()
        source = replace(source, origins=tuple(zip(x, y, z, strict=True)))
    voxels = room_for(name, source.display_shape, np.int16)
    checksum = hashlib.sha256()
    planes = _kept(_slices(stack, pixels, where, checksum), _planes(voxels, source))
    values = Values.of(planes, voxels.dtype, name)
    known = any(group[0].intercept for group in stack.groups)
    try:
        spared = known and offset is not None and _is_clear(values, unit, name)
        reading = reading_of(values, unit, name, None if spared else offset)
    except DataError as error:
        lacking = map(_sentence, (*_kind_notes(series), *pixels.notes))
        raise DataError(" ".join([str(error), *lacking])) from error
    again = (pixels(group[0]) for group in stack.groups) if values.fractional else None
    voxels = _converted(voxels, reading, source, again)
    source = replace(source, sha256=checksum.hexdigest())
    said = (*_kind_notes(series), *pixels.notes, *_offset_notes(offset, reading, spared=spared))
    notes = (*left, *said, *stack.notes)
    volume = Volume(name, voxels, stack.affine, source, reading.unit, notes)
    files = tuple(tuple(plane.path.name for plane in group) for group in stack.groups)
    return volume, files


def _only_series(folder: Path) -> tuple[Series, tuple[str, ...]]:
    found = find_series(folder)
    if len(found.series) > 1:
        raise DataError(
            f"{folder}: it holds {len(found.series)} series. Put each into a folder of its own."
        )
    return found.series[0], found.left_out


def _slices(
    stack: Stack, pixels: Pixels, where: str, checksum: hashlib._Hash
) -> Iterator[NDArray[Any]]:
    """Yield the (rows, columns) values of each slice, and hash it with its position."""
    for group in stack.groups:
        one = pixels(group[0])
        for twin in group[1:]:
            beside = np.abs(twin.position - group[0].position).max() > MOVED_MM
            if beside or not np.array_equal(one, pixels(twin)):
                everything = [plane for theirs in stack.groups for plane in theirs]
                raise differing((group[0], twin), everything, where)
        checksum.update(group[0].position.tobytes() + one.tobytes())
        yield one


def _planes(voxels: NDArray[Any], source: Source) -> NDArray[Any]:
    """Look at voxels in display order as slices of the series, (slices, rows, columns)."""
    return source.to_file(voxels).transpose(2, 1, 0)


def _kept(planes: Iterable[NDArray[Any]], into: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Pass planes on, and keep those of whole numbers; the others are read once more."""
    for plane, target in zip(planes, into, strict=True):
        if plane.dtype == into.dtype:
            target[...] = plane
        yield plane


def _converted(
    kept: NDArray[Any],
    reading: Reading,
    source: Source,
    again: Iterable[NDArray[Any]] | None,
) -> NDArray[Any]:
    """Turn values, as they were kept or are read again, into voxels in display order."""
    voxels = kept if reading.unit == "hu" else room_for(source.file, kept.shape, np.uint8)
    planes = _planes(kept, source) if again is None else again
    for plane, target in zip(planes, _planes(voxels, source), strict=True):
        target[...] = reading.voxels(plane)
    return voxels


def _kind_notes(series: Series) -> list[str]:
    """Say that a series is not CT; the header's own word is the standard's name of its kind."""
    return [] if series.is_ct else [f"its files say that they hold no CT ({series.kind})"]


def _offset_notes(offset: float | None, reading: Reading, *, spared: bool) -> list[str]:
    if offset and spared:
        return ["the header has a RescaleIntercept, so no offset was added"]
    return [*added(offset, reading)]


def _is_clear(values: Values, unit: Unit | None, name: str) -> bool:
    """Tell whether values need no offset: their unit is decided without one."""
    try:
        reading_of(values, unit, name, None)
    except DataError:
        return False
    return True


def _sentence(note: str) -> str:
    return f"{note[0].upper()}{note[1:]}."


def matching_planes(series: Series, origin: Origin) -> list[Plane] | None:
    """Return the slices of a series that a scan came from; None if it came from another.

    They are in the order of the source's third axis; of slices that are there twice, the first is
    taken. Positions, pixels and the rescaling must be those that were imported.
    """
    where = series.folder.resolve().name
    for stack in every_stack(series.planes, where):
        planes = [group[0] for group in stack.groups]
        shape = (*planes[0].shape[::-1], len(planes))
        if shape != origin.source.shape or not np.allclose(stack.affine, origin.affine, atol=1e-3):
            continue
        checksum = hashlib.sha256()
        for _ in _slices(stack, Pixels(planes, where), where, checksum):
            pass
        if checksum.hexdigest() == origin.source.sha256:
            return planes
    return None
