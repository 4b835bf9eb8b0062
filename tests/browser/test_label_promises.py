"""What a person notices of the label app, in a real browser; one page for all, to be quick."""

import os
import re
import signal

import pytest

from browser.app_page import CONFIG, FIGURE, App, asked, events, kernel_of, middle, wait_until

# Counts the frames in which a panel shows no picture of CT.
WATCH_PICTURES = """() => {
  window.alnbBare = 0;
  window.alnbFrames = 0;
  const look = () => {
    const shown = [...document.querySelectorAll(".alnb-figure .imagelayer image")]
      .filter((image) => (image.getAttribute("href") || image.getAttribute("xlink:href") || "")
        .length > 2000);
    window.alnbFrames += 1;
    if (shown.length < 2) window.alnbBare += 1;
    window.alnbWatch = requestAnimationFrame(look);
  };
  look();
}"""
PLACES = """() => [".alnb-figure", ".alnb-question", ".alnb-strip", ".alnb-charts",
  ".alnb-act-clean", ".alnb-act-train"].map((name) => {
    const { x, y } = document.querySelector(name).getBoundingClientRect();
    return [name, Math.round(x), Math.round(y)];
  })"""
CONTRAST = """name => {
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map((c) => (Number(c) / 255) ** 2.2);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const text = light(getComputedStyle(document.querySelector(name)).color);
  const back = light(getComputedStyle(document.querySelector(".alnb-app")).backgroundColor);
  return [back, (Math.max(text, back) + 0.05) / (Math.min(text, back) + 0.05)];
}"""


@pytest.fixture(scope="module")
def opened(watching, begun):
    """The app on one session for all tests here, its folder, and its watched page."""
    folder, address = begun()
    with watching() as watched:
        yield App(watched.page, address), folder, watched


@pytest.fixture
def app(opened):
    app = opened[0]
    app.page.locator(".alnb-app").focus()
    yield app
    app.page.keyboard.press("Escape")
    app.settle()


@pytest.fixture
def folder(opened):
    return opened[1]


@pytest.fixture
def settings(app):
    """Unfold the settings; `app` folds them again."""
    app.page.keyboard.press("v")
    app.page.locator(".alnb-settings").wait_for()


def verdicts(folder):
    return [event["verdict"] for event in events(folder, "answered")]


def current(folder, app):
    """Name the region on screen."""
    return app.page.locator(".alnb-strip .current").get_attribute("data-act").removeprefix("open:")


def test_keys_mark_answer_undo_and_redo_without_a_mouse(app, folder):
    app.key_answer("c")
    app.settle()
    for key in ("ArrowUp", "ArrowLeft"):
        app.page.keyboard.press(key)
    app.page.keyboard.press("Space")
    app.asks("1 click")
    app.key_answer("n")
    app.key_answer("s")
    assert verdicts(folder) == ["clean", "infected", "skipped"]

    app.key_answer("z")
    app.reads("2 regions")
    app.key_answer("Control+Shift+z")
    app.reads("3 regions")
    assert [len(events(folder, kind)) for kind in ("undone", "redone")] == [1, 1]


def test_every_key_is_shown_and_escape_closes_the_list(app):
    app.page.keyboard.press("?")
    panel = app.page.get_by_role("dialog", name="Keys")
    panel.wait_for()
    for words in ("No infection", "Take back the last mark", "Window: lung", "Train"):
        assert words in panel.inner_text()
    app.page.keyboard.press("Escape")
    panel.wait_for(state="detached")


def test_a_double_click_on_a_button_answers_one_region(app, folder):
    before = len(verdicts(folder))
    app.settle()
    app.button("No infection").dblclick()
    wait_until(lambda: len(verdicts(folder)) > before)
    app.settle()

    assert len(verdicts(folder)) == before + 1


def test_what_is_pressed_during_a_round_trip_answers_no_region_unseen(app, folder):
    before = len(verdicts(folder))
    kernel = kernel_of(folder)
    app.settle()
    os.kill(kernel, signal.SIGSTOP)
    try:
        for _ in range(3):
            app.button("No infection").click()
            app.page.keyboard.press("s")
            app.page.wait_for_timeout(500)
    finally:
        os.kill(kernel, signal.SIGCONT)
    assert wait_until(lambda: len(verdicts(folder)) > before)
    app.button("Undo").wait_for()
    app.settle()

    assert verdicts(folder)[before:] == ["clean"]


def test_an_answer_is_corrected_from_the_strip(app, folder):
    app.key_answer("c")
    region = events(folder, "answered")[-1]["region"]
    app.settle()
    app.page.locator(f".alnb-strip [data-act='open:{region}']").click()
    app.asks("You answered: no infection")
    app.click(*middle(region))
    app.answer("Next")

    assert events(folder, "answered")[-1]["region"] == region
    assert events(folder, "answered")[-1]["verdict"] == "infected"
    app.page.wait_for_selector(f".alnb-strip [data-act='open:{region}'][title*=': infected']")
    assert current(folder, app) != region


def test_a_click_with_shift_marks_background(app, folder):
    row, col = middle(current(folder, app))
    app.click(row, col)
    app.click(row + 3, col + 3, shift=True)
    app.asks("2 clicks")
    app.answer("Next")

    assert [click[2] for click in events(folder, "answered")[-1]["clicks"]] == [1, 0]


def test_zoom_and_pan_stay_while_overlays_change_and_the_mark_lands(app, folder):
    row, col = middle(current(folder, app))
    whole = app.range()
    app.page.mouse.move(*app.place(row, col))
    app.page.mouse.wheel(0, -300)
    app.page.wait_for_function(
        f"w => {FIGURE}._fullLayout.xaxis2.range[1] - {FIGURE}._fullLayout.xaxis2.range[0] < w",
        arg=(whole[1] - whole[0]) * 0.7,
    )
    x, y = app.place(row, col)
    app.page.mouse.down()
    app.page.mouse.move(x + 40, y + 10, steps=4)
    app.page.mouse.up()
    app.settle()
    near = app.range()
    assert near != whole
    assert app.marks() == 0
    for key in ("e", "p", "5", "g"):
        app.page.keyboard.press(key)
    app.click(row, col)
    assert app.range() == near
    app.answer("Next")

    click = events(folder, "answered")[-1]["clicks"][0]
    assert click[:2] == [pytest.approx(row, abs=0.1), pytest.approx(col, abs=0.1)]
    assert app.range()[1] - app.range()[0] == pytest.approx(whole[1] - whole[0])
    for key in ("e", "p", "5", "g"):
        app.page.keyboard.press(key)


def test_the_wheel_over_the_slice_shows_its_neighbour_where_nothing_is_marked(app, folder):
    row, col = middle(current(folder, app))
    notes = f"() => {FIGURE}.layout.annotations.some((a) => /asked/.test(a.text) && a.visible)"
    app.page.mouse.move(*app.place(row, col, "xy"))
    app.page.mouse.wheel(0, -100 if int(current(folder, app).split("/")[1]) < 5 else 100)
    app.page.wait_for_function(notes)
    app.page.mouse.click(*app.place(row, col))
    app.says("back at the slice")
    assert app.marks() == 0
    app.click(row, col)
    app.answer("Next")


def test_a_drag_over_the_slice_turns_to_its_neighbours_too(app, folder):
    z = int(current(folder, app).split("/")[1])
    x, y = app.place(60, 60, panel="xy")
    app.page.mouse.move(x, y)
    app.page.mouse.down()
    app.page.mouse.move(x, y - 20 if z < 5 else y + 20)
    app.page.mouse.move(x, y - 120 if z < 5 else y + 120)
    app.page.mouse.up()
    looking = (
        f"() => {FIGURE}.layout.annotations.some((a) => /goes back/.test(a.text) && a.visible)"
    )
    app.page.wait_for_function(looking)
    app.page.keyboard.press("Home")
    app.page.wait_for_function(f"() => !({looking})()")


def test_a_window_is_chosen_by_key_and_the_picture_follows(app, settings):
    source = f"() => {FIGURE}.data.find((t) => t.name === 'slice ct').source"
    before = app.page.evaluate(source)
    app.page.keyboard.press("2")
    app.page.wait_for_function(f"before => ({source})() !== before", arg=before)
    app.page.locator(".alnb-window-controls .widget-readout").filter(has_text="40").first.wait_for()
    app.page.keyboard.press("4")
    app.page.wait_for_function(f"before => ({source})() === before", arg=before)


@pytest.mark.parametrize("name", ["level", "width"])
def test_level_and_width_are_moved_and_the_picture_follows(app, settings, name):
    source = f"() => {FIGURE}.data.find((t) => t.name === 'slice ct').source"
    before = app.page.evaluate(source)
    slider = app.page.locator(f"[role=slider][aria-label={name}]")
    at = float(slider.get_attribute("aria-valuenow"))
    slider.focus()
    app.page.keyboard.press("PageUp")
    app.page.wait_for_function(f"before => ({source})() !== before", arg=before)
    assert float(slider.get_attribute("aria-valuenow")) > at
    app.page.locator(".alnb-app").focus()
    app.page.keyboard.press("4")
    app.page.wait_for_function(f"before => ({source})() === before", arg=before)


def test_a_mouse_that_only_moves_sends_nothing(app, opened):
    def still():
        """Wait until the page has sent nothing for a while."""
        sent = None
        while sent != opened[2].sent:
            sent = opened[2].sent
            app.page.wait_for_timeout(1000)
        return sent

    before = still()
    for panel in ("xy", "x2y2"):
        x, y = app.place(*middle(current(opened[1], app)), panel)
        for step in range(40):
            app.page.mouse.move(x + step, y + step % 7)

    assert still() == before
    app.page.keyboard.press("g")
    assert wait_until(lambda: app.page.wait_for_timeout(50) or opened[2].sent > before)
    app.page.keyboard.press("g")


def test_nothing_jumps_or_goes_dark_between_regions(app):
    app.settle()
    before = app.page.evaluate(PLACES)
    app.page.evaluate(WATCH_PICTURES)
    for _ in range(4):
        app.key_answer("c")
    panel = app.page.locator(".alnb-figure .nsewdrag[data-subplot=x2y2]").bounding_box()
    app.page.mouse.click(panel["x"] + 4, panel["y"] + 3)
    app.says("outside the frame")
    app.page.evaluate("() => cancelAnimationFrame(window.alnbWatch)")

    assert app.page.evaluate(PLACES) == before
    assert app.page.evaluate("() => window.alnbFrames") > 5
    assert app.page.evaluate("() => window.alnbBare") == 0


def test_the_mask_is_shown_only_in_teaching_and_says_so(app):
    shown = f"() => {FIGURE}.data.find((t) => t.name === 'region mask').visible === true"
    assert not app.page.evaluate(shown)
    app.page.keyboard.press("m")
    app.page.get_by_text("Teaching: the true mask").wait_for()
    app.page.wait_for_function(shown)
    app.page.keyboard.press("m")
    app.page.get_by_text("Teaching: the true mask").wait_for(state="detached")


def test_a_sweep_answers_a_slice_and_is_undone_at_once(app, folder):
    before, said = len(verdicts(folder)), re.search(r"\d+ regions? ", app.head())[0]
    app.key_answer("w")
    app.asks("Sweep.")
    row, col = middle(asked(folder)[0])
    app.click(row, col)
    app.answer("The rest is clean")
    swept = events(folder, "answered")[before:]
    assert len(swept) > 20
    assert len({event["sweep"] for event in swept}) == 1
    assert 1 in [len(event["clicks"]) for event in swept]
    app.key_answer("z")
    app.reads(f"· {said}")
    assert len(events(folder, "undone")) >= len(swept)
    app.page.keyboard.press("z")
    app.page.wait_for_function("() => window.alnbMarks() === 0")
    app.key_answer("w")


def test_a_screen_reader_finds_a_name_for_everything(app, settings):
    app.page.locator("[role=slider][aria-label=level]").wait_for()
    app.page.get_by_role("img", name="the slice, and the region that is asked about").wait_for()
    lines = app.page.locator(".alnb-app").aria_snapshot().splitlines()
    kinds = "button|slider|checkbox|textbox|combobox|meter|progressbar|region|group"
    assert [line for line in lines if re.fullmatch(rf"\s*- ({kinds})( \[.*\])?:?", line)] == []
    assert sum("- button" in line for line in lines) > 10


def test_a_projector_shows_pictures_buttons_and_the_next_step_without_scrolling(app):
    bottoms = app.page.evaluate(
        """() => [".alnb-figure", ".alnb-act-clean", ".alnb-act-train", ".alnb-strip", ".alnb-why"]
        .map((name) => document.querySelector(name).getBoundingClientRect().bottom)"""
    )
    size = "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"

    assert max(bottoms) <= 720
    assert app.page.evaluate(size) == [1280, 720]


def test_light_and_dark_follow_the_system_and_can_be_read(app):
    for scheme, light in (("light", True), ("dark", False), ("light", True)):
        app.page.emulate_media(color_scheme=scheme)
        for name in (".alnb-question", ".alnb-small", ".alnb-head .quiet"):
            back, ratio = app.page.evaluate(CONTRAST, name)
            assert (back > 0.5) is light
            assert ratio >= 4.5, (scheme, name)


def test_after_a_training_the_card_says_why_and_the_chart_has_three_axes(app, folder):
    app.key_answer("c")
    app.train()
    app.reads("Network: training")
    app.wait_for_points(1)
    app.page.locator(".alnb-why", has_text="asks it").wait_for()
    card = app.page.locator(".alnb-why").inner_text()
    assert "The network is unsure here" in card
    assert "bald" not in card
    app.page.locator(".alnb-why summary").click()
    card = app.page.locator(".alnb-why").inner_text()
    assert "Now number 1 by entropy" in card
    assert "bald" in card
    assert "disagreement" in card
    titles = set()
    for _ in range(3):
        titles.add(app.page.locator(".alnb-charts .xtitle").text_content())
        app.page.keyboard.press("x")
        app.settle()
    assert titles == {
        "Labelling cost, nominal (s)", "Labelling time, measured (s)", "Regions answered"
    }  # fmt: skip
    bottom = "() => document.querySelector('.alnb-why').getBoundingClientRect().bottom"
    assert app.page.evaluate(bottom) <= 720
    app.key_answer("z")
    app.reads("Network: out of date")
    app.key_answer("y")
    app.reads("Network: up to date")
    app.page.locator(".alnb-numbers").wait_for()  # it stays unfolded
    app.page.locator(".alnb-why summary").focus()
    app.page.keyboard.press("Enter")
    app.page.locator(".alnb-numbers").wait_for(state="hidden")
    app.page.locator(".alnb-app").focus()


def test_each_overlay_has_a_key_and_all_have_one_opacity(app):
    seen = f"""() => JSON.stringify([
      {FIGURE}.data.map((t) => [t.name, t.visible, t.opacity, (t.source || "").length]),
      {FIGURE}.layout.shapes.map((shape) => [shape.visible, shape.opacity]),
    ])"""
    before = app.page.evaluate(seen)
    for key in ("e", "p", "k", "a", "g", "5"):
        app.page.keyboard.press(key)
        app.page.wait_for_function(f"before => ({seen})() !== before", arg=before)
        app.page.keyboard.press(key)
        app.page.wait_for_function(f"before => ({seen})() === before", arg=before)
    faint = f"() => {FIGURE}.data.find((t) => t.name === 'slice entropy').opacity"
    assert app.page.evaluate(faint) == pytest.approx(0.4)
    app.page.keyboard.press("d")
    app.page.wait_for_function(f"() => Math.abs(({faint})() - 0.6) < 0.01")


def test_training_goes_on_by_itself_where_that_is_set(app, folder):
    app.page.keyboard.press("u")
    app.page.wait_for_function(
        "() => [...document.querySelectorAll('label')]"
        ".find((l) => l.innerText.includes('automatic')).querySelector('input').checked"
    )
    app.reads("up to date")
    for _ in range(CONFIG.regions_per_cycle):
        app.key_answer("c")
    app.reads("Network: training")
    app.wait_for_points(2)
    app.page.keyboard.press("u")


def test_a_session_is_exported_by_key(app, folder):
    app.page.keyboard.press("f")
    app.says("files are in")
    written = {path.name for path in (folder / "export").rglob("*.*")}
    assert {"answers.csv", "journal.jsonl", "MODEL_CARD.md", "phantom_01.nii.gz"} <= written


def test_all_that_went_without_an_error_and_without_another_host(opened):
    assert opened[2].errors == []
    assert opened[2].foreign == []


def test_infection_is_outlined_by_hand_where_regions_are_labelled_in_full(watched, begun):
    folder, address = begun(CONFIG.replace(labels="full", loss="full"))
    app = App(watched.page, address)
    row, col = middle(asked(folder)[0])
    corners = [(row - 4, col - 4), (row - 4, col + 4), (row + 4, col + 4), (row + 4, col - 4)]
    app.page.mouse.move(*app.place(*corners[0]))
    app.page.mouse.down()
    for corner in corners[1:]:
        app.page.mouse.move(*app.place(*corner), steps=6)
    app.page.mouse.up()
    app.asks("1 outline")
    app.answer("Next")

    (outline,) = events(folder, "answered")[0]["outlines"]
    assert len(outline) == 4
    for corner, drawn in zip(sorted(corners), sorted(map(tuple, outline)), strict=True):
        assert drawn == pytest.approx(corner, abs=1)
    app.reads("12 s nominal")

    app.settle()
    for key in ("l", "Shift+ArrowRight", "Shift+ArrowDown", "Shift+ArrowLeft", "l"):
        app.page.keyboard.press(key)
    app.asks("1 outline")
    app.key_answer("n")
    assert len(events(folder, "answered")[1]["outlines"][0]) == 4
