import re
import shutil
import zipfile

import numpy as np
import pytest
from scans import ct, noisy_chest, write_nifti
from test_volumes_dicom import write_series

from alnb.annotation import Answer, Verdict
from alnb.pool import Pool, start_picks
from alnb.serve import app_notebook
from alnb.session import Session
from browser.app_page import CONFIG, App, events
from browser.layout import faults, resize


@pytest.fixture
def place(tmp_path, phantom):
    """A folder with a dataset in it, under a path that no column is wide enough for."""
    place = tmp_path / "-".join(["a long name"] * 8) / "place"
    place.mkdir(parents=True)
    shutil.copytree(phantom.folder, place / "data")
    return place


def opened(page, address, name):
    page.goto(address)
    page.get_by_role("button", name=name, exact=True).click()


def test_a_session_is_begun_looked_at_and_taken_over(serving, watching, place, tmp_path):
    env = {"ALNB_START": place, "XDG_DATA_HOME": tmp_path / "home", "ALNB_ANNOTATOR": "Ann"}
    with serving(app_notebook("label"), **env) as server, watching() as one, watching() as two:
        opened(one.page, server.address, "Begin")
        app = App(one.page)
        app.key_answer("c")
        app.press("Settings")
        field = one.page.get_by_placeholder("your name")
        field.fill("Bob")
        field.press("Enter")  # leaves the field: the next key answers
        app.key_answer("c")
        (folder,) = (tmp_path / "home" / "alnb" / "sessions").iterdir()
        assert [event["annotator"] for event in events(folder, "answered")] == ["Ann", "Bob"]

        opened(two.page, server.address, "View")
        two.page.get_by_role("button", name="Fork here").wait_for()
        app.key_answer("c")  # the first window still writes

        opened(two.page, server.address, "Continue")
        two.page.get_by_role("button", name="Continue here", exact=True).click()
        other = App(two.page)
        other.reads("3 regions")
        one.page.get_by_text("This session was opened in another window").wait_for()
        other.key_answer("c")
        assert len(events(folder, "answered")) == 4
        assert one.errors == two.errors == one.foreign == two.foreign == []


def seen(page):
    """Wait for the page that ends an import, and return its frame."""
    frame = page.frame_locator("iframe[title='what was imported']")
    picture = frame.locator(".slice img").first
    picture.wait_for()
    picture.scroll_into_view_if_needed()
    assert picture.evaluate("image => image.complete && image.naturalWidth > 0")
    return frame


def test_what_was_imported_is_shown_on_the_page_and_leads_back(serving, watching, place, tmp_path):
    env = {"ALNB_START": place, "XDG_DATA_HOME": tmp_path / "home"}
    with serving(app_notebook("label"), **env) as server, watching() as one:
        opened(one.page, server.address, "Look at scans")
        assert seen(one.page).locator(".slice b").first.inner_text() == "A"
        one.page.get_by_role("button", name="Start page").click()
        one.page.get_by_role("button", name="Begin", exact=True).wait_for()
        assert one.errors == one.foreign == []


def test_a_session_is_forked_viewed_and_left_again(serving, watching, place, phantom, tmp_path):
    session = Session.open(place / "mine", phantom, CONFIG)
    session.ask(start_picks(Pool(phantom, CONFIG)))
    session.submit(Answer(session.state.pending[0], Verdict.CLEAN, annotator="Ann"))
    session.close()
    env = {"ALNB_START": place, "XDG_DATA_HOME": tmp_path / "home"}
    with serving(app_notebook("label"), **env) as server, watching() as one:
        page = one.page
        opened(page, server.address, "Fork")
        page.get_by_text("Copied into").wait_for()
        pictures = page.locator(".alnb-picture img")
        pictures.nth(1).wait_for()
        assert pictures.count() == 2
        assert pictures.first.evaluate("image => image.complete && image.naturalWidth > 0")
        assert "no Dice" in page.locator(".alnb-session").first.inner_text()

        page.get_by_role("button", name="View", exact=True).first.click()
        page.get_by_role("button", name="Fork here").wait_for()
        page.wait_for_selector(".alnb-figure .nsewdrag")
        page.wait_for_selector(".alnb-charts .nsewdrag")
        page.get_by_role("button", name="Start page").click()
        page.get_by_role("button", name="Continue", exact=True).first.click()
        App(page).reads("1 region")
        assert len(events(place / "mine-fork", "answered")) == 1
        assert one.errors == one.foreign == []


# --- imports ---


def scans(folder, count=2, depth=6, side=64):
    """Write volumes with masks beside them."""
    for n in range(count):
        volume, mask = ct(depth=depth, height=side, width=side, seed=n)
        write_nifti(folder / f"ct{n}.nii.gz", volume.voxels, "RAS")
        write_nifti(folder / f"ct{n}_mask.nii.gz", mask, "RAS")
    return folder


@pytest.fixture
def start(serving, place, tmp_path):
    """A start page's server, and where its datasets go."""
    env = {"ALNB_START": place, "XDG_DATA_HOME": tmp_path / "home"}
    with serving(app_notebook("label"), **env) as server:
        yield server.address, tmp_path / "home" / "alnb" / "datasets"


def says(page, text):
    page.locator(".alnb-import", has_text=text).wait_for()


def is_ready(page, address):
    page.goto(address)
    page.get_by_role("button", name="Upload files…").wait_for()


def test_a_folder_is_imported_by_the_keyboard_alone_and_labelled(start, watched, place):
    scans(place / "ct")
    address, datasets = start
    page = watched.page
    is_ready(page, address)
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
    assert [path.name for path in datasets.iterdir()] == ["ct"]

    page.get_by_role("button", name="Start page").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Begin", exact=True).focus()
    page.keyboard.press("Enter")
    App(page).reads("ct")
    assert watched.errors == watched.foreign == []


def test_the_page_answers_while_it_imports_and_the_import_can_be_cancelled(start, watched, place):
    scans(place / "ct", count=4, depth=40, side=256)
    address, datasets = start
    page = watched.page
    is_ready(page, address)
    page.get_by_label("folder of scans").fill("ct/")
    page.get_by_role("button", name="Import", exact=True).click()
    says(page, re.compile(r"Importing: [1-4] of 4 scans"))
    page.get_by_role("button", name="More settings").click()
    page.get_by_label("ask by").wait_for()
    page.get_by_role("button", name="Cancel", exact=True).click()
    says(page, "Cancelled; nothing was kept.")

    assert list(datasets.iterdir()) == []
    assert page.get_by_role("button", name="Import", exact=True).is_enabled()
    assert watched.errors == watched.foreign == []


def test_files_above_a_messages_limit_are_uploaded(start, watched, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        noise = rng.integers(-1000, 300, (30, 512, 512)).astype(np.int16)
        write_nifti(tmp_path / "big" / f"{name}.nii", noise)
    files = sorted((tmp_path / "big").iterdir())
    assert min(path.stat().st_size for path in files) > 10 * 2**20  # Tornado's limit of a message
    address, datasets = start
    page = watched.page
    is_ready(page, address)
    page.get_by_label("call it").fill("Noise")
    page.locator(".alnb-import input[type=file]").set_input_files(files)
    says(page, "Found: 2 NIfTI volumes, no masks.")
    page.get_by_role("button", name="Import", exact=True).click()
    seen(page)

    assert [path.name for path in datasets.iterdir()] == ["Noise"]
    assert watched.errors == watched.foreign == []


def test_a_zip_of_dicom_is_uploaded_and_a_bad_one_refused(start, watched, tmp_path):
    write_series(tmp_path / "series", noisy_chest(6, 64))
    for name, member in (("good.zip", "series/{}"), ("bad.zip", "../{}")):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for path in (tmp_path / "series").iterdir():
                archive.write(path, member.format(path.name))
    address, datasets = start
    page = watched.page
    is_ready(page, address)
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

    assert [path.name for path in datasets.iterdir()] == ["scans"]
    assert watched.errors == watched.foreign == []


def test_what_an_import_asks_is_answered_on_the_page(start, watched, place):
    scans(place / "ct")
    _, mask = ct(depth=6, height=64, width=64)
    write_nifti(place / "ct" / "ct0_mask.nii.gz", mask // 2 * 3, "RAS")  # another label
    address, _ = start
    page = watched.page
    is_ready(page, address)
    page.get_by_label("folder of scans").fill("../")
    page.get_by_role("button", name="Import", exact=True).click()
    says(page, "this page reads only folders in it")
    page.get_by_label("folder of scans").fill("ct")
    page.get_by_role("button", name="Import", exact=True).click()
    says(page, "Name those that are with --infected LABEL,LABEL")
    assert "Traceback" not in page.locator(".alnb-app").inner_text()
    page.get_by_label("options").fill("--infected 2,3")
    page.get_by_role("button", name="Import", exact=True).click()

    assert "infected are labels 2,3" in seen(page).locator(".notes").first.inner_text()
    assert watched.errors == watched.foreign == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_start_page_fits_every_window(start, watching, place, phantom, scheme):
    for n in range(3):
        session = Session.open(place / f"s{n}", phantom, CONFIG)
        session.ask(start_picks(Pool(phantom, CONFIG)))
        session.close()
    address, _ = start
    with watching(color_scheme=scheme) as one:
        is_ready(one.page, address)
        for fold in ("More settings", "More ▸"):
            one.page.get_by_role("button", name=fold).click()
        one.page.get_by_label("options").wait_for()
        for window in ((1024, 640), (1280, 720), (1920, 1080), (2560, 1440)):
            resize(one.page, *window)
            assert faults(one.page) == [], window
        one.page.get_by_role("button", name="Look at scans").click()
        seen(one.page)
        for window in ((1024, 640), (2560, 1440)):
            resize(one.page, *window)
            assert faults(one.page, whole=True) == [], window
