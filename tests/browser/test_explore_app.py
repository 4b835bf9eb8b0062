import os

import pytest

from alnb.annotation import Answer, Verdict
from alnb.config import Config
from alnb.experiments.run import simulate
from alnb.pool import Pool, start_picks
from alnb.serve import app_notebook
from alnb.session import Session
from alnb.ui.viewer.drawing import NOTHING
from browser.layout import faults, resize

CONFIG = Config(
    backbone="efficientnet_lite0", steps=6, batch=2, crop=64, draws=2, start_regions=12,
    regions_per_cycle=3,
)  # fmt: skip
DRAWN = """([name, nothing]) => {
  const plot = document.querySelector(".alnb-figure .js-plotly-plot");
  const trace = plot && plot.data.find(trace => trace.name === name);
  return Boolean(trace) && trace.source !== nothing;
}"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory, phantom):
    """The phantom labelled by entropy and at random, a cycle after the start each."""
    folder = tmp_path_factory.mktemp("explored")
    for heuristic in ("entropy", "random"):
        config = CONFIG.replace(heuristic=heuristic)
        simulate(phantom, folder / heuristic, config, cycles=1)
    return [folder / "entropy", folder / "random"]


def opened(page, address):
    page.goto(address)
    page.wait_for_selector(".alnb-figure .nsewdrag")
    page.wait_for_selector(".alnb-charts .nsewdrag")
    page.wait_for_selector(".alnb-tap[data-ready]", state="attached")


def reads(page, text):
    """Wait until the page holds a text."""
    page.locator(".alnb-explorer", has_text=text).wait_for()


def draws(page, name):
    page.wait_for_function(DRAWN, arg=[name, NOTHING])


@pytest.fixture(scope="module")
def explorer(serving, watching, runs):
    """An explorer of the first run, on a watched page."""
    with serving(app_notebook("explore"), ALNB_RUNS=runs[0]) as server, watching() as watched:
        opened(watched.page, server.address)
        yield watched


def test_it_plays_to_the_last_cycle(explorer):
    page = explorer.page
    reads(page, "cycle 0: the start")
    page.locator(".widget-play button").first.click()
    reads(page, "cycle 1: entropy")
    page.locator(".widget-play .fa-play").wait_for()  # it has stopped at the end

    page.locator(".widget-play button").first.click()
    reads(page, "cycle 0: the start")
    reads(page, "cycle 1: entropy")
    page.locator(".widget-play .fa-play").wait_for()


def test_a_run_is_stepped_through_with_maps_before_and_after(explorer, runs):
    page = explorer.page
    page.keyboard.press("ArrowLeft")
    reads(page, "cycle 0: the start")
    page.keyboard.press("ArrowRight")
    reads(page, "cycle 1: entropy")
    draws(page, "left entropy")
    draws(page, "right entropy")

    page.locator("select").select_option("random")
    reads(page, "random would have asked 3 regions")
    page.get_by_role("button", name="Fork here").click()
    reads(page, "Go on with: alnb run")
    assert (runs[0].parent / "entropy-random-from-1" / "journal.jsonl").exists()
    assert explorer.foreign == []
    assert explorer.errors == []


def test_two_runs_stand_side_by_side_and_fit_a_projector(serving, watched, runs):
    page = watched.page
    with serving(app_notebook("explore"), ALNB_RUNS=os.pathsep.join(map(str, runs))) as server:
        opened(page, server.address)
        page.get_by_role("button", name="Largest change").click()
        reads(page, "random, cycle 1: random")
        draws(page, "left entropy")
        draws(page, "right entropy")
        left, right = page.locator(".alnb-question").inner_text().split(" · ")
        assert left.split(":")[0] == right.split(":")[0]  # the scan and the slice
        page.get_by_label("the left region on both sides").uncheck()
        page.wait_for_function(
            "was => document.querySelector('.alnb-question').innerText !== was",
            arg=f"{left} · {right}",
        )
        draws(page, "right entropy")

        computing = page.locator(".alnb-small", has_text="computing maps").first
        computing.wait_for(state="hidden")
        size = "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
        assert page.evaluate(size) == [1280, 720]
        for window in ((1280, 720), (1920, 1080)):
            resize(page, *window)
            assert faults(page, whole=window >= (1280, 720)) == [], window
    assert watched.errors == []


def test_a_session_is_followed_while_somebody_labels_it(serving, watched, phantom, tmp_path):
    page = watched.page
    session = Session.open(tmp_path / "live", phantom, CONFIG)
    session.ask(start_picks(Pool(phantom, CONFIG)))
    with serving(app_notebook("explore"), ALNB_RUNS=session.journal.path.parent) as server:
        opened(page, server.address)
        reads(page, "follow the labelling that goes on now")
        for _ in range(3):
            session.submit(Answer(session.state.pending[0], Verdict.CLEAN))
        reads(page, "3 no infection")
        session.close()
        page.get_by_text("follow the labelling").wait_for(state="hidden")
    assert watched.errors == []
