import re
import zipfile

import numpy as np
import pytest
from scans import ct, noisy_chest, write_nifti
from test_volumes_dicom import write_series

from alnb.annotation import Answer, Verdict
from alnb.dataset import import_phantom
from alnb.pool import Pool, start_picks
from alnb.serve import app_notebook
from alnb.session import Session
from browser.app_page import CONFIG, App, events
from browser.layout import faults, resize


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a dataset in it, under a path that no column is wide enough for."""
    place = tmp_path_factory.mktemp("start") / "-".join(["a long name"] * 8) / "place"
    import_phantom(place / "data", scans=2, size=64)
    return place


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Where the start page keeps sessions and datasets."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def start(serving, place, home):
    """The address of a start page, and where its datasets go."""
    env = {"ALNB_START": place, "XDG_DATA_HOME": home, "ALNB_ANNOTATOR": "Ann"}
    with serving(app_notebook("label"), **env) as server:
        yield server.address, home / "alnb" / "datasets"


def opened(page, address, name):
    page.goto(address)
    page.get_by_role("button", name=name, exact=True).first.click()


def test_a_session_is_forked_viewed_and_left_again(start, watched, place, phantom):
    session = Session.open(place / "mine", phantom, CONFIG)
    session.ask(start_picks(Pool(phantom, CONFIG)))
    session.submit(Answer(session.state.pending[0], Verdict.CLEAN, annotator="Ann"))
    session.close()
    page = watched.page
    opened(page, start[0], "Fork")
    page.get_by_text("Copied into").wait_for()
    pictures = page.locator(".alnb-picture img")
    pictures.nth(1).wait_for()
    assert pictures.count() == 2
    assert pictures.first.evaluate("image => image.complete && image.naturalWidth > 0")
    assert "1 answer by Ann" in page.locator(".alnb-session").first.inner_text()

    page.get_by_role("button", name="View", exact=True).first.click()
    page.get_by_role("button", name="Fork here").wait_for()
    page.wait_for_selector(".alnb-figure .nsewdrag")
    page.wait_for_selector(".alnb-charts .nsewdrag")
    page.get_by_role("button", name="Start page").click()
    page.get_by_role("button", name="Continue", exact=True).first.click()
    App(page).reads("1 region")
    assert len(events(place / "mine-fork", "answered")) == 1
    assert watched.errors == watched.foreign == []


def test_a_session_is_begun_looked_at_and_taken_over(start, watching, home):
    address, _ = start
    with watching() as one, watching() as two:
        opened(one.page, address, "Begin")
        app = App(one.page)
        app.key_answer("c")
        app.press("Settings")
        field = one.page.get_by_placeholder("your name")
        field.fill("Bob")
        field.press("Enter")  # leaves the field: the next key answers
        app.key_answer("c")
        (folder,) = (home / "alnb" / "sessions").iterdir()
        assert [event["annotator"] for event in events(folder, "answered")] == ["Ann", "Bob"]

        opened(two.page, address, "View")
        two.page.get_by_role("button", name="Fork here").wait_for()
        app.key_answer("c")  # the first window still writes

        two.page.get_by_role("button", name="Start page").click()
        two.page.get_by_role("button", name="Continue", exact=True).first.click()
        two.page.get_by_role("button", name="Continue here", exact=True).click()
        other = App(two.page)
        other.reads("3 regions")
        one.page.get_by_text("This session was opened in another window").wait_for()
        other.key_answer("c")
        assert len(events(folder, "answered")) == 4
        assert one.errors == two.errors == one.foreign == two.foreign == []


def test_a_reload_comes_back_to_the_session_and_its_name_leads_to_the_start_page(start, watched):
    page = watched.page
    opened(page, start[0], "Begin")
    app = App(page)
    app.key_answer("c")
    assert "session=" in page.url
    page.reload()
    App(page).reads("1 region")
    page.get_by_role("link", name="alnb").click()
    page.get_by_role("heading", name="Begin a new session").wait_for()
    assert "session=" not in page.url
    assert watched.errors == watched.foreign == []


def seen(page):
    """Wait for the page that ends an import, and return its frame."""
    frame = page.frame_locator("iframe[title='what was imported']")
    picture = frame.locator(".slice img").first
    picture.wait_for()
    picture.scroll_into_view_if_needed()
    assert picture.evaluate("image => image.complete && image.naturalWidth > 0")
    return frame


# --- imports ---


def scans(folder, count=2, depth=6, side=64):
    """Write volumes with masks beside them."""
    for n in range(count):
        volume, mask = ct(depth=depth, height=side, width=side, seed=n)
        write_nifti(folder / f"ct{n}.nii.gz", volume.voxels, "RAS")
        write_nifti(folder / f"ct{n}_mask.nii.gz", mask, "RAS")
    return folder


def says(page, text):
    page.locator(".alnb-import", has_text=text).wait_for()


@pytest.fixture(scope="module")
def importing(start, watching):
    """The start page for all tests here."""
    with watching() as watched:
        watched.page.goto(start[0])
        watched.page.get_by_role("button", name="Upload files…").wait_for()
        yield watched


@pytest.fixture
def page(importing):
    """The same with empty fields, and without an error at the end."""
    page = importing.page
    if not page.get_by_label("folder of scans").is_visible():
        page.get_by_role("button", name="Start page").click()
    page.get_by_label("folder of scans").fill("")
    page.get_by_label("call it").fill("")
    yield page
    assert importing.errors == importing.foreign == []


def test_what_was_imported_is_shown_on_the_page_and_leads_back(page):
    page.get_by_role("button", name="Look at scans").click()
    assert seen(page).locator(".slice b").first.inner_text() == "A"
    page.get_by_role("button", name="Start page").click()
    page.get_by_role("button", name="Begin", exact=True).wait_for()


def test_the_start_page_fits_every_window(page, start, place, phantom):
    for n in range(3):
        session = Session.open(place / f"s{n}", phantom, CONFIG)
        session.ask(start_picks(Pool(phantom, CONFIG)))
        session.close()
    page.get_by_role("button", name="Look at scans").click()
    page.get_by_role("button", name="Start page").click()  # it lists them now
    page.locator(".alnb-session").nth(2).wait_for()
    for fold in ("More settings", "More ▸"):
        page.get_by_role("button", name=fold).click()
    page.get_by_label("options").wait_for()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for window in ((1024, 640), (1280, 720), (1920, 1080), (2560, 1440)):
            resize(page, *window)
            assert faults(page) == [], (scheme, window)
    for fold in ("More settings", "More ▾"):
        page.get_by_role("button", name=fold).click()
    page.get_by_role("button", name="Look at scans").click()
    seen(page)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for window in ((1024, 640), (2560, 1440)):
            resize(page, *window)
            assert faults(page, whole=True) == [], (scheme, window)
    page.emulate_media(color_scheme="light")
    resize(page, 1280, 720)


def test_the_page_answers_while_it_imports_and_the_import_can_be_cancelled(page, start, place):
    scans(place / "many", count=4, depth=40, side=256)
    before = set(start[1].glob("*"))
    page.get_by_label("folder of scans").fill("many/")
    page.get_by_role("button", name="Import", exact=True).click()
    says(page, re.compile(r"Importing: [1-4] of 4 scans"))
    page.get_by_role("button", name="More settings").click()
    page.get_by_label("ask by").wait_for()
    page.get_by_role("button", name="Cancel", exact=True).click()
    says(page, "Cancelled; nothing was kept.")

    assert set(start[1].glob("*")) == before
    assert page.get_by_role("button", name="Import", exact=True).is_enabled()


def test_files_above_a_messages_limit_are_uploaded(page, start, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        noise = rng.integers(-1000, 300, (21, 512, 512)).astype(np.int16)
        write_nifti(tmp_path / "big" / f"{name}.nii", noise)
    files = sorted((tmp_path / "big").iterdir())
    assert min(path.stat().st_size for path in files) > 10 * 2**20  # Tornado's limit of a message
    page.get_by_label("call it").fill("Noise")
    page.locator(".alnb-import input[type=file]").set_input_files(files)
    says(page, "Found: 2 NIfTI volumes, no masks.")
    page.get_by_role("button", name="Import", exact=True).click()
    seen(page)

    assert (start[1] / "Noise").is_dir()


def test_a_zip_of_dicom_is_uploaded_and_a_bad_one_refused(page, start, tmp_path):
    write_series(tmp_path / "series", noisy_chest(6, 64))
    for name, member in (("good.zip", "series/{}"), ("bad.zip", "../{}")):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for path in (tmp_path / "series").iterdir():
                archive.write(path, member.format(path.name))
    chooser = page.locator(".alnb-import input[type=file]")
    chooser.set_input_files(tmp_path / "bad.zip")
    says(page, "would land outside its folder")
    (tmp_path / "a.exe").write_bytes(b"1")
    chooser.set_input_files(tmp_path / "a.exe")
    says(page, "a.exe can't be uploaded")
    chooser.set_input_files(tmp_path / "good.zip")
    says(page, "it is read as DICOM")
    page.get_by_role("button", name="Import", exact=True).click()
    seen(page)

    assert (start[1] / "scans").is_dir()


def test_what_an_import_asks_is_answered_on_the_page(page, place):
    scans(place / "labels")
    _, mask = ct(depth=6, height=64, width=64)
    write_nifti(place / "labels" / "ct0_mask.nii.gz", mask // 2 * 3, "RAS")  # another label
    page.get_by_label("folder of scans").fill("../")
    page.get_by_role("button", name="Import", exact=True).click()
    says(page, "this page reads only folders in it")
    page.get_by_label("folder of scans").fill("labels")
    page.get_by_role("button", name="Import", exact=True).click()
    says(page, "Name those that are with --infected LABEL,LABEL")
    assert "Traceback" not in page.locator(".alnb-app").inner_text()
    page.get_by_label("options").fill("--infected 2,3")
    page.get_by_role("button", name="Import", exact=True).click()

    assert "infected are labels 2,3" in seen(page).locator(".notes").first.inner_text()
    page.get_by_role("button", name="Start page").click()
    page.get_by_label("options").fill("")
    page.get_by_role("button", name="More ▾").click()


def test_a_folder_is_imported_by_the_keyboard_alone_and_labelled(page, start, place):
    scans(place / "ct")
    page.get_by_label("folder of scans").focus()
    page.keyboard.type("ct")
    page.wait_for_function("() => document.querySelector('datalist option')?.value === 'ct/'")
    says(page, "Found: 2 NIfTI volumes, masks beside them.")
    steps = ["folder of masks", "Upload files…", "call it", "More ▸", "Import"]
    name = "(at => at.textContent || at.closest('.jupyter-widgets').textContent)"
    for step in steps:
        page.keyboard.press("Tab")
        assert step in page.evaluate(f"() => {name}(document.activeElement)")
    page.keyboard.press("Enter")
    seen(page)
    page.get_by_text("ct: 2 scans, 12 slices of 352×352 pixels, with masks").wait_for()
    assert (start[1] / "ct").is_dir()

    page.get_by_role("button", name="Start page").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Begin", exact=True).focus()
    page.keyboard.press("Enter")
    App(page).reads("ct")
