import numpy as np
import pytest
from fakes import posterior_of
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from alnb.acquisition import (
    HEURISTICS,
    check_heuristic,
    check_not_negative,
    expected_price,
    needs_network,
    power_noise,
    random_scores,
    rank,
    region_scores,
)
from alnb.config import Config
from alnb.dataset import SliceId
from alnb.errors import ConfigError
from alnb.posterior import Posterior
from alnb.regions import Region, grid

HERE = SliceId("scan_01", 0)
tables = arrays(np.float64, (5, 4), elements=st.one_of(st.floats(0, 1), st.just(float("nan"))))


def test_a_region_scores_the_mean_the_largest_or_the_sum_of_its_pixels():
    score = np.arange(16.0).reshape(4, 4)
    regions = grid(HERE, (4, 4), 4)

    assert region_scores(score, regions, "mean").tolist() == [2.5, 4.5, 10.5, 12.5]
    assert region_scores(score, regions, "max").tolist() == [5, 7, 13, 15]
    assert region_scores(score, regions, "sum").tolist() == [10, 18, 42, 50]


def test_a_shaped_region_scores_its_own_pixels():
    region = Region(HERE, 0, 0, 2, 2, mask=np.array([[True, False], [False, True]]))

    assert region_scores(np.array([[1.0, 9.0], [9.0, 3.0]]), [region]).tolist() == [2]


def test_the_most_uncertain_pixel_wins_by_entropy():
    posterior = Posterior(np.array([[0.01, 0.5, 0.99]]), np.zeros((1, 3)), 2)

    assert HEURISTICS["entropy"](posterior).argmax() == 1


def test_bald_prefers_disagreement_to_noise():
    agreed = posterior_of([np.array([[0.5, 0.0]]), np.array([[0.5, 1.0]])])

    assert HEURISTICS["bald"](agreed).argmax() == 1


def test_the_margin_and_least_confidence_are_known_of_a_pixel():
    posterior = Posterior(np.array([[0.0, 0.2, 0.5, 0.9]]), np.zeros((1, 4)), 2)

    assert HEURISTICS["margin"](posterior)[0] == pytest.approx([0, 0.4, 1, 0.2])
    assert HEURISTICS["least_confidence"](posterior)[0] == pytest.approx([0, 0.2, 0.5, 0.1])


@given(arrays(np.float64, (1, 16), elements=st.floats(0, 1)))
def test_of_two_classes_margin_is_twice_least_confidence_and_ranks_pixels_as_entropy(mean):
    posterior = Posterior(mean, np.zeros((1, 16)), 2)
    entropy, margin, lack = (
        HEURISTICS[name](posterior)[0] for name in ("entropy", "margin", "least_confidence")
    )

    assert margin == pytest.approx(2 * lack)
    by_margin = np.argsort(margin)
    assert (np.diff(entropy[by_margin]) >= -1e-9).all()


def test_region_means_of_margin_and_entropy_may_rank_otherwise():
    even, mixed = np.full((1, 4), 0.15), np.array([[0.0, 0.0, 0.5, 0.2]])
    a, b = (Posterior(mean, np.zeros((1, 4)), 2) for mean in (even, mixed))

    assert HEURISTICS["entropy"](a).mean() > HEURISTICS["entropy"](b).mean()
    assert HEURISTICS["margin"](a).mean() < HEURISTICS["margin"](b).mean()


def test_only_random_heuristics_need_no_network():
    needy = {name for name in (*HEURISTICS, "random", "foreground_random") if needs_network(name)}

    assert needy == set(HEURISTICS)


def test_power_noise_draws_regions_in_proportion_to_their_power():
    scores, beta = np.array([[0.1, 0.2, np.nan, 0.4]]), 2.0
    rng = np.random.default_rng(0)
    best = [int(np.nanargmax(power_noise(scores, beta, rng))) for _ in range(4000)]
    shares = np.bincount(best, minlength=4) / len(best)

    assert shares == pytest.approx(np.array([0.01, 0.04, 0, 0.16]) / 0.21, abs=0.03)


def test_strong_power_leaves_the_ranking_as_it_was(rng):
    scores = np.array([[0.1, 0.5, 0.0, 0.3]])

    assert rank(power_noise(scores, 1e9, rng), 4) == rank(scores, 4)


def test_scores_below_zero_have_no_price_and_no_power():
    check_not_negative(np.array([[0.0, np.nan]]), Config())
    with pytest.raises(ConfigError, match="some of heuristic 'entropy' are"):
        check_not_negative(np.array([[-1.0, np.nan]]), Config())


def test_a_region_costs_more_the_more_infection_is_seen():
    infected = np.array([[0.0, 0.5, 1.0]])

    assert expected_price(infected, [(0.5, 13.0), (0.0, 3.0)], 3.0).tolist() == [[3, 13, 23]]


@given(arrays(np.float64, (3, 2), elements=st.floats(0, 1)), st.lists(st.floats(0, 1), max_size=5))
def test_where_every_answer_costs_a_click_so_does_every_region(infected, seen):
    assert (expected_price(infected, [(p, 3.0) for p in seen], 3.0) == 3).all()


def test_the_best_slices_give_their_best_region():
    scores = np.array([[0.9, 0.8], [0.1, 0.2], [0.7, 0.6]])

    assert rank(scores, 2, one_a_slice=True) == ((0, 0), (2, 0))
    assert rank(scores, 2, one_a_slice=False) == ((0, 0), (0, 1))


def test_fewer_slices_than_picks_give_their_second_best():
    scores = np.array([[0.9, 0.8], [0.1, 0.2]])

    assert rank(scores, 3, one_a_slice=True) == ((0, 0), (1, 1), (0, 1))


def test_what_is_answered_is_never_picked():
    assert rank(np.array([[np.nan, 0.1]]), 5) == ((0, 1),)
    assert rank(np.full((3, 3), np.nan), 5) == ()


@given(tables, st.integers(1, 30), st.booleans())
def test_picks_are_distinct_open_and_as_many_as_there_are(scores, count, one_a_slice):
    picks = rank(scores, count, one_a_slice=one_a_slice)

    assert len(set(picks)) == len(picks) == min(count, int((~np.isnan(scores)).sum()))
    assert not any(np.isnan(scores[pick]) for pick in picks)


@given(tables)
def test_without_a_limit_a_slice_the_scores_descend(scores):
    picked = [scores[pick] for pick in rank(scores, 99, one_a_slice=False)]

    assert picked == sorted(picked, reverse=True)


@given(tables, st.integers(1, 5))
def test_one_a_slice_means_one_a_slice(scores, count):
    slices = [n for n, _ in rank(scores, count)]
    available = int((~np.isnan(scores)).any(axis=1).sum())

    assert len(set(slices)) == min(count, available)


def test_random_scores_follow_from_the_generator():
    first, second = (random_scores((2, 3), np.random.default_rng(5)) for _ in range(2))

    assert (first == second).all()


def test_an_unknown_heuristic_is_said_with_those_there_are():
    with pytest.raises(
        ConfigError, match="entropy, bald, margin, least_confidence, random, foreground_random"
    ):
        check_heuristic("entropi")
