import math

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from alnb.curves import charts
from alnb.curves.charts import NoPictureError, curve_figure, mean_and_range, photograph

ROWS = [
    {"cycle": 0, "cost_s": 120.0, "dice": 0.3},
    {"cycle": 1, "cost_s": 135.0, "dice": 0.5},
]


def test_a_curve_is_the_score_against_the_cost():
    curve = curve_figure({"entropy": ROWS}).data[0]

    assert (curve.x, curve.y) == ((120.0, 135.0), (0.3, 0.5))


def test_hovering_tells_cycle_seconds_and_score():
    curve = curve_figure({"entropy": ROWS}).data[0]

    assert curve.customdata == (0, 1)
    assert all(part in curve.hovertemplate for part in ("cycle %{customdata}", "%{x", "Dice %{y"))


def test_a_cycle_without_a_score_is_left_out():
    rows = [*ROWS, {"cycle": 2, "cost_s": 150.0, "dice": math.nan}, {"cycle": 3, "cost_s": 165.0}]

    assert curve_figure({"entropy": rows}).data[0].x == (120.0, 135.0)


def test_several_curves_have_a_legend_and_their_own_colours():
    figure = curve_figure({"entropy": ROWS, "random": ROWS})

    assert figure.layout.showlegend
    assert figure.data[0].line.color != figure.data[1].line.color


def test_a_page_of_it_needs_no_network(tmp_path):
    page = tmp_path / "curve.html"
    curve_figure({"entropy": ROWS}).write_html(page, include_plotlyjs=True)

    assert '<script src="http' not in page.read_text()


def test_curves_of_different_costs_are_averaged_as_steps():
    one = pd.DataFrame({"cost_s": [10.0, 30.0], "dice": [0.2, 0.4]})
    two = pd.DataFrame({"cost_s": [20.0, 40.0], "dice": [0.6, 0.8]})
    costs, mean, low, high = mean_and_range([one, two])

    assert costs.tolist() == [20, 30, 40]
    assert mean.tolist() == pytest.approx([0.4, 0.5, 0.6])
    assert (low.tolist(), high.tolist()) == ([0.2, 0.4, 0.4], [0.6, 0.6, 0.8])


# --- pages and pictures ---

PAGE = """<html><body style="margin:0"><script>
document.body.innerHTML = '<div style="background:#0072b2;width:50px;height:40px"></div>';
</script></body></html>"""


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "page.html"
    path.write_text(PAGE)
    return path


def test_a_picture_shows_what_scripts_draw_and_ends_below_it(page, tmp_path):
    try:
        charts.browser()
    except NoPictureError as error:
        pytest.skip(str(error))
    photograph(page, tmp_path / "page.png", (300, 200), scale=2)

    shot = np.asarray(Image.open(tmp_path / "page.png"))
    assert shot.shape == (2 * (40 + 24), 2 * 300, 3)
    assert (shot[:80, :100] == (0, 114, 178)).all()
    assert (shot[80:] == 255).all()


def test_without_a_browser_there_is_none(page, tmp_path, monkeypatch):
    monkeypatch.setattr(charts.shutil, "which", lambda _: None)

    with pytest.raises(NoPictureError, match="no Chrome, Chromium or Edge is installed"):
        photograph(page, tmp_path / "page.png", (300, 200))


def test_a_browser_that_draws_nothing_is_said(page, tmp_path, monkeypatch):
    monkeypatch.setattr(charts, "browser", lambda: "true")

    with pytest.raises(NoPictureError, match="true drew nothing"):
        photograph(page, tmp_path / "page.png", (300, 200))


def test_a_browser_that_hangs_is_said(page, tmp_path, monkeypatch):
    monkeypatch.setattr(charts, "browser", lambda: str(tmp_path / "slow"))
    (tmp_path / "slow").write_text("#!/bin/sh\nexec sleep 9\n")
    (tmp_path / "slow").chmod(0o755)
    monkeypatch.setattr(charts, "LIMIT_S", 0.1)

    with pytest.raises(NoPictureError, match=r"slow took more than 0 s"):
        photograph(page, tmp_path / "page.png", (300, 200))


def test_a_picture_that_finds_no_room_is_said_and_leaves_nothing(page, disk):
    try:
        charts.browser()
    except NoPictureError as error:
        pytest.skip(str(error))
    disk.fill()
    with pytest.raises(NoPictureError, match="there is no room for it"):
        photograph(page, disk.path / "page.png", (300, 200))

    assert [path.name for path in disk.path.iterdir()] == ["filler"]
