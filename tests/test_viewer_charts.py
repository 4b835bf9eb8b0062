import math

import pytest

from alnb.ui.viewer.charts import Charts, CurveChart

ROWS = [
    {"cycle": 0, "cost_s": 120.0, "dice": 0.3, "heldout_accuracy": 0.7},
    {"cycle": 1, "cost_s": 135.0, "dice": 0.5, "heldout_accuracy": 0.8},
]


@pytest.fixture
def charts():
    return Charts()


def test_each_cycle_is_a_point(charts):
    charts.show(ROWS)

    assert charts.figure.data[0].x == (120.0, 135.0)
    assert charts.figure.data[0].y == (0.3, 0.5)
    assert charts.figure.data[0].customdata == (0, 1)


def test_a_dataset_without_masks_has_another_score_and_says_so():
    charts = Charts("heldout_accuracy")
    charts.show(ROWS)

    assert charts.figure.data[0].y == (0.7, 0.8)
    assert charts.figure.layout.yaxis.title.text == "Held-out accuracy"


def test_a_hint_stands_where_no_point_is_yet(charts):
    charts.show([{"cycle": 0, "cost_s": 120.0, "dice": math.nan}])
    assert charts.figure.layout.annotations[0].visible is True

    charts.show(ROWS)
    assert charts.figure.layout.annotations[0].visible is False


def test_one_sample_is_seen_and_one_at_0_s_leaves_the_hint(charts):
    charts.show([], samples=[{"cost_s": 0.0, "dice": 0.0}])
    assert charts.figure.layout.annotations[0].visible is True
    assert charts.figure.layout.xaxis.autorange is False

    charts.show([], samples=[{"cost_s": 15.0, "dice": 0.2}])
    assert charts.figure.layout.annotations[0].visible is False
    assert charts.figure.data[2].mode == "markers"

    charts.show([], samples=[{"cost_s": 15.0, "dice": 0.2}, {"cost_s": 18.0, "dice": 0.3}])
    assert charts.figure.data[2].mode == "lines"


def test_the_hint_is_the_one_given_on_lines_that_fit(charts):
    charts.show([], "No point could be measured: that takes 10 answered regions, and more.")

    lines = charts.figure.layout.annotations[0].text.split("<br>")
    assert len(lines) == 2
    assert " ".join(lines).startswith("No point could be measured")


def test_a_point_at_the_top_is_drawn_whole(charts):
    charts.show([ROWS[0] | {"dice": 1.0}])

    assert charts.figure.data[0].cliponaxis is False


def test_the_loss_is_named_once_there_is_one(charts):
    assert charts.figure.layout.yaxis2.visible is False

    charts.show_losses([0.7])
    assert charts.figure.layout.yaxis2.visible is True


def test_the_losses_are_counted_by_step(charts):
    charts.show_losses([0.7, 0.4])

    assert charts.figure.data[1].x == (1, 2)
    assert charts.figure.data[1].y == (0.7, 0.4)


def test_a_page_that_asks_late_gets_the_points(charts):
    charts.show(ROWS)

    assert list(charts.figure.get_state()["_widget_data"][0]["x"]) == [120.0, 135.0]


@pytest.mark.parametrize(
    ("axis", "x", "words"),
    [("cost_s", 120, "nominal (s)"), ("measured_s", 50, "measured"), ("regions", 40, "Regions")],
)
def test_the_score_is_drawn_against_either_cost_or_regions(charts, axis, x, words):
    charts.axis = axis
    charts.show([{"cycle": 0, "cost_s": 120, "measured_s": 50, "regions": 40, "dice": 0.5}])

    assert charts.figure.data[0].x == (x,)
    assert words in charts.figure.layout.xaxis.title.text


def test_the_cycles_that_are_looked_at_are_ringed():
    chart = CurveChart(["one", "two"])
    chart.show([ROWS, ROWS[:1]], [1, 1])
    one, two, ring, none = chart.figure.data

    assert (one.name, two.name) == ("one", "two")
    assert one.y == (0.3, 0.5)
    assert (ring.x, ring.y) == ((135.0,), (0.5,))
    assert len(none.x) == 0


def test_the_axis_reaches_just_above_the_highest_score():
    chart = CurveChart(["one"])
    chart.show([ROWS], [0])

    assert chart.figure.layout.yaxis.range == (0, 0.6)


@pytest.mark.parametrize(
    ("scores", "axis"),
    [
        ([], (0, 1)), ([0.41, 0.62], (0.35, 0.65)), ([0.9, 1.0], (0.8, 1)), ([0.0], (0, 0.2)),
        ([0.7, 0.72], (0.6, 0.85)), ([0.1, 0.9], (0.05, 0.95)),
    ],
)  # fmt: skip
def test_the_axis_shows_the_range_of_the_scores(charts, scores, axis):
    charts.show([{"cycle": n, "cost_s": n, "dice": score} for n, score in enumerate(scores)])

    assert charts.figure.layout.yaxis.range == axis


def test_text_and_lines_grow_with_the_charts_box(charts):
    charts.show([], "A point appears here after each training.")
    sizes = []
    for size in ((300, 200), (352, 330), (531, 700), (900, 1100)):
        charts.resize(*size)
        layout = charts.figure.layout
        assert (layout.width, layout.height) == size
        lines = layout.annotations[0].text.split("<br>")
        assert max(map(len, lines)) * 0.5 * layout.font.size < size[0] - layout.margin.l
        sizes.append(layout.font.size)

    assert sizes == [13, 14, 22, 24]


def test_the_curve_has_all_the_height_until_there_is_a_loss(charts):
    charts.resize(400, 400)
    alone = charts.figure.layout.yaxis.domain[0]
    charts.show_losses([0.7, 0.4])

    assert charts.figure.layout.yaxis.domain[0] > alone + 0.1


def test_a_chart_of_runs_fills_its_box():
    chart = CurveChart(["one", "two"])
    chart.resize(600, 500)

    assert (chart.figure.layout.width, chart.figure.layout.height) == (600, 500)
    assert chart.figure.layout.font.size == 24
