import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy import ndimage

from alnb.annotation import Answer, Verdict
from alnb.config import PAPER, Config
from alnb.dataset import import_phantom
from alnb.oracle import Oracle
from alnb.regions import grid
from alnb.storage import weights_path
from alnb.training import Cancelled, pretrain
from alnb.training.fit import train
from alnb.training.pretrain import Slices, batches
from alnb.training.trainer import Trainer
from alnb.training.validation import infection

CONFIG = Config(backbone="efficientnet_lite0", pretrain_steps=2, steps=2, batch=2, draws=2)


draw = Slices.draw


@pytest.fixture(scope="module")
def one_scan():
    return draw(scans=1, size=64)


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path, one_scan):
    """Draw little, quickly, and keep it in a folder of the test's own."""
    monkeypatch.setattr(Slices, "draw", lambda on_scan=None: one_scan)
    monkeypatch.setattr(pretrain, "CROP", 64)
    monkeypatch.setattr(pretrain, "_folder", lambda: tmp_path / "kept")
    return tmp_path / "kept"


def trainer(dataset, folder, config=CONFIG, **options):
    return Trainer(dataset, config, folder / "cache", **options)


def weights(one):
    return {name: value.clone() for name, value in one.networks.fresh().state_dict().items()}


def same(first, second):
    return all(torch.equal(value, second[name]) for name, value in first.items())


def test_a_network_starts_with_what_it_learned_and_learns_it_once(squares, tmp_path, small):
    stages = []
    first = trainer(squares, tmp_path, progress=lambda stage, *a, **k: stages.append(stage))
    found = weights(first)

    assert stages == ["prepare", "prepare"]
    assert len(list(small.glob("pretrained-*.safetensors"))) == 1
    assert same(found, weights(first)) and len(stages) == 2
    assert not same(found, weights(trainer(squares, tmp_path, CONFIG.replace(pretrain_steps=0))))


def test_prepare_does_it_before_any_answer(squares, tmp_path, small):
    trainer(squares, tmp_path).prepare()

    assert len(list(small.glob("pretrained-*.safetensors"))) == 1


def test_the_stem_stays_as_it_came_and_all_can_learn_afterwards(squares, tmp_path):
    one = trainer(squares, tmp_path)
    network = one.networks.fresh()
    plain = trainer(squares, tmp_path, CONFIG.replace(pretrain_steps=0)).networks.fresh()

    assert all(
        torch.equal(a, b)
        for a, b in zip(network.trunk.stem_parameters(), plain.trunk.stem_parameters(), strict=True)
    )
    assert all(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize(
    "change",
    [{"pretrain_steps": 3}, {"learning_rate": 1e-3}, {"dropout": 0.2}],
)
def test_other_settings_learn_it_again(squares, tmp_path, small, change):
    trainer(squares, tmp_path).prepare()
    trainer(squares, tmp_path, CONFIG.replace(**change)).prepare()

    assert len(list(small.glob("pretrained-*.safetensors"))) == 2


def test_the_default_start_comes_with_alnb_whatever_the_seed(squares, tmp_path, small):
    default = [Config(), Config(seed=4), Config(steps=9, epochs=3)]
    found = [weights(trainer(squares, tmp_path, config)) for config in default]

    assert not list(small.glob("*"))  # nothing was learned
    assert all(same(found[0], other) for other in found[1:])
    assert pretrain.SHIPPED.stat().st_size < 10 * 2**20
    assert {value.dtype for value in found[0].values()} <= {torch.float32, torch.int64}


@pytest.mark.parametrize("change", [{"pretrain_seed": 1}, {"pretrain_steps": 2}, {"dropout": 0.2}])
def test_a_start_that_does_not_come_with_alnb_is_learned(squares, tmp_path, small, change):
    config = Config(pretrain_steps=2).replace(**change)
    config = config if "pretrain_seed" not in change else config.replace(pretrain_steps=1)
    trainer(squares, tmp_path, config).prepare()

    assert len(list(small.glob("pretrained-*.safetensors"))) == 1


def test_without_the_file_it_is_learned(squares, tmp_path, small, monkeypatch):
    monkeypatch.setattr(pretrain, "SHIPPED", tmp_path / "absent")
    monkeypatch.setattr(pretrain, "_learn", lambda *_: None)
    pretrain.shipped_name.cache_clear()
    try:
        trainer(squares, tmp_path, Config()).prepare()
    finally:
        pretrain.shipped_name.cache_clear()

    assert len(list(small.glob("pretrained-*.safetensors"))) == 1


def test_a_start_is_shipped_in_half_precision(squares, tmp_path):
    network = trainer(squares, tmp_path).networks.fresh()
    pretrain.ship(network, "a name", tmp_path / "start.safetensors")
    kept = load_file(tmp_path / "start.safetensors")

    statistics = {name for name, _ in network.named_buffers()}
    assert {kept[name].dtype for name in kept if name not in statistics} == {torch.float16}
    assert all(
        torch.allclose(kept[name].float(), value.float(), atol=1e-3, rtol=1e-3)
        for name, value in network.state_dict().items()
    )


def test_each_seed_has_a_start_of_its_own_whichever_is_the_first(squares, tmp_path, small):
    nine = weights(trainer(squares, tmp_path, CONFIG.replace(pretrain_seed=9)))
    zero = weights(trainer(squares, tmp_path))
    for kept in small.glob("pretrained-*.safetensors"):
        kept.unlink()

    assert not same(nine, zero)
    assert same(zero, weights(trainer(squares, tmp_path)))
    assert same(nine, weights(trainer(squares, tmp_path, CONFIG.replace(pretrain_seed=9))))


def test_a_broken_file_is_made_again(squares, tmp_path, small):
    one = trainer(squares, tmp_path)
    found = weights(one)
    path = next(small.glob("pretrained-*.safetensors"))
    content = path.read_bytes()

    for broken in (b"broken", content[:-4] + b"\0\0\xc0\x7f", content[:-4]):
        path.write_bytes(broken)
        assert same(found, weights(one))
        assert path.read_bytes() == content


def test_where_nothing_can_be_kept_it_is_learned_all_the_same(squares, tmp_path, monkeypatch):
    def refuse(*_given, **_named):
        raise PermissionError("read-only")

    monkeypatch.setattr(pretrain, "FileLock", refuse)
    found = weights(trainer(squares, tmp_path))

    assert not same(found, weights(trainer(squares, tmp_path, CONFIG.replace(pretrain_steps=0))))


def test_it_stops_when_asked_and_keeps_nothing(squares, tmp_path, small):
    with pytest.raises(Cancelled):
        trainer(squares, tmp_path, cancelled=lambda: True).prepare()
    assert not list(small.glob("pretrained-*.safetensors"))


def test_on_the_phantom_and_in_the_paper_nothing_is_learned_first(tmp_path, squares):
    parts = {"phantom_01": "train", "phantom_02": "test"}
    phantom = import_phantom(tmp_path / "phantom", scans=2, size=32, split=parts)

    assert phantom.resolve(CONFIG).pretrain_steps == 0
    assert squares.resolve(PAPER).pretrain_steps == 0
    assert squares.resolve(CONFIG).pretrain_steps > 0


def test_the_weights_are_named_by_whether_it_was_learned(squares, tmp_path):
    names = {
        trainer(squares, tmp_path, CONFIG.replace(pretrain_steps=steps)).networks.name([])
        for steps in (0, 2)
    }

    assert len(names) == 2


def test_training_keeps_the_prior_prediction_where_nobody_answered(squares, tmp_path, monkeypatch):
    oracle = Oracle(squares)
    answers = [oracle.answer(r) for r in grid(squares.part("train")[0], (32, 32), 4)[:1]]
    seen = []

    def spy(network, slices, *given, **named):
        seen.extend(slices)
        return train(network, slices, *given, **named)

    monkeypatch.setattr("alnb.training.trainer.train", spy)
    one = trainer(squares, tmp_path)
    one.fit(answers)
    trainer(squares, tmp_path / "none", CONFIG.replace(distil=0.0)).fit(answers)
    network = one.networks.fresh()
    before = infection(network, one._grey(answers[0].region.where)[None], 1.5, mirror=True)[0]

    assert np.allclose(seen[0].prior_prediction.float(), before, atol=1e-3)
    assert seen[1].prior_prediction is None


@pytest.mark.parametrize(
    ("changes", "fitted"),
    [
        ({}, (10, 3.0)),
        ({"pretrain_steps": 0}, (40, 10.0)),
        ({"epochs": 7, "head_rate": 2.0}, (7, 2.0)),
    ],
)
def test_a_network_that_knows_something_learns_fewer_epochs_and_slower(
    squares, tmp_path, monkeypatch, changes, fitted
):
    answers = [Oracle(squares).answer(r) for r in grid(squares.part("train")[0], (32, 32), 4)[:1]]
    seen = []

    def spy(network, slices, config, *given, **named):
        seen.append((config.epochs, config.head_rate))
        return train(network, slices, config, *given, **named)

    monkeypatch.setattr("alnb.training.trainer.train", spy)
    trainer(squares, tmp_path, CONFIG.replace(**changes)).fit(answers)

    assert seen == [fitted]


def test_only_clean_answers_do_not_teach_it_to_see_nothing(squares, tmp_path):
    clean = [
        Answer(region, Verdict.CLEAN)
        for where in squares.part("train")[:2]
        for region in grid(where, (32, 32), 4)
    ]
    one = trainer(squares, tmp_path)
    report = one.fit(clean)
    before = one.networks.fresh().state_dict()

    assert report.steps == 0
    assert same(load_file(weights_path(one.cache, report.weights)), before)
    plain = trainer(squares, tmp_path / "plain", CONFIG.replace(pretrain_steps=0)).fit(clean)
    assert plain.steps == 2


def test_the_more_answers_the_less_of_the_start_stays(squares, tmp_path, monkeypatch):
    regions = grid(squares.part("train")[0], (32, 32), 4)
    answers = [Oracle(squares).answer(region) for region in regions]
    assert any(answer.verdict is Verdict.INFECTED for answer in answers[:1])
    kept = []

    def spy(*given, keep):
        kept.append(keep)
        return train(*given, keep=keep)

    monkeypatch.setattr("alnb.training.trainer.train", spy)
    for count in (1, 4):
        trainer(squares, tmp_path, CONFIG.replace(prior_answers=4.0)).fit(answers[:count])
    trainer(squares, tmp_path, CONFIG.replace(prior_answers=0.0)).fit(answers)

    assert kept == [4 / 5, 4 / 8, 0]


# --- synthetic crops ---


@pytest.fixture(scope="module")
def slices():
    return draw(scans=2, size=96)


def test_crops_are_grey_with_masks_of_their_infection(slices):
    grey, labels = next(batches(slices, 6, 64, np.random.default_rng(0)))

    assert grey.shape == labels.shape == (6, 64, 64)
    assert (grey.dtype, labels.dtype) == (np.uint8, np.int8)
    assert set(np.unique(labels)) == {0, 1}
    assert len({one.tobytes() for one in grey}) == 6


def test_the_same_seed_cuts_the_same_crops(slices):
    first, second = (next(batches(slices, 4, 64, np.random.default_rng(3))) for _ in range(2))

    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_infection_is_denser_than_the_lung_round_it(slices):
    cut = batches(slices, 32, 64, np.random.default_rng(1))
    grey, labels = next(cut)
    lung = (labels == 0) & (grey < 100)

    assert grey[labels == 1].mean() > grey[lung].mean() + 30


def test_a_picture_no_larger_than_a_crop_is_enlarged(slices):
    small = Slices(slices.hu[:, :40, :40], slices.infected[:, :40, :40])
    infected = Slices(small.hu, np.ones_like(small.infected))

    grey, labels = next(batches(infected, 2, 64, np.random.default_rng(0)))

    assert grey.shape == (2, 64, 64) and labels.all()


def test_drawing_is_counted_and_can_be_stopped():
    seen = []

    def stop(done, total):
        seen.append((done, total))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw(stop, scans=3, size=64)
    assert seen == [(1, 3)]


def test_some_lesions_are_crossed_by_lines_and_what_is_healthy_never_is(slices, monkeypatch):
    infected = np.zeros_like(slices.infected)
    infected[:, 24:72, 24:72] = True
    even = Slices(np.full_like(slices.hu, -600), infected)
    monkeypatch.setattr("alnb.training.pretrain.BLUR_PX", 0.0)
    monkeypatch.setattr("alnb.training.pretrain.NOISE", 0.0)
    grey, labels = next(batches(even, 40, 64, np.random.default_rng(2)))

    def varies(infected):
        found = []
        for one, is_infected in zip(grey.astype(float), labels, strict=True):
            inner = ndimage.binary_erosion(is_infected == infected, iterations=6)
            found.append(one[inner].std() if inner.any() else 0.0)
        return np.array(found) > 1

    assert 6 <= varies(1).sum() <= 26  # WEB of 40, about
    assert not varies(0).any()
