import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alnb.errors import SessionError
from alnb.journal import Event, Journal, began, live

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


def _hold(path, held):
    journal = Journal(path)
    journal.append("opened", OPENING)
    held.set()
    time.sleep(60)


@pytest.fixture
def elsewhere(path):
    """Another process that has the journal open for writing."""
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    process = context.Process(target=_hold, args=(path, held))
    process.start()
    assert held.wait(30)
    yield process
    process.kill()
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


# --- who writes ---

FREE = [
    {"pid": 0}, {"pid": -1}, {"pid": 1}, {"pid": True}, {"pid": "12"}, {"pid": None},
    {"pid": 2**70}, {"pid": os.getppid(), "began": "another time"}, {"pid": [1]}, {},
]  # fmt: skip


@pytest.mark.parametrize("mark", FREE)
def test_a_mark_of_no_living_writer_holds_nothing(path, mark):
    Journal(path).append("opened", OPENING)
    path.with_name("journal.owner").write_text(json.dumps({"token": "theirs"} | mark))
    journal = Journal(path)

    assert not journal.held
    journal.claim()
    assert journal.owned


def test_a_number_that_another_process_has_now_holds_nothing(path, elsewhere):
    owner = path.with_name("journal.owner")
    mark = json.loads(owner.read_text())
    elsewhere.kill()
    elsewhere.join()
    owner.write_text(json.dumps(mark | {"pid": os.getppid()}))

    journal = Journal(path)
    journal.claim()
    assert journal.append("answered", CLEAN).seq == 1


def test_a_process_that_ended_and_was_not_waited_for_holds_nothing(path):
    code = "import sys; from pathlib import Path; from alnb.journal import Journal; " + (
        "j = Journal(Path(sys.argv[1])); j.claim(); print('held', flush=True); input()"
    )
    words = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        assert Journal(path).held
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it stays a zombie

        assert not Journal(path).held


@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_a_process_is_known_by_when_it_began(monkeypatch, system):
    import psutil  # while the system is known

    words = [sys.executable, "-c", "input()"]
    with subprocess.Popen(words, stdin=subprocess.PIPE) as process:
        monkeypatch.setattr(sys, "platform", system)
        first = began(process.pid)
        process.kill()

    assert first
    assert first != began(os.getpid()) == began(os.getpid())
    assert began(process.pid) is None
    assert not psutil.pid_exists(process.pid)


def test_a_writer_on_another_computer_is_named(path):
    Journal(path).append("opened", OPENING)
    mark = {"token": "theirs", "pid": 12, "host": "reading-room"}
    path.with_name("journal.owner").write_text(json.dumps(mark))

    with pytest.raises(SessionError, match="process 12 on the computer reading-room"):
        Journal(path).claim()
    journal = Journal(path)
    journal.claim(take_over=True)
    assert journal.owned


# --- what other programs do to the file ---


def _cut(path, older):
    path.write_bytes(path.read_bytes()[:-30])


def _restore(path, older):
    path.write_bytes(older)


def _replace(path, older):
    path.with_name("theirs").write_bytes(older)
    path.with_name("theirs").replace(path)


def _prolong(path, older):
    line = Event(3, 0, "answered", CLEAN | {"annotator": "Ben"}).line()
    path.write_bytes(path.read_bytes() + line.encode())


def _diverge(path, older):
    path.write_bytes(path.read_bytes().replace(b"Ada", b"Ben"))


def _fill_with_zeros(path, older):
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize("many", [1, 3])
@pytest.mark.parametrize("change", [_cut, _restore, _replace, _prolong, _diverge, _fill_with_zeros])
def test_a_journal_that_another_program_changed_is_written_again_and_theirs_is_kept(
    path, change, many
):
    journal = Journal(path)
    journal.append("opened", OPENING)
    older = path.read_bytes()
    journal.append("answered", CLEAN)
    journal.append("answered", CLEAN)
    change(path, older)
    theirs = path.read_bytes()
    journal.extend("answered", [CLEAN] * many)

    assert Journal(path).events == journal.events
    assert journal.count == 3 + many
    assert path.with_name("journal.other-1.jsonl").read_bytes() == theirs
    assert "is kept as journal.other-1.jsonl" in journal.take_note()
    assert not journal.take_note()
    journal.append("answered", CLEAN)
    assert not journal.take_note()
    assert len([*path.parent.glob("journal.other-*")]) == 1


def test_each_other_file_is_kept(path):
    journal = Journal(path)
    journal.append("opened", OPENING)
    for text in ("first", "second"):
        path.write_text(text)
        journal.append("answered", CLEAN)

    others = sorted(path.parent.glob("journal.other-*"))
    assert [one.read_text() for one in others] == ["first", "second"]


def test_a_journal_that_was_deleted_is_written_again(path):
    journal = Journal(path)
    journal.append("opened", OPENING)
    path.unlink()
    journal.append("answered", CLEAN)

    assert Journal(path).events == journal.events
    assert "another program deleted it" in journal.take_note()


def test_a_folder_that_was_deleted_is_made_again(path):
    path = path.parent / "session" / path.name
    journal = Journal(path)
    journal.append("opened", OPENING)
    shutil.rmtree(path.parent)
    assert journal.owned
    journal.append("answered", CLEAN)

    assert Journal(path).events == journal.events
    assert json.loads(path.with_name("journal.owner").read_text())["pid"] == os.getpid()


def test_a_folder_restored_from_a_copy_is_written_on(path):
    path = path.parent / "session" / path.name
    journal = Journal(path)
    journal.append("opened", OPENING)
    shutil.copytree(path.parent, path.parents[1] / "copy")
    mark = {"token": "of before", "pid": 2**22 + 1, "began": "before"}
    (path.parents[1] / "copy" / "journal.owner").write_text(json.dumps(mark))
    journal.append("answered", CLEAN)
    shutil.rmtree(path.parent)
    (path.parents[1] / "copy").rename(path.parent)
    journal.append("answered", CLEAN)

    assert Journal(path).events == journal.events
    assert journal.count == 3
    assert journal.owned


def test_who_took_over_and_let_go_again_is_not_overwritten(path):
    first, second = Journal(path), Journal(path)
    first.append("opened", OPENING)
    second.claim(take_over=True)
    second.append("answered", CLEAN)
    second.release()

    assert not first.owned
    with pytest.raises(SessionError, match="another window"):
        first.append("answered", CLEAN)
    assert Journal(path).events == second.events


def test_a_file_that_was_only_copied_or_touched_is_ours(path):
    journal = Journal(path)
    journal.append("opened", OPENING)
    path.with_name("theirs").write_bytes(path.read_bytes())
    path.with_name("theirs").replace(path)
    journal.append("answered", CLEAN)
    os.utime(path)
    with path.open("a") as file:
        file.write('{"kind": "answ')  # torn: no line yet
    journal.append("answered", CLEAN)

    assert Journal(path).events == journal.events
    assert not journal.take_note()
    assert not [*path.parent.glob("journal.other-*")]


# --- a disk without room ---

LONG = CLEAN | {"annotator": "Ada" * 3000}  # more than the room in a page that is begun


@pytest.mark.parametrize("many", [[LONG], [CLEAN] * 64])
@pytest.mark.parametrize("left", [0, 4096])
def test_on_a_full_disk_all_is_written_or_nothing(disk, many, left):
    journal = Journal(disk.path / "journal.jsonl")
    journal.append("opened", OPENING)
    journal.append("answered", CLEAN)
    before = journal.path.read_bytes()
    disk.fill(left)
    with pytest.raises(SessionError, match=r"No space left.*not saved"):
        journal.extend("answered", many)

    assert journal.path.read_bytes() == before
    assert journal.count == 2
    disk.free()
    journal.extend("answered", many)
    assert Journal(journal.path).events == journal.events
    assert not journal.take_note()


def test_a_full_disk_can_not_lose_what_another_program_changed(disk):
    journal = Journal(disk.path / "journal.jsonl")
    journal.append("opened", OPENING)
    journal.append("answered", LONG)
    journal.path.write_text("theirs")
    disk.fill()
    for _ in range(2):
        with pytest.raises(SessionError, match="not saved"):
            journal.append("answered", CLEAN)
    assert journal.path.read_text() == "theirs"
    assert not [*disk.path.glob("*other*")]

    disk.free()
    journal.append("answered", CLEAN)
    assert Journal(journal.path).events == journal.events


def test_a_disk_that_may_only_be_read_is_said(disk):
    journal = Journal(disk.path / "journal.jsonl")
    journal.append("opened", OPENING)
    disk.set_writable(False)

    with pytest.raises(SessionError, match=r"Read-only file system.*not saved"):
        journal.append("answered", CLEAN)
    with pytest.raises(SessionError, match="it may not be read or written here"):
        Journal(journal.path).claim()
    assert journal.owned
    disk.set_writable(True)
    journal.append("answered", CLEAN)
    assert Journal(journal.path).events == journal.events


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
