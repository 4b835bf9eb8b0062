"""Windows to look at HU through: the presets that radiologists know, and any other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from alnb.arrays import Window

PRESETS: Mapping[str, tuple[int, int]] = {  # name -> level and width, in HU
    "lung": (-600, 1500),
    "mediastinum": (40, 400),
    "full": (0, 2048),  # ours: air to dense bone, −1024 to 1024
}
LEVELS, WIDTHS = (-1000, 1000), (50, 3000)  # ours: what the sliders reach


@dataclass(frozen=True, slots=True)
class Look:
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
    def of(cls, window: Window) -> Look:
        """Name a window by level and width."""
        return cls(round((window.low + window.high) / 2), round(window.high - window.low))

    @property
    def window(self) -> Window:
        """The HU of black and of white."""
        return Window(self.level - self.width / 2, self.level + self.width / 2)

    @property
    def name(self) -> str:
        """The preset that it is; empty if none."""
        names = (name for name, look in PRESETS.items() if look == (self.level, self.width))
        return next(names, "")
