import json

import pytest
from benchmarks import browser_timing, imports, large, speed
from benchmarks.__main__ import app
from typer.testing import CliRunner

from alnb.errors import AlnbError


@pytest.fixture
def run():
    return lambda *words: CliRunner().invoke(app, words)


def test_what_the_app_takes_in_use_is_printed_as_it_is_found(run, monkeypatch):
    def found(data, answers):
        return [speed.Measure(f"over {answers} answers", 12.0, "ms", 300.0)]

    monkeypatch.setattr(browser_timing, "measure_use", found)

    assert "over 1000 answers" in run("browser").output
    assert json.loads(run("browser", "--answers", "7", "--json").output)[0]["limit"] == 300


@pytest.mark.parametrize(
    ("value", "unit", "limit", "missed"),
    [
        (300.0, "ms", 300.0, False), (301.0, "ms", 300.0, True), (9.0, "×", 10.0, True),
        (None, "s", 2.0, False),
    ],
)  # fmt: skip
def test_what_takes_too_long_fails(run, monkeypatch, value, unit, limit, missed):
    measured = [speed.Measure("the next region", value, unit, limit)]
    monkeypatch.setattr(browser_timing, "measure_use", lambda data, answers: measured)
    error = run("browser").exception

    assert isinstance(error, AlnbError) == missed
    assert not missed or "over the limit: the next region" in str(error)


def test_speed_prints_json(run, monkeypatch):
    monkeypatch.setattr(speed, "measure", lambda data: [speed.Measure("x", 1.5, "s", 2.0)])

    assert json.loads(run("speed", "--json").output)[0]["what"] == "x"


def test_a_large_dataset_is_made_of_a_small_one(monkeypatch):
    figures = [measure.what for measure in large.measure_large(scans=10)]

    assert figures[0] == "open 200 slices"
    assert len(figures) == 5


def test_the_memory_of_an_import_is_of_a_process_of_its_own(run, monkeypatch):
    monkeypatch.setattr(imports, "SHAPE", (32, 32, 3))
    figures = json.loads(run("memory", "--json").output)

    assert [one["what"] for one in figures] == [f"import of {kind}" for kind in imports.KINDS]
    assert all(0 < one["value"] < one["limit"] for one in figures)
    monkeypatch.setattr(imports, "KINDS", {"int16": imports.KINDS["int16"]})
    monkeypatch.setattr(imports, "LIMIT_MIB", 1)
    assert "over the limit: import of int16" in str(run("memory").exception)
