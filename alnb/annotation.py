"""What an annotator says of a region, and the labels that a network learns from it.

An answer marks infection by clicks or by outlines. `trace` draws outlines as a careful annotator
would, and `fill` turns them into pixels again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alnb.arrays import BACKGROUND, INFECTED, UNLABELLED, Map, Mask, PointLabels
from alnb.dataset import SliceId
from alnb.errors import DataError
from alnb.regions import Region
from alnb.schema import shown

Vertex = tuple[float, float]
Outline = tuple[Vertex, ...]

STRAIGHT_PX = 1e-6  # ours: rounding; vertices this near to a straight line are not needed
CARE = 0.9  # ours: IoU that a polygon must reach; 1 px would take half of a part of 10 pixels
LONGEST_NAME = 100  # ours: characters; every answer repeats it
_FACTS = (  # kept where they are true
    "mask_shown", "simulated", "verified", "corrects", "rest", "repeat", "aside", "decides",
)  # fmt: skip
_MASK_SHOWN = " (mask shown)"  # behind a name, in journals without the field `mask_shown`


def name_of(annotator: str) -> str:
    """Return who answers without spaces around; DataError for a name that is too long."""
    name = annotator.strip()
    if len(name) > LONGEST_NAME:
        raise DataError(
            f"the name {name[:20]}… of who answers has {len(name)} characters; it may have "
            f"{LONGEST_NAME} at most. Write a shorter one."
        )
    return name


class Verdict(StrEnum):
    """What was said of a region."""

    INFECTED = "infected"
    CLEAN = "clean"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Click:
    """A point that the annotator set, in pixels of the working grid; integers are pixel centres.

    The label is 1 infected or 0 background. A `DataError` refuses another label, and a position
    that is not finite.
    """

    row: float
    col: float
    label: int = INFECTED

    def __post_init__(self) -> None:
        if self.label not in (INFECTED, BACKGROUND):
            raise DataError(f"a click's label is {self.label}; it can be 1 (infected) or 0.")
        if not (abs(self.row) < math.inf and abs(self.col) < math.inf):
            raise DataError(f"a click at ({self.row}, {self.col}) is nowhere.")

    @property
    def pixel(self) -> tuple[int, int]:
        """(row, col) of the pixel it fell in."""
        return math.floor(self.row + 0.5), math.floor(self.col + 0.5)


@dataclass(frozen=True, slots=True)
class Answer:
    """A verdict on a region, with its clicks or outlines inside the region.

    An infected region has an infected click, or outlines around all infection in it: polygons of
    at least 3 (row, col) vertices, filled as `fill` says, that label it in full. A clean or skipped
    one has neither. `verified` outlines are the network's own, which the person found right.

    Raises
    ------
    DataError
        If verdict, clicks, outlines and `verified` don't fit each other, or a point lies outside
        the region (a vertex may lie on its edge, half a pixel from the outer centres).
    """

    region: Region
    verdict: Verdict
    clicks: tuple[Click, ...] = ()
    seconds: float = 0.0  # from showing the region to the answer, ≥ 0
    annotator: str = ""
    outlines: tuple[Outline, ...] = ()  # empty if the region is labelled by clicks
    mask_shown: bool = False  # whether the true mask was on screen during the answer
    simulated: bool = False  # whether a program answered, not a person
    # How it was given, which decides its price only: whether the outlines were the network's, and
    # found right; whether it replaces an answer that was shown; and whether one verdict said it of
    # all that a sweep left without a mark.
    verified: bool = field(default=False, compare=False)
    corrects: bool = field(default=False, compare=False)
    rest: bool = field(default=False, compare=False)
    # Its place among the answers of several people: the session that it was given in, if it was
    # merged from there; whether it is a second answer on a hidden repeat of that session; whether
    # another person's answer stands in its place, or none yet; whether it was given with the
    # answers of others on screen, to decide between them.
    session: str = field(default="", compare=False)
    repeat: bool = field(default=False, compare=False)
    aside: bool = field(default=False, compare=False)
    decides: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        if not (self.seconds >= 0 and math.isfinite(self.seconds)):
            raise DataError(f"an answer took {self.seconds} s; that can't be.")
        self._check_verdict()
        for click in self.clicks:
            if not self.region.contains(click.row, click.col):
                raise DataError(
                    f"region {self.region.key}: the click at row {click.row:g}, column "
                    f"{click.col:g} lies outside it."
                )
        for outline in self.outlines:
            self._check_outline(outline)

    def _check_verdict(self) -> None:
        infected = self.outlines or any(click.label == INFECTED for click in self.clicks)
        if self.verdict is Verdict.INFECTED and not infected:
            raise DataError(
                f"region {self.region.key}: an infected region needs a click on the infection, or "
                "an outline around it."
            )
        if self.verified and not self.outlines:
            raise DataError(
                f"region {self.region.key}: no outline is there that could have been found right."
            )
        if self.verdict is not Verdict.INFECTED and (self.clicks or self.outlines):
            raise DataError(
                f"region {self.region.key}: a {self.verdict} region has no clicks and no outlines."
            )

    def _check_outline(self, outline: Outline) -> None:
        if len(outline) < 3:
            raise DataError(
                f"region {self.region.key}: an outline of {len(outline)} points holds nothing; "
                "it needs at least 3."
            )
        top, left = self.region.row - 0.5, self.region.col - 0.5
        bottom, right = top + self.region.height, left + self.region.width
        for row, col in outline:
            if not (top <= row <= bottom and left <= col <= right):
                raise DataError(
                    f"region {self.region.key}: the outline's point at row {row:g}, column "
                    f"{col:g} lies outside it."
                )

    @property
    def points(self) -> int:
        """How many points were set: clicks, and vertices of outlines that a person drew."""
        return len(self.clicks) + (0 if self.verified else sum(map(len, self.outlines)))

    @property
    def content(self) -> list[Any]:
        """What a network learns from it, as plain values; they name the trained weights."""
        content: list[Any] = [
            self.region.key,
            str(self.verdict),
            [[click.row, click.col, click.label] for click in self.clicks],
        ]
        return [*content, self.outlines] if self.outlines else content

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for the journal and the training process.

        Empty outlines and false values are left out, so that journals of clicks stay short.
        """
        outlines = [[list(vertex) for vertex in outline] for outline in self.outlines]
        return {
            "region": self.region.key,
            "verdict": str(self.verdict),
            "clicks": [[click.row, click.col, click.label] for click in self.clicks],
            "seconds": round(self.seconds, 3),
            "annotator": self.annotator,
            **({"outlines": outlines} if outlines else {}),
            **{name: True for name in _FACTS if getattr(self, name)},
            **({"session": self.session} if self.session else {}),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Answer:
        """Read what `to_dict` wrote; a `DataError` says if a value is missing or does not fit."""
        try:
            annotator = str(values["annotator"])
            return cls(
                region=Region.parse(values["region"]),
                verdict=Verdict(values["verdict"]),
                clicks=tuple(Click(*click) for click in values["clicks"]),
                seconds=values["seconds"],
                annotator=annotator.removesuffix(_MASK_SHOWN),
                outlines=tuple(
                    tuple((row, col) for row, col in outline)
                    for outline in values.get("outlines", ())
                ),
                mask_shown=values.get("mask_shown", annotator.endswith(_MASK_SHOWN)),
                simulated=values.get("simulated", annotator == "oracle"),
                session=values.get("session", ""),
                **{name: values.get(name, False) for name in _FACTS[2:]},
            )
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"an answer can't be read: {shown(str(error))}.") from error


def point_labels(answers: Iterable[Answer], shape: tuple[int, int]) -> PointLabels:
    """Draw the answers of one slice as the labels that a network is trained on.

    A clean region is background in each of its pixels. An infected one is labelled only at its
    clicks, a skipped one not at all (paper 3). A region with outlines is labelled in full:
    infected inside them, background elsewhere; its clicks come on top. A later answer overrides
    an earlier one.

    Returns
    -------
    (H, W) int8 array
        1 infected, 0 background, -1 unlabelled; of the `shape` of the slice.

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
            drawn = fill_in(answer.outlines, region)
            labels[region.window][drawn if region.mask is None else drawn & region.mask] = INFECTED
        for click in answer.clicks:
            labels[click.pixel] = click.label
    return labels


def as_labelled(where: SliceId, predicted: Map | Mask, answers: Iterable[Answer]) -> Map | Mask:
    """Put what answers outline on a slice in place of what is predicted there.

    The other answers change nothing: clicks and verdicts don't say where infection ends.

    Parameters
    ----------
    where : SliceId
    predicted : (H, W) float or bool array
        Infection on that slice.
    answers : iterable of Answer
        Of any slices.
    """
    outlined = (one for one in answers if one.outlines and one.region.where == where)
    labels = point_labels(outlined, predicted.shape)
    known = (labels == INFECTED).astype(predicted.dtype)
    return np.where(labels == UNLABELLED, predicted, known)


def around(p: Map | Mask, row: int = 0, col: int = 0) -> tuple[Outline, ...]:
    """Outline where a probability, or a mask, passes one half; it is 0 around the picture.

    Parameters
    ----------
    p : (H, W) float or bool array
        A slice, or a part of it.
    row, col : int
        Where on the slice the part begins.
    """
    from skimage.measure import find_contours

    padded = np.pad(p, 1).astype(np.float32)  # so that outlines close at the edge
    return tuple(
        tuple((float(y) + row - 1, float(x) + col - 1) for y, x in contour)
        for contour in find_contours(padded, 0.5)
    )


def trace(mask: Mask, tolerance_px: float) -> tuple[Outline, ...]:
    """Outline each connected infected part of an (H, W) mask, and each hole in one.

    Parts that touch only at corners are outlined separately. The tolerance is how far from the
    exact outline a polygon may run, in pixels, ≥ 0: it drops vertices that lie near to the line
    between their neighbours (Douglas, Peucker 1973). It is halved for a part whose polygon would
    lose more than `CARE` allows, as small and thin ones do. A hole is skipped if nothing would be
    left of it: nobody sets points around a speck.

    Returns
    -------
    tuple of Outline
        (row, col) vertices, at least 3 each, in [-0.5, H - 0.5] and [-0.5, W - 0.5]. At
        tolerance 0, `fill` returns the mask, pixel for pixel.
    """
    from skimage.measure import find_contours

    contours = find_contours(np.pad(mask, 1).astype(np.float64), 0.5)
    rings = (_simplified(contour - 1, tolerance_px) for contour in contours)
    return tuple(_outline(ring) for ring in rings if len(ring))


def _outline(ring: NDArray[np.float64]) -> Outline:
    return tuple((float(row), float(col)) for row, col in ring)


def _simplified(ring: NDArray[np.float64], tolerance_px: float) -> NDArray[np.float64]:
    """Drop vertices of a closed ring; none are left of a hole too small for a polygon."""
    from skimage.measure import approximate_polygon

    ring = _begun_at_a_corner(ring)
    coarse: NDArray[np.float64] = approximate_polygon(ring, max(tolerance_px, STRAIGHT_PX))[:-1]
    if len(coarse) < 3 and _area(ring) > 0:
        return coarse[:0]
    while not _careful(coarse, ring) and tolerance_px > STRAIGHT_PX:
        tolerance_px = tolerance_px / 2 if tolerance_px > 0.1 else 0.0  # pixels have no finer
        coarse = approximate_polygon(ring, max(tolerance_px, STRAIGHT_PX))[:-1]
    return coarse


def _begun_at_a_corner(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """Begin a closed ring at its point farthest from the centre: the first vertex always stays."""
    vertices = ring[:-1]
    begin = int(np.argmax(((vertices - vertices.mean(axis=0)) ** 2).sum(axis=1)))
    vertices = np.roll(vertices, -begin, axis=0)
    return np.concatenate([vertices, vertices[:1]])


def _area(ring: NDArray[np.float64]) -> float:
    """Find a closed ring's signed area: as scikit-image turns, above 0 around a hole."""
    (row, col), (next_row, next_col) = ring[:-1].T, ring[1:].T
    return float(row @ next_col - next_row @ col) / 2


def _careful(polygon: NDArray[np.float64], ring: NDArray[np.float64]) -> bool:
    """Tell whether a polygon has 3 vertices and covers its ring as well as `CARE` asks."""
    if len(polygon) < 3:
        return False
    low = np.floor(ring.min(axis=0))
    height, width = (np.ceil(ring.max(axis=0)) - low).astype(int) + 1
    drawn = fill([_outline(polygon - low)], (height, width))
    exact = fill([_outline(ring[:-1] - low)], (height, width))
    return bool((drawn & exact).sum() >= CARE * (drawn | exact).sum())


def fill_in(outlines: Iterable[Outline], region: Region) -> Mask:
    """Fill outlines of a slice within a region's rectangle, (height, width), as `fill` does."""
    moved = ([(row - region.row, col - region.col) for row, col in one] for one in outlines)
    return fill(moved, (region.height, region.width))


def fill(outlines: Iterable[Sequence[Vertex]], shape: tuple[int, int]) -> Mask:
    """Fill outlines of (row, col) vertices, where integers are pixel centres: an (H, W) mask.

    A pixel is inside if an odd number of them holds its centre. So an outline within another cuts a
    hole, and one within the hole is infected again. A centre on an outline is inside it.
    """
    from skimage.draw import polygon2mask

    inside: Mask = np.zeros(shape, dtype=bool)
    for outline in outlines:
        inside ^= polygon2mask(shape, outline)
    return inside
