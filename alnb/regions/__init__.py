"""Regions: the parts of a slice that are asked about one at a time.

`grid` divides a slice into equal rectangles, `superpixels` along its edges, a `QuadTree` into
blocks of mixed sizes; `Division` is the one of them that `Config.regions` names.
"""

from alnb.regions.division import Division
from alnb.regions.quadtree import QuadTree
from alnb.regions.rectangles import grid, grid_shape
from alnb.regions.region import Region
from alnb.regions.slic import SuperpixelCache, superpixels
from alnb.regions.tissue import bare, in_lungs, lung_like

__all__ = [
    "Division",
    "QuadTree",
    "Region",
    "SuperpixelCache",
    "bare",
    "grid",
    "grid_shape",
    "in_lungs",
    "lung_like",
    "superpixels",
]
