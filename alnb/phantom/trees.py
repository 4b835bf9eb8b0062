"""Vessels grown into the lungs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from alnb.phantom.chest import Chest
from alnb.phantom.surfaces import Field


def tree(
    rng: np.random.Generator, chest: Chest, root: tuple[float, float, float], leaves: int
) -> Field:
    """Grow vessels from a root at (x, y, u) into the lung of its side: (N, 2, 4).

    Each new leaf joins where wire and path from the root are shortest together (Cuntz et al.
    2010, PLoS Comput Biol 6:e1000877); radii follow Murray's law.
    """
    who = chest.who
    start = np.array([root[0] * who.scale, root[1] * who.scale, root[2] * who.height])
    points = _inside(rng, chest, np.sign(root[0]), leaves)
    points = points[np.argsort(np.linalg.norm(points - start, axis=1))]
    nodes = np.concatenate([start[None], points])
    path, parent = np.zeros(len(nodes)), np.zeros(len(nodes), dtype=int)
    for i in range(1, len(nodes)):
        wire = np.linalg.norm(nodes[:i] - nodes[i], axis=1)
        parent[i] = np.argmin(wire + 0.35 * path[:i])
        path[i] = path[parent[i]] + wire[parent[i]]
    nodes = _straighten(nodes, parent)
    load = np.ones(len(nodes))
    for i in range(len(nodes) - 1, 0, -1):
        load[parent[i]] += load[i]
    radius = np.minimum(0.66 * load**0.37, 6)
    child = np.arange(1, len(nodes))
    ends = np.zeros((len(child), 2, 4), np.float32)
    ends[:, 0, :3], ends[:, 1, :3] = nodes[parent[child]], nodes[child]
    ends[:, 0, 3] = np.minimum(radius[parent[child]], radius[child] * 1.3)
    ends[:, 1, 3] = radius[child] * 0.9
    return ends


def _straighten(nodes: Field, parent: NDArray[np.int64]) -> Field:
    """Pull each fork towards its neighbours, so that vessels bend but don't kink."""
    child = np.arange(1, len(nodes))
    for _ in range(2):
        total, count = nodes[parent], np.ones(len(nodes))
        np.add.at(total, parent[child], nodes[child])
        np.add.at(count, parent[child], 1)
        pulled = 0.4 * nodes + 0.6 * total / count[:, None]
        fork = count > 1
        fork[0] = False
        nodes = np.where(fork[:, None], pulled, nodes)
    return nodes


def _inside(rng: np.random.Generator, chest: Chest, side: float, count: int) -> Field:
    """Draw points (count, 3) in one lung, off its border."""
    at = chest.at
    deep = (chest.surfaces.lung < -4) & (at * side > 0)
    z, row, col = np.unravel_index(np.flatnonzero(deep), deep.shape)
    pick = rng.integers(len(z), size=count)
    jitter = rng.uniform(-0.5, 0.5, (count, 3)) * (chest.pitch, chest.pitch, chest.gap)
    spots = np.stack([at[col[pick]], at[row[pick]], chest.heights[z[pick]]], axis=1)
    return np.asarray(spots + jitter)
