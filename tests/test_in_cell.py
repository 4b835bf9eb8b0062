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


class Clock:
    """Five seconds pass before each press."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def cell(session, clock):
    return InCell(session, clock=clock)


def press(cell, row, col, **how):
    cell.editor._clock.now += 5
    cell._on_event(Press(row, col, cell.view.screen, **how))


def push(cell, *names):
    for name in names:
        cell.editor._clock.now += 5
        getattr(cell, name).click()


def test_clicks_and_buttons_become_answers_with_their_seconds(cell, session):
    region = session.state.pending[0]
    assert cell.next.disabled
    press(cell, region.row + 1.0, region.col + 2.0)
    assert cell.clean.disabled
    push(cell, "next")
    push(cell, "clean")

    first, second = session.state.answers
    assert (first.region, first.verdict) == (region, Verdict.INFECTED)
    assert (first.clicks[0].row, first.clicks[0].col) == (region.row + 1, region.col + 2)
    assert (first.seconds, first.annotator) == (10, "reader")  # one for each act
    assert second.verdict is Verdict.CLEAN
    assert "1 open; 6 s nominal, 15 s by the clock" in cell._text.value


def test_a_pause_is_not_labelling(cell, clock, session):
    region = session.state.pending[0]
    press(cell, region.row + 1.0, region.col + 2.0)
    clock.now = 3600.0
    push(cell, "next")

    assert session.state.answers[0].seconds == 5 + PAUSE_S


def test_a_press_beside_the_frame_sets_no_click(cell, session):
    region = session.state.pending[0]
    press(cell, region.row - 5.0, region.col)
    assert "outside the frame" in cell._text.value
    press(cell, region.row, region.col, elsewhere=True)

    assert cell.next.disabled


def test_undo_takes_back_a_click_and_then_an_answer(cell, session):
    region = session.state.pending[0]
    push(cell, "skip")
    press(cell, *_middle(session.state.pending[0]))
    push(cell, "undo")
    assert cell.next.disabled
    push(cell, "undo")

    assert session.state.pending[0] == region
    assert cell.view.region == region


def test_what_the_reader_leaves_another_annotator_answers(cell, session, squares):
    push(cell, "clean")
    answer_pending(session, Oracle(squares))

    assert session.state.pending == ()
    assert [answer.annotator for answer in session.state.answers] == ["reader", "oracle", "oracle"]


def test_the_end_is_said(cell):
    for _ in range(3):
        push(cell, "skip")

    assert cell.view.region is None
    assert cell.skip.disabled
    push(cell, "undo")
    assert cell.view.region is not None


def _middle(region):
    return region.row + region.height / 2 - 0.5, region.col + region.width / 2 - 0.5


def test_a_region_with_only_background_marked_is_answered_as_clean(cell, session):
    region = session.state.pending[0]
    press(cell, region.row + 1.0, region.col + 2.0, shift=True)
    assert "Only background is marked" in cell._text.value
    push(cell, "clean")

    assert session.state.by_key[region.key].verdict is Verdict.CLEAN
