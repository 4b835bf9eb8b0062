"""What the values of a scan and of its mask are: HU or grey, and labels.

The range of a scan's values decides its unit; the distribution tells whether they were shifted. One
padding value far below the rest, or one noisy voxel, changes neither.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from alnb.errors import DataError
from alnb.schema import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

Unit = Literal["hu", "grey"]

AIR_HU = -500  # ours: a CT that holds air reaches below this; 8-bit data never does
CLOSE = 1e-3  # ours: a value this near to a limit or to a whole number is that number
SHIFTS = (1024, 8192, 32768, -1024)  # stored less HU: DICOM's habit, extended CT, DeepLesion; twice
_BINS_FROM, _BINS_TO = -40_000, 70_000  # holds int16 and uint16, shifted by 1024
_ENOUGH = 1000  # ours: fewer voxels have no distribution
_ISOLATED = 100  # ours: padding lies this far below all else
_PILE = 10  # ours: or is this much more frequent than the ten values above it together
_FEW = 64  # ours: a phantom without noise has fewer values; its lowest is air, and no padding
_TISSUE_HU = 150  # fat and muscle lie within ±150 HU
_TISSUE = 0.02  # ours: the share of them that any part of a chest holds
_BONE = 0.1  # ours: the share of what is denser than lung that bone near 1024 HU never reaches
_LUNG_HU = (-950, -400)  # aerated lung, as where all else was cut away
_NO_AIR_HU = -1074  # air, less 50 for noise
_AIR_TO_HU = -900  # as the air around a patient, with noise
_BONE_HU = 3100  # 12 bits end at 3071
_NEAR_HU = 50  # ours: nearer shifts are one, as of 1000 and 1024
_HIGHEST_HU = 4096  # 12 bits above 0, which stay as they are without a sign
_WRAP = 2**16  # what a value below 0 gains where 16 bits are read without their sign
_LOWEST_HU = -4096  # ours: no scanner or padding in use lies lower, but -32768
_FAR_BELOW_HU = -3100  # ours: padding at -3024 is the lowest that is common
_NARROW_HU = 20  # ours: noise spans more; fractions and standard scores do not
LEVELS = 8  # ours: more different values than a mask has labels are soft edges


class Values:
    """The range and the distribution of a scan's values, gathered plane by plane.

    Raises
    ------
    DataError
        If the values are no real numbers.
    """

    def __init__(self, dtype: np.dtype[Any], where: str) -> None:
        if dtype.kind not in "biuf":
            kind = "colours" if dtype.kind == "V" else f"of type {dtype}"
            raise DataError(f"{where}: its voxels are {kind}, which are not CT. Export numbers.")
        self.fractional = dtype.kind == "f"
        self.low, self.high = np.inf, -np.inf
        self._counts = np.zeros(_BINS_TO - _BINS_FROM, np.int64)

    @classmethod
    def of(cls, planes: Iterable[NDArray[Any]], dtype: np.dtype[Any], where: str) -> Values:
        """Gather from planes.

        Parameters
        ----------
        planes : iterable of array of any shape
        dtype : numpy type
            Of the planes.
        where : str
            The file, for the sentence.

        Raises
        ------
        DataError
            If there are no voxels, they are no real numbers, or some are not finite.
        """
        values = cls(dtype, where)
        for plane in planes:
            values.add(plane)
        if values.low > values.high:
            raise DataError(f"{where}: the scan is empty. Export it again.")
        if not np.isfinite(values.low + values.high):  # NaN is carried by min and max
            raise DataError(
                f"{where}: some voxels are NaN or infinite. Replace them, by -1024 for air, "
                "and import again."
            )
        return values

    def add(self, plane: NDArray[Any]) -> None:
        """Count the values of an array of any shape."""
        if plane.size == 0:
            return
        self.fractional |= plane.dtype.kind == "f"
        low, high = float(plane.min()), float(plane.max())
        self.low, self.high = float(np.minimum(self.low, low)), float(np.maximum(self.high, high))
        if np.isfinite(low + high):
            near = np.clip(np.rint(plane.astype(np.float64)), _BINS_FROM, _BINS_TO - 1)
            bins = near.astype(np.intp).ravel() - _BINS_FROM
            self._counts += np.bincount(bins, minlength=self._counts.size)

    def signed(self) -> Values | None:
        """Return the values below 0 as they were, if they are HU whose sign was lost; else None.

        Then nothing lies between the highest HU and what the lowest have become.
        """
        bins = np.arange(_BINS_FROM, _BINS_TO)
        inside = bins[self._counts > 0]
        below = inside[inside >= _WRAP + _LOWEST_HU] - _WRAP
        kept = inside[inside < _HIGHEST_HU]
        whole = len(below) + len(kept) == len(inside) and self.low >= 0 and self.high < _WRAP
        if not whole or len(below) < 2 or not len(kept) or below[0] > AIR_HU:
            return None
        found = Values(np.dtype(float if self.fractional else int), "")
        found.low, found.high = float(below[0]), float(kept[-1])
        found._counts = np.where(bins < _HIGHEST_HU, self._counts, 0)
        at = np.array([*below, *kept]) - _BINS_FROM
        found._counts[at[: len(below)]] = self._counts[at[: len(below)] + _WRAP]
        return found

    def body(self, offset: float) -> Body | None:
        """Describe the values but for padding, with `offset` added; None: too few to tell."""
        counts = self._counts.copy()
        at = np.flatnonzero(counts)
        if counts.sum() < _ENOUGH:
            return None
        lung = (at + _BINS_FROM > _LUNG_HU[0]) & (at + _BINS_FROM < _LUNG_HU[1])
        air = (at + _BINS_FROM > _NO_AIR_HU) & (at + _BINS_FROM < _AIR_TO_HU) & (at.size <= _FEW)
        tissue = lung | air  # which nobody pads with
        alone = np.append(np.diff(at) >= _ISOLATED, False) & ~tissue
        first = int(np.argmin(alone))
        here = at[first]
        piled = counts[here] > _PILE * counts[here + 1 : here + 11].sum() and not tissue[first]
        counts[: here + int(piled and first < at.size - 1)] = 0
        low = float(np.flatnonzero(counts)[0])
        share = np.cumsum(counts) / counts.sum()
        p5, p98 = (float(np.searchsorted(share, part)) for part in (0.05, 0.98))
        shift = _BINS_FROM + offset
        padded = bool(np.count_nonzero(at < low) == 1)
        return Body(low + shift, p5 + shift, p98 + shift, share, shift, padded)


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """What is not padding: its lowest value, two percentiles and its distribution."""

    low: float
    p5: float
    p98: float
    share: NDArray[np.float64]  # of the values up to each bin
    first: float  # the value of bin 0
    padded: bool  # one value, and no other, lies below all these

    def between(self, low: float, high: float) -> float:
        """Return the share of values in low…high."""
        ends = np.clip(np.array([low - 1, high]) - self.first, 0, self.share.size - 1)
        below, within = self.share[np.rint(ends).astype(np.intp)]
        return float(within - below)

    @property
    def shift(self) -> int | None:
        """By how much these are HU that were shifted, as 1024; None: not by a known number."""
        for shift in SHIFTS:
            up = self.p5 >= shift + _NO_AIR_HU and self.p98 <= shift + _BONE_HU
            down = self.p5 <= shift + AIR_HU and self.p98 <= AIR_HU + 2 * _TISSUE_HU
            near = self.between(shift - _TISSUE_HU, shift + _TISSUE_HU)
            lung = self.between(shift + _LUNG_HU[0], shift + _LUNG_HU[1])
            tissue = near >= _TISSUE or (shift > 0 and self.p98 > 255 and lung > 0.5)
            dense = near > _BONE * self.between(AIR_HU, np.inf)  # whatever padding lies below
            moved = shift > 0 and dense and lung > 2 * self.between(*_LUNG_HU)
            if moved or ((up if shift > 0 else down) and tissue):
                return shift
        return None


@dataclass(frozen=True, slots=True)
class Reading:
    """How stored values become voxels: an offset, then a factor, in a unit."""

    unit: Unit
    offset: float = 0.0
    factor: float = 1.0
    signed: bool = False  # values that lost their sign get it back

    def voxels(self, plane: NDArray[Any]) -> NDArray[Any]:
        """Return int16 HU, rounded and clipped to the range of int16, or uint8 grey, rounded."""
        values = plane.astype(np.float64)
        if self.signed:
            values[values >= _HIGHEST_HU] -= _WRAP
        values = (values + self.offset) * self.factor
        dtype = np.int16 if self.unit == "hu" else np.uint8
        limits = np.iinfo(dtype)
        voxels: NDArray[Any] = np.clip(np.rint(values), limits.min, limits.max).astype(dtype)
        return voxels


def reading_of(values: Values, unit: Unit | None, where: str, offset: float | None) -> Reading:
    """Decide what the values of a scan are.

    Parameters
    ----------
    values : Values
        Of all its slices.
    unit, where, offset
        As `to_unit` takes them, and errors too. Of several scans only some may need the offset:
        it is not added where it would be counted twice.
    """
    if unit not in (None, "hu", "grey"):
        raise DataError(f"{where}: there is no unit {shown(unit)}. Say --unit hu or --unit grey.")
    signed = values.signed() if offset is None and unit != "grey" else None
    if signed is not None:
        return replace(reading_of(signed, unit, where, None), signed=True)
    added = offset or 0.0
    _check_offset(added, values, unit, where)
    low, high = values.low + added, values.high + added
    body = values.body(added)
    if body and unit != "grey" and offset != 0:
        if added and body.shift is not None and abs(body.shift - added) <= _NEAR_HU:
            return reading_of(values, unit, where, None)  # they were HU without it
        _check_shift(body, f"{where}: values {low:g}…{high:g}", added)
    decided = unit or _unit_of(low, high, body, where)
    fractions = values.fractional and _within(low, high, 1)
    if decided == "hu":
        _check_hu(f"{where}: values {low:g}…{high:g} are no HU", values, body, unit)
        return Reading("hu", added)
    if not _within(low, high, 255):
        raise DataError(
            f"{where}: values {low:g}…{high:g} are not 8-bit grey. Leave --unit grey out, "
            "or window the scan to 0…255."
        )
    return Reading("grey", added, 255.0 if fractions else 1.0)


def _check_offset(added: float, values: Values, unit: Unit | None, where: str) -> None:
    if not np.isfinite(added):
        raise DataError(f"--offset {added}: this is no number. Say it as in --offset -1024.")
    if added and unit != "hu" and _within(values.low, values.high, 255):
        raise DataError(
            f"{where}: values {values.low:g}…{values.high:g} are 8-bit grey, to which nothing is "
            "added. Import it without --offset, or say --unit hu if it is CT."
        )


def _check_hu(what: str, values: Values, body: Body | None, unit: Unit | None) -> None:
    """Refuse fractions, and what lies far below air, as HU times 10; a person may insist on it."""
    narrow = values.high - values.low < _NARROW_HU
    if values.fractional and values.low > AIR_HU and narrow:
        raise DataError(f"{what}. Leave --unit hu out.")
    if body and body.p5 < _FAR_BELOW_HU and unit is None:
        raise DataError(
            f"{what}: air lies at -1000, and a part of them below {body.p5:g}. Export the scan in "
            "HU, or say --unit hu if they are."
        )


def _within(low: float, high: float, limit: float) -> bool:
    """Tell whether values lie in 0…limit, where programs that scale miss the ends a little."""
    return low >= -CLOSE and high <= limit + CLOSE


def _check_shift(body: Body, what: str, added: float) -> None:
    if (shift := body.shift) is not None:
        like = f"{what} look like HU {'+' if shift > 0 else '-'} {abs(shift)}"
        or_1000 = " (-1000 if air is 0)" if shift == SHIFTS[0] and not added else ""
        raise DataError(
            f"{like}: soft tissue lies near {shift}. Say --unit hu --offset "
            f"{added - shift:g}{or_1000}, or --unit hu --offset 0 if they are HU."
        )
    if body.p5 >= SHIFTS[0] + _NO_AIR_HU and body.p98 > SHIFTS[0] + _BONE_HU:
        raise DataError(
            f"{what} look neither like HU nor like 8-bit grey. Window the scan to 0…255, name what "
            "must be added with --offset, or say --unit hu --offset 0 if they are HU."
        )


def _unit_of(low: float, high: float, body: Body | None, where: str) -> Unit:
    padded = body is not None and body.padded and _within(body.low, high, 255)
    if low <= AIR_HU and not padded:
        return "hu"
    if _within(low, high, 255):
        return "grey"
    beside = f" and {body.low:g}…{high:g} beside this padding" if body and padded else ""
    raise DataError(
        f"{where}: values {low:g}…{high:g}{beside} could be HU or something else: HU of a chest "
        "reach below -500, windowed scans lie in 0…255. Say which it is with --unit hu or --unit "
        "grey."
    )


def to_unit(
    data: NDArray[Any], unit: Unit | None, where: str, *, offset: float | None = None
) -> tuple[NDArray[Any], Unit]:
    """Decide what the values are, and store them as that.

    Parameters
    ----------
    data : array of any shape
        Values as the file gives them, after its own slope and intercept.
    unit : "hu", "grey" or None
        What the person says they are. None: decided by the range. Values below -500 are HU;
        values in 0…255 are already windowed, and so are fractions in 0…1 (times 255).
    where : str
        The file, for the sentence.
    offset : float or None
        Added to the values before anything is decided, as -1024 where HU + 1024 are stored.
        None: the person named none. 0: the person insists that nothing is to be added.

    Returns
    -------
    array of the same shape, "hu" or "grey"
        int16 HU, rounded and clipped to the range of int16, or uint8 grey, rounded.

    Raises
    ------
    DataError
        If a value is not finite, the unit is unknown, the values don't fit it or any unit, or they
        look like HU to which something was added.
    """
    planes = data if data.ndim > 1 else data[None]  # one by one, which takes little memory
    reading = reading_of(Values.of(planes, data.dtype, where), unit, where, offset)
    voxels = np.empty(planes.shape, np.int16 if reading.unit == "hu" else np.uint8)
    for plane, stored in zip(planes, voxels, strict=True):
        stored[...] = reading.voxels(plane)
    return voxels.reshape(data.shape), reading.unit


def added(offset: float | None, reading: Reading | None = None) -> tuple[str, ...]:
    """Return the note on an offset that a person named, or on a sign that was lost."""
    if reading and reading.signed:
        return ("its HU were stored without a sign: 65536 was taken from all above 61440",)
    if offset is None:
        return ()
    if offset and reading and not reading.offset:
        return ("its values are HU without the offset, so nothing was added",)
    what = f"{offset:+g}" if offset else "nothing"
    return (f"{what} was added to its values, as asked for",)


def to_labels(data: NDArray[Any], where: str, above: float | None = None) -> NDArray[np.uint8]:
    """Store a mask as class labels, whole numbers in 0…255, 0 for background.

    Parameters
    ----------
    data : array of any shape
        What lies within 0.001 of a whole number is that number: programs that scale miss it.
    where : str
        The file, for the sentence.
    above : float or None
        Values above this become label 1, all others 0. None: the values are the labels.

    Raises
    ------
    DataError
        If a value is not a whole number in 0…255; with `above`, only if it is NaN.
    """
    if data.dtype.kind not in "biuf":
        raise _no_label(where, f"is of type {data.dtype}")
    if above is not None:
        if np.isnan(data).any():
            raise _no_label(where, "holds nan")
        return (data > above).astype(np.uint8)
    rounded = np.rint(data) if data.dtype.kind == "f" else data
    labels: NDArray[np.uint8] = np.clip(np.nan_to_num(rounded), 0, 255).astype(np.uint8)
    same = np.abs(data - labels) <= CLOSE if data.dtype.kind == "f" else data == labels
    if same.all():
        return labels
    odd = data[~same]
    levels = np.unique(odd[(odd > 0) & (odd < 255)]).size
    if levels > LEVELS:
        raise DataError(f"{where}: {soft_edges(levels)}.")
    raise _no_label(where, f"holds {odd.flat[0]:g}")


def soft_edges(levels: int) -> str:
    """Say that a mask of so many levels is no label map, and what to do."""
    return (
        f"the mask holds {levels} levels where a label map holds few: its edges seem soft. Say "
        "with --infected-above from which value on a voxel is infected, as 0.5 of 1 or 127 of 255"
    )


def _no_label(where: str, found: str) -> DataError:
    return DataError(
        f"{where}: the mask {found}, which is no label: labels are whole numbers in 0…255, "
        "0 for background. Export it as a label map, without interpolation."
    )
