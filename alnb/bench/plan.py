"""What an experiment is: the runs it is made of, and what is compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from alnb.config import Config


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One way of labelling, run once for each seed.

    Parameters
    ----------
    name : str
        Part of its folders' names, and its name in tables.
    label : str
        What figures and verdicts call it.
    config : Config
        Its settings; the seed is each run's own.
    cycles : int
        After the start, at most; ``config.budget_s`` may end a run earlier.
    cost_s : float or None
        What its labels cost, where that isn't what the answers add up to.
    """

    name: str
    label: str
    config: Config
    cycles: int
    cost_s: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two arms, by name, that are compared at a cost in seconds, or where they end if None."""

    first: str
    second: str
    cost_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """What is run, and what it is to show.

    Parameters
    ----------
    name : str
        One of `EXPERIMENTS`.
    title : str
        Above its figure.
    arms : tuple of Arm
    comparisons : tuple of Comparison
        Whose verdicts are given.
    notes : tuple of str
        What a reader must know beside the paper's section: sentences.
    folds : int or None
        The runs are on folds of the train part, a seed's on the fold of its number; None: on the
        dataset.
    only_ends : bool
        Where the curves end is all that is shown of them.
    quick : bool
        It is less of all, to see that it works; no figure to keep.
    """

    name: str
    title: str
    arms: tuple[Arm, ...]
    comparisons: tuple[Comparison, ...] = ()
    notes: tuple[str, ...] = ()
    folds: int | None = None
    only_ends: bool = False
    quick: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a person may change of an experiment beside `Config`; None takes the default.

    Parameters
    ----------
    quick : bool
        Less of all.
    cycles : int, optional
        Of `fig5` and `imperfect`, after the start.
    steps : int, optional
        Of `upper_bound`'s training.
    apart : bool
        Whether `imperfect` shows each error by itself too.
    arms : tuple of str
        The heuristics that `fig5` compares, the first with each other.
    switches : mapping of str to mapping
        What `switches` changes of the settings, by name; none takes its own.
    folds : int
        Of `switches`.
    """

    quick: bool = False
    cycles: int | None = None
    steps: int | None = None
    apart: bool = False
    arms: tuple[str, ...] = ()
    switches: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    folds: int = 5
