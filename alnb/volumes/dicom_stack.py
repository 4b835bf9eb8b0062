"""Lay DICOM slices on each other, and say where they are no regular stack.

A position counts along the normal of the slices, its depth. What an affine can't say (uneven
distances, a field of view that moves) is said in notes. Slices of several acquisitions that lie in
one another are refused unless one of them is chosen.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from alnb.errors import DataError
from alnb.volumes.dicom_files import Plane
from alnb.volumes.scan import by

if TYPE_CHECKING:
    from numpy.typing import NDArray

Choices: TypeAlias = "dict[int, list[Plane]]"

_SIDE = 4096  # ours: pixels; scanners store up to 2048, and a broken header claims more
_SAME_MM = 0.01  # ours: spacings nearer than this are one
_SAME_STEPS = 0.1  # ours: times the usual distance; slices nearer than this are at one position
_GAP = 1.5  # ours: times the usual distance; below it, steps are uneven and nothing is missing
_WHOLE = 0.25  # ours: times the usual distance; a gap is whole steps to that
_RUN = 3  # ours: as many equal wide steps on end are another distance, not missing slices; and
# as many slices are a scan of its own
_STEPS_OFF = 0.5  # of a step along the normal: from there on a slice lies nearer to another's place
MOVED_MM = 1.0  # ours: in the plane; about a pixel of a chest CT
_MISSED_MM = 0.1  # ours: less than a pixel of any CT, and more than what headers round
_ROUNDED_MM = 0.6  # ours: positions in whole mm are off by half of one, and their line a little
_TILT = 1.0  # ours: degrees; a smaller tilt is rounding
_STEEP = 45.0  # ours: degrees; gantries tilt up to 30
_COUCH = math.cos(math.radians(3))  # ours: slices follow each other along the couch to 3 degrees
_ACROSS = 0.7  # ours: the cosine of about 45 degrees; a scout is seen across the slices
_TURNED = 0.01  # ours: of a direction's numbers, which are in -1…1
_LISTED = 3  # ours: acquisitions or gaps that a sentence lists
_ONE_IN_ANOTHER = (
    "AcquisitionNumber", "FrameAcquisitionNumber", "TemporalPositionIdentifier",
    "TemporalPositionIndex", "StackID", "KVP", "ConvolutionKernel", "SliceThickness", "ImageType",
)  # fmt: skip
_MAY_CHANGE = ("SliceThickness", "ImageType")  # some scanners vary them within one scan
_DIGITS = {"KVP": 0, "SliceThickness": 1}  # ours: scanners write what was measured
_ORDER = "their order"
_AT_ONE_PLACE = ("TriggerTime", "NominalPercentageOfCardiacPhase")  # may vary within one scan


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Slices in the order of their depth.

    Parameters
    ----------
    groups : tuple of tuple of Plane
        The slices of each position; more than one where a slice is there twice.
    affine : (4, 4) float array
        From (column, row, slice) to RAS+ millimetres.
    notes : tuple of str
        For the person.
    origins : (n, 3) float array or None
        RAS+ millimetres of the first pixel of each slice, where the affine misses one of them.
    """

    groups: tuple[tuple[Plane, ...], ...]
    affine: NDArray[np.float64]
    notes: tuple[str, ...]
    origins: NDArray[np.float64] | None = None


def stacked(planes: Sequence[Plane], where: str, acquisition: int | None = None) -> Stack:
    """Sort slices by depth, and find the affine that lays them where they were.

    Parameters
    ----------
    planes : sequence of Plane
        Of one series.
    where : str
        The series, for the sentences.
    acquisition : int or None
        Which one to take where several lie in one another; None: the person named none.

    Raises
    ------
    DataError
        If a slice lacks a tag, slices differ in size, spacing or direction, or several
        acquisitions lie in one another and none of them was chosen.
    """
    _check_tags(planes, where)
    planes, chosen = _one_stack(planes, where, acquisition)
    planes, scouts = _without_scouts(planes, where)
    if not chosen:
        planes, chosen = _one_acquisition(planes, where, acquisition)
    groups = _by_depth(planes)
    positions = np.array([group[0].position for group in groups])
    affine, uneven = _affine(positions, groups[0][0])
    origins = positions * (-1, -1, 1)
    missed_mm = np.abs(affine[:3, 3] + np.outer(range(len(groups)), affine[:3, 2]) - origins)
    doubles = sum(len(group) > 1 for group in groups)
    twice = (
        f"slices that are there twice, with equal pixels, were taken once ({doubles} of "
        f"{len(groups)})"
    )
    notes = (*scouts, *chosen, *([twice] if doubles else []), *uneven)
    return Stack(tuple(groups), affine, notes, origins if missed_mm.max() > _MISSED_MM else None)


def every_stack(planes: Sequence[Plane], where: str) -> Iterator[Stack]:
    """Yield all the stacks that `stacked` can make of a series: one, or one an acquisition.

    `planes` and `where` are as it takes them. What it refuses is left out.
    """
    choices = _stacks(planes)
    with suppress(DataError):
        main, _ = _without_scouts(planes, where)
        choices = choices or _choices(main)[1] or _passes(main)
    numbers = [None, *choices]
    for number in numbers:
        with suppress(DataError):
            yield stacked(planes, where, number)


def differing(twins: Sequence[Plane], planes: Sequence[Plane], where: str) -> DataError:
    """Say that two slices of one position differ, and what can be done about it.

    Parameters
    ----------
    twins : sequence of Plane
        The two that differ.
    planes : sequence of Plane
        All of the series.
    where : str
        The series, for the sentence.
    """
    names = f"{_name(twins[0])} and {_name(twins[1])}"
    if len(planes) > 1 and len(_by_depth(planes)) == 1:
        x, y, z = twins[0].position
        return DataError(
            f"{where}: all {len(planes)} slices have one position ({x:g}, {y:g}, {z:g}) and "
            f"{names} differ: they are no stack, or their positions were lost. Export the series "
            "with ImagePositionPatient."
        )
    passes = _passes(planes)
    if passes:
        return _several(passes, _ORDER, where)
    count = sum(len(group) > 1 for group in _by_depth(planes)) - 1
    more = f", as those of {count} more positions may" if count else ""
    return DataError(
        f"{where}: {names} have the same position and differ{more}. Keep one slice of each."
    )


# --- one size, one direction -------------------------------------------------------------------


def _name(plane: Plane) -> str:
    frame = "" if plane.frame is None else f" (frame {plane.frame + 1})"
    return f"{plane.path.name}{frame}"


def _check_tags(planes: Sequence[Plane], where: str) -> None:
    for plane in planes:
        if plane.lacks:
            raise DataError(
                f"{where}: the file {plane.path.name} has no {plane.lacks}. Remove files that are "
                "no slices, or export the series with it."
            )
        if max(plane.shape) > _SIDE:
            raise DataError(
                f"{where}: {plane.path.name} claims to be of {by(plane.shape)} pixels. It is "
                "broken: export the series again."
            )
        across, down = plane.orientation.reshape(2, 3)
        lengths = np.linalg.norm(across), np.linalg.norm(down)
        square = abs(float(across @ down)) <= _TURNED
        if not np.allclose(lengths, 1, atol=_TURNED) or not square or plane.spacing.min() <= 0:
            raise DataError(
                f"{where}: the ImageOrientationPatient or PixelSpacing of {plane.path.name} is "
                "impossible. Export the series again."
            )


def _without_scouts(planes: Sequence[Plane], where: str) -> tuple[list[Plane], tuple[str, ...]]:
    """Leave out views across the slices; refuse slices of another size, spacing or direction."""
    kinds: list[list[Plane]] = []
    for plane in planes:
        kind = next((kind for kind in kinds if _is_alike(plane, kind[0])), None)
        if kind is None:
            kinds.append([plane])
        else:
            kind.append(plane)
    main = max(kinds, key=len)
    others = [kind for kind in kinds if kind is not main]
    scouts = [plane for kind in others for plane in kind]
    odd = next((kind[0] for kind in others if not _are_scouts(kind, main[0])), None)
    if odd is None and len(scouts) >= len(main):
        odd = scouts[0]
    if odd is not None:
        raise DataError(
            f"{where}: {_name(odd)} has another size, spacing or direction than "
            f"{_name(main[0])}, as {len(planes) - len(main)} of {len(planes)} slices have. "
            "Remove what is not part of the scan, such as a scout view."
        )
    return main, (f"left out: scout views ({len(scouts)})",) if scouts else ()


def _is_alike(one: Plane, other: Plane) -> bool:
    return (
        one.shape == other.shape
        and np.allclose(one.spacing, other.spacing, atol=_SAME_MM)
        and float(np.abs(one.orientation - other.orientation).max()) <= _TURNED
    )


def _are_scouts(planes: Sequence[Plane], main: Plane) -> bool:
    """Tell a few views across a stack from another stack, such as a coronal one."""
    across = abs(float(planes[0].normal @ main.normal)) < _ACROSS
    return across and len(_by_depth(planes)) < _RUN


# --- acquisitions ------------------------------------------------------------------------------


def _stacks(planes: Sequence[Plane]) -> Choices:
    """Find the stacks that a header of many frames tells apart, wherever they lie."""
    parts: dict[float | str, list[Plane]] = {}
    for plane in planes:
        parts.setdefault(plane.marks.get("StackID", ""), []).append(plane)
    large = [part for part in parts.values() if len(part) >= _RUN]
    if len(large) < 2 or "" in parts:
        return {}
    values = sorted(parts, key=lambda value: (isinstance(value, str), value))
    return {number: parts[value] for number, value in enumerate(values, 1)}


def _one_stack(
    planes: Sequence[Plane], where: str, acquisition: int | None
) -> tuple[Sequence[Plane], tuple[str, ...]]:
    """Take one of several stacks; refuse them if none is named."""
    choices = _stacks(planes)
    if not choices:
        return planes, ()
    if acquisition is None or acquisition not in choices:
        raise _several(choices, "StackID", where, acquisition)
    return _taken(choices, acquisition, len(planes), where)


def _taken(
    choices: Choices, acquisition: int, count: int, where: str
) -> tuple[list[Plane], tuple[str, ...]]:
    """Return an acquisition's slices, and the note that it was chosen; refuse several in it."""
    taken = choices[acquisition]
    again, more = _choices(taken)
    if more:
        raise DataError(
            f"{where}: acquisition {acquisition} holds {len(more)} more that differ in their "
            f"{again}. Put the slices of one into a folder of their own."
        )
    counts = f"{len(taken)} of {count} slices"
    return taken, (f"acquisition {acquisition} was taken, as asked for ({counts})",)


def _one_acquisition(
    planes: Sequence[Plane], where: str, acquisition: int | None
) -> tuple[list[Plane], tuple[str, ...]]:
    """Take one of several acquisitions that lie in one another; refuse them if none is named."""
    tag, choices = _choices(planes)
    if not choices and acquisition is not None:
        tag, choices = _ORDER, _passes(planes)
    if not choices:
        only = "only one acquisition was found, and was taken"
        return list(planes), () if acquisition is None else (only,)
    if acquisition is None or acquisition not in choices:
        raise _several(choices, tag, where, acquisition)
    return _taken(choices, acquisition, len(planes), where)


def _choices(planes: Sequence[Plane]) -> tuple[str, Choices]:
    """Find the tag by which slices are several scans that lie in one another."""
    idle = _MAY_CHANGE if _counts_on(planes) else ()
    for tag in (*_ONE_IN_ANOTHER, *_AT_ONE_PLACE):
        if tag in idle or not all(tag in plane.marks for plane in planes):
            continue
        parts: dict[float | str, list[Plane]] = {}
        for plane in planes:
            value = plane.marks[tag]
            if tag in _DIGITS and isinstance(value, float):
                value = round(value, _DIGITS[tag])
            parts.setdefault(value, []).append(plane)
        several = [part for part in parts.values() if len(part) > 1]
        pairs = combinations([_depths(part, planes[0].normal) for part in several], 2)
        if any(_is_within(*pair, places=tag in _AT_ONE_PLACE) for pair in pairs):
            values = sorted(parts, key=lambda value: (isinstance(value, str), value))
            return tag, {_number(tag, value, k): parts[value] for k, value in enumerate(values, 1)}
    return "InstanceNumber", _repeats(planes) or _runs(planes)


def _counts_on(planes: Sequence[Plane]) -> bool:
    """Tell whether numbers rise from each slice to the next along the stack, or fall."""
    numbers = [plane.number for plane in planes if plane.number is not None]
    if len(numbers) < len(planes):
        return False
    depths = _depths(planes, planes[0].normal)
    order = np.argsort(depths)
    counts = np.diff(np.array(numbers)[order])
    apart = bool((np.diff(depths[order]) > _SAME_MM).all())
    return apart and bool((counts > 0).all() or (counts < 0).all())


def _repeats(planes: Sequence[Plane]) -> Choices:
    """Find scans that count alike and lie beside each other by less than a step."""
    numbered: dict[int | None, list[Plane]] = {}
    for plane in sorted(planes, key=lambda plane: float(plane.position @ planes[0].normal)):
        numbered.setdefault(plane.number, []).append(plane)
    times = len(numbered[planes[0].number])
    alike = all(len(theirs) == times for theirs in numbered.values())
    if None in numbered or times < 2 or len(numbered) < _RUN or not alike:
        return {}
    rows = [numbered[number] for number in sorted(numbered, key=lambda number: number or 0)]
    depths = np.array([[plane.position @ planes[0].normal for plane in row] for row in rows])
    shifts, step = depths - depths[:, :1], float(np.median(np.abs(np.diff(depths[:, 0]))))
    same = np.abs(shifts - np.median(shifts, axis=0)).max() <= _SAME_STEPS * step
    if not same or not _SAME_MM < shifts.max() < step:
        return {}
    return {k + 1: [row[k] for row in rows] for k in range(times)}


def _runs(planes: Sequence[Plane]) -> Choices:
    """Find scans that are numbered one after the other and lie in one another."""
    if None in (numbers := [plane.number for plane in planes]) or len({*numbers}) < len(planes):
        return {}
    ordered = sorted(planes, key=_by_number)
    depths = _depths(ordered, planes[0].normal)
    steps = np.diff(depths)
    forward = np.sign(np.median(steps)) if len(steps) else 1.0
    ends = np.flatnonzero(steps * forward < -_SAME_MM) + 1
    runs = [list(part) for part in np.split(np.arange(len(ordered)), ends)]
    parts = [[ordered[index] for index in run] for run in runs]
    if len(parts) < 2 or min(map(len, parts)) < _RUN:
        return {}
    if not all(_is_within(*pair, places=False) for pair in pairwise(depths[run] for run in runs)):
        return {}
    doubles = any(len(group) > 1 for group in _by_depth(planes))  # `_passes` deals with those
    return {} if doubles else dict(enumerate(parts, 1))


def _number(tag: str, value: float | str, count: int) -> int:
    """Return the header's own number of an acquisition, or `count`."""
    own = tag == "AcquisitionNumber" and isinstance(value, float)
    return int(value) if own else count


def _is_within(one: NDArray[np.float64], other: NDArray[np.float64], *, places: bool) -> bool:
    """Tell whether half of the shorter of two scans lies in the other's range, or at its places."""
    short, long = sorted((one, other), key=len)
    if places:
        near = np.abs(short[:, None] - long).min(axis=1) <= _SAME_MM
    else:
        near = (short >= long.min() - _SAME_MM) & (short <= long.max() + _SAME_MM)
    return bool(2 * near.sum() >= len(short))


def _depths(planes: Sequence[Plane], normal: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([plane.position for plane in planes]) @ normal


def _passes(planes: Sequence[Plane]) -> Choices:
    """Deal slices by how often their position came before, in the order of their numbers.

    Without different InstanceNumbers, those in the files' names count. Nothing if some positions
    have more slices, or if the order is neither pass by pass nor position by position.
    """
    numbers = [plane.number for plane in planes]
    groups = _by_depth(planes)
    times, count = len(groups[0]), len(groups)
    if times < 2 or count < 2 or any(len(group) != times for group in groups):
        return {}
    numbered = None not in numbers and len({*numbers}) == len(planes)
    key = _by_number if numbered else _by_name
    at = {id(plane): place for place, group in enumerate(groups) for plane in group}
    order = [at[id(plane)] for plane in sorted(planes, key=key)]
    by_pass = all(len({*order[k * count : (k + 1) * count]}) == count for k in range(times))
    by_place = all(len({*order[k * times : (k + 1) * times]}) == 1 for k in range(count))
    if not by_pass and not by_place:
        return {}
    ordered = [sorted(group, key=key) for group in groups]
    return {k + 1: [group[k] for group in ordered] for k in range(times)}


def _by_number(plane: Plane) -> int:
    return plane.number or 0


def _by_name(plane: Plane) -> list[tuple[int, str]]:
    """Sort file 2 before file 10."""
    parts = re.findall(r"(\d+)|(\D+)", str(plane.path))
    return [(int(digits or -1), text) for digits, text in parts]


def _several(
    choices: Mapping[int, Sequence[Plane]], tag: str, where: str, asked: int | None = None
) -> DataError:
    """Refuse several acquisitions, with the counts of each."""
    numbers = list(choices)
    own = tag == "AcquisitionNumber"

    def told(number: int) -> str:
        value = "" if own or tag not in choices[number][0].marks else choices[number][0].marks[tag]
        shown = f"{value:g}" if isinstance(value, float) else value
        return f"{len(choices[number])} slices of {number}{f' ({shown})' if shown else ''}"

    counts = ", ".join(told(number) for number in numbers[:_LISTED])
    rest = len(numbers) - _LISTED
    more = f" and {rest} more" if rest > 0 else ""
    wrong = "" if asked is None else f"there is no acquisition {asked}; "
    lie = "are in one series" if tag == "StackID" else "lie in one another"
    return DataError(
        f"{where}: {wrong}{len(choices)} acquisitions {lie}, told apart by {tag}: "
        f"{counts}{more}. Choose one, as with --acquisition {numbers[0]}."
    )


# --- depth -------------------------------------------------------------------------------------


def _by_depth(planes: Sequence[Plane]) -> list[tuple[Plane, ...]]:
    """Sort slices by depth, and put those of one position together."""
    depths = _depths(planes, planes[0].normal)
    order = np.argsort(depths, kind="stable")
    steps = np.diff(depths[order])
    wide = steps[steps > _SAME_MM]
    same_mm = max(_SAME_MM, _SAME_STEPS * float(np.median(wide))) if wide.size else _SAME_MM
    groups: list[list[int]] = []
    for index in order:
        if groups and depths[index] - depths[groups[-1][0]] < same_mm:
            groups[-1].append(int(index))
        else:
            groups.append([int(index)])
    return [tuple(planes[index] for index in group) for group in groups]


def _affine(
    positions: NDArray[np.float64], plane: Plane
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Return the affine of slices at (n, 3) positions, and notes on what it can't say."""
    across, down = plane.orientation.reshape(2, 3)
    normal, (dy, dx) = plane.normal, plane.spacing
    depths = positions @ normal
    step, uneven = _step_mm(depths)
    along, moved = _along(positions, normal)
    lps = np.eye(4)
    lps[:3] = np.column_stack([across * dx, down * dy, along * step, positions[0]])
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps, (*uneven, *moved)


def _along(
    positions: NDArray[np.float64], normal: NDArray[np.float64]
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Return what lies between slices, for 1 mm of depth, and a note if it is not the normal.

    Slices of a tilted gantry follow each other along the couch. A field of view that moves is no
    tilt: the first slice's counts then.
    """
    if len(positions) == 1:
        return normal, ()
    from_first = positions - positions[0]
    depths = from_first @ normal
    along = from_first[-1] / depths[-1]
    off = np.linalg.norm(from_first - depths[:, None] * along, axis=1).max()
    length = float(np.linalg.norm(along))
    degrees = math.degrees(math.acos(min(1.0, 1 / length)))
    if off <= MOVED_MM and degrees <= _STEEP:
        if degrees < _TILT:
            return along, ()
        tilted = abs(along[2]) / length >= _COUCH
        what = "the gantry was tilted" if tilted else "slices are shifted evenly"
        return along, (f"{what} by {degrees:.0f}°: each slice is shifted against the one below",)
    moved_mm = np.linalg.norm(from_first - depths[:, None] * normal, axis=1).max()
    return normal, (
        f"the field of view moves by up to {moved_mm:.1f} mm from the first slice, so exported "
        "NIfTI masks lie off by as much",
    )


def _step_mm(depths_mm: NDArray[np.float64]) -> tuple[float, tuple[str, ...]]:
    """Return the distance between slices, and a note where it is not the same everywhere."""
    if len(depths_mm) == 1:
        return 1.0, ()
    steps = np.diff(depths_mm)
    usual = float(np.median(steps))
    times = np.maximum(1, np.rint(steps / usual))
    wide = np.flatnonzero(steps > _GAP * usual)
    times[np.setdiff1d(np.arange(len(steps)), wide)] = 1
    places = np.concatenate([[0], np.cumsum(times)])
    step = float(depths_mm[-1] - depths_mm[0]) / float(places[-1])
    whole = np.abs(steps[wide] - times[wide] * usual) <= _WHOLE * usual
    off = np.abs(depths_mm - depths_mm[0] - places * step).max()
    apart = _has_run(wide, times) or _are_rounded(depths_mm, wide.size)
    if not whole.all() or off > _STEPS_OFF * step or apart:
        return _uneven(depths_mm, steps)
    if not wide.size:
        return step, ()
    missing = [f"{times[at] - 1:.0f} after {depths_mm[at]:.1f} mm" for at in wide[:_LISTED]]
    more = f" and in {wide.size - _LISTED} more places" if wide.size > _LISTED else ""
    return step, (
        f"slices are missing ({', '.join(missing)}{more}; {usual:.1f} mm is usual), so exported "
        "NIfTI masks lie too low above a gap",
    )


def _has_run(wide: NDArray[np.intp], times: NDArray[np.float64]) -> bool:
    """Tell whether `_RUN` steps on end are wide, and equally."""
    ends = (np.diff(wide) > 1) | (np.diff(times[wide]) != 0)
    return any(len(run) >= _RUN for run in np.split(wide, np.flatnonzero(ends) + 1))


def _are_rounded(depths_mm: NDArray[np.float64], wide: int) -> bool:
    """Tell whether even positions were rounded to whole mm, as 1.25 mm apart become 1, 1, 1, 2."""
    steps, places = np.diff(depths_mm), np.arange(len(depths_mm))
    line = np.polyval(np.polyfit(places, depths_mm, 1), places)
    in_mm = bool(np.abs(steps - np.rint(steps)).max() <= _SAME_MM)
    return wide >= _RUN and in_mm and bool(np.abs(depths_mm - line).max() <= _ROUNDED_MM)


def _uneven(
    depths_mm: NDArray[np.float64], steps: NDArray[np.float64]
) -> tuple[float, tuple[str, ...]]:
    mean = float(depths_mm[-1] - depths_mm[0]) / len(steps)
    off = np.abs(depths_mm - depths_mm[0] - np.arange(len(depths_mm)) * mean).max()
    common = Counter(steps.round(1).tolist()).most_common(2)
    told = " and ".join(f"{mm:g} mm ({count} times)" for mm, count in common)
    if len({*steps.round(1).tolist()}) > len(common):
        told = f"from {steps.min():.1f} to {steps.max():.1f} mm"
    return mean, (
        f"slices are not evenly apart ({told}), and were taken as {mean:.1f} mm apart, so exported "
        f"NIfTI masks lie up to {off:.1f} mm off",
    )
