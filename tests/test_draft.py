import pytest
from hypothesis import given
from hypothesis import strategies as st

from alnb.annotation import Click, Verdict
from alnb.dataset import SliceId
from alnb.regions import Region, grid
from alnb.ui.label.draft import Draft

WHERE = SliceId("one", 0)
CELLS = grid(WHERE, (32, 32), 4)
FIRST = CELLS[0]
WHOLE = Region(WHERE, 0, 0, 32, 32)
BOX = ((1.0, 1.0), (1.0, 5.0), (5.0, 5.0))
steps = st.lists(
    st.one_of(
        st.builds(lambda r, c: Click(r, c), st.integers(0, 15), st.integers(0, 15)),
        st.just(BOX),
        st.sampled_from(["undo", "redo"]),
    ),
    max_size=12,
)


def after(draft, step):
    if step in ("undo", "redo"):
        return draft.undone() if step == "undo" else draft.redone()
    return draft.toggled(step, 0.5) if isinstance(step, Click) else draft.outlined(step)


def marks(draft):
    return draft.clicks, draft.outlines


@given(steps)
def test_undo_and_redo_are_each_others_inverse(moves):
    draft = Draft(FIRST)
    for move in moves:
        draft = after(draft, move)
    if draft.past:
        assert marks(draft.undone().redone()) == marks(draft)
    while draft.can_undo:
        draft = draft.undone()

    assert marks(draft) == ((), ())


def test_taking_a_mark_back_is_a_step_too():
    draft = Draft(FIRST).toggled(Click(1, 1), 0.5).toggled(Click(1, 1), 0.5)

    assert draft.clicks == ()
    assert draft.undone().clicks == (Click(1, 1),)


def test_a_press_between_marks_removes_the_nearest_only():
    draft = Draft(FIRST, (Click(1, 1), Click(1, 5), Click(9, 9)))

    assert draft.toggled(Click(1, 4), 8.0).clicks == (Click(1, 1), Click(9, 9))


def test_a_new_mark_ends_redo():
    draft = Draft(FIRST).toggled(Click(1, 1), 0.5).undone().toggled(Click(3, 3), 0.5)

    assert draft.redone() == draft


def test_after_a_reload_the_marks_go_one_by_one():
    draft = Draft(FIRST, (Click(1, 1), Click(3, 3)), (BOX,))

    assert marks(draft.undone()) == ((Click(1, 1), Click(3, 3)), ())
    assert marks(draft.undone().undone()) == ((Click(1, 1),), ())


def test_an_outline_makes_an_infected_answer():
    draft = Draft(FIRST).outlined(BOX)

    assert draft.infected
    assert draft.answer(Verdict.INFECTED, 1, annotator="me").outlines == (BOX,)
    assert draft.answer(Verdict.CLEAN, 1, annotator="me").outlines == ()


def test_a_sweep_answers_each_cell_by_its_clicks_and_shares_the_time():
    draft = Draft(WHOLE, sweep=True)
    for click in (Click(2, 2), Click(3, 20), Click(4, 24), Click(20, 2, 0)):
        draft = draft.toggled(click, 0.5)
    answers = draft.swept(CELLS, 10.0, annotator="me")

    assert [str(a.verdict) for a in answers] == ["infected", "infected", "clean", "clean"]
    assert [len(a.clicks) for a in answers] == [1, 2, 0, 0]
    assert sum(a.seconds for a in answers) == pytest.approx(10)
    assert {a.annotator for a in answers} == {"me"}


def test_a_press_far_from_every_click_adds_one():
    draft = Draft(FIRST).toggled(Click(1, 1), 0.5).toggled(Click(2, 2), 0.5)

    assert draft.clicks == (Click(1, 1), Click(2, 2))


def test_a_press_on_a_click_takes_it_back_and_no_other():
    draft = Draft(FIRST, (Click(1, 1), Click(2, 2)))

    assert draft.toggled(Click(1.2, 1.2), 0.5) == Draft(FIRST, (Click(2, 2),))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=8))
def test_pressing_twice_in_a_place_changes_nothing(places):
    draft = Draft(FIRST)
    for row, col in places:
        draft = draft.toggled(Click(row, col), 0.4)
    again = draft.toggled(Click(9, 9), 0.4).toggled(Click(9, 9), 0.4)

    assert again == draft
    assert len(set(draft.clicks)) == len(draft.clicks)


def test_clicks_belong_only_to_an_infected_answer():
    draft = Draft(FIRST, (Click(1, 1),))

    assert draft.answer(Verdict.INFECTED, 1.0, annotator="me").clicks == (Click(1, 1),)
    assert draft.answer(Verdict.SKIPPED, 1.0, annotator="me").clicks == ()


def test_there_is_no_answer_without_a_region():
    with pytest.raises(ValueError, match="no region"):
        Draft().answer(Verdict.CLEAN, 1.0, annotator="")
