import json

import pytest
from fakes import FakeLearner

from alnb.config import Config
from alnb.cycle import run
from alnb.experiments.run import simulate
from alnb.export.model_card import card
from alnb.journal import Journal
from alnb.oracle import Oracle
from alnb.session import Session
from alnb.state import state_of

CONFIG = Config(regions_per_slice=16, start_regions=6, regions_per_cycle=2, seed=7)


@pytest.fixture
def events(squares, tmp_path):
    simulate(squares, tmp_path / "run", CONFIG, cycles=1, learner=FakeLearner(squares, CONFIG))
    return Journal.open(tmp_path / "run" / "journal.jsonl").events


def test_it_names_data_answers_and_settings(squares, events):
    text = card(state_of(events), events[0].data)

    assert "# fake on squares" in text
    assert squares.fingerprint in text
    assert "Slices: 8 train, 0 val, 4 test." in text
    assert "8 answers were given by an annotator simulated from masks." in text
    assert json.loads(text.split("```json")[1].split("```")[0]) == CONFIG.to_dict()
    assert "not a medical device" in text
    assert "{" not in text.split("```json")[0]


def test_its_snippet_predicts_as_was_measured(squares, tmp_path):
    config = CONFIG.replace(ask_bare=True)
    simulate(squares, tmp_path / "run", config, cycles=1, learner=FakeLearner(squares, config))
    events = Journal.open(tmp_path / "run" / "journal.jsonl").events
    frozen = card(state_of(events), events[0].data)
    simulate(squares, tmp_path / "two", CONFIG, cycles=1, learner=FakeLearner(squares, CONFIG))
    events = Journal.open(tmp_path / "two" / "journal.jsonl").events
    plain = card(state_of(events), events[0].data)

    assert "zoom=1, mirror=True)" in frozen and "mere padding" not in frozen
    assert "zoom=1.5, mirror=True)" in plain and "counts as clean every region of mere pad" in plain


def test_it_tells_the_dice_of_these_very_weights(events):
    state = state_of(events)
    assert f"Dice {state.reports[-1].scores.dice:.3f}" in card(state, events[0].data)
    assert "(cycle 1)" in card(state, events[0].data)

    unscored = state_of(events[:-1])
    assert unscored.fit == state.fit
    assert "Dice 0" not in card(unscored, events[0].data)
    assert "Nothing: there are no masks" in card(unscored, events[0].data)


def test_it_does_not_name_people_and_says_where_answers_changed(squares, tmp_path):
    oracle = Oracle(squares)
    oracle.name = "Dr. Ann"
    session = Session.open(tmp_path / "s", squares, CONFIG)
    run(session, FakeLearner(squares, CONFIG), oracle, cycles=0)
    opened = session.journal.events[0].data
    text = card(session.state, opened)
    assert "6 answers were given by people." in text
    assert "Ann" not in text
    assert "changed since" not in text

    session.undo()
    session.close()
    assert "the answers have changed since" in card(session.state, opened)


def test_without_a_network_there_is_no_card(events):
    with pytest.raises(ValueError, match="no network"):
        card(state_of(events[:2]), events[0].data)
