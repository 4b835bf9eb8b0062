import numpy as np
import pytest

from alnb.annotation import Click
from alnb.dataset import SliceId
from alnb.regions import Region, grid
from alnb.ui.viewer.drawing import NO_PATH, NOTHING
from alnb.ui.viewer.pair_view import PairView, Panel

REGION = Region(SliceId("scan", 3), 16, 0, 8, 8)
IMAGE = np.arange(32 * 32, dtype=np.uint32).reshape(32, 32).astype(np.uint8)
LAYERS = {"entropy": IMAGE / 400, "prediction": IMAGE > 100, "mask": IMAGE > 200}
ALL = frozenset({"entropy", "prediction", "mask", "grid"})


@pytest.fixture
def view():
    return PairView((32, 32))


def trace(view, name):
    return next(trace for trace in view.figure.data if trace.name == name)


def show(view, left, right=None, visible=ALL, opacity=0.5, zoom=False):
    view.show(left, right or Panel("other"), visible, opacity, zoom=zoom)


def panel(**changes):
    given = {"image": IMAGE, "region": REGION, "layers": LAYERS} | changes
    return Panel("title", **given)


def test_each_side_has_its_pictures_frame_and_clicks(view):
    show(view, panel(clicks=[Click(18, 2), Click(19, 3, 0)]), panel(region=None, layers={}))

    assert all(trace(view, f"left {name}").source != NOTHING for name in ("ct", *LAYERS))
    assert trace(view, "right ct").source != NOTHING
    assert trace(view, "right entropy").source == NOTHING
    assert (trace(view, "left clicks infected").x, trace(view, "left clicks background").x) == (
        (2.0,),
        (3.0,),
    )
    assert len(trace(view, "right clicks infected").x) == 0
    shapes = view.figure.layout.shapes
    assert shapes[1].path == "M-0.5,15.5L7.5,15.5L7.5,23.5L-0.5,23.5Z"
    assert shapes[4].path == NO_PATH


def test_each_side_has_its_outlines(view):
    show(view, panel(), panel(outlines=[((1, 2), (1, 6), (5, 6))]))

    shapes = view.figure.layout.shapes
    assert (shapes[2].path, shapes[5].path) == (NO_PATH, "M2,1L6,1L6,5Z")


def test_what_is_switched_off_is_not_drawn(view):
    regions = grid(REGION.where, (32, 32), 16)
    show(view, panel(regions=regions), visible={"mask"})

    assert trace(view, "left entropy").source == NOTHING
    assert trace(view, "left mask").source != NOTHING
    assert view.figure.layout.shapes[0].path == NO_PATH
    show(view, panel(regions=regions))
    assert view.figure.layout.shapes[0].path != NO_PATH


def test_the_opacity_is_that_of_the_entropy(view):
    show(view, panel(), opacity=0.3)

    assert trace(view, "left entropy").opacity == 0.3
    assert trace(view, "left prediction").opacity == 1


def test_zoomed_it_shows_the_surroundings_and_nothing_beyond_the_slice(view):
    show(view, panel(), zoom=True)
    layout = view.figure.layout

    assert layout.xaxis.range == (-0.5, 23.5)  # three sides of the region, from the edge on
    assert layout.yaxis.range == (31.5, 7.5)
    assert layout.xaxis2.range == (-0.5, 31.5)


def test_a_region_with_a_shape_is_framed_by_its_outline(view):
    shape = np.eye(8, dtype=bool)
    region = Region(REGION.where, 0, 0, 8, 8, mask=shape)
    show(view, panel(region=region))

    assert view.figure.layout.shapes[1].path.count("M") > 4


def test_a_note_stands_where_there_is_nothing_to_see(view):
    show(view, Panel("title", note="nothing was asked"))
    notes = view.figure.layout.annotations

    assert (notes[0].text, notes[1].text, notes[1].visible) == ("title", "nothing was asked", True)
    assert trace(view, "left ct").source == NOTHING


@pytest.mark.parametrize("size", [(900, 500), (1400, 400)])
def test_its_panels_are_as_large_as_their_box_allows(view, size):
    view.resize(*size)
    sides = view.plan.panels.values()
    layout = view.figure.layout

    assert max(left + side for left, _, side in sides) in (size[0], 2 * 374 + 16)
    assert (layout.width, layout.height) == size
    assert layout.xaxis2.domain[0] * size[0] == layout.annotations[2].x * size[0] > 374
