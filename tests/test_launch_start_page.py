import dataclasses
import json
import os
import re
import threading
import zipfile
from html import escape

import pytest
from scans import ct, write_nifti

from alnb.annotation import Answer, Verdict
from alnb.config import Config
from alnb.journal import Journal
from alnb.pool import Pool, start_picks
from alnb.session import Session, default_folder
from alnb.sessions import datasets_folder
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

    assert "5 of 6 still open" in text(page)
    names = [w.value for w in all_of(page) if "alnb-annotator" in getattr(w, "_dom_classes", ())]
    assert names == ["Ann"]


def test_an_address_that_names_a_session_leads_to_it_as_after_a_reload(begun, monkeypatch):
    monkeypatch.setenv("QUERY_STRING", "token=t&session=mine")
    page = label_app()
    assert "5 of 6 still open" in text(page)
    tap = next(w for w in all_of(page) if type(w).__name__ == "Tap")
    assert tap.session == "mine"
    assert "<a href='?token=t'" in text(page)

    monkeypatch.setenv("QUERY_STRING", "session=gone")
    assert "There is no session gone any more." in text(label_app())
    monkeypatch.setenv("QUERY_STRING", "session=../mine")
    assert "a name has up to 64 letters" in label_app().value


def test_a_session_of_the_start_page_names_itself_in_the_address(begun, monkeypatch):
    monkeypatch.setenv("QUERY_STRING", "token=t")
    page = label_app()
    button(page, "Continue").click()
    tap = next(w for w in all_of(page) if type(w).__name__ == "Tap")

    assert tap.session == "mine"


def test_a_session_is_listed_with_whose_answers_it_has(begun, place, squares):
    config = CONFIG.replace(labels="full", loss="full", share=2, shares=3)
    Session.open(place / "part", squares, config).close()
    page = label_app()

    assert "1 answer by Ann ·" in text(page)
    assert "0 answers · part 2 of 3 · outlines" in text(page)


@pytest.mark.parametrize(("name", "marked"), [("Ann", "mine"), ("Bob", ""), ("", "other")])
def test_the_session_to_continue_is_ones_own(begun, place, squares, name, marked):
    Session.open(place / "other", squares, CONFIG).close()
    page = label_app(annotator=name)
    rows = [w for w in all_of(page) if "alnb-session" in getattr(w, "_dom_classes", ())]
    main = [row for row in rows if "alnb-main" in button(row, "Continue")._dom_classes]

    assert [f"/{marked}<" in text(row) for row in main] == [True] * bool(marked)


def test_what_was_imported_can_be_labelled_at_once(place, squares):
    page = label_app()
    button(page, "Look at scans").click()
    button(page, "Label these scans").click()

    assert "still open" in text(page) or "Is there infection in the frame?" in text(page)


def test_a_notebook_begins_with_the_start_page_of_the_home_folder(begun, monkeypatch):
    monkeypatch.delenv("ALNB_START")
    monkeypatch.setenv("HOME", str(begun.parent))
    assert "squares · entropy · 1 answer" in text(label_app())

    monkeypatch.setenv("QUERY_STRING", "")  # as Voila sets it, whose users may not choose folders
    assert "squares" not in text(label_app())


def test_a_name_that_is_too_long_opens_nothing_and_is_said(begun):
    page = label_app()
    name = next(w for w in all_of(page) if getattr(w, "description", "") == "your name")
    name.value = "a" * 101
    button(page, "Continue").click()

    assert "has 101 characters" in text(page)
    assert "still open" not in text(page)


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

    assert "5 of 6 still open" in text(page)
    assert json.loads((held / "journal.owner").read_text())["pid"] == os.getpid()


def test_a_session_whose_window_is_going_opens_without_a_question(held, squares, monkeypatch):
    monkeypatch.setattr(launch, "GONE_S", 60)
    going = threading.Timer(0.3, (held / "journal.owner").unlink)
    going.start()

    assert "5 of 6 still open" in text(label_app(squares.folder, held))
    assert going.finished.is_set()
    assert json.loads((held / "journal.owner").read_text())["pid"] == os.getpid()


def test_who_continues_from_the_start_page_is_asked_too(held):
    page = label_app()
    button(page, "Continue").click()
    assert "5 of 6 still open" not in text(page)
    button(page, "Continue here").click()

    assert "5 of 6 still open" in text(page)


def test_a_new_session_begins_with_the_settings_chosen(place, squares):
    page = label_app()
    button(page, "ask by").value = "margin"
    button(page, "label by").value = "full"
    button(page, "regions at the start").value = 7
    button(page, "your name").value = "Bob"
    button(page, "Begin").click()

    assert "0 regions · 0 points" in text(page)
    config = state_of(Journal(default_folder(squares) / "journal.jsonl").events).config
    chosen = Config(asking="live", heuristic="margin", labels="full", loss="full", start_regions=7)
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
    assert "5 of 6 still open" in text(label_app(squares.folder, begun))
    assert "0 regions · 0 clicks" in text(label_app(squares.folder, tmp_path / "new", draws=7))


def test_what_was_imported_of_a_dataset_is_shown_and_leads_back(place, squares):
    page = StartPage(place, "")
    assert page.dataset.value.startswith("squares")
    page.heuristic.value = "margin"
    page.look.click()
    frame = page.scans.value
    assert frame.startswith("<iframe sandbox title=")
    assert escape((squares.folder / "import.html").read_text(encoding="utf-8")) in frame
    assert page.begin not in all_of(page.widget)

    page.back.click()
    assert page.begin in all_of(page.widget)
    assert page.scans not in all_of(page.widget)
    assert (page.dataset.value.split()[0], page.heuristic.value) == ("squares", "margin")


def test_scans_that_can_not_be_read_are_a_sentence(place, squares, monkeypatch):
    page = StartPage(place, "")
    monkeypatch.setattr(launch, "read_audit", lambda dataset: dataset.mask(None))
    page.look.click()

    assert "it has no slice None" in page.message.value


def test_the_page_says_what_it_is_and_folds_the_rest(place):
    page = StartPage(place, "")

    assert "regions of CT that its network is least sure of" in text(page.widget)
    assert not page.more.opened
    page.more.button.click()
    assert page.more.opened
    page.more.button.click()
    assert not page.more.opened


def test_a_session_is_listed_with_its_dice_and_picture(four_runs, begun):
    runs, own = StartPage(four_runs, "").widget, StartPage(begun.parent, "").widget

    assert re.search(r"<span class='alnb-dice'>Dice \d\.\d\d</span>", text(runs))
    assert "alnb-dice'>" not in text(own)  # nothing was measured yet
    assert "<span class='alnb-picture'><img alt='" in text(own)


def test_a_session_is_forked_by_its_button(begun):
    page = label_app()
    button(page, "Fork").click()

    assert f"Copied into {begun.parent / 'mine-fork'}" in text(page)
    assert text(page).count("squares · entropy · 1 answer") == 2
    (begun / "journal.jsonl").write_text("nonsense\n")
    forks = [w for w in all_of(page) if getattr(w, "description", "") == "Fork"]
    forks[1].click()
    assert "line 1: not a line of a journal" in text(page)


def test_a_session_that_is_viewed_leads_back(begun):
    page = label_app()
    button(page, "View").click()
    assert button(page, "Fork here")
    button(page, "‹ Start page").click()

    assert button(page, "Begin")
    button(page, "Continue").click()
    assert "5 of 6 still open" in text(page)


# --- an import ---


@pytest.fixture
def scans(place):
    volume, mask = ct()
    for name in ("a", "b"):
        write_nifti(place / "ct" / f"{name}.nii.gz", volume.voxels, "RAS")
        write_nifti(place / "ct" / f"{name}_mask.nii.gz", mask, "RAS")
    return place / "ct"


def shown(panel):
    return text(panel.widget)


def test_a_folder_is_imported_and_its_scans_are_shown(scans, place):
    page = StartPage(place, "")
    panel = page.importing
    panel.path.value = "c"
    assert list(panel.path.options) == ["ct/"]
    panel.path.value = "ct/"
    assert "Found: 2 NIfTI volumes, masks beside them." in shown(panel)
    panel.options.value = "--size 16"
    panel.start.click()

    assert "ct: 2 scans, 8 slices" in text(page.widget)
    assert "<iframe sandbox" in page.scans.value
    page.back.click()
    assert page.dataset.value.startswith("ct (")
    assert [path.name for path in datasets_folder().iterdir()] == ["ct"]


@pytest.mark.parametrize(
    ("path", "options", "said"),
    [
        ("", "", "Name a folder of scans, or upload files."),
        ("../data", "", "this page reads only folders in it"),
        ("none", "", "there is no such file or folder"),
        ("ct", "--out /etc", "is no option"),
        ("ct", "--infected 7", "no mask holds such a label"),
    ],
)  # fmt: skip
def test_an_import_that_can_not_be_is_a_sentence(scans, place, path, options, said):
    page = StartPage(place, "")
    page.importing.path.value, page.importing.options.value = path, options
    page.importing.start.click()

    assert said in shown(page.importing)
    assert "Traceback" not in shown(page.importing)
    assert not page.importing.start.disabled
    assert page.begin in all_of(page.widget)


def test_a_sentence_that_names_an_option_shows_where_to_write_it(scans, place):
    panel = StartPage(place, "").importing
    assert not panel.more.opened
    panel.path.value, panel.options.value = "ct", "--infected 7"
    panel.start.click()

    assert panel.more.opened


def sent(panel, *files):
    """Send files as the browser does, in pieces of 100 kB."""
    wanted = []
    panel.upload.send = wanted.append
    offered = [[path.name, path.stat().st_size] for path in files]
    panel.upload._receive(None, {"kind": "offer", "id": 1, "files": offered}, [])
    while wanted:
        asked = wanted.pop()
        piece = files[asked["file"]].read_bytes()[asked["begin"] :][:100_000]
        panel.upload._receive(None, {**asked, "kind": "piece"}, [memoryview(piece)])


def test_files_are_uploaded_and_imported(scans, place):
    page = StartPage(place, "")
    sent(page.importing, *sorted(scans.iterdir()))
    assert "Found: 2 NIfTI volumes, masks beside them." in shown(page.importing)
    assert "Press <b>Import</b>" in shown(page.importing)
    page.importing.options.value, page.importing.name.value = "--size 16", "Mine!"
    page.importing.start.click()

    assert "Mine: 2 scans, 8 slices" in text(page.widget)
    assert [path.name for path in datasets_folder().iterdir()] == ["Mine"]


def test_uploaded_files_stay_for_another_try_when_an_import_fails(scans, place):
    page = StartPage(place, "")
    sent(page.importing, *sorted(scans.iterdir()))
    page.importing.options.value = "--infected 7"
    page.importing.start.click()
    assert "no mask holds such a label" in shown(page.importing)
    page.importing.options.value = "--size 16"
    page.importing.start.click()

    assert "scans: 2 scans, 8 slices" in text(page.widget)


def test_a_bad_zip_is_a_sentence_and_can_be_replaced(scans, place):
    page = StartPage(place, "")
    bad = place / "bad.zip"
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("../out", b"1")
    sent(page.importing, bad)
    assert "would land outside its folder" in shown(page.importing)

    sent(page.importing, *sorted(scans.iterdir()))
    assert "Found: 2 NIfTI volumes" in shown(page.importing)


def test_what_the_browser_can_not_read_is_a_sentence(scans, place):
    panel = StartPage(place, "").importing
    panel.upload.send = lambda _: None
    panel.upload._receive(None, {"kind": "offer", "id": 1, "files": [["a.nii", 5]]}, [])
    assert panel.start.disabled
    panel.upload._receive(None, {"kind": "broken", "id": 1, "text": "file not found"}, [])

    assert "file not found" in shown(panel)
    assert not panel.start.disabled


def test_an_upload_that_is_cancelled_leaves_nothing(scans, place):
    panel = StartPage(place, "").importing
    asked = []
    panel.upload.send = asked.append
    panel.upload._receive(None, {"kind": "offer", "id": 1, "files": [["a.nii", 5]]}, [])
    panel.cancel.click()
    piece = {**asked[0], "kind": "piece"}
    panel.upload._receive(None, piece, [memoryview(b"abcde")])

    assert "Cancelled; nothing was kept." in shown(panel)
    assert list(datasets_folder().iterdir()) == []
    assert not panel.start.disabled
