"""Synthetic chest CT in HU with COVID-like lesions: the data that alnb carries inside.

Nothing here is anyone's scan. A patient is drawn from a seed: a body, a rib cage, a diaphragm and
the organs of the mediastinum are distances to smooth surfaces; vessels and airways grow as trees
into the lungs; lesions are blobs with noisy borders at the back and the rim of the lungs. All
lengths are in mm, x runs to the patient's left, y to the back, z to the head, and u = z / height
is 0 at the lowest slice and 1 at the apex, so that every size shows the same patient.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from alnb.errors import ConfigError
from alnb.phantom.anatomy import Chest
from alnb.phantom.picture import CONSOLIDATION, GROUND_GLASS, Picture, Scene
from alnb.volumes import Volume

__all__ = ["CONSOLIDATION", "GROUND_GLASS", "PREFIX", "draw_scan", "phantom"]

PREFIX = "phantom_"  # of its scans' names

GOLDEN = (5**0.5 - 1) / 2


def phantom(
    scans: int = 6, slices: int = 20, size: int = 352, seed: int = 0
) -> Iterator[tuple[Volume, NDArray[np.uint8]]]:
    """Make scans with their lesions, one at a time.

    A scan depends on the seed and its number alone: more scans don't change the earlier ones.
    Over the default scans about 45 % of the slices and 2 % of the pixels are infected.

    Parameters
    ----------
    scans, slices, size : int
        How many scans, slices of each, and pixels on a side of each.
    seed : int
        Another seed, other patients.

    Yields
    ------
    volume : Volume
        In HU, named phantom_01, phantom_02, …
    labels : (slices, size, size) uint8 array
        0 background, 1 ground-glass, 2 consolidation.

    Raises
    ------
    ConfigError
        If a number is out of its range.
    """
    for name, value, least in (("scans", scans, 1), ("slices", slices, 1), ("size", size, 32)):
        if value < least:
            raise ConfigError(f"phantom: {name} is {value}; it must be at least {least}.")
    if seed < 0:
        raise ConfigError(f"phantom: seed is {seed}; it can't be negative.")
    return _scans(scans, slices, size, seed)


def _scans(
    scans: int, slices: int, size: int, seed: int
) -> Iterator[tuple[Volume, NDArray[np.uint8]]]:
    first = np.random.default_rng(seed).uniform()
    for number in range(1, scans + 1):
        severity = (first + GOLDEN * number) % 1  # spread evenly, however many scans
        rng = np.random.default_rng([seed, number])
        voxels, labels, (px, gap) = draw_scan(rng, slices, size, severity)
        name = f"{PREFIX}{number:02d}"
        yield Volume.made(name, voxels, unit="hu", spacing_mm=(gap, px, px)), labels


def draw_scan(
    rng: np.random.Generator, slices: int, size: int, severity: float
) -> tuple[NDArray[np.int16], NDArray[np.uint8], tuple[float, float]]:
    """Draw one scan.

    Parameters
    ----------
    rng : numpy.random.Generator
        The only source of chance.
    slices, size : int
        How many slices, from below the domes to the apex, and their side in pixels.
    severity : float
        From 0, mild, to 1, severe.

    Returns
    -------
    voxels_hu : (slices, size, size) int16 array
        HU in [-1024, 3071]; row 0 is anterior, column 0 the patient's right, slice 0 lowest.
    labels : (slices, size, size) uint8 array
        0 background, 1 ground-glass, 2 consolidation.
    spacing_mm : (float, float)
        Between pixels, and between slices.
    """
    chest = Chest(rng, slices, size)
    scene = Scene(rng, chest, severity)
    voxels = np.empty((slices, size, size), np.int16)
    labels = np.empty((slices, size, size), np.uint8)
    for index in range(slices):
        picture = Picture(scene, index)
        voxels[index], labels[index] = picture.scan(rng), picture.labels
    return voxels, labels, (chest.px, chest.gap)
