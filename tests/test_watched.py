import re

import numpy as np
import pytest

from alnb.annotation import around
from alnb.metrics import Lesions
from alnb.ui.label.watched import NOT_YET, WatchedSlice, sentence


def boxes(*corners, side=3, size=32):
    mask = np.zeros((size, size), bool)
    for row, col in corners:
        mask[row : row + side, col : col + side] = True
    return mask


@pytest.mark.parametrize(
    ("predicted", "truth", "counts"),
    [
        (boxes((2, 2)), boxes((2, 2), (20, 20)), (1, 2, 0)),
        (boxes((3, 3), (10, 10)), boxes((2, 2), (20, 20)), (1, 2, 1)),
        (boxes(), boxes((2, 2)), (0, 1, 0)),
        (boxes((2, 2)), boxes(), (0, 0, 1)),
        (boxes((2, 2), side=1), boxes((20, 20), side=1), (0, 0, 0)),  # specks
        (boxes((0, 0), side=32), boxes((2, 2), (20, 20)), (2, 2, 0)),
        (boxes((2, 2)), boxes((2, 2), (5, 5)), (1, 1, 0)),  # touch at a corner: one lesion
    ],
)
def test_lesions_are_found_missed_or_false(predicted, truth, counts):
    found = Lesions.of_slice(predicted, truth)

    assert (found.found, found.of, found.false) == counts


def test_an_outline_encloses_its_pixels_and_their_holes():
    mask = boxes((4, 6), side=9)
    mask[8, 10] = False
    outlines = around(mask)

    assert len(outlines) == 2
    rows, cols = np.array(max(outlines, key=len)).T
    assert (rows.min(), rows.max(), cols.min(), cols.max()) == (3.5, 12.5, 5.5, 14.5)


@pytest.mark.parametrize(
    ("before", "lesions", "said"),
    [
        (np.nan, Lesions(1, 1, 0), "Dice 0.60. Found 1 of 1 lesion, none false."),
        (0.5, Lesions(0, 3, 2), "Dice 0.50 → 0.60. Found 0 of 3 lesions, 2 false."),
        (0.5, Lesions(0, 0, 0), "Nothing is infected here; none false."),
    ],
)
def test_it_is_said_in_numbers_and_words(before, lesions, said):
    assert sentence(before, 0.6, lesions) == said


@pytest.fixture
def watched(squares):
    changes = []
    one = WatchedSlice(squares, squares.part("test"), lambda: changes.append(one.where))
    one.changes = changes
    return one


def words(watched):
    return re.sub("<[^>]+>", " ", watched._words.value)


def paths(watched):
    return re.findall("<path d='([^']*)'[^>]*stroke='([^']*)'", watched._picture.value)


def test_it_begins_with_the_most_infected_test_slice(watched, squares):
    most = max(squares.part("test"), key=squares.infected_px)

    assert watched.where == most


def test_before_a_network_it_says_so(watched):
    watched.show({}, "")

    assert NOT_YET in words(watched)
    assert paths(watched) == []


def test_prediction_and_mask_are_drawn_apart_and_the_mask_only_where_it_is_shown(watched, squares):
    mask = squares.mask(watched.where)
    watched.show({"prediction": mask}, "one")
    assert len(paths(watched)) == 1
    assert "Dice 1.00" in words(watched)

    watched.show({"prediction": mask, "mask": mask}, "one")
    assert len({colour for _, colour in paths(watched)}) == 2
    assert watched._picture.value.count("stroke-dasharray") == 2  # the line and its key


def test_the_dice_is_told_with_the_one_before(watched, squares):
    mask = squares.mask(watched.where)
    half = mask & (np.arange(len(mask)) % 2 == 0)
    watched.show({"prediction": half}, "one")
    assert "→" not in words(watched)
    watched.show({"prediction": mask}, "one")
    assert "→ 1.00" in words(watched)

    watched.show({"prediction": half}, "another")
    assert "Dice 1.00 →" in words(watched)


def test_entropy_lies_beside_the_prediction(watched, squares):
    mask = squares.mask(watched.where)
    watched.show({"prediction": mask, "entropy": mask.astype(np.float32)}, "one")

    assert watched._picture.value.count("<image") == 2


def test_another_slice_begins_anew(watched, squares):
    first = watched.where
    watched.show({"prediction": squares.mask(first)}, "one")
    watched.step(1)
    assert watched.changes == [watched.where] != [first]
    watched.show({"prediction": squares.mask(watched.where)}, "one")
    assert "→" not in words(watched)

    for _ in squares.part("test")[1:]:
        watched.step(1)
    assert watched.where == first


def test_without_a_test_part_there_is_nothing_to_watch(squares):
    watched = WatchedSlice(squares, (), lambda: None)
    watched.step(1)
    watched.show({}, "")

    assert watched.where is None
    assert watched.widget.layout.display == "none"
