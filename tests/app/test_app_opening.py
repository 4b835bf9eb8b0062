"""The label app: how it opens, and what goes wrong."""

import asyncio
import json
import shutil
import subprocess
import sys

import pytest
from app_person import journal_of

import alnb.ui.label.app as app_module
from alnb.annotation import Verdict
from alnb.session import Session
from alnb.ui.label.app import TAKEN_OVER
from alnb.ui.launch import label_app

# --- what goes wrong ---


def test_a_session_taken_over_is_said_and_written_no_more(using, squares, folder):
    async def story(person):
        person.push(person.page.clean)
        person.press(1, 1)
        other = Session.open(folder, squares, take_over=True)
        (folder / "draft.json").unlink()
        before = (folder / "journal.jsonl").read_bytes()
        person.app.act("next")
        person.app.act("undo")
        person.press(5, 5)

        assert person.reads(TAKEN_OVER)
        assert person.page.look_on.layout.display == ""
        assert (folder / "journal.jsonl").read_bytes() == before
        assert not (folder / "draft.json").exists()
        assert all(
            button.disabled
            for button in (person.page.clean, person.page.next, person.page.undo, person.page.train)
        )
        other.close()

    using(story)


def test_a_person_who_lost_a_session_can_view_it(using, squares, folder):
    async def story(person):
        person.push(person.page.clean)
        assert person.page.look_on.layout.display == "none"
        other = Session.open(folder, squares, take_over=True)
        person.app.draw()
        before = (folder / "journal.jsonl").read_bytes()
        person.page.look_on.click()

        (explorer,) = person.page.widget.children
        assert "alnb-app" in explorer._dom_classes
        assert "alnb-app" not in person.page.widget._dom_classes
        assert (folder / "journal.jsonl").read_bytes() == before
        other.close()

    using(story)


def test_a_session_taken_over_is_said_without_a_press_and_ends_the_training(using, squares, folder):
    async def story(person):
        person.push(person.page.clean)
        person.worker.gate.clear()
        await person.train()
        Session.open(folder, squares, take_over=True)
        await asyncio.sleep(0.1)

        assert person.reads(TAKEN_OVER)
        assert "stop" in person.worker.did

    using(story)


def test_a_surprise_is_a_sentence_and_its_trace_is_kept(using, folder):
    async def story(person):
        person.push(person.page.clean)
        person.worker.failure = RuntimeError("a <surprise>")
        await person.train()

        assert person.reads("RuntimeError: a &lt;surprise&gt;")
        assert "Traceback" in (folder / "alnb.log").read_text()
        assert not person.page.train.disabled

    using(story)


def test_a_surprise_in_a_press_is_a_sentence(using, folder):
    async def story(person):
        person.app.session.submit = None
        person.push(person.page.clean)

        assert person.reads("Something went wrong in alnb (TypeError")
        assert len(person.state.answers) == 0

    using(story)


def test_a_surprise_in_drawing_is_a_sentence(using):
    async def story(person):
        person.app.view.mark = None
        person.press(1, 1)

        assert person.reads("Something went wrong in alnb (TypeError")

    using(story)


def test_a_full_disk_keeps_the_clicks_on_screen(using, folder, monkeypatch):
    async def story(person):
        person.press(1, 1)
        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", full)
            person.push(person.page.next)
        assert person.reads("No space left on device")
        assert len(person.clicks) == 1
        person.push(person.page.next)
        assert [a.verdict for a in person.state.answers] == [Verdict.INFECTED]

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    using(story)


@pytest.fixture
def on_disk(using, disk, folder):
    """Run a story on a session in a folder on a small disk."""
    folder.symlink_to(disk.path / "session")
    (disk.path / "session").mkdir()
    return using


@pytest.mark.parametrize("full", [True, False])
def test_marks_that_the_disk_refuses_stay_on_screen_and_are_saved_later(
    on_disk, disk, folder, full
):
    refuse = disk.fill if full else lambda: disk.set_writable(False)
    allow = disk.free if full else lambda: disk.set_writable(True)

    async def story(person):
        refuse()
        for place in (1, 3, 5):
            person.press(place, place)
            assert person.reads("They stay on screen")
            assert not person.reads("went wrong")
        assert len(person.clicks) == 3
        if not full:  # a full disk may still take a line, in the room that a page has
            person.push(person.page.next)
            assert person.reads("The last answer is not saved")
        assert len(person.clicks) == 3

        allow()
        await person.until((folder / "draft.json").exists)
        assert not person.reads("They stay on screen")
        assert len(json.loads((folder / "draft.json").read_text())["clicks"]) == 3
        person.push(person.page.next)
        assert [len(a.clicks) for a in person.state.answers] == [3]

    on_disk(story)


def test_a_journal_that_another_program_changed_is_said_and_no_answer_is_lost(using, folder):
    async def story(person):
        person.push(person.page.clean, person.page.clean)
        (folder / "journal.jsonl").write_text("theirs")
        person.push(person.page.clean)
        assert person.reads("the other file is kept as journal.other-1.jsonl")
        assert len(journal_of(folder)) == 3

        shutil.rmtree(folder)
        person.push(person.page.clean)
        assert person.reads("another program deleted it")
        assert not person.reads("opened in another window")
        assert len(journal_of(folder)) == 4

    using(story)


# --- opening ---


def sentence(widget):
    assert type(widget).__name__ == "HTML"
    assert "alnb can't open this" in widget.value
    assert "Traceback" not in widget.value
    return widget.value


def test_a_missing_dataset_is_a_sentence(tmp_path):
    assert str(tmp_path / "absent") in sentence(label_app(tmp_path / "absent", tmp_path / "s"))


def test_a_broken_journal_is_a_sentence(squares, folder):
    folder.mkdir()
    (folder / "journal.jsonl").write_text("nonsense\n")

    assert "line 1: not a line of a journal" in sentence(label_app(squares.folder, folder))


def test_another_datasets_session_is_a_sentence(squares, unmasked, folder):
    Session.open(folder, unmasked).close()

    assert "labels the dataset" in sentence(label_app(squares.folder, folder))


def test_a_session_folder_that_cannot_be_made_is_a_sentence(squares, tmp_path):
    (tmp_path / "file").write_text("")

    assert "file" in sentence(label_app(squares.folder, tmp_path / "file" / "session"))


def test_a_surprise_in_opening_is_a_sentence(squares, folder, monkeypatch):
    monkeypatch.setattr(app_module, "Editor", None)

    assert "TypeError" in sentence(label_app(squares.folder, folder))


def test_data_and_session_come_from_the_environment(squares, folder, monkeypatch):
    monkeypatch.setenv("ALNB_DATA", str(squares.folder))
    monkeypatch.setenv("ALNB_SESSION", str(folder))
    label_app()

    assert len(journal_of(folder, "asked")) == 1


def test_the_address_names_a_session_among_those_that_are_served(squares, tmp_path, monkeypatch):
    served = tmp_path / "served"
    monkeypatch.setenv("ALNB_SESSIONS", str(served))
    for query, opened in (("token=t&session=anna", "anna"), ("token=t&session=ben", "ben")):
        monkeypatch.setenv("QUERY_STRING", query)
        assert "alnb-app" in label_app(squares.folder)._dom_classes
        assert (served / opened / "journal.jsonl").is_file()

    monkeypatch.setenv("QUERY_STRING", "session=../anna")
    assert "a name has up to 64 letters" in label_app(squares.folder).value
    assert sorted(path.name for path in served.iterdir()) == ["anna", "ben"]


def test_settings_are_those_of_a_new_session(squares, folder, monkeypatch):
    monkeypatch.setenv("ALNB_SETTINGS", '{"draws": 7}')
    label_app(squares.folder, folder)
    label_app(squares.folder, folder)  # the same again is no contradiction

    assert journal_of(folder, "opened")[0]["config"]["draws"] == 7
    assert "draws 7, not 8" in sentence(label_app(squares.folder, folder, draws=8))


def test_a_setting_that_is_none_is_a_sentence(squares, folder):
    assert "Unknown setting nonsense" in sentence(label_app(squares.folder, folder, nonsense=1))


def test_a_surprise_in_opening_is_a_sentence_and_its_trace_is_logged(
    squares, folder, log_folder, monkeypatch
):
    monkeypatch.setattr(Session, "open", None)

    assert "The log" in sentence(label_app(squares.folder, folder))
    assert "Traceback" in (log_folder / "alnb.log").read_text()


def test_the_app_does_not_load_torch():
    code = "import sys, alnb.ui.launch; print([m for m in ('torch', 'timm') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
