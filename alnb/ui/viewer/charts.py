"""How far the network has come: a score against the labelling cost, and the loss of a training."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import ipywidgets

from alnb.curves.charts import COLOURS, SCORES, Row, curve_layout, curve_trace
from alnb.ui.viewer.drawing import LiveFigure

LOSS_COLOUR = "#6b7280"
EMPTY_S = (0, 300)  # ours: the axis before there is a point
HINT = "A point appears here after each training."
HINT_CHARS = 44  # of a line that fits the chart
AXES = {  # column of a curve -> what the axis below is called
    "cost_s": "Labelling cost, nominal (s)",
    "measured_s": "Labelling time, measured (s)",
    "regions": "Regions answered",
}


class Charts:
    """One figure for all charts, since each figure costs a page a second.

    Parameters
    ----------
    score : str
        The column of the rows that is drawn; see `alnb.curves.charts.SCORES`.
    width, height : int
        In screen pixels.

    Attributes
    ----------
    widget : ipywidgets.Box
        What to show.
    axis : str
        The column that the score is drawn against; of `AXES`.
    """

    def __init__(self, score: str = "dice", width: int = 384, height: int = 400) -> None:
        self.score = score
        self.axis = "cost_s"
        self.figure = LiveFigure([_curve([], score), _loss()], _layout(score, width, height))
        self.widget = _sized(self.figure, width, height)

    def show(self, rows: Sequence[Row], hint: str = HINT) -> None:
        """Draw the curve of the cycles so far.

        Parameters
        ----------
        rows : sequence of mappings
            One a cycle, with ``cycle``, ``cost_s`` and the score; one without is left out.
        hint : str
            A sentence in place of the curve as long as there is no point.
        """
        trace = _curve(rows, self.score, self.axis)
        with self.figure.batch_update():
            for name in ("x", "y", "customdata", "hovertemplate"):
                self.figure.data[0][name] = trace[name]
            self.figure.layout.annotations[0].text = _wrapped(hint)
            self.figure.layout.annotations[0].visible = not trace["x"]
            self.figure.layout.xaxis.autorange = bool(trace["x"])
            self.figure.layout.xaxis.title.text = AXES[self.axis]

    def show_losses(self, losses: Sequence[float]) -> None:
        """Draw the loss of the training that runs, or ran last, one value a step."""
        with self.figure.batch_update():
            self.figure.layout.yaxis2.visible = bool(losses)
            self.figure.data[1].x = list(range(1, len(losses) + 1))
            self.figure.data[1].y = list(losses)


def _curve(rows: Sequence[Row], score: str, axis: str = "cost_s") -> dict[str, Any]:
    against = [{**row, "cost_s": row.get(axis, row["cost_s"])} for row in rows]
    trace = curve_trace(against, score, score) | {"cliponaxis": False}  # a point at 1 is whole
    if axis == "regions":
        trace["hovertemplate"] = trace["hovertemplate"].replace(" s<br>", " regions<br>")
    return trace


def _wrapped(hint: str) -> str:
    return "<br>".join(textwrap.wrap(hint, HINT_CHARS))


def _loss() -> dict[str, Any]:
    return {
        "type": "scatter", "name": "loss", "x": [], "y": [], "xaxis": "x2", "yaxis": "y2",
        "mode": "lines", "line": {"color": LOSS_COLOUR, "width": 1.5},
        "hovertemplate": "step %{x}<br>loss %{y:.4f}<extra></extra>",
    }  # fmt: skip


def _layout(score: str, width: int, height: int) -> dict[str, Any]:
    layout = curve_layout(score)
    slim = {"fixedrange": True, "showgrid": False, "zeroline": False, "showticklabels": False}
    title = {"text": "loss", "font": {"size": 11}}
    start = {
        "text": _wrapped(HINT), "showarrow": False, "xref": "paper", "yref": "paper", "x": 0.5,
        "y": 0.65, "font": {"color": LOSS_COLOUR},
    }  # fmt: skip
    return layout | {
        "width": width,
        "height": height,
        "margin": {"l": 52, "r": 12, "t": 10, "b": 8},
        "dragmode": False,
        "xaxis": layout["xaxis"] | {"fixedrange": True, "anchor": "y", "range": EMPTY_S, "title": {
            "text": AXES["cost_s"], "standoff": 6}},
        "yaxis": layout["yaxis"] | {"fixedrange": True, "domain": [0.34, 1], "title": {
            "text": SCORES[score], "standoff": 8}},
        "xaxis2": slim | {"anchor": "y2", "rangemode": "tozero"},
        "yaxis2": slim
        | {"domain": [0, 0.13], "title": title, "rangemode": "tozero", "visible": False},
        "annotations": [start],
    }  # fmt: skip


class CurveChart:
    """The curves of one or two runs, a ring round the cycle that is looked at.

    Parameters
    ----------
    names : sequence of str
        What the legend calls each run.
    score : str
        The column of the rows that is drawn.
    width, height : int
        In screen pixels.

    Attributes
    ----------
    widget : ipywidgets.Box
        What to show.
    """

    def __init__(
        self, names: Sequence[str], score: str = "dice", width: int = 368, height: int = 280
    ) -> None:
        self.score = score
        colours = COLOURS[: len(names)]
        curves = [
            curve_trace([], name, score, colour) | {"cliponaxis": False}
            for name, colour in zip(names, colours, strict=True)
        ]
        marks = [_ring(colour) for colour in colours]
        self.figure = LiveFigure([*curves, *marks], _curves_layout(score, width, height, names))
        self.widget = _sized(self.figure, width, height)

    def show(self, curves: Sequence[Sequence[Row]], cycles: Sequence[int]) -> None:
        """Draw each run's whole curve and mark a cycle of it; one without a score has no mark."""
        traces = [curve_trace(rows, "", self.score) for rows in curves]
        top = max((y for trace in traces for y in trace["y"]), default=1.0)
        with self.figure.batch_update():
            for number, (trace, cycle) in enumerate(zip(traces, cycles, strict=True)):
                at = [n for n, c in enumerate(trace["customdata"]) if c == cycle]
                curve, ring = self.figure.data[number], self.figure.data[len(traces) + number]
                for name in ("x", "y", "customdata"):
                    curve[name] = trace[name]
                ring.x, ring.y = [trace["x"][n] for n in at], [trace["y"][n] for n in at]
            self.figure.layout.yaxis.range = [0, min(1.02, math.ceil(10 * top + 0.5) / 10)]


def _sized(figure: LiveFigure, width: int, height: int) -> ipywidgets.Box:
    size = ipywidgets.Layout(
        width=f"{width}px", min_width=f"{width}px", height=f"{height}px", flex="0 0 auto",
        overflow="hidden",
    )  # fmt: skip
    box = ipywidgets.Box([figure], layout=size)
    box.add_class("alnb-charts")
    return box


def _ring(colour: str) -> dict[str, Any]:
    line = {"color": colour, "width": 3}
    return {
        "type": "scatter", "x": [], "y": [], "mode": "markers", "hoverinfo": "skip",
        "marker": {"symbol": "circle-open", "size": 17, "color": colour, "line": line},
        "showlegend": False, "cliponaxis": False,
    }  # fmt: skip


def _curves_layout(score: str, width: int, height: int, names: Sequence[str]) -> dict[str, Any]:
    layout = curve_layout(score)
    return layout | {
        "width": width,
        "height": height,
        "margin": {"l": 52, "r": 12, "t": 24 if len(names) > 1 else 10, "b": 44},
        "dragmode": False,
        "xaxis": layout["xaxis"] | {"fixedrange": True, "rangemode": "normal"},
        "yaxis": layout["yaxis"] | {"fixedrange": True},
        "showlegend": len(names) > 1,
        "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"},
    }
