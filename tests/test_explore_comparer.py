import pytest
from fakes import FEW, FakeLearner

from alnb.curves import charts, compare
from alnb.curves.charts import NoPictureError
from alnb.curves.compare import find_runs, read_runs, table_of
from alnb.pool import Pool, start_picks
from alnb.session import Session
from alnb.ui.explore.comparer import Comparer, compare_app


@pytest.fixture(autouse=True)
def _logs_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture(scope="module")
def folder(four_runs):
    return four_runs


@pytest.fixture(scope="module")
def runs(folder):
    return read_runs(find_runs([folder]))


def _no_browser(*_words):
    raise NoPictureError("no Chrome, Chromium or Edge is installed")


def test_the_page_draws_what_the_controls_choose(runs, tmp_path):
    page = Comparer(runs, tmp_path)
    assert sum(trace.visible for trace in page.figure.data) == 8
    page.by.value = "run"
    assert sum(trace.visible for trace in page.figure.data) == 4
    assert {trace.fill for trace in page.figure.data if trace.visible} == {"none"}
    page.x.value = "clicks"

    assert page.figure.layout.xaxis.title.text == "Clicks"
    assert page.figure.data[0].x[0] == table_of(runs)["clicks"][0]
    page.by.value = "settings"
    assert sum(trace.visible for trace in page.figure.data) == 8


def test_the_page_saves(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(charts, "photograph", _no_browser)
    page = Comparer(runs, tmp_path / "out")
    page.save.click()

    assert (tmp_path / "out" / "compare.csv").exists()
    assert "Written" in page._message.value


def test_what_can_not_be_saved_is_said_on_the_page(runs, tmp_path):
    (tmp_path / "file").write_text("mine")
    page = Comparer(runs, tmp_path / "file" / "out")
    page.save.click()

    assert "can&#x27;t be written" in page._message.value


def test_a_page_without_runs_is_a_sentence(tmp_path):
    assert "holds no session" in compare_app(tmp_path).value


def test_sessions_without_masks_show_the_held_out_accuracy(unmasked, tmp_path):
    session = Session.open(tmp_path, unmasked, FEW)
    session.ask(start_picks(Pool(unmasked, FEW)))
    learner = FakeLearner(unmasked, FEW)
    session.trained(learner.fit(()), (), session.state.cost)
    session.scored(None, 1.0)
    session.close()

    assert Comparer(read_runs([tmp_path]), tmp_path / "out").y.value == "heldout_accuracy"


def test_a_page_that_is_drawn_reads_its_runs_once(runs, tmp_path, monkeypatch):
    comparer = Comparer(runs, tmp_path)
    read = []
    monkeypatch.setattr(compare, "table_of", lambda runs: read.append(runs) or table_of(runs))
    comparer.draw()

    assert len(read) == 1
