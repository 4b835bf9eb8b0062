"""Which regions to ask about next: a heuristic scores pixels, regions take their scores.

A heuristic turns a `Posterior` into a `Map` in which higher is more wanted. `random` and
`foreground_random` need no network: their scores are drawn, uniform in [0, 1).

Other packages bring heuristics as entry points of the group ``alnb.heuristics``: functions that
take the `Posterior` of a slice and return an (H, W) array of finite numbers. The entry point names
the heuristic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alnb.arrays import Map, read_only
from alnb.config import Config, RegionScore
from alnb.errors import ConfigError
from alnb.posterior import Posterior
from alnb.regions import Region
from alnb.schema import shown

Heuristic = Callable[[Posterior], Map]
RegionScores = NDArray[np.float64]

GROUP = "alnb.heuristics"
RANDOM = "random"
FOREGROUND_RANDOM = "foreground_random"  # ours: random among regions that hold some lung


def margin(posterior: Posterior) -> Map:
    """Score a pixel by how little the likelier class leads (Scheffer et al. 2001).

    1 − |2p − 1|, in [0, 1]. With two classes it ranks pixels as their entropy does. But it is
    linear in p and entropy is curved, so the means of regions may rank differently.
    """
    return 1 - np.abs(2 * posterior.mean - 1)


def least_confidence(posterior: Posterior) -> Map:
    """Score a pixel by what the likelier class lacks of certainty (Lewis and Gale 1994).

    1 − max(p, 1 − p), in [0, 0.5]. With two classes this is half the `margin`: the same picks.
    """
    return np.minimum(posterior.mean, 1 - posterior.mean)


HEURISTICS: Mapping[str, Heuristic] = {
    "entropy": lambda posterior: posterior.predictive_entropy,  # paper 3, after eq. 2
    "bald": lambda posterior: posterior.mutual_information,  # Houlsby et al. 2011
    "margin": margin,
    "least_confidence": least_confidence,
}


def needs_network(name: str) -> bool:
    """Tell whether a heuristic scores the predictions of a network."""
    return name not in (RANDOM, FOREGROUND_RANDOM)


def check_heuristic(name: str) -> str:
    """Return the name of a heuristic if it is known.

    A package's heuristic is not loaded. One with the name of ours is not used.

    Raises
    ------
    ConfigError
        If it is unknown; the sentence lists the known names.
    """
    ours = (*HEURISTICS, RANDOM, FOREGROUND_RANDOM)
    if name not in ours and name not in (theirs := plugin_names()):
        raise ConfigError(
            f"heuristic {shown(name)} is unknown; there are {', '.join((*ours, *theirs))}."
        )
    return name


def heuristics_of(config: Config) -> dict[str, Heuristic]:
    """List the heuristics that score regions: ours, and that of a package if it is set.

    Raises
    ------
    ConfigError
        If there is no heuristic of the name in `config`, or a package's can't be loaded.
    """
    found = dict(HEURISTICS)
    name = check_heuristic(config.heuristic)
    if needs_network(name) and name not in found:
        found[name] = load_plugin(name)
    return found


@dataclass(frozen=True, slots=True)
class Pick:
    """A region to ask about, and its score: a higher score is more wanted.

    A repeat was answered before, and is asked again to see whether the answers agree. One that the
    person chose has no score.
    """

    region: Region
    score: float
    repeat: bool = False
    chosen: bool = False


def region_scores(score: Map, regions: Sequence[Region], how: RegionScore = "mean") -> RegionScores:
    """Reduce a slice's score map to one score for each region.

    Parameters
    ----------
    score : (H, W) float array
        A heuristic's map of the slice.
    regions : sequence of K Region
        Of that slice.
    how : {"mean", "max"}
        The paper states both: the mean and the largest of the region's pixels (section 3).

    Returns
    -------
    (K,) float64 array
    """
    pixels = [region.pixels(score) for region in regions]
    reduced = [one.max() if how == "max" else one.mean() for one in pixels]
    return np.array(reduced, dtype=np.float64)


def rank(
    scores: RegionScores, count: int, *, one_a_slice: bool = True
) -> tuple[tuple[int, int], ...]:
    """Find the best regions of a pool.

    Parameters
    ----------
    scores : (N, K) float64 array
        For N slices of K regions each; higher is more wanted, NaN is out of the pool.
    count : int
        How many to find at most.
    one_a_slice : bool
        Take the best region of each of the best slices (paper 3). If there are fewer slices than
        `count`, their second best regions follow, and so on.

    Returns
    -------
    tuple of at most `count` (n, k)
        Best first; equal scores keep the pool's order.

    Examples
    --------
    >>> rank(np.array([[0.1, 0.9, 0.8], [0.2, np.nan, 0.3]]), 3)
    ((0, 1), (1, 2), (0, 2))
    """
    n, k = np.nonzero(scores >= _least(scores, count, one_a_slice=one_a_slice))
    best = np.argsort(-scores[n, k], kind="stable")
    n, k = n[best], k[best]
    if one_a_slice:
        order = np.argsort(turns(n), kind="stable")
        n, k = n[order], k[order]
    return tuple(zip(n[:count].tolist(), k[:count].tolist(), strict=True))


def turns(groups: NDArray[np.intp]) -> NDArray[np.intp]:
    """Count for each item how many of its group come before it.

    Examples
    --------
    >>> turns(np.array([7, 2, 7, 7]))
    array([0, 0, 1, 2])
    """
    turn = np.zeros(len(groups), dtype=np.intp)
    by_group = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[by_group], prepend=-1))
    lengths = np.diff(np.append(starts, len(groups)))
    turn[by_group] = np.arange(len(groups)) - np.repeat(starts, lengths)
    return turn


def _least(scores: RegionScores, count: int, *, one_a_slice: bool) -> float:
    """Find a score below which no region is among the best, so that a large pool is not sorted."""
    able = np.fmax.reduce(scores, axis=1) if one_a_slice else scores
    able = able[~np.isnan(able)]
    if not 0 < count < len(able):
        return -np.inf
    return float(np.partition(able, -count)[-count])


def plugin_names() -> tuple[str, ...]:
    """List the heuristics that installed packages bring, by name; none is loaded."""
    try:
        return tuple(sorted(entry_points(group=GROUP).names))
    except Exception:  # the list of any installed package may be broken
        return ()


def load_plugin(name: str) -> Callable[[Posterior], Map]:
    """Load a package's heuristic, one of `plugin_names`; what it returns will be checked.

    It returns float64 (H, W), or raises `ConfigError` if the heuristic fails, or returns another
    shape or a number that is not finite.

    Raises
    ------
    ConfigError
        If no package or several packages bring one of that name, or it can't be loaded.
    """
    found = tuple(entry_points(group=GROUP, name=name)) if name in plugin_names() else ()
    if len({entry.value for entry in found}) != 1:
        whose = " and ".join(sorted(map(_package, found))) or "no package"
        raise ConfigError(f"heuristic {name!r} is brought by {whose}; it must be one.")
    entry = found[0]
    try:
        heuristic = entry.load()
    except Exception as error:
        raise ConfigError(
            f"heuristic {name!r} of the package {_package(entry)} can't be loaded from "
            f"{entry.value!r} ({_in_words(error)}). Correct the package, or choose another."
        ) from error
    if not callable(heuristic):
        raise ConfigError(
            f"heuristic {name!r} of the package {_package(entry)} is no function: {entry.value!r}."
        )
    return _checked(entry, heuristic)


def _checked(
    entry: EntryPoint, heuristic: Callable[[Posterior], Any]
) -> Callable[[Posterior], Map]:
    whose = f"heuristic {entry.name!r} of the package {_package(entry)}"

    def checked(posterior: Posterior) -> Map:
        try:
            theirs = Posterior(
                read_only(posterior.mean), read_only(posterior.expected_entropy), posterior.draws
            )
            scores = np.array(heuristic(theirs), dtype=np.float64)
        except Exception as error:
            raise ConfigError(
                f"{whose} failed ({_in_words(error)}). Correct it, or choose another heuristic."
            ) from error
        if scores.shape != posterior.mean.shape:
            raise ConfigError(
                f"{whose} returned an array of shape {scores.shape}; the slice's is "
                f"{posterior.mean.shape}. It must return a number for each pixel."
            )
        if not np.isfinite(scores).all():
            raise ConfigError(f"{whose} returned numbers that are not finite; it must not.")
        return scores

    return checked


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else "unknown"


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
