"""A slice and its region as pictures, made ahead of being shown where there is time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from alnb.arrays import Grey, Map, Mask
from alnb.regions import Region
from alnb.ui.frame import REGION_PX, Box, Frame
from alnb.ui.pictures import (
    enlarge_grey,
    enlarge_map,
    grey_png,
    heat_png,
    outline_png,
    prediction_png,
)
from alnb.ui.region_figure import SLICE_PX

Picture = tuple[bytes, tuple[float, float]]  # a PNG, and the (rows, cols) a pixel of it is
Pictures = Mapping[str, Picture]
DIMMED = 0.55  # what is left of the brightness outside the region


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """A slice, its region and their overlays, as pictures.

    Parameters
    ----------
    far : mapping of str to Picture
        Of the slice: ``"ct"`` and the overlays' names.
    near : mapping of str to Picture
        Of the part that is shown large.
    box : two slices
        Which part that is.
    fine : float
        How many pixels one of the slice takes in `near`.
    """

    far: Pictures
    near: Pictures
    box: Box
    fine: float


def encode(
    image: Grey, overlays: Mapping[str, Map | Mask], region: Region, frame: Frame
) -> Encoded:
    """Draw a slice, and large what a frame shows of it.

    Parameters
    ----------
    image : (H, W) uint8 array
        The slice through its window.
    overlays : mapping of str to (H, W) array
        As `RegionView.show` takes them.
    region : Region
        What is asked about; its surroundings are dimmed.
    frame : Frame
        What is shown large.
    """
    far = _pictures(image, overlays, max(1.0, SLICE_PX / max(image.shape)))
    near, box, fine = encode_near(image, overlays, region, frame)
    return Encoded(far, near, box, fine)


def encode_near(
    image: Grey,
    overlays: Mapping[str, Map | Mask],
    region: Region,
    frame: Frame,
    margin: float = 0.0,
) -> tuple[Pictures, Box, float]:
    """Draw large what a frame shows, with a margin around it, a share of its side."""
    box = frame.box(image.shape, margin)
    fine = max(1.0, REGION_PX / frame.side)
    crops = {name: values[box] for name, values in overlays.items()}
    inside = region_mask(region, image.shape)
    return _pictures(image[box], crops, fine, inside[box]), box, fine


def region_mask(region: Region, shape: tuple[int, int]) -> Mask:
    """Draw a region on an (H, W) slice: True inside."""
    return region.drawn(shape)


def dim_outside(image: Grey, inside: Mask) -> Grey:
    """Darken what lies outside a region."""
    dimmed: Grey = np.where(inside, image, (image * DIMMED).astype(np.uint8))
    return dimmed


def _pictures(
    image: Grey, overlays: Mapping[str, Map | Mask], fine: float, inside: Mask | None = None
) -> Pictures:
    """Encode a slice, or a part of it, and its overlays, `fine` pixels for each of theirs."""
    smooth = enlarge_grey(image, fine)
    if inside is not None:
        rows, cols = (
            np.arange(n) * m // n for n, m in zip(smooth.shape, inside.shape, strict=True)
        )
        smooth = dim_outside(smooth, inside[np.ix_(rows, cols)])
    drawn = {"ct": (grey_png(smooth), _step(image, smooth))}
    if "entropy" in overlays:
        heat = enlarge_map(overlays["entropy"].astype(np.float32), fine)
        drawn["entropy"] = (heat_png(heat), _step(image, heat))
    if "prediction" in overlays:  # a decision for each pixel of the slice, and shown as that
        drawn["prediction"] = (prediction_png(overlays["prediction"]), (1.0, 1.0))
    if "mask" in overlays:
        drawn["mask"] = (outline_png(overlays["mask"].astype(bool)), (1.0, 1.0))
    return drawn


def _step(coarse: Grey, fine: Grey | Map) -> tuple[float, float]:
    """Tell how many coarse pixels one fine pixel is, in rows and in columns."""
    return coarse.shape[0] / fine.shape[0], coarse.shape[1] / fine.shape[1]
