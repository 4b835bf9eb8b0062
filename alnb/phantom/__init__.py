"""Synthetic chest CT in HU with COVID-like lesions: the data that alnb carries inside.

No scan of a person is in it. A patient is drawn from a seed: a body, a rib cage, a diaphragm and
the organs of the mediastinum are distances to smooth surfaces; vessels and airways grow as trees
into the lungs; lesions are blobs with noisy borders at the back and the rim of the lungs. All
lengths are in mm. x runs to the patient's left, y to the back, z to the head. The height u is
z / height, 0 at the lowest slice and 1 at the apex, so that every size shows the same patient.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from alnb.errors import ConfigError
from alnb.phantom.anatomy import Chest
from alnb.phantom.picture import CONSOLIDATION, GROUND_GLASS, Picture, Scene
from alnb.volumes import Volume

__all__ = ["CONSOLIDATION", "GROUND_GLASS", "PREFIX", "phantom"]

PREFIX = "phantom_"  # of its scans' names
MOST_SCANS, MOST_SLICES = 200, 1000  # ours: 4,000 slices by default, more than COVID-19-B has
MOST_PX = 1024  # ours: finer than most scanners, and drawn within 1 GB
GOLDEN = (5**0.5 - 1) / 2


def phantom(
    scans: int = 6, slices: int = 20, size: int = 352, seed: int = 0
) -> Iterator[tuple[Volume, NDArray[np.uint8]]]:
    """Make scans with their lesions, one at a time.

    A scan depends only on the seed and its number: more scans don't change the earlier ones.
    In the default scans about 45 % of the slices and 2 % of the pixels are infected.

    Parameters
    ----------
    scans, slices, size : int
        How many scans, slices of each scan, and pixels on a slice's side.
    seed : int
        Another seed gives other patients.

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
    limits = (
        ("scans", scans, 1, MOST_SCANS),
        ("slices", slices, 1, MOST_SLICES),
        ("size", size, 32, MOST_PX),
    )
    for name, value, least, most in limits:
        if not least <= value <= most:
            raise ConfigError(f"phantom: {name} is {value}; it must be from {least} to {most}.")
    if seed < 0:
        raise ConfigError(f"phantom: seed is {seed}; it can't be negative.")
    return _scans(scans, slices, size, seed)


def _scans(
    scans: int, slices: int, size: int, seed: int
) -> Iterator[tuple[Volume, NDArray[np.uint8]]]:
    first = np.random.default_rng(seed).uniform()
    for number in range(1, scans + 1):
        severity = (first + GOLDEN * number) % 1  # spread evenly over any number of scans
        rng = np.random.default_rng([seed, number])
        chest = Chest(rng, slices, size)
        scene = Scene(rng, chest, severity)
        voxels = np.empty((slices, size, size), np.int16)
        labels = np.empty((slices, size, size), np.uint8)
        for index in range(slices):
            picture = Picture(scene, index)
            voxels[index], labels[index] = picture.scan(rng), picture.labels
        name, spacing_mm = f"{PREFIX}{number:02d}", (chest.gap, chest.px, chest.px)
        yield Volume.made(name, voxels, unit="hu", spacing_mm=spacing_mm), labels
