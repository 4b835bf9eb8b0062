"""The test slice beside the chart follows the network."""

import asyncio

import pytest
from app_person import CONFIG

import alnb.ui.label.app as app_module

WAYS = {"cycle": CONFIG, "live": CONFIG.replace(asking="live", pretrain_steps=0)}


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(app_module, "MEASURE_S", 0.0)


def words(person):
    return person.app.watched._words.value


async def soon(person):
    await person.settle()
    await asyncio.sleep(0.01)
    await person.settle()


@pytest.mark.parametrize("config", WAYS.values(), ids=WAYS)
def test_it_is_predicted_after_a_training(using, config):
    async def story(person):
        while person.state.pending and len(person.state.given) < 6:
            person.press(2, 2)
            person.push(person.page.next)
        await person.train()
        await soon(person)

        assert "Dice" in words(person) or "Nothing is infected" in words(person)

    using(story, config=config)


def test_in_cycles_another_slice_is_predicted_when_it_is_chosen(using):
    async def story(person):
        while person.state.pending:
            person.press(2, 2)
            person.push(person.page.next)
        await person.train()
        await soon(person)
        person.key("j")
        assert "not predicted" in words(person)
        await soon(person)

        assert "not predicted" not in words(person)

    using(story)


def test_the_mask_is_drawn_where_teaching_is_on(using):
    async def story(person):
        await soon(person)
        assert ">mask" not in person.app.watched._picture.value
        person.key("m")
        await soon(person)

        assert ">mask" in person.app.watched._picture.value

    using(story)


def test_a_key_lays_it_over_the_chart_and_back(using):
    async def story(person):
        person.key("h")
        assert "alnb-large" in person.app.watched.widget._dom_classes
        person.key("h")
        assert "alnb-large" not in person.app.watched.widget._dom_classes

    using(story)
