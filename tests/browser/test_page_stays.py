"""The label page stays where it is while one works, and says what it says in fixed places."""

import pytest

from browser.app_page import CONFIG, FIGURE, App, asked, events, middle
from browser.layout import resize

SIZES = [(1280, 720), (1024, 640), (1440, 900), (768, 1024), (2560, 1440)]
PARTS = """() => Object.fromEntries(
  [...document.querySelectorAll(".alnb-figure .nsewdrag, .alnb-figure, .alnb-charts, "
    + ".alnb-app button.widget-button, .alnb-strip, .alnb-why, .alnb-question")]
  .filter((part) => part.checkVisibility({ visibilityProperty: true }))
  .map((part) => {
    const { x, y, width, height } = part.getBoundingClientRect();
    const name = part.dataset.subplot || /alnb-act-[\\w-]+|alnb-\\w+/.exec(part.className)?.[0]
      || part.textContent;
    return [name, [x, y, width, height].map(Math.round)];
  }))"""
LOOKS = """kind => {
  const box = document.querySelector(".alnb-message");
  const { backgroundColor, borderLeftColor } = getComputedStyle(box);
  return [backgroundColor, borderLeftColor, box.querySelector(".alnb-sign").textContent];
}"""


@pytest.fixture(scope="module")
def opened(watching, begun):
    """The app on one session for all tests here, and its folder."""
    folder, address = begun(CONFIG.replace(steps=60, asking="live"))
    with watching() as watched:
        yield App(watched.page, address), folder
        assert watched.errors == []


@pytest.fixture
def app(opened):
    app = opened[0]
    app.page.locator(".alnb-app").focus()
    return app


@pytest.fixture
def folder(opened):
    return opened[1]


class Stillness:
    """Where the parts of the page are at first, and which of them moved since."""

    def __init__(self, app):
        self.app, self.before = app, app.page.evaluate(PARTS)
        assert {"xy", "x2y2", "alnb-charts", "alnb-act-train", "alnb-strip"} <= set(self.before)

    def holds(self, after):
        now = self.app.page.evaluate(PARTS)
        moved = {
            name: (box, now.get(name))
            for name, box in self.before.items()
            if max(abs(a - b) for a, b in zip(box, now.get(name, [1e9] * 4), strict=True)) > 1
        }
        assert moved == {}, after


def test_nothing_moves_from_the_first_question_to_the_end_of_a_training(app, folder):
    """Through hint, click, answer, undo, message, reopening, sweep, and a whole training."""
    still = Stillness(app)
    assert "Nothing there?" in app.page.locator(".alnb-hint").inner_text()
    app.click(*middle(asked(folder)[0]))
    still.holds("a click")
    app.answer("Next")
    still.holds("an answer")
    app.page.locator(".alnb-hint").wait_for(state="detached")
    app.key_answer("z")
    still.holds("undo")
    app.key_answer("y")
    app.click(*middle(asked(folder)[0]), shift=True)
    app.asks("Only background")
    still.holds("a background mark")
    app.answer("No infection")
    panel = app.page.locator(".alnb-figure .nsewdrag[data-subplot=x2y2]").bounding_box()
    app.page.mouse.click(panel["x"] + 4, panel["y"] + 3)
    app.says("outside the frame")
    still.holds("a message")
    app.key_answer(",")
    still.holds("a reopened answer")
    app.page.keyboard.press("Escape")
    app.page.keyboard.press("b")
    app.asks("background")
    still.holds("marking background")
    app.page.keyboard.press("b")
    app.key_answer("w")
    still.holds("a sweep")
    app.key_answer("w")

    app.train()
    app.reads("Network: ")
    still.holds("the start of a training")
    app.page.locator("[role=progressbar]").wait_for()
    app.page.locator(".alnb-bar + .alnb-small", has_text="training").wait_for()
    still.holds("its progress")
    app.answer("No infection")
    still.holds("an answer meanwhile")
    app.wait_for_points(1)
    app.page.locator("[role=progressbar]").wait_for(state="detached")
    still.holds("its end")
    app.key_answer("c")
    still.holds("what the network asks")


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_nothing_moves_in_a_window_of_any_size(app, size):
    resize(app.page, *size)
    still = Stillness(app)
    app.key_answer("c")
    still.holds("an answer")
    app.page.mouse.click(*[at + 4 for at in _corner(app)])
    app.says("outside the frame")
    still.holds("a message")
    app.key_answer(",")
    still.holds("a reopened answer")
    app.page.keyboard.press("Escape")
    app.settle()
    app.key_answer("w")
    still.holds("a sweep")
    app.key_answer("w")
    still.holds("its end")


def _corner(app):
    panel = app.page.locator(".alnb-figure .nsewdrag[data-subplot=x2y2]").bounding_box()
    return panel["x"], panel["y"]


def test_success_and_a_note_look_apart_and_an_answer_turned_clean_is_undone(app, folder):
    resize(app.page, 1280, 720)
    app.click(*middle(asked(folder)[0]))
    app.answer("Next")
    app.page.mouse.click(*[at + 4 for at in _corner(app)])
    app.says("outside the frame")
    note = app.page.evaluate(LOOKS)
    app.key_answer(",")
    app.asks("You answered: infection, 1 click.")
    app.page.locator(".alnb-question [data-act=back]").wait_for()
    app.key_answer("c")
    app.says("infection (1 click) became no infection. Undo (Z)")
    success = app.page.evaluate(LOOKS)
    assert len({*note, *success}) == 6
    assert [event["verdict"] for event in events(folder, "answered")][-2:] == ["infected", "clean"]
    before = app.page.locator(".alnb-head .cost b").first.inner_text()
    app.key_answer("z")
    app.asks("You answered: infection, 1 click.")
    assert app.marks() == 1
    assert app.page.locator(".alnb-head .cost b").first.inner_text() == before  # one price


def test_the_card_says_one_plain_sentence_and_stays_unfolded(app):
    app.page.keyboard.press("Escape")
    app.page.locator(".alnb-because", has_text="The network is unsure here").wait_for()
    assert not app.page.locator(".alnb-numbers").is_visible()
    app.page.locator(".alnb-why summary").focus()
    app.page.keyboard.press("Space")  # of the triangle, not the app's key
    app.page.locator(".alnb-numbers", has_text="entropy").wait_for()
    still = Stillness(app)
    app.key_answer("c")
    assert app.page.locator(".alnb-numbers").is_visible()
    still.holds("an answer")
    assert app.page.evaluate(f"() => {FIGURE} !== null")
    app.page.locator(".alnb-why summary").click()
    app.page.locator(".alnb-numbers").wait_for(state="hidden")


def test_in_a_sweep_the_strip_stays_at_its_question(app):
    current = "() => document.querySelector('.alnb-strip .current')?.dataset.act"
    app.settle()  # the strip follows the pictures
    before = app.page.evaluate(current)
    app.key_answer("w")
    app.settle()
    assert app.page.evaluate(current) == before
    app.key_answer("w")
