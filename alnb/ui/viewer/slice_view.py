"""The slice and, large, the region that is asked about."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from alnb.annotation import Click, Outline
from alnb.arrays import Grey, Map, Mask
from alnb.regions import Region
from alnb.ui.viewer.drawing import (
    BEHIND,
    CLEAN_RGBA,
    CLICK_COLOUR,
    FILLED,
    INFECTED_RGBA,
    NO_PATH,
    OVERLAYS,
    PREDICTION_RGB,
    Pictures,
    TwoPanels,
    click_marks,
    grid_path,
    heat_png,
    line,
    note,
    pictures_of,
    polygon_path,
    uri,
)
from alnb.ui.viewer.input import Act, Event, Key
from alnb.ui.viewer.viewport import REGION_PX, Box, Viewport

SLICE_PX, GAP_PX = 352, 16
WIDTH_PX = SLICE_PX + GAP_PX + REGION_PX  # 848×480: with a chart column, fits 1280×720
PANELS = {"slice": (0, 0, SLICE_PX), "region": (SLICE_PX + GAP_PX, 0, REGION_PX)}
GRID = line("rgba(255,255,255,0.55)", 1, opacity=0.4)
PICKED = line(CLICK_COLOUR, 2)
REST_COLOUR = "rgba(127,135,147,0.12)"  # of the panels, where there are no pictures
FAINT = 0.5  # of the heat's opacity on the region, where CT must be read
MARGIN = 0.25  # of its side, drawn around a viewport that the person moves
BLURRED = 1.6  # a picture that is enlarged by more is drawn again, finer
KEYS = {  # what an overlay's colours mean
    "prediction": f"<span style='color:rgb{PREDICTION_RGB}'>■</span> predicted infection",
    "entropy": "entropy, 0 to 0.69 nats",
}
LAYERS = {  # what can be hidden -> its shapes and traces
    "grid": ("grid", "near grid"),
    "clicks": ("clicks infected", "clicks background", "clicks earlier", "outlines"),
    "answered": ("infected", "clean", "near infected", "near clean"),
}


def _area(rgba: str, dash: str) -> dict[str, Any]:
    outline = {"color": rgba.format(1), "width": 1.5, "dash": dash}
    return {"line": outline, "fillcolor": rgba.format(0.45)}


INFECTED_AREA, CLEAN_AREA = _area(INFECTED_RGBA, "solid"), _area(CLEAN_RGBA, "dot")
SHAPES = {  # name -> panel and look; those called near show what is answered of a whole slice
    "grid": ("slice", GRID),
    "infected": ("slice", INFECTED_AREA),
    "clean": ("slice", CLEAN_AREA),
    "border": ("slice", line("white", 2)),
    "near grid": ("region", GRID),
    "near infected": ("region", INFECTED_AREA),
    "near clean": ("region", CLEAN_AREA),
    "picked": ("region", PICKED),
    "outlines": ("region", FILLED),
    "frame": ("region", line("rgba(255,255,255,0.85)", 1.5)),
}
MARKS = {name: ("region", marker) for name, marker in click_marks(13).items()} | {
    "clicks earlier": (
        "slice", {"size": 5, "color": CLICK_COLOUR, "line": {"width": 1, "color": "white"}},
    ),
    "cursor": (  # the place that keys move
        "region", {"symbol": "cross-thin", "size": 22, "line": {"width": 2, "color": "#ffd600"}},
    ),
}  # fmt: skip

Place = tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """A slice, its region and their overlays, as pictures."""

    far: Pictures  # of the slice
    near: Pictures  # of the part that is shown large
    box: Box  # which part that is
    fine: float  # how many pixels one of the slice takes in `near`


class SliceView(TwoPanels):
    """Show a slice and one of its regions, with overlays, and hand on what a person does there.

    Everything but `widget` must be used on the kernel's loop only.

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
    viewport : Viewport
        What is shown large; it stays while the region does.
    """

    def __init__(
        self, shape: tuple[int, int], shortcuts: Sequence[str] = (), repeating: Sequence[str] = ()
    ) -> None:
        super().__init__(
            shape, (WIDTH_PX, REGION_PX), PANELS, shapes=SHAPES, marks=MARKS, notes=_notes(),
            images=[_heat_bar()], shortcuts=shortcuts, repeating=repeating,
        )  # fmt: skip
        self.screen = 0
        self.region: Region | None = None
        self.viewport = Viewport.whole(shape)
        self._shown: tuple[Grey, Mapping[str, Map | Mask]] = (np.zeros(shape, np.uint8), {})
        self._drawn: tuple[Box, float] = ((slice(0), slice(0)), 1.0)
        self._visible = self._given = frozenset(OVERLAYS)

    @property
    def scale(self) -> float:
        """How many screen pixels a pixel of the slice takes in the region's panel."""
        return REGION_PX / self.viewport.side

    def on_event(self, handler: Callable[[Event], None]) -> None:
        """Call `handler` with what a person does.

        Actions on an earlier region's pictures are dropped. Keys and buttons may concern more than
        the region; their `screen` tells which one was shown.
        """

        def current(event: Event) -> None:
            if isinstance(event, Key | Act) or event.screen == self.screen:
                handler(event)

        self.tap.on_event(current)

    def encode(self, image: Grey, region: Region, overlays: Mapping[str, Map | Mask]) -> Encoded:
        """Draw the pictures of a region before `show` needs them.

        Parameters
        ----------
        image, region, overlays
            As for `show`, with its errors.
        """
        self._check(image, overlays)
        far = pictures_of(image, overlays, max(1.0, SLICE_PX / max(image.shape)))
        return Encoded(far, *_near(image, overlays, region, self._viewport_of(region)))

    def _viewport_of(self, region: Region) -> Viewport:
        return self.viewport if region == self.region else Viewport.of(region, self.shape)

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
        """Show a region of a slice; a region that is already on screen keeps its zoom.

        Parameters
        ----------
        image : (H, W) uint8 array
            The slice through its window.
        region : Region
            Which part is asked about.
        clicks : iterable of Click
            Set so far.
        overlays : mapping of str to (H, W) array
            As for `pictures_of`.
        regions : iterable of Region
            The slice's other regions, whose borders are drawn faintly.
        encoded : Encoded, optional
            What `encode` made of image, region and overlays ahead.
        looking : str
            A sentence across the region, where another slice than the asked one is shown.

        Raises
        ------
        ValueError
            If an array has another shape than the view, or an overlay another name.
        """
        overlays = overlays or {}
        self._check(image, overlays)
        encoded = encoded or self.encode(image, region, overlays)
        self.viewport = self._viewport_of(region)
        if region != self.region:
            self.screen += 1
        self.region, self._shown = region, (image, overlays)
        border, grid = grid_path([region]), grid_path(regions)
        whole = region.height >= self.shape[0] and region.width >= self.shape[1]
        with self.figure.batch_update():
            self._put_pictures("slice", encoded.far)
            self._put_near(encoded.near, encoded.box, encoded.fine)
            self._put_paths({
                "grid": grid, "near grid": grid if whole else NO_PATH,
                "border": border, "frame": border,
            })  # fmt: skip
            self._put_clicks(clicks)
            self._put_key(given=overlays)
            self._put_rest("", BEHIND)
            self._put_viewport("region", self.viewport)
            self.figure.layout.meta = {"screen": self.screen}
            scan = escape(region.where.scan, quote=False)
            self._put_note("place", f"<b>{scan}</b><br>slice {region.where.z}")
            self._put_note("looking", looking)

    def mark(
        self,
        clicks: Iterable[Click],
        *,
        outlines: Iterable[Outline] = (),
        cursor: Place | None = None,
        picked: Iterable[Region] = (),
    ) -> None:
        """Show these marks and no others; the rest stays.

        Parameters
        ----------
        clicks, outlines : iterable of Click, of Outline
        cursor : (row, col), optional
            The place that keys move.
        picked : iterable of Region
            Those that hold a click, where a whole slice is answered at once.
        """
        with self.figure.batch_update():
            self._put_clicks(clicks)
            self._put_paths({"outlines": polygon_path(outlines), "picked": grid_path(picked)})
            self._put_points("cursor", [] if cursor is None else [cursor])

    def show_answers(
        self, infected: Iterable[Region], clean: Iterable[Region], clicks: Iterable[Click]
    ) -> None:
        """Show the answers on the slice's other regions.

        Parameters
        ----------
        infected, clean : iterable of Region
        clicks : iterable of Click
            Of all these answers.
        """
        paths = {"infected": grid_path(infected), "clean": grid_path(clean)}
        whole = self.region is not None and self.region.height >= self.shape[0]
        near = {f"near {name}": path if whole else NO_PATH for name, path in paths.items()}
        with self.figure.batch_update():
            self._put_paths(paths | near)
            self._put_points("clicks earlier", [(click.row, click.col) for click in clicks])

    def zoom(self, factor: float, row: float, col: float) -> None:
        """Enlarge the region's panel around a place.

        Parameters
        ----------
        factor : float
            Below 1 it shows more.
        row, col : float
            The place, in pixels of the slice; it stays where it is on the screen.
        """
        self._move(self.viewport.zoomed(factor, row, col, self.shape))

    def pan(self, rows: float, cols: float) -> None:
        """Move the region's panel down and to the right, in pixels of the slice."""
        self._move(self.viewport.moved(rows, cols, self.shape))

    def unzoom(self) -> None:
        """Show the region as it was before any zoom."""
        if self.region is not None:
            self._move(Viewport.of(self.region, self.shape))

    def _move(self, viewport: Viewport) -> None:
        if self.region is None:
            return
        self.viewport = viewport
        need, (box, fine) = viewport.box(self.shape), self._drawn
        inside = all(
            b.start <= n.start and n.stop <= b.stop for n, b in zip(need, box, strict=True)
        )
        sharp = self.scale / BLURRED <= fine
        with self.figure.batch_update():
            if not (inside and sharp):
                self._put_near(*_near(*self._shown, self.region, viewport, MARGIN))
            self._put_viewport("region", viewport)

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
            Whether the region shows them, too, and not only the slice; it always shows the mask.
        hidden : collection of str
            Which of `LAYERS` not to show: the grid, clicks, answers.
        """
        self._visible = frozenset(visible)
        with self.figure.batch_update():
            for panel, name in itertools.product(PANELS, OVERLAYS):
                faint = FAINT if (panel, name) == ("region", "entropy") else 1
                trace = self._traces[f"{panel} {name}"]
                trace.opacity = opacity * faint
                drawn_here = in_region or panel == "slice" or name == "mask"
                trace.visible = name in self._visible and drawn_here
            for name, parts in LAYERS.items():
                for part in parts:
                    layer = self._part(part)
                    layer.visible = name not in hidden
                    if part in SHAPES and name != "clicks":
                        layer.opacity = opacity
            self._put_key(given=self._given)

    def clear(self, sentence: str = "") -> None:
        """Show a sentence in place of the pictures, where there is no region to ask about."""
        self.region = None
        self.screen += 1
        with self.figure.batch_update():
            for panel in PANELS:
                self._put_pictures(panel, {})
            self._put_paths(dict.fromkeys(SHAPES, NO_PATH))
            self._put_clicks(())
            for name in ("cursor", "clicks earlier"):
                self._put_points(name, ())
            self._put_key(given=())
            self._put_rest(sentence, REST_COLOUR)
            self.figure.layout.meta = {"screen": self.screen}
            self._put_note("place", "")
            self._put_note("looking", "")

    def _check(self, image: Grey, overlays: Mapping[str, Map | Mask]) -> None:
        for name in overlays.keys() - set(OVERLAYS):
            raise ValueError(f"overlay {name!r} is unknown; there are {', '.join(OVERLAYS)}.")
        for name, array in {"the image": image, **overlays}.items():
            if array.shape != self.shape:
                raise ValueError(f"{name} is {array.shape}, the view {self.shape}.")

    def _put_near(self, pictures: Pictures, box: Box, fine: float) -> None:
        self._put_pictures("region", pictures, (box[0].start, box[1].start))
        self._drawn = (box, fine)

    def _put_key(self, given: Iterable[str]) -> None:
        """Explain the overlays that are drawn."""
        self._given = frozenset(given)
        drawn = self._given & self._visible
        for name, text in KEYS.items():
            self._put_note(name, text if name in drawn else "")
        self.figure.layout.images[0].visible = "entropy" in drawn

    def _put_rest(self, sentence: str, behind: str) -> None:
        self._put_note("rest", sentence)
        self.figure.layout.plot_bgcolor = behind
        self.figure.layout.paper_bgcolor = behind if sentence else "rgba(0,0,0,0)"


def _near(
    image: Grey,
    overlays: Mapping[str, Map | Mask],
    region: Region,
    viewport: Viewport,
    margin: float = 0.0,
) -> tuple[Pictures, Box, float]:
    """Draw large what a viewport shows, and a margin around it, as a share of its side."""
    box = viewport.box(image.shape, margin)
    fine = max(1.0, REGION_PX / viewport.side)
    crops = {name: values[box] for name, values in overlays.items()}
    return pictures_of(image[box], crops, fine, region.drawn(image.shape)[box]), box, fine


def _notes() -> dict[str, dict[str, Any]]:
    right, under = SLICE_PX / WIDTH_PX, 1 - (SLICE_PX + 6) / REGION_PX
    return {
        "place": note(0, under, ("left", "top"), align="left"),
        "prediction": note(right, under, ("right", "top")),
        "entropy": note(right, under - 20 / REGION_PX, ("right", "top")),
        "looking": note(  # across the top of the region's panel
            1 - REGION_PX / WIDTH_PX / 2, 1, ("center", "top"), borderpad=5,
            bgcolor="rgba(255,214,0,0.92)", font={"size": 14, "color": "#1f2937"},
        ),
        "rest": note(0.5, 0.5, ("center", "middle"), font={"size": 18, "color": "#4b5563"}),
    }  # fmt: skip


def _heat_bar() -> dict[str, Any]:
    """Draw the heat map's colours, as opaque as they are on CT, under the slice."""
    bar = heat_png(np.linspace(0, math.log(2), 128)[np.newaxis])
    return {
        "source": uri(bar), "xref": "paper", "x": (SLICE_PX - 160) / WIDTH_PX, "xanchor": "right",
        "yref": "paper", "y": 1 - (SLICE_PX + 32) / REGION_PX, "yanchor": "top",
        "sizing": "stretch", "sizex": 64 / WIDTH_PX, "sizey": 10 / REGION_PX, "visible": False,
    }  # fmt: skip
