import io
import json
from types import SimpleNamespace

import pytest
import torch

from alnb.config import Config
from alnb.training.__main__ import Commands, Wire

FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
ON_CPU = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 8 bytes")


def said(error, do="fit", **changes):
    """Say what a command fails with, on slices of 352 pixels."""

    def fail(*_given):
        raise error

    out = io.StringIO()
    commands = Commands(Wire(out))
    commands.trainer = SimpleNamespace(
        config=Config(batch=8, crop=128).replace(**changes),
        dataset=SimpleNamespace(size=352), fit=fail, evaluate=fail,
    )  # fmt: skip
    commands.run({"do": do, "id": 1, "answers": [], "part": "test", "weights": ""})
    return json.loads(out.getvalue())["message"]


@pytest.mark.parametrize("error", [FULL, ON_CPU, MemoryError()], ids=["gpu", "cpu", "python"])
def test_out_of_memory_offers_half_the_batch(error):
    assert said(error) == (
        "the memory was too small for 8 pictures of 128×128 pixels at once. Every answer is "
        "saved. Close other programs and train again; if that does not help, start a session with "
        "--set batch=4."
    )


@pytest.mark.parametrize(
    ("changes", "offer"),
    [
        ({}, "start a session with --set crop=64."),
        ({"crop": 64}, "import the dataset with --size 176."),
        ({"crop": None}, "import the dataset with --size 176."),
        ({"freeze": "trunk"}, "import the dataset with --size 176."),
    ],
    ids=["crops", "small crops", "whole slices", "a frozen trunk"],
)
def test_a_batch_of_one_offers_a_smaller_crop_or_a_smaller_size(changes, offer):
    assert said(FULL, batch=1, **changes).endswith(offer)


def test_what_has_no_batches_offers_smaller_slices():
    message = said(FULL, do="evaluate")

    assert message.startswith("the memory was too small for slices of 352×352 pixels.")
    assert message.endswith("import the dataset with --size 176.")


def test_what_else_fails_is_told_with_where_to_read_more():
    assert said(ValueError("boom\nat length")).startswith(
        "the training failed (boom). Every answer"
    )
