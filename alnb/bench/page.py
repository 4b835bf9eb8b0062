"""The label app's page, timed in a real browser: start-up, and a click until its mark is drawn."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from alnb.dataset import Dataset
from alnb.serve import app_notebook, serve

if TYPE_CHECKING:
    from playwright.sync_api import Page

CLICKS = 40
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
# Times each press until the number of marks changes; polling from outside would load the page.
WATCH = """() => {
  const plot = document.querySelector(".alnb-figure .js-plotly-plot");
  const marks = () => plot.querySelectorAll(".scatterlayer .point").length;
  let pressed = null, count = marks();
  window.alnbTimes = [];
  document.addEventListener("pointerdown", () => { pressed = performance.now(); }, true);
  new MutationObserver(() => {
    if (marks() === count) return;
    count = marks();
    if (pressed !== null) window.alnbTimes.push(performance.now() - pressed);
    pressed = null;
  }).observe(plot, { childList: true, subtree: true });
}"""


def time_page(dataset: Dataset) -> Iterator[tuple[str, float, str]]:
    """Time the page on a dataset; yields (what, figure, unit).

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
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        env = {"ALNB_DATA": str(dataset.folder.resolve()), "ALNB_SESSION": str(Path(folder, "s"))}
        begin = time.perf_counter()
        with serve(app_notebook("label"), open_browser=False, env=env) as server:
            page = browser.new_page(viewport={"width": 1280, "height": 720})
            page.goto(server.address)
            page.wait_for_selector(".alnb-strip img", timeout=60_000)
            page.wait_for_selector(".alnb-figure .nsewdrag", timeout=60_000)
            yield "alnb label to the first region", time.perf_counter() - begin, "s"
            page.wait_for_timeout(8000)  # until the training process has started
            page.evaluate(WATCH)
            yield "click to mark, p95", _click(page), "ms"
            page.get_by_role("button", name="Next").click()
            page.wait_for_timeout(1000)
            page.get_by_role("button", name="Train").click()
            page.wait_for_timeout(1000)
            yield "click to mark while training, p95", _click(page), "ms"
        browser.close()


def _click(page: Page) -> float:
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
    times = page.evaluate("() => window.alnbTimes")
    if len(times) < CLICKS:
        raise RuntimeError(f"{CLICKS - len(times)} of {CLICKS} clicks left no mark")
    return float(np.percentile(times, 95))
