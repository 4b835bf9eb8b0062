"""The label app's page, timed in a real browser: start-up, and a click until its mark is drawn."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


CLICKS = 40
LABEL_READY = (".alnb-strip img", ".alnb-figure .nsewdrag")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
# Times each press on the figure until its mark is drawn, also where several are drawn at once;
# polling from outside would load the page.
WATCH = """() => {
  const plot = document.querySelector(".alnb-figure .js-plotly-plot");
  const marks = () => plot.querySelectorAll(".scatterlayer .point").length;
  const pressed = [];
  let count = marks();
  window.alnbTimes = [];
  plot.addEventListener("pointerdown", () => pressed.push(performance.now()), true);
  new MutationObserver(() => {
    const now = performance.now();
    for (; count < marks(); count += 1)
      if (pressed.length) window.alnbTimes.push(now - pressed.shift());
    count = marks();
  }).observe(plot, { childList: true, subtree: true });
}"""
LOST_S = 20.0  # a mark that does not come within this is lost


def time_page(data: Path | None) -> Iterator[tuple[str, float, str]]:
    """Time `alnb label` on a dataset, or on the embedded one; yields (what, figure, unit).

    The embedded one is timed twice: drawn for the first time, and found.

    Raises
    ------
    ImportError
        If Playwright is not installed.
    FileNotFoundError
        If there is no Chromium or Chrome.
    """
    with tempfile.TemporaryDirectory() as folder, launched() as browser:
        words = ["label", "--session", f"{folder}/session", *([str(data)] if data else [])]
        cache = Path(folder, "cache")
        if data is None:
            with opened(browser, words, LABEL_READY, cache) as (_, seconds):
                yield "alnb label to the first region, first time", seconds, "s"
        with opened(browser, words, LABEL_READY, cache) as (page, seconds):
            yield "alnb label to the first region", seconds, "s"
            page.wait_for_timeout(8000)  # until the training process has started
            page.evaluate(WATCH)
            yield "click to mark, p95", click_p95(page), "ms"
            page.get_by_role("button", name="Next").click()
            page.wait_for_timeout(1000)
            page.get_by_role("button", name="Train").click()
            page.wait_for_timeout(1000)
            yield "click to mark while training, p95", click_p95(page), "ms"


@contextmanager
def launched() -> Iterator[Browser]:
    """Start the browser of this machine, without a window.

    Raises
    ------
    ImportError
        If Playwright is not installed.
    FileNotFoundError
        If there is no Chromium or Chrome.
    """
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        raise FileNotFoundError("no Chromium or Chrome on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def opened(
    browser: Browser,
    words: Sequence[str],
    ready: Sequence[str],
    cache: Path | None = None,
    watch: Callable[[Page], None] = lambda page: None,
    place: Path | None = None,
) -> Iterator[tuple[Page, float]]:
    """Run a command of alnb that serves a page; give the page and how long it took.

    Parameters
    ----------
    browser : Browser
    words : sequence of str
        The command's name and arguments.
    ready : sequence of str
        CSS selectors of what must be there before it counts as opened.
    cache : Path or None
        For the embedded data; None: the user's.
    watch : callable
        Called with the page before it asks for anything.
    place : Path or None
        Where it is run, and where its sessions are kept; None: here, and with the user's.
    """
    command = [sys.executable, "-m", "alnb.cli", *words, "--no-browser"]
    own = {"XDG_CACHE_HOME": str(cache)} if cache else {}
    if place is not None:
        own["XDG_DATA_HOME"] = str(place)
    begin = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **own, "PYTHONUNBUFFERED": "1"},
        cwd=place,
    )
    with process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[-1]
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        try:
            watch(page)
            page.goto(address)
            for selector in ready:
                page.wait_for_selector(selector, timeout=60_000)
            yield page, time.perf_counter() - begin
        finally:  # else leaving would wait for the command for ever
            page.close()
            process.terminate()  # Ctrl-C is not heard by what a script runs in the background


def click_p95(page: Page) -> float:
    """Click all over the region, a third of a second apart; return the 95th percentile in ms."""
    page.evaluate("() => { window.alnbTimes.length = 0; }")
    box: Any = page.locator(".alnb-figure .nsewdrag").nth(1).bounding_box()
    side = int(np.ceil(np.sqrt(CLICKS)))
    for number in range(CLICKS):
        col, row = number % side, number // side
        x = box["x"] + box["width"] * (0.25 + 0.5 * col / (side - 1))
        y = box["y"] + box["height"] * (0.25 + 0.5 * row / (side - 1))
        page.mouse.click(x, y)
        page.wait_for_timeout(333)
    deadline = time.perf_counter() + LOST_S
    while len(times := page.evaluate("() => window.alnbTimes")) < CLICKS:
        if time.perf_counter() > deadline:
            raise RuntimeError(f"{CLICKS - len(times)} of {CLICKS} clicks left no mark")
        page.wait_for_timeout(333)
    return float(np.percentile(times, 95))
