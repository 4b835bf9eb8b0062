import csv
import shutil

import numpy as np
import pytest
from fakes import FEW, FakeLearner, scan_of
from planned import small_runs

from alnb.config import PAPER, Config
from alnb.cost import Cost
from alnb.dataset import Dataset, build, import_medseg
from alnb.errors import ConfigError, DataError, SessionError
from alnb.experiments.engines import carry_out
from alnb.experiments.run import (
    Clock,
    check,
    check_masks,
    simulate,
    why_ended,
)
from alnb.journal import Journal
from alnb.reports import CURVE_COLUMNS, CycleReport, FitReport
from alnb.state import state_of

FIT = FitReport(
    weights="", backbone="", device="", steps=1, loss=0, threshold=0.5, heldout=0,
    heldout_accuracy=None, train_s=0,
)  # fmt: skip


# --- one run ---


def rows(folder):
    with (folder / "curve.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_run_leaves_a_journal_a_curve_and_a_page(tmp_path, squares):
    out = tmp_path / "run"
    simulate(squares, out, FEW, cycles=2, learner=FakeLearner(squares, FEW))

    assert [float(row["cost_s"]) for row in rows(out)] == [18, 24, 30]
    assert tuple(rows(out)[0]) == CURVE_COLUMNS
    assert (out / "journal.jsonl").is_file()
    page = (out / "curve.html").read_text(encoding="utf-8")
    assert "Dice (test)" in page
    assert "plotly.js v" in page


def test_a_run_that_is_done_goes_on_with_more_cycles(tmp_path, squares):
    learner = FakeLearner(squares, FEW)
    simulate(squares, tmp_path, FEW, cycles=1, learner=learner)
    simulate(squares, tmp_path, FEW, cycles=3, learner=learner)

    assert [row["cycle"] for row in rows(tmp_path)] == ["0", "1", "2", "3"]


def test_the_papers_start_costs_960_s_and_each_cycle_15(tmp_path, tmp_path_factory):
    scans = [scan_of(name, 8, 32, n) for n, name in enumerate("ab")]
    split = {"a": "train", "b": "test"}
    dataset = build(scans, tmp_path_factory.mktemp("paper") / "data", size=32, split=split)
    simulate(dataset, tmp_path, PAPER, cycles=2, learner=FakeLearner(dataset, PAPER))

    assert [float(row["cost_s"]) for row in rows(tmp_path)] == [960, 975, 990]


def test_the_same_seed_gives_the_same_curve_of_a_network(tmp_path, squares):
    config = FEW.replace(
        backbone="efficientnet_lite0", pretrain_steps=0, steps=2, batch=2, crop=32, draws=2
    )

    def curve(name, seed):
        reports = simulate(squares, tmp_path / name, config.replace(seed=seed), cycles=1)
        picks = [
            event.data["picks"]
            for event in Journal(tmp_path / name / "journal.jsonl").events
            if event.kind == "asked"
        ]
        return [(report.cost, report.scores, report.fit.loss) for report in reports], picks

    assert curve("one", 0) == curve("again", 0)
    assert curve("one", 0) != curve("other", 1)


def test_a_run_of_other_settings_is_said(tmp_path, squares):
    simulate(squares, tmp_path, FEW, cycles=0, learner=FakeLearner(squares, FEW))

    with pytest.raises(SessionError, match="seed 0, not 1"):
        simulate(squares, tmp_path, FEW.replace(seed=1))


@pytest.mark.parametrize("labels", ["points", "full"])
def test_a_run_that_was_stopped_errs_as_if_it_had_not_been(tmp_path, squares, labels):
    errors = {"miss_rate": 0.5, "wrong_rate": 0.2, "click_jitter_px": 2.0}
    config = FEW.replace(labels=labels, **errors)
    for cycles in (0, 1, 2):
        simulate(
            squares, tmp_path / "stopped", config, cycles=cycles,
            learner=FakeLearner(squares, config),
        )  # fmt: skip
    simulate(squares, tmp_path / "whole", config, cycles=2, learner=FakeLearner(squares, config))

    def answered(folder):
        events = Journal(folder / "journal.jsonl").events
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
            {"budget_s": 20, "labels": "full", "ask_in": "body"},
            "of the budget of 20 s, ",
        ),
        ({"regions_per_cycle": 999}, "every region has been asked"),
    ],
)
def test_why_a_run_ended_is_told(tmp_path, squares, settings, why):
    config = FEW.replace(**settings)
    simulate(squares, tmp_path, config, cycles=3, learner=FakeLearner(squares, config))
    told = why_ended(state_of(Journal(tmp_path / "journal.jsonl").events), 3)

    assert told.startswith(why)
    assert bool(told) is bool(why)


def test_without_masks_no_annotator_is_simulated(unmasked):
    with pytest.raises(DataError, match="has no masks"):
        check_masks(unmasked)


def test_a_dataset_with_no_infected_slice_is_said(tmp_path):
    volume, mask = scan_of("one", 4, 32, 0)
    clean = build([(volume, mask * 0)], tmp_path / "clean", size=32, split={"one": "train"})

    with pytest.raises(DataError, match="none of its 4 train slices is infected"):
        simulate(clean, tmp_path / "run", FEW)


@pytest.mark.slow
def test_the_default_finds_infection_on_real_ct(shared, tmp_path):
    """Real slices, made small, and half a minute of labelling."""
    dataset: Dataset = import_medseg(shared / "data" / "medseg", tmp_path / "data", size=128)
    reports = simulate(dataset, tmp_path / "run", Config(), cycles=1)

    assert reports[-1].cost.nominal_s == 30
    assert reports[-1].scores.dice > 0.6


def test_settings_that_no_network_has_leave_no_session(tmp_path, squares):
    with pytest.raises(ConfigError, match="backbone 'vgg' is unknown"):
        simulate(squares, tmp_path / "run", FEW.replace(backbone="vgg"), cycles=0)

    assert not (tmp_path / "run" / "journal.jsonl").exists()


# --- the runs of an experiment ---


def report(cycle, cost_s=0.0):
    return CycleReport(cycle=cycle, cost=Cost(cost_s), scores=None, fit=FIT, score_s=0)


def test_each_arm_and_seed_has_a_folder(squares, tmp_path):
    names = [str(run.folder.relative_to(tmp_path)) for run in small_runs(squares, tmp_path)]

    assert names == [
        "fig5/runs/entropy-0", "fig5/runs/random-0", "fig5/runs/entropy-1", "fig5/runs/random-1",
    ]  # fmt: skip


@pytest.mark.parametrize("mark", ["[]", "{}", '{"cycles": "2"}', "[" * 100_000, "\0"])
def test_a_spoilt_mark_of_the_end_is_none(squares, tmp_path, mark):
    (run, *_) = small_runs(squares, tmp_path)
    run.folder.mkdir(parents=True)
    (run.folder / "finished.json").write_text(mark)

    assert not run.finished


def test_other_settings_in_a_folder_are_said(squares, tmp_path):
    carry_out(small_runs(squares, tmp_path), squares, learner=FakeLearner)

    with pytest.raises(SessionError, match=r"other settings \(steps 150, not 7"):
        check(small_runs(squares, tmp_path, FEW.replace(steps=7)), squares)


def test_runs_of_another_alnb_are_not_gone_on_with(squares, tmp_path, monkeypatch):
    carry_out(small_runs(squares, tmp_path), squares, learner=FakeLearner)
    monkeypatch.setattr("alnb.__version__", "9.9")

    with pytest.raises(SessionError, match=r"was made by alnb 0\.\S+, and this is 9\.9"):
        check(small_runs(squares, tmp_path), squares)


def test_a_dataset_that_was_changed_is_said(squares, tmp_path):
    shutil.copytree(squares.folder, tmp_path / "data")
    path = next((tmp_path / "data" / "masks").glob("*.npy"))
    masks = np.load(path)
    np.save(path, 1 - masks)

    with pytest.raises(DataError, match="it was changed"):
        check(small_runs(squares, tmp_path), Dataset.open(tmp_path / "data"))


def test_a_dataset_without_masks_is_said_before_anything_runs(unmasked, tmp_path):
    with pytest.raises(DataError, match="has no masks"):
        check(small_runs(unmasked, tmp_path), unmasked)


def test_the_time_left_follows_from_what_was_done_since_the_start(squares, tmp_path):
    now = [100.0]
    (one, two, *_) = small_runs(squares, tmp_path, cycles=3)
    clock = Clock({one: 0.5, two: 0.0}, lambda: now[0])
    assert (clock.left_s, clock.left) == (None, "0 of 2 runs done")

    now[0] += 60
    clock.note(one, report(2))  # a quarter of a run in a minute
    assert clock.done == 0.75
    assert clock.left_s == pytest.approx(300)
    assert clock.left == "0 of 2 runs done, about 5 min left"

    now[0] += 3600
    clock.note(one, report(3))
    assert clock.left == "1 of 2 runs done, about 2 h 02 min left"


def test_a_run_with_a_budget_is_done_when_it_is_spent(squares, tmp_path):
    (run, *_) = small_runs(squares, tmp_path, FEW.replace(budget_s=100.0), cycles=99)

    assert run.share(4, 50.0) == 0.5
    assert run.share(9, 112.0) == 1.0
