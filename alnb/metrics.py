"""How well a prediction fits the masks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from alnb.arrays import Mask

SPECK_PX = 4  # ours: pixels; less is the edge of a mask, or noise


@dataclass(frozen=True, slots=True)
class Scores:
    """Counts of pixels, pooled over slices, and the ratios that follow from them (paper 4.2).

    `tp`, `fp`, `fn` and `tn` are true and false positives and negatives; infected is positive. A
    ratio whose denominator is zero is NaN, not 0 or 1: there was nothing to measure.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0
    tn: int = 0

    @classmethod
    def of(cls, prediction: Mask, truth: Mask) -> Scores:
        """Count one slice of (H, W) bool arrays, True where it is infected.

        A `ValueError` says if their shapes differ.
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


@dataclass(frozen=True, slots=True)
class Lesions:
    """How many lesions of one slice a prediction finds: infected pixels that touch, as one.

    A lesion of the truth is found if one of its pixels is predicted. A predicted one is false if
    none of its pixels is infected. Specks below `SPECK_PX` count as neither.
    """

    found: int
    of: int  # in the truth
    false: int

    @classmethod
    def of_slice(cls, prediction: Mask, truth: Mask) -> Lesions:
        """Count those of (H, W) bool arrays, True where infected."""
        true, predicted = _pieces(truth), _pieces(prediction)
        return cls(
            found=sum(bool(prediction[piece].any()) for piece in true),
            of=len(true),
            false=sum(not truth[piece].any() for piece in predicted),
        )


def _pieces(mask: Mask) -> list[Mask]:
    from skimage.measure import label

    pieces = label(mask)
    areas = np.bincount(pieces.ravel())
    return [pieces == n for n in np.flatnonzero(areas >= SPECK_PX).tolist() if n]


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
