"""What a region shows, before there is a network: lung, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alnb.arrays import Grey, Mask
from alnb.regions.region import Region

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
        True where its rectangle is all of one value, give or take `FLAT`, or, in HU, where nearly
        all of its pixels are below `AIR_HU`. Ground-glass and consolidation can't be there. (A
        shape inside its rectangle may be of one value because it follows what a window clips.)
    """

    def shows_nothing(region: Region) -> bool:
        around = values[region.window]
        flat = int(around.max()) - int(around.min()) <= FLAT
        return flat or (hu and float((region.pixels(values) < AIR_HU).mean()) >= AIR_SHARE)

    return np.array([shows_nothing(region) for region in regions], dtype=bool)
