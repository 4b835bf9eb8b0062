import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from alnb.metrics import Scores

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
