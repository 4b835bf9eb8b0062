"""What a slice shows before there is a network: the lungs, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alnb.arrays import Mask
from alnb.regions.region import Region

FLAT = 2  # ours: levels; a picture's padding after resampling
AIR_HU = -950  # below it even lung counts as emphysema (Gevenois et al. 1996)
AIR_SHARE = 0.99  # ours: of a region's pixels; leaves room for noise
LUNG_SHARE = 0.2  # ours: of a region's pixels; with 0.1 many questions are mostly chest wall
AERATED_SHARE = 0.5  # ours: so that a person sees mostly lung, not heart, liver or back
# All below: ours, by what they leave out of the masks and of the body in MedSeg's and COVID-19-B's
# train slices, in three volumes in HU and in the phantom (`python -m tests.benchmarks lungs`).
COARSE_PX = 128  # sides of the picture that is searched: four times faster, and the same regions
DARK_HU = -200  # between ground-glass and fat
DARK = 0.75  # of the way from what is dark in a grey picture to tissue, for the same
AIR_DEPTH = 0.2  # of the way from the darkest grey to tissue; air lies below, aerated lung above
AROUND = 0.7  # of grey pixels are air in the air around a body: tables and clothes lie in it
CROPPED = 0.05  # of the picture; with less air around the body, the picture was cut to the lungs
TABLE = 0.01  # of the picture's longer side; the half thickness of a table's shells
PART = 0.1  # of the largest part's area; smaller ones are arms and tables
SCRAP = 0.003  # of the body; smaller dark spots are fat or gas
AIRWAY = 0.02  # of the body; the largest trachea, or gas in the bowel
ALONG_SKIN = 0.2  # of a dark piece's edge; lung has the chest wall between itself and the skin
WHITE = 0.25  # of the other lung's area; a lung with less air lies where its mirror image does
WALL = 10  # percentile of the aerated lungs' depth below the skin: the chest wall where it is thin
SPINE = 0.08  # of the body's width, on either side of its middle


def find_lungs(values: NDArray[np.integer[Any]], *, hu: bool, aerated: bool = False) -> Mask:
    """Find both lungs in a slice before there is a network, aerated or not.

    The body is the convex hull of the largest parts that are as dense as tissue; table and arms
    are thin or small. Dark pieces inside it are aerated lung, but for airways, and for air
    between the body and its hull. Each lung is the convex hull of its aerated pieces, and what
    lies below them down to the chest wall, since consolidation sinks to the back. A lung with no
    air is where the other one's mirror image is.

    Parameters
    ----------
    values : (H, W) integer array
        HU, or grey levels in any window; row 0 is the patient's front.
    hu : bool
        Whether the values are HU.
    aerated : bool
        Whether to find only the dark pieces.

    Returns
    -------
    (H, W) bool array
        True in the lungs. Unless only aerated lung is asked for, it takes in parts of heart, liver
        and back: no infection may be lost.

    References
    ----------
    Otsu 1979, A threshold selection method from gray-level histograms.
    """
    found: Mask = np.zeros(values.shape, dtype=bool)
    picture = _without_padding(values)
    if min(values[picture].shape) < 8:
        return found
    step = -(-max(values[picture].shape) // COARSE_PX)
    coarse = _coarse(values[picture], step)
    dark, air = _dark(coarse, hu=hu)
    around = _air_around(dark, air, share=0.5 if hu else AROUND)
    body = _body(dark) if around.mean() >= CROPPED else np.ones_like(dark)
    lungs = _aerated(dark & body & ~around, air, body)
    if not aerated:
        lungs = _filled(lungs, body)
    fine = lungs.repeat(step, axis=0).repeat(step, axis=1)
    height, width = found[picture].shape
    found[picture] = fine[:height, :width]
    return found


def _without_padding(values: NDArray[Any]) -> tuple[slice, slice]:
    """Index the picture without outer rows and columns of one value; nothing may be left."""

    def span(axis: int) -> slice:
        varied = np.flatnonzero(np.ptp(values, axis=axis) > FLAT)
        return slice(int(varied[0]), int(varied[-1]) + 1) if len(varied) else slice(0)

    return span(1), span(0)


def _coarse(values: NDArray[Any], step: int) -> NDArray[np.float32]:
    """Average blocks of `step` pixels a side; the last ones repeat the picture's edge."""
    height, width = values.shape
    padded = np.pad(values, [(0, -height % step), (0, -width % step)], mode="edge")
    blocks = padded.reshape(padded.shape[0] // step, step, padded.shape[1] // step, step)
    means: NDArray[np.float32] = blocks.mean(axis=(1, 3), dtype=np.float32)
    return means


def _dark(values: NDArray[np.float32], *, hu: bool) -> tuple[Mask, Mask]:
    """Tell what is darker than tissue, ground-glass included, and what is air."""
    from skimage.filters import threshold_otsu

    if hu:
        return values < DARK_HU, values < AIR_HU
    middle = threshold_otsu(values)
    low, high = np.median(values[values <= middle]), np.median(values[values > middle])
    darkest = np.percentile(values, 1)
    return (
        values <= low + DARK * (high - low),
        values <= darkest + AIR_DEPTH * (middle - darkest),
    )


def _air_around(dark: Mask, air: Mask, share: float) -> Mask:
    """Find dark pieces that reach a corner and are air; lung may reach an edge, cut by it."""
    from skimage.measure import label

    pieces = label(dark, connectivity=1)
    corners = np.unique(pieces[np.ix_([0, -1], [0, -1])])
    around = [n for n in corners[corners > 0].tolist() if air[pieces == n].mean() > share]
    found: Mask = np.isin(pieces, around)
    return found


def _body(dark: Mask) -> Mask:
    from scipy import ndimage
    from skimage.measure import label
    from skimage.morphology import convex_hull_image, isotropic_opening

    parts = label(isotropic_opening(~dark, max(1.0, TABLE * max(dark.shape))), connectivity=1)
    areas = np.array(
        [
            ndimage.binary_fill_holes(parts[box] == n).sum()
            for n, box in enumerate(ndimage.find_objects(parts), 1)
        ]
    )
    if len(areas) == 0:
        return np.ones_like(dark)
    large = 1 + np.flatnonzero(areas >= PART * areas.max())
    body: Mask = convex_hull_image(np.isin(parts, large))
    return body


def _aerated(dark: Mask, air: Mask, body: Mask) -> Mask:
    from scipy import ndimage
    from skimage.measure import label

    skin = body & ~ndimage.binary_erosion(body, border_value=1)  # not along the picture's edge
    pieces = label(dark, connectivity=1)
    lungs = np.zeros_like(dark)
    for n, box in enumerate(ndimage.find_objects(pieces), 1):
        piece = pieces[box] == n
        share = piece.sum() / body.sum()
        outline = piece & ~ndimage.binary_erosion(piece)
        outside = (piece & skin[box]).sum() > ALONG_SKIN * outline.sum()
        airway = share < AIRWAY and air[box][piece].mean() > 0.5
        if share >= SCRAP and not outside and not airway:
            lungs[box] |= piece
    return lungs


def _filled(aerated: Mask, body: Mask) -> Mask:
    """Complete each lung: its convex hull, and what lies below down to the chest wall."""
    from scipy import ndimage

    if not aerated.any():
        return aerated
    columns = np.flatnonzero(body.any(axis=0))
    width = columns[-1] + 1 - columns[0]
    middle = _middle(aerated, columns)
    beside = np.abs(np.arange(body.shape[1]) - middle) > SPINE * width
    depth = ndimage.distance_transform_edt(np.pad(body, 1))[1:-1, 1:-1]
    outline = aerated & ~ndimage.binary_erosion(aerated)
    inside = depth >= np.percentile(depth[outline], WALL)
    lungs = aerated.copy()
    for lung in _halves(aerated, middle):
        hull = _hull(lung) & body
        below = np.logical_or.accumulate(hull, axis=0)
        lungs |= hull | (below & inside & beside)
    return lungs


def _middle(aerated: Mask, columns: NDArray[np.intp]) -> int:
    """Find the column between the lungs: the one with the least air near the body's middle."""
    near = columns[int(0.4 * len(columns)) : int(0.6 * len(columns)) + 1]
    off = np.abs(near - (columns[0] + columns[-1]) / 2)
    return int(near[np.lexsort([off, aerated[:, near].sum(axis=0)])[0]])


def _halves(aerated: Mask, middle: int) -> list[Mask]:
    """Part the lungs, and put the mirror image of one where the other has hardly any air."""
    left, right = aerated.copy(), aerated.copy()
    left[:, middle:] = right[:, :middle] = False
    halves = [left, right]
    for lung, other in ((left, right.copy()), (right, left.copy())):
        if lung.sum() < WHITE * other.sum():
            rows, columns = np.nonzero(other)
            across = 2 * middle - 1 - columns
            held = (across >= 0) & (across < aerated.shape[1])
            lung[rows[held], across[held]] = True
    return halves


def _hull(lung: Mask) -> Mask:
    """Find the convex hull of a lung's larger pieces."""
    from skimage.measure import label
    from skimage.morphology import convex_hull_image

    pieces = label(lung)
    areas = np.bincount(pieces.ravel())[1:]
    if len(areas) == 0:
        return lung
    large = 1 + np.flatnonzero(areas >= PART * areas.max())
    hull: Mask = convex_hull_image(np.isin(pieces, large))
    return hull


def in_lungs(
    values: NDArray[np.integer[Any]], regions: Sequence[Region], *, hu: bool, aerated: bool = False
) -> Mask:
    """Tell which of a slice's K regions hold some lung, or are mostly aerated lung: (K,) bool.

    They do where `find_lungs` finds at least `LUNG_SHARE` of the region's pixels, and they are
    where it finds at least `AERATED_SHARE`.

    Parameters
    ----------
    values, hu, aerated
        As for `find_lungs`.
    regions : sequence of K Region
        Of that slice.
    """
    lungs = find_lungs(values, hu=hu, aerated=aerated)
    least = AERATED_SHARE if aerated else LUNG_SHARE
    return np.array([region.pixels(lungs).mean() >= least for region in regions], dtype=bool)


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
