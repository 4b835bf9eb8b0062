import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINES = (ROOT / ".github" / "COMPLAINTS.md").read_text("utf-8").splitlines()
HEAD = ("| complaint | what alnb does | test |", "|---|---|---|")
ROWS = [line for line in LINES if line.startswith("|") and line not in HEAD]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
TESTS = sorted({named for line in LINES for named in NAMED.findall(line)})


def test_many_complaints_have_a_test():
    assert len(TESTS) > 30


@pytest.mark.parametrize(("file", "name"), TESTS, ids=lambda part: part)
def test_a_test_that_is_named_is_there(file, name):
    code = (ROOT / file).read_text("utf-8")

    assert re.search(rf"^(async )?def {name}\(", code, re.MULTILINE)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[2:60])
def test_a_complaint_has_an_answer_and_a_test_or_none_is_claimed(row):
    complaint, answer, shown = (cell.strip() for cell in row.strip("|").split("|"))

    assert complaint and answer
    assert NAMED.match(shown) or shown.startswith("not supported")
    assert shown.count("::") == len(NAMED.findall(shown))
