import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alnb.dataset import SliceId
from alnb.errors import ConfigError, DataError
from alnb.regions import Region, bare, grid, grid_shape, in_lungs, lung_like, superpixels

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


def test_superpixels_cover_every_pixel_once():
    row, col = np.mgrid[:64, :64]
    image = (127 + 60 * np.sin(row / 9) + 60 * np.cos(col / 7)).astype(np.uint8)

    regions = superpixels(HERE, image, 16)

    covered = np.zeros(image.shape, int)
    for region in regions:
        covered[region.window][region.mask] += 1
    assert (covered == 1).all()
    assert 8 <= len(regions) <= 32


def chest():
    """A bright body with two dark lungs in dark air, and gas that the picture's edge cuts."""
    image = np.full((64, 64), 30, np.uint8)
    image[8:56, 4:60] = 200
    image[16:48, 10:28] = image[16:48, 36:54] = 60
    image[20:30, :8] = 60
    return image


def test_lungs_are_dark_and_enclosed():
    lungs = lung_like(chest())

    assert lungs.sum() == 2 * 32 * 18
    assert lungs[30, 20]
    assert not lungs[0, 0]
    assert not lungs[25, 2]


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
