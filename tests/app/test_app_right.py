"""The network's outline as an answer: shown when asked for, corrected by clicks, found right."""

from functools import partial

import fakes
import pytest
from app_person import CONFIG, journal_of
from fakes import FakeWorker

from alnb.annotation import Answer, Verdict
from alnb.ui.label.commands import NO_OUTLINE, STILL_NONE, UNSEEN
from alnb.ui.viewer.drawing import NO_PATH
from alnb.ui.viewer.slice_view import SHAPES

LIVE = CONFIG.replace(asking="live", pretrain_steps=0, regions_per_slice=4)


@pytest.fixture(autouse=True)
def certain(monkeypatch):
    """A network that sees infection everywhere."""
    monkeypatch.setattr(fakes, "published", partial(fakes.published, logit=3.0))


class Slow(FakeWorker):
    """Begins to publish, and waits."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.hold = "publish"


def outline(person):
    return person.app.view.figure.layout.shapes[list(SHAPES).index("predicted")].path


def answers(folder):
    return [Answer.from_dict(data) for data in journal_of(folder)]


def test_the_first_press_shows_the_outline_and_the_second_accepts_it(using, folder):
    async def story(person):
        await person.settle()
        region = person.app.draft.region
        person.key("r")
        await person.until(lambda: person.reads("Is the outline right?"))
        assert outline(person) != NO_PATH
        assert answers(folder) == []

        person.key("r")
        (answer,) = answers(folder)
        assert (answer.region, answer.verdict) == (region, Verdict.INFECTED)
        assert answer.verified and answer.outlines and not answer.clicks
        assert person.state.cost.nominal_s == 3
        assert person.app.draft.region != region
        assert outline(person) == NO_PATH  # of the next region nobody asked

    using(story, config=LIVE)


def test_it_is_taken_back_and_corrected_as_any_answer(using, folder):
    async def story(person):
        await person.settle()
        region = person.app.draft.region
        person.key("r", "r", "z")
        assert person.app.draft.region == region
        assert not person.app.draft.marked  # the outline is the network's, not a mark

        person.key("r", "r", ",")
        assert person.reads("the network's outline")
        person.key("c")
        assert answers(folder)[-1].verdict is Verdict.CLEAN
        assert person.reads("outline) became no infection")

    using(story, config=LIVE)


def test_clicks_that_correct_it_are_kept_and_priced(using, folder):
    async def story(person):
        await person.settle()
        person.key("r")
        person.press(2, 2)
        person.press(2, 12)
        person.press(12, 6, shift=True)
        await person.until(lambda: person.reads("Is the outline right now?"))
        assert person.reads("Is the outline right now?")
        person.key("r")

        (answer,) = answers(folder)
        assert answer.verified
        assert [click.label for click in answer.clicks] == [1, 1, 0]
        assert person.state.cost.nominal_s == 12

    using(story, config=LIVE)


def test_one_that_follows_a_click_is_on_screen_and_needs_one_press(using, folder):
    async def story(person):
        await person.settle()
        person.press(2, 2)
        await person.until(lambda: outline(person) != NO_PATH)
        person.key("r")
        assert [answer.verified for answer in answers(folder)] == [True]

    using(story, config=LIVE)


def test_a_slice_that_the_network_has_not_seen_is_said(using, folder):
    async def story(person):
        person.key("r", "r")
        assert person.reads(UNSEEN)
        assert answers(folder) == []

    using(story, config=LIVE, worker=Slow)


def test_where_the_network_sees_nothing_there_is_nothing_to_accept(using, folder, monkeypatch):
    async def story(person):
        await person.settle()
        monkeypatch.setattr(person.app.training.asker, "outlines", lambda region, clicks: ())
        person.key("r")
        assert person.reads(NO_OUTLINE)
        assert not person.reads("Is the outline right?")
        person.key("r")
        assert person.reads(NO_OUTLINE)
        assert answers(folder) == []

        person.press(2, 2)
        person.key("r")
        assert person.reads(STILL_NONE)
        assert answers(folder) == [] and len(person.clicks) == 1

    using(story, config=LIVE)


def test_sessions_without_the_live_layer_or_with_outlines_by_hand_have_no_such_answer(using):
    async def story(person):
        await person.settle()
        assert person.page.right.disabled
        person.key("r", "r")
        assert person.state.given == ()

    using(story)
