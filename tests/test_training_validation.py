import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy.special import expit, logit

from alnb.annotation import Answer, Click, Verdict
from alnb.dataset import SliceId
from alnb.regions import Region
from alnb.training.validation import (
    INFECTED_WORTH,
    MOST_LOG_ODDS,
    Validation,
    calibrated_threshold,
    hold_out,
    infection,
    validate_by_answers,
    validate_by_masks,
)


def answers(infected, clean):
    where = [SliceId("a", z) for z in range(infected + clean)]
    return [
        Answer(Region(where[i], 0, 0, 8, 8), Verdict.INFECTED, (Click(1, 1),))
        for i in range(infected)
    ] + [Answer(Region(where[infected + i], 0, 0, 8, 8), Verdict.CLEAN) for i in range(clean)]


def test_a_share_of_each_verdict_is_held_out():
    training, held = hold_out(answers(10, 30), 0.2)

    assert [a.verdict for a in held] == [Verdict.INFECTED] * 2 + [Verdict.CLEAN] * 6
    assert len(training) == 32 and not {a.region for a in training} & {a.region for a in held}


def test_few_answers_are_all_trained_on():
    assert hold_out(answers(4, 5), 0.2) == (answers(4, 5), [])


def test_skipped_answers_are_on_neither_side():
    skipped = Answer(Region(SliceId("b", 0), 0, 0, 8, 8), Verdict.SKIPPED)

    training, held = hold_out([*answers(5, 15), skipped], 0.2)

    assert skipped not in training + held


def test_more_answers_leave_the_held_out_where_they_are():
    _, held = hold_out(answers(0, 50), 0.2)
    _, more = hold_out(answers(0, 100), 0.2)

    assert len({a.region for a in more} & {a.region for a in held}) >= 5


def test_one_answer_of_each_verdict_is_trained_on():
    training, held = hold_out(answers(1, 15), 0.9)

    assert [a.verdict for a in training].count(Verdict.INFECTED) == 1
    assert len(held) == 14


@dataclasses.dataclass
class Known:
    """A network that predicts what it is told: grey level / 255."""

    def normalise(self, grey):
        return grey.float() / 255

    def __call__(self, x):
        return torch.stack([torch.zeros_like(x), torch.logit(x, eps=1e-6)], dim=1)


def test_infection_is_the_probability():
    grey = torch.tensor([[[51, 204]]], dtype=torch.uint8)

    assert infection(Known(), grey)[0, 0].tolist() == pytest.approx([0.2, 0.8], abs=1e-6)


class Pictured(Known):
    """The same of pictures, (B, 3, H, W), as a network's; notes the sizes that it saw."""

    def __init__(self):
        self.sizes = []

    def normalise(self, grey):
        return (grey.float() / 255)[:, None].expand(-1, 3, -1, -1)

    def __call__(self, x):
        self.sizes.append(tuple(x.shape[-2:]))
        return super().__call__(x[:, 0])


def test_an_enlarged_slice_is_predicted_too_and_averaged_where_it_was():
    network = Pictured()
    grey = torch.zeros(1, 64, 128, dtype=torch.uint8)
    grey[:, 16:32, 48:64] = 204
    plain, both = infection(network, grey), infection(network, grey, 1.5)

    assert network.sizes == [(64, 128), (64, 128), (96, 192)]  # whole strides of 32
    assert both.shape == plain.shape
    assert both[0, 24, 56] == pytest.approx(0.8, abs=1e-6)  # far from any edge nothing changes
    assert both[0, 4, 4] == pytest.approx(0, abs=1e-5)
    assert np.abs(both - plain)[0, 18:30, 50:62].max() < 1e-5


def test_without_zoom_the_slice_is_predicted_once():
    network = Pictured()
    infection(network, torch.zeros(1, 64, 64, dtype=torch.uint8), 1.0)

    assert network.sizes == [(64, 64)]


class Leaning(Pictured):
    """Believes in infection the more, the farther right it lies."""

    def __call__(self, x):
        right = torch.linspace(0.2, 0.6, x.shape[-1]).expand(x.shape)
        return super().__call__(right)


def test_a_mirror_image_is_predicted_too_and_averaged_where_it_was():
    grey = torch.zeros(1, 64, 64, dtype=torch.uint8)
    plain, both = infection(Leaning(), grey), infection(Leaning(), grey, mirror=True)

    assert plain[0, 0, [0, 63]].tolist() == pytest.approx([0.2, 0.6], abs=1e-6)
    assert both == pytest.approx(np.full((1, 64, 64), 0.4), abs=1e-6)


def test_held_out_verdicts_choose_the_nearest_threshold_that_fits_most():
    held = answers(2, 2)
    peaks = (0.9, 0.68, 0.62, 0.2)  # infected, infected, clean, clean
    grey = {
        answer.region.where: torch.full((8, 8), round(255 * peak), dtype=torch.uint8)
        for answer, peak in zip(held, peaks, strict=True)
    }

    found = validate_by_answers(Known(), held, grey, threshold=0.7)

    assert found.accuracy == 1.0
    assert found.threshold == pytest.approx(0.65)
    assert validate_by_answers(Known(), held[:1] + held[2:], grey, threshold=0.7).threshold == 0.7


def test_a_slice_is_predicted_once_whatever_was_answered_on_it():
    seen = []

    class Counting(Known):
        def __call__(self, x):
            seen.append(len(x))
            return super().__call__(x)

    where = SliceId("a", 0)
    held = [Answer(Region(where, 0, col, 8, 8), Verdict.CLEAN) for col in (0, 8, 16)]
    grey = torch.zeros((8, 24), dtype=torch.uint8)
    grey[3, 12] = 255  # in the second region

    found = validate_by_answers(Counting(), held, {where: grey}, threshold=0.7)

    assert seen == [1]
    assert found.accuracy == pytest.approx(2 / 3)


def test_held_out_verdicts_move_the_threshold_by_a_tenth_at_most():
    held = answers(1, 1)
    grey = {held[0].region.where: torch.full((8, 8), 40, dtype=torch.uint8)}
    grey[held[1].region.where] = torch.zeros((8, 8), dtype=torch.uint8)

    assert validate_by_answers(Known(), held, grey, threshold=0.7) == Validation(0.5, 0.7, 0.5)


def test_without_held_out_answers_the_threshold_stands():
    assert validate_by_answers(Known(), [], {}, threshold=0.7) == Validation(0.0, 0.7, None)


def test_masks_choose_the_threshold_of_the_highest_dice():
    grey = torch.tensor([[230, 150, 100, 20]], dtype=torch.uint8)  # 0.9, 0.59, 0.39, 0.08
    mask = np.array([[True, True, False, False]])

    found = validate_by_masks(Known(), [(grey, mask, np.zeros_like(mask))])

    assert found.score == 1.0
    assert 0.39 < found.threshold <= 0.59


def test_a_threshold_that_was_set_is_not_chosen_again():
    grey = torch.tensor([[230, 150, 100, 20]], dtype=torch.uint8)  # 0.9, 0.59, 0.39, 0.08
    mask = np.array([[True, True, False, False]])
    found = validate_by_masks(Known(), [(grey, mask, np.zeros_like(mask))], fixed=0.8)
    assert (found.score, found.threshold) == (pytest.approx(2 / 3), 0.8)

    held = answers(1, 1)
    shown = {answer.region.where: torch.full((8, 8), 100, dtype=torch.uint8) for answer in held}
    found = validate_by_answers(Known(), held, shown, threshold=0.55, fixed=True)
    assert (found.accuracy, found.threshold) == (0.5, 0.55)


def test_what_shows_nothing_is_clean_for_the_choice_of_a_threshold_too():
    grey = torch.tensor([[230, 150, 240, 20]], dtype=torch.uint8)
    mask = np.array([[True, True, False, False]])
    padding = np.array([[False, False, True, False]])

    assert validate_by_masks(Known(), [(grey, mask, np.zeros_like(mask))]).score < 1
    assert validate_by_masks(Known(), [(grey, mask, padding)]).score == 1


def test_masks_without_infection_are_no_best():
    grey = torch.zeros((1, 4), dtype=torch.uint8)
    nothing = np.zeros((1, 4), bool)

    found = validate_by_masks(Known(), [(grey, nothing, nothing)])

    assert found.score == 0 and math.isfinite(found.threshold)


def test_an_outlined_region_counts_as_infected():
    where = SliceId("a", 0)
    box = ((10, 10), (10, 20), (20, 20), (20, 10))
    answer = Answer(Region(where, 0, 0, 32, 32), Verdict.INFECTED, outlines=(box,))
    network, grey = Known(), torch.zeros((32, 32), dtype=torch.uint8)
    grey[12, 12] = 250

    assert validate_by_answers(network, [answer], {where: grey}, 0.5).accuracy == 1
    assert validate_by_answers(network, [answer], {where: grey * 0}, 0.5).accuracy == 0


# --- a threshold from the answers ---

SIDE, CELL = 64, 16
CELLS = [(row, col) for row in range(0, SIDE, CELL) for col in range(0, SIDE, CELL)]


def world(count, shift, seed=0, sick=0.5):
    """Slices whose true log odds are known, answers to all their regions, and predictions.

    Parameters
    ----------
    count : int
        Slices.
    shift : float
        By how much a prediction's log odds lie above the true ones.
    sick : float
        Share of regions that may hold infection.
    """
    rng = np.random.default_rng(seed)
    answers, priors = [], {}
    for n in range(count):
        where = SliceId("scan", n)
        odds = rng.normal(-9, 1, (SIDE, SIDE))
        for row, col in CELLS:
            if rng.random() < sick:
                odds[row : row + CELL, col : col + CELL // 2] += rng.normal(
                    11, 2, (CELL, CELL // 2)
                )
        infected = rng.random(odds.shape) < expit(odds)
        priors[where] = torch.from_numpy(expit(odds + shift)).half()
        for row, col in CELLS:
            region = Region(where, row, col, CELL, CELL)
            pixels = np.argwhere(infected[region.window])
            if len(pixels):
                down, right = map(int, rng.choice(pixels))
                click = Click(row + down, col + right)
                answers.append(Answer(region, Verdict.INFECTED, (click,)))
            else:
                answers.append(Answer(region, Verdict.CLEAN))
    return answers, priors


@pytest.mark.parametrize("shift", [0.5, 1.0])
def test_predictions_that_were_too_high_move_the_threshold_up_by_as_much(shift):
    thresholds = []
    for seed in range(8):
        answers, priors = world(12, shift, seed)
        infected = sum(answer.verdict is Verdict.INFECTED for answer in answers)
        moved = logit(calibrated_threshold(0.4, answers, priors)) - logit(0.4)
        thresholds.append(moved * (infected + INFECTED_WORTH) / infected)

    assert np.mean(thresholds) == pytest.approx(shift, abs=0.3)


def test_predictions_that_were_too_low_do_not_move_it():
    answers, priors = world(12, -2.0)

    assert calibrated_threshold(0.4, answers, priors) == pytest.approx(0.4)


def test_few_infected_answers_move_it_little_and_none_not_at_all():
    answers, priors = world(12, 1.0)
    clean = [answer for answer in answers if answer.verdict is Verdict.CLEAN]
    two = [answer for answer in answers if answer.verdict is Verdict.INFECTED][:2]

    assert calibrated_threshold(0.4, clean, priors) == 0.4
    assert abs(
        logit(calibrated_threshold(0.4, two, priors)) - logit(0.4)
    ) < 0.0001 + MOST_LOG_ODDS * 2 / (2 + INFECTED_WORTH)


def test_clean_answers_where_infection_was_predicted_raise_it():
    answers, priors = world(6, 0.0)
    clean = [answer for answer in answers if answer.verdict is Verdict.CLEAN]
    wrong = {answer.region.where: answer.region for answer in clean}
    fooled = {where: p.clone() for where, p in priors.items()}
    for where, region in wrong.items():
        fooled[where][region.window] = 0.9

    assert (
        calibrated_threshold(0.4, answers, fooled)
        > calibrated_threshold(0.4, answers, priors) + 0.05
    )


def test_skipped_answers_and_background_clicks_tell_nothing():
    answers, priors = world(6, 0.5)
    first = next(a for a in answers if a.verdict is Verdict.INFECTED)
    row, col = first.clicks[0].pixel
    down = row + 1 if row + 1 < first.region.row + CELL else row - 1
    background = Click(down, col, 0)
    beside = Answer(first.region, Verdict.INFECTED, (*first.clicks, background))
    skipped = Answer(Region(SliceId("scan", 99), 0, 0, CELL, CELL), Verdict.SKIPPED)
    others = [answer for answer in answers if answer is not first]

    threshold = calibrated_threshold(0.4, answers, priors)
    assert calibrated_threshold(0.4, [*answers, skipped], priors) == threshold
    assert calibrated_threshold(0.4, [beside, *others], priors) == pytest.approx(
        threshold, abs=1e-6
    )


def test_it_goes_no_farther_than_is_known_to_be_right():
    answers, priors = world(6, 4.0)
    infected = sum(answer.verdict is Verdict.INFECTED for answer in answers)

    farthest = expit(logit(0.4) + MOST_LOG_ODDS * infected / (infected + INFECTED_WORTH))
    assert calibrated_threshold(0.4, answers, priors) == pytest.approx(farthest)


def test_predictions_of_nothing_at_all_leave_it_as_it_is():
    answers, priors = world(6, 0.0)
    nothing = {where: torch.zeros_like(p) for where, p in priors.items()}

    assert calibrated_threshold(0.4, answers, nothing) == pytest.approx(0.4)
