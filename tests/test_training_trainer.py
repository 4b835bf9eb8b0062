import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from fakes import TWO_STEPS, install_heuristics, scan_of

from alnb.acquisition import HEURISTICS, region_scores
from alnb.annotation import Answer, Verdict
from alnb.config import Config
from alnb.dataset import build
from alnb.errors import ConfigError, DataError, TrainerError
from alnb.metrics import Scores
from alnb.oracle import Oracle
from alnb.pool import Pool, start_picks
from alnb.regions import Region, grid
from alnb.training import Cancelled
from alnb.training.trainer import Trainer
from alnb.training.validation import hold_out


def test_a_fit_reports_what_it_did(trained, answered):
    _, report = trained

    assert (report.backbone, report.steps) == ("efficientnet_lite0", 2)
    assert report.heldout == len(hold_out(answered, TWO_STEPS.holdout)[1]) > 0
    assert 0 <= report.heldout_accuracy <= 1
    assert 0 < report.threshold < 1 and report.loss > 0 and report.train_s > 0
    assert "ImageNet" in report.notice
    assert (report.batch, report.crop, report.precision) == (2, 32, "float32")  # 32 is the slice


def test_the_same_answers_are_not_trained_on_twice(trained, squares, answered):
    trainer, report = trained
    steps = []
    again = Trainer(squares, TWO_STEPS, trainer.cache, progress=lambda *a, **k: steps.append(a))

    assert again.fit(answered) == report
    assert steps == []


def test_a_dataset_that_changed_since_it_was_read_is_not_trained_on(tmp_path):
    dataset = build([scan_of("one", 4, 32, 0)], tmp_path / "d", size=32, split={"one": "train"})
    answers = [Oracle(dataset).answer(r) for r in grid(dataset.slices[0], (32, 32), 4)]
    with (tmp_path / "d" / "images" / "one.npy").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")

    with pytest.raises(DataError, match="changed after its import"):
        Trainer(dataset, TWO_STEPS, tmp_path / "cache").fit(answers)


def test_deleted_weights_are_made_again_the_same(trained, squares, answered, tmp_path):
    trainer, report = trained
    other = Trainer(squares, TWO_STEPS, tmp_path)

    again = other.fit(answered)

    assert (again.weights, again.loss) == (report.weights, report.loss)
    slices = squares.part("train")[:1]
    for name, scores in trainer.score(slices, report.weights).items():
        assert np.array_equal(scores, other.score(slices, report.weights)[name])


def test_every_region_of_every_slice_is_scored_by_each_heuristic(trained, squares):
    trainer, report = trained
    slices = squares.part("train")[:3]

    scores = trainer.score(slices, report.weights)

    assert scores.keys() >= {"entropy", "bald"}
    for table in scores.values():
        assert table.shape == (3, 4) and table.dtype == np.float64
    assert (scores["entropy"] >= scores["bald"]).all() and (scores["entropy"] > 0).all()


def test_a_packages_heuristic_is_scored_too(trained, squares, tmp_path, monkeypatch):
    trainer, report = trained
    code = "def low(posterior):\n    return 1 - posterior.mean\n"
    install_heuristics(tmp_path, code, low="theirs:low")
    monkeypatch.syspath_prepend(tmp_path)
    config = TWO_STEPS.replace(heuristic="low")
    scores = Trainer(squares, config, trainer.cache).score(
        squares.part("train")[:2], report.weights
    )

    mean = [
        posterior.mean
        for _, posterior in trainer.predict(squares.part("train")[:2], report.weights)
    ]
    low = [1 - np.mean(p) for p in mean]
    assert scores["low"].mean(axis=1) == pytest.approx(low, abs=1e-6)
    assert scores["margin"] == pytest.approx(2 * scores["least_confidence"])


def test_a_slices_scores_do_not_depend_on_its_company(trained, squares):
    trainer, report = trained
    slices = squares.part("train")[:3]

    alone = trainer.score(slices[2:], report.weights)["entropy"][0]

    assert np.array_equal(alone, trainer.score(slices, report.weights)["entropy"][2])


def test_evaluation_pools_the_pixels_of_the_part_and_repeats_itself(trained, squares):
    trainer, report = trained

    scores = trainer.evaluate("test", report.weights)

    assert isinstance(scores, Scores)
    assert scores.tp + scores.fp + scores.fn + scores.tn == len(squares.part("test")) * 32 * 32
    assert trainer.evaluate("test", report.weights) == scores
    assert trainer.evaluate("val", report.weights) is None


def test_a_prediction_is_a_posterior_a_slice(trained, squares):
    trainer, report = trained

    ((where, posterior),) = trainer.predict(squares.part("test")[:1], report.weights)

    assert where == squares.part("test")[0]
    assert posterior.mean.shape == (32, 32) and posterior.mean.dtype == np.float32
    assert posterior.draws == 2


def test_a_dataset_without_masks_is_trained_but_not_evaluated(unmasked, answered, tmp_path):
    trainer = Trainer(unmasked, TWO_STEPS, tmp_path)
    report = trainer.fit(answered)

    assert report.heldout_accuracy is not None
    assert trainer.evaluate("test", report.weights) is None


def test_a_validation_part_with_masks_chooses_instead_of_held_out_answers(squares, tmp_path):
    pairs = [scan_of(name, 4, 32, seed) for seed, name in enumerate("ab")]
    dataset = build(pairs, tmp_path / "data", size=32, split={"a": "train", "b": "val"})
    oracle = Oracle(dataset)
    answers = [
        oracle.answer(r) for where in dataset.part("train") for r in grid(where, (32, 32), 4)
    ]

    config = TWO_STEPS.replace(validate=True)
    report = Trainer(dataset, config, tmp_path / "cache").fit(answers)

    assert report.heldout == 0 and report.heldout_accuracy is None


def test_masks_that_nobody_paid_for_choose_nothing_unless_told_to(squares, tmp_path, monkeypatch):
    pairs = [scan_of(name, 4, 32, seed) for seed, name in enumerate("abc")]
    split = {"a": "train", "b": "val", "c": "test"}
    dataset = build(pairs, tmp_path / "data", size=32, split=split)
    oracle = Oracle(dataset)
    answers = [oracle.answer(r) for z in dataset.part("train") for r in grid(z, (32, 32), 4)]
    looked = "alnb.training.trainer.validate_by_masks"
    monkeypatch.setattr(looked, lambda *_, **__: pytest.fail("it looked at masks"))

    assert Trainer(dataset, TWO_STEPS, tmp_path / "cache").fit(answers).heldout > 0


def test_a_validation_part_without_infection_validates_nothing(squares, tmp_path):
    volume, mask = scan_of("b", 4, 32, 1)
    pairs = [scan_of("a", 4, 32, 0), (volume, np.zeros_like(mask))]
    dataset = build(pairs, tmp_path / "data", size=32, split={"a": "train", "b": "val"})
    oracle = Oracle(dataset)
    answers = [
        oracle.answer(r) for where in dataset.part("train") for r in grid(where, (32, 32), 4)
    ]
    config = TWO_STEPS.replace(validate=True)
    report = Trainer(dataset, config, tmp_path / "cache").fit(answers)

    assert report.heldout > 0
    assert report.threshold >= 0.5


@pytest.mark.parametrize("val", ["train", "val"])
def test_a_threshold_that_is_set_stays_so(squares, tmp_path, val):
    pairs = [scan_of(name, 4, 32, seed) for seed, name in enumerate("ab")]
    dataset = build(pairs, tmp_path / "data", size=32, split={"a": "train", "b": val})
    oracle = Oracle(dataset)
    answers = [oracle.answer(r) for z in dataset.part("train") for r in grid(z, (32, 32), 4)]
    config = TWO_STEPS.replace(threshold=0.83, validate=True)

    assert Trainer(dataset, config, tmp_path / "cache").fit(answers).threshold == 0.83


def test_progress_is_told_of_each_step_and_slice(squares, answered, tmp_path):
    heard = []
    trainer = Trainer(
        squares,
        TWO_STEPS,
        tmp_path,
        progress=lambda stage, done, total, **n: heard.append((stage, done, total, *n)),
    )
    report = trainer.fit(answered)
    trainer.evaluate("test", report.weights)

    assert heard[:2] == [("fit", 1, 2, "loss"), ("fit", 2, 2, "loss")]
    assert heard[2:] == [("evaluate", n, 4) for n in (1, 2, 3, 4)]


def test_cancelling_stops_and_keeps_the_last_weights(trained, squares, answered):
    trainer, report = trained
    stopped = Trainer(squares, TWO_STEPS, trainer.cache, cancelled=lambda: True)

    with pytest.raises(Cancelled):
        stopped.fit(answered[:-1])

    assert sorted(path.name for path in trainer.cache.iterdir()) == [
        f"weights-{report.weights}.safetensors"
    ]


def test_only_skipped_regions_are_nothing_to_train_on(squares, answered, tmp_path):
    skipped = [Answer(answer.region, Verdict.SKIPPED) for answer in answered]

    with pytest.raises(TrainerError, match="nothing to train on"):
        Trainer(squares, TWO_STEPS, tmp_path).fit(skipped)


def test_an_unknown_backbone_is_refused_at_once(squares, tmp_path):
    with pytest.raises(ConfigError, match="backbone 'vgg' is unknown"):
        Trainer(squares, TWO_STEPS.replace(backbone="vgg"), tmp_path)


def test_importing_the_package_does_not_import_torch():
    code = "import alnb.training, sys; raise SystemExit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_padding_is_clean_whatever_the_network_says(tmp_path):
    volume, mask = scan_of("one", 2, 32, 0)
    volume.voxels[:, :16, :16] = 0
    mask[:, :16, :16] = 0
    dataset = build([(volume, mask)], tmp_path / "data", size=32, split={"one": "train"})
    oracle = Oracle(dataset)
    where, *_ = dataset.part("train")
    answers = [oracle.answer(region) for region in grid(where, (32, 32), 4)]

    means = []
    for ask_in in ("body", "anywhere"):
        trainer = Trainer(dataset, TWO_STEPS.replace(ask_in=ask_in), tmp_path / "cache")
        _, posterior = next(iter(trainer.predict([where], trainer.fit(answers).weights)))
        means.append(posterior.mean)

    assert means[0][:16, :16].max() == 0
    assert means[1][:16, :16].min() > 0
    assert np.array_equal(means[0][16:], means[1][16:])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_on_a_gpu_it_trains_and_scores_as_on_a_cpu(squares, answered, tmp_path):
    config = TWO_STEPS.replace(steps=20)
    gpu, cpu = (
        Trainer(squares, config, tmp_path / device, device=device) for device in ("cuda", "cpu")
    )
    reports = [trainer.fit(answered) for trainer in (gpu, cpu)]
    where = squares.part("test")[:1]
    means = [
        next(iter(trainer.predict(where, report.weights)))[1].mean
        for trainer, report in zip((gpu, cpu), reports, strict=True)
    ]

    assert reports[0].device == torch.cuda.get_device_name()
    assert np.abs(means[0] - means[1]).mean() < 0.1


# --- regions that are no grid ---

REGIONS = Config(
    backbone="efficientnet_lite0", regions_per_slice=9, start_regions=12,
    pretrain_steps=0, steps=2, batch=2, draws=2, crop=32,
)  # fmt: skip


@pytest.mark.parametrize("kind", ["grid", "superpixels"])
@pytest.mark.parametrize("how", ["mean", "max"])
def test_each_region_is_scored_by_its_own_pixels(tmp_path, squares, kind, how):
    config = REGIONS.replace(regions=kind, region_score=how)
    pool, oracle = Pool(squares, config), Oracle(squares)
    trainer = Trainer(squares, config, tmp_path)
    fit = trainer.fit([oracle.answer(pick.region) for pick in start_picks(pool)])
    slices = pool.slices[:2]

    tables = trainer.score(slices, fit.weights)

    for n, (where, posterior) in enumerate(trainer.predict(slices, fit.weights)):
        regions = pool.regions(where)
        for name, table in tables.items():
            expected = region_scores(HEURISTICS[name](posterior), regions, how)
            assert table.shape == (2, pool.shape[1])
            assert np.array_equal(table[n, : len(regions)], expected)
            assert np.isnan(table[n, len(regions) :]).all()


def test_a_run_by_command_asks_superpixels(command_line, tmp_path, squares):
    settings = ["pretrain_steps=0", "steps=2", "draws=2", "start_regions=8", "crop=32",
                "regions_per_slice=9", "regions=superpixels"]  # fmt: skip
    words = [word for setting in settings for word in ("--set", setting)]
    out = tmp_path / "run"
    status, _, err = command_line(
        "run", squares.folder, "--out", out, "--cycles", 2, "--backbone", "efficientnet_lite0",
        *words,
    )  # fmt: skip
    assert (status, err) == (0, "")

    events = [json.loads(line) for line in (out / "journal.jsonl").read_text().splitlines()]
    regions = [Region.parse(event["region"]) for event in events if event["kind"] == "answered"]
    assert len(regions) == 8 + 2 * 5
    assert any(region.mask is not None for region in regions)
    status, _, _ = command_line("export", out, "--out", tmp_path / "export")
    assert status == 0
    table = (tmp_path / "export" / "answers.csv").read_text()
    assert all(region.key in table for region in regions)
