import os
import re
import resource
import signal
import time
from pathlib import Path

import pytest

from alnb.dataset import Dataset, build
from alnb.serve import app_notebook
from browser.app_page import (
    CONFIG,
    FIGURE,
    PARTS,
    SLOW,
    App,
    asked,
    events,
    kernel_of,
    middle,
    processes,
    trainers_of,
    wait_until,
)
from browser.layout import resize

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
def opened(watching, begun):
    """The app for the first tests, its session's folder, and its watched page."""
    folder, address = begun()
    with watching() as watched:
        yield App(watched.page, address), folder, watched


def test_a_person_labels_trains_and_comes_back(opened):
    app, folder, watched = opened
    (region,) = asked(folder)
    row, col = middle(region)

    app.click(row, col)
    app.answer("Next")
    (first,) = events(folder, "answered")
    assert first["region"] == region
    assert first["clicks"] == [[pytest.approx(row, abs=0.1), pytest.approx(col, abs=0.1), 1]]

    app.answer("No infection")
    app.answer("Skip")
    app.answer("No infection")
    app.click(*middle(asked(folder)[0]))
    app.answer("Next")
    verdicts = [event["verdict"] for event in events(folder, "answered")]
    assert verdicts == ["infected", "clean", "skipped", "clean", "infected"]
    app.reads("15 s nominal")
    app.reads("5 regions · 2 clicks")

    app.train()
    app.page.locator("[role=progressbar]").wait_for()
    app.answer("No infection")
    app.wait_for_points(1)
    app.answer("No infection")  # the first question by the new network comes after this one
    app.reads("cycle 1")
    (new,) = asked(folder)
    assert len(events(folder, "asked")) == 8
    assert new not in {event["region"] for event in events(folder, "answered")}

    app.click(*middle(new))
    before = app.head().split("·")[1:4]
    app.page.reload()
    app.wait_until_usable()
    app.wait_for_points(1)
    assert wait_until(lambda: app.marks() == 1)
    assert app.head().split("·")[1:4] == before
    app.press("Undo")
    app.press("Undo")
    app.reads("· 6 regions ·")
    assert len(events(folder, "undone")) == 1
    assert watched.foreign == []
    assert watched.errors == []


def test_a_training_that_runs_out_of_memory_says_so_and_the_next_takes_half(opened):
    app, folder, _ = opened
    app.answer("No infection")
    app.train()
    app.wait_for_points(2)  # what a training loads is there
    app.answer("No infection")
    (trainer,) = trainers_of(folder)
    assert wait_until(lambda: app.page.wait_for_timeout(500) or idle(trainer), 60)
    taken = re.search(r"VmSize:\s+(\d+)", Path(f"/proc/{trainer}/status").read_text())
    limit = resource.prlimit(trainer, resource.RLIMIT_AS)
    resource.prlimit(trainer, resource.RLIMIT_AS, (int(taken[1]) * 1024, limit[1]))
    app.train()
    app.says("the memory was too small for 2 pictures of 64×64 pixels")
    app.says("Press Train again: it then takes 1 picture")

    resource.prlimit(trainer, resource.RLIMIT_AS, limit)
    app.train()
    app.wait_for_points(3)
    assert trainers_of(folder) == {trainer}


def idle(pid):
    """Tell whether a process used no time for half a second."""

    def used():
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]

    before = used()
    time.sleep(0.5)
    return used() == before


def test_a_dead_kernel_is_said_and_the_page_comes_back(opened):
    app, folder, _ = opened
    (trainer,) = trainers_of(folder)
    os.kill(kernel_of(folder), signal.SIGKILL)
    app.page.locator(".alnb-kernel-gone").wait_for()
    assert wait_until(lambda: trainer not in processes("alnb.training.process"))

    app.page.reload()
    app.wait_until_usable()
    app.reads("8 regions")


@pytest.fixture(scope="module")
def training(watching, begun):
    """The app in a session whose trainings take long, once the first has been asked for."""
    folder, address = begun(CONFIG.replace(steps=40, epochs=40))
    with watching() as watched:
        app = App(watched.page, address)
        app.answer("No infection")
        app.click(*middle(asked(folder)[0]))
        app.answer("Next")
        app.train()
        yield app, folder


def test_a_dead_trainer_and_a_cancelled_training_leave_the_page_usable(training):
    app, folder = training
    app.page.get_by_text(re.compile(r"training \d+ of \d+")).wait_for()
    for pid in trainers_of(folder):
        os.kill(pid, signal.SIGKILL)
    app.says("Every answer is saved; press Train to start it again")

    app.train()
    app.page.get_by_text(re.compile(r"training \d+ of \d+")).wait_for()
    app.button("Cancel").click()
    app.says("Training cancelled")

    app.train()
    app.wait_for_points(1)


def test_kernel_and_trainer_end_with_their_page_in_the_middle_of_a_training(training):
    app, folder = training
    app.answer("No infection")
    app.train()
    app.page.get_by_text(re.compile(r"training \d+ of \d+")).wait_for()
    ended = {kernel_of(folder), *trainers_of(folder)}
    assert len(ended) == 2
    app.page.goto("about:blank")

    assert wait_until(lambda: not ended & processes("python"))
    assert len(events(folder, "answered")) == 3


def test_hidden_repeats_tell_how_often_one_agrees_with_oneself(watched, begun):
    config = CONFIG.replace(asking="cycle", repeats=0.5, regions_per_cycle=3, start_regions=11)
    folder, address = begun(config)
    app = App(watched.page, address)
    app.click(*middle(asked(folder)[0]))
    app.answer("Next")
    for cycle in (1, 2):  # what was answered just now is not asked again
        app.answer_all()
        app.train()
        app.wait_for_points(cycle)
        assert wait_until(lambda n=cycle: len(events(folder, "asked")) == n + 1)
    first = [pick for pick in events(folder, "asked")[-1]["picks"] if pick.get("repeat")]
    assert first
    app.answer_all()
    app.page.get_by_text(re.compile(r"\d of \d repeats agree")).first.wait_for()


@pytest.fixture(scope="module")
def started(watching, begun):
    """The app on a page that was reloaded while it started, its session, and its first kernel."""
    folder, address = begun()
    with watching() as watched:
        watched.page.add_init_script(SLOW)
        watched.page.goto(address, wait_until="commit")
        assert wait_until(lambda: kernel_of(folder))
        old = kernel_of(folder)
        watched.page.reload()
        yield App(watched.page), (folder, address), old


def test_a_page_that_is_reloaded_while_it_starts_is_no_other_window(started):
    app, (folder, _), old = started
    app.answer("No infection")
    assert kernel_of(folder) != old


def test_a_slow_machine_loads_figures_that_listen(started):
    """anywidget leaves a widget deaf that takes more than 2 s to load."""
    app, (folder, _), _ = started
    before = len(events(folder, "answered"))
    app.click(*middle(asked(folder)[0]))
    app.answer("Next")
    app.reads(f"{before + 1} region")


def test_a_narrow_window_reaches_everything(started):
    app = started[0]
    app.press("Settings")
    for width in (800, 1024, 1275):
        app.page.set_viewport_size({"width": width, "height": 600})
        for place in (".alnb-head", ".alnb-figure", ".alnb-charts", "text=in the region too"):
            element = app.page.locator(place).first
            fits = wait_until(lambda element=element: element.evaluate(CUT_OFF_BY) == [])
            assert fits, (width, place, element.evaluate(CUT_OFF_BY))
    app.page.set_viewport_size({"width": 1280, "height": 720})
    app.press("Settings")


def test_a_click_on_the_slice_or_a_key_chooses_the_next_region(started):
    app, (folder, _), _ = started
    first = asked(folder)[0]
    row, col = middle(first)
    far = 124 if max(row, col) < 64 else 4  # not in the region
    app.settle()
    app.page.mouse.click(*app.place(far, far, "xy"))
    tile = "key => document.querySelector('.alnb-strip .current')?.dataset.act === `open:${key}`"
    assert wait_until(lambda: events(folder, "asked")[-1]["by"].get("chosen"))
    key = asked(folder)[0]
    app.page.wait_for_function(tile, arg=key)

    assert max(abs(there - far) for there in middle(key)) <= 8
    assert app.marks() == 0
    app.key_answer("c")
    assert events(folder, "answered")[-1]["region"] == key
    app.page.wait_for_function(tile, arg=first)
    app.page.keyboard.press("Control+ArrowUp" if row > 64 else "Control+ArrowDown")
    assert wait_until(lambda: asked(folder)[0] not in (key, first))
    app.page.wait_for_function(tile, arg=asked(folder)[0])


def test_a_class_labels_at_once_each_in_a_session_of_their_own(started, watching, begun):
    anna, (folder, _), _ = started
    folders = folder, (other := begun())[0]
    with watching() as watched:
        ben, before = App(watched.page, other[1]), len(events(folder, "answered"))
        for _ in range(2):
            for person in (anna, ben):
                person.answer("No infection")
        ben.answer("No infection")
        assert [len(events(folder, "answered")) for folder in folders] == [before + 2, 3]
        assert folder.name not in ben.head()

    anna.answer("No infection")  # as another page closes
    assert len(events(folder, "answered")) == before + 3
    anna.reads(f"{before + 3} regions")


def test_a_second_window_asks_then_takes_over_and_the_first_says_so(started, watching):
    old, (folder, address), _ = started
    given = len(events(folder, "answered"))
    with watching() as second:
        second.page.goto(address)
        second.page.get_by_role("button", name="View", exact=True).click()
        second.page.get_by_text(f"{given} answers", exact=False).first.wait_for()
        old.answer("No infection")  # a view takes nothing away

        second.page.reload()
        second.page.get_by_role("button", name="Continue here", exact=True).click()
        new = App(second.page)
        old.says("opened in another window")
        old.page.wait_for_function(
            """looking => [...document.querySelectorAll('.jupyter-button')]
              .filter(button => !button.matches(looking)).every(button => button.disabled)""",
            arg=".alnb-act-help, .alnb-act-export, .alnb-act-settings, [class*='alnb-act-window'], "
            ".widget-toggle-buttons *, .alnb-look-on, .alnb-watched *",
        )

        new.answer("No infection")
        assert len(events(folder, "answered")) == given + 2
        new.reads(f"{given + 2} regions")


@pytest.fixture(scope="module")
def tablet(watching, begun):
    """The app on a tablet that is held upright, and its session's folder."""
    folder, address = begun(CONFIG.replace(budget_s=9.0))
    upright = {"width": 768, "height": 1024}
    with watching(768, 1024, has_touch=True, is_mobile=True, screen=upright) as watched:
        yield App(watched.page, address), folder


def test_a_tablet_held_upright_shows_the_whole_width(tablet):
    app, folder = tablet
    app.marks()
    size = "() => [document.documentElement.scrollWidth, window.innerWidth]"
    assert app.page.evaluate(size) == [768, 768]
    app.page.touchscreen.tap(*app.place(*middle(asked(folder)[0])))
    app.page.wait_for_function("() => window.alnbMarks() === 1")
    app.press("Undo")
    app.page.wait_for_function("() => window.alnbMarks() === 0")


def test_a_tablet_is_tapped(tablet):
    app, folder = tablet
    resize(app.page, 1180, 820)
    app.marks()
    app.page.touchscreen.tap(*app.place(*middle(asked(folder)[0])))
    app.page.wait_for_function("() => window.alnbMarks() === 1")
    before = app.screen()
    app.settle()
    app.button("Next").tap()
    app.page.wait_for_function(f"n => {FIGURE}.layout.meta.screen !== n", arg=before)
    assert [answer["verdict"] for answer in events(folder, "answered")] == ["infected"]

    wide, (x, y) = app.range(), app.place(*middle(asked(folder)[0]))
    touch = app.page.context.new_cdp_session(app.page)
    for kind, apart in (("Start", 40), ("Move", 60), ("Move", 90), ("End", None)):
        points = [] if apart is None else [{"x": x - apart, "y": y}, {"x": x + apart, "y": y}]
        touch.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})
    app.page.wait_for_function(
        f"""([from, to]) => {{
          const [left, right] = {FIGURE}._fullLayout.xaxis2.range;
          return Math.abs(right - left) < 0.6 * Math.abs(to - from);
        }}""",
        arg=wide,
    )
    assert app.marks() == 0


def test_the_budget_is_seen_to_be_spent_and_the_last_answer_to_be_saved(tablet):
    app, folder = tablet
    for spent in (6, 9):
        app.press("No infection")
        app.page.locator(
            f'.alnb-budget[role=meter][aria-valuetext="{spent} of the budget\'s 9 s"]'
        ).wait_for(state="attached")
    assert re.search(r"saved \d\d:\d\d:\d\d", app.head())
    app.page.get_by_text("The budget of 9 s is spent").first.wait_for()
    assert len(events(folder, "answered")) == 3


@pytest.fixture(scope="module")
def unmasked_page(serving, watching, phantom, tmp_path_factory):
    """The app on scans without masks, and its server, which a test may end."""
    from alnb.volumes import Volume

    place = tmp_path_factory.mktemp("unmasked")
    scans = [
        (Volume.made(scan, _voxels(phantom, scan), unit="grey", spacing_mm=(1, 1, 1)), None)
        for scan in PARTS
    ]
    unmasked = build(scans, place / "data", size=128, split=PARTS)
    env = {"ALNB_DATA": unmasked.folder, "ALNB_SESSION": place / "session"}
    with serving(app_notebook("label"), **env) as server, watching() as watched:
        yield App(watched.page, server.address), server


def _voxels(dataset: Dataset, scan: str):
    import numpy as np

    return np.stack([dataset.image(where) for where in dataset.slices if where.scan == scan])


def test_without_masks_the_chart_shows_held_out_accuracy(unmasked_page):
    app, _ = unmasked_page
    text = app.page.locator(".alnb-app").inner_text()
    assert "has no masks, so Dice can't be measured" in text
    assert "Held-out accuracy" in app.page.locator(".alnb-charts").text_content()


def test_a_server_that_is_gone_is_said_soon_and_no_reload_is_offered(unmasked_page):
    app, server = unmasked_page
    os.kill(server.pid, signal.SIGKILL)

    banner = app.page.locator(".alnb-kernel-gone")
    banner.wait_for()
    assert 'Start "alnb label" again with the same folder' in banner.inner_text()
    assert banner.get_by_role("button").count() == 0


def test_what_can_not_be_opened_is_a_sentence_on_the_page(watched, begun):
    folder, address = begun()
    (folder / "journal.jsonl").write_text("no journal\n")
    watched.page.goto(address)
    watched.page.locator(".alnb-failure").wait_for()

    assert folder.name in watched.page.locator(".alnb-failure").inner_text()
