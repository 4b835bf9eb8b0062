"""The label app in JupyterLab and Notebook 7, whose own keys must not be pressed with its own."""

import os
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from app_page import App, asked, events, middle, wait_until

from alnb.serve import app_notebook

ROOT = str(Path(__file__).parents[2])  # where alnb is not installed
PLACES = {"jupyterlab": "lab/tree/label.ipynb", "notebook": "notebooks/label.ipynb"}
THEIRS = ["a", "b", "d", "d", "x", "v", "m", "y", "ArrowDown", "Space"]  # cells made, cut, changed


@contextmanager
def jupyter(program, place, env):
    """Start JupyterLab or Notebook 7 in a folder; give the notebook's address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [
        "--no-browser", f"--port={port}", "--ServerApp.port_retries=0",
        "--IdentityProvider.token=t", f"--ServerApp.root_dir={place}", "--allow-root",
    ]  # fmt: skip
    with (place / "server.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", program, *options], env=env, stdout=log, stderr=log
        )
        try:
            address = f"http://127.0.0.1:{port}"
            assert wait_until(lambda: _answers(f"{address}/api?token=t"), 60)
            yield f"{address}/{PLACES[program]}?token=t"
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
def test_a_notebooks_own_keys_are_not_pressed(program, watching, phantom, folder):
    pytest.importorskip(program)
    shutil.copy(app_notebook("label"), folder.parent / "label.ipynb")
    env = {"PYTHONPATH": ROOT, "ALNB_DATA": str(phantom.folder), "ALNB_SESSION": str(folder)}
    with (
        jupyter(program, folder.parent, os.environ | env) as address,
        watching(1400, 900) as watched,
    ):
        page = watched.page
        page.goto(address)
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
        box = page.locator(".alnb-app").bounding_box()
        inside = page.locator(".jp-OutputArea-output:has(.alnb-app)").bounding_box()
        assert box["width"] <= inside["width"]
