"""Which regions to ask about next: a heuristic scores pixels, regions take their scores.

A heuristic turns a `Posterior` into a `Map` in which higher is more wanted; other packages bring
theirs as `plugins`. `random` and `foreground_random` need no network: their scores are drawn by
`random_scores`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alnb.plugins import load_plugin, plugin_names
from alnb.arrays import Map
from alnb.config import Config, RegionScore
from alnb.errors import ConfigError
from alnb.posterior import Posterior
from alnb.regions import Region

Heuristic = Callable[[Posterior], Map]
Scores = NDArray[np.float64]

RANDOM = "random"
FOREGROUND_RANDOM = "foreground_random"  # ours: random among regions that hold some lung
INFECTED = "infected"  # beside the heuristics' scores: how much of a region may be infected


def predictive_entropy(posterior: Posterior) -> Map:
    """Score a pixel by the entropy of the mean prediction (paper 3, after eq. 2)."""
    return posterior.predictive_entropy


def bald(posterior: Posterior) -> Map:
    """Score a pixel by the mutual information of prediction and network (Houlsby et al. 2011)."""
    return posterior.mutual_information


def margin(posterior: Posterior) -> Map:
    """Score a pixel by how little the likelier class leads (Scheffer et al. 2001).

    1 − |2p − 1|, in [0, 1]. Of two classes it ranks pixels as their entropy does, but is linear
    in p where entropy is curved, so that the means of regions may rank otherwise.
    """
    return 1 - np.abs(2 * posterior.mean - 1)


def least_confidence(posterior: Posterior) -> Map:
    """Score a pixel by what the likelier class lacks of certainty (Lewis and Gale 1994).

    1 − max(p, 1 − p), in [0, 0.5]. Of two classes this is half the `margin`: the picks are the
    same.
    """
    return np.minimum(posterior.mean, 1 - posterior.mean)


def infected(posterior: Posterior) -> Map:
    """Return the probability that a pixel is infected: no heuristic, but what costs follow from."""
    return posterior.mean


HEURISTICS: Mapping[str, Heuristic] = {
    "entropy": predictive_entropy,
    "bald": bald,
    "margin": margin,
    "least_confidence": least_confidence,
}


def needs_network(name: str) -> bool:
    """Tell whether a heuristic scores what a network says."""
    return name not in (RANDOM, FOREGROUND_RANDOM)


def check_heuristic(name: str) -> str:
    """Return the name of a heuristic if there is one of that name.

    A package's is not loaded; one that is named as one of ours is not used.

    Raises
    ------
    ConfigError
        If there is none; the sentence lists those there are.
    """
    ours = (*HEURISTICS, RANDOM, FOREGROUND_RANDOM)
    if name not in ours and name not in (theirs := plugin_names()):
        raise ConfigError(
            f"heuristic {name!r} is unknown; there are {', '.join((*ours, *theirs))}."
        )
    return name


def scored_by(config: Config) -> dict[str, Heuristic]:
    """List what regions are scored by: our heuristics, and what the settings need beside them.

    Raises
    ------
    ConfigError
        If there is no heuristic of the name in `config`, or a package's can't be loaded.
    """
    scored = dict(HEURISTICS)
    name = check_heuristic(config.heuristic)
    if needs_network(name) and name not in scored:
        scored[name] = load_plugin(name)
    return scored | ({INFECTED: infected} if config.per_second else {})


_REDUCE: Mapping[RegionScore, Callable[[Map], np.floating[Any]]] = {
    "mean": np.mean, "max": np.max, "sum": np.sum,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pick:
    """A region worth asking about, and how much: a higher score is more wanted.

    One that is a repeat was answered before, and is asked again to see whether answers agree.
    """

    region: Region
    score: float
    repeat: bool = False


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


def touching(one: Region, other: Region) -> bool:
    """Tell whether two regions are neighbours.

    In a slice if their rectangles share an edge or a corner; in slices that follow each other if
    their rectangles lie over each other, in part at least.
    """
    gap = abs(one.where.z - other.where.z)
    if one.where.scan != other.where.scan or gap > 1:
        return False
    reach = 1 - gap
    return (
        one.row < other.row + other.height + reach
        and other.row < one.row + one.height + reach
        and one.col < other.col + other.width + reach
        and other.col < one.col + one.width + reach
    )


def check_not_negative(scores: Scores, config: Config) -> None:
    """Make sure that scores can be set against a price, and have a logarithm.

    Parameters
    ----------
    scores : (N, K) float array
        NaN is no region.
    config : Config

    Raises
    ------
    ConfigError
        If one is negative, as those of a package's heuristic may be.
    """
    if (scores < 0).any():
        raise ConfigError(
            "settings per_second and power need scores that aren't negative; some of heuristic "
            f"{config.heuristic!r} are."
        )


def power_noise(scores: Scores, beta: float, rng: np.random.Generator) -> Scores:
    """Blur a ranking, so that a batch is not all of one kind.

    Parameters
    ----------
    scores : (N, K) float64 array
        Not negative; NaN is out of the pool, and stays so.
    beta : float
        Above 0; the higher, the less noise.
    rng : numpy.random.Generator
        Draws N·K numbers, whatever is open.

    Returns
    -------
    (N, K) float64 array
        log(score) + Gumbel(0, 1/beta): the best n of them are n regions drawn one after the other
        with probabilities proportional to score^beta.

    References
    ----------
    Kirsch et al. 2021, arXiv 2106.12059: PowerBALD.
    """
    noise = rng.gumbel(scale=1 / beta, size=scores.shape)
    noisy: Scores = np.log(np.maximum(scores, np.finfo(np.float64).tiny)) + noise
    return noisy


def expected_price(infected: Scores, paid: Sequence[tuple[float, float]], click_s: float) -> Scores:
    """Estimate what regions would cost, from what others cost (ours).

    A region costs a click if the network sees no infection in it, and more in proportion to what it
    sees: the factor is fitted to the answers by least squares. Where every answer costs a click,
    as those that the paper's annotator gives, so does every region.

    Parameters
    ----------
    infected : (N, K) float64 array
        The probability of infection in each region, in [0, 1], reduced as its score is.
    paid : sequence of (float, float)
        Of answered regions: that probability, and the price in nominal seconds.
    click_s : float
        The price of a click, in nominal seconds.

    Returns
    -------
    (N, K) float64 array
        Nominal seconds, at least `click_s`.
    """
    seen, prices = np.array(paid, dtype=np.float64).reshape(-1, 2).T
    weight = float((seen**2).sum())
    factor = max(0.0, float((seen * (prices - click_s)).sum()) / weight) if weight else 0.0
    return click_s + factor * infected
