"""Draw slices for a browser: maps as PNG pictures, borders as SVG paths, and a figure for both.

A palette PNG takes a byte a pixel and a few milliseconds; its palette holds colour and
transparency.
"""

from __future__ import annotations

import base64
import io
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import ipywidgets
import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from PIL import Image

from alnb.annotation import Click, Outline
from alnb.arrays import INFECTED, Grey, Map, Mask
from alnb.regions import Region
from alnb.ui.viewer.figure import LiveFigure
from alnb.ui.viewer.input import Tap
from alnb.ui.viewer.viewport import Viewport

Picture = tuple[bytes, tuple[float, float]]  # a PNG, and how many (rows, cols) its pixel spans
Pictures = Mapping[str, Picture]
Square = tuple[int, int, int]  # left, top and side of a panel, in screen pixels

OVERLAYS = ("entropy", "prediction", "mask")  # from below to above
SMOOTHED = ("ct", "entropy")  # what may be drawn between the slice's pixels
PREDICTION_RGB = (0, 229, 255)  # cyan: not in inferno, and colour-blind eyes tell it apart
MASK_RGB = (200, 255, 0)  # lime: all eyes tell it from cyan; only a line, as inferno has yellow
INFECTED_RGBA = "rgba(255,45,149,{})"
CLEAN_RGBA = "rgba(86,180,233,{})"  # Okabe and Ito's sky blue
CLICK_COLOUR = "#ff2d95"
BACKGROUND_COLOUR = "#3b82f6"
BEHIND = "black"  # behind the pictures
THUMBNAIL_PX = 56  # the longer side
HEAT_ALPHA = 0.9  # of the hottest pixel; the coldest is clear and shows CT
FILL_ALPHA = 0.35  # of a prediction's inside; its edge is opaque
DIMMED = 0.55  # the brightness that is left outside the region
NO_PATH = "M0,0Z"
SMALLEST_PX = 160  # ours: a figure in a smaller box, which opens or closes, stays as it is
_numbers = itertools.count(1)


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
def inferno() -> NDArray[np.uint8]:
    """Return inferno's 256 colours, (256, 3) uint8."""
    from PIL import ImageColor
    from plotly.colors import sequential, unlabel_rgb

    stops = np.array(
        [ImageColor.getrgb(c) if c[0] == "#" else unlabel_rgb(c) for c in sequential.Inferno]
    )
    at = np.linspace(0, 1, 256)
    channels = [np.interp(at, np.linspace(0, 1, len(stops)), stops[:, i]) for i in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8)


def heat_png(nats: Map) -> bytes:
    """Encode an (H, W) entropy map as a palette PNG in inferno's colours, more opaque if higher.

    The hottest is ln 2 nats, the highest entropy of two classes; values outside are clipped.
    """
    levels = np.rint(np.clip(nats / math.log(2), 0, 1) * 255).astype(np.uint8)
    alpha = np.rint(np.linspace(0, HEAT_ALPHA * 255, 256)).astype(np.uint8)
    return _palette_png(levels, inferno(), alpha)


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


def prediction_png(prediction: Map | Mask, *, filled: bool = True) -> bytes:
    """Encode where infection is predicted, as a cyan outline with a faint inside or a clear one.

    It is an (H, W) mask, or a probability, where a pixel above 0.5 counts as infected.
    """
    mask: Mask = prediction > 0.5  # of a bool array too, True being 1
    indices = mask.astype(np.uint8) + edge(mask)
    rgb = np.array([(0, 0, 0), PREDICTION_RGB, PREDICTION_RGB], dtype=np.uint8)
    alpha = np.array([0, round(filled * FILL_ALPHA * 255), 255], dtype=np.uint8)
    return _palette_png(indices, rgb, alpha)


def outline_png(mask: Mask) -> bytes:
    """Encode the border of an (H, W) bool mask as a palette PNG, clear elsewhere."""
    colours = np.array([(0, 0, 0), MASK_RGB], dtype=np.uint8)
    return _palette_png(edge(mask).astype(np.uint8), colours, np.array([0, 255], dtype=np.uint8))


def thumbnail_png(image: Grey, window: tuple[slice, slice]) -> bytes:
    """Encode a part of an (H, W) uint8 slice as a grey PNG, its longer side `THUMBNAIL_PX`."""
    part = Image.fromarray(np.ascontiguousarray(image[window]))
    scale = THUMBNAIL_PX / max(part.size)
    width, height = (max(1, round(side * scale)) for side in part.size)
    return _encode(part.resize((width, height), Image.Resampling.BICUBIC))


def pictures_of(
    image: Grey, overlays: Mapping[str, Map | Mask], fine: float, inside: Mask | None = None
) -> Pictures:
    """Encode a slice, or a part of it, and its overlays.

    CT is enlarged by cubic splines and entropy linearly, as viewers of CT do: the eye reads smooth
    tissue better than squares. A prediction is a decision for each pixel, so its squares are shown;
    over entropy, only its outline.

    Parameters
    ----------
    image : (H, W) uint8 array
        The slice through its window.
    overlays : mapping of str to (H, W) array
        ``"entropy"`` in nats, ``"prediction"`` as probability or mask, ``"mask"``; any may be
        missing.
    fine : float
        How many pixels are drawn for each of the slice; at least 1.
    inside : (H, W) bool array, optional
        The region; what lies outside is dimmed.
    """
    smooth = _enlarged(image, fine, Image.Resampling.BICUBIC)
    span = image.shape[0] / smooth.shape[0], image.shape[1] / smooth.shape[1]
    if inside is not None:
        rows, cols = (
            np.arange(n) * m // n for n, m in zip(smooth.shape, inside.shape, strict=True)
        )
        dimmed = (smooth * DIMMED).astype(np.uint8)
        smooth = np.where(inside[np.ix_(rows, cols)], smooth, dimmed)
    drawn = {"ct": (grey_png(smooth), span)}
    if "entropy" in overlays:
        entropy = overlays["entropy"].astype(np.float32)
        drawn["entropy"] = heat_png(_enlarged(entropy, fine, Image.Resampling.BILINEAR)), span
    if "prediction" in overlays:
        filled = "entropy" not in overlays
        drawn["prediction"] = prediction_png(overlays["prediction"], filled=filled), (1.0, 1.0)
    if "mask" in overlays:
        drawn["mask"] = outline_png(overlays["mask"].astype(bool)), (1.0, 1.0)
    return drawn


def _enlarged(values: Grey | Map, factor: float, how: Image.Resampling) -> NDArray[Any]:
    """Draw an (H, W) uint8 or float32 array on a grid `factor` ≥ 1 times finer."""
    fine = round(values.shape[1] * factor), round(values.shape[0] * factor)
    return np.asarray(Image.fromarray(np.ascontiguousarray(values)).resize(fine, how))


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


def grid_path(regions: Iterable[Region]) -> str:
    """Draw the borders of one slice's regions as one SVG path, in columns and rows.

    A trace would be slow: Plotly makes an element of each piece of its line, and clicks wait.
    """
    regions = tuple(regions)
    if any(region.mask is not None for region in regions):
        shape = (max(r.row + r.height for r in regions), max(r.col + r.width for r in regions))
        areas = np.zeros(shape, dtype=np.intp)  # numbers of regions from 1; 0 elsewhere
        for number, region in enumerate(regions, 1):
            areas[region.drawn(shape)] = number
        return outline_path(areas)
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


NOTHING = uri(heat_png(np.zeros((1, 1))))  # heat of 0 is transparent
FILLED = {
    "line": {"color": CLICK_COLOUR, "width": 2}, "fillrule": "evenodd",
    "fillcolor": INFECTED_RGBA.format(0.2),
}  # fmt: skip # an outline drawn around infection


def line(colour: str, width: float, **look: Any) -> dict[str, Any]:  # noqa: ANN401 - plotly's own types
    """Describe a shape that is only a line, `width` screen pixels wide; `look` has other traits."""
    return {"line": {"color": colour, "width": width}} | look


def click_marks(size: int) -> dict[str, dict[str, Any]]:
    """Describe the markers of clicks, by their kind."""
    kinds = (("infected", "circle", CLICK_COLOUR), ("background", "square", BACKGROUND_COLOUR))
    rim = {"width": 2, "color": "white"}
    return {
        f"clicks {name}": {"symbol": symbol, "size": size, "color": colour, "line": rim}
        for name, symbol, colour in kinds
    }


def note(x: float, y: float, anchor: tuple[str, str], **look: Any) -> dict[str, Any]:  # noqa: ANN401 - plotly's own types
    """Describe an empty text.

    Parameters
    ----------
    x, y : float
        Its place in the figure, as shares of width and height from the lower left corner.
    anchor : tuple of str
        Which of its sides lie there, across and down, in Plotly's words.
    **look
        Other properties of a Plotly annotation.
    """
    return {
        "text": "", "visible": False, "showarrow": False,
        "xref": "paper", "x": x, "xanchor": anchor[0],
        "yref": "paper", "y": y, "yanchor": anchor[1],
    } | look  # fmt: skip


def figure_box(
    children: Sequence[ipywidgets.Widget], size: tuple[int, int], *classes: str
) -> ipywidgets.Box:
    """Put a figure in a box of (width, height) screen pixels that no other box may shrink."""
    width, height = (f"{side}px" for side in size)
    box = ipywidgets.Box(
        children,
        layout=ipywidgets.Layout(
            width=width, min_width=width, height=height, flex="0 0 auto", overflow="hidden"
        ),
    )
    for name in classes:
        box.add_class(name)
    return box


@dataclass(frozen=True, slots=True)
class Plan:
    """Where everything lies in a figure of a given size."""

    panels: Mapping[str, Square]  # two, by their names; presses count on the second one
    notes: Mapping[str, dict[str, Any]]  # as `note` describes them
    images: Sequence[dict[str, Any]] = ()  # of the layout


class TwoPanels:
    """A figure of two square panels; its pictures, shapes, marks and notes are found by name.

    The constructor gets all of them at once: Voila loses what is added later.

    Parameters
    ----------
    shape : (H, W)
        Of the slices, in pixels.
    size : (width, height)
        Of the figure at first, in screen pixels; then it fills its box.
    plan : callable
        Makes the `Plan` of a width and a height; always of the same parts.
    shapes, marks : mapping of str to (panel, description)
        Plotly's description of a shape, and of a marker; from below to above.
    shortcuts, repeating : sequence of str
        As for `Tap`.

    Attributes
    ----------
    widget : ipywidgets.Box
        What to show: the figure with its `tap`.
    plan : Plan
        Of the figure as it is now.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        size: tuple[int, int],
        plan: Callable[[int, int], Plan],
        *,
        shapes: Mapping[str, tuple[str, dict[str, Any]]],
        marks: Mapping[str, tuple[str, dict[str, Any]]],
        shortcuts: Sequence[str] = (),
        repeating: Sequence[str] = (),
    ) -> None:
        self.shape = shape
        self._planned, self.plan = plan, plan(*size)
        panels, notes = self.plan.panels, self.plan.notes
        self._numbers = dict(zip(panels, ("", "2"), strict=True))  # at the end of an axis's name
        self._shapes, self._notes = list(shapes), list(notes)
        traces = [
            go.Image(name=f"{panel} {name}", source=NOTHING, opacity=1 if name == "ct" else 0.6,
                     hoverinfo="skip", **self._axes_of(panel))
            for panel in panels for name in ("ct", *OVERLAYS)
        ] + [
            go.Scatter(name=name, x=[], y=[], mode="markers", marker=marker, hoverinfo="skip",
                       showlegend=False, **self._axes_of(panel))
            for name, (panel, marker) in marks.items()
        ]  # fmt: skip
        layout = {
            "width": size[0], "height": size[1],
            "margin": {"l": 0, "r": 0, "t": 0, "b": 0, "pad": 0},
            "plot_bgcolor": BEHIND, "paper_bgcolor": "rgba(0,0,0,0)",
            "dragmode": False, "hovermode": False, "meta": {"screen": 0},
            "font": {"family": "system-ui, sans-serif", "size": 13, "color": "#1f2937"},
            "annotations": list(notes.values()), "images": list(self.plan.images),
            "shapes": [
                {"type": "path", "path": NO_PATH, "xref": f"x{end}", "yref": f"y{end}"} | look
                for end, look in ((self._numbers[panel], look) for panel, look in shapes.values())
            ],
        }  # fmt: skip
        for panel, square in panels.items():
            layout |= _axes(self._numbers[panel], square, size, Viewport.whole(shape))
        self._size = size
        self.figure = LiveFigure(traces, layout)
        self._traces = {trace.name: trace for trace in self.figure.data}
        target = f"alnb-figure-{next(_numbers)}"
        self.tap = Tap(target, "x2y2", tuple(shortcuts), tuple(repeating))
        self.tap.on_room(target, self.resize)
        self.tap.on_drawn(target, self.figure.catch_up)
        self.widget = figure_box([self.figure, self.tap], size, target, "alnb-figure")

    def resize(self, width: int, height: int) -> None:
        """Lay the figure out for a box of this many screen pixels."""
        if (width, height) == self._size or min(width, height) < SMALLEST_PX:
            return
        self._size, self.plan = (width, height), self._planned(width, height)
        layout = self.figure.layout
        with self.figure.batch_update():
            layout.width, layout.height = width, height
            for panel, square in self.plan.panels.items():
                for name, domain in _domains(self._numbers[panel], square, self._size).items():
                    layout[name].domain = domain
            for parts, planned, traits in (
                (layout.annotations, self.plan.notes.values(), {"x", "y", "width"}),
                (layout.images, self.plan.images, {"x", "y", "sizex", "sizey"}),
            ):
                for part, place in zip(parts, planned, strict=True):
                    for trait in traits & place.keys():
                        part[trait] = place[trait]

    def _axes_of(self, panel: str) -> dict[str, str]:
        return {"xaxis": f"x{self._numbers[panel]}", "yaxis": f"y{self._numbers[panel]}"}

    def _part(self, name: str) -> Any:  # noqa: ANN401 - plotly's own types
        """Find a shape or a trace by its name."""
        if name in self._shapes:
            return self.figure.layout.shapes[self._shapes.index(name)]
        return self._traces[name]

    def _put_pictures(
        self,
        panel: str,
        pictures: Pictures,
        origin: tuple[int, int] = (0, 0),
        *,
        smooth: bool = True,
    ) -> None:
        """Show pictures whose first pixel is that of the slice at `origin`, and no others.

        The browser scales them to the screen: CT and entropy linearly if `smooth`, else all as
        squares.
        """
        for name in ("ct", *OVERLAYS):
            trace = self._traces[f"{panel} {name}"]
            png, (dy, dx) = pictures.get(name, (b"", (1.0, 1.0)))
            trace.source = uri(png) if png else NOTHING
            trace.zsmooth = "fast" if smooth and name in SMOOTHED else False
            # the centre of the first fine pixel, half a fine pixel inside the first coarse one
            trace.dy, trace.dx = dy, dx
            trace.y0, trace.x0 = origin[0] + (dy - 1) / 2, origin[1] + (dx - 1) / 2

    def _put_paths(self, paths: Mapping[str, str]) -> None:
        for name, path in paths.items():
            self._part(name).path = path

    def _put_points(self, name: str, points: Iterable[tuple[float, float]]) -> None:
        points = tuple(points)  # (row, col) each
        self._traces[name].x = [col for _, col in points]
        self._traces[name].y = [row for row, _ in points]

    def _put_clicks(self, clicks: Iterable[Click], prefix: str = "") -> None:
        clicks = tuple(clicks)
        for name, infected in (("infected", True), ("background", False)):
            chosen = [(c.row, c.col) for c in clicks if (c.label == INFECTED) == infected]
            self._put_points(f"{prefix}clicks {name}", chosen)

    def _put_note(self, name: str, text: str) -> None:
        at = self.figure.layout.annotations[self._notes.index(name)]
        at.text, at.visible = text, bool(text)

    def _put_viewport(self, panel: str, viewport: Viewport) -> None:
        columns, rows = viewport.ranges
        self.figure.layout[f"xaxis{self._numbers[panel]}"].range = columns
        self.figure.layout[f"yaxis{self._numbers[panel]}"].range = rows[::-1]


def _axes(number: str, square: Square, size: tuple[int, int], viewport: Viewport) -> dict[str, Any]:
    """Lay out a panel: its axes fill the square and are not drawn."""
    (columns, rows), domains = viewport.ranges, _domains(number, square, size)
    hidden = {
        "visible": False, "fixedrange": True, "zeroline": False, "showgrid": False,
        "scaleanchor": False,
    }  # fmt: skip
    looks = (
        {"anchor": f"y{number}", "range": columns},
        {"anchor": f"x{number}", "range": rows[::-1]},
    )
    return {
        name: hidden | look | {"domain": domain}
        for look, (name, domain) in zip(looks, domains.items(), strict=True)
    }


def _domains(number: str, square: Square, size: tuple[int, int]) -> dict[str, list[float]]:
    """Name a panel's axes, with the shares of the figure that they take."""
    (left, top, side), (width, height) = square, size
    return {
        f"xaxis{number}": [left / width, (left + side) / width],
        f"yaxis{number}": [1 - (top + side) / height, 1 - top / height],
    }
