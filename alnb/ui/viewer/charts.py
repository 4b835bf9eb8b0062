"""Charts on a page: a score against the labelling cost, and the loss of a training."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from alnb.curves.charts import AXES as COLUMNS
from alnb.curves.charts import COLOURS, SCORES, Row, curve_layout, curve_trace, score_range
from alnb.ui.viewer.drawing import figure_box
from alnb.ui.viewer.figure import LiveFigure

CHARTS_PX, CURVES_PX = (368, 248), (368, 280)  # width and height on the screen, at first
FONTS_PX = (13, 24)  # ours: the smallest that can be read, and one that a lecture room can read
LOSS_SHARE = 0.15  # ours: of the height
LOSS_COLOUR = "#6b7280"
EMPTY_S = (0, 300)  # ours: the axis before there is a point
STEP, SHORTEST = 0.05, 0.2  # ours: a score's axis begins and ends on steps, and is never shorter
AXES = {name: COLUMNS[name][0] for name in ("cost_s", "measured_s", "regions")}
WHOLE = {"cliponaxis": False}  # points at the edge are drawn whole


def still(layout: Mapping[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    """Make a chart (width, height) screen pixels large, and let nobody drag or zoom it."""
    fixed = {axis: layout[axis] | {"fixedrange": True} for axis in ("xaxis", "yaxis")}
    return {**layout, **fixed, "width": size[0], "height": size[1], "dragmode": False}


def fit(figure: LiveFigure, size: tuple[int, int]) -> None:
    """Make a chart of `still` (width, height) screen pixels large, with text that fits."""
    layout, font = figure.layout, font_px(*size)
    layout.width, layout.height, layout.font.size = *size, font
    layout.margin.l, layout.margin.r, layout.margin.t = 6 + 4 * font, font, font


def font_px(width: int, height: int) -> int:
    """Choose the size of a chart's text, which grows with it."""
    return int(np.clip(min(width / 24, height / 18), *FONTS_PX))


def own_range(scores: Sequence[float]) -> list[float]:
    """Choose where the axis of scores in [0, 1] begins and ends: near them, on `STEP`.

    Examples
    --------
    >>> own_range([0.41, 0.62]), own_range([0.98]), own_range([])
    ([0.35, 0.65], [0.8, 1.0], [0, 1])
    """
    if not scores:
        return [0, 1]
    low, high = min(scores) - STEP / 2, max(scores) + STEP / 2
    spare = max(0.0, SHORTEST - (high - low)) / 2
    begin = max(0.0, math.floor((min(low - spare, 1 - SHORTEST)) / STEP) * STEP)
    end = min(1.0, math.ceil(max(high + spare, SHORTEST) / STEP) * STEP)
    return [round(begin, 2), round(end, 2)]


class Charts:
    """One figure for all charts, since each figure costs a page a second.

    Parameters
    ----------
    score : str
        The column of the rows that is drawn; see `alnb.curves.charts.SCORES`.

    Attributes
    ----------
    widget : ipywidgets.Box
        What to show; its chart is as large as its box.
    """

    def __init__(self, score: str = "dice") -> None:
        self.score, self._hint, self._size = score, "", CHARTS_PX
        self.axis = "cost_s"  # the column that the score is drawn against; of `AXES`
        curve = curve_trace([], score, score) | WHOLE
        self.figure = LiveFigure([curve, LOSS, LIVE], _layout(score))
        self.widget = figure_box([self.figure], CHARTS_PX, "alnb-charts")

    def show(
        self, rows: Sequence[Row], hint: str = "", samples: Sequence[Mapping[str, float]] = ()
    ) -> None:
        """Draw the curve of the cycles so far.

        Parameters
        ----------
        rows : sequence of mappings
            One a cycle, with ``cycle``, ``cost_s`` and the score; one without is left out.
        hint : str
            A sentence in place of the curve as long as there is no point.
        samples : sequence of mappings
            What the live layer predicted after each answer, a thin line; as `reports.Sample.row`.
        """
        trace = curve_trace(rows, self.score, self.score, x=self.axis)
        known = [one for one in samples if not math.isnan(one["dice"])]
        line = [one[self.axis] for one in known], [one["dice"] for one in known]
        with self.figure.batch_update():
            for name in ("x", "y", "customdata", "hovertemplate"):
                self.figure.data[0][name] = trace[name]
            self.figure.data[2].x, self.figure.data[2].y = line
            self._put_hint(hint)
            self.figure.data[2].mode = "lines" if len(known) > 1 else "markers"  # one is seen, too
            some = bool(trace["x"]) or max(line[0], default=0) > 0
            self.figure.layout.annotations[0].visible = not some
            self.figure.layout.yaxis.range = own_range([*trace["y"], *line[1]])
            self.figure.layout.xaxis.autorange = some
            self.figure.layout.xaxis.title.text = AXES[self.axis]

    def _put_hint(self, hint: str) -> None:
        """Break a hint into lines that fit the chart."""
        self._hint, font = hint, font_px(*self._size)
        chars = int((self._size[0] - 5 * font) / (0.55 * font))
        self.figure.layout.annotations[0].text = "<br>".join(textwrap.wrap(hint, chars))

    def resize(self, width: int, height: int) -> None:
        """Fill a box of this many screen pixels."""
        self._size, font = (width, height), font_px(width, height)
        curve = self.figure.data[0]
        with self.figure.batch_update():
            fit(self.figure, (width, height))
            self.figure.layout.yaxis2.title.font.size = font
            curve.line.width, curve.marker.size = font / 6, font / 2
            self._put_hint(self._hint)
            self._share()

    def _share(self) -> None:
        """Give the loss a place below the curve once there is one."""
        axis_title = 3.8 * font_px(*self._size) / self._size[1]
        loss = LOSS_SHARE if len(self.figure.data[1].x) else 0.0
        self.figure.layout.yaxis.domain = [loss + axis_title, 1]
        self.figure.layout.yaxis2.domain = [0, LOSS_SHARE]

    def show_losses(self, losses: Sequence[float]) -> None:
        """Draw the loss of the training that runs, or ran last, one value a step."""
        with self.figure.batch_update():
            self.figure.layout.yaxis2.visible = bool(losses)
            self.figure.data[1].x = list(range(1, len(losses) + 1))
            self.figure.data[1].y = list(losses)
        with self.figure.batch_update():
            self._share()


LIVE = WHOLE | {
    "type": "scatter", "name": "after each answer", "x": [], "y": [], "mode": "lines",
    "line": {"color": COLOURS[0], "width": 1.5},
    "hovertemplate": "%{x:.0f}<br>%{y:.3f} after each answer<extra></extra>",
}  # fmt: skip
LOSS = {
    "type": "scatter", "name": "loss", "x": [], "y": [], "xaxis": "x2", "yaxis": "y2",
    "mode": "lines", "line": {"color": LOSS_COLOUR, "width": 1.5},
    "hovertemplate": "step %{x}<br>loss %{y:.4f}<extra></extra>",
}  # fmt: skip


def _layout(score: str) -> dict[str, Any]:
    layout = still(curve_layout(score), CHARTS_PX)
    slim = {"fixedrange": True, "showgrid": False, "zeroline": False, "showticklabels": False}
    title = {"text": "loss", "font": {"size": FONTS_PX[0]}}
    start = {
        "text": "", "showarrow": False, "xref": "paper", "yref": "paper", "x": 0.5,
        "y": 0.65, "font": {"color": LOSS_COLOUR},
    }  # fmt: skip
    apart = {"ticks": "outside", "ticklen": 4, "tickcolor": "rgba(0,0,0,0)"}  # both begin with a 0
    return layout | {
        "margin": {"l": 58, "r": 12, "t": 10, "b": 8},
        "xaxis": layout["xaxis"] | apart | {"anchor": "y", "range": EMPTY_S, "title": {
            "text": AXES["cost_s"], "standoff": 6}},
        "yaxis": layout["yaxis"] | apart | {"domain": [0.22, 1], "title": {
            "text": SCORES[score], "standoff": 8}},
        "xaxis2": slim | {"anchor": "y2", "rangemode": "tozero"},
        "yaxis2": slim
        | {"domain": [0, LOSS_SHARE], "title": title, "rangemode": "tozero", "visible": False},
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

    def resize(self, width: int, height: int) -> None:
        """Fill a box of this many screen pixels."""
        with self.figure.batch_update():
            fit(self.figure, (width, height))
            margin, font = self.figure.layout.margin, font_px(width, height)
            margin.t, margin.b = (2 if self.figure.layout.showlegend else 1) * font, 5 + 3 * font

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
            one = len({x for trace in traces for x in trace["x"]}) < 2
            self.figure.layout.xaxis.rangemode = "tozero" if one else "normal"
