"""A patient: what differs from one to the next, and where bones and tubes lie."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from alnb.phantom.surfaces import Field

RIB_TALL = 1.7  # height of a rib over its thickness
LEVELS = (0.0, 0.25, 0.5, 0.7, 0.85, 1.0)  # heights u of the profiles below
CAGE_WIDTH = (127, 129, 126, 117, 98, 62)  # half width inside the ribs
CAGE_DEPTH = (86, 87, 83, 74, 59, 40)  # half depth inside the ribs
CAGE_BACK = (80, 82, 82, 78, 71, 64)  # where the cage ends behind
BODY_FRONT = (-112, -113, -103, -90, -80, -72)
BODY_WIDTH = (0, 0, 3, 14, 44, 84)  # half width outside, beyond cage and wall


def profile(values: tuple[float, ...], u: float) -> float:
    """Interpolate a profile in mm, given at `LEVELS`, at a height u in [0, 1]."""
    return float(np.interp(u, LEVELS, values))


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
            noise_hu=rng.uniform(15, 25),
            tilt=rng.uniform(-0.05, 0.05),
            depth=rng.uniform(0.96, 1.1),
            bosom=rng.uniform(0.2, 1.5),
            heart=rng.uniform(0.9, 1.1),
            span=(rng.uniform(-0.06, 0.04), rng.uniform(0.96, 1.02)),
        )

    @property
    def wall(self) -> float:
        """From the inside of the ribs to the skin, at the flank, in mm."""
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
