import itertools
from contextlib import closing

import numpy as np
import pytest
from fakes import FakeLearner

from alnb.annotation import Answer, Click, Verdict
from alnb.asking import Asker
from alnb.config import Config
from alnb.cycle import Evaluate, Fit, Publish, begin_live, drive, learn_live, run
from alnb.dataset import import_nifti
from alnb.errors import ConfigError
from alnb.live import Basis
from alnb.oracle import Oracle
from alnb.pool import Pool
from alnb.regions import find_lungs
from alnb.session import Session
from alnb.ui.explore.recording import steps_of
from alnb.ui.label.screen import explain_now

CONFIG = Config(
    asking="live", regions_per_slice=16, start_regions=4, regions_per_cycle=3, pretrain_steps=0
)


def open_session(folder, dataset, config=CONFIG):
    return Session.open(folder, dataset, config, clock=itertools.count().__next__)


def asker_of(session):
    return Asker(session, Pool(session.dataset, session.state.config))


def simulate(folder, dataset, config=CONFIG, cycles=2):
    session = open_session(folder, dataset, config)
    learner = FakeLearner(dataset, config, session.cache)
    reports = run(session, learner, Oracle(dataset), cycles=cycles)
    return session, reports


def asked(session):
    return [event.data for event in session.journal.events if event.kind == "asked"]


def test_regions_are_asked_one_at_a_time_and_trainings_come_in_between(squares, tmp_path):
    session, reports = simulate(tmp_path, squares)
    assert [len(data["picks"]) for data in asked(session)] == [1] * 10
    assert [data["cycle"] for data in asked(session)] == [0] * 4 + [1] * 3 + [2] * 3
    assert [report.cost.regions for report in reports] == [4, 7, 10]
    assert [report.cycle for report in reports] == [0, 1, 2]


def test_a_question_says_what_chose_it(squares, tmp_path):
    session, reports = simulate(tmp_path, squares)
    by = [data["by"] for data in asked(session)]
    assert [one["answers"] for one in by] == [0, 1, 2, 3, 0, 1, 2, 0, 1, 2]  # that are new
    first = next(n for n, one in enumerate(by) if one["weights"])
    given = enumerate(session.state.given)
    infected = next(n for n, answer in given if answer.verdict is Verdict.INFECTED)
    assert first == min(infected + 1, 4)  # by chance, until some infection is known
    weights = [report.fit.weights for report in reports]
    assert [one["weights"] for one in by[4:]] == [weights[0]] * 3 + [weights[1]] * 3
    assert all(one["slices"] == len(squares.part("train")) for one in by[4:])


def found_again(folder, session, n):
    """Choose the question of event n from the journal before it alone."""
    lines = session.journal.path.read_bytes().splitlines(keepends=True)
    folder.mkdir(parents=True)
    (folder / "journal.jsonl").write_bytes(b"".join(lines[:n]))
    by = session.journal.events[n].data["by"]
    with closing(open_session(folder, session.dataset)) as again:
        asker = asker_of(again)
        trained = by["weights"] if by["weights"] != FakeLearner.origin else ""
        learner = FakeLearner(again.dataset, CONFIG, again.cache)
        learner.publish(asker.order(trained)[: by["slices"]], by["weights"])
        asker.use(Basis(by["weights"], learned=bool(trained)), trained)
        pick = asker.choice(again.state)[0]
        return pick.region.key, round(pick.score, 6), len(asker.live.answers)


def is_found_again(folder, session):
    questions = [
        n for n, event in enumerate(session.journal.events)
        if event.kind == "asked" and event.data["by"]["weights"]
    ]  # fmt: skip
    for n in questions:
        data = session.journal.events[n].data
        (pick,) = data["picks"]
        told = pick["region"], pick["score"], data["by"]["answers"]
        assert found_again(folder / str(n), session, n) == told
    return len(questions)


def test_each_question_can_be_found_again_from_the_journal(squares, tmp_path):
    session, _ = simulate(tmp_path / "run", squares)
    assert is_found_again(tmp_path, session) >= 6


def test_a_run_is_the_same_again(squares, tmp_path):
    def story(session):
        return [(e.kind, {k: v for k, v in e.data.items() if not k.endswith("_s")})
                for e in session.journal.events[1:]]  # fmt: skip

    assert story(simulate(tmp_path / "one", squares)[0]) == story(
        simulate(tmp_path / "two", squares)[0]
    )


@pytest.mark.parametrize("cut", [3, 9, 12, 15, 20])
def test_a_stopped_run_ends_as_one_that_was_not(squares, tmp_path, cut):
    whole, reports = simulate(tmp_path / "whole", squares)
    lines = (tmp_path / "whole" / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "journal.jsonl").write_bytes(b"".join(lines[:cut]))
    again, later = simulate(tmp_path / "cut", squares)
    assert again.state.answers == whole.state.answers
    assert [r.scores for r in later] == [r.scores for r in reports]


def test_the_curve_has_a_point_after_each_answer(squares, tmp_path):
    session, _ = simulate(tmp_path, squares)
    samples = session.state.samples
    assert [sample.cost.regions for sample in samples] == list(range(11))
    assert samples[-1].slices == len(squares.part("test"))
    session.undo()
    asker_of(session).measure()
    session.sampled(samples[9])
    assert [sample.cost.regions for sample in session.state.samples] == list(range(10))


def test_requests_come_in_an_order_in_which_nobody_waits_for_test_slices(squares, tmp_path):
    with closing(open_session(tmp_path, squares)) as session:
        asker, learner = asker_of(session), FakeLearner(squares, CONFIG, session.cache)
        drive(begin_live(asker, learner.origin), lambda request: request.by(learner))
        for _ in range(4):
            asker.ask()
            session.submit(Oracle(squares).answer(session.state.pending[0]))
        requests = []

        def perform(request):
            requests.append(request)
            return request.by(learner)

        drive(learn_live(asker), perform)
    assert [type(request) for request in requests] == [Fit, Publish, Publish, Evaluate]
    assert requests[1].slices[-1] in {a.region.where for a in session.state.answers}
    assert requests[2].slices == asker.sample


def test_while_it_trains_questions_go_on_and_belong_to_its_cycle(squares, tmp_path):
    with closing(open_session(tmp_path, squares)) as session:
        asker, learner = asker_of(session), FakeLearner(squares, CONFIG, session.cache)
        drive(begin_live(asker, learner.origin), lambda request: request.by(learner))

        def answer():
            asker.ask()
            session.submit(Oracle(squares).answer(session.state.pending[0]))

        for _ in range(4):
            answer()

        def perform(request):
            answer()  # the person does not wait
            return request.by(learner)

        drive(learn_live(asker), perform)
        answer()
        assert is_found_again(tmp_path / "again", session) >= 5
        reports = session.state.reports
        assert [r.cost.regions for r in reports] == [4]
        assert [data["cycle"] for data in asked(session)] == [0] * 5 + [1] * 4
        assert session.state.since_training == 5
        steps = steps_of(session.journal.events)
    assert [len(step.asked) for step in steps] == [5, 4]
    assert len(steps[0].learned) == 4 and steps[0].report == reports[0]


def test_what_is_ahead_can_be_chosen(squares, tmp_path):
    with closing(open_session(tmp_path, squares)) as session:
        asker = asker_of(session)
        asker.ask()
        assert len(asker.ahead) == 4
        chosen = asker.ahead[2]
        asker.choose(chosen)
        assert session.state.pending[1] == chosen
        session.submit(Answer(chosen, Verdict.CLEAN))
        assert len(session.state.pending) == 1
        assert asked(session)[1]["by"]["chosen"]


def test_a_network_asks_once_its_first_slices_are_published(squares, tmp_path):
    with closing(open_session(tmp_path, squares, CONFIG.replace(pretrain_steps=1))) as session:
        asker, learner = asker_of(session), FakeLearner(squares, CONFIG, session.cache)
        asker.ask()
        assert asked(session)[-1]["by"]["weights"] == ""
        session.submit(Oracle(squares).answer(session.state.pending[0]))
        order = asker.order()
        learner.publish(order[:3], "w")
        asker.use(Basis("w"))
        assert asker.missing() == (*asker.sample, *order[3:])
        asker.ask()
        assert asked(session)[-1]["by"] == {
            "weights": "w", "slices": 3,
            "answers": int(session.state.given[0].region.where in order[:3]),
        }  # fmt: skip
        assert session.state.pending[0].where in order[:3]


def test_of_a_large_pool_each_network_publishes_another_even_sample(squares, tmp_path, monkeypatch):
    monkeypatch.setattr("alnb.asking.MOST", 4)
    session, _ = simulate(tmp_path, squares)
    with closing(session):
        asker, learner = asker_of(session), FakeLearner(squares, CONFIG, session.cache)
        trained = [e.data["fit"]["weights"] for e in session.journal.events if e.kind == "trained"]
        orders = [asker.order(), *(asker.order(weights) for weights in trained)]
        assert {len(order) for order in orders} == {4}
        assert len(set(orders)) > 1
        assert sorted(where.scan for where in orders[0]) == ["one", "one", "two", "two"]

        learner.publish(orders[0], "w")
        asker.use(Basis("w"))
        assert asker.ask()
        chosen = next(where for where in squares.part("train") if where not in orders[0])
        asker.choose(asker.pool.regions(chosen)[0])
        assert chosen in asker.missing()
        learner.publish([chosen], "w")
        session.submit(Oracle(squares).answer(session.state.pending[0]))
        asker.learn()
        assert chosen in {answer.region.where for answer in asker.live.answers}


def test_marks_are_tried_out_and_not_learned(squares, tmp_path):
    session, _ = simulate(tmp_path, squares)
    asker, learner = asker_of(session), FakeLearner(squares, CONFIG, session.cache)
    drive(begin_live(asker, learner.origin), lambda request: request.by(learner))
    answers, where = asker.live.answers, squares.part("train")[0]
    before = asker.live.infection(where)
    region = asker.pool.regions(where)[0]
    tried = asker.try_out(region, [Click(region.row + 2, region.col + 2)])
    assert not np.array_equal(tried.infection(where), before)
    assert asker.live.answers == answers and not asker.learn()
    assert np.array_equal(asker.live.infection(where), before)


@pytest.mark.parametrize("seed", range(3))
def test_the_first_questions_are_mostly_lung(shared, tmp_path, seed):
    dataset = import_nifti(shared / "data" / "hu_volumes", tmp_path / "data", size=176)
    session = open_session(tmp_path / "session", dataset, Config(asking="live", seed=seed))
    asker = asker_of(session)
    for _ in range(5):
        assert asker.ask()
        (region,) = session.state.pending
        aerated = find_lungs(dataset.raw(region.where), hu=True, aerated=True)
        assert region.pixels(aerated).mean() >= 0.5
        session.submit(Answer(region, Verdict.CLEAN))


@pytest.mark.parametrize("heuristic", ["random", "foreground_random"])
def test_random_questions_need_no_network(squares, tmp_path, heuristic):
    session, reports = simulate(tmp_path, squares, CONFIG.replace(heuristic=heuristic))
    assert len(reports) == 3
    assert {data["by"]["weights"] for data in asked(session)} == {""}
    assert len(session.state.samples) == 11


def test_the_pool_runs_empty_and_the_run_ends(squares, tmp_path):
    session, _ = simulate(tmp_path, squares, CONFIG.replace(ask_in="anywhere"), cycles=100)
    assert len(session.state.answers) == 16 * len(squares.part("train"))
    assert not asker_of(session).pool.left(session.state)


def test_a_budget_is_never_exceeded(squares, tmp_path):
    session, reports = simulate(tmp_path, squares, CONFIG.replace(budget_s=20.0), cycles=100)
    assert session.state.cost.nominal_s == 18
    assert reports[-1].cost.nominal_s == 18


def test_some_answered_regions_are_asked_again(squares, tmp_path):
    session, _ = simulate(tmp_path, squares, CONFIG.replace(repeats=0.4), cycles=7)
    assert session.state.repeated
    assert any(pick.get("repeat") for data in asked(session) for pick in data["picks"])


def test_live_questions_do_not_start_with_whole_slices():
    with pytest.raises(ConfigError, match="start must be regions"):
        Config(asking="live", start="slices")


def test_what_is_new_to_a_network_is_published_first_and_what_has_answers_last(squares, tmp_path):
    with closing(open_session(tmp_path, squares)) as session:
        asker, learner = asker_of(session), FakeLearner(squares, CONFIG, session.cache)
        assert sorted(asker.order()) == sorted(squares.part("train"))
        for _ in range(3):
            asker.ask()
            session.submit(Answer(session.state.pending[0], Verdict.CLEAN))
        fit, cost = learner.fit(session.state.answers), session.state.cost
        learned = session.state.answers
        asker.ask()  # and answered while it trains
        session.submit(Answer(session.state.pending[0], Verdict.CLEAN))
        session.trained(fit, learned, cost)
        slices = [answer.region.where for answer in session.state.given]
        order = asker.order(fit.weights)
        assert order[0] == slices[3]
        assert set(order[-3:]) == set(slices[:3])
        assert session.state.learned == learned


def test_the_region_that_is_asked_is_the_most_wanted_of_its_table(squares, tmp_path):
    with closing(open_session(tmp_path, squares, CONFIG.replace(pretrain_steps=1))) as session:
        asker, learner = asker_of(session), FakeLearner(squares, CONFIG, session.cache)
        drive(begin_live(asker, learner.origin), lambda request: request.by(learner))
        for _ in range(10):  # more than there are slices: their second regions follow
            assert asker.ask()
            region = session.state.pending[0]
            found = explain_now(asker.pool, region, asker.scores)
            assert found.reasons[0].rank == found.reasons[0].place == 1
            session.submit(Oracle(squares).answer(region))


def test_a_corrected_answer_is_measured_again_though_it_costs_the_same(squares, tmp_path):
    with closing(open_session(tmp_path, squares)) as session:
        asker, learner = asker_of(session), FakeLearner(squares, CONFIG, session.cache)
        drive(begin_live(asker, learner.origin), lambda request: request.by(learner))
        for _ in range(4):
            asker.ask()
            session.submit(Oracle(squares).answer(session.state.pending[0]))
            asker.measure()
        count, before = session.journal.count, session.state.samples[-1]
        asker.measure()
        assert session.journal.count == count  # it is known

        last = session.state.given[-1]
        session.undo()
        other = Verdict.CLEAN if last.verdict is Verdict.INFECTED else Verdict.INFECTED
        clicks = () if other is Verdict.CLEAN else (Click(last.region.row, last.region.col),)
        session.submit(Answer(last.region, other, clicks))
        asker.measure()
        assert session.journal.events[-1].kind == "sampled"
        assert session.state.samples[-1].cost.nominal_s == before.cost.nominal_s
        assert len(session.state.samples) == 5
