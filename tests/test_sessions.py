import errno
import json
import os
import shutil

import pytest

from alnb.annotation import Answer, Click, Verdict
from alnb.arrays import INFECTED
from alnb.config import Config
from alnb.errors import SessionError
from alnb.export.export import write_export
from alnb.journal import Journal
from alnb.pool import Pool, start_picks
from alnb.session import Session, default_folder
from alnb.sessions import (
    datasets_folder,
    fork_session,
    free_folder,
    list_datasets,
    list_sessions,
)
from alnb.state import state_of

CONFIG = Config(regions_per_slice=16, start_regions=6)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))


@pytest.fixture
def place(tmp_path):
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


def begun(folder, dataset, answers=0):
    session = Session.open(folder, dataset, CONFIG)
    session.ask(start_picks(Pool(dataset, CONFIG)))
    for region in session.state.pending[:answers]:
        session.submit(Answer(region, Verdict.CLEAN))
    session.close()


def middle(region):
    return region.row + region.height // 2, region.col + region.width // 2


def test_on_a_fresh_machine_there_is_the_embedded_dataset(place):
    assert list_sessions(place) == ()
    assert list_sessions(place / "absent") == ()
    assert list_datasets(place) == {"embedded phantom": None}


def test_sessions_of_the_user_and_of_the_folder_are_found_the_latest_first(squares, place):
    begun(place / "mine", squares, answers=1)
    begun(default_folder(squares), squares, answers=2)

    first, second = list_sessions(place)
    assert (first.folder, second.folder) == (default_folder(squares), place / "mine")
    assert first.words.startswith("squares · entropy · 2 answers · ")
    assert second.words.startswith("squares · entropy · 1 answer · ")
    assert first.data == squares.folder.resolve()


def test_an_export_is_no_session(squares, place):
    begun(place / "mine", squares, answers=1)
    list(write_export(place / "mine", place / "exported"))
    assert (place / "exported" / "journal.jsonl").exists()

    assert [entry.folder for entry in list_sessions(place)] == [place / "mine"]


def test_a_sessions_dataset_is_offered_beside_those_of_the_folder(squares, unmasked, place):
    (place / "linked").symlink_to(unmasked.folder)
    (place / "other").mkdir()
    begun(default_folder(squares), squares)

    offered = list_datasets(place, list_sessions(place))
    assert set(offered.values()) == {squares.folder.resolve(), unmasked.folder.resolve(), None}
    assert list(offered)[-1] == "embedded phantom"
    assert any(name.startswith("squares (") for name in offered)


def test_what_can_not_be_opened_says_why(squares, place):
    for name in ("torn", "empty"):
        (place / name).mkdir()
    (place / "torn" / "journal.jsonl").write_text("nonsense\n")
    (place / "empty" / "journal.jsonl").write_text("")
    begun(place / "moved", squares)
    journal = place / "moved" / "journal.jsonl"
    journal.write_text(journal.read_text().replace(str(squares.folder), str(place / "gone")))

    problems = {known.folder.name: known.problem for known in list_sessions(place)}
    assert "line 1: not a line of a journal" in problems["torn"]
    assert problems["empty"] == "its journal can't be read."
    assert problems["moved"] == f"its dataset is not in {place / 'gone'} any more."


def test_a_session_that_another_process_writes_is_said_to_be_held(squares, place):
    begun(place / "mine", squares)
    assert not list_sessions(place)[0].held

    mark = {"token": "theirs", "pid": os.getppid()}
    (place / "mine" / "journal.owner").write_text(json.dumps(mark))
    assert list_sessions(place)[0].held


def test_a_session_that_another_computer_writes_names_it(squares, place):
    begun(place / "mine", squares)
    mark = {"token": "theirs", "pid": os.getppid(), "host": "reading-room"}
    (place / "mine" / "journal.owner").write_text(json.dumps(mark))
    (entry,) = list_sessions(place)

    assert entry.held
    assert entry.words.endswith("open on the computer reading-room")


def test_a_new_session_never_lands_in_an_old_one(squares):
    own = default_folder(squares)
    assert free_folder(squares) == own
    begun(own, squares)
    assert free_folder(squares) == own.with_name(f"{own.name}-2")
    begun(own.with_name(f"{own.name}-2"), squares)
    assert free_folder(squares) == own.with_name(f"{own.name}-3")


def test_a_journal_that_nobody_foresaw_spoils_no_list(squares, place):
    begun(place / "mine", squares, answers=1)
    begun(place / "odd", squares, answers=1)
    journal = place / "odd" / "journal.jsonl"
    first, rest = journal.read_text().split("\n", 1)
    opened = json.loads(first) | {"config": ["not", "a", "mapping"]}
    journal.write_text(json.dumps(opened) + "\n" + rest)

    problems = {one.folder.name: one.problem for one in list_sessions(place)}
    assert problems["mine"] == ""
    assert "line 1: not a line of a journal (config: expected object, got array)" in problems["odd"]


def test_a_folder_that_may_not_be_entered_is_left_out(squares, place, monkeypatch):
    begun(place / "mine", squares)
    begun(place / "closed", squares)
    may = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: "closed" not in str(path) and may(path, mode)
    )

    assert [one.folder.name for one in list_sessions(place)] == ["mine"]


def test_an_imported_dataset_is_offered(unmasked, place):
    datasets_folder().mkdir(parents=True)
    (datasets_folder() / "mine").symlink_to(unmasked.folder)

    assert list(list_datasets(place).values()) == [unmasked.folder.resolve(), None]


def test_a_session_is_known_by_its_last_infected_region(squares, place):
    session = Session.open(place / "mine", squares, CONFIG)
    session.ask(start_picks(Pool(squares, CONFIG)))
    first, second = session.state.pending[:2]
    assert list_sessions(place)[0].region == first
    session.submit(Answer(second, Verdict.INFECTED, (Click(*middle(second), INFECTED),)))
    session.submit(Answer(first, Verdict.CLEAN))
    session.close()

    entry = list_sessions(place)[0]
    assert (entry.region, entry.dice) == (second, None)


def test_the_last_dice_of_a_session_is_known(four_runs):
    entries = list_sessions(four_runs)
    curve = state_of(Journal(entries[0].folder / "journal.jsonl").events).reports

    assert entries[0].dice == curve[-1].scores.dice
    assert "Dice" not in entries[0].words


def test_a_fork_has_the_answers_and_leaves_the_session_alone(squares, place):
    begun(place / "mine", squares, answers=2)
    (place / "mine" / "cache").mkdir()
    (place / "mine" / "cache" / "weights-a.safetensors").write_bytes(b"a")
    before = (place / "mine" / "journal.jsonl").read_bytes()
    folder = fork_session(list_sessions(place)[0])
    again = fork_session(next(one for one in list_sessions(place) if one.folder == folder))

    assert (folder, again) == (place / "mine-fork", place / "mine-fork-2")
    assert (place / "mine" / "journal.jsonl").read_bytes() == before
    assert (folder / "cache" / "weights-a.safetensors").read_bytes() == b"a"
    states = [state_of(Journal(at / "journal.jsonl").events) for at in (place / "mine", again)]
    assert states[0].answers == states[1].answers
    assert states[0].pending == states[1].pending


def test_a_session_that_asked_nothing_can_not_be_forked(squares, place):
    Session.open(place / "mine", squares, CONFIG).close()

    with pytest.raises(SessionError, match="nothing was asked"):
        fork_session(list_sessions(place)[0])
    assert [path.name for path in place.iterdir()] == ["mine"]


def test_a_fork_that_can_not_be_written_leaves_nothing(squares, place, monkeypatch):
    begun(place / "mine", squares)
    (place / "mine" / "cache").mkdir()

    def full(*_args, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copytree", full)
    with pytest.raises(SessionError, match="there is no room"):
        fork_session(list_sessions(place)[0])
    assert [path.name for path in place.iterdir()] == ["mine"]


def test_a_dataset_that_can_not_be_opened_comes_last_and_another_programs_does_not(unmasked, place):
    for name in ("spoilt", "other"):
        (place / name).mkdir()
        (place / name / "manifest.json").write_text("{}")
    (place / "spoilt" / "slices.csv").write_text("")
    (place / "whole").symlink_to(unmasked.folder)

    offered = list_datasets(place)

    assert list(offered.values()) == [unmasked.folder.resolve(), None, (place / "spoilt").resolve()]
    assert list(offered)[-1].startswith("spoilt: can't be opened (")
