import shutil

import pytest
from fakes import FakeLearner

from alnb.bench.simulate import simulate
from alnb.config import Config
from alnb.errors import SessionError
from alnb.journal import Journal
from alnb.session import Session
from alnb.ui.explorer import Explorer, explore_app, steps_of

CONFIG = Config(regions_per_slice=16, start_regions=6, regions_per_cycle=2)


@pytest.fixture
def run(tmp_path, squares):
    folder = tmp_path / "run"
    simulate(squares, folder, CONFIG, cycles=2, learner=FakeLearner(squares, CONFIG))
    return folder


def test_a_journal_is_cut_into_its_cycles(run):
    steps = steps_of(Journal.open(run / "journal.jsonl").events)

    assert [step.cycle for step in steps] == [0, 1, 2]
    assert [len(step.asked) for step in steps] == [6, 2, 2]
    assert all(region.key in step.answers for step in steps for region in step.asked)


def test_the_sliders_step_through_cycles_and_regions(run):
    explorer = Explorer(run)
    assert "region 1 of 6" in explorer._text.value
    explorer.number.value = 6
    assert "region 6 of 6" in explorer._text.value
    assert explorer.view.region == explorer.steps[0].asked[5]
    explorer.cycle.value = 2

    assert (explorer.number.min, explorer.number.max) == (1, 2)
    assert explorer.number.value == 1
    assert explorer.view.region == explorer.steps[2].asked[0]
    assert len(explorer.charts.figure.data[0].x) == 3
    explorer.cycle.value = 0
    assert len(explorer.charts.figure.data[0].x) == 1


def test_a_journal_opens_without_its_caches_and_its_tables(run):
    shutil.rmtree(run / "cache", ignore_errors=True)
    (run / "curve.csv").unlink()

    assert Explorer(run).steps


def test_a_dataset_that_was_moved_is_named(run, squares, tmp_path, monkeypatch):
    journal = run / "journal.jsonl"
    journal.write_text(journal.read_text().replace(str(squares.folder.resolve()), "/moved"))
    assert "is not in /moved; name it with --data" in explore_app(run).value

    monkeypatch.setenv("ALNB_DATA", str(squares.folder))
    assert "is not in" not in getattr(explore_app(run), "value", "")


def test_another_dataset_is_not_taken_for_it(run, unmasked):
    page = explore_app(run, unmasked.folder)

    assert "that was labelled, or has changed since" in page.value


def test_a_cycle_that_asked_nothing_is_said(run, squares):
    session = Session.open(run, squares)
    session.ask(())
    session.close()
    explorer = Explorer(run)
    explorer.cycle.value = 3

    assert "Cycle 3, no region left to ask" in explorer._text.value
    assert explorer.view.region is None


def test_a_folder_without_a_journal_is_a_sentence(tmp_path):
    assert "holds no session" in explore_app(tmp_path).value


def test_a_journal_that_asks_nothing_is_said():
    with pytest.raises(SessionError, match="asks nothing"):
        steps_of(())


def test_a_run_labelled_in_full_can_be_stepped_through(tmp_path, squares):
    config = CONFIG.replace(labels="full", loss="full")
    simulate(squares, tmp_path, config, cycles=1, learner=FakeLearner(squares, config))

    explorer = Explorer(tmp_path)
    answers = [answer for step in explorer.steps for answer in step.answers.values()]
    for cycle, step in enumerate(explorer.steps):
        for number in range(len(step.asked)):
            explorer.cycle.value, explorer.number.value = cycle, number + 1

    assert any(answer.outlines for answer in answers)
