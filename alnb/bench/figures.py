"""What is drawn from runs, by Plotly."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import plotly.graph_objects as go

Row = Mapping[str, Any]

SCORES = {  # column of a curve -> what its axis is called
    "dice": "Dice (test)",
    "precision": "Precision (test)",
    "recall": "Recall (test)",
    "specificity": "Specificity (test)",
    "iou": "IoU (test)",
    "heldout_accuracy": "Accuracy on held-out regions",
}
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")  # Okabe and Ito


def curve_trace(
    rows: Sequence[Row], name: str = "", score: str = "dice", colour: str = COLOURS[0]
) -> dict[str, Any]:
    """Describe a learning curve as a Plotly trace.

    Parameters
    ----------
    rows : sequence of mappings
        One a cycle, with ``cycle``, ``cost_s`` and the score's column; a row without the score
        (absent, None or NaN) is left out.
    name : str
        What the legend calls it.
    score : str
        The column drawn; see `SCORES`.
    colour : str
        Of line and points.

    Returns
    -------
    dict
        A scatter trace.
    """
    drawn = [row for row in rows if row.get(score) is not None and row[score] == row[score]]
    return {
        "type": "scatter",
        "name": name,
        "x": [row["cost_s"] for row in drawn],
        "y": [row[score] for row in drawn],
        "customdata": [row["cycle"] for row in drawn],
        "mode": "lines+markers",
        "line": {"color": colour, "width": 2},
        "marker": {"color": colour, "size": 7},
        "hovertemplate": f"cycle %{{customdata}}<br>%{{x:,.0f}} s<br>{SCORES[score].split()[0]} "
        "%{y:.3f}<extra></extra>",
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

    It begins at 0 unless the curves lie so high, and so near each other, that they would be one
    line there; what is drawn as bars begins at 0 always.

    Examples
    --------
    >>> score_range(0.66, 0.75), score_range(0.2, 0.75)
    ([0.6, 0.8], [0, 0.8])
    """
    end = min(1.0, math.ceil(10 * high + 0.5) / 10)
    begin = math.floor(10 * low - 0.5) / 10
    return [begin if begin >= 0.3 and high - low < 0.3 else 0, end]


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
