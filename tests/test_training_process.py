import io
import json
import os
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from alnb.config import Config
from alnb.cost import Cost
from alnb.oracle import Oracle
from alnb.posterior import Posterior
from alnb.regions import grid
from alnb.reports import FitReport
from alnb.session import Session
from alnb.storage import scores_path
from alnb.training.process import Commands
from alnb.training.trainer import Trainer

FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
ON_CPU = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 8 bytes")


def said(error, do="fit", **changes):
    """Say what a command fails with, on slices of 352 pixels."""

    def fail(*_given):
        raise error

    out = io.StringIO()
    commands = Commands(out)
    commands.trainer = SimpleNamespace(
        config=Config(batch=8, crop=128).replace(**changes),
        dataset=SimpleNamespace(size=352), fit=fail, evaluate=fail,
    )  # fmt: skip
    commands._make = lambda dataset, config: None
    commands.run({"do": do, "id": 1, "answers": [], "part": "test", "weights": ""})
    return json.loads(out.getvalue())["message"]


@pytest.mark.parametrize("error", [FULL, ON_CPU, MemoryError()], ids=["gpu", "cpu", "python"])
def test_out_of_memory_offers_half_the_batch(error):
    assert said(error) == (
        "the memory was too small for 8 pictures of 128×128 pixels at once. Every answer is "
        "saved. Press Train again: it then takes 4 pictures of 128×128 pixels at once, which "
        "learns slightly differently."
    )


@pytest.mark.parametrize(
    ("changes", "offer"),
    [
        ({}, "it then takes 1 picture of 64×64 pixels at once, which learns slightly differently."),
        ({"crop": 64}, "import the dataset with --size 176."),
        ({"crop": None}, "import the dataset with --size 176."),
    ],
    ids=["crops", "small crops", "whole slices"],
)
def test_a_batch_of_one_offers_a_smaller_crop_or_a_smaller_size(changes, offer):
    assert said(FULL, batch=1, **changes).endswith(offer)


def test_what_has_no_batches_offers_smaller_slices():
    message = said(FULL, do="evaluate")

    assert message.startswith("the memory was too small for slices of 352×352 pixels.")
    assert message.endswith("import the dataset with --size 176.")


def test_after_too_much_the_next_training_takes_half_and_the_journal_says_so(
    squares, tmp_path, monkeypatch
):
    out, sizes = io.StringIO(), []

    def fit(trainer, answers):
        sizes.append(trainer.config.batch)
        if sizes[-1] > 2:
            raise MemoryError
        return real(trainer, answers)

    real = Trainer.fit
    monkeypatch.setattr(Trainer, "fit", fit)
    commands = Commands(out)
    config = Config(pretrain_steps=0, regions_per_slice=4, steps=2, batch=8, crop=32)
    region = grid(squares.part("train")[0], (32, 32), 4)[0]
    answer = Oracle(squares).answer(region)
    commands.run({
        "do": "open", "id": 0, "dataset": str(squares.folder), "config": config.to_dict(),
        "cache": str(tmp_path / "cache"), "log_hint": "",
    })  # fmt: skip
    for number in (1, 2, 3):
        commands.run({"do": "fit", "id": number, "answers": [answer.to_dict()]})
    events = [json.loads(line) for line in out.getvalue().splitlines()]

    assert sizes == [8, 4, 2]
    assert [e["event"] for e in events if e["event"] != "progress"] == [
        "done", "failed", "failed", "done",
    ]  # fmt: skip
    session = Session.open(tmp_path / "session", squares, config)
    session.trained(FitReport.from_dict(events[-1]["fit"]), [answer], Cost())
    session.close()
    trained = json.loads((tmp_path / "session" / "journal.jsonl").read_text().splitlines()[-1])
    assert (trained["kind"], trained["fit"]["batch"], trained["fit"]["crop"]) == ("trained", 2, 32)


def test_what_else_fails_is_told_with_where_to_read_more():
    assert said(ValueError("boom\nat length")).startswith(
        "the training failed (boom). Every answer"
    )


def test_another_dataset_than_the_page_has_is_not_opened(squares, tmp_path):
    out = io.StringIO()
    what = {"dataset": str(squares.folder), "fingerprint": "of another", "cache": str(tmp_path)}
    Commands(out).run({"do": "open", "id": 1, "config": {}, "log_hint": "", **what})

    assert "another dataset is there now" in json.loads(out.getvalue())["message"]


def test_a_disk_without_room_is_said():
    assert "there is no room for it. Make room" in said(OSError(28, "No space left on device"))


def test_score_tables_of_old_networks_are_forgotten(tmp_path):
    commands = Commands(io.StringIO())
    commands.cache = tmp_path
    commands.trainer = SimpleNamespace(score=lambda slices, weights: {"path": np.zeros((1, 2))})
    for age, name in enumerate(["one", "two", "three"], 1):
        commands.run({"do": "score", "id": age, "slices": [["a", 0]], "weights": name})
        os.utime(scores_path(tmp_path, name), (age, age))
    commands.run({"do": "score", "id": 4, "slices": [["a", 0]], "weights": "four"})

    assert {file.name for file in tmp_path.iterdir()} == {"scores-three.npz", "scores-four.npz"}


def test_maps_are_made_once_and_those_of_old_networks_are_forgotten(tmp_path, monkeypatch):
    made = []

    def infection(slices, weights):
        made.extend((weights, where.z) for where in slices)
        return [(where, np.zeros((4, 4))) for where in slices]

    def predict(slices, weights):
        zeros = np.zeros((4, 4))
        return [(where, Posterior(zeros, zeros, 1)) for where in slices]

    monkeypatch.setattr("alnb.training.process.MAPS_KEPT", 2)
    commands = Commands(io.StringIO())
    commands.cache = tmp_path
    commands.trainer = SimpleNamespace(infection=infection, predict=predict)
    for weights, slices in (("old", [0, 1]), ("new", [0, 1]), ("new", [1, 0])):
        asked = [["a", z] for z in slices]
        commands.run({"do": "predict", "id": 1, "slices": asked, "weights": weights})
    commands.run({"do": "predict", "id": 2, "slices": [["a", 2]], "weights": "new"})

    assert made == [("old", 0), ("old", 1), ("new", 0), ("new", 1), ("new", 2)]
    assert sorted(file.name.split("-")[1] for file in tmp_path.iterdir()) == ["new"] * 3
