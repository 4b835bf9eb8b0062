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

from alnb.serve import app_notebook
from browser.app_page import FIGURE, SLOW, App, asked, events, middle, wait_until
from browser.layout import faults, resize

ROOT = str(Path(__file__).parents[2])  # where alnb is not installed
PLACES = {"jupyterlab": "lab/tree/label.ipynb", "notebook": "notebooks/label.ipynb"}
LESSON = "lab/tree/notebooks/03_one_answer_at_a_time.ipynb"
THEIRS = [  # cells made, cut, changed; kernels interrupted and restarted
    "a", "b", "d", "d", "x", "v", "m", "y", "ArrowDown", "Space", "i", "i", "0", "0",
]  # fmt: skip


@contextmanager
def jupyter(program, place, env, *, base="/", logs=None):
    """Start JupyterLab or Notebook 7 in a folder; give its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [
        "--no-browser", f"--port={port}", "--ServerApp.port_retries=0",
        "--IdentityProvider.token=t", f"--ServerApp.root_dir={place}", "--allow-root",
        f"--ServerApp.base_url={base}",
    ]  # fmt: skip
    log_folder = logs or place
    with (log_folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", program, *options],
            env={**env, "JUPYTER_CONFIG_DIR": str(log_folder / "config")}, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            address = f"http://127.0.0.1:{port}{base}"
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


@contextmanager
def label_notebook(program, watching, phantom, folder, place, size):
    """Run the label app in the notebook of a program; give the app, from when it can be used."""
    pytest.importorskip(program)
    shutil.copy(app_notebook("label"), place / "label.ipynb")
    env = {"PYTHONPATH": ROOT, "ALNB_DATA": str(phantom.folder), "ALNB_SESSION": str(folder)}
    with jupyter(program, place, os.environ | env) as address, watching(*size) as watched:
        page = watched.page
        page.add_init_script(SLOW)
        page.goto(f"{address}{PLACES[program]}?token=t")
        page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
        assert wait_until(lambda: begins(page))
        yield App(page)


def choose_kernel(page):
    """Take the kernel that a notebook offers where a key came before it had one."""
    if (accept := page.locator(".jp-Dialog .jp-mod-accept")).count():
        accept.first.click()


def begins(page, number=0):
    """Run a cell of code; tell whether it has begun: a notebook that still loads takes no keys."""
    choose_kernel(page)
    cell = page.locator(".jp-CodeCell").nth(number)
    cell.locator(".cm-content").first.click()
    page.keyboard.press("Shift+Enter")
    page.wait_for_timeout(1000)
    return cell.locator(".jp-InputPrompt").first.inner_text() != "[ ]:"


def hidden(page):
    """List what one works with, and what of it is not in view in the notebook."""
    return page.evaluate(
        """() => {
          const seen = document.querySelector(".jp-WindowedPanel-outer").getBoundingClientRect();
          const names = [".alnb-figure", ".alnb-question", ".alnb-act-clean", ".alnb-act-sweep",
            ".alnb-strip", ".alnb-charts", ".alnb-act-train", ".alnb-lines-bar", ".alnb-why"];
          return names.filter((name) => {
            const { top, bottom } = document.querySelector(name).getBoundingClientRect();
            return top < seen.top || bottom > seen.bottom + 1;
          });
        }"""
    )


@pytest.mark.parametrize("program", PLACES)
def test_in_a_notebook_all_is_in_view_and_the_wheel_scrolls(
    program, watching, phantom, folder, tmp_path
):
    size = (1440, 900)
    with label_notebook(program, watching, phantom, folder, tmp_path, size) as app:
        page = app.page
        for size in ((1440, 900), (1920, 1080), (1400, 820)):
            resize(page, *size)
            assert wait_until(lambda: page.wait_for_timeout(100) or hidden(page) == [], 10), (
                size, hidden(page),
            )  # fmt: skip
            figure, charts = (page.locator(f".alnb-{name}").first for name in ("figure", "charts"))
            assert charts.bounding_box()["x"] > figure.bounding_box()["x"] + 400  # beside it

        resize(page, 1400, 560)  # lower than the page: the notebook scrolls
        scrolled = "() => document.querySelector('.jp-WindowedPanel-outer').scrollTop"
        page.mouse.move(*app.place(*middle(asked(folder)[0])))
        before, wide = page.evaluate(scrolled), app.range()
        page.mouse.wheel(0, 60)
        page.wait_for_function(f"before => ({scrolled})() > before", arg=before)
        assert app.range() == wide

        app.click(*middle(asked(folder)[0]))
        before = page.evaluate(scrolled)
        page.mouse.wheel(0, -60)
        page.wait_for_function(
            f"w => {FIGURE}._fullLayout.xaxis2.range[1] - {FIGURE}._fullLayout.xaxis2.range[0] < w",
            arg=(wide[1] - wide[0]) * 0.9,
        )
        assert page.evaluate(scrolled) == before

        page.locator(".jp-Cell .cm-content").first.click()
        page.locator(".alnb-figure").scroll_into_view_if_needed()
        near = app.range()
        page.mouse.move(*app.place(*middle(asked(folder)[0])))
        page.mouse.wheel(0, 60)
        page.wait_for_timeout(500)
        assert app.range() == near


@pytest.mark.parametrize("program", PLACES)
def test_a_notebooks_own_keys_are_not_pressed(program, watching, phantom, folder, tmp_path):
    size = (1400, 900)
    with label_notebook(program, watching, phantom, folder, tmp_path, size) as app:
        page = app.page
        before = cells(page)
        assert faults(page) == []

        app.click(*middle(asked(folder)[0]))
        assert app.marks() == 1
        x, y = app.place(*middle(asked(folder)[0]))
        page.mouse.move(x, y)
        page.locator(".alnb-reading", has_text=" HU · ").wait_for()
        page.mouse.down(button="right")
        page.mouse.move(x + 50, y, steps=4)
        page.mouse.up(button="right")
        page.locator(".alnb-figure .annotation-text", has_text="L −500 W 1800").wait_for()
        assert page.locator(".lm-Menu").count() == 0
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


def test_a_lesson_is_answered_by_hand(watching, tmp_path):
    pytest.importorskip("jupyterlab")
    (tmp_path / "notebooks").mkdir()
    shutil.copy(Path(ROOT) / "notebooks" / Path(LESSON).name, tmp_path / "notebooks")
    env = os.environ | {"PYTHONPATH": ROOT}
    with jupyter("jupyterlab", tmp_path, env) as address, watching(1400, 900) as watched:
        page = watched.page
        page.goto(f"{address}{LESSON}?token=t")
        page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
        for number in range(2):  # the network, and the first questions
            assert wait_until(lambda number=number: begins(page, number))
        page.locator(".alnb-figure").wait_for()  # the network publishes first
        said = page.locator(".widget-html-content", has_text="open;")
        said.filter(has_text="1 open; 0 s nominal").wait_for()
        drawn = page.locator(".jp-OutputArea img.widget-image").last
        before = drawn.get_attribute("src")
        page.locator(".alnb-tap[data-ready]").wait_for(state="attached")

        panel = page.locator(".alnb-figure .nsewdrag[data-subplot=x2y2]")
        panel.click()
        page.get_by_role("button", name="Next", exact=True).click()
        said.filter(has_text="1 open; 3 s nominal").wait_for()
        assert wait_until(lambda: drawn.get_attribute("src") != before)
        page.get_by_role("button", name="No infection", exact=True).click()
        said.filter(has_text="1 open; 6 s nominal").wait_for()
        page.get_by_role("button", name="Undo", exact=True).click()
        said.filter(has_text="2 open; 3 s nominal").wait_for()


def test_the_app_opens_by_its_address_in_a_server_started_here_as_on_binder(
    watching, phantom, folder, tmp_path
):
    pytest.importorskip("jupyterlab")
    env = {"PYTHONPATH": ROOT, "ALNB_DATA": str(phantom.folder), "ALNB_SESSION": str(folder)}
    with (
        jupyter(
            "jupyterlab", ROOT, os.environ | env, base="/user/ann-x1/", logs=tmp_path
        ) as address,
        watching() as watched,
    ):
        watched.page.add_init_script(SLOW)
        app = App(watched.page, f"{address}voila/render/apps/label.ipynb?token=t")
        app.answer("No infection")
        assert len(events(folder, "answered")) == 1
