import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest import approx

from alnb.dataset import SliceId
from alnb.regions import Region
from alnb.ui.viewer.viewport import CLOSEST_PX, Viewport

SHAPE = (352, 352)
viewports = st.builds(
    Viewport, st.floats(0, 351), st.floats(0, 351), st.floats(CLOSEST_PX, 354)
)  # fmt: skip
places = st.floats(0, 351)


def test_a_viewport_shows_its_side_around_its_centre():
    assert Viewport(10, 20, 8).ranges == ([16, 24], [6, 14])


@given(viewports, st.floats(0.01, 100), places, places)
def test_zooming_never_leaves_the_slice(viewport, factor, row, col):
    near = viewport.zoomed(factor, row, col, SHAPE)

    assert CLOSEST_PX <= near.side <= 354
    assert 0 <= near.row <= 351
    assert 0 <= near.col <= 351


@given(viewports, st.floats(1.01, 4), places, places)
def test_enlarging_around_what_is_seen_keeps_it_in_its_place(viewport, factor, row, col):
    near = viewport.zoomed(factor, row, col, SHAPE)
    kept = near.side / viewport.side

    assert near.row - row == approx((viewport.row - row) * kept, abs=1e-6)
    assert near.col - col == approx((viewport.col - col) * kept, abs=1e-6)


@given(viewports, st.floats(-500, 500), st.floats(-500, 500))
def test_the_box_holds_what_is_seen_of_the_slice(viewport, rows, cols):
    seen = viewport.moved(rows, cols, SHAPE)
    (left, right), (top, bottom) = seen.ranges
    down, across = seen.box(SHAPE)

    assert down.start <= max(0, top + 0.5)
    assert down.stop >= min(352, bottom - 0.5)
    assert across.start <= max(0, left + 0.5)
    assert across.stop >= min(352, right - 0.5)


@pytest.mark.parametrize(
    ("corner", "columns", "rows"),
    [((160, 176), [143.5, 239.5], [127.5, 223.5]), ((0, 320), [254.5, 350.5], [-0.5, 95.5])],
)
def test_the_surroundings_of_a_region_end_with_the_slice(corner, columns, rows):
    region = Region(SliceId("scan", 0), *corner, 32, 32)

    assert Viewport.around(region, (351, 351), 3).ranges == (columns, rows)


def test_the_whole_of_a_slice_that_is_not_square_is_in_the_middle():
    assert Viewport.whole((4, 8)).ranges == ([-0.5, 7.5], [-2.5, 5.5])
