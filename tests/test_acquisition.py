import sys

import numpy as np
import pytest
from fakes import install_heuristics, posterior_of
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from alnb.acquisition import (
    HEURISTICS,
    check_heuristic,
    heuristics_of,
    load_plugin,
    needs_network,
    plugin_names,
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


def test_a_region_scores_the_mean_or_the_largest_of_its_pixels():
    score = np.arange(16.0).reshape(4, 4)
    regions = grid(HERE, (4, 4), 4)

    assert region_scores(score, regions, "mean").tolist() == [2.5, 4.5, 10.5, 12.5]
    assert region_scores(score, regions, "max").tolist() == [5, 7, 13, 15]


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


def test_region_means_of_margin_and_entropy_may_rank_differently():
    even, mixed = np.full((1, 4), 0.15), np.array([[0.0, 0.0, 0.5, 0.2]])
    a, b = (Posterior(mean, np.zeros((1, 4)), 2) for mean in (even, mixed))

    assert HEURISTICS["entropy"](a).mean() > HEURISTICS["entropy"](b).mean()
    assert HEURISTICS["margin"](a).mean() < HEURISTICS["margin"](b).mean()


def test_only_random_heuristics_need_no_network():
    needy = {name for name in (*HEURISTICS, "random", "foreground_random") if needs_network(name)}

    assert needy == set(HEURISTICS)


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


@given(tables, st.integers(1, 30), st.booleans())
def test_few_are_the_first_of_all(scores, count, one_a_slice):
    few = rank(scores, count, one_a_slice=one_a_slice)

    assert few == rank(scores, scores.size, one_a_slice=one_a_slice)[:count]


@given(tables)
def test_without_a_limit_a_slice_the_scores_descend(scores):
    picked = [scores[pick] for pick in rank(scores, 99, one_a_slice=False)]

    assert picked == sorted(picked, reverse=True)


@given(tables, st.integers(1, 5))
def test_one_a_slice_means_one_a_slice(scores, count):
    slices = [n for n, _ in rank(scores, count)]
    available = int((~np.isnan(scores)).any(axis=1).sum())

    assert len(set(slices)) == min(count, available)


def test_an_unknown_heuristic_is_said_with_those_there_are():
    with pytest.raises(
        ConfigError, match="entropy, bald, margin, least_confidence, random, foreground_random"
    ):
        check_heuristic("entropi")


POSTERIOR = Posterior(np.full((4, 4), 0.25), np.zeros((4, 4)), 2)
CODE = """
import numpy as np

def variance(posterior):
    return posterior.mean * (1 - posterior.mean)

def flat(posterior):
    return posterior.mean.ravel()

def endless(posterior):
    return np.full(posterior.mean.shape, np.inf)

def broken(posterior):
    return posterior.nothing

number = 3
"""


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    """A package with heuristics, of which one is good."""
    names = ("variance", "flat", "endless", "broken", "number", "absent")
    entries = {name: f"theirs:{name}" for name in names}
    install_heuristics(tmp_path, CODE, **entries, gone="no_such_module:score")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_the_heuristics_of_a_package_are_named_and_not_loaded(theirs):
    assert {"variance", "gone"} <= set(plugin_names())
    assert check_heuristic("gone") == "gone"
    assert "theirs" not in sys.modules


def test_a_packages_heuristic_scores_pixels(theirs):
    assert (load_plugin("variance")(POSTERIOR) == 0.1875).all()


def test_it_is_scored_only_if_it_is_chosen(theirs):
    assert "variance" not in heuristics_of(Config())
    assert "variance" in heuristics_of(Config(heuristic="variance"))


def test_an_unknown_heuristic_is_said_with_those_of_packages(theirs):
    with pytest.raises(ConfigError, match=r"foreground_random, absent, broken, .*variance\."):
        check_heuristic("varianc")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("gone", "of the package theirs can't be loaded from 'no_such_module:score' (ModuleNotF"),
        ("absent", "can't be loaded from 'theirs:absent' (AttributeError"),
        ("number", "is no function: 'theirs:number'"),
        ("nobodys", "is brought by no package"),
    ],
)
def test_one_that_can_not_be_loaded_is_a_sentence(theirs, name, sentence):
    with pytest.raises(ConfigError) as error:
        load_plugin(name)

    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("flat", r"returned an array of shape \(16,\); the slice's is \(4, 4\)"),
        ("endless", "not finite"),
        ("broken", r"failed \(AttributeError: .*nothing"),
    ],
)
def test_one_that_returns_what_it_must_not_is_a_sentence(theirs, name, sentence):
    with pytest.raises(ConfigError, match=sentence):
        load_plugin(name)(POSTERIOR)


def test_two_packages_may_not_bring_the_same(theirs, tmp_path, monkeypatch):
    install_heuristics(tmp_path / "more", CODE, package="others", variance="theirs:flat")
    monkeypatch.syspath_prepend(tmp_path / "more")

    with pytest.raises(ConfigError, match="brought by others and theirs; it must be one"):
        load_plugin("variance")


def test_what_is_named_as_one_of_ours_is_not_used(tmp_path, monkeypatch):
    install_heuristics(tmp_path, CODE, entropy="theirs:broken")
    monkeypatch.syspath_prepend(tmp_path)

    assert heuristics_of(Config())["entropy"](POSTERIOR).shape == (4, 4)


def test_a_packages_heuristic_changes_nothing_that_others_score(tmp_path, monkeypatch):
    code = """
def greedy(posterior):
    posterior.mean[:] = 1
    return posterior.mean

def same(posterior):
    return posterior.mean
"""
    install_heuristics(tmp_path, code, greedy="theirs:greedy", same="theirs:same")
    monkeypatch.syspath_prepend(tmp_path)
    before = POSTERIOR.mean.copy()

    with pytest.raises(ConfigError, match="'greedy' of the package theirs failed"):
        load_plugin("greedy")(POSTERIOR)
    load_plugin("same")(POSTERIOR)[:] = 7
    assert np.array_equal(POSTERIOR.mean, before)


def test_a_broken_list_of_any_package_brings_no_heuristic(tmp_path, monkeypatch):
    install_heuristics(tmp_path, CODE, mine="theirs:flat")
    (tmp_path / "theirs-1.0.dist-info" / "entry_points.txt").write_text("[alnb.heuristics]\nmine\n")
    monkeypatch.syspath_prepend(tmp_path)

    assert "mine" not in plugin_names()
    for find in (check_heuristic, load_plugin):
        with pytest.raises(ConfigError, match="mine"):
            find("mine")
