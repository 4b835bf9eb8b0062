"""Two slices side by side, each with a region, its clicks and a network's maps."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from alnb.annotation import Click, Outline
from alnb.arrays import Grey, Map, Mask
from alnb.regions import Region
from alnb.ui.viewer.drawing import (
    FILLED,
    NO_PATH,
    Pictures,
    Plan,
    TwoPanels,
    click_marks,
    grid_path,
    line,
    note,
    pictures_of,
    polygon_path,
)
from alnb.ui.viewer.viewport import Viewport

PANEL_PX, GAP_PX, TITLE_PX = 416, 16, 26
SIZE_PX = (2 * PANEL_PX + GAP_PX, PANEL_PX + TITLE_PX)  # at first
SIDES = ("left", "right")
SHAPES = {"grid": line("white", 1, opacity=0.35), "frame": line("white", 2), "outlines": FILLED}
ZOOM = 3.0  # sides of a region that a zoomed panel shows


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """What one side shows."""

    title: str
    image: Grey | None = None  # (H, W) uint8, the slice; without it there is only the note
    region: Region | None = None  # framed
    clicks: Sequence[Click] = ()
    outlines: Sequence[Outline] = ()
    layers: Mapping[str, Map | Mask] = field(default_factory=dict)  # (H, W) each; `pictures_of`
    regions: Sequence[Region] = ()  # drawn as a faint grid
    note: str = ""  # a sentence on the picture


class PairView(TwoPanels):
    """A figure of two panels on which presses do nothing; `widget` is what to show.

    Parameters
    ----------
    shape : (H, W)
        Of the slices, in pixels.
    shortcuts : sequence of str
        Keys that are handed on; see `Tap`.
    """

    def __init__(self, shape: tuple[int, int], shortcuts: Sequence[str] = ()) -> None:
        super().__init__(
            shape, SIZE_PX, plan, shortcuts=shortcuts,
            shapes={f"{side} {name}": (side, look) for side in SIDES
                    for name, look in SHAPES.items()},
            marks={f"{side} {name}": (side, marker) for side in SIDES
                   for name, marker in click_marks(11).items()},
        )  # fmt: skip
        self.tap.pictured = "two slices with the region that was asked about"
        self.tap.locked = True
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
            for side, panel in zip(SIDES, (left, right), strict=True):
                self._put_pictures(side, self._pictures(panel, visible))
                for name in ("entropy", "prediction", "mask"):
                    self._part(f"{side} {name}").opacity = opacity if name == "entropy" else 1
                self._put_paths({
                    f"{side} grid": grid_path(panel.regions) if "grid" in visible else NO_PATH,
                    f"{side} frame": grid_path([panel.region] if panel.region else []),
                    f"{side} outlines": polygon_path(panel.outlines),
                })  # fmt: skip
                self._put_clicks(panel.clicks, f"{side} ")
                self._put_note(f"{side} title", panel.title)
                self._put_note(f"{side} note", panel.note)
                near = Viewport.around(panel.region, self.shape, ZOOM) if panel.region else None
                shown = near if zoom and near else Viewport.whole(self.shape)
                self._put_viewport(side, shown)

    def _pictures(self, panel: Panel, visible: Collection[str]) -> Pictures:
        if panel.image is None:
            return {}
        layers = {name: layer for name, layer in panel.layers.items() if name in visible}
        return pictures_of(panel.image, layers, max(1.0, PANEL_PX / max(self.shape)))


def plan(width: int, height: int) -> Plan:
    """Put two panels as large as they can be side by side, below their titles."""
    side = min((width - GAP_PX) // 2, height - TITLE_PX)
    lefts = dict(zip(SIDES, (0, side + GAP_PX), strict=True))
    notes: dict[str, dict[str, Any]] = {}
    for name, left in lefts.items():
        notes[f"{name} title"] = note(
            left / width, 1, ("left", "top"), align="left", width=side, font={"size": 14}
        )
        notes[f"{name} note"] = note(
            (left + side / 2) / width, 1 - (TITLE_PX + 0.97 * side) / height, ("center", "bottom"),
            font={"color": "white", "size": 13}, bgcolor="rgba(31,41,55,0.85)", borderpad=5,
        )  # fmt: skip
    return Plan({name: (left, TITLE_PX, side) for name, left in lefts.items()}, notes)
