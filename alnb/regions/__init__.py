"""Regions: the parts of a slice that are asked about one at a time.

`grid` divides a slice into equal rectangles, `superpixels` along its edges; `tiling` is the one
that `Config.regions` names.
"""

from alnb.regions.lungs import bare, find_lungs, in_lungs
from alnb.regions.region import Region
from alnb.regions.tilings import Tiling, grid, superpixels, tiling

__all__ = [
    "Region",
    "Tiling",
    "bare",
    "find_lungs",
    "grid",
    "in_lungs",
    "superpixels",
    "tiling",
]
