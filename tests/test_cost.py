import pytest

from alnb.annotation import Answer, Click, Verdict
from alnb.config import PAPER, Config
from alnb.cost import Cost, cost_of, fully_labelled_cost, price_of
from alnb.dataset import SliceId
from alnb.regions import Region, grid

REGION = Region(SliceId("scan_01", 0), 0, 0, 8, 8)


def test_the_papers_start_costs_960_seconds():
    start = [
        Answer(region, Verdict.CLEAN)
        for z in range(PAPER.start_slices)
        for region in grid(SliceId("scan_01", z), (352, 352), PAPER.regions_per_slice)
    ]

    assert cost_of(start, PAPER).nominal_s == 960


def test_the_papers_hundred_cycles_cost_2460_seconds():
    regions = PAPER.start_slices * PAPER.regions_per_slice + PAPER.cycles * PAPER.regions_per_cycle

    assert cost_of([Answer(REGION, Verdict.CLEAN)] * regions, PAPER).nominal_s == 2460


def test_every_click_costs():
    clicks = (Click(1, 1), Click(2, 2), Click(3, 3, 0))

    cost = cost_of([Answer(REGION, Verdict.INFECTED, clicks)], PAPER)

    assert (cost.nominal_s, cost.clicks, cost.regions) == (9, 3, 1)


def test_a_look_without_an_answer_costs_too():
    assert cost_of([Answer(REGION, Verdict.SKIPPED)], PAPER).nominal_s == 3


def test_measured_seconds_are_those_of_the_answers():
    clicks = (Click(1, 1),)
    answers = [
        Answer(REGION, Verdict.CLEAN, seconds=62.5),
        Answer(REGION, Verdict.INFECTED, clicks, seconds=4),
    ]

    assert cost_of(answers, PAPER).measured_s == pytest.approx(66.5)


def test_nothing_costs_nothing():
    assert cost_of([], PAPER) == Cost()


BOX = ((1, 1), (1, 5), (5, 5), (5, 1))
ARROW = ((2, 2), (4, 2), (3, 3), (4, 4), (2, 4), (2, 3))  # a notch, and a point on a side


def outlined(*outlines, clicks=()):
    return Answer(REGION, Verdict.INFECTED, clicks, outlines=outlines)


def test_every_vertex_of_an_outline_costs_a_click():
    cost = cost_of([outlined(BOX, ARROW), Answer(REGION, Verdict.CLEAN)], PAPER)

    assert (cost.nominal_s, cost.clicks, cost.regions) == (3 * 10 + 3, 10, 2)


def test_a_click_and_a_clean_region_cost_the_same():
    config = Config()

    assert price_of(Answer(REGION, Verdict.INFECTED, (Click(1, 1), Click(2, 2))), config) == 6
    assert price_of(Answer(REGION, Verdict.CLEAN), config) == 3


def test_the_papers_whole_train_part_costs_35328_seconds():
    assert fully_labelled_cost(368, PAPER) == 35328


def test_a_correction_replaces_price_region_and_clicks_and_adds_its_time():
    wrong = Answer(REGION, Verdict.INFECTED, (Click(1, 1), Click(2, 2)), seconds=4)
    right = Answer(REGION, Verdict.CLEAN, seconds=2, corrects=True)
    again = Answer(REGION, Verdict.INFECTED, (Click(1, 1),), seconds=1, corrects=True)

    assert cost_of([wrong, right], PAPER) == Cost(3, 6, regions=1, clicks=0, answers=2)
    assert cost_of([wrong, right, again], PAPER) == Cost(3, 7, regions=1, clicks=1, answers=3)


def test_a_hidden_repeat_is_work_of_its_own_and_a_correction_replaces_only_it():
    first, repeat = Answer(REGION, Verdict.CLEAN), Answer(REGION, Verdict.CLEAN)
    corrected = Answer(REGION, Verdict.INFECTED, (Click(1, 1), Click(2, 2)), corrects=True)

    assert cost_of([first, repeat], PAPER).nominal_s == 6
    assert cost_of([first, repeat, corrected], PAPER).nominal_s == 9


def test_a_swept_slice_costs_its_clicks_and_one_verdict_and_less_than_outlining_it():
    cells = grid(SliceId("scan_01", 0), (352, 352), 64)
    marked = [
        Answer(cell, Verdict.INFECTED, (Click(cell.row, cell.col), Click(cell.row + 1, cell.col)))
        for cell in cells[:3]
    ]
    rest = [Answer(cell, Verdict.CLEAN, rest=True) for cell in cells[3:52]]
    cost = cost_of([*marked, *rest], PAPER)

    assert (cost.nominal_s, cost.regions) == (3 * 6 + 3, 52)
    assert cost.nominal_s < PAPER.slice_s
    other = [Answer(cell, Verdict.CLEAN, rest=True) for cell in grid(SliceId("b", 1), (8, 8), 4)]
    assert cost_of([*rest, *other], PAPER).nominal_s == 6


def test_an_outline_found_right_costs_a_verdict_and_the_clicks_that_corrected_it():
    square = ((1.0, 1.0), (1.0, 3.0), (3.0, 3.0), (3.0, 1.0))
    right = Answer(REGION, Verdict.INFECTED, outlines=(square,), verified=True)
    corrected = Answer(REGION, Verdict.INFECTED, (Click(2, 2),), outlines=(square,), verified=True)

    assert [price_of(one, PAPER) for one in (right, corrected)] == [3, 6]
    assert cost_of([right, corrected], PAPER).clicks == 1
