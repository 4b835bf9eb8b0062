import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alnb.arrays import Window, read_only
from alnb.errors import ConfigError


def test_a_window_maps_its_limits_to_black_and_white():
    grey = Window(-1250, 250).to_grey(np.array([-3000, -1250, -500, 250, 3000], np.int16))

    assert grey.dtype == np.uint8
    assert grey.tolist() == [0, 0, 128, 255, 255]


@given(st.lists(st.integers(-2000, 3000), min_size=2, max_size=20))
def test_brighter_tissue_is_never_darker_on_screen(values):
    grey = Window(-1250, 250).to_grey(np.array(sorted(values), np.int16))

    assert (np.diff(grey.astype(int)) >= 0).all()


@pytest.mark.parametrize("limits", [(250, -1250), (0, 0), (0, float("nan"))])
def test_a_window_of_no_width_is_said(limits):
    with pytest.raises(ConfigError, match="LOW,HIGH"):
        Window(*limits)


def test_a_read_only_view_can_not_be_written():
    array = np.zeros(3)
    view = read_only(array)

    with pytest.raises(ValueError, match="read-only"):
        view[0] = 1
    array[0] = 1
    assert view[0] == 1
