import doctest
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import alnb

ROOT = Path(__file__).parents[1]
EXAMPLES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((ROOT / "alnb").rglob("*.py"))
    if ">>> " in path.read_text("utf-8")
]
PUBLIC = [
    "AlnbError", "Answer", "Click", "Config", "Cost", "Dataset", "FCN8", "Oracle", "PAPER",
    "Posterior", "Region", "Scores", "Session", "SliceId", "Verdict", "cost_of", "grid",
    "mc_dropout", "phantom", "point_labels",
]  # fmt: skip


def test_the_public_names_are_these():
    assert sorted(alnb.__all__) == sorted(PUBLIC)
    assert all(getattr(alnb, name) is not None for name in PUBLIC)


def test_phantom_is_the_function_though_a_module_has_its_name():
    import alnb.phantom
    from alnb import phantom

    assert callable(phantom)
    assert alnb.phantom is phantom


@pytest.mark.parametrize("module", EXAMPLES)
def test_the_examples_in_docstrings_are_right(module):
    done = doctest.testmod(importlib.import_module(module))

    assert done.attempted > 0
    assert done.failed == 0


def test_importing_alnb_brings_nothing_heavy():
    code = "import alnb, sys; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    modules = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()

    assert not {"numpy", "pandas", "torch", "nibabel", "skimage", "plotly"} & set(modules)


def test_the_command_line_shows_its_help_without_torch():
    code = (
        "import sys\n"
        "from alnb.cli import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "print('torch' in sys.modules or 'numpy' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "False"


def test_the_readme_is_read_in_three_minutes():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 160


def test_what_is_cited_is_this_version():
    assert f"\nversion: {alnb.__version__}\n" in (ROOT / "CITATION.cff").read_text()
