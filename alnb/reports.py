"""The result of a training and of a cycle, and the learning curve as a table."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alnb.cost import Cost
from alnb.metrics import Scores
from alnb.schema import conform

if TYPE_CHECKING:
    import pandas as pd

CURVE_COLUMNS = (
    "cycle", "cost_s", "measured_s", "regions", "clicks", "dice", "specificity", "precision",
    "recall", "iou", "heldout_accuracy", "train_s", "score_s", "seed",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class FitReport:
    """The result of one training.

    In an older journal `batch` and what follows are not known, and therefore 0, None or empty.
    """

    weights: str  # their name: a hash of everything that they depend on
    backbone: str  # in words for the screen
    device: str  # likewise
    steps: int  # of the optimizer
    loss: float  # mean over the last steps
    threshold: float  # infection probability from which a pixel counts as infected, in (0, 1)
    heldout: int  # answers held out from training, to choose on them
    heldout_accuracy: float | None  # share of them whose verdict it shares, in [0, 1], or None
    train_s: float  # seconds by the clock
    batch: int = 0  # slices or crops at once, perhaps fewer than were set, for want of memory
    crop: int | None = None  # pixels on a side of a crop; None: whole slices
    precision: str = ""  # "float32" or "bfloat16"
    notice: str = ""  # what a person should know of the weights that it started from

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for the journal and the training process."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> FitReport:
        """Read what `to_dict` wrote; a `ValueError` names a field that does not fit."""
        return conform(values, cls)


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleReport:
    """One point of the learning curve."""

    cycle: int  # 0 is the start
    cost: Cost  # of all answers that the network was trained on
    scores: Scores | None  # on the test part; None if it has no masks
    fit: FitReport
    score_s: float  # seconds by the clock to score the pool and the test part

    def row(self, seed: int) -> dict[str, float | int]:
        """Return the values of `CURVE_COLUMNS`; what was not measured is NaN."""
        ratios = ("dice", "specificity", "precision", "recall", "iou")
        accuracy = self.fit.heldout_accuracy
        return {
            "cycle": self.cycle,
            "cost_s": self.cost.nominal_s,
            "measured_s": round(self.cost.measured_s, 1),
            "regions": self.cost.regions,
            "clicks": self.cost.clicks,
            **{
                name: round(getattr(self.scores, name), 5) if self.scores else math.nan
                for name in ratios
            },
            "heldout_accuracy": math.nan if accuracy is None else round(accuracy, 5),
            "train_s": round(self.fit.train_s, 2),
            "score_s": round(self.score_s, 2),
            "seed": seed,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What the live layer predicts after an answer, measured on some slices of the test part."""

    weights: str  # the network under the layer
    answers: int  # that the layer has learned
    slices: int  # that were measured
    cost: Cost  # of all answers given until then
    scores: Scores

    def row(self) -> dict[str, float]:
        """Return what a chart draws; as in `CURVE_COLUMNS`."""
        return {
            "cost_s": self.cost.nominal_s,
            "measured_s": round(self.cost.measured_s, 1),
            "regions": self.cost.regions,
            "dice": round(self.scores.dice, 5),
        }

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for the journal."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Sample:
        """Read what `to_dict` wrote; a `ValueError` names a field that does not fit."""
        return conform(values, cls)


def curve_table(reports: Iterable[CycleReport], seed: int) -> pd.DataFrame:
    """Put cycles in a table, a row each, with `CURVE_COLUMNS`."""
    import pandas as pd

    return pd.DataFrame([report.row(seed) for report in reports], columns=list(CURVE_COLUMNS))
