"""The pool: which regions can be asked about, and which of them are asked next."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alnb.acquisition import FOREGROUND_RANDOM, Pick, check_heuristic, needs_network, rank
from alnb.annotation import Answer, Verdict
from alnb.arrays import Mask
from alnb.config import Config
from alnb.dataset import Dataset, Share, SliceId, share_of
from alnb.regions import Region, Tiling, bare, in_lungs, tiling
from alnb.state import State
from alnb.storage import read_arrays, scores_path

ScoreTables = Mapping[str, NDArray[np.float64]]
"""For each heuristic the scores of N slices by K regions, (N, K); higher is more wanted."""

LOOKED_AT = 16  # slices searched at once for an open region: most often the first have one
REPEAT_AFTER = 10  # ours: answers until a region may be asked again, so that it isn't remembered


class _LeftOut:
    """Which regions are not asked, (N, K), as far as their slices were looked at.

    Parameters
    ----------
    shape : (N, K)
    find : callable
        Takes a row, returns for each of that slice's regions whether it is left out.
    """

    def __init__(self, shape: tuple[int, int], find: Callable[[int], Mask]) -> None:
        self.known: Mask = np.zeros(shape, dtype=bool)
        self.looked: Mask = np.zeros(shape[0], dtype=bool)
        self._find = find

    def of(self, n: int) -> Mask:
        """Return row n, (K,), which is looked at once."""
        if not self.looked[n]:
            found = self._find(n)
            self.known[n] = True  # the table may have columns beyond
            self.known[n, : len(found)] = found
            self.looked[n] = True
        row: Mask = self.known[n]
        return row


@dataclass(frozen=True)
class Pool:
    """The regions of a dataset's train part, as a table of N slices by K regions.

    Where several people share the part (`Config.shares`), of this person's slices.
    """

    dataset: Dataset
    config: Config

    @cached_property
    def slices(self) -> tuple[SliceId, ...]:
        """The N slices to ask about: those dealt to this person, in the dataset's order."""
        dealt = set(self._share.own + self._share.common)
        return tuple(where for where in self.dataset.part("train") if where in dealt)

    @cached_property
    def _share(self) -> Share:
        return share_of(self.dataset, self.config)

    @cached_property
    def common(self) -> frozenset[SliceId]:
        """The slices that are common to all people; empty where the pool is not shared."""
        return frozenset(self._share.common)

    @cached_property
    def _row_of(self) -> dict[SliceId, int]:
        return {where: n for n, where in enumerate(self.slices)}

    @cached_property
    def scan_numbers(self) -> NDArray[np.intp]:
        """Number the scan of each slice, (N,)."""
        numbers = {scan: number for number, scan in enumerate(self.dataset.scans)}
        return np.array([numbers[where.scan] for where in self.slices], dtype=np.intp)

    def row(self, where: SliceId) -> int:
        """Find the row of one of the slices."""
        return self._row_of[where]

    def answered(self, answers: Iterable[Answer]) -> NDArray[np.intp]:
        """Count the answers on each slice, (N,)."""
        rows = [self._row_of.get(answer.region.where, -1) for answer in answers]
        return np.bincount([n for n in rows if n >= 0], minlength=len(self.slices))

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

    def own(self, scores: NDArray[np.float64], state: State) -> NDArray[np.float64]:
        """Return `open` scores without the slices that are common to all people.

        What all are asked has an order of its own: see `with_common`.
        """
        scores = self.open(scores, state)
        scores[[self.row(where) for where in self._share.common]] = np.nan
        return scores

    def common_picks(self, state: State, count: int) -> tuple[Pick, ...]:
        """List what all people are asked, next first, at most `count`: the same for everybody.

        In the lungs, regions that are mostly aerated come first: of others a person often sees that
        nobody would disagree.
        """
        if not count:
            return ()
        rng = np.random.default_rng(self._share.seeds)
        scores = np.full(self.shape, np.nan)
        for where in self._share.common:
            scores[self.row(where)] = rng.random(self.shape[1])
        waiting = {region.key for region in state.pending}
        scores = self.open(scores, state)
        for left_out in ((self._airless,) if self.lungs_first else ()) + self._places:
            picks = self._picks(scores, count + len(waiting), left_out, one_a_slice=False)
            if left := [pick for pick in picks if pick.region.key not in waiting]:
                return tuple(left[:count])
        return ()

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
        self, scores: NDArray[np.float64], count: int, *, one_a_slice: bool
    ) -> tuple[Pick, ...]:
        """Pick the best of the open regions, most wanted first, as `Config.ask_in` wants them.

        Regions outside the lungs follow where none in them is open. Only slices that are about to
        be picked are looked at, whatever the size of the pool.

        Parameters
        ----------
        scores : (N, K) float array
            As `open` returns it: NaN can't be asked.
        count : int
            How many at most.
        one_a_slice : bool
            Whether a slice gives one at most.
        """
        for left_out in self._places:
            if found := self._picks(scores, count, left_out, one_a_slice=one_a_slice):
                return found
        return ()

    @property
    def _places(self) -> tuple[_LeftOut, ...]:
        """Where to ask, first and at last."""
        return (self._no_lung, self._bare) if self.lungs_first else (self._bare,)

    @property
    def lungs_first(self) -> bool:
        """Whether regions outside the lungs are asked only when none in them is open."""
        return self.config.ask_in == "lungs" or self.config.heuristic == FOREGROUND_RANDOM

    def holds_lung(self, region: Region) -> bool:
        """Tell whether a region of the table holds some lung, as `regions.in_lungs` finds it."""
        place = self.place(region)
        return place is not None and not self._no_lung.of(place[0])[place[1]]

    def look(self, where: SliceId) -> None:
        """Look at a slice that may be asked about, so that no question waits for it."""
        for left_out in self._places:
            left_out.of(self.row(where))

    def _picks(
        self,
        scores: NDArray[np.float64],
        count: int,
        left_out: _LeftOut,
        *,
        one_a_slice: bool,
    ) -> tuple[Pick, ...]:
        scores = np.where(left_out.known, np.nan, scores)
        while True:
            best = rank(scores, count, one_a_slice=one_a_slice)
            new = [n for n in {n for n, _ in best} if not left_out.looked[n]]
            if not new:
                break
            for n in new:
                scores[n, left_out.of(n)] = np.nan
        return tuple(Pick(self.regions(self.slices[n])[k], float(scores[n, k])) for n, k in best)

    def askable(self, scores: NDArray[np.float64], picks: Sequence[Pick]) -> NDArray[np.float64]:
        """Return a copy of the (N, K) scores, NaN where a region was passed over for these picks.

        Only slices are looked at that have a score as high as the lowest pick's.
        """
        scores = scores.copy()
        first = self.place(picks[0].region) if picks else None
        if first is not None:
            row, column = first
            asked = (left_out for left_out in self._places if not left_out.of(row)[column])
            left_out = next(asked, self._bare)
            least = min(pick.score for pick in picks)
            for n in np.unique(np.nonzero(scores >= least)[0]).tolist():
                scores[n, left_out.of(n)] = np.nan
        return scores

    def spread(
        self,
        scores: NDArray[np.float64],
        state: State,
        count: int,
        *,
        aerated_first: bool = False,
    ) -> tuple[Pick, ...]:
        """Pick as `picks`, from the slices with the fewest answers first.

        Parameters
        ----------
        scores, count
            As for `picks`.
        state : State
            Its answers are counted.
        aerated_first : bool
            Whether regions that are mostly aerated lung go before others in the lungs.
        """
        answered = self.answered(state.answers)
        found: tuple[Pick, ...] = ()
        first = (self._airless,) if aerated_first and self.lungs_first else ()
        for left_out in (*first, *self._places):
            for fewest in np.unique(answered):
                here = np.where((answered == fewest)[:, None], scores, np.nan)
                found += self._picks(here, count - len(found), left_out, one_a_slice=True)
                if len(found) == count:
                    return found
            if found:
                break
        return found

    def left(self, state: State) -> bool:
        """Tell whether a region is open."""
        scores = self.open(np.zeros(self.shape), state)
        return bool(state.pending or self.picks(scores, LOOKED_AT, one_a_slice=True))

    @cached_property
    def _no_lung(self) -> _LeftOut:
        """Regions that hold no lung, or show nothing."""
        return self._outside(aerated=False)

    @cached_property
    def _airless(self) -> _LeftOut:
        """Regions that are not mostly aerated lung."""
        return self._outside(aerated=True)

    def _outside(self, *, aerated: bool) -> _LeftOut:
        def find(n: int) -> Mask:
            where, regions = self.slices[n], self.regions(self.slices[n])
            hu = self._is_hu(where)
            lungs = in_lungs(self.dataset.raw(where), regions, hu=hu, aerated=aerated)
            return ~lungs | self._bare.of(n)[: len(regions)]

        return _LeftOut(self.shape, find)

    @cached_property
    def _bare(self) -> _LeftOut:
        """Regions that show nothing; none where they are asked about all the same."""

        def find(n: int) -> Mask:
            where, regions = self.slices[n], self.regions(self.slices[n])
            if self.config.ask_in == "anywhere":
                return np.zeros(len(regions), dtype=bool)
            return bare(self.dataset.raw(where), regions, hu=self._is_hu(where))

        return _LeftOut(self.shape, find)

    def _is_hu(self, where: SliceId) -> bool:
        return self.dataset.unit(where) == "hu"

    def left_out(self, where: SliceId) -> Mask:
        """Tell of each of its regions whether it is never asked since it shows nothing."""
        return self._bare.of(self.row(where))[: len(self.regions(where))]


def kept_tables(cache: Path, weights: str, shape: tuple[int, int]) -> ScoreTables:
    """Read the scores that a network's folder keeps, by heuristic, without those that don't fit.

    Parameters
    ----------
    cache : Path
    weights : str
        The network's name.
    shape : (int, int)
        As `Pool.shape`.
    """
    tables = read_arrays(scores_path(cache, weights))
    return {
        name: table
        for name, table in tables.items()
        if table.shape == shape and table.dtype.kind == "f"
    }


def start_picks(pool: Pool) -> tuple[Pick, ...]:
    """Choose what to ask before there is a network.

    Either random regions, one a slice as long as there are slices (ours); or all regions of random
    slices (paper 4.1).
    """
    config = pool.config
    rng = np.random.default_rng([config.seed, 0])
    empty = State(config)
    scores = pool.own(rng.random(pool.shape), empty)
    if config.start == "regions":
        count = pool.dataset.resolve(config).start_regions
        return with_common(pool, empty, pool.picks(scores, count, one_a_slice=True))
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
        table = pool.own(scores[config.heuristic], state)
        one_a_slice = config.one_region_a_slice
    else:
        table = pool.own(rng.random(pool.shape), state)
        one_a_slice = False  # it draws regions, not slices: the paper's baseline (3)
    picks = pool.picks(table, config.regions_per_cycle, one_a_slice=one_a_slice)
    return affordable(with_repeats(pool, state, with_common(pool, state, picks)), state)


def with_common(pool: Pool, state: State, picks: tuple[Pick, ...]) -> tuple[Pick, ...]:
    """Ask what is common to all people in place of some of these regions.

    Of all questions so far and these, `Config.overlap` are common ones. So people can be compared
    however few regions each has answered.

    Parameters
    ----------
    pool, state
        As for `next_picks`.
    picks : tuple of Pick
        To ask, the least wanted last.
    """
    if not pool.common:
        return picks
    if not picks:  # this person's own slices are done
        return pool.common_picks(state, pool.config.regions_per_cycle)
    asked = [Region.parse(key).where in pool.common for key in state.ever_asked]
    due = math.ceil(pool.config.overlap * (len(asked) + len(picks))) - sum(asked)
    mixed = pool.common_picks(state, min(max(due, 0), len(picks)))
    return mixed + picks[: len(picks) - len(mixed)]


def with_repeats(pool: Pool, state: State, picks: tuple[Pick, ...]) -> tuple[Pick, ...]:
    """Hide regions that were answered some time ago among those to ask, each once.

    Where the live layer asks, a repeat stands before the one region that would be asked.

    Parameters
    ----------
    pool, state
        As for `next_picks`.
    picks : tuple of Pick
        To ask.
    """
    share = pool.config.repeats
    if not (share and picks):
        return picks
    turn, odds = state.cycle + 1, share / (1 - share)
    if state.live:
        turn, odds = len(state.given), share
    rng = np.random.default_rng([pool.config.seed, turn, 1])
    wanted = int(odds * len(picks) + rng.random())
    before = {first.region.key for first, _ in state.repeated}
    old = [
        answer.region
        for answer in state.answers[: -max(REPEAT_AFTER, len(state.asked))]
        if not (answer.verdict is Verdict.SKIPPED or answer.session)  # another's is no repeat
        and answer.region.key not in before
    ]
    mixed = list(picks)
    for n in rng.permutation(len(old))[:wanted].tolist():
        place = 0 if state.live else int(rng.integers(len(mixed) + 1))
        mixed.insert(place, Pick(old[n], picks[-1].score, repeat=True))
    return tuple(mixed)
