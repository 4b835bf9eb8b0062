import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from alnb.annotation import Answer, Click, Verdict
from alnb.dataset import SliceId
from alnb.metrics import Agreement, Scores
from alnb.regions import Region

masks = arrays(bool, (4, 6))


def test_dice_is_pooled_over_pixels_not_averaged_over_slices():
    first = Scores.of(np.array([[True, True, False]]), np.array([[True, False, False]]))
    second = Scores.of(np.array([[True, True, True]]), np.array([[True, True, True]]))
    pooled = first + second

    assert (pooled.tp, pooled.fp, pooled.fn, pooled.tn) == (4, 1, 0, 1)
    assert pooled.dice == pytest.approx(8 / 9)
    assert pooled.iou == pytest.approx(4 / 5)
    assert pooled.precision == pytest.approx(4 / 5)
    assert pooled.recall == 1
    assert pooled.specificity == pytest.approx(1 / 2)


def test_nothing_measured_is_not_a_number():
    assert math.isnan(Scores(tn=5).dice)
    assert Scores(tn=5).specificity == 1


@given(masks, masks)
def test_every_pixel_is_counted_once(prediction, truth):
    scores = Scores.of(prediction, truth)

    assert scores.tp + scores.fp + scores.fn + scores.tn == prediction.size


@given(masks, masks)
def test_dice_and_iou_tell_the_same(prediction, truth):
    scores = Scores.of(prediction, truth)
    if scores.tp + scores.fp + scores.fn:
        assert scores.dice == pytest.approx(2 * scores.iou / (1 + scores.iou))


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match="truth"):
        Scores.of(np.zeros((2, 2), bool), np.zeros((2, 3), bool))


REGION = Region(SliceId("one", 0), 0, 0, 32, 32)


def infected(*clicks):
    return Answer(REGION, Verdict.INFECTED, tuple(Click(*click) for click in clicks))


CLEAN, SKIPPED = Answer(REGION, Verdict.CLEAN), Answer(REGION, Verdict.SKIPPED)


def test_verdicts_are_compared_and_clicks_measured():
    pairs = [
        (infected((2, 2)), infected((2, 6), (5, 6))),  # 4 and 5 px from the first
        (CLEAN, CLEAN),
        (CLEAN, infected((9, 9))),
        (infected((9, 9, 0), (1, 1)), infected((1, 4), (20, 20, 0))),  # background counts not: 3 px
        (CLEAN, SKIPPED),
    ]
    found = Agreement.of(pairs)

    assert (found.repeats, found.agreed, found.share) == (4, 3, 0.75)
    assert found.distance_px == pytest.approx(4)


def test_without_repeats_there_is_no_figure():
    found = Agreement.of([])

    assert (found.repeats, found.share, found.distance_px) == (0, None, None)
