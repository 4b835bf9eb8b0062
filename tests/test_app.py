import asyncio
import json
import subprocess
import sys

import numpy as np
import pytest
from fakes import FakeWorker

import alnb.ui.app as app_module
from alnb.annotation import Click, Verdict
from alnb.config import Config
from alnb.errors import TrainerError
from alnb.journal import Journal
from alnb.regions import Region
from alnb.session import Session
from alnb.ui.app import TAKEN_OVER, LabelApp, label_app
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

    def run(story, dataset=squares, config=CONFIG):
        async def whole():
            session = Session.open(folder, dataset, config, take_over=True)
            clock = Clock()
            app = LabelApp(session, "me", clock, FakeWorker)
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


# --- reopening ---


def test_clicks_that_are_no_answer_yet_survive_reopening(using):
    async def click(person):
        person.press(1, 1)
        return person.app.draft

    async def look(person):
        assert person.marks == [(c.row, c.col) for c in person.clicks]
        return person.app.draft

    assert using(click) == using(look)


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


def test_settings_are_those_of_a_new_session(squares, folder, monkeypatch):
    monkeypatch.setenv("ALNB_SETTINGS", '{"draws": 7}')
    label_app(squares.folder, folder)
    label_app(squares.folder, folder)  # the same again is no contradiction

    assert journal_of(folder, "opened")[0]["config"]["draws"] == 7
    assert "draws 7, not 8" in sentence(label_app(squares.folder, folder, draws=8))


def test_a_setting_that_is_none_is_a_sentence(squares, folder):
    assert "Unknown setting nonsense" in sentence(label_app(squares.folder, folder, nonsense=1))


def test_the_app_does_not_load_torch():
    code = "import sys, alnb.ui.app; print([m for m in ('torch', 'timm') if m in sys.modules])"
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
