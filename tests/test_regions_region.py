import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from alnb.annotation import Click
from alnb.dataset import SliceId
from alnb.errors import DataError
from alnb.regions import Region

HERE = SliceId("scan_01", 23)


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
