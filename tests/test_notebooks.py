"""The lessons and the apps as files, and the lessons as a student runs them: in one kernel."""

import base64
import re
from html import unescape
from pathlib import Path

import nbclient
import nbformat
import pytest
from nbconvert import HTMLExporter
from nbformat.v4 import new_code_cell, new_notebook

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"))
APPS = sorted(ROOT.glob("apps/*.ipynb"))
RESET = "%reset -f"  # forgets all names, as a fresh kernel; what is imported need not load again
SENTENCE = "is made by a cell above that has not run yet"


def each(paths):
    return pytest.mark.parametrize("path", paths, ids=lambda path: path.name)


def code(path):
    """List the cells of code."""
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]


def words(cell):
    """Read all that a cell shows, as text."""
    parts = [out.get("text", "") + str(out.get("data", "")) for out in cell.outputs]
    return unescape("".join(parts))


@pytest.fixture(scope="module")
def ran(untraced):
    """All lessons after a run, by their paths, and their later cells, each run before the others.

    One kernel runs them one after the other: to start eight, which load torch, takes longer than
    the lessons.
    """
    lessons = {path: nbformat.read(path, as_version=4) for path in NOTEBOOKS}
    early = {path: code(path)[1:] for path in NOTEBOOKS}
    cells = []
    for path in NOTEBOOKS:
        cells += [new_code_cell(RESET), *(c for c in lessons[path].cells if c.cell_type == "code")]
    for path in NOTEBOOKS:
        for cell in early[path]:
            cells += [new_code_cell(RESET), cell]
    for number, cell in enumerate(cells):
        cell.id = f"code-{number}"  # those of two notebooks may be the same
    where = {"metadata": {"path": str(ROOT / "notebooks")}}
    nbclient.NotebookClient(
        new_notebook(cells=cells), timeout=300, kernel_name="python3", resources=where,
        allow_errors=True,
    ).execute()  # fmt: skip # a minute on two cores of its own; the limit is a cell's
    return lessons, early


@each(NOTEBOOKS)
def test_a_lesson_runs_from_top_to_bottom(path, ran):
    for cell in ran[0][path].cells:
        assert not [out for out in cell.get("outputs", ()) if out.output_type == "error"]
        assert SENTENCE not in words(cell) if cell.cell_type == "code" else True


@each(NOTEBOOKS)
def test_an_exported_lesson_holds_its_pictures(path, ran):
    page, _ = HTMLExporter().from_notebook_node(ran[0][path])
    pictures = re.findall(r'<img[^>]*src="data:image/png;base64,([^"]+)"', page.replace("\n", ""))

    assert len(pictures) >= 1
    assert all(base64.b64decode(one).startswith(b"\x89PNG") for one in pictures)


@each(NOTEBOOKS)
def test_a_cell_that_is_run_too_early_says_so_without_a_trace(path, ran):
    for cell in ran[1][path]:
        assert not [out for out in cell.outputs if out.output_type == "error"], cell.source
        assert "Traceback" not in words(cell)
    assert any(SENTENCE in words(cell) for cell in ran[1][path])


@each([*NOTEBOOKS, *APPS])
def test_a_notebook_is_thin_and_holds_no_outputs(path):
    assert not any(cell.outputs for cell in code(path))
    lines = [line for cell in code(path) for line in cell.source.splitlines()]
    assert not any(line.startswith("def ") for line in lines)


@each(NOTEBOOKS)
def test_a_lesson_is_short_and_each_cell_can_say_what_must_run_before_it(path):
    sources = [cell.source for cell in code(path)]

    assert sum(len(source.splitlines()) for source in sources) < 80
    assert all("from alnb.ui.lessons import" in source for source in sources)


@each(NOTEBOOKS)
def test_a_lesson_begins_with_a_question_and_a_prediction(path):
    first = nbformat.read(path, as_version=4).cells[0].source

    assert first.splitlines()[0].endswith("?")
    assert "**Predict before you run.**" in first
    assert first.count("<details>") == first.count("</details>") == 3


@each(NOTEBOOKS)
def test_a_lesson_has_something_to_do_by_hand(path):
    assert any("## By hand" in cell.source for cell in nbformat.read(path, as_version=4).cells)


@each(NOTEBOOKS)
def test_a_lesson_ends_with_what_to_take_away_and_exercises_whose_answers_are_folded(path):
    last = nbformat.read(path, as_version=4).cells[-1]

    assert last.cell_type == "markdown"
    assert last.source.startswith("> **Take away**")
    assert last.source.count("\n> - ") == 3
    assert "**Exercise" in last.source
    assert last.source.count("<details>") == last.source.count("</details>") >= 1


@each(APPS)
def test_an_app_is_one_cell_of_ten_lines_at_most(path):
    (cell,) = nbformat.read(path, as_version=4).cells

    assert len(cell.source.splitlines()) <= 10
