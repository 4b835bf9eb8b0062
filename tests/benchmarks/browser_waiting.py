"""How often a quick person of the label app has nothing to answer, in a real browser."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from alnb.ui.viewer.slice_view import SHAPES

from .browser_page import LABEL_READY, launched, opened
from .speed import Measure

if TYPE_CHECKING:
    from playwright.sync_api import Page

LOOKS_S = (2.0, 3.0)  # at a region, from when it is shown to the answer
NEW = 5  # answers, after which the person presses Train
INFECTED = 1 / 3  # of the answers; in those the person clicks twice
BETWEEN_MS = 700  # two clicks
GIVE_UP_MS = 600_000
# Times each press until the next question, the mark and the outline are drawn, and the frames in
# which no region can be answered. A click that leaves the outline as it was has no time for it.
WATCH = """outline => {
  const find = (name) => document.querySelector(name);
  const plot = find(".alnb-figure .js-plotly-plot");
  const cycling = () => !find(".alnb-act-cancel").disabled;
  const looks = {
    question: [".alnb-act-clean, .alnb-act-next", () => plot.layout.meta.screen],
    mark: [".nsewdrag", () => plot.querySelectorAll(".scatterlayer .point").length],
    outline: [".nsewdrag", () =>
      plot.querySelector(`.shapelayer path[data-index="${outline}"]`)?.getAttribute("d")],
  };
  window.alnbWaits = { question: [], mark: [], outline: [] };
  window.alnbTime = { all: 0, idle: 0 };
  let presses = 0;
  document.addEventListener("pointerdown", (event) => {
    const pressed = performance.now(), trains = cycling(), press = ++presses;
    for (const [name, [where, see]] of Object.entries(looks)) {
      if (!event.target.closest(where)) continue;
      const before = see();
      const look = () => {
        const waited = performance.now() - pressed;
        if (see() !== before) window.alnbWaits[name].push([waited, trains]);
        else if (press === presses && waited < 5000) requestAnimationFrame(look);
      };
      requestAnimationFrame(look);
    }
  }, true);
  let last = performance.now();
  const frame = (now) => {
    window.alnbTime.all += now - last;
    if (!find(".alnb-strip .current")) window.alnbTime.idle += now - last;
    last = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}"""
POINTS = "() => document.querySelector('.alnb-charts .js-plotly-plot').data[0].x.length"
ASKED = "() => document.querySelector('.alnb-strip .current')"


def measure_waiting(data: Path | None, cycles: int) -> Iterator[Measure]:
    """Answer, and train as soon as five answers are new; yields what the person waited for.

    Parameters
    ----------
    data : Path or None
        A dataset; None takes the embedded phantom.
    cycles : int
        Trainings that the person waits for.
    """
    words = ["label", *([str(data)] if data else [])]
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            launched() as browser,
            opened(
                browser, [*words, "--session", f"{folder}/session"], LABEL_READY,
                Path(folder, "cache"),
            ) as (page, _),
        ):  # fmt: skip
            page.evaluate(WATCH, list(SHAPES).index("predicted"))
            answers, clicks = _label(page, cycles)
            yield from _waited(page, answers, clicks)
    except ImportError:
        yield Measure("the page", None, "s", None, "install it with pip install 'alnb[test]'")
    except FileNotFoundError as error:
        yield Measure("the page", None, "s", None, str(error))


def _label(page: Page, cycles: int) -> tuple[int, int]:
    """Be the person; count answers and clicks."""
    rng, answers, clicks, new = np.random.default_rng(0), 0, 0, 0
    while page.evaluate(POINTS) < cycles:
        page.wait_for_function(ASKED, timeout=GIVE_UP_MS)
        ms = 1000 * rng.uniform(*LOOKS_S)
        if rng.random() < INFECTED:
            for share in (0.35, 0.65):
                page.wait_for_timeout(ms / 2 if share < 0.5 else BETWEEN_MS)
                _click(page, share)
                clicks += 1
            page.wait_for_timeout(BETWEEN_MS)
            page.locator(".alnb-act-next").click()
        else:
            page.wait_for_timeout(ms)
            page.locator(".alnb-act-clean").click()
        answers, new = answers + 1, new + 1
        train = page.locator(".alnb-act-train")
        if new >= NEW and train.is_enabled():
            train.click()
            new = 0
    return answers, clicks


def _click(page: Page, share: float) -> None:
    """Click at this share of the large picture's sides."""
    box: Any = page.locator(".alnb-figure .nsewdrag").nth(1).bounding_box()
    page.mouse.click(box["x"] + share * box["width"], box["y"] + share * box["height"])


def _waited(page: Page, answers: int, clicks: int) -> Iterator[Measure]:
    waits, spent = page.evaluate("() => [window.alnbWaits, window.alnbTime]")
    note = f"of {spent['all'] / 1000:.0f} s, {answers} answers"
    yield Measure("time with nothing to answer", 100 * spent["idle"] / spent["all"], "%", 1.0, note)
    for name, what, limit in (
        ("question", "answer to the next question", 300.0),
        ("mark", "click to mark", 100.0),
        ("outline", "click to its outline", 200.0),
    ):
        both = [
            [ms for ms, cycling in waits[name] if cycling is trains] for trains in (True, False)
        ]
        for times, when in zip(both, (" while it trains", ""), strict=True):
            p95 = float(np.percentile(times, 95)) if times else None
            whole = f"; {len(waits[name])} of {clicks} clicks" if name != "question" else ""
            yield Measure(f"{what}{when}, p95", p95, "ms", limit, f"{len(times)} times{whole}")
