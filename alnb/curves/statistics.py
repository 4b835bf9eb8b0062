"""What curves show: scores at a cost, areas, and paired differences over seeds in a sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Array: TypeAlias = NDArray[np.float64]

LEVEL = 0.95  # ours, as is usual


@dataclass(frozen=True, slots=True)
class Difference:
    """The mean of paired differences, and how sure it is."""

    mean: float
    half: float | None  # the width of its 95 % interval by Student's t; None for a single pair
    pairs: int  # at least 1

    @property
    def shown(self) -> bool:
        """Whether the interval excludes 0."""
        return self.half is not None and abs(self.mean) > self.half


def difference(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Average the differences of pairs, one pair a seed.

    Examples
    --------
    >>> found = difference([0.5, 0.7], [0.4, 0.4])
    >>> round(found.mean, 2), round(found.half, 2)  # t = 12.71 at one degree of freedom
    (0.2, 1.27)

    Raises
    ------
    ValueError
        If there are no pairs, or one of them has no partner.
    """
    if len(first) != len(second) or not len(first):
        raise ValueError("pairs are needed")
    deltas, n = np.subtract(first, second), len(first)
    half = None
    if n > 1:
        from scipy.special import stdtrit

        t = float(stdtrit(n - 1, (1 + LEVEL) / 2))
        half = t * float(deltas.std(ddof=1)) / math.sqrt(n)
    return Difference(float(deltas.mean()), half, n)


def read_steps(curve: pd.DataFrame, costs: Sequence[float] | Array) -> Array:
    """Read a curve as steps: the Dice of its last cycle within each cost.

    Parameters
    ----------
    curve : table
        Of one run, with columns ``cost_s`` and ``dice``.
    costs : (N,) float

    Returns
    -------
    (N,) float array
        NaN where the start costs more, or the cycle has no Dice.
    """
    ordered = curve.sort_values("cost_s", kind="stable")
    last = np.searchsorted(ordered["cost_s"].to_numpy(), costs, side="right") - 1
    dice = np.append(ordered["dice"].to_numpy(np.float64), np.nan)  # which -1 reads
    return dice[last]


def at_cost(curve: pd.DataFrame, cost_s: float) -> float | None:
    """Read a curve as steps at one cost; None where `read_steps` has NaN."""
    (dice,) = read_steps(curve, [cost_s]).tolist()
    return None if math.isnan(dice) else float(dice)


def area(curve: pd.DataFrame, begin: float, end: float) -> float:
    """Average a curve between two costs: the area under it, divided by their distance.

    Parameters
    ----------
    curve : table
        As `read_steps` takes it; straight lines join its points.
    begin, end : float
        ``begin < end``, both within the curve.
    """
    ordered = curve.sort_values("cost_s", kind="stable").drop_duplicates("cost_s", keep="last")
    costs, scores = ordered["cost_s"].to_numpy(), ordered["dice"].to_numpy()
    inside = costs[(costs > begin) & (costs < end)]
    at = np.concatenate([[begin], inside, [end]])
    return float(np.trapezoid(np.interp(at, costs, scores), at) / (end - begin))


def dices(table: pd.DataFrame, arm: str, cost_s: float) -> dict[int, float]:
    """Read the Dice of an arm at a cost, for each seed that has one.

    Parameters
    ----------
    table : table
        Of an experiment, with columns ``arm``, ``seed``, ``cost_s`` and ``dice``.
    arm : str
    cost_s : float
    """
    curves = table[table["arm"] == arm]
    seeds: list[int] = curves["seed"].unique().tolist()
    found = {seed: at_cost(curves[curves["seed"] == seed], cost_s) for seed in seeds}
    return {seed: dice for seed, dice in found.items() if dice is not None}


def conclusion(
    table: pd.DataFrame, first: tuple[str, str], second: tuple[str, str], cost_s: float | None,
    unit: str = "s",
) -> str:  # fmt: skip
    """Say which of two arms has the higher Dice at a cost, if a difference can be shown.

    For example "entropy beats random by 0.04 ± 0.01 at 600 s (3 seeds)".

    Parameters
    ----------
    table : table
        As for `dices`.
    first, second : (arm, label)
        Its name in the table, and what the sentence calls it.
    cost_s : float or None
        None compares them where their curves end.
    unit : str
        Of the column ``cost_s``, if it does not hold seconds.
    """
    within = math.inf if cost_s is None else cost_s
    a, b = (dices(table, arm, within) for arm, _ in (first, second))
    seeds = sorted(a.keys() & b.keys())
    if not seeds:
        return (
            f"{first[1]} and {second[1]} can't be compared at {within:.0f} {unit}: their starts "
            "cost more"
        )
    found = difference([a[seed] for seed in seeds], [b[seed] for seed in seeds])
    where = "at the end" if cost_s is None else f"at {cost_s:.0f} {unit}"
    return sentence(found, first[1], second[1], where)


def sentence(found: Difference, first: str, second: str, where: str) -> str:
    """Say which of two is better, or that no difference can be shown.

    Parameters
    ----------
    found : Difference
        Of the first from the second.
    first, second : str
        What they are called.
    where : str
        Such as "at 600 s".
    """
    count = f"{found.pairs} seeds" if found.pairs > 1 else "1 seed, so no interval"
    if not found.shown:
        mean = f"{found.mean:+.2f}"
        mean = mean.replace("-", "\N{MINUS SIGN}") if float(mean) else "0.00"
        spread = "" if found.half is None else f" ± {found.half:.2f}"
        return (
            f"no difference can be shown between {first} and {second} {where} "
            f"({mean}{spread}, {count})"
        )
    better, worse = (first, second) if found.mean > 0 else (second, first)
    gain, half = abs(found.mean), found.half or 0.0
    # a third digit, where two would round the gain to its interval, or to 0
    digits = 2 if round(gain, 2) > round(half, 2) else 3
    return f"{better} beats {worse} by {gain:.{digits}f} ± {half:.{digits}f} {where} ({count})"


def shares(
    table: pd.DataFrame, arm: str, costs: Sequence[float], bound: float
) -> list[tuple[float, float, float]]:
    """Read which share of the upper bound an arm reaches at some costs.

    Parameters
    ----------
    table, arm
        As for `dices`.
    costs : sequence of float
        In seconds.
    bound : float
        Dice of the bound, above 0.

    Returns
    -------
    list of (cost_s, dice, share)
        Dice is the mean over the seeds, the share is of the bound; a cost below some seed's
        start is left out.
    """
    seeds = table[table["arm"] == arm]["seed"].nunique()
    found = ((cost, [*dices(table, arm, cost).values()]) for cost in costs)
    means = ((cost, float(np.mean(each))) for cost, each in found if 0 < len(each) == seeds)
    return [(cost, dice, dice / bound) for cost, dice in means]
