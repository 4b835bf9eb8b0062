import numpy as np
import pytest

from alnb.arrays import Window
from alnb.ui.viewer.window_controls import PRESETS, Look


def test_the_lung_window_is_the_radiologists():
    window = Look(*PRESETS["lung"]).window

    assert (window.low, window.high) == (-1350, 150)
    assert window.to_grey(np.array([-1350, -600, 150])).tolist() == pytest.approx(
        [0, 127.5, 255], abs=1
    )


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("lung", -1350, 150), ("mediastinum", -160, 240), ("full", -1024, 1024)],
)
def test_each_preset_shows_what_it_is_for(name, low, high):
    assert Look(*PRESETS[name]).window == Window(low, high)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_knows_its_name(name):
    assert Look(*PRESETS[name]).name == name


def test_any_other_window_has_none():
    look = Look.of(Window(-1250, 250))

    assert look == Look(-500, 1500)
    assert look.name == ""
    assert look.window == Window(-1250, 250)
