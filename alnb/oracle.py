"""An annotator made from ground truth, for runs without a person."""

from __future__ import annotations

import hashlib

import numpy as np

from alnb.annotation import Answer, Click, Verdict
from alnb.arrays import Mask
from alnb.config import Config
from alnb.dataset import Dataset
from alnb.outlines import Outline, trace
from alnb.regions import Region

DEFAULT = Config()


class Oracle:
    """Answer from the masks: one click on a random infected pixel, or clean (paper 3).

    With ``Config.labels="full"`` it outlines all infection in the region instead, as
    `outlines.trace` does (paper 5.3).

    Which pixel it clicks depends on the seed and the region alone, not on what was asked
    before, so that a run that was stopped goes on as if it had not been.

    Parameters
    ----------
    dataset : Dataset
        With masks.
    seed : int
        Of the clicks.
    config : Config
        How it labels.

    Raises
    ------
    DataError
        At the first answer, if the dataset has no masks.
    """

    name = "oracle"

    def __init__(self, dataset: Dataset, seed: int = 0, config: Config = DEFAULT) -> None:
        self._dataset = dataset
        self._seed = seed
        self._config = config

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
        if not infected.any():
            return Answer(region, Verdict.CLEAN, annotator=self.name)
        if self._config.labels == "full":
            outlines = self._outlines(region, infected)
            return Answer(region, Verdict.INFECTED, annotator=self.name, outlines=outlines)
        clicks = (self._click(region, infected),)
        return Answer(region, Verdict.INFECTED, clicks, annotator=self.name)

    def _click(self, region: Region, infected: Mask) -> Click:
        """Click on one of the infected pixels, (height, width) of a region, at random."""
        pixels = np.argwhere(infected)
        row, col = pixels[self._rng(region).integers(len(pixels))]
        return Click(region.row + int(row), region.col + int(col))

    def _outlines(self, region: Region, infected: Mask) -> tuple[Outline, ...]:
        outlines = trace(infected, self._config.outline_tolerance_px)
        return tuple(
            tuple((region.row + row, region.col + col) for row, col in outline)
            for outline in outlines
        )
