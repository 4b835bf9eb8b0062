import math

import pytest
import torch

from alnb.training.losses import balanced_point, consistency, point_ce

# one image of 1×4 pixels: infection probabilities 0.8, 0.5, 0.2 and 0.9
PROBABILITY = torch.tensor([0.8, 0.5, 0.2, 0.9])
LOGITS = torch.stack([(1 - PROBABILITY).log(), PROBABILITY.log()])[None, :, None]  # (1, 2, 1, 4)


def labels(*values):
    return torch.tensor(values, dtype=torch.int8).reshape(1, 1, -1)


def test_point_ce_sums_over_the_labelled_pixels():
    loss = point_ce(LOGITS, labels(1, 0, 0, -1))

    assert loss.item() == pytest.approx(-(math.log(0.8) + math.log(0.5) + math.log(0.8)))


def test_balanced_point_averages_each_class():
    loss = balanced_point(LOGITS, labels(1, 0, 0, -1), infected_weight=0.3)

    background = -(math.log(0.5) + math.log(0.8)) / 2
    assert loss.item() == pytest.approx(0.3 * -math.log(0.8) + background)


@pytest.mark.parametrize("loss", [point_ce, balanced_point])
def test_nothing_labelled_costs_nothing(loss):
    assert loss(LOGITS, labels(-1, -1, -1, -1)).item() == 0


def test_a_clean_region_outweighs_a_click_in_point_ce_but_not_in_balanced_point():
    logits = torch.zeros(1, 2, 32, 64, requires_grad=True)
    answers = torch.full((1, 32, 64), -1)
    answers[:, :, :32] = 0
    answers[0, 5, 40] = 1

    push = {}
    for loss in (point_ce, balanced_point):
        (gradient,) = torch.autograd.grad(loss(logits, answers), logits)
        push[loss] = gradient[0, 1].sum().item()  # > 0 lowers infection overall

    assert push[point_ce] == pytest.approx((1024 - 1) / 2)
    assert push[balanced_point] == pytest.approx(0, abs=1e-6)


def test_consistency_is_nothing_for_a_mirrored_answer():
    logits = torch.arange(8.0).reshape(1, 2, 1, 4)

    assert consistency(logits, logits.flip(-1)).item() == 0
    assert consistency(logits, logits.flip(-1) + 0.5).item() == 0.5
