"""Clicks on a figure and keys, as they were meant: `Tap`, whose page half is ``tap.js``.

Plotly's own ``on_click`` loses fast presses and knows integer pixels only; here a press arrives
as a float position on the panel's axes, with the number of the screen that was shown when the
person pressed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anywidget
import traitlets

Screen = int | None


@dataclass(frozen=True, slots=True)
class Press:
    """A press on the figure.

    Parameters
    ----------
    row, col : float
        Where, in pixels of the working grid; integers are pixel centres.
    screen : int or None
        What was shown when the person pressed: the figure's ``layout.meta["screen"]``.
    elsewhere : bool
        Whether it was on another panel of the figure than the `Tap`'s, whose axes then count.
    """

    row: float
    col: float
    screen: Screen
    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Key:
    """A shortcut: its name as ``KeyboardEvent.key`` gives it, in lower case if a letter.

    Parameters
    ----------
    name : str
        For example ``"n"``, ``"Enter"`` or ``"Ctrl+z"``.
    screen : int or None
        As for `Press`.
    """

    name: str
    screen: Screen


class Tap(anywidget.AnyWidget):
    """Hand on presses on a figure's panels, and shortcuts, to one handler.

    It must be shown somewhere on the figure's page; it draws nothing but a banner when the
    kernel stops answering, which says what to do: reload, or, where the server is gone too, start
    it again. Shortcuts work while the focus is in the nearest box around the
    figure that has the class ``alnb-app`` (or in the figure, without one), or nowhere.

    Parameters
    ----------
    target : str
        A CSS class that the figure alone has.
    panel : str
        The axes of the panel to press, in Plotly's names, for example ``"x2y2"``; a press on
        another one is marked as such.
    shortcuts : sequence of str
        The keys that are wanted, named as in `Key`; the others stay the browser's.
    """

    _esm = Path(__file__).with_name("tap.js")
    _css = Path(__file__).with_name("tap.css")

    target = traitlets.Unicode().tag(sync=True)
    panel = traitlets.Unicode("xy").tag(sync=True)
    shortcuts = traitlets.List(traitlets.Unicode()).tag(sync=True)
    locked = traitlets.Bool(False, help="whether presses are ignored").tag(sync=True)
    command = traitlets.Unicode("alnb label", help="starts the app anew").tag(sync=True)
    patience_s = traitlets.Float(8.0, help="silence after which the kernel counts as gone").tag(
        sync=True
    )

    def __init__(self, target: str, panel: str = "xy", shortcuts: tuple[str, ...] = ()) -> None:
        super().__init__(target=target, panel=panel, shortcuts=list(shortcuts))
        self._handlers: list[Callable[[Press | Key], None]] = []
        self.on_msg(self._receive)

    def on_event(self, handler: Callable[[Press | Key], None]) -> None:
        """Call `handler` with every press and key from now on, on the kernel's loop.

        What it raises would appear nowhere in Voila; it must show its errors itself.
        """
        self._handlers.append(handler)

    def _receive(self, _widget: object, message: dict[str, Any], _buffers: object) -> None:
        kind, number = message.get("kind"), message.get("id")
        if kind == "ping":
            self.send({"kind": "pong", "id": number})
            return
        try:
            event = _event(message, self.panel)
            for handler in self._handlers:
                handler(event)
        finally:
            self.send({"kind": "ack", "id": number})


def _event(message: dict[str, Any], panel: str) -> Press | Key:
    screen = message["screen"]
    if message["kind"] == "key":
        return Key(str(message["key"]), screen)
    elsewhere = message.get("panel", panel) != panel
    return Press(float(message["y"]), float(message["x"]), screen, elsewhere)
