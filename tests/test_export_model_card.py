import json
from dataclasses import replace

import pytest
from fakes import FakeLearner, scan_of

from alnb.config import Config
from alnb.cycle import run
from alnb.dataset import build
from alnb.experiments.run import simulate
from alnb.export.model_card import model_card
from alnb.journal import Journal
from alnb.oracle import Oracle
from alnb.session import Session
from alnb.state import state_of

CONFIG = Config(regions_per_slice=16, start_regions=6, regions_per_cycle=2, seed=7)


class Ann(Oracle):
    """A person who answers as the masks say."""

    def answer(self, region, guess=None):
        return replace(super().answer(region), annotator="Dr. Ann", simulated=False)


@pytest.fixture
def events(squares, tmp_path):
    simulate(squares, tmp_path / "run", CONFIG, cycles=1, learner=FakeLearner(squares, CONFIG))
    return Journal(tmp_path / "run" / "journal.jsonl").events


def test_it_names_data_answers_and_settings(squares, events):
    text = model_card(state_of(events), events[0].data)

    assert "# fake on squares" in text
    assert squares.fingerprint in text
    assert "Slices: 8 train, 0 val, 4 test." in text
    assert "8 answers were given by an annotator simulated from masks." in text
    assert json.loads(text.split("```json")[1].split("```")[0]) == squares.resolve(CONFIG).to_dict()
    assert "not a medical device" in text
    assert "{" not in text.split("```json")[0]


def test_its_snippet_predicts_as_was_measured(squares, tmp_path):
    config = CONFIG.replace(ask_in="anywhere", predict_zoom=1.0)
    simulate(squares, tmp_path / "run", config, cycles=1, learner=FakeLearner(squares, config))
    events = Journal(tmp_path / "run" / "journal.jsonl").events
    asked = model_card(state_of(events), events[0].data)
    simulate(squares, tmp_path / "two", CONFIG, cycles=1, learner=FakeLearner(squares, CONFIG))
    events = Journal(tmp_path / "two" / "journal.jsonl").events
    plain = model_card(state_of(events), events[0].data)

    assert "zoom=1, mirror=True)" in asked and "only padding" not in asked
    assert "zoom=1.5, mirror=True)" in plain and "count every region of only padding" in plain


def test_it_tells_the_dice_of_these_very_weights(events):
    state = state_of(events)
    assert f"Dice {state.reports[-1].scores.dice:.3f}" in model_card(state, events[0].data)
    assert "(cycle 1)" in model_card(state, events[0].data)

    unscored = state_of(events[:-1])
    assert unscored.fit == state.fit
    assert "Dice 0" not in model_card(unscored, events[0].data)
    assert "Nothing: there are no masks" in model_card(unscored, events[0].data)


@pytest.mark.parametrize("synthetic", [True, False])
def test_only_a_network_for_real_scans_began_with_synthetic_ones(tmp_path, synthetic):
    scans = [scan_of(f"phantom_{n}", 4, 32, n) for n in range(2)]  # names that say nothing
    split = {"phantom_0": "train", "phantom_1": "test"}
    data = build(scans, tmp_path / "data", size=32, split=split, synthetic=synthetic)
    simulate(data, tmp_path / "run", CONFIG, cycles=0, learner=FakeLearner(data, CONFIG))
    events = Journal(tmp_path / "run" / "journal.jsonl").events

    told = "went on with synthetic scans" in model_card(state_of(events), events[0].data)
    assert told is not synthetic


def test_it_does_not_name_people_and_says_where_answers_changed(squares, tmp_path):
    session = Session.open(tmp_path / "s", squares, CONFIG)
    run(session, FakeLearner(squares, CONFIG), Ann(squares), cycles=0)
    opened = session.journal.events[0].data
    text = model_card(session.state, opened)
    assert "6 answers were given by people." in text
    assert "Ann" not in text
    assert "changed since" not in text

    session.undo()
    session.close()
    assert "the answers have changed since" in model_card(session.state, opened)


def test_without_a_network_there_is_no_card(events):
    with pytest.raises(ValueError, match="no network"):
        model_card(state_of(events[:2]), events[0].data)
