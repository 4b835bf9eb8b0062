"""The label app: what is seen, and what outlives a reload."""

import asyncio
import contextlib

import numpy as np
import pytest
from app_person import CONFIG, journal_of, widgets_in
from fakes import FakeWorker

from alnb.annotation import Answer, Verdict
from alnb.pool import Pool, start_picks
from alnb.session import Session
from alnb.ui.label.app import LabelApp
from alnb.ui.label.looking import PREPARE_S
from alnb.ui.launch import label_app

# --- looking ---


def test_another_slice_is_looked_at_and_a_press_comes_back(using):
    async def story(person):
        region = person.app.view.region
        step = "PageUp" if region.where.z < 3 else "PageDown"
        person.key(step)
        note = person.app.view.figure.layout.annotations[3]
        assert note.visible
        assert "which is asked about" in note.text
        person.press(1, 1)
        assert person.clicks == ()
        assert not note.visible
        person.press(1, 1)
        assert len(person.clicks) == 1

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


def test_grey_slices_have_no_window_and_say_why(using):
    async def story(person):
        assert person.page.window_controls._controls.layout.display == "none"
        assert "already windowed" in person.page.window_controls._reason.value

    using(story)


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
        assert person.reads_why("Mean probability <b>0.60</b>")
        assert person.reads_why("<td>1 of 127</td><td>✓ as number 1</td>")

        return person.app.training._tables

    async def look(person):
        return person.page._explanation.value

    weights, tables = using(label)
    assert "asked by entropy" in using(look)
    (folder / "cache").mkdir()
    np.savez(folder / "cache" / f"scores-{weights}.npz", **tables)
    assert "<td>1 of 127</td><td>✓ as number 1</td>" in using(look)


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
