"""Regions: the parts of a slice that are asked about one at a time.

`grid` divides a slice into equal rectangles, `superpixels` along its edges; `tiling` is the one
that `Config.regions` names.
"""

from alnb.regions.lungs import bare, in_lungs, lung_like
from alnb.regions.region import Region
from alnb.regions.tilings import Tiling, grid, superpixels, tiling

__all__ = [
    "Region",
    "Tiling",
    "bare",
    "grid",
    "in_lungs",
    "lung_like",
    "superpixels",
    "tiling",
]
