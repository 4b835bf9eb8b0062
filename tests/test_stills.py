import io

import numpy as np
import pytest
from PIL import Image

from alnb.annotation import Click
from alnb.arrays import BACKGROUND, INFECTED, UNLABELLED
from alnb.dataset import SliceId
from alnb.regions import Region
from alnb.ui.stills import (
    CLICK_RGB,
    MASK_RGB,
    PREDICTION_RGB,
    SCALE,
    Line,
    Panel,
    Still,
    chart,
    picture,
)  # fmt: skip

GREY = np.full((16, 16), 100, np.uint8)
BLOCK = np.zeros((16, 16), bool)
BLOCK[4:12, 4:12] = True


def pixels(still):
    """Decode a picture, (H, W, 3)."""
    return np.asarray(Image.open(io.BytesIO(still.png)).convert("RGB"))


def seen(still, rgb):
    """Count the pixels of a colour."""
    return int((pixels(still) == rgb).all(axis=-1).sum())


def at(still, row, col, panel=0, size=16):
    """Read the colour in the middle of a slice's pixel."""
    left, top, side = still.places[panel]
    y, x = (
        int((begin + (n + 0.5) * side / size) * SCALE) for begin, n in ((top, row), (left, col))
    )
    return tuple(pixels(still)[y, x].tolist())


def test_a_slice_is_drawn_as_it_is():
    assert at(picture([Panel(title="CT", image=GREY)]), 8, 8) == (100, 100, 100)


def test_truth_is_a_line_and_a_prediction_an_area():
    truth = picture([Panel(title="truth", image=GREY, truth=BLOCK)])
    predicted = picture([Panel(title="predicted", image=GREY, predicted=BLOCK)])

    assert at(truth, 8, 8) == (100, 100, 100)
    assert at(predicted, 8, 8)[2] > 130
    assert at(predicted, 2, 2) == (100, 100, 100)


def test_three_classes_have_three_colours_and_no_scale():
    labels = np.full((16, 16), UNLABELLED, np.int8)
    labels[:, :8], labels[8, 12] = BACKGROUND, INFECTED
    still = picture([Panel(title="labels", image=GREY, labels=labels)])

    assert at(still, 8, 12) == CLICK_RGB
    assert at(still, 2, 12) == (100, 100, 100)
    assert at(still, 2, 2)[2] > at(still, 2, 2)[0]


def test_a_hotter_pixel_is_brighter():
    heat = np.linspace(0, 1, 256).reshape(16, 16)
    still = picture([Panel(title="heat", image=np.zeros_like(GREY), heat=heat)], heat="doubt")

    assert sum(at(still, 0, 0)) < sum(at(still, 8, 8)) < sum(at(still, 15, 15))


@pytest.mark.parametrize(("name", "rgb"), [("truth", MASK_RGB), ("predicted", PREDICTION_RGB)])
def test_the_legend_names_what_is_drawn_and_nothing_else(name, rgb):
    clear = np.zeros((16, 16), bool)

    assert seen(picture([Panel(title="x", image=GREY, **{name: clear})]), rgb) > 50
    assert seen(picture([Panel(title="x", image=GREY)]), rgb) == 0


def test_clicks_frames_and_marks_lie_where_they_are_set():
    region = Region(SliceId("scan", 0), 4, 4, 4, 4)
    panel = Panel(
        title="x", image=GREY, frames=[region], clicks=[Click(12, 12)], marks=[(2.0, 13.0)]
    )
    still = picture([panel])

    assert at(still, 12, 12) == (255, 45, 149)
    assert at(still, 5, 5) == (100, 100, 100)
    assert at(still, 2, 13) == (100, 100, 100)  # inside its ring


def test_long_titles_are_broken_and_panels_fall_into_rows():
    panels = [Panel(title="a title that is far too long for one line " * 2, image=GREY)] * 5
    still = picture(panels, columns=3)

    assert len(still.places) == 5
    assert still.places[3][1] > still.places[0][1] + still.places[0][2]
    assert pixels(still).shape[1] == still.width * SCALE


def test_a_point_is_found_in_its_panel():
    still = picture([Panel(title="a", image=GREY), Panel(title="b", image=GREY)])
    left, top, side = still.places[1]

    assert still.at(left + side / 4, top + side / 2) == (1, 0.5, 0.25)
    assert still.at(left - 1, top + 5) is None


def test_a_notebook_gets_a_png_with_its_width_and_words():
    png, look = picture([Panel(title="The truth", image=GREY)])._repr_png_()

    assert png.startswith(b"\x89PNG")
    assert look["width"] > 0
    assert "The truth" in look["alt"]


# --- curves ---


def rising(name="entropy", **look):
    return Line(name=name, x=[0, 10, 20], y=[0.0, 0.25, 0.5], **look)


def test_a_curve_runs_from_its_first_point_to_its_last():
    drawn = pixels(chart([rising()], title="t", x="s", y="Dice"))
    ys, xs = np.nonzero((drawn == (0, 114, 178)).all(axis=-1))
    plot = ys > 130  # below the legend

    assert ys[plot][xs[plot].argmin()] > ys[plot][xs[plot].argmax()] + 200  # it rises


def test_a_dashed_curve_has_gaps():
    blue = (0, 114, 178)
    whole, dashed = (chart([rising(dashed=d)], title="t", x="s", y="D") for d in (False, True))

    assert 0.3 < seen(dashed, blue) / seen(whole, blue) < 0.8


def test_points_that_are_not_known_are_left_out_and_the_end_is_said():
    line = Line(name="random", x=[0, 3, 6], y=[float("nan"), 0.1, 0.3])

    assert chart([line], title="t", x="s", y="Dice").alt == "Chart: t. random ends at 0.30"


@pytest.mark.parametrize(
    "lines", [[], [Line(name="you", x=[], y=[])], [Line(name="you", x=[0], y=[0])]]
)
def test_a_chart_without_a_curve_is_drawn(lines):
    assert isinstance(chart(lines, title="t", x="s", y="Dice"), Still)


def test_an_axis_may_begin_above_zero():
    lines = [Line(name="a", x=[0, 60], y=[0.55, 0.59])]

    assert (
        chart(lines, title="t", x="s", y="D", bottom=0.4).png
        != chart(lines, title="t", x="s", y="D").png
    )
