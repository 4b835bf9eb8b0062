"""What an annotator says of a region, and what a network learns from it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from alnb.arrays import BACKGROUND, INFECTED, UNLABELLED, Mask, PointLabels
from alnb.errors import DataError
from alnb.outlines import Outline, fill
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
    """A verdict on a region with its clicks or outlines; it can't exist with one outside.

    Parameters
    ----------
    region : Region
        What was asked about.
    verdict : Verdict
        What was said.
    clicks : tuple of Click
        At least one infected click if infected and not outlined; none if clean or skipped.
    seconds : float
        Measured from showing the region to the answer, ≥ 0.
    annotator : str
        Who answered.
    outlines : tuple of Outline
        Polygons of at least 3 (row, col) vertices around all infection in the region, filled as
        `outlines.fill` says: they label it in full. None if it is labelled by clicks alone.

    Raises
    ------
    DataError
        If verdict, clicks and outlines don't fit each other, or one lies outside the region (a
        vertex may lie on its edge, half a pixel from the outer centres).
    """

    region: Region
    verdict: Verdict
    clicks: tuple[Click, ...] = ()
    seconds: float = 0.0
    annotator: str = ""
    outlines: tuple[Outline, ...] = ()

    def __post_init__(self) -> None:
        if not (self.seconds >= 0 and math.isfinite(self.seconds)):
            raise DataError(f"an answer took {self.seconds} s; that can't be.")
        self._check_verdict()
        self._check_clicks()
        self._check_outlines()

    def _check_verdict(self) -> None:
        infected = self.outlines or any(click.label == INFECTED for click in self.clicks)
        if self.verdict is Verdict.INFECTED and not infected:
            raise DataError(
                f"region {self.region.key}: an infected region needs a click on the infection, or "
                "an outline around it."
            )
        if self.verdict is not Verdict.INFECTED and (self.clicks or self.outlines):
            raise DataError(
                f"region {self.region.key}: a {self.verdict} region has no clicks and no outlines."
            )

    def _check_clicks(self) -> None:
        for click in self.clicks:
            if not self.region.contains(click.row, click.col):
                raise DataError(
                    f"region {self.region.key}: the click at row {click.row:g}, column "
                    f"{click.col:g} lies outside it."
                )

    def _check_outlines(self) -> None:
        top, left = self.region.row - 0.5, self.region.col - 0.5
        bottom, right = top + self.region.height, left + self.region.width
        for outline in self.outlines:
            if len(outline) < 3:
                raise DataError(
                    f"region {self.region.key}: an outline of {len(outline)} points holds nothing; "
                    "it needs at least 3."
                )
            for row, col in outline:
                if not (top <= row <= bottom and left <= col <= right):
                    raise DataError(
                        f"region {self.region.key}: the outline's point at row {row:g}, column "
                        f"{col:g} lies outside it."
                    )

    @property
    def points(self) -> int:
        """How many points were set: clicks, and vertices of outlines."""
        return len(self.clicks) + sum(map(len, self.outlines))

    @property
    def content(self) -> list[Any]:
        """What a network learns from it, as plain values: trained weights are named by them."""
        content: list[Any] = [
            self.region.key,
            str(self.verdict),
            [[click.row, click.col, click.label] for click in self.clicks],
        ]
        return [*content, self.outlines] if self.outlines else content

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for the journal and the training process.

        There are outlines in them only if it has any, so that journals of clicks stay as they are.
        """
        outlines = [[list(vertex) for vertex in outline] for outline in self.outlines]
        return {
            "region": self.region.key,
            "verdict": str(self.verdict),
            "clicks": [[click.row, click.col, click.label] for click in self.clicks],
            "seconds": round(self.seconds, 3),
            "annotator": self.annotator,
            **({"outlines": outlines} if outlines else {}),
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
                outlines=tuple(
                    tuple((row, col) for row, col in outline)
                    for outline in values.get("outlines", ())
                ),
            )
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"an answer can't be read: {error!r}.") from error


def point_labels(answers: Iterable[Answer], shape: tuple[int, int]) -> PointLabels:
    """Draw the answers of one slice as the labels that a network is trained on.

    A clean region is background in each of its pixels; an infected one is labelled at its
    clicks alone; a skipped one not at all (paper 3). A region with outlines is labelled in
    full: infected inside them, background elsewhere; its clicks come on top.

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
        in_full = answer.verdict is Verdict.CLEAN or answer.outlines
        labels[region.window][inside] = BACKGROUND if in_full else UNLABELLED
        if answer.outlines:
            labels[region.window][_drawn(answer)] = INFECTED
        for click in answer.clicks:
            labels[click.pixel] = click.label
    return labels


def _drawn(answer: Answer) -> Mask:
    """Fill an answer's outlines: (height, width) of its region."""
    region = answer.region
    outlines = [
        [(row - region.row, col - region.col) for row, col in outline]
        for outline in answer.outlines
    ]
    drawn = fill(outlines, (region.height, region.width))
    return drawn if region.mask is None else drawn & region.mask
