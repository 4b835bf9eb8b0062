"""The slice and, large, the region that is asked about."""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alnb.annotation import Answer, Click, Outline
from alnb.arrays import INFECTED, Grey, Map, Mask
from alnb.curves.charts import COLOURS
from alnb.dataset import SliceId
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
    Plan,
    Square,
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
from alnb.ui.viewer.input import Act, Event, Key, VoxelAxes
from alnb.ui.viewer.viewport import Box, Viewport

SIZE_PX = (848, 480)  # at first: what a notebook's cell holds beside its margins
GAP_PX = 16  # between slice and region
SHARE = 0.65  # ours: of the width, for the region; the slice gets the rest
LINE_PX = 18  # of a note
UNDER_PX = 128  # below the slice, for its notes and for what the page says there
PANELS = ("slice", "region")
FINE_PX = 512  # ours: how large pictures are drawn; the browser scales them smoothly to the screen
BAR_PX, KEY_PX = 36, 200  # of entropy's colours, and of them with their words
GRID = line("rgba(255,255,255,0.55)", 1, opacity=0.4)
PICKED = line(CLICK_COLOUR, 2)
PREDICTED = line("rgb({}, {}, {})".format(*PREDICTION_RGB), 2)
REST_COLOUR = "rgba(127,135,147,0.12)"  # of the panels, where there are no pictures
FAINT = 0.5  # of the heat's opacity on the region, where CT must be read
MARGIN = 0.25  # of its side, drawn around a viewport that the person moves
BAR_SHARE = 0.28  # ours: of a panel's side, at most for the scale bar
BAR_MM = [m * 10**n for n in range(3) for m in (1, 2, 5)]  # its lengths: 1 mm to 500 mm
BAR_HIGH_PX, BAR_IN_PX = 5, 10  # of the bar, and how far from the corner it ends
LOOKING_PX = 7.5  # of a character of the sentence across the region, on average
CAPTION_PX = 7.5  # of a character under the slice, on average; scans are named in bold
NAME_CHARS = 20  # ours: of a person's name beside a mark
BLURRED = 1.6  # a picture that is enlarged by more is drawn again, finer
KEYS = {  # what an overlay's colours mean
    "prediction": f"<span style='color:rgb{PREDICTION_RGB}'>■</span> predicted infection",
    "entropy": "uncertainty, low to high",  # entropy, 0 to 0.69 nats
}
LAYERS = {  # what can be hidden -> its shapes and traces
    "grid": ("grid", "near grid"),
    "clicks": (
        "clicks infected",
        "clicks background",
        "clicks earlier",
        "outlines",
        "said",
        "said outlines",
    ),
    "answered": ("infected", "clean", "near infected", "near clean"),
}


def _area(rgba: str, dash: str) -> dict[str, Any]:
    outline = {"color": rgba.format(1), "width": 1.5, "dash": dash}
    return {"line": outline, "fillcolor": rgba.format(0.45)}


ON_PICTURE = {  # note -> its place across and down, (share of the panel, pixels), and its anchor
    "R": ((0, 5), (0.5, 0), ("left", "middle")),
    "L": ((1, -5), (0.5, 0), ("right", "middle")),
    "scale": ((1, -BAR_IN_PX), (1, -BAR_IN_PX - BAR_HIGH_PX - 3), ("right", "bottom")),
    "window": ((0, 5), (1, -32), ("left", "bottom")),  # above what the pointer reads
}


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
    "predicted": ("region", PREDICTED),
    "outlines": ("region", FILLED),
    "said outlines": ("region", {"line": {"color": "white", "width": 2, "dash": "dot"}}),
    "frame": ("region", line("rgba(255,255,255,0.85)", 1.5)),
    **{f"{panel} bar": (panel, {"line": {"color": "black", "width": 1}, "fillcolor": "white"})
       for panel in PANELS},
}  # fmt: skip
MARKS = {name: ("region", marker) for name, marker in click_marks(13).items()} | {
    "clicks earlier": (
        "slice", {"size": 5, "color": CLICK_COLOUR, "line": {"width": 1, "color": "white"}},
    ),
    "said": (  # by others, whose names stand beside
        "region", {"symbol": "diamond-open", "size": 15, "line": {"width": 3}},
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
    visible: frozenset[str]  # which overlays are among them


@dataclass(frozen=True, slots=True, eq=False)
class Facts:
    """What is known of a slice beside its picture; by default nothing."""

    where: SliceId | None = None
    place: str = ""  # its number in the scan, in words
    values: NDArray[np.int16] | NDArray[np.uint8] | None = None  # (H, W): what the pointer reads
    unit: str = ""  # of the values
    window: str = ""  # through which it is shown, in words
    pixel_mm: float | None = None  # the side of a pixel
    oriented: bool = False  # whether column 0 is the patient's right
    voxels: VoxelAxes = ()  # of the file, as `Tap.read` takes them


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
        What to show: the figure with its `tap`; pictures are as large as its box allows.
    screen : int
        Counts the regions shown so far, and returns to one from a neighbouring slice.
    viewport : Viewport
        What is shown large; it stays while the region does.
    smooth : bool
        Whether CT and entropy are drawn between the slice's pixels, or each pixel as a square.
    """

    def __init__(
        self, shape: tuple[int, int], shortcuts: Sequence[str] = (), repeating: Sequence[str] = ()
    ) -> None:
        super().__init__(
            shape, SIZE_PX, plan, shapes=SHAPES, marks=MARKS, shortcuts=shortcuts,
            repeating=repeating,
        )  # fmt: skip
        self._traces["said"].update(
            mode="markers+text", textposition="top center",
            textfont={"color": "white", "size": 15, "shadow": "0 0 3px black, 0 0 3px black"},
        )  # fmt: skip
        self.screen = 0
        self.smooth = True
        self.region: Region | None = None
        self.viewport = Viewport.whole(shape)
        self._shown: tuple[Grey, Mapping[str, Map | Mask]] = (np.zeros(shape, np.uint8), {})
        self._facts = Facts()
        self._read: SliceId | None = None  # whose values the page has
        self._values = 0  # numbers them
        self._drawn: tuple[Box, float] = ((slice(0), slice(0)), 1.0)
        self._visible = self._given = frozenset(OVERLAYS)

    @property
    def scale(self) -> float:
        """How many screen pixels a pixel of the slice takes in the region's panel."""
        return self.plan.panels["region"][2] / self.viewport.side

    @property
    def spare(self) -> tuple[int, int, int, int]:
        """The room that is left under the slice: left, top, width and height, in screen pixels."""
        left, _, side = self.plan.panels["slice"]
        lines = 2 if side >= 2 * KEY_PX else 3
        top = side + 10 + LINE_PX * lines
        return left, top, side, self._size[1] - top

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
        visible = self._visible
        drawn = {name: values for name, values in overlays.items() if name in visible}
        far = pictures_of(image, drawn, self._fine(max(image.shape)))
        near = self._near(image, overlays, region, self._viewport_of(region))
        return Encoded(far, *near, visible)

    def _fine(self, side: float) -> float:
        """Choose how many pixels are drawn for each of a slice that shows `side` of them."""
        return max(1.0, FINE_PX // side) if self.smooth else 1.0

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
        facts: Facts | None = None,
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
        facts : Facts, optional
            What is known of the slice; None: which one it is.

        Raises
        ------
        ValueError
            If an array has another shape than the view, or an overlay another name.
        """
        overlays = overlays or {}
        self._check(image, overlays)
        if encoded is None or encoded.visible != self._visible:
            encoded = self.encode(image, region, overlays)
        self.viewport = self._viewport_of(region)
        stale = self._not_of(region)
        self.screen += bool(stale)
        self.region, self._shown = region, (image, overlays)
        self._facts = facts or Facts(region.where, f"slice {region.where.number}")
        border, grid = grid_path([region]), grid_path(regions)
        whole = region.height >= self.shape[0] and region.width >= self.shape[1]
        with self.figure.batch_update():
            self._put_encoded(encoded)
            self._put_paths({
                "grid": grid, "near grid": grid if whole else NO_PATH,
                "border": border, "frame": border,
            } | dict.fromkeys(stale, NO_PATH))  # fmt: skip
            self._put_clicks(clicks)
            self._put_key(given=overlays)
            self._put_rest("", BEHIND)
            self._put_viewport("region", self.viewport)
            self._put_facts()
            chars = int(self.plan.panels["region"][2] / LOOKING_PX)
            self._put_note("looking", "<br>".join(textwrap.wrap(looking, chars)))
        self._put_values()

    def _not_of(self, region: Region) -> tuple[str, ...]:
        """Name the shapes on screen that would be wrong around another region, or slice."""
        if region == self.region:
            return ()
        here = self.region is not None and region.where == self.region.where
        return (
            "outlines",
            "said outlines",
            "picked",
            "predicted",
            *(() if here else ("infected", "clean")),
        )

    def rewindow(self, image: Grey, window: str) -> None:
        """Show the slice on screen through another window; all else stays.

        Parameters
        ----------
        image : (H, W) uint8 array
            The slice through that window.
        window : str
            The window in words.
        """
        if self.region is None:
            return
        self._check(image, {})
        self._shown, self._facts = (image, self._shown[1]), replace(self._facts, window=window)
        box, fine = self._drawn
        inside = self.region.drawn(self.shape)[box]
        far = pictures_of(image, {}, self._fine(max(self.shape)))
        near = pictures_of(image[box], {}, fine, inside)
        with self.figure.batch_update():
            for panel, pictures in (("slice", far), ("region", near)):
                self._traces[f"{panel} ct"].source = uri(pictures["ct"][0])
            self._put_note("window", window)

    def mark(
        self,
        clicks: Iterable[Click],
        *,
        outlines: Iterable[Outline] = (),
        cursor: Place | None = None,
        picked: Iterable[Region] = (),
        predicted: Iterable[Outline] = (),
        said: Iterable[Answer] = (),
    ) -> None:
        """Show these marks and no others; the rest stays.

        Parameters
        ----------
        clicks, outlines : iterable of Click, of Outline
        cursor : (row, col), optional
            The place that keys move.
        picked : iterable of Region
            Those that hold a click, where a whole slice is answered at once.
        predicted : iterable of Outline
            Around what is predicted with these marks.
        said : iterable of Answer
            What others say of the region: their marks are shown with their names.
        """
        self.tap.cursor = list(cursor or ())
        with self.figure.batch_update():
            self._put_clicks(clicks)
            self._put_paths({
                "outlines": polygon_path(outlines), "picked": grid_path(picked),
                "predicted": polygon_path(predicted),
            })  # fmt: skip
            self._put_said(tuple(said))
            self._put_points("cursor", [] if cursor is None else [cursor])

    def _put_said(self, answers: Sequence[Answer]) -> None:
        """Draw the marks of several people, each with a name, in a colour of their own."""
        drawn = [
            (place, _short(one.annotator, NAME_CHARS), COLOURS[n % len(COLOURS)])
            for n, one in enumerate(answers)
            for place in (
                *((click.row, click.col) for click in one.clicks if click.label == INFECTED),
                *(min(outline) for outline in one.outlines),  # the name stands at its top
            )
        ]
        self._put_points("said", [place for place, _, _ in drawn])
        self._traces["said"].update(
            text=[name for _, name, _ in drawn],
            marker={"color": [colour for _, _, colour in drawn]},
        )
        self._put_paths({"said outlines": polygon_path(
            outline for one in answers for outline in one.outlines
        )})  # fmt: skip

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
        sharp = self._fine(viewport.side) / BLURRED <= fine
        with self.figure.batch_update():
            if not (inside and sharp):
                self._put_near(*self._near(*self._shown, self.region, viewport, MARGIN))
            self._put_viewport("region", viewport)
            self._put_bar("region")

    def resize(self, width: int, height: int) -> None:
        """Lay the figure out for a box of this many screen pixels."""
        super().resize(width, height)
        with self.figure.batch_update():
            self._put_caption()
            for panel in PANELS:
                self._put_bar(panel)

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
        before, self._visible = self._visible, frozenset(visible)
        with self.figure.batch_update():
            if self._visible != before and self.region is not None:
                self._put_encoded(self.encode(self._shown[0], self.region, self._shown[1]))
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
            for name in ("cursor", "clicks earlier", "said"):
                self._put_points(name, ())
            self._put_key(given=())
            self._put_rest(sentence, REST_COLOUR)
            self._facts = Facts()
            self._put_facts()
            self._put_note("looking", "")
        self._put_values()

    def _put_facts(self) -> None:
        """Write what is known of the slice: where it lies, its sides, its scale and window."""
        facts = self._facts
        if facts.where != self._read:
            self._values += 1
        self.figure.layout.meta = {"screen": self.screen, "values": self._values}
        self._put_caption()
        self._put_note("window", facts.window)
        for panel in PANELS:
            for letter in "RL":
                self._put_note(f"{panel} {letter}", letter if facts.oriented else "")
            self._put_bar(panel)

    def _put_caption(self) -> None:
        """Name scan and slice under the slice; a long name of a scan is cut short."""
        facts = self._facts
        scan = facts.where.scan if facts.where else ""
        room = max(4, int(self.plan.panels["slice"][2] / CAPTION_PX) - len(facts.place))
        self._put_note("place", f"<b>{_short(scan, room)}</b>, {facts.place}" * bool(scan))

    def _put_values(self) -> None:
        """Send the values that the pointer reads, once a slice and after its pictures."""
        facts = self._facts
        if facts.where != self._read:
            self._read = facts.where
            self.tap.read(self._values, facts.values, facts.unit, facts.voxels)

    def _put_bar(self, panel: str) -> None:
        """Draw the scale bar in a panel's lower right corner, where the scale is known."""
        viewport = self.viewport if panel == "region" else Viewport.whole(self.shape)
        path, words = NO_PATH, ""
        if self._facts.pixel_mm is not None:
            side_mm = viewport.side * self._facts.pixel_mm
            length_mm = max((mm for mm in BAR_MM if mm <= BAR_SHARE * side_mm), default=BAR_MM[0])
            one = viewport.side / self.plan.panels[panel][2]  # screen pixel, in the slice's
            (_, right), (_, bottom) = viewport.ranges
            right, bottom = right - BAR_IN_PX * one, bottom - BAR_IN_PX * one
            left, top = right - length_mm / self._facts.pixel_mm, bottom - BAR_HIGH_PX * one
            path = f"M{left:.3f},{top:.3f}H{right:.3f}V{bottom:.3f}H{left:.3f}Z"
            words = f"{length_mm / 10:g} cm" if length_mm >= 10 else f"{length_mm} mm"
        self._put_paths({f"{panel} bar": path})
        self._put_note(f"{panel} scale", words)

    def _check(self, image: Grey, overlays: Mapping[str, Map | Mask]) -> None:
        for name in overlays.keys() - set(OVERLAYS):
            raise ValueError(f"overlay {name!r} is unknown; there are {', '.join(OVERLAYS)}.")
        for name, array in {"the image": image, **overlays}.items():
            if array.shape != self.shape:
                raise ValueError(f"{name} is {array.shape}, the view {self.shape}.")

    def _put_encoded(self, encoded: Encoded) -> None:
        self._put_pictures("slice", encoded.far, smooth=self.smooth)
        self._put_near(encoded.near, encoded.box, encoded.fine)

    def _put_near(self, pictures: Pictures, box: Box, fine: float) -> None:
        corner = box[0].start, box[1].start
        self._put_pictures("region", pictures, corner, smooth=self.smooth)
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
        self,
        image: Grey,
        overlays: Mapping[str, Map | Mask],
        region: Region,
        viewport: Viewport,
        margin: float = 0.0,
    ) -> tuple[Pictures, Box, float]:
        """Draw large what a viewport shows, and a margin around it, as a share of its side."""
        box = viewport.box(image.shape, margin)
        fine = self._fine(viewport.side)
        drawn = overlays.keys() & self._visible
        crops = {name: overlays[name][box] for name in drawn}
        return pictures_of(image[box], crops, fine, region.drawn(image.shape)[box]), box, fine


def _short(name: str, room: int) -> str:
    """Escape a name for a note; one that is longer than `room` is cut."""
    return escape(name if len(name) <= room else f"{name[: room - 1]}…", quote=False)


def plan(width: int, height: int) -> Plan:
    """Put the region, as large as it can be, beside the slice, with notes under the slice."""
    region = int(min(height, SHARE * (width - GAP_PX)))
    side = int(min(width - GAP_PX - region, height - UNDER_PX))
    left = side + GAP_PX
    beside = side >= 2 * KEY_PX
    panels = {"slice": (0, 0, side), "region": (left, 0, region)}

    def place(x: float, line: int) -> tuple[float, float]:
        return x / width, 1 - (side + 6 + LINE_PX * line) / height

    notes = {
        "place": note(*place(0, 0), ("left", "top"), align="left"),
        "prediction": note(*(place(KEY_PX + 8, 1) if beside else place(0, 2)), ("left", "top")),
        "entropy": note(*place(BAR_PX + 4, 1), ("left", "top")),
        "looking": note(  # across the top of the region's panel
            (left + region / 2) / width, 1, ("center", "top"), borderpad=5,
            bgcolor="rgba(255,214,0,0.92)", font={"size": 14, "color": "#1f2937"},
        ),
        **{f"{panel} {name}": _on_picture(at, (width, height), name)
           for panel, at in panels.items() for name in ("R", "L", "scale")},
        "window": _on_picture(panels["region"], (width, height), "window"),
        "rest": note(0.5, 0.5, ("center", "middle"), font={"size": 18, "color": "#4b5563"}),
    }  # fmt: skip
    x, y = place(2, 1)
    return Plan(panels, notes, [_heat_bar() | {
        "x": x, "y": y - 6 / height, "sizex": BAR_PX / width, "sizey": 10 / height,
    }])  # fmt: skip


def _on_picture(square: Square, size: tuple[int, int], name: str) -> dict[str, Any]:
    """Place a note at the rim of a panel, on its picture.

    Parameters
    ----------
    square : Square
        The panel.
    size : (width, height)
        Of the figure.
    name : str
        Of `ON_PICTURE`.
    """
    (left, top, side), (width, height) = square, size
    across, down, anchor = ON_PICTURE[name]
    x, y = left + across[0] * side + across[1], top + down[0] * side + down[1]
    return note(
        x / width, 1 - y / height, anchor, bgcolor="rgba(0,0,0,0.55)", borderpad=1,
        font={"color": "white", "size": 13 if len(name) > 1 else 16},
    )  # fmt: skip


@cache
def _heat_bar() -> dict[str, Any]:
    """Draw the heat map's colours, as opaque as they are on CT."""
    bar = heat_png(np.linspace(0, math.log(2), 128)[np.newaxis])
    return {
        "source": uri(bar), "xref": "paper", "xanchor": "left", "yref": "paper", "yanchor": "top",
        "sizing": "stretch", "visible": False,
    }  # fmt: skip
