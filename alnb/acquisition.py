"""Which regions to ask about next: a heuristic scores pixels, regions take their scores.

A heuristic turns a `Posterior` into a `Map` in which higher is more wanted. `random` needs no
network: its scores are drawn by `random_scores`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alnb.arrays import Map
from alnb.config import RegionScore
from alnb.errors import ConfigError
from alnb.posterior import Posterior
from alnb.regions import Region

Heuristic = Callable[[Posterior], Map]
Scores = NDArray[np.float64]

RANDOM = "random"


def predictive_entropy(posterior: Posterior) -> Map:
    """Score a pixel by the entropy of the mean prediction (paper 3, after eq. 2)."""
    return posterior.predictive_entropy


def bald(posterior: Posterior) -> Map:
    """Score a pixel by the mutual information of prediction and network (Houlsby et al. 2011)."""
    return posterior.mutual_information


HEURISTICS: Mapping[str, Heuristic] = {"entropy": predictive_entropy, "bald": bald}


def check_heuristic(name: str) -> str:
    """Return the name of a heuristic if there is one of that name.

    Raises
    ------
    ConfigError
        If there is none; the sentence lists those there are.
    """
    if name != RANDOM and name not in HEURISTICS:
        raise ConfigError(
            f"heuristic {name!r} is unknown; there are {', '.join([*HEURISTICS, RANDOM])}."
        )
    return name


_REDUCE: Mapping[RegionScore, Callable[[Map], np.floating[Any]]] = {
    "mean": np.mean, "max": np.max, "sum": np.sum,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pick:
    """A region worth asking about, and how much: a higher score is more wanted."""

    region: Region
    score: float


def region_scores(score: Map, regions: Sequence[Region], how: RegionScore = "mean") -> Scores:
    """Reduce a slice's score map to one score for each region.

    Parameters
    ----------
    score : (H, W) float array
        A heuristic's map of the slice.
    regions : sequence of K Region
        Of that slice.
    how : {"mean", "max", "sum"}
        The paper states both of the mean and the largest of the region's pixels (section 3). By
        their sum (ours) a large region, which costs no more to answer, is worth more than a small
        one as uncertain; among regions of one size it ranks as the mean does.

    Returns
    -------
    (K,) float64 array
        In the order of `regions`.
    """
    reduce = _REDUCE[how]
    return np.array([reduce(region.pixels(score)) for region in regions], dtype=np.float64)


def random_scores(shape: tuple[int, ...], rng: np.random.Generator) -> Scores:
    """Draw scores, uniform in [0, 1): the random heuristic (paper 3)."""
    return rng.random(shape)


def rank(scores: Scores, count: int, *, one_a_slice: bool = True) -> tuple[tuple[int, int], ...]:
    """Find the best regions of a pool.

    Parameters
    ----------
    scores : (N, K) float64 array
        For N slices of K regions each; higher is more wanted, NaN is out of the pool.
    count : int
        How many to find at most.
    one_a_slice : bool
        Take the best region of each of the best slices (paper 3). Where there are fewer slices
        than `count`, their second best follow, and so on.

    Returns
    -------
    tuple of at most `count` (n, k)
        Best first; equal scores keep the pool's order.

    Examples
    --------
    >>> rank(np.array([[0.1, 0.9, 0.8], [0.2, np.nan, 0.3]]), 3)
    ((0, 1), (1, 2), (0, 2))
    """
    n, k = np.nonzero(~np.isnan(scores))
    best = np.argsort(-scores[n, k], kind="stable")
    n, k = n[best], k[best]
    if one_a_slice:
        turn = np.zeros(len(n), dtype=np.intp)
        by_slice = np.argsort(n, kind="stable")
        starts = np.flatnonzero(np.diff(n[by_slice], prepend=-1))
        lengths = np.diff(np.append(starts, len(n)))
        turn[by_slice] = np.arange(len(n)) - np.repeat(starts, lengths)
        order = np.argsort(turn, kind="stable")
        n, k = n[order], k[order]
    return tuple(zip(n[:count].tolist(), k[:count].tolist(), strict=True))
