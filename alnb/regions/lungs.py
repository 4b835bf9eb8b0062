"""What a region shows before there is a network: lung, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alnb.arrays import Grey, Mask
from alnb.regions.region import Region

FLAT = 2  # ours: levels; a picture's padding after resampling
AIR_HU = -950  # below it even lung counts as emphysema (Gevenois et al. 1996)
AIR_SHARE = 0.99  # ours: of a region's pixels; leaves room for noise
AIR_DEPTH = 0.2  # ours: of the way from the darkest to tissue; air lies below, aerated lung above
LUNG_SHARE = 0.1  # ours: of a region's pixels; takes in those that lungs only reach into


def lung_like(image: Grey) -> Mask:
    """Find what looks like aerated lung before there is a network, whatever the window.

    Lung is darker than tissue, by Otsu's threshold. Air around the body is left out: it reaches
    the picture's edge and is about the darkest. Lung may reach the edge too, in pictures that
    were cropped to it.

    Returns
    -------
    (H, W) bool array
        True in lungs, airways and other gas inside the body.

    References
    ----------
    Otsu 1979, A threshold selection method from gray-level histograms.
    """
    from skimage.filters import threshold_otsu
    from skimage.measure import label

    found: Mask = np.zeros(image.shape, dtype=bool)
    picture = _without_padding(image)
    shown = image[picture]
    if shown.size == 0:
        return found
    tissue = threshold_otsu(shown)
    pieces = label(shown <= tissue, connectivity=1)
    darkest = np.percentile(shown, 1)
    air = darkest + AIR_DEPTH * (tissue - darkest)
    edge = np.unique(np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]]))
    around = [n for n in edge[edge > 0].tolist() if np.median(shown[pieces == n]) <= air]
    found[picture] = (pieces > 0) & ~np.isin(pieces, around)
    return found


def _without_padding(image: Grey) -> tuple[slice, slice]:
    """Index the picture without outer rows and columns of one value; nothing may be left."""

    def span(axis: int) -> slice:
        varied = np.flatnonzero(np.ptp(image, axis=axis) > FLAT)
        return slice(int(varied[0]), int(varied[-1]) + 1) if len(varied) else slice(0)

    return span(1), span(0)


def in_lungs(image: Grey, regions: Sequence[Region]) -> Mask:
    """Tell which of a slice's K regions hold some lung: (K,) bool.

    They do where at least `LUNG_SHARE` of the region's pixels are `lung_like`.
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
        True where its rectangle has one value, give or take `FLAT`, or, in HU, where nearly all
        of its pixels are below `AIR_HU`. Ground-glass and consolidation can't be there. (The
        rectangle counts, because a shape may follow the edge of what a window clips.)
    """

    def shows_nothing(region: Region) -> bool:
        around = values[region.window]
        flat = int(around.max()) - int(around.min()) <= FLAT
        return flat or (hu and float((region.pixels(values) < AIR_HU).mean()) >= AIR_SHARE)

    return np.array([shows_nothing(region) for region in regions], dtype=bool)
