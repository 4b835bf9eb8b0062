"""The strip: every region that was answered, then those that are open, one tile each."""

from __future__ import annotations

from dataclasses import dataclass

from alnb.regions import Region
from alnb.session import State

STRIP = 13  # regions shown at once; with an arrow on each side they fill the view's width


@dataclass(frozen=True, slots=True)
class Tile:
    """One region in the strip."""

    region: Region
    mark: str  # infected, clean, skipped, open
    current: bool


@dataclass(frozen=True, slots=True)
class Strip:
    """What of the history is shown.

    Parameters
    ----------
    tiles : tuple of Tile
        At most `STRIP`.
    earlier, later : int
        How many there are to the left and to the right of them.
    """

    tiles: tuple[Tile, ...]
    earlier: int
    later: int


def regions_of(state: State, current: Region | None = None) -> tuple[Region, ...]:
    """List the strip's regions: answered ones, oldest first, then the open ones."""
    regions = {answer.region.key: answer.region for answer in state.answers}
    for region in state.pending:
        regions.setdefault(region.key, region)
    if current is not None:
        regions.setdefault(current.key, current)
    return tuple(regions.values())


def strip(state: State, current: Region | None, begin: int | None = None) -> Strip:
    """Show the tiles from a number on, or those around the current one.

    Parameters
    ----------
    state : State
        Of the session.
    current : Region or None
        The one on screen.
    begin : int, optional
        Which tile is the first; None follows the current one.
    """
    verdicts = {answer.region.key: str(answer.verdict) for answer in state.answers}
    regions = regions_of(state, current)
    keys = [region.key for region in regions]
    at = keys.index(current.key) if current is not None else len(keys)
    start = at - STRIP // 2 if begin is None else begin
    start = max(0, min(start, len(keys) - STRIP))
    tiles = tuple(
        Tile(region, verdicts.get(region.key, "open"), number == at)
        for number, region in enumerate(regions[start : start + STRIP], start)
    )
    return Strip(tiles, start, len(keys) - start - len(tiles))


def neighbour(state: State, current: Region | None, step: int) -> Region | None:
    """Find the region so many tiles after (or, below 0, before) the current one."""
    regions = regions_of(state, current)
    keys = [region.key for region in regions]
    at = (keys.index(current.key) if current is not None else len(keys)) + step
    return regions[at] if 0 <= at < len(regions) else None
