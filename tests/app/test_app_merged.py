"""Stories of a person who goes on with the merged answers of others."""

import pytest
from app_person import CONFIG

from alnb.acquisition import Pick
from alnb.annotation import Answer, Click, Verdict
from alnb.merge import merge
from alnb.regions import grid
from alnb.session import Session
from alnb.ui.label.training_client import DISPUTED


@pytest.fixture
def merged(squares, tmp_path, folder):
    """Ann and <Ben> agree on two regions, and not on two between them."""
    regions = grid(squares.part("train")[0], (32, 32), 16)[:4]
    for name, letters in (("Ann", "ciic"), ("<Ben>", "icic")):
        session = Session.open(tmp_path / name[:4].strip("<>"), squares, CONFIG)
        session.ask([Pick(region, 1.0) for region in regions])
        for region, letter in zip(regions, letters, strict=True):
            clicks = (Click(region.row + 2, region.col + 3),) if letter == "i" else ()
            verdict = Verdict.INFECTED if clicks else Verdict.CLEAN
            session.submit(Answer(region, verdict, clicks, 2.0, name))
        session.close()
    merge([tmp_path / "Ann", tmp_path / "Ben"], folder)
    return regions


def trace(person, name):
    return next(one for one in person.app.view.figure.data if one.name == name)


def test_where_people_disagree_both_answers_are_shown_with_names_until_one_decides(using, merged):
    async def story(person):
        first, second = merged[:2]
        said = trace(person, "said")
        assert person.app.draft.region == first
        assert person.reads("&lt;Ben&gt;: infection. Ann: no infection.")
        assert (list(said.text), said.y[0], said.x[0]) == (
            ["&lt;Ben&gt;"], first.row + 2, first.col + 3
        )  # fmt: skip
        assert person.marks == []  # they are not the person's own
        assert person.page._explanation.value.count(DISPUTED)

        person.push(person.page.clean)
        assert person.state.by_key[first.key].annotator == "me"
        assert person.app.session.journal.events[-1].data["decides"] is True
        assert person.app.draft.region == second
        assert list(said.text) == ["Ann"]

        person.press(1, 1)
        assert list(said.text) == ["Ann"]  # beside the person's own
        person.push(person.page.next)
        assert not person.state.disputed
        assert person.reads("That was the last region that people disagreed about")
        assert list(said.x) == []

    using(story)


def test_undo_takes_back_what_was_decided_and_nothing_of_the_others(using, merged):
    async def story(person):
        assert person.page.undo.disabled
        person.push(person.page.clean, person.page.undo)
        assert person.app.draft.region == merged[0]
        assert set(person.state.disputed) == {merged[0].key, merged[1].key}
        assert len(person.state.given) == 8
        person.push(person.page.undo, person.page.undo)
        person.key("z", "z")
        assert len(person.state.given) == 8

    using(story)


def test_an_answer_that_stands_says_whose_it_is(using, merged):
    async def story(person):
        person.act(f"open:{merged[2].key}")
        assert person.reads("&lt;Ben&gt; answered: infection, 1 click.")
        person.push(person.page.clean)
        person.act(f"open:{merged[2].key}")
        assert person.reads("You answered: no infection.")

    using(story)


def test_a_sweep_decides_nothing_between_people(using, merged):
    async def story(person):
        person.push(person.page.sweep, person.page.clean)

        assert set(person.state.disputed) == {merged[0].key, merged[1].key}
        assert len(person.state.given) > 8

    using(story)
