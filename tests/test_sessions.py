import json
import os

import pytest

from alnb.annotation import Answer, Verdict
from alnb.config import Config
from alnb.pool import Pool, start_picks
from alnb.session import Session, default_folder
from alnb.sessions import free_folder, list_datasets, list_sessions, something_to_choose

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


def test_on_a_fresh_machine_there_is_nothing_to_choose(place):
    assert not something_to_choose(place)
    assert not something_to_choose(place / "absent")
    assert list_datasets(place) == {"embedded phantom": None}


def test_sessions_of_the_user_and_of_the_folder_are_found_the_latest_first(squares, place):
    begun(place / "mine", squares, answers=1)
    begun(default_folder(squares), squares, answers=2)

    first, second = list_sessions(place)
    assert (first.folder, second.folder) == (default_folder(squares), place / "mine")
    assert first.words.startswith("squares · entropy · 2 answers · ")
    assert second.words.startswith("squares · entropy · 1 answer · ")
    assert first.data == squares.folder.resolve()
    assert something_to_choose(place)


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
    assert something_to_choose(place)
