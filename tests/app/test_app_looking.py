"""The label app: what is seen, and what outlives a reload."""

import asyncio
import contextlib

import numpy as np
import pytest
from app_person import CONFIG, journal_of, widgets_in
from fakes import FakeWorker

from alnb.annotation import Answer, Verdict
from alnb.dataset import SliceId, build
from alnb.pool import Pool, start_picks
from alnb.session import Session
from alnb.ui.label.app import LabelApp
from alnb.ui.label.looking import PREPARE_S
from alnb.ui.launch import label_app
from alnb.volumes import Volume


@pytest.fixture(scope="session")
def in_hu(tmp_path_factory):
    """Two scans of four slices of HU, in pixels of 0.7 mm."""
    rng = np.random.default_rng(0)
    pairs = [
        (
            Volume.made(
                scan, rng.integers(-900, 200, (4, 32, 32)).astype(np.int16), unit="hu",
                spacing_mm=(2, 0.7, 0.7),
            ),
            rng.random((4, 32, 32)) > 0.9,
        )
        for scan in ("one", "two")
    ]  # fmt: skip
    parts = {"one": "train", "two": "test"}
    return build(pairs, tmp_path_factory.mktemp("data") / "hu", size=32, split=parts)


# --- looking ---


def test_another_slice_is_looked_at_and_a_press_comes_back(using):
    async def story(person):
        region = person.app.view.region
        step = "PageUp" if region.where.z < 3 else "PageDown"
        person.key(step)
        assert "which is asked about" in person.noted("looking")
        person.press(1, 1)
        assert person.clicks == ()
        assert person.noted("looking") == ""
        person.press(1, 1)
        assert len(person.clicks) == 1

    using(story)


def test_the_caption_follows_the_slice_that_is_shown_and_counts_from_1(using):
    async def story(person):
        where = person.app.view.region.where
        assert person.noted("place") == f"<b>{where.scan}</b>, slice {where.z + 1} of 4"
        step, other = ("PageUp", where.z + 2) if where.z < 3 else ("PageDown", where.z)
        person.key(step)
        assert person.noted("place") == f"<b>{where.scan}</b>, slice {other} of 4"
        assert f"Slice {other} of 4: " in person.noted("looking")
        assert f"goes back to {where.z + 1}, which is asked about" in person.noted("looking")
        assert f"{where.scan}, slice {where.z + 1} of 4: open" in person.page._strip.value
        person.key("Home")
        assert person.noted("place") == f"<b>{where.scan}</b>, slice {where.z + 1} of 4"

    using(story)


def look_away(person):
    person.key("PageUp" if person.app.view.region.where.z < 3 else "PageDown")
    assert person.app.viewing.offset


@pytest.mark.parametrize("key", ["c", "n", "s"])
def test_a_key_on_a_neighbouring_slice_answers_nothing_and_goes_back_first(using, folder, key):
    async def story(person):
        region = person.app.view.region
        if key == "n":
            person.press(1, 1)
        look_away(person)
        person.key(key)
        assert journal_of(folder) == []
        assert person.app.view.region == region
        assert not person.app.viewing.offset
        assert person.reads(f"This is slice {region.where.z + 1} of 4, which is asked about")
        person.key(key)
        assert [answer["region"] for answer in journal_of(folder)] == [region.key]

    using(story)


def test_buttons_on_a_neighbouring_slice_do_as_their_keys(using, folder):
    async def story(person):
        look_away(person)
        person.push(person.page.clean)
        assert journal_of(folder) == []
        person.push(person.page.clean)
        assert len(journal_of(folder)) == 1

    using(story)


def test_a_double_press_on_a_neighbouring_slice_answers_nothing(using, folder):
    async def story(person):
        look_away(person)
        seen = person.app.view.screen
        person.key("c")
        person.key("c", after_s=0.2)
        person.key("c", screen=seen)  # it was pressed before the page heard of the first one
        assert journal_of(folder) == []
        assert person.reads("Nothing was answered")

    using(story)


def test_a_sweep_is_not_ended_on_a_neighbouring_slice(using, folder):
    async def story(person):
        person.push(person.page.sweep)
        look_away(person)
        person.push(person.page.clean)
        assert journal_of(folder) == []
        assert person.app.draft.sweep
        person.push(person.page.clean)
        assert len(journal_of(folder)) > 1

    using(story)


def test_a_mark_by_key_on_a_neighbouring_slice_goes_back_first(using):
    async def story(person):
        person.key("ArrowUp")
        look_away(person)
        person.key("Space")
        assert person.clicks == ()
        assert person.reads("back at the slice")
        person.key("Space")
        assert len(person.clicks) == 1

    using(story)


def test_what_is_taken_back_on_a_neighbouring_slice_is_seen(using):
    async def story(person):
        person.press(1, 1)
        look_away(person)
        person.push(person.page.undo)
        assert person.clicks == ()
        assert not person.app.viewing.offset
        look_away(person)
        person.push(person.page.redo)
        assert person.marks == [(c.row, c.col) for c in person.clicks] != []

    using(story)


def test_the_page_knows_the_values_of_the_slice_that_is_shown(using, in_hu):
    async def story(person):
        def values():
            return np.frombuffer(person.app.view.tap.values, "<i2").reshape(32, 32)

        where = person.app.view.region.where
        assert np.array_equal(values(), in_hu.raw(where))
        look_away(person)
        neighbour = SliceId(where.scan, where.z + person.app.viewing.offset)
        assert np.array_equal(values(), in_hu.raw(neighbour))
        assert person.app.view.tap.reading["unit"] == "HU"

    using(story, in_hu)


def test_letters_and_scale_are_shown_for_scans_that_have_them(using, in_hu):
    async def look(person):
        return person.noted("region R"), person.noted("slice L"), person.noted("slice scale")

    assert using(look, in_hu) == ("R", "L", "5 mm")


def test_none_are_shown_for_scans_whose_file_knows_neither(using):
    async def story(person):
        notes = [f"{panel} {name}" for panel in ("slice", "region") for name in "RL"]
        assert not any(map(person.noted, [*notes, "slice scale", "region scale"]))

    using(story)


def test_the_wheel_over_the_slice_turns_to_its_neighbours_and_no_farther(using):
    async def story(person):
        z = person.app.view.region.where.z
        for _ in range(9):
            person.wheel(1.0, panel="xy")
        assert person.app.viewing.offset == 3 - z
        for _ in range(9):
            person.wheel(-1.0, panel="xy")
        assert person.app.viewing.offset == -z
        person.push(person.page.clean)
        assert person.app.viewing.offset == 0

    using(story)


def test_a_slice_among_others_patients_has_no_neighbours(using):
    async def story(person):
        person.app.dataset.scans[person.app.view.region.where.scan]["stacked"] = False
        person.wheel(1.0, panel="xy")
        assert person.app.viewing.offset == 0
        assert "no neighbouring slices" in person.app.message
        person.key("PageDown")
        assert person.app.viewing.offset == 0

    using(story)


def test_zoom_stays_while_overlays_change_and_not_for_another_region(using):
    async def story(person):
        person.wheel(3.0)
        near = person.app.view.viewport
        person.page.toggles["entropy"].value = False
        person.press(1, 1)
        assert person.app.view.viewport == near
        person.key("0")
        first = person.app.view.scale
        person.push(person.page.next)
        assert person.app.view.scale == first

    using(story)


# --- windows ---


def test_grey_slices_have_brightness_and_contrast_and_say_why(using):
    async def story(person):
        controls = person.page.window_controls
        assert not controls.hu
        assert "already windowed" in controls._reason.value
        before = ct(person)
        controls.contrast.value = 200
        assert ct(person) != before
        assert person.noted("window") == "brightness +0 %, contrast 200 %"
        person.key("4")
        assert ct(person) == before
        assert person.noted("window") == ""

    using(story)


def test_a_key_of_a_window_of_hu_says_what_grey_has_in_its_place(using):
    async def story(person):
        before = ct(person)
        person.key("1")
        assert person.reads("brightness and contrast")
        assert ct(person) == before

    using(story)


def ct(person):
    """Return the pictures of CT."""
    return [person.app.view._traces[f"{panel} ct"].source for panel in ("slice", "region")]


def test_a_drag_with_the_right_button_changes_the_window_and_nothing_else(using, in_hu):
    async def story(person):
        person.press(1, 1)
        person.wheel(2.0)
        near, before, marks = person.app.view.viewport, ct(person), person.marks
        person.drag_window(40, -20)
        controls = person.page.window_controls
        assert controls.chosen(hu=True) == (-620, 1740)
        assert person.noted("window") == "L −620 W 1740"
        assert all(new != old for new, old in zip(ct(person), before, strict=True))
        assert (person.app.view.viewport, person.marks) == (near, marks)
        person.key("4")
        assert ct(person)[0] == before[0]
        person.push(person.page.next)
        person.drag_window(0, 25, hold=2)
        assert person.noted("window") == "L −350 W 1500"

    using(story, in_hu)


def test_a_window_that_was_dragged_stays_for_the_next_region(using, in_hu):
    async def story(person):
        person.drag_window(40, -20)
        person.push(person.page.clean)
        assert person.noted("window") == "L −620 W 1740"

    using(story, in_hu)


def test_no_window_is_shown_that_nobody_chose_where_no_region_is_left_to_show(using, in_hu):
    config = CONFIG.replace(asking="cycle")

    async def answer_all(person):
        while person.state.pending:
            person.push(person.page.clean)
        controls = person.page.window_controls
        return controls.level.value, controls.width.value

    async def come_back(person):
        assert person.app.view.region is None
        controls = person.page.window_controls
        assert controls.presets["network"].button_style == "info"
        assert controls.chosen(hu=True) is None
        return controls.level.value, controls.width.value

    assert using(answer_all, in_hu, config) == (-500, 1500)
    assert using(come_back, in_hu, config) == (-500, 1500)


# --- teaching, names, and what is drawn ahead ---


def test_the_mask_is_shown_only_in_teaching_and_answers_record_it(using, folder):
    async def story(person):
        assert "mask" not in person.app.viewing.overlays(person.app.view.region.where)
        person.page.toggles["mask"].value = True
        assert "mask" in person.app.viewing.overlays(person.app.view.region.where)
        assert "Teaching" in person.page._teaching.value
        person.push(person.page.clean)
        person.page.toggles["mask"].value = False  # the second region was seen with it all the same
        person.push(person.page.clean)
        person.push(person.page.clean)

        assert [a.get("mask_shown", False) for a in journal_of(folder)] == [True, True, False]
        assert {a["annotator"] for a in journal_of(folder)} == {"me"}

    using(story)


def test_another_name_holds_for_the_answers_to_come(using, folder):
    async def story(person):
        assert person.page.annotator.value == "me"
        person.push(person.page.clean)
        person.page.annotator.value = " Dr. Ann "
        person.push(person.page.clean)
        person.page.annotator.value = ""
        person.push(person.page.clean)

        assert [a["annotator"] for a in journal_of(folder)] == ["me", "Dr. Ann", ""]

    using(story)


def test_a_name_that_is_too_long_is_refused_and_the_one_before_stays(using, folder):
    async def story(person):
        person.page.annotator.value = "a" * 101
        assert person.reads("has 101 characters; it may have 100 at most")
        person.push(person.page.clean)
        person.page.annotator.value = " " + "b" * 100
        person.push(person.page.clean)

        assert [a["annotator"] for a in journal_of(folder)] == ["me", "b" * 100]

    using(story)


def test_who_answered_last_is_the_annotator_where_none_is_named(squares, folder):
    def opened(annotator=""):
        with contextlib.closing(Session.open(folder, squares, CONFIG, take_over=True)) as session:
            return LabelApp(session, annotator, worker=FakeWorker).editor.annotator

    assert opened() == ""
    with contextlib.closing(Session.open(folder, squares, CONFIG)) as session:
        session.ask(start_picks(Pool(squares, CONFIG)))
        for name in ("Ann", "oracle"):
            region = session.state.pending[0]
            simulated = name == "oracle"
            session.submit(Answer(region, Verdict.CLEAN, annotator=name, simulated=simulated))
    assert opened() == "Ann"
    assert opened("Bob") == "Bob"


def test_the_annotator_comes_from_the_environment(squares, folder, monkeypatch):
    monkeypatch.setenv("ALNB_ANNOTATOR", "Ann")
    page = label_app(squares.folder, folder)

    names = [w.value for w in widgets_in(page) if "alnb-annotator" in w._dom_classes]
    assert names == ["Ann"]


def test_the_next_region_is_drawn_ahead(using):
    async def story(person):
        await asyncio.sleep(2 * PREPARE_S)  # the page is at rest
        ahead = person.app.viewing._ready[person.app.viewing._token(person.state.pending[1])]
        shown, show = [], person.app.view.show
        person.app.view.show = lambda *a, **options: (shown.append(options), show(*a, **options))
        person.push(person.page.clean)

        assert shown[0]["encoded"] is ahead

    using(story)


def test_why_a_region_is_asked_is_told_after_a_reload_too(using, folder):
    async def label(person):
        assert person.reads_why("no network yet")
        person.push(person.page.clean)
        await person.train()
        assert person.reads_why("Number 1 of 2 by entropy")
        assert person.reads_why("The network is unsure here: 60 % infected.")
        assert person.reads_why("<td>rank of 127</td>")
        assert person.reads_why("<td>1</td><td>✓</td>")

        return person.app.training._tables

    async def look(person):
        return person.page._explanation.value

    weights, tables = using(label)
    assert "asked by entropy" in using(look)
    (folder / "cache").mkdir()
    np.savez(folder / "cache" / f"scores-{weights}.npz", **tables)
    assert "<td>rank of 127</td>" in using(look)


# --- reopening ---


def test_clicks_that_are_no_answer_yet_survive_reopening(using):
    async def click(person):
        person.press(1, 1)
        return person.app.draft

    async def look(person):
        assert person.marks == [(c.row, c.col) for c in person.clicks]
        return person.app.draft

    assert using(click) == using(look)


def test_a_correction_that_is_no_answer_yet_survives_reopening(using):
    async def correct(person):
        person.push(person.page.clean)
        region = person.state.answers[0].region
        person.key(",")
        person.press(1, 1)
        assert person.app.view.region == region
        return region, person.clicks

    async def go_on(person):
        assert (person.app.view.region, person.clicks) == (region, clicks)
        person.key(".")
        assert person.reads("keep them with Next")
        person.push(person.page.next)
        assert person.state.by_key[region.key].clicks == clicks
        assert len(person.state.given) == 2

    region, clicks = using(correct)
    using(go_on)


def test_a_correction_of_a_swept_region_that_was_never_asked_survives_reopening(using):
    async def correct(person):
        person.push(person.page.sweep, person.page.clean)
        asked = person.state.ever_asked
        swept = next(key for key in person.state.by_key if key not in asked)
        person.act(f"open:{swept}")
        person.press(1, 1)
        return person.app.draft

    async def look(person):
        return person.app.draft

    draft = using(correct)
    assert len(draft.clicks) == 1
    assert (using(look).region, using(look).clicks) == (draft.region, draft.clicks)


def test_the_clicks_of_an_answer_that_was_taken_back_survive_reopening(using):
    async def story(person):
        person.press(1, 1)
        person.push(person.page.next, person.page.undo)
        assert len(person.clicks) == 1
        return person.app.draft.region

    async def again(person):
        assert person.app.draft.region == region
        assert len(person.clicks) == 1

    region = using(story)
    using(again)


def test_an_answer_that_was_only_looked_at_is_not_opened_again(using):
    async def look(person):
        person.press(1, 1)
        person.push(person.page.next)
        person.key(",")
        return person.app.view.region

    async def come_back(person):
        return person.app.view.region

    assert using(look) != using(come_back)


def test_clicks_set_before_a_training_ended_survive_reopening(using):
    async def click(person):
        person.push(person.page.clean)
        person.push(person.page.train)
        person.press(1, 1)
        await person.settle()
        assert person.state.cycle == 1
        return person.app.draft

    async def look(person):
        return person.app.draft

    draft = using(click)
    assert len(draft.clicks) == 1
    assert using(look) == draft


def test_clicks_of_an_answer_do_not_come_back(using):
    async def answer(person):
        person.press(1, 1)
        person.push(person.page.next)

    async def look(person):
        return person.clicks

    using(answer)
    assert using(look) == ()


@pytest.mark.parametrize("text", ["{", "[]", '{"region": 3, "clicks": []}', '{"region": "x"}'])
def test_a_broken_draft_is_no_draft(using, folder, text):
    folder.mkdir()
    (folder / "draft.json").write_text(text)

    async def look(person):
        return person.clicks

    assert using(look) == ()


def test_a_session_goes_on_where_it_was(using):
    async def label(person):
        person.push(person.page.clean, person.page.skip)
        await person.train()
        person.push(person.page.clean)
        return person.state

    async def look(person):
        assert len(person.app.charts.figure.data[0].x) == 1
        assert person.worker.did == ["predict"]
        return person.state

    assert using(label) == using(look)
