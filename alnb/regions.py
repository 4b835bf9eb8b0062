"""Regions: the parts of a slice that are asked about one at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alnb.arrays import Grey, Mask
from alnb.dataset import SliceId
from alnb.errors import ConfigError, DataError


@dataclass(frozen=True, slots=True)
class Region:
    """A part of one slice on the working grid: a rectangle, or a shape inside one.

    Parameters
    ----------
    where : SliceId
        The slice it lies in.
    row, col : int
        Its upper left pixel, ≥ 0.
    height, width : int
        In pixels, > 0.
    mask : (height, width) bool array, optional
        Which pixels of the rectangle belong to it; None for all.

    Raises
    ------
    DataError
        If the rectangle is empty, lies above or left of the slice, or the mask does not fit it.
    """

    where: SliceId
    row: int
    col: int
    height: int
    width: int
    mask: Mask | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.row < 0 or self.col < 0 or self.height < 1 or self.width < 1:
            raise DataError(
                f"region {self.key}: row and column can't be negative, height and width must be "
                "above 0."
            )
        if self.mask is not None and self.mask.shape != (self.height, self.width):
            raise DataError(
                f"region {self.key}: its mask is {self.mask.shape}, its rectangle "
                f"{(self.height, self.width)}."
            )

    @property
    def key(self) -> str:
        """Its name in journals: ``scan/z/row,col,height,width``."""
        box = f"{self.row},{self.col},{self.height},{self.width}"
        return f"{self.where.scan}/{self.where.z}/{box}"

    @classmethod
    def parse(cls, key: str) -> Region:
        """Read a rectangle's `key`.

        Raises
        ------
        DataError
            If the text does not name a region.

        Examples
        --------
        >>> Region.parse("scan_01/23/132,132,44,44").where
        SliceId(scan='scan_01', z=23)
        """
        try:
            scan, z, box = key.rsplit("/", 2)
            row, col, height, width = (int(part) for part in box.split(","))
            return cls(SliceId(scan, int(z)), row, col, height, width)
        except ValueError as error:
            raise DataError(
                f"region {key!r} can't be read; it should look like scan_01/23/132,132,44,44."
            ) from error

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

    def contains(self, row: float, col: float) -> bool:
        """Tell whether a position, whose pixel centres are integers, lies in the region."""
        inside = (
            self.row - 0.5 <= row < self.row + self.height - 0.5
            and self.col - 0.5 <= col < self.col + self.width - 0.5
        )
        if not inside or self.mask is None:
            return inside
        return bool(self.mask[round(row) - self.row, round(col) - self.col])


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


LUNG_GREY = 128  # ours: -500 HU through the default window; aerated lung and faint ground-glass
FLAT = 2  # ours: levels; a picture's padding after resampling
AIR_HU = -950  # below it even lung counts as emphysema (Gevenois et al. 1996)
AIR_SHARE = 0.99  # ours: of a region's pixels; leaves room for noise
LUNG_SHARE = 0.1  # ours: of a region's pixels; takes in those that lungs only reach into


def lung_like(image: Grey) -> Mask:
    """Find what looks like aerated lung before there is a network: dark, enclosed by tissue.

    Parameters
    ----------
    image : (H, W) uint8 array
        A slice through its window.

    Returns
    -------
    (H, W) bool array
        True in lungs and airways; air around the body, or gas cut by the picture's edge, is not.
    """
    from scipy.ndimage import binary_fill_holes

    tissue = image >= LUNG_GREY
    enclosed: Mask = binary_fill_holes(tissue) & ~tissue
    return enclosed


def in_lungs(image: Grey, regions: Sequence[Region]) -> Mask:
    """Tell which regions of a slice hold some lung.

    Parameters
    ----------
    image : (H, W) uint8 array
        The slice through its window.
    regions : sequence of K Region
        Of that slice.

    Returns
    -------
    (K,) bool array
        True where at least `LUNG_SHARE` of the region's pixels are `lung_like`.
    """
    lungs = lung_like(image)
    return np.array([region.pixels(lungs).mean() >= LUNG_SHARE for region in regions], dtype=bool)


def bare(values: NDArray[np.integer[Any]], regions: Sequence[Region], *, hu: bool) -> Mask:
    """Tell which regions of a slice show nothing: padding, or air around the patient.

    Parameters
    ----------
    values : (H, W) integer array
        HU, or grey levels of which the window is not known.
    regions : sequence of K Region
        Of that slice.
    hu : bool
        Whether the values are HU.

    Returns
    -------
    (K,) bool array
        True where all pixels are of one value, give or take `FLAT`, or, in HU, where nearly all
        are below `AIR_HU`. Ground-glass and consolidation can't be there.
    """

    def shows_nothing(pixels: NDArray[np.integer[Any]]) -> bool:
        flat = int(pixels.max()) - int(pixels.min()) <= FLAT
        return flat or (hu and float((pixels < AIR_HU).mean()) >= AIR_SHARE)

    return np.array([shows_nothing(region.pixels(values)) for region in regions], dtype=bool)


def superpixels(where: SliceId, image: Grey, n: int = 64) -> tuple[Region, ...]:
    """Divide a slice into about `n` regions that follow its edges (SLIC).

    Parameters
    ----------
    where : SliceId
        The slice.
    image : (H, W) uint8 array
        What is shown of it.
    n : int
        About how many regions.

    Returns
    -------
    tuple of Region
        With masks; together they cover every pixel exactly once.

    References
    ----------
    Achanta et al. 2012, SLIC superpixels, as scikit-image computes them.
    """
    from skimage.measure import regionprops
    from skimage.segmentation import slic

    labels = slic(image, n_segments=n, compactness=0.1, channel_axis=None, start_label=1)
    return tuple(
        Region(where, top, left, bottom - top, right - left, mask=labels_of.image)
        for labels_of in regionprops(labels)
        for top, left, bottom, right in [labels_of.bbox]
    )
