"""What the training process is doing, in words and as a share of a cycle."""

from __future__ import annotations

import math
from dataclasses import dataclass

SURE_S = 1.0  # ours: what a stage's first second says of its speed is not said
A_MINUTE = 90.0  # ours: from there on minutes are said
ROUND_S = 5  # ours: a number that is read, not watched

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
    `still_s` is for how many seconds it has got no further, where that is long. `took_s` is how
    long the stage (or `detail`) has taken so far.
    """

    stage: str = ""
    done: int = 0
    total: int = 0
    backbone: str = ""
    device: str = ""
    detail: str = ""
    still_s: float = 0.0
    took_s: float = 0.0

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
        left = "" if still else self._left
        return f"{STAGES[self.detail or self.stage]}{counted}{left}{still}"

    @property
    def left_s(self) -> float | None:
        """Estimate the seconds until the cycle, or the detail, is done; None until that is known.

        By how fast the stage goes, and by which share of a cycle it is.
        """
        if not self.done or self.took_s < SURE_S:
            return None
        stage_s = self.took_s * self.total / self.done
        low, high = WEIGHT[self.stage]
        after = 0.0 if self.detail or high == low else (1 - high) / (high - low)
        return stage_s - self.took_s + stage_s * after

    @property
    def _left(self) -> str:
        left = self.left_s
        if left is None:
            return ""
        if left >= A_MINUTE:
            return f", about {math.ceil(left / 60)} min left"
        return f", about {max(1, math.ceil(left / ROUND_S)) * ROUND_S} s left"
