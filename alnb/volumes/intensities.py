"""What the values of a file are: HU, windowed grey or labels; never guessed where both fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from alnb.errors import DataError
from alnb.volumes.scan import Unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

AIR_HU = -500  # ours: a CT that holds air reaches below this; 8-bit data never does


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
        If a value is not finite, there is no such unit, or the range fits neither or not the one
        that was said.
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
    if unit not in (None, "hu", "grey"):
        raise DataError(f"{where}: there is no unit {unit!r}. Say --unit hu or --unit grey.")
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
