import dataclasses
import json
import os
import threading
from html import escape

import pytest

from alnb.annotation import Answer, Verdict
from alnb.config import Config
from alnb.journal import Journal
from alnb.pool import Pool, start_picks
from alnb.session import Session, default_folder
from alnb.state import state_of
from alnb.ui import launch
from alnb.ui.launch import StartPage, label_app

CONFIG = Config(regions_per_slice=16, start_regions=6)


@pytest.fixture
def place(tmp_path, monkeypatch, squares):
    """A folder with a dataset in it, for a user without sessions."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("ALNB_START", str(tmp_path / "place"))
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "data").symlink_to(squares.folder)
    return tmp_path / "place"


@pytest.fixture
def begun(squares, place):
    session = Session.open(place / "mine", squares, CONFIG)
    session.ask(start_picks(Pool(squares, CONFIG)))
    session.submit(Answer(session.state.pending[0], Verdict.CLEAN, annotator="Ann"))
    session.close()
    return place / "mine"


def all_of(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from all_of(child)


def button(page, words):
    return next(w for w in all_of(page) if getattr(w, "description", "") == words)


def text(page):
    return " ".join(w.value for w in all_of(page) if type(w).__name__ == "HTML")


def test_a_session_continues_where_it_was(begun):
    page = label_app()
    assert "squares · entropy · 1 answer" in text(page)
    button(page, "Continue").click()

    assert "1 of 6 regions answered" in text(page)
    names = [w.value for w in all_of(page) if "alnb-annotator" in getattr(w, "_dom_classes", ())]
    assert names == ["Ann"]


def test_a_session_that_is_open_elsewhere_can_be_viewed_and_stays_theirs(begun):
    mark = json.dumps({"token": "theirs", "pid": os.getppid()})
    (begun / "journal.owner").write_text(mark)
    before = (begun / "journal.jsonl").read_bytes()
    page = label_app()
    assert "open in another window" in text(page)
    button(page, "View").click()

    assert button(page, "Fork here")
    assert not button(page, "mask").value
    assert (begun / "journal.owner").read_text() == mark
    assert (begun / "journal.jsonl").read_bytes() == before


@pytest.fixture
def held(begun, squares, monkeypatch):
    """The same session, while another process writes it."""
    monkeypatch.setattr(launch, "GONE_S", 0.2)
    (begun / "journal.owner").write_text(json.dumps({"token": "theirs", "pid": os.getppid()}))
    return begun


def test_a_session_that_another_window_writes_is_not_taken_over_unasked(held, squares):
    before = (held / "journal.owner").read_bytes(), (held / "journal.jsonl").read_bytes()
    page = label_app(squares.folder, held)

    assert "open in another window" in text(page)
    assert "squares · entropy · 1 answer" in text(page)
    button(page, "View").click()
    assert button(page, "Fork here")
    assert before == ((held / "journal.owner").read_bytes(), (held / "journal.jsonl").read_bytes())


def test_a_session_that_another_window_writes_is_taken_over_if_one_says_so(held, squares):
    page = label_app(squares.folder, held)
    button(page, "Continue here").click()

    assert "1 of 6 regions answered" in text(page)
    assert json.loads((held / "journal.owner").read_text())["pid"] == os.getpid()


def test_a_session_whose_window_is_going_opens_without_a_question(held, squares, monkeypatch):
    monkeypatch.setattr(launch, "GONE_S", 60)
    going = threading.Timer(0.3, (held / "journal.owner").unlink)
    going.start()

    assert "1 of 6 regions answered" in text(label_app(squares.folder, held))
    assert going.finished.is_set()
    assert json.loads((held / "journal.owner").read_text())["pid"] == os.getpid()


def test_who_continues_from_the_start_page_is_asked_too(held):
    page = label_app()
    button(page, "Continue").click()
    assert "1 of 6 regions answered" not in text(page)
    button(page, "Continue here").click()

    assert "1 of 6 regions answered" in text(page)


def test_a_new_session_begins_with_the_settings_chosen(place, squares):
    page = label_app()
    button(page, "ask by").value = "margin"
    button(page, "label by").value = "full"
    button(page, "regions at the start; 0: as needed").value = 7
    button(page, "your name").value = "Bob"
    button(page, "Begin").click()

    assert "0 of 7 regions answered" in text(page)
    config = state_of(Journal(default_folder(squares) / "journal.jsonl").events).config
    chosen = Config(heuristic="margin", labels="full", loss="full", start_regions=7)
    assert dataclasses.asdict(config) == dataclasses.asdict(squares.resolve(chosen))


def test_the_settings_are_the_defaults_unless_chosen(place):
    page = StartPage(place, "")

    assert Config().replace(**page.settings) == Config()


def test_a_second_press_begins_no_second_session(place, squares):
    page = label_app()
    begin = button(page, "Begin")
    begin.click()
    begin.click()

    assert len(list(default_folder(squares).parent.iterdir())) == 1


def test_what_goes_wrong_is_said_and_the_page_stays(begun):
    page = label_app()
    (begun / "journal.jsonl").write_text("nonsense\n")
    button(page, "Continue").click()

    assert "line 1: not a line of a journal" in text(page)
    assert button(page, "Begin")


def test_a_session_without_its_dataset_can_not_be_chosen(begun, squares, place):
    journal = begun / "journal.jsonl"
    journal.write_text(journal.read_text().replace(str(squares.folder), str(place / "gone")))
    page = label_app()

    assert button(page, "Continue").disabled
    assert "Its dataset is not in" in text(page)


def test_who_names_data_a_session_or_settings_sees_no_start_page(begun, squares, tmp_path):
    assert "1 of 6 regions answered" in text(label_app(squares.folder, begun))
    assert "regions answered" in text(label_app(squares.folder, tmp_path / "new", draws=7))


def test_what_was_imported_of_a_dataset_is_shown_and_hidden(place, squares):
    page = StartPage(place, "")
    assert page.dataset.value.startswith("squares")
    page.look.click()
    frame = page.scans.value
    assert frame.startswith("<iframe sandbox title=")
    assert escape((squares.folder / "import.html").read_text(encoding="utf-8")) in frame
    assert page.look.description == "Hide scans"

    page.look.click()
    assert (page.scans.value, page.look.description) == ("", "Look at scans")


def test_another_dataset_hides_what_was_imported_of_the_first(place, squares):
    page = StartPage(place, "")
    page.look.click()
    page.dataset.value = "embedded phantom"

    assert (page.scans.value, page.look.description) == ("", "Look at scans")


def test_scans_that_can_not_be_read_are_a_sentence(place, squares, monkeypatch):
    page = StartPage(place, "")
    monkeypatch.setattr(launch, "read_audit", lambda dataset: dataset.mask(None))
    page.look.click()

    assert "it has no slice None" in page.message.value
