"""How well a prediction fits the truth, from pixels pooled over all slices (paper 4.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from alnb.arrays import Mask


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


@dataclass(frozen=True, slots=True)
class Scores:
    """Counts of pixels, and the ratios that follow from them.

    Parameters
    ----------
    tp, fp, fn, tn : int
        True positives, false positives, false negatives, true negatives; infected is positive.

    Notes
    -----
    A ratio whose denominator is zero is NaN, not 0 or 1: nothing was there to be measured.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0
    tn: int = 0

    @classmethod
    def of(cls, prediction: Mask, truth: Mask) -> Scores:
        """Count one slice.

        Parameters
        ----------
        prediction, truth : (H, W) bool arrays
            Where it is infected.

        Raises
        ------
        ValueError
            If the shapes differ.
        """
        if prediction.shape != truth.shape:
            raise ValueError(f"the prediction is {prediction.shape}, the truth {truth.shape}")
        return cls(
            tp=int(np.count_nonzero(prediction & truth)),
            fp=int(np.count_nonzero(prediction & ~truth)),
            fn=int(np.count_nonzero(~prediction & truth)),
            tn=int(np.count_nonzero(~prediction & ~truth)),
        )

    def __add__(self, other: Scores) -> Scores:
        return Scores(
            self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn
        )

    @property
    def dice(self) -> float:
        """2TP / (2TP + FP + FN), in [0, 1]."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def iou(self) -> float:
        """TP / (TP + FP + FN), in [0, 1]."""
        return _ratio(self.tp, self.tp + self.fp + self.fn)

    @property
    def precision(self) -> float:
        """TP / (TP + FP), in [0, 1]."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """TP / (TP + FN), in [0, 1]."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> float:
        """TN / (FP + TN), in [0, 1]."""
        return _ratio(self.tn, self.fp + self.tn)
