"""Synthetic chest CT in HU with COVID-like lesions: the data that alnb carries inside.

Nothing here is anyone's scan. A patient is drawn from a seed: a body, a rib cage, a diaphragm and
the organs of the mediastinum are distances to smooth surfaces; vessels and airways grow as trees
into the lungs; lesions are blobs with noisy borders at the back and the rim of the lungs. All
lengths are in mm, x runs to the patient's left, y to the back, z to the head, and u = z / height
is 0 at the lowest slice and 1 at the apex, so that every size shows the same patient.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

from alnb.errors import ConfigError
from alnb.volumes import Volume

Field: TypeAlias = NDArray[np.floating[Any]]

AIR, FAT, MUSCLE, BLOOD, MARROW, CORTEX = -1000.0, -105.0, 55.0, 42.0, 190.0, 620.0
GROUND_GLASS, CONSOLIDATION = 1, 2

COARSE = 100  # nodes of the grid on which surfaces are computed, along each axis
RIB_TALL = 1.7  # height of a rib over its thickness
LEVELS = (0.0, 0.25, 0.5, 0.7, 0.85, 1.0)  # heights u of the profiles below
CAGE_WIDTH = (127, 129, 126, 117, 98, 62)  # half width inside the ribs
CAGE_DEPTH = (86, 87, 83, 74, 59, 40)  # half depth inside the ribs
CAGE_BACK = (80, 82, 82, 78, 71, 64)  # where the cage ends behind
BODY_FRONT = (-112, -113, -103, -90, -80, -72)
BODY_WIDTH = (0, 0, 3, 14, 44, 84)  # half width outside, beyond cage and wall


def profile(values: tuple[float, ...], u: float) -> float:
    """Interpolate a profile given at `LEVELS`."""
    return float(np.interp(u, LEVELS, values))


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
    """Signed distance, about, to a superellipse around the origin."""
    f = (np.abs(x / half[0]) ** power + np.abs(y / half[1]) ** power) ** (1 / power)
    slope = np.hypot(*np.gradient(f, pitch))
    return np.asarray((f - 1) / np.maximum(slope, 0.3 / max(half)))


def tube(x: Field, y: Field, z: float, ends: Field, slab: float = 0.0) -> Field:
    """Distance at height z to a cone from (x, y, z, radius) to another, seen through a slab."""
    p, q = ends[0], ends[1]
    d = q[:3] - p[:3]
    t = ((x - p[0]) * d[0] + (y - p[1]) * d[1] + (z - p[2]) * d[2]) / max(d @ d, 1e-6)
    t = np.clip(t, 0, 1)
    dz = np.maximum(np.abs(p[2] + t * d[2] - z) - slab, 0)
    gap = np.sqrt((x - p[0] - t * d[0]) ** 2 + (y - p[1] - t * d[1]) ** 2 + dz**2)
    return np.asarray(gap - (p[3] + t * (q[3] - p[3])))


# Tubes of the mediastinum: (x, y, u, radius) from node to node.
HEART = (
    ((-34, -16, 0.42, 27), (-30, -16, 0.28, 30)),  # right atrium
    ((-8, -44, 0.32, 28), (30, -50, 0.20, 28)),  # right ventricle
    ((18, -12, 0.38, 33), (54, -36, 0.19, 27)),  # left ventricle
    ((-10, 13, 0.47, 20), (20, 13, 0.46, 20)),  # left atrium
)
VESSELS = (
    ((20, 37, -0.1, 11), (21, 37, 0.4, 12), (22, 36, 0.66, 12.5), (17, 22, 0.735, 13),
     (2, -4, 0.745, 14), (-14, -22, 0.68, 16), (-14, -20, 0.5, 17), (2, -18, 0.4, 15)),  # aorta
    ((8, -30, 0.42, 14), (18, -28, 0.55, 15), (22, -8, 0.59, 13), (38, 8, 0.59, 9)),  # trunk
    ((20, -14, 0.575, 13), (-4, 4, 0.56, 11), (-40, 8, 0.54, 9)),  # right pulmonary artery
    ((-30, -16, 0.4, 10), (-27, -10, 0.6, 9.5), (-24, -10, 0.82, 9), (-38, -6, 0.95, 8)),  # cava
    ((-24, -12, 0.8, 8), (4, -26, 0.83, 6.5), (34, -10, 0.9, 7)),  # left brachiocephalic vein
    ((-8, -8, 0.75, 7), (-14, -4, 0.86, 6.5), (-24, 6, 1.05, 5)),  # brachiocephalic artery
    ((6, -4, 0.75, 4.5), (12, 2, 0.9, 4), (16, 4, 1.05, 4)),  # left carotid
    ((15, 10, 0.75, 5.5), (22, 14, 0.88, 5.5), (36, 14, 1.0, 5)),  # left subclavian
    ((-20, 14, 0.47, 9), (-48, 22, 0.44, 6)),  # right lower pulmonary vein
    ((24, 14, 0.47, 9), (48, 22, 0.45, 6)),  # left lower pulmonary vein
    ((-26, 22, 0.0, 13), (-26, 0, 0.25, 13)),  # inferior cava
)  # fmt: skip
GULLET = (((10, 22, 0.0, 7), (5, 30, 0.4, 6.5), (4, 31, 0.75, 6.5), (3, 30, 1.05, 6)),)
AIRWAYS = (
    ((2, 12, 1.1, 8.5), (0, 14, 0.85, 8.5), (-1, 18, 0.655, 8.8)),  # trachea
    ((-1, 18, 0.655, 8), (-20, 19, 0.6, 7), (-38, 17, 0.53, 5), (-44, 24, 0.44, 3.6)),  # right
    ((-22, 19, 0.6, 5), (-42, 12, 0.62, 3.6), (-56, 8, 0.66, 2.4)),  # right upper
    ((-1, 18, 0.655, 8), (18, 21, 0.59, 6.3), (36, 20, 0.55, 5), (46, 27, 0.45, 3.4)),  # left
    ((34, 18, 0.56, 4.6), (48, 8, 0.59, 3.2), (58, 2, 0.64, 2.2)),  # left upper
)
HILA = ((-40.0, 14.0, 0.54), (40.0, 14.0, 0.56))
VEINS = ((-36.0, 20.0, 0.46), (36.0, 20.0, 0.47))


# The table below the patient: (gap to the back, thickness, HU), in mm, as arcs.
TABLE = ((6, 2, -300), (12, 26, -960), (12, 1.6, -150), (38, 2, -250), (52, 2.2, -200))
TABLE_RADIUS = 330.0
GOLDEN = (5**0.5 - 1) / 2
FAR = 60.0  # mm from all of a slice, where a surface's shape no longer matters
OUTSIDE = -1024  # beyond the reconstructed circle
CLUMPS = ((12, 1.2), (32, 0.8), (16, 0.8), (9, 1.0))  # of lesions: (nodes, slices they hold)


@dataclass(frozen=True, slots=True)
class Patient:
    """What differs from one patient to the next; lengths in mm."""

    scale: float  # of everything inside the ribs
    height: float  # from the lowest slice to the apex
    fat: float  # thickness under the skin
    muscle: float
    domes: tuple[float, float]  # heights u of the right and left diaphragm
    phase: float  # of the vertebrae along the spine, 0 to 1
    lung_hu: float
    noise_hu: float
    tilt: float  # of the body on the table, in radians
    depth: float  # from front to back, over the nominal
    bosom: float  # fat before the chest, over `fat`
    heart: float  # its size, over the nominal
    span: tuple[float, float]  # heights u at which the scan begins and ends

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Patient:
        """Draw a patient."""
        right = rng.uniform(0.24, 0.32)
        return cls(
            scale=rng.uniform(0.95, 1.07),
            height=rng.uniform(215, 245),
            fat=rng.uniform(6, 22),
            muscle=rng.uniform(9, 17),
            domes=(right, right - rng.uniform(0.03, 0.07)),
            phase=rng.uniform(0, 1),
            lung_hu=rng.uniform(-885, -845),
            noise_hu=rng.uniform(12, 20),
            tilt=rng.uniform(-0.05, 0.05),
            depth=rng.uniform(0.96, 1.1),
            bosom=rng.uniform(0.2, 1.5),
            heart=rng.uniform(0.9, 1.1),
            span=(rng.uniform(-0.06, 0.04), rng.uniform(0.96, 1.02)),
        )

    @property
    def wall(self) -> float:
        """From the inside of the ribs to the skin, at the flank."""
        return 9 + self.muscle + self.fat

    @property
    def view(self) -> float:
        """Side of the reconstructed square."""
        return 2.13 * (CAGE_WIDTH[0] * self.scale + self.wall)

    def segments(self, tubes: Any) -> Field:  # noqa: ANN401 - nested tuples of nodes
        """Lay tubes out as (N, 2, 4) ends in mm."""
        ends = [(a, b) for nodes in tubes for a, b in pairwise(nodes)]
        laid = np.array(ends, dtype=np.float32)
        laid[..., 2] *= self.height
        laid[..., [0, 1, 3]] *= self.scale
        return laid


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
        self.rng = rng
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
        self.surfaces = self._surfaces(np.tile(at, (COARSE, 1)), np.tile(at[:, None], COARSE))

    def field(self, slices: int, nodes: int, along: float = 1.5) -> Field:
        """Draw smooth noise of unit variance, about, coherent over slices: (Z, nodes, nodes)."""
        pad = 6
        raw = self.rng.standard_normal((slices + 2 * pad, nodes, nodes), dtype=np.float32)
        if along:
            raw = ndimage.gaussian_filter1d(raw, along, axis=0) * np.sqrt(
                2 * along * np.sqrt(np.pi)
            )
        return np.asarray(raw[pad : pad + slices])

    def spread(self, slices: int, nodes: int, along: float) -> Field:
        """Draw smooth noise on the coarse grid: (Z, n, n)."""
        weights = spline(nodes, COARSE)
        return np.stack([spread(weights, level) for level in self.field(slices, nodes, along)])

    def fine(self, coarse: Field) -> Field:
        """Spread one coarse slice of distances over the pixels: (n, n) to (size, size)."""
        if coarse.min() > FAR or coarse.max() < -FAR:
            return np.full((self.size, self.size), coarse.flat[0], np.float32)
        return spread(self.weights, coarse.astype(np.float32))

    def _surfaces(self, x: Field, y: Field) -> Surfaces:
        slices = len(self.heights)
        shifts = [4.5 * self.spread(slices, 7, 3.0) for _ in range(2)]
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

    # --- bones ---

    def ribs(self) -> tuple[Field, Field]:
        """Lay the ribs and their cartilages, as segments with z squeezed by `RIB_TALL`."""
        bony, soft = [], []
        for number in range(11):
            start = 0.99 - 0.098 * number + self.rng.uniform(-0.006, 0.006)
            fall = 0.10 + 0.26 * np.sin(min(number + 1, 7) / 7 * np.pi / 2)
            for side in (-1, 1):
                nodes = self._rib(side, start, fall)
                bony.append(nodes[:-5])
                soft.append(nodes[-6:])
        laid = []
        for paths in (bony, soft):
            ends = np.concatenate([np.stack([n[:-1], n[1:]], axis=1) for n in paths])
            ends[..., 2] /= RIB_TALL
            laid.append(ends)
        return laid[0], laid[1]

    def _rib(self, side: int, start: float, fall: float) -> Field:
        along = np.linspace(0, 1, 26)
        angle = np.radians(72 - 150 * along)
        u = start + 0.03 * np.sin(along * 3) - fall * along**1.15
        s = self.who.scale
        back, depth, width = (
            s * np.interp(u, LEVELS, p) for p in (CAGE_BACK, CAGE_DEPTH, CAGE_WIDTH)
        )
        x = side * (width + 4.5) * np.abs(np.cos(angle)) ** 0.85
        y = back - depth + (depth + 4.5) * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** 0.85
        radius = 3.6 + 0.8 * along
        nodes = np.stack([x, y, u * self.who.height, radius], axis=1)
        head = np.array([[side * 19 * s, s * profile(CAGE_BACK, start) - 14, nodes[0, 2] + 3, 4.0]])
        return np.concatenate([head, nodes]).astype(np.float32)

    def spine(self, z: float) -> tuple[Field, Field, Field]:
        """Lay a vertebra's arch, its body and the canal at one height, as flat segments."""
        s, u = self.who.scale, z / self.who.height
        y = s * profile(CAGE_BACK, u) - 24
        turn = (z / 23 + self.who.phase) % 1
        long = 20 * np.clip(1.4 - 1.2 * turn, 0.4, 1)
        arch = [((k * 11, 21, 3.5), (0, 33, 3.2)) for k in (-1, 1)]
        arch += [((0, 33, 3.0), (0, 33 + long, 2.2))]
        if turn > 0.45:
            arch += [((k * 11, 9, 4), (k * 12, 21, 4)) for k in (-1, 1)]
            arch += [((k * 12, 21, 4.2), (k * 29, 27, 3.6)) for k in (-1, 1)]
        body = [((-4.5, 0, 12.5), (4.5, 0, 12.5)), ((-6, 4, 10), (6, 4, 10))]
        canal = [((-1.5, 21, 7.5), (1.5, 21, 7.5))]
        return self._flat(arch, y, z), self._flat(body, y, z), self._flat(canal, y, z)

    def _flat(self, parts: Any, y: float, z: float) -> Field:  # noqa: ANN401 - nested tuples
        laid = np.array([[(a[0], a[1], 0, a[2]) for a in part] for part in parts], np.float32)
        laid *= self.who.scale
        laid[..., 1] += y
        laid[..., 2] = z
        return laid

    def shoulder(self, z: float) -> Field:
        """Lay sternum and shoulder blades at one height, as flat segments."""
        u = z / self.who.height
        back, depth, width = (profile(p, u) for p in (CAGE_BACK, CAGE_DEPTH, CAGE_WIDTH))
        front = back - 2 * depth - 5
        parts: list[Any] = []
        if 0.3 < u < 0.9:
            half = 12 + 12 * np.clip((u - 0.72) / 0.1, 0, 1)
            parts += [((-half, front + 1, 4), (0, front, 5)), ((0, front, 5), (half, front + 1, 4))]
        if u > 0.46:
            reach = np.clip((u - 0.42) / 0.3, 0, 1)
            angles = np.radians(58 - 62 * reach * np.linspace(0, 1, 4))
            xs = (width + 21 + 12 * u) * np.cos(angles)
            ys = back - depth + (depth + 22) * np.sin(angles)
            radii = (2.2, 2.2, 2.4, 3 + 4 * reach)
            for k in (-1, 1):
                nodes = [(k * a, b, c) for a, b, c in zip(xs, ys, radii, strict=True)]
                parts += list(pairwise(nodes))
                if 0.74 < u < 0.92:
                    tip = (k * (xs[2] + 12), ys[1] + 2, 4)
                    parts.append(((k * xs[1], ys[1], 2.2), tip))
        return self._flat(parts, 0, z) if parts else np.zeros((0, 2, 4), np.float32)

    # --- trees ---

    def tree(self, root: tuple[float, float, float], leaves: int) -> Field:
        """Grow vessels from a root at (x, y, u) into the lung of its side: (N, 2, 4).

        Each new leaf joins where wire and path from the root are shortest together (Cuntz et al.
        2010, PLoS Comput Biol 6:e1000877); radii follow Murray's law.
        """
        who = self.who
        start = np.array([root[0] * who.scale, root[1] * who.scale, root[2] * who.height])
        points = self._inside(np.sign(root[0]), leaves)
        points = points[np.argsort(np.linalg.norm(points - start, axis=1))]
        nodes = np.concatenate([start[None], points])
        path, parent = np.zeros(len(nodes)), np.zeros(len(nodes), dtype=int)
        for i in range(1, len(nodes)):
            wire = np.linalg.norm(nodes[:i] - nodes[i], axis=1)
            parent[i] = np.argmin(wire + 0.35 * path[:i])
            path[i] = path[parent[i]] + wire[parent[i]]
        nodes = self._straighten(nodes, parent)
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

    @staticmethod
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

    def _inside(self, side: float, count: int) -> Field:
        """Draw points (count, 3) in one lung, off its border."""
        at = self.at
        deep = (self.surfaces.lung < -4) & (at * side > 0)
        z, row, col = np.unravel_index(np.flatnonzero(deep), deep.shape)
        pick = self.rng.integers(len(z), size=count)
        jitter = self.rng.uniform(-0.5, 0.5, (count, 3)) * (self.pitch, self.pitch, self.gap)
        spots = np.stack([at[col[pick]], at[row[pick]], self.heights[z[pick]]], axis=1)
        return np.asarray(spots + jitter)


@dataclass(frozen=True, slots=True)
class Lesions:
    """Where a scan is ill: (Z, n, n) fields on the coarse grid, above 0 within a lesion."""

    glass: Field
    solid: Field
    density: Field  # unit variance, shifts the lesion's HU

    @classmethod
    def draw(cls, chest: Chest, severity: float) -> Lesions:
        """Draw lesions in a band of slices, at the back and the rim of the lungs first.

        Parameters
        ----------
        chest : Chest
            The patient.
        severity : float
            From 0, mild, to 1: sets the share of slices (0.22 to 0.68) and of pixels (0.4 % to
            4 %) that are infected, and the share of lesions that are solid.
        """
        on, rng = chest.surfaces, chest.rng
        slices = len(chest.heights)
        noise = [chest.spread(slices, nodes, along) for nodes, along in CLUMPS]
        rim = 1.5 * np.exp(np.minimum(on.inner, 0) / 13)
        dependent = chest.at[:, None] / 80 + rng.uniform(-0.6, 0.6) * np.tanh(chest.at / 20)
        glass = 1.2 * noise[0] + 0.45 * noise[1] + rim + dependent
        lung = on.lung < -0.5
        share = cls._share(chest, severity) * (COARSE * COARSE)
        for level, where, pixels in zip(glass, lung, np.rint(share).astype(int), strict=True):
            inside = np.sort(level[where])
            count = min(pixels, len(inside) // 2)
            level -= inside[-count] if count else 99.0
        solid = noise[2] + 0.5 * np.clip(glass, 0, 2)
        ill = solid[(glass > 0) & lung]
        solid -= np.quantile(ill, 1 - 0.08 - 0.22 * severity) if ill.size else 99.0
        return cls(glass, np.minimum(solid, 3 * glass), noise[3])

    @staticmethod
    def _share(chest: Chest, severity: float) -> Field:
        """Share of each slice that is infected: a bump over a band, 0 elsewhere."""
        slices, rng = len(chest.heights), chest.rng
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


class Painter:
    """Draws the slices of a chest, one at a time: image in HU and labels."""

    def __init__(self, chest: Chest, severity: float) -> None:
        self.chest = chest
        who, slices = chest.who, len(chest.heights)
        self.lesions = Lesions.draw(chest, severity)
        self.bones, self.cartilage = chest.ribs()
        self.organs, self.gullet = who.segments(VESSELS), who.segments(GULLET)
        arteries = np.concatenate([chest.tree(root, 480) for root in HILA])
        self.vessels = np.concatenate([arteries, *(chest.tree(root, 380) for root in VEINS)])
        beside = arteries[arteries[:, 1, 3] > 1.7].copy()  # an airway runs along each artery
        beside[..., 0] += 1.4 * beside[..., 3]
        beside[..., 3] *= 0.75
        self.airways = np.concatenate([who.segments(AIRWAYS), beside])
        self.noise = {nodes: chest.field(slices, nodes, 0.8) for nodes in (13, 30, 60)}
        self.weights = {nodes: spline(nodes, chest.size) for nodes in self.noise}
        self.at = ((np.arange(chest.size) + 0.5) * chest.px - who.view / 2).astype(np.float32)
        self._lay_table()

    def _lay_table(self) -> None:
        """Fill the picture with air and the table."""
        chest, who = self.chest, self.chest.who
        self.image = np.full((chest.size, chest.size), AIR, np.float32)
        behind = self.at[:, None] - (82 * who.scale + 38 + 0.5 * who.fat) * who.depth
        for gap, thick, hu in TABLE:
            d = np.hypot(self.at, behind - gap + TABLE_RADIUS) - TABLE_RADIUS
            self.paint(np.abs(d - thick / 2) - thick / 2, hu)
        self.table = self.image

    def draw(self, index: int) -> tuple[Field, NDArray[np.uint8]]:
        """Draw one slice: (size, size) HU without noise, and labels."""
        self._start(index)
        self._wall()
        self._belly()
        self._mediastinum()
        self._skeleton()
        labels = self._lungs(index)
        return self.image, labels

    def paint(self, distance: Field, hu: Field | float, soft: Field | float | None = None) -> None:
        """Lay HU over the inside of a surface, its edge `soft` mm wide; a pixel if None."""
        box = extent(distance, 10.0 if isinstance(soft, np.ndarray) else soft or self.chest.px)
        soft = self.chest.px if soft is None else soft
        hu, soft = (v[box] if isinstance(v, np.ndarray) else v for v in (hu, soft))
        self.image[box] += cover(distance[box], soft) * (hu - self.image[box])

    def _start(self, index: int) -> None:
        chest = self.chest
        self.z = float(chest.heights[index])
        self.on = Surfaces(*(chest.fine(getattr(chest.surfaces, n)[index]) for n in SURFACES))
        self.x, self.y = self.at + self.on.shift_x, self.at[:, None] + self.on.shift_y
        self.shift = (chest.surfaces.shift_x[index], chest.surfaces.shift_y[index])
        self.seams, self.mottle, self.crumbs = (
            spread(self.weights[nodes], self.noise[nodes][index]) for nodes in self.noise
        )
        self.image = self.table.copy()

    def nearest(self, segments: Field, slab: float = 0.0, squeeze: float = 1.0) -> Field:
        """Distance of each pixel, in mm, to the nearest segment's surface; 1e3 if far from all.

        Parameters
        ----------
        segments : (N, 2, 4) float array
            Ends (x, y, z, radius) in mm.
        slab : float
            Half the thickness, in mm, through which they are seen.
        squeeze : float
            By how much their z was divided.
        """
        px, z = self.chest.px, self.z / squeeze
        reach = segments[..., 3].max(axis=1) + slab + px
        low, high = segments[..., 2].min(axis=1) - reach, segments[..., 2].max(axis=1) + reach
        segments = segments[(low <= z) & (z <= high)]
        distance = np.full(self.image.shape, 1e3, np.float32)
        for ends, (top, left, bottom, right) in zip(
            segments, self._boxes(segments, z, slab), strict=True
        ):
            box = slice(top, bottom), slice(left, right)
            near = tube(self.x[box], self.y[box], z, ends, slab)
            np.minimum(distance[box], near, out=distance[box])
        return distance

    def _boxes(self, segments: Field, z: float, slab: float) -> NDArray[np.int64]:
        """Pixels that each segment can touch at height z: (N, 4) top, left, bottom, right."""
        chest = self.chest
        p, q = segments[:, 0, :3], segments[:, 1, :3]
        reach = segments[..., 3].max(axis=1, keepdims=True) + slab
        rise = q[:, 2:] - p[:, 2:]
        rise = np.where(np.abs(rise) < 1e-3, 1e-3, rise)
        t = np.sort((z - p[:, 2:] + reach * [-1, 1]) / rise, axis=1).clip(0, 1)  # (N, 2)
        xy = p[:, None, :2] + t[..., None] * (q - p)[:, None, :2]  # (N, 2 ends, 2)
        col, row = ((xy[..., k] + chest.who.view / 2) / chest.pitch for k in (0, 1))
        cell = tuple(np.clip(v, 0, COARSE - 1).astype(int) for v in (row, col))
        xy = xy - np.stack([s[cell] for s in self.shift], axis=-1)  # undo the warp
        margin = reach - slab + 3 + chest.px
        low = (xy.min(axis=1) - margin + chest.who.view / 2) / chest.px
        high = (xy.max(axis=1) + margin + chest.who.view / 2) / chest.px + 1
        boxes = np.concatenate([low[:, ::-1], high[:, ::-1]], axis=1)
        return np.asarray(np.clip(boxes, 0, chest.size).astype(np.int64))

    def _wall(self) -> None:
        on, px = self.on, self.chest.px
        self.paint(on.body, 10)
        self.paint(on.body + 1.8, FAT + 8 * self.mottle)
        self.paint(on.flesh, MUSCLE + 7 * self.mottle)
        thick = np.maximum(on.inner - 9 - on.flesh, 1)  # of the muscle, here
        layers = np.clip(thick / 24, 1, 3)
        part = np.clip(-on.flesh, 0, None) / thick * layers + 0.45 * self.seams
        plane = np.abs(part - np.floor(part) - 0.5) * thick / layers - 1.2 - 1.6 * self.mottle
        plane = np.maximum(plane, 12 - thick)
        self.paint(np.maximum(plane, np.maximum(on.flesh + 3, 8 - on.inner)), FAT + 20, 2 * px)
        self.paint(on.inner, FAT + 10 + 8 * self.mottle)

    def _belly(self) -> None:
        on = self.on
        self.paint(np.maximum(on.abdomen, on.inner), MUSCLE - 5)
        self.paint(np.maximum(on.abdomen + 3, on.inner + 2), FAT)
        veins = np.exp(-((self.seams / 0.18) ** 2))
        self.paint(on.liver, 60 - 14 * veins + 3 * self.mottle)
        self.paint(on.spleen, 50)
        self.paint(on.stomach, 40)
        self.paint(on.stomach + 4, np.where(self.y < -28, -950, 25 + 30 * self.mottle))

    def _mediastinum(self) -> None:
        self.paint(np.maximum(self.on.heart, 1 - self.on.abdomen), BLOOD + 4 * self.mottle)
        self.paint(self.nearest(self.organs), BLOOD)
        self.paint(self.nearest(self.gullet), 35)

    def _skeleton(self) -> None:
        chest, z = self.chest, self.z
        arch, body, canal = chest.spine(z)
        disc = (z / 23 + chest.who.phase) % 1 < 0.2
        self.paint(self.nearest(self.cartilage, squeeze=RIB_TALL), 105)
        for distance, rim in (
            (self.nearest(body), 1.3),
            (self.nearest(np.concatenate([arch, chest.shoulder(z)])), 1.8),
            (self.nearest(self.bones, squeeze=RIB_TALL), 1.5),
        ):
            rind = np.clip(1 + distance / rim, 0, 1)
            self.paint(distance, MARROW + 40 * self.crumbs + (CORTEX - MARROW) * rind)
        if disc:
            self.paint(self.nearest(body), 95)
        hollow = self.nearest(canal)
        self.paint(hollow, FAT + 60)
        self.paint(hollow + 2.5, 32)

    def _lungs(self, index: int) -> NDArray[np.uint8]:
        chest, on, px = self.chest, self.on, self.chest.px
        dependent = np.clip((self.y + 70) / 150, 0, 1) ** 2
        fill = chest.who.lung_hu + 55 * dependent + 10 * self.mottle + 12 * self.crumbs
        fill += 90 * dependent * np.exp(np.minimum(on.lung, 0) / 5)
        fissure = self.y - 10 + 0.35 * (self.z - 0.5 * chest.who.height) + 0.15 * np.abs(self.x)
        fill += 70 * cover(np.abs(fissure + 4 * self.seams) - 0.3, 1.5 * px)
        vessel = cover(self.nearest(self.vessels, slab=2.0), px)
        labels = np.zeros(fill.shape, np.uint8)
        if self.lesions.glass[index].max() > -1:
            labels = self._infect(index, fill, vessel)
        else:
            fill += vessel * (BLOOD - fill)
        moving = 4 * np.exp(-((np.minimum(np.abs(on.abdomen), 30) / 6) ** 2))
        self.paint(on.lung, fill, px + moving)
        airway = self.nearest(self.airways, slab=0.5)
        self.paint(airway - 1.4, -20)
        self.paint(airway, -990)
        return labels

    def _infect(self, index: int, fill: Field, vessel: Field) -> NDArray[np.uint8]:
        """Lay ground-glass under the vessels and consolidation over them, in place."""
        glass, solid, density = (
            self.chest.fine(getattr(self.lesions, n)[index]) for n in ("glass", "solid", "density")
        )
        glass = glass + 0.16 * self.crumbs
        haze = -640 + 90 * np.clip(glass, 0, 2) + 70 * density + 40 * self.crumbs
        haze += 110 * np.exp(-((self.mottle / 0.25) ** 2))  # thickened septa
        fill += np.clip(0.5 + glass / 0.5, 0, 1) * (np.clip(haze, -750, -250) - fill)
        fill += vessel * (BLOOD - fill)
        firm = np.clip(0.5 + (solid + 0.1 * self.crumbs) / 0.25, 0, 1) * (glass > 0)
        fill += firm * (25 + 12 * self.mottle - fill)
        ill = (glass > 0) & (self.on.lung < -0.5)
        return np.where(ill, np.where(firm > 0.5, CONSOLIDATION, GROUND_GLASS), 0).astype(np.uint8)

    def scan(self, image: Field) -> NDArray[np.int16]:
        """Add what the scanner does: blur, correlated noise, streaks and the circle's edge."""
        chest, rng = self.chest, self.chest.rng
        shoulders = min(max((self.z / chest.who.height - 0.75) / 0.2, 0.0), 1.0)
        white = rng.standard_normal(image.shape, dtype=np.float32)
        noise = ndimage.gaussian_filter(white, 0.6)
        noise -= 0.4 * ndimage.gaussian_filter(white, 1.6, truncate=2.5)
        thick = 0.6 + 0.5 * np.exp(-np.hypot(self.x, self.y) / 90)
        image = ndimage.gaussian_filter(image, 0.55) + 2.6 * chest.who.noise_hu * thick * noise
        streaks = rng.standard_normal((chest.size, 12), dtype=np.float32)
        streaks = ndimage.gaussian_filter1d(streaks, 1.0, axis=0)
        streaks = (spline(12, chest.size) @ streaks.T).T
        image += (3 + 14 * shoulders) * streaks
        image[self.at**2 + self.at[:, None] ** 2 > (chest.who.view / 2) ** 2] = OUTSIDE
        return np.rint(np.clip(image, -1024, 3071)).astype(np.int16)


def chest(
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
    patient = Chest(rng, slices, size)
    painter = Painter(patient, severity)
    voxels = np.empty((slices, size, size), np.int16)
    labels = np.empty((slices, size, size), np.uint8)
    for index in range(slices):
        image, labels[index] = painter.draw(index)
        voxels[index] = painter.scan(image)
    return voxels, labels, (patient.px, patient.gap)


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
        voxels, labels, (px, gap) = chest(rng, slices, size, severity)
        name = f"phantom_{number:02d}"
        yield Volume.made(name, voxels, unit="hu", spacing_mm=(gap, px, px)), labels
