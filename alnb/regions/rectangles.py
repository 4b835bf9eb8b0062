"""The grid: equal rectangles."""

from __future__ import annotations

import math
from itertools import pairwise

from alnb.dataset import SliceId
from alnb.errors import ConfigError
from alnb.regions.region import Region


def _cuts(length: int, parts: int) -> list[int]:
    return [length * part // parts for part in range(parts + 1)]


def grid_shape(k: int, shape: tuple[int, int]) -> tuple[int, int]:
    """Arrange `k` regions in rows and columns, as near to squares as `k` and `shape` allow.

    Returns
    -------
    (rows, cols) : tuple of int
        Their product is `k`.

    Raises
    ------
    ConfigError
        If `k` is below 1 or its rows or columns are more than the slice has pixels.
    """
    if k < 1:
        raise ConfigError(f"regions_per_slice is {k}; it must be at least 1.")
    height, width = shape
    pairs = [(rows, k // rows) for rows in range(1, k + 1) if k % rows == 0]
    rows, cols = min(pairs, key=lambda rc: abs(math.log(height / rc[0] * rc[1] / width)))
    if rows > height or cols > width:
        raise ConfigError(
            f"regions_per_slice is {k}; a slice of {height}×{width} pixels can't be divided so. "
            "Ask for fewer regions."
        )
    return rows, cols


def grid(where: SliceId, shape: tuple[int, int], k: int = 64) -> tuple[Region, ...]:
    """Divide a slice into `k` rectangles that cover every pixel exactly once.

    Where the slice does not divide evenly their sides differ by one pixel, so that no pixel
    is left in no region.

    Parameters
    ----------
    where : SliceId
        The slice.
    shape : (H, W)
        Its size in pixels.
    k : int
        How many; the paper compares 1, 4, 9, 16, 36, 64 and 81 (5.2).

    Returns
    -------
    tuple of k Region
        Row by row, from the upper left.

    Raises
    ------
    ConfigError
        If the slice can't be divided into `k`.

    Examples
    --------
    >>> [region.key for region in grid(SliceId("a", 0), (5, 4), k=2)]
    ['a/0/0,0,2,4', 'a/0/2,0,3,4']
    """
    rows, cols = grid_shape(k, shape)
    tops, lefts = _cuts(shape[0], rows), _cuts(shape[1], cols)
    return tuple(
        Region(where, top, left, bottom - top, right - left)
        for top, bottom in pairwise(tops)
        for left, right in pairwise(lefts)
    )
