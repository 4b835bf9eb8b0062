import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alnb.agreement import Agreement, Kappa, by_person, pair_table, person_table
from alnb.annotation import Answer, Click, Verdict
from alnb.dataset import SliceId
from alnb.regions import Region, grid

REGION = Region(SliceId("one", 0), 0, 0, 32, 32)
REGIONS = grid(SliceId("one", 0), (32, 32), 16)


def infected(*clicks):
    return Answer(REGION, Verdict.INFECTED, tuple(Click(*click) for click in clicks))


CLEAN, SKIPPED = Answer(REGION, Verdict.CLEAN), Answer(REGION, Verdict.SKIPPED)


def said(verdicts, annotator="", **facts):
    """Answer the first regions: i infected, c clean, s skipped, a blank not at all."""
    answers = []
    for region, letter in zip(REGIONS, verdicts, strict=False):
        verdict = {"i": Verdict.INFECTED, "c": Verdict.CLEAN, "s": Verdict.SKIPPED}.get(letter)
        clicks = (Click(region.row, region.col),) if verdict is Verdict.INFECTED else ()
        if verdict is not None:
            answers.append(Answer(region, verdict, clicks, 2.0, annotator, **facts))
    return answers


def test_verdicts_are_compared_and_clicks_measured():
    pairs = [
        (infected((2, 2)), infected((2, 6), (5, 6))),  # 4 and 5 px to the first, 4 px back
        (CLEAN, CLEAN),
        (CLEAN, infected((9, 9))),
        (infected((9, 9, 0), (1, 1)), infected((1, 4), (20, 20, 0))),  # background counts not: 3 px
        (CLEAN, SKIPPED),
    ]
    found = Agreement.of(pairs, {"one": 0.5}.get)

    assert (found.regions, found.agreed, found.share) == (4, 3, 0.75)
    assert (found.only_first, found.only_second) == (0, 1)
    assert found.distance_px == pytest.approx(4)
    assert found.distance_mm == pytest.approx(2)


def test_without_regions_there_is_no_figure():
    found = Agreement.of([])

    assert (found.regions, found.share, found.kappa, found.distance_px) == (0, None, None, None)


def test_where_no_spacing_is_known_there_are_no_millimetres():
    found = Agreement.of([(infected((2, 2)), infected((2, 6)))], lambda scan: None)

    assert (found.distance_px, found.distance_mm) == (4, None)


def test_kappa_is_what_agreement_has_beyond_chance():
    assert Kappa.of(20, 5, 10, 15).value == pytest.approx(0.4)  # a textbook's table
    assert Kappa.of(25, 25, 25, 25).value == pytest.approx(0)
    assert Kappa.of(0, 10, 10, 0).value == pytest.approx(-1)
    assert Kappa.of(30, 0, 0, 0) is None  # nobody ever said anything else
    assert Kappa.of(0, 0, 0, 0) is None


@settings(deadline=None)
@given(*[st.integers(0, 30)] * 4)
def test_kappa_lies_in_its_interval_and_changes_with_nobodys_order(both, first, second, neither):
    found = Kappa.of(both, first, second, neither)

    assert found == Kappa.of(both, second, first, neither)
    if found is not None:
        assert -1 <= found.low <= found.value <= found.high <= 1 + 1e-12
        assert found.low < found.high  # few regions say little, even where all agree


def test_the_interval_of_kappa_holds_as_often_as_it_says():
    rng, held = np.random.default_rng(0), 0
    truth = rng.random((400, 60)) < 0.4
    both = [np.where(rng.random(truth.shape) < 0.15, ~truth, truth) for _ in range(2)]
    p = 0.4 * 0.85 + 0.6 * 0.15
    chance = p**2 + (1 - p) ** 2
    kappa = (0.85**2 + 0.15**2 - chance) / (1 - chance)
    for one, other in zip(*both, strict=True):
        table = [(one & other).sum(), (one & ~other).sum(), (~one & other).sum()]
        found = Kappa.of(*map(int, table), int((~one & ~other).sum()))
        held += found.low <= kappa <= found.high

    assert 0.92 <= held / len(truth) <= 0.99


def test_everyones_last_answer_counts_and_what_was_seen_before_does_not():
    ann, ben = said("ic", "Ann"), said("cc", "Ben")
    changed = replace(said("c", "Ann")[0], corrects=True)
    seen = replace(said("  i", "Ben")[0], corrects=True)  # of Ann's, in one session
    decided = replace(said("i", "Cleo")[0], decides=True)

    people = by_person([*ann, *ben, *said("  c", "Ann"), changed, seen, decided, *said("i")], "run")

    assert set(people) == {"Ann", "Ben", "run"}
    assert people["Ann"][REGIONS[0].key] is changed
    assert set(people["Ben"]) == {REGIONS[0].key, REGIONS[1].key}


def test_people_are_compared_in_pairs_where_both_answered():
    people = by_person([*said("iicc", "Ann"), *said("icc  i", "Ben"), *said("     s", "Cleo")])
    table = pair_table(people)

    assert table[["first", "second", "regions", "agreed"]].to_numpy().tolist() == [
        ["Ann", "Ben", 3, 2]
    ]
    assert table.loc[0, ["only_first", "only_second"]].tolist() == [1, 0]
    assert table.loc[0, "kappa"] == pytest.approx(0.4)
    assert math.isnan(table.loc[0, "distance_mm"])
    assert pair_table({}).empty


def test_the_table_says_who_misses_what(squares):
    where = next(w for w in squares.part("train") if squares.infected_px(w))
    cells = grid(where, (32, 32), 16)
    areas = {cell: int(cell.pixels(squares.mask(where)).sum()) for cell in cells}
    ill = sorted((cell for cell in cells if areas[cell]), key=areas.get)

    def seeing(name, found):
        return [
            Answer(c, Verdict.INFECTED, (Click(c.row, c.col),), 1.0, name)
            if c in found else Answer(c, Verdict.CLEAN, (), 1.0, name)
            for c in cells
        ]  # fmt: skip

    people = by_person([*seeing("Ann", ill), *seeing("Ben", ill), *seeing("Cleo", ill[1:])])
    table = person_table(people, squares).set_index("annotator")

    assert table.loc["Cleo", ["missed", "of_infected", "alone"]].tolist() == [1, len(ill), 0]
    assert table.loc["Cleo", ["mask_missed", "of_mask", "missed_px"]].tolist() == [
        1, len(ill), areas[ill[0]]
    ]  # fmt: skip
    assert table.loc["Ann", ["shared", "missed", "of_infected", "alone"]].tolist() == [
        16, 0, len(ill) - 1, 0  # the others are at odds over one
    ]  # fmt: skip
    assert table.loc["Ann", ["answers", "seconds"]].tolist() == [16, 16]
    assert person_table(people)["mask_missed"].isna().all()
