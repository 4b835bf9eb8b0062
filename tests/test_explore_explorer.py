import asyncio
import shlex
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from fakes import FEW, FakeLearner, FakeWorker

from alnb import journal
from alnb.annotation import Answer, Verdict
from alnb.cli.options import changes_of, config_of
from alnb.cycle import drive, learn
from alnb.errors import TrainerError
from alnb.experiments.run import simulate
from alnb.pool import Pool, next_picks, start_picks
from alnb.session import Session
from alnb.ui.explore import page as words
from alnb.ui.explore.explorer import Explorer, explore_app
from alnb.ui.explore.recording import Recording
from alnb.ui.viewer.drawing import NO_PATH, NOTHING


@pytest.fixture(autouse=True)
def _logs_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def run(tmp_path, squares):
    folder = tmp_path / "run"
    simulate(squares, folder, FEW, cycles=2, learner=FakeLearner(squares, FEW))
    return folder


@pytest.fixture
def other(tmp_path, squares):
    folder, config = tmp_path / "other", FEW.replace(heuristic="random")
    simulate(squares, folder, config, cycles=1, learner=FakeLearner(squares, config))
    return folder


def explorer(*folders):
    return Explorer([Recording.open(folder) for folder in folders], FakeWorker)


def settled(explorer):
    """Do what the page's loop would."""
    asyncio.run(explorer.settle())
    return explorer


def titles(explorer):
    notes = explorer.page.view.figure.layout.annotations
    return [notes[0].text, notes[2].text]


def notes(explorer):
    notes = explorer.page.view.figure.layout.annotations
    return [notes[1].text, notes[3].text]


def drawn(explorer, name):
    """Whether each panel draws a layer."""
    traces = {trace.name: trace.source for trace in explorer.page.view.figure.data[:8]}
    return [traces[f"{side} {name}"] != NOTHING for side in ("left", "right")]


def test_the_sliders_step_through_cycles_and_regions(run):
    page = explorer(run).page
    assert page.number.max == 6
    page.number.value = 6
    page.cycle.value = 2

    assert (page.number.min, page.number.max, page.number.value) == (1, 2, 1)
    assert "cycle 2: entropy" in page._facts.value
    ring = page.chart.figure.data[1]
    assert ring.x == (page.chart.figure.data[0].x[2],)


def test_buttons_step_and_stop_at_the_ends(run):
    page = explorer(run).page
    assert page.back.disabled
    page.forward.click()
    page.forward.click()
    assert page.cycle.value == 2
    assert page.forward.disabled
    page.back.click()

    assert page.cycle.value == 1


def test_it_jumps_to_the_largest_change(run):
    app = explorer(run)
    app.page.jump.click()

    assert app.page.cycle.value == app.recordings[0].largest_change()


def test_maps_before_and_after_are_made_when_asked_for(run):
    app = explorer(run)
    app.page.cycle.value = 1
    assert "was not kept" in notes(app)[0]
    assert drawn(app, "entropy") == [False, False]

    app.page.again.value = True
    settled(app)

    assert drawn(app, "entropy") == [True, True]
    assert "network of cycle 0: 0.60 nats" in titles(app)[0]
    assert "network of cycle 1: 0.60 nats" in titles(app)[1]
    assert notes(app) == ["", ""]


def test_the_start_has_no_network_before(run):
    app = explorer(run)

    assert notes(app)[0] == words.NO_NETWORK


def test_only_the_side_after_shows_the_clicks(run, squares):
    app = explorer(run)
    clicked = [n for n, pick in enumerate(app.recordings[0].steps[0].asked, 1)
               if app.recordings[0].steps[0].answers[pick.region.key].clicks]  # fmt: skip
    app.page.number.value = clicked[0]
    traces = {trace.name: trace for trace in app.page.view.figure.data}

    assert len(traces["left clicks infected"].x) == 0
    assert len(traces["right clicks infected"].x) == 1


def test_another_heuristic_is_asked_what_it_would_have_asked(run, squares):
    app = explorer(run)
    app.page.cycle.value = 1
    app.page.heuristic.value = "random"
    settled(app)

    assert "random</b> would have asked" in titles(app)[0]
    assert "entropy</b> asked" in titles(app)[1]
    assert "random would have asked 2 regions" in app.page._would.value
    expected = app.recordings[0].would_ask(1, "random", {})
    assert expected[0].region.where.scan in app.page._strips.value


def test_a_heuristic_that_needs_the_network_waits_for_leave_to_train_it(run):
    app = explorer(run)
    app.page.cycle.value = 1
    app.page.heuristic.value = "bald"
    settled(app)
    assert "was not kept" in notes(app)[0]

    app.page.again.value = True
    settled(app)
    assert "bald would have asked 2 regions" in app.page._would.value


def test_a_fork_holds_what_was_known_then_and_asks_otherwise(run, squares):
    app = explorer(run)
    app.page.cycle.value = 1
    app.page.heuristic.value = "random"
    settled(app)
    app.page.fork.click()

    folder = run.with_name("run-random-from-1")
    fork = Session.open(folder, squares)
    assert fork.state.cycle == 1
    assert fork.state.config.heuristic == "random"
    assert len(fork.state.pending) == 2
    assert fork.state.pending[0] == app.recordings[0].would_ask(1, "random", {})[0].region
    fork.close()
    assert str(folder) in app.page._message.value

    app.page.fork.click()
    assert "choose another folder" in app.page._message.value


def test_what_is_not_known_yet_is_not_forked(run):
    app = explorer(run)
    app.page.cycle.value = 1
    app.page.heuristic.value = "random"
    app.page.fork.click()

    assert "would have asked is not known yet" in app.page._message.value
    assert not run.with_name("run-random-from-1").exists()


def test_what_a_journal_says_is_no_markup(run):
    path = run / "journal.jsonl"
    path.write_text(path.read_text().replace('"heuristic":"entropy"', '"heuristic":"<img src=x>"'))
    app = explorer(run)
    app.page.cycle.value = 1
    app.page.heuristic.value = "random"
    settled(app)
    page = app.page
    shown = [page._facts.value, page._would.value, *titles(app)]

    assert any("&lt;img src=x&gt;" in text for text in shown)
    assert not any("<img src=x>" in text for text in shown)


def test_the_command_that_is_named_goes_on_with_the_fork(run, squares):
    app = explorer(run)
    app.page.cycle.value = 1
    app.page.heuristic.value = "random"
    settled(app)
    app.fork()
    command = shlex.split(app.message.partition("Go on with: ")[2])
    named = list(pairwise(command))
    settings = [value for name, value in named if name == "--set"]
    heuristic, seed, folder = (
        dict(named)[name] for name in ("--heuristic", "--seed", "--out")
    )  # fmt: skip

    assert command[:3] == ["alnb", "run", str(squares.folder)]
    changes = changes_of(None, None, settings)
    config = config_of("default", heuristic=heuristic, seed=int(seed), **changes)
    Session.open(Path(folder), squares, config).close()  # refuses other settings


def test_two_runs_are_shown_side_by_side(run, other):
    app = explorer(run, other)
    app.page.cycle.value = 1

    assert titles(app)[0].startswith("<b>run</b>, network of cycle 1")
    assert titles(app)[1].startswith("<b>other</b>, network of cycle 1")
    assert len(app.page.chart.figure.data) == 4
    assert "answered in both" in app.page._facts.value
    app.page.moment.value = words.BEFORE
    assert "network of cycle 0" in titles(app)[1]


def test_two_runs_show_the_same_slice_unless_each_is_to_show_its_own(run, other):
    app = explorer(run, other)
    app.page.cycle.value = 1
    left, right = app.state.sides
    assert left.region == right.region == app.state.picks[0][0].region
    assert left.network is not right.network

    app.page.same.value = False
    left, right = app.state.sides
    assert [left.region, right.region] == [picks[0].region for picks in app.state.picks]
    assert left.region != right.region


def test_a_process_that_has_started_is_not_waited_for_again(run):
    app = explorer(run)
    said = []
    app.page.progress = lambda stage, done, total: said.append(stage)
    app.page.cycle.value, app.page.again.value = 1, True
    settled(app)

    assert said[0] == words.WAIT
    assert words.WAIT not in said[1:]
    assert said[-1] == ""


def test_a_run_of_one_cycle_can_not_be_played(run, tmp_path, squares):
    simulate(squares, tmp_path / "short", FEW, cycles=0, learner=FakeLearner(squares, FEW))

    assert explorer(tmp_path / "short").page.play.disabled
    assert not explorer(run).page.play.disabled


def test_the_explorer_leads_back_and_ends_its_process(run):
    app = explorer(run)
    assert app.page.leave.layout.display == "none"
    back = []

    async def story():
        app.leads_back(lambda: back.append(True))
        app.page.leave.click()
        await asyncio.sleep(0)
        await app.recomputers[0]._ending
        app.page.cycle.value = 1  # of a page that is gone: nothing is drawn or computed
        await app.settle()

    asyncio.run(story())
    assert back == [True]
    assert app.recomputers[0]._worker.did == ["stop"]


def test_a_shorter_run_stays_at_its_last_cycle(run, other):
    app = explorer(run, other)
    app.page.cycle.value = 2

    assert "other, cycle 1" in app.page._facts.value


def test_a_failed_training_is_said_and_not_tried_for_ever(run):
    app = explorer(run)
    app.page.cycle.value = 1
    app.recomputers[0]._worker.failure = TrainerError("the training ran out of memory.")
    app.page.again.value = True
    settled(app)

    assert "out of memory" in app.page._message.value
    app.recomputers[0]._worker.failure = RuntimeError("a bug")
    app.page.cycle.value = 2
    settled(app)
    assert "Something went wrong in alnb (RuntimeError" in app.page._message.value


def test_unticking_stops_what_is_trained(run):
    app = explorer(run)
    app.page.cycle.value = 1
    app.recomputers[0]._worker.hold = "fit"

    async def story():
        app.page.again.value = True  # starts the task
        while "fit" not in app.recomputers[0]._worker.did:
            await asyncio.sleep(0)
        app.page.again.value = False
        await app._task

    asyncio.run(story())
    assert drawn(app, "entropy") == [False, False]


def test_a_journal_opens_without_its_caches_and_its_tables(run):
    shutil.rmtree(run / "cache", ignore_errors=True)
    (run / "curve.csv").unlink()

    assert explorer(run).recordings[0].steps


def test_a_dataset_that_was_moved_is_named(run, squares, monkeypatch):
    journal = run / "journal.jsonl"
    journal.write_text(journal.read_text().replace(str(squares.folder.resolve()), "/moved"))
    assert "is not in /moved; name it with --data" in explore_app(run).value

    monkeypatch.setenv("ALNB_DATA", str(squares.folder))
    assert "is not in" not in getattr(explore_app(run, worker=FakeWorker), "value", "")


def test_another_dataset_is_not_taken_for_it(run, unmasked):
    page = explore_app(run, data=unmasked.folder)

    assert "that was labelled, or has changed since" in page.value


def test_a_cycle_that_asked_nothing_is_said(run, squares):
    session = Session.open(run, squares)
    session.ask(())
    session.close()
    app = explorer(run)
    app.page.cycle.value = 3

    assert notes(app)[1] == words.NONE_LEFT


def test_a_folder_without_a_journal_is_a_sentence(tmp_path):
    assert "holds no session" in explore_app(tmp_path).value


def test_three_runs_are_too_many(run):
    assert "alnb compare takes any number" in explore_app(run, run, run).value


def outlined(app):
    """The outlines that the right side shows, as a path."""
    return app.page.view.figure.layout.shapes[-1].path


def test_a_run_labelled_in_full_can_be_stepped_through(tmp_path, squares):
    config = FEW.replace(labels="full", loss="full")
    simulate(squares, tmp_path, config, cycles=1, learner=FakeLearner(squares, config))

    app = explorer(tmp_path)
    steps = app.recordings[0].steps
    for step in steps:
        for number in range(len(step.asked)):
            app.page.cycle.value, app.page.number.value = step.cycle, number + 1
            answer = step.answers[step.asked[number].region.key]
            assert (outlined(app) != NO_PATH) == bool(answer.outlines)

    assert any(answer.outlines for step in steps for answer in step.answers.values())


@pytest.mark.parametrize("kind", ["superpixels"])
def test_regions_of_any_kind_can_be_stepped_through(tmp_path, squares, kind):
    config = FEW.replace(regions=kind)
    simulate(squares, tmp_path, config, cycles=1, learner=FakeLearner(squares, config))
    app = explorer(tmp_path)
    for step in app.recordings[0].steps:
        app.page.cycle.value = step.cycle
        for number in range(len(step.asked)):
            app.page.number.value = number + 1
    app.page.heuristic.value = "random"
    settled(app)

    assert "random would have asked" in app.page._would.value


@pytest.fixture
def labelled(tmp_path, squares, monkeypatch):
    """A session that another process is labelling, at its start."""
    monkeypatch.setattr(journal, "another_lives", lambda pid: pid is not None)
    session = Session.open(tmp_path / "labelled", squares, FEW)
    session.ask(start_picks(Pool(squares, FEW)))
    yield session
    session.close()


def answer_next(session, times=1):
    for _ in range(times):
        session.submit(Answer(session.state.pending[0], Verdict.CLEAN))


def watching(session):
    explored = explorer(session.journal.path.parent)
    explored.page.follow.value = True
    return explored


def test_it_follows_somebody_who_labels(labelled, squares):
    explored = watching(labelled)
    explored.follow()
    assert explored.page.follow.layout.display is None

    answer_next(labelled, 2)
    explored.follow()
    assert explored.page.number.value == 2
    assert "2 no infection" in explored.page._facts.value
    assert explored.page.follow.value

    answer_next(labelled, 4)
    pool = Pool(squares, FEW)
    learner = FakeLearner(squares, FEW)
    scored = drive(learn(labelled, pool), lambda request: request.by(learner))
    labelled.ask(next_picks(pool, labelled.state, scored))
    explored.follow()
    assert (explored.page.cycle.value, explored.page.number.value) == (1, 1)
    assert explored.page.follow.value


def test_who_looks_elsewhere_is_not_taken_away(labelled):
    explored = watching(labelled)
    explored.page.number.value = 5
    assert not explored.page.follow.value

    answer_next(labelled)
    explored.follow()
    assert explored.page.number.value == 5
    assert "1 no infection" in explored.page._facts.value
    explored.page.follow.value = True
    assert explored.page.number.value == 1


def test_a_run_that_nobody_writes_offers_nothing_to_follow(run):
    explored = explorer(run)
    explored.follow()
    assert explored.page.follow.layout.display == "none"


def test_a_journal_that_goes_away_is_said(labelled):
    explored = watching(labelled)
    assert explored.follow()
    labelled.journal.path.unlink()
    assert not explored.follow()
    assert "is gone, or shorter" in explored.page._message.value
    assert "reload this page" in explored.page._message.value
