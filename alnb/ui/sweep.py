"""A sweep, a whole slice answered at once: which of its regions that is about."""

from __future__ import annotations

from collections.abc import Sequence

from alnb.annotation import Click
from alnb.dataset import SliceId
from alnb.pool import Pool
from alnb.regions import Region
from alnb.state import State

Regions = tuple[Region, ...]


def covered(pool: Pool, where: SliceId) -> bool:
    """Tell whether a slice is of the pool, and its regions cover it once."""
    cells = pool.regions(where) if where in pool.slices else ()
    return sum(map(_area, cells)) == pool.dataset.size**2


def open_cells(pool: Pool, state: State, where: SliceId) -> Regions:
    """List a slice's regions that have no answer."""
    return tuple(cell for cell in pool.regions(where) if cell.key not in state.by_key)


def holding(cells: Sequence[Region], clicks: Sequence[Click]) -> Regions:
    """List the regions that hold a click."""
    return tuple(cell for cell in cells if any(cell.contains(c.row, c.col) for c in clicks))


def answered_by_a_sweep(pool: Pool, cells: Regions, clicks: Sequence[Click]) -> Regions:
    """List those of a slice's open regions that a sweep answers.

    Not those that show nothing, as mere air, unless they were clicked.
    """
    if not cells:
        return ()
    where = cells[0].where
    names = zip(pool.regions(where), pool.left_out(where), strict=True)
    bare = {cell.key for cell, left_out in names if left_out}
    picked = {cell.key for cell in holding(cells, clicks)}
    return tuple(cell for cell in cells if cell.key not in bare or cell.key in picked)


def _area(region: Region) -> int:
    mask = region.mask
    return region.height * region.width if mask is None else int(mask.sum())
