"""`Division`: the regions of a dataset's slices, of the kind that `Config.regions` names."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from alnb.config import Config
from alnb.dataset import Dataset, SliceId
from alnb.regions.quadtree import QuadTree
from alnb.regions.rectangles import grid
from alnb.regions.region import Region
from alnb.regions.slic import SuperpixelCache


@dataclass(frozen=True)
class Division:
    """List the regions of each slice, as the columns of a table of N slices by K.

    A region of any kind and size is one question with one answer, at one price: "clean" costs as
    much as a click (paper 5.3) and makes each of its pixels background, so that a large clean
    one teaches more for the same seconds; "infected" labels its clicks alone.

    ==============  =====================================================================
    kind            regions of a slice
    ==============  =====================================================================
    grid            K equal rectangles
    superpixels     at most K shapes; the columns beyond them are empty
    quadtree        every block of the tree, K in all, most of which hold others:
                    `QuadTree.leaves` says which of them divide the slice
    ==============  =====================================================================

    Parameters
    ----------
    dataset : Dataset
    config : Config
    """

    dataset: Dataset
    config: Config

    @cached_property
    def tree(self) -> QuadTree | None:
        """The quad-tree; None if the regions are of another kind."""
        if self.config.regions != "quadtree":
            return None
        return QuadTree(self.dataset.size, self.config.smallest_region_px)

    @cached_property
    def _superpixels(self) -> SuperpixelCache:
        return SuperpixelCache(self.dataset, self.config.regions_per_slice)

    @property
    def columns(self) -> int:
        """K."""
        return self.config.regions_per_slice if self.tree is None else self.tree.blocks

    def regions(self, where: SliceId) -> tuple[Region, ...]:
        """List the regions of a slice, in the order of the columns."""
        if self.tree is not None:
            return self.tree.regions(where)
        if self.config.regions == "superpixels":
            return self._superpixels.regions(where)
        size = self.dataset.size
        return grid(where, (size, size), self.config.regions_per_slice)
