"""The surfaces of one patient at the heights of a scan's slices."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from alnb.phantom.patient import (
    AIRWAYS,
    BODY_FRONT,
    BODY_WIDTH,
    CAGE_BACK,
    CAGE_DEPTH,
    CAGE_WIDTH,
    GULLET,
    HEART,
    VESSELS,
    Patient,
    profile,
)
from alnb.phantom.surfaces import Field, field, oval, smooth_min, spline, spread, tube

COARSE = 100  # nodes of the grid on which surfaces are computed, along each axis
FAR = 60.0  # mm from all of a slice, where a surface's shape no longer matters


@dataclass(frozen=True, slots=True)
class Surfaces:
    """Signed distances in mm, negative inside, on the coarse grid: each (Z, n, n)."""

    body: Field
    flesh: Field  # muscle and what it wraps
    inner: Field  # inside the ribs
    lung: Field
    abdomen: Field
    liver: Field
    spleen: Field
    stomach: Field
    heart: Field
    shift_x: Field
    shift_y: Field


SURFACES = tuple(field.name for field in fields(Surfaces))


class Chest:
    """One patient's surfaces at some heights, and the pixels they are drawn on."""

    def __init__(self, rng: np.random.Generator, slices: int, size: int) -> None:
        self.size = size
        self.who = Patient.draw(rng)
        low, high = (u * self.who.height for u in self.who.span)
        self.gap = (high - low) / slices
        self.heights = low + (np.arange(slices) + 0.5) * self.gap
        self.pitch = self.who.view / COARSE
        self.px = self.who.view / size
        self.weights = spline(COARSE, size)
        self.at = (np.arange(COARSE) + 0.5) * self.pitch - self.who.view / 2
        at = self.at.astype(np.float32)
        self.surfaces = self._surfaces(rng, np.tile(at, (COARSE, 1)), np.tile(at[:, None], COARSE))

    def fine(self, coarse: Field) -> Field:
        """Spread one coarse slice of distances over the pixels: (n, n) to (size, size)."""
        if coarse.min() > FAR or coarse.max() < -FAR:
            return np.full((self.size, self.size), coarse.flat[0], np.float32)
        return spread(self.weights, coarse.astype(np.float32))

    def _surfaces(self, rng: np.random.Generator, x: Field, y: Field) -> Surfaces:
        slices = len(self.heights)
        shifts = [4.5 * field(rng, slices, 7, 3.0, COARSE) for _ in range(2)]
        shifts[0] += self.who.tilt * y
        shifts[1] += (1 / self.who.depth - 1) * y - self.who.tilt * x
        levels = [
            self._level(x + shifts[0][i], y + shifts[1][i], z) for i, z in enumerate(self.heights)
        ]
        stacks = (np.stack(level).astype(np.float32) for level in zip(*levels, strict=True))
        return Surfaces(*stacks, *(s.astype(np.float32) for s in shifts))

    def _level(self, x: Field, y: Field, z: float) -> tuple[Field, ...]:
        """Compute the surfaces at one height, in the order of `Surfaces`."""
        who, u = self.who, z / self.who.height
        s = who.scale
        back, depth, width = (s * profile(p, u) for p in (CAGE_BACK, CAGE_DEPTH, CAGE_WIDTH))
        cage = oval(x, y - (back - depth), (width, depth), 2.35, self.pitch)
        body = self._body(x, y, u)
        organs = who.segments(VESSELS + GULLET + AIRWAYS[:1])
        chambers = who.segments(HEART) * np.array([1, 1, 1, who.heart], np.float32)
        heart = smooth_min([tube(x, y, z, ends) for ends in chambers], 4.0)
        near = [tube(x, y, z, e) - 4.5 for e in organs if self._near(e, z, 30)]
        behind = smooth_min([heart - 4, np.minimum.reduce(near), *self._septum(x, y, u)], 3.0)
        abdomen = self._abdomen(x, y, z)
        lung = -smooth_min([-cage, behind, abdomen], 2.5)
        back_muscle = np.hypot(x / 2, np.minimum(y - s * profile(CAGE_BACK, u) - 4, 0)) - 25
        flesh = smooth_min([body + 2 + self._fat(x, y), cage - 11, back_muscle], 7.0)
        flesh = np.maximum(flesh, body + 4)
        inner = np.maximum(cage, -back_muscle)
        return body, flesh, inner, lung, *self._belly(x, y, cage, abdomen), heart

    def _fat(self, x: Field, y: Field) -> Field:
        chest = np.exp(-(((np.abs(x) - 75) / 45) ** 2)) * np.clip(-y / 60, 0, 1)
        back = np.exp(-((x / 60) ** 2)) * np.clip(y / 60, 0, 1)
        share = 0.75 + self.who.bosom * chest - 0.3 * back + 0.004 * np.abs(x)
        return np.asarray(self.who.fat * share)

    @staticmethod
    def _belly(x: Field, y: Field, cage: Field, abdomen: Field) -> tuple[Field, ...]:
        """Place diaphragm, liver, spleen and stomach under the domes."""
        liver = -smooth_min([-abdomen - 1, -cage - 1, 28 - x - 0.3 * y], 6.0)
        spleen = -smooth_min([-abdomen - 2, -cage - 2, cage + 44, y + 4, x - 26], 5.0)
        stomach = np.hypot(x - 52, (y + 12) / 1.2) - 34
        stomach = -smooth_min([-abdomen - 5, -cage - 5, -stomach, spleen - 3, liver - 4], 5.0)
        return abdomen, liver, spleen, stomach

    @staticmethod
    def _near(ends: Field, z: float, margin: float) -> bool:
        low, high = sorted((ends[0, 2], ends[1, 2]))
        reach = max(ends[0, 3], ends[1, 3]) + margin
        return bool(low - reach <= z <= high + reach)

    def _body(self, x: Field, y: Field, u: float) -> Field:
        who = self.who
        s = who.scale
        front = s * profile(BODY_FRONT, u) + 8 - 0.8 * who.fat
        back = s * profile(CAGE_BACK, u) + 38 + 0.5 * who.fat
        width = s * (profile(CAGE_WIDTH, u) + profile(BODY_WIDTH, u)) + who.wall
        middle = (front + back) / 2
        furrow = 5 * np.exp(-((x / 14) ** 2)) * (y > 0) + 3 * np.exp(-((x / 20) ** 2)) * (y < 0)
        body = oval(x, y - middle, (width, (back - front) / 2), 2.4, self.pitch)
        return np.asarray(body + furrow)

    def _septum(self, x: Field, y: Field, u: float) -> list[Field]:
        """Part the lungs, behind by the spine's bed and before by fat."""
        s = self.who.scale
        spine = s * profile(CAGE_BACK, u) - 24
        front = s * (profile(CAGE_BACK, u) - 2 * profile(CAGE_DEPTH, u))
        bed = np.hypot(x, np.minimum(y - spine, 0)) - 19
        bed = np.minimum(bed, np.hypot(x / 1.5, np.minimum(y - spine - 34, 0)) - 22)
        fat = np.hypot(x - 3, np.maximum(y - front - 50, 0)) - (
            2 + np.maximum(front + 26 - y, 0) / 3
        )
        return [bed, fat]

    def _abdomen(self, x: Field, y: Field, z: float) -> Field:
        who = self.who
        s = who.scale
        heights: list[Field] = []
        for centre, top in zip((-58, 56), who.domes, strict=True):
            dx, dy = (x / s - centre) / 70, (y / s + 8) / 78
            drop = 46 * dx**2 + np.where(dy < 0, 34, 74) * dy**2
            heights.append(top * who.height - drop)
        heights.append(min(who.domes) * who.height - 14 - 0.02 * x**2 - 0.012 * (y + 30) ** 2)
        dome = -smooth_min([-h for h in heights], 3.0)
        slope = np.hypot(*np.gradient(dome, self.pitch))
        return np.asarray((z - dome) / np.sqrt(0.15 + slope**2))
