"""The window's controls under the slice: presets, level and width; or why there are none."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets as widgets

from alnb.ui.actions import key_of
from alnb.ui.windows import LEVELS, PRESETS, WIDTHS, Look

WINDOWED = (
    "No window to choose: these slices came as grey values, already windowed; what lies beyond is "
    "not in the file."
)


class Looks:
    """Buttons for the presets and two sliders.

    Attributes
    ----------
    widget : ipywidgets.Widget
        352×80 px.
    look : Look or None
        What is chosen; None: as the network sees it.
    """

    def __init__(self) -> None:
        self.look: Look | None = None
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
        self.widget.add_class("alnb-looks")

    def on_change(self, handler: Callable[[], None]) -> None:
        """Call `handler` when another window is chosen."""
        self._handler = handler

    def choose(self, name: str) -> None:
        """Choose a preset, or "network"."""
        self.look = None if name == "network" else Look(*PRESETS[name])
        self._handler()

    def show(self, network: Look, *, hu: bool) -> None:
        """Bring the controls up to date; `network` is the window that the network sees through."""
        look = self.look or network
        self._setting = True
        try:
            self.level.value, self.width.value = look.level, look.width
        finally:
            self._setting = False
        chosen = "network" if self.look is None else self.look.name
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
            self.look = Look(self.level.value, self.width.value)
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
