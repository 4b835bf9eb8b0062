import asyncio
import itertools

import numpy as np
import pytest
from fakes import FakeLearner, Replay, install_heuristics

from alnb import pool as pool_module
from alnb.annotation import Answer, Verdict
from alnb.config import Config
from alnb.cost import price_of
from alnb.cycle import Answers, Evaluate, Fit, Score, drive_async, loop, next_cycle, ran_out, run
from alnb.dataset import SliceId, build, import_phantom
from alnb.errors import ConfigError, SessionError
from alnb.oracle import Oracle
from alnb.pool import Pool, next_picks, start_picks
from alnb.regions import Region, in_lungs
from alnb.session import Session
from alnb.state import State
from alnb.volumes import Volume

NAMES = ("phantom_01", "phantom_02")
CONFIG = Config(regions_per_slice=16, start_regions=6, regions_per_cycle=2)


def open_session(folder, dataset, config=CONFIG):
    return Session.open(folder, dataset, config, clock=itertools.count().__next__)


def story(session):
    """What happened, without when and how long."""
    return [
        (event.seq, event.kind, {k: v for k, v in event.data.items() if not k.endswith("_s")})
        for event in session.journal.events
    ]


class Person:
    """Answers through the same commands as the app's buttons, a region at a time."""

    def __init__(self, dataset):
        self.knows = Oracle(dataset)

    def label(self, session):
        while session.state.pending:
            session.submit(self.knows.answer(session.state.pending[0]))


def test_a_run_has_a_point_for_the_start_and_each_cycle(tmp_path, squares):
    session = open_session(tmp_path, squares)
    reports = run(session, FakeLearner(squares, CONFIG), Oracle(squares), cycles=3)

    assert [report.cycle for report in reports] == [0, 1, 2, 3]
    assert [report.cost.nominal_s for report in reports] == [18, 24, 30, 36]


def test_every_point_was_trained_on_all_answers_so_far(tmp_path, squares):
    learner = FakeLearner(squares, CONFIG)
    run(open_session(tmp_path, squares), learner, Oracle(squares), cycles=2)

    assert learner.fits == [6, 8, 10]


def test_no_region_is_asked_twice(tmp_path, squares):
    session = open_session(tmp_path, squares)
    run(session, FakeLearner(squares, CONFIG), Oracle(squares), cycles=20)
    keys = [answer.region.key for answer in session.state.given]

    assert len(set(keys)) == len(keys) == 46


@pytest.mark.parametrize("heuristic", ["entropy", "random"])
def test_the_pool_runs_empty_and_the_run_ends(tmp_path, squares, heuristic):
    config = CONFIG.replace(heuristic=heuristic, regions_per_cycle=60)
    session = open_session(tmp_path, squares, config)
    reports = run(session, FakeLearner(squares, config), Oracle(squares), cycles=99)

    assert reports[-1].cost.regions == 8 * 16
    assert len(reports) == 4


def test_the_paper_starts_with_all_regions_of_five_slices(tmp_path, squares):
    config = CONFIG.replace(start="slices", start_slices=5)
    picks = start_picks(Pool(squares, config))

    assert len(picks) == 5 * 16
    assert len({pick.region.where for pick in picks}) == 5


def test_our_start_spreads_over_the_slices(squares):
    picks = start_picks(Pool(squares, CONFIG))

    assert len({pick.region.where for pick in picks}) == 6


def test_our_start_lies_in_the_lungs(chest):
    pool = Pool(chest, Config(start_regions=20))

    assert all(lungs_of(chest, start_picks(pool)))


def test_a_budget_is_never_exceeded(tmp_path, squares):
    config = CONFIG.replace(budget_s=28.0)
    session = open_session(tmp_path, squares, config)
    reports = run(session, FakeLearner(squares, config), Oracle(squares), cycles=99)

    assert reports[-1].cost.nominal_s == 27


@pytest.mark.parametrize("heuristic", ["entropy", "random"])
@pytest.mark.parametrize("seed", range(4))
def test_a_budget_holds_for_what_outlines_cost(tmp_path, squares, heuristic, seed):
    errors = {"labels": "full", "click_jitter_px": 1.0}
    config = CONFIG.replace(budget_s=100, seed=seed, heuristic=heuristic, **errors)
    session = open_session(tmp_path, squares, config)
    oracle = Oracle(squares, seed, config)
    reports = run(session, FakeLearner(squares, config), oracle, cycles=99)
    cost = session.state.cost.nominal_s

    assert cost <= 100
    assert reports[-1].cost.nominal_s == cost  # all that was paid for was learned from
    assert ran_out(session.state)
    if session.state.pending:  # the first that was not given would have overdrawn it
        assert cost + price_of(oracle.answer(session.state.pending[0]), config) > 100


def test_a_run_whose_budget_ran_out_is_not_gone_on_with(tmp_path, squares):
    config = CONFIG.replace(budget_s=100, labels="full")
    learner, oracle = FakeLearner(squares, config), Oracle(squares, 0, config)
    session = open_session(tmp_path, squares, config)
    run(session, learner, oracle, cycles=99)
    before = story(session)

    assert run(session, learner, oracle, cycles=99) == session.state.reports
    assert story(session) == before


def test_a_budget_that_pays_for_nothing_is_said(tmp_path, squares):
    config = CONFIG.replace(budget_s=2.0)

    with pytest.raises(ConfigError, match="does not pay for the first answer"):
        run(open_session(tmp_path, squares, config), FakeLearner(squares, config), Oracle(squares))


@pytest.mark.parametrize("stop_after", ["asked", "answered", "trained", "scored"])
@pytest.mark.parametrize("heuristic", ["entropy", "random"])
def test_a_stopped_run_goes_on_as_if_it_had_not_been(tmp_path, squares, stop_after, heuristic):
    config = CONFIG.replace(heuristic=heuristic)
    whole = open_session(tmp_path / "whole", squares, config)
    run(whole, FakeLearner(squares, config), Oracle(squares), cycles=3)
    stopped = open_session(tmp_path / "stopped", squares, config)
    append = stopped.journal.append

    def interrupt(kind, data=None):
        event = append(kind, data)
        if kind == stop_after and event.data.get("cycle", 1) == 1 and event.seq > 9:
            raise KeyboardInterrupt
        return event

    stopped.journal.append = interrupt
    with pytest.raises(KeyboardInterrupt):
        run(stopped, FakeLearner(squares, config), Oracle(squares), cycles=3)
    stopped.close()
    again = open_session(tmp_path / "stopped", squares, config)
    run(again, FakeLearner(squares, config), Oracle(squares), cycles=3)

    assert story(again) == story(whole)


def test_oracle_person_and_replay_leave_equal_journals(tmp_path, squares):
    by_oracle = open_session(tmp_path / "oracle", squares)
    run(by_oracle, FakeLearner(squares, CONFIG), Oracle(squares), cycles=2)

    by_replay = open_session(tmp_path / "replay", squares)
    replay = Replay(by_oracle.journal.events)
    run(by_replay, FakeLearner(squares, CONFIG), replay, cycles=2)

    by_person = open_session(tmp_path / "person", squares)
    pool, learner = Pool(squares, CONFIG), FakeLearner(squares, CONFIG)
    by_person.ask(start_picks(pool))
    for cycle in range(3):
        Person(squares).label(by_person)
        fit = learner.fit(by_person.state.answers)
        by_person.trained(fit, by_person.state.answers, by_person.state.cost)
        by_person.scored(learner.evaluate("test", fit.weights), 1.0)
        if cycle < 2:
            table = learner.score(pool.slices, fit.weights)
            by_person.ask(next_picks(pool, by_person.state, table))

    assert story(by_replay) == story(by_oracle)
    assert story(by_person) == story(by_oracle)


def test_a_replay_of_another_journal_is_said(squares):
    with pytest.raises(SessionError, match="no answer on region"):
        Replay([]).answer(Region(SliceId("one", 0), 0, 0, 8, 8))


def test_a_dataset_without_masks_has_a_curve_without_dice(tmp_path, unmasked, squares):
    session = open_session(tmp_path, unmasked)
    (report,) = run(session, FakeLearner(unmasked, CONFIG), Oracle(squares), cycles=0)

    assert report.scores is None


def test_the_highest_scores_are_asked_next(squares):
    session_state = State(CONFIG, cycle=0)
    pool = Pool(squares, CONFIG)
    table = FakeLearner(squares, CONFIG).score(pool.slices, "12345678")
    picks = next_picks(pool, session_state, table)

    assert picks[0].score == table["entropy"].max()


def test_an_answer_takes_its_region_out_of_the_pool(squares):
    pool = Pool(squares, CONFIG)
    table = FakeLearner(squares, CONFIG).score(pool.slices, "12345678")
    empty = State(CONFIG, cycle=0)
    (first, _) = next_picks(pool, empty, table)
    answered = State(CONFIG, cycle=0, given=(Answer(first.region, Verdict.SKIPPED),))

    assert first not in next_picks(pool, answered, table)


@pytest.fixture(scope="module")
def chest(tmp_path_factory):
    """Two scans of the phantom to ask about."""
    folder = tmp_path_factory.mktemp("chest") / "data"
    return import_phantom(folder, scans=2, size=64, split=dict.fromkeys(NAMES, "train"))


def lungs_of(dataset, picks):
    """Tell of each pick whether it lies in the lungs, a slice at a time."""
    by_slice = {}
    for pick in picks:
        by_slice.setdefault(pick.region.where, []).append(pick.region)
    return [
        bool(inside)
        for where, regions in by_slice.items()
        for inside in in_lungs(dataset.raw(where), regions, hu=dataset.unit(where) == "hu")
    ]


@pytest.mark.parametrize(
    "settings", [{"heuristic": "random"}, {"heuristic": "foreground_random", "ask_in": "body"}]
)
def test_regions_are_asked_in_the_lungs_and_elsewhere_only_after_them(chest, settings):
    config = Config(regions_per_cycle=30, **settings)
    pool = Pool(chest, config)
    picks = next_picks(pool, State(config, cycle=0), {})
    lungs = pool.picks(np.ones(pool.shape), 9999, one_a_slice=False)
    scores = np.ones(pool.shape)
    for pick in lungs:
        scores[pool.place(pick.region)] = np.nan

    assert len(picks) == 30
    assert all(lungs_of(chest, [*picks, *lungs]))
    others = pool.picks(scores, 9999, one_a_slice=False)
    assert others and not any(lungs_of(chest, others))


def test_a_body_is_asked_about_where_a_person_wants_it(chest):
    config = Config(heuristic="random", regions_per_cycle=200, ask_in="body")
    picks = next_picks(Pool(chest, config), State(config, cycle=0), {})

    assert 0 < sum(lungs_of(chest, picks)) < 200


def test_foreground_random_follows_from_the_seed_and_the_cycle(chest):
    config = Config(heuristic="foreground_random")

    def picks(cycle=0, **changes):
        changed = config.replace(**changes)
        return next_picks(Pool(chest, changed), State(changed, cycle=cycle), {})

    assert picks() == picks()
    assert picks() != picks(seed=1) and picks() != picks(cycle=1)


def test_lungs_are_looked_for_in_few_slices(chest, monkeypatch):
    looked = []
    monkeypatch.setattr(
        pool_module,
        "in_lungs",
        lambda values, regions, **how: looked.append(1) or in_lungs(values, regions, **how),
    )
    config = Config(heuristic="random", regions_per_cycle=2)
    pool = Pool(chest, config)
    next_picks(pool, State(config, cycle=0), {})

    assert 2 <= len(looked) < len(pool.slices) / 2


def test_a_packages_heuristic_runs_the_loop(tmp_path, squares, monkeypatch):
    install_heuristics(tmp_path / "lib", "def low(p):\n    return 1 - p.mean\n", low="theirs:low")
    monkeypatch.syspath_prepend(tmp_path / "lib")
    config = CONFIG.replace(heuristic="low")
    learner = FakeLearner(squares, config)
    score = learner.score
    learner.score = lambda *asked: {"low": score(*asked)["entropy"]}

    assert (
        len(run(open_session(tmp_path / "s", squares, config), learner, Oracle(squares), cycles=2))
        == 3
    )


@pytest.mark.parametrize(("ask_in", "asked"), [("body", 3 * 4), ("anywhere", 4 * 4)])
@pytest.mark.parametrize("start", ["regions", "slices"])
def test_regions_that_show_nothing_are_asked_in_the_paper_alone(padded, start, ask_in, asked):
    config = Config(regions_per_slice=4, start=start, start_regions=99, ask_in=ask_in)
    regions = [pick.region for pick in start_picks(Pool(padded, config))]

    assert len(regions) == asked
    assert any(region.row == region.col == 0 for region in regions) is (ask_in == "anywhere")


def test_the_next_regions_show_something(padded, tmp_path):
    config = Config(regions_per_slice=4, regions_per_cycle=4)
    pool = Pool(padded, config)
    table = np.zeros(pool.shape)
    table[:, 0] = 1  # the network is least sure of the padding
    state = Session.open(tmp_path / "session", padded, config).state

    picks = next_picks(pool, state, {"entropy": table})

    assert len({pick.region.where for pick in picks}) == 4
    assert all(pick.region.row or pick.region.col for pick in picks)


@pytest.fixture
def padded(tmp_path):
    """Four slices of noise with a black quarter."""
    voxels = np.random.default_rng(0).integers(0, 255, (4, 32, 32), dtype=np.uint8)
    voxels[:, :16, :16] = 0
    volume = Volume.made("padded", voxels, unit="grey", spacing_mm=(1, 1, 1))
    return build([(volume, None)], tmp_path / "padded", size=32, split={"padded": "train"})


def test_the_loop_asks_for_answers_a_training_and_its_measure_in_this_order(tmp_path, squares):
    session, learner = open_session(tmp_path, squares), FakeLearner(squares, CONFIG)
    steps = loop(session, Pool(squares, CONFIG), lambda state: state.cycle >= 1)
    asked, result = [], None
    while len(asked) < 8:
        request = steps.send(result)
        asked.append(type(request))
        answered = isinstance(request, Answers)
        result = Person(squares).label(session) if answered else request.by(learner)

    assert asked == [Answers, Fit, Evaluate, Score] * 2
    with pytest.raises(StopIteration):
        steps.send(result)


def test_a_person_with_a_training_process_writes_the_journal_of_a_run(tmp_path, squares):
    first = open_session(tmp_path / "run", squares)
    run(first, FakeLearner(squares, CONFIG), Oracle(squares), cycles=2)
    second, learner = open_session(tmp_path / "app", squares), FakeLearner(squares, CONFIG)
    pool, person = Pool(squares, CONFIG), Person(squares)

    async def perform(request):
        await asyncio.sleep(0)
        return request.by(learner)

    async def use():
        second.ask(start_picks(pool))
        for _ in range(3):
            person.label(second)
            await drive_async(next_cycle(second, pool), perform)

    asyncio.run(use())

    assert story(second)[:-1] == story(first)  # and the questions of one more cycle


def test_what_fails_halfway_goes_on_from_there(tmp_path, squares):
    session, learner = open_session(tmp_path, squares), FakeLearner(squares, CONFIG)
    pool = Pool(squares, CONFIG)
    session.ask(start_picks(pool))
    Person(squares).label(session)

    async def perform(request):
        if isinstance(request, Score) and len(learner.fits) == 1:
            raise SessionError("cancelled")
        return request.by(learner)

    with pytest.raises(SessionError, match="cancelled"):
        asyncio.run(drive_async(next_cycle(session, pool), perform))
    asyncio.run(drive_async(next_cycle(session, pool), perform))

    kinds = [event.kind for event in session.journal.events if event.kind != "answered"]
    assert kinds == ["opened", "asked", "trained", "scored", "asked"]
