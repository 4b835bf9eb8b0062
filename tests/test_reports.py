import math

import pytest

from alnb.cost import Cost
from alnb.metrics import Scores
from alnb.reports import CURVE_COLUMNS, CycleReport, FitReport, curve_table

FIT = FitReport(
    weights="abc", backbone="vgg16", device="cpu", steps=3, loss=0.5, threshold=0.5, heldout=4,
    heldout_accuracy=0.75, train_s=2.0,
)  # fmt: skip
COST = Cost(120.0, 77.7, 40, 9)


def test_a_fit_reads_back():
    assert FitReport.from_dict(FIT.to_dict()) == FIT


def test_a_fit_of_a_journal_of_before_reads_without_what_was_used():
    values = FIT.to_dict()
    for later in ("batch", "crop", "precision", "notice"):
        del values[later]

    fit = FitReport.from_dict(values)

    assert (fit.batch, fit.crop, fit.precision, fit.notice) == (0, None, "", "")


def test_a_curve_has_a_row_a_cycle_with_the_named_columns():
    reports = [
        CycleReport(cycle=n, cost=COST, scores=Scores(2, 1, 1, 6), fit=FIT, score_s=1.0)
        for n in range(3)
    ]
    table = curve_table(reports, seed=7)

    assert tuple(table.columns) == CURVE_COLUMNS
    assert table.cycle.tolist() == [0, 1, 2]
    assert table.dice.tolist() == pytest.approx([4 / 6] * 3, abs=1e-5)
    assert (table.seed == 7).all()
    assert (table.cost_s == 120).all()


def test_what_was_not_measured_is_not_a_number():
    report = CycleReport(cycle=0, cost=COST, scores=None, fit=FIT, score_s=1.0)

    assert math.isnan(report.row(0)["dice"])
    assert report.row(0)["heldout_accuracy"] == 0.75
