"""What the training process is doing, in words and as a share of a cycle."""

from __future__ import annotations

from dataclasses import dataclass

STAGES = {
    "warm": "starting the training process",
    "wait": "waiting for the training process",
    "start": "getting ready to train",
    "draw": "drawing synthetic scans to learn from, once on this machine",
    "prepare": "learning from synthetic scans, once on this machine",
    "features": "looking at every slice once",
    "believe": "noting what it believes so far",
    "fit": "training",
    "evaluate": "measuring Dice on the test slices",
    "score": "scoring the regions",
    "predict": "drawing the maps",
}
WEIGHT = {"warm": (0.0, 0.05), "wait": (0.0, 0.0), "start": (0.0, 0.05),
          "draw": (0.0, 0.0), "prepare": (0.0, 0.0), "features": (0.0, 0.05),
          "believe": (0.0, 0.05), "fit": (0.05, 0.65),
          "evaluate": (0.65, 0.75), "score": (0.75, 0.97),
          "predict": (0.97, 1.0)}  # fmt: skip # shares of a cycle's time


@dataclass(frozen=True, slots=True)
class Activity:
    """What the training process is doing; `stage` is empty when it does nothing.

    `detail` is a stage inside another: what is done while a process starts, or is waited for.
    `still_s` is for how many seconds it has got no further, where that is long.
    """

    stage: str = ""
    done: int = 0
    total: int = 0
    backbone: str = ""
    device: str = ""
    detail: str = ""
    still_s: float = 0.0

    @property
    def running(self) -> bool:
        """Whether it does anything."""
        return bool(self.stage)

    @property
    def cycling(self) -> bool:
        """Whether a cycle is on its way."""
        return self.running and self.stage != "warm"

    @property
    def fraction(self) -> float:
        """How much of the cycle is done, in [0, 1]."""
        if not self.stage:
            return 0.0
        low, high = WEIGHT[self.stage]
        if self.detail:  # it is counted, but not in this cycle
            return low
        return low + (high - low) * (self.done / self.total if self.total else 0)

    @property
    def text(self) -> str:
        """What it does, in words."""
        if not self.stage:
            return ""
        counted = f" {self.done} of {self.total}" if self.total else ""
        still = f"; no further for {self.still_s:.0f} s: Cancel ends it" if self.still_s else ""
        return f"{STAGES[self.detail or self.stage]}{counted}{still}"
