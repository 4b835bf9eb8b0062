"""Why a region is asked about: its scores and ranks, and what other heuristics would have asked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alnb.acquisition import HEURISTICS, needs_network
from alnb.config import Config
from alnb.pool import Pool
from alnb.regions import Region
from alnb.state import State

Tables = Mapping[str, NDArray[np.float64]]
MAY_REPEAT = (
    "Some questions come twice in this session, unmarked; scores would tell which, so none are "
    "shown."
)


@dataclass(frozen=True, slots=True)
class Reason:
    """What one heuristic makes of a region.

    Parameters
    ----------
    heuristic : str
    score : float
        Of the region; nats for entropy and bald.
    rank : int
        Among the regions that were open, from 1; equal scores share the better rank.
    of : int
        How many were open.
    place : int
        Where it stands among those that the heuristic would have asked, from 1; 0 if not there.
    """

    heuristic: str
    score: float
    rank: int
    of: int
    place: int


@dataclass(frozen=True, slots=True)
class Why:
    """Why a region is asked about.

    Parameters
    ----------
    sentence : str
        In words.
    reasons : tuple of Reason
        That of the session's heuristic first; empty where no network scored it.
    chance : float
        That random would have asked it in this cycle, in [0, 1]; 0 where nothing was scored.
    mean : float or None
        Infection probability that the network gives the region, on average; None if unknown.
    """

    sentence: str
    reasons: tuple[Reason, ...] = ()
    chance: float = 0.0
    mean: float | None = None


def scored_by(state: State) -> str:
    """Name the weights whose scores chose the regions of this cycle; empty for the start."""
    earlier = [report for report in state.reports if report.cycle < state.cycle]
    return earlier[-1].fit.weights if earlier else ""


class Judge:
    """Explain the regions of one cycle.

    Parameters
    ----------
    pool : Pool
        All regions.
    state : State
        After the cycle was asked.
    tables : mapping of heuristic to (N, K) array
        The scores that chose it; empty where there are none.
    """

    def __init__(self, pool: Pool, state: State, tables: Tables) -> None:
        self._pool = pool
        asked = {pick.region.key for pick in state.asked}
        before = tuple(answer for answer in state.given if answer.region.key not in asked)
        self._asked = tuple(pick.region.key for pick in state.asked)
        self._own, self._cycle = state.config.heuristic, state.cycle
        then = dataclasses.replace(state, given=before)
        names = [name for name in tables if name == self._own or name in HEURISTICS]
        self._open = {name: pool.open(tables[name], then) for name in names}
        one = state.config.one_region_a_slice
        self._picks = {
            name: [pick.region.key for pick in pool.picks(scores, len(asked), one_a_slice=one)]
            for name, scores in self._open.items()
        }

    def why(self, region: Region, mean: float | None = None) -> Why:
        """Explain one region.

        Parameters
        ----------
        region : Region
            Any of the pool.
        mean : float or None
            Its mean infection probability, where it is known.
        """
        if region.key not in self._asked:
            return Why("You opened it yourself; this cycle did not ask about it.", mean=mean)
        place, count = self._asked.index(region.key) + 1, len(self._asked)
        if self._pool.config.repeats and self._cycle > 0:
            return Why(f"Number {place} of {count} {_by(self._own)}. {MAY_REPEAT}")
        if self._cycle <= 0:
            return Why(f"Start: {_drawn(self._pool.config)}; there is no network yet.", mean=mean)
        at = self._pool.place(region)
        if not needs_network(self._own) or self._own not in self._open or at is None:
            return Why(f"Number {place} of {count} {_by(self._own)}.", mean=mean)
        names = sorted(self._open, key=lambda name: name != self._own)  # the own one first
        reasons = tuple(self._reason(name, at, region.key) for name in names)
        chance = min(1.0, count / max(1, reasons[0].of))
        return Why(f"Number {place} of {count} by {self._own}.", reasons, chance, mean)

    def _reason(self, name: str, at: tuple[int, int], key: str) -> Reason:
        scores, picks = self._open[name], self._picks[name]
        score = float(scores[at])
        rank = int((scores > score).sum()) + 1
        place = picks.index(key) + 1 if key in picks else 0
        return Reason(name, score, rank, int((~np.isnan(scores)).sum()), place)


def _by(heuristic: str) -> str:
    return f"asked by {heuristic}" if needs_network(heuristic) else "drawn at random"


def _drawn(config: Config) -> str:
    """Say how the regions of a start are chosen, as `pool.start_picks` does."""
    if config.start == "slices":
        return "all regions of slices drawn at random"
    return "drawn at random, inside the lungs first" if config.start_in_lungs else "drawn at random"
