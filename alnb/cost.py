"""What labelling costs, in the paper's nominal seconds and in seconds by the clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from alnb.annotation import Answer, Verdict
from alnb.config import Config

PAUSE_S = 20.0  # ours, after RootPainter: what exceeds it between two acts is a pause


@dataclass(frozen=True, slots=True)
class Cost:
    """What answers cost together."""

    nominal_s: float = 0.0  # by the price list, in seconds
    measured_s: float = 0.0  # by the clock, as `Answer.seconds` were measured: without pauses
    regions: int = 0  # answered, skipped ones included
    clicks: int = 0  # on infection or background, or vertices of outlines around infection


def price_of(answer: Answer, config: Config) -> float:
    """Price one answer in nominal seconds.

    A click costs `Config.click_s`. So does each vertex of an outline, and the verdict that a
    region is clean (paper 5.3). Skipping costs as much (ours: the person looked at the region).
    """
    if answer.verdict is not Verdict.INFECTED:
        return config.click_s
    return config.click_s * answer.points


def fully_labelled_cost(slices: int, config: Config) -> float:
    """Price slices outlined accurately, as for the upper bound, in nominal seconds (paper 5.3).

    Examples
    --------
    >>> fully_labelled_cost(368, Config())  # the paper's train part
    35328.0
    """
    return config.slice_s * slices


def cost_of(answers: Iterable[Answer], config: Config) -> Cost:
    """Add up what answers cost by the price list of a config; zero for no answers."""
    answers = tuple(answers)
    return Cost(
        nominal_s=sum(price_of(answer, config) for answer in answers),
        measured_s=sum(answer.seconds for answer in answers),
        regions=len(answers),
        clicks=sum(answer.points for answer in answers),
    )
