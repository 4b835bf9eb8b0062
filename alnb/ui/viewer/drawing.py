"""A FigureWidget whose late viewers see it as it is, not as it was built.

Turn arrays into small PNG pictures that a browser can show: CT, heat maps, predictions.

A palette PNG is a byte a pixel, and encodes in a few milliseconds; colours and transparency
stand in its palette.

How `RegionView`'s figure looks: its two panels, their layers, and the key under the slice.

Layers are traces, named ``"slice ct"``, ``"region entropy"``, ``"clicks infected"`` and so on;
the grid, the region's border on the slice and the one on its own panel are shapes, since a shape
is one element of the page, and a trace one for each piece of its line.

A slice and its region as pictures, made ahead of being shown where there is time.

Borders of regions, and outlines, as SVG paths in columns and rows.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from PIL import Image

from alnb.annotation import Outline
from alnb.arrays import Grey, Map, Mask
from alnb.regions import Region
from alnb.ui.viewer.viewport import REGION_PX, Box, Frame


class LiveFigure(go.FigureWidget):  # type: ignore[misc]
    """A FigureWidget that may be updated before its page has drawn it, with no mode bar.

    A page asks for a widget's state after the notebook has run. Plotly would answer with the
    figure as it was constructed, and every update since then would be lost.
    """

    def __init__(self, data: Any, layout: Any) -> None:  # noqa: ANN401 - plotly's own types
        super().__init__(data=data, layout=layout)
        self._config = {"displayModeBar": False, "doubleClick": False, "showTips": False}

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:  # noqa: ANN401
        """Return the state that a page is given, brought up to date first.

        A message about single traits takes them as they are: else those that the constructor
        sets at last would look sent already, and a notebook would draw an empty figure.
        """
        if key is None and getattr(self, "_layout_obj", None) is not None:
            # set past the trait, since setting it would send the whole figure again
            self._trait_values["_widget_data"] = deepcopy(self._data)
            self._trait_values["_widget_layout"] = deepcopy(self._layout_obj._props)
        state: dict[str, Any] = super().get_state(key=key, drop_defaults=drop_defaults)
        return state


PREDICTION_RGB = (0, 229, 255)  # cyan: no colour of inferno, and told apart by colour-blind eyes
MASK_RGB = (200, 255, 0)  # lime: apart from cyan for all eyes; of inferno's yellow a line alone
HEAT_ALPHA = 0.9  # of the hottest pixel; the coldest is clear, so that CT shows where all is sure
FILL_ALPHA = 0.35  # of a prediction's inside; its edge is opaque


def uri(png: bytes) -> str:
    """Return a PNG as a data URI."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _encode(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)  # 1: three times faster than 6, 15 % larger
    return buffer.getvalue()


def grey_png(image: Grey) -> bytes:
    """Encode an (H, W) uint8 slice as a grey PNG."""
    return _encode(Image.fromarray(np.ascontiguousarray(image)))


def _palette_png(
    indices: NDArray[np.uint8], rgb: NDArray[np.uint8], alpha: NDArray[np.uint8]
) -> bytes:
    image = Image.fromarray(np.ascontiguousarray(indices)).convert("P")
    image.putpalette(rgb.tobytes())
    image.info["transparency"] = alpha.tobytes()
    return _encode(image)


@cache
def _inferno() -> NDArray[np.uint8]:
    """Return inferno's 256 colours, (256, 3) uint8."""
    from PIL import ImageColor
    from plotly.colors import sequential, unlabel_rgb

    stops = np.array(
        [ImageColor.getrgb(c) if c[0] == "#" else unlabel_rgb(c) for c in sequential.Inferno]
    )
    at = np.linspace(0, 1, 256)
    channels = [np.interp(at, np.linspace(0, 1, len(stops)), stops[:, i]) for i in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8)


def heat_png(values: Map, top: float = math.log(2)) -> bytes:
    """Encode a map as a heat picture, the more opaque the higher.

    Parameters
    ----------
    values : (H, W) float array
        From 0 to `top`; beyond, clipped.
    top : float
        What is drawn hottest; ln 2 nats, the highest entropy of two classes.

    Returns
    -------
    bytes
        A palette PNG in inferno's colours.
    """
    levels = np.rint(np.clip(values / top, 0, 1) * 255).astype(np.uint8)
    alpha = np.rint(np.linspace(0, HEAT_ALPHA * 255, 256)).astype(np.uint8)
    return _palette_png(levels, _inferno(), alpha)


def _fine(shape: tuple[int, ...], factor: float) -> tuple[int, int]:
    return round(shape[1] * factor), round(shape[0] * factor)


def enlarge_grey(image: Grey, factor: float) -> Grey:
    """Draw an (H, W) uint8 picture on a grid `factor` ≥ 1 times finer, by cubic splines.

    As a viewer of CT does: the eye reads smooth tissue better than squares.
    """
    fine = Image.fromarray(np.ascontiguousarray(image))
    grey: Grey = np.asarray(fine.resize(_fine(image.shape, factor), Image.Resampling.BICUBIC))
    return grey


def enlarge_map(values: Map, factor: float) -> Map:
    """Draw an (H, W) float map on a grid `factor` ≥ 1 times finer, linearly, in float32."""
    fine = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    smooth: Map = np.asarray(fine.resize(_fine(values.shape, factor), Image.Resampling.BILINEAR))
    return smooth


def edge(mask: Mask) -> Mask:
    """Find the pixels of a mask that share a side with its outside, within the picture.

    Examples
    --------
    >>> edge(np.array([[1, 1, 0], [1, 1, 0]], dtype=bool)).astype(int).tolist()
    [[0, 1, 0], [0, 1, 0]]
    """
    padded = np.pad(mask, 1, mode="edge")  # so that a picture's border is no edge
    within = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    found: Mask = mask & ~within
    return found


def prediction_png(prediction: Map | Mask, at: float = 0.5) -> bytes:
    """Encode where infection is predicted: a cyan outline with a faint inside.

    Parameters
    ----------
    prediction : (H, W) float or bool array
        Infection probability, or the mask itself.
    at : float
        Probability above which a pixel counts as infected.

    Returns
    -------
    bytes
        A palette PNG.
    """
    mask: Mask = prediction > at  # of a bool array too, True being 1
    indices = mask.astype(np.uint8) + edge(mask)
    rgb = np.array([(0, 0, 0), PREDICTION_RGB, PREDICTION_RGB], dtype=np.uint8)
    alpha = np.array([0, round(FILL_ALPHA * 255), 255], dtype=np.uint8)
    return _palette_png(indices, rgb, alpha)


def outline_png(mask: Mask, rgb: tuple[int, int, int] = MASK_RGB) -> bytes:
    """Encode the border of an (H, W) bool mask as a palette PNG, clear elsewhere."""
    colours = np.array([(0, 0, 0), rgb], dtype=np.uint8)
    return _palette_png(edge(mask).astype(np.uint8), colours, np.array([0, 255], dtype=np.uint8))


def thumbnail_png(image: Grey, window: tuple[slice, slice], size: int = 56) -> bytes:
    """Encode a part of a slice as a grey PNG that fits a square.

    Parameters
    ----------
    image : (H, W) uint8 array
        The slice.
    window : tuple of two slices
        Which part, as `Region.window` names it.
    size : int
        The longer side, in pixels.
    """
    part = Image.fromarray(np.ascontiguousarray(image[window]))
    scale = size / max(part.size)
    shape = tuple(max(1, round(side * scale)) for side in part.size)
    return _encode(part.resize((shape[0], shape[1]), Image.Resampling.BICUBIC))


def outline_path(areas: Mask | NDArray[np.integer[Any]]) -> str:
    """Trace the borders of areas along the sides of pixels, a line for each straight stretch.

    Parameters
    ----------
    areas : (H, W) bool or integer array
        A shape, or numbers of several; 0 is outside. Not empty.

    Returns
    -------
    str
        An SVG path in columns and rows, of absolute commands, as Plotly asks.

    Examples
    --------
    >>> outline_path(np.ones((1, 2), dtype=bool))
    'M-0.5,-0.5H1.5M-0.5,0.5H1.5M-0.5,-0.5V0.5M1.5,-0.5V0.5'
    """
    padded = np.pad(areas, 1).astype(np.int64)
    across = _stretches(np.diff(padded, axis=0)[:, 1:-1] != 0)  # upper sides of pixels
    down = _stretches(np.diff(padded, axis=1)[1:-1].T != 0)  # left sides
    pieces = [f"M{begin},{row}H{end}" for row, begin, end in across]
    return "".join(pieces + [f"M{col},{begin}V{end}" for col, begin, end in down])


def _stretches(sides: Mask) -> list[tuple[float, float, float]]:
    """Join the sides along each line: (line, begin, end), half a pixel before their pixels."""
    ends = np.diff(np.pad(sides, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    begins, stops = np.argwhere(ends == 1) - 0.5, np.nonzero(ends == -1)[1] - 0.5
    pairs = zip(begins.tolist(), stops.tolist(), strict=True)
    return [(line, begin, end) for (line, begin), end in pairs]


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


Picture = tuple[bytes, tuple[float, float]]  # a PNG, and the (rows, cols) a pixel of it is
Pictures = Mapping[str, Picture]
DIMMED = 0.55  # what is left of the brightness outside the region


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """A slice, its region and their overlays, as pictures.

    Parameters
    ----------
    far : mapping of str to Picture
        Of the slice: ``"ct"`` and the overlays' names.
    near : mapping of str to Picture
        Of the part that is shown large.
    box : two slices
        Which part that is.
    fine : float
        How many pixels one of the slice takes in `near`.
    """

    far: Pictures
    near: Pictures
    box: Box
    fine: float


def encode(
    image: Grey, overlays: Mapping[str, Map | Mask], region: Region, frame: Frame
) -> Encoded:
    """Draw a slice, and large what a frame shows of it.

    Parameters
    ----------
    image : (H, W) uint8 array
        The slice through its window.
    overlays : mapping of str to (H, W) array
        As `RegionView.show` takes them.
    region : Region
        What is asked about; its surroundings are dimmed.
    frame : Frame
        What is shown large.
    """
    far = _pictures(image, overlays, max(1.0, SLICE_PX / max(image.shape)))
    near, box, fine = encode_near(image, overlays, region, frame)
    return Encoded(far, near, box, fine)


def encode_near(
    image: Grey,
    overlays: Mapping[str, Map | Mask],
    region: Region,
    frame: Frame,
    margin: float = 0.0,
) -> tuple[Pictures, Box, float]:
    """Draw large what a frame shows, with a margin around it, a share of its side."""
    box = frame.box(image.shape, margin)
    fine = max(1.0, REGION_PX / frame.side)
    crops = {name: values[box] for name, values in overlays.items()}
    inside = region_mask(region, image.shape)
    return _pictures(image[box], crops, fine, inside[box]), box, fine


def region_mask(region: Region, shape: tuple[int, int]) -> Mask:
    """Draw a region on an (H, W) slice: True inside."""
    return region.drawn(shape)


def dim_outside(image: Grey, inside: Mask) -> Grey:
    """Darken what lies outside a region."""
    dimmed: Grey = np.where(inside, image, (image * DIMMED).astype(np.uint8))
    return dimmed


def _pictures(
    image: Grey, overlays: Mapping[str, Map | Mask], fine: float, inside: Mask | None = None
) -> Pictures:
    """Encode a slice, or a part of it, and its overlays, `fine` pixels for each of theirs."""
    smooth = enlarge_grey(image, fine)
    if inside is not None:
        rows, cols = (
            np.arange(n) * m // n for n, m in zip(smooth.shape, inside.shape, strict=True)
        )
        smooth = dim_outside(smooth, inside[np.ix_(rows, cols)])
    drawn = {"ct": (grey_png(smooth), _step(image, smooth))}
    if "entropy" in overlays:
        heat = enlarge_map(overlays["entropy"].astype(np.float32), fine)
        drawn["entropy"] = (heat_png(heat), _step(image, heat))
    if "prediction" in overlays:  # a decision for each pixel of the slice, and shown as that
        drawn["prediction"] = (prediction_png(overlays["prediction"]), (1.0, 1.0))
    if "mask" in overlays:
        drawn["mask"] = (outline_png(overlays["mask"].astype(bool)), (1.0, 1.0))
    return drawn


def _step(coarse: Grey, fine: Grey | Map) -> tuple[float, float]:
    """Tell how many coarse pixels one fine pixel is, in rows and in columns."""
    return coarse.shape[0] / fine.shape[0], coarse.shape[1] / fine.shape[1]


def numbered(regions: Sequence[Region]) -> NDArray[np.intp]:
    """Draw regions of one slice by their numbers from 1, as far as they reach; 0 elsewhere."""
    shape = (max(r.row + r.height for r in regions), max(r.col + r.width for r in regions))
    areas = np.zeros(shape, dtype=np.intp)
    for number, region in enumerate(regions, 1):
        areas[region.drawn(shape)] = number
    return areas


def grid_path(regions: Iterable[Region]) -> str:
    """Draw the borders of regions, as shaped as they are, as one SVG path in columns and rows.

    One path, and no trace: Plotly draws each piece of a line as an element of its own, which
    made a click wait.
    """
    regions = tuple(regions)
    if any(region.mask is not None for region in regions):
        return outline_path(numbered(regions))
    corners = (
        (r.col - 0.5, r.row - 0.5, r.col + r.width - 0.5, r.row + r.height - 0.5) for r in regions
    )
    paths = [
        f"M{left},{top}L{right},{top}L{right},{bottom}L{left},{bottom}Z"
        for left, top, right, bottom in corners
    ]
    return "".join(paths) or NO_PATH


def polygon_path(outlines: Iterable[Outline]) -> str:
    """Draw outlines as one SVG path, in columns and rows."""
    paths = [
        "M" + "L".join(f"{col},{row}" for row, col in outline) + "Z"
        for outline in outlines
        if outline
    ]
    return "".join(paths) or NO_PATH
