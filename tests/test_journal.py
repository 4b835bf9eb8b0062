import json
import multiprocessing
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alnb.errors import SessionError
from alnb.journal import Event, Journal, live

OPENING = {
    "version": "0",
    "config": {},
    "dataset": {"name": "small", "folder": "data", "fingerprint": "ab", "split": {"train": 3}},
}
CLEAN = {
    "region": "scan_01/23/132,132,44,44",
    "verdict": "clean",
    "clicks": [],
    "seconds": 2.5,
    "annotator": "Ada",
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.jsonl"


def test_what_is_appended_reads_back(path):
    journal = Journal(path, clock=lambda: 12.5)
    journal.append("opened", OPENING)
    journal.append("answered", CLEAN)

    assert Journal(path).events == journal.events
    assert [event.seq for event in journal.events] == [0, 1]
    assert journal.events[1] == Event(1, 12.5, "answered", CLEAN)


def test_a_torn_last_line_is_forgotten(path):
    journal = Journal(path)
    journal.append("opened", OPENING)
    with path.open("a") as file:
        file.write('{"kind": "answ')

    assert Journal(path).events == journal.events


def test_writing_goes_on_after_a_torn_line(path):
    Journal(path).append("opened", OPENING)
    with path.open("a") as file:
        file.write('{"kind": "answ')

    Journal(path).append("answered", CLEAN)

    assert [event.seq for event in Journal(path).events] == [0, 1]


def _line(**changes):
    return json.dumps({"seq": 1, "at": 0, "kind": "answered", **CLEAN} | changes)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{nonsense}", "not a line of a journal"),
        ("[]", "not a line of a journal"),
        ('{"seq":1,"at":0}', "not a line of a journal"),
        ("[" * 100_000, "nested too deeply"),
        (b'{"seq":1,"at":0,"kind":"answered","region":"\xff"}', "Invalid UTF-8"),
        (_line(seq=7), "numbered 7, where 1 follows"),
        (_line(at="noon"), "at: expected float, got str"),
        (_line(seconds=10**400), "seconds: number out of range"),
        (_line(clicks=[[1]]), r"clicks\[0\]: expected array of length 3, got 1"),
        (_line(verdict="perhaps"), "verdict: invalid enum value 'perhaps'"),
        (_line(kind="opened", **OPENING), "opened, numbered 1"),
        (_line(kind="undone", of=0), "takes line 1 for an answer"),
        (_line(kind="redone", of=5), "takes line 6 for an answer"),
        ('{"seq":1,"at":0,"kind":"guessed"}', "unknown kind 'guessed'"),
    ],
)
def test_any_other_bad_line_is_named_with_its_reason(path, line, reason):
    Journal(path).append("opened", OPENING)
    with path.open("ab") as file:
        file.write(line if isinstance(line, bytes) else line.encode())
        file.write(b"\n")

    with pytest.raises(SessionError, match=f"(?i)line 2.*{reason}") as error:
        Journal(path)
    assert len(str(error.value)) < 300 + len(str(path))


def test_a_journal_that_does_not_begin_with_its_opening_is_refused(path):
    path.write_text(_line(seq=0) + "\n")

    with pytest.raises(SessionError, match="answered, numbered 0"):
        Journal(path)


def _hold(path, held, done):
    journal = Journal(path)
    journal.append("opened", OPENING)
    held.set()
    done.wait(30)


@pytest.fixture
def elsewhere(path):
    """Another process that has the journal open for writing."""
    context = multiprocessing.get_context("spawn")
    held, done = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(path, held, done))
    process.start()
    assert held.wait(30)
    yield process
    done.set()
    process.join()


def test_a_journal_in_use_is_said(path, elsewhere):
    with pytest.raises(SessionError, match=f"in use|open in another window.*{elsewhere.pid}"):
        Journal(path).claim()


def test_a_journal_can_be_taken_over(path, elsewhere):
    journal = Journal(path)
    journal.claim(take_over=True)
    journal.append("answered", CLEAN)

    assert len(Journal(path).events) == 2


def test_a_dead_writer_holds_nothing(path):
    code = (
        "import json, sys; from alnb.journal import Journal; "
        "Journal(sys.argv[1]).append('opened', json.loads(sys.argv[2]))"
    )
    subprocess.run([sys.executable, "-c", code, str(path), json.dumps(OPENING)], check=True)

    Journal(path).append("answered", CLEAN)

    assert len(Journal(path).events) == 2


def test_the_former_writer_is_told_and_writes_nothing(path):
    first, second = Journal(path), Journal(path)
    first.append("opened", OPENING)
    second.claim(take_over=True)

    with pytest.raises(SessionError, match="another window"):
        first.append("answered", CLEAN)
    assert not first.owned
    assert second.owned
    assert len(Journal(path).events) == 1


def test_taking_over_reads_what_was_written_meanwhile(path):
    first, second = Journal(path), Journal(path)
    first.append("opened", OPENING)
    second.claim(take_over=True)

    assert second.append("answered", CLEAN).seq == 1


def test_releasing_lets_others_write(path):
    journal = Journal(path)
    journal.append("opened", OPENING)
    journal.release()

    assert not journal.owned
    assert not path.with_name("journal.owner").exists()


def test_an_unknown_kind_is_not_written(path):
    with pytest.raises(SessionError, match="no events of kind"):
        Journal(path).append("guessed", {})


def test_what_could_not_be_read_again_is_not_written(path):
    with pytest.raises(ValueError, match="missing required field region"):
        Journal(path).append("answered", {})
    assert Journal(path).events == ()


def test_a_disk_that_refuses_is_said_and_nothing_is_kept(path, monkeypatch):
    journal = Journal(path)
    journal.append("opened", OPENING)

    def full(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(SessionError, match=r"No space left.*not saved"):
            journal.append("answered", CLEAN)
    assert len(journal.events) == len(Journal(path).events) == 1

    journal.append("answered", CLEAN)
    assert Journal(path).events == journal.events


def test_a_number_that_is_none_is_not_written(path):
    journal = Journal(path)

    with pytest.raises(ValueError, match="score_s: expected float"):
        journal.append("scored", {"cycle": 0, "scores": None, "score_s": float("nan")})
    assert Journal(path).events == ()


def test_a_path_that_can_be_no_journal_is_a_sentence(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(SessionError, match="it is a folder"):
        Journal(tmp_path)
    with pytest.raises(SessionError, match="a part of this path is a file"):
        Journal(tmp_path / "file" / "journal.jsonl")
    with pytest.raises(SessionError, match="its name is too long"):
        Journal(tmp_path / ("x" * 300) / "journal.jsonl")


def test_lines_are_json_objects(path):
    Journal(path).append("opened", OPENING | {"version": "ä"})

    assert json.loads(path.read_text())["version"] == "ä"


def story(steps):
    """Make events from letters: a answers, u undoes the last that stands, r redoes."""
    events, standing, back = [], [], []
    for step in steps:
        seq = len(events)
        if step == "a":
            events.append(Event(seq, 0, "answered", {"region": f"s/{seq}/0,0,1,1"}))
            standing.append(seq)
            back.clear()
        elif step == "u" and standing:
            back.append(standing.pop())
            events.append(Event(seq, 0, "undone", {"of": back[-1], "region": "-"}))
        elif step == "r" and back:
            standing.append(back.pop())
            events.append(Event(seq, 0, "redone", {"of": standing[-1], "region": "-"}))
    return events, standing


@given(st.text("aur", max_size=40))
def test_what_lives_is_what_stands(steps):
    events, standing = story(steps)

    assert [e.seq for e in live(events) if e.kind == "answered"] == sorted(standing)
    assert not any(e.kind == "redone" for e in live(events))


def test_an_undone_event_lives_as_long_as_it_stands():
    assert [e.kind for e in live(story("au")[0])] == ["undone"]
    assert [e.kind for e in live(story("aur")[0])] == ["answered"]
