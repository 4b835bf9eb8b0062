"""Ask a served page for what it must not give, and see that it goes on for all others."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import random
import re
import socket
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClosedError, websocket_connect

from alnb.guard import V1
from alnb.serve import HOST, Server, serve
from tests.attack.run import Outcome

SECONDS = 10.0  # in which any answer has to come
GROWS = 60 * 2**20  # bytes that a frame may cost the server for a while; a frame has 10 MB at most
ENDS_S = 5.0  # in which the kernels of pages that were left end
LEFT = 8  # pages, one after the other
TOKEN = "open-sesame"  # noqa: S105 - of a server that lives for this attack
NOBODY = "00000000-0000-0000-0000-000000000000"
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")
PATHS = (
    "/logout", "/login", "/login?next=//elsewhere.example", "/voila/templates/",
    "/voila/templates/alnb", "/voila/templates/none/static/x", "/voila/templates/alnb/conf.json",
    "/voila/templates/alnb/static/../conf.json", "/voila/static/", "/voila/static/..%2f..%2fx",
    "/voila/files/", "/voila/files/page.ipynb", "/voila/labextensions/", "/voila/api/themes/",
    "/voila/api/themes/%2e%2e/x", "/voila/api/shutdown/", f"/voila/api/shutdown/{NOBODY}",
    f"/api/kernels/{NOBODY}", f"/api/kernels/{NOBODY}/channels", "/api", "/voila/tree",
    "/voila/render/page.ipynb", f"/voila/query/{NOBODY}", f"/voila/execution/{NOBODY}", "/x",
)  # fmt: skip
NOISE = ("", "/", "/%00", "%0a", "%ff%fe", "/../..", "/" + "a" * 3000, "?" + "x=1&" * 500, "%2e%2e")
FOREIGN = (
    {"Origin": "http://elsewhere.example"}, {"Origin": "http://127.0.0.1:1"}, {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
    {"Host": "elsewhere.example"},
)  # fmt: skip


def tried(target: str, seed: int, what: str, wrong: str) -> Outcome:
    """Judge what was tried on a server: what is wrong, or nothing."""
    return Outcome(target, seed, wrong or "refused", what)


class Target:
    """A server of a page with one empty cell, and its token and cookie."""

    def __init__(self, server: Server) -> None:
        self.server = server
        _, headers, _ = self.ask("GET", "/login", token=True)
        self.cookie = str(headers.get("Set-Cookie", "")).split(";")[0]

    def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, *, token: bool = False
    ) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and the first bytes of a reply."""
        if token:
            path += f"{'&' if '?' in path else '?'}token={TOKEN}"
        connection = http.client.HTTPConnection(HOST, self.server.port, timeout=SECONDS)
        try:
            connection.request(method, path, headers=headers or {})
            reply = connection.getresponse()
            return reply.status, dict(reply.getheaders()), reply.read(2**20)
        finally:
            connection.close()

    def kernels(self) -> int:
        """Count the kernels that the server has started and that have not ended."""
        return sum("ipykernel" in command for _, command in children(self.server.pid))

    def memory(self) -> int:
        """Return the bytes that the server holds in memory."""
        pages = Path(f"/proc/{self.server.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def goes_on(self) -> str:
        """Say what is wrong with the server now; empty if it answers at once."""
        try:
            began = time.monotonic()
            status, _, _ = self.ask("GET", "/login")
        except OSError as error:
            return f"the server does not answer ({error})"
        late = time.monotonic() - began > SECONDS / 2
        return "the server is slow" if late else "" if status == 200 else f"status {status}"


def children(pid: int) -> Iterator[tuple[int, str]]:
    """Yield number and command line of each process that a process started."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # it ended meanwhile
            for child in (task / "children").read_text().split():
                yield int(child), Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")


@contextlib.contextmanager
def target(source: str = "") -> Iterator[Target]:
    """Serve a page with one cell."""
    cell = {
        "cell_type": "code", "source": source, "id": "one", "metadata": {}, "outputs": [],
        "execution_count": None,
    }  # fmt: skip
    page = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    root = str(Path(__file__).parents[2])
    with tempfile.TemporaryDirectory() as folder:
        notebook = Path(folder, "page.ipynb")
        notebook.write_text(json.dumps(page), encoding="utf-8")
        with serve(notebook, open_browser=False, token=TOKEN, env={"PYTHONPATH": root}) as server:
            yield Target(server)


# --- requests ---


def requests(served: Target, seed: int, count: int) -> Iterator[Outcome]:
    """Ask for paths that there are not, by all methods, with and without a right to."""
    rng = random.Random(seed)
    for _ in range(count):
        method, path = rng.choice(METHODS), rng.choice(PATHS) + rng.choice(NOISE)
        rights = rng.choice(("nothing", "wrong", "cookie", "token"))
        headers = {"Cookie": served.cookie} if rights == "cookie" else {}
        if rights == "wrong":
            headers = {"Authorization": f"token {quote(path[:20])}"}
        name = f"{method} {path[:60]} with {rights}"
        try:
            status, _, _ = served.ask(method, path, headers, token=rights == "token")
            wrong = f"status {status}" if status >= 500 else ""
        except (OSError, http.client.HTTPException) as error:
            wrong = f"no answer ({error!r})"
        yield tried("requests", seed, name, wrong)


def foreign(served: Target, seed: int, count: int) -> Iterator[Outcome]:
    """Ask for the page as another site's page would, with the person's cookie."""
    rng = random.Random(seed)
    for n in range(count):
        headers = FOREIGN[n % len(FOREIGN)]
        before = served.kernels()
        path = rng.choice(("/", "/?session=a", "/voila/static/x/../../../"))
        status, _, _ = served.ask("GET", path, headers | {"Cookie": served.cookie})
        wrong = f"status {status}" if status not in (403, 404) else ""
        if served.kernels() > before:
            wrong = "a kernel was started"
        yield tried("foreign", seed, f"GET {path} {headers}", wrong)


# --- messages ---


def frames(served: Target, seed: int, count: int) -> Iterator[Outcome]:
    """Send messages to a kernel that can't be, each over a connection of its own."""
    rng = random.Random(seed)
    kernel = _open_page(served)
    for n in range(count):
        name, v1, frame = list(_frames(rng))[n % FRAMES]
        before = served.memory()
        wrong = asyncio.run(_send(served, kernel, frame, v1=v1)) or served.goes_on()
        grown = served.memory() - before
        if grown > GROWS:
            wrong = f"the server grew by {grown / 2**20:.0f} MB"
        if served.kernels() == 0:
            wrong = "the kernel ended"
        yield tried("frames", seed, name, wrong)


def _open_page(served: Target) -> str:
    """Open the page, and return its kernel's number."""
    _, _, page = served.ask("GET", "/", token=True)
    found = re.search(rb'"kernelId": "([-\w]+)"', page)
    assert found is not None, page[:200]
    return found[1].decode()


def _frames(rng: random.Random) -> Iterator[tuple[str, bool, bytes | str]]:
    """Yield a name, whether it is of protocol v1, and a message that can't be."""
    size = rng.randrange(16, 4096)
    noise = rng.randbytes(size)
    yield "noise", True, noise
    yield "noise as of old", False, noise
    yield "2^62 parts", True, struct.pack("<Q", 2**62) + noise
    yield "2^64-1 parts", True, b"\xff" * 8 + noise
    yield "2^31-1 parts as of old", False, struct.pack("!I", 2**31 - 1) + noise
    yield "-1 parts as of old", False, b"\xff" * 4 + noise
    yield "no part", True, bytes(8)
    yield "nothing", True, b""
    many = 2**19
    turns = struct.pack(f"<{many}Q", *([0, 9 * 2**20] * (many // 2)))
    yield "parts that overlap", True, struct.pack("<Q", many) + turns + bytes(5 * 2**20)
    few = struct.pack("<800Q", *([0, 9 * 2**20] * 400))
    yield "few parts that overlap", True, struct.pack("<Q", 800) + few + bytes(9 * 2**20)
    yield "a text", True, "{}"
    yield "a deep text", False, "[" * 2**20
    yield "not JSON", False, "{"
    yield "a number", False, str(rng.random())
    yield "a header of a number", False, json.dumps({"channel": "shell", "header": 1})
    yield "another channel", False, json.dumps({"channel": "x" * size, "header": {}})
    yield "code", False, json.dumps(_message("execute_request", {"code": "import os; os._exit(1)"}))
    yield "a message of nothing", True, _v1([b"shell", b"{}", b"{}", b"{}", b"{}"])
    yield "a message of noise", True, _v1([b"shell", noise, b"{}", b"{}", b"{}"])


def _message(kind: str, content: dict[str, str]) -> dict[str, object]:
    header = {"msg_id": "1", "msg_type": kind, "session": "s", "username": "", "version": "5.3"}
    return {
        "channel": "shell", "header": header, "parent_header": {}, "metadata": {},
        "content": content,
    }  # fmt: skip


def _v1(parts: list[bytes]) -> bytes:
    places = [8 * (len(parts) + 2)]
    for part in parts:
        places.append(places[-1] + len(part))
    return struct.pack(f"<{len(places) + 1}Q", len(places), *places) + b"".join(parts)


async def _send(served: Target, kernel: str, frame: bytes | str, *, v1: bool) -> str:
    """Send a message over a connection of its own; say what is wrong if there is none."""
    address = f"ws://{HOST}:{served.server.port}/api/kernels/{kernel}/channels"
    request = HTTPRequest(f"{address}?token={TOKEN}&session_id=attack", request_timeout=SECONDS)
    closed = asyncio.Event()

    def hear(message: bytes | str | None) -> None:
        if message is None:
            closed.set()

    try:
        page = await websocket_connect(
            request, on_message_callback=hear, subprotocols=[V1] if v1 else None
        )
    except (OSError, TimeoutError) as error:
        return f"no connection ({error!r})"
    with contextlib.suppress(WebSocketClosedError):  # by an earlier part of the message
        await page.write_message(frame, binary=isinstance(frame, bytes))
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(closed.wait(), 0.3)
    page.close()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(closed.wait(), SECONDS)
    return "" if closed.is_set() else "the connection stays open"


def handshakes(served: Target, seed: int, count: int) -> Iterator[Outcome]:
    """Leave while the connection to the kernel is made, as a page that is closed at once does."""
    rng = random.Random(seed)
    kernel = _open_page(served)
    for n in range(count):
        asks = (
            f"GET /api/kernels/{kernel}/channels?token={TOKEN}&session_id=left-{n} HTTP/1.1\r\n"
            f"Host: {HOST}:{served.server.port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        with socket.create_connection((HOST, served.server.port)) as left:
            left.sendall(asks.encode())
            time.sleep(rng.uniform(0, 0.05))
        yield tried("handshakes", seed, f"left {n}", served.goes_on())


FRAMES = len(list(_frames(random.Random(0))))


# --- reloads ---


def reloads(served: Target, seed: int, count: int, within_s: float = ENDS_S) -> Iterator[Outcome]:
    """Leave the page `count` times before it is complete, as quick reloads do."""
    rng = random.Random(seed)
    before = served.kernels()
    for _ in range(count):
        with socket.create_connection((HOST, served.server.port)) as left:
            left.sendall(f"GET /?token={TOKEN} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            time.sleep(rng.uniform(0.05, 0.5))
    began = time.monotonic()
    ended = wait_until(lambda: served.kernels() <= before, within_s)
    took = time.monotonic() - began
    wrong = "" if ended else f"{served.kernels() - before} kernels after {within_s:.0f} s"
    yield tried("reloads", seed, f"{count} in a row, kernels ended in {took:.1f} s", wrong)


def wait_until(true: Callable[[], bool], within_s: float) -> bool:
    """Wait until something is true; tell whether it became so in time."""
    end = time.monotonic() + within_s
    while not (so := true()) and time.monotonic() < end:
        time.sleep(0.05)
    return so


def all_of(seed: int, count: int) -> Iterator[Outcome]:
    """Try so many requests, and a few of all else."""
    with target() as served:
        yield from requests(served, seed, count)
        yield from foreign(served, seed, len(FOREIGN))
        yield from frames(served, seed, max(FRAMES, count // 50))
        yield from handshakes(served, seed, LEFT)
        yield from reloads(served, seed, LEFT)
