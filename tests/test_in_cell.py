import pytest

from alnb.annotation import Verdict
from alnb.config import Config
from alnb.cost import PAUSE_S
from alnb.cycle import answer_pending
from alnb.oracle import Oracle
from alnb.pool import Pool, start_picks
from alnb.session import Session
from alnb.ui.in_cell import InCell
from alnb.ui.viewer.input import Press

CONFIG = Config(regions_per_slice=16, start_regions=3)


@pytest.fixture
def session(tmp_path, squares):
    session = Session.open(tmp_path, squares, CONFIG)
    session.ask(start_picks(Pool(squares, CONFIG)))
    yield session
    session.close()


@pytest.fixture
def hand(session):
    times = iter(range(0, 1000, 5))
    return InCell(session, clock=lambda: float(next(times)))


def press(hand, row, col):
    hand._on_event(Press(row, col, hand.view.screen))


def test_clicks_and_buttons_become_answers_with_their_seconds(hand, session):
    region = session.state.pending[0]
    assert hand.next.disabled
    press(hand, region.row + 1.0, region.col + 2.0)
    assert hand.clean.disabled
    hand.next.click()
    hand.clean.click()

    first, second = session.state.answers
    assert (first.region, first.verdict) == (region, Verdict.INFECTED)
    assert (first.clicks[0].row, first.clicks[0].col) == (region.row + 1, region.col + 2)
    assert (first.seconds, first.annotator) == (10, "reader")  # one for each act
    assert second.verdict is Verdict.CLEAN
    assert "1 open; 6 s nominal, 15 s by the clock" in hand._text.value


def test_a_pause_is_not_labelling(session):
    now = [0.0]
    hand = InCell(session, clock=lambda: now[0])
    region = session.state.pending[0]
    now[0] = 3.0
    press(hand, region.row + 1.0, region.col + 2.0)
    now[0] = 3600.0
    hand.next.click()

    assert session.state.answers[0].seconds == 3 + PAUSE_S


def test_a_press_beside_the_frame_sets_no_click(hand, session):
    region = session.state.pending[0]
    press(hand, region.row - 5.0, region.col)
    hand._on_event(Press(region.row, region.col, hand.view.screen, elsewhere=True))

    assert hand.next.disabled


def test_undo_takes_back_a_click_and_then_an_answer(hand, session):
    region = session.state.pending[0]
    hand.skip.click()
    press(hand, *_middle(session.state.pending[0]))
    hand.undo.click()
    assert hand.next.disabled
    hand.undo.click()

    assert session.state.pending[0] == region
    assert hand.view.region == region


def test_what_the_reader_leaves_another_annotator_answers(hand, session, squares):
    hand.clean.click()
    answer_pending(session, Oracle(squares))

    assert session.state.pending == ()
    assert [answer.annotator for answer in session.state.answers] == ["reader", "oracle", "oracle"]


def test_the_end_is_said(hand):
    for _ in range(3):
        hand.skip.click()

    assert hand.view.region is None
    assert hand.skip.disabled
    hand.undo.click()
    assert hand.view.region is not None


def _middle(region):
    return region.row + region.height / 2 - 0.5, region.col + region.width / 2 - 0.5
