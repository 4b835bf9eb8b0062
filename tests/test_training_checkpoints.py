import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from fakes import TWO_STEPS

from alnb.annotation import Answer, Verdict
from alnb.errors import TrainerError
from alnb.storage import weights_path
from alnb.training.trainer import Trainer


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"learning_rate": 1e-3}, {"freeze": "none"}, {"loss": "point_ce"}]
)
def test_other_settings_are_other_weights(trained, squares, answered, tmp_path, change):
    trainer, report = trained

    assert Trainer(squares, TWO_STEPS.replace(**change), tmp_path).networks.name(answered) != (
        report.weights
    )
    assert trainer.networks.name(answered[:-1]) != report.weights


def test_other_outlines_are_other_weights(trained, answered):
    trainer, _ = trained
    region = next(answer.region for answer in answered if answer.verdict is Verdict.INFECTED)
    corners = [(region.row + r, region.col + c) for r, c in ((0, 0), (0, 5), (5, 5), (5, 0))]
    square, triangle = (
        Answer(region, Verdict.INFECTED, outlines=(tuple(corners[:n]),)) for n in (4, 3)
    )

    assert trainer.networks.name([square]) != trainer.networks.name([triangle])


def test_settings_that_training_does_not_see_change_nothing(trained, squares, answered):
    trainer, report = trained
    other = Trainer(squares, TWO_STEPS.replace(draws=7, click_s=5.0), trainer.cache)

    assert other.fit(answered) == report


@pytest.mark.parametrize(("threads", "words"), [(1, "CPU, 1 thread"), (2, "CPU, 2 threads")])
def test_the_cpu_is_told_with_its_threads(trained, monkeypatch, threads, words):
    monkeypatch.setattr("torch.get_num_threads", lambda: threads)

    assert trained[0].networks.device_name == words


def test_missing_weights_are_a_sentence(squares, tmp_path):
    with pytest.raises(TrainerError, match="weights abc are not in"):
        Trainer(squares, TWO_STEPS, tmp_path).evaluate("test", "abc")


def test_broken_weights_are_as_good_as_none(trained, squares, answered, tmp_path):
    _, report = trained
    (tmp_path / f"weights-{report.weights}.safetensors").write_bytes(b"torn")

    assert Trainer(squares, TWO_STEPS, tmp_path).fit(answered).weights == report.weights


def spoilt(path, how):
    content = path.read_bytes()
    size = 8 + int.from_bytes(content[:8], "little")
    if how == "bytes":
        path.write_bytes(content[:-4] + b"\0\0\xc0\x7f")
    else:
        head = content[:size].replace(b"trunk.body.conv_stem", b"trunk.body.konv_stem")
        path.write_bytes(head + content[size:])
    assert path.read_bytes() != content


@pytest.mark.parametrize("how", ["bytes", "names"])
def test_spoilt_weights_are_told_and_trained_again(trained, squares, answered, tmp_path, how):
    trainer, report = trained
    path = weights_path(tmp_path, report.weights)
    shutil.copyfile(weights_path(trainer.cache, report.weights), path)
    spoilt(path, how)
    where = squares.part("test")[:1]

    with pytest.raises(TrainerError, match="was changed, or is of another network"):
        list(Trainer(squares, TWO_STEPS, tmp_path).infection(where, report.weights))
    again = Trainer(squares, TWO_STEPS, tmp_path)
    assert again.fit(answered).loss == report.loss
    ((_, found),) = Trainer(squares, TWO_STEPS, tmp_path).infection(where, report.weights)
    ((_, wanted),) = trainer.infection(where, report.weights)
    assert np.array_equal(found, wanted)


def test_weights_under_the_name_of_others_are_as_good_as_none(trained, squares, tmp_path):
    trainer, report = trained
    shutil.copyfile(weights_path(trainer.cache, report.weights), weights_path(tmp_path, "0" * 16))

    with pytest.raises(TrainerError, match="are not in"):
        Trainer(squares, TWO_STEPS, tmp_path).evaluate("test", "0" * 16)


def test_what_killed_trainings_left_is_forgotten(squares, answered, tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left = [tmp_path / "weights-0123.tmp", tmp_path / f".{gone.pid}-weights-0123.safetensors"]
    others = tmp_path / f".{os.getppid()}-weights-0123.safetensors"
    for path in (*left, others):
        path.write_bytes(b"half")

    Trainer(squares, TWO_STEPS.replace(steps=1), tmp_path).fit(answered)

    assert not any(path.exists() for path in left) and others.exists()


def test_old_weights_are_forgotten(squares, answered, tmp_path):
    trainer = Trainer(squares, TWO_STEPS.replace(steps=1), tmp_path)

    reports = [trainer.fit(answered[: 9 + n]) for n in range(7)]

    kept = {path.stem.removeprefix("weights-") for path in tmp_path.iterdir()}
    assert kept == {report.weights for report in reports[-5:]}


def test_weights_of_another_backbone_are_read_into_that(squares, trained):
    one, report = trained
    other = Trainer(squares, TWO_STEPS.replace(backbone="vgg16"), one.cache)
    where = squares.part("test")[:1]
    ((_, theirs),) = one.infection(where, report.weights)
    ((_, ours),) = other.infection(where, report.weights)

    assert np.array_equal(theirs, ours)


@pytest.mark.parametrize(("precision", "mixed"), [("auto", False), ("bfloat16", True)])
def test_precision_is_a_setting_and_float32_on_a_cpu(squares, tmp_path, precision, mixed):
    trainer = Trainer(squares, TWO_STEPS.replace(precision=precision), tmp_path, device="cpu")

    assert trainer.networks.fresh().mixed is mixed
