import numpy as np
import pytest
from fakes import FEW, FakeLearner

from alnb.annotation import Answer, Verdict
from alnb.cycle import answer_pending, drive, learn
from alnb.errors import SessionError
from alnb.experiments.run import simulate
from alnb.journal import Journal
from alnb.oracle import Oracle
from alnb.pool import Pool, next_picks, start_picks
from alnb.session import Session
from alnb.state import digest
from alnb.ui.explore.recording import Recording, agreement, states_of, steps_of


@pytest.fixture
def run(tmp_path, squares):
    folder = tmp_path / "run"
    simulate(squares, folder, FEW, cycles=2, learner=FakeLearner(squares, FEW))
    return folder


@pytest.fixture
def recording(run):
    return Recording.open(run)


def test_a_journal_is_cut_into_its_cycles(recording):
    assert [step.cycle for step in recording.steps] == [0, 1, 2]
    assert [len(step.asked) for step in recording.steps] == [6, 2, 2]
    assert [step.heuristic for step in recording.steps] == ["entropy"] * 3
    assert all(p.region.key in s.answers for s in recording.steps for p in s.asked)


def test_a_cycle_knows_what_its_network_was_trained_on(recording):
    for step in recording.steps:
        assert step.fit is not None
        assert step.fit.weights == digest(step.learned)
    assert [len(step.learned) for step in recording.steps] == [6, 8, 10]


def test_answers_given_while_a_network_trained_are_not_what_it_learned(tmp_path, squares):
    session = Session.open(tmp_path, squares, FEW)
    learner, pool = FakeLearner(squares, FEW), Pool(squares, FEW)
    session.ask(start_picks(pool))
    first, second = session.state.pending[:2]
    session.submit(Answer(first, Verdict.CLEAN))
    answers = session.state.answers
    fit = learner.fit(answers)
    session.submit(Answer(second, Verdict.CLEAN))
    session.trained(fit, answers, session.state.cost)
    session.close()

    (step,) = Recording.open(tmp_path).steps
    assert step.learned == answers
    assert len(step.answers) == 2


def test_states_follow_each_event_through_undo_and_redo(tmp_path, squares):
    session = Session.open(tmp_path, squares, FEW)
    session.ask(start_picks(Pool(squares, FEW)))
    session.submit(Answer(session.state.pending[0], Verdict.CLEAN))
    seen = [session.state]
    session.undo()
    seen.append(session.state)
    session.redo()
    seen.append(session.state)
    session.close()

    states = list(states_of(Journal(tmp_path / "journal.jsonl").events))
    assert states[-3:] == seen


def test_the_heuristic_that_asked_would_ask_the_same_again(recording, squares):
    learner = FakeLearner(squares, FEW)
    for step, before in zip(recording.steps[1:], recording.steps, strict=False):
        table = learner.score(recording.pool.slices, before.fit.weights)
        again = recording.would_ask(step.cycle, "entropy", table)

        assert [pick.region for pick in again] == [pick.region for pick in step.asked]


def test_another_heuristic_asks_what_was_open_then(recording):
    shape = recording.pool.shape
    picks = recording.would_ask(1, "bald", {"bald": np.arange(np.prod(shape)).reshape(shape)})

    taken = {pick.region.key for pick in recording.steps[0].asked}
    assert len(picks) == 2
    assert not taken & {pick.region.key for pick in picks}


def test_a_fork_goes_on_from_the_cycle_it_left(recording, squares, tmp_path):
    source = Session(squares, Journal(recording.folder / "journal.jsonl"))
    fork = source.fork(tmp_path / "fork", 0, heuristic="random")
    fork.ask(next_picks(Pool(squares, fork.state.config), fork.state, {}))
    answer_pending(fork, Oracle(squares))
    learner = FakeLearner(squares, FEW)
    drive(learn(fork, Pool(squares, fork.state.config)), lambda request: request.by(learner))
    fork.close()

    steps = Recording.open(tmp_path / "fork").steps
    assert [step.heuristic for step in steps] == ["entropy", "random"]
    assert steps[0].asked == recording.steps[0].asked
    assert steps[1].before.config.heuristic == "random"


def test_the_largest_change_is_that_of_the_score(recording):
    dice = [row["dice"] for row in recording.rows]
    changes = {cycle: abs(dice[cycle] - dice[cycle - 1]) for cycle in (1, 2)}

    assert recording.largest_change() == max(changes, key=changes.get)


def test_a_single_cycle_changes_nothing(tmp_path, squares):
    simulate(squares, tmp_path, FEW, cycles=0, learner=FakeLearner(squares, FEW))

    assert Recording.open(tmp_path).largest_change() == 0


def test_two_annotators_are_compared_where_both_answered(tmp_path, squares):
    for name, verdict in (("one", Verdict.CLEAN), ("two", Verdict.SKIPPED)):
        session = Session.open(tmp_path / name, squares, FEW)
        session.ask(start_picks(Pool(squares, FEW)))
        first, second, third = session.state.pending[:3]
        session.submit(Answer(first, Verdict.CLEAN))
        session.submit(Answer(second, verdict))
        if name == "one":
            session.submit(Answer(third, verdict))
        session.close()
    first, second = (Recording.open(tmp_path / name) for name in ("one", "two"))

    assert agreement(first, second) == (2, 1)


def test_without_masks_the_held_out_accuracy_is_the_score(tmp_path, unmasked):
    session = Session.open(tmp_path, unmasked, FEW)
    session.ask(start_picks(Pool(unmasked, FEW)))
    session.close()

    assert Recording.open(tmp_path).score == "heldout_accuracy"


def test_a_journal_that_asks_nothing_is_said():
    with pytest.raises(SessionError, match="asks nothing"):
        steps_of(())


def test_a_folder_without_a_journal_is_said(tmp_path):
    with pytest.raises(SessionError, match="holds no session"):
        Recording.open(tmp_path)
