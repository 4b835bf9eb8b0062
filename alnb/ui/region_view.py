"""The slice and, large, the region that is asked about: one Plotly figure with two panels."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import ipywidgets
import numpy as np
import plotly.graph_objects as go

from alnb.annotation import Click
from alnb.arrays import INFECTED, Grey, Map, Mask
from alnb.regions import Region
from alnb.ui.live_figure import LiveFigure
from alnb.ui.pictures import PREDICTION_RGB, grey_png, heat_png, outline_path, prediction_png, uri
from alnb.ui.tap import Key, Press, Tap

OVERLAYS: Mapping[str, Callable[[Map], bytes]] = {
    "entropy": heat_png,
    "prediction": prediction_png,
}
REGION_PX, SLICE_PX, GAP_PX = 480, 352, 16  # 848×480: with a chart column, fits 1280×720
CONTEXT = 0.18  # of the region's longer side, shown around it; 44 px then fill 480 eight-fold
DIMMED = 0.55  # what is left of the brightness outside the region
CLEAR = uri(heat_png(np.zeros((1, 1))))  # heat of 0 is transparent
CLICK_COLOUR = "#ff2d95"
NO_PATH = "M0,0Z"
ENTROPY_KEY = "entropy, 0 to 0.69 nats"
PREDICTION_KEY = f"<span style='color:rgb{PREDICTION_RGB}'>■</span> predicted infection"
_numbers = itertools.count(1)


def view_ranges(region: Region) -> tuple[list[float], list[float]]:
    """Choose the columns and rows that show a region with its surroundings.

    A pixel is drawn as a whole number of screen pixels wherever a region is smaller than the
    panel.

    Returns
    -------
    (columns, rows) : two [low, high] lists of float
        Both of the same length, centred on the region.
    """
    side = max(region.height, region.width)
    scale = REGION_PX / (side * (1 + 2 * CONTEXT))
    half = REGION_PX / (int(scale) or scale) / 2
    row = region.row + (region.height - 1) / 2
    col = region.col + (region.width - 1) / 2
    return [col - half, col + half], [row - half, row + half]


def crop_box(region: Region, shape: tuple[int, int]) -> tuple[slice, slice]:
    """Find the part of a slice that the region's panel shows."""
    columns, rows = view_ranges(region)
    return tuple(  # type: ignore[return-value]
        slice(max(0, int(low + 0.5)), min(size, int(high + 1.5)))
        for (low, high), size in zip((rows, columns), shape, strict=True)
    )


def region_mask(region: Region, shape: tuple[int, int]) -> Mask:
    """Draw a region on an (H, W) slice: True inside."""
    inside: Mask = np.zeros(shape, dtype=bool)
    inside[region.window] = True if region.mask is None else region.mask
    return inside


def dim_outside(image: Grey, inside: Mask) -> Grey:
    """Darken what lies outside a region."""
    dimmed: Grey = np.where(inside, image, (image * DIMMED).astype(np.uint8))
    return dimmed


class RegionView:
    """Show a slice and one of its regions, with overlays, and hand on presses on the region.

    Everything but `widget` must be used on the kernel's loop alone.

    Parameters
    ----------
    shape : (H, W)
        Of the slices, in pixels.
    shortcuts : sequence of str
        Keys that are handed on; see `Tap`.

    Attributes
    ----------
    widget : ipywidgets.Box
        What to show: the figure, 848×480 px, with its `tap`.
    screen : int
        Counts the regions shown so far.
    """

    def __init__(self, shape: tuple[int, int], shortcuts: Sequence[str] = ()) -> None:
        self.shape = shape
        self.screen = 0
        self.region: Region | None = None
        self.visible: frozenset[str] = frozenset(OVERLAYS)
        self.figure = LiveFigure(_traces(), _layout(shape))
        self._traces = {trace.name: trace for trace in self.figure.data}
        target = f"alnb-region-{next(_numbers)}"
        self.tap = Tap(target, panel="x2y2", shortcuts=tuple(shortcuts))
        width, height = SLICE_PX + GAP_PX + REGION_PX, REGION_PX
        self.widget = ipywidgets.Box(
            [self.figure, self.tap],
            layout=ipywidgets.Layout(
                width=f"{width}px", min_width=f"{width}px", height=f"{height}px",
                flex="0 0 auto", overflow="hidden",
            ),
        )  # fmt: skip
        self.widget.add_class(target)
        self.widget.add_class("alnb-figure")

    def on_event(self, handler: Callable[[Press | Key], None]) -> None:
        """Call `handler` with each press and key; those meant for an earlier region are dropped."""

        def current(event: Press | Key) -> None:
            if event.screen == self.screen:
                handler(event)

        self.tap.on_event(current)

    def show(
        self,
        image: Grey,
        region: Region,
        *,
        clicks: Iterable[Click] = (),
        overlays: Mapping[str, Map] | None = None,
        regions: Iterable[Region] = (),
    ) -> None:
        """Show a region of a slice.

        Parameters
        ----------
        image : (H, W) uint8 array
            The slice through its window.
        region : Region
            Which part is asked about.
        clicks : iterable of Click
            Set so far.
        overlays : mapping of str to (H, W) array
            ``"entropy"`` in nats, ``"prediction"`` as probability or mask; any may be missing.
        regions : iterable of Region
            The slice's other regions, drawn as a faint grid.

        Raises
        ------
        ValueError
            If an array has another shape than the view, or an overlay another name.
        """
        overlays = overlays or {}
        self._check(image, overlays)
        if region != self.region:
            self.screen += 1
        self.region = region
        inside = region_mask(region, self.shape)
        box = crop_box(region, self.shape)
        pictures = {"ct": grey_png(image)} | {k: OVERLAYS[k](v) for k, v in overlays.items()}
        crops = {"ct": grey_png(dim_outside(image[box], inside[box]))}
        crops |= {name: OVERLAYS[name](values[box]) for name, values in overlays.items()}
        border = outline_path(inside) if region.mask is not None else grid_path([region])
        columns, rows = view_ranges(region)
        with self.figure.batch_update():
            self._put_pictures("slice", pictures, (0, 0))
            self._put_pictures("region", crops, (box[0].start, box[1].start))
            self._put_paths(grid=grid_path(regions), border=border)
            self._put_clicks(clicks)
            self.figure.layout.xaxis2.range = columns
            self.figure.layout.yaxis2.range = rows[::-1]
            self.figure.layout.meta = {"screen": self.screen}
            where = f"<b>{region.where.scan}</b><br>slice {region.where.z}"
            self.figure.layout.annotations[0].text = where

    def mark(self, clicks: Iterable[Click]) -> None:
        """Show these clicks and no others; all else stays."""
        with self.figure.batch_update():
            self._put_clicks(clicks)

    def set_overlays(self, visible: Collection[str], opacity: float) -> None:
        """Show the named overlays, at this opacity in [0, 1], now and on later slices."""
        self.visible = frozenset(visible)
        with self.figure.batch_update():
            for name in OVERLAYS:
                for panel in ("slice", "region"):
                    self._traces[f"{panel} {name}"].opacity = opacity
                    self._traces[f"{panel} {name}"].visible = name in self.visible
            layout = self.figure.layout
            layout.annotations[1].visible = "prediction" in self.visible
            layout.annotations[2].visible = layout.images[0].visible = "entropy" in self.visible

    def clear(self) -> None:
        """Show nothing: there is no region to ask about."""
        self.region = None
        self.screen += 1
        with self.figure.batch_update():
            for panel in ("slice", "region"):
                self._put_pictures(panel, {}, (0, 0))
            self._put_paths(grid=NO_PATH, border=NO_PATH)
            self._put_clicks(())
            self.figure.layout.meta = {"screen": self.screen}
            self.figure.layout.annotations[0].text = ""

    def _check(self, image: Grey, overlays: Mapping[str, Map]) -> None:
        for name in overlays.keys() - OVERLAYS.keys():
            raise ValueError(f"overlay {name!r} is unknown; there are {', '.join(OVERLAYS)}.")
        for name, array in {"the image": image, **overlays}.items():
            if array.shape != self.shape:
                raise ValueError(f"{name} is {array.shape}, the view {self.shape}.")

    def _put_pictures(self, panel: str, pngs: Mapping[str, bytes], origin: tuple[int, int]) -> None:
        for name in ("ct", *OVERLAYS):
            trace = self._traces[f"{panel} {name}"]
            trace.source = uri(pngs[name]) if name in pngs else CLEAR
            trace.y0, trace.x0 = origin

    def _put_paths(self, grid: str, border: str) -> None:
        for shape, path in zip(self.figure.layout.shapes, (grid, border, border), strict=True):
            shape.path = path

    def _put_clicks(self, clicks: Iterable[Click]) -> None:
        clicks = tuple(clicks)
        for name, wanted in (("infected", True), ("background", False)):
            chosen = [click for click in clicks if (click.label == INFECTED) == wanted]
            trace = self._traces[f"clicks {name}"]
            trace.x = [click.col for click in chosen]
            trace.y = [click.row for click in chosen]


def grid_path(regions: Iterable[Region]) -> str:
    """Draw the rectangles of regions as one SVG path, in columns and rows.

    One path, and no trace: Plotly draws each piece of a line as an element of its own, which
    made a click wait.
    """
    corners = (
        (r.col - 0.5, r.row - 0.5, r.col + r.width - 0.5, r.row + r.height - 0.5) for r in regions
    )
    paths = [
        f"M{left},{top}L{right},{top}L{right},{bottom}L{left},{bottom}Z"
        for left, top, right, bottom in corners
    ]
    return "".join(paths) or NO_PATH


def _traces() -> list[Any]:
    pictures = [
        go.Image(
            name=f"{panel} {name}", source=CLEAR, xaxis=x, yaxis=y, hoverinfo="skip",
            opacity=1 if name == "ct" else 0.6,
        )
        for panel, x, y in (("slice", "x", "y"), ("region", "x2", "y2"))
        for name in ("ct", *OVERLAYS)
    ]  # fmt: skip
    return [
        *pictures,
        _markers("clicks infected", "circle", CLICK_COLOUR),
        _markers("clicks background", "square", "#3b82f6"),
    ]


def _markers(name: str, symbol: str, colour: str) -> go.Scatter:
    marker = {"symbol": symbol, "size": 13, "color": colour, "line": {"width": 2, "color": "white"}}
    return go.Scatter(
        name=name, x=[], y=[], xaxis="x2", yaxis="y2", mode="markers", marker=marker,
        hoverinfo="skip", showlegend=False,
    )  # fmt: skip


def _path(x: str, y: str, colour: str, width: float) -> dict[str, Any]:
    line = {"color": colour, "width": width}
    return {"type": "path", "path": NO_PATH, "xref": x, "yref": y, "line": line}


def _layout(shape: tuple[int, int]) -> dict[str, Any]:
    width, height = SLICE_PX + GAP_PX + REGION_PX, REGION_PX
    side, right = max(shape), SLICE_PX / width
    rows, cols = ([(n - side - 1) / 2, (n + side - 1) / 2] for n in shape)
    hidden = {"visible": False, "fixedrange": True, "zeroline": False, "showgrid": False}
    loose = hidden | {"scaleanchor": False}
    return {
        "width": width,
        "height": height,
        "margin": {"l": 0, "r": 0, "t": 0, "b": 0, "pad": 0},
        "plot_bgcolor": "black",
        "paper_bgcolor": "rgba(0,0,0,0)",
        "dragmode": False,
        "hovermode": False,
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "#1f2937"},
        "meta": {"screen": 0},
        "xaxis": loose | {"domain": [0, SLICE_PX / width], "range": cols},
        "yaxis": loose | {"domain": [1 - SLICE_PX / height, 1], "range": rows[::-1]},
        "xaxis2": loose | {"domain": [1 - REGION_PX / width, 1], "range": [0, 1], "anchor": "y2"},
        "yaxis2": loose | {"domain": [0, 1], "range": [1, 0], "anchor": "x2"},
        "shapes": [
            _path("x", "y", "rgba(255,255,255,0.22)", 1),
            _path("x", "y", "white", 2),
            _path("x2", "y2", "rgba(255,255,255,0.85)", 1.5),
        ],
        "annotations": [
            _note("", 0, 0, "left"),
            _note(PREDICTION_KEY, right, 0, "right"),
            _note(ENTROPY_KEY, right, 20, "right"),
        ],
        "images": [_heat_bar(right)],
    }


def _note(text: str, x: float, below_px: int, side: str) -> dict[str, Any]:
    """Write under the slice."""
    return {
        "text": text, "showarrow": False, "xref": "paper", "x": x, "xanchor": side, "align": side,
        "yref": "paper", "y": 1 - (SLICE_PX + 6 + below_px) / REGION_PX, "yanchor": "top",
    }  # fmt: skip


def _heat_bar(right: float) -> dict[str, Any]:
    """Draw the heat map's colours, as opaque as they are on CT, under the slice."""
    bar = heat_png(np.linspace(0, math.log(2), 128)[np.newaxis])
    return {
        "source": uri(bar), "xref": "paper", "yref": "paper", "x": right, "xanchor": "right",
        "y": 1 - (SLICE_PX + 50) / REGION_PX, "yanchor": "top", "sizing": "stretch",
        "sizex": 128 / (SLICE_PX + GAP_PX + REGION_PX), "sizey": 10 / REGION_PX,
    }  # fmt: skip
