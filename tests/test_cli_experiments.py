import json

import pytest
from fakes import FakeLearner

from alnb.curves import charts
from alnb.experiments import engines, report
from alnb.experiments.plan import EXPERIMENTS

SMALL = ("--set", "regions_per_slice=16", "--set", "start_regions=6")


@pytest.fixture
def run(command_line, monkeypatch):
    """Run a command line that trains nothing; return its status, output and errors."""
    carry_out = engines.carry_out

    def faked(runs, dataset, **options):
        carry_out(runs, dataset, **(options | {"learner": FakeLearner}))

    monkeypatch.setattr(report, "carry_out", faked)
    monkeypatch.setattr(charts, "photograph", lambda _, png, size: png.write_bytes(b"picture"))

    return command_line


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_each_experiment_is_a_command(run, squares, tmp_path, name):
    words = ("bench", name, squares.folder, "--seeds", "0", "--out", tmp_path, "--quick", *SMALL)
    status, out, err = run(*words)

    assert (status, err) == (0, "")
    assert {f"{name}.csv", f"{name}.json", f"{name}.html", f"{name}.png"} <= {
        path.name for path in tmp_path.iterdir()
    }
    assert f"Next: alnb bench report {tmp_path}" in out
    assert json.loads((tmp_path / f"{name}.json").read_text())["command"].startswith(
        f"alnb bench {name} "
    )


def test_it_prints_a_line_a_cycle_with_the_time_left_and_what_the_runs_show(run, squares, tmp_path):
    words = ("bench", "fig5", squares.folder, "--seeds", "0,1", "--out", tmp_path, *SMALL)
    _, out, _ = run(*words, "--cycles", 1)

    assert out.count(": cycle") == 2 * 2 * 2
    assert "random, seed 1: cycle   1      33 s  Dice" in out
    assert "4 of 4 runs done" in out
    assert "between entropy and random" in out or "beats" in out
    assert run(*words, "--cycles", 1)[1].count(": cycle") == 0


def test_heuristics_that_are_named_are_compared(run, squares, tmp_path):
    words = ("--seeds", "0", "--out", tmp_path, "--cycles", 1, *SMALL)
    arms = "margin,least_confidence,foreground_random"
    status, out, err = run("bench", "fig5", squares.folder, *words, "--arms", arms)

    assert (status, err) == (0, "")
    assert "between margin and least_confidence" in out and "margin and foreground_random" in out
    assert run("bench", "report", tmp_path)[0] == 0


def test_the_upper_bound_is_priced_by_the_slice(run, squares, tmp_path):
    words = ("--seeds", "0", "--out", tmp_path, *SMALL)
    _, out, _ = run("bench", "upper-bound", squares.folder, *words)

    assert "upper bound, seed 0: cycle   0     768 s  Dice" in out


def test_what_was_made_quickly_says_so_and_is_no_bound(run, squares, tmp_path):
    words = (squares.folder, "--seeds", "0", "--out", tmp_path, *SMALL)
    run("bench", "fig5", *words, "--cycles", 1)
    share = "Share of the upper bound"

    _, out, _ = run("bench", "upper-bound", *words, "--quick")
    run("bench", "report", tmp_path)
    assert "Made with --quick" in out
    assert share not in (tmp_path / "report.html").read_text(encoding="utf-8")
    run("bench", "upper-bound", *words[:4], tmp_path / "whole", *SMALL)
    run("bench", "fig5", *words[:4], tmp_path / "whole", *SMALL, "--cycles", 1)
    run("bench", "report", tmp_path / "whole")
    assert share in (tmp_path / "whole" / "report.html").read_text(encoding="utf-8")


def test_the_report_prints_what_the_runs_show(run, squares, tmp_path):
    run("bench", "fig5", squares.folder, "--seeds", "0", "--out", tmp_path, "--cycles", 1, *SMALL)
    status, out, err = run("bench", "report", tmp_path)

    assert (status, err) == (0, "")
    assert "fig5: no difference can be shown between entropy and random" in out
    assert "1 seed, so no interval)" in out
    assert f"Written: {tmp_path / 'report.html'}" in out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--seeds", "a"), "give different numbers"),
        (("--jobs", "0"), "it must be at least 1"),
        (("--cluster", "local:2", "--jobs", "2"), "leave it out with --cluster"),
        (("--cluster", "nowhere"), "--cluster 'nowhere' can't be read; give local:N"),
        (("--preset", "papers"), "preset 'papers' is unknown"),
        (("--set", "nonsense=1"), "unknown setting nonsense"),
        (("--arms", "entropy,entropi"), "heuristic 'entropi' is unknown; there are entropy, bald"),
    ],
)
def test_what_can_not_be_is_a_sentence(run, squares, tmp_path, words, sentence):
    status, _, err = run("bench", "fig5", squares.folder, "--out", tmp_path, *words)

    assert status == 1
    assert err.startswith("alnb: ")
    assert sentence in err


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_dataset_without_masks_is_a_sentence(run, unmasked, tmp_path, name):
    status, _, err = run("bench", name, unmasked.folder, "--out", tmp_path)

    assert status == 1
    assert "has no masks, so no annotator can be simulated" in err


def test_a_stop_is_said_with_how_to_go_on(run, squares, tmp_path, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(report, "carry_out", stopped)
    status, _, err = run("bench", "fig5", squares.folder, "--out", tmp_path)

    assert status == 130
    assert err == "alnb: stopped. What was done is kept; the same command goes on.\n"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("nonsense", "--change 'nonsense' can't be read"),
        ("crf=0.1", "changes nothing"),
        ("foo=1", "unknown setting foo"),
    ],
)
def test_a_change_that_can_not_be_made_is_a_sentence(run, squares, tmp_path, change, said):
    words = ("--out", tmp_path, "--change", change)
    status, _, err = run("bench", "ablations", squares.folder, *words)

    assert status != 0 and said in err
