import json
import math
import shutil
from html import escape

import pandas as pd
import pytest
from fakes import FakeLearner, scan_of

from alnb.config import Config
from alnb.curves import charts
from alnb.dataset import build
from alnb.errors import DataError, SessionError
from alnb.experiments import report
from alnb.experiments.plan import ABLATIONS, EXPERIMENTS, Options
from alnb.experiments.report import beside, caption_of, figure_of, share_rows
from alnb.experiments.results import COLUMNS, read, read_all

CONFIG = Config(regions_per_slice=16, start_regions=6, regions_per_cycle=2)
COMMAND = "alnb bench … DATA <here>"


def perform(name, dataset, out, config=CONFIG, seeds=(0, 1), **options):
    experiment = EXPERIMENTS[name](dataset, config, Options(quick=True, **options))
    return report.perform(experiment, dataset, out, seeds, command=COMMAND, learner=FakeLearner)


@pytest.fixture(scope="module")
def done(squares, tmp_path_factory):
    """All experiments on the squares."""
    out = tmp_path_factory.mktemp("results")
    for name in EXPERIMENTS:
        perform(name, squares, out)
    return out


def test_an_experiment_leaves_a_tidy_table(done):
    table = pd.read_csv(done / "fig5.csv")

    assert tuple(table.columns) == COLUMNS
    assert COLUMNS[:5] == ("experiment", "dataset", "arm", "seed", "cycle")
    assert len(table) == 2 * 2 * 6
    assert set(table["dataset"]) == {"squares"}
    entropy = table[(table["arm"] == "entropy") & (table["seed"] == 1)]
    assert entropy["cost_s"].tolist() == [18, 24, 30, 36, 42, 48]


def test_it_leaves_what_the_table_is_of(done, squares):
    facts = json.loads((done / "fig5.json").read_text())

    assert facts["command"] == COMMAND
    assert facts["dataset"]["fingerprint"] == squares.fingerprint
    assert (facts["network"], facts["device"]) == ("fake", "none")
    assert facts["seeds"] == [0, 1]
    assert facts["versions"].keys() >= {"alnb", "python", "torch"}
    assert facts["arms"]["random"]["config"]["heuristic"] == "random"
    assert "seed" not in facts["arms"]["random"]["config"]
    assert str(done.parent) not in json.dumps(facts)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_it_leaves_a_page_that_needs_no_network(done, name):
    page = (done / f"{name}.html").read_text(encoding="utf-8")

    assert "plotly.js v" in page
    assert '<script src="http' not in page
    assert "the seeds (0, 1)" in page


def test_the_upper_bound_costs_what_whole_slices_cost(done):
    table = pd.read_csv(done / "upper-bound.csv")

    assert table["cost_s"].tolist() == [8 * 96] * 2


def test_fewer_cycles_than_were_run_are_taken_of_the_curves(squares, tmp_path):
    perform("fig5", squares, tmp_path, cycles=3)
    result = perform("fig5", squares, tmp_path, cycles=1)

    assert set(result.table["cycle"]) == {0, 1}


def test_other_settings_leave_the_results_as_they_were(squares, tmp_path):
    perform("fig5", squares, tmp_path, cycles=1)
    before = (tmp_path / "fig5.json").read_text()

    with pytest.raises(SessionError, match="other settings"):
        perform("fig5", squares, tmp_path, CONFIG.replace(steps=3), cycles=1)
    assert (tmp_path / "fig5.json").read_text() == before


def test_results_read_back(done):
    result = read(done, "fig5")

    assert list(result.labels) == ["entropy", "random"]
    assert len(result.conclusions) == 3
    assert read(done, "fig0") is None
    assert list(read_all(done)) == list(EXPERIMENTS)


def test_broken_results_are_a_sentence(tmp_path):
    (tmp_path / "fig5.json").write_text("{")

    with pytest.raises(DataError, match="can't be read"):
        read(tmp_path, "fig5")


@pytest.mark.parametrize(
    ("file", "spoil"),
    [
        ("json", lambda text: "[]"),
        ("json", lambda text: "[" * 100_000),
        ("json", lambda text: text.replace('"arms"', '"legs"')),
        ("json", lambda text: text.replace('"slices"', '"slides"')),
        ("json", lambda text: text.replace('"experiment": "fig5"', '"experiment": "fig6"')),
        ("csv", lambda text: ""),
        ("csv", lambda text: text.replace("dice", "mice")),
        ("csv", lambda text: text.splitlines()[0]),
        ("csv", lambda text: text.replace("entropy", "bald")),
    ],
)
def test_spoilt_results_are_a_short_sentence(done, tmp_path, file, spoil):
    for ending in ("json", "csv"):
        shutil.copyfile(done / f"fig5.{ending}", tmp_path / f"fig5.{ending}")
    path = tmp_path / f"fig5.{file}"
    path.write_text(spoil(path.read_text()))

    with pytest.raises(DataError) as raised:
        report.write_report(tmp_path)
    assert len(str(raised.value).replace(str(tmp_path), "")) <= 300
    assert "alnb bench fig5 again" in str(raised.value)


def test_a_folder_without_results_is_a_sentence(tmp_path):
    with pytest.raises(DataError, match="holds no experiment"):
        report.write_report(tmp_path)


def test_results_on_different_datasets_are_not_put_on_a_page(squares, tmp_path):
    scans = [scan_of("a", 4, 32, 5), scan_of("b", 4, 32, 6)]
    other = build(scans, tmp_path / "other", size=32, split={"a": "train", "b": "test"})
    perform("fig5", squares, tmp_path / "out", cycles=1)
    perform("fig6", other, tmp_path / "out")

    with pytest.raises(DataError, match="on different datasets"):
        report.write_report(tmp_path / "out")


def test_the_report_holds_figures_conclusions_and_the_papers_numbers(done):
    path, conclusions = report.write_report(done)
    page = path.read_text(encoding="utf-8")

    assert page.count('class="plotly-graph-div"') == len(EXPERIMENTS)
    assert page.count("plotly.js v") == 1
    assert "0.511" in page
    assert "Dice 84 % on A-Mixed" in page
    assert "pseudo" not in page.split("</script>")[-1].lower()
    assert COMMAND.replace("<", "&lt;").replace(">", "&gt;") in page
    assert len(conclusions) == 3 + 3 + 3 + 3 + len(ABLATIONS)
    assert all(escape(line.split(": ", 1)[1]) in page for line in conclusions)


def test_what_the_masks_are_is_said_first(tmp_path):
    scans = [scan_of("a", 4, 32, 5), scan_of("b", 4, 32, 6)]
    split = {"a": "train", "b": "test"}
    dataset = build(scans, tmp_path / "covid", size=32, split=split, pseudo_masks=True)
    result = perform("fig5", dataset, tmp_path / "out", cycles=1)
    page = report.write_report(tmp_path / "out")[0].read_text(encoding="utf-8")

    body = page.split("<main>")[1]
    assert body.index("masks are pseudo-labels") < body.index("What the runs show")
    assert "against pseudo-labels" in caption_of(result)


def test_the_bound_stands_beside_what_is_reached_of_it(done):
    results = read_all(done)
    bound = results["upper-bound"].table["dice"].mean()
    rows = list(share_rows(results))
    first = next(row for row in rows if row[:2] == ("Figure 5", "entropy"))
    curve = results["fig5"].table
    dice = curve[(curve["arm"] == "entropy") & (curve["cycle"] == 0)]["dice"].mean()

    assert first == (
        "Figure 5", "entropy", "18 s", f"{18 / 768:.1%}", f"{dice:.3f}", f"{dice / bound:.0%}",
    )  # fmt: skip
    assert any(row[0] == "Figure 7" for row in rows)
    assert any("7 % of its effort" in paper for _, paper, _ in beside(results))


def test_who_errs_has_a_curve_below_the_bound_in_the_report(done):
    result = read(done, "imperfect")
    page = report.write_report(done)[0].read_text(encoding="utf-8")
    section = page.split("<h2>An annotator who errs against one who never does</h2>")[1]

    assert list(result.labels) == ["perfect", "imperfect"]
    assert "upper bound " in section.split("<h2>")[0]
    assert "gives the other verdict in 5% of the cases" in section
    assert (
        "An annotator who errs",
        "its simulated annotator never errs",
        result.conclusions[-1],
    ) in [*beside(read_all(done))]


def test_without_the_bound_no_share_is_told(squares, tmp_path):
    perform("fig5", squares, tmp_path, cycles=1)

    assert list(share_rows(read_all(tmp_path))) == []
    assert "upper bound" not in report.write_report(tmp_path)[0].read_text().split("</script>")[-1]


def test_seeds_are_thin_their_mean_is_thick_and_a_band_holds_them(done):
    result = read(done, "fig5")
    band, *thin, mean = figure_of(result).data[:4]
    curves = [[*line.y] for line in thin]

    assert [line.name for line in thin] == ["entropy, seed 0", "entropy, seed 1"]
    assert all(line.line.width < mean.line.width for line in thin)
    assert [*mean.y] == pytest.approx([sum(pair) / 2 for pair in zip(*curves, strict=True)])
    highest = [max(pair) for pair in zip(*curves, strict=True)]
    assert [*band.y][: len(highest)] == pytest.approx(highest)


def test_a_start_alone_is_drawn_as_bars(done):
    bars, dots = figure_of(read(done, "fig6")).data

    assert bars.type == "bar"
    assert [label.split("<br>")[0] for label in bars.x] == ["K = 4", "K = 16", "K = 64"]
    assert len(dots.y) == 3 * 2
    assert not any(map(math.isnan, bars.y))


def test_the_bound_is_a_line_in_the_figure(done):
    (line,) = figure_of(read(done, "fig5"), bound=0.8).layout.shapes

    assert line.y0 == line.y1 == 0.8


def test_a_picture_that_can_not_be_drawn_is_a_sentence(done, monkeypatch):
    def none():
        raise charts.NoPictureError("no Chrome, Chromium or Edge is installed")

    monkeypatch.setattr(charts, "browser", none)

    assert charts.write_picture(done / "fig5.html", report.PICTURE) == (
        "fig5.png could not be drawn: no Chrome, Chromium or Edge is installed. The page "
        "fig5.html holds everything."
    )
