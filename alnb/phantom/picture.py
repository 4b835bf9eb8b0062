"""Draw slices in HU, as a scanner shows them."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from alnb.phantom.anatomy import (
    AIRWAYS,
    COARSE,
    GULLET,
    HILA,
    RIB_TALL,
    VEINS,
    VESSELS,
    Chest,
    Field,
    Lesions,
    Surfaces,
    cover,
    field,
    spline,
    spread,
    tree,
    tube,
)

AIR, FAT, MUSCLE, BLOOD, MARROW, CORTEX = -1000.0, -105.0, 55.0, 42.0, 190.0, 620.0
OUTSIDE = -1024  # beyond the reconstructed circle
GROUND_GLASS, CONSOLIDATION = 1, 2

# The table below the patient: (gap to the back, thickness, HU), in mm, as arcs.
TABLE = ((6, 2, -300), (12, 26, -960), (12, 1.6, -150), (38, 2, -250), (52, 2.2, -200))
TABLE_RADIUS = 330.0


class Scene:
    """The parts that all slices of a scan share: a patient, vessel trees, and the table below."""

    def __init__(self, rng: np.random.Generator, chest: Chest, severity: float) -> None:
        self.chest = chest
        who, slices = chest.who, len(chest.heights)
        self.lesions = Lesions.draw(rng, chest, severity)
        self.bones, self.cartilage = who.ribs(rng)
        self.organs, self.gullet = who.segments(VESSELS), who.segments(GULLET)
        arteries = np.concatenate([tree(rng, chest, root, 480) for root in HILA])
        veins = [tree(rng, chest, root, 380) for root in VEINS]
        self.vessels = np.concatenate([arteries, *veins])
        beside = arteries[arteries[:, 1, 3] > 1.7].copy()  # an airway runs along each artery
        beside[..., 0] += 1.4 * beside[..., 3]
        beside[..., 3] *= 0.75
        self.airways = np.concatenate([who.segments(AIRWAYS), beside])
        self.noise = {nodes: field(rng, slices, nodes, 0.8) for nodes in (13, 30, 60, 150)}
        self.weights = {nodes: spline(nodes, chest.size) for nodes in self.noise}
        self.at = ((np.arange(chest.size) + 0.5) * chest.px - who.view / 2).astype(np.float32)
        self.outside = self.at**2 + self.at[:, None] ** 2 > (who.view / 2) ** 2
        self.empty = self._empty()

    def _empty(self) -> Field:
        """Draw air and the table."""
        who, px = self.chest.who, self.chest.px
        image = np.full((self.chest.size, self.chest.size), AIR, np.float32)
        behind = self.at[:, None] - (82 * who.scale + 38 + 0.5 * who.fat) * who.depth
        for gap, thick, hu in TABLE:
            d = np.hypot(self.at, behind - gap + TABLE_RADIUS) - TABLE_RADIUS
            image += cover(np.abs(d - thick / 2) - thick / 2, px) * (hu - image)
        return image


class Picture:
    """One slice of a scene, drawn from the outside in: which one, says `index`.

    Attributes
    ----------
    image : (size, size) float32 array
        HU, without noise.
    labels : (size, size) uint8 array
        0 background, 1 ground-glass, 2 consolidation.
    """

    def __init__(self, scene: Scene, index: int) -> None:
        chest = scene.chest
        self.scene, self.chest, self.index = scene, chest, index
        self.z = float(chest.heights[index])
        surfaces = {one.name: getattr(chest.surfaces, one.name) for one in fields(Surfaces)}
        self.on = Surfaces(**{name: chest.fine(one[index]) for name, one in surfaces.items()})
        self.shift = (chest.surfaces.shift_x[index], chest.surfaces.shift_y[index])
        self.x, self.y = scene.at + self.on.shift_x, scene.at[:, None] + self.on.shift_y
        self.seams, self.mottle, self.crumbs, self.grit = (
            spread(scene.weights[nodes], scene.noise[nodes][index]) for nodes in scene.noise
        )
        self.image = scene.empty.copy()
        self.labels = np.zeros(self.image.shape, np.uint8)
        self._wall()
        self._belly()
        self._mediastinum()
        self._skeleton()
        self._lungs()

    def scan(self, rng: np.random.Generator) -> NDArray[np.int16]:
        """Add what the scanner does: blur, noise, streaks, the circle's edge; (size, size), HU."""
        size, noise_hu = self.chest.size, self.chest.who.noise_hu
        shoulders = min(max((self.z / self.chest.who.height - 0.75) / 0.2, 0.0), 1.0)
        white = rng.standard_normal((size, size), dtype=np.float32)
        noise = ndimage.gaussian_filter(white, 0.6)
        noise -= 0.4 * ndimage.gaussian_filter(white, 1.6, truncate=2.5)
        thick = 0.6 + 0.5 * np.exp(-np.hypot(self.x, self.y) / 90)
        image: Field = ndimage.gaussian_filter(self.image, 0.55) + 2.6 * noise_hu * thick * noise
        streaks = rng.standard_normal((size, 12), dtype=np.float32)
        streaks = ndimage.gaussian_filter1d(streaks, 1.0, axis=0)
        image += (3 + 14 * shoulders) * (spline(12, size) @ streaks.T).T
        image[self.scene.outside] = OUTSIDE
        return np.rint(np.clip(image, -1024, 3071)).astype(np.int16)

    def _paint(self, distance: Field, hu: Field | float, soft: Field | float | None = None) -> None:
        """Lay HU over the inside of a surface, (size, size) distances in mm, negative inside.

        `soft` is the width of the edge, in mm; None: a pixel.
        """
        soft = self.chest.px if soft is None else soft
        touched = distance < float(np.max(soft)) / 2
        rows, cols = (np.flatnonzero(touched.any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            return
        box = slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1)
        hu, soft = (v[box] if isinstance(v, np.ndarray) else v for v in (hu, soft))
        self.image[box] += cover(distance[box], soft) * (hu - self.image[box])

    def _nearest(self, segments: Field, slab: float = 0.0, squeeze: float = 1.0) -> Field:
        """Measure how far each pixel is from the nearest segment's surface, in mm; at most 1e3.

        The (N, 2, 4) segments are seen through a `slab` of half this thickness, in mm. `squeeze` is
        what their z was divided by.
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
        self._paint(on.body, 10)
        self._paint(on.body + 1.8, FAT + 8 * self.mottle)
        self._paint(on.flesh, MUSCLE + 7 * self.mottle)
        thick = np.maximum(on.inner - 9 - on.flesh, 1)  # of the muscle, here
        layers = np.clip(thick / 24, 1, 3)
        part = np.clip(-on.flesh, 0, None) / thick * layers + 0.45 * self.seams
        plane = np.abs(part - np.floor(part) - 0.5) * thick / layers - 1.2 - 1.6 * self.mottle
        plane = np.maximum(plane, 12 - thick)
        self._paint(np.maximum(plane, np.maximum(on.flesh + 3, 8 - on.inner)), FAT + 20, 2 * px)
        self._paint(on.inner, FAT + 10 + 8 * self.mottle)

    def _belly(self) -> None:
        on = self.on
        self._paint(np.maximum(on.abdomen, on.inner), MUSCLE - 5)
        self._paint(np.maximum(on.abdomen + 3, on.inner + 2), FAT)
        veins = np.exp(-((self.seams / 0.18) ** 2))
        self._paint(on.liver, 60 - 14 * veins + 3 * self.mottle)
        self._paint(on.spleen, 50)
        self._paint(on.stomach, 40)
        self._paint(on.stomach + 4, np.where(self.y < -28, -950, 25 + 30 * self.mottle))

    def _mediastinum(self) -> None:
        self._paint(np.maximum(self.on.heart, 1 - self.on.abdomen), BLOOD + 4 * self.mottle)
        self._paint(self._nearest(self.scene.organs), BLOOD)
        self._paint(self._nearest(self.scene.gullet), 35)

    def _skeleton(self) -> None:
        chest, z = self.chest, self.z
        arch, body, canal = chest.who.spine(z)
        self._paint(self._nearest(self.scene.cartilage, squeeze=RIB_TALL), 105)
        for distance, rim in (
            (self._nearest(body), 1.3),
            (self._nearest(np.concatenate([arch, chest.who.shoulder(z)])), 1.8),
            (self._nearest(self.scene.bones, squeeze=RIB_TALL), 1.5),
        ):
            rind = np.clip(1 + distance / rim, 0, 1)
            self._paint(distance, MARROW + 40 * self.crumbs + (CORTEX - MARROW) * rind)
        if (z / 23 + chest.who.phase) % 1 < 0.2:  # a disc
            self._paint(self._nearest(body), 95)
        hollow = self._nearest(canal)
        self._paint(hollow, FAT + 60)
        self._paint(hollow + 2.5, 32)

    def _lungs(self) -> None:
        chest, on, px = self.chest, self.on, self.chest.px
        dependent = np.clip((self.y + 70) / 150, 0, 1) ** 2
        fill = chest.who.lung_hu + 55 * dependent + 10 * self.mottle + 12 * self.crumbs
        fill += 14 * self.grit + 60 * np.maximum(self.grit - 1, 0)  # vessels too small to grow
        fill += 90 * dependent * np.exp(np.minimum(on.lung, 0) / 5)
        fissure = self.y - 10 + 0.35 * (self.z - 0.5 * chest.who.height) + 0.15 * np.abs(self.x)
        fill += 70 * cover(np.abs(fissure + 4 * self.seams) - 0.3, 1.5 * px)
        vessel = cover(self._nearest(self.scene.vessels, slab=2.0), px)
        if self.scene.lesions.glass[self.index].max() > -1:
            self._infect(fill, vessel)
        else:
            fill += vessel * (BLOOD - fill)
        moving = 4 * np.exp(-((np.minimum(np.abs(on.abdomen), 30) / 6) ** 2))
        self._paint(on.lung, fill, px + moving)
        airway = self._nearest(self.scene.airways, slab=0.5)
        self._paint(airway - 1.4, -20)
        self._paint(airway, -990)

    def _infect(self, fill: Field, vessel: Field) -> None:
        """Lay ground-glass under the vessels and consolidation over them, in place."""
        lesions = self.scene.lesions
        glass, solid, density = (
            self.chest.fine(one[self.index])
            for one in (lesions.glass, lesions.solid, lesions.density)
        )
        glass = glass + 0.16 * self.crumbs
        haze = -640 + 90 * np.clip(glass, 0, 2) + 70 * density + 40 * self.crumbs
        haze += 110 * np.exp(-((self.mottle / 0.25) ** 2))  # thickened septa
        fill += np.clip(0.5 + glass / 0.5, 0, 1) * (np.clip(haze, -750, -250) - fill)
        fill += vessel * (BLOOD - fill)
        firm = np.clip(0.5 + (solid + 0.1 * self.crumbs) / 0.25, 0, 1) * (glass > 0)
        fill += firm * (25 + 12 * self.mottle - fill)
        ill = (glass > 0) & (self.on.lung < -0.5)
        self.labels[ill] = GROUND_GLASS
        self.labels[ill & (firm > 0.5)] = CONSOLIDATION
