"""The label app: training, and what goes on meanwhile."""

import asyncio
import json
import os
import shutil

from app_person import CONFIG, journal_of
from fakes import FakeWorker

from alnb.dataset import Dataset
from alnb.errors import TrainerError


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


def test_a_dataset_that_changed_is_not_trained_on_and_the_answers_are_kept(
    using, squares, tmp_path
):
    dataset = Dataset.open(shutil.copytree(squares.folder, tmp_path / "copy"))

    async def story(person):
        person.push(person.page.clean)
        path = next((dataset.folder / "images").glob("*.npy"))
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        await person.train()
        assert person.reads("it was changed after its import")
        assert person.worker.did == []
        assert len(person.state.answers) == 1

        path.write_bytes(whole)
        await person.train()
        assert person.worker.did[0] == "fit"

    using(story, dataset)


def test_a_dataset_that_is_cut_short_is_a_sentence_and_labelling_ends_no_kernel(
    using, squares, tmp_path
):
    dataset = Dataset.open(shutil.copytree(squares.folder, tmp_path / "copy"))

    async def story(person):
        person.push(person.page.clean)
        for path in (dataset.folder / "images").glob("*.npy"):
            os.truncate(path, 100)
        person.push(person.page.clean)

        assert person.reads("it is missing or truncated")
        assert len(person.state.answers) == 2

    using(story, dataset)


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
        assert person.app.training.activity.stage == "fit"
        assert not person.page.cancel.disabled
        person.worker.gate.set()
        await person.settle()

        assert len(person.state.reports) == 1
        assert not person.app.training.activity.stage

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
        assert person.app.training.activity.stage == "wait"
        person.worker.hold = "fit"
        person.worker.gate.set()
        await person.settle()

        assert person.worker.did == ["predict", "fit"]
        assert person.app.training.activity.stage == "fit"
        assert person.app.training.maps

    using(trained)
    using(story, worker=SlowToStart)


class LearnsFirst(SlowToStart):
    """Learns from synthetic scans once it has started."""

    async def prepare(self):
        await self._begin("prepare", 300)


def test_what_is_learned_before_any_answer_is_said_and_a_train_waits_for_it(using):
    learning = "once: learning from synthetic scans 1 of 300"

    async def story(person):
        person.worker.hold = "prepare"
        person.worker.started.set()
        await person.settle()
        assert person.reads(learning)
        person.push(*[person.page.clean] * 6)
        await person.train()
        assert person.app.training.activity.cycling and person.reads(learning)
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
        assert not person.app.training.activity.stage

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


def test_skips_start_no_training_by_themselves(using):
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
        assert person.app.view.figure.layout.annotations[-1].text == "No region is left."
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
        assert person.reads("Press <b>Train</b>: the network asks the next regions")
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
        person.page.toggles["on_region"].value = True
        assert seen(person) == [True, True]
        person.page.toggles["entropy"].value = False
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
