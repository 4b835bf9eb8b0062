"""Outlines: polygons around infection, drawn as a careful annotator would, and filled again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from alnb.arrays import Mask

Vertex = tuple[float, float]
Outline = tuple[Vertex, ...]

STRAIGHT_PX = 1e-6  # ours: rounding; vertices this near to a straight line are not needed
CARE = 0.9  # ours: IoU that a polygon must reach; 1 px would take half of a part of 10 pixels


def trace(mask: Mask, tolerance_px: float) -> tuple[Outline, ...]:
    """Outline each connected infected part of a mask, and each hole in one.

    Parts that touch at corners alone are outlined apart. The tolerance drops vertices that lie
    near to the line between their neighbours (Douglas, Peucker 1973); it is halved for a part
    of which the polygon would lose more than `CARE` allows, as small and thin ones do. A hole
    so small that nothing would be left of it is passed over: nobody sets points around a speck.

    Parameters
    ----------
    mask : (H, W) bool array
        Infected pixels.
    tolerance_px : float
        How far from the exact outline a polygon may run, in pixels, ≥ 0.

    Returns
    -------
    tuple of Outline
        (row, col) vertices, at least 3 each, in [-0.5, H - 0.5] and [-0.5, W - 0.5]. At
        tolerance 0 `fill` makes the mask again, pixel for pixel.
    """
    from skimage.measure import find_contours

    contours = find_contours(np.pad(mask, 1).astype(np.float64), 0.5)
    rings = (_simplified(contour - 1, tolerance_px) for contour in contours)
    return tuple(_outline(ring) for ring in rings if len(ring))


def _outline(ring: NDArray[np.float64]) -> Outline:
    return tuple((float(row), float(col)) for row, col in ring)


def _simplified(ring: NDArray[np.float64], tolerance_px: float) -> NDArray[np.float64]:
    """Drop vertices of a closed ring; none are left of a hole that is not worth a polygon."""
    from skimage.measure import approximate_polygon

    ring = _begun_at_a_corner(ring)
    coarse: NDArray[np.float64] = approximate_polygon(ring, max(tolerance_px, STRAIGHT_PX))[:-1]
    if len(coarse) < 3 and _area(ring) > 0:
        return coarse[:0]
    while not _careful(coarse, ring) and tolerance_px > STRAIGHT_PX:
        tolerance_px = tolerance_px / 2 if tolerance_px > 0.1 else 0.0  # pixels have no finer
        coarse = approximate_polygon(ring, max(tolerance_px, STRAIGHT_PX))[:-1]
    return coarse


def _begun_at_a_corner(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """Begin a closed ring where it is farthest from its centre: the first vertex always stays."""
    vertices = ring[:-1]
    begin = int(np.argmax(((vertices - vertices.mean(axis=0)) ** 2).sum(axis=1)))
    vertices = np.roll(vertices, -begin, axis=0)
    return np.concatenate([vertices, vertices[:1]])


def _area(ring: NDArray[np.float64]) -> float:
    """Find a closed ring's signed area: as scikit-image turns, above 0 around a hole."""
    (row, col), (next_row, next_col) = ring[:-1].T, ring[1:].T
    return float(row @ next_col - next_row @ col) / 2


def _careful(polygon: NDArray[np.float64], ring: NDArray[np.float64]) -> bool:
    """Tell whether a polygon is one and holds what its ring holds, as `CARE` asks."""
    if len(polygon) < 3:
        return False
    low = np.floor(ring.min(axis=0))
    height, width = (np.ceil(ring.max(axis=0)) - low).astype(int) + 1
    drawn = fill([_outline(polygon - low)], (height, width))
    exact = fill([_outline(ring[:-1] - low)], (height, width))
    return bool((drawn & exact).sum() >= CARE * (drawn | exact).sum())


def fill(outlines: Iterable[Sequence[Vertex]], shape: tuple[int, int]) -> Mask:
    """Fill outlines: a pixel is inside if an odd number of them holds its centre.

    An outline within another so cuts a hole, and one within the hole is infected again. A centre
    on an outline is held by it.

    Parameters
    ----------
    outlines : iterable of Outline
        (row, col) vertices; integers are pixel centres.
    shape : (H, W)
        In pixels.

    Returns
    -------
    (H, W) bool array
    """
    from skimage.draw import polygon2mask

    inside: Mask = np.zeros(shape, dtype=bool)
    for outline in outlines:
        inside ^= polygon2mask(shape, outline)
    return inside


def hull(vertices: Iterable[Vertex]) -> Outline:
    """Find the convex hull, exactly: no vertex lies between two others on a line.

    Parameters
    ----------
    vertices : iterable of Vertex

    Returns
    -------
    Outline
        Its corners, in order around it; of points on a line their ends.

    References
    ----------
    Andrew 1979, Another efficient algorithm for convex hulls in two dimensions.
    """
    ordered = sorted(set(vertices))
    if len(ordered) < 3:
        return tuple(ordered)
    return (*_chain(ordered), *_chain(ordered[::-1]))


def _chain(ordered: Sequence[Vertex]) -> list[Vertex]:
    """Walk along one side of the hull, without its last corner."""
    side: list[Vertex] = []
    for vertex in ordered:
        while len(side) > 1 and _turn(side[-2], side[-1], vertex) <= 0:
            side.pop()
        side.append(vertex)
    return side[:-1]


def _turn(a: Vertex, b: Vertex, c: Vertex) -> float:
    """Tell which way a → b → c turns; exact for vertices on the grid of half pixels."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
