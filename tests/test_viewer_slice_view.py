import io
import re
from base64 import b64decode

import numpy as np
import pytest
from PIL import Image

from alnb.annotation import Click
from alnb.dataset import SliceId
from alnb.regions import Region, grid
from alnb.ui.viewer.drawing import NO_PATH
from alnb.ui.viewer.input import Press
from alnb.ui.viewer.slice_view import GAP_PX, Facts, SliceView, plan

WHERE = SliceId("scan_01", 23)
REGION = Region(WHERE, 132, 88, 44, 44)


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 256, (352, 352), dtype=np.uint8)


@pytest.fixture
def view():
    return SliceView((352, 352))


def picture(view, name):
    data = view._traces[name].source.split(",", 1)[1]
    return np.asarray(Image.open(io.BytesIO(b64decode(data))).convert("RGBA"))


def test_a_slice_as_large_as_its_panel_is_shown_as_it_is(view, image):
    view.show(image, REGION)

    assert (picture(view, "slice ct")[..., 0] == image).all()


@pytest.mark.parametrize("pixel", [(132, 88), (150, 110), (175, 131)])
def test_the_enlarged_region_lies_on_its_pixels(view, pixel):
    image = np.zeros((352, 352), np.uint8)
    image[pixel] = 255
    view.show(image, REGION)
    trace, fine = view._traces["region ct"], picture(view, "region ct")[..., 0].astype(float)
    rows, cols = np.indices(fine.shape)
    bright = fine / fine.sum()

    assert trace.y0 + trace.dy * (rows * bright).sum() == pytest.approx(pixel[0], abs=0.1)
    assert trace.x0 + trace.dx * (cols * bright).sum() == pytest.approx(pixel[1], abs=0.1)


def test_the_surroundings_of_the_region_are_dimmed(view):
    view.show(np.full((352, 352), 200, np.uint8), REGION)
    trace, fine = view._traces["region ct"], picture(view, "region ct")[..., 0]
    rows = trace.y0 + trace.dy * np.arange(fine.shape[0])
    cols = trace.x0 + trace.dx * np.arange(fine.shape[1])
    inside = np.array([[REGION.contains(row, col) for col in cols] for row in rows])

    assert (fine[inside] == 200).all()
    assert (fine[~inside] == 110).all()


def test_the_panel_is_centred_and_row_0_is_at_the_top(view, image):
    view.show(image, REGION)

    assert view.scale == pytest.approx(480 / (44 * 1.36))
    assert view.figure.layout.xaxis2.range == pytest.approx((79.58, 139.42))
    assert view.figure.layout.yaxis2.range == pytest.approx((183.42, 123.58))


def test_overlays_that_are_missing_are_clear(view, image):
    view.show(image, REGION, overlays={"entropy": np.full((352, 352), 0.6)})
    view.show(image, REGION, overlays={})

    assert picture(view, "slice entropy").shape == (1, 1, 4)
    assert picture(view, "slice entropy")[0, 0, 3] == 0


def test_clicks_are_drawn_where_they_were_set(view, image):
    view.show(image, REGION, clicks=[Click(140.25, 90.5), Click(150, 100, label=0)])

    assert view._traces["clicks infected"].x == (90.5,)
    assert view._traces["clicks infected"].y == (140.25,)
    assert view._traces["clicks background"].x == (100,)

    view.mark([])
    assert view._traces["clicks infected"].x == ()


def test_a_new_region_is_a_new_screen_and_the_same_one_is_not(view, image):
    view.show(image, REGION)
    view.show(image, REGION, clicks=[Click(140, 90)])
    assert view.screen == 1

    view.show(image, Region(WHERE, 0, 0, 44, 44))
    assert view.screen == 2
    assert view.figure.layout.meta["screen"] == 2


def test_what_was_outlined_in_a_region_goes_with_it(view, image):
    square = ((140, 90), (140, 100), (150, 100))
    empty = NO_PATH
    view.show(image, REGION)
    view.mark([], outlines=[square], picked=[REGION], predicted=[square])
    view.show_answers([REGION], [], [])
    view.show(image, REGION)
    assert empty not in [view._part(name).path for name in ("outlines", "picked", "predicted")]

    view.show(image, Region(WHERE, 0, 0, 44, 44))
    assert [view._part(name).path for name in ("outlines", "picked", "predicted")] == [empty] * 3
    assert view._part("infected").path != empty  # of the same slice

    view.show(image, Region(SliceId("scan_01", 24), 0, 0, 44, 44))
    assert view._part("infected").path == empty


def test_a_press_meant_for_the_last_region_is_dropped(view, image):
    events = []
    view.on_event(events.append)
    view.show(image, REGION)
    view.show(image, Region(WHERE, 0, 0, 44, 44))

    for screen in (1, 2):
        message = {"kind": "click", "id": 1, "x": 90.0, "y": 140.0, "screen": screen}
        view.tap._receive(view.tap, message, [])

    assert events == [Press(140.0, 90.0, 2)]


def test_an_overlay_is_explained_only_where_there_is_one(view, image):
    view.show(image, REGION, overlays={"prediction": image > 9})

    assert [note.visible for note in view.figure.layout.annotations[1:3]] == [True, False]


def test_hidden_overlays_keep_their_place_and_lose_their_key(view, image):
    view.show(image, REGION, overlays={"entropy": image / 400})
    view.set_overlays({"prediction"}, 0.3)

    assert view._traces["region entropy"].visible is False
    assert view._traces["slice prediction"].opacity == 0.3
    assert view.figure.layout.shapes[0].opacity == 0.3  # the grid
    assert view.figure.layout.annotations[2].visible is False


def test_a_prediction_over_entropy_is_only_an_outline(view, image):
    given = {"entropy": image / 400, "prediction": image > 9}
    ahead = view.encode(image, REGION, given)
    view.show(image, REGION, overlays=given, encoded=ahead)

    def inside(panel):
        return set(picture(view, f"{panel} prediction")[..., 3].ravel().tolist())

    assert inside("slice") == inside("region") == {0, 255}
    view.set_overlays({"prediction"}, 1)
    assert inside("slice") == inside("region") == {0, 89, 255}
    view.show(image, REGION, overlays=given, encoded=ahead)  # made before the entropy was hidden
    assert inside("region") == {0, 89, 255}


def test_a_region_with_a_mask_has_its_own_border(view, image):
    mask = np.eye(3, dtype=bool)
    view.show(image, Region(WHERE, 10, 10, 3, 3, mask=mask))

    assert view._part("border").path.count("M") == 8
    assert view._part("frame").path == view._part("border").path


def test_the_other_regions_are_a_grid(view, image):
    view.show(image, REGION, regions=grid(WHERE, (352, 352), 64))

    assert view._part("grid").path.count("M") == 64


def test_the_other_superpixels_are_drawn_by_their_borders(view, image):
    halves = np.tri(4, dtype=bool)
    regions = [Region(WHERE, 8, 8, 4, 4, mask=half) for half in (halves, ~halves)]
    view.show(image, regions[0], regions=regions)

    path = view._part("grid").path
    assert path.startswith("M7.5,7.5H11.5")  # along the top of both
    assert path.count("M") == 4 + 2 * 3  # their square, and three steps between them


def test_the_surroundings_of_a_shape_are_dimmed(view):
    region = Region(WHERE, 132, 88, 44, 44, mask=np.tri(44, dtype=bool))
    view.show(np.full((352, 352), 200, np.uint8), region)
    trace, fine = view._traces["region ct"], picture(view, "region ct")[..., 0]
    rows = trace.y0 + trace.dy * np.arange(fine.shape[0])
    cols = trace.x0 + trace.dx * np.arange(fine.shape[1])
    inside = np.array([[region.contains(row, col) for col in cols] for row in rows])

    assert (fine == np.where(inside, 200, 110)).all()


def test_nothing_is_left_after_clearing(view, image):
    view.show(image, REGION, clicks=[Click(140, 90)])
    view.clear()

    assert picture(view, "region ct").shape == (1, 1, 4)
    assert view._traces["clicks infected"].x == ()
    assert view.screen == 2


def test_a_page_that_asks_late_gets_the_figure_as_it_is(view, image):
    view.show(image, REGION, clicks=[Click(140, 90)])

    state = view.figure.get_state()

    shown = {trace["name"]: trace for trace in state["_widget_data"]}
    assert shown["slice ct"]["source"] == view._traces["slice ct"].source
    assert state["_widget_layout"]["meta"]["screen"] == 1
    assert state["_config"]["displayModeBar"] is False


@pytest.mark.parametrize(
    ("overlays", "message"),
    [
        ({"heat": np.zeros((352, 352))}, "overlay 'heat' is unknown"),
        ({"entropy": np.zeros((3, 3))}, r"entropy is \(3, 3\), the view \(352, 352\)"),
    ],
)
def test_an_overlay_that_does_not_fit_is_refused(view, image, overlays, message):
    with pytest.raises(ValueError, match=message):
        view.show(image, REGION, overlays=overlays)


def test_no_line_hides_what_it_surrounds(view):
    assert [view._part(n).line.width for n in ("grid", "border", "frame")] == [1, 2, 1.5]


# --- zoom, and what lies on the picture ---


def test_zooming_keeps_the_place_under_the_hand_and_stays_while_the_region_does(view, image):
    view.show(image, REGION)
    view.zoom(2, 140, 95)
    near = view.viewport
    view.show(image, REGION, overlays={"entropy": image / 400})

    assert view.viewport == near
    assert view.viewport.side == pytest.approx(44 * 1.36 / 2)
    left, right = view.figure.layout.xaxis2.range
    assert (95 - left) / (right - left) == pytest.approx((95 - 79.58) / (44 * 1.36))


def test_another_region_is_shown_as_it_would_be_at_first(view, image):
    view.show(image, REGION)
    view.zoom(2, 140, 95)
    view.show(image, Region(WHERE, 0, 0, 44, 44))
    view.show(image, REGION)

    assert view.viewport.side == pytest.approx(44 * 1.36)


def test_unzooming_shows_the_region_again(view, image):
    view.show(image, REGION)
    view.zoom(3, 140, 95)
    view.pan(40, -20)
    view.unzoom()

    assert view.figure.layout.xaxis2.range == pytest.approx((79.58, 139.42))
    assert view.figure.layout.yaxis2.range == pytest.approx((183.42, 123.58))


def test_what_is_panned_to_is_drawn(view, image):
    view.show(image, REGION)
    view.pan(100, 100)
    rows, cols = view.viewport.box((352, 352))
    trace, shape = view._traces["region ct"], picture(view, "region ct").shape

    assert trace.y0 <= rows.start
    assert trace.x0 <= cols.start
    assert trace.y0 + trace.dy * shape[0] >= rows.stop - 1
    assert trace.x0 + trace.dx * shape[1] >= cols.stop - 1


def test_pictures_made_ahead_are_those_that_would_be_made(view, image):
    overlays = {"entropy": image / 400, "mask": image > 200}
    ahead = view.encode(image, REGION, overlays)
    view.show(image, REGION, overlays=overlays)
    sources = [trace.source for trace in view.figure.data if trace.type == "image"]
    view.show(image, Region(WHERE, 0, 0, 44, 44))
    view.show(image, REGION, overlays=overlays, encoded=ahead)

    assert [trace.source for trace in view.figure.data if trace.type == "image"] == sources


def test_hidden_clicks_keep_their_place(view, image):
    view.show(image, REGION, clicks=[Click(140, 90)])
    view.set_overlays((), 0.4, hidden={"clicks", "grid"})

    assert view._traces["clicks infected"].visible is False
    assert view._traces["clicks infected"].x == (90,)
    assert view._part("grid").visible is False
    assert view._part("frame").visible is not False


def test_answers_lie_on_the_slice_and_on_a_whole_one_in_its_panel(view, image):
    first, second, *_ = grid(WHERE, (352, 352), 64)
    view.show(image, REGION)
    view.show_answers([first], [second], [Click(3, 4)])
    assert view._part("infected").path.count("M") == 1
    assert view._part("near infected").path == "M0,0Z"
    assert view._traces["clicks earlier"].y == (3,)

    view.show(image, Region(WHERE, 0, 0, 352, 352))
    view.show_answers([first], [second], [])
    assert view._part("near clean").path == view._part("clean").path != "M0,0Z"


def test_outlines_and_the_cursor_are_drawn(view, image):
    view.show(image, REGION)
    view.mark([], outlines=[((1, 2), (3, 4), (5, 2))], cursor=(140, 90.5))

    assert view._part("outlines").path == "M2,1L4,3L2,5Z"
    assert view._traces["cursor"].x == (90.5,)


# --- what is known of the slice ---


def facts(where=WHERE, **known):
    values = np.full((352, 352), where.z, np.int16)
    return Facts(where=where, place="slice 24 of 199", values=values, unit="HU", **known)


def noted(view, name):
    note = view.figure.layout.annotations[view._notes.index(name)]
    return note.text if note.visible else ""


def bar_px(view, panel):
    """How long a scale bar is, in pixels of the slice; None if there is none."""
    left, right = re.fullmatch(
        r"M([\d.-]+),.*?H([\d.-]+)V.*", view._part(f"{panel} bar").path
    ).groups()
    return float(right) - float(left)


def test_a_slice_is_named_under_its_picture_and_a_long_name_is_cut_short(view, image):
    view.show(image, REGION, facts=facts())
    assert noted(view, "place") == "<b>scan_01</b>, slice 24 of 199"

    long = SliceId("a_scan_with_<a>_very_long_name_of_a_hospital", 23)
    view.show(image, REGION, facts=facts(long))
    assert noted(view, "place") == "<b>a_scan_with_&lt;a&gt;_very_long_name…</b>, slice 24 of 199"
    view.resize(2450, 850)
    assert "of_a_hospital</b>" in noted(view, "place")


def test_the_patients_sides_are_named_where_they_are_known_and_only_there(view, image):
    view.show(image, REGION, facts=facts(oriented=True))
    letters = [noted(view, f"{panel} {side}") for panel in ("slice", "region") for side in "RL"]
    assert letters == ["R", "L", "R", "L"]
    right, left = (view.figure.layout.annotations[view._notes.index(f"slice {side}")].x
                   for side in "RL")  # fmt: skip
    assert right < left

    view.show(image, REGION, facts=facts())
    assert not any(noted(view, f"{panel} {side}") for panel in ("slice", "region") for side in "RL")


def test_a_scale_bar_is_as_long_as_it_says_in_both_panels_and_after_a_zoom(view, image):
    view.show(image, REGION, facts=facts(pixel_mm=0.8))
    assert noted(view, "slice scale") == "5 cm"
    assert bar_px(view, "slice") == pytest.approx(50 / 0.8, abs=0.01)
    assert noted(view, "region scale") == "1 cm"
    assert bar_px(view, "region") == pytest.approx(10 / 0.8, abs=0.01)

    view.zoom(3, 140, 95)
    assert noted(view, "region scale") == "2 mm"
    assert bar_px(view, "region") == pytest.approx(2 / 0.8, abs=0.01)


def test_a_scale_bar_stays_in_the_corner_when_the_picture_moves(view, image):
    view.show(image, REGION, facts=facts(pixel_mm=0.8))
    view.pan(-30, 12)
    view.resize(1349, 851)
    (_, right), (_, bottom) = view.viewport.ranges
    one = view.viewport.side / view.plan.panels["region"][2]
    path = view._part("region bar").path

    assert path.endswith("Z")
    at = list(map(float, re.findall(r"H([\d.-]+)V([\d.-]+)", path)[0]))
    assert at == pytest.approx([right - 10 * one, bottom - 10 * one], abs=0.01)


def test_no_scale_is_drawn_where_none_is_known(view, image):
    view.show(image, REGION, facts=facts(pixel_mm=0.8))
    view.show(image, REGION, facts=facts())

    assert noted(view, "slice scale") == noted(view, "region scale") == ""
    assert view._part("region bar").path == "M0,0Z"


def test_the_values_of_a_slice_are_sent_once_and_after_its_pictures(view, image):
    sent = []
    view.tap.observe(lambda _: sent.append(view.figure.layout.meta["values"]), "reading")
    view.show(image, REGION, facts=facts())
    assert np.frombuffer(view.tap.values, "<i2").tolist()[:2] == [23, 23]
    assert view.tap.reading["number"] == view.figure.layout.meta["values"] == 1
    view.show(image, Region(WHERE, 0, 0, 44, 44), facts=facts())
    view.show(image, Region(WHERE, 0, 0, 44, 44), facts=facts(SliceId("scan_01", 24)))
    assert np.frombuffer(view.tap.values, "<i2")[0] == 24
    view.clear()

    assert view.tap.values == b""
    assert sent == [1, 2, 3]


def test_nothing_is_said_of_a_slice_that_is_gone(view, image):
    view.show(image, REGION, facts=facts(pixel_mm=0.8, oriented=True, window="L 40 W 400"))
    assert noted(view, "window") == "L 40 W 400"
    view.clear("No region is left.")

    assert [note.text for note in view.figure.layout.annotations if note.visible] == [
        "No region is left."
    ]
    assert view._part("slice bar").path == "M0,0Z"


def test_another_window_changes_the_picture_of_ct_and_nothing_else(view, image):
    view.show(image, REGION, overlays={"entropy": image / 400}, facts=facts(oriented=True))
    view.zoom(2, 140, 95)
    brighter = np.minimum(image, 127) * 2
    sources = {trace.name: trace.source for trace in view.figure.data if trace.type == "image"}
    view.rewindow(brighter, "L 40 W 400")
    after = {trace.name: trace.source for trace in view.figure.data if trace.type == "image"}
    assert {name for name in sources if after[name] != sources[name]} == {"slice ct", "region ct"}
    assert noted(view, "window") == "L 40 W 400"
    assert (picture(view, "slice ct")[..., 0] == brighter).all()


def test_what_is_panned_to_is_seen_through_the_window_that_is_on(view):
    view.show(np.full((352, 352), 100, np.uint8), REGION, facts=facts())
    view.rewindow(np.full((352, 352), 200, np.uint8), "L 40 W 400")
    view.pan(100, 100)

    assert set(np.unique(picture(view, "region ct")[..., 0])) == {110}  # dimmed outside the region


def test_the_cursor_of_the_keys_is_told_to_what_reads_the_values(view, image):
    view.show(image, REGION, facts=facts())
    view.mark([], cursor=(140, 90.5))
    assert view.tap.cursor == [140, 90.5]
    view.mark([])
    assert view.tap.cursor == []


# --- the box that it fills ---


SIZES = [(848, 480), (888, 518), (684, 434), (1349, 851), (1810, 1211), (744, 461), (2450, 850)]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_its_panels_are_squares_that_fill_the_box_and_leave_room_under_the_slice(width, height):
    panels = plan(width, height).panels
    (left, top, small), (right, _, large) = panels["slice"], panels["region"]

    assert (left, top) == (0, 0)
    assert large > small
    assert small + GAP_PX == right
    assert right + large <= width
    assert large in (height, int(0.65 * (width - GAP_PX)))
    assert right + large in (width, width - 1) or small == height - 128


def test_a_box_of_another_size_moves_everything(view, image):
    view.show(image, REGION)
    pictures = view._traces["region ct"].source
    view.resize(1349, 851)
    layout, (left, _, side) = view.figure.layout, view.plan.panels["region"]

    assert (layout.width, layout.height) == (1349, 851)
    assert layout.xaxis2.domain == pytest.approx((left / 1349, (left + side) / 1349))
    assert layout.yaxis2.domain == pytest.approx((1 - side / 851, 1))
    assert view.scale == pytest.approx(side / (44 * 1.36))
    assert layout.xaxis2.range == pytest.approx((79.58, 139.42))
    assert view._traces["region ct"].source == pictures
    slice_side = view.plan.panels["slice"][2]
    assert view.spare[1] > slice_side
    assert view.spare[1] + view.spare[3] == 851
    assert layout.annotations[0].y == pytest.approx(1 - (slice_side + 6) / 851)
    assert layout.images[0].sizex == pytest.approx(36 / 1349)


def test_a_box_that_closes_moves_nothing(view):
    view.resize(3, 900)

    assert (view.figure.layout.width, view.figure.layout.height) == (848, 480)


def test_pixels_are_squares_where_that_is_asked_for(view, image):
    view.show(image, REGION, overlays={"entropy": image / 400, "mask": image > 200})
    smooth = [view._traces[f"region {name}"].zsmooth for name in ("ct", "entropy", "mask")]
    assert smooth == ["fast", "fast", False]

    view.smooth = False
    view.show(image, REGION, overlays={"entropy": image / 400})
    rows, cols = view.viewport.box((352, 352))
    drawn = picture(view, "region ct")[..., 0]
    inside = drawn[REGION.row - rows.start :, REGION.col - cols.start :][:44, :44]
    assert (inside == image[REGION.window]).all()
    assert view._traces["region ct"].zsmooth is view._traces["region entropy"].zsmooth is False
