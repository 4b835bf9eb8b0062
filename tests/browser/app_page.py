"""The label app's page as a person uses it, and what its session's folder says."""

import json
import time
from pathlib import Path

from alnb.config import Config

CONFIG = Config(
    backbone="efficientnet_lite0", steps=12, batch=2, crop=64, draws=3, start_regions=12,
    asking="live",
)  # fmt: skip
PARTS = {"phantom_01": "train", "phantom_02": "train", "phantom_03": "test"}
FIGURE = "document.querySelector('.alnb-figure .js-plotly-plot')"

# Holds the page up for 3 s whenever a widget's module of some size is about to be loaded.
SLOW = """
const make = URL.createObjectURL.bind(URL);
URL.createObjectURL = (blob) => {
  const begin = performance.now();
  while (blob.size > 1e6 && performance.now() - begin < 3000);
  return make(blob);
};
"""


class App:
    """A page with the app on it, from when it can be used."""

    def __init__(self, page, address=None):
        self.page = page
        if address is not None:
            page.goto(address)
        self.wait_until_usable()

    def wait_until_usable(self):
        self.page.wait_for_selector(".alnb-figure .nsewdrag")
        self.page.wait_for_selector(".alnb-tap[data-ready]", state="attached")
        self.page.wait_for_selector(".alnb-strip")

    def button(self, name):
        return self.page.get_by_role("button", name=name, exact=True)

    def press(self, name):
        self.settle()
        self.button(name).click()

    def train(self):
        """Press Train once the training process has started; a busy machine takes its time."""
        self.page.wait_for_function("() => !document.querySelector('.alnb-act-train').disabled")
        self.press("Train")

    def settle(self):
        """Look at the region for as long as an answer on it takes at least."""
        self.page.wait_for_timeout(450)

    def screen(self):
        return self.page.evaluate(f"() => {FIGURE}.layout.meta.screen")

    def answer(self, name):
        """Press a button that answers, and wait for the next region."""
        self._then_another(lambda: self.press(name))

    def answer_all(self):
        """Say of every region that is asked that it is clean."""
        shown = """() => document.querySelector(".alnb-strip .current")?.dataset.act"""
        while (before := self.page.evaluate(shown)) is not None:
            self.settle()
            self.page.keyboard.press("c")
            self.page.wait_for_function(f"before => ({shown})() !== before", arg=before)

    def key_answer(self, key):
        """Press a key that answers, or opens a region, and wait for that."""
        self.settle()
        self._then_another(lambda: self.page.keyboard.press(key))

    def _then_another(self, do):
        before = self.screen()
        do()
        self.page.wait_for_function(f"n => {FIGURE}.layout.meta.screen !== n", arg=before)

    def place(self, row, col, panel="x2y2"):
        """Find a position of the slice on the page, once that panel is drawn."""
        self.page.wait_for_selector(f".alnb-figure .nsewdrag[data-subplot={panel}]")
        return self.page.evaluate(
            """([row, col, name]) => {
              const plot = document.querySelector(".alnb-figure .js-plotly-plot");
              const panel = plot.querySelector(`.nsewdrag[data-subplot=${name}]`);
              const box = panel.getBoundingClientRect();
              const [x, y] = name === "xy" ? ["xaxis", "yaxis"] : ["xaxis2", "yaxis2"];
              const axes = plot._fullLayout;
              return [box.left + axes[x].d2p(col), box.top + axes[y].d2p(row)];
            }""",
            [row, col, panel],
        )

    def click(self, row, col, *, shift=False):
        """Click a position of the slice in the region's panel, and wait for its mark."""
        before = self.marks()
        if shift:
            self.page.keyboard.down("Shift")
        self.page.mouse.click(*self.place(row, col))
        if shift:
            self.page.keyboard.up("Shift")
        self.page.wait_for_function("n => window.alnbMarks() !== n", arg=before)

    def marks(self):
        """Count the marks of the region on screen."""
        return self.page.evaluate(
            f"""() => {{
              window.alnbMarks = () => {FIGURE}.data
                .filter((t) => /^clicks (infected|background)$/.test(t.name))
                .reduce((n, t) => n + (t.x || []).length, 0);
              return window.alnbMarks();
            }}"""
        )

    def range(self):
        """Return the columns that the region's panel shows."""
        return self.page.evaluate(f"() => [...{FIGURE}._fullLayout.xaxis2.range]")

    def head(self):
        return self.page.locator(".alnb-head").inner_text()

    def reads(self, text):
        """Wait until the line at the top holds a text."""
        self.page.wait_for_function(
            "text => document.querySelector('.alnb-head').innerText.includes(text)", arg=text
        )

    def asks(self, text):
        """Wait until the line under the pictures holds a text."""
        self.page.locator(".alnb-question", has_text=text).wait_for()

    def wait_for_points(self, count):
        self.page.wait_for_function(
            "n => (document.querySelector('.alnb-charts .js-plotly-plot').data[0].x || [])"
            ".length === n",
            arg=count,
        )

    def says(self, text):
        self.page.locator(".alnb-message", has_text=text).wait_for()


def events(folder, kind):
    """Return what happened of a kind, as the journal has it."""
    lines = (folder / "journal.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["kind"] == kind]


def middle(region):
    row, col, height, width = map(int, region.rsplit("/", 1)[1].split(","))
    return row + height // 2, col + width // 2


def asked(folder):
    """Return the keys of the regions that were asked last; one, where the live layer asks."""
    return [pick["region"] for pick in events(folder, "asked")[-1]["picks"]]


def kernel_of(folder):
    """Return the process id of the kernel that writes a session; None if none does."""
    path = folder / "journal.owner"
    return json.loads(path.read_text())["pid"] if path.exists() else None


def trainers_of(folder):
    """Return the process ids of a session's training processes."""
    return children(kernel_of(folder), "alnb.training.process")


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


def wait_until(true, within_s=120):
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.1)
    return False
