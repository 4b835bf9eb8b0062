"""What labelling costs, in the paper's nominal seconds and in seconds by the clock.

The price list prices what a person does: a point set, a verdict given. So what was looked at as one
slice is priced as one. A sweep costs its clicks, and one verdict for all the regions that it left
without a mark, as a clean region costs one verdict whatever its size (paper 5.3). A region is paid
for as it is labelled in the end, as the paper prices a labelled set. A correction replaces the
answer that it corrects, with its price; the time that both took is measured.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from alnb.annotation import Answer, Verdict
from alnb.config import Config

PAUSE_S = 20.0  # ours, after RootPainter: what exceeds it between two acts is a pause


@dataclass(frozen=True, slots=True)
class Cost:
    """What answers cost together."""

    nominal_s: float = 0.0  # by the price list, in seconds
    measured_s: float = 0.0  # by the clock, as `Answer.seconds` were measured: without pauses
    regions: int = 0  # answered, skipped ones included; a corrected one once
    clicks: int = 0  # on infection or background, or vertices of outlines that a person drew
    answers: int = 0  # given, corrected ones included

    def __add__(self, other: Self) -> Self:
        return type(self)(
            *(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__)
        )


def price_of(answer: Answer, config: Config) -> float:
    """Price one answer in nominal seconds.

    A click costs `Config.click_s`. So does each vertex of an outline, and the verdict that a
    region is clean (paper 5.3). Skipping costs as much (ours: the person looked at the region), and
    so does the verdict that the network's outline is right, beside the clicks that corrected it.
    """
    verdict = answer.verdict is not Verdict.INFECTED or answer.verified
    return config.click_s * (verdict + answer.points)


def fully_labelled_cost(slices: int, config: Config) -> float:
    """Price slices outlined accurately, as for the upper bound, in nominal seconds (paper 5.3).

    Examples
    --------
    >>> fully_labelled_cost(368, Config())  # the paper's train part
    35328.0
    """
    return config.slice_s * slices


def cost_of(answers: Iterable[Answer], config: Config) -> Cost:
    """Add up what answers cost by the price list of a config; zero for no answers.

    They are in the order in which they were given: one that corrects replaces the one before it
    on its region. Where the answers of several sessions were merged, each session costs what it did
    before: two people who looked at one region both took their time.
    """
    sessions: dict[str, list[Answer]] = {}
    for answer in answers:
        sessions.setdefault(answer.session, []).append(answer)
    return sum((_cost_of(given, config) for given in sessions.values()), Cost())


def _cost_of(answers: list[Answer], config: Config) -> Cost:
    priced = _without_corrected(answers)
    swept = {answer.region.where for answer in priced if answer.rest}
    alone = [answer for answer in priced if not answer.rest]
    return Cost(
        nominal_s=sum(price_of(answer, config) for answer in alone) + config.click_s * len(swept),
        measured_s=sum(answer.seconds for answer in answers),
        regions=len(priced),
        clicks=sum(answer.points for answer in priced),
        answers=len(answers),
    )


def _without_corrected(answers: list[Answer]) -> list[Answer]:
    last: dict[str, int] = {}
    corrected = set()
    for number, answer in enumerate(answers):
        if answer.corrects:
            corrected.add(last.get(answer.region.key))
        last[answer.region.key] = number
    return [answer for number, answer in enumerate(answers) if number not in corrected]
