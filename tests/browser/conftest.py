"""A real Chromium against a real Voila: the server, the browser, and a page that keeps watch."""

import asyncio
import itertools
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from alnb.dataset import import_phantom
from alnb.serve import app_notebook, serve
from alnb.session import Session
from alnb.worker import Worker
from browser.app_page import CONFIG, PARTS, App

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
LOOK_MS = 50  # between two looks at what is waited for
WAIT_MS = 240_000  # for anything: on a busy machine all is slow, and no test is about time
ROOT = str(Path(__file__).parents[2])  # where alnb is not installed
ADVICE = "no Chromium found; install it: apt-get install chromium, or playwright install chromium"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.usefixtures("untraced"))


def installed_browser(playwright):
    """Return the path of a browser on this machine, or None."""
    for name in NAMES:
        if found := shutil.which(name):
            return found
    own = Path(playwright.chromium.executable_path)
    return str(own) if own.is_file() else None


def install_browser():
    """Try Playwright's own browser, then the system's package manager."""
    playwright = [sys.executable, "-m", "playwright", "install", "chromium"]
    commands = [playwright]
    if shutil.which("apt-get") and os.geteuid() == 0:
        commands += [["apt-get", "update", "-q"], ["apt-get", "install", "-qy", "chromium"]]
    for command in commands:
        try:
            done = subprocess.run(command, timeout=600, check=False)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0 and command[1] != "update":
            return


@pytest.fixture(scope="package")
def browser():
    """A browser, installed if need be; without one the tests skip, or fail where CI=true."""
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        path = installed_browser(playwright)
        if path is None:
            install_browser()
            path = installed_browser(playwright)
        if path is None:
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(ADVICE)
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def serving():
    """Return a function that serves a notebook until the ``with`` block ends."""

    @contextmanager
    def start(notebook, **env):
        env = {"PYTHONPATH": ROOT} | {name: str(value) for name, value in env.items()}
        with serve(notebook, open_browser=False, env=env) as server:
            yield server

    return start


@dataclass
class Watched:
    """A page, and what went wrong, left the machine or was sent while it was open."""

    page: object
    errors: list = field(default_factory=list)
    foreign: list = field(default_factory=list)
    sent: int = 0

    def _socket(self, socket):
        self._request(socket)
        socket.on("framesent", self._frame)

    def _frame(self, payload):
        """Count what the page sends of its own accord: no ping, no echo of the kernel's figures."""
        sent = payload if isinstance(payload, bytes) else payload.encode()
        if not any(
            word in sent
            for word in (
                b'"kind":"ping"',
                b"_js2py_traceDeltas",
                b"_js2py_widget_layoutDelta",
                b"_js2py_layoutDelta",
            )
        ):
            self.sent += 1

    def _request(self, request):
        url = urlsplit(request.url)
        if url.scheme in ("http", "https", "ws", "wss") and url.hostname != "127.0.0.1":
            self.foreign.append(request.url)

    def _console(self, message):
        if message.type == "error":
            self.errors.append(message.text)


@pytest.fixture(scope="package")
def watching(browser):
    """Return a function that opens a watched page until the ``with`` block ends."""

    @contextmanager
    def start(width=1280, height=720, **options):
        page = browser.new_page(viewport={"width": width, "height": height}, **options)
        page.set_default_timeout(WAIT_MS)
        # each frame, as Playwright looks, would have the page drawn again and again
        page.wait_for_function = partial(page.wait_for_function, polling=LOOK_MS)
        watch = Watched(page)
        page.on("request", watch._request)
        page.on("websocket", watch._socket)
        page.on("console", watch._console)
        page.on("pageerror", lambda error: watch.errors.append(str(error)))
        yield watch
        if not page.is_closed():
            page.goto("about:blank")  # a page that is left ends its kernel
            page.close()

    return start


@pytest.fixture
def watched(watching):
    """A fresh page that records console errors, uncaught errors and requests to other hosts."""
    with watching() as watch:
        yield watch


@pytest.fixture(scope="package")
def phantom(tmp_path_factory):
    """Three scans of synthetic CT in HU; one to test."""
    return import_phantom(
        tmp_path_factory.mktemp("data") / "phantom", scans=3, size=128, split=PARTS, name="phantom"
    )


@pytest.fixture(scope="package")
def label_server(serving, phantom, tmp_path_factory):
    """The label app's server for all tests but those that end it, and where its sessions are."""
    place = tmp_path_factory.mktemp("sessions")
    env = {"ALNB_DATA": phantom.folder, "ALNB_SESSIONS": place}
    with serving(app_notebook("label"), **env) as server:
        yield server, place


@pytest.fixture(scope="package")
def published(phantom, tmp_path_factory):
    """All slices published for all sessions, so that their pages need no process before Train."""

    async def publish():
        worker = Worker(phantom, CONFIG, tmp_path_factory.mktemp("published"))
        await worker.find_origin()
        await worker.publish(phantom.slices, worker.origin)
        await worker.stop()

    with ThreadPoolExecutor(1) as apart:  # this thread has Playwright's loop
        apart.submit(asyncio.run, publish()).result()


@pytest.fixture(scope="package")
def begun(label_server, phantom, published):
    """Return a function that begins a session; it gives the folder, and the page's address."""
    server, place = label_server
    numbers = itertools.count(1)

    def begin(config=CONFIG):
        folder = place / f"session-{next(numbers)}"
        Session.open(folder, phantom, config).close()
        return folder, f"{server.address}&session={folder.name}"

    return begin


@pytest.fixture(scope="package")
def looked_at(watching, begun):
    """The app, its session's folder and its watched page, for tests of how it looks."""
    folder, address = begun(CONFIG.replace(start_regions=40))
    with watching() as watched:
        yield App(watched.page, address), folder, watched
        assert watched.errors == []


@pytest.fixture
def session(begun):
    """A session with quick settings: its folder, and its address."""
    return begun()


@pytest.fixture
def folder(session):
    return session[0]


@pytest.fixture
def address(session):
    return session[1]
