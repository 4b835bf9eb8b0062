"""Still pictures for lessons: slices with their maps, and curves, as PNG by Pillow.

Every viewer of notebooks shows a PNG: Jupyter, an exported page, GitHub, a printed page. Plotly's
figures need a script there, and a browser to become a PNG; SVG is hidden in notebooks that are not
trusted. Pillow is there already, and one way of drawing serves slices and curves.
"""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from alnb.annotation import Click
from alnb.arrays import BACKGROUND, INFECTED, Grey, Map, Mask, PointLabels
from alnb.curves.charts import COLOURS
from alnb.regions import Region
from alnb.ui.viewer.drawing import CLICK_COLOUR, MASK_RGB, PREDICTION_RGB, edge, inferno

Pixels = NDArray[np.float32]  # (H, W, 3), 0 to 255
Rgb = tuple[int, int, int]
Place = tuple[int, int, int]  # left, top and side of a panel, in pixels on the page

SCALE = 2  # pixels of the picture for each on the page, as fine screens have
SIDE_PX, GAP_PX, TEXT_PX, LINE_PX = 224, 16, 13, 18  # ours: four panels fill a notebook's width
INK, QUIET, FAINT, PAPER = (31, 41, 55), (75, 85, 99), (229, 231, 235), (255, 255, 255)
CLEAN_RGB, CLICK_RGB = (86, 180, 233), (255, 45, 149)  # as the app draws answers
FRAME_RGB = (255, 214, 0)
PLAIN = str.maketrans({"−": "-", "–": "-", "×": "x", "±": "+-", "→": "to", "≥": ">="})
HEAT_ALPHA, FILL_ALPHA = 0.85, 0.35  # ours: CT stays visible below


@dataclass(frozen=True, eq=False)
class Still:
    """A PNG that a notebook shows by itself.

    Parameters
    ----------
    png : bytes
    width : int
        On the page, in pixels.
    alt : str
        What it shows, for who can't see it.
    places : tuple of (left, top, side)
        Of its panels on the page, in pixels; none for a chart.
    """

    png: bytes = field(repr=False)
    width: int
    alt: str
    places: tuple[Place, ...] = field(default=(), repr=False)

    def _repr_png_(self) -> tuple[bytes, dict[str, Any]]:
        return self.png, {"width": self.width, "alt": self.alt}

    def at(self, x: float, y: float) -> tuple[int, float, float] | None:
        """Find the panel under a point: its number, and the shares of its height and width.

        None beside the panels. The point is given in pixels on the page, from the upper left.
        """
        for number, (left, top, side) in enumerate(self.places):
            if 0 <= x - left < side and 0 <= y - top < side:
                return number, (y - top) / side, (x - left) / side
        return None


@dataclass(frozen=True, eq=False, kw_only=True)
class Panel:
    """A slice, and what is laid over it; what is None or empty is not drawn.

    Parameters
    ----------
    title : str
        In words.
    image : (H, W) uint8 array
        CT; all else has its shape.
    heat : (H, W) float array
        In [0, 1], drawn in inferno's colours, more opaque if higher.
    labels : (H, W) int8 array
        What answers say, as `alnb.point_labels` draws it.
    predicted, truth : (H, W) bool array
        Infection, as a cyan area and a lime outline.
    frames : sequence of Region
        Drawn with a yellow border.
    grid : sequence of Region
        Drawn with a faint border.
    clicks : sequence of Click
        Drawn as pink points.
    marks : sequence of (row, col)
        Drawn as rings with numbers from 1.
    """

    title: str
    image: Grey
    heat: Map | None = None
    labels: PointLabels | None = None
    predicted: Mask | None = None
    truth: Mask | None = None
    frames: Sequence[Region] = ()
    grid: Sequence[Region] = ()
    clicks: Sequence[Click] = ()
    marks: Sequence[tuple[float, float]] = ()


def picture(
    panels: Sequence[Panel], *, columns: int = 4, heat: str = "", side: int = SIDE_PX
) -> Still:
    """Draw slices side by side, each under its title, with one legend for all.

    Parameters
    ----------
    panels : non-empty sequence of Panel
    columns : int
        How many stand beside each other.
    heat : str
        What the colours of `Panel.heat` mean, from dark to bright.
    side : int
        Of a panel on the page, in pixels.
    """
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    titles = [_wrapped(panel.title, side) for panel in panels]
    head = 6 + LINE_PX * max(map(len, titles))
    width = columns * side + (columns - 1) * GAP_PX
    legend = list(_legend(panels, heat))
    lines = _flowed([(one, _swatch_px(one[0]) + 6 + _wide(one[1])) for one in legend], width)
    height = rows * (head + side + 6) + LINE_PX * len(lines) + 8
    sheet = Image.new("RGB", (width * SCALE, height * SCALE), PAPER)
    draw = ImageDraw.Draw(sheet)
    places = []
    for number, (panel, title) in enumerate(zip(panels, titles, strict=True)):
        left = number % columns * (side + GAP_PX)
        top = number // columns * (head + side + 6) + head
        for n, line in enumerate(title):
            _text(draw, (left, top - 4 - LINE_PX * (len(title) - n)), line)
        sheet.paste(_drawn(panel, side * SCALE), (left * SCALE, top * SCALE))
        places.append((left, top, side))
    for n, entries in enumerate(lines):
        y = height - LINE_PX * (len(lines) - n)
        for left, (colour, words) in entries:
            _swatch(draw, left, y, colour)
            _text(draw, (left + _swatch_px(colour) + 6, y), words, QUIET)
    alt = "; ".join(panel.title for panel in panels)
    return Still(_png(sheet), width, f"CT slices: {alt}", tuple(places))


def _legend(panels: Sequence[Panel], heat: str) -> Iterator[tuple[Rgb | None, str]]:
    """List the colours that are used, with what they mean; None is heat's scale."""

    def any_has(name: str) -> bool:
        return any(
            value is not None and len(value) > 0
            for value in (getattr(panel, name) for panel in panels)
        )

    if any_has("heat"):
        yield None, heat
    if any_has("truth"):
        yield MASK_RGB, "line: the truth (mask)"
    if any_has("predicted"):
        yield PREDICTION_RGB, "area: predicted infection"
    if any_has("labels"):
        yield CLEAN_RGB, "labelled as background"
        yield CLICK_RGB, "labelled as infected"
        yield (128, 128, 128), "grey: not labelled"
    if any_has("clicks"):
        yield CLICK_RGB, "dot: a click"
    if any_has("frames"):
        yield FRAME_RGB, "frame: a region that was chosen"


def _drawn(panel: Panel, side: int) -> Image.Image:
    """Draw a panel, ``side`` pixels wide and high."""
    shape = (side, side)
    grey = Image.fromarray(np.ascontiguousarray(panel.image)).resize(
        shape, Image.Resampling.BICUBIC
    )
    pixels: Pixels = np.repeat(np.asarray(grey, np.float32)[..., None], 3, axis=2)
    if panel.heat is not None:
        values = Image.fromarray(panel.heat.astype(np.float32))
        smooth = np.asarray(values.resize(shape, Image.Resampling.BILINEAR)).clip(0, 1)
        _blend(pixels, inferno()[np.rint(smooth * 255).astype(int)], smooth * HEAT_ALPHA)
    if panel.labels is not None:
        labels = _enlarged(panel.labels, side)
        _blend(pixels, CLEAN_RGB, (labels == BACKGROUND) * 0.45)
        _blend(pixels, CLICK_RGB, (labels == INFECTED) * 1.0)
    if panel.predicted is not None:
        mask = _enlarged(panel.predicted, side)
        _blend(pixels, PREDICTION_RGB, mask * FILL_ALPHA)
        _blend(pixels, PREDICTION_RGB, _rim(mask) * 1.0)
    if panel.truth is not None:
        _blend(pixels, MASK_RGB, _rim(_enlarged(panel.truth, side)) * 1.0)
    image = Image.fromarray(np.rint(pixels).astype(np.uint8))
    _mark(ImageDraw.Draw(image), panel, side / panel.image.shape[0])
    return image


def _mark(draw: ImageDraw.ImageDraw, panel: Panel, by: float) -> None:
    """Draw lines and points over a panel that is enlarged ``by`` times."""
    for regions, colour, width in ((panel.grid, (110, 110, 110), 1), (panel.frames, FRAME_RGB, 4)):
        for one in regions:
            corners = (one.col, one.row, one.col + one.width, one.row + one.height)
            box = [round(value * by) for value in corners]
            draw.rectangle((box[0], box[1], box[2] - 1, box[3] - 1), outline=colour, width=width)
    for click in panel.clicks:
        x, y = (click.col + 0.5) * by, (click.row + 0.5) * by
        draw.ellipse((x - 8, y - 8, x + 8, y + 8), fill=CLICK_COLOUR, outline=PAPER, width=2)
    for number, (row, col) in enumerate(panel.marks, 1):
        x, y = (col + 0.5) * by, (row + 0.5) * by
        draw.ellipse((x - 11, y - 11, x + 11, y + 11), outline=FRAME_RGB, width=4)
        draw.text(
            (x + 15, y - 15), str(number), FRAME_RGB, _font(15), stroke_width=3, stroke_fill=0
        )


def _enlarged(values: NDArray[Any], side: int) -> NDArray[Any]:
    """Draw an array on a square of ``side`` pixels, as squares."""
    at = np.arange(side) * values.shape[0] // side
    found: NDArray[Any] = values[np.ix_(at, at)]
    return found


def _rim(mask: Mask) -> Mask:
    """Find the inner border of a mask, 3 pixels wide."""
    within = mask & ~edge(mask)
    within &= ~edge(within)
    return mask & ~(within & ~edge(within))


def _blend(pixels: Pixels, colour: Rgb | NDArray[np.uint8], alpha: NDArray[Any]) -> None:
    """Lay a colour over pixels, in place; ``alpha`` is (H, W) in [0, 1]."""
    pixels += alpha[..., None] * (np.asarray(colour, np.float32) - pixels)


# --- curves ---


@dataclass(frozen=True, eq=False, kw_only=True)
class Line:
    """A curve of a chart.

    Parameters
    ----------
    name : str
        In the legend.
    x, y : sequence of float
        Its points; one whose y is NaN is left out.
    dashed, dotted : bool
        Whether it is broken, and whether its points are marked.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    dashed: bool = False
    dotted: bool = False


CHART_PX = (704, 300)  # ours: as wide as three panels
LEFT_PX, RIGHT_PX, BELOW_PX = 52, 14, 46


def chart(
    lines: Sequence[Line], *, title: str, x: str, y: str, bottom: float = 0.0,
    top: float | None = None, size: tuple[int, int] = CHART_PX,
) -> Still:  # fmt: skip
    """Draw curves with their axes and a legend.

    Parameters
    ----------
    lines : sequence of Line
        At most six; those without a point are only named.
    title, x, y : str
        In words, with units.
    bottom, top : float
        Where the vertical axis begins and ends; None: at a round number above the curves.
    size : (width, height)
        On the page, in pixels.
    """
    known = [
        [(a, b) for a, b in zip(line.x, line.y, strict=True) if not math.isnan(b)] for line in lines
    ]
    points = [point for each in known for point in each]
    highest = [max((point[n] for point in points), default=0) for n in (0, 1)]
    width, height = size
    heads = _wrapped(title, width)
    legend = _flowed([(n, 40 + _wide(line.name)) for n, line in enumerate(lines)], width - LEFT_PX)
    begin = LINE_PX * (len(heads) + len(legend) + 1) + 8  # where the plot begins, from above
    axes = _Axes(
        _ticks(0, highest[0]), _ticks(bottom, highest[1] if top is None else top),
        (LEFT_PX, begin, width - RIGHT_PX, height - BELOW_PX),
    )  # fmt: skip
    sheet = Image.new("RGB", (width * SCALE, height * SCALE), PAPER)
    draw = ImageDraw.Draw(sheet)
    for n, head in enumerate(heads):
        _text(draw, (0, LINE_PX * n), head)
    axes.draw(draw, x, y)
    for row, entries in enumerate(legend):
        for left, n in entries:
            at = LINE_PX * (len(heads) + row) + 9
            sample = [((LEFT_PX + left + more) * SCALE, at * SCALE) for more in (0, 22)]
            _curve(draw, sample, COLOURS[n % len(COLOURS)], dashed=lines[n].dashed)
            _text(draw, (LEFT_PX + left + 28, at - 9), lines[n].name)
    for n, (line, each) in enumerate(zip(lines, known, strict=True)):
        path, colour = [axes.place(*point) for point in each], COLOURS[n % len(COLOURS)]
        _curve(draw, path, colour, dashed=line.dashed)
        for a, b in path if line.dotted or len(path) == 1 else ():
            draw.ellipse((a - 7, b - 7, a + 7, b + 7), fill=colour, outline=PAPER, width=2)
    named = zip(lines, known, strict=True)
    ends = "; ".join(f"{line.name} ends at {each[-1][1]:.2f}" for line, each in named if each)
    return Still(_png(sheet), width, f"Chart: {title}. {ends}")


@dataclass(frozen=True)
class _Axes:
    """The axes of a chart: their ticks, and the box of the plot on the page, in pixels."""

    across: Sequence[float]
    up: Sequence[float]
    box: tuple[int, int, int, int]  # left, top, right, bottom

    def place(self, a: float, b: float) -> tuple[float, float]:
        """Find a point in the picture; what lies above or below the plot is put on its border."""
        left, top, right, bottom = self.box
        low, high = self.up[0], self.up[-1]
        share = min(max((b - low) / (high - low), 0), 1)
        x = left + a / self.across[-1] * (right - left)
        return SCALE * x, SCALE * (bottom - share * (bottom - top))

    def draw(self, draw: ImageDraw.ImageDraw, x: str, y: str) -> None:
        """Draw lines, numbers and names."""
        left, top, right, bottom = self.box
        first, last = self.up[0], self.across[-1]
        for tick in self.up:
            ends = [self.place(0, tick), self.place(last, tick)]
            draw.line(ends, QUIET if tick == first else FAINT, SCALE)
            at = round(ends[0][1] / SCALE) - 8
            _text(draw, (left - 8 - _wide(f"{tick:g}"), at), f"{tick:g}", QUIET)
        for tick in self.across:
            at = round(self.place(tick, first)[0] / SCALE) - _wide(f"{tick:g}") // 2
            _text(draw, (at, bottom + 6), f"{tick:g}", QUIET)
        _text(draw, (left, top - LINE_PX - 2), y, QUIET)
        _text(draw, ((left + right - _wide(x)) // 2, bottom + BELOW_PX - LINE_PX - 2), x, QUIET)


def _curve(
    draw: ImageDraw.ImageDraw, path: Sequence[tuple[float, float]], colour: str, *, dashed: bool
) -> None:
    if len(path) < 2:
        return
    if not dashed:
        draw.line(path, colour, 5, joint="curve")
        return
    drawn, left = True, 14.0  # pixels of the dash, or of the gap, that are left
    for (a, b), (c, d) in itertools.pairwise(path):
        length, done = math.hypot(c - a, d - b), 0.0
        while done < length:
            step = min(left, length - done)
            share, end = done / length, (done + step) / length
            if drawn:
                begin = (a + share * (c - a), b + share * (d - b))
                draw.line([begin, (a + end * (c - a), b + end * (d - b))], colour, 5)
            done, left = done + step, left - step
            if left <= 0:
                drawn, left = not drawn, 14.0


def _ticks(lowest: float, highest: float) -> list[float]:
    """Choose at most eight round numbers, the outer ones around the lowest and the highest."""
    span = highest - lowest if highest > lowest else 1.0
    step = 10.0 ** math.floor(math.log10(span))
    step *= next(by for by in (0.1, 0.2, 0.25, 0.5, 1.0, 2.0) if span / (step * by) <= 6)
    first, last = math.floor(lowest / step + 1e-9), math.ceil((lowest + span) / step - 1e-9)
    return [round(n * step, 9) for n in range(first, last + 1)]


# --- text ---


@cache
def _font(px: int = TEXT_PX) -> Any:  # noqa: ANN401 - one of two classes of Pillow's
    return ImageFont.load_default(px * SCALE)


def _text(draw: ImageDraw.ImageDraw, at: tuple[int, int], words: str, colour: Rgb = INK) -> None:
    draw.text((at[0] * SCALE, at[1] * SCALE), words.translate(PLAIN), colour, _font())


def _wide(words: str) -> int:
    """Measure a line of text, in pixels on the page."""
    length: float = _font().getlength(words.translate(PLAIN))
    return math.ceil(length / SCALE)


def _wrapped(words: str, width: int) -> list[str]:
    """Break a text into lines of at most ``width`` pixels, if its words are that short."""
    lines = [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and _wide(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _flowed(entries: Sequence[tuple[Any, int]], width: int) -> list[list[tuple[int, Any]]]:
    """Set entries beside each other, each with its width, and begin a line where one is full."""
    lines: list[list[tuple[int, Any]]] = []
    left = width + 1
    for entry, wide in entries:
        if left + wide > width:
            lines.append([])
            left = 0
        lines[-1].append((left, entry))
        left += wide + GAP_PX
    return lines


def _swatch_px(colour: Rgb | None) -> int:
    """Choose how wide a legend's sample is; heat's whole scale, if the colour is None, is wider."""
    return 12 if colour else 48


def _swatch(draw: ImageDraw.ImageDraw, left: int, top: int, colour: Rgb | None) -> None:
    width = _swatch_px(colour) * SCALE
    for n in range(width):
        rgb = colour or tuple(inferno()[round(n / (width - 1) * 255)].tolist())
        x = left * SCALE + n
        draw.line([(x, (top + 3) * SCALE), (x, (top + 15) * SCALE)], rgb, 1)


def _png(sheet: Image.Image) -> bytes:
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", compress_level=1)  # as in `drawing`: a press must not wait for 6
    return buffer.getvalue()
