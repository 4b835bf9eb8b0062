"""Divide a slice into regions: a grid of rectangles, or superpixels that follow its edges.

SLIC is slow, so its label maps are kept in the dataset's folder ``superpixels``, in a file of a few
kilobytes for each slice. The folder may be deleted at any time. If it can't be written, the
superpixels are found again each time.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import version
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from alnb.arrays import Grey
from alnb.config import Config
from alnb.dataset import Dataset, SliceId
from alnb.dataset.manifest import SUPERPIXELS
from alnb.errors import ConfigError
from alnb.regions.region import Region
from alnb.storage import read_arrays, replacing, short_hash

LabelMap: TypeAlias = NDArray[np.integer[Any]]
Tiling: TypeAlias = Callable[[SliceId], tuple[Region, ...]]

# Achanta et al. 2012: m = 10, in [1, 40], on a scale where white is 100; that is 0.1 on [0, 1].
# ours: at 0.1, without smoothing, noise leaves 42 of 64 superpixels and ragged ones (medseg)
COMPACTNESS = 0.2
SMOOTH_PX = 1.0  # ours: standard deviation; about the noise's grain
FORMAT = 1
_KEPT = 64  # slices whose regions stay in memory, about 0.1 MB each


def tiling(dataset: Dataset, config: Config) -> Tiling:
    """Return the function that lists a slice's regions, as `Config.regions` names them.

    The regions of a slice are the columns of a table of N slices by K, where K is
    `Config.regions_per_slice`. A grid has K regions. There are at most K superpixels; the columns
    beyond them stay empty.
    """
    k = config.regions_per_slice
    if config.regions == "superpixels":
        return superpixels(dataset, k)
    return lambda where: grid(where, (dataset.size, dataset.size), k)


def _grid_shape(k: int, shape: tuple[int, int]) -> tuple[int, int]:
    """Return rows and columns of `k` regions, as near to squares as `k` and `shape` allow."""
    if k < 1:
        raise ConfigError(f"regions_per_slice is {k}; it must be at least 1.")
    height, width = shape
    pairs = [(rows, k // rows) for rows in range(1, k + 1) if k % rows == 0]
    rows, cols = min(pairs, key=lambda rc: abs(math.log(height / rc[0] * rc[1] / width)))
    if rows > height or cols > width:
        raise ConfigError(
            f"regions_per_slice is {k}; a slice of {height}×{width} pixels can't be divided into "
            "that many. Ask for fewer regions."
        )
    return rows, cols


def grid(where: SliceId, shape: tuple[int, int], k: int = 64) -> tuple[Region, ...]:
    """Divide a slice into `k` rectangles that cover every pixel exactly once.

    If the slice does not divide evenly, their sides differ by one pixel.

    Parameters
    ----------
    where, shape
        The slice, and its (H, W) in pixels.
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
    tops, lefts = (
        [length * part // parts for part in range(parts + 1)]
        for length, parts in zip(shape, _grid_shape(k, shape), strict=True)
    )
    return tuple(
        Region(where, top, left, bottom - top, right - left)
        for top, bottom in pairwise(tops)
        for left, right in pairwise(lefts)
    )


def label_map(image: Grey, n: int) -> LabelMap:
    """Find at most `n` superpixels of an (H, W) uint8 slice, as its window shows it.

    The integer map holds the number of each pixel's superpixel, from 1. There are fewer than `n`
    where the slice shows little. The same arguments give the same map.

    References
    ----------
    Achanta et al. 2012, SLIC superpixels compared to state-of-the-art superpixel methods, as
    scikit-image computes them.
    """
    from skimage.segmentation import slic

    for wanted in range(n, 0, -1):
        labels: LabelMap = slic(
            image, n_segments=wanted, compactness=COMPACTNESS, sigma=SMOOTH_PX, channel_axis=None,
            start_label=1,
        )  # fmt: skip
        if labels.max() <= n:  # SLIC may make more than it is asked for
            break
    return labels


def shapes(where: SliceId, labels: LabelMap) -> tuple[Region, ...]:
    """Turn the label map of a slice into regions with masks."""
    from scipy.ndimage import find_objects

    return tuple(
        Region(
            where, rows.start, cols.start, rows.stop - rows.start, cols.stop - cols.start,
            mask=labels[rows, cols] == label,
        )
        for label, box in enumerate(find_objects(labels), 1) if box is not None
        for rows, cols in [box]
    )  # fmt: skip


def _are_labels(labels: LabelMap, n: int) -> bool:
    """Tell whether a map that was kept can be one of at most `n` superpixels."""
    return labels.dtype.kind == "u" and bool(labels.max() <= n)


def superpixels(dataset: Dataset, n: int) -> Tiling:
    """Return the tiling by at most `n` superpixels a slice, found when one is first asked for."""
    follows_from = [
        FORMAT, dataset.fingerprint, n, COMPACTNESS, SMOOTH_PX, version("scikit-image"),
    ]  # fmt: skip
    folder = dataset.folder / SUPERPIXELS / short_hash(follows_from)

    @lru_cache(maxsize=_KEPT)
    def regions(where: SliceId) -> tuple[Region, ...]:
        scan = hashlib.sha256(where.scan.encode()).hexdigest()[:12]  # it may be no file's name
        path = folder / f"{scan}-{where.z}.npz"
        labels: LabelMap = read_arrays(path).get("labels", np.empty(0, np.uint8))
        if labels.shape != (dataset.size, dataset.size) or not _are_labels(labels, n):
            labels = label_map(dataset.image(where), n)
            small = labels.astype(np.min_scalar_type(int(labels.max())))
            with contextlib.suppress(OSError), replacing(path) as partial:
                np.savez_compressed(partial, labels=small)
        return shapes(where, labels)

    return regions
