"""The label app in windows of all sizes, light and dark: one page, which is resized."""

import dataclasses
import itertools

import pytest

from alnb.annotation import Answer, Click, Verdict
from alnb.arrays import BACKGROUND, INFECTED
from alnb.journal import Journal
from alnb.state import state_of
from alnb.ui.label.draft import Draft
from alnb.ui.label.sentences import question
from browser.app_page import FIGURE, events, middle
from browser.layout import faults, resize

SIZES = [
    (1280, 720), (1440, 900), (1920, 1080), (2560, 1440), (1024, 640), (1024, 768), (768, 1024),
]  # fmt: skip
NEEDED = [".alnb-figure", ".alnb-question", ".alnb-act-clean", ".alnb-act-sweep", ".alnb-strip",
          ".alnb-charts", ".alnb-act-train"]  # fmt: skip
BOX = "name => document.querySelector(name).getBoundingClientRect().toJSON()"
each_size = pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")


@pytest.fixture
def app(looked_at):
    app = looked_at[0]
    app.page.locator(".alnb-app").focus()
    yield app
    app.page.emulate_media(color_scheme="light")


def shape(app, name):
    """Where a part of the figure is drawn, by its place in the layout's shapes."""
    from alnb.ui.viewer.slice_view import SHAPES

    return app.page.evaluate(
        f"""number => {FIGURE}.querySelector(`.shapelayer path[data-index="${{number}}"]`)
        .getBoundingClientRect().toJSON()""",
        list(SHAPES).index(name),
    )


def check(app, size, *, whole):
    resize(app.page, *size)
    for scheme in ("light", "dark"):
        app.page.emulate_media(color_scheme=scheme)
        assert faults(app.page, whole=whole and size >= (1280, 720)) == [], (size, scheme)


def questions(folder):
    """List what the page may say over the buttons, with twelve marks."""
    state = state_of(Journal(folder / "journal.jsonl").events)
    region = state.pending[0]
    clicks = [
        tuple(Click(region.row + n, region.col + n, label) for n in range(12))
        for label in (INFECTED, BACKGROUND)
    ]
    outlines = (tuple((region.row + n / 9, region.col + n) for n in range(9)),) * 12
    drafts = [
        Draft(region), *(Draft(region, marks) for marks in clicks), Draft(region, (), outlines),
        Draft(region, clicks[0], sweep=True),
    ]  # fmt: skip
    answers = [
        Answer(region, verdict, clicks[0] * (verdict is Verdict.INFECTED)) for verdict in Verdict
    ]
    answers.append(Answer(region, Verdict.INFECTED, (), outlines=outlines, verified=True))
    full = state.config.replace(labels="full", loss="full")
    for config, marking in itertools.product((state.config, full), ("infection", "background")):
        now = dataclasses.replace(state, config=config)
        for draft, revealed in itertools.product(drafts, (False, True)):
            yield question(now, draft, marking, revealed=revealed)
        for answer in answers:
            given = dataclasses.replace(now, given=(answer,))
            yield question(given, Draft.of(answer), marking)


@pytest.mark.parametrize("size", [(1280, 720), (1024, 640), (768, 1024), (1920, 1080)])
def test_every_question_is_read_whole(app, looked_at, size):
    resize(app.page, *size)
    cut = app.page.evaluate(
        """questions => {
          const box = document.querySelector(".alnb-question").cloneNode();
          document.querySelector(".alnb-question").after(box);
          const [place, line] = [box.closest(".alnb-asked"), box.style];
          Object.assign(line, { position: "absolute", width: `${place.clientWidth}px` });
          const isCut = (words) => {
            box.innerHTML = words;
            return box.scrollWidth > place.clientWidth || box.scrollHeight > place.clientHeight;
          };
          const cut = questions.filter(isCut);
          box.remove();
          return cut;
        }""",
        sorted(set(questions(looked_at[1]))),
    )
    assert cut == []


@each_size
def test_before_the_first_training_nothing_overlaps_or_is_cut_or_small(app, size):
    check(app, size, whole=True)


@each_size
def test_all_that_an_answer_needs_is_seen_and_large(app, size):
    resize(app.page, *size)
    at = {name: app.page.evaluate(BOX, name) for name in NEEDED}
    slice_, region = (
        app.page.evaluate(BOX, f".alnb-figure .nsewdrag[data-subplot={name}]")
        for name in ("xy", "x2y2")
    )

    assert max(box["bottom"] for box in at.values()) <= size[1]
    assert region["width"] == pytest.approx(region["height"], abs=1)
    assert region["width"] > slice_["width"] > 0.2 * size[0]
    if size >= (1280, 720):
        assert at[".alnb-charts"]["height"] >= size[1] / 3
        assert region["width"] >= min(0.4 * size[0], 0.7 * size[1])


@each_size
def test_a_click_lands_on_the_pixel_that_is_seen_there(app, looked_at, size):
    resize(app.page, *size)
    region = app.page.locator(".alnb-strip .current").get_attribute("data-act")
    row, col = middle(region)
    height, width = map(int, region.rsplit(",", 2)[1:])
    frame = shape(app, "frame")
    row, col = row - height // 4, col + width // 3
    top, left = map(int, region.rsplit("/", 1)[1].split(",")[:2])
    app.marks()
    app.page.mouse.click(
        frame["left"] + (col - left + 0.5) / width * frame["width"],
        frame["top"] + (row - top + 0.5) / height * frame["height"],
    )
    app.page.wait_for_function("() => window.alnbMarks() === 1")
    app.answer("Next")

    click = events(looked_at[1], "answered")[-1]["clicks"][0]
    assert click[:2] == [pytest.approx(row, abs=0.15), pytest.approx(col, abs=0.15)]


@each_size
def test_a_message_and_the_teaching_note_cover_nothing(app, size):
    resize(app.page, *size)
    panel = app.page.evaluate(BOX, ".alnb-figure .nsewdrag[data-subplot=x2y2]")
    app.page.keyboard.press("m")
    app.page.get_by_text("Teaching: the true mask").wait_for()
    app.page.mouse.click(panel["left"] + 3, panel["top"] + 3)
    app.says("outside the frame")
    check(app, size, whole=True)
    app.page.keyboard.press("m")
    app.page.get_by_text("Teaching: the true mask").wait_for(state="detached")


@each_size
def test_settings_and_keys_open_whole_and_leave_the_pictures_free(app, size):
    resize(app.page, *size)
    app.button("Settings").click()
    settings = app.page.locator(".alnb-settings")
    settings.wait_for()
    check(app, size, whole=False)
    panel, figure = (app.page.evaluate(BOX, name) for name in (".alnb-settings", ".alnb-figure"))
    assert panel["left"] >= figure["right"] or panel["top"] >= figure["bottom"]
    assert panel["bottom"] <= max(size[1], 768)
    app.page.locator(".alnb-app").focus()
    app.page.keyboard.press("Escape")
    settings.wait_for(state="hidden")

    app.page.keyboard.press("?")
    keys = app.page.locator(".alnb-help")
    keys.wait_for()
    assert keys.evaluate("panel => panel.scrollHeight - panel.clientHeight") <= 0
    assert app.page.evaluate(BOX, ".alnb-help")["bottom"] <= size[1]
    app.page.keyboard.press("Escape")
    keys.wait_for(state="detached")


def test_pixels_are_smooth_until_squares_are_asked_for(app):
    drawn = f"""() => {{
      const trace = {FIGURE}.data.find((trace) => trace.name === "region ct");
      const picture = {FIGURE}.querySelector(".x2y2 .imagelayer image");
      return [trace.zsmooth, getComputedStyle(picture).imageRendering];
    }}"""
    assert app.page.evaluate(drawn) == ["fast", "auto"]
    app.page.keyboard.press("i")
    app.page.wait_for_function(f"() => ({drawn})()[1] === 'pixelated'")
    app.key_answer("c")
    assert app.page.evaluate(drawn) == [False, "pixelated"]
    app.page.keyboard.press("i")
    app.page.wait_for_function(f"() => ({drawn})()[1] === 'auto'")


def test_after_a_training_nothing_overlaps_or_is_cut_or_small(app):
    app.key_answer("c")
    app.train()
    app.wait_for_points(1)
    app.key_answer("c")  # the region on screen was drawn before; the network asks the next
    app.page.locator(".alnb-why", has_text="asks it").wait_for()
    for size in SIZES:
        check(app, size, whole=True)
