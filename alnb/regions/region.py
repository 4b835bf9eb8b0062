"""`Region`: a part of one slice, and its name in journals."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alnb.arrays import MAX_SIDE, Mask, read_only
from alnb.dataset import SliceId
from alnb.errors import DataError
from alnb.schema import shown


@dataclass(frozen=True, slots=True)
class Region:
    """A part of one slice on the working grid: a rectangle, or a shape inside one.

    Regions are equal if they hold the same pixels of the same slice in the same rectangle.

    Parameters
    ----------
    where : SliceId
        The slice it lies in.
    row, col : int
        Its upper left pixel, ≥ 0.
    height, width : int
        In pixels, > 0.
    mask : (height, width) bool array, optional
        Which pixels of the rectangle belong to it, at least one. None, or True everywhere: all.
        A read-only copy is kept.

    Attributes
    ----------
    key : str
        Its name in journals: ``scan/z/row,col,height,width``. A shape has one more part, for
        example ``scan/z/0,0,2,3,1-4-1``: the run lengths of its mask down the columns, pixels
        outside first, as COCO stores masks (Lin et al. 2014). `parse` reads the region back.

    Raises
    ------
    DataError
        If the rectangle is empty, lies above or left of the slice or has a side beyond `MAX_SIDE`,
        or the mask does not fit it.
    """

    where: SliceId
    row: int
    col: int
    height: int
    width: int
    mask: Mask | None = field(default=None, compare=False, repr=False)
    key: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        box = f"{self.row},{self.col},{self.height},{self.width}"
        object.__setattr__(self, "key", f"{self.where.scan}/{self.where.z}/{box}")
        low = min(self.row, self.col, self.height - 1, self.width - 1)
        if low < 0 or max(self.end) > MAX_SIDE:
            raise DataError(
                f"region {self.key[:80]}: row and column can't be negative, height and width must "
                f"be above 0, and it ends within {MAX_SIDE} pixels."
            )
        if self.mask is not None:
            self._take(np.array(self.mask, dtype=bool))

    def _take(self, mask: Mask) -> None:
        """Keep a mask after checking it, and name the region by it."""
        if mask.shape != (self.height, self.width):
            raise DataError(
                f"region {self.key}: its mask is {mask.shape}, its rectangle "
                f"{(self.height, self.width)}."
            )
        if not mask.any():
            raise DataError(f"region {self.key}: its mask holds no pixel.")
        if mask.all():
            object.__setattr__(self, "mask", None)
            return
        object.__setattr__(self, "mask", read_only(mask))
        object.__setattr__(self, "key", f"{self.key},{'-'.join(map(str, runs(mask)))}")

    @classmethod
    def parse(cls, key: str) -> Region:
        """Read a region's `key`.

        Raises
        ------
        DataError
            If the text does not name a region.

        Examples
        --------
        >>> Region.parse("scan_01/23/132,132,44,44").where
        SliceId(scan='scan_01', z=23)
        >>> Region.parse("scan_01/23/0,0,2,3,1-4-1").mask.astype(int).tolist()
        [[0, 1, 1], [1, 1, 0]]
        """
        try:
            scan, z, place = key.rsplit("/", 2)
            row, col, height, width, *shape = place.split(",")
            box = int(row), int(col), int(height), int(width)
            if len(shape) > 1 or max(box) > MAX_SIDE:
                raise ValueError("too many parts, or too large")
            mask = _unrolled(shape[0], box[2:]) if shape else None
            return cls(SliceId(scan, int(z)), *box, mask=mask)
        except ValueError as error:
            raise DataError(
                f"region {shown(key)} can't be read; it should look like scan_01/23/132,132,44,44."
            ) from error

    @property
    def end(self) -> tuple[int, int]:
        """The row below it, and the column to its right."""
        return self.row + self.height, self.col + self.width

    @property
    def window(self) -> tuple[slice, slice]:
        """Index its rectangle in an (H, W) array."""
        return (
            slice(self.row, self.row + self.height),
            slice(self.col, self.col + self.width),
        )

    def pixels(self, array: NDArray[Any]) -> NDArray[Any]:
        """Take the region's pixels from an (H, W) array, flattened where it has a mask."""
        inside = array[self.window]
        return inside if self.mask is None else inside[self.mask]

    def drawn(self, shape: tuple[int, int]) -> Mask:
        """Draw the region on a slice of (H, W) pixels: True inside."""
        inside: Mask = np.zeros(shape, dtype=bool)
        inside[self.window] = True if self.mask is None else self.mask
        return inside

    def contains(self, row: float, col: float) -> bool:
        """Tell whether a position, whose pixel centres are integers, lies in the region."""
        inside = (
            self.row - 0.5 <= row < self.row + self.height - 0.5
            and self.col - 0.5 <= col < self.col + self.width - 0.5
        )
        if not inside or self.mask is None:
            return inside
        pixel = math.floor(row + 0.5) - self.row, math.floor(col + 0.5) - self.col
        return bool(self.mask[pixel])


def runs(mask: Mask) -> list[int]:
    """Measure the runs down the columns: outside, inside, outside, …; the first may be 0."""
    pixels = mask.ravel(order="F")
    changes = np.flatnonzero(np.diff(pixels, prepend=False))
    found: list[int] = np.diff(changes, prepend=0, append=pixels.size).tolist()
    return found


def _unrolled(runs: str, shape: tuple[int, int]) -> Mask:
    """Read runs that were joined by hyphens: a (height, width) mask, or a `ValueError`."""
    lengths = [int(run) for run in runs.split("-")]
    if sum(lengths) != shape[0] * shape[1]:
        raise ValueError("the runs don't fill the rectangle")
    inside = np.arange(len(lengths)) % 2 == 1
    return np.repeat(inside, lengths).reshape(shape, order="F")
