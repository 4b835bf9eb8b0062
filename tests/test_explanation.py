import dataclasses

import numpy as np
import pytest

from alnb.annotation import Answer, Verdict
from alnb.config import Config
from alnb.cost import Cost
from alnb.pool import Pool, next_picks
from alnb.reports import CycleReport, FitReport
from alnb.state import State
from alnb.ui.label.explanation import MAY_REPEAT, Judge, scored_by

CONFIG = Config(regions_per_slice=4, regions_per_cycle=2, ask_bare=True)
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
    judge = Judge(pool, state, tables)
    first = judge.why(state.asked[0].region, mean=0.25)

    assert first.sentence == "Number 1 of 2 by entropy."
    assert first.mean == 0.25
    assert [reason.heuristic for reason in first.reasons] == ["entropy", "bald"]
    own = first.reasons[0]
    assert (own.rank, own.place, own.of) == (1, 1, 31)  # of 32, one was answered before
    assert own.score == state.asked[0].score
    assert first.chance == pytest.approx(2 / 31)


def test_answers_of_the_same_cycle_change_no_rank(pool, state, tables):
    before = Judge(pool, state, tables).why(state.asked[1].region)
    answered = (*state.given, *(Answer(pick.region, Verdict.CLEAN) for pick in state.asked))
    after = Judge(pool, dataclasses.replace(state, given=answered), tables)

    assert after.why(state.asked[1].region) == before


def test_what_another_heuristic_would_have_asked_is_told(pool, state, tables):
    other = dict(tables, bald=-tables["entropy"])
    reason = Judge(pool, state, other).why(state.asked[0].region).reasons[1]

    assert reason.place == 0
    assert reason.rank == 31


def test_the_start_is_random(pool, state):
    start = dataclasses.replace(state, cycle=0, given=(), reports=())

    assert "no network yet" in Judge(pool, start, {}).why(state.asked[0].region).sentence
    assert scored_by(start) == ""
    assert scored_by(state) == "w"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "inside the lungs first"),
        ({"start_in_lungs": 0.0}, "drawn at random; there"),
        ({"start": "slices"}, "all regions of slices"),
    ],
)
def test_the_start_says_what_it_is_drawn_from(pool, state, settings, words):
    start = dataclasses.replace(state, cycle=0, given=(), reports=())
    other = dataclasses.replace(pool, config=pool.config.replace(**settings))

    assert words in Judge(other, start, {}).why(state.asked[0].region).sentence


def test_random_says_so(pool, state):
    config = CONFIG.replace(heuristic="random")
    random = dataclasses.replace(state, config=config)
    why = Judge(pool, random, {}).why(state.asked[0].region)

    assert why.sentence == "Number 1 of 2 drawn at random."
    assert why.reasons == ()


def test_no_score_tells_which_question_comes_twice(squares, state, tables):
    pool = Pool(squares, CONFIG.replace(repeats=0.25))
    judge = Judge(pool, state, tables)
    told = [judge.why(pick.region, mean=0.9) for pick in state.asked]

    assert [one.reasons for one in told] == [(), ()]
    assert {one.mean for one in told} == {None}
    assert told[1].sentence == f"Number 2 of 2 asked by entropy. {MAY_REPEAT}"


def test_a_region_opened_again_was_not_asked(pool, state, tables):
    why = Judge(pool, state, tables).why(state.given[0].region)

    assert "You opened it yourself" in why.sentence
