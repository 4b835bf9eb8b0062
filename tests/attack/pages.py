"""Open many pages of the label app at once, each on a session of its own, as a class does."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from alnb.dataset import embedded
from alnb.serve import app_notebook, serve
from alnb.worker import IDLE_S
from tests.attack.run import Outcome
from tests.attack.served import children

USABLE_S = 180.0  # within which a page has to be usable, or say why not
LABELLER_MB = 400  # of a person who only labels, once the training process has ended
LOOKS = """() => document.querySelector(".alnb-strip") ? "usable"
  : document.querySelector("#loading.alnb-stuck")?.innerText ?? ''"""


def pages(count: int) -> Iterator[Outcome]:
    """Open pages at once; each is usable or says why not, and rests in little memory."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    root = str(Path(__file__).parents[2])
    with contextlib.ExitStack() as stack:
        sessions = stack.enter_context(tempfile.TemporaryDirectory())
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        stack.callback(browser.close)
        cache = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        data = embedded().folder  # it is drawn; nothing else is kept from before
        shutil.copytree(data, cache / "alnb" / data.name)
        env = {"PYTHONPATH": root, "ALNB_SESSIONS": sessions, "XDG_CACHE_HOME": str(cache)}
        server = stack.enter_context(serve(app_notebook("label"), open_browser=False, env=env))
        opened = [browser.new_page() for _ in range(count)]
        began = time.monotonic()
        for n, page in enumerate(opened):
            page.goto(f"{server.address}&session=person-{n}", wait_until="commit")
        looks = [""] * count
        while set(looks) != {"usable"} and time.monotonic() - began < USABLE_S:
            time.sleep(1)
            looks = [page.evaluate(LOOKS) for page in opened]
        took = time.monotonic() - began
        for n, look in enumerate(looks):
            ended = {"usable": "read", "": "blank"}.get(look, "refused")
            yield Outcome("pages", n, ended, f"of {count}: {look!r} after {took:.0f} s", took)
        yield from _memory(server.pid, count)


def _memory(server: int, count: int) -> Iterator[Outcome]:
    """Measure what a page takes while slices are published, and once it rests."""
    most, until = 0.0, time.monotonic() + 5 * IDLE_S + 60 * count
    while time.monotonic() < until:
        held = [_megabytes(kernel) for kernel, _ in children(server)]
        most = max(most, sum(held))
        if not any(_trains(kernel) for kernel, _ in children(server)):
            break
        time.sleep(2)
    name = f"{most:.0f} MB at most in all; then {sum(held):.0f} MB, a page {max(held):.0f} MB"
    ended = "too much" if max(held) > LABELLER_MB else "read"
    yield Outcome("memory", count, ended, name)


def _trains(kernel: int) -> bool:
    return any("alnb.training" in command for _, command in children(kernel))


def _megabytes(pid: int) -> float:
    """Measure what a process and those it started hold, shared pages in equal parts."""
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        own = sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
        return own + sum(_megabytes(child) for child, _ in children(pid))
    return 0.0
