"""A quad-tree: blocks of mixed sizes, small where the scores differ."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from alnb.arrays import Mask
from alnb.dataset import SliceId
from alnb.regions.rectangles import grid
from alnb.regions.region import Region


@dataclass(frozen=True)
class QuadTree:
    """All blocks that a square slice can be divided into by halving its sides again and again.

    A block is the slice, or a quarter of a block. Blocks are numbered from the largest to the
    smallest and, among equal ones, row by row; so each has the same number in each slice.

    Parameters
    ----------
    size : int
        Side of the slice, in pixels.
    smallest_px : int
        The shortest side that a block may have; the slice stays whole if it has no quarters of it.

    References
    ----------
    Finkel, Bentley 1974, Quad trees; Horowitz, Pavlidis 1976, Picture segmentation by a tree
    traversal algorithm, which splits a block that is not of one value.
    """

    size: int
    smallest_px: int

    @cached_property
    def depth(self) -> int:
        """How often a side is halved down to the smallest blocks."""
        depth = 0
        while self.size // 2 ** (depth + 1) >= self.smallest_px:
            depth += 1
        return depth

    @cached_property
    def blocks(self) -> int:
        """Their number B."""
        return _first(self.depth + 1)

    @property
    def first_smallest(self) -> int:
        """The number of the first of the smallest blocks; they are the last."""
        return _first(self.depth)

    @cached_property
    def _quarters(self) -> NDArray[np.intp]:
        """List the numbers of the four quarters of each of the P blocks that have some, (P, 4)."""
        levels = [np.zeros((0, 4), dtype=np.intp)]
        for level in range(self.depth):
            side = 2 ** (level + 1)
            row, col = (2 * at.reshape(-1, 1) for at in np.indices((side // 2, side // 2)))
            levels.append(_first(level + 1) + side * row + col + np.array([0, 1, side, side + 1]))
        return np.concatenate(levels)

    def regions(self, where: SliceId) -> tuple[Region, ...]:
        """List all B blocks of a slice, by their numbers; the larger ones hold the smaller."""
        shape = (self.size, self.size)
        levels = range(self.depth + 1)
        return tuple(region for level in levels for region in grid(where, shape, 4**level))

    @cached_property
    def _numbers(self) -> dict[tuple[int, int, int, int], int]:
        blocks = self.regions(SliceId("", 0))
        return {(b.row, b.col, b.height, b.width): number for number, b in enumerate(blocks)}

    def number(self, region: Region) -> int | None:
        """Return a block's number; None if the region is no block."""
        box = region.row, region.col, region.height, region.width
        return self._numbers.get(box) if region.mask is None else None

    def leaves(self, scores: NDArray[np.float64], asked: Mask, count: int) -> Mask:
        """Choose the blocks that each slice is divided into, by its scores.

        A slice begins as one block. What was asked about stays as it was: a block that holds a
        smaller one that was asked about is split, and one that was asked about itself is not.
        Then the block is split whose smallest parts' scores differ most, by the sum of their
        squared differences from their mean, as long as that makes no more than `count` blocks.
        Of equal ones the largest is split first, then the upper left; so scores that are all
        the same give a grid.

        Parameters
        ----------
        scores : (N, B) float64 array
            Of each block of N slices; those of the smallest blocks are the score map.
        asked : (N, B) bool array
            Blocks that were ever asked about; none lies in another.
        count : int
            How many blocks a slice has at most, if not more must be split for those asked about.

        Returns
        -------
        (N, B) bool array
            True for the blocks chosen: together they cover each slice exactly once.
        """
        leaves: Mask = np.zeros(scores.shape, dtype=bool)
        leaves[:, 0] = True
        holds = self._holding(asked)
        for block in range(len(self._quarters)):
            rows = np.flatnonzero(leaves[:, block] & holds[:, block])
            self._split(leaves, rows, np.full(len(rows), block))
        self._split_most_varied(leaves, self._variation(scores), asked, count)
        return leaves

    def _split_most_varied(
        self, leaves: Mask, variation: NDArray[np.float64], asked: Mask, count: int
    ) -> None:
        parents = len(self._quarters)
        variation = np.where(asked[:, :parents], -np.inf, variation)
        while parents:
            open_ = np.where(leaves[:, :parents], variation, -np.inf)
            best = open_.argmax(axis=1)  # of equal ones the first
            can = open_[np.arange(len(best)), best] >= 0
            rows = np.flatnonzero(can & (leaves.sum(axis=1) + 3 <= count))
            if not len(rows):
                return
            self._split(leaves, rows, best[rows])

    def _split(self, leaves: Mask, rows: NDArray[np.intp], blocks: NDArray[np.intp]) -> None:
        leaves[rows, blocks] = False
        leaves[rows[:, np.newaxis], self._quarters[blocks]] = True

    def _holding(self, asked: Mask) -> Mask:
        """Tell which blocks hold a smaller one that was asked about, (N, B)."""
        holds = np.zeros_like(asked)
        for block in reversed(range(len(self._quarters))):
            inside = self._quarters[block]
            holds[:, block] = (asked[:, inside] | holds[:, inside]).any(axis=1)
        return holds & ~asked

    def _variation(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum the squared differences of each block's smallest parts from their mean, (N, P)."""
        means, squares = scores.copy(), np.zeros_like(scores)
        parts = np.ones(self.blocks)
        for block in reversed(range(len(self._quarters))):
            inside = self._quarters[block]
            parts[block] = parts[inside].sum()
            means[:, block] = means[:, inside].mean(axis=1)
            between = ((means[:, inside] - means[:, [block]]) ** 2).sum(axis=1)
            squares[:, block] = squares[:, inside].sum(axis=1) + parts[inside[0]] * between
        return squares[:, : len(self._quarters)]


def _first(level: int) -> int:
    """Return the number of a level's first block: as many blocks are larger."""
    return sum(4**larger for larger in range(level))
