"""How far an annotator agrees with themselves: what hidden repeats show.

Some of the questions can be regions that were answered before (`Config.repeats`); nothing on the
page tells them apart. Dice between two annotators, or between a network and one of them, can't
mean more than an annotator's agreement with themselves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from alnb.annotation import Answer, Verdict
from alnb.arrays import INFECTED


@dataclass(frozen=True, slots=True)
class Consistency:
    """What pairs of answers on the same regions show.

    Parameters
    ----------
    repeats : int
        Pairs; one that was skipped the second time counts in neither number.
    agreed : int
        Of them with the same verdict.
    distance_px : float or None
        Median over the clicks of the second answers of how far the nearest of the first is, where
        both found infection; None where there are no such clicks.
    """

    repeats: int = 0
    agreed: int = 0
    distance_px: float | None = None

    @property
    def share(self) -> float | None:
        """Share of equal verdicts, in [0, 1]; None without repeats."""
        return self.agreed / self.repeats if self.repeats else None


def consistency(pairs: Sequence[tuple[Answer, Answer]]) -> Consistency:
    """Compare first and second answers.

    Parameters
    ----------
    pairs : sequence of (Answer, Answer)
        As `State.repeated` has them.
    """
    said = [pair for pair in pairs if pair[1].verdict is not Verdict.SKIPPED]
    distances = [
        min(math.dist(here, there) for there in earlier)
        for first, second in said
        if (earlier := _clicked(first))
        for here in _clicked(second)
    ]
    return Consistency(
        repeats=len(said),
        agreed=sum(first.verdict is second.verdict for first, second in said),
        distance_px=median(distances) if distances else None,
    )


def _clicked(answer: Answer) -> list[tuple[float, float]]:
    return [(click.row, click.col) for click in answer.clicks if click.label == INFECTED]
