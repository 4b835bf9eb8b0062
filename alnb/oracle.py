"""An annotator made from ground truth, for runs without a person."""

from __future__ import annotations

import hashlib

import numpy as np

from alnb.annotation import Answer, Click, Verdict
from alnb.dataset import Dataset
from alnb.regions import Region


class Oracle:
    """Answer from the masks: one click on a random infected pixel, or clean (paper 3).

    Which pixel it clicks depends on the seed and the region alone, not on what was asked
    before, so that a run that was stopped goes on as if it had not been.

    Parameters
    ----------
    dataset : Dataset
        With masks.
    seed : int
        Of the clicks.

    Raises
    ------
    DataError
        At the first answer, if the dataset has no masks.
    """

    name = "oracle"

    def __init__(self, dataset: Dataset, seed: int = 0) -> None:
        self._dataset = dataset
        self._seed = seed

    def _rng(self, region: Region) -> np.random.Generator:
        digest = hashlib.sha256(region.key.encode()).digest()
        return np.random.default_rng([self._seed, int.from_bytes(digest[:8], "little")])

    def answer(self, region: Region) -> Answer:
        """Answer one region; takes no time by the clock.

        Raises
        ------
        DataError
            If the dataset has no masks.
        """
        infected = self._dataset.mask(region.where)[region.window]
        if region.mask is not None:
            infected = infected & region.mask
        pixels = np.argwhere(infected)
        if not len(pixels):
            return Answer(region, Verdict.CLEAN, annotator=self.name)
        row, col = pixels[self._rng(region).integers(len(pixels))]
        click = Click(region.row + int(row), region.col + int(col))
        return Answer(region, Verdict.INFECTED, (click,), annotator=self.name)
