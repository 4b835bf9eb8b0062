import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alnb.curves.statistics import area, at_cost, conclusion, dices, difference, read_steps, shares

COST = st.floats(0, 1000)
ENTROPY, RANDOM = ("entropy", "entropy"), ("random", "random")


def table(**arms):
    """Make a table of {arm: [Dice of seed 0, of seed 1, …]} with a cycle each at 120 and 600 s."""
    return pd.DataFrame(
        [
            {"arm": arm, "seed": seed, "cost_s": cost, "dice": dice * share}
            for arm, values in arms.items()
            for seed, dice in enumerate(values)
            for cost, share in ((120.0, 0.5), (600.0, 1.0))
        ]
    )


def test_the_interval_is_students():
    found = difference([0.52, 0.55, 0.58], [0.50, 0.50, 0.50])

    assert found.mean == pytest.approx(0.05)
    assert found.half == pytest.approx(4.302653 * 0.03 / math.sqrt(3))
    assert found.pairs == 3
    assert not found.shown


def test_seeds_are_paired_so_that_what_they_share_cancels():
    found = difference([0.30, 0.50, 0.71], [0.26, 0.46, 0.66])

    assert found.shown
    assert found.half < 0.02


def test_one_seed_has_no_interval():
    assert difference([0.9], [0.1]).half is None
    assert not difference([0.9], [0.1]).shown


@pytest.mark.parametrize("pairs", [([], []), ([0.1], [0.1, 0.2])])
def test_without_pairs_there_is_no_difference(pairs):
    with pytest.raises(ValueError, match="pairs"):
        difference(*pairs)


def test_a_curve_is_read_as_steps():
    curve = pd.DataFrame({"cost_s": [120.0, 135.0, 150.0], "dice": [0.3, 0.5, math.nan]})

    assert at_cost(curve, 119) is None
    assert at_cost(curve, 120) == 0.3
    assert at_cost(curve, 149.9) == 0.5
    assert at_cost(curve, 150) is None
    np.testing.assert_array_equal(read_steps(curve, [0, 120, 140, 150]), [np.nan, 0.3, 0.5, np.nan])


def test_a_seed_without_an_answer_yet_is_left_out():
    both = table(entropy=[0.5, 0.6])
    late = both[~((both.seed == 1) & (both.cost_s == 120))]

    assert dices(late, "entropy", 300) == {0: 0.25}


def test_what_is_shown_is_said_to_beat():
    curves = table(entropy=[0.54, 0.64, 0.75], random=[0.50, 0.60, 0.70])

    assert conclusion(curves, ENTROPY, RANDOM, 600) == (
        "entropy beats random by 0.04 ± 0.01 at 600 s (3 seeds)"
    )


def test_the_other_way_round_it_is_the_other_that_beats():
    curves = table(entropy=[0.50, 0.60, 0.70], random=[0.54, 0.64, 0.75])

    assert conclusion(curves, ENTROPY, RANDOM, 600).startswith(
        "random beats entropy by 0.04 ± 0.01"
    )


def test_what_is_not_shown_is_said_with_its_interval():
    curves = table(entropy=[0.51, 0.50, 0.53], random=[0.50, 0.51, 0.50])

    assert conclusion(curves, ENTROPY, RANDOM, 600) == (
        "no difference can be shown between entropy and random at 600 s (+0.01 ± 0.05, 3 seeds)"
    )


def test_of_a_single_seed_nothing_is_shown():
    curves = table(entropy=[0.1], random=[0.4])

    assert conclusion(curves, ENTROPY, RANDOM, 600) == (
        "no difference can be shown between entropy and random at 600 s "
        "(−0.30, 1 seed, so no interval)"
    )


def test_a_small_difference_that_is_shown_keeps_a_digit_more():
    curves = table(entropy=[0.503, 0.6031, 0.703], random=[0.50, 0.60, 0.70])

    assert "by 0.003 ± 0.000 at" in conclusion(curves, ENTROPY, RANDOM, 600)


def test_without_a_cost_the_ends_are_compared():
    late = table(many=[0.5, 0.6], few=[0.4, 0.5])
    late.loc[(late.arm == "many") & (late.cost_s == 600), "cost_s"] = 640.0

    assert conclusion(late, ("many", "K = 64"), ("few", "K = 1"), None) == (
        "K = 64 beats K = 1 by 0.10 ± 0.00 at the end (2 seeds)"
    )


def test_a_cost_below_the_start_shows_nothing():
    assert conclusion(table(entropy=[0.5], random=[0.4]), ENTROPY, RANDOM, 60) == (
        "entropy and random can't be compared at 60 s: their starts cost more"
    )


def test_the_share_of_the_bound_is_of_the_mean_over_seeds():
    found = shares(table(entropy=[0.4, 0.6]), "entropy", [60, 120, 600], bound=0.8)

    assert found == [(120, pytest.approx(0.25), pytest.approx(0.3125)), (600, 0.5, 0.625)]


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6), st.floats(0.01, 1))
def test_a_constant_gain_is_always_shown_and_its_sign_follows_the_order(values, gain):
    raised = [value + gain for value in values]
    up, down = difference(raised, values), difference(values, raised)

    assert up.shown
    assert up.mean == pytest.approx(gain)
    assert down.mean == pytest.approx(-up.mean)
    assert down.half == pytest.approx(up.half)


# --- areas ---


def curve(*points):
    return pd.DataFrame(points, columns=["cost_s", "dice"])


def test_the_area_of_a_straight_line_is_its_middle():
    assert area(curve((100, 0.2), (200, 0.6)), 100, 200) == pytest.approx(0.4)


def test_the_area_is_taken_between_the_given_costs_alone():
    assert area(curve((100, 0.0), (200, 0.5), (300, 1.0)), 200, 300) == pytest.approx(0.75)


def test_of_points_at_one_cost_the_last_counts():
    assert area(curve((0, 0.9), (0, 0.5), (10, 0.5)), 0, 10) == pytest.approx(0.5)


@given(st.lists(COST, min_size=2, max_size=8, unique=True), st.floats(0, 1))
def test_a_level_curve_has_its_height_as_area(costs, dice):
    costs = sorted(costs)
    points = [(cost, dice) for cost in costs]
    if costs[-1] - costs[0] > 1e-6:
        assert area(curve(*points), costs[0], costs[-1]) == pytest.approx(dice)
