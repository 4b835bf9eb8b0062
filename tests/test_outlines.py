import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter

from alnb.annotation import fill, trace


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
