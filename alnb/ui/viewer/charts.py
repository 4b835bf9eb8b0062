"""Charts on a page: a score against the labelling cost, and the loss of a training."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from alnb.curves.charts import AXES as COLUMNS
from alnb.curves.charts import COLOURS, SCORES, Row, curve_layout, curve_trace, score_range
from alnb.ui.viewer.drawing import LiveFigure, figure_box

CHARTS_PX, CURVES_PX = (368, 248), (368, 280)  # width and height on the screen
LOSS_COLOUR = "#6b7280"
EMPTY_S = (0, 300)  # ours: the axis before there is a point
HINT_CHARS = 44  # of a line that fits the chart
AXES = {name: COLUMNS[name][0] for name in ("cost_s", "measured_s", "regions")}
WHOLE = {"cliponaxis": False}  # points at the edge are drawn whole


def still(layout: Mapping[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    """Make a chart (width, height) screen pixels large, and let nobody drag or zoom it."""
    fixed = {axis: layout[axis] | {"fixedrange": True} for axis in ("xaxis", "yaxis")}
    return {**layout, **fixed, "width": size[0], "height": size[1], "dragmode": False}


class Charts:
    """One figure for all charts, since each figure costs a page a second.

    Parameters
    ----------
    score : str
        The column of the rows that is drawn; see `alnb.curves.charts.SCORES`.

    Attributes
    ----------
    widget : ipywidgets.Box
        What to show.
    """

    def __init__(self, score: str = "dice") -> None:
        self.score = score
        self.axis = "cost_s"  # the column that the score is drawn against; of `AXES`
        curve = curve_trace([], score, score) | WHOLE
        self.figure = LiveFigure([curve, LOSS], _layout(score))
        self.widget = figure_box([self.figure], CHARTS_PX, "alnb-charts")

    def show(self, rows: Sequence[Row], hint: str = "") -> None:
        """Draw the curve of the cycles so far.

        Parameters
        ----------
        rows : sequence of mappings
            One a cycle, with ``cycle``, ``cost_s`` and the score; one without is left out.
        hint : str
            A sentence in place of the curve as long as there is no point.
        """
        trace = curve_trace(rows, self.score, self.score, x=self.axis)
        with self.figure.batch_update():
            for name in ("x", "y", "customdata", "hovertemplate"):
                self.figure.data[0][name] = trace[name]
            self.figure.layout.annotations[0].text = "<br>".join(textwrap.wrap(hint, HINT_CHARS))
            self.figure.layout.annotations[0].visible = not trace["x"]
            self.figure.layout.xaxis.autorange = bool(trace["x"])
            self.figure.layout.xaxis.title.text = AXES[self.axis]

    def show_losses(self, losses: Sequence[float]) -> None:
        """Draw the loss of the training that runs, or ran last, one value a step."""
        with self.figure.batch_update():
            self.figure.layout.yaxis2.visible = bool(losses)
            self.figure.data[1].x = list(range(1, len(losses) + 1))
            self.figure.data[1].y = list(losses)


LOSS = {
    "type": "scatter", "name": "loss", "x": [], "y": [], "xaxis": "x2", "yaxis": "y2",
    "mode": "lines", "line": {"color": LOSS_COLOUR, "width": 1.5},
    "hovertemplate": "step %{x}<br>loss %{y:.4f}<extra></extra>",
}  # fmt: skip


def _layout(score: str) -> dict[str, Any]:
    layout = still(curve_layout(score), CHARTS_PX)
    slim = {"fixedrange": True, "showgrid": False, "zeroline": False, "showticklabels": False}
    title = {"text": "loss", "font": {"size": 11}}
    start = {
        "text": "", "showarrow": False, "xref": "paper", "yref": "paper", "x": 0.5,
        "y": 0.65, "font": {"color": LOSS_COLOUR},
    }  # fmt: skip
    return layout | {
        "margin": {"l": 52, "r": 12, "t": 10, "b": 8},
        "xaxis": layout["xaxis"] | {"anchor": "y", "range": EMPTY_S, "title": {
            "text": AXES["cost_s"], "standoff": 6}},
        "yaxis": layout["yaxis"] | {"domain": [0.34, 1], "title": {
            "text": SCORES[score], "standoff": 8}},
        "xaxis2": slim | {"anchor": "y2", "rangemode": "tozero"},
        "yaxis2": slim
        | {"domain": [0, 0.13], "title": title, "rangemode": "tozero", "visible": False},
        "annotations": [start],
    }  # fmt: skip


class CurveChart:
    """The curves of one or two runs, with a ring round the cycle that is shown.

    Parameters
    ----------
    names : sequence of str
        What the legend calls each run.
    score : str
        The column of the rows that is drawn.

    Attributes
    ----------
    widget : ipywidgets.Box
        What to show.
    """

    def __init__(self, names: Sequence[str], score: str = "dice") -> None:
        self.score = score
        colours = COLOURS[: len(names)]
        curves = [
            curve_trace([], name, score, colour) | WHOLE
            for name, colour in zip(names, colours, strict=True)
        ]
        several = len(names) > 1
        layout = still(curve_layout(score), CURVES_PX) | {
            "margin": {"l": 52, "r": 12, "t": 24 if several else 10, "b": 44},
            "showlegend": several,
            "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"},
        }
        layout["xaxis"] |= {"rangemode": "normal"}
        rings = [
            WHOLE | {
                "type": "scatter", "x": [], "y": [], "mode": "markers", "hoverinfo": "skip",
                "marker": {"symbol": "circle-open", "size": 17, "color": colour,
                           "line": {"color": colour, "width": 3}},
                "showlegend": False,
            } for colour in colours
        ]  # fmt: skip
        self.figure = LiveFigure([*curves, *rings], layout)
        self.widget = figure_box([self.figure], CURVES_PX, "alnb-charts")

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
            self.figure.layout.yaxis.range = score_range(0, top)
