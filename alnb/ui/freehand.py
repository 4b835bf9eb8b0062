"""Lines drawn by hand, made outlines: polygons with as few points as their shape needs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from alnb.outlines import Outline, Vertex
from alnb.regions import Region

DIGITS = 2  # of a point's position, in pixels: finer than any hand


def outline_of(points: Sequence[Vertex], region: Region, tolerance_px: float) -> Outline:
    """Close a line drawn by hand, and drop the points that its shape does not need.

    Parameters
    ----------
    points : sequence of (row, col)
        As they were drawn.
    region : Region
        What lies outside its rectangle is drawn in to its edge.
    tolerance_px : float
        How far from the line the outline may run (Douglas, Peucker 1973), > 0.

    Returns
    -------
    Outline
        Empty if the line encloses nothing.
    """
    from skimage.measure import approximate_polygon

    low = np.array((region.row, region.col)) - 0.5
    high = low + np.array((region.height, region.width))
    ring = np.clip(np.array([*points, points[0]], dtype=np.float64), low, high)
    kept = approximate_polygon(ring, tolerance_px)[:-1].round(DIGITS)
    outline = tuple((float(row), float(col)) for row, col in kept)
    return outline if len(set(outline)) >= 3 and _enclosed(kept) >= 1 else ()


def _enclosed(ring: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    """Find the area in a closed ring, in pixels."""
    following = np.roll(ring, -1, axis=0)
    return abs(float(ring[:, 0] @ following[:, 1] - following[:, 0] @ ring[:, 1])) / 2
