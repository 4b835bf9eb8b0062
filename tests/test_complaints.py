import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEAD = ("| complaint | what alnb does | test |", "|---|---|---|")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_a_complaint_has_an_answer_and_names_tests_that_exist_or_claims_none():
    lines = (ROOT / ".github" / "COMPLAINTS.md").read_text("utf-8").splitlines()
    rows = [line for line in lines if line.startswith("|") and line not in HEAD]
    named = sorted({name for line in lines for name in NAMED.findall(line)})
    assert len(named) > 30

    assert [row for row in rows if not _complete(row)] == []
    assert [f"{file}::{name}" for file, name in named if not _exists(ROOT / file, name)] == []


def _complete(row):
    complaint, answer, shown = (cell.strip() for cell in row.strip("|").split("|"))
    claimed = NAMED.match(shown) or shown.startswith("not supported")
    return complaint and answer and claimed and shown.count("::") == len(NAMED.findall(shown))


def _exists(file, name):
    sentence = re.compile(rf"^(async )?def {name}\(", re.MULTILINE)
    return file.is_file() and sentence.search(file.read_text("utf-8"))
