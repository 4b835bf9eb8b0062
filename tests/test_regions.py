import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from alnb.annotation import Click
from alnb.dataset import SliceId
from alnb.errors import ConfigError, DataError
from alnb.regions import Region, bare, grid, grid_shape, in_lungs, lung_like

HERE = SliceId("scan_01", 23)


def times_covered(regions, shape):
    covered = np.zeros(shape, int)
    for region in regions:
        region.pixels(covered)[...] += 1
    return covered


@pytest.mark.parametrize("k", [1, 4, 9, 16, 36, 64, 81])
@pytest.mark.parametrize("shape", [(352, 352), (351, 353), (97, 61)])
def test_a_grid_covers_every_pixel_once(k, shape):
    regions = grid(HERE, shape, k)

    assert len(regions) == k
    assert (times_covered(regions, shape) == 1).all()


@given(k=st.integers(1, 100), height=st.integers(100, 400), width=st.integers(100, 400))
def test_any_number_of_regions_covers_any_slice_once(k, height, width):
    regions = grid(HERE, (height, width), k)

    assert len(regions) == k
    assert (times_covered(regions, (height, width)) == 1).all()


@given(k=st.integers(1, 81), height=st.integers(81, 400), width=st.integers(81, 400))
def test_the_sides_of_a_grid_differ_by_one_pixel_at_most(k, height, width):
    regions = grid(HERE, (height, width), k)

    for side in ("height", "width"):
        sides = {getattr(region, side) for region in regions}
        assert max(sides) - min(sides) <= 1


def test_the_papers_grid_is_eight_by_eight_of_44_pixels():
    regions = grid(HERE, (352, 352), 64)

    assert grid_shape(64, (352, 352)) == (8, 8)
    assert {(region.height, region.width) for region in regions} == {(44, 44)}
    assert regions[27].key == "scan_01/23/132,132,44,44"


def test_more_regions_than_pixels_is_said():
    with pytest.raises(ConfigError, match="fewer regions"):
        grid(HERE, (4, 4), 64)


def test_no_regions_is_said():
    with pytest.raises(ConfigError, match="at least 1"):
        grid(HERE, (4, 4), 0)


@given(scan=st.text(min_size=1), z=st.integers(0, 999), box=st.tuples(*[st.integers(1, 400)] * 4))
def test_a_key_reads_back_whatever_the_scan_is_called(scan, z, box):
    region = Region(SliceId(scan, z), *box)

    assert Region.parse(region.key) == region


@pytest.mark.parametrize("key", ["", "scan/1", "scan/x/0,0,1,1", "scan/1/0,0,1", "scan/1/0,0,0,1"])
def test_a_key_that_names_no_region_is_said(key):
    with pytest.raises(DataError, match="region"):
        Region.parse(key)


def test_a_region_contains_its_pixels_to_their_edges():
    region = Region(HERE, 10, 20, 5, 5)

    assert region.contains(9.5, 19.5)
    assert region.contains(14.49, 24.49)
    assert not region.contains(14.5, 22)
    assert not region.contains(12, 19.4)


def test_a_shaped_region_contains_its_mask_alone():
    region = Region(HERE, 10, 20, 2, 2, mask=np.array([[True, False], [True, True]]))

    assert region.contains(10, 20)
    assert not region.contains(10, 21)
    assert region.pixels(np.arange(900).reshape(30, 30)).tolist() == [320, 350, 351]


def test_a_mask_of_another_shape_is_said():
    with pytest.raises(DataError, match="mask"):
        Region(HERE, 0, 0, 2, 2, mask=np.ones((3, 2), bool))


def test_a_mask_without_a_pixel_is_said():
    with pytest.raises(DataError, match="no pixel"):
        Region(HERE, 0, 0, 2, 2, mask=np.zeros((2, 2), bool))


shapes = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=9)).filter(np.any)


def test_a_shape_is_named_by_its_runs_down_the_columns():
    mask = np.array([[False, True, True], [True, True, False]])
    region = Region(HERE, 5, 6, 2, 3, mask=mask)

    assert region.key == "scan_01/23/5,6,2,3,1-4-1"
    assert Region(HERE, 5, 6, 2, 3, mask=~mask).key == "scan_01/23/5,6,2,3,0-1-4-1"


@given(shapes)
def test_a_shapes_key_reads_back_pixel_for_pixel(mask):
    region = Region(HERE, 3, 4, *mask.shape, mask=mask)
    again = Region.parse(region.key)

    assert again == region
    assert (again.drawn((20, 20)) == region.drawn((20, 20))).all()


@given(shapes, st.data())
def test_regions_in_one_rectangle_are_equal_if_their_masks_are(mask, data):
    other = data.draw(arrays(bool, mask.shape).filter(np.any))
    regions = [Region(HERE, 0, 0, *mask.shape, mask=m) for m in (mask, other)]

    assert (regions[0] == regions[1]) is bool((mask == other).all())
    assert len(set(regions)) == len({region.key for region in regions})


def test_a_mask_that_is_true_everywhere_is_a_rectangle():
    region = Region(HERE, 0, 0, 2, 3, mask=np.ones((2, 3), bool))

    assert region == Region(HERE, 0, 0, 2, 3)
    assert region.mask is None


def test_a_mask_can_not_be_changed_from_outside():
    mask = np.eye(2, dtype=bool)
    region = Region(HERE, 0, 0, 2, 2, mask=mask)
    mask[:] = True

    assert region.mask.sum() == 2
    with pytest.raises(ValueError, match="read-only"):
        region.mask[0, 1] = True


@pytest.mark.parametrize("runs", ["", "1", "1-2-3", "1--3", "2-a", "4", "1-3,4", "-1-5"])
def test_runs_that_do_not_fit_the_rectangle_are_said(runs):
    with pytest.raises(DataError, match=r"can't be read|no pixel"):
        Region.parse(f"scan_01/23/0,0,2,2,{runs}")


@given(shapes, st.floats(-1, 10), st.floats(-1, 10))
def test_a_shape_contains_a_click_if_it_has_the_clicks_pixel(mask, row, col):
    region = Region(HERE, 0, 0, *mask.shape, mask=mask)
    drawn = np.pad(region.drawn((12, 12)), 2)
    at = Click(row, col).pixel

    assert region.contains(row, col) is bool(drawn[at[0] + 2, at[1] + 2])


def chest():
    """A bright body with two dark lungs in darker air, of which some lies beside it."""
    image = np.full((64, 64), 30, np.uint8)
    image[8:56, 4:60] = 200
    image[16:48, 10:28] = image[16:48, 36:54] = 60
    image[20:30, :8] = 60
    return image


def test_lungs_are_dark_and_not_the_air_around():
    lungs = lung_like(chest())

    assert lungs.sum() == 2 * 32 * 18
    assert lungs[30, 20]
    assert not lungs[0, 0]
    assert not lungs[25, 2]


def test_lungs_are_found_in_a_picture_that_is_cropped_to_them_and_padded():
    image = np.zeros((64, 64), np.uint8)
    image[10:50] = chest()[12:52, :]
    image[:, :12] = 0
    image[10:50, 12:60] = np.maximum(image[10:50, 12:60], 20)
    image[14:46, 12:28] = 60  # cut by the picture's edge, with padding beyond

    lungs = lung_like(image)

    assert lungs[14:46, 12:28].all()
    assert not lungs[:, :12].any()


@given(st.floats(0.2, 1), st.integers(0, 60))
def test_lungs_do_not_depend_on_the_window(contrast, level):
    windowed = np.clip(chest() * contrast + level, 0, 255).astype(np.uint8)

    assert (lung_like(windowed) == lung_like(chest())).all()


def test_a_slice_that_shows_nothing_holds_no_lung():
    assert not lung_like(np.full((64, 64), 7, np.uint8)).any()


def test_regions_in_lungs_are_those_that_hold_some():
    inside = in_lungs(chest(), grid(HERE, (64, 64), 16)).reshape(4, 4)

    assert inside[1:3].all()
    assert not inside[0].any()
    assert not inside[3].any()


def test_a_slice_without_lungs_has_no_regions_in_them():
    assert not in_lungs(np.full((64, 64), 200, np.uint8), grid(HERE, (64, 64), 16)).any()


def test_padding_and_air_show_nothing():
    hu = np.full((64, 64), -800, np.int16)  # lung
    hu[:32, :32] = -1024  # padding
    hu[:32, 32:] = -1000 + 10 * np.arange(32)[:, None] % 40  # air with noise
    hu[32, 33] = -300
    regions = grid(HERE, (64, 64), 4)

    assert bare(hu, regions, hu=True).tolist() == [True, True, True, False]
    assert bare(hu, regions, hu=False).tolist() == [True, False, True, False]


def test_a_shape_of_one_value_in_a_rectangle_of_several_shows_something():
    grey = np.full((4, 4), 255, np.uint8)
    grey[0] = 40
    below = np.ones((4, 4), bool)
    below[0] = False
    shape = Region(HERE, 0, 0, 4, 4, mask=below)  # white may be what a narrow window clips

    assert bare(grey, [shape], hu=False).tolist() == [False]
    assert bare(np.where(below, -1024, 0), [shape], hu=True).tolist() == [True]
