"""How `RegionView`'s figure looks: its two panels, their layers, and the key under the slice.

Layers are traces, named ``"slice ct"``, ``"region entropy"``, ``"clicks infected"`` and so on;
the grid, the region's border on the slice and the one on its own panel are shapes, since a shape
is one element of the page, and a trace one for each piece of its line.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import plotly.graph_objects as go

from alnb.ui.frame import REGION_PX
from alnb.ui.live_figure import LiveFigure
from alnb.ui.pictures import PREDICTION_RGB, heat_png, uri

SLICE_PX, GAP_PX = 352, 16
WIDTH_PX = SLICE_PX + GAP_PX + REGION_PX  # 848×480: with a chart column, fits 1280×720
OVERLAYS = ("entropy", "prediction", "mask")  # from below to above
SHAPES = (  # those named near lie on the region's panel, where a whole slice is asked about
    "grid", "infected", "clean", "border",
    "near grid", "near infected", "near clean", "picked", "outlines", "frame",
)  # fmt: skip
LAYERS = {  # what can be hidden -> its shapes and traces
    "grid": ("grid", "near grid"),
    "clicks": ("clicks infected", "clicks background", "clicks earlier", "outlines"),
    "answered": ("infected", "clean", "near infected", "near clean"),
}
CLICK_COLOUR = "#ff2d95"
NO_PATH = "M0,0Z"
NOTHING = uri(heat_png(np.zeros((1, 1))))  # heat of 0 is transparent
ENTROPY_KEY = "entropy, 0 to 0.69 nats"
PREDICTION_KEY = f"<span style='color:rgb{PREDICTION_RGB}'>■</span> predicted infection"
PLACE_NOTE, PREDICTION_NOTE, ENTROPY_NOTE, LOOKING_NOTE, REST_NOTE = range(5)
INFECTED_RGBA = "rgba(255,45,149,{})"
CLEAN_RGBA = "rgba(86,180,233,{})"  # Okabe and Ito's sky blue
BEHIND, REST_COLOUR = (
    "black",
    "rgba(127,135,147,0.12)",
)  # behind the pictures, and where there are none


def region_figure(shape: tuple[int, int]) -> LiveFigure:
    """Make the figure for slices of (H, W) pixels, whole but empty."""
    return LiveFigure(_traces(), _layout(shape))


def _traces() -> list[Any]:
    pictures = [
        go.Image(
            name=f"{panel} {name}", source=NOTHING, xaxis=x, yaxis=y, hoverinfo="skip",
            opacity=1 if name == "ct" else 0.6, visible=name != "mask",
        )
        for panel, x, y in (("slice", "x", "y"), ("region", "x2", "y2"))
        for name in ("ct", *OVERLAYS)
    ]  # fmt: skip
    return [
        *pictures,
        _markers("clicks infected", "circle", CLICK_COLOUR),
        _markers("clicks background", "square", "#3b82f6"),
        _earlier(),
        _cursor(),
    ]


def _earlier() -> go.Scatter:
    """Mark on the slice where its other regions were clicked."""
    return go.Scatter(
        name="clicks earlier", x=[], y=[], mode="markers", hoverinfo="skip", showlegend=False,
        marker={"size": 5, "color": CLICK_COLOUR, "line": {"width": 1, "color": "white"}},
    )  # fmt: skip


def _cursor() -> go.Scatter:
    """Show the place that keys move."""
    line = {"width": 2, "color": "#ffd600"}
    return go.Scatter(
        name="cursor", x=[], y=[], xaxis="x2", yaxis="y2", mode="markers", hoverinfo="skip",
        marker={"symbol": "cross-thin", "size": 22, "line": line}, showlegend=False,
    )  # fmt: skip


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
    side, right = max(shape), SLICE_PX / WIDTH_PX
    rows, cols = ([(n - side - 1) / 2, (n + side - 1) / 2] for n in shape)
    hidden = {"visible": False, "fixedrange": True, "zeroline": False, "showgrid": False}
    loose = hidden | {"scaleanchor": False}
    return {
        "width": WIDTH_PX,
        "height": REGION_PX,
        "margin": {"l": 0, "r": 0, "t": 0, "b": 0, "pad": 0},
        "plot_bgcolor": BEHIND,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "dragmode": False,
        "hovermode": False,
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "#1f2937"},
        "meta": {"screen": 0},
        "xaxis": loose | {"domain": [0, SLICE_PX / WIDTH_PX], "range": cols},
        "yaxis": loose | {"domain": [1 - SLICE_PX / REGION_PX, 1], "range": rows[::-1]},
        "xaxis2": loose
        | {"domain": [1 - REGION_PX / WIDTH_PX, 1], "range": [0, 1], "anchor": "y2"},
        "yaxis2": loose | {"domain": [0, 1], "range": [1, 0], "anchor": "x2"},
        "shapes": _shapes(),
        "annotations": [
            _note("", 0, 0, "left"),
            _note(PREDICTION_KEY, right, 0, "right"),
            _note(ENTROPY_KEY, right, 20, "right"),
            _looking_note(),
            _rest_note(),
        ],
        "images": [_heat_bar(right)],
    }


def _shapes() -> list[dict[str, Any]]:
    """Describe `SHAPES`, empty."""
    small, large = ("x", "y"), ("x2", "y2")
    answered = {
        "infected": _area(INFECTED_RGBA, "solid"),
        "clean": _area(CLEAN_RGBA, "dot"),
    }
    looks = {
        "grid": _path(*small, "rgba(255,255,255,0.55)", 1) | {"opacity": 0.4},
        "border": _path(*small, "white", 2),
        "frame": _path(*large, "rgba(255,255,255,0.85)", 1.5),
        "near grid": _path(*large, "rgba(255,255,255,0.55)", 1) | {"opacity": 0.4},
        "picked": _path(*large, CLICK_COLOUR, 2),
        "outlines": _path(*large, CLICK_COLOUR, 2)
        | {"fillcolor": INFECTED_RGBA.format(0.2), "fillrule": "evenodd"},
    }
    for name, look in answered.items():
        looks[name] = _path(*small, "", 1) | look
        looks[f"near {name}"] = _path(*large, "", 1) | look
    return [looks[name] for name in SHAPES]


def _area(rgba: str, dash: str) -> dict[str, Any]:
    line = {"color": rgba.format(1), "width": 1.5, "dash": dash}
    return {"line": line, "fillcolor": rgba.format(0.45)}


def _looking_note() -> dict[str, Any]:
    """Write across the top of the region's panel."""
    return {
        "text": "", "visible": False, "showarrow": False,
        "xref": "paper", "x": 1 - REGION_PX / WIDTH_PX / 2, "xanchor": "center",
        "yref": "paper", "y": 1, "yanchor": "top", "bgcolor": "rgba(255,214,0,0.92)",
        "borderpad": 5, "font": {"size": 14, "color": "#1f2937"},
    }  # fmt: skip


def _note(text: str, x: float, below_px: int, side: str) -> dict[str, Any]:
    """Write under the slice."""
    return {
        "text": text, "showarrow": False, "xref": "paper", "x": x, "xanchor": side, "align": side,
        "yref": "paper", "y": 1 - (SLICE_PX + 6 + below_px) / REGION_PX, "yanchor": "top",
    }  # fmt: skip


def _rest_note() -> dict[str, Any]:
    """Write in the middle, where there are no pictures."""
    return {
        "text": "", "showarrow": False, "xref": "paper", "x": 0.5, "yref": "paper", "y": 0.5,
        "font": {"size": 18, "color": "#4b5563"},
    }  # fmt: skip


def _heat_bar(right: float) -> dict[str, Any]:
    """Draw the heat map's colours, as opaque as they are on CT, under the slice."""
    bar = heat_png(np.linspace(0, math.log(2), 128)[np.newaxis])
    return {
        "source": uri(bar), "xref": "paper", "x": right - 160 / WIDTH_PX, "xanchor": "right",
        "yref": "paper", "y": 1 - (SLICE_PX + 32) / REGION_PX, "yanchor": "top",
        "sizing": "stretch", "sizex": 64 / WIDTH_PX, "sizey": 10 / REGION_PX,
    }  # fmt: skip
