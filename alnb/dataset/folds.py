"""Cross-validation: the train part divided, so that settings are chosen without the test part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alnb.errors import DataError

if TYPE_CHECKING:
    from alnb.dataset.folder import Dataset
    from alnb.dataset.slices import Part, SliceId


def fold(dataset: Dataset, number: int, folds: int) -> Dataset:
    """Make a dataset of the train part alone: one fold of it to test on, the rest to train on.

    Whole scans stay together where there are at least as many as folds, so that no patient is on
    both sides; else neighbouring slices do. There is no val part, and what was val or test is
    left out.

    Parameters
    ----------
    dataset : Dataset
    number : int
        Which fold is tested on, in [0, folds).
    folds : int
        At least 2.

    Raises
    ------
    DataError
        If there are fewer folds than 2, no such fold, or fewer train slices than folds.
    """
    slices = dataset.part("train")
    if not 0 <= number < folds or not 2 <= folds <= len(slices):
        raise DataError(
            f"dataset {dataset.name}: its {len(slices)} train slices have no fold {number} of "
            f"{folds}. Choose from 2 to {len(slices)} folds; the first is 0."
        )
    test = set(_stretches(slices, folds)[number])
    parts: dict[SliceId, Part] = {where: "test" if where in test else "train" for where in slices}
    return dataset.divided(parts, f"{dataset.name}, fold {number} of {folds} of its train part")


def _stretches(slices: tuple[SliceId, ...], folds: int) -> list[list[SliceId]]:
    """Cut the slices, or their scans if there are enough, in about equal stretches."""
    scans = list(dict.fromkeys(where.scan for where in slices))
    if len(scans) < folds:
        return [[slices[i] for i in part] for part in np.array_split(np.arange(len(slices)), folds)]
    return [
        [where for where in slices if where.scan in {scans[i] for i in part}]
        for part in np.array_split(np.arange(len(scans)), folds)
    ]
