"""Two slices side by side, each with a region, its clicks and what a network makes of it."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ipywidgets
import numpy as np
import plotly.graph_objects as go

from alnb.annotation import Click, Outline
from alnb.arrays import INFECTED, Grey, Map, Mask
from alnb.regions import Region
from alnb.ui.viewer.drawing import (
    BEHIND,
    CLICK_COLOUR,
    INFECTED_RGBA,
    NO_PATH,
    NOTHING,
    LiveFigure,
    enlarge_grey,
    enlarge_map,
    grey_png,
    grid_path,
    heat_png,
    outline_png,
    polygon_path,
    prediction_png,
    uri,
)
from alnb.ui.viewer.input import Tap

PANEL_PX, GAP_PX, TITLE_PX = 416, 16, 26
WIDTH_PX, HEIGHT_PX = 2 * PANEL_PX + GAP_PX, PANEL_PX + TITLE_PX
LAYERS = ("entropy", "prediction", "mask")  # from below to above
SIDES = ("left", "right")
ZOOM = 3.0  # sides of a region that a zoomed panel shows
GRID_OPACITY = 0.35
EMPTY = "#f3f5f8"
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """What one side shows.

    Parameters
    ----------
    title : str
        Above it.
    image : (H, W) uint8 array, or None
        The slice; None shows the note alone.
    region : Region or None
        Framed.
    clicks : sequence of Click
        On that slice.
    outlines : sequence of Outline
        Drawn around infection on that slice.
    layers : mapping of str to (H, W) array
        ``"entropy"`` in nats, ``"prediction"`` and ``"mask"`` as bool; any may be missing.
    regions : sequence of Region
        Of the slice, drawn as a faint grid.
    note : str
        A sentence on the picture; empty for none.
    """

    title: str
    image: Grey | None = None
    region: Region | None = None
    clicks: Sequence[Click] = ()
    outlines: Sequence[Outline] = ()
    layers: Mapping[str, Map | Mask] = field(default_factory=dict)
    regions: Sequence[Region] = ()
    note: str = ""


class PairView:
    """A figure of two panels, 848 px wide; `widget` is what to show.

    Parameters
    ----------
    shape : (H, W)
        Of the slices, in pixels.
    shortcuts : sequence of str
        Keys that are handed on; see `Tap`.
    """

    def __init__(self, shape: tuple[int, int], shortcuts: Sequence[str] = ()) -> None:
        self.shape = shape
        self.figure = LiveFigure(_traces(), _layout(shape))
        self._traces = {trace.name: trace for trace in self.figure.data}
        target = f"alnb-pair-{next(_numbers)}"
        self.tap = Tap(target, panel="x2y2", shortcuts=tuple(shortcuts))
        self.tap.pictured = "two slices with the region that was asked about"
        self.tap.locked = True
        size = ipywidgets.Layout(
            width=f"{WIDTH_PX}px", min_width=f"{WIDTH_PX}px", height=f"{HEIGHT_PX}px",
            flex="0 0 auto", overflow="hidden",
        )  # fmt: skip
        self.widget = ipywidgets.Box([self.figure, self.tap], layout=size)
        self.widget.add_class(target)
        self.widget.add_class("alnb-figure")
        self.widget.add_class("alnb-pair")

    def show(
        self, left: Panel, right: Panel, visible: Collection[str], opacity: float, *, zoom: bool
    ) -> None:
        """Show two panels.

        Parameters
        ----------
        left, right : Panel
        visible : collection of str
            Which layers are drawn, and ``"grid"``.
        opacity : float
            Of the entropy, in [0, 1].
        zoom : bool
            Show the regions with their surroundings, not the whole slices.
        """
        with self.figure.batch_update():
            for number, (side, panel) in enumerate(zip(SIDES, (left, right), strict=True)):
                self._put_pictures(side, panel, visible, opacity)
                self._put_paths(number, panel, "grid" in visible)
                self._put_clicks(side, panel.clicks)
                self._put_words(number, panel)
                self._put_ranges(number, panel, zoom=zoom)

    def _put_pictures(
        self, side: str, panel: Panel, visible: Collection[str], opacity: float
    ) -> None:
        factor = max(1.0, PANEL_PX / max(self.shape))
        pictures = {} if panel.image is None else {"ct": enlarge_grey(panel.image, factor)}
        sources = {name: grey_png(image) for name, image in pictures.items()}
        steps = dict.fromkeys(("ct", "entropy"), 1 / factor)
        for name in panel.layers.keys() & set(visible):
            sources[name] = _encoded(name, panel.layers[name], factor)
        for name in ("ct", *LAYERS):
            trace, step = self._traces[f"{side} {name}"], steps.get(name, 1.0)
            trace.source = uri(sources[name]) if name in sources else NOTHING
            trace.dx = trace.dy = step
            trace.x0 = trace.y0 = (step - 1) / 2  # the centre of its first pixel
            trace.opacity = opacity if name == "entropy" else 1

    def _put_paths(self, number: int, panel: Panel, grid: bool) -> None:
        shapes = self.figure.layout.shapes
        paths = (
            grid_path(panel.regions) if grid else NO_PATH,
            grid_path([panel.region]) if panel.region else NO_PATH,
            polygon_path(panel.outlines),
        )
        for place, path in enumerate(paths, start=len(paths) * number):
            shapes[place].path = path

    def _put_clicks(self, side: str, clicks: Sequence[Click]) -> None:
        for name, wanted in (("infected", True), ("background", False)):
            chosen = [click for click in clicks if (click.label == INFECTED) == wanted]
            trace = self._traces[f"{side} clicks {name}"]
            trace.x = [click.col for click in chosen]
            trace.y = [click.row for click in chosen]

    def _put_words(self, number: int, panel: Panel) -> None:
        title, note = self.figure.layout.annotations[2 * number : 2 * number + 2]
        title.text, note.text, note.visible = panel.title, panel.note, bool(panel.note)

    def _put_ranges(self, number: int, panel: Panel, *, zoom: bool) -> None:
        columns, rows = _ranges(panel.region if zoom else None, self.shape)
        suffix = str(number + 1) if number else ""
        self.figure.layout[f"xaxis{suffix}"].range = columns
        self.figure.layout[f"yaxis{suffix}"].range = rows[::-1]


def _ranges(region: Region | None, shape: tuple[int, int]) -> tuple[list[float], list[float]]:
    """Choose the columns and rows that are shown, as many of each."""
    if region is None:
        side, row, col = float(max(shape)), (shape[0] - 1) / 2, (shape[1] - 1) / 2
    else:
        side = min(ZOOM * max(region.height, region.width), float(max(shape)))
        row = _within(region.row + (region.height - 1) / 2, side, shape[0])
        col = _within(region.col + (region.width - 1) / 2, side, shape[1])
    return [col - side / 2, col + side / 2], [row - side / 2, row + side / 2]


def _within(middle: float, side: float, length: int) -> float:
    """Move a window of `side` pixels along an axis so that it shows no more than there is."""
    low, high = side / 2 - 0.5, length - side / 2 - 0.5
    return min(max(middle, low), high) if low <= high else (length - 1) / 2


def _encoded(name: str, layer: Map | Mask, factor: float) -> bytes:
    if name == "entropy":
        return heat_png(enlarge_map(np.asarray(layer, dtype=np.float32), factor))
    mask: Mask = np.asarray(layer, dtype=bool)
    return prediction_png(mask) if name == "prediction" else outline_png(mask)


def _traces() -> list[Any]:
    axes = dict(zip(SIDES, (("x", "y"), ("x2", "y2")), strict=True))
    images = [
        go.Image(name=f"{side} {name}", source=NOTHING, xaxis=x, yaxis=y, hoverinfo="skip")
        for side, (x, y) in axes.items()
        for name in ("ct", *LAYERS)
    ]
    return [
        *images,
        *(
            go.Scatter(
                name=f"{side} clicks {kind}", x=[], y=[], xaxis=x, yaxis=y, mode="markers",
                marker={"symbol": symbol, "size": 11, "color": colour,
                        "line": {"width": 2, "color": "white"}},
                hoverinfo="skip", showlegend=False,
            )
            for side, (x, y) in axes.items()
            for kind, symbol, colour in (
                ("infected", "circle", CLICK_COLOUR), ("background", "square", "#3b82f6"),
            )
        ),
    ]  # fmt: skip


def _layout(shape: tuple[int, int]) -> dict[str, Any]:
    columns, rows = _ranges(None, shape)
    hidden = {
        "visible": False, "fixedrange": True, "zeroline": False, "showgrid": False,
        "scaleanchor": False,
    }  # fmt: skip
    high, right = PANEL_PX / HEIGHT_PX, (PANEL_PX + GAP_PX) / WIDTH_PX
    wide = PANEL_PX / WIDTH_PX
    y = hidden | {"domain": [0, high], "range": rows[::-1]}
    return {
        "width": WIDTH_PX,
        "height": HEIGHT_PX,
        "margin": {"l": 0, "r": 0, "t": 0, "b": 0, "pad": 0},
        "plot_bgcolor": BEHIND,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "dragmode": False,
        "hovermode": False,
        "font": {"family": "system-ui, sans-serif", "size": 14, "color": "#1f2937"},
        "meta": {"screen": 0},
        "xaxis": hidden | {"domain": [0, wide], "range": columns},
        "yaxis": y,
        "xaxis2": hidden | {"domain": [right, 1], "range": columns, "anchor": "y2"},
        "yaxis2": y | {"anchor": "x2"},
        "shapes": [shape for side in ("", "2") for shape in _shapes(f"x{side}", f"y{side}")],
        "annotations": [
            words for left in (0.0, right) for words in (_title(left), _note(left + wide / 2))
        ],
    }


def _shapes(x: str, y: str) -> list[dict[str, Any]]:
    path = {"type": "path", "path": NO_PATH, "xref": x, "yref": y}
    return [
        path | {"line": {"color": "white", "width": 1}, "opacity": GRID_OPACITY},
        path | {"line": {"color": "white", "width": 2}},
        path | {"line": {"color": CLICK_COLOUR, "width": 2}, "fillrule": "evenodd",
                "fillcolor": INFECTED_RGBA.format(0.2)},
    ]  # fmt: skip


def _title(left: float) -> dict[str, Any]:
    return {
        "text": "", "showarrow": False, "xref": "paper", "x": left, "xanchor": "left",
        "yref": "paper", "y": 1, "yanchor": "top", "align": "left",
    }  # fmt: skip


def _note(middle: float) -> dict[str, Any]:
    return {
        "text": "", "showarrow": False, "xref": "paper", "x": middle, "xanchor": "center",
        "yref": "paper", "y": 0.03, "yanchor": "bottom", "bgcolor": "rgba(31,41,55,0.85)",
        "font": {"color": "white", "size": 13}, "borderpad": 5, "visible": False,
    }  # fmt: skip
