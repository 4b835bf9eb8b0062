from pathlib import Path

import nbclient
import nbformat
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"))
APPS = sorted(ROOT.glob("apps/*.ipynb"))


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs_from_top_to_bottom(path):
    notebook = nbformat.read(path, as_version=4)

    where = {"metadata": {"path": str(path.parent)}}
    nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources=where
    ).execute()  # a minute on two cores of its own; the limit is a cell's, on a busy machine


@pytest.mark.parametrize("path", [*NOTEBOOKS, *APPS], ids=lambda path: path.name)
def test_a_notebook_is_thin_and_holds_no_outputs(path):
    cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]

    assert not any(cell.outputs for cell in cells)
    assert not any(line.startswith("def ") for cell in cells for line in cell.source.splitlines())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_ends_with_exercises_whose_answers_are_folded(path):
    last = nbformat.read(path, as_version=4).cells[-1]

    assert last.cell_type == "markdown"
    assert "**Exercise" in last.source
    assert last.source.count("<details>") == last.source.count("</details>") >= 1


@pytest.mark.parametrize("path", APPS, ids=lambda path: path.name)
def test_an_app_is_one_cell_of_ten_lines_at_most(path):
    (cell,) = nbformat.read(path, as_version=4).cells

    assert len(cell.source.splitlines()) <= 10
