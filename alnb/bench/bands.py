"""Experiments drawn: a thin line for each seed, their mean, and a band that holds them all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from alnb.bench.figures import COLOURS, curve_layout, curve_trace
from alnb.bench.results import Result
from alnb.bench.verdicts import at_cost

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

CAPTION = "Thin lines: the seeds ({seeds}). Thick: their mean. Band: from the lowest to the highest"
BAR_CAPTION = "Bars: the mean over the seeds ({seeds}). Whiskers: from the lowest to the highest"
MARKED = 30  # ours: points of a curve; more would hide it
Trace = dict[str, Any]
Array = NDArray[np.float64]


def figure_of(result: Result, bound: float | None = None) -> go.Figure:
    """Draw an experiment: curves where there are cycles, else bars.

    Parameters
    ----------
    result : Result
    bound : float, optional
        Dice of the upper bound, drawn as a dashed line.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    import plotly.graph_objects as go

    draw = _bars if _is_start_alone(result) else _curves
    figure = go.Figure(draw(result), curve_layout() | {"showlegend": True})
    figure.update_layout(
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 1, "xanchor": "right"},
        margin={"l": 64, "r": 24, "t": 40, "b": 56},
        height=440,
        paper_bgcolor="#ffffff",
    )
    top = max(result.table["dice"].max(), bound or 0.0)
    figure.update_layout(
        xaxis={"rangemode": "normal"},
        yaxis={"range": [0, min(1.0, math.ceil(10 * top + 0.5) / 10)]},
    )
    if _is_start_alone(result):
        xaxis = {"title": {"text": ""}, "showgrid": False}
        figure.update_layout(showlegend=False, xaxis=xaxis, bargap=0.45)
    if bound is not None:
        figure.add_hline(
            bound, line={"color": "#6b7280", "width": 1.5, "dash": "dash"},
            annotation={"text": f"upper bound {bound:.2f}", "font": {"color": "#4b5563"}},
            annotation_position="top left",
        )  # fmt: skip
    return figure


def _is_start_alone(result: Result) -> bool:
    return all(arm["cycles"] == 0 for arm in result.facts["arms"].values())


def caption_of(result: Result) -> str:
    """Say what the figure's lines are, of what data, and what else a reader must know."""
    seeds = ", ".join(map(str, result.facts["seeds"]))
    lines = (BAR_CAPTION if _is_start_alone(result) else CAPTION).format(seeds=seeds)
    test = result.facts["dataset"]["parts"]["test"]["slices"]
    masks = " against pseudo-labels" if result.facts["dataset"]["pseudo_labels"] else ""
    network = f"{result.facts['network']}, {result.facts['device']}"
    notes = " ".join(result.facts["notes"])
    return f"{lines}. Dice of {test} test slices{masks}; {network}. {notes}".strip()


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


def _curves_of(result: Result, arm: str) -> list[pd.DataFrame]:
    own = result.table[result.table["arm"] == arm]
    return [own[own["seed"] == seed] for seed in result.facts["seeds"]]


def _curves(result: Result) -> list[Trace]:
    traces: list[Trace] = []
    for i, (arm, label) in enumerate(result.labels.items()):
        colour, curves = COLOURS[i % len(COLOURS)], _curves_of(result, arm)
        costs, mean, low, high = mean_and_range(curves)
        points = enumerate(zip(costs, mean, strict=True))
        rows = [{"cycle": n, "cost_s": cost, "dice": dice} for n, (cost, dice) in points]
        shape = "linear" if len(costs) == len(curves[0]) else "hv"  # steps where costs differ
        traces.append(_band(costs, low, high, colour, shape))
        for seed, curve in zip(result.facts["seeds"], curves, strict=True):
            traces.append(_thin(curve, f"{label}, seed {seed}", colour, shape))
        traces.append(_thick(curve_trace(rows, label, colour=colour), shape))
    return traces


def _band(costs: Array, low: Array, high: Array, colour: str, shape: str) -> Trace:
    """Fill between the lowest and the highest; steps are written out, as a fill runs back."""
    if shape == "hv":
        costs = np.repeat(costs, 2)[1:]
        low, high = np.repeat(low, 2)[:-1], np.repeat(high, 2)[:-1]
    return {
        "type": "scatter", "mode": "lines", "fill": "toself", "fillcolor": _faint(colour),
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
    hover = "%{x:,.0f} s<br>mean Dice %{y:.3f}<extra></extra>"
    line = trace["line"] | {"width": 3, "shape": shape}
    mode = "lines+markers" if len(trace["x"]) <= MARKED else "lines"
    return trace | {"mode": mode, "line": line, "hovertemplate": hover}


def _bars(result: Result) -> list[Trace]:
    """Draw a bar an arm, whiskers over the seeds and a dot for each."""
    labels = result.labels
    dices = {arm: [float(c["dice"].iloc[0]) for c in _curves_of(result, arm)] for arm in labels}
    means = [float(np.mean(values)) for values in dices.values()]
    up = [max(values) - mean for values, mean in zip(dices.values(), means, strict=True)]
    down = [mean - min(values) for values, mean in zip(dices.values(), means, strict=True)]
    ticks = [f"{label}<br>{mean:.3f}" for label, mean in zip(labels.values(), means, strict=True)]
    bar: Trace = {
        "type": "bar", "x": ticks, "y": means,
        "marker": {"color": _faint(COLOURS[0], 0.35)},
        "error_y": {"array": up, "arrayminus": down, "color": COLOURS[0], "thickness": 1.5},
        "hovertemplate": "%{x}<br>mean Dice %{y:.3f}<extra></extra>",
    }  # fmt: skip
    dots: Trace = {
        "type": "scatter", "mode": "markers", "marker": {"color": COLOURS[0], "size": 6},
        "x": [tick for tick, values in zip(ticks, dices.values(), strict=True) for _ in values],
        "y": [dice for values in dices.values() for dice in values],
        "hovertemplate": "%{x}<br>Dice %{y:.3f}<extra></extra>",
    }  # fmt: skip
    return [bar, dots]


def _faint(colour: str, share: float = 0.15) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{share})"
