"""What Laradji et al. 2020 found, and the same of our runs beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from alnb.acquisition import RANDOM
from alnb.bench.results import Result
from alnb.bench.verdicts import dices, shares

NAMES = {
    "fig5": "Figure 5", "fig6": "Figure 6", "fig7": "Figure 7",
    "imperfect": "Imperfect annotator", "switches": "Switches", "upper-bound": "Upper bound",
}  # fmt: skip
SHARES = 6  # ours: at how many costs the share of the bound is told
# Read off its figure 6; in the order of the figure's text, which does not say which K is which.
FIG6_A_MIXED = (0.511, 0.537, 0.474, 0.445, 0.274, 0.169, 0.158)
FIG6_A_SEP = (0.524, 0.446, 0.352, 0.300, 0.203, 0.171, 0.052)
Results = Mapping[str, Result]
Row = tuple[str, str, str]


def bound_of(results: Results) -> float | None:
    """Return the upper bound's Dice, mean over its seeds; None if it was not run in earnest."""
    result = results.get("upper-bound")
    if result is None or result.facts.get("quick"):
        return None
    return float(result.table["dice"].mean())


def beside(results: Results) -> Iterator[Row]:
    """Set what was run here beside the paper's own numbers: (what, the paper, here)."""
    rows_of = {"fig5": _fig5, "fig6": _fig6, "fig7": _fig7, "imperfect": _imperfect}
    for name, rows in rows_of.items():
        if name in results:
            yield from rows(results[name])
    bound = bound_of(results)
    if bound is None:
        return
    result = results["upper-bound"]
    cost = result.facts["full_cost_s"]
    slices = result.facts["dataset"]["parts"]["train"]["slices"]
    yield (
        "Upper bound, the whole train part labelled in full",
        "Dice 84 % on A-Mixed, 368 slices, 35 328 s",
        f"Dice {bound:.1%}, {slices} slices, {_s(cost)}",
    )
    if "fig5" in results:
        fig5 = results["fig5"]
        last = float(fig5.table["cost_s"].max())
        for _, dice, share in shares(fig5.table, next(iter(fig5.labels)), [last], bound):
            yield (
                "Share of the bound that clicks reach",
                "Dice 76 % at 2460 s: 90 % of the bound for 7 % of its effort",
                f"Dice {dice:.1%} at {_s(last)}: {share:.0%} of the bound for "
                f"{last / cost:.1%} of its effort",
            )


def _s(seconds: float) -> str:
    return f"{seconds:,.0f} s".replace(",", "\N{NO-BREAK SPACE}")


def _fig5(result: Result) -> Iterator[Row]:
    paper = "entropy is better on A-Mixed, A-Sep, B-Mixed and B-Sep, with 5 regions a cycle"
    last = _last_against(result, RANDOM)
    if last is not None:
        yield "Figure 5: entropy against random", paper, last


def _last_against(result: Result, arm: str) -> str | None:
    """Return the verdict on an arm at the highest cost; None if it was not compared."""
    said = zip(result.verdicts, result.facts["comparisons"], strict=True)
    found = [sentence for sentence, (_, second, _) in said if second == arm]
    return found[-1] if found else None


def _fig6(result: Result) -> Iterator[Row]:
    named = {"A-Mixed": FIG6_A_MIXED, "A-Sep": FIG6_A_SEP}
    paper = "; ".join(
        f"{name} {' '.join(f'{dice:.3f}' for dice in sorted(dices, reverse=True))}"
        for name, dices in named.items()
    )
    yield (
        "Figure 6: Dice by number of regions (K), start of 192 s",
        f"the smaller the regions the better; the seven values, highest first: {paper} "
        "(the figure's text does not say which K each belongs to)",
        ", ".join(
            f"{label}: {_mean_and_range(list(dices(result.table, arm, np.inf).values()))}"
            for arm, label in result.labels.items()
        ),
    )
    yield "Figure 6: most against fewest regions", "most regions are better", result.verdicts[-1]


def _mean_and_range(values: list[float]) -> str:
    if not values:
        return "no Dice"
    return f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def _fig7(result: Result) -> Iterator[Row]:
    for sentence, (_, _, cost) in zip(result.verdicts, result.facts["comparisons"], strict=True):
        yield f"Figure 7: clicks against per-pixel labels at {cost:.0f} s", _FIG7, sentence


def _imperfect(result: Result) -> Iterator[Row]:
    last = _last_against(result, "imperfect")
    if last is not None:
        yield "An annotator who errs", "its simulated annotator never errs", last


_FIG7 = "clicks are better from 600 to 1000 s on A-Mixed and A-Sep"


def share_rows(results: Results) -> Iterator[tuple[str, ...]]:
    """List the share of the bound reached: (experiment, arm, cost, effort, Dice, share)."""
    bound = bound_of(results)
    if not bound:
        return
    for name in ("fig5", "fig7"):
        if name not in results:
            continue
        result = results[name]
        for arm, label in result.labels.items():
            for cost, dice, share in shares(result.table, arm, _costs(result, arm), bound):
                effort = cost / result.facts["full_cost_s"]
                yield NAMES[name], label, _s(cost), f"{effort:.1%}", f"{dice:.3f}", f"{share:.0%}"


def _costs(result: Result, arm: str) -> list[float]:
    """Choose costs of an arm's cycles, evenly among them, the first and last included."""
    costs = np.unique(result.table[result.table["arm"] == arm]["cost_s"])
    budget = next(iter(result.facts["arms"].values()))["config"]["budget_s"]
    if budget is not None:
        costs = np.append(costs[costs < budget - 1], budget)
    chosen = np.linspace(0, len(costs) - 1, min(SHARES, len(costs))).round().astype(int)
    return [float(costs[i]) for i in chosen]
