import numpy as np
import pytest

from alnb.arrays import Window
from alnb.ui.label.window import PRESETS, BrightnessContrast, LevelWidth, WindowControls

NETWORK = LevelWidth.of(Window(-1250, 250))


@pytest.fixture
def controls():
    controls = WindowControls(NETWORK)
    controls.heard = []
    controls.on_change(lambda: controls.heard.append(controls.chosen(hu=controls.hu)))
    return controls


@pytest.fixture
def grey(controls):
    """The controls while a slice of windowed grey is on screen."""
    controls.show(hu=False)
    return controls


def lit(controls):
    return [name for name, button in controls.presets.items() if button.button_style]


def shown(*widgets):
    return [widget.layout.display != "none" for widget in widgets]


def test_at_first_it_is_what_the_network_sees_and_nobody_chose_it(controls):
    assert (controls.level.value, controls.width.value) == (-500, 1500)
    assert lit(controls) == ["network"]
    assert controls.chosen(hu=True) is None
    assert controls.heard == []


def test_a_networks_window_beyond_the_sliders_reach_is_shown_as_it_is():
    controls = WindowControls(LevelWidth.of(Window(-3024, 5072)))

    assert (controls.level.value, controls.width.value) == (1024, 8096)
    controls.width.value = 4000
    assert controls.chosen(hu=True) == LevelWidth(1024, 4000)


def test_a_preset_moves_the_sliders_lights_up_and_is_heard_once(controls):
    controls.choose("mediastinum")

    assert (controls.level.value, controls.width.value) == (40, 400)
    assert lit(controls) == ["mediastinum"]
    assert controls.heard == [LevelWidth(40, 400)]


def test_a_slider_makes_a_window_of_its_own_and_no_preset_is_lit(controls):
    controls.width.value = 900

    assert controls.chosen(hu=True) == LevelWidth(-500, 900)
    assert lit(controls) == []


def test_a_preset_that_a_slider_reaches_lights_up(controls):
    controls.level.value = -600

    assert lit(controls) == ["lung"]


def test_it_goes_back_to_what_the_network_sees(controls):
    controls.choose("lung")
    controls.choose("network")

    assert controls.chosen(hu=True) is None
    assert lit(controls) == ["network"]


def test_a_drag_to_the_right_widens_and_one_down_darkens(controls):
    controls.drag(250, 0, hold=1)
    assert controls.chosen(hu=True) == LevelWidth(-500, 3000)
    controls.drag(0, 50, hold=1)  # of the same drag: from where it began
    assert controls.chosen(hu=True) == LevelWidth(-200, 1500)
    controls.drag(-100, 0, hold=2)
    assert controls.chosen(hu=True) == LevelWidth(-200, 900)
    assert (controls.level.value, controls.width.value) == (-200, 900)
    assert lit(controls) == []


def test_a_narrow_window_is_dragged_finely(controls):
    controls.choose("mediastinum")
    controls.drag(0, 10, hold=1)

    assert controls.chosen(hu=True) == LevelWidth(56, 400)


def test_a_drag_ends_where_the_sliders_end(controls):
    controls.drag(-9000, 9000, hold=1)

    assert controls.chosen(hu=True) == LevelWidth(1000, 50)


def test_a_slider_holds_every_whole_number_so_that_a_page_rounds_none_and_sends_it_back(controls):
    sliders = (controls.level, controls.width, controls.brightness, controls.contrast)

    assert {slider.step for slider in sliders} == {1}


# --- windowed grey ---


def test_grey_slices_have_brightness_and_contrast_and_say_why(grey):
    assert shown(grey.level, grey.width, grey.presets["lung"]) == [False] * 3
    assert shown(grey.brightness, grey.contrast, grey.presets["network"]) == [True] * 3
    assert grey.presets["network"].description == "as stored"
    assert "Brightness and contrast" in grey.title.value
    assert lit(grey) == ["network"]
    assert "already windowed" in grey._reason.value
    assert grey.chosen(hu=False) is None


def test_grey_is_made_brighter_and_richer_in_contrast(grey):
    stored = np.array([0, 64, 128, 192, 255], np.uint8)
    assert BrightnessContrast().window.to_grey(stored).tolist() == stored.tolist()

    grey.brightness.value = 20
    assert grey.chosen(hu=False) == BrightnessContrast(20, 100)
    assert (grey.chosen(hu=False).window.to_grey(stored) >= stored).all()

    grey.contrast.value = 200
    grey.brightness.value = 0
    assert grey.chosen(hu=False).window.to_grey(stored).tolist() == [0, 0, 128, 255, 255]
    assert lit(grey) == []


def test_the_same_drag_does_the_same_to_grey(grey):
    grey.drag(100, 0, hold=1)
    brightness, contrast = grey.chosen(hu=False)
    assert brightness == 0
    assert contrast < 100

    grey.drag(0, 50, hold=1)
    assert grey.chosen(hu=False) == BrightnessContrast(-20, 100)


def test_what_is_chosen_for_grey_does_not_change_hu(grey):
    grey.brightness.value = 20
    grey.show(hu=True)

    assert grey.chosen(hu=True) is None
    assert lit(grey) == ["network"]
    assert (grey.level.value, grey.width.value) == (-500, 1500)


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


def test_the_picture_says_its_window_as_radiologists_write_it(controls, grey):
    assert LevelWidth(-600, 1500).words == "lung · L −600 W 1500"
    assert controls.words(hu=True) == "L −500 W 1500"
    assert controls.words(hu=False) == ""
    assert BrightnessContrast(-20, 150).words == "brightness −20 %, contrast 150 %"
