import pytest

from alnb.arrays import Window
from alnb.ui.viewer.window_controls import Look, Looks

NETWORK = Look.of(Window(-1250, 250))


@pytest.fixture
def looks():
    looks = Looks()
    looks.heard = []
    looks.on_change(lambda: looks.heard.append(looks.look))
    looks.show(NETWORK, hu=True)
    return looks


def chosen(looks):
    return [name for name, button in looks.presets.items() if button.button_style]


def test_at_first_it_is_what_the_network_sees_and_nobody_chose_it(looks):
    assert (looks.level.value, looks.width.value) == (-500, 1500)
    assert chosen(looks) == ["network"]
    assert looks.look is None
    assert looks.heard == []


def test_a_preset_moves_the_sliders_and_is_heard_once(looks):
    looks.choose("mediastinum")
    looks.show(NETWORK, hu=True)

    assert (looks.level.value, looks.width.value) == (40, 400)
    assert chosen(looks) == ["mediastinum"]
    assert looks.heard == [Look(40, 400)]


def test_a_slider_makes_a_window_of_its_own(looks):
    looks.width.value = 900
    looks.show(NETWORK, hu=True)

    assert looks.look == Look(-500, 900)
    assert chosen(looks) == []


def test_it_goes_back_to_what_the_network_sees(looks):
    looks.choose("lung")
    looks.choose("network")

    assert looks.look is None


def test_grey_slices_have_a_reason_in_place_of_controls(looks):
    looks.show(NETWORK, hu=False)

    assert looks._controls.layout.display == "none"
    assert "already windowed" in looks._reason.value
