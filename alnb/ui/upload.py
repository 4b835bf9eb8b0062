"""Files from a person's disk, in pieces; `Upload`'s half on the page is ``upload.js``.

ipywidgets' own FileUpload sends a file in one message. Tornado closes the connection at 10 MiB, and
a chest CT has 30 to 300 MB.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from alnb.ui.importing import UPLOADED, Incoming

PIECE_BYTES = 4 * 2**20  # ours: less than half of Tornado's 10 MiB a message


class Upload(anywidget.AnyWidget):
    """A button that chooses files and sends them.

    Parameters
    ----------
    words, tip : str
        On the button, and what it says under the pointer.
    begin : callable
        Gets the names and sizes that were chosen; returns where they go, or None to refuse them.
    taken : callable
        Called after each piece.
    failed : callable
        Called with what went wrong.

    Attributes
    ----------
    locked : bool
        Whether the button is disabled.
    """

    _esm = Path(__file__).with_name("upload.js")

    words = traitlets.Unicode().tag(sync=True)
    tip = traitlets.Unicode().tag(sync=True)
    accept = traitlets.Unicode(",".join((*UPLOADED, ".gz"))).tag(sync=True)
    piece_bytes = traitlets.Int(PIECE_BYTES).tag(sync=True)
    locked = traitlets.Bool(False).tag(sync=True)

    def __init__(
        self,
        words: str,
        tip: str,
        begin: Callable[[Sequence[tuple[str, int]]], Incoming | None],
        taken: Callable[[Incoming], None],
        failed: Callable[[Exception], None],
    ) -> None:
        super().__init__(words=words, tip=tip)
        self._begin, self._taken, self._failed = begin, taken, failed
        self._incoming: Incoming | None = None
        self._id = -1
        self.on_msg(self._receive)

    def stop(self) -> None:
        """Take no more of these files."""
        if self._incoming is not None:
            self._incoming.close()
        self._incoming = None

    def _receive(self, _widget: object, message: dict[str, Any], buffers: Sequence[Any]) -> None:
        try:
            if message["kind"] == "offer":
                self.stop()
                offered = [(str(name), int(size)) for name, size in message["files"]]
                self._id, self._incoming = message["id"], self._begin(offered)
            elif self._incoming is None or message["id"] != self._id:
                return  # of an upload that was stopped
            elif message["kind"] == "broken":
                raise OSError(0, message["text"], "the file")
            else:
                place = int(message["file"]), int(message["begin"])
                self._incoming.take(*place, bytes(buffers[0]))
                self._taken(self._incoming)
        except Exception as error:
            self.stop()
            self._failed(error)
            return
        self._go_on()

    def _go_on(self) -> None:
        """Ask for the next piece."""
        incoming = self._incoming
        if incoming is None:
            return
        if incoming.complete:
            self.stop()
            return
        self.send({"kind": "next", "id": self._id, **incoming.wanted})
