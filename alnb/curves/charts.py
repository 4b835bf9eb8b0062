"""Learning curves as Plotly traces and layouts: one run's, or an arm of several runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from alnb.curves.statistics import read_steps

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go


Row: TypeAlias = Mapping[str, Any]
Trace: TypeAlias = dict[str, Any]
Array: TypeAlias = NDArray[np.float64]

SCORES = {  # column of a curve -> what its axis is called
    "dice": "Dice (test)",
    "precision": "Precision (test)",
    "recall": "Recall (test)",
    "specificity": "Specificity (test)",
    "iou": "IoU (test)",
    "heldout_accuracy": "Accuracy on held-out regions",
}
AXES = {  # column of a curve -> (what its axis is called, its unit)
    "cost_s": ("Labelling cost, nominal (s)", "s"),
    "measured_s": ("Labelling time, measured (s)", "s"),
    "regions": ("Regions answered", "regions"),
    "clicks": ("Clicks", "clicks"),
}
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")  # Okabe and Ito


def curve_trace(
    rows: Sequence[Row],
    name: str = "",
    score: str = "dice",
    colour: str = COLOURS[0],
    x: str = "cost_s",
) -> dict[str, Any]:
    """Describe a learning curve as a Plotly trace.

    Parameters
    ----------
    rows : sequence of mappings
        One a cycle, with ``cycle``, `x` and the score's column; a row without the score (absent,
        None or NaN) is left out.
    name : str
        What the legend calls it.
    score : str
        The column to draw; see `SCORES`.
    colour : str
        Of line and points.
    x : str
        The column it is drawn against; see `AXES`.

    Returns
    -------
    dict
        A scatter trace.
    """
    drawn = [row for row in rows if row.get(score) is not None and row[score] == row[score]]
    return {
        "type": "scatter",
        "name": name,
        "x": [row[x] for row in drawn],
        "y": [row[score] for row in drawn],
        "customdata": [row["cycle"] for row in drawn],
        "mode": "lines+markers",
        "line": {"color": colour, "width": 2},
        "marker": {"color": colour, "size": 7},
        "hovertemplate": f"cycle %{{customdata}}<br>%{{x:,.0f}} {AXES[x][1]}<br>"
        f"{SCORES[score].split()[0]} %{{y:.3f}}<extra></extra>",
    }


def curve_layout(score: str = "dice") -> dict[str, Any]:
    """Describe the axes of a learning curve as a Plotly layout."""
    grid = {"gridcolor": "#e5e7eb", "zeroline": False}
    return {
        "template": "none",
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "#1f2937"},
        "xaxis": grid | {"title": {"text": "Labelling cost (s)"}, "rangemode": "tozero"},
        "yaxis": grid | {"title": {"text": SCORES[score]}, "range": [0, 1]},
        "showlegend": False,
    }


def score_range(low: float, high: float) -> list[float]:
    """Choose where a score's axis begins and ends, on tenths.

    It begins at 0, unless the curves lie so high and so near each other that an axis from 0 would
    show them as one line.

    Examples
    --------
    >>> score_range(0.66, 0.75), score_range(0.2, 0.75)
    ([0.6, 0.8], [0, 0.8])
    """
    end = min(1.0, math.ceil(10 * high + 0.5) / 10)
    begin = math.floor(10 * low - 0.5) / 10
    return [begin if begin >= 0.3 and high - low < 0.3 else 0, end]


def figure_layout(layout: dict[str, Any], low: float, high: float) -> dict[str, Any]:
    """Complete a layout for a figure of its own, with a legend above the curves.

    Parameters
    ----------
    layout : dict
        As `curve_layout` returns it.
    low, high : float
        The lowest and highest score that is drawn, in [0, 1].
    """
    return layout | {
        "showlegend": True,
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "margin": {"l": 64, "r": 24, "t": 40, "b": 56},
        "height": 440,
        "xaxis": layout["xaxis"] | {"rangemode": "normal"},
        "yaxis": layout["yaxis"] | {"range": score_range(low, high)},
    }


def curve_figure(curves: Mapping[str, Sequence[Row]], score: str = "dice") -> go.Figure:
    """Draw learning curves: a score against the cost of labelling.

    Parameters
    ----------
    curves : mapping of str to rows
        What the legend calls each curve, and its rows as `curve_trace` takes them.
    score : str
        The column drawn; see `SCORES`.

    Returns
    -------
    plotly.graph_objects.Figure
        ``write_html(path, include_plotlyjs=True)`` makes a page of it that needs no network.

    Examples
    --------
    >>> rows = [{"cycle": 0, "cost_s": 120.0, "dice": 0.41}]
    >>> curve_figure({"entropy": rows}).layout.yaxis.title.text
    'Dice (test)'
    """
    import plotly.graph_objects as go

    traces = [
        curve_trace(rows, name, score, COLOURS[i % len(COLOURS)])
        for i, (name, rows) in enumerate(curves.items())
    ]
    return go.Figure(traces, curve_layout(score) | {"showlegend": len(traces) > 1})


MARKED = 30  # ours: a longer curve has no markers; they would hide it


def arm_traces(
    label: str,
    curves: Mapping[str, pd.DataFrame],
    colour: str,
    unit: str = "s",
    score: str = "Dice",
    dash: str = "solid",
) -> list[Trace]:
    """Draw an arm: a band from lowest to highest, a thin line for each run, and their mean.

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
        Scatter traces: the band, the runs, the mean; for a single run only its curve.
    """
    hover = f"%{{x:,.0f}} {unit}<br>{score} %{{y:.3f}}<extra></extra>"
    if len(curves) == 1:
        (curve,) = curves.values()
        trace = _thick(curve_trace(_rows(curve), label, colour=colour), "linear", dash)
        return [trace | {"hovertemplate": f"{label}, cycle %{{customdata}}<br>{hover}"}]
    tables = list(curves.values())
    costs, mean, low, high = mean_and_range(tables)
    points = enumerate(zip(costs, mean, strict=True))
    rows = [{"cycle": n, "cost_s": cost, "dice": dice} for n, (cost, dice) in points]
    same = all(len(table) == len(costs) for table in tables)
    shape = "linear" if same else "hv"  # steps where costs differ
    thin = [
        curve_trace(_rows(curve), f"{label}, {name}", colour=colour)
        | {
            "mode": "lines", "opacity": 0.45, "showlegend": False,
            "line": {"color": colour, "width": 1, "shape": shape},
            "hovertemplate": f"{name}, cycle %{{customdata}}<br>{hover}",
        }
        for name, curve in curves.items()
    ]  # fmt: skip
    thick = _thick(curve_trace(rows, label, colour=colour), shape, dash)
    thick |= {"hovertemplate": f"mean of {len(tables)}<br>{hover}"}
    return [_band(costs, low, high, colour, shape), *thin, thick]


def _rows(curve: pd.DataFrame) -> list[Row]:
    return curve.to_dict("records")  # type: ignore[return-value] # their keys are words


def _thick(trace: Trace, shape: str, dash: str) -> Trace:
    line = trace["line"] | {"width": 3, "shape": shape, "dash": dash}
    mode = "lines+markers" if len(trace["x"]) <= MARKED else "lines"
    return trace | {"mode": mode, "line": line}


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
    dice = np.stack([read_steps(curve, costs) for curve in curves])  # (seeds, N)
    return costs, dice.mean(axis=0), dice.min(axis=0), dice.max(axis=0)


def faint(colour: str, share: float = 0.15) -> str:
    """Return a ``#rrggbb`` colour as one that lets ``1 - share`` through."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{share})"
