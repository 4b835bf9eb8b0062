"""Experiments drawn: a thin line for each seed, their mean, and a band that holds them all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alnb.bench.curves import Trace, arm_traces, faint
from alnb.bench.figures import COLOURS, curve_layout, score_range
from alnb.bench.results import Result

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

CAPTION = "Thin lines: the seeds ({seeds}). Thick: their mean. Band: from the lowest to the highest"
BAR_CAPTION = "Bars: the mean over the seeds ({seeds}). Whiskers: from the lowest to the highest"


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

    draw = _bars if _has_one_point(result) else _curves
    figure = go.Figure(draw(result), curve_layout() | {"showlegend": True})
    figure.update_layout(
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 1, "xanchor": "right"},
        margin={"l": 64, "r": 24, "t": 40, "b": 56},
        height=440,
        paper_bgcolor="#ffffff",
    )
    top = max(result.table["dice"].max(), bound or 0.0)
    low = 0.0 if _has_one_point(result) else result.table["dice"].min()
    figure.update_layout(xaxis={"rangemode": "normal"}, yaxis={"range": score_range(low, top)})
    if _has_one_point(result):
        xaxis = {"title": {"text": ""}, "showgrid": False}
        figure.update_layout(showlegend=False, xaxis=xaxis, bargap=0.45)
    if bound is not None:
        figure.add_hline(
            bound, line={"color": "#6b7280", "width": 1.5, "dash": "dash"},
            annotation={"text": f"upper bound {bound:.2f}", "font": {"color": "#4b5563"}},
            annotation_position="top left",
        )  # fmt: skip
    return figure


def _has_one_point(result: Result) -> bool:
    starts = all(arm["cycles"] == 0 for arm in result.facts["arms"].values())
    return starts or bool(result.facts.get("only_ends"))


def caption_of(result: Result) -> str:
    """Say what the figure's lines are, of what data, and what else a reader must know."""
    seeds = ", ".join(map(str, result.facts["seeds"]))
    lines = (BAR_CAPTION if _has_one_point(result) else CAPTION).format(seeds=seeds)
    parts, folds = result.facts["dataset"]["parts"], result.facts.get("folds")
    where = f"{parts['test']['slices']} test slices"
    if folds:
        where = f"one fold of {folds} of {parts['train']['slices']} train slices"
    masks = " against pseudo-labels" if result.facts["dataset"]["pseudo_labels"] else ""
    network = f"{result.facts['network']}, {result.facts['device']}"
    notes = " ".join(result.facts["notes"])
    return f"{lines}. Dice of {where}{masks}; {network}. {notes}".strip()


def _curves_of(result: Result, arm: str) -> list[pd.DataFrame]:
    own = result.table[result.table["arm"] == arm]
    return [own[own["seed"] == seed] for seed in result.facts["seeds"]]


def _curves(result: Result) -> list[Trace]:
    seeds = result.facts["seeds"]
    return [
        trace
        for i, (arm, label) in enumerate(result.labels.items())
        for trace in arm_traces(
            label,
            dict(zip((f"seed {seed}" for seed in seeds), _curves_of(result, arm), strict=True)),
            COLOURS[i % len(COLOURS)],
        )
    ]


def _bars(result: Result) -> list[Trace]:
    """Draw a bar an arm, whiskers over the seeds and a dot for each."""
    labels = result.labels
    dices = {arm: [float(c["dice"].iloc[-1]) for c in _curves_of(result, arm)] for arm in labels}
    means = [float(np.mean(values)) for values in dices.values()]
    up = [max(values) - mean for values, mean in zip(dices.values(), means, strict=True)]
    down = [mean - min(values) for values, mean in zip(dices.values(), means, strict=True)]
    ticks = [f"{label}<br>{mean:.3f}" for label, mean in zip(labels.values(), means, strict=True)]
    bar: Trace = {
        "type": "bar", "x": ticks, "y": means,
        "marker": {"color": faint(COLOURS[0], 0.35)},
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
