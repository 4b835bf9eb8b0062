"""What an annotator says of a region, and what a network learns from it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from alnb.arrays import BACKGROUND, INFECTED, UNLABELLED, PointLabels
from alnb.errors import DataError
from alnb.regions import Region


class Verdict(StrEnum):
    """What was said of a region."""

    INFECTED = "infected"
    CLEAN = "clean"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Click:
    """A point that the annotator set, in pixels of the working grid.

    Parameters
    ----------
    row, col : float
        Where; integers are pixel centres.
    label : int
        1 infected, 0 background.

    Raises
    ------
    DataError
        If the label is neither, or the position is not finite.
    """

    row: float
    col: float
    label: int = INFECTED

    def __post_init__(self) -> None:
        if self.label not in (INFECTED, BACKGROUND):
            raise DataError(f"a click's label is {self.label}; it can be 1 (infected) or 0.")
        if not (math.isfinite(self.row) and math.isfinite(self.col)):
            raise DataError(f"a click at ({self.row}, {self.col}) is nowhere.")

    @property
    def pixel(self) -> tuple[int, int]:
        """(row, col) of the pixel it fell in."""
        return math.floor(self.row + 0.5), math.floor(self.col + 0.5)


@dataclass(frozen=True, slots=True)
class Answer:
    """A verdict on a region with its clicks; it can't exist with a click outside.

    Parameters
    ----------
    region : Region
        What was asked about.
    verdict : Verdict
        What was said.
    clicks : tuple of Click
        At least one infected click if infected; none if clean or skipped.
    seconds : float
        Measured from showing the region to the answer, ≥ 0.
    annotator : str
        Who answered.

    Raises
    ------
    DataError
        If verdict and clicks don't fit each other, or a click lies outside the region.
    """

    region: Region
    verdict: Verdict
    clicks: tuple[Click, ...] = ()
    seconds: float = 0.0
    annotator: str = ""

    def __post_init__(self) -> None:
        if not (self.seconds >= 0 and math.isfinite(self.seconds)):
            raise DataError(f"an answer took {self.seconds} s; that can't be.")
        infected = any(click.label == INFECTED for click in self.clicks)
        if self.verdict is Verdict.INFECTED and not infected:
            raise DataError(
                f"region {self.region.key}: an infected region needs a click on the infection."
            )
        if self.verdict is not Verdict.INFECTED and self.clicks:
            raise DataError(f"region {self.region.key}: a {self.verdict} region has no clicks.")
        for click in self.clicks:
            if not self.region.contains(click.row, click.col):
                raise DataError(
                    f"region {self.region.key}: the click at row {click.row:g}, column "
                    f"{click.col:g} lies outside it."
                )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for the journal and the training process."""
        return {
            "region": self.region.key,
            "verdict": str(self.verdict),
            "clicks": [[click.row, click.col, click.label] for click in self.clicks],
            "seconds": round(self.seconds, 3),
            "annotator": self.annotator,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Answer:
        """Read what `to_dict` wrote.

        Raises
        ------
        DataError
            If a value is missing or does not fit.
        """
        try:
            return cls(
                region=Region.parse(values["region"]),
                verdict=Verdict(values["verdict"]),
                clicks=tuple(Click(*click) for click in values["clicks"]),
                seconds=values["seconds"],
                annotator=values["annotator"],
            )
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"an answer can't be read: {error!r}.") from error


def point_labels(answers: Iterable[Answer], shape: tuple[int, int]) -> PointLabels:
    """Draw the answers of one slice as the labels that a network is trained on.

    A clean region is background in each of its pixels; an infected one is labelled at its
    clicks alone; a skipped one not at all (paper 3).

    Parameters
    ----------
    answers : iterable of Answer
        All of the same slice; a later answer overrides an earlier one.
    shape : (H, W)
        Of the slice, in pixels.

    Returns
    -------
    (H, W) int8 array
        1 infected, 0 background, -1 unlabelled.

    Raises
    ------
    DataError
        If the answers are of different slices, or a region lies outside the slice.
    """
    labels: PointLabels = np.full(shape, UNLABELLED, dtype=np.int8)
    slices = set()
    for answer in answers:
        region = answer.region
        slices.add(region.where)
        if len(slices) > 1:
            raise DataError(f"region {region.key}: labels are drawn for one slice at a time.")
        if region.row + region.height > shape[0] or region.col + region.width > shape[1]:
            raise DataError(
                f"region {region.key} lies outside the slice of {shape[0]}×{shape[1]} pixels."
            )
        inside = slice(None) if region.mask is None else region.mask
        labels[region.window][inside] = (
            BACKGROUND if answer.verdict is Verdict.CLEAN else UNLABELLED
        )
        for click in answer.clicks:
            labels[click.pixel] = click.label
    return labels
