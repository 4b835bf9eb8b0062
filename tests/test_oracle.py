import numpy as np
import pytest

from alnb.annotation import Verdict, point_labels
from alnb.config import Config
from alnb.cost import price_of
from alnb.dataset import SliceId
from alnb.errors import DataError
from alnb.oracle import Oracle
from alnb.regions import Region, grid


def test_a_region_with_infection_gets_one_click_on_it(squares):
    oracle = Oracle(squares, seed=0)
    for region in grid(SliceId("one", 0), (32, 32), 16):
        answer = oracle.answer(region)
        infected = squares.mask(region.where)
        assert (answer.verdict is Verdict.INFECTED) == infected[region.window].any()
        assert all(infected[click.pixel] for click in answer.clicks)
        assert len(answer.clicks) == (answer.verdict is Verdict.INFECTED)


def test_a_slice_without_infection_is_clean(squares):
    assert Oracle(squares).answer(Region(SliceId("one", 1), 0, 0, 32, 32)).verdict is Verdict.CLEAN


def test_a_click_does_not_depend_on_what_was_asked_before(squares):
    regions = grid(SliceId("one", 0), (32, 32), 4)
    forward = [Oracle(squares).answer(region) for region in regions]
    backward = [Oracle(squares).answer(region) for region in reversed(regions)]

    assert forward == backward[::-1]


def test_another_seed_clicks_elsewhere(squares):
    region = Region(SliceId("one", 0), 0, 0, 32, 32)
    pixels = {Oracle(squares, seed).answer(region).clicks[0].pixel for seed in range(20)}

    assert len(pixels) > 10


def test_clicks_are_spread_over_the_infection(squares):
    region = Region(SliceId("one", 0), 0, 0, 32, 32)
    pixels = [Oracle(squares, seed).answer(region).clicks[0].pixel for seed in range(400)]
    where = np.argwhere(squares.mask(region.where))

    assert np.mean(pixels, axis=0) == pytest.approx(where.mean(axis=0), abs=0.5)


def test_a_shaped_region_is_clicked_inside_its_shape(squares):
    infected = squares.mask(SliceId("one", 0))
    shape = np.zeros((32, 32), bool)
    shape[tuple(np.argwhere(infected)[5])] = True
    answer = Oracle(squares).answer(Region(SliceId("one", 0), 0, 0, 32, 32, mask=shape))

    assert answer.clicks[0].pixel == tuple(np.argwhere(infected)[5])


def test_without_masks_there_is_no_oracle(unmasked):
    with pytest.raises(DataError):
        Oracle(unmasked).answer(Region(SliceId("one", 0), 0, 0, 32, 32))


FULL = Config(labels="full")


def test_labelling_in_full_gives_each_pixel_of_the_region_the_masks_label(squares):
    where = SliceId("one", 0)
    answers = [Oracle(squares, 0, FULL).answer(r) for r in grid(where, (32, 32), 16)]

    assert not any(answer.clicks for answer in answers)
    assert (point_labels(answers, (32, 32)) == squares.mask(where)).all()


def test_a_square_is_outlined_with_four_clicks_worth_of_vertices(squares):
    answer = Oracle(squares, 0, FULL).answer(Region(SliceId("one", 0), 0, 0, 32, 32))

    assert answer.verdict is Verdict.INFECTED and answer.points == 4
    assert price_of(answer, FULL) == 12


def test_a_shaped_region_is_outlined_inside_its_shape(squares):
    infected = squares.mask(SliceId("one", 0))
    shape = np.zeros((32, 32), bool)
    shape[tuple(np.argwhere(infected)[5])] = True
    region = Region(SliceId("one", 0), 0, 0, 32, 32, mask=shape)

    labels = point_labels([Oracle(squares, 0, FULL).answer(region)], (32, 32))

    assert np.argwhere(labels == 1).tolist() == [np.argwhere(infected)[5].tolist()]
    assert (labels == 0).sum() == 0
