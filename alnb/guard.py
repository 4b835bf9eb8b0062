"""What Voila lacks to serve the page closed and to end what nobody looks at any more.

`serve` runs `Guarded`. A server of one's own runs ``python -m alnb.guard`` in place of ``voila``,
with ``apps/voila.json``, which names the other classes here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import struct
from html import escape
from typing import Any
from urllib.parse import urlsplit

from jupyter_core.utils import ensure_async
from jupyter_server import DEFAULT_STATIC_FILES_PATH
from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.auth.identity import PasswordIdentityProvider
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from nbclient.exceptions import DeadKernelError
from tornado import web
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError
from traitlets import default
from traitlets.config.application import LevelFormatter
from voila.app import Voila  # type: ignore[import-untyped]
from voila.static_file_handler import (  # type: ignore[import-untyped]
    TemplateStaticFileHandler,
)
from voila.tornado.handler import TornadoVoilaHandler  # type: ignore[import-untyped]

__all__ = [  # without `Guarded`, some of whose inherited attributes have types pdoc can't read
    "Connection", "Identity", "KernelEndedFilter", "Logout", "PageHandler", "TemplateHandler",
    "TokenlessFormatter",
]  # fmt: skip

PARTS = 1000  # ours: a message has four and its buffers; the page sends one buffer at most
AGAIN_S = 0.1  # ours: keys that repeat reload a page sooner; making it takes the server longer
V1 = "v1.kernel.websocket.jupyter.org"
CONTROL = r"(?i).*%([01][0-9a-f]|7f).*"  # characters that are in no file's name
TOKEN = re.compile(r"(token=)[^&\s'\",;)]+")
ENDED = ("Kernel died", "Kernel didn't respond")  # as nbclient and jupyter_client say it
UNCONNECTED = ("kernel_ws_protocol", None)  # asked by jupyter_server of a page left meanwhile
MALFORMED = (ValueError, LookupError, TypeError, AttributeError, AssertionError, RecursionError)
NOT_CARRIED = (
    "This page could not start: its program ended or could not begin, perhaps for want of memory "
    "or of open files. Every answer is saved. Close other pages and programs, then reload."
)


class TokenlessFormatter(LevelFormatter):
    """Writes entries of the log without the token that opens the page."""

    def format(self, record: logging.LogRecord) -> str:
        """Format an entry, and put a word in the place of each token."""
        return TOKEN.sub(r"\1[secret]", super().format(record))


class KernelEndedFilter(logging.Filter):
    """Drops the traces of kernels that ended and of pages that were left: a page says so itself."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether an entry is kept."""
        error = record.exc_info[1] if record.exc_info else None
        died = isinstance(error, RuntimeError) and str(error).startswith(ENDED)
        left = isinstance(error, StreamClosedError | WebSocketClosedError)
        left |= isinstance(error, AttributeError) and (error.name, error.obj) == UNCONNECTED
        return not (died or left or isinstance(error, DeadKernelError))


class Identity(PasswordIdentityProvider):
    """Knows who may open the page; another site's page may not act in a person's name."""

    @default("logout_handler_class")
    def _logout_default(self) -> type[JupyterHandler]:
        return Logout

    async def get_user(self, handler: Any) -> Any:  # noqa: ANN401
        """Return who asks; 403 for a request that another site's page has made."""
        if _is_foreign(handler.request) and not _is_link(handler.request, self, handler):
            handler.current_user = handler._jupyter_current_user = None  # as for a foreign Host
            raise web.HTTPError(403, "asked by a page of another site")
        return await ensure_async(super().get_user(handler))


def _is_foreign(request: Any) -> bool:  # noqa: ANN401 - tornado's
    """Tell whether a page of another site, or of another port, has made a request.

    Where the page tells nobody where it comes from, its own posts have the origin ``null``.
    """
    site = request.headers.get("Sec-Fetch-Site", "")
    origin = request.headers.get("Origin")
    if origin is None or (origin == "null" and request.method == "POST"):
        return site in ("cross-site", "same-site")
    return bool(urlsplit(origin.lower()).netloc != request.headers.get("Host", "").lower())


def _is_link(request: Any, identity: Identity, handler: Any) -> bool:  # noqa: ANN401
    """Tell whether a person followed a link that carries the token."""
    return "Origin" not in request.headers and bool(
        identity.token and identity.get_token(handler) == identity.token
    )


class Logout(JupyterHandler):
    """Forgets who asked."""

    @allow_unauthenticated
    def get(self) -> None:
        """Clear the cookie; the page then asks for the token."""
        self.identity_provider.clear_login_cookie(self)
        self.redirect(self.settings["login_url"])


class Connection(ZMQChannelsWebsocketConnection):
    """A page's connection to its kernel; ends at a message that can't be."""

    def handle_incoming_message(self, incoming_msg: str | bytes) -> None:
        """Pass a message on to the kernel, unless it claims parts that it does not have."""
        try:
            if isinstance(incoming_msg, bytes):
                _check_parts(incoming_msg, v1=self.subprotocol == V1)
            elif self.subprotocol == V1:
                raise ValueError("text where bytes belong")
            super().handle_incoming_message(incoming_msg)  # type: ignore[arg-type]
        except MALFORMED as error:
            self.log.error("A message of a page was refused: %s", str(error)[:200])
            self.websocket_handler.close(1003, "not a message of this page")


def _check_parts(message: bytes, *, v1: bool) -> None:
    """Refuse a message whose parts are too many, overlap or lie outside; ValueError."""
    size, order = (8, "<Q") if v1 else (4, "!I")
    if len(message) < size:
        raise ValueError("no parts")
    (count,) = struct.unpack_from(order, message)
    if not 1 <= count <= min(PARTS, len(message) // size - 1):
        raise ValueError(f"{count} parts in {len(message)} bytes")
    places = struct.unpack_from(f"{order[0]}{count}{order[1]}", message, size)
    if list(places) != sorted(places) or places[-1] > len(message):
        raise ValueError("parts outside the message")


class _Started:
    """The kernel manager as one request sees it: it notes which kernel the request started.

    It starts none for a page that was left meanwhile.
    """

    def __init__(self, manager: Any) -> None:  # noqa: ANN401 - Voila makes its class
        self._manager = manager
        self.kernel = ""
        self.left = False

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._manager, name)

    async def start_kernel(self, **named: Any) -> str:  # noqa: ANN401
        if self.left:
            raise StreamClosedError
        self.kernel = await ensure_async(self._manager.start_kernel(**named))
        return self.kernel


class PageHandler(TornadoVoilaHandler):  # type: ignore[misc] # Voila has no types
    """Sends the page while its kernel runs; ends the kernel of a page that is gone."""

    def initialize(self, **settings: Any) -> None:  # noqa: ANN401
        """Take Voila's settings."""
        super().initialize(**settings)
        self._started = _Started(self.settings["kernel_manager"])

    @property
    def kernel_manager(self) -> _Started:
        """What starts the kernel."""
        return self._started

    @web.authenticated
    async def get(self, path: str | None = None) -> None:
        """Send the page in pieces, or a sentence that says why there is none."""
        sent = False
        await asyncio.sleep(AGAIN_S)
        try:
            async for piece in self.get_generator(path=path):
                if self._started.left or not await self._is_alive():
                    break
                self.write(piece)
                await self.flush()
                sent = True
        except StreamClosedError:
            self._started.left = True
        except OSError as error:
            self.log.error("A page could not start: %s", error)
        if self._started.left:
            await self._end()
        elif not (self._finished or await self._is_alive()):  # else a page, or a redirection
            self.log.error("A page's kernel ended before the page was complete.")
            self._say(NOT_CARRIED, sent=sent)
            await self._end()

    async def _is_alive(self) -> bool:
        with contextlib.suppress(web.HTTPError, KeyError):
            return bool(await ensure_async(self._started.is_alive(self._started.kernel)))
        return False

    def _say(self, sentence: str, *, sent: bool) -> None:
        """Show a sentence and a way to reload, on the page that has begun or on one of its own."""
        if sent:
            told = json.dumps(sentence).replace("<", "\\u003c")
            self.write(f"<script>window.alnb_failed({told})</script>")
            return
        self.set_status(503)
        self.write(
            f"<!doctype html><title>alnb</title><p role='alert'>{escape(sentence)}</p>"
            "<p><a href=''>Reload</a></p>"
        )

    def on_connection_close(self) -> None:
        """End the kernel of a page that was left or reloaded before it was complete."""
        super().on_connection_close()
        self._started.left = True
        self._ending = asyncio.ensure_future(self._end())

    async def _end(self) -> None:
        """End the kernel at once: nobody has seen its page."""
        kernel, self._started.kernel = self._started.kernel, ""
        if kernel:
            with contextlib.suppress(web.HTTPError, KeyError):
                await ensure_async(self._started.shutdown_kernel(kernel, now=True))


class TemplateHandler(TemplateStaticFileHandler):  # type: ignore[misc] # as above
    """Serves the template's files, and says of any other that there is none."""

    def parse_url_path(self, url_path: str) -> str:
        """Return the path in a template's static folder; 404 if there is none in it."""
        try:
            return str(super().parse_url_path(url_path))
        except (ValueError, AssertionError) as error:
            raise web.HTTPError(404) from error

    @classmethod
    def get_absolute_path(cls, root: str, path: str) -> str:
        """Return where a file lies; 404 for a template that there is not."""
        try:
            return str(super().get_absolute_path(root, path))
        except (ValueError, AssertionError, UnboundLocalError) as error:
            raise web.HTTPError(404) from error


class Guarded(Voila):  # type: ignore[misc] # as above
    """Voila with this module's handlers."""

    def init_handlers(self) -> list[Any]:
        """Return Voila's handlers, with ours for the page and the template's files."""
        pages = {
            "static_path": DEFAULT_STATIC_FILES_PATH,
            "static_url_prefix": f"{self.base_url}voila/static/",
        }
        self.app.settings.update(pages)  # of errors, which would fail without
        ours = {TornadoVoilaHandler: PageHandler, TemplateStaticFileHandler: TemplateHandler}
        handlers = [
            (path, ours.get(handler, handler), *settings)
            for path, handler, *settings in super().init_handlers()
        ]
        return [(CONTROL, web.ErrorHandler, {"status_code": 404}), *handlers]


if __name__ == "__main__":
    Guarded.launch_instance()
