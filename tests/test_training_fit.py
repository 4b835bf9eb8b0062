import dataclasses
import math

import numpy as np
import pytest
import torch

from alnb.annotation import Answer, Click, Verdict
from alnb.config import PAPER, Config
from alnb.dataset import SliceId
from alnb.regions import Region
from alnb.training.fcn8 import FCN8
from alnb.training.fit import (
    Judgement,
    Labelled,
    _cut,
    hold_out,
    infection,
    judge_by_answers,
    judge_by_masks,
    train,
)

QUICK = Config(steps=3, batch=2, crop=None)


def answers(infected, clean):
    where = [SliceId("a", z) for z in range(infected + clean)]
    return [
        Answer(Region(where[i], 0, 0, 8, 8), Verdict.INFECTED, (Click(1, 1),))
        for i in range(infected)
    ] + [Answer(Region(where[infected + i], 0, 0, 8, 8), Verdict.CLEAN) for i in range(clean)]


def build():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return FCN8("efficientnet_lite0", input_padding=0)


@pytest.fixture
def slices():
    grey = torch.arange(64, dtype=torch.uint8).repeat(64, 1)
    labels = torch.full((64, 64), -1, dtype=torch.int8)
    labels[:32, :32] = 0
    labels[40, 40] = 1
    regions = (Region(SliceId("a", 0), 0, 0, 32, 32), Region(SliceId("a", 0), 32, 32, 32, 32))
    return [Labelled(grey, labels, regions), Labelled(grey.T.contiguous(), labels, regions[:1])]


def constant(network):
    return Judgement(0.0, 0.5)


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


def test_training_is_repeatable_and_leaves_the_global_generator_alone(slices):
    before = torch.get_rng_state()

    one, two = build(), build()
    first, second = (train(network, slices, QUICK, constant) for network in (one, two))

    assert first == second
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(torch.get_rng_state(), before)


def test_batchnorm_and_the_frozen_stem_stay_as_they_came(slices):
    network = build()
    before = {k: v.clone() for k, v in network.state_dict().items()}

    train(network, slices, QUICK, constant)

    after = network.state_dict()
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    assert not any("running" in name or "num_batches" in name for name in moved)
    assert not any("conv_stem" in name or "blocks.1." in name for name in moved)
    assert "score_pool3.weight" in moved


@pytest.mark.parametrize(("freeze", "trunk_moves"), [("none", True), ("trunk", False)])
def test_what_is_frozen_is_a_setting(slices, freeze, trunk_moves):
    network = build()
    before = network.trunk.body.conv_stem.weight.detach().clone()

    train(network, slices, QUICK.replace(freeze=freeze), constant)

    assert torch.equal(network.trunk.body.conv_stem.weight, before) is not trunk_moves


@pytest.mark.parametrize("loss", ["point_ce", "balanced_point"])
def test_training_lowers_the_loss(slices, loss):
    config = QUICK.replace(steps=12, loss=loss, consistency=0.1, learning_rate=1e-3)
    seen = []

    train(build(), slices, config, constant, lambda step, steps, value: seen.append(value))

    assert len(seen) == 12
    assert np.mean(seen[-3:]) < 0.8 * seen[0]


def test_the_best_epoch_is_kept(slices):
    network = build()
    scores = iter([0.1, 0.9, 0.3])
    states = []

    def judge(network):
        states.append(network.score_pool3.weight.detach().clone())
        return Judgement(next(scores), 0.5)

    trained = train(network, slices, QUICK.replace(schedule="constant"), judge)

    assert trained.judgement.score == 0.9
    assert torch.equal(network.score_pool3.weight, states[1])


def test_the_paper_trains_forty_epochs_one_slice_at_a_time_and_judges_each(slices):
    steps, judged = [], []

    def judge(network):
        judged.append(steps[-1])
        return Judgement(0.0, 0.5)

    config = PAPER.replace(epochs=2)  # 40 take long
    train(build(), slices, config, judge, lambda step, total, loss: steps.append(step))

    assert PAPER.epochs == 40 and PAPER.steps is None and PAPER.learning_rate == 1e-4
    assert steps == [1, 2, 3, 4] and judged == [2, 4]


def test_training_stops_where_a_step_raises(slices):
    def stop(step, steps, loss):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(build(), slices, QUICK, constant, stop)


@pytest.mark.parametrize("start", [0, 20, 32])
def test_a_crop_holds_its_region_and_lies_in_the_slice(rng, start):
    one = Labelled(
        torch.arange(64 * 64).reshape(64, 64),
        torch.zeros((64, 64)),
        (Region(SliceId("a", 0), start, 5, 32, 20),),
    )
    corners = set()

    for _ in range(50):
        grey, labels = _cut(one, one.regions[0], 40, rng)
        row, col = divmod(int(grey[0, 0]), 64)
        corners.add((row, col))
        assert grey.shape == labels.shape == (40, 40)
        assert 0 <= row <= start and start + 32 <= row + 40 <= 64
        assert 0 <= col <= 5 and 25 <= col + 40 <= 64
    assert len(corners) > 1


def test_a_crop_of_a_larger_region_lies_in_it(rng):
    region = Region(SliceId("a", 0), 8, 8, 48, 48)
    one = Labelled(torch.arange(64 * 64).reshape(64, 64), torch.zeros((64, 64)), (region,))

    grey, _ = _cut(one, region, 32, rng)

    row, col = divmod(int(grey[0, 0]), 64)
    assert 8 <= row <= 24 and 8 <= col <= 24


def test_an_epoch_shows_each_answered_region_once(slices):
    steps = []
    config = Config(crop=32, batch=1, epochs=2)

    train(build(), slices, config, constant, lambda step, total, loss: steps.append(total))

    assert steps == [6] * 6  # three regions, twice


@dataclasses.dataclass
class Known:
    """A network that predicts what it is told: grey level / 255."""

    def parameters(self):
        yield torch.zeros(1)

    def normalise(self, grey):
        return grey.float() / 255

    def __call__(self, x):
        return torch.stack([torch.zeros_like(x), torch.logit(x, eps=1e-6)], dim=1)


def test_infection_is_the_probability():
    grey = torch.tensor([[[51, 204]]], dtype=torch.uint8)

    assert infection(Known(), grey)[0, 0].tolist() == pytest.approx([0.2, 0.8], abs=1e-6)


def test_held_out_verdicts_choose_the_nearest_threshold_that_fits_most():
    held = answers(2, 2)
    peaks = (0.9, 0.68, 0.62, 0.2)  # infected, infected, clean, clean
    grey = {
        answer.region.where: torch.full((8, 8), round(255 * peak), dtype=torch.uint8)
        for answer, peak in zip(held, peaks, strict=True)
    }

    judgement = judge_by_answers(Known(), held, grey, prior=0.7)

    assert judgement.accuracy == 1.0
    assert judgement.threshold == pytest.approx(0.65)
    assert judge_by_answers(Known(), held[:1] + held[2:], grey, prior=0.7).threshold == 0.7


def test_held_out_verdicts_move_the_threshold_by_a_tenth_at_most():
    held = answers(1, 1)
    grey = {held[0].region.where: torch.full((8, 8), 40, dtype=torch.uint8)}
    grey[held[1].region.where] = torch.zeros((8, 8), dtype=torch.uint8)

    assert judge_by_answers(Known(), held, grey, prior=0.7) == Judgement(0.5, 0.7, 0.5)


def test_without_held_out_answers_the_prior_stands():
    assert judge_by_answers(Known(), [], {}, prior=0.7) == Judgement(0.0, 0.7, None)


def test_masks_choose_the_threshold_of_the_highest_dice():
    grey = torch.tensor([[230, 150, 100, 20]], dtype=torch.uint8)  # 0.9, 0.59, 0.39, 0.08
    mask = np.array([[True, True, False, False]])

    judgement = judge_by_masks(Known(), [grey], [mask])

    assert judgement.score == 1.0
    assert 0.39 < judgement.threshold <= 0.59


def test_masks_without_infection_are_no_best():
    grey = torch.zeros((1, 4), dtype=torch.uint8)

    judgement = judge_by_masks(Known(), [grey], [np.zeros((1, 4), bool)])

    assert judgement.score == 0 and math.isfinite(judgement.threshold)
