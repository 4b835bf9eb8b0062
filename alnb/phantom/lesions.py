"""Where a scan is ill."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alnb.phantom.chest import COARSE, Chest
from alnb.phantom.surfaces import Field, field

CLUMPS = ((12, 1.2), (32, 0.8), (16, 0.8), (9, 1.0))  # of lesions: (nodes, slices they hold)


@dataclass(frozen=True, slots=True)
class Lesions:
    """Where a scan is ill: (Z, n, n) fields on the coarse grid, above 0 within a lesion."""

    glass: Field
    solid: Field
    density: Field  # unit variance, shifts the lesion's HU

    @classmethod
    def draw(cls, rng: np.random.Generator, chest: Chest, severity: float) -> Lesions:
        """Draw lesions in a band of slices, at the back and the rim of the lungs first.

        Parameters
        ----------
        rng : numpy.random.Generator
            The source of chance.
        chest : Chest
            The patient.
        severity : float
            From 0, mild, to 1: sets the share of slices (0.22 to 0.68) and of pixels (0.4 % to
            4 %) that are infected, and the share of lesions that are solid.
        """
        on = chest.surfaces
        slices = len(chest.heights)
        noise = [field(rng, slices, nodes, along, COARSE) for nodes, along in CLUMPS]
        rim = 1.5 * np.exp(np.minimum(on.inner, 0) / 13)
        dependent = chest.at[:, None] / 80 + rng.uniform(-0.6, 0.6) * np.tanh(chest.at / 20)
        glass = 1.2 * noise[0] + 0.45 * noise[1] + rim + dependent
        lung = on.lung < -0.5
        share = cls._share(rng, chest, severity) * (COARSE * COARSE)
        for level, where, pixels in zip(glass, lung, np.rint(share).astype(int), strict=True):
            inside = np.sort(level[where])
            count = min(pixels, len(inside) // 2)
            level -= inside[-count] if count else 99.0
        solid = noise[2] + 0.5 * np.clip(glass, 0, 2)
        ill = solid[(glass > 0) & lung]
        solid -= np.quantile(ill, 1 - 0.08 - 0.22 * severity) if ill.size else 99.0
        return cls(glass, np.minimum(solid, 3 * glass), noise[3])

    @staticmethod
    def _share(rng: np.random.Generator, chest: Chest, severity: float) -> Field:
        """Share of each slice that is infected: a bump over a band, 0 elsewhere."""
        slices = len(chest.heights)
        lung = (chest.surfaces.lung < -1.5).mean(axis=(1, 2))
        room = np.flatnonzero(lung > 0.03)
        length = int(np.clip(round((0.22 + 0.46 * severity) * slices), 1, max(slices - 1, 1)))
        spare = max(len(room) - length, 0)
        first = room[0] + round(spare * rng.beta(1.3, 2.2)) if len(room) else 0
        band = np.arange(first, min(first + length, slices))
        bump = np.zeros(slices)
        bump[band] = 0.25 + np.sin((np.arange(len(band)) + 0.5) / len(band) * np.pi)
        bump *= np.minimum(lung / 0.15, 1)
        return np.asarray((0.004 + 0.036 * severity**1.3) * slices * bump / max(bump.sum(), 1e-6))
