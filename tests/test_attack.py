import contextlib
import json
import os

import pytest

from tests.attack import mutate
from tests.attack.faults import faults
from tests.attack.kills import rounds
from tests.attack.run import Outcome, attempt, run, table
from tests.attack.targets import TARGETS

SEEDS = range(6)  # of each target; `python -m tests.attack --hours 1` takes fresh ones


def test_what_is_spoilt_is_read_or_refused_in_a_sentence():
    outcomes = list(run([(name, seed) for name in TARGETS for seed in SEEDS]))

    assert len(outcomes) == len(TARGETS) * len(SEEDS)
    assert [outcome for outcome in outcomes if not outcome.held] == []


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_not_spoilt_is_read(monkeypatch, name):
    for spoil in ("in_bytes", "dicom_element", "png_header", "jpeg_size"):
        monkeypatch.setattr(mutate, spoil, lambda rng, content: content)
    monkeypatch.setattr(mutate, "header_field", lambda rng, header: None)
    monkeypatch.setattr(mutate, "json_value", lambda rng, value: json.dumps(value))
    monkeypatch.setattr(mutate, "lines", lambda rng, good: "".join(f"{line}\n" for line in good))
    monkeypatch.setattr(mutate, "table", lambda rng, text: text.encode())
    monkeypatch.setattr(mutate, "a_zip", lambda rng: b"")
    monkeypatch.setattr(mutate, "an_argument", lambda rng: "")
    monkeypatch.setattr(mutate, "a_setting", lambda rng, names: "steps=3")

    assert {attempt(name, seed).ended for seed in range(2)} == {"read"}


def test_a_process_that_is_killed_loses_nothing_that_it_acknowledged():
    ended = list(rounds(8, seed=0))

    assert len(ended) == 8
    assert [outcome for outcome, _ in ended if not outcome.held] == []
    assert sum(answers for _, answers in ended) > 0


def test_a_disk_that_refuses_keeps_what_was_acknowledged_and_nothing_else(disk, monkeypatch):
    ended = list(faults(30, seed=0))
    assert len(ended) >= 30
    assert [outcome for outcome in ended if not outcome.held] == []

    def careless(descriptor, content):  # leaves a part, and tells nobody
        with contextlib.suppress(OSError):
            os.write(descriptor, content)

    for place in ("journal", "storage"):
        monkeypatch.setattr(f"alnb.{place}.write_all", careless)
    assert any(outcome.ended == "lost" for outcome in faults(30, seed=0))


def test_what_does_not_hold_is_told_and_counted():
    outcomes = [
        Outcome("nifti", 0, "read"),
        Outcome("nifti", 1, "refused"),
        Outcome("nifti", 2, "KeyError"),
    ]

    assert [outcome.held for outcome in outcomes] == [True, True, False]
    assert table(outcomes).splitlines()[1].split() == ["nifti", "3", "1", "1", "1"]
