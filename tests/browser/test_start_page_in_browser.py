import pytest

from alnb.serve import app_notebook
from browser.app_page import App, events


@pytest.fixture
def place(tmp_path, phantom):
    """A folder with a dataset in it."""
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "data").symlink_to(phantom.folder)
    return tmp_path / "place"


def opened(page, address, name):
    page.goto(address)
    page.get_by_role("button", name=name, exact=True).click(timeout=60_000)


def test_a_session_is_begun_looked_at_and_taken_over(serving, watching, place, tmp_path):
    env = {"ALNB_START": place, "XDG_DATA_HOME": tmp_path / "home", "ALNB_ANNOTATOR": "Ann"}
    with serving(app_notebook("label"), **env) as server, watching() as one, watching() as two:
        opened(one.page, server.address, "Begin")
        app = App(one.page)
        app.key_answer("c")
        field = one.page.get_by_placeholder("your name")
        field.fill("Bob")
        field.press("Enter")  # leaves the field: the next key answers
        app.key_answer("c")
        (folder,) = (tmp_path / "home" / "alnb" / "sessions").iterdir()
        assert [event["annotator"] for event in events(folder, "answered")] == ["Ann", "Bob"]

        opened(two.page, server.address, "View")
        two.page.get_by_role("button", name="Fork here").wait_for(timeout=60_000)
        app.key_answer("c")  # the first window still writes

        opened(two.page, server.address, "Continue")
        two.page.get_by_role("button", name="Continue here", exact=True).click()
        other = App(two.page)
        other.reads("3 regions")
        one.page.get_by_text("This session was opened in another window").wait_for()
        other.key_answer("c")
        assert len(events(folder, "answered")) == 4
        assert one.errors == two.errors == one.foreign == two.foreign == []


def test_what_was_imported_is_shown_on_the_page(serving, watching, place, tmp_path):
    env = {"ALNB_START": place, "XDG_DATA_HOME": tmp_path / "home"}
    with serving(app_notebook("label"), **env) as server, watching() as one:
        opened(one.page, server.address, "Look at scans")
        frame = one.page.frame_locator("iframe[title='what was imported']")
        picture = frame.locator(".slice img").first
        picture.wait_for(timeout=60_000)
        picture.scroll_into_view_if_needed()

        assert picture.evaluate("image => image.complete && image.naturalWidth > 0")
        assert frame.locator(".slice b").first.inner_text() == "A"
        assert one.errors == one.foreign == []
