"""Which region is answered next: a person's choice goes before the ranking."""

import pytest
from app_person import CONFIG, journal_of

from alnb.journal import Journal
from alnb.state import state_of

WAYS = {
    "cycle": CONFIG.replace(ask_in="anywhere"),
    "live": CONFIG.replace(ask_in="anywhere", asking="live", pretrain_steps=0),
}


def beside(person):
    """Return a region of the slice on screen that nobody asked about, and its middle."""
    region, state = person.app.draft.region, person.state
    cells = person.app.pool.regions(region.where)
    other = next(cell for cell in cells if cell.key not in state.ever_asked)
    return other, (other.row + other.height / 2, other.col + other.width / 2)


@pytest.mark.parametrize("config", WAYS.values(), ids=WAYS)
def test_a_click_on_the_slice_chooses_that_region(using, folder, config):
    async def story(person):
        first = person.app.draft.region
        other, place = beside(person)
        person.at(*place, panel="xy")
        assert person.app.draft.region == other
        assert person.clicks == ()

        person.push(person.page.clean)
        assert person.state.by_key[other.key]
        assert person.app.draft.region == first

    using(story, config=config)
    chosen = [data["by"] for data in journal_of(folder, "asked") if "by" in data]
    assert [by.get("chosen", False) for by in chosen].count(True) == 1
    picks = state_of(Journal(folder / "journal.jsonl").events).asked
    assert sum(pick.chosen for pick in picks) == 1


@pytest.mark.parametrize("config", WAYS.values(), ids=WAYS)
def test_a_chosen_region_is_said_to_be_the_persons_own_choice(using, config):
    async def story(person):
        _, place = beside(person)
        person.at(*place, panel="xy")

        assert person.reads_why("You chose")

    using(story, config=config)


def test_a_click_on_an_answered_region_opens_its_answer(using):
    async def story(person):
        other, place = beside(person)
        person.at(*place, panel="xy")
        person.push(person.page.clean)
        asked = len(person.state.ever_asked)
        person.at(*place, panel="xy")

        assert person.app.draft.region == other
        assert len(person.state.ever_asked) == asked

    using(story, config=WAYS["cycle"])


def test_open_marks_are_not_lost_by_a_choice(using):
    async def story(person):
        first = person.app.draft.region
        _, place = beside(person)
        person.press(2, 2)
        person.at(*place, panel="xy")

        assert person.app.draft.region == first
        assert len(person.clicks) == 1
        assert person.reads("not an answer yet")

    using(story, config=WAYS["live"])


def test_keys_choose_the_region_beside(using):
    async def story(person):
        first = person.app.draft.region
        way = "Up" if first.row else "Down"
        person.key(f"Ctrl+Arrow{way}")
        now = person.app.draft.region

        assert (now.where, now.col) == (first.where, first.col)
        assert now.row == first.row + (first.height if way == "Down" else -first.height)
        person.key(*["Ctrl+ArrowLeft"] * 4)
        assert person.app.draft.region.col == 0
        assert person.reads("no region to answer")

    using(story, config=WAYS["live"])


def test_nothing_is_chosen_beyond_the_budget(using):
    async def story(person):
        _, place = beside(person)
        person.push(person.page.clean)
        assert person.state.spent
        person.key(",")  # the answer, to look at it
        asked = len(person.state.ever_asked)
        person.at(*place, panel="xy")

        assert person.reads("The budget is spent")
        assert len(person.state.ever_asked) == asked

    using(story, config=WAYS["cycle"].replace(budget_s=3.0))
