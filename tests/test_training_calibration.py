import numpy as np
import pytest
import torch
from scipy.special import expit, logit

from alnb.annotation import Answer, Click, Verdict
from alnb.dataset import SliceId
from alnb.regions import Region
from alnb.training.validation import FARTHEST, WORTH, calibrated

SIDE, CELL = 64, 16
CELLS = [(row, col) for row in range(0, SIDE, CELL) for col in range(0, SIDE, CELL)]


def world(count, shift, seed=0, sick=0.5):
    """Slices whose true log odds are known, answers to all their regions, and beliefs beside them.

    Parameters
    ----------
    count : int
        Slices.
    shift : float
        By how much a belief's log odds lie above the true ones.
    sick : float
        Share of regions that may hold infection.
    """
    rng = np.random.default_rng(seed)
    answers, believed = [], {}
    for n in range(count):
        where = SliceId("scan", n)
        odds = rng.normal(-9, 1, (SIDE, SIDE))
        for row, col in CELLS:
            if rng.random() < sick:
                odds[row : row + CELL, col : col + CELL // 2] += rng.normal(
                    11, 2, (CELL, CELL // 2)
                )
        infected = rng.random(odds.shape) < expit(odds)
        believed[where] = torch.from_numpy(expit(odds + shift)).half()
        for row, col in CELLS:
            region = Region(where, row, col, CELL, CELL)
            pixels = np.argwhere(infected[region.window])
            if len(pixels):
                down, right = map(int, rng.choice(pixels))
                click = Click(row + down, col + right)
                answers.append(Answer(region, Verdict.INFECTED, (click,)))
            else:
                answers.append(Answer(region, Verdict.CLEAN))
    return answers, believed


@pytest.mark.parametrize("shift", [0.5, 1.0])
def test_beliefs_that_are_too_high_move_the_threshold_up_by_as_much(shift):
    thresholds = []
    for seed in range(8):
        answers, believed = world(12, shift, seed)
        infected = sum(answer.verdict is Verdict.INFECTED for answer in answers)
        moved = logit(calibrated(0.4, answers, believed)) - logit(0.4)
        thresholds.append(moved * (infected + WORTH) / infected)

    assert np.mean(thresholds) == pytest.approx(shift, abs=0.3)


def test_beliefs_that_are_too_low_do_not_move_it():
    answers, believed = world(12, -2.0)

    assert calibrated(0.4, answers, believed) == pytest.approx(0.4)


def test_few_infected_answers_move_it_little_and_none_not_at_all():
    answers, believed = world(12, 1.0)
    clean = [answer for answer in answers if answer.verdict is Verdict.CLEAN]
    two = [answer for answer in answers if answer.verdict is Verdict.INFECTED][:2]

    assert calibrated(0.4, clean, believed) == 0.4
    assert abs(logit(calibrated(0.4, two, believed)) - logit(0.4)) < 0.0001 + FARTHEST * 2 / (
        2 + WORTH
    )


def test_clean_answers_where_infection_was_believed_raise_it():
    answers, believed = world(6, 0.0)
    clean = [answer for answer in answers if answer.verdict is Verdict.CLEAN]
    wrong = {answer.region.where: answer.region for answer in clean}
    fooled = {where: p.clone() for where, p in believed.items()}
    for where, region in wrong.items():
        fooled[where][region.window] = 0.9

    assert calibrated(0.4, answers, fooled) > calibrated(0.4, answers, believed) + 0.05


def test_skipped_answers_and_background_clicks_tell_nothing():
    answers, believed = world(6, 0.5)
    first = next(a for a in answers if a.verdict is Verdict.INFECTED)
    row, col = first.clicks[0].pixel
    down = row + 1 if row + 1 < first.region.row + CELL else row - 1
    background = Click(down, col, 0)
    beside = Answer(first.region, Verdict.INFECTED, (*first.clicks, background))
    skipped = Answer(Region(SliceId("scan", 99), 0, 0, CELL, CELL), Verdict.SKIPPED)
    others = [answer for answer in answers if answer is not first]

    threshold = calibrated(0.4, answers, believed)
    assert calibrated(0.4, [*answers, skipped], believed) == threshold
    assert calibrated(0.4, [beside, *others], believed) == pytest.approx(threshold, abs=1e-6)


def test_it_goes_no_farther_than_is_known_to_be_right():
    answers, believed = world(6, 4.0)
    infected = sum(answer.verdict is Verdict.INFECTED for answer in answers)

    farthest = expit(logit(0.4) + FARTHEST * infected / (infected + WORTH))
    assert calibrated(0.4, answers, believed) == pytest.approx(farthest)


def test_beliefs_of_nothing_at_all_leave_it_as_it_is():
    answers, believed = world(6, 0.0)
    nothing = {where: torch.zeros_like(p) for where, p in believed.items()}

    assert calibrated(0.4, answers, nothing) == pytest.approx(0.4)
