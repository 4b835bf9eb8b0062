import dataclasses
import json

import pytest
from fakes import FakeLearner
from hypothesis import given, settings
from hypothesis import strategies as st

from alnb.acquisition import Pick
from alnb.annotation import Answer, Click, Verdict, point_labels
from alnb.arrays import INFECTED
from alnb.config import Config
from alnb.cost import Cost
from alnb.dataset import SliceId
from alnb.errors import ConfigError, SessionError
from alnb.journal import Journal
from alnb.metrics import Scores
from alnb.regions import Region, grid
from alnb.session import Session
from alnb.state import digest, state_of

REGIONS = grid(SliceId("one", 0), (32, 32), 4)
PICKS = tuple(Pick(region, 1.0) for region in REGIONS)
CONFIG = Config(regions_per_slice=4)
UNASKED = Region(SliceId("one", 0), 0, 0, 8, 8)


def clean(region):
    return Answer(region, Verdict.CLEAN, seconds=1.5)


def infected(region, *offsets):
    clicks = tuple(Click(region.row + o, region.col + o) for o in offsets or (1,))
    return Answer(region, Verdict.INFECTED, clicks, seconds=2.5)


@pytest.fixture
def session(tmp_path, squares):
    session = Session.open(tmp_path / "session", squares, CONFIG)
    session.ask(PICKS)
    return session


def test_a_new_session_has_asked_nothing(tmp_path, squares):
    state = Session.open(tmp_path, squares, CONFIG).state

    assert (state.cycle, state.pending, state.answers, state.reports) == (-1, (), (), ())
    assert state.config.to_dict() == squares.resolve(CONFIG).to_dict()


def test_what_is_asked_is_pending_in_its_order(session):
    assert session.state.cycle == 0
    assert session.state.pending == REGIONS


def test_an_answer_leaves_the_rest_pending(session):
    session.submit(clean(REGIONS[0]))

    assert session.state.pending == REGIONS[1:]
    assert session.state.cost.nominal_s == 3
    assert session.state.cost.measured_s == 1.5


def test_a_spent_budget_asks_no_more_and_keeps_every_answer(tmp_path, squares):
    session = Session.open(tmp_path, squares, CONFIG.replace(budget_s=8))
    session.ask(PICKS)
    session.submit(clean(REGIONS[0]))
    assert session.state.left_s == 5

    session.submit(infected(REGIONS[1], 1, 2, 3))

    assert (session.state.cost.nominal_s, session.state.left_s) == (12, 0)
    assert len(session.state.answers) == 2
    assert session.state.pending == ()


def test_an_answer_taken_back_gives_the_budget_its_seconds_again(tmp_path, squares):
    session = Session.open(tmp_path, squares, CONFIG.replace(budget_s=3))
    session.ask(PICKS)
    session.submit(clean(REGIONS[0]))
    session.undo()

    assert session.state.pending == REGIONS


def test_a_session_opens_again_where_it_was(session, squares):
    session.submit(infected(REGIONS[1]))
    before = session.state
    session.close()

    assert Session.open(session.journal.path.parent, squares).state == before


def test_undo_opens_the_last_region_again_first(session):
    session.submit(clean(REGIONS[0]))
    session.submit(clean(REGIONS[1]))

    assert session.undo() == (clean(REGIONS[1]),)
    assert session.state.pending == REGIONS[1:]
    assert session.state.cost.regions == 1


def test_undo_and_redo_have_no_limit(session):
    for region in REGIONS:
        session.submit(infected(region))
    full = session.state

    given = [(infected(region),) for region in REGIONS]

    assert [session.undo() for _ in range(5)] == [*reversed(given), ()]
    assert session.state.answers == ()
    assert session.state.pending == REGIONS
    assert [session.redo() for _ in range(5)] == [*given, ()]
    assert session.state == full


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from(["clean", "infected", "sweep", "undo", "redo", "train"]), max_size=12)
)
def test_the_state_kept_up_is_the_state_replayed(tmp_path_factory, squares, steps):
    session = Session.open(tmp_path_factory.mktemp("session"), squares, CONFIG)
    session.ask(PICKS)
    for number, step in enumerate(steps):
        region = REGIONS[number % 4]
        if step == "train":
            train(session, squares)
        elif step in ("undo", "redo"):
            getattr(session, step)()
        elif step == "sweep":
            session.sweep([clean(region), infected(REGIONS[(number + 1) % 4]), clean(UNASKED)])
        else:
            session.submit({"clean": clean, "infected": infected}[step](region))
        assert session.state == state_of(session.journal.events)


def test_a_new_answer_ends_redo(session):
    session.submit(clean(REGIONS[0]))
    session.undo()
    session.submit(infected(REGIONS[0]))

    assert session.redo() == ()
    assert session.state.answers[0].verdict is Verdict.INFECTED


def test_undo_crosses_a_training_and_leaves_the_network_stale(session, squares):
    session.submit(clean(REGIONS[0]))
    train(session, squares)
    assert not session.state.stale
    session.ask([Pick(Region(SliceId("two", 0), 0, 0, 16, 16), 0.5)])

    assert session.undo() == (clean(REGIONS[0]),)
    assert session.state.stale
    assert session.state.pending[0] == REGIONS[0]
    session.redo()
    assert not session.state.stale


def train(session, dataset):
    answers = session.state.answers
    fit = FakeLearner(dataset, CONFIG).fit(answers)
    session.trained(fit, answers, session.state.cost)
    session.scored(Scores(3, 1, 1, 5), 0.5)


def test_a_correction_counts_as_the_answer_and_takes_its_price_and_its_time(session):
    session.submit(dataclasses.replace(clean(REGIONS[0]), seconds=5))
    session.submit(dataclasses.replace(infected(REGIONS[0], 1, 2), seconds=4))

    assert [a.verdict for a in session.state.answers] == [Verdict.INFECTED]
    assert session.state.cost == Cost(6, 9, regions=1, clicks=2, answers=2)
    session.submit(clean(REGIONS[0]))
    assert session.state.cost.nominal_s == 3
    session.undo()
    session.undo()
    assert session.state.cost == Cost(3, 5, regions=1, clicks=0, answers=1)


def test_a_journal_that_priced_corrections_and_cells_of_a_sweep_replays_as_it_was(session):
    session.submit(clean(REGIONS[0]))
    session.submit(clean(REGIONS[0]))
    session.sweep([clean(REGIONS[1]), clean(UNASKED)])
    assert session.state.cost.nominal_s == 6
    older = [
        dataclasses.replace(event, data={
            key: value for key, value in event.data.items() if key not in ("corrects", "rest")
        })
        for event in session.journal.events
    ]  # fmt: skip

    assert state_of(older).cost == Cost(12, state_of(older).cost.measured_s, 4, 0, 4)


def test_what_an_older_journal_learned_is_known_by_its_count_of_regions(session, squares):
    session.submit(clean(REGIONS[0]))
    session.submit(infected(REGIONS[0]))
    train(session, squares)
    session.submit(clean(REGIONS[1]))
    older = [
        dataclasses.replace(event, data=event.data | {"cost": {
            "nominal_s": 6.0, "measured_s": 2.0, "regions": 2, "clicks": 1,
        }}) if event.kind == "trained" else event
        for event in session.journal.events
    ]  # fmt: skip

    for state in (session.state, state_of(older)):
        assert state.learned == (infected(REGIONS[0]),)
        assert state.since_training == 1


def test_a_sweep_costs_its_clicks_and_one_verdict_for_the_rest(session):
    session.sweep([infected(REGIONS[0], 1, 2), *map(clean, REGIONS[1:]), clean(UNASKED)])

    assert session.state.cost.nominal_s == 3 * 2 + 3
    assert session.state.cost.regions == 5
    session.submit(infected(UNASKED))  # corrected: the rest is still one verdict
    assert session.state.cost.nominal_s == 3 * 2 + 3 + 3


def test_a_correction_taken_back_can_be_given_again(session):
    session.submit(clean(REGIONS[0]))
    session.submit(infected(REGIONS[0]))
    session.undo()

    assert session.redo() == (infected(REGIONS[0]),)
    assert session.state.answers == (infected(REGIONS[0]),)


def test_a_skipped_region_can_be_answered_later(session):
    session.submit(Answer(REGIONS[0], Verdict.SKIPPED))
    session.submit(clean(REGIONS[1]))
    session.submit(infected(REGIONS[0]))

    assert [a.verdict for a in session.state.answers] == [Verdict.CLEAN, Verdict.INFECTED]


def test_answers_are_oldest_first_and_a_correction_is_new(session):
    for region in REGIONS[:3]:
        session.submit(clean(region))
    session.submit(infected(REGIONS[0]))

    assert [a.region for a in session.state.answers] == [REGIONS[1], REGIONS[2], REGIONS[0]]
    assert list(session.state.by_key) == [REGIONS[n].key for n in (1, 2, 0)]


def test_where_regions_overlap_the_newer_answer_counts(session, squares):
    whole = Region(REGIONS[0].where, 0, 0, 32, 32)
    session.submit(clean(REGIONS[0]))
    session.sweep([clean(whole)])
    session.submit(infected(REGIONS[0]))
    labels = point_labels(session.state.answers, (32, 32))

    assert labels[REGIONS[0].window].max() == INFECTED


def test_a_sweep_answers_what_nobody_asked_about(session):
    session.submit(clean(REGIONS[2]))
    session.sweep([infected(REGIONS[0]), clean(UNASKED)])

    assert session.state.pending == (REGIONS[1], REGIONS[3])
    assert len(session.state.answers) == 3
    session.submit(infected(UNASKED))  # and may be corrected
    assert session.state.answers[-1] == infected(UNASKED)


def test_a_sweep_is_taken_back_and_given_again_at_once(session, squares):
    session.submit(clean(REGIONS[2]))
    before, swept = session.state, (infected(REGIONS[0]), clean(UNASKED))
    session.sweep(swept)
    after = session.state
    train(session, squares)

    assert session.undo() == swept
    assert session.state.answers == before.answers
    assert session.state.pending == before.pending
    assert session.state.stale
    assert session.redo() == swept
    assert session.state.answers == after.answers
    assert not session.state.stale
    assert session.undo() == swept
    assert session.undo() == (clean(REGIONS[2]),)
    assert session.undo() == ()


def test_a_sweep_is_of_one_slice(session):
    with pytest.raises(SessionError, match="one slice"):
        session.sweep([clean(REGIONS[0]), clean(Region(SliceId("two", 0), 0, 0, 8, 8))])


def test_a_region_that_was_not_asked_takes_no_answer(session):
    with pytest.raises(SessionError, match="not asked"):
        session.submit(clean(Region(SliceId("two", 0), 0, 0, 16, 16)))


def test_training_adds_a_point_to_the_curve_at_its_cost(session, squares):
    session.submit(clean(REGIONS[0]))
    train(session, squares)
    session.submit(clean(REGIONS[1]))
    (report,) = session.state.reports

    assert report.cost.nominal_s == 3
    assert report.scores == Scores(3, 1, 1, 5)
    assert report.fit.weights == digest([clean(REGIONS[0])])
    assert session.state.stale


def test_the_digest_does_not_depend_on_order_or_time():
    first = [clean(REGIONS[0]), infected(REGIONS[1])]
    second = [infected(REGIONS[1]), dataclasses.replace(first[0], seconds=9.0)]

    assert digest(first) == digest(second)
    assert digest(first) != digest(first[:1])


def test_a_skip_alone_teaches_nothing(session, squares):
    session.submit(clean(REGIONS[0]))
    train(session, squares)
    session.submit(Answer(REGIONS[1], Verdict.SKIPPED))
    assert not session.state.stale

    session.submit(clean(REGIONS[2]))
    assert session.state.stale


def test_another_dataset_is_said(session, unmasked):
    session.close()

    with pytest.raises(SessionError, match="not the one in"):
        Session.open(session.journal.path.parent, unmasked)


def test_other_settings_are_said_by_name(session, squares):
    session.close()

    with pytest.raises(SessionError, match="heuristic 'entropy', not 'random'"):
        Session.open(session.journal.path.parent, squares, CONFIG.replace(heuristic="random"))


def test_a_file_is_no_folder(tmp_path, squares):
    (tmp_path / "file").write_text("")

    with pytest.raises(SessionError, match="needs a folder"):
        Session.open(tmp_path / "file", squares)


def test_a_window_that_lost_its_session_is_told_and_loses_nothing(session, squares):
    session.submit(clean(REGIONS[0]))
    other = Session.open(session.journal.path.parent, squares, take_over=True)

    with pytest.raises(SessionError, match="another window"):
        session.submit(clean(REGIONS[1]))
    assert other.state.answers == (clean(REGIONS[0]),)


def test_a_fork_shares_the_past_and_changes_the_settings(session, squares, tmp_path):
    session.submit(clean(REGIONS[0]))
    train(session, squares)
    session.ask([Pick(Region(SliceId("two", 0), 0, 0, 16, 16), 0.5)])
    fork = session.fork(tmp_path / "fork", 0, heuristic="random")

    assert fork.state.cycle == 0
    assert fork.state.reports == session.state.reports
    assert fork.state.config.to_dict() == (
        squares.resolve(CONFIG).replace(heuristic="random").to_dict()
    )
    assert state_of(fork.journal.events) == fork.state
    assert [one.at for one in fork.journal.events[:-1]] == [
        one.at for one in session.journal.events[: fork.journal.count - 1]
    ]  # when each thing happened


def test_a_fork_needs_an_empty_folder_a_cycle_and_settings_that_exist(session, tmp_path):
    with pytest.raises(SessionError, match="holds a session"):
        session.fork(session.journal.path.parent, 0)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "thesis.docx").touch()
    with pytest.raises(SessionError, match=r"holds thesis\.docx and no session"):
        session.fork(tmp_path / "theirs", 0)
    with pytest.raises(SessionError, match="never came to cycle 3"):
        session.fork(tmp_path / "fork", 3)
    with pytest.raises(ConfigError, match="unknown setting"):
        session.fork(tmp_path / "fork", 0, heuristics="random")


def test_clicks_have_the_digest_they_had_before_there_were_outlines():
    clicks = (Click(3, 4), Click(5.5, 6.25, 0))
    answers = [Answer(REGIONS[0], Verdict.INFECTED, clicks), Answer(REGIONS[1], Verdict.CLEAN)]

    assert digest(answers) == "14063869c4166dd1"


def test_an_outline_is_kept_and_makes_the_network_stale(session, squares):
    outlines = [((1, 1), (1, 5), (5, 5)), ((1, 1), (1, 5), (5, 6))]
    first, second = (Answer(REGIONS[0], Verdict.INFECTED, outlines=(o,)) for o in outlines)
    session.submit(first)

    assert digest([first]) != digest([second])
    assert state_of(session.journal.events).answers == (first,)
    assert session.state.cost.nominal_s == 9
    assert session.undo() == (first,) == session.redo()


def test_a_folder_of_other_things_is_left_alone(squares, tmp_path):
    (tmp_path / "thesis.docx").write_text("")

    with pytest.raises(SessionError, match="holds thesis\\.docx and no session"):
        Session.open(tmp_path, squares)

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.docx"]


@pytest.mark.parametrize("left", [0, 4096])
def test_a_session_that_found_no_room_opens_once_there_is_some(squares, disk, left):
    folder = disk.path / "session"
    disk.fill(left)
    with pytest.raises(SessionError, match=r"there is no room|No space left"):
        Session.open(folder, squares, CONFIG)
    assert not (folder / "journal.jsonl").exists()

    disk.free()
    assert Session.open(folder, squares, CONFIG).state.cycle == -1


@pytest.mark.parametrize(
    "name", ["journal.new", ".123-journal.jsonl", ".7-draft.json", "journal.other-2.jsonl"]
)
def test_what_a_kill_or_an_older_version_left_keeps_no_session_out(squares, tmp_path, name):
    (tmp_path / name).write_text('{"seq":0,')

    assert Session.open(tmp_path, squares, CONFIG).state.cycle == -1


def test_a_fork_is_written_whole_or_not_at_all(session, disk):
    session.submit(dataclasses.replace(clean(REGIONS[0]), annotator="Ada" * 3000))
    disk.fill(8192)
    with pytest.raises(SessionError, match="No space left"):
        session.fork(disk.path / "fork", 0)
    assert not Journal(disk.path / "fork" / "journal.jsonl").events

    disk.free()
    assert session.fork(disk.path / "fork", 0).state.answers == session.state.answers


def test_a_session_whose_journal_is_gone_may_begin_again(squares, tmp_path):
    Session.open(tmp_path / "session", squares).close()
    (tmp_path / "session" / "journal.jsonl").unlink()

    assert Session.open(tmp_path / "session", squares).state.cycle == -1


def retired(folder, dataset, **settings):
    """Begin a session as an older alnb did, whose settings are not resolved."""
    session = Session.open(folder, dataset, CONFIG)
    session.ask([Pick(region, 0.5) for region in REGIONS])
    session.submit(clean(REGIONS[0]))
    session.close()
    path = session.journal.path
    opened, *rest = path.read_text("utf-8").splitlines()
    event = json.loads(opened)
    event["config"] = CONFIG.to_dict() | {"power": None, "prices": "paper"} | settings
    del event["config"]["adapt_threshold"]
    path.write_text("\n".join([json.dumps(event), *rest]) + "\n", "utf-8")
    return path


def test_a_session_of_an_older_version_goes_on(tmp_path, squares):
    retired(tmp_path, squares, smallest_region_px=4)
    session = Session.open(tmp_path, squares)
    session.submit(infected(REGIONS[1]))

    assert len(session.state.answers) == 2


def test_a_session_with_a_retired_setting_is_read_but_not_gone_on_with(tmp_path, squares):
    path = retired(tmp_path, squares, regions="quadtree", per_second=True)

    assert len(state_of(Journal(path).events).answers) == 1
    with pytest.raises(SessionError, match="per_second=True, regions=quadtree, which alnb no"):
        Session.open(tmp_path, squares)
