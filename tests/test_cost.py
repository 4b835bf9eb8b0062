import pytest

from alnb.annotation import Answer, Click, Verdict
from alnb.config import PAPER
from alnb.cost import Cost, cost_of
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


def test_a_pause_is_not_labelling():
    answers = [Answer(REGION, Verdict.CLEAN, seconds=s) for s in (2.5, 3600)]

    assert cost_of(answers, PAPER).measured_s == pytest.approx(22.5)


def test_nothing_costs_nothing():
    assert cost_of([], PAPER) == Cost()
