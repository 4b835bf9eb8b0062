"""What a person of the label app waits for, and its memory, in a real browser."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import numpy as np

from alnb.serve import HOST

from .browser_page import LABEL_READY, WATCH, click_p95, launched, opened
from .speed import Measure

if TYPE_CHECKING:
    from playwright.sync_api import Page


REGIONS = 15
SETTLE_MS = 450  # longer than the app takes an answer for one to the region before
LONG = 20_000  # steps: a training that does not end before it is cancelled
SETTLED = 50  # answers, until what the kernel keeps of each slice is kept
# Times each press of "No infection" until the next region is drawn.
NEXT = """() => {
  const plot = document.querySelector(".alnb-figure .js-plotly-plot");
  const screen = () => plot.layout.meta.screen;
  window.alnbNext = [];
  document.addEventListener("pointerdown", (event) => {
    if (!event.target.closest(".alnb-act-clean")) return;
    const pressed = performance.now(), before = screen();
    const look = () => {
      if (screen() === before) requestAnimationFrame(look);
      else window.alnbNext.push(performance.now() - pressed);
    };
    requestAnimationFrame(look);
  }, true);
}"""
TRAINS = "() => /training \\d+ of/.test(document.querySelector('.alnb-slot').innerText)"


def measure_use(data: Path | None, answers: int) -> Iterator[Measure]:
    """Label, train meanwhile, cancel, and go on labelling; yields what that took.

    Parameters
    ----------
    data : Path or None
        A dataset; None takes the embedded phantom.
    answers : int
        After how many memory is weighed again.
    """
    regions = answers + 3 * REGIONS
    settings = (f"start_regions={regions}", f"steps={LONG}", f"epochs={LONG}")
    words = ["label", *([str(data)] if data else [])]
    words += [word for one in settings for word in ("--set", one)]
    traffic = Traffic()
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            launched() as browser,
            opened(
                browser, [*words, "--session", f"{folder}/session"], LABEL_READY,
                Path(folder, "cache"), traffic.watch,
            ) as (page, seconds),
        ):  # fmt: skip
            first = "" if data else ", whose data is drawn for the first time"
            yield Measure(f"alnb label to the first region{first}", seconds, "s", 10.0)
            yield from _waits(page, min(REGIONS, answers))
            yield from _memory(page, answers)
            yield traffic.failures()
    except ImportError:
        yield Measure("the page", None, "s", None, "install it with pip install 'alnb[test]'")
    except FileNotFoundError as error:
        yield Measure("the page", None, "s", None, str(error))


class Traffic:
    """What a page asks for, and what of it failed or was of another host."""

    def __init__(self) -> None:
        self.asked = 0
        self.failed: list[str] = []

    def watch(self, page: Page) -> None:
        """Listen to a page."""
        page.on("request", lambda request: self._asks(request.url))
        page.on("websocket", lambda socket: self._asks(socket.url))
        page.on("requestfailed", lambda request: self.failed.append(request.url))
        page.on(
            "response", lambda reply: self.failed.append(reply.url) if reply.status >= 400 else None
        )

    def _asks(self, url: str) -> None:
        self.asked += 1
        if urlsplit(url).scheme not in ("data", "blob") and urlsplit(url).hostname != HOST:
            self.failed.append(url)

    def failures(self) -> Measure:
        """Count them."""
        first = "".join(f"; first {url.split('?')[0]}" for url in self.failed[:1])
        what = "requests that failed or went to another host"
        return Measure(what, float(len(self.failed)), "", 0.0, f"of {self.asked}{first}")


def _waits(page: Page, regions: int) -> Iterator[Measure]:
    """Time clicks, some answers and a cancel, while nothing runs and while it trains."""
    page.wait_for_timeout(1000)
    page.wait_for_selector(".alnb-bar", state="detached", timeout=120_000)  # the process is there
    page.evaluate(WATCH)
    page.evaluate(NEXT)
    yield Measure("click to mark, p95", click_p95(page), "ms", 100.0)
    page.locator(".alnb-act-next").click()
    page.wait_for_timeout(1000)
    yield Measure("answer to the next region, p95", _answer(page, regions), "ms", 300.0)
    page.locator(".alnb-act-train").click()
    page.wait_for_function(TRAINS, timeout=120_000)
    yield Measure(
        "answer to the next region while it trains, p95", _answer(page, regions), "ms", 300.0
    )
    yield Measure("click to mark while it trains, p95", click_p95(page), "ms", 100.0)
    if not page.evaluate(TRAINS):
        raise RuntimeError("the training ended while it was measured")
    begin = time.perf_counter()
    page.locator(".alnb-act-cancel").click()
    page.wait_for_selector(".alnb-act-cancel[disabled]", timeout=60_000)
    yield Measure("cancel until it is cancelled", time.perf_counter() - begin, "s", 2.0)
    page.locator(".alnb-act-next").click()  # the marks of the last clicks
    page.wait_for_timeout(1000)


def _answer(page: Page, count: int) -> float:
    """Answer regions as clean, each after it was looked at; return the p95 in ms."""
    page.evaluate("() => { window.alnbNext.length = 0; }")
    for number in range(count):
        page.wait_for_timeout(SETTLE_MS)
        page.locator(".alnb-act-clean").click()
        page.wait_for_function("n => window.alnbNext.length > n", arg=number)
    return float(np.percentile(page.evaluate("() => window.alnbNext"), 95))


def _memory(page: Page, answers: int) -> Iterator[Measure]:
    """Weigh kernel and page some answers after the start, and again when all are given."""
    first = min(SETTLED, answers // 2)
    _answer(page, first)
    before = _kernel_mib(), _heap_mib(page)
    last = _answer(page, answers - first)
    after = _kernel_mib(), _heap_mib(page)
    yield Measure(f"answer to the next region over {answers} answers, p95", last, "ms", 300.0)
    for what, old, new in zip(("the kernel", "the page"), before, after, strict=True):
        name = f"memory that {what} gained over {answers - first} answers"
        if old is None or new is None:
            yield Measure(name, None, "MiB", None, "measured on Linux alone")
        else:
            yield Measure(name, new - old, "MiB", 50.0, f"of {new:.0f} MiB")


def _heap_mib(page: Page) -> float:
    """Weigh what the page's scripts hold, once what they don't need is thrown away."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used: float = session.send("Runtime.getHeapUsage")["usedSize"]
    session.detach()
    return used / 2**20


def _kernel_mib() -> float | None:
    """Weigh the kernels that this process has started; None where that can't be."""
    below, mib = [os.getpid()], None
    while below:
        folder = Path(f"/proc/{below.pop()}")
        try:
            children = (folder / "task" / folder.name / "children").read_text().split()
            if b"ipykernel" in (folder / "cmdline").read_bytes():
                status = (folder / "status").read_text()
                mib = (mib or 0.0) + int(status.split("VmRSS:")[1].split()[0]) / 2**10
        except (OSError, IndexError):
            continue
        below += map(int, children)
    return mib
