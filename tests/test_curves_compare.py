import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fakes import FEW, FakeLearner

from alnb.acquisition import Pick
from alnb.annotation import Answer, Click, Verdict
from alnb.cost import Cost
from alnb.curves import charts, compare
from alnb.curves.compare import (
    Comparison,
    agreement_html,
    agreement_of,
    find_runs,
    group,
    names_of,
    natural_grouping,
    read_runs,
    summary_html,
    table_of,
    write,
)
from alnb.cycle import run
from alnb.errors import DataError, SessionError
from alnb.metrics import Scores
from alnb.oracle import Oracle
from alnb.pool import Pool, start_picks
from alnb.regions import grid
from alnb.reports import Sample
from alnb.session import Session


@pytest.fixture(scope="module")
def folder(four_runs):
    return four_runs


@pytest.fixture(scope="module")
def runs(folder):
    return read_runs(find_runs([folder]))


# --- finding and reading ---


def test_runs_are_found_below_the_folder_that_is_named(folder, runs):
    assert [run.name for run in runs] == ["entropy-0", "entropy-1", "random-0", "random-1"]
    assert find_runs([folder, folder / "random-0"]) == [run.folder for run in runs]


def test_runs_of_one_name_are_told_apart_by_their_folders(tmp_path):
    assert names_of([tmp_path / "a" / "run", tmp_path / "b" / "run"]) == ["a/run", "b/run"]
    assert names_of([tmp_path / "a", tmp_path / "b"]) == ["a", "b"]


def test_a_folder_without_runs_is_said(tmp_path):
    with pytest.raises(SessionError, match="holds no session"):
        find_runs([tmp_path])


def test_runs_of_different_datasets_are_not_compared(folder, unmasked, tmp_path):
    session = Session.open(tmp_path / "other", unmasked, FEW)
    session.close()

    with pytest.raises(DataError, match="different datasets"):
        read_runs([folder / "entropy-0", tmp_path / "other"])


def test_sessions_that_were_never_trained_have_no_curve(squares, tmp_path, folder):
    session = Session.open(tmp_path / "begun", squares, FEW)
    session.ask(start_picks(Pool(squares, FEW)))
    session.close()

    with pytest.raises(DataError, match="no curve to compare"):
        read_runs([tmp_path / "begun"])
    assert len(read_runs([tmp_path / "begun", folder / "entropy-0"])) == 1


def test_sessions_that_were_never_trained_are_drawn_answer_by_answer(squares, tmp_path, folder):
    for name, hits in (("anna", 2), ("ben", 6)):
        session = Session.open(tmp_path / name, squares, FEW)
        for n in range(3):
            session.sampled(
                Sample(weights="w", answers=n, slices=4, cost=Cost(nominal_s=3.0 * n, regions=n),
                       scores=Scores(tp=n * hits, fp=1, fn=9))
            )  # fmt: skip
        session.close()
    runs = read_runs([tmp_path / "anna", tmp_path / "ben"])
    comparison = Comparison(group(runs, natural_grouping(runs)))

    assert [len(run.rows) for run in runs] == [3, 3]
    assert comparison.common == (0.0, 6.0)
    assert [row["last"] for row in comparison.summary()] == pytest.approx(
        [8 / 18, 24 / 34], abs=1e-4
    )
    assert len(read_runs([tmp_path / "anna", folder / "entropy-0"])) == 1  # a training counts more


# --- grouping ---


def test_runs_whose_settings_differ_by_the_seed_alone_are_an_arm(runs):
    assert [run.arm for run in group(runs)] == ["entropy", "entropy", "random", "random"]
    assert natural_grouping(runs) == "settings"


def test_arms_are_called_by_what_they_differ_in(runs):
    changed = runs[1].state.config.replace(start_regions=8)
    object.__setattr__(other := read_runs([runs[1].folder])[0].state, "config", changed)
    pair = (runs[0], replace(runs[1], state=other))

    assert [run.arm for run in group(pair)] == ["start_regions 6", "start_regions 8"]


def test_people_who_share_a_dataset_are_grouped_by_run(runs):
    people = []
    for n in (1, 2):
        state = read_runs([runs[0].folder])[0].state
        changed = state.config.replace(share=n, shares=2, overlap=0.2)
        object.__setattr__(state, "config", changed)
        people.append(replace(runs[0], name=f"person-{n}", state=state))

    assert natural_grouping(group(people)) == "run"


def test_a_class_of_one_seed_is_grouped_by_run(runs):
    twice = (runs[0], replace(runs[0], name="anna"))

    assert natural_grouping(twice) == "run"
    assert [run.arm for run in group(twice, "run")] == ["entropy-0", "anna"]


# --- what is shown ---


def test_the_arms_are_compared_where_all_curves_run(runs):
    comparison = Comparison(group(runs))
    lines = comparison.conclusions()

    assert comparison.common == (18.0, 30.0)
    assert len(lines) == 2
    assert " at 30 s (" in lines[0]
    assert " in area up to 30 s (" in lines[1]
    assert all("2 seeds)" in line for line in lines)


def test_other_axes_have_their_units(runs):
    lines = Comparison(group(runs), "regions").conclusions()

    assert "at 10 regions" in lines[0]


def test_runs_without_measured_seconds_are_not_drawn_at_0(runs):
    comparison = Comparison(group(runs), "measured_s")

    assert comparison.traces() == []
    assert comparison.summary() == []
    assert comparison.conclusions() == ["no run has measured seconds: their answers are simulated"]


def test_runs_that_a_person_labelled_are_drawn_beside_them(runs):
    taken = tuple(
        replace(report, cost=replace(report.cost, measured_s=10.0 * report.cost.regions))
        for report in runs[0].state.reports
    )
    person = replace(runs[0], state=replace(runs[0].state, reports=taken), name="Ann")
    comparison = Comparison(group((person, runs[2]), "run"), "measured_s")

    assert [trace["name"] for trace in comparison.traces()] == ["Ann"]
    assert comparison.conclusions() == [
        f"not drawn, since their answers are simulated and took no time: {runs[2].name}",
        "only one arm is shown: Ann. Add runs to compare it with",
    ]


def moved(run, by_s):
    """The same run at another cost."""
    reports = tuple(
        replace(report, cost=replace(report.cost, nominal_s=report.cost.nominal_s + by_s))
        for report in run.state.reports
    )
    return replace(run, state=replace(run.state, reports=reports))


def test_curves_that_share_no_cost_say_where_they_end_and_begin(runs):
    comparison = Comparison(group((runs[0], moved(runs[2], 600))))

    assert comparison.conclusions() == [
        f"no difference can be shown: {runs[0].name} ends at 30 s, before {runs[2].name} begins at "
        "618 s"
    ]


def test_curves_that_share_a_point_are_compared_there(runs):
    comparison = Comparison(group((runs[0], moved(runs[2], 12))))
    (line,) = comparison.conclusions()

    assert comparison.common == (30.0, 30.0)
    assert "no difference can be shown between entropy and random at 30 s (" in line


@pytest.mark.parametrize(
    ("chosen", "by", "said"),
    [
        ((0, 1), "settings", "only one arm"),
        ((0, 1), "run", "they share no seed"),
        ((0, 0, 2), "settings", "several runs of one seed"),
    ],
)
def test_where_nothing_can_be_shown_it_is_said_why(runs, chosen, by, said):
    some = [replace(runs[i], name=f"run {n}") for n, i in enumerate(chosen)]

    assert said in Comparison(group(some, by)).conclusions()[0]


def test_the_summary_is_of_the_table(runs):
    comparison = Comparison(group(runs))
    table = table_of(group(runs))
    last = table[(table["arm"] == "entropy") & (table["cycle"] == 2)]["dice"]
    (entropy, _) = comparison.summary()

    assert entropy["runs"] == 2
    assert entropy["mean"] == pytest.approx(last.mean(), abs=1e-4)
    assert (entropy["low"], entropy["high"]) == (last.min(), last.max())
    assert entropy["last"] == pytest.approx(last.mean())
    assert 0 <= entropy["area"] <= 1


def test_without_a_common_part_the_summary_has_gaps(runs):
    comparison = Comparison(group((runs[0], moved(runs[2], 600))))

    assert math.isnan(comparison.summary()[0]["area"])
    assert "–" in summary_html(comparison)


def test_runs_are_read_once_however_much_is_shown_of_them(runs, monkeypatch):
    read = []
    monkeypatch.setattr(compare, "table_of", lambda runs: read.append(runs) or table_of(runs))
    comparison = Comparison(group(runs))
    comparison.traces(), comparison.layout(), comparison.conclusions(), comparison.summary()

    assert len(read) == 1


# --- drawing and saving ---


def test_an_arm_is_a_band_its_runs_and_their_mean(runs):
    traces = Comparison(group(runs)).traces()
    band, first, second, mean = traces[:4]

    assert len(traces) == 8
    assert band["fill"] == "toself"
    np.testing.assert_allclose(mean["y"], (np.array(first["y"]) + second["y"]) / 2)


def test_a_run_alone_is_a_curve_alone(runs):
    traces = Comparison(group(runs, "run")).traces()

    assert [trace["name"] for trace in traces] == [run.name for run in runs]


def test_figure_and_data_are_written(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(charts, "browser", _no_browser)
    lines = list(write(Comparison(group(runs)), tmp_path / "out"))

    table = pd.read_csv(tmp_path / "out" / "compare.csv")
    assert len(table) == 12
    assert {"run", "arm", "seed", "measured_s", "clicks"} <= set(table.columns)
    text = (tmp_path / "out" / "compare.html").read_text(encoding="utf-8")
    assert "between entropy and random" in text or "beats" in text
    assert "no Chrome" in lines[-1]


def test_a_spreadsheet_runs_nothing_of_a_runs_or_an_arms_name(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(charts, "browser", _no_browser)
    list(write(Comparison([replace(run, name="@x", arm="=1+1") for run in runs]), tmp_path))

    lines = (tmp_path / "compare.csv").read_text().splitlines()
    assert all(line.startswith("'@x,'=1+1,") for line in lines[1:])


def _no_browser():
    raise charts.NoPictureError("no Chrome, Chromium or Edge is installed")


def test_a_folder_that_can_not_be_written_is_said(runs, tmp_path):
    (tmp_path / "file").write_text("mine")

    with pytest.raises(SessionError, match="can't be written"):
        list(write(Comparison(group(runs)), tmp_path / "file" / "out"))


def test_the_command_writes_and_says_what_is_shown(folder, tmp_path, command_line, monkeypatch):
    monkeypatch.setattr(charts, "browser", _no_browser)
    status, out, _ = command_line("compare", folder, "--out", tmp_path / "out")

    assert status == 0
    assert " at 30 s (" in out and "2 seeds)" in out
    assert (tmp_path / "out" / "compare.csv").exists()


def test_a_class_of_twenty_has_a_look_each_and_is_told_what_is_not_said(runs):
    klass = tuple(replace(runs[0], name=f"student {n}") for n in range(20))
    comparison = Comparison(group(klass, "run"))
    looks = {(t["line"]["color"], t["line"]["dash"]) for t in comparison.traces()}

    assert len(looks) == 20
    assert comparison.conclusions()[-1].startswith("15 more are only in the table")


# --- people ---


@pytest.fixture
def people(squares, tmp_path):
    """Ann and Ben on the same four regions, each with a curve, and a run without a person."""
    for name, said in {"ann": "iicc", "ben": "icci"}.items():
        session = Session.open(tmp_path / name, squares, FEW)
        regions = grid(squares.part("train")[0], (32, 32), 16)[:4]
        session.ask([Pick(region, 1.0) for region in regions])
        for region, letter in zip(regions, said, strict=True):
            clicks = (Click(region.row, region.col),) if letter == "i" else ()
            verdict = Verdict.INFECTED if clicks else Verdict.CLEAN
            session.submit(Answer(region, verdict, clicks, 2.0, "<Ben>" if name == "ben" else ""))
        run(session, FakeLearner(squares, FEW), Oracle(squares), cycles=0)
        session.close()
    return tmp_path


def test_the_people_behind_sessions_are_compared(people, tmp_path, monkeypatch):
    monkeypatch.setattr(charts, "browser", _no_browser)
    read = read_runs(find_runs([people]))
    list(write(Comparison(group(read, "run")), tmp_path / "out"))

    pairs = pd.read_csv(tmp_path / "out" / "agreement.csv")
    assert pairs[["first", "second", "regions", "agreed"]].to_numpy().tolist() == [
        ["ann", "<Ben>", 4, 2]
    ]
    assert len(pd.read_csv(tmp_path / "out" / "annotators.csv")) == 2
    assert "<th>&lt;Ben&gt;</th><td>4</td><td>50 %</td>" in (
        tmp_path / "out" / "compare.html"
    ).read_text(encoding="utf-8")


def test_simulated_annotators_have_no_table_of_people(runs):
    assert agreement_of(runs) is None
    assert agreement_html(None) == ""
