from contextlib import closing

import pytest
from fakes import FakeWorker

from alnb.config import Config
from alnb.pool import Pool
from alnb.session import Session
from alnb.ui.label.sentences import STAGES
from alnb.ui.label.training_client import STILL_S, TrainingClient
from alnb.worker import Progress


def test_a_process_that_gets_no_further_is_said(squares, tmp_path):
    now, told = [0.0], []
    config = Config(regions_per_slice=16)
    with closing(Session.open(tmp_path / "session", squares, config)) as session:
        training = TrainingClient(
            session, Pool(squares, config), FakeWorker, lambda: told.append(1), lambda losses: None,
            lambda: now[0],
        )  # fmt: skip
        training.begin()
        training.tick()
        assert training.activity.still_s == 0

        now[0] = STILL_S + 5
        training.tick()
        assert "no further for 65 s: Cancel ends it" in training.activity.text

        training.begin()
        assert training.activity.still_s == 0


def test_a_training_says_how_long_it_still_takes(squares, tmp_path):
    now = [0.0]
    config = Config(regions_per_slice=16)
    with closing(Session.open(tmp_path / "session", squares, config)) as session:
        training = TrainingClient(
            session, Pool(squares, config), FakeWorker, lambda: None, lambda losses: None,
            lambda: now[0],
        )  # fmt: skip
        training.begin()
        training._on_progress(Progress("fit", 0, 120))
        assert "left" not in training.activity.text

        now[0] = 0.5
        training._on_progress(Progress("fit", 6, 120))
        assert "left" not in training.activity.text  # too early to say

        now[0] = 5.0
        training._on_progress(Progress("fit", 30, 120))
        low, high = STAGES["fit"][1]
        assert training.activity.left_s == pytest.approx(15 + 20 * (1 - high) / (high - low))
        assert training.activity.text == "training 30 of 120, about 30 s left"

        now[0] = 100.0
        training._on_progress(Progress("fit", 60, 120))
        assert training.activity.text == "training 60 of 120, about 4 min left"

        training._on_progress(Progress("score", 1, 50))
        assert "left" not in training.activity.text  # another stage, another speed
