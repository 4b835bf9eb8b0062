"""Heuristics from other packages: entry points of the group ``alnb.heuristics``.

Such a heuristic is a function that takes the `Posterior` of a slice and returns an (H, W) array of
finite numbers in which higher is more wanted. It is named by its entry point.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import numpy as np

from alnb.arrays import Map
from alnb.errors import ConfigError
from alnb.posterior import Posterior

GROUP = "alnb.heuristics"


def plugin_names() -> tuple[str, ...]:
    """List the heuristics that installed packages bring, by name; none is loaded."""
    return tuple(sorted(entry_points(group=GROUP).names))


def load_plugin(name: str) -> Callable[[Posterior], Map]:
    """Load a heuristic, and check whatever it will return.

    Parameters
    ----------
    name : str
        One of `names`.

    Returns
    -------
    callable
        Takes a `Posterior`, returns an (H, W) float64 array. It raises `ConfigError` if the
        heuristic fails, or returns another shape or a number that is not finite.

    Raises
    ------
    ConfigError
        If there is none, several packages bring one of that name, or it can't be loaded.
    """
    found = tuple(entry_points(group=GROUP, name=name))
    if len({entry.value for entry in found}) != 1:
        whose = " and ".join(sorted(map(_package, found))) or "no package"
        raise ConfigError(f"heuristic {name!r} is brought by {whose}; it must be one.")
    entry = found[0]
    try:
        heuristic = entry.load()
    except Exception as error:
        raise ConfigError(
            f"heuristic {name!r} of the package {_package(entry)} can't be loaded from "
            f"{entry.value!r} ({_in_words(error)}). Mend the package, or choose another heuristic."
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
            scores = np.asarray(heuristic(posterior), dtype=np.float64)
        except Exception as error:
            raise ConfigError(
                f"{whose} failed ({_in_words(error)}). Mend it, or choose another heuristic."
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
