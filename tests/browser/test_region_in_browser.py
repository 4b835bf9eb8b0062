import json
import os
import re

import pytest

SETUP = """
import ipywidgets, numpy as np
from alnb.annotation import Click
from alnb.dataset import SliceId
from alnb.regions import grid
from alnb.ui.viewer.charts import Charts
from alnb.ui.viewer.slice_view import SliceView
from alnb.ui.viewer.input import Press

regions = grid(SliceId("scan_01", 3), (256, 256), 64)
image = np.random.default_rng(0).integers(0, 256, (256, 256), dtype=np.uint8)
view, charts, seen = SliceView((256, 256), shortcuts=("n",)), Charts(), ipywidgets.HTML()
seen.add_class("seen")
clicks = []

def on_event(event):
    if isinstance(event, Press):
        clicks.append(Click(event.row, event.col))
        view.mark(clicks)
    else:
        view.show(image, regions[30])
    seen.value = repr((event, os.getpid()))

import os
view.on_event(on_event)
view.show(image, regions[27], overlays={"entropy": image / 400}, regions=regions)
charts.show([{"cycle": 0, "cost_s": 120.0, "dice": 0.4}])
app = ipywidgets.VBox([ipywidgets.HBox([view.widget, charts.widget]), seen])
app.add_class("alnb-app")
app
"""
PANEL = ".alnb-figure .nsewdrag[data-subplot=x2y2]"
MARKERS = ".alnb-figure .scatterlayer .point"


@pytest.fixture(scope="module")
def server(serving, tmp_path_factory):
    cell = {
        "cell_type": "code",
        "execution_count": None,
        "id": "only",
        "metadata": {},
        "outputs": [],
        "source": SETUP,
    }
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = tmp_path_factory.mktemp("page") / "page.ipynb"
    notebook.write_text(
        json.dumps(
            {
                "cells": [cell],
                "metadata": {"kernelspec": kernel, "title": "alnb"},
                "nbformat": 4,
                "nbformat_minor": 5,
            }
        )
    )
    with serving(notebook) as server:
        yield server


@pytest.fixture(scope="module")
def opened(watching, server):
    """One page for all tests here, since opening it takes seconds."""
    with watching() as watched:
        watched.page.goto(server.address)
        wait_until_usable(watched.page)
        yield watched


def wait_until_usable(page):
    page.wait_for_selector(".alnb-tap[data-ready=true]", state="attached")
    page.wait_for_selector(PANEL)


def seen(page, text):
    line = page.locator(".seen", has_text=text)
    line.wait_for()
    return line.inner_text()


def press_centre(page):
    """Press the mouse on the pixel in the middle of the panel; return its (row, col)."""
    x0, x1, y1, y0 = page.evaluate(
        "() => {const plot = document.querySelector('.alnb-figure .js-plotly-plot')._fullLayout;"
        " return [...plot.xaxis2.range, ...plot.yaxis2.range]}"
    )
    row, col = int((y0 + y1) / 2), int((x0 + x1) / 2)
    box = page.locator(PANEL).bounding_box()
    x = box["x"] + (col - x0) / (x1 - x0) * box["width"]
    y = box["y"] + (row - y0) / (y1 - y0) * box["height"]
    page.mouse.click(x, y)
    return row, col


def kernel_of(page):
    """Return the process id of the page's kernel."""
    page.keyboard.press("n")
    return int(seen(page, "Key").rsplit(", ", 1)[1].strip(")"))


def test_the_page_asks_no_other_host_and_has_no_error(opened):
    assert opened.page.title() == "alnb"
    assert opened.foreign == []
    assert opened.errors == []


def test_what_was_shown_before_the_page_was_there_is_drawn(opened):
    page = opened.page
    source = "document.querySelector('.alnb-figure .js-plotly-plot').data[0].source.length"

    assert page.evaluate(source) > 1000
    assert page.locator(".alnb-charts .scatterlayer .point").count() == 1


def test_it_fits_a_projector(opened):
    size = "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"

    assert opened.page.evaluate(size) == [1280, 720]


def test_a_press_on_a_pixel_arrives_there_and_is_marked(opened):
    row, col = press_centre(opened.page)

    found = re.match(r"\(Press\(row=([\d.]+), col=([\d.]+), screen=", seen(opened.page, "Press"))
    assert found is not None
    assert list(map(float, found.groups())) == pytest.approx([row, col], abs=0.01)
    opened.page.wait_for_selector(MARKERS, state="attached")
    assert opened.page.locator(MARKERS).count() == 1


def test_a_shortcut_arrives_and_other_keys_do_not(opened):
    opened.page.keyboard.press("x")
    opened.page.keyboard.press("n")

    assert "Key(name='n', screen=" in seen(opened.page, "Key")


def test_reloading_ends_the_old_kernel(opened):
    pid = kernel_of(opened.page)
    os.kill(pid, 0)

    opened.page.reload()
    wait_until_usable(opened.page)

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_kernel_that_is_gone_is_said(opened):
    os.kill(kernel_of(opened.page), 9)

    banner = opened.page.wait_for_selector(".alnb-kernel-gone:not([hidden])")
    assert (
        "The notebook's kernel has ended. Reload the page; nothing is lost." in banner.inner_text()
    )
