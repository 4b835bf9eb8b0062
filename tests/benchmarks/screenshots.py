"""Pictures of the apps as they are: real runs, a real server, a real browser."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from alnb.annotation import Verdict
from alnb.config import Config
from alnb.dataset import Dataset, embedded
from alnb.experiments.run import simulate
from alnb.journal import Journal
from alnb.regions import Region
from alnb.state import state_of

from .browser_page import LABEL_READY, launched, opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


HEURISTICS = ("entropy", "random")
CYCLES = 2  # enough for a curve to be seen: it has a point an answer, too
MOST = 20  # answers until a region holds infection; by entropy the first or second does
WAIT_MS = 300_000  # for what a training process does
SEEDS = (0, 1)
PLOT = "document.querySelector('.alnb-figure .js-plotly-plot')"
DRAWN = f"""name => {{
  const trace = {PLOT}.data.find(trace => trace.name === name);
  return Boolean(trace) && trace.source.length > 3000; // one empty pixel has 1510
}}"""
EXPLORER_READY = (".alnb-figure .nsewdrag", ".alnb-charts .nsewdrag")
RESTS = re.compile("Network: (up to|out of) date")  # and not: learning
START_READY = (".alnb-start",)
COMPARE_READY = (".alnb-compare-chart .legendtext",)


def photograph(out: Path, data: Path | None = None) -> Iterator[Path]:
    """Photograph the main states of the apps at 1280×720.

    Parameters
    ----------
    out : Path
        Gets ``app_start.png``, ``app_compare.png``, ``app_explore.png``, ``app_label.png``,
        ``app_keys.png``, ``app_sweep.png`` (on a dark page) and ``app_training.png``.
    data : Path or None
        A dataset with masks; None takes the embedded phantom.

    Yields
    ------
    Path
        Of each picture, once it is there.

    Raises
    ------
    ImportError
        If Playwright is not installed.
    FileNotFoundError
        If there is no Chromium or Chrome.
    DataError
        If the dataset has no masks.
    """
    dataset = embedded() if data is None else Dataset.open(data)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, launched() as browser:
        runs = _runs(dataset, Path(folder))
        yield _start(browser, Path(folder), out)
        yield _compare(browser, runs, out)
        yield _explore(browser, runs, out)
        begun = Path(folder, "begun")
        simulate(dataset, begun, Config(asking="live", seed=SEEDS[0]), cycles=0)
        yield from _label(browser, dataset, begun, out)  # which goes on with it


def _runs(dataset: Dataset, folder: Path) -> list[Path]:
    runs = []
    for heuristic in HEURISTICS:
        for seed in SEEDS:
            runs.append(folder / f"{heuristic}-{seed}")
            config = Config(asking="live", heuristic=heuristic, seed=seed)
            simulate(dataset, runs[-1], config, cycles=CYCLES)
    return runs


def _start(browser: Browser, folder: Path, out: Path) -> Path:
    with opened(browser, ["label"], START_READY, place=folder) as (page, _):
        page.wait_for_timeout(500)
        return _shot(page, out / "app_start.png")


def _label(browser: Browser, dataset: Dataset, run: Path, out: Path) -> Iterator[Path]:
    """Ask the next regions of a run, answer until one is infected, and click on it."""
    words = ["label", str(dataset.folder), "--session", str(run)]
    with opened(browser, words, LABEL_READY) as (page, _):
        while not _pending(run):
            page.wait_for_timeout(500)
        for _ in range(MOST):
            (region, *_) = _pending(run)
            infected = dataset.mask(region.where)[region.window]
            page.wait_for_timeout(1500)  # an answer that is given at once is taken for a slip
            if infected.any():
                row, col = (values.mean() for values in infected.nonzero())
                _click(page, region.row + row, region.col + col)
                break
            page.get_by_role("button", name="No infection", exact=True).click()
            while _pending(run)[:1] in ((), (region,)):
                page.wait_for_timeout(100)
        page.get_by_text(RESTS).wait_for(timeout=WAIT_MS)
        page.wait_for_timeout(1500)
        yield _shot(page, out / "app_label.png")
        page.keyboard.press("?")
        page.wait_for_timeout(500)
        yield _shot(page, out / "app_keys.png")
        page.keyboard.press("Escape")
        page.keyboard.press("n")
        page.wait_for_timeout(1500)
        page.emulate_media(color_scheme="dark")
        page.keyboard.press("w")
        page.wait_for_timeout(1500)
        yield _shot(page, out / "app_sweep.png")
        page.emulate_media(color_scheme="light")
        page.keyboard.press("w")
        page.keyboard.press("t")
        page.get_by_text(" left", exact=False).first.wait_for(timeout=WAIT_MS)
        page.wait_for_timeout(1500)
        yield _shot(page, out / "app_training.png")


def _first_infected(run: Path) -> int:
    """Count the regions of the last cycle before the first that holds infection."""
    state = state_of(Journal(run / "journal.jsonl").events)
    verdicts = [state.by_key[pick.region.key].verdict for pick in state.asked]
    return verdicts.index(Verdict.INFECTED) if Verdict.INFECTED in verdicts else 0


def _pending(run: Path) -> tuple[Region, ...]:
    return state_of(Journal(run / "journal.jsonl").events).pending


def _click(page: Page, row: float, col: float) -> None:
    place = page.evaluate(
        f"""([row, col]) => {{
          const axes = {PLOT}._fullLayout;
          const box = {PLOT}.querySelector(".nsewdrag[data-subplot=x2y2]").getBoundingClientRect();
          return [box.left + axes.xaxis2.d2p(col), box.top + axes.yaxis2.d2p(row)];
        }}""",
        [row, col],
    )
    page.mouse.click(*place)


def _explore(browser: Browser, runs: list[Path], out: Path) -> Path:
    with opened(browser, ["explore", str(runs[0]), str(runs[len(SEEDS)])], EXPLORER_READY) as (
        page,
        _,
    ):
        page.locator(".alnb-figure").first.click(position={"x": 5, "y": 5})
        for _ in range(CYCLES):
            page.keyboard.press("ArrowRight")
        for _ in range(_first_infected(runs[0])):
            page.keyboard.press("ArrowDown")
        for name in ("left entropy", "right entropy"):
            page.wait_for_function(DRAWN, arg=name, timeout=WAIT_MS)
        page.wait_for_timeout(3000)
        return _shot(page, out / "app_explore.png")


def _compare(browser: Browser, runs: list[Path], out: Path) -> Path:
    with opened(browser, ["compare", *map(str, runs)], COMPARE_READY) as (page, _):
        page.wait_for_timeout(2000)
        return _shot(page, out / "app_compare.png")


def _shot(page: Page, path: Path) -> Path:
    page.mouse.move(5, 715)  # nothing hovered
    page.screenshot(path=path)
    return path
