import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from alnb.dataset import SliceId
from alnb.regions import QuadTree, Region, grid

HERE = SliceId("scan_01", 23)
TREE = QuadTree(8, 2)  # one block of 8 pixels, 4 of 4, 16 of 2
NONE = np.zeros((1, 21), bool)
scores = arrays(np.float64, (2, 21), elements=st.floats(0, 1))


def table_of(fine):
    """Score every block of `TREE` by the mean of a (4, 4) map of its smallest."""
    fine = np.asarray(fine, float)
    quarters = fine.reshape(2, 2, 2, 2).mean(axis=(1, 3))
    return np.concatenate([[fine.mean()], quarters.ravel(), fine.ravel()])[np.newaxis]


def numbers(leaves):
    return np.flatnonzero(leaves).tolist()


def times_covered(leaves):
    regions = [region for region, leaf in zip(TREE.regions(HERE), leaves, strict=True) if leaf]
    return sum((region.drawn((8, 8)).astype(int) for region in regions), np.zeros((8, 8), int))


@pytest.mark.parametrize(
    ("size", "smallest", "depth"),
    [
        (8, 2, 2),
        (8, 3, 1),
        (8, 4, 1),
        (8, 5, 0),
        (352, 16, 4),
        (256, 16, 4),
        (256, 17, 3),
        (7, 1, 2),
    ],
)
def test_blocks_are_halved_while_they_stay_as_large_as_the_smallest(size, smallest, depth):
    tree = QuadTree(size, smallest)
    regions = tree.regions(HERE)

    assert tree.depth == depth
    assert len(regions) == tree.blocks == sum(4**level for level in range(depth + 1))
    assert min(min(region.height, region.width) for region in regions) >= smallest


def test_a_block_is_its_four_quarters():
    tree = QuadTree(23, 2)
    regions = tree.regions(HERE)
    for block, inside in enumerate(tree._quarters):
        parts = sum(regions[quarter].drawn((23, 23)).astype(int) for quarter in inside)
        assert (parts == regions[block].drawn((23, 23))).all()


def test_at_even_scores_the_tree_is_the_papers_grid():
    tree = QuadTree(352, 16)
    (leaves,) = tree.leaves(np.zeros((1, tree.blocks)), np.zeros((1, tree.blocks), bool), 64)
    regions = [region for region, leaf in zip(tree.regions(HERE), leaves, strict=True) if leaf]

    assert regions == list(grid(HERE, (352, 352), 64))


def test_of_equal_blocks_the_largest_is_split_first_then_the_upper_left():
    assert numbers(TREE.leaves(np.zeros((1, 21)), NONE, 1)) == [0]
    assert numbers(TREE.leaves(np.zeros((1, 21)), NONE, 3)) == [0]
    assert numbers(TREE.leaves(np.zeros((1, 21)), NONE, 6)) == [1, 2, 3, 4]
    assert numbers(TREE.leaves(np.zeros((1, 21)), NONE, 7)) == [2, 3, 4, 5, 6, 9, 10]


def test_the_block_whose_parts_differ_is_split_and_even_ones_stay_whole():
    fine = [[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]]

    # the upper right is of one score, high as it is; the lower right is not
    assert numbers(TREE.leaves(table_of(fine), NONE, 7)) == [1, 2, 3, 15, 16, 19, 20]


def test_differences_that_cancel_out_at_the_next_size_are_seen():
    fine = [[0, 0.1, 0, 1], [0, 0.1, 1, 0], [0.1, 0, 0, 0], [0, 0, 0, 0]]

    assert numbers(TREE.leaves(table_of(fine), NONE, 7)) == [1, 3, 4, 7, 8, 11, 12]


def test_what_was_asked_about_stays_as_it_was():
    asked = NONE.copy()
    asked[0, [4, 5]] = True  # the lower right quarter, and a smallest block of the upper left
    varied = table_of(np.eye(4))

    leaves = TREE.leaves(varied, asked, 1)

    assert numbers(leaves) == [2, 3, 4, 5, 6, 9, 10]
    assert numbers(TREE.leaves(varied, asked, 99)) == [4, *range(5, 15), 17, 18]


@given(scores, st.integers(1, 30), st.lists(st.integers(0, 20), max_size=5))
def test_blocks_cover_a_slice_once_whatever_was_asked(table, count, wanted):
    asked = np.zeros((2, 21), bool)
    for block in wanted:  # none of them in another
        if not (times_covered(asked[0]) + times_covered(np.arange(21) == block) > 1).any():
            asked[:, block] = True

    forced = TREE.leaves(table, asked, 1).sum(axis=1)
    for row, leaves in enumerate(TREE.leaves(table, asked, count)):
        assert (times_covered(leaves) == 1).all()
        assert leaves[asked[row]].all()
        assert leaves.sum() <= max(count, forced[row])


@given(st.integers(0, 999), st.integers(1, 30), st.integers(1, 4))
def test_every_pixel_is_asked_about_once_while_the_scores_change(seed, count, at_once):
    rng, asked = np.random.default_rng(seed), NONE.copy()
    while not (times_covered(asked[0]) == 1).all():
        leaves = TREE.leaves(rng.random((1, 21)), asked, count)
        open_ = np.flatnonzero(leaves & ~asked)
        asked[0, rng.permutation(open_)[:at_once]] = True

        assert times_covered(asked[0]).max() == 1


@given(scores, st.integers(1, 30))
def test_a_slices_blocks_do_not_depend_on_its_company(table, count):
    both = TREE.leaves(table, np.zeros((2, 21), bool), count)

    assert (both[1:] == TREE.leaves(table[1:], NONE, count)).all()
    assert both[0].sum() == min(16, count - (count - 1) % 3)


def test_a_block_has_its_number_and_other_regions_have_none():
    assert [TREE.number(region) for region in TREE.regions(HERE)] == list(range(21))
    assert TREE.number(Region(HERE, 0, 0, 3, 4)) is None
    assert TREE.number(Region(HERE, 0, 0, 2, 2, mask=np.eye(2, dtype=bool))) is None
    assert TREE.first_smallest == 5
