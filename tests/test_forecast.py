import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alnb.cost import Cost
from alnb.forecast import FEWEST, Forecast, Gain, expected_gain, forecast
from alnb.metrics import Scores
from alnb.reports import CycleReport, FitReport

REAL = Path(__file__).parents[1] / "notebooks" / "results" / "medseg_entropy.csv"
COSTS = 120 + 15.0 * np.arange(12)
FIT = FitReport(
    weights="w", backbone="fake", device="none", steps=1, loss=1.0, threshold=0.5,
    heldout=0, heldout_accuracy=None, train_s=0.25,
)  # fmt: skip
MADE = {
    "saturating": lambda cost: 0.7 - 0.25 * (cost / 120) ** -1.5,
    "exponential": lambda cost: 0.65 - 0.2 * np.exp(-(cost - 120) / 80),
    "flat": lambda cost: 0.6 + 0 * cost,
    "rising": lambda cost: 0.4 + 0.001 * (cost - 120),
    "falling": lambda cost: 0.6 - 0.0004 * (cost - 120),
}


def report(cost_s, dice=None, agreement=None, heldout=8):
    tp = None if dice is None else round(1000 * dice)
    scores = None if dice is None else Scores(tp=tp, fp=1000 - tp, fn=1000 - tp, tn=0)
    fit = dataclasses.replace(FIT, heldout_accuracy=agreement, heldout=heldout)
    return CycleReport(cycle=0, cost=Cost(nominal_s=cost_s), scores=scores, fit=fit, score_s=0.1)


@pytest.mark.parametrize("name", MADE)
def test_the_gain_of_a_smooth_curve_lies_in_the_interval(name):
    curve = MADE[name]
    found = expected_gain(COSTS, curve(COSTS))
    gain = curve(COSTS[-1] + 60) - curve(COSTS[-1])

    assert found.low - 0.005 <= gain <= found.high + 0.005
    assert found.high - found.low < 0.15


@pytest.mark.parametrize("name", MADE)
def test_the_gain_lies_in_the_interval_mostly_where_points_scatter(name, rng):
    curve = MADE[name]
    gain = curve(COSTS[-1] + 60) - curve(COSTS[-1])
    found = [
        expected_gain(COSTS, curve(COSTS) + rng.normal(0, 0.02, len(COSTS))) for _ in range(20)
    ]

    assert sum(one.low - 0.002 <= gain <= one.high + 0.002 for one in found) >= 13
    assert np.mean([one.jump for one in found]) == pytest.approx(0.02, abs=0.005)


def test_more_points_narrow_the_interval(rng):
    scores = MADE["saturating"](COSTS) + rng.normal(0, 0.02, len(COSTS))
    gains = [expected_gain(COSTS[:n], scores[:n]) for n in (4, 8, 12)]
    widths = [gain.high - gain.low for gain in gains]

    assert widths == sorted(widths, reverse=True)


def test_a_flat_curve_is_enough_and_a_steep_one_is_not():
    assert expected_gain(COSTS, MADE["flat"](COSTS)).within_chance
    assert not expected_gain(COSTS, MADE["rising"](COSTS)).within_chance


def test_twice_the_time_brings_more():
    scores = MADE["saturating"](COSTS)
    one, two = (expected_gain(COSTS, scores, ahead_s=seconds).expected for seconds in (60.0, 120.0))

    assert 0 < one < two < 2 * one


@settings(deadline=None, max_examples=15)
@given(st.lists(st.tuples(st.floats(1, 5000), st.floats(0, 1)), max_size=30))
def test_whatever_the_points_the_gain_is_a_difference_of_scores(points):
    costs, scores = [cost for cost, _ in points], [score for _, score in points]
    found = expected_gain(costs, scores)

    if found is None:
        assert len(points) < FEWEST or len(set(costs)) == 1
    else:
        assert -1 <= found.low <= found.high <= 1
        assert np.isfinite([found.expected, found.jump]).all() and found.jump > 0


def test_hundreds_of_points_are_no_trouble(rng):
    costs = 960 + 15.0 * np.arange(500)

    assert expected_gain(costs, rng.uniform(0.5, 0.6, 500)).expected == pytest.approx(0, abs=0.005)


def test_the_order_of_the_points_does_not_matter(rng):
    scores = MADE["saturating"](COSTS)
    order = rng.permutation(len(COSTS))

    assert expected_gain(COSTS[order], scores[order]) == expected_gain(COSTS, scores)


def test_three_points_or_one_cost_are_too_few():
    assert expected_gain(COSTS[:3], [0.5, 0.6, 0.7]) is None
    assert expected_gain([120.0] * 5, [0.5] * 5) is None
    with pytest.raises(ValueError, match="a cost above 0"):
        expected_gain([0, 1, 2, 3], [0.5] * 4)


def real_curves():
    with REAL.open() as file:
        rows = list(csv.DictReader(file))
    for seed in ("0", "1", "2"):
        own = [row for row in rows if row["seed"] == seed]
        yield [(float(row["cost_s"]), float(row["dice"])) for row in own]


def test_what_follows_on_real_curves_lies_in_the_interval_give_or_take_a_jump():
    inside = []
    for curve in real_curves():
        for n in range(FEWEST, 8):
            costs, dice = zip(*curve[:n], strict=True)
            found = expected_gain(costs, dice)
            (later,) = (score for cost, score in curve if cost == costs[-1] + 60)
            change = later - dice[-1]
            inside.append(found.low - 2 * found.jump <= change <= found.high + 2 * found.jump)

    assert len(inside) == 12
    assert sum(inside) >= 11


def test_real_curves_end_where_one_more_minute_hardly_shows():
    for curve in real_curves():
        costs, dice = zip(*curve, strict=True)
        found = expected_gain(costs, dice)

        assert found.within_chance
        assert 0 < found.expected < 0.02


def test_before_four_trainings_it_is_too_early():
    early = forecast([report(120, 0.5), report(135, 0.6)])

    assert early.short == ""
    assert early.sentence == (
        "It is too early to say what one more minute of labelling brings. That takes 4 measured "
        "trainings at different costs, and there are 2."
    )
    assert "there are 0." in forecast([]).sentence
    assert "there is 1." in forecast([report(120, 0.5)]).sentence


def test_what_one_more_minute_brings_is_a_sentence():
    found = forecast([report(cost, MADE["rising"](cost)) for cost in COSTS])

    assert found.sentence.startswith(
        "One more minute of labelling is expected to change Dice by +0.0"
    )
    assert " (+0.0" in found.sentence
    assert "stop" not in found.sentence
    assert found.short.startswith("one more minute: +0.0")


def test_when_to_stop_is_said_with_why():
    found = forecast([report(cost, 0.6) for cost in COSTS])

    assert found.sentence.startswith("One more minute of labelling is not expected to change Dice")
    assert found.sentence.endswith("it changes by 0.01 by chance. You may stop here.")
    assert found.short.endswith(", within chance")


def test_a_fall_has_a_minus_sign_and_nothing_has_none():
    found = dataclasses.replace(
        forecast([report(cost, 0.6) for cost in COSTS]), gain=Gain(0.0, -0.0149, 0.031, 0.02)
    )

    assert "to change Dice (\N{MINUS SIGN}0.01 to +0.03)." in found.sentence
    assert "minute: 0.00 (\N{MINUS SIGN}0.01 to +0.03)" in found.short


def test_without_masks_the_held_out_answers_are_what_it_is_about():
    reports = [report(cost, agreement=0.5 + 0.03 * n) for n, cost in enumerate(COSTS)]
    found = forecast([report(60, None, None), *reports])

    assert found.points == len(COSTS)
    assert " to change agreement with the held-out answers " in found.sentence


def test_fewer_held_out_answers_say_less():
    def width(heldout):
        reports = [report(cost, agreement=0.75, heldout=heldout) for cost in COSTS[:4]]
        found = forecast(reports).gain
        return found.high - found.low

    assert width(4) > width(400)


def test_a_dice_that_is_no_number_is_no_point():
    nothing = Scores(tp=0, fp=0, fn=0, tn=9)
    empty = dataclasses.replace(report(120, 0.5), scores=nothing)

    assert forecast([empty] * 9).gain is None


@pytest.mark.parametrize(
    ("gain", "said"),
    [
        (None, ""),
        (Gain(0.01, -0.02, 0.04, 0.02), ""),  # it may change, or not
        (Gain(0.005, -0.01, 0.01, 0.02), "is not expected to change Dice."),
        (Gain(0.03, 0.01, 0.05, 0.02), "One more minute of labelling: Dice +0.03 or so."),
    ],
)
def test_a_forecast_is_shown_only_where_it_says_something(gain, said):
    found = Forecast("Dice", 6, gain)

    assert found.clear is bool(said)
    assert said in found.plain
    assert bool(found.plain) is bool(said)
