"""What follows each answer at once in the label app, also in a training; one page for all."""

import re

import pytest

from alnb.ui.viewer.drawing import NO_PATH
from alnb.ui.viewer.slice_view import SHAPES
from browser.app_page import CONFIG, FIGURE, App, asked, events, wait_until

LINE = "document.querySelector('.alnb-charts .js-plotly-plot').data[2]"
OUTLINE = f"{FIGURE}.layout.shapes[{list(SHAPES).index('predicted')}].path"
TRAINS = "() => /training \\d+ of/.test(document.querySelector('.alnb-slot').innerText)"
# Counts the frames in which no region can be answered, or a sentence stands in its place.
WATCH_REST = """() => {
  window.alnbIdle = 0;
  window.alnbFrames = 0;
  const sentence = /next regions? |No region is|of this cycle|budget is/;
  const look = () => {
    window.alnbFrames += 1;
    const said = [...document.querySelectorAll(".alnb-figure .annotation-text")]
      .some((text) => sentence.test(text.textContent));
    if (said || !document.querySelector(".alnb-strip .current")) window.alnbIdle += 1;
    window.alnbWatch = requestAnimationFrame(look);
  };
  look();
}"""


@pytest.fixture(scope="module")
def opened(watching, begun):
    """The app for all tests here, its session's folder, and its watched page."""
    folder, address = begun(CONFIG.replace(steps=60, epochs=100, start_regions=6))
    with watching() as watched:
        yield App(watched.page, address), folder, watched


@pytest.fixture
def app(opened):
    return opened[0]


@pytest.fixture
def folder(opened):
    return opened[1]


def line(app):
    """Return the points of the chart's thin line."""
    x, y = app.page.evaluate(f"() => [[...{LINE}.x], [...{LINE}.y]]")
    return list(zip(x, y, strict=True))


def wait_for_line(app, points):
    app.page.wait_for_function(f"n => {LINE}.x.length >= n", arg=points)


def far_apart(region):
    """Name two places of a region, (row, col), near corners that lie opposite."""
    row, col, height, width = map(int, region.rsplit("/", 1)[1].split(","))
    return (row + height // 5, col + width // 5), (row + height * 4 // 5, col + width * 4 // 5)


def shown(app):
    """Name the region on screen, and count its marks."""
    act = app.page.locator(".alnb-strip .current").get_attribute("data-act")
    return act.removeprefix("open:"), app.marks()


def reload(app):
    app.page.reload()
    app.wait_until_usable()


def test_an_outline_follows_each_click_and_nothing_is_guessed_before_the_first(app, folder):
    wait_for_line(app, 1)  # the process is there, and has published
    for key in "cc":
        app.key_answer(key)
    assert app.page.evaluate(f"() => {OUTLINE}") == NO_PATH
    one, two = far_apart(asked(folder)[0])
    app.click(*one)
    app.page.wait_for_function(f"none => {OUTLINE} !== none", arg=NO_PATH)
    first = app.page.evaluate(f"() => {OUTLINE}")
    app.click(*two)
    app.page.wait_for_function(f"([one, none]) => ![one, none].includes({OUTLINE})",
                               arg=[first, NO_PATH])  # fmt: skip
    second = app.page.evaluate(f"() => {OUTLINE}")
    assert lowest(second) > lowest(first)

    app.page.keyboard.press("o")
    app.page.wait_for_function(f"none => {OUTLINE} === none", arg=NO_PATH)
    app.page.keyboard.press("o")
    app.page.wait_for_function(f"path => {OUTLINE} === path", arg=second)
    app.answer("Next")
    assert app.page.evaluate(f"() => {OUTLINE}") == NO_PATH


def lowest(path):
    """Find the last row that a path reaches."""
    return max(float(row) for row in re.findall(r",([\d.]+)", path))


def test_after_each_answer_the_thin_line_has_one_more_point(app, folder):
    assert wait_until(lambda: line(app)[-1][0] == 12)  # seconds; quick answers share a point
    for _ in range(3):
        before = line(app)
        app.key_answer("c")
        wait_for_line(app, len(before) + 1)
        after = line(app)
        assert after[:-1] == before
        assert after[-1][0] == before[-1][0] + 3  # nominal seconds
        assert 0 <= after[-1][1] <= 1


def test_in_a_training_each_answer_is_followed_by_another_question(app, folder):
    app.train()
    app.page.wait_for_function(TRAINS)
    app.page.evaluate(WATCH_REST)
    given, questions, points = len(events(folder, "answered")), [], len(line(app))
    while app.page.evaluate(TRAINS) and len(questions) < 5:
        questions += asked(folder)
        app.key_answer("c")
    app.page.evaluate("() => cancelAnimationFrame(window.alnbWatch)")

    assert len(questions) == len(set(questions)) == 5
    assert [event["region"] for event in events(folder, "answered")[given:]] == questions
    assert app.page.evaluate("() => window.alnbFrames") > 5
    assert app.page.evaluate("() => window.alnbIdle") == 0
    wait_for_line(app, points + 1)


def test_a_reload_in_a_training_keeps_question_curve_and_answers(app, folder):
    assert app.page.evaluate(TRAINS)
    one, _ = far_apart(asked(folder)[0])
    app.click(*one)
    before, points = shown(app), line(app)
    head = app.head().split("·")[1:4]
    reload(app)

    assert wait_until(lambda: shown(app) == before)
    assert line(app)[: len(points)] == points
    assert app.head().split("·")[1:4] == head
    app.page.wait_for_function(f"none => {OUTLINE} !== none", arg=NO_PATH)
    app.answer("Next")
    assert events(folder, "answered")[-1]["region"] == before[0]


def test_a_reload_after_a_training_keeps_them_too(app, folder):
    app.train()
    app.page.evaluate(WATCH_REST)
    app.wait_for_points(1)
    app.page.evaluate("() => cancelAnimationFrame(window.alnbWatch)")
    assert app.page.evaluate("() => window.alnbIdle") == 0
    points = len(line(app))
    app.key_answer("c")
    wait_for_line(app, points + 1)
    before, drawn, head = shown(app), line(app), app.head().split("·")[:4]
    reload(app)
    app.wait_for_points(1)

    assert shown(app) == before
    assert line(app) == drawn
    assert app.head().split("·")[:4] == head
    app.key_answer("c")
    wait_for_line(app, len(drawn) + 1)


def test_the_test_slice_shows_what_was_learned(app):
    page, watched = app.page, app.page.locator(".alnb-watched")
    said = watched.locator("[role=status]")
    drawn = "dashed => document.querySelectorAll(`.alnb-tiles path[stroke-dasharray]`).length"
    page.set_viewport_size({"width": 1280, "height": 720})
    page.keyboard.press("h")
    watched.wait_for()
    watched.locator("[role=status]", has_text=re.compile("Dice|Nothing is infected")).wait_for()
    box, room = watched.bounding_box(), page.locator(".alnb-room").nth(1).bounding_box()
    assert box == room  # over the chart

    assert page.evaluate(drawn) == 0
    page.keyboard.press("m")
    page.wait_for_function(f"() => ({drawn})() === 1")
    page.keyboard.press("m")
    page.wait_for_function(f"() => ({drawn})() === 0")
    page.keyboard.press("e")
    first = said.inner_text()
    page.keyboard.press("j")
    page.wait_for_function(
        "text => document.querySelector('.alnb-watched [role=status]').innerText !== text",
        arg=first,
    )
    page.keyboard.press("e")
    page.keyboard.press("h")
    watched.wait_for(state="hidden")
    page.set_viewport_size({"width": 1920, "height": 1080})
    watched.wait_for()  # there is room for both
    chart = page.locator(".alnb-charts")
    page.wait_for_function("""() => {
      const box = (name) => document.querySelector(name).getBoundingClientRect();
      const chart = box(".alnb-charts .main-svg"), slice = box(".alnb-watched");
      return chart.bottom <= slice.top + 1 || chart.right <= slice.left + 1;
    }""")
    assert chart.is_visible()


def test_an_outline_that_is_right_is_the_answer(app, folder):
    app.settle()
    given, region = len(events(folder, "answered")), shown(app)[0]
    app.click(*far_apart(region)[0])
    app.page.wait_for_function(f"none => {OUTLINE} !== none", arg=NO_PATH)
    app.button("Right").click()
    assert wait_until(lambda: len(events(folder, "answered")) > given)

    answer = events(folder, "answered")[-1]
    assert answer["region"] == region and answer["verified"]
    assert len(answer["clicks"]) == 1 and answer["outlines"]


def test_all_that_went_without_an_error(opened):
    assert opened[2].errors == []
