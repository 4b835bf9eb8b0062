import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from alnb.dataset import SliceId
from alnb.regions import Region, bare, grid, in_lungs, lung_like

HERE = SliceId("scan_01", 23)


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
