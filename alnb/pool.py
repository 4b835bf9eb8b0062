"""The pool: which regions can be asked about, and which of them are asked next."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from alnb.acquisition import (
    FOREGROUND_RANDOM,
    Pick,
    check_heuristic,
    needs_network,
    rank,
)
from alnb.annotation import Verdict
from alnb.arrays import Mask
from alnb.config import Config
from alnb.dataset import Dataset, SliceId
from alnb.regions import Region, Tiling, bare, in_lungs, tiling
from alnb.state import State

REPEAT_AFTER = 10  # ours: answers until a region may be asked again, so that it isn't remembered


@dataclass(frozen=True)
class Pool:
    """The regions of a dataset's train part, as a table of N slices by K regions."""

    dataset: Dataset
    config: Config

    @cached_property
    def slices(self) -> tuple[SliceId, ...]:
        """The N slices to ask about."""
        return self.dataset.part("train")

    @cached_property
    def _row_of(self) -> dict[SliceId, int]:
        return {where: n for n, where in enumerate(self.slices)}

    @cached_property
    def regions(self) -> Tiling:
        """Lists the regions of a slice, in the order of the table's columns; at most K."""
        return tiling(self.dataset, self.config)

    @property
    def shape(self) -> tuple[int, int]:
        """(N, K)."""
        return len(self.slices), self.config.regions_per_slice

    def open(self, scores: NDArray[np.float64], state: State) -> NDArray[np.float64]:
        """Return a float64 copy of the (N, K) scores with NaN where a region can't be asked.

        It can't if it was answered, or shares a pixel with one that was. A row holds the scores of
        a slice's regions; higher is more wanted, NaN is no region.
        """
        scores = scores.astype(np.float64)
        for answer in state.answers:
            n = self._row_of.get(answer.region.where)
            if n is not None:
                scores[n, self._columns_of(answer.region)[1]] = np.nan
        return scores

    def place(self, region: Region) -> tuple[int, int] | None:
        """Find a region in the table: (n, k); None if it is not there."""
        n = self._row_of.get(region.where)
        k = None if n is None else self._columns_of(region)[0]
        return None if n is None or k is None else (n, k)

    @cached_property
    def _found(self) -> dict[str, tuple[int | None, NDArray[np.intp]]]:
        return {}

    def _columns_of(self, region: Region) -> tuple[int | None, NDArray[np.intp]]:
        """Find a region's column, None if it has none, and all that share a pixel with it."""
        if region.key not in self._found:
            drawn = region.drawn((self.dataset.size, self.dataset.size))
            regions = self.regions(region.where)
            sharing = np.flatnonzero([other.pixels(drawn).any() for other in regions])
            own = next((k for k in sharing.tolist() if regions[k] == region), None)
            self._found[region.key] = own, sharing
        return self._found[region.key]

    def picks(
        self,
        scores: NDArray[np.float64],
        count: int,
        *,
        one_a_slice: bool,
        lungs_first: bool = False,
    ) -> tuple[Pick, ...]:
        """Pick the best of the open regions, most wanted first, without those that show nothing.

        Only slices that are about to be picked are looked at, whatever the size of the pool.

        Parameters
        ----------
        scores : (N, K) float array
            As `open` returns it: NaN can't be asked.
        count : int
            How many at most.
        one_a_slice : bool
            Whether a slice gives one at most.
        lungs_first : bool
            Whether other regions follow those that hold lung; scores must be in [0, 1) then.
        """
        scores = scores.copy()
        looked_at: set[int] = set()
        while True:
            best = rank(scores, count, one_a_slice=one_a_slice)
            new = {n for n, _ in best} - looked_at
            if not new:
                break
            for n in new:
                left_out = self.left_out(self.slices[n])
                scores[n, np.flatnonzero(left_out)] = np.nan
                scores[n, len(left_out) :] = np.nan  # the table may have columns beyond
                if lungs_first:
                    scores[n, np.flatnonzero(~self._lungs(self.slices[n]))] -= 1
            looked_at |= new
        return tuple(Pick(self.regions(self.slices[n])[k], float(scores[n, k])) for n, k in best)

    def _lungs(self, where: SliceId) -> Mask:
        return in_lungs(self.dataset.image(where), self.regions(where))

    def left_out(self, where: SliceId) -> Mask:
        """Tell of each of its regions whether it is never asked since it shows nothing."""
        regions = self.regions(where)
        if self.config.ask_bare:
            return np.zeros(len(regions), dtype=bool)
        return bare(self.dataset.raw(where), regions, hu=self.dataset.unit(where) == "hu")


def start_picks(pool: Pool) -> tuple[Pick, ...]:
    """Choose what to ask before there is a network.

    Either random regions, one a slice as long as there are slices, a share of them where there
    is lung (ours); or all regions of random slices (paper 4.1).
    """
    config = pool.config
    rng = np.random.default_rng([config.seed, 0])
    scores = pool.open(rng.random(pool.shape), State(config))
    if config.start == "regions":
        wanted = pool.dataset.resolve(config).start_regions
        _prefer_lungs(pool, scores, rng, round(config.start_in_lungs * wanted))
        return pool.picks(scores, wanted, one_a_slice=True)
    count = min(config.start_slices, len(pool.slices))
    chosen = rng.choice(len(pool.slices), size=count, replace=False)
    return tuple(
        Pick(region, float(score))
        for n in chosen.tolist()
        for region, left_out, score in zip(
            pool.regions(pool.slices[n]), pool.left_out(pool.slices[n]), scores[n], strict=False
        )  # the table may have columns beyond
        if not (left_out or np.isnan(score))
    )


def _prefer_lungs(
    pool: Pool, scores: NDArray[np.float64], rng: np.random.Generator, wanted: int
) -> None:
    """Raise the random scores of lung regions in as many slices as the start should find lung in.

    Only so many slices are looked at, so that a start costs the same in a pool of any size.
    """
    for n in rng.permutation(len(pool.slices)).tolist():
        if wanted < 1:
            return
        lungs = np.flatnonzero(pool._lungs(pool.slices[n]))
        if len(lungs):
            scores[n, lungs] += 1
            wanted -= 1


def affordable(picks: Sequence[Pick], state: State) -> tuple[Pick, ...]:
    """Leave out the picks that the budget has no seconds for, at one click a region."""
    if math.isinf(state.left_s):
        return tuple(picks)
    return tuple(picks[: int(state.left_s // state.config.click_s)])


def next_picks(
    pool: Pool, state: State, scores: Mapping[str, NDArray[np.float64]]
) -> tuple[Pick, ...]:
    """Choose what to ask next.

    Parameters
    ----------
    pool, state
        All regions, and which of them are answered.
    scores : mapping of heuristic to (N, K) float array
        As `Learner.score` gives them; the random ones need none.

    Returns
    -------
    tuple of Pick
        At most `Config.regions_per_cycle`, and no more than the budget can pay for; empty when
        every region is answered.

    Raises
    ------
    ConfigError
        If there is no heuristic of the name in `Config`.
    """
    config = pool.config
    rng = np.random.default_rng([config.seed, state.cycle + 1])
    if needs_network(check_heuristic(config.heuristic)):
        table = pool.open(scores[config.heuristic], state)
        one_a_slice = config.one_region_a_slice
    else:
        table = pool.open(rng.random(pool.shape), state)
        one_a_slice = False  # it draws regions, not slices: the paper's baseline (3)
    picks = pool.picks(
        table,
        config.regions_per_cycle,
        one_a_slice=one_a_slice,
        lungs_first=config.heuristic == FOREGROUND_RANDOM,
    )
    return affordable(_with_repeats(pool, state, picks), state)


def _with_repeats(pool: Pool, state: State, picks: tuple[Pick, ...]) -> tuple[Pick, ...]:
    """Hide regions that were answered some time ago among those to ask, each once."""
    share = pool.config.repeats
    if not (share and picks):
        return picks
    rng = np.random.default_rng([pool.config.seed, state.cycle + 1, 1])
    wanted = int(share * len(picks) / (1 - share) + rng.random())
    before = {first.region.key for first, _ in state.repeated}
    old = [
        answer.region
        for answer in state.answers[: -max(REPEAT_AFTER, len(state.asked))]
        if answer.verdict is not Verdict.SKIPPED and answer.region.key not in before
    ]
    mixed = list(picks)
    for n in rng.permutation(len(old))[:wanted].tolist():
        place = int(rng.integers(len(mixed) + 1))
        mixed.insert(place, Pick(old[n], picks[-1].score, repeat=True))
    return tuple(mixed)
