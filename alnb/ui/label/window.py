"""How intensities are shown: a window of HU, or brightness and contrast of windowed grey."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import ipywidgets as widgets

from alnb.arrays import Window
from alnb.ui.label.buttons import button
from alnb.ui.parts import set_trait, small

LEVELS, WIDTHS = (-1000, 1000), (50, 3000)  # ours: what the sliders reach, in HU
BRIGHTNESS, CONTRAST = (-100, 100), (25, 400)  # ours: what the sliders reach, in percent
WINDOW_PX = 250  # ours: a drag so long moves a window by its own width; 6 HU a pixel for lungs
WINDOWED = (
    "These slices were stored as grey values, already windowed. Values beyond that window are not "
    "in the file, so brightness and contrast bring none back."
)


def _slider(name: str, reach: tuple[int, int]) -> widgets.IntSlider:
    """Make a slider of whole numbers: coarser steps would round on the page and be sent back."""
    return widgets.IntSlider(
        min=reach[0], max=reach[1], description=name,
        layout=widgets.Layout(width="100%", height="26px", margin="0"),
        style={"description_width": "76px"},
    )  # fmt: skip


class LevelWidth(NamedTuple):
    """A window as radiologists name it, in HU: mid grey, and black to white (> 0)."""

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
        return next((name for name, preset in PRESETS.items() if preset == self), "")

    @property
    def words(self) -> str:
        """What the picture says of it."""
        level, width = f"{self.level}".replace("-", "−"), self.width
        return " · ".join(filter(None, (self.name, f"L {level} W {width}")))

    def dragged(self, right: float, down: float) -> LevelWidth:
        """Widen it by a drag to the right, and raise its level (darken) by one down, in pixels."""
        step = max(1.0, self.width / WINDOW_PX)
        return LevelWidth(round(self.level + step * down), round(self.width + step * right))


class BrightnessContrast(NamedTuple):
    """How grey that came windowed is shown, in percent; (0, 100) shows it as it is stored."""

    brightness: int = 0
    contrast: int = 100  # > 0

    @property
    def window(self) -> Window:
        """The grey levels of black and of white."""
        middle, half = 127.5 * (1 - self.brightness / 100), 127.5 * 100 / self.contrast
        return Window(middle - half, middle + half)

    @property
    def words(self) -> str:
        """What the picture says of it."""
        brightness = f"{self.brightness:+d}".replace("-", "−")
        return f"brightness {brightness} %, contrast {self.contrast} %"

    def dragged(self, right: float, down: float) -> BrightnessContrast:
        """Change it as the same drag changes a window: less contrast, and darker."""
        return BrightnessContrast(
            round(self.brightness - 100 * down / WINDOW_PX),
            round(self.contrast * math.exp(-right / WINDOW_PX)),
        )


Look = LevelWidth | BrightnessContrast
PRESETS = {
    "lung": LevelWidth(-600, 1500),
    "mediastinum": LevelWidth(40, 400),
    "full": LevelWidth(0, 2048),  # ours: air to dense bone, −1024 to 1024
}


class WindowControls:
    """Choose how intensities are shown: a window of HU, or the brightness of windowed grey.

    HU have presets and sliders of level and width, grey has sliders of brightness and contrast.

    Parameters
    ----------
    network : LevelWidth
        The window of HU that the network sees through.

    Attributes
    ----------
    hu : bool
        Whether the slice on screen holds HU.
    title, widget : ipywidgets.Widget
        What to show: a heading, and the controls.
    """

    def __init__(self, network: LevelWidth) -> None:
        self.hu = True
        self._network = network
        self._chosen: dict[bool, Look | None] = {True: None, False: None}  # by `hu`
        self._held: tuple[int, Look] = (0, network)  # a drag, and what it began with
        self._handler: Callable[[], None] = lambda: None
        self._setting = False
        tooltips = {name: f"Level {at.level}, width {at.width} HU" for name, at in PRESETS.items()}
        self.presets: dict[str, widgets.Button] = {}
        for name, tooltip in (*tooltips.items(), ("network", "As the network sees it")):
            self.presets[name] = preset = button(name, "auto", f"window:{name}", tooltip)
            preset.layout.flex, preset.layout.margin = "1 1 auto", "0 4px 0 0"
        self.level, self.width = (
            _slider(name, (min(reach[0], at), max(reach[1], at)))
            for name, reach, at in zip(("level", "width"), (LEVELS, WIDTHS), network, strict=True)
        )
        self.brightness = _slider("brightness", BRIGHTNESS)
        self.contrast = _slider("contrast", CONTRAST)
        self._sliders = {True: (self.level, self.width), False: (self.brightness, self.contrast)}
        self.title, self._reason = widgets.HTML(), widgets.HTML()
        row = widgets.HBox(list(self.presets.values()))
        self._controls = widgets.VBox([row, *self._sliders[True], *self._sliders[False]])
        self.widget = widgets.Box([self._controls, self._reason])
        self.widget.add_class("alnb-window-controls")
        self.show(hu=True)
        for slider in itertools.chain(*self._sliders.values()):
            slider.observe(lambda _: self._slid(), names="value")

    def on_change(self, handler: Callable[[], None]) -> None:
        """Call `handler` when another look is chosen."""
        self._handler = handler

    def chosen(self, *, hu: bool) -> Look | None:
        """Return what was chosen for HU, or for grey; None: as the network sees it."""
        return self._chosen[hu]

    def words(self, *, hu: bool) -> str:
        """Say through what HU, or grey, are shown; nothing for grey as it is stored."""
        look = self._chosen[hu] or (self._network if hu else None)
        return "" if look is None else look.words

    def choose(self, name: str) -> None:
        """Choose a preset, or "network"."""
        self._take(PRESETS.get(name))

    def drag(self, right: float, down: float, hold: int) -> None:
        """Change what is on by a drag with the right button; the caller draws it.

        Parameters
        ----------
        right, down : float
            From where the button was pressed, in screen pixels.
        hold : int
            Numbers the drags.
        """
        if hold != self._held[0]:
            self._held = hold, self._now
        self._chosen[self.hu] = self._within(self._held[1].dragged(right, down))
        self._bring()

    def show(self, *, hu: bool) -> None:
        """Bring the controls up to date with the slice on screen."""
        self.hu = hu
        for kind, sliders in self._sliders.items():
            for slider in sliders:
                set_trait(slider.layout, "display", None if kind is hu else "none")
        for name, preset in self.presets.items():
            set_trait(preset.layout, "display", None if hu or name == "network" else "none")
        set_trait(self.title, "value", f"<h2>{'Window' if hu else 'Brightness and contrast'}</h2>")
        set_trait(self.presets["network"], "description", "network" if hu else "as stored")
        set_trait(self._reason, "value", small("" if hu else WINDOWED))
        self._bring()

    @property
    def _now(self) -> Look:
        """What the slice on screen is shown through."""
        return self._chosen[self.hu] or (self._network if self.hu else BrightnessContrast())

    def _bring(self) -> None:
        """Move the sliders to what is on, and light its preset."""
        self._setting = True
        try:
            for slider, value in zip(self._sliders[self.hu], self._now, strict=True):
                set_trait(slider, "value", value)
        finally:
            self._setting = False
        look = self._chosen[self.hu]
        on = look.name if isinstance(look, LevelWidth) else "" if look else "network"
        for name, preset in self.presets.items():
            set_trait(preset, "button_style", "info" if name == on else "")

    def _within(self, look: Look) -> Look:
        """Keep a look within what the sliders reach."""
        first, second = (
            min(max(value, slider.min), slider.max)
            for slider, value in zip(self._sliders[self.hu], look, strict=True)
        )
        return type(look)(first, second)

    def _slid(self) -> None:
        if not self._setting:
            first, second = (slider.value for slider in self._sliders[self.hu])
            self._take((LevelWidth if self.hu else BrightnessContrast)(first, second))

    def _take(self, look: Look | None) -> None:
        self._chosen[self.hu] = look
        self._bring()
        self._handler()
