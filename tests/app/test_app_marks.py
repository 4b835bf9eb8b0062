"""The label app: keys, marks of all kinds, whole slices, regions of other kinds."""

import dataclasses

import numpy as np
import pytest
from app_person import CONFIG, journal_of

from alnb.annotation import Answer, Click, Verdict
from alnb.regions import Region
from alnb.ui.label.editor import MARK_PX
from alnb.ui.viewer.drawing import grid_path

# --- keys ---


def test_keys_answer_and_one_meant_for_an_earlier_region_is_dropped(using, folder):
    async def story(person):
        person.key("c")
        person.press(1, 1)
        person.key("Enter")
        person.key("s", screen=1)

        assert [answer["verdict"] for answer in journal_of(folder)] == ["clean", "infected"]

    using(story)


def test_the_second_of_two_quick_keys_answers_no_unseen_region(using, folder):
    async def story(person):
        person.key("c", "c", after_s=0.3)

        assert len(journal_of(folder)) == 1

    using(story)


def test_keys_that_do_not_fit_do_nothing(using, folder):
    async def story(person):
        person.key("n", "t", "q", "y", "Escape", "Home", ".")
        assert journal_of(folder) == []
        person.press(1, 1)
        person.key("s")  # a mark is not thrown away
        assert journal_of(folder) == []
        assert not person.reads("went wrong")

    using(story)


def test_marks_are_set_with_keys_only(using):
    async def story(person):
        region = person.app.view.region  # 8 pixels
        person.key("ArrowUp", "ArrowLeft", "Space")
        assert person.clicks == (Click(region.row + 1.5, region.col + 1.5),)
        person.key(*["Shift+ArrowRight"] * 9, "Space")
        assert person.clicks[1] == Click(region.row + 1.5, region.col + 7)

    using(story)


def test_every_overlay_has_a_key(using):
    async def story(person):
        for key, toggle in zip("epkag5m", ("entropy", "prediction", "marks", "answered", "grid",
                                           "on_region", "mask"), strict=True):  # fmt: skip
            before = person.page.toggles[toggle].value
            person.key(key)
            assert person.page.toggles[toggle].value is not before

    using(story)


def test_the_keys_are_shown_and_hidden(using):
    async def story(person):
        person.key("?")
        assert "role='dialog'" in person.page._help.value
        person.key("Escape")
        assert person.page._help.value == ""

    using(story)


# --- other marks ---


def test_a_press_with_shift_marks_background(using, folder):
    async def story(person):
        person.press(1, 1)
        person.press(5, 5, shift=True)
        person.push(person.page.background)
        person.press(3, 3)
        person.push(person.page.next)

        assert [click[2] for click in journal_of(folder)[0]["clicks"]] == [1, 0, 0]
        assert person.reads("<b>9 s</b> nominal")

    using(story)


def test_a_double_press_sets_one_mark_and_takes_none_back(using):
    async def story(person):
        person.press(2, 2)
        person.press(2, 2, after_s=0.2)
        assert len(person.clicks) == 1

    using(story)


def test_a_double_press_removes_one_mark_and_sets_none(using):
    async def story(person):
        apart = 0.75 * MARK_PX / person.app.view.scale
        region = person.app.draft.region
        clicks = [Click(region.row + 2, region.col + 2 + n * apart) for n in range(2)]
        person.app.editor.draft = dataclasses.replace(person.app.draft, clicks=tuple(clicks))
        person.press(2, 2)
        person.press(2, 2, after_s=0.2)

        assert person.clicks == (clicks[1],)

    using(story)


def test_hidden_marks_are_part_of_the_answer(using):
    async def story(person):
        person.press(2, 2)
        person.page.toggles["marks"].value = False
        person.push(person.page.next)
        assert len(person.state.answers[0].clicks) == 1

    using(story)


def test_an_outline_labels_its_region_in_full_and_is_priced_by_its_points(using):
    config = CONFIG.replace(labels="full", loss="full")

    async def story(person):
        assert person.app.view.tap.drawing
        region = person.app.view.region
        square = [(1, 1), (1, 3), (1, 5), (3, 5), (5, 5), (5, 1)]
        person.draw([(region.row + row, region.col + col) for row, col in square])
        assert person.reads("1 outline")
        person.push(person.page.next)

        (answer,) = person.state.answers
        assert len(answer.outlines[0]) == 4
        assert person.reads("<b>12 s</b> nominal")

    using(story, config=config)


def test_a_line_that_encloses_nothing_is_said(using):
    async def story(person):
        region = person.app.view.region
        person.draw([(region.row, region.col), (region.row + 4, region.col + 4)])
        assert person.reads("encloses nothing")

    using(story, config=CONFIG.replace(labels="full", loss="full"))


# --- a whole slice at once ---


def test_a_sweep_answers_the_whole_slice_and_its_time_is_shared(using, folder):
    async def story(person):
        where = person.app.view.region.where
        person.push(person.page.sweep)
        assert person.page.clean.description == "The rest is clean"
        person.at(2, 3)
        person.at(20, 20)
        person.push(person.page.clean)

        answers = journal_of(folder)
        assert {Region.parse(a["region"]).where for a in answers} == {where}
        assert len(answers) == 16
        assert [a["verdict"] for a in answers].count("infected") == 2
        assert sum(a["seconds"] for a in answers) == pytest.approx(3, abs=0.01)
        assert person.reads("<b>9 s</b> nominal · <b>3 s</b> measured")
        assert person.app.view.region == person.state.pending[0]
        assert where not in {region.where for region in person.state.pending}

    using(story)


def test_a_sweep_is_undone_in_one_go_with_its_clicks(using):
    async def story(person):
        pending = person.state.pending
        person.push(person.page.sweep)
        person.at(2, 3)
        person.push(person.page.clean)
        person.push(person.page.undo)

        assert person.state.given == ()
        assert person.state.pending == pending
        assert person.app.draft.sweep
        assert person.clicks == (Click(2, 3),)

    using(story)


def test_cells_that_have_an_answer_keep_it_in_a_sweep(using):
    async def story(person):
        first = person.app.view.region
        person.press(1, 1)
        person.push(person.page.next)
        person.key(",")
        person.push(person.page.sweep)
        person.at(first.row + 2, first.col + 2)
        assert person.reads("answered already")
        person.push(person.page.clean)

        assert len(person.state.given) == 16
        assert person.state.answers[0].verdict is Verdict.INFECTED

    using(story)


def test_a_sweep_without_marks_can_be_left(using, folder):
    async def story(person):
        person.push(person.page.sweep, person.page.sweep)
        assert person.app.view.region == person.state.pending[0]
        person.push(person.page.sweep)
        person.at(2, 3)
        person.push(person.page.sweep)
        assert person.reads("keep them with Next")
        assert journal_of(folder) == []

    using(story)


def test_a_sweep_of_one_cell_is_taken_back_as_a_sweep(using):
    async def story(person):
        last, *others = person.app.editor.open()
        person.app.session.sweep([Answer(cell, Verdict.CLEAN) for cell in others])
        person.app.editor.reopen(last)
        person.push(person.page.sweep, person.page.clean)
        assert len(person.state.given) == 16
        person.push(person.page.undo)
        assert person.app.draft.sweep
        person.at(last.row + 2, last.col + 2)
        person.push(person.page.clean)

        assert person.state.given[-1].verdict is Verdict.INFECTED

    using(story)


def test_an_outline_is_drawn_by_keys(using):
    async def story(person):
        person.key("l")
        assert person.reads("L closes it")
        person.key("ArrowRight", "ArrowDown", "ArrowLeft", "l")
        assert person.reads("1 outline")
        person.key("n")

        (answer,) = person.state.answers
        (outline,) = answer.outlines
        rows, cols = zip(*outline, strict=True)
        assert len(outline) == 4
        assert max(rows) - min(rows) == max(cols) - min(cols) == 2

    using(story, config=CONFIG.replace(labels="full", loss="full"))


def test_a_line_begun_by_keys_is_taken_away_by_undo_and_escape(using):
    async def story(person):
        for away in ("z", "Escape"):
            person.key("l", "ArrowRight", "ArrowDown")
            assert not person.page.undo.disabled
            person.key(away)
            assert person.app.editor.pen == ()
            assert person.app.draft.outlines == ()
        person.key("l", "ArrowRight", "l")
        assert person.reads("encloses nothing")

    using(story, config=CONFIG.replace(labels="full", loss="full"))


def test_a_line_begun_by_keys_is_not_lost_by_an_answer_or_another_region(using):
    async def story(person):
        person.key("l", "ArrowRight", "ArrowDown", "l", "l", "ArrowRight", "ArrowDown")
        assert len(person.app.draft.outlines) == 1
        region = person.app.draft.region
        for key in ("n", "c", "s", "."):
            person.key(key)
            assert person.reads("close it with L"), key
            assert person.app.draft.region == region
        assert person.state.answers == ()
        person.key("ArrowLeft", "l", "n")
        assert len(person.state.answers[0].outlines) == 2

    using(story, config=CONFIG.replace(labels="full", loss="full"))


def test_a_click_is_no_outline_where_infection_is_outlined(using):
    async def story(person):
        person.press(2, 2)
        assert person.reads("A click does not say how far infection reaches")
        assert person.page.next.disabled
        person.press(2, 2, shift=True)
        assert len(person.app.draft.clicks) == 1  # of background
        person.press(2, 2, shift=True)
        assert person.app.draft.clicks == ()

    using(story, config=CONFIG.replace(labels="full", loss="full"))


def test_a_line_by_keys_is_refused_where_infection_is_clicked(using):
    async def story(person):
        person.key("l")

        assert person.reads("sessions with labels=full")
        assert person.app.editor.pen == ()

    using(story)


def test_where_infection_is_outlined_no_slice_is_swept(using):
    async def story(person):
        assert person.page.sweep.disabled
        person.key("w")
        assert not person.app.draft.sweep

    using(story, config=CONFIG.replace(labels="full", loss="full"))


def test_a_line_is_no_mark_of_a_sweep(using):
    async def story(person):
        person.push(person.page.sweep)
        row, col = person.app.draft.region.row, person.app.draft.region.col
        person.draw([(row + 1, col + 1), (row + 1, col + 6), (row + 6, col + 6)])

        assert person.reads("leave the sweep to outline")
        assert not person.app.draft.marked

    using(story)


# --- regions of other kinds ---


SHAPED = CONFIG.replace(regions="superpixels")


def shaped(person):
    """Answer until the region shown is no rectangle; return it."""
    while person.app.draft.region.mask is None:
        person.push(person.page.clean)
    return person.app.draft.region


def test_a_press_beside_a_superpixel_in_its_rectangle_says_so(using, folder):
    async def story(person):
        region = shaped(person)
        outside, inside = (np.argwhere(region.mask == side)[0] for side in (False, True))
        person.press(*outside)

        assert person.clicks == ()
        assert person.reads("outside the frame")
        person.press(*inside)
        assert not person.reads("outside the frame")
        person.push(person.page.next)
        return region, region.row + inside[0], region.col + inside[1]

    region, row, col = using(story, config=SHAPED)

    answer = journal_of(folder)[-1]
    assert (answer["region"], answer["clicks"]) == (region.key, [[row, col, 1]])


def test_the_clicks_in_a_superpixel_outlive_a_reload(using):
    async def before(person):
        region = shaped(person)
        person.press(*np.argwhere(region.mask)[0])
        return region, person.clicks

    async def after(person):
        return person.app.draft.region, person.clicks

    assert using(before, config=SHAPED) == using(after, config=SHAPED)


@pytest.mark.parametrize("kind", ["superpixels"])
def test_other_regions_are_asked_and_trained_on_as_the_grids_are(using, squares, kind):
    config = CONFIG.replace(regions=kind)

    async def story(person):
        for cycle in range(3):
            while person.app.draft.region is not None:
                person.push(person.page.clean)
            await person.train()
            assert person.state.cycle == cycle + 1
        return person.app

    app = using(story, config=config)
    where = app.draft.region.where
    path = app.view.figure.layout.shapes[0].path
    asked = [r for r in map(Region.parse, app.session.state.ever_asked) if r.where == where]

    assert path == grid_path(app.pool.regions(where))
    assert app.draft.region in app.pool.regions(where)
    assert sum(r.drawn((32, 32)).astype(int) for r in asked).max() == 1
