from contextlib import closing

from fakes import FakeWorker

from alnb.config import Config
from alnb.pool import Pool
from alnb.session import Session
from alnb.ui.learning import STILL_S, Learning


def test_a_process_that_gets_no_further_is_said(squares, tmp_path):
    now, told = [0.0], []
    config = Config(regions_per_slice=16)
    with closing(Session.open(tmp_path / "session", squares, config)) as session:
        learning = Learning(
            session, Pool(squares, config), FakeWorker, lambda: told.append(1), lambda losses: None,
            lambda: now[0],
        )  # fmt: skip
        learning.begin()
        learning.tick()
        assert learning.activity.still_s == 0

        now[0] = STILL_S + 5
        learning.tick()
        assert "no further for 65 s: Cancel ends it" in learning.activity.text

        learning.begin()
        assert learning.activity.still_s == 0
