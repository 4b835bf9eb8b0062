"""The slice and, large, the region that is asked about: one Plotly figure with two panels."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import ipywidgets
import numpy as np

from alnb.annotation import Click, Outline
from alnb.arrays import INFECTED, Grey, Map, Mask
from alnb.regions import Region
from alnb.ui.viewer.drawing import (
    BEHIND,
    ENTROPY_NOTE,
    LAYERS,
    LOOKING_NOTE,
    NO_PATH,
    NOTHING,
    OVERLAYS,
    PLACE_NOTE,
    PREDICTION_NOTE,
    REST_COLOUR,
    REST_NOTE,
    SHAPES,
    WIDTH_PX,
    Encoded,
    Pictures,
    encode,
    encode_near,
    grid_path,
    outline_path,
    polygon_path,
    region_figure,
    region_mask,
    uri,
)
from alnb.ui.viewer.input import Act, Event, Key, Tap
from alnb.ui.viewer.viewport import REGION_PX, Box, Frame

__all__ = ["REGION_PX", "RegionView", "grid_path"]

Place = tuple[float, float]
FAINT = 0.5  # of the heat's opacity on the region: there CT must be read
MARGIN = 0.25  # of its side, drawn around a frame that the hand moves
BLURRED = 1.6  # a picture that is enlarged by more is drawn anew
_numbers = itertools.count(1)


class RegionView:
    """Show a slice and one of its regions, with overlays, and hand on what a hand does on them.

    Everything but `widget` must be used on the kernel's loop alone.

    Parameters
    ----------
    shape : (H, W)
        Of the slices, in pixels.
    shortcuts, repeating : sequence of str
        Keys that are handed on; see `Tap`.

    Attributes
    ----------
    widget : ipywidgets.Box
        What to show: the figure, 848×480 px, with its `tap`.
    screen : int
        Counts the regions shown so far.
    frame : Frame
        What is shown large; stays while the region does.
    """

    def __init__(
        self, shape: tuple[int, int], shortcuts: Sequence[str] = (), repeating: Sequence[str] = ()
    ) -> None:
        self.shape = shape
        self.screen = 0
        self.region: Region | None = None
        self.frame = Frame(0, 0, 1)
        self._seen: tuple[Grey, Mapping[str, Map | Mask]] = (np.zeros(shape, np.uint8), {})
        self._drawn: tuple[Box, float] = ((slice(0), slice(0)), 1.0)
        self._visible = self._given = frozenset(OVERLAYS)
        self.figure = region_figure(shape)
        self._traces = {trace.name: trace for trace in self.figure.data}
        target = f"alnb-region-{next(_numbers)}"
        self.tap = Tap(target, "x2y2", tuple(shortcuts), tuple(repeating))
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
        return REGION_PX / self.frame.side

    def on_event(self, handler: Callable[[Event], None]) -> None:
        """Call `handler` with what a person does.

        What a hand did on an earlier region's pictures is dropped; a key or a button may be about
        more than the region, and tells by its `screen` which was shown.
        """

        def current(event: Event) -> None:
            if isinstance(event, Key | Act) or event.screen == self.screen:
                handler(event)

        self.tap.on_event(current)

    def encode(self, image: Grey, region: Region, overlays: Mapping[str, Map | Mask]) -> Encoded:
        """Make the pictures of a region that `show` will be asked for.

        Raises
        ------
        ValueError
            As for `show`.
        """
        self._check(image, overlays)
        return encode(image, overlays, region, self._frame_of(region))

    def _frame_of(self, region: Region) -> Frame:
        return self.frame if region == self.region else Frame.of(region, self.shape)

    def show(
        self,
        image: Grey,
        region: Region,
        *,
        clicks: Iterable[Click] = (),
        overlays: Mapping[str, Map | Mask] | None = None,
        regions: Iterable[Region] = (),
        encoded: Encoded | None = None,
        looking: str = "",
    ) -> None:
        """Show a region of a slice; one that is shown already stays as near as it is.

        Parameters
        ----------
        image : (H, W) uint8 array
            The slice through its window.
        region : Region
            Which part is asked about.
        clicks : iterable of Click
            Set so far.
        overlays : mapping of str to (H, W) array
            ``"entropy"`` in nats, ``"prediction"`` as probability or mask, ``"mask"`` as it is;
            any may be missing.
        regions : iterable of Region
            The slice's other regions, whose borders are drawn faintly.
        encoded : Encoded, optional
            What `encode` made of image, region and overlays ahead.
        looking : str
            A sentence across the region: what is seen is not what is asked about.

        Raises
        ------
        ValueError
            If an array has another shape than the view, or an overlay another name.
        """
        overlays = overlays or {}
        self._check(image, overlays)
        self.frame = self._frame_of(region)
        if region != self.region:
            self.screen += 1
        self.region, self._seen = region, (image, overlays)
        encoded = encoded or encode(image, overlays, region, self.frame)
        border = (
            outline_path(region_mask(region, self.shape))
            if region.mask is not None
            else grid_path([region])
        )
        whole = region.height >= self.shape[0] and region.width >= self.shape[1]
        regions = tuple(regions)
        with self.figure.batch_update():
            self._put_pictures("slice", encoded.far, (0, 0))
            self._put_near(encoded.near, encoded.box, encoded.fine)
            grid = grid_path(regions)
            self._put_paths(
                {"grid": grid, "border": border, "frame": border}
                | {"near grid": grid if whole else NO_PATH}
            )
            self._put_clicks(clicks)
            self._put_key(given=overlays)
            self._put_rest("", BEHIND)
            self._put_frame()
            self.figure.layout.meta = {"screen": self.screen}
            where = f"<b>{region.where.scan}</b><br>slice {region.where.z}"
            self.figure.layout.annotations[PLACE_NOTE].text = where
            self._put_looking(looking)

    def mark(
        self,
        clicks: Iterable[Click],
        *,
        outlines: Iterable[Outline] = (),
        cursor: Place | None = None,
        picked: Iterable[Region] = (),
    ) -> None:
        """Show these clicks and no others; all else stays.

        Parameters
        ----------
        clicks : iterable of Click
        outlines : iterable of Outline
            Drawn by hand.
        cursor : (row, col), optional
            Of who works with keys alone.
        picked : iterable of Region
            Those that hold a click, where a whole slice is answered at once.
        """
        with self.figure.batch_update():
            self._put_clicks(clicks)
            self._put_paths({"outlines": polygon_path(outlines), "picked": grid_path(picked)})
            place = [] if cursor is None else [cursor]
            self._traces["cursor"].y = [row for row, _ in place]
            self._traces["cursor"].x = [col for _, col in place]

    def show_answers(
        self, infected: Iterable[Region], clean: Iterable[Region], clicks: Iterable[Click]
    ) -> None:
        """Show what was said of the slice's other regions before, and where it was clicked."""
        paths = {"infected": grid_path(infected), "clean": grid_path(clean)}
        whole = self.region is not None and self.region.height >= self.shape[0]
        near = {f"near {name}": path if whole else NO_PATH for name, path in paths.items()}
        clicks = tuple(clicks)
        with self.figure.batch_update():
            self._put_paths(paths | near)
            self._traces["clicks earlier"].x = [click.col for click in clicks]
            self._traces["clicks earlier"].y = [click.row for click in clicks]

    def zoom(self, factor: float, row: float, col: float) -> None:
        """Enlarge the region's panel around a place; below 1 it shows more."""
        self._move(self.frame.zoomed(factor, row, col, self.shape))

    def pan(self, rows: float, cols: float) -> None:
        """Look at a place so many pixels of the slice below and to the right."""
        self._move(self.frame.moved(rows, cols, self.shape))

    def unzoom(self) -> None:
        """Show the region as it was shown at first."""
        if self.region is not None:
            self._move(Frame.of(self.region, self.shape))

    def _move(self, frame: Frame) -> None:
        if self.region is None:
            return
        self.frame = frame
        need, (box, fine) = frame.box(self.shape), self._drawn
        inside = all(
            b.start <= n.start and n.stop <= b.stop for n, b in zip(need, box, strict=True)
        )
        sharp = self.scale / BLURRED <= fine
        with self.figure.batch_update():
            if not (inside and sharp):
                self._put_near(*encode_near(*self._seen, self.region, frame, MARGIN))
            self._put_frame()

    def set_overlays(
        self,
        visible: Collection[str],
        opacity: float,
        *,
        in_region: bool = True,
        hidden: Collection[str] = (),
    ) -> None:
        """Show the named overlays, now and on later slices.

        Parameters
        ----------
        visible : collection of str
            Their names.
        opacity : float
            In [0, 1].
        in_region : bool
            Whether they lie on the region, too, and not on the slice alone; the mask always does.
        hidden : collection of str
            Which of `region_figure.LAYERS` not to show: the grid, clicks, answers.
        """
        self._visible = frozenset(visible)
        with self.figure.batch_update():
            for panel, name in itertools.product(("slice", "region"), OVERLAYS):
                faint = FAINT if (panel, name) == ("region", "entropy") else 1
                self._traces[f"{panel} {name}"].opacity = opacity * faint
                self._traces[f"{panel} {name}"].visible = name in self._visible and (
                    in_region or panel == "slice" or name == "mask"
                )
            for name, parts in LAYERS.items():
                for part in parts:
                    layer = self._part(part)
                    layer.visible = name not in hidden
                    if part in SHAPES and name != "clicks":
                        layer.opacity = opacity
            self._put_key(given=self._given)

    def _part(self, name: str) -> Any:  # noqa: ANN401 - plotly's own types
        """Find a shape or a trace by its name."""
        if name in SHAPES:
            return self.figure.layout.shapes[SHAPES.index(name)]
        return self._traces[name]

    def clear(self, sentence: str = "") -> None:
        """Show a sentence in place of the pictures: there is no region to ask about."""
        self.region = None
        self.screen += 1
        with self.figure.batch_update():
            for panel in ("slice", "region"):
                self._put_pictures(panel, {}, (0, 0))
            self._put_paths(dict.fromkeys(SHAPES, NO_PATH))
            self._put_clicks(())
            for name in ("cursor", "clicks earlier"):
                self._traces[name].x, self._traces[name].y = [], []
            self._put_key(given=())
            self._put_rest(sentence, REST_COLOUR)
            self.figure.layout.meta = {"screen": self.screen}
            self.figure.layout.annotations[PLACE_NOTE].text = ""
            self._put_looking("")

    def _check(self, image: Grey, overlays: Mapping[str, Map | Mask]) -> None:
        for name in overlays.keys() - set(OVERLAYS):
            raise ValueError(f"overlay {name!r} is unknown; there are {', '.join(OVERLAYS)}.")
        for name, array in {"the image": image, **overlays}.items():
            if array.shape != self.shape:
                raise ValueError(f"{name} is {array.shape}, the view {self.shape}.")

    def _put_near(self, pictures: Pictures, box: Box, fine: float) -> None:
        self._put_pictures("region", pictures, (box[0].start, box[1].start))
        self._drawn = (box, fine)

    def _put_frame(self) -> None:
        columns, rows = self.frame.ranges
        self.figure.layout.xaxis2.range = columns
        self.figure.layout.yaxis2.range = rows[::-1]

    def _put_pictures(self, panel: str, pictures: Pictures, origin: tuple[int, int]) -> None:
        for name in ("ct", *OVERLAYS):
            trace = self._traces[f"{panel} {name}"]
            png, (dy, dx) = pictures.get(name, (b"", (1.0, 1.0)))
            trace.source = uri(png) if png else NOTHING
            # the centre of the first fine pixel, half a fine pixel inside the first coarse one
            trace.dy, trace.dx = dy, dx
            trace.y0, trace.x0 = origin[0] + (dy - 1) / 2, origin[1] + (dx - 1) / 2

    def _put_paths(self, paths: Mapping[str, str]) -> None:
        for name, path in paths.items():
            self._part(name).path = path

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

    def _put_looking(self, sentence: str) -> None:
        note = self.figure.layout.annotations[LOOKING_NOTE]
        note.text, note.visible = sentence, bool(sentence)

    def _put_clicks(self, clicks: Iterable[Click]) -> None:
        clicks = tuple(clicks)
        for name, wanted in (("infected", True), ("background", False)):
            chosen = [click for click in clicks if (click.label == INFECTED) == wanted]
            trace = self._traces[f"clicks {name}"]
            trace.x = [click.col for click in chosen]
            trace.y = [click.row for click in chosen]
