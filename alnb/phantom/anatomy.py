"""A patient drawn from a seed, as signed distances in mm, negative inside: bones, organs, lesions.

First the tools (noise, smooth surfaces, tubes), then the tables of a nominal patient, then what
is drawn: `Patient`, the surfaces of a `Chest`, vessels as trees, and `Lesions`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

Field: TypeAlias = NDArray[np.floating[Any]]


def spline(nodes: int, size: int) -> Any:  # noqa: ANN401 - scipy ships no types
    """Return weights, sparse (size, nodes), of the cubic B-spline from nodes to pixels."""
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
    """Spread a coarse square over pixels, along both axes."""
    fine: Field = np.ascontiguousarray((weights @ (weights @ coarse).T).T)
    return fine


def field(
    rng: np.random.Generator, slices: int, nodes: int, along: float, over: int | None = None
) -> Field:
    """Draw smooth noise of unit variance, about: (slices, nodes, nodes) float32.

    Parameters
    ----------
    rng, slices, nodes
        The source of chance, and how many slices and values along each axis of a slice.
    along : float
        How many slices a value holds over.
    over : int or None
        Spread each slice over this many nodes along each axis.
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
    """Return a pixel's share inside a surface: 1 deep within, 0 outside, linear over `soft` mm."""
    return np.asarray(np.clip(0.5 - distance / soft, 0, 1))


def _oval(x: Field, y: Field, half: tuple[float, float], power: float, pitch: float) -> Field:
    """Measure about how far, in mm, each pixel at x, y is from a superellipse around the origin.

    It has the half axes `half`, in mm; power 2 is an ellipse, a higher one squarer.
    """
    f = (np.abs(x / half[0]) ** power + np.abs(y / half[1]) ** power) ** (1 / power)
    slope = np.hypot(*np.gradient(f, pitch))
    return np.asarray((f - 1) / np.maximum(slope, 0.3 / max(half)))


def tube(x: Field, y: Field, z: float, ends: Field, slab: float = 0.0) -> Field:
    """Measure how far, in mm, each pixel at one height is from the wall of a cone.

    Parameters
    ----------
    x, y, z
        Where the pixels are, in mm; x and y (H, W), or what broadcasts to that.
    ends : (2, 4) float array
        x, y, z and radius of the cone's ends, in mm.
    slab : float
        Half the thickness, in mm, through which it is seen.
    """
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


def profile(values: tuple[float, ...], u: float) -> float:
    """Interpolate a profile in mm, given at `LEVELS`, at a height u in [0, 1]."""
    return float(np.interp(u, LEVELS, values))


COARSE = 100  # nodes of the grid on which surfaces are computed, along each axis
FAR = 60.0  # mm from all of a slice, where a surface's shape no longer matters
CLUMPS = ((12, 1.2), (32, 0.8), (16, 0.8), (9, 1.0))  # of lesions: (nodes, slices they hold)

# A nominal patient, in mm.
RIB_TALL = 1.7  # height of a rib over its thickness
LEVELS = (0.0, 0.25, 0.5, 0.7, 0.85, 1.0)  # heights u of the profiles below
CAGE_WIDTH = (127, 129, 126, 117, 98, 62)  # half width inside the ribs
CAGE_DEPTH = (86, 87, 83, 74, 59, 40)  # half depth inside the ribs
CAGE_BACK = (80, 82, 82, 78, 71, 64)  # where the cage ends behind
BODY_FRONT = (-112, -113, -103, -90, -80, -72)
BODY_WIDTH = (0, 0, 3, 14, 44, 84)  # half width outside, beyond cage and wall

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


@dataclass(frozen=True, slots=True)
class Patient:
    """The measures that differ between patients; lengths in mm."""

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
            noise_hu=rng.uniform(15, 25),
            tilt=rng.uniform(-0.05, 0.05),
            depth=rng.uniform(0.96, 1.1),
            bosom=rng.uniform(0.2, 1.5),
            heart=rng.uniform(0.9, 1.1),
            span=(rng.uniform(-0.06, 0.04), rng.uniform(0.96, 1.02)),
        )

    @property
    def wall(self) -> float:
        """Thickness from the inside of the ribs to the skin, at the flank, in mm."""
        return 9 + self.muscle + self.fat

    @property
    def view(self) -> float:
        """Side of the reconstructed square, in mm."""
        return 2.13 * (CAGE_WIDTH[0] * self.scale + self.wall)

    def segments(self, tubes: Any) -> Field:  # noqa: ANN401 - nested tuples of nodes
        """Lay tubes out as (N, 2, 4) ends in mm."""
        ends = [(a, b) for nodes in tubes for a, b in pairwise(nodes)]
        laid = np.array(ends, dtype=np.float32)
        laid[..., 2] *= self.height
        laid[..., [0, 1, 3]] *= self.scale
        return laid

    def ribs(self, rng: np.random.Generator) -> tuple[Field, Field]:
        """Lay the ribs and their cartilages, as segments with z squeezed by `RIB_TALL`."""
        bony, soft = [], []
        for number in range(11):
            start = 0.99 - 0.098 * number + rng.uniform(-0.006, 0.006)
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
        s = self.scale
        back, depth, width = (
            s * np.interp(u, LEVELS, p) for p in (CAGE_BACK, CAGE_DEPTH, CAGE_WIDTH)
        )
        x = side * (width + 4.5) * np.abs(np.cos(angle)) ** 0.85
        y = back - depth + (depth + 4.5) * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** 0.85
        radius = 3.6 + 0.8 * along
        nodes = np.stack([x, y, u * self.height, radius], axis=1)
        head = np.array([[side * 19 * s, s * profile(CAGE_BACK, start) - 14, nodes[0, 2] + 3, 4.0]])
        return np.concatenate([head, nodes]).astype(np.float32)

    def spine(self, z: float) -> tuple[Field, Field, Field]:
        """Lay a vertebra's arch, its body and the canal at z mm, as flat (N, 2, 4) ends."""
        s, u = self.scale, z / self.height
        y = s * profile(CAGE_BACK, u) - 24
        turn = (z / 23 + self.phase) % 1
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
        laid *= self.scale
        laid[..., 1] += y
        laid[..., 2] = z
        return laid

    def shoulder(self, z: float) -> Field:
        """Lay sternum and shoulder blades at one height, as flat segments."""
        u = z / self.height
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
        who, s, u = self.who, self.who.scale, z / self.who.height
        back, depth, width = (s * profile(p, u) for p in (CAGE_BACK, CAGE_DEPTH, CAGE_WIDTH))
        cage = _oval(x, y - (back - depth), (width, depth), 2.35, self.pitch)
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
        body = _oval(x, y - middle, (width, (back - front) / 2), 2.4, self.pitch)
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


def tree(
    rng: np.random.Generator, chest: Chest, root: tuple[float, float, float], leaves: int
) -> Field:
    """Grow vessels from a root into the lung of its side.

    Each new leaf joins where wire and path from the root are shortest together (Cuntz et al.
    2010, PLoS Comput Biol 6:e1000877). Radii follow Murray's law.

    Parameters
    ----------
    rng, chest
        The source of chance, and the patient.
    root : (float, float, float)
        x and y in nominal mm, and the height u.
    leaves : int
        How many ends the tree has.

    Returns
    -------
    (leaves, 2, 4) float32 array
        Ends of its segments: x, y, z and radius in mm.
    """
    start = np.array(root) * (chest.who.scale, chest.who.scale, chest.who.height)
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


@dataclass(frozen=True, slots=True)
class Lesions:
    """The lesions of a scan: (Z, n, n) fields on the coarse grid, above 0 within a lesion."""

    glass: Field
    solid: Field
    density: Field  # unit variance, shifts the lesion's HU

    @classmethod
    def draw(cls, rng: np.random.Generator, chest: Chest, severity: float) -> Lesions:
        """Draw lesions in a band of slices, at the back and the rim of the lungs first.

        Parameters
        ----------
        rng, chest
            The source of chance, and the patient.
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
        """Return each slice's infected share: a bump over a band, 0 elsewhere."""
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
