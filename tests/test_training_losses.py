import math
from typing import get_args

import pytest
import torch
from torch.nn import functional

from alnb import config
from alnb.config import Config
from alnb.training.losses import (
    LOSSES,
    balanced_answers,
    balanced_point,
    distillation,
    full,
    gated_crf,
    point_ce,
)

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


def test_balanced_answers_counts_an_infected_answer_as_one_however_many_clicks():
    two = LOGITS.expand(2, -1, -1, -1)
    answers = torch.cat([labels(1, 1, -1, -1), labels(0, 0, -1, -1)])
    loss = balanced_answers(two, answers, infected_weight=0.3)

    clicked, clean = (balanced_point(LOGITS, one[None]) for one in answers)
    assert loss.item() == pytest.approx(0.3 * clicked.item() + clean.item())
    assert loss.item() == pytest.approx(balanced_point(two, answers, infected_weight=0.3).item())


def test_the_rarer_infection_is_among_the_answers_the_less_balanced_answers_weighs_it():
    logits = torch.zeros(8, 2, 1, 4, requires_grad=True)
    answers = torch.cat([labels(1, -1, -1, -1), *[labels(0, 0, 0, 0)] * 7])

    push = {}
    for loss in (balanced_point, balanced_answers):
        (gradient,) = torch.autograd.grad(loss(logits, answers), logits)
        push[loss] = -gradient[0, 1].sum().item()  # > 0 raises infection where it was clicked

    assert push[balanced_answers] == pytest.approx(push[balanced_point] / 4)


@pytest.mark.parametrize("loss", [point_ce, balanced_point, balanced_answers, full])
def test_nothing_labelled_costs_nothing(loss):
    assert loss(LOGITS, labels(-1, -1, -1, -1)).item() == 0


def test_distillation_is_of_the_unlabelled_pixels_alone():
    prior = torch.tensor([[[0.0, 0.5, 1.0, 0.9]]])
    loss = distillation(LOGITS, labels(1, -1, 0, -1), prior)

    own = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    assert loss.item() == pytest.approx((math.log(2) + own) / 2)


def test_distillation_is_least_where_nothing_has_changed():
    logits = LOGITS.clone().requires_grad_(True)
    distillation(logits, labels(-1, -1, -1, -1), PROBABILITY[None, None]).backward()

    assert logits.grad.abs().max() < 1e-6
    assert distillation(LOGITS, labels(1, 0, 0, 1), PROBABILITY[None, None]).item() == 0


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


def halves(left, right):
    """A 16×16 map, one value in its left half and one in its right."""
    return torch.tensor([left, right]).repeat_interleave(8).expand(1, 16, 16)


def logits_of(infected):
    """Logits (B, 2, H, W) of infection probabilities (B, H, W)."""
    return torch.stack([(1 - infected).log(), infected.log()], dim=1)


def test_gated_crf_charges_a_change_where_the_picture_does_not_change():
    torn = logits_of(halves(0.01, 0.99))
    edge, even = halves(0, 255).to(torch.uint8), halves(90, 90).to(torch.uint8)

    assert gated_crf(torn, edge).item() < 0.2 * gated_crf(torn, even).item()
    assert gated_crf(logits_of(halves(1e-6, 1e-6)), even).item() == pytest.approx(0, abs=1e-4)


def test_gated_crf_counts_each_pair_of_neighbours_once():
    """Worked by hand: two cells, one step of a Gaussian of 4 cells apart, alike in grey."""
    sure = logits_of(torch.tensor([0.0, 1.0]).repeat_interleave(4).expand(1, 4, 8))
    grey = torch.full((1, 4, 8), 90, dtype=torch.uint8)

    assert gated_crf(sure, grey).item() == pytest.approx(math.exp(-1 / 32))


def test_gated_crf_pulls_an_unsure_pixel_to_what_surrounds_it():
    infected = torch.full((1, 32, 32), 0.9)
    infected[0, 12:16, 12:16] = 0.4
    logits = logits_of(infected).requires_grad_()

    loss = gated_crf(logits, torch.full((1, 32, 32), 90, dtype=torch.uint8))
    (gradient,) = torch.autograd.grad(loss, logits)

    assert gradient[0, 1, 12:16, 12:16].sum().item() < 0  # a step down raises infection there


def test_full_is_weighted_cross_entropy_and_weighted_iou():
    """Worked by hand: two infected of four pixels, each within 15 px of all others."""
    loss = full(LOGITS, labels(1, 0, 0, 1))

    # the share around each is 1/2, so each weighs 1 + 5/2
    entropy = -(math.log(0.8) + math.log(0.5) + math.log(0.8) + math.log(0.9)) / 4
    intersection = 3.5 * (0.8 + 0.9)
    union = 3.5 * (1 + 0.5 + 0.2 + 1)
    assert loss.item() == pytest.approx(entropy + 1 - (intersection + 1) / (union + 1))


def test_full_leaves_unlabelled_pixels_out_of_every_sum_and_of_the_share():
    """Worked by hand: the share around is 1/3, of the three labelled pixels."""
    loss = full(LOGITS, labels(1, 0, 0, -1))

    infected, background = 1 + 5 * 2 / 3, 1 + 5 / 3
    entropy = -(infected * math.log(0.8) + background * (math.log(0.5) + math.log(0.8)))
    entropy /= infected + 2 * background
    intersection = infected * 0.8
    union = infected + background * (0.5 + 0.2)
    assert loss.item() == pytest.approx(entropy + 1 - (intersection + 1) / (union + 1))


def published(logits, mask, *, edge):
    """Write F3Net's eqs. 3 to 5 down for logits and masks (B, 1, H, W)."""
    around = functional.avg_pool2d(mask, 31, stride=1, padding=15, count_include_pad=edge)
    weight = 1 + 5 * (around - mask).abs()
    entropy = functional.binary_cross_entropy_with_logits(logits, mask, reduction="none")
    entropy = (weight * entropy).sum(dim=(2, 3)) / weight.sum(dim=(2, 3))
    p = logits.sigmoid()
    intersection = (weight * p * mask).sum(dim=(2, 3))
    union = (weight * (p + mask - p * mask)).sum(dim=(2, 3))
    return (entropy + 1 - (intersection + 1) / (union + 1)).mean()


def test_full_agrees_with_the_published_formula_where_all_is_labelled():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 2, 40, 52, generator=generator)
    mask = (torch.rand(3, 1, 40, 52, generator=generator) < 0.3).float()
    mask[2] = 0  # an image without infection

    expected = published(logits[:, 1:] - logits[:, :1], mask, edge=False)

    assert full(logits, mask[:, 0].to(torch.int8)).item() == pytest.approx(expected.item())


def test_full_agrees_with_the_published_code_where_infection_is_far_from_the_edge():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 2, 80, 90, generator=generator)
    mask = torch.zeros(2, 1, 80, 90)
    mask[:, :, 31:49, 31:59] = (torch.rand(2, 1, 18, 28, generator=generator) < 0.5).float()

    expected = published(logits[:, 1:] - logits[:, :1], mask, edge=True)

    assert full(logits, mask[:, 0].to(torch.int8)).item() == pytest.approx(expected.item())


def test_full_does_not_see_what_is_unlabelled():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 2, 12, 16, generator=generator).requires_grad_()
    answers = torch.full((1, 12, 16), -1)
    answers[0, :, :8] = torch.randint(0, 2, (12, 8), generator=generator)

    loss = full(logits, answers)
    loss.backward()

    assert loss.item() == pytest.approx(full(logits[..., :8], answers[..., :8]).item())
    assert (logits.grad[..., 8:] == 0).all() and (logits.grad[..., :8] != 0).all()


def test_full_weighs_a_boundary_more_than_what_lies_far_from_it():
    logits = torch.zeros(1, 2, 64, 64, requires_grad=True)
    mask = torch.zeros(1, 64, 64, dtype=torch.int8)
    mask[:, :, 32:] = 1

    full(logits, mask).backward()

    push = logits.grad[0, 1, 32].abs()
    assert push[31] > 3 * push[0] and push[32] > push[63]


def test_every_loss_of_the_settings_is_in_the_table():
    assert ("auto", *LOSSES) == get_args(config.Loss)
    assert {config.FROM_IMAGENET["loss"], config.FROM_SYNTHETIC["loss"]} < set(LOSSES)


def test_the_table_binds_the_weight_of_infected_pixels():
    answers = labels(1, 0, 0, -1)
    loss = LOSSES["balanced_point"](Config(infected_weight=0.3))

    assert loss(LOGITS, answers) == balanced_point(LOGITS, answers, infected_weight=0.3)
