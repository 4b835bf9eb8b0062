"""Why a region is asked about: its scores and ranks, and what other heuristics would have asked."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alnb.acquisition import FOREGROUND_RANDOM, HEURISTICS, needs_network, rank
from alnb.config import Config
from alnb.cycle import ScoreTables
from alnb.pool import Pool
from alnb.regions import Region
from alnb.state import State

Scores = NDArray[np.float64]
MAY_REPEAT = (
    "This session asks some regions twice without saying which; scores would tell, so none are "
    "shown."
)


@dataclass(frozen=True, slots=True)
class Reason:
    """How one heuristic ranks a region.

    Parameters
    ----------
    heuristic : str
    score : float
        Of the region; nats for entropy and bald.
    rank : int
        In the order in which the heuristic would ask under the session's settings, from 1.
    of : int
        How many regions could be asked.
    place : int
        The rank, if this heuristic would have asked the region in this cycle; else 0.
    """

    heuristic: str
    score: float
    rank: int
    of: int
    place: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a region is asked about.

    Parameters
    ----------
    sentence : str
    reasons : tuple of Reason
        The session's heuristic first; empty where no network scored the region.
    chance : float
        Probability that random would have asked it in this cycle, in [0, 1]; 0 without scores.
    mean : float or None
        The network's mean infection probability in the region; None if unknown.
    """

    sentence: str
    reasons: tuple[Reason, ...] = ()
    chance: float = 0.0
    mean: float | None = None


def asking_weights(state: State) -> str:
    """Name the weights whose scores chose the regions of this cycle; empty for the start."""
    earlier = [report for report in state.reports if report.cycle < state.cycle]
    return earlier[-1].fit.weights if earlier else ""


class Explainer:
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

    def __init__(self, pool: Pool, state: State, tables: ScoreTables) -> None:
        self._pool = pool
        self._asked = {pick.region.key: n for n, pick in enumerate(state.asked, 1)}
        self._own, self._cycle = state.config.heuristic, state.cycle
        before = tuple(answer for answer in state.given if answer.region.key not in self._asked)
        then = dataclasses.replace(state, given=before)
        names = [name for name in tables if name == self._own or name in HEURISTICS]
        names.sort(key=lambda name: name != self._own)
        self._open = {name: self._askable(pool.open(tables[name], then)) for name in names}
        places = {pool.place(pick.region) for pick in state.asked}
        self._ranks = {name: self._ranked(scores, places) for name, scores in self._open.items()}

    def _askable(self, scores: Scores) -> Scores:
        """Drop regions that show nothing from the slices that a cycle would have looked at."""
        one = self._pool.config.one_region_a_slice
        picks = self._pool.picks(scores, len(self._asked), one_a_slice=one)
        least = min((pick.score for pick in picks), default=np.inf)
        for n in np.unique(np.nonzero(scores >= least)[0]).tolist():
            scores[n, np.flatnonzero(self._pool.left_out(self._pool.slices[n]))] = np.nan
        return scores

    def _ranked(
        self, scores: Scores, places: set[tuple[int, int] | None]
    ) -> dict[tuple[int, int], int]:
        """Rank these places of the table as the cycle ranks them, from 1."""
        order = rank(scores, scores.size, one_a_slice=self._pool.config.one_region_a_slice)
        return {place: n for n, place in enumerate(order, 1) if place in places}

    def explain(self, region: Region, mean: float | None = None) -> Explanation:
        """Explain one region of the pool; `mean` is its infection probability, where known."""
        if region.key not in self._asked:
            return Explanation(
                "You opened this region yourself; this cycle did not ask about it.", mean=mean
            )
        count = len(self._asked)
        number = f"Number {self._asked[region.key]} of {count}"
        if self._pool.config.repeats and self._cycle > 0:
            return Explanation(f"{number} {_by(self._own)}. {MAY_REPEAT}")
        if self._cycle <= 0:
            drawn = _drawn(self._pool.config)
            return Explanation(f"Start: {drawn}; there is no network yet.", mean=mean)
        place = self._pool.place(region)
        if place is None or self._own not in self._open or place not in self._ranks[self._own]:
            return Explanation(f"{number} {_by(self._own)}.", mean=mean)
        reasons = tuple(
            self._reason(name, place, count) for name in self._open if place in self._ranks[name]
        )
        chance = min(1.0, count / reasons[0].of)
        return Explanation(f"{number} by {self._own}.", reasons, chance, mean)

    def _reason(self, name: str, place: tuple[int, int], count: int) -> Reason:
        scores, ranked = self._open[name], self._ranks[name][place]
        of = int((~np.isnan(scores)).sum())
        return Reason(name, float(scores[place]), ranked, of, ranked if ranked <= count else 0)


def _by(heuristic: str) -> str:
    if needs_network(heuristic):
        return f"asked by {heuristic}"
    return _random(heuristic == FOREGROUND_RANDOM)


def _drawn(config: Config) -> str:
    """Say how the regions of a start are chosen, as `pool.start_picks` does."""
    if config.start == "slices":
        return "all regions of slices drawn at random"
    return _random(config.start_in_lungs > 0)


def _random(lungs_first: bool) -> str:
    return "drawn at random, inside the lungs first" if lungs_first else "drawn at random"
