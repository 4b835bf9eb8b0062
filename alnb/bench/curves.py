"""Curves of several runs as Plotly traces: a band, a thin line for each run, and their mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from alnb.bench.figures import curve_trace
from alnb.bench.verdicts import at_cost

if TYPE_CHECKING:
    import pandas as pd

MARKED = 30  # ours: points of a curve; more would hide it
Trace = dict[str, Any]
Array = NDArray[np.float64]


def arm_traces(
    label: str,
    curves: Mapping[str, pd.DataFrame],
    colour: str,
    unit: str = "s",
    score: str = "Dice",
    dash: str = "solid",
) -> list[Trace]:
    """Draw an arm: the band, a thin line for each run, and their mean.

    Parameters
    ----------
    label : str
        What the legend calls it.
    curves : non-empty mapping of str to table
        A run each, with columns ``cycle``, ``cost_s`` and ``dice``.
    colour : str
        As ``#rrggbb``.
    unit, score : str
        Of what ``cost_s`` and ``dice`` hold, where it is something else.
    dash : str
        Plotly's name of how the line is broken, where there are more arms than colours.

    Returns
    -------
    list of dict
        Scatter traces: the band, the runs, the mean; of a single run its curve alone.
    """
    if len(curves) == 1:
        return [_dashed(_alone(label, next(iter(curves.values())), colour, unit, score), dash)]
    tables = list(curves.values())
    costs, mean, low, high = mean_and_range(tables)
    points = enumerate(zip(costs, mean, strict=True))
    rows = [{"cycle": n, "cost_s": cost, "dice": dice} for n, (cost, dice) in points]
    same = all(len(table) == len(costs) for table in tables)
    shape = "linear" if same else "hv"  # steps where costs differ
    hover = f"%{{x:,.0f}} {unit}<br>{score} %{{y:.3f}}<extra></extra>"
    thin = [
        _thin(curve, f"{label}, {name}", colour, shape)
        | {"hovertemplate": f"{name}, cycle %{{customdata}}<br>{hover}"}
        for name, curve in curves.items()
    ]
    thick = _thick(curve_trace(rows, label, colour=colour), shape)
    thick |= {"hovertemplate": f"mean of {len(tables)}<br>{hover}"}
    return [_band(costs, low, high, colour, shape), *thin, _dashed(thick, dash)]


def _dashed(trace: Trace, dash: str) -> Trace:
    return trace | {"line": trace["line"] | {"dash": dash}}


def _alone(label: str, curve: pd.DataFrame, colour: str, unit: str, score: str) -> Trace:
    rows: list[Mapping[str, Any]] = curve.to_dict("records")  # type: ignore[assignment]
    trace = _thick(curve_trace(rows, label, colour=colour), "linear")
    hover = f"{label}, cycle %{{customdata}}<br>%{{x:,.0f}} {unit}<br>{score} %{{y:.3f}}"
    return trace | {"hovertemplate": f"{hover}<extra></extra>"}


def _band(costs: Array, low: Array, high: Array, colour: str, shape: str) -> Trace:
    """Fill between the lowest and the highest; steps are written out, as a fill runs back."""
    if shape == "hv":
        costs = np.repeat(costs, 2)[1:]
        low, high = np.repeat(low, 2)[:-1], np.repeat(high, 2)[:-1]
    return {
        "type": "scatter", "mode": "lines", "fill": "toself", "fillcolor": faint(colour),
        "x": [*costs, *costs[::-1]], "y": [*high, *low[::-1]], "line": {"width": 0},
        "hoverinfo": "skip", "showlegend": False,
    }  # fmt: skip


def _thin(curve: pd.DataFrame, name: str, colour: str, shape: str) -> Trace:
    rows: list[Mapping[str, Any]] = curve.to_dict("records")  # type: ignore[assignment]
    trace = curve_trace(rows, name, colour=colour)
    return trace | {
        "mode": "lines", "opacity": 0.45, "showlegend": False,
        "line": {"color": colour, "width": 1, "shape": shape},
    }  # fmt: skip


def _thick(trace: Trace, shape: str) -> Trace:
    line = trace["line"] | {"width": 3, "shape": shape}
    mode = "lines+markers" if len(trace["x"]) <= MARKED else "lines"
    return trace | {"mode": mode, "line": line}


def mean_and_range(curves: Sequence[pd.DataFrame]) -> tuple[Array, Array, Array, Array]:
    """Read several curves as steps at every cost that one of them has.

    Parameters
    ----------
    curves : non-empty sequence of tables
        A seed each, with columns ``cost_s`` and ``dice``.

    Returns
    -------
    costs, mean, lowest, highest : (N,) float arrays
        From where all curves have begun.
    """
    costs = np.unique(np.concatenate([curve["cost_s"] for curve in curves]))
    costs = costs[costs >= max(curve["cost_s"].min() for curve in curves)]
    read = [[at_cost(curve, cost) for cost in costs] for curve in curves]
    dice = np.array(read, dtype=np.float64)  # (seeds, N); None becomes NaN
    return costs, dice.mean(axis=0), dice.min(axis=0), dice.max(axis=0)


def faint(colour: str, share: float = 0.15) -> str:
    """Return a ``#rrggbb`` colour as one that lets ``1 - share`` through."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{share})"
