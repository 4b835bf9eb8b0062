"""The strip: every region that was answered, then those that are open, one tile each."""

from __future__ import annotations

from dataclasses import dataclass

from alnb.regions import Region
from alnb.state import State

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


def regions_of(state: State, current: Region | None = None) -> dict[str, Region]:
    """Name the strip's regions by their keys: answered ones, oldest first, then the open ones."""
    regions = {key: answer.region for key, answer in state.by_key.items()}
    for region in (*state.pending, *([] if current is None else [current])):
        regions.setdefault(region.key, region)
    return regions


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
    regions = regions_of(state, current)
    keys = list(regions)
    at = keys.index(current.key) if current is not None else len(keys)
    start = at - STRIP // 2 if begin is None else begin
    start = max(0, min(start, len(keys) - STRIP))
    shown = keys[start : start + STRIP]
    tiles = tuple(Tile(regions[key], _mark(state, key), keys[at:][:1] == [key]) for key in shown)
    return Strip(tiles, start, len(keys) - start - len(tiles))


def _mark(state: State, key: str) -> str:
    return str(state.by_key[key].verdict) if key in state.by_key else "open"


def neighbour(state: State, current: Region | None, step: int) -> Region | None:
    """Find the region so many tiles after (or, below 0, before) the current one."""
    regions = regions_of(state, current)
    keys = list(regions)
    at = (keys.index(current.key) if current is not None else len(keys)) + step
    return regions[keys[at]] if 0 <= at < len(keys) else None
