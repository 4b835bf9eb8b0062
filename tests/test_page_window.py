import numpy as np
import pytest

from alnb.arrays import Window
from alnb.ui.label.page import PRESETS, LevelWidth, WindowControls

NETWORK = LevelWidth.of(Window(-1250, 250))


@pytest.fixture
def controls():
    controls = WindowControls()
    controls.heard = []
    controls.on_change(lambda: controls.heard.append(controls.chosen))
    controls.show(NETWORK, hu=True)
    return controls


def chosen(controls):
    return [name for name, button in controls.presets.items() if button.button_style]


def test_at_first_it_is_what_the_network_sees_and_nobody_chose_it(controls):
    assert (controls.level.value, controls.width.value) == (-500, 1500)
    assert chosen(controls) == ["network"]
    assert controls.chosen is None
    assert controls.heard == []


def test_a_preset_moves_the_sliders_and_is_heard_once(controls):
    controls.choose("mediastinum")
    controls.show(NETWORK, hu=True)

    assert (controls.level.value, controls.width.value) == (40, 400)
    assert chosen(controls) == ["mediastinum"]
    assert controls.heard == [LevelWidth(40, 400)]


def test_a_slider_makes_a_window_of_its_own(controls):
    controls.width.value = 900
    controls.show(NETWORK, hu=True)

    assert controls.chosen == LevelWidth(-500, 900)
    assert chosen(controls) == []


def test_it_goes_back_to_what_the_network_sees(controls):
    controls.choose("lung")
    controls.choose("network")

    assert controls.chosen is None


def test_grey_slices_have_a_reason_in_place_of_controls(controls):
    controls.show(NETWORK, hu=False)

    assert controls._controls.layout.display == "none"
    assert "already windowed" in controls._reason.value


# --- level and width ---


def test_the_lung_window_is_the_radiologists():
    window = LevelWidth(*PRESETS["lung"]).window

    assert (window.low, window.high) == (-1350, 150)
    assert window.to_grey(np.array([-1350, -600, 150])).tolist() == pytest.approx(
        [0, 127.5, 255], abs=1
    )


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("lung", -1350, 150), ("mediastinum", -160, 240), ("full", -1024, 1024)],
)
def test_each_preset_shows_what_it_is_for(name, low, high):
    assert LevelWidth(*PRESETS[name]).window == Window(low, high)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_knows_its_name(name):
    assert LevelWidth(*PRESETS[name]).name == name


def test_any_other_window_has_none():
    found = LevelWidth.of(Window(-1250, 250))

    assert found == LevelWidth(-500, 1500)
    assert found.name == ""
    assert found.window == Window(-1250, 250)
