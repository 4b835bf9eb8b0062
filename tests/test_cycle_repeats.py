from itertools import groupby

import numpy as np
import pytest
from fakes import FakeLearner

from alnb.agreement import Agreement
from alnb.annotation import Answer, Verdict
from alnb.asking import Asker
from alnb.config import Config
from alnb.cycle import run
from alnb.errors import ConfigError
from alnb.journal import Journal
from alnb.oracle import Oracle
from alnb.pool import REPEAT_AFTER, Pool
from alnb.regions import Region
from alnb.session import Session
from alnb.state import state_of
from alnb.ui.label import sentences
from alnb.ui.label.screen import strip

CONFIG = Config(regions_per_slice=16, start_regions=24, regions_per_cycle=6, repeats=0.25)


class Wavering(Oracle):
    """Answers as it likes the second time."""

    def __init__(self, dataset):
        super().__init__(dataset)
        self.asked = []

    def answer(self, region, guess=None):
        again = region.key in self.asked
        self.asked.append(region.key)
        return Answer(region, Verdict.CLEAN) if again else super().answer(region)


@pytest.fixture
def labelled(squares, tmp_path):
    session = Session.open(tmp_path / "run", squares, CONFIG)
    annotator = Wavering(squares)
    run(session, FakeLearner(squares, CONFIG), annotator, cycles=5)
    return session, annotator


def test_a_share_of_the_questions_are_hidden_repeats(labelled):
    session, annotator = labelled
    asked = annotator.asked
    repeats = [n for n, key in enumerate(asked) if key in asked[:n]]

    assert len(repeats) == pytest.approx(0.25 * 5 * 8, abs=3)
    assert len(session.state.repeated) == len(repeats)
    for n in repeats:
        assert n - asked.index(asked[n]) > REPEAT_AFTER
        assert asked[:n].count(asked[n]) == 1  # once each
    assert any(asked[n + 1] not in asked[:n] for n in repeats if n + 1 < len(asked))  # mixed in


def test_the_live_layer_repeats_that_share_one_at_a_time(squares, tmp_path):
    config = CONFIG.replace(asking="live", heuristic="random")
    session, learner = (
        Session.open(tmp_path / "live", squares, config),
        FakeLearner(squares, config),
    )
    asker = Asker(session, Pool(squares, config))
    repeats = []
    for _ in range(20):  # trainings
        for _ in range(6):
            assert asker.ask()
            (region,) = session.state.pending
            repeats.append(region.key in session.state.withheld)
            session.submit(Answer(region, Verdict.CLEAN))
        answers = session.state.answers
        session.trained(learner.fit(answers), answers, session.state.cost)

    assert sum(repeats) == len(session.state.repeated) == pytest.approx(0.25 * 120, abs=10)
    assert max(len(list(run)) for repeat, run in groupby(repeats) if repeat) < 5


def test_a_repeat_costs_what_a_question_costs(labelled):
    session, annotator = labelled

    assert session.state.cost.regions == len(annotator.asked)


def test_while_it_waits_its_first_answer_is_learned_from_and_not_shown(labelled):
    session, _ = labelled
    events = session.journal.events
    at, event = next(
        (n, e) for n, e in enumerate(events)
        if e.kind == "asked" and any(p.get("repeat") for p in e.data["picks"])
    )  # fmt: skip
    key = next(p["region"] for p in event.data["picks"] if p.get("repeat"))
    before, state = state_of(events[:at]), state_of(events[: at + 1])

    assert key in {region.key for region in state.pending}
    assert key in before.by_key and key not in state.by_key
    assert key in {answer.region.key for answer in state.answers}
    assert state.answers == before.answers and state.cost == before.cost
    shown = strip(state, None, 0)[0]
    assert all(tile.mark == "open" for tile in shown if tile.region.key == key)


def test_the_second_answer_counts_from_then_on(labelled):
    session, _ = labelled
    state = session.state

    assert not state.withheld
    for first, second in state.repeated:
        assert state.by_key[first.region.key] == second
    text = sentences.repeats(state)
    agreed = Agreement.of(state.repeated).agreed
    assert f"{agreed} of {len(state.repeated)} repeats agree" in text


def test_a_repeat_that_is_taken_back_leaves_its_first_answer(labelled):
    session, _ = labelled
    count = len(session.state.repeated)
    while len(session.state.repeated) == count:
        (taken,) = session.undo()
    state = session.state

    assert taken.region.key in {answer.region.key for answer in state.answers}
    session.redo()
    assert len(session.state.repeated) == count


def test_a_repeat_that_is_skipped_takes_nothing_from_its_first_answer(labelled):
    session, _ = labelled
    while not session.state.withheld:
        session.undo()
    earlier = session.state.repeated
    first = next(a for a in session.state.answers if a.region.key in session.state.withheld)
    cost = session.state.cost.nominal_s
    session.submit(Answer(first.region, Verdict.SKIPPED))
    state = session.state

    assert state.repeated == (*earlier, (first, Answer(first.region, Verdict.SKIPPED)))
    assert first in state.answers
    assert first.region not in state.pending
    assert state.cost.nominal_s == cost + CONFIG.click_s  # it took its time
    session.submit(Answer(first.region, Verdict.SKIPPED))  # seen in the strip, and taken out
    assert first not in session.state.answers


def test_a_repeat_whose_first_answer_was_taken_back_is_a_question_as_any_other(labelled):
    session, _ = labelled
    while not session.state.withheld:
        session.undo()
    repeated, key = session.state.repeated, min(session.state.withheld)
    while any(answer.region.key == key for answer in session.state.answers):
        session.undo()
    assert key in session.state.withheld
    session.submit(Answer(Region.parse(key), Verdict.CLEAN))

    assert len(session.state.repeated) <= len(repeated)
    assert session.state.answers[-1].region.key == key
    assert state_of(Journal(session.journal.path).events) == session.state


def test_a_journal_reads_as_it_was(labelled):
    session, _ = labelled
    again = state_of(Journal(session.journal.path).events)

    assert again.repeated == session.state.repeated


def test_by_default_nothing_is_asked_twice(squares, tmp_path):
    config = CONFIG.replace(repeats=0.0)
    session = Session.open(tmp_path / "run", squares, config)
    run(session, FakeLearner(squares, config), Oracle(squares), cycles=3)

    assert session.state.repeated == ()
    assert not any("repeat" in p for e in session.journal.events if e.kind == "asked"
                   for p in e.data["picks"])  # fmt: skip
    assert sentences.repeats(session.state) == ""


def test_a_share_of_one_leaves_no_question():
    with pytest.raises(ConfigError, match="repeats is 1"):
        Config(repeats=1.0)


def test_the_budget_pays_for_repeats_too(squares, tmp_path):
    config = CONFIG.replace(budget_s=24 * 3 + 30)
    session = Session.open(tmp_path / "run", squares, config)
    run(session, FakeLearner(squares, config), Wavering(squares), cycles=9)

    assert session.state.cost.nominal_s <= config.budget_s
    assert np.isfinite(session.state.left_s)
