"""The loop on each kind of regions."""

import itertools

import numpy as np
import pytest
from fakes import FakeLearner, Replay

from alnb.annotation import Answer, Verdict, point_labels
from alnb.arrays import UNLABELLED
from alnb.config import Config
from alnb.cycle import run
from alnb.dataset import build
from alnb.journal import Journal
from alnb.oracle import Oracle
from alnb.pool import Pool, next_picks, start_picks
from alnb.regions import Region
from alnb.session import Session
from alnb.state import State, state_of
from alnb.volumes import Volume

CONFIG = Config(regions_per_slice=16, start_regions=6, regions_per_cycle=5, ask_in="anywhere")
KINDS = ("grid", "superpixels")


def open_session(folder, dataset, config):
    return Session.open(folder, dataset, config, clock=itertools.count().__next__)


def run_to(folder, dataset, config, cycles=99, annotator=None):
    session = open_session(folder, dataset, config)
    run(session, FakeLearner(dataset, config), annotator or Oracle(dataset), cycles=cycles)
    return session


def story(session):
    """What happened, without when and how long."""
    return [
        (event.seq, event.kind, {k: v for k, v in event.data.items() if not k.endswith("_s")})
        for event in session.journal.events
    ]


def times_asked(regions, where, size=32):
    drawn = [region.drawn((size, size)).astype(int) for region in regions if region.where == where]
    return sum(drawn, np.zeros((size, size), int))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("heuristic", ["entropy", "random"])
@pytest.mark.parametrize("start", ["regions", "slices"])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_pixel_is_asked_about_once_until_none_is_left(
    tmp_path, squares, kind, heuristic, start, seed
):
    config = CONFIG.replace(
        regions=kind,
        heuristic=heuristic,
        start=start,
        start_slices=1,
        regions_per_cycle=11,
        seed=seed,
    )
    session = run_to(tmp_path, squares, config)
    regions = [answer.region for answer in session.state.given]

    for where in squares.part("train"):
        assert (times_asked(regions, where) == 1).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "settings",
    [{"one_region_a_slice": False}, {"heuristic": "foreground_random"}, {"region_score": "max"}],
    ids=str,
)
def test_however_regions_are_chosen_each_pixel_is_asked_about_once(
    tmp_path, squares, kind, settings
):
    session = run_to(
        tmp_path, squares, CONFIG.replace(regions=kind, regions_per_cycle=9, **settings)
    )
    regions = [answer.region for answer in session.state.given]

    for where in squares.part("train"):
        assert (times_asked(regions, where) == 1).all()


@pytest.mark.parametrize("kind", KINDS)
def test_an_answered_region_is_found_in_the_table(tmp_path, squares, kind):
    config = CONFIG.replace(regions=kind)
    session, pool = run_to(tmp_path, squares, config, cycles=1), Pool(squares, config)

    for answer in session.state.answers:
        n, k = pool.place(answer.region)
        assert pool.regions(pool.slices[n])[k] == answer.region
    assert pool.place(Region(pool.slices[0], 1, 1, 3, 3)) is None
    assert pool.place(Region(squares.part("test")[0], 0, 0, 8, 8)) is None


@pytest.mark.parametrize("kind", KINDS)
def test_no_pixel_is_asked_about_twice_where_regions_stay_unanswered(tmp_path, squares, kind):
    config = CONFIG.replace(regions=kind)
    session = open_session(tmp_path, squares, config)
    pool, learner, oracle = Pool(squares, config), FakeLearner(squares, config), Oracle(squares)
    session.ask(start_picks(pool))
    for cycle in range(40):
        for region in session.state.pending[cycle % 3 :]:
            session.submit(oracle.answer(region))
        if cycle % 4 == 3:
            session.undo()
        table = learner.score(pool.slices, f"{cycle:08x}")
        session.ask(next_picks(pool, session.state, table))
    asked = [Region.parse(key) for key in session.state.ever_asked]

    for where in squares.part("train"):
        assert times_asked(asked, where).max() == 1
    assert len(asked) > 60


@pytest.mark.parametrize("kind", KINDS)
def test_the_journal_alone_repeats_the_run(tmp_path, squares, kind):
    config = CONFIG.replace(regions=kind)
    first = run_to(tmp_path / "first", squares, config, cycles=2)
    events = Journal(tmp_path / "first" / "journal.jsonl").events

    again = run_to(tmp_path / "again", squares, config, cycles=2, annotator=Replay(events))

    assert story(again) == story(first)
    assert state_of(events).answers == first.state.answers
    labels = [point_labels([answer], (32, 32)) for answer in state_of(events).answers]
    sizes = [answer.region.drawn((32, 32)).sum() for answer in first.state.answers]
    for answer, drawn, size in zip(first.state.answers, labels, sizes, strict=True):
        clean = answer.verdict is Verdict.CLEAN
        assert (drawn != UNLABELLED).sum() == (size if clean else len(answer.clicks))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("heuristic", ["entropy", "random"])
def test_a_stopped_run_goes_on_as_if_it_had_not_been(tmp_path, squares, kind, heuristic):
    config = CONFIG.replace(regions=kind, heuristic=heuristic)
    whole = run_to(tmp_path / "whole", squares, config, cycles=4)
    for cycles in (0, 1, 2, 4):
        part = run_to(tmp_path / "parts", squares, config, cycles=cycles)
        part.close()

    assert story(part) == story(whole)


def test_the_next_superpixels_are_the_best_scored(squares):
    config = CONFIG.replace(regions="superpixels", one_region_a_slice=False)
    pool = Pool(squares, config)
    table = np.full(pool.shape, np.nan)
    for n, where in enumerate(pool.slices):
        count = len(pool.regions(where))
        table[n, :count] = np.random.default_rng(n).random(count)

    picks = next_picks(pool, State(config), {"entropy": table})

    n, k = np.unravel_index(np.nanargmax(table), table.shape)
    assert picks[0].region == pool.regions(pool.slices[n])[k]
    assert [pick.score for pick in picks] == sorted(table[~np.isnan(table)])[: -len(picks) - 1 : -1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("from_kind", KINDS)
def test_a_fork_to_other_regions_leaves_out_what_was_asked(tmp_path, squares, kind, from_kind):
    config = CONFIG.replace(regions=from_kind, regions_per_slice=9, start_regions=12)
    old = run_to(tmp_path / "old", squares, config, cycles=1)
    old.close()
    fork = old.fork(tmp_path / "new", 1, regions=kind, regions_per_slice=16)
    run(fork, FakeLearner(squares, fork.state.config), Oracle(squares), cycles=99)
    regions = [answer.region for answer in fork.state.given]
    before = [answer.region for answer in old.state.given]

    for where in squares.part("train"):
        times, first = times_asked(regions, where), times_asked(before, where)
        assert times.max() == 1
        for part in Pool(squares, fork.state.config).regions(where):
            assert part.pixels(first).any() or part.pixels(times).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("start", ["regions", "slices"])
def test_regions_that_show_nothing_are_asked_in_the_paper_alone(tmp_path, kind, start):
    voxels = np.random.default_rng(0).integers(90, 255, (2, 32, 32), dtype=np.uint8)
    voxels[:, :16] = 0
    volume = Volume.made("padded", voxels, unit="grey")
    dataset = build([(volume, None)], tmp_path / "padded", size=32, split={"padded": "train"})
    config = CONFIG.replace(regions=kind, start=start, start_regions=99)
    asked, shown = (
        [pick.region for pick in start_picks(Pool(dataset, config.replace(ask_in=ask_in)))]
        for ask_in in ("anywhere", "body")
    )

    for where in dataset.slices:
        assert (times_asked(asked, where) == 1).all()
        assert (times_asked(shown, where)[16:] == 1).all()
        assert times_asked(shown, where)[:12].mean() < 0.3  # superpixels may reach over the edge
    pool = Pool(dataset, config)
    assert len(pool.left_out(where)) == len(pool.regions(where))


def test_an_answer_on_another_slice_closes_nothing(squares):
    pool = Pool(squares, CONFIG)
    elsewhere = Region(squares.part("test")[0], 0, 0, 8, 8)
    state = type("S", (), {"answers": (Answer(elsewhere, Verdict.SKIPPED),), "cycle": 0})

    assert not np.isnan(pool.open(np.zeros(pool.shape), state)).any()
