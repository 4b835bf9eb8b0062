"""The label app: answers, taking them back, giving them again, correcting them."""

import pytest
from app_person import CONFIG, journal_of

from alnb.annotation import Click, Verdict

# --- answers ---


def test_the_first_regions_are_asked_and_one_is_shown(using):
    async def story(person):
        assert len(person.state.pending) == 6
        assert person.app.view.region == person.state.pending[0]
        assert person.reads("6 of 6 still open")

    using(story)


def test_an_answer_is_on_disk_before_the_next_region_shows(using, folder):
    async def story(person):
        shown, show = [], person.app.view.show

        def spy(image, region, **options):
            shown.append((region.key, len(journal_of(folder))))
            show(image, region, **options)

        person.app.view.show = spy
        first, second = person.state.pending[:2]
        person.push(person.page.clean)

        assert shown == [(second.key, 1)]
        assert journal_of(folder)[0] == {
            "region": first.key, "verdict": "clean", "clicks": [], "seconds": 1.0,
            "annotator": "me",
        }  # fmt: skip
        assert person.reads("saved ")

    using(story)


def test_clicks_make_an_infected_answer(using, folder):
    async def story(person):
        region = person.state.pending[0]
        person.press(1.25, 2.5)
        person.press(6.0, 6.0)
        assert person.marks == [
            (region.row + 1.25, region.col + 2.5), (region.row + 6, region.col + 6)
        ]  # fmt: skip
        person.push(person.page.next)

        answer = journal_of(folder)[0]
        assert answer["verdict"] == "infected"
        assert answer["clicks"] == [
            [region.row + 1.25, region.col + 2.5, 1], [region.row + 6.0, region.col + 6.0, 1]
        ]  # fmt: skip
        assert person.marks == []
        assert person.reads("<b>6 s</b> nominal")

    using(story)


def test_a_press_on_a_mark_takes_it_back(using):
    async def story(person):
        person.press(2, 2)
        person.press(2.05, 2.05)

        assert person.clicks == ()
        assert person.marks == []

    using(story)


@pytest.mark.parametrize("place", [(-1, 2), (2, 8.2), (7.499, -0.6)])
def test_a_press_outside_the_frame_says_so(using, place):
    async def story(person):
        person.press(*place)

        assert person.clicks == ()
        assert person.reads("outside the frame")
        person.press(2, 2)
        assert not person.reads("outside the frame")

    using(story)


def test_a_press_on_the_small_picture_says_where_to_click(using):
    async def story(person):
        person.press(2, 2, panel="xy")

        assert person.clicks == ()
        assert person.reads("Click in the large picture")

    using(story)


def test_a_press_on_the_very_edge_never_makes_an_answer_that_is_refused(using, folder):
    async def story(person):
        person.press(7.4999, 1)
        person.press(2, 2)
        person.push(person.page.next)

        assert len(journal_of(folder)) == 1

    using(story)


def test_a_press_meant_for_an_earlier_region_is_dropped(using):
    async def story(person):
        region, tap = person.state.pending[1], person.app.view.tap
        old = person.app.view.screen
        person.push(person.page.clean)
        place = {"x": region.col + 1, "y": region.row + 1}
        tap._receive(tap, {"kind": "click", "id": 1, "screen": old, **place}, [])

        assert person.clicks == ()

    using(story)


def test_the_second_press_of_a_double_one_answers_no_unseen_region(using, folder):
    async def story(person):
        person.push(person.page.clean)
        person.push(person.page.clean, after_s=0.1)

        assert len(journal_of(folder)) == 1

    using(story)


def test_a_skipped_region_is_noted_and_not_asked_again(using, folder):
    async def story(person):
        region = person.state.pending[0]
        person.push(person.page.skip)

        assert journal_of(folder)[0]["verdict"] == "skipped"
        assert region not in person.state.pending

    using(story)


def test_looking_is_work_too(using, folder):
    async def story(person):
        for way in ("PageDown", "PageDown", "Home"):
            person.key(way, after_s=15.0)
        person.page.toggles["entropy"].value = not person.page.toggles["entropy"].value
        person.wheel(1)
        person.push(person.page.clean, after_s=15.0)

        assert [answer["seconds"] for answer in journal_of(folder)] == [60.0]

    using(story)


def test_an_opened_session_says_when_it_was_saved_last(using, folder):
    async def label(person):
        assert "saved" not in person.page._head.value
        person.push(person.page.clean)

    async def reopen(person):
        assert "saved " in person.page._head.value

    using(label)
    using(reopen)


def test_seconds_count_from_when_the_region_was_shown(using, folder):
    async def story(person):
        person.push(person.page.clean)
        person.push(person.page.clean, after_s=4.5)

        assert [answer["seconds"] for answer in journal_of(folder)] == [1.0, 4.5]

    using(story)


# --- taking back ---


def test_undo_takes_clicks_back_one_by_one(using):
    async def story(person):
        person.press(1, 1)
        person.press(5, 5)
        person.push(person.page.undo)
        assert len(person.clicks) == 1
        person.push(person.page.undo)
        assert person.clicks == ()
        assert person.page.undo.disabled

    using(story)


def test_undo_opens_the_last_answer_again_with_its_clicks(using):
    async def story(person):
        region = person.state.pending[0]
        person.press(1, 1)
        person.push(person.page.next)
        person.push(person.page.undo)

        assert person.app.view.region == region
        assert person.clicks == (Click(region.row + 1, region.col + 1),)
        assert person.marks == [(region.row + 1, region.col + 1)]
        assert person.reads("<b>0 s</b> nominal")
        person.push(person.page.next)
        assert person.state.answers[0].clicks == (Click(region.row + 1, region.col + 1),)

    using(story)


def test_undo_reaches_back_before_a_training(using):
    async def story(person):
        first = person.state.pending[0]
        person.push(person.page.clean)
        await person.train()
        person.push(person.page.undo)

        assert person.app.view.region == first
        assert not person.page.train.disabled or not person.state.answers

    using(story)


# --- giving again, correcting ---


def test_redo_gives_marks_and_answers_again(using):
    async def story(person):
        person.press(1, 1)
        person.push(person.page.undo, person.page.redo)
        assert len(person.clicks) == 1
        person.push(person.page.next)
        given = person.state.answers
        person.push(person.page.undo, person.page.redo)
        assert person.state.answers == given
        assert person.page.redo.disabled

    using(story)


def test_undo_and_redo_cross_a_training_and_say_that_the_network_is_out_of_date(using):
    async def story(person):
        person.push(person.page.clean)
        await person.train()
        assert person.reads("Network: up to date")
        person.push(person.page.undo)
        assert person.reads("Network: out of date")
        person.push(person.page.redo)
        assert person.reads("Network: up to date")

    using(story)


def test_what_is_taken_back_while_it_trains_leaves_the_network_out_of_date(using):
    async def story(person):
        person.push(person.page.clean, person.page.clean)
        person.worker.gate.clear()
        await person.train()
        person.push(person.page.undo)
        person.worker.gate.set()
        await person.settle()

        assert len(person.state.answers) == 1
        assert person.reads("Network: out of date")

    using(story)


def test_a_tile_of_the_strip_opens_its_answer_to_be_corrected(using, folder):
    async def story(person):
        first = person.state.pending[0]
        person.push(person.page.clean, person.page.clean)
        person.act(f"open:{first.key}")
        assert person.app.view.region == first
        assert person.reads("You answered: no infection")
        person.press(1, 1)
        person.push(person.page.next)

        assert [a.verdict for a in person.state.answers] == [Verdict.CLEAN, Verdict.INFECTED]
        assert [answer["verdict"] for answer in journal_of(folder)] == [
            "clean",
            "clean",
            "infected",
        ]
        assert person.app.view.region == person.state.pending[0]
        person.push(person.page.undo)
        assert person.state.answers[0].verdict is Verdict.CLEAN

    using(story)


def test_a_reopened_answer_can_become_clean_which_is_said_and_taken_back(using):
    async def story(person):
        person.press(1, 1)
        person.push(person.page.next)
        person.key(",")
        assert len(person.marks) == 1
        assert person.reads("You answered: infection, 1 click.")
        person.push(person.page.clean)
        assert [a.verdict for a in person.state.answers] == [Verdict.CLEAN]
        assert person.reads("Corrected: infection (1 click) became no infection. Undo (Z)")
        assert person.app.message.kind == "success"

        person.key("z")
        assert [a.verdict for a in person.state.answers] == [Verdict.INFECTED]
        assert len(person.marks) == 1
        assert person.reads("You answered: infection, 1 click.")

    using(story)


def test_only_background_marks_are_answered_as_clean(using, folder):
    async def story(person):
        person.press(1, 1, shift=True)
        assert person.reads("Only background is marked")
        assert person.page.next.disabled
        person.key("c")

        assert [a["verdict"] for a in journal_of(folder)] == ["clean"]

    using(story)


def test_what_to_do_first_is_told_until_the_first_answer_and_never_again(using):
    async def story(person):
        assert "then press <b>Next</b>" in person.page._hint.value
        person.press(1, 1)
        assert person.page._hint.value
        person.push(person.page.next)
        assert person.page._hint.value == ""
        person.push(person.page.undo)
        assert person.page._hint.value == ""

    using(story)


def test_a_skipped_region_is_answered_later(using):
    async def story(person):
        first = person.state.pending[0]
        person.push(person.page.skip)
        person.key(",")
        assert person.app.view.region == first
        person.push(person.page.clean)
        assert [a.verdict for a in person.state.answers] == [Verdict.CLEAN]

    using(story)


def test_a_reopened_region_is_left_as_it_was(using, folder):
    async def story(person):
        person.push(person.page.clean)
        person.key(",", "Escape")

        assert person.app.view.region == person.state.pending[0]
        assert len(journal_of(folder)) == 1

    using(story)


def test_marks_that_are_no_answer_are_never_left_behind(using):
    async def story(person):
        person.push(person.page.clean)
        region = person.app.view.region
        person.press(1, 1)
        person.key(",")

        assert person.reads("keep them with Next")
        assert person.app.view.region == region
        assert len(person.clicks) == 1

    using(story)


def test_the_strip_can_be_paged_and_comes_back(using):
    config = CONFIG.replace(start_regions=40)

    async def story(person):
        assert person.page._strip.value.count("data-act='open:") == 13
        last = person.page._tiles[-1]
        person.act("strip:1")
        assert last not in person.page._tiles
        person.push(person.page.clean)
        assert person.app.commands.strip_from is None

    using(story, config=config)


def test_a_key_that_can_do_nothing_now_says_why(using):
    async def story(person):
        for key, said in (
            ("n", "Nothing is marked yet"), ("z", "nothing to take back"),
            ("y", "nothing to restore"), ("t", "Answer some regions first."),
            ("r", "There is no outline of the network"),
        ):  # fmt: skip
            person.key(key)
            assert person.reads(said), key
        person.press(2, 2)
        for key in ("c", "s"):
            person.key(key)
            assert person.reads("keep them with Next (N)"), key
        assert person.state.answers == ()

    using(story)
