import numpy as np
import pytest
import torch

from alnb.config import PAPER, Config
from alnb.dataset import SliceId
from alnb.regions import Region
from alnb.training.fcn8 import FCN8
from alnb.training.fit import Labelled, _cut, train
from alnb.training.losses import LOSSES
from alnb.training.validation import Validation

QUICK = Config(steps=3, batch=2, crop=None, pretrain_steps=0).resolved(
    synthetic=False, val_masks=False, test_masks=True
)


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
    return Validation(0.0, 0.5)


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


@pytest.mark.parametrize(("freeze", "trunk_moves"), [("none", True), ("stem", False)])
def test_what_is_frozen_is_a_setting(slices, freeze, trunk_moves):
    network = build()
    before = network.trunk.body.conv_stem.weight.detach().clone()

    train(network, slices, QUICK.replace(freeze=freeze), constant)

    assert torch.equal(network.trunk.body.conv_stem.weight, before) is not trunk_moves


@pytest.mark.parametrize("loss", LOSSES)
def test_training_lowers_the_loss(slices, loss):
    config = QUICK.replace(steps=12, loss=loss, crf=0.1, learning_rate=1e-3)
    seen = []

    train(build(), slices, config, constant, lambda step, steps, value: seen.append(value))

    assert len(seen) == 12
    assert np.mean(seen[-3:]) < 0.8 * seen[0]


def test_the_best_epoch_is_kept(slices):
    network = build()
    scores = iter([0.1, 0.9, 0.3])
    states = []

    def validate(network):
        states.append(network.score_pool3.weight.detach().clone())
        return Validation(next(scores), 0.5)

    trained = train(network, slices, QUICK.replace(schedule="constant"), validate)

    assert trained.validation.score == 0.9
    assert torch.equal(network.score_pool3.weight, states[1])


def test_the_paper_trains_forty_epochs_one_slice_at_a_time_and_validates_each(slices):
    steps, validated = [], []

    def validate(network):
        validated.append(steps[-1])
        return Validation(0.0, 0.5)

    config = PAPER.replace(epochs=2)  # 40 take long
    train(build(), slices, config, validate, lambda step, total, loss: steps.append(step))

    assert PAPER.epochs == 40 and PAPER.steps is None and PAPER.learning_rate == 1e-4
    assert steps == [1, 2, 3, 4] and validated == [2, 4]


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
    config = QUICK.replace(crop=32, batch=1, epochs=2, steps=None)

    train(build(), slices, config, constant, lambda step, total, loss: steps.append(total))

    assert steps == [6] * 6  # three regions, twice


def test_a_share_of_the_weights_stays_as_it_was(slices):
    whole, half = build(), build()
    before = {name: value.clone() for name, value in whole.named_parameters()}

    train(whole, slices, QUICK, constant)
    train(half, slices, QUICK, constant, keep=0.25)

    moved = dict(whole.named_parameters())
    for name, value in half.named_parameters():
        wanted = before[name] + 0.75 * (moved[name] - before[name])
        assert torch.allclose(value, wanted, atol=1e-6)
