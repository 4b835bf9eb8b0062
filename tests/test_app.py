import asyncio
import contextlib
import json
import subprocess
import sys

import numpy as np
import pytest
from fakes import FakeWorker

import alnb.ui.app as app_module
from alnb.annotation import Answer, Click, Verdict
from alnb.config import Config
from alnb.errors import TrainerError
from alnb.journal import Journal
from alnb.pool import Pool, start_picks
from alnb.regions import Region
from alnb.session import Session
from alnb.ui.app import TAKEN_OVER, LabelApp
from alnb.ui.opening import label_app
from alnb.ui.region_view import grid_path

CONFIG = Config(regions_per_slice=16, start_regions=6, regions_per_cycle=2)


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Person:
    """Presses on the page as a person does: a second passes before each press."""

    def __init__(self, app, clock):
        self.app = app
        self.page = app.page
        self.worker = app.worker
        self._clock = clock

    @property
    def state(self):
        return self.app.session.state

    @property
    def clicks(self):
        return self.app.draft.clicks

    @property
    def marks(self):
        """Where the page shows a mark, as (row, col)."""
        trace = next(t for t in self.app.view.figure.data if t.name == "clicks infected")
        return [tuple(place) for place in zip(trace.y, trace.x, strict=True)]

    def push(self, *buttons, after_s=1.0):
        for button in buttons:
            self._clock.now += after_s
            if not button.disabled:
                button.click()

    def press(self, down=1.0, right=1.0, panel="x2y2", after_s=1.0, shift=False):
        """Press so many pixels below and right of the region's first pixel, a second later."""
        self._clock.now += after_s
        region = self.app.draft.region
        place = {"x": region.col + right, "y": region.row + down, "panel": panel, "shift": shift}
        tap = self.app.view.tap
        tap._receive(tap, {"kind": "click", "id": 1, "screen": self.app.view.screen, **place}, [])

    def at(self, row, col, **how):
        """Press a position of the slice."""
        region = self.app.draft.region
        self.press(row - region.row, col - region.col, **how)

    def act(self, name):
        self._send(kind="act", name=name)

    def key(self, *names, after_s=1.0, screen=None):
        for name in names:
            self._clock.now += after_s
            self._send(kind="key", key=name, **({} if screen is None else {"screen": screen}))

    def wheel(self, turn, panel="x2y2"):
        region = self.app.draft.region
        self._send(kind="wheel", x=region.col + 1, y=region.row + 1, turn=turn, panel=panel)

    def draw(self, points):
        self._clock.now += 1.0
        self._send(kind="stroke", points=[[col, row] for row, col in points])

    def _send(self, **message):
        tap = self.app.view.tap
        tap._receive(tap, {"id": 1, "screen": self.app.view.screen, **message}, [])

    def reads_why(self, text):
        return text in self.page._why.value

    def reads(self, text):
        html = (self.page._head, self.page._message, self.page._question, self.page._bar)
        return any(text in widget.value for widget in html)

    async def settle(self):
        """Let the training process do all it was told."""
        for _ in range(30):
            await asyncio.sleep(0)

    async def train(self):
        self.push(self.page.train)
        await self.settle()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "session"


@pytest.fixture
def using(squares, folder, monkeypatch):
    """Run a story of a person on the app, on a session in `folder`."""
    monkeypatch.setattr(app_module, "WATCH_S", 0.02)

    def run(story, dataset=squares, config=CONFIG, worker=FakeWorker):
        async def whole():
            session = Session.open(folder, dataset, config, take_over=True)
            clock = Clock()
            app = LabelApp(session, "me", clock, worker)
            app.start()
            person = Person(app, clock)
            await person.settle()
            try:
                return await story(person)
            finally:
                for task in app._tasks:
                    task.cancel()

        return asyncio.run(whole())

    return run


def widgets_in(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from widgets_in(child)


def journal_of(folder, kind="answered"):
    events = Journal.open(folder / "journal.jsonl").events
    return [event.data for event in events if event.kind == kind]


# --- answers ---


def test_the_first_regions_are_asked_and_one_is_shown(using):
    async def story(person):
        assert len(person.state.pending) == 6
        assert person.app.view.region == person.state.pending[0]
        assert person.reads("0 of 6 regions answered")

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


@pytest.mark.parametrize(
    ("place", "said"), [((-1, 2), "outside the frame"), ((2, 2), "Click in the large picture")]
)
def test_a_press_on_the_small_picture_says_where_to_click(using, place, said):
    async def story(person):
        person.press(*place, panel="xy")

        assert person.clicks == ()
        assert person.reads(said)

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


def test_a_tile_of_the_strip_opens_its_answer_to_be_corrected(using, folder):
    async def story(person):
        first = person.state.pending[0]
        person.push(person.page.clean, person.page.clean)
        person.act(f"open:{first.key}")
        assert person.app.view.region == first
        assert person.reads("You said: no infection")
        person.press(1, 1)
        person.push(person.page.next)

        assert [a.verdict for a in person.state.answers] == [Verdict.INFECTED, Verdict.CLEAN]
        assert [answer["verdict"] for answer in journal_of(folder)] == [
            "clean",
            "clean",
            "infected",
        ]
        assert person.app.view.region == person.state.pending[0]
        person.push(person.page.undo)
        assert person.state.answers[0].verdict is Verdict.CLEAN

    using(story)


def test_a_reopened_answer_shows_its_marks_and_can_become_clean(using):
    async def story(person):
        person.press(1, 1)
        person.push(person.page.next)
        person.key(",")
        assert len(person.marks) == 1
        person.push(person.page.clean)

        assert [a.verdict for a in person.state.answers] == [Verdict.CLEAN]

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


def test_marks_are_set_with_keys_alone(using):
    async def story(person):
        region = person.app.view.region  # 8 pixels
        person.key("ArrowUp", "ArrowLeft", "Space")
        assert person.clicks == (Click(region.row + 1.5, region.col + 1.5),)
        person.key(*["Shift+ArrowRight"] * 9, "Space")
        assert person.clicks[1] == Click(region.row + 1.5, region.col + 7)

    using(story)


def test_every_overlay_has_a_key(using):
    async def story(person):
        for key, toggle in zip("epkagrm", ("entropy", "prediction", "marks", "answered", "grid",
                                           "on_region", "mask"), strict=True):  # fmt: skip
            before = getattr(person.page, toggle).value
            person.key(key)
            assert getattr(person.page, toggle).value is not before

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


def test_hidden_marks_are_part_of_the_answer(using):
    async def story(person):
        person.press(2, 2)
        person.page.marks.value = False
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
        assert person.reads("<b>48 s</b> nominal · <b>3 s</b> measured")
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
        assert "no neighbours" in person.app.message
        person.key("PageDown")
        assert person.app.viewing.offset == 0

    using(story)


def test_zoom_stays_while_overlays_change_and_not_for_another_region(using):
    async def story(person):
        person.wheel(3.0)
        near = person.app.view.frame
        person.page.entropy.value = False
        person.press(1, 1)
        assert person.app.view.frame == near
        person.key("0")
        first = person.app.view.scale
        person.push(person.page.next)
        assert person.app.view.scale == first

    using(story)


def test_grey_slices_have_no_window_and_say_why(using):
    async def story(person):
        assert person.page.looks._controls.layout.display == "none"
        assert "already windowed" in person.page.looks._reason.value

    using(story)


def test_the_mask_is_shown_in_teaching_alone_and_answers_tell(using, folder):
    async def story(person):
        assert "mask" not in person.app.viewing.overlays(person.app.view.region.where)
        person.page.mask.value = True
        assert "mask" in person.app.viewing.overlays(person.app.view.region.where)
        assert "Teaching" in person.page._teaching.value
        person.push(person.page.clean)
        person.page.mask.value = False
        person.push(person.page.clean)

        assert [a["annotator"] for a in journal_of(folder)] == ["me (mask shown)", "me"]

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
            return LabelApp(session, annotator, worker=FakeWorker).answering.annotator

    assert opened() == ""
    with contextlib.closing(Session.open(folder, squares, CONFIG)) as session:
        session.ask(start_picks(Pool(squares, CONFIG)))
        for name in ("Ann (mask shown)", "oracle"):
            region = session.state.pending[0]
            session.submit(Answer(region, Verdict.CLEAN, annotator=name))
    assert opened() == "Ann"
    assert opened("Bob") == "Bob"


def test_the_annotator_comes_from_the_environment(squares, folder, monkeypatch):
    monkeypatch.setenv("ALNB_ANNOTATOR", "Ann")
    page = label_app(squares.folder, folder)

    names = [w.value for w in widgets_in(page) if "alnb-annotator" in w._dom_classes]
    assert names == ["Ann"]


def test_the_next_region_is_drawn_ahead(using):
    async def story(person):
        person.app.viewing.prepare()
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

        return person.app.learning._tables

    async def look(person):
        return person.page._why.value

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


# --- training ---


def test_training_adds_a_point_and_asks_the_next_regions(using):
    async def story(person):
        person.push(person.page.clean, person.page.clean)
        await person.train()

        assert person.worker.did == ["fit", "evaluate", "score", "predict"]
        assert list(person.app.charts.figure.data[0].x) == [6.0]
        assert person.state.cycle == 1
        assert len(person.state.pending) == 2
        assert person.app.view.region == person.state.pending[0]
        assert set(person.app.viewing.overlays(person.app.view.region.where)) == {
            "entropy",
            "prediction",
        }
        assert person.page.train.disabled
        assert person.page.cancel.disabled

    using(story)


def test_labelling_goes_on_while_training_and_is_kept(using):
    async def story(person):
        person.push(person.page.clean)
        person.worker.gate.clear()
        await person.train()
        assert person.reads("progressbar")
        assert not person.page.cancel.disabled
        during = person.state.pending[0]
        person.press(1, 1)
        person.push(person.page.next)
        person.worker.gate.set()
        await person.settle()

        assert [len(answers) for answers in person.worker.fitted] == [1]
        assert person.state.answers[-1].region == during
        assert during not in person.state.pending
        assert person.state.reports[0].cost.regions == 1
        assert not person.page.train.disabled
        await person.train()
        assert [len(answers) for answers in person.worker.fitted] == [1, 2]

    using(story)


def test_a_second_train_while_training_does_nothing(using):
    async def story(person):
        person.push(person.page.clean)
        person.worker.gate.clear()
        await person.train()
        person.app.act("train")
        person.worker.gate.set()
        await person.settle()

        assert len(person.worker.fitted) == 1

    using(story)


class SlowToStart(FakeWorker):
    """Starts once `started` is set, or fails with `broken`."""

    def __init__(self, *given):
        super().__init__(*given)
        self.started = asyncio.Event()
        self.broken = None

    async def start(self):
        await self.started.wait()
        if self.broken is not None:
            raise self.broken
        await super().start()


def test_a_train_pressed_while_the_process_starts_is_kept_and_begins_when_it_can(using):
    async def story(person):
        person.push(person.page.clean)
        assert person.reads("starting the training process")
        await person.train()
        assert person.reads("waiting for the training process")
        assert person.worker.did == []
        person.worker.gate.clear()
        person.worker.started.set()
        await person.settle()
        assert person.worker.did == ["fit"]
        assert person.app.learning.activity.stage == "fit"
        assert not person.page.cancel.disabled
        person.worker.gate.set()
        await person.settle()

        assert len(person.state.reports) == 1
        assert not person.app.learning.activity.running

    using(story, worker=SlowToStart)


def test_the_maps_of_a_warm_up_neither_end_nor_advance_a_train_that_waits(using):
    async def trained(person):
        person.push(*[person.page.clean] * 6)
        await person.train()

    async def story(person):
        person.worker.hold = "predict"
        person.worker.started.set()
        await person.settle()
        person.push(person.page.clean)
        await person.train()
        assert person.worker.did == ["predict"]
        assert person.app.learning.activity.stage == "wait"
        person.worker.hold = "fit"
        person.worker.gate.set()
        await person.settle()

        assert person.worker.did == ["predict", "fit"]
        assert person.app.learning.activity.stage == "fit"
        assert person.app.learning.maps

    using(trained)
    using(story, worker=SlowToStart)


class LearnsFirst(SlowToStart):
    """Learns from synthetic scans once it has started."""

    async def prepare(self):
        await self._begin("prepare", 300)


def test_what_is_learned_before_any_answer_is_said_and_a_train_waits_for_it(using):
    learning = "learning from synthetic scans, once on this machine 1 of 300"

    async def story(person):
        person.worker.hold = "prepare"
        person.worker.started.set()
        await person.settle()
        assert person.reads(learning)
        person.push(*[person.page.clean] * 6)
        await person.train()
        assert person.app.learning.activity.cycling and person.reads(learning)
        person.worker.hold = ""
        person.worker.gate.set()
        await person.settle()

        assert person.worker.did[:2] == ["prepare", "fit"]
        assert len(person.state.reports) == 1

    using(story, worker=LearnsFirst)


def test_a_train_that_waits_is_cancelled_at_once_and_the_process_goes_on_starting(using):
    async def story(person):
        person.push(person.page.clean)
        await person.train()
        person.push(person.page.cancel)
        await person.settle()
        assert person.reads("Training cancelled")
        assert person.reads("starting the training process")
        person.worker.started.set()
        await person.settle()
        assert person.worker.did == []
        assert not person.app.learning.activity.running

        await person.train()
        assert len(person.state.reports) == 1

    using(story, worker=SlowToStart)


def test_a_train_that_waited_for_a_start_that_failed_tries_again_and_says_so(using):
    async def story(person):
        person.push(person.page.clean)
        await person.train()
        person.worker.failure = TrainerError("the training process ended again.")
        person.worker.broken = TrainerError("the training process ended unexpectedly.")
        person.worker.started.set()
        await person.settle()

        assert person.worker.did == ["fit"]
        assert person.reads("The training process ended again.")
        assert not person.page.train.disabled

    using(story, worker=SlowToStart)


def test_cancel_keeps_what_there_was_and_train_works_again(using):
    async def story(person):
        person.push(person.page.clean)
        person.worker.gate.clear()
        await person.train()
        person.push(person.page.cancel)
        await person.settle()

        assert person.reads("Training cancelled")
        assert person.state.reports == ()
        assert person.page.cancel.disabled
        await person.train()
        assert len(person.state.reports) == 1

    using(story)


def test_a_training_cancelled_while_scoring_goes_on_with_train(using, folder):
    async def story(person):
        person.push(*[person.page.clean] * 6)
        person.worker.hold = "score"
        person.push(person.page.train)
        while "score" not in person.worker.did:
            await asyncio.sleep(0)
        person.worker.hold = ""
        person.push(person.page.cancel)
        await person.settle()
        assert person.state.fit is not None
        assert person.state.cycle == 0
        assert not person.page.train.disabled
        await person.train()

        assert person.state.cycle == 1
        assert len(person.state.reports) == 1
        assert len(journal_of(folder, "trained")) == 1

    using(story)


def test_a_cycle_that_was_scored_but_not_asked_is_scored_once(using, folder):
    async def label(person):
        person.push(person.page.clean)
        await person.train()

    using(label)
    path = folder / "journal.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    assert json.loads(lines[-1])["kind"] == "asked"
    path.write_text("".join(lines[:-1]))

    async def again(person):
        await person.train()
        assert person.state.cycle == 1
        assert len(person.state.reports) == 1

    using(again)


def test_where_it_is_wanted_a_training_begins_once_the_batch_is_answered(using):
    async def story(person):
        person.key("u")
        assert person.page.auto.value
        person.push(*[person.page.clean] * 5)
        await person.settle()
        assert person.worker.fitted == []
        person.push(person.page.skip)
        await person.settle()
        assert [len(answers) for answers in person.worker.fitted] == [6]
        person.push(*[person.page.clean] * 2)
        await person.settle()

        assert [len(answers) for answers in person.worker.fitted] == [6, 8]
        assert len(person.state.reports) == 2

    using(story)


def test_wanted_after_the_batch_it_begins_at_once_and_is_off_unless_wanted(using):
    async def story(person):
        person.push(*[person.page.clean] * 6)
        await person.settle()
        assert person.worker.fitted == []
        person.page.auto.value = True
        await person.settle()

        assert len(person.worker.fitted) == 1

    using(story)


def test_one_that_fails_by_itself_is_said_and_not_tried_for_ever(using):
    async def story(person):
        person.page.auto.value = True
        person.worker.failure = TrainerError("the training failed (boom).")
        person.push(*[person.page.clean] * 6)
        await person.settle()
        assert person.reads("The training failed (boom).")
        assert person.worker.did == ["fit"]

        await person.train()
        assert len(person.state.reports) == 1

    using(story)


def test_skips_alone_train_nothing_by_themselves(using):
    async def story(person):
        person.page.auto.value = True
        person.push(*[person.page.skip] * 6)
        await person.settle()

        assert person.worker.did == []

    using(story)


def test_a_worker_that_fails_is_a_sentence_and_train_works_again(using):
    async def story(person):
        person.push(person.page.clean)
        person.worker.failure = TrainerError("the training process was killed.")
        await person.train()

        assert person.reads("The training process was killed.")
        assert not person.page.train.disabled
        await person.train()
        assert len(person.state.reports) == 1
        assert not person.reads("killed")

    using(story)


def test_the_whole_pool_can_be_answered(using):
    config = CONFIG.replace(regions_per_slice=1, start_regions=8)

    async def story(person):
        person.push(*[person.page.clean] * 8)
        await person.train()

        assert person.state.asked == ()
        assert person.app.view.region is None
        assert person.reads("nothing left to ask")
        assert person.page.train.disabled
        assert not person.page.undo.disabled

    using(story, config=config)


def test_a_pool_that_ends_with_a_skip_asks_for_no_training(using):
    config = CONFIG.replace(regions_per_slice=1, start_regions=7)

    async def story(person):
        person.push(*[person.page.clean] * 7)
        await person.train()
        assert len(person.state.pending) == 1
        person.push(person.page.skip)

        assert person.app.view.region is None
        assert person.app.view.figure.layout.annotations[-1].text == "No region is left to look at."
        assert person.reads("nothing left to ask: 7 answered and 1 skipped")
        assert person.reads("Network: up to date")
        assert person.page.train.disabled
        person.push(person.page.undo)
        assert person.app.view.figure.layout.annotations[-1].text == ""
        assert person.app.view.region is not None
        assert not person.reads("left to ask")

    using(story, config=config)


def test_a_cycle_of_skips_leads_to_the_next(using, folder):
    async def story(person):
        person.push(*[person.page.clean] * 6)
        await person.train()
        person.push(person.page.skip, person.page.skip)
        assert person.reads("Press <b>Train</b>: the network says where to look next")
        await person.train()

        assert person.state.cycle == 2
        assert len(person.state.pending) == 2
        assert len(journal_of(folder, "trained")) == 1

    using(story)


def test_overlays_lie_on_the_slice_and_on_the_region_where_that_is_wanted(using):
    def seen(person):
        traces = person.app.view._traces
        return [traces[f"{panel} entropy"].visible for panel in ("slice", "region")]

    async def story(person):
        assert seen(person) == [True, False]
        person.page.on_region.value = True
        assert seen(person) == [True, True]
        person.page.entropy.value = False
        assert seen(person) == [False, False]

    using(story)


def test_without_masks_few_answers_make_no_point_and_that_is_said(using, unmasked):
    async def story(person):
        person.push(person.page.clean)
        await person.train()
        hint = person.app.charts.figure.layout.annotations[0]
        assert hint.visible
        assert "Answer 9 more" in hint.text.replace("<br>", " ")
        person.push(person.page.clean)
        assert "Answer 8 more" in hint.text.replace("<br>", " ")

    using(story, dataset=unmasked)


def test_without_masks_the_curve_is_the_held_out_accuracy(using, unmasked):
    async def story(person):
        title = person.app.charts.figure.layout.yaxis.title.text
        assert "held-out" in title.lower()
        assert "has no masks" in person.page._note.value
        person.push(person.page.clean)
        await person.train()
        assert person.state.cycle == 1

    using(story, dataset=unmasked)


# --- what goes wrong ---


def test_a_session_taken_over_is_said_and_written_no_more(using, squares, folder):
    async def story(person):
        person.push(person.page.clean)
        person.press(1, 1)
        other = Session.open(folder, squares, take_over=True)
        (folder / "draft.json").unlink()
        before = (folder / "journal.jsonl").read_bytes()
        person.app.act("next")
        person.app.act("undo")
        person.press(5, 5)

        assert person.reads(TAKEN_OVER)
        assert (folder / "journal.jsonl").read_bytes() == before
        assert not (folder / "draft.json").exists()
        assert all(
            button.disabled
            for button in (person.page.clean, person.page.next, person.page.undo, person.page.train)
        )
        other.close()

    using(story)


def test_a_session_taken_over_is_said_without_a_press_and_ends_the_training(using, squares, folder):
    async def story(person):
        person.push(person.page.clean)
        person.worker.gate.clear()
        await person.train()
        Session.open(folder, squares, take_over=True)
        await asyncio.sleep(0.1)

        assert person.reads(TAKEN_OVER)
        assert "stop" in person.worker.did

    using(story)


def test_a_surprise_is_a_sentence_and_its_trace_is_kept(using, folder):
    async def story(person):
        person.push(person.page.clean)
        person.worker.failure = RuntimeError("a <surprise>")
        await person.train()

        assert person.reads("RuntimeError: a &lt;surprise&gt;")
        assert "Traceback" in (folder / "app.log").read_text()
        assert not person.page.train.disabled

    using(story)


def test_a_surprise_in_a_press_is_a_sentence(using, folder):
    async def story(person):
        person.app.session.submit = None
        person.push(person.page.clean)

        assert person.reads("Something went wrong in alnb (TypeError")
        assert len(person.state.answers) == 0

    using(story)


def test_a_surprise_in_drawing_is_a_sentence(using):
    async def story(person):
        person.app.view.mark = None
        person.press(1, 1)

        assert person.reads("Something went wrong in alnb (TypeError")

    using(story)


def test_a_full_disk_keeps_the_clicks_on_screen(using, folder, monkeypatch):
    async def story(person):
        person.press(1, 1)
        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", full)
            person.push(person.page.next)
        assert person.reads("No space left on device")
        assert len(person.clicks) == 1
        person.push(person.page.next)
        assert [a.verdict for a in person.state.answers] == [Verdict.INFECTED]

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    using(story)


# --- opening ---


def sentence(widget):
    assert type(widget).__name__ == "HTML"
    assert "alnb can't open this" in widget.value
    assert "Traceback" not in widget.value
    return widget.value


def test_a_missing_dataset_is_a_sentence(tmp_path):
    assert str(tmp_path / "absent") in sentence(label_app(tmp_path / "absent", tmp_path / "s"))


def test_a_broken_journal_is_a_sentence(squares, folder):
    folder.mkdir()
    (folder / "journal.jsonl").write_text("nonsense\n")

    assert "line 1: not a line of a journal" in sentence(label_app(squares.folder, folder))


def test_another_datasets_session_is_a_sentence(squares, unmasked, folder):
    Session.open(folder, unmasked).close()

    assert "labels the dataset" in sentence(label_app(squares.folder, folder))


def test_a_session_folder_that_cannot_be_made_is_a_sentence(squares, tmp_path):
    (tmp_path / "file").write_text("")

    assert "file" in sentence(label_app(squares.folder, tmp_path / "file" / "session"))


def test_a_surprise_in_opening_is_a_sentence(squares, folder, monkeypatch):
    monkeypatch.setattr(app_module, "start_picks", None)

    assert "TypeError" in sentence(label_app(squares.folder, folder))


def test_data_and_session_come_from_the_environment(squares, folder, monkeypatch):
    monkeypatch.setenv("ALNB_DATA", str(squares.folder))
    monkeypatch.setenv("ALNB_SESSION", str(folder))
    label_app()

    assert len(journal_of(folder, "asked")) == 1


def test_the_address_names_a_session_among_those_that_are_served(squares, tmp_path, monkeypatch):
    served = tmp_path / "served"
    monkeypatch.setenv("ALNB_SESSIONS", str(served))
    for query, opened in (("token=t&session=anna", "anna"), ("token=t&session=ben", "ben")):
        monkeypatch.setenv("QUERY_STRING", query)
        assert "alnb-app" in label_app(squares.folder)._dom_classes
        assert (served / opened / "journal.jsonl").is_file()

    monkeypatch.setenv("QUERY_STRING", "session=../anna")
    assert "a name has up to 64 letters" in label_app(squares.folder).value
    assert sorted(path.name for path in served.iterdir()) == ["anna", "ben"]


def test_settings_are_those_of_a_new_session(squares, folder, monkeypatch):
    monkeypatch.setenv("ALNB_SETTINGS", '{"draws": 7}')
    label_app(squares.folder, folder)
    label_app(squares.folder, folder)  # the same again is no contradiction

    assert journal_of(folder, "opened")[0]["config"]["draws"] == 7
    assert "draws 7, not 8" in sentence(label_app(squares.folder, folder, draws=8))


def test_a_setting_that_is_none_is_a_sentence(squares, folder):
    assert "Unknown setting nonsense" in sentence(label_app(squares.folder, folder, nonsense=1))


def test_the_app_does_not_load_torch():
    code = "import sys, alnb.ui.opening; print([m for m in ('torch', 'timm') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


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


@pytest.mark.parametrize("kind", ["superpixels", "quadtree"])
def test_other_regions_are_asked_and_trained_on_as_the_grids_are(using, squares, kind):
    config = CONFIG.replace(regions=kind, smallest_region_px=4)

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

    assert path == grid_path(app.pool.borders(where, app.session.state))
    assert app.draft.region in (asked if kind == "quadtree" else app.pool.regions(where))
    assert sum(r.drawn((32, 32)).astype(int) for r in asked).max() == 1
