"""What a person does on a figure with pointer and keys; `Tap`'s half on the page is ``input.js``.

Plotly's own ``on_click`` loses fast presses and knows integer pixels only. Here a press arrives
as a float position on the panel's axes, with the number of the screen that was shown then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets
from numpy.typing import NDArray

ScreenNumber = int | None
VoxelAxes = Sequence[tuple[str, Sequence[float | None]]]


@dataclass(frozen=True, slots=True)
class Press:
    """A press on the figure."""

    row: float  # in pixels of the working grid; integers are pixel centres
    col: float
    screen: ScreenNumber  # which was shown then: the figure's ``layout.meta["screen"]``
    elsewhere: bool = False  # on another panel than the `Tap`'s, and in pixels of that panel
    shift: bool = False  # whether the shift key was held


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line drawn with the pointer, while `Tap.drawing`: (row, col) of each point."""

    points: tuple[tuple[float, float], ...]
    screen: ScreenNumber


@dataclass(frozen=True, slots=True)
class Wheel:
    """A turn of the wheel over a panel; the other fields are as for `Press`."""

    turn: float  # in notches; above 0 if turned away from the person
    row: float
    col: float
    screen: ScreenNumber
    elsewhere: bool = False
    shift: bool = False  # or the Alt key


@dataclass(frozen=True, slots=True)
class Drag:
    """A drag of the picture: how far the viewport moves, in pixels of the slice."""

    rows: float
    cols: float
    screen: ScreenNumber


@dataclass(frozen=True, slots=True)
class Windowing:
    """A drag with the right button, as it stands now."""

    right: float  # in screen pixels from where the button was pressed; below 0 to the left
    down: float
    hold: int  # numbers the drags of a page: one press of the button, one number
    screen: ScreenNumber


@dataclass(frozen=True, slots=True)
class Act:
    """A press on a button: an element with the class ``alnb-act-NAME`` or ``data-act``."""

    name: str
    screen: ScreenNumber


@dataclass(frozen=True, slots=True)
class Key:
    """A shortcut named as in ``KeyboardEvent.key``, a letter in lower case: ``n``, ``Ctrl+z``."""

    name: str
    screen: ScreenNumber


Event = Press | Stroke | Wheel | Drag | Windowing | Act | Key


class Tap(anywidget.AnyWidget):
    """Hand on what a person does on a figure's panels, with buttons and with keys.

    It must be shown on the figure's page, where it draws only a banner when the kernel stops
    answering, which says what to do. Shortcuts work while the focus is nowhere, or in the nearest
    box around the figure with the class ``alnb-app`` (without such a box, in the figure).

    Parameters
    ----------
    target : str
        A CSS class that only the figure has.
    panel : str
        The axes of the panel to press, in Plotly's names, for example ``"x2y2"``; presses on
        other panels are marked.
    shortcuts : sequence of str
        The keys to hand on, named as in `Key`; the browser keeps the others.
    repeating : sequence of str
        Those that count while they are held down; only one at a time is on its way.
    """

    _esm = Path(__file__).with_name("input.js")
    _css = Path(__file__).with_name("input.css")

    target = traitlets.Unicode().tag(sync=True)
    panel = traitlets.Unicode("xy").tag(sync=True)
    shortcuts = traitlets.List(traitlets.Unicode()).tag(sync=True)
    repeating = traitlets.List(traitlets.Unicode()).tag(sync=True)
    drawing = traitlets.Bool(False, help="whether a drag draws, or moves the picture").tag(
        sync=True
    )
    locked = traitlets.Bool(False, help="whether presses are ignored").tag(sync=True)
    pictured = traitlets.Unicode(
        "the slice, and the region that is asked about", help="what a screen reader calls it"
    ).tag(sync=True)
    session = traitlets.Unicode("", help="that the page's address names; empty leaves it").tag(
        sync=True
    )
    command = traitlets.Unicode("alnb label", help="starts the app again").tag(sync=True)
    watched = traitlets.List(traitlets.Unicode(), help="classes of boxes around figures").tag(
        sync=True
    )
    rooms = traitlets.Dict(help="their (width, height) on the page, in screen pixels").tag(
        sync=True
    )
    values = traitlets.Bytes(
        help="intensities of the slice, row by row: little-endian int16, or uint8"
    ).tag(sync=True)
    reading = traitlets.Dict(
        help="of `values`: their number, as the figure's meta has it, (H, W) shape, unit and voxels"
    ).tag(sync=True)
    cursor = traitlets.List(
        traitlets.Float(), help="(row, col) of the place that keys move; else empty"
    ).tag(sync=True)
    patience_s = traitlets.Float(8.0, help="silence after which the kernel counts as gone").tag(
        sync=True
    )

    def __init__(
        self,
        target: str,
        panel: str = "xy",
        shortcuts: tuple[str, ...] = (),
        repeating: tuple[str, ...] = (),
    ) -> None:
        super().__init__(
            target=target, panel=panel, shortcuts=list(shortcuts), repeating=list(repeating)
        )
        self._handlers: list[Callable[[Event], None]] = []
        self._rooms: list[tuple[str, Callable[[int, int], object]]] = []
        self._drawn: list[tuple[str, Callable[[], object]]] = []
        self.observe(self._on_rooms, "rooms")
        self.on_msg(self._receive)

    def on_event(self, handler: Callable[[Event], None]) -> None:
        """Call `handler` with every event from now on, on the kernel's loop.

        Voila shows no errors, so `handler` must show its own.
        """
        self._handlers.append(handler)

    def read(
        self,
        number: int,
        values: NDArray[Any] | None,
        unit: str = "",
        voxels: VoxelAxes = (),
    ) -> None:
        """Let the page say what lies under the pointer, without asking the kernel.

        Parameters
        ----------
        number : int
            It is read while the figure's ``layout.meta["values"]`` is this number.
        values : (H, W) int16 or uint8 array, or None
            Intensities of the slice on screen; None: nothing is read.
        unit : str
            What they are, as the page names it.
        voxels : three of (str, sequence), or none
            The file's i, j and k at each row and column; see `Dataset.voxel_axes`.
        """
        told = np.zeros((0, 0), np.uint8) if values is None else values
        with self.hold_sync():  # one message
            self.values = told.astype(told.dtype.newbyteorder("<"), copy=False).tobytes()
            self.reading = {
                "number": number, "shape": list(told.shape), "unit": unit, "voxels": voxels,
            }  # fmt: skip

    def on_room(self, box: str, handler: Callable[[int, int], object]) -> None:
        """Call `handler` with width and height whenever the box of a CSS class changes its size."""
        self._rooms.append((box, handler))
        self.watched = list(dict.fromkeys([*self.watched, box]))

    def on_drawn(self, box: str, handler: Callable[[], object]) -> None:
        """Call `handler` once a page has drawn the figure in the box of a CSS class."""
        self._drawn.append((box, handler))

    def _on_rooms(self, change: dict[str, Any]) -> None:
        for box, handler in self._rooms:
            size = change["new"].get(box)
            if size and size != change["old"].get(box):
                handler(int(size[0]), int(size[1]))

    def _receive(self, _widget: object, message: dict[str, Any], _buffers: object) -> None:
        kind, number = message.get("kind"), message.get("id")
        if kind == "ping":
            self.send({"kind": "pong", "id": number})
            return
        if kind == "drawn":
            for box, handle in self._drawn:
                if box == message["box"]:
                    handle()
            return
        try:
            event = _event(message, self.panel)
            for handler in self._handlers:
                handler(event)
        finally:
            self.send({"kind": "ack", "id": number})


def _event(message: dict[str, Any], panel: str) -> Event:
    """Read a message of ``input.js``."""
    kind, screen = message["kind"], message["screen"]
    if kind == "key":
        return Key(str(message["key"]), screen)
    if kind == "act":
        return Act(str(message["name"]), screen)
    if kind == "stroke":
        points = tuple((float(y), float(x)) for x, y in message["points"])
        return Stroke(points, screen)
    if kind == "drag":
        return Drag(float(message["dy"]), float(message["dx"]), screen)
    if kind == "window":
        return Windowing(float(message["dx"]), float(message["dy"]), int(message["hold"]), screen)
    elsewhere = message.get("panel", panel) != panel
    place = float(message["y"]), float(message["x"])
    shift = bool(message.get("shift"))
    if kind == "wheel":
        return Wheel(float(message["turn"]), *place, screen, elsewhere, shift)
    return Press(*place, screen, elsewhere, shift)
