import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter

from alnb.annotation import Answer, Click, Verdict, around, fill, point_labels, trace
from alnb.dataset import SliceId
from alnb.errors import DataError
from alnb.regions import Region, grid

REGION = Region(SliceId("scan_01", 3), 4, 8, 4, 4)


def infected(*clicks, region=REGION):
    return Answer(region, Verdict.INFECTED, tuple(Click(*click) for click in clicks))


def test_an_infected_region_is_labelled_at_its_clicks_alone():
    labels = point_labels([infected((5, 9), (6.4, 10.4))], (16, 16))

    assert labels[5, 9] == labels[6, 10] == 1
    assert (labels == -1).sum() == 16 * 16 - 2


def test_a_clean_region_is_background_in_every_pixel():
    labels = point_labels([Answer(REGION, Verdict.CLEAN)], (16, 16))

    assert (labels[4:8, 8:12] == 0).all()
    assert (labels == 0).sum() == 16


def test_a_skipped_region_is_not_labelled():
    assert (point_labels([Answer(REGION, Verdict.SKIPPED)], (16, 16)) == -1).all()


def test_a_second_click_can_be_background():
    labels = point_labels([infected((5, 9), (7, 11, 0))], (16, 16))

    assert labels[7, 11] == 0


def test_a_later_answer_overrides():
    labels = point_labels([Answer(REGION, Verdict.CLEAN), infected((5, 9))], (16, 16))

    assert (labels == 0).sum() == 0
    assert (labels == 1).sum() == 1


def test_a_shaped_region_labels_its_pixels_alone():
    region = Region(REGION.where, 0, 0, 2, 2, mask=np.array([[True, False], [False, True]]))

    assert (point_labels([Answer(region, Verdict.CLEAN)], (4, 4)) == 0).sum() == 2


def test_a_click_outside_its_region_can_not_be():
    with pytest.raises(DataError, match="outside"):
        infected((8, 9))


def test_an_infected_region_needs_a_click_on_infection():
    with pytest.raises(DataError, match="needs a click"):
        infected()
    with pytest.raises(DataError, match="needs a click"):
        infected((5, 9, 0))


def test_a_clean_region_has_no_clicks():
    with pytest.raises(DataError, match="no clicks"):
        Answer(REGION, Verdict.CLEAN, (Click(5, 9),))


@pytest.mark.parametrize("click", [(5, 9, 2), (float("nan"), 9), (5, float("inf"))])
def test_a_click_that_is_none_can_not_be(click):
    with pytest.raises(DataError, match="click"):
        Click(*click)


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_an_answer_takes_no_impossible_time(seconds):
    with pytest.raises(DataError, match="can't be"):
        Answer(REGION, Verdict.CLEAN, seconds=seconds)


@given(row=st.floats(3.5, 7.49), col=st.floats(7.5, 11.49), seconds=st.floats(0, 1e6))
def test_an_answer_reads_back(row, col, seconds):
    answer = Answer(REGION, Verdict.INFECTED, (Click(row, col),), round(seconds, 3), "Ada")

    assert Answer.from_dict(answer.to_dict()) == answer


@given(row=st.floats(3.5, 7.49), col=st.floats(7.5, 11.49))
def test_a_click_labels_a_pixel_of_its_region(row, col):
    labels = point_labels([infected((row, col))], (16, 16))

    assert (labels[4:8, 8:12] == 1).sum() == 1


@pytest.mark.parametrize(
    "broken", [{}, {"region": "x"}, {"region": REGION.key, "verdict": "perhaps"}]
)
def test_an_answer_that_can_not_be_read_is_said(broken):
    with pytest.raises(DataError, match="read"):
        Answer.from_dict({"clicks": [], "seconds": 0, "annotator": "", **broken})


def test_labels_are_of_one_slice():
    other = Region(SliceId("scan_01", 4), 0, 0, 2, 2)

    with pytest.raises(DataError, match="one slice"):
        point_labels([Answer(REGION, Verdict.CLEAN), Answer(other, Verdict.CLEAN)], (16, 16))


def test_a_region_outside_the_slice_is_said():
    with pytest.raises(DataError, match="outside the slice"):
        point_labels([Answer(REGION, Verdict.CLEAN)], (6, 6))


def test_a_whole_slice_said_clean_is_background_everywhere():
    regions = grid(REGION.where, (17, 13), 9)

    labels = point_labels([Answer(region, Verdict.CLEAN) for region in regions], (17, 13))

    assert (labels == 0).all()


BOX = ((5, 9), (5, 10), (6, 10), (6, 9))


def outlined(*outlines, clicks=(), region=REGION):
    return Answer(region, Verdict.INFECTED, clicks, outlines=outlines)


def test_an_outlined_region_is_labelled_in_full():
    labels = point_labels([outlined(BOX)], (16, 16))

    assert (labels[5:7, 9:11] == 1).all()
    assert (labels == 1).sum() == 4 and (labels[4:8, 8:12] == 0).sum() == 12
    assert (labels == -1).sum() == 16 * 16 - 16


def test_a_click_comes_on_top_of_an_outline():
    labels = point_labels([outlined(BOX, clicks=(Click(5, 9, 0), Click(7, 8)))], (16, 16))

    assert labels[5, 9] == 0 and labels[7, 8] == 1 and labels[5, 10] == 1


def test_a_shaped_region_is_outlined_in_its_shape_alone():
    shape = np.eye(4, dtype=bool)
    region = Region(REGION.where, 4, 8, 4, 4, mask=shape)
    labels = point_labels([outlined(BOX, region=region)], (16, 16))

    assert (labels == 1).sum() == 2 and (labels == 0).sum() == 2


def test_a_later_verdict_takes_an_outline_back():
    answers = [outlined(BOX), Answer(REGION, Verdict.CLEAN)]

    assert (point_labels(answers, (16, 16)) == 1).sum() == 0
    assert (point_labels(answers[::-1], (16, 16)) == 1).sum() == 4


def test_an_outline_may_run_along_the_edge_but_not_outside():
    outlined(((3.5, 7.5), (3.5, 11.5), (7.5, 11.5), (7.5, 7.5)))
    for vertex in [(3.4, 8), (8, 12), (4, float("nan"))]:
        with pytest.raises(DataError, match="the outline's point"):
            outlined((*BOX, vertex))


def test_an_outline_needs_three_points():
    with pytest.raises(DataError, match="outline of 2 points"):
        outlined(BOX[:2])


def test_a_clean_region_has_no_outlines():
    with pytest.raises(DataError, match="no outlines"):
        Answer(REGION, Verdict.CLEAN, outlines=(BOX,))


def test_an_answer_of_clicks_is_written_as_it_was_before_there_were_outlines():
    answer = infected((5, 9))

    assert list(answer.to_dict()) == ["region", "verdict", "clicks", "seconds", "annotator"]
    assert answer.content == [REGION.key, "infected", [[5, 9, 1]]]


vertex = st.tuples(st.floats(3.5, 7.5), st.floats(7.5, 11.5))


@given(st.lists(st.lists(vertex, min_size=3, max_size=6).map(tuple), min_size=1, max_size=3))
def test_outlines_read_back_from_a_journals_line(outlines):
    answer = outlined(*outlines)

    assert Answer.from_dict(json.loads(json.dumps(answer.to_dict()))) == answer
    assert answer.points == sum(map(len, outlines))


@pytest.mark.parametrize("outlines", [5, [5], [[5, 6, 7]], [[[5, 9], [5, 10], ["x", "y"]]]])
def test_outlines_that_can_not_be_read_are_said(outlines):
    with pytest.raises(DataError, match="read"):
        Answer.from_dict({**outlined(BOX).to_dict(), "outlines": outlines})


def test_a_journal_of_before_says_by_the_name_that_the_mask_was_shown_or_nobody_answered():
    values = Answer(REGION, Verdict.CLEAN).to_dict()
    shown = Answer.from_dict(values | {"annotator": "Ann (mask shown)"})
    simulated = Answer.from_dict(values | {"annotator": "oracle"})

    assert (shown.annotator, shown.mask_shown, shown.simulated) == ("Ann", True, False)
    assert simulated.simulated and not simulated.mask_shown


def test_what_is_true_of_an_answer_reads_back():
    answer = Answer(REGION, Verdict.CLEAN, annotator="oracle", mask_shown=True, simulated=True)

    assert Answer.from_dict(answer.to_dict()) == answer


def square(side=8, size=16):
    mask = np.zeros((size, size), bool)
    mask[3 : 3 + side, 4 : 4 + side] = True
    return mask


def iou(one, other):
    return (one & other).sum() / (one | other).sum()


def test_a_square_has_four_vertices_and_is_filled_again():
    (outline,) = trace(square(), 1.0)

    assert len(outline) == 4
    assert (fill([outline], (16, 16)) == square()).all()


def test_an_exact_outline_cuts_a_squares_four_corners():
    (outline,) = trace(square(), 0.0)

    assert sorted(outline) == [
        (2.5, 4), (2.5, 11), (3, 3.5), (3, 11.5), (10, 3.5), (10, 11.5), (10.5, 4), (10.5, 11)
    ]  # fmt: skip


@pytest.mark.parametrize("tolerance", [0.0, 1.0, 10.0])
@pytest.mark.parametrize("pixels", [[(5, 5)], [(5, 5), (5, 6)], [(5, 5), (6, 5)]])
def test_a_part_of_one_or_two_pixels_is_outlined_just_as_it_is(pixels, tolerance):
    mask = np.zeros((9, 9), bool)
    mask[tuple(np.transpose(pixels))] = True

    (outline,) = trace(mask, tolerance)

    assert len(outline) >= 3
    assert (fill([outline], mask.shape) == mask).all()


def test_pixels_that_touch_at_a_corner_are_outlined_apart():
    mask = np.eye(2, dtype=bool)

    assert len(trace(mask, 1.0)) == 2
    assert (fill(trace(mask, 1.0), (2, 2)) == mask).all()


def test_infection_up_to_the_edge_is_outlined_along_it():
    (outline,) = trace(np.ones((4, 6), bool), 1.0)

    assert len(outline) == 4
    assert fill([outline], (4, 6)).all()


def test_a_hole_has_an_outline_of_its_own():
    mask = square(10)
    mask[6:10, 7:11] = False

    outlines = trace(mask, 1.0)

    assert sorted(map(len, outlines)) == [4, 4]
    assert (fill(outlines, mask.shape) == mask).all()


def test_a_speck_of_a_hole_is_passed_over_unless_all_must_be_exact():
    mask = square(10)
    mask[7, 8] = False

    assert (fill(trace(mask, 1.0), mask.shape) == square(10)).all()
    assert (fill(trace(mask, 0.0), mask.shape) == mask).all()


def test_nothing_has_no_outline():
    assert trace(np.zeros((5, 5), bool), 1.0) == ()
    assert not fill([], (5, 5)).any()


@given(arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_exact_outlines_are_filled_to_the_mask_they_came_from(mask):
    outlines = trace(mask, 0.0)

    assert (fill(outlines, mask.shape) == mask).all()
    for outline in outlines:
        low, high = np.min(outline, axis=0), np.max(outline, axis=0)
        assert (low >= -0.5).all() and (high <= np.array(mask.shape) - 0.5).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.floats(1.5, 5), st.floats(0.03, 0.5))
def test_outlines_agree_with_random_blobs_but_for_a_tenth(seed, smooth, share):
    field = gaussian_filter(np.random.default_rng(seed).normal(size=(44, 44)), smooth)
    mask = field > np.quantile(field, 1 - share)

    outlines = trace(mask, 1.0)

    assert iou(fill(outlines, mask.shape), mask) >= 0.9
    assert sum(map(len, outlines)) <= sum(map(len, trace(mask, 0.0)))


def test_a_centre_on_an_outline_is_inside():
    assert fill([((1, 1), (1, 3), (3, 3), (3, 1))], (5, 5)).sum() == 9


def test_an_outline_in_a_hole_is_infected_again():
    rings = [[(a, a), (a, b), (b, b), (b, a)] for a, b in ((0.5, 9.5), (2.5, 7.5), (4.5, 5.5))]

    assert fill(rings, (11, 11)).sum() == 81 - 25 + 1


half = st.integers(0, 40).map(lambda n: n / 2)


# --- the network's outline, found right ---

SQUARE = ((4.5, 8.5), (4.5, 10.5), (6.5, 10.5), (6.5, 8.5))


def test_an_outline_that_was_found_right_is_a_fact_of_the_answer_and_labels_it_in_full():
    answer = Answer(REGION, Verdict.INFECTED, outlines=(SQUARE,), verified=True)

    assert answer.to_dict()["verified"] is True
    assert Answer.from_dict(json.loads(json.dumps(answer.to_dict()))) == answer
    assert Answer.from_dict(answer.to_dict()).verified
    assert "verified" not in infected((5, 9)).to_dict()
    labels = point_labels([answer], (16, 16))
    assert (labels == 1).sum() == 4 and (labels == 0).sum() == 12


def test_it_sets_no_points_but_the_clicks_that_corrected_it():
    answer = Answer(REGION, Verdict.INFECTED, (Click(5, 9),), outlines=(SQUARE,), verified=True)

    assert answer.points == 1
    assert Answer(REGION, Verdict.INFECTED, outlines=(SQUARE,)).points == 4


@pytest.mark.parametrize(("verdict", "clicks"), [("infected", (Click(5, 9),)), ("clean", ())])
def test_nothing_is_right_without_an_outline(verdict, clicks):
    with pytest.raises(DataError, match="no outline is there that could have been found right"):
        Answer(REGION, Verdict(verdict), clicks, verified=True)


def test_what_is_outlined_around_a_mask_fills_to_the_mask():
    mask = np.zeros((6, 7), bool)
    mask[0:3, 2:7] = mask[4, 1] = True
    mask[1, 4] = False

    assert (fill(around(mask), (6, 7)) == mask).all()
    moved = around(mask, 10, 20)
    assert min(row for one in moved for row, _ in one) == 9.5
    assert min(col for one in moved for _, col in one) == 20.5
