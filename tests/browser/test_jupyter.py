"""The label app in JupyterLab and Notebook 7, whose own keys must not be pressed with its own.

One server, JupyterLab's, has all the pages: Notebook 7 and Voila are extensions of it.
"""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from alnb.serve import app_notebook
from browser.app_page import App, asked, events, middle, wait_until

ROOT = str(Path(__file__).parents[2])  # where alnb is not installed
PLACES = {"jupyterlab": "lab/tree", "notebook": "notebooks"}
LESSON = "lab/tree/notebooks/03_one_cycle_by_hand.ipynb"
THEIRS = [  # cells made, cut, changed; kernels interrupted and restarted
    "a", "b", "d", "d", "x", "v", "m", "y", "ArrowDown", "Space", "i", "i", "0", "0",
]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A copy of the repository's notebooks, which their pages save."""
    place = tmp_path_factory.mktemp("jupyter")
    for name in ("apps", "notebooks"):
        shutil.copytree(Path(ROOT) / name, place / name)
    return place


@pytest.fixture(scope="module")
def lab(place, phantom, label_server):
    """The address of a JupyterLab in that folder, behind a prefix as on Binder."""
    pytest.importorskip("jupyterlab")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [
        "--no-browser", f"--port={port}", "--ServerApp.port_retries=0",
        "--IdentityProvider.token=t", f"--ServerApp.root_dir={place}", "--allow-root",
        "--ServerApp.base_url=/user/ann-x1/",
    ]  # fmt: skip
    env = {
        "PYTHONPATH": ROOT, "ALNB_DATA": str(phantom.folder), "ALNB_SESSIONS": str(label_server[1]),
    }  # fmt: skip
    with (place / "server.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options],
            env=os.environ | env, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            address = f"http://127.0.0.1:{port}/user/ann-x1/"
            assert wait_until(lambda: _answers(f"{address}api?token=t"), 60)
            yield address
        finally:
            server.terminate()
            server.wait(30)


def _answers(address):
    try:
        return requests.get(address, timeout=5).ok
    except requests.ConnectionError:
        return False


def cells(page):
    """List the kinds of the notebook's cells."""
    kinds = "['jp-CodeCell', 'jp-MarkdownCell', 'jp-RawCell']"
    return page.evaluate(
        "() => [...document.querySelectorAll('.jp-Cell')]"
        f".map(cell => {kinds}.find(kind => cell.classList.contains(kind)))"
    )


@pytest.mark.parametrize("program", PLACES)
def test_a_notebooks_own_keys_are_not_pressed(program, watching, place, lab, folder):
    pytest.importorskip(program)
    cell = app_notebook("label").read_text()
    assert "label_app()" in cell
    cell = cell.replace("label_app()", f"label_app(session='{folder}')")
    (place / f"{program}.ipynb").write_text(cell)
    with watching(1400, 900) as watched:
        page = watched.page
        page.goto(f"{lab}{PLACES[program]}/{program}.ipynb?token=t")
        page.locator(".jp-Cell .cm-content").first.click(timeout=60_000)
        page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for(timeout=60_000)
        page.keyboard.press("Shift+Enter")
        app = App(page)
        before = cells(page)

        app.click(*middle(asked(folder)[0]))
        assert app.marks() == 1
        page.keyboard.press("z")
        page.wait_for_function("() => window.alnbMarks() === 0")
        for _ in range(3):
            app.key_answer("c")
        assert len(events(folder, "answered")) == 3

        for key in THEIRS:
            page.keyboard.press(key)
        page.wait_for_timeout(500)
        assert cells(page) == before
        assert page.locator(".jp-Dialog").count() == 0
        box = page.locator(".alnb-app").bounding_box()
        inside = page.locator(".jp-OutputArea-output:has(.alnb-app)").bounding_box()
        assert box["width"] <= inside["width"]


def test_a_lesson_is_answered_by_hand(watching, lab):
    with watching(1400, 900) as watched:
        page = watched.page
        page.goto(f"{lab}{LESSON}?token=t")
        page.locator(".jp-MarkdownCell").first.click(timeout=60_000)
        page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for(timeout=60_000)
        for _ in range(4):  # through text, imports, text, and the first questions
            page.keyboard.press("Shift+Enter")
        page.locator(".alnb-figure").wait_for(timeout=120_000)
        said = page.locator(".widget-html-content", has_text="open;")
        said.filter(has_text="12 open; 0 s nominal").wait_for(timeout=60_000)
        page.locator(".alnb-tap[data-ready]").wait_for(state="attached", timeout=60_000)

        panel = page.locator(".alnb-figure .nsewdrag[data-subplot=x2y2]")
        panel.click()
        page.get_by_role("button", name="Next", exact=True).click()
        said.filter(has_text="11 open; 3 s nominal").wait_for()
        page.get_by_role("button", name="No infection", exact=True).click()
        said.filter(has_text="10 open; 6 s nominal").wait_for()
        page.get_by_role("button", name="Undo", exact=True).click()
        said.filter(has_text="11 open; 3 s nominal").wait_for()


def test_the_app_opens_by_its_address_in_a_server_started_here_as_on_binder(watched, lab, folder):
    address = f"{lab}voila/render/apps/label.ipynb?token=t&session={folder.name}"
    app = App(watched.page, address)
    app.answer("No infection")
    assert len(events(folder, "answered")) == 1
