"""What several people are asked of one pool; `test_cycle` and `test_asking` have the rest."""

from itertools import pairwise

import pytest
from fakes import FEW, FakeLearner
from hypothesis import given, settings
from hypothesis import strategies as st

from alnb.annotation import Answer, Verdict
from alnb.asking import Asker
from alnb.cycle import run
from alnb.dataset import share_of
from alnb.errors import ConfigError
from alnb.live import Basis
from alnb.oracle import Oracle
from alnb.pool import Pool, start_picks
from alnb.regions import Region
from alnb.session import Session
from alnb.ui.label import sentences
from alnb.ui.label.screen import COMMON, Explainer

SHARED = FEW.replace(shares=3, overlap=0.25)


def of(n, **changes):
    return SHARED.replace(share=n, **changes)


@settings(deadline=None)
@given(st.integers(1, 6), st.sampled_from([0.0, 0.1, 0.25]), st.integers(0, 99))
def test_every_slice_is_somebodys_or_everybodys(squares, shares, overlap, seed):
    overlap = overlap if shares > 1 else 0.0
    config = FEW.replace(shares=shares, overlap=overlap, seed=seed)
    dealt = [share_of(squares, config.replace(share=n + 1)) for n in range(shares)]
    whole = [where for one in dealt for where in one.own] + list(dealt[0].common)

    assert sorted(whole) == sorted(squares.part("train"))  # each once
    assert len({one.common for one in dealt}) == 1
    assert bool(dealt[0].common) == (overlap > 0)
    assert max(len(one.own) for one in dealt) - min(len(one.own) for one in dealt) <= 1


def test_a_share_follows_from_the_seed_and_the_dataset(squares, unmasked):
    assert share_of(squares, of(2)) == share_of(squares, of(2))
    assert share_of(squares, of(2)) != share_of(squares, of(2, seed=1))
    assert share_of(squares, of(2)).common != share_of(unmasked, of(2)).common


def asked_of(session):
    events = [one for one in session.journal.events if one.kind == "asked"]
    return [pick["region"] for one in events for pick in one.data["picks"]]


@pytest.mark.parametrize("asking", ["cycle", "live"])
def test_people_are_asked_their_own_slices_and_the_same_common_ones(squares, tmp_path, asking):
    asked = []
    for n in (1, 2, 3):
        config = of(n, asking=asking, heuristic="random", start_regions=4)
        session = Session.open(tmp_path / f"{n}", squares, config)
        pool = Pool(squares, session.state.config)
        if asking == "live":
            asker = Asker(session, pool)
            for _ in range(10 + n):
                assert asker.ask()
                session.submit(Answer(session.state.pending[0], Verdict.CLEAN))
        else:
            run(session, FakeLearner(squares, config), Oracle(squares), cycles=3 + n)
        session.close()
        asked.append([(key, Region.parse(key).where in pool.common) for key in asked_of(session)])
        for so_far in range(4, len(asked[-1]) + 1):  # a quarter of the questions, all the time
            count = sum(common for _, common in asked[-1][:so_far])
            assert abs(count - so_far / 4) <= 1.75

    own = [{key for key, common in each if not common} for each in asked]
    shared = [[key for key, common in each if common] for each in asked]
    assert not any(one & other for one, other in ((own[0], own[1]), (own[1], own[2])))
    for fewer, more in pairwise(sorted(shared, key=len)):
        assert more[: len(fewer)] == fewer


def test_once_ones_own_slices_are_done_the_common_ones_are_asked(squares, tmp_path):
    config = of(1, regions_per_slice=4, asking="live", heuristic="random", ask_in="anywhere")
    session = Session.open(tmp_path / "one", squares, config)
    pool = Pool(squares, session.state.config)
    asker = Asker(session, pool)
    while asker.ask():
        session.submit(Answer(session.state.pending[0], Verdict.CLEAN))
    session.close()

    dealt = share_of(squares, config)
    assert len(session.state.answers) == 4 * len(dealt.own + dealt.common)
    assert not pool.left(session.state)


def test_a_share_that_nobody_can_have_begins_no_session(squares, tmp_path):
    with pytest.raises(ConfigError, match="share is 4 of 3"):
        of(4)
    with pytest.raises(ConfigError, match="nobody else has a share"):
        FEW.replace(overlap=0.1)
    with pytest.raises(ConfigError, match="only 8 slices of squares can be dealt out"):
        Session.open(tmp_path / "one", squares, FEW.replace(shares=9))
    assert not (tmp_path / "one").exists()


def test_the_page_says_which_part_it_is_and_why_a_common_region_is_asked(squares, tmp_path):
    session = Session.open(tmp_path / "one", squares, of(2))
    pool = Pool(squares, session.state.config)
    session.ask(start_picks(pool))
    explain = Explainer(pool, session.state, {}).explain
    said = {
        pick.region.where in pool.common: explain(pick.region).sentence
        for pick in session.state.asked
    }

    assert said[True] == COMMON
    assert "drawn at random" in said[False]
    assert " · part 2 of 3 · " in sentences.title(session.state, squares)
    whole = sentences.budget(session.state, squares)[1]
    assert f"({96 * len(pool.slices)} s)" in whole.replace(",", "")


def test_who_is_faster_than_the_network_is_asked_no_more_common_regions(squares, tmp_path):
    session = Session.open(tmp_path / "s", squares, of(1, asking="live", pretrain_steps=1))
    asker = Asker(session, Pool(squares, session.state.config))
    order = asker.order()
    assert [where in asker.pool.common for where in order] == [False, False, True, True]
    FakeLearner(squares, SHARED, session.cache).publish(order[:1], "w")
    asker.use(Basis("w"))
    for _ in range(24):  # more than its one published slice has
        assert asker.ask()
        session.submit(Oracle(squares).answer(session.state.pending[0]))

    common = [Region.parse(key).where in asker.pool.common for key in asked_of(session)]
    assert sum(common) == 6  # a quarter
    session.close()
