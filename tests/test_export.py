import csv

from alnb.annotation import Answer, Click, Verdict
from alnb.config import Config
from alnb.export.export import export
from alnb.pool import Pool, start_picks
from alnb.session import Session

CONFIG = Config(regions_per_slice=16, start_regions=2)


def test_a_corrected_answer_is_told_from_the_one_that_stands(squares, tmp_path):
    session = Session.open(tmp_path / "run", squares, CONFIG)
    session.ask(start_picks(Pool(squares, CONFIG)))
    first, second = session.state.pending
    clicks = (Click(first.row + 1, first.col + 1), Click(first.row + 2, first.col + 2))
    session.submit(Answer(first, Verdict.INFECTED, clicks))
    session.submit(Answer(second, Verdict.CLEAN))
    session.submit(Answer(first, Verdict.CLEAN))
    session.close()
    list(export(tmp_path / "run", tmp_path / "out"))

    with (tmp_path / "out" / "answers.csv").open() as file:
        rows = [(row["region"], row["verdict"], row["stands"]) for row in csv.DictReader(file)]
    assert rows == [
        (first.key, "infected", "False"),
        (first.key, "infected", "False"),
        (second.key, "clean", "True"),
        (first.key, "clean", "True"),
    ]
