"""Smooth surfaces as signed distances in mm, negative inside, and grids to hold them."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

Field: TypeAlias = NDArray[np.floating[Any]]


def spline(nodes: int, size: int) -> Any:  # noqa: ANN401 - scipy ships no types
    """Weights, sparse (size, nodes), of the cubic B-spline that spreads nodes over pixels."""
    at = (np.arange(size) + 0.5) / size * nodes - 0.5
    base = np.floor(at).astype(int)
    f = at - base
    parts = np.stack(
        [(1 - f) ** 3, 3 * f**3 - 6 * f**2 + 4, -3 * f**3 + 3 * f**2 + 3 * f + 1, f**3]
    )
    cols = np.clip(base + np.arange(-1, 3)[:, None], 0, nodes - 1)
    rows = np.broadcast_to(np.arange(size), cols.shape)
    entries = ((parts / 6).astype(np.float32).ravel(), (rows.ravel(), cols.ravel()))
    return sparse.coo_array(entries, shape=(size, nodes)).tocsr()


def spread(weights: Any, coarse: Field) -> Field:  # noqa: ANN401 - as `spline`
    """Spread a coarse square over pixels, both ways."""
    fine: Field = np.ascontiguousarray((weights @ (weights @ coarse).T).T)
    return fine


def field(
    rng: np.random.Generator, slices: int, nodes: int, along: float, over: int | None = None
) -> Field:
    """Draw smooth noise of unit variance, about.

    Parameters
    ----------
    rng : numpy.random.Generator
        The source of chance.
    slices, nodes : int
        Slices, and independent values along each axis of a slice.
    along : float
        How many slices a value holds over.
    over : int or None
        Spread each slice over this many nodes along each axis.

    Returns
    -------
    (slices, nodes, nodes) or (slices, over, over) float32 array
    """
    pad = 6
    raw = rng.standard_normal((slices + 2 * pad, nodes, nodes), dtype=np.float32)
    raw = ndimage.gaussian_filter1d(raw, along, axis=0)[pad : pad + slices]
    raw *= np.sqrt(2 * along * np.sqrt(np.pi))
    if over is None:
        return np.asarray(raw)
    weights = spline(nodes, over)
    return np.stack([spread(weights, level) for level in raw])


def smooth_min(distances: list[Field], k: float) -> Field:
    """Join surfaces, rounding the seams over about k mm."""
    lowest = np.minimum.reduce(distances)
    total = sum(np.exp((lowest - d) / k) for d in distances)
    return np.asarray(lowest - k * np.log(total))


def cover(distance: Field, soft: Field | float) -> Field:
    """Share of a pixel inside a surface: 1 deep within, 0 outside, linear across `soft` mm."""
    return np.asarray(np.clip(0.5 - distance / soft, 0, 1))


def extent(distance: Field, soft: float) -> tuple[slice, slice]:
    """Box around the pixels that a surface covers in part at least."""
    touched = distance < soft / 2
    rows, cols = (np.flatnonzero(touched.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return slice(0), slice(0)
    return slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1)


def oval(x: Field, y: Field, half: tuple[float, float], power: float, pitch: float) -> Field:
    """Signed distance in mm, about, of each pixel to a superellipse around the origin, (H, W)."""
    f = (np.abs(x / half[0]) ** power + np.abs(y / half[1]) ** power) ** (1 / power)
    slope = np.hypot(*np.gradient(f, pitch))
    return np.asarray((f - 1) / np.maximum(slope, 0.3 / max(half)))


def tube(x: Field, y: Field, z: float, ends: Field, slab: float = 0.0) -> Field:
    """Distance in mm, (H, W), at height z to a cone of (x, y, z, radius) ends, in a slab."""
    (px, py, pz, pr), (qx, qy, qz, qr) = ends.tolist()  # plain floats are faster than numpy's
    dx, dy, dz = qx - px, qy - py, qz - pz
    square = max(dx * dx + dy * dy + dz * dz, 1e-6)
    x, y = x - px, y - py
    t = x * (dx / square) + y * (dy / square) + (z - pz) * dz / square
    np.minimum(np.maximum(t, 0, out=t), 1, out=t)
    off = np.maximum(np.abs(t * dz + (pz - z)) - slab, 0)
    x -= t * dx
    y -= t * dy
    return np.asarray(np.sqrt(x * x + y * y + off * off) - (pr + t * (qr - pr)))
