"""The slice and, large, the region that is asked about: one Plotly figure with two panels."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import ipywidgets
import numpy as np
from numpy.typing import NDArray

from alnb.annotation import Click
from alnb.arrays import INFECTED, Grey, Map, Mask
from alnb.regions import Region
from alnb.ui.pictures import (
    enlarge_grey,
    enlarge_map,
    grey_png,
    heat_png,
    outline_path,
    prediction_png,
    uri,
)
from alnb.ui.region_figure import (
    BEHIND,
    ENTROPY_NOTE,
    GRID_SHAPE,
    NO_PATH,
    NOTHING,
    OVERLAYS,
    PLACE_NOTE,
    PREDICTION_NOTE,
    REGION_PX,
    REST_COLOUR,
    REST_NOTE,
    SLICE_PX,
    WIDTH_PX,
    region_figure,
)
from alnb.ui.tap import Key, Press, Tap

Picture = tuple[bytes, tuple[float, float]]  # a PNG, and the (rows, cols) a pixel of it is
CONTEXT = 0.18  # of the region's longer side, shown around it; 44 px then fill 480 eight-fold
FAINT = 0.5  # of the heat's opacity on the region: there CT must be read
DIMMED = 0.55  # what is left of the brightness outside the region
_numbers = itertools.count(1)


def view_ranges(region: Region, shape: tuple[int, int]) -> tuple[list[float], list[float]]:
    """Choose the columns and rows that show a region with its surroundings.

    A pixel of the slice is drawn as a whole number of screen pixels, three or more; only large
    regions are scaled to fit.

    Parameters
    ----------
    region : Region
        What is shown.
    shape : (H, W)
        Of its slice; there is nothing to see beyond.

    Returns
    -------
    (columns, rows) : two [low, high] lists of float
        Both of the same length, centred on the region.
    """
    side = max(region.height, region.width)
    scale = REGION_PX / min(side * (1 + 2 * CONTEXT), max(shape) + 2)
    half = REGION_PX / (int(scale) if scale >= 3 else scale) / 2
    row = region.row + (region.height - 1) / 2
    col = region.col + (region.width - 1) / 2
    return [col - half, col + half], [row - half, row + half]


def crop_box(region: Region, shape: tuple[int, int]) -> tuple[slice, slice]:
    """Find the part of an (H, W) slice that the region's panel shows."""
    columns, rows = view_ranges(region, shape)
    return tuple(  # type: ignore[return-value]
        slice(max(0, int(low + 0.5)), min(size, int(high + 1.5)))
        for (low, high), size in zip((rows, columns), shape, strict=True)
    )


def region_mask(region: Region, shape: tuple[int, int]) -> Mask:
    """Draw a region on an (H, W) slice: True inside."""
    return region.drawn(shape)


def numbered(regions: Sequence[Region]) -> NDArray[np.intp]:
    """Draw regions of one slice by their numbers from 1, as far as they reach; 0 elsewhere."""
    shape = (max(r.row + r.height for r in regions), max(r.col + r.width for r in regions))
    areas = np.zeros(shape, dtype=np.intp)
    for number, region in enumerate(regions, 1):
        areas[region.drawn(shape)] = number
    return areas


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
        self._visible = self._given = frozenset(OVERLAYS)
        self.figure = region_figure(shape)
        self._traces = {trace.name: trace for trace in self.figure.data}
        target = f"alnb-region-{next(_numbers)}"
        self.tap = Tap(target, panel="x2y2", shortcuts=tuple(shortcuts))
        self.widget = ipywidgets.Box(
            [self.figure, self.tap],
            layout=ipywidgets.Layout(
                width=f"{WIDTH_PX}px", min_width=f"{WIDTH_PX}px", height=f"{REGION_PX}px",
                flex="0 0 auto", overflow="hidden",
            ),
        )  # fmt: skip
        self.widget.add_class(target)
        self.widget.add_class("alnb-figure")

    @property
    def scale(self) -> float:
        """How many screen pixels a pixel of the slice takes in the region's panel."""
        low, high = self.figure.layout.xaxis2.range
        return REGION_PX / float(high - low)

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
            The slice's other regions, whose borders are drawn faintly.

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
        border = outline_path(inside) if region.mask is not None else grid_path([region])
        columns, rows = view_ranges(region, self.shape)
        fine = max(1.0, REGION_PX / (columns[1] - columns[0]))
        crops = {name: values[box] for name, values in overlays.items()}
        near = _pictures(image[box], crops, fine, inside[box])
        far = _pictures(image, overlays, max(1.0, SLICE_PX / max(self.shape)))
        with self.figure.batch_update():
            self._put_pictures("slice", far, (0, 0))
            self._put_pictures("region", near, (box[0].start, box[1].start))
            self._put_paths(grid=grid_path(regions), border=border)
            self._put_clicks(clicks)
            self._put_key(given=overlays)
            self._put_rest("", BEHIND)
            self.figure.layout.xaxis2.range = columns
            self.figure.layout.yaxis2.range = rows[::-1]
            self.figure.layout.meta = {"screen": self.screen}
            where = f"<b>{region.where.scan}</b><br>slice {region.where.z}"
            self.figure.layout.annotations[PLACE_NOTE].text = where

    def mark(self, clicks: Iterable[Click]) -> None:
        """Show these clicks and no others; all else stays."""
        with self.figure.batch_update():
            self._put_clicks(clicks)

    def set_overlays(
        self, visible: Collection[str], opacity: float, *, in_region: bool = True
    ) -> None:
        """Show the named overlays, now and on later slices.

        Parameters
        ----------
        visible : collection of str
            Their names.
        opacity : float
            In [0, 1].
        in_region : bool
            Whether they lie on the region, too, and not on the slice alone.
        """
        self._visible = frozenset(visible)
        with self.figure.batch_update():
            for panel, name in itertools.product(("slice", "region"), OVERLAYS):
                faint = FAINT if (panel, name) == ("region", "entropy") else 1
                self._traces[f"{panel} {name}"].opacity = opacity * faint
                self._traces[f"{panel} {name}"].visible = name in self._visible and (
                    in_region or panel == "slice"
                )
            self.figure.layout.shapes[GRID_SHAPE].opacity = opacity
            self._put_key(given=self._given)

    def clear(self, sentence: str = "") -> None:
        """Show a sentence in place of the pictures: there is no region to ask about."""
        self.region = None
        self.screen += 1
        with self.figure.batch_update():
            for panel in ("slice", "region"):
                self._put_pictures(panel, {}, (0, 0))
            self._put_paths(grid=NO_PATH, border=NO_PATH)
            self._put_clicks(())
            self._put_key(given=())
            self._put_rest(sentence, REST_COLOUR)
            self.figure.layout.meta = {"screen": self.screen}
            self.figure.layout.annotations[PLACE_NOTE].text = ""

    def _check(self, image: Grey, overlays: Mapping[str, Map]) -> None:
        for name in overlays.keys() - set(OVERLAYS):
            raise ValueError(f"overlay {name!r} is unknown; there are {', '.join(OVERLAYS)}.")
        for name, array in {"the image": image, **overlays}.items():
            if array.shape != self.shape:
                raise ValueError(f"{name} is {array.shape}, the view {self.shape}.")

    def _put_pictures(
        self, panel: str, pictures: Mapping[str, Picture], origin: tuple[int, int]
    ) -> None:
        for name in ("ct", *OVERLAYS):
            trace = self._traces[f"{panel} {name}"]
            png, (dy, dx) = pictures.get(name, (b"", (1.0, 1.0)))
            trace.source = uri(png) if png else NOTHING
            # the centre of the first fine pixel, half a fine pixel inside the first coarse one
            trace.dy, trace.dx = dy, dx
            trace.y0, trace.x0 = origin[0] + (dy - 1) / 2, origin[1] + (dx - 1) / 2

    def _put_paths(self, grid: str, border: str) -> None:
        for shape, path in zip(self.figure.layout.shapes, (grid, border, border), strict=True):
            shape.path = path

    def _put_key(self, given: Iterable[str]) -> None:
        self._given = frozenset(given)
        drawn = self._given & self._visible
        layout = self.figure.layout
        layout.annotations[PREDICTION_NOTE].visible = "prediction" in drawn
        layout.annotations[ENTROPY_NOTE].visible = "entropy" in drawn
        layout.images[0].visible = "entropy" in drawn

    def _put_rest(self, sentence: str, behind: str) -> None:
        layout = self.figure.layout
        layout.annotations[REST_NOTE].text = sentence
        layout.plot_bgcolor = behind
        layout.paper_bgcolor = behind if sentence else "rgba(0,0,0,0)"

    def _put_clicks(self, clicks: Iterable[Click]) -> None:
        clicks = tuple(clicks)
        for name, wanted in (("infected", True), ("background", False)):
            chosen = [click for click in clicks if (click.label == INFECTED) == wanted]
            trace = self._traces[f"clicks {name}"]
            trace.x = [click.col for click in chosen]
            trace.y = [click.row for click in chosen]


def _pictures(
    image: Grey, overlays: Mapping[str, Map], fine: float, inside: Mask | None = None
) -> dict[str, Picture]:
    """Encode a slice, or a part of it, and its overlays, `fine` pixels for each of theirs."""
    smooth = enlarge_grey(image, fine)
    if inside is not None:
        rows, cols = (
            np.arange(n) * m // n for n, m in zip(smooth.shape, inside.shape, strict=True)
        )
        smooth = dim_outside(smooth, inside[np.ix_(rows, cols)])
    drawn = {"ct": (grey_png(smooth), _step(image, smooth))}
    if "entropy" in overlays:
        heat = enlarge_map(overlays["entropy"], fine)
        drawn["entropy"] = (heat_png(heat), _step(image, heat))
    if "prediction" in overlays:  # a decision for each pixel of the slice, and shown as that
        drawn["prediction"] = (prediction_png(overlays["prediction"]), (1.0, 1.0))
    return drawn


def _step(coarse: Grey, fine: Grey | Map) -> tuple[float, float]:
    """Tell how many coarse pixels one fine pixel is, in rows and in columns."""
    return coarse.shape[0] / fine.shape[0], coarse.shape[1] / fine.shape[1]


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
