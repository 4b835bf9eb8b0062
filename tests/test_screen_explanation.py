import dataclasses

import numpy as np
import pytest

from alnb.annotation import Answer, Verdict
from alnb.config import Config
from alnb.cost import Cost
from alnb.pool import Pool, next_picks
from alnb.reports import CycleReport, FitReport
from alnb.state import State
from alnb.ui.label.screen import MAY_REPEAT, Explainer, asking_weights

CONFIG = Config(regions_per_slice=4, regions_per_cycle=2, ask_in="anywhere")
FIT = FitReport(
    weights="w", backbone="fake", device="none", steps=1, loss=1.0, threshold=0.5,
    heldout=0, heldout_accuracy=None, train_s=0.25,
)  # fmt: skip


@pytest.fixture
def pool(squares):
    return Pool(squares, CONFIG)


@pytest.fixture
def tables(pool, rng):
    return {"bald": rng.random(pool.shape), "entropy": rng.random(pool.shape)}


@pytest.fixture
def state(pool, tables):
    """After one cycle, whose only answer was on the best region of all."""
    n, k = np.unravel_index(tables["entropy"].argmax(), pool.shape)
    best = pool.regions(pool.slices[n])[k]
    report = CycleReport(cycle=0, cost=Cost(), scores=None, fit=FIT, score_s=0.1)
    before = State(CONFIG, cycle=0, given=(Answer(best, Verdict.CLEAN),), reports=(report,))
    picks = next_picks(pool, before, tables)
    return dataclasses.replace(before, cycle=1, asked=picks)


def test_each_pick_has_its_place_and_rank(pool, state, tables):
    explainer = Explainer(pool, state, tables)
    first = explainer.explain(state.asked[0].region, mean=0.25)

    assert first.sentence == "Number 1 of 2 by entropy."
    assert first.mean == 0.25
    assert [reason.heuristic for reason in first.reasons] == ["entropy", "bald"]
    own = first.reasons[0]
    assert (own.rank, own.place, own.of) == (1, 1, 31)  # of 32, one was answered before
    assert own.score == state.asked[0].score
    assert first.chance == pytest.approx(2 / 31)


@pytest.fixture
def told(pool):
    """Explain what a cycle asks, by its entropy and the settings given."""

    def explain(entropy, **settings):
        other = Pool(pool.dataset, CONFIG.replace(**settings))
        report = CycleReport(cycle=0, cost=Cost(), scores=None, fit=FIT, score_s=0.1)
        before = State(other.config, cycle=0, reports=(report,))
        tables = {"entropy": entropy, "bald": entropy.copy()}
        asked = dataclasses.replace(before, cycle=1, asked=next_picks(other, before, tables))
        explainer = Explainer(other, asked, tables)
        return [explainer.explain(pick.region) for pick in asked.asked]

    return explain


@pytest.mark.parametrize("settings", [{}, {"one_region_a_slice": False}, {"ask_in": "body"}])
def test_ranks_follow_the_order_in_which_the_cycle_asked(pool, rng, told, monkeypatch, settings):
    entropy = rng.random(pool.shape)
    entropy[0] = 1.0, 1.1, 1.2, 1.3  # the best of all, in one slice
    monkeypatch.setattr(Pool, "left_out", lambda pool, where: np.array(
        [False, False, False, pool.config.ask_in != "anywhere"]
    ))  # fmt: skip
    asked = told(entropy, regions_per_cycle=6, **settings)

    for n, explanation in enumerate(asked, 1):
        assert explanation.sentence == f"Number {n} of 6 by entropy."
        assert [(r.rank, r.place) for r in explanation.reasons] == [(n, n), (n, n)]


def test_equal_scores_keep_the_order_of_the_cycle(pool, told):
    asked = told(np.ones(pool.shape), regions_per_cycle=6)

    assert [explanation.reasons[0].rank for explanation in asked] == [1, 2, 3, 4, 5, 6]


def test_answers_of_the_same_cycle_change_no_rank(pool, state, tables):
    before = Explainer(pool, state, tables).explain(state.asked[1].region)
    answered = (*state.given, *(Answer(pick.region, Verdict.CLEAN) for pick in state.asked))
    after = Explainer(pool, dataclasses.replace(state, given=answered), tables)

    assert after.explain(state.asked[1].region) == before


def test_what_another_heuristic_would_have_asked_is_told(pool, state, tables):
    other = dict(tables, bald=-tables["entropy"])
    reason = Explainer(pool, state, other).explain(state.asked[0].region).reasons[1]

    assert reason.place == 0
    assert reason.rank == 31


def test_the_start_is_random(pool, state):
    start = dataclasses.replace(state, cycle=0, given=(), reports=())

    assert "no network yet" in Explainer(pool, start, {}).explain(state.asked[0].region).sentence
    assert asking_weights(start) == ""
    assert asking_weights(state) == "w"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"ask_in": "body"}, "drawn at random; there"),
        ({"start": "slices"}, "all regions of slices"),
    ],
)
def test_the_start_says_what_it_is_drawn_from(pool, state, settings, words):
    start = dataclasses.replace(state, cycle=0, given=(), reports=())
    other = dataclasses.replace(pool, config=pool.config.replace(**settings))

    assert words in Explainer(other, start, {}).explain(state.asked[0].region).sentence


def test_random_says_so(pool, state):
    config = CONFIG.replace(heuristic="random")
    random = dataclasses.replace(state, config=config)
    explanation = Explainer(pool, random, {}).explain(state.asked[0].region)

    assert explanation.sentence == "Number 1 of 2 drawn at random."
    assert explanation.reasons == ()


@pytest.mark.parametrize("heuristic", ["foreground_random", "entropy"])
@pytest.mark.parametrize(("found", "words"), [(True, " in and around the lungs"), (False, "")])
def test_a_draw_in_the_lungs_says_so(pool, state, monkeypatch, heuristic, found, words):
    monkeypatch.setattr(
        "alnb.pool.in_lungs", lambda _, regions, **how: np.full(len(regions), found)
    )
    config = CONFIG.replace(heuristic=heuristic, ask_in="lungs")
    start = dataclasses.replace(state, config=config, cycle=0, given=(), reports=())
    explainer = Explainer(Pool(pool.dataset, config), start, {})

    sentence = explainer.explain(state.asked[0].region).sentence
    assert sentence == f"Start: drawn at random{words}; there is no network yet."


def test_no_score_tells_which_question_comes_twice(squares, state, tables):
    pool = Pool(squares, CONFIG.replace(repeats=0.25))
    explainer = Explainer(pool, state, tables)
    told = [explainer.explain(pick.region, mean=0.9) for pick in state.asked]

    assert [one.reasons for one in told] == [(), ()]
    assert {one.mean for one in told} == {None}
    assert told[1].sentence == f"Number 2 of 2 asked by entropy. {MAY_REPEAT}"


def test_a_region_opened_again_was_not_asked(pool, state, tables):
    explanation = Explainer(pool, state, tables).explain(state.given[0].region)

    assert "You chose this region" in explanation.sentence
