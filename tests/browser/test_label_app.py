import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from alnb.config import Config
from alnb.dataset import Dataset, build, import_phantom
from alnb.serve import app_notebook
from alnb.session import Session

CONFIG = Config(
    backbone="efficientnet_lite0", steps=12, batch=2, crop=64, draws=3, start_regions=12,
    start_in_lungs=1.0,
)  # fmt: skip
PARTS = {"phantom_01": "train", "phantom_02": "train", "phantom_03": "test"}


# Holds the page up for 3 s whenever a widget's module of some size is about to be loaded.
SLOW = """
const make = URL.createObjectURL.bind(URL);
URL.createObjectURL = (blob) => {
  const begin = performance.now();
  while (blob.size > 1e6 && performance.now() - begin < 3000);
  return make(blob);
};
"""


# What cuts an element off on the right: boxes around it that hide what is wider than they are.
CUT_OFF_BY = """element => {
  const cutting = [];
  for (let box = element.parentElement; box; box = box.parentElement) {
    const hides = ["hidden", "clip"].includes(getComputedStyle(box).overflowX);
    if (hides && box.scrollWidth > box.clientWidth + 1) cutting.push(box.className);
  }
  return cutting;
}"""


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    return import_phantom(
        tmp_path_factory.mktemp("data") / "phantom", scans=3, size=128, split=PARTS, name="phantom"
    )


@pytest.fixture
def folder(tmp_path, phantom):
    """A session's folder, opened with quick settings; the app goes on with them."""
    Session.open(tmp_path / "session", phantom, CONFIG).close()
    return tmp_path / "session"


class App:
    """The page as a person uses it."""

    def __init__(self, page, address):
        self.page = page
        page.goto(address)
        self.wait_until_usable()

    def wait_until_usable(self):
        self.page.wait_for_selector(".alnb-figure .nsewdrag", timeout=60_000)
        self.page.wait_for_selector(".alnb-tap[data-ready]", state="attached", timeout=60_000)
        self.page.wait_for_selector(".alnb-strip", timeout=60_000)

    def button(self, name):
        return self.page.get_by_role("button", name=name, exact=True)

    def press(self, name):
        self.page.wait_for_timeout(350)
        self.button(name).click()

    def screen(self):
        return self.page.evaluate(
            "() => document.querySelector('.alnb-figure .js-plotly-plot').layout.meta.screen"
        )

    def answer(self, name):
        """Press a button that answers, and wait for the next region."""
        before = self.screen()
        self.press(name)
        self.page.wait_for_function(
            "n => document.querySelector('.alnb-figure .js-plotly-plot').layout.meta.screen !== n",
            arg=before,
        )

    def click(self, row, col):
        """Click a position of the slice in the region's panel, and wait for its mark."""
        before = self.marks()
        x, y = self.page.evaluate(
            """([row, col]) => {
              const plot = document.querySelector(".alnb-figure .js-plotly-plot");
              const panel = plot.querySelector(".nsewdrag[data-subplot=x2y2]");
              const box = panel.getBoundingClientRect();
              const { xaxis2, yaxis2 } = plot._fullLayout;
              return [box.left + xaxis2.d2p(col), box.top + yaxis2.d2p(row)];
            }""",
            [row, col],
        )
        self.page.mouse.click(x, y)
        self.page.wait_for_function(
            "n => document.querySelectorAll('.scatterlayer .point').length !== n", arg=before
        )

    def marks(self):
        return self.page.locator(".alnb-figure .scatterlayer .point").count()

    def head(self):
        return self.page.locator(".alnb-head").inner_text()

    def reads(self, text):
        """Wait until the line at the top holds a text."""
        self.page.wait_for_function(
            "text => document.querySelector('.alnb-head').innerText.includes(text)", arg=text
        )

    def wait_for_points(self, count):
        self.page.wait_for_function(
            "n => (document.querySelector('.alnb-charts .js-plotly-plot').data[0].x || [])"
            ".length === n",
            arg=count,
            timeout=45_000,
        )

    def says(self, text, timeout=30_000):
        self.page.locator(".alnb-message", has_text=text).wait_for(timeout=timeout)


def events(folder, kind):
    lines = (folder / "journal.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["kind"] == kind]


def middle(region):
    row, col, height, width = map(int, region.rsplit("/", 1)[1].split(","))
    return row + height // 2, col + width // 2


def asked(folder):
    return [pick["region"] for pick in events(folder, "asked")[-1]["picks"]]


def processes(text):
    """Process ids whose command line holds a text."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if text in line:
            found.append(int(entry.parent.name))
    return set(found)


def children(of, text):
    """Processes below one, by their command line."""
    below, frontier = set(), {of}
    while frontier:
        frontier = {
            int(stat.parent.name)
            for stat in Path("/proc").glob("[0-9]*/stat")
            if _parent(stat) in frontier
        }
        below |= frontier
    return below & processes(text)


def _parent(stat):
    try:
        return int(stat.read_text().rsplit(") ", 1)[1].split()[1])
    except (OSError, IndexError):
        return -1


def wait_until(true, within_s=20):
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.1)
    return False


def test_a_person_labels_trains_and_comes_back(serving, watched, phantom, folder):
    env = {"ALNB_DATA": phantom.folder, "ALNB_SESSION": folder}
    with serving(app_notebook("label"), **env) as server:
        app = App(watched.page, server.address)
        regions = asked(folder)
        row, col = middle(regions[0])

        app.click(row, col)
        app.answer("Next")
        (first,) = events(folder, "answered")
        assert first["region"] == regions[0]
        assert first["clicks"] == [[pytest.approx(row, abs=0.1), pytest.approx(col, abs=0.1), 1]]

        app.answer("No infection")
        app.answer("Skip")
        app.answer("No infection")
        app.click(*middle(regions[4]))
        app.answer("Next")
        verdicts = [event["verdict"] for event in events(folder, "answered")]
        assert verdicts == ["infected", "clean", "skipped", "clean", "infected"]
        app.reads("15 s nominal")
        app.reads("5 regions · 2 clicks")

        app.press("Train")
        app.page.locator("[role=progressbar]").wait_for(timeout=30_000)
        app.answer("No infection")
        app.wait_for_points(1)
        wait_until(lambda: len(events(folder, "asked")) == 2)
        new = asked(folder)
        assert len(new) == 5
        answered = {event["region"] for event in events(folder, "answered")}
        assert not answered & set(new)
        app.reads("cycle 1")

        app.click(*middle(new[0]))
        before = app.head().split("·")[1:4]
        app.page.reload()
        app.wait_until_usable()
        app.wait_for_points(1)
        app.page.locator(".alnb-figure .scatterlayer .point").wait_for()
        assert app.marks() == 1
        assert app.head().split("·")[1:4] == before
        app.press("Undo")
        app.press("Undo")
        app.reads("5 regions")
        assert len(events(folder, "undone")) == 1
    assert watched.foreign == []
    assert watched.errors == []


def test_a_dead_trainer_and_a_cancelled_training_leave_the_page_usable(
    serving, watched, phantom, tmp_path
):
    folder = tmp_path / "long"
    Session.open(folder, phantom, CONFIG.replace(steps=100, epochs=100)).close()
    env = {"ALNB_DATA": phantom.folder, "ALNB_SESSION": folder}
    with serving(app_notebook("label"), **env) as server:
        app = App(watched.page, server.address)
        app.answer("No infection")
        app.click(*middle(asked(folder)[1]))
        app.answer("Next")
        app.press("Train")
        assert wait_until(lambda: children(server.pid, "alnb.training"))
        app.page.locator("[role=progressbar]").wait_for()
        for pid in children(server.pid, "alnb.training"):
            os.kill(pid, signal.SIGKILL)
        app.says("Every answer is saved; press Train to start it again")

        app.press("Train")
        app.page.get_by_text(re.compile(r"training \d+ of \d+")).wait_for(timeout=60_000)
        begin = time.monotonic()
        app.button("Cancel").click()
        app.says("Training cancelled", timeout=5_000)
        assert time.monotonic() - begin < 3

        app.press("Train")
        app.wait_for_points(1)


def test_a_dead_kernel_is_said_and_the_page_comes_back(serving, watched, phantom, folder):
    env = {"ALNB_DATA": phantom.folder, "ALNB_SESSION": folder}
    with serving(app_notebook("label"), **env) as server:
        app = App(watched.page, server.address)
        app.answer("No infection")
        assert wait_until(lambda: children(server.pid, "alnb.training"))
        (trainer,) = children(server.pid, "alnb.training")
        for pid in children(server.pid, "ipykernel_launcher"):
            os.kill(pid, signal.SIGKILL)
        app.page.locator(".alnb-kernel-gone").wait_for(timeout=40_000)
        assert wait_until(lambda: trainer not in processes("alnb.training"))

        app.page.reload()
        app.wait_until_usable()
        app.reads("1 region")


def test_a_server_that_is_gone_is_said_soon_and_no_reload_is_offered(
    serving, watched, phantom, folder
):
    env = {"ALNB_DATA": phantom.folder, "ALNB_SESSION": folder}
    with serving(app_notebook("label"), **env) as server:
        app = App(watched.page, server.address)
        os.kill(server.pid, signal.SIGKILL)

        banner = app.page.locator(".alnb-kernel-gone")
        banner.wait_for(timeout=20_000)
        assert 'start "alnb label" again with the same folder' in banner.inner_text()
        assert banner.get_by_role("button").count() == 0


def test_a_narrow_window_reaches_everything(serving, watched, phantom, folder):
    env = {"ALNB_DATA": phantom.folder, "ALNB_SESSION": folder}
    with serving(app_notebook("label"), **env) as server:
        app = App(watched.page, server.address)
        for width in (800, 1024, 1275):
            app.page.set_viewport_size({"width": width, "height": 600})
            for place in (".alnb-head", ".alnb-figure", ".alnb-charts", "text=in the region too"):
                assert app.page.locator(place).first.evaluate(CUT_OFF_BY) == [], (width, place)


def test_a_press_on_the_small_picture_is_answered(serving, watched, phantom, folder):
    env = {"ALNB_DATA": phantom.folder, "ALNB_SESSION": folder}
    with serving(app_notebook("label"), **env) as server:
        app = App(watched.page, server.address)
        row, col = middle(asked(folder)[0])
        far = 340 if max(row, col) < 64 else 10  # of 352 pixels that show 128; not in the region
        small = app.page.locator(".alnb-figure .nsewdrag[data-subplot=xy]")
        small.click(position={"x": far, "y": far})

        app.says("outside the frame")
        assert app.marks() == 0


def test_a_second_window_takes_over_and_the_first_says_so(serving, watching, phantom, folder):
    env = {"ALNB_DATA": phantom.folder, "ALNB_SESSION": folder}
    with (
        serving(app_notebook("label"), **env) as server,
        watching() as first,
        watching() as second,
    ):
        old = App(first.page, server.address)
        old.answer("No infection")
        new = App(second.page, server.address)
        old.says("opened in another window")
        old.page.wait_for_function(
            "() => [...document.querySelectorAll('.jupyter-button')].every(b => b.disabled)"
        )

        new.answer("No infection")
        assert len(events(folder, "answered")) == 2
        new.reads("2 regions")


def test_without_masks_the_chart_shows_held_out_accuracy(
    serving, watched, phantom, tmp_path, folder
):
    from alnb.volumes import Volume

    scans = [
        (Volume.made(scan, _voxels(phantom, scan), unit="grey", spacing_mm=(1, 1, 1)), None)
        for scan in PARTS
    ]
    unmasked = build(scans, tmp_path / "unmasked", size=128, split=PARTS)
    env = {"ALNB_DATA": unmasked.folder, "ALNB_SESSION": tmp_path / "other"}
    with serving(app_notebook("label"), **env) as server:
        app = App(watched.page, server.address)

        text = app.page.locator(".alnb-app").inner_text()
        assert "has no masks, so Dice can't be measured" in text
        assert "Accuracy on held-out regions" in app.page.locator(".alnb-charts").text_content()


def _voxels(dataset: Dataset, scan: str):
    import numpy as np

    return np.stack([dataset.image(where) for where in dataset.slices if where.scan == scan])


def test_a_slow_machine_loads_figures_that_listen(serving, watched, phantom, folder):
    """anywidget left a widget deaf that took more than 2 s to load."""
    watched.page.add_init_script(SLOW)
    env = {"ALNB_DATA": phantom.folder, "ALNB_SESSION": folder}
    with serving(app_notebook("label"), **env) as server:
        app = App(watched.page, server.address)

        app.click(*middle(asked(folder)[0]))
        app.answer("Next")
        app.reads("1 region")


def test_what_can_not_be_opened_is_a_sentence_on_the_page(serving, watched, tmp_path):
    env = {"ALNB_DATA": tmp_path / "nothing", "ALNB_SESSION": tmp_path / "s"}
    with serving(app_notebook("label"), **env) as server:
        watched.page.goto(server.address)
        watched.page.locator(".alnb-failure").wait_for(timeout=60_000)

        assert "nothing" in watched.page.locator(".alnb-failure").inner_text()
