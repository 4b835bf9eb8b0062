import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from alnb.acquisition import HEURISTICS, check_heuristic, random_scores, rank, region_scores
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
    agreed = Posterior.from_draws([np.array([[0.5, 0.0]]), np.array([[0.5, 1.0]])])

    assert HEURISTICS["bald"](agreed).argmax() == 1


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
    with pytest.raises(ConfigError, match="entropy, bald, random"):
        check_heuristic("entropi")
