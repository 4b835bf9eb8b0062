"""A simulated annotator that answers from the masks, with errors as its settings say."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from alnb.annotation import Answer, Click, Outline, Verdict, Vertex, fill_in, trace
from alnb.arrays import BACKGROUND, INFECTED, Mask
from alnb.config import Config
from alnb.dataset import Dataset
from alnb.regions import Region

DEFAULT = Config()
CORRECTIONS = 1  # ours: clicks on an outline that is not right yet; two cost Dice (results page)
Guess = Callable[[Sequence[Click]], tuple[Outline, ...] | None]
_SIMULATED: dict[str, Any] = {"annotator": "oracle", "simulated": True}


class Oracle:
    """Answer from the masks: one click on a random infected pixel, or clean (paper 3).

    With ``Config.background_click`` it sets a second click in an infected region, on a random pixel
    that is not infected, if there is one. With ``Config.labels="full"`` it outlines all infection
    in the region instead, as `annotation.trace` does (paper 5.3). With ``"verified"`` it says that
    the outline it is shown is right if its Dice in the region is ``Config.accept_dice``; else it
    clicks where the outline errs most, `CORRECTIONS` times at most, and then leaves it at clicks.

    It may err, unlike the paper's (ours):

    - it misses an infection of n pixels in the region, and calls it clean, with probability
      ``miss_rate · exp(-n / miss_area_px)``: small infections are missed more often. The
      exponential is the simplest curve with one scale; it was not fitted to readers;
    - its verdict is the opposite one with probability ``wrong_rate``; a clean region that it
      calls infected gets its click, or an outline of one pixel, anywhere;
    - each click and each vertex is off by a Gaussian of ``click_jitter_px`` along rows and
      columns, but stays in the region.

    Its answer depends only on the seed and the region, not on earlier questions, so that a stopped
    run continues as if it had not been stopped. A higher rate adds errors to those of a lower one,
    and errors don't move the clicks on other regions.

    Parameters
    ----------
    dataset, seed, config
        With masks; of the clicks and errors; how it labels and errs.
    """

    def __init__(self, dataset: Dataset, seed: int = 0, config: Config = DEFAULT) -> None:
        self._dataset = dataset
        self._seed = seed
        self._config = config

    def _rng(self, region: Region, *what: int) -> np.random.Generator:
        digest = hashlib.sha256(region.key.encode()).digest()
        return np.random.default_rng([self._seed, int.from_bytes(digest[:8], "little"), *what])

    def answer(self, region: Region, guess: Guess | None = None) -> Answer:
        """Answer one region; takes no time by the clock, and masks, or a `DataError` says so.

        Parameters
        ----------
        region : Region
        guess : callable, optional
            Takes clicks in the region, and gives the outlines that are shown with them, or None.
        """
        errors = self._rng(region, 1)
        seen = self._seen(region, errors)
        if not seen.any():
            return Answer(region, Verdict.CLEAN, **_SIMULATED)
        if self._config.labels == "full":
            outlines = self._outlines(region, seen, errors)
            return Answer(region, Verdict.INFECTED, **_SIMULATED, outlines=outlines)
        chance = self._rng(region)
        clicks: list[Click] = []
        if self._config.labels == "verified" and guess is not None:
            clicks, right = self._corrected(region, seen, guess, chance, errors)
            if right:
                return Answer(
                    region, Verdict.INFECTED, tuple(clicks), **_SIMULATED, outlines=right,
                    verified=True,
                )  # fmt: skip
        if not any(click.label == INFECTED for click in clicks):
            clicks.append(self._click(region, seen, INFECTED, chance, errors))
        other = _shape(region) & ~seen
        if self._config.background_click and other.any():
            clicks.append(self._click(region, other, BACKGROUND, chance, errors))
        return Answer(region, Verdict.INFECTED, tuple(clicks), **_SIMULATED)

    def _corrected(
        self,
        region: Region,
        seen: Mask,
        guess: Guess,
        chance: np.random.Generator,
        errors: np.random.Generator,
    ) -> tuple[list[Click], tuple[Outline, ...]]:
        """Click until the outlines shown are right; return both, no outlines if they never are."""
        clicks: list[Click] = []
        while (outlines := guess(clicks)) is not None:
            inside = fill_in(outlines, region) & _shape(region)
            if 2 * (inside & seen).sum() >= self._config.accept_dice * (inside.sum() + seen.sum()):
                return clicks, outlines
            if len(clicks) == CORRECTIONS:
                break
            missing, excess = seen & ~inside, inside & ~seen
            if missing.sum() >= excess.sum():
                clicks.append(self._click(region, missing, INFECTED, chance, errors))
            else:
                clicks.append(self._click(region, excess, BACKGROUND, chance, errors))
        return clicks, ()

    def _click(
        self,
        region: Region,
        inside: Mask,
        label: int,
        chance: np.random.Generator,
        errors: np.random.Generator,
    ) -> Click:
        """Click on a random pixel of those marked in (height, width) of the region."""
        pixels = np.argwhere(inside)
        row, col = pixels[chance.integers(len(pixels))]
        at = self._placed(region, region.row + int(row), region.col + int(col), errors)
        return Click(*at, label=label)

    def _seen(self, region: Region, errors: np.random.Generator) -> Mask:
        """Return the infection that it sees: (height, width) of the region."""
        shape = _shape(region)
        infected: Mask = self._dataset.mask(region.where)[region.window] & shape
        missing, wrong = errors.random(2)  # drawn always, so that one rate does not move the other
        nothing = np.zeros_like(shape)
        area = int(infected.sum())
        missed = missing < self._config.miss_rate * math.exp(-area / self._config.miss_area_px)
        seen = nothing if missed else infected
        if not wrong < self._config.wrong_rate:
            return seen
        if not seen.any():
            nothing[tuple(errors.choice(np.argwhere(shape)))] = True
        return nothing

    def _placed(
        self, region: Region, row: float, col: float, errors: np.random.Generator
    ) -> Vertex:
        """Set a point with the jitter of the hand, on a pixel of the region."""
        if not self._config.click_jitter_px:
            return row, col
        down, right = errors.normal(scale=self._config.click_jitter_px, size=2).tolist()
        if region.contains(row + down, col + right):
            return row + down, col + right
        centres = np.argwhere(_shape(region)) + np.array((region.row, region.col))
        away = ((centres - np.array((row + down, col + right))) ** 2).sum(axis=1)
        row, col = centres[np.argmin(away)].tolist()
        return row, col

    def _outlines(
        self, region: Region, seen: Mask, errors: np.random.Generator
    ) -> tuple[Outline, ...]:
        return tuple(
            tuple(
                self._placed(region, region.row + row, region.col + col, errors)
                for row, col in outline
            )
            for outline in trace(seen, self._config.outline_tolerance_px)
        )


def _shape(region: Region) -> Mask:
    """Return which pixels of its rectangle a region has."""
    full = np.ones((region.height, region.width), dtype=bool)
    return full if region.mask is None else region.mask
