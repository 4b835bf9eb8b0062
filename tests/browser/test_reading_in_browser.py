"""What a radiologist reads off the pictures, in a real browser: sides, scale, values, window."""

import re

import numpy as np
import pytest
from fakes import scan_of

from alnb.dataset import SliceId, build
from alnb.serve import app_notebook
from alnb.session import Session
from browser.app_page import CONFIG, FIGURE, App, events, middle
from browser.layout import faults, resize

SIZES = [(1024, 640), (768, 1024), (1280, 720), (1920, 1080), (2560, 1440)]
PANELS = ("xy", "x2y2")
NOTES = f"""() => [...{FIGURE}.querySelectorAll(".annotation-text")]
  .map((text) => text.textContent).filter(Boolean)"""
CT = f"() => {FIGURE}.data.filter((t) => /ct$/.test(t.name)).map((t) => t.source).join()"
LIT = """() => [...document.querySelectorAll(".alnb-window-controls button[aria-pressed=true]")]
  .map((button) => button.textContent)"""
COLOUR = "name => getComputedStyle(document.querySelector(name)).backgroundColor"


@pytest.fixture
def app(looked_at):
    app = looked_at[0]
    resize(app.page, 1280, 720)
    app.page.locator(".alnb-app").focus()
    yield app
    for key in ("Home", "0", "4"):
        app.page.keyboard.press(key)
    app.settle()


@pytest.fixture
def folder(looked_at):
    return looked_at[1]


def region_of(app):
    """The scan, the z and the middle of the region on screen."""
    key = app.page.locator(".alnb-strip .current").get_attribute("data-act").removeprefix("open:")
    scan, z, _ = key.split("/")
    return scan, int(z), *middle(key)


def reading(app):
    """What is read under the pointer; empty if nothing is."""
    line = app.page.locator(".alnb-reading")
    return line.text_content() if line.count() and line.is_visible() else ""


def reads(app, text):
    app.page.wait_for_function(
        "text => document.querySelector('.alnb-reading')?.textContent === text", arg=text
    )


def still(app, watched):
    """Wait until the page has sent nothing for a while; return how much it has sent."""
    sent = None
    while sent != watched.sent:
        sent = watched.sent
        app.page.wait_for_timeout(1000)
    return sent


def words(data, scan, z, row, col, says="{} HU"):
    """Say the value of a pixel, and the voxel of the file that it shows."""
    where = SliceId(scan, z)
    voxels = data.source_voxels(where, np.array([row]), np.array([col]), whole=True)
    place = ", ".join(f"{index:.0f}" for index in voxels[0])
    return f"{says.format(data.raw(where)[row, col])} · {place}".replace("-", "−")


def look_away(app):
    """Turn to a neighbouring slice by key; return its z."""
    z = region_of(app)[1]
    step = 1 if z < 5 else -1
    app.page.keyboard.press("PageUp" if step > 0 else "PageDown")
    app.page.wait_for_function(f"() => ({NOTES})().some((text) => /is asked/.test(text))")
    return z + step


def drag_window(app, right, down, *, panel="x2y2"):
    """Drag with the right button from the middle of the region, and wait for the pictures."""
    before = app.page.evaluate(CT)
    x, y = app.place(*region_of(app)[2:], panel)
    app.page.mouse.move(x, y)
    app.page.mouse.down(button="right")
    app.page.mouse.move(x + right, y + down, steps=5)
    app.page.mouse.up(button="right")
    app.page.wait_for_function(f"before => ({CT})() !== before", arg=before)


@pytest.mark.parametrize("panel", PANELS)
def test_the_value_and_the_place_under_the_pointer_are_read(app, phantom, panel):
    scan, z, row, col = region_of(app)
    app.page.mouse.move(*app.place(row, col, panel))
    reads(app, words(phantom, scan, z, row, col))
    app.page.mouse.move(*app.place(row + 3, col - 2, panel))
    reads(app, words(phantom, scan, z, row + 3, col - 2))
    app.page.mouse.move(5, 5)
    app.page.wait_for_function("() => document.querySelector('.alnb-reading').hidden")


def test_reading_values_asks_the_kernel_nothing(app, looked_at, phantom):
    scan, z, row, col = region_of(app)
    before, seen = still(app, looked_at[2]), set()
    for step in range(20):
        app.page.mouse.move(*app.place(row, col + step % 4))
        seen.add(reading(app))

    assert still(app, looked_at[2]) == before
    assert seen == {words(phantom, scan, z, row, at) for at in range(col, col + 4)}


def test_the_value_follows_when_the_picture_moves_under_the_pointer(app, phantom):
    scan, z, row, col = region_of(app)
    x, y = app.place(row, col)
    app.page.mouse.move(x, y)
    reads(app, words(phantom, scan, z, row, col))
    away = look_away(app)
    reads(app, words(phantom, scan, away, row, col))
    app.page.keyboard.press("Home")
    reads(app, words(phantom, scan, z, row, col))


def test_the_value_at_the_cursor_is_read_without_a_mouse(app, phantom):
    app.page.mouse.move(5, 5)
    app.page.keyboard.press("ArrowUp")
    app.page.wait_for_function(
        f"() => ({FIGURE}.data.find((t) => t.name === 'cursor').x || []).length === 1"
    )
    cursor = app.page.evaluate(
        f"() => {{ const at = {FIGURE}.data.find((t) => t.name === 'cursor');"
        " return [at.y[0], at.x[0]]; }"
    )
    scan, z, *_ = region_of(app)
    row, col = (int(at + 0.5) for at in cursor)
    reads(app, words(phantom, scan, z, row, col))


def test_the_caption_counts_from_1_and_follows_the_slice_that_is_shown(app, phantom):
    scan, z, *_ = region_of(app)
    depth = phantom.scans[scan]["depth"]
    assert f"{scan}, slice {z + 1} of {depth}" in app.page.evaluate(NOTES)
    assert app.page.locator(f".alnb-strip .current[title*='slice {z + 1} of {depth}']").count()

    away = look_away(app)
    assert f"{scan}, slice {away + 1} of {depth}" in app.page.evaluate(NOTES)
    assert any(f"Slice {away + 1} of {depth}" in text for text in app.page.evaluate(NOTES))


def test_the_patients_right_is_on_the_left_of_both_pictures(app):
    for panel in PANELS:
        box = app.page.locator(f".alnb-figure .nsewdrag[data-subplot={panel}]").bounding_box()
        at = {}
        for text in app.page.locator(".alnb-figure .annotation-text").all():
            place = text.bounding_box()
            inside = place and box["x"] <= place["x"] <= box["x"] + box["width"]
            if text.text_content() in ("R", "L") and inside:
                at[text.text_content()] = place["x"] - box["x"]
        assert at["R"] < 0.1 * box["width"] < 0.9 * box["width"] < at["L"]


def test_the_scale_bar_is_as_long_on_the_screen_as_it_says(app, phantom):
    scan, *_ = region_of(app)
    for zoom in (0, 2):
        if zoom:
            before = app.range()
            for _ in range(zoom):
                app.page.keyboard.press("+")
            app.page.wait_for_function(
                f"w => {FIGURE}._fullLayout.xaxis2.range[1] - {FIGURE}._fullLayout.xaxis2.range[0]"
                " < w", arg=(before[1] - before[0]) / 1.5,
            )  # fmt: skip
            app.settle()
        bars = app.page.evaluate(
            f"""() => [...{FIGURE}.querySelectorAll(".shapelayer path")].filter(
              (path) => path.style.fill === "rgb(255, 255, 255)")
              .map((path) => path.getBBox().width)"""
        )
        lengths = [
            float(text.split()[0]) * (10 if "cm" in text else 1)
            for text in app.page.evaluate(NOTES)
            if re.fullmatch(r"[\d.]+ [cm]m", text)
        ]
        px = [app.place(0, 10, panel)[0] - app.place(0, 0, panel)[0] for panel in PANELS]
        assert len(bars) == len(lengths) == 2
        for bar, mm, ten in zip(bars, lengths, px, strict=True):
            assert bar == pytest.approx(mm / phantom.pixel_mm(scan) * ten / 10, rel=0.02)


@pytest.mark.parametrize("panel", PANELS)
def test_a_drag_with_the_right_button_changes_the_window_and_opens_no_menu(app, folder, panel):
    app.page.evaluate(
        """() => {
          window.alnbMenus = [];
          if (!window.alnbMenu)
            window.addEventListener("contextmenu", (event) => window.alnbMenus.push(event), true);
          window.alnbMenu = true;
        }"""
    )
    marks, seen, given = app.marks(), app.range(), len(events(folder, "answered"))
    drag_window(app, 50, 0, panel=panel)
    app.page.wait_for_function(f"() => ({NOTES})().includes('L −500 W 1800')")
    drag_window(app, 0, -25, panel=panel)
    app.page.wait_for_function(f"() => ({NOTES})().includes('L −680 W 1800')")

    prevented = "() => window.alnbMenus.map((event) => event.defaultPrevented)"
    assert set(app.page.evaluate(prevented)) == {True}
    assert app.marks() == marks
    assert app.range() == seen
    assert len(events(folder, "answered")) == given
    assert not app.page.evaluate(f"() => ({NOTES})().some((text) => /is asked/.test(text))")


def test_a_press_of_the_right_button_marks_nothing_and_changes_no_window(app):
    marks, before = app.marks(), app.page.evaluate(CT)
    app.page.mouse.click(*app.place(*region_of(app)[2:]), button="right")
    app.settle()

    assert app.marks() == marks
    assert app.page.evaluate(CT) == before


def test_a_preset_lights_while_it_is_on(app):
    app.page.keyboard.press("v")
    app.page.locator(".alnb-settings").wait_for()
    off = app.page.evaluate(COLOUR, ".alnb-act-window-mediastinum")
    app.page.keyboard.press("2")
    app.page.wait_for_function(f"() => ({LIT})().join() === 'mediastinum'")
    assert app.page.evaluate(COLOUR, ".alnb-act-window-mediastinum") != off
    app.page.wait_for_function(f"() => ({NOTES})().includes('mediastinum · L 40 W 400')")
    drag_window(app, 30, 0)
    app.page.wait_for_function(f"() => ({LIT})().length === 0")
    assert app.page.evaluate(COLOUR, ".alnb-act-window-mediastinum") == off
    app.page.locator(".alnb-act-window-lung").click()
    app.page.wait_for_function(f"() => ({LIT})().join() === 'lung'")
    app.page.locator(".alnb-app").focus()
    app.page.keyboard.press("Escape")


def test_the_page_sends_no_window_that_nobody_chose(app):
    app.page.keyboard.press("v")
    app.page.locator(".alnb-settings").wait_for()
    app.page.keyboard.press("3")  # its width is no multiple of ten
    app.page.wait_for_function(f"() => ({LIT})().join() === 'full'")
    drag_window(app, 1, 13)
    app.page.wait_for_timeout(1500)  # long enough for a slider to answer
    assert "L 106 W 2056" in app.page.evaluate(NOTES)
    app.page.keyboard.press("3")
    app.page.wait_for_timeout(1500)
    assert app.page.evaluate(LIT) == ["full"]
    assert "full · L 0 W 2048" in app.page.evaluate(NOTES)
    app.page.keyboard.press("Escape")


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_what_is_read_covers_no_other_word_and_no_region(app, size):
    resize(app.page, *size)
    app.page.keyboard.press("1")
    frame = app.page.evaluate(
        f"""() => {{
          const paths = [...{FIGURE}.querySelectorAll(".shapelayer path")];
          const frame = paths.filter((path) => path.style.stroke === "rgb(255, 255, 255)"
            && path.style.strokeWidth === "1.5px").at(-1);
          return frame.getBoundingClientRect().toJSON();
        }}"""
    )
    for scheme in ("light", "dark"):
        app.page.emulate_media(color_scheme=scheme)
        for panel in PANELS:
            app.page.mouse.move(*app.place(*region_of(app)[2:], panel))
            app.page.locator(".alnb-reading").wait_for()
            assert faults(app.page) == [], (size, scheme, panel)
            box = app.page.locator(".alnb-reading").bounding_box()
            around = app.page.locator(
                f".alnb-figure .nsewdrag[data-subplot={panel}]"
            ).bounding_box()
            assert around["x"] <= box["x"]
            assert box["x"] + box["width"] <= around["x"] + around["width"]
            assert box["y"] + box["height"] <= around["y"] + around["height"] + 1
            assert panel == "xy" or box["y"] >= frame["bottom"]
    app.page.emulate_media(color_scheme="light")


def test_an_answer_on_a_neighbouring_slice_goes_back_first_and_says_so(app, folder):
    given = len(events(folder, "answered"))
    z = region_of(app)[1]
    look_away(app)
    app.settle()
    for _ in range(2):  # the second of a double press was meant for the neighbour, too
        app.page.keyboard.press("c")
    app.says(f"This is slice {z + 1} of")
    app.settle()
    assert len(events(folder, "answered")) == given
    assert not app.page.evaluate(f"() => ({NOTES})().some((text) => /goes back/.test(text))")

    look_away(app)
    app.settle()
    app.button("No infection").click()
    app.says(f"This is slice {z + 1} of")
    assert len(events(folder, "answered")) == given
    key = app.page.locator(".alnb-strip .current").get_attribute("data-act").removeprefix("open:")
    app.key_answer("c")
    assert [event["region"] for event in events(folder, "answered")[given:]] == [key]


def test_grey_slices_have_brightness_and_contrast_and_no_letter_or_scale(
    watching, serving, tmp_path
):
    parts = {"one": "train", "two": "test"}
    data = build(
        [scan_of(name, 4, 64, seed) for seed, name in enumerate(parts)], tmp_path / "grey",
        size=64, split=parts,
    )  # fmt: skip
    folder = tmp_path / "sessions" / "grey"
    Session.open(folder, data, CONFIG).close()
    env = {"ALNB_DATA": data.folder, "ALNB_SESSION": folder}
    with serving(app_notebook("label"), **env) as server, watching() as watched:
        app = App(watched.page, server.address)
        scan, z, row, col = region_of(app)
        app.page.mouse.move(*app.place(row, col))
        reads(app, words(data, scan, z, row, col, "grey {}"))
        assert app.page.evaluate(NOTES) == [f"{scan}, slice {z + 1} of 4"]

        drag_window(app, 0, -50)
        note = "brightness +20 %, contrast 100 %"
        app.page.wait_for_function(f"() => ({NOTES})().includes('{note}')")
        app.page.keyboard.press("v")
        slider = app.page.locator("[role=slider][aria-label=brightness]")
        slider.wait_for()
        app.page.locator(".widget-readout", has_text="20").first.wait_for()
        assert not app.page.locator(".alnb-act-window-lung").is_visible()
        for size in SIZES:
            resize(app.page, *size)
            assert faults(app.page) == [], size
        app.page.get_by_role("button", name="as stored").click()
        app.page.wait_for_function(f"() => !({NOTES})().includes('{note}')")
        assert watched.errors == []
