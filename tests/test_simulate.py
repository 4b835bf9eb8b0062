import csv

import pytest
from fakes import FakeLearner, scan_of

from alnb.config import PAPER, Config
from alnb.dataset import Dataset, build, import_medseg
from alnb.errors import ConfigError, DataError, SessionError
from alnb.experiments.run import check_masks, simulate, why_ended
from alnb.journal import Journal
from alnb.reports import CURVE_COLUMNS
from alnb.state import state_of

CONFIG = Config(regions_per_slice=16, start_regions=6, regions_per_cycle=2)


def rows(folder):
    with (folder / "curve.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_run_leaves_a_journal_a_curve_and_a_page(tmp_path, squares):
    out = tmp_path / "run"
    simulate(squares, out, CONFIG, cycles=2, learner=FakeLearner(squares, CONFIG))

    assert [float(row["cost_s"]) for row in rows(out)] == [18, 24, 30]
    assert tuple(rows(out)[0]) == CURVE_COLUMNS
    assert (out / "journal.jsonl").is_file()
    page = (out / "curve.html").read_text(encoding="utf-8")
    assert "Dice (test)" in page
    assert "plotly.js v" in page


def test_a_run_that_is_done_goes_on_with_more_cycles(tmp_path, squares):
    learner = FakeLearner(squares, CONFIG)
    simulate(squares, tmp_path, CONFIG, cycles=1, learner=learner)
    simulate(squares, tmp_path, CONFIG, cycles=3, learner=learner)

    assert [row["cycle"] for row in rows(tmp_path)] == ["0", "1", "2", "3"]


def test_the_papers_start_costs_960_s_and_each_cycle_15(tmp_path, tmp_path_factory):
    scans = [scan_of(name, 8, 32, n) for n, name in enumerate("ab")]
    split = {"a": "train", "b": "test"}
    dataset = build(scans, tmp_path_factory.mktemp("paper") / "data", size=32, split=split)
    simulate(dataset, tmp_path, PAPER, cycles=2, learner=FakeLearner(dataset, PAPER))

    assert [float(row["cost_s"]) for row in rows(tmp_path)] == [960, 975, 990]


def test_the_same_seed_gives_the_same_curve_of_a_network(tmp_path, squares):
    config = CONFIG.replace(
        backbone="efficientnet_lite0", pretrain_steps=0, steps=2, batch=2, crop=32, draws=2
    )

    def curve(name, seed):
        reports = simulate(squares, tmp_path / name, config.replace(seed=seed), cycles=1)
        picks = [
            event.data["picks"]
            for event in Journal.open(tmp_path / name / "journal.jsonl").events
            if event.kind == "asked"
        ]
        return [(report.cost, report.scores, report.fit.loss) for report in reports], picks

    assert curve("one", 0) == curve("again", 0)
    assert curve("one", 0) != curve("other", 1)


def test_a_run_of_other_settings_is_said(tmp_path, squares):
    simulate(squares, tmp_path, CONFIG, cycles=0, learner=FakeLearner(squares, CONFIG))

    with pytest.raises(SessionError, match="seed 0, not 1"):
        simulate(squares, tmp_path, CONFIG.replace(seed=1))


@pytest.mark.parametrize("labels", ["points", "full"])
def test_a_run_that_was_stopped_errs_as_if_it_had_not_been(tmp_path, squares, labels):
    errors = {"miss_rate": 0.5, "wrong_rate": 0.2, "click_jitter_px": 2.0}
    config = CONFIG.replace(labels=labels, **errors)
    for cycles in (0, 1, 2):
        simulate(
            squares, tmp_path / "stopped", config, cycles=cycles,
            learner=FakeLearner(squares, config),
        )  # fmt: skip
    simulate(squares, tmp_path / "whole", config, cycles=2, learner=FakeLearner(squares, config))

    def answered(folder):
        events = Journal.open(folder / "journal.jsonl").events
        return [event.data for event in events if event.kind == "answered"]

    assert answered(tmp_path / "stopped") == answered(tmp_path / "whole")
    with pytest.raises(SessionError, match="miss_rate"):
        simulate(squares, tmp_path / "whole", config.replace(miss_rate=0.0))


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({}, ""),
        ({"budget_s": 20}, "the budget of 20 s is spent (18 s)"),
        (
            {"budget_s": 20, "labels": "full", "start_in_lungs": 0.0},
            "the next answer costs more than is left of the",
        ),
        ({"regions_per_cycle": 999}, "every region has been asked"),
    ],
)
def test_why_a_run_ended_is_told(tmp_path, squares, settings, why):
    config = CONFIG.replace(**settings)
    simulate(squares, tmp_path, config, cycles=3, learner=FakeLearner(squares, config))
    told = why_ended(state_of(Journal.open(tmp_path / "journal.jsonl").events), 3)

    assert told.startswith(why)
    assert bool(told) is bool(why)


def test_nobody_is_simulated_without_masks(unmasked):
    with pytest.raises(DataError, match="has no masks"):
        check_masks(unmasked)


def test_a_dataset_with_no_infected_slice_is_said(tmp_path):
    volume, mask = scan_of("one", 4, 32, 0)
    clean = build([(volume, mask * 0)], tmp_path / "clean", size=32, split={"one": "train"})

    with pytest.raises(DataError, match="none of its 4 train slices is infected"):
        simulate(clean, tmp_path / "run", CONFIG)


@pytest.mark.slow
def test_the_default_finds_infection_on_real_ct(shared, tmp_path):
    """Real slices, the default settings, half a minute of labelling."""
    dataset: Dataset = import_medseg(shared / "data" / "medseg", tmp_path / "data")
    reports = simulate(dataset, tmp_path / "run", Config(), cycles=1)

    assert reports[-1].cost.nominal_s == 30
    assert reports[-1].scores.dice > 0.5


def test_settings_that_no_network_has_leave_no_session(tmp_path, squares):
    with pytest.raises(ConfigError, match="backbone 'vgg' is unknown"):
        simulate(squares, tmp_path / "run", CONFIG.replace(backbone="vgg"), cycles=0)

    assert not (tmp_path / "run" / "journal.jsonl").exists()
