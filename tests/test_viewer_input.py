import numpy as np
import pytest

from alnb.ui.viewer.input import Act, Drag, Key, Press, Stroke, Tap, Wheel, Windowing


@pytest.fixture
def tap():
    tap = Tap("figure-1", panel="x2y2", shortcuts=("n",))
    tap.sent = []
    tap.send = tap.sent.append
    return tap


def page_sends(tap, **message):
    tap._handle_custom_msg(message, [])


def test_a_press_arrives_as_row_and_column_of_its_screen(tap):
    events = []
    tap.on_event(events.append)

    page_sends(tap, kind="click", id=1, x=70.25, y=80.5, screen=3)

    assert events == [Press(row=80.5, col=70.25, screen=3)]


@pytest.mark.parametrize(("panel", "elsewhere"), [("x2y2", False), ("xy", True)])
def test_a_press_on_another_panel_is_marked(tap, panel, elsewhere):
    events = []
    tap.on_event(events.append)

    page_sends(tap, kind="click", id=1, x=1, y=2, panel=panel, screen=3)

    assert events == [Press(row=2, col=1, screen=3, elsewhere=elsewhere)]


def test_a_key_arrives_by_its_name(tap):
    events = []
    tap.on_event(events.append)

    page_sends(tap, kind="key", id=1, key="n", screen=3)

    assert events == [Key("n", 3)]


@pytest.mark.parametrize(
    ("message", "event"),
    [
        ({"kind": "click", "x": 1, "y": 2, "shift": True}, Press(2, 1, 3, shift=True)),
        ({"kind": "act", "name": "open:a/1"}, Act("open:a/1", 3)),
        ({"kind": "stroke", "points": [[1, 2], [3, 4]]}, Stroke(((2, 1), (4, 3)), 3)),
        ({"kind": "drag", "dx": 1, "dy": 2}, Drag(2, 1, 3)),
        ({"kind": "window", "dx": 9, "dy": -4, "hold": 2}, Windowing(9, -4, 2, 3)),
        (
            {"kind": "wheel", "x": 1, "y": 2, "turn": -1.5, "panel": "xy"},
            Wheel(-1.5, 2, 1, 3, elsewhere=True),
        ),
    ],
)
def test_what_a_hand_does_arrives_by_its_kind(tap, message, event):
    events = []
    tap.on_event(events.append)

    page_sends(tap, id=1, screen=3, **message)

    assert events == [event]


def test_an_event_is_acknowledged_after_it_was_handled(tap):
    tap.on_event(lambda event: tap.sent.append("handled"))

    page_sends(tap, kind="click", id=7, x=0, y=0, screen=1)

    assert tap.sent == ["handled", {"kind": "ack", "id": 7}]


def test_an_event_is_acknowledged_even_if_its_handler_fails(tap, monkeypatch):
    def fail(event):
        raise RuntimeError("broken")

    tap.on_event(fail)

    with pytest.raises(RuntimeError):
        tap._receive(tap, {"kind": "click", "id": 7, "x": 0, "y": 0, "screen": 1}, [])
    assert tap.sent == [{"kind": "ack", "id": 7}]


def test_a_ping_is_answered_and_handed_to_nobody(tap):
    events = []
    tap.on_event(events.append)

    page_sends(tap, kind="ping", id=2)

    assert tap.sent == [{"kind": "pong", "id": 2}]
    assert events == []


def test_its_page_half_loads_nothing_from_elsewhere():
    code = str(Tap("figure-1")._esm)

    assert "export default" in code
    assert "import" not in code
    assert "http" not in code


def test_a_figure_hears_of_its_boxs_size_when_that_changes(tap):
    sizes = []
    tap.on_room("figure-1", lambda *size: sizes.append(size))
    tap.rooms = {"figure-1": [800, 400], "other": [1, 1]}
    tap.rooms = {"figure-1": [800, 400], "other": [2, 2]}
    tap.rooms = {"figure-1": [900, 400], "other": [2, 2]}

    assert tap.watched == ["figure-1"]
    assert sizes == [(800, 400), (900, 400)]


def test_a_figure_hears_once_a_page_has_drawn_it(tap):
    drawn = []
    tap.on_drawn("figure-1", lambda: drawn.append(1))
    tap._receive(tap, {"kind": "drawn", "id": 1, "box": "other"}, [])
    tap._receive(tap, {"kind": "drawn", "id": 2, "box": "figure-1"}, [])

    assert drawn == [1]


def test_values_travel_as_bytes_that_any_machine_reads_alike(tap):
    voxels = (("col", [7, 6]), ("row", [0, None]), ("", [3]))
    tap.read(4, np.array([[-1024, 3], [40, 700]], ">i2"), "HU", voxels)
    assert np.frombuffer(tap.values, "<i2").tolist() == [-1024, 3, 40, 700]
    assert tap.reading == {"number": 4, "shape": [2, 2], "unit": "HU", "voxels": voxels}

    tap.read(5, np.array([[1, 2, 255]], np.uint8), "grey")
    assert tap.values == b"\x01\x02\xff"
    assert tap.reading == {"number": 5, "shape": [1, 3], "unit": "grey", "voxels": ()}

    tap.read(6, None)
    assert (tap.values, tap.reading["shape"]) == (b"", [0, 0])
