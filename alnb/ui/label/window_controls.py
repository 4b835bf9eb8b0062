"""The controls under the slice that choose a window of HU, or say why there is none to choose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import ipywidgets as widgets

from alnb.arrays import Window
from alnb.ui.label.shortcuts import key_of

PRESETS: Mapping[str, tuple[int, int]] = {  # name -> level and width, in HU
    "lung": (-600, 1500),
    "mediastinum": (40, 400),
    "full": (0, 2048),  # ours: air to dense bone, −1024 to 1024
}
LEVELS, WIDTHS = (-1000, 1000), (50, 3000)  # ours: what the sliders reach


@dataclass(frozen=True, slots=True)
class LevelWidth:
    """A window as radiologists name it.

    Parameters
    ----------
    level : int
        The HU shown in mid grey.
    width : int
        From black to white, in HU; > 0.
    """

    level: int
    width: int

    @classmethod
    def of(cls, window: Window) -> LevelWidth:
        """Name a window by level and width."""
        return cls(round((window.low + window.high) / 2), round(window.high - window.low))

    @property
    def window(self) -> Window:
        """The HU of black and of white."""
        return Window(self.level - self.width / 2, self.level + self.width / 2)

    @property
    def name(self) -> str:
        """The preset with these values; empty if none."""
        names = (name for name, preset in PRESETS.items() if preset == (self.level, self.width))
        return next(names, "")


WINDOWED = (
    "These slices were stored as grey values, already windowed. Values beyond that window are not "
    "in the file, so there is no window to choose."
)


class WindowControls:
    """Buttons for the presets and two sliders.

    Attributes
    ----------
    widget : ipywidgets.Widget
        352×80 px.
    chosen : LevelWidth or None
        None: as the network sees it.
    """

    def __init__(self) -> None:
        self.chosen: LevelWidth | None = None
        self._handler: Callable[[], None] = lambda: None
        self._setting = False
        self.presets = {name: _preset(name) for name in (*PRESETS, "network")}
        self.level = _slider("level", LEVELS)
        self.width = _slider("width", WIDTHS)
        self._reason = widgets.HTML()
        for slider in (self.level, self.width):
            slider.observe(lambda _: self._slid(), names="value")
        row = widgets.HBox(list(self.presets.values()))
        self._controls = widgets.VBox([row, self.level, self.width])
        self.widget = widgets.Box([self._controls, self._reason])
        self.widget.add_class("alnb-window-controls")

    def on_change(self, handler: Callable[[], None]) -> None:
        """Call `handler` when another window is chosen."""
        self._handler = handler

    def choose(self, name: str) -> None:
        """Choose a preset, or "network"."""
        self.chosen = None if name == "network" else LevelWidth(*PRESETS[name])
        self._handler()

    def show(self, network: LevelWidth, *, hu: bool) -> None:
        """Bring the controls up to date; `network` is the window that the network sees through."""
        now = self.chosen or network
        self._setting = True
        try:
            self.level.value, self.width.value = now.level, now.width
        finally:
            self._setting = False
        chosen = "network" if self.chosen is None else self.chosen.name
        for name, button in self.presets.items():
            style = "info" if name == chosen else ""
            if button.button_style != style:
                button.button_style = style
        self._controls.layout.display = None if hu else "none"
        reason = "" if hu else f"<div class='alnb-small'>{WINDOWED}</div>"
        if self._reason.value != reason:
            self._reason.value = reason

    def _slid(self) -> None:
        if not self._setting:
            self.chosen = LevelWidth(self.level.value, self.width.value)
            self._handler()


def _preset(name: str) -> widgets.Button:
    tooltip = (
        "As the network sees it"
        if name == "network"
        else "Level {}, width {} HU".format(*PRESETS[name])
    )
    key = key_of(f"window:{name}")
    button = widgets.Button(
        description=name, tooltip=f"{tooltip} [{key}]",
        layout=widgets.Layout(width="auto", flex="1 1 auto", margin="0 4px 0 0"),
    )  # fmt: skip
    button.add_class(f"alnb-act-window-{name}")
    return button


def _slider(name: str, reach: tuple[int, int]) -> widgets.IntSlider:
    return widgets.IntSlider(
        min=reach[0], max=reach[1], step=10, description=name,
        layout=widgets.Layout(width="348px", height="22px", margin="0"),
        style={"description_width": "40px"},
    )  # fmt: skip
