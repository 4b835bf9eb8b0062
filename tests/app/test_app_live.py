"""The label app where the live layer asks: maps and outline follow what is known."""

import asyncio

from app_person import CONFIG, Clock, Person
from fakes import FakeWorker

import alnb.cycle as cycle
from alnb.session import Session
from alnb.ui.label.app import LabelApp
from alnb.ui.viewer.drawing import NO_PATH
from alnb.ui.viewer.slice_view import SHAPES

LIVE = CONFIG.replace(asking="live", pretrain_steps=0)


class Slow(FakeWorker):
    """Begins to publish, and waits."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.hold = "publish"


class Noting(FakeWorker):
    """Notes which slices it publishes of each network."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.published = {}

    async def publish(self, slices, weights):
        await super().publish(slices, weights)
        self.published.setdefault(weights, []).extend(slices)


def outline(person):
    return person.app.view.figure.layout.shapes[list(SHAPES).index("predicted")].path


def entropy(person):
    return next(t.source for t in person.app.view.figure.data if t.name == "slice entropy")


def test_the_outline_of_a_click_comes_once_the_network_knows_the_slice(using):
    async def story(person):
        person.press(2, 2)
        assert person.marks
        assert outline(person) == NO_PATH
        person.worker.hold = ""
        person.worker.gate.set()
        await person.settle()

        assert outline(person) != NO_PATH
        person.push(person.page.undo)
        assert outline(person) == NO_PATH

    using(story, config=LIVE, worker=Slow)


def test_after_a_training_the_maps_are_those_of_the_new_network(using):
    async def story(person):
        person.press(2, 2)
        person.push(person.page.next, person.page.clean)
        await person.settle()
        before, shown = entropy(person), person.app.draft.region
        await person.train()
        await person.settle()

        assert person.state.reports
        assert person.app.draft.region == shown
        assert entropy(person) != before

    using(story, config=LIVE)


def test_after_a_training_the_slice_on_screen_is_published_before_others(
    using, squares, monkeypatch
):
    monkeypatch.setattr(cycle, "CANDIDATES", 0)  # nothing is published before it asks

    async def story(person):
        person.push(person.page.clean)
        answered, shown = person.state.answers[0].region.where, person.app.draft.region.where
        await person.train()
        await person.settle()

        order = person.worker.published[person.state.fit.weights]
        train = [where for where in order if where in squares.part("train")]
        assert (train[0], train[-1]) == (shown, answered)
        assert person.app._maps is person.app.training.maps  # they are drawn
        assert shown in person.app._maps

    using(story, config=LIVE, worker=Noting)


def test_a_page_whose_slices_are_published_starts_no_process(using):
    async def first(person):
        await person.settle()
        person.push(person.page.clean)
        await person.train()

    class Unstarted(FakeWorker):
        async def start(self):
            raise AssertionError

    async def again(person):
        await person.settle()
        assert person.worker.did == []
        assert person.app.training.network == person.state.fit.weights
        person.push(person.page.clean)
        assert person.app.training.asker.live.answers

    using(first, config=LIVE)
    using(again, config=LIVE, worker=Unstarted)


def test_the_process_starts_once_the_page_is_drawn(squares, folder):
    async def story():
        session = Session.open(folder, squares, LIVE)
        app = LabelApp(session, "me", worker=FakeWorker)
        person = Person(app, Clock())
        app.start()
        await person.settle()
        assert app.draft.region is not None
        assert person.worker.did == []

        tap = app.view.tap
        tap._receive(tap, {"kind": "drawn", "id": 1, "box": tap.target}, [])
        await person.settle()
        assert "publish" in person.worker.did
        for task in app._tasks:
            task.cancel()

    asyncio.run(story())
