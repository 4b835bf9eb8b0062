import numpy as np
import pytest
import torch
from fakes import TWO_STEPS

from alnb.live import NUMBERS, QUARTERS, STRIDE, Basis, Live
from alnb.oracle import Oracle
from alnb.regions import grid
from alnb.storage import features_path
from alnb.training import features
from alnb.training.fcn8 import FCN8
from alnb.training.features import Basis as Directions
from alnb.training.features import describe
from alnb.training.trainer import Trainer


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return FCN8("efficientnet_lite0").eval()


def grey(size=64, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 255, (size, size), np.uint8))


@pytest.mark.parametrize("size", [64, 44])
def test_a_slice_of_any_size_is_described_cell_by_cell(network, size):
    basis = Directions.of(network, [grey(size, seed) for seed in range(3)])
    p = np.full((size, size), 0.5, np.float32)
    p[:4, :4] = 0.9
    found = describe(network, basis, grey(size), p)
    side = -(-size // STRIDE)
    assert found.shape == (side, side, NUMBERS) and found.dtype == np.float16
    assert np.isfinite(found).all()
    assert found[0, 0, :QUARTERS] == pytest.approx([np.log(9), 0, 0, 0], abs=0.01)
    assert (found[1:, 1:, :QUARTERS] == 0).all()


def test_features_are_as_large_as_each_other(network):
    slices = [grey(seed=seed) for seed in range(4)]
    basis = Directions.of(network, slices)
    half = np.full((64, 64), 0.5, np.float32)
    cells = np.concatenate([
        describe(network, basis, one, half)[..., QUARTERS:].reshape(-1, NUMBERS - QUARTERS)
        for one in slices
    ]).astype(float)  # fmt: skip
    spread = cells.std(axis=0)
    assert spread[features.DIRECTIONS :] == pytest.approx(1, abs=0.05)  # grey levels
    assert 0.1 < spread[: features.DIRECTIONS].min() <= spread.max() < 3


def test_a_grey_level_lies_in_its_own_cell(network):
    picture = torch.zeros((64, 64), dtype=torch.uint8)
    picture[24:32, 40:48] = 255
    basis = Directions.of(network, [picture, grey()])
    found = describe(network, basis, picture, np.full((64, 64), 0.5, np.float32))
    mean_of_eight_px = found[..., QUARTERS + features.DIRECTIONS + 3]
    assert np.unravel_index(mean_of_eight_px.argmax(), (8, 8)) == (3, 5)


def test_maps_of_the_padded_network_lie_where_those_of_the_other_do():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        padded, plain = FCN8("vgg16", input_padding=100), FCN8("vgg16", input_padding=0)
        plain.trunk.load_state_dict(padded.trunk.state_dict())
    picture = torch.zeros((96, 96), dtype=torch.uint8)
    picture[40:56, 24:40] = 255
    places = []
    for network in (padded.eval(), plain.eval()):
        with torch.inference_mode():
            deep, _ = features._maps(network, picture)
        s8 = (deep[:, :256] - deep[0, :256]).abs().sum(1).reshape(12, 12)
        rows, cols = np.meshgrid(np.arange(12), np.arange(12), indexing="ij")
        inner = s8.numpy() * ((rows > 1) & (rows < 10) & (cols > 1) & (cols < 10))
        places.append([(inner * at).sum() / inner.sum() for at in (rows, cols)])
    assert places[0] == pytest.approx(places[1], abs=0.6)


def test_a_trainer_publishes_once_and_stops_when_asked(squares, tmp_path):
    trainer = Trainer(squares, TWO_STEPS, tmp_path)
    slices = squares.part("train")[:2]
    trainer.publish(slices, trainer.origin)
    paths = [features_path(tmp_path, trainer.origin, w.scan, w.z) for w in slices]
    written = [path.stat().st_mtime_ns for path in paths]
    trainer.publish(slices, trainer.origin)
    assert [path.stat().st_mtime_ns for path in paths] == written


def test_what_is_published_predicts_what_the_network_does(squares, tmp_path):
    trainer = Trainer(squares, TWO_STEPS.replace(pretrain_steps=1), tmp_path)
    where = squares.part("train")[0]
    trainer.publish([where], trainer.origin)
    live = Live(squares, TWO_STEPS, tmp_path, Basis(trainer.origin))
    network = trainer.networks.find(trainer.origin)
    assert np.abs(live.infection(where) - trainer._infected(network, where)).mean() < 0.02


def test_a_test_slice_that_was_published_is_not_predicted_again(squares, tmp_path, monkeypatch):
    answers = [Oracle(squares).answer(region) for where in squares.part("train")
               for region in grid(where, (32, 32), 4)]  # fmt: skip
    alone, trainer = (Trainer(squares, TWO_STEPS, tmp_path / name) for name in ("one", "two"))
    weights = [one.fit(answers).weights for one in (alone, trainer)]
    trainer.publish(squares.part("test"), weights[1])
    monkeypatch.setattr(trainer, "_predict", None)
    assert trainer.evaluate("test", weights[1]) == alone.evaluate("test", weights[0])


def test_a_network_that_has_learned_nothing_believes_nothing(squares, tmp_path):
    trainer = Trainer(squares, TWO_STEPS, tmp_path)
    where = squares.part("train")[0]
    trainer.publish([where], trainer.origin)
    found = np.load(features_path(tmp_path, trainer.origin, where.scan, where.z))
    assert (found[..., :QUARTERS] == 0).all()
