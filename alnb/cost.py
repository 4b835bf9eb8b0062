"""What labelling costs, in the paper's nominal seconds and in seconds by the clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from alnb.annotation import Answer, Verdict
from alnb.config import Config

PAUSE_S = 20.0  # ours, after RootPainter: a longer gap is a pause, not labelling


@dataclass(frozen=True, slots=True)
class Cost:
    """What answers cost together.

    Parameters
    ----------
    nominal_s : float
        By the price list, in seconds.
    measured_s : float
        By the clock, in seconds; what one answer took is counted up to `PAUSE_S`.
    regions : int
        Answered, skipped ones included.
    clicks : int
        Set on infection or background.
    """

    nominal_s: float = 0.0
    measured_s: float = 0.0
    regions: int = 0
    clicks: int = 0


def price_of(answer: Answer, config: Config) -> float:
    """Price one answer in nominal seconds.

    A click costs `Config.click_s`, and so does saying that a region is clean (paper 5.3).
    Skipping costs as much (ours: the region was looked at, so it can't be free).
    """
    if answer.verdict is Verdict.INFECTED:
        return config.click_s * len(answer.clicks)
    return config.click_s


def cost_of(answers: Iterable[Answer], config: Config) -> Cost:
    """Add up what answers cost.

    Parameters
    ----------
    answers : iterable of Answer
        Every answer that was given.
    config : Config
        Holds the price list.

    Returns
    -------
    Cost
        Zero for no answers.
    """
    answers = tuple(answers)
    return Cost(
        nominal_s=sum(price_of(answer, config) for answer in answers),
        measured_s=sum(min(answer.seconds, PAUSE_S) for answer in answers),
        regions=len(answers),
        clicks=sum(len(answer.clicks) for answer in answers),
    )
