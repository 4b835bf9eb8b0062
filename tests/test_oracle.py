import numpy as np
import pytest

from alnb.annotation import Verdict, around, point_labels
from alnb.arrays import BACKGROUND, INFECTED
from alnb.config import Config
from alnb.cost import price_of
from alnb.dataset import SliceId
from alnb.errors import ConfigError, DataError
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


def test_a_second_click_lies_on_background_and_costs_as_much(squares):
    config = Config(background_click=True)
    for region in grid(SliceId("one", 0), (32, 32), 16):
        answer, plain = (Oracle(squares, 0, c).answer(region) for c in (config, Config()))
        assert answer.clicks[:1] == plain.clicks
        if answer.verdict is Verdict.INFECTED and len(answer.clicks) == 2:
            assert not squares.mask(region.where)[answer.clicks[1].pixel]
            assert price_of(answer, config) == 6
    whole = Region(SliceId("one", 0), 0, 0, 32, 32)
    labels = [click.label for click in Oracle(squares, 0, config).answer(whole).clicks]
    assert labels == [INFECTED, BACKGROUND]


def test_an_infected_region_without_background_gets_one_click(squares):
    shape = squares.mask(SliceId("one", 0)).copy()
    region = Region(SliceId("one", 0), 0, 0, 32, 32, mask=shape)
    answer = Oracle(squares, 0, Config(background_click=True)).answer(region)

    assert [click.label for click in answer.clicks] == [INFECTED]


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


# --- errors ---

WHERE = SliceId("one", 0)
WHOLE = Region(WHERE, 0, 0, 32, 32)
REGIONS = grid(WHERE, (32, 32), 64)


def answers(dataset, regions=REGIONS, seed=0, **settings):
    oracle = Oracle(dataset, seed, Config(**settings))
    return [oracle.answer(region) for region in regions]


def verdicts(given):
    return np.array([answer.verdict is Verdict.INFECTED for answer in given])


def shaped(dataset, pixels):
    """A region of whose infection just some pixels are left."""
    shape = np.zeros((32, 32), bool)
    shape[tuple(np.argwhere(dataset.mask(WHERE))[:pixels].T)] = True
    return Region(WHERE, 0, 0, 32, 32, mask=shape)


def test_errors_are_off_by_default(squares):
    truth = [squares.mask(WHERE)[region.window].any() for region in REGIONS]

    assert verdicts(answers(squares)).tolist() == truth


@pytest.mark.parametrize("labels", ["points", "full"])
@pytest.mark.parametrize("settings", [{"miss_rate": 0.7}, {"wrong_rate": 0.5}])
def test_errors_do_not_depend_on_what_was_asked_before(squares, labels, settings):
    settings = {"labels": labels, "click_jitter_px": 1.5, **settings}

    backward = answers(squares, REGIONS[::-1], **settings)

    assert answers(squares, **settings) == backward[::-1]
    assert answers(squares, **settings) != answers(squares, seed=1, **settings)


@pytest.mark.parametrize("pixels", [1, 10, 40])
def test_the_smaller_an_infection_the_oftener_it_is_missed(squares, pixels):
    region, seeds = shaped(squares, pixels), 3000
    config = Config(miss_rate=0.8, miss_area_px=10)

    given = [Oracle(squares, seed, config).answer(region) for seed in range(seeds)]

    expected = 0.8 * np.exp(-pixels / 10)
    spread = np.sqrt(expected * (1 - expected) / seeds)
    assert 1 - verdicts(given).mean() == pytest.approx(expected, abs=4 * spread)


def test_a_clean_region_is_not_missed(squares):
    clean = SliceId("one", 1)
    given = answers(squares, grid(clean, (32, 32), 64), miss_rate=1, miss_area_px=1e9)

    assert not verdicts(given).any()


def test_a_higher_rate_adds_errors_and_leaves_the_other_clicks(squares):
    truth = answers(squares)
    for name in ("miss_rate", "wrong_rate"):
        few, many = (answers(squares, **{name: rate}) for rate in (0.3, 0.6))
        wrong_few = [a != b for a, b in zip(few, truth, strict=True)]
        wrong_many = [a != b for a, b in zip(many, truth, strict=True)]
        assert all(b for a, b in zip(wrong_few, wrong_many, strict=True) if a)


def test_every_verdict_is_wrong_at_rate_one(squares):
    given = answers(squares, wrong_rate=1)

    assert (verdicts(given) != verdicts(answers(squares))).all()
    assert all(len(answer.clicks) == 1 for answer in given if answer.verdict is Verdict.INFECTED)


def test_as_many_verdicts_are_wrong_as_the_rate_says(squares):
    rate, truth = 0.2, verdicts(answers(squares))
    wrong = [verdicts(answers(squares, seed=n, wrong_rate=rate)) != truth for n in range(30)]

    spread = np.sqrt(rate * (1 - rate) / (30 * 64))
    assert np.mean(wrong) == pytest.approx(rate, abs=4 * spread)


def test_a_clean_region_called_infected_is_clicked_anywhere(squares):
    region = Region(SliceId("one", 1), 4, 8, 4, 4)
    config = Config(wrong_rate=1)
    pixels = {Oracle(squares, n, config).answer(region).clicks[0].pixel for n in range(200)}

    assert pixels == {(row, col) for row in range(4, 8) for col in range(8, 12)}


def test_a_clean_region_called_infected_is_outlined_around_one_pixel(squares):
    region = Region(SliceId("one", 1), 4, 8, 4, 4)
    answer = Oracle(squares, 0, Config(wrong_rate=1, labels="full")).answer(region)

    assert (point_labels([answer], (32, 32)) == 1).sum() == 1


def test_a_shaped_region_called_infected_is_clicked_in_its_shape(squares):
    shape = np.eye(4, dtype=bool)
    region = Region(SliceId("one", 1), 0, 0, 4, 4, mask=shape)
    for seed in range(20):
        row, col = Oracle(squares, seed, Config(wrong_rate=1)).answer(region).clicks[0].pixel
        assert row == col


def test_clicks_are_off_by_a_gaussian(squares):
    offsets = []
    for seed in range(2000):
        (exact,) = Oracle(squares, seed).answer(WHOLE).clicks
        (click,) = Oracle(squares, seed, Config(click_jitter_px=0.5)).answer(WHOLE).clicks
        offsets.append((click.row - exact.row, click.col - exact.col))
    inside = squares.mask(WHERE)[1:-1, 1:-1].sum() == squares.mask(WHERE).sum()

    assert inside  # so that few are held back at the edge
    assert np.mean(offsets, axis=0) == pytest.approx([0, 0], abs=4 * 0.5 / np.sqrt(2000))
    assert np.std(offsets, axis=0) == pytest.approx([0.5, 0.5], rel=4 / np.sqrt(2 * 2000))


@pytest.mark.parametrize("labels", ["points", "full"])
def test_what_would_fall_outside_is_held_back_at_the_edge(squares, labels):
    for answer in answers(squares, click_jitter_px=30, labels=labels):
        clicked = [(click.row, click.col) for click in answer.clicks]
        drawn = [vertex for outline in answer.outlines for vertex in outline]
        assert all(answer.region.contains(row, col) for row, col in clicked + drawn)


def test_a_click_held_back_stays_at_the_nearest_pixel(squares):
    infected = np.argwhere(squares.mask(WHERE))
    row, col = infected[0].tolist()
    shape = np.zeros((32, 32), bool)
    shape[row, col] = True
    region = Region(WHERE, 0, 0, 32, 32, mask=shape)

    (click,) = Oracle(squares, 0, Config(click_jitter_px=50)).answer(region).clicks

    assert (click.row, click.col) == (row, col)


# --- the network's outline ---

VERIFIED = Config(labels="verified", asking="live")


def infected_in(dataset, region):
    return dataset.mask(region.where) & region.drawn((32, 32))


def test_an_outline_that_fits_is_right_and_costs_one_verdict(squares):
    oracle = Oracle(squares, 0, VERIFIED)
    answer = oracle.answer(WHOLE, lambda clicks: around(infected_in(squares, WHOLE)))

    assert answer.verified and not answer.clicks
    assert price_of(answer, VERIFIED) == 3
    labels = point_labels([answer], (32, 32))
    assert ((labels == INFECTED) == infected_in(squares, WHOLE)).all()


def test_one_that_follows_a_click_is_right_after_it(squares):
    shown = []

    def guess(clicks):
        shown.append(tuple(clicks))
        return around(infected_in(squares, WHOLE)) if clicks else ()

    answer = Oracle(squares, 0, VERIFIED).answer(WHOLE, guess)

    assert [len(clicks) for clicks in shown] == [0, 1]
    assert answer.verified and answer.clicks == shown[1]
    assert price_of(answer, VERIFIED) == 6


def test_what_is_too_much_is_clicked_as_background(squares):
    everything = np.ones((32, 32), bool)
    answer = Oracle(squares, 0, VERIFIED).answer(WHOLE, lambda clicks: around(everything))

    assert not answer.verified
    assert [click.label for click in answer.clicks] == [BACKGROUND, INFECTED]
    mask = squares.mask(WHERE)
    assert [bool(mask[click.pixel]) for click in answer.clicks] == [False, True]


def test_a_clean_region_needs_no_outline_and_an_unknown_one_is_clicked(squares):
    empty = Region(SliceId("one", 1), 0, 0, 32, 32)
    oracle = Oracle(squares, 0, VERIFIED)

    assert oracle.answer(empty, lambda clicks: ()).verdict is Verdict.CLEAN
    assert len(oracle.answer(WHOLE, lambda clicks: None).clicks) == 1
    assert oracle.answer(WHOLE) == Oracle(squares).answer(WHOLE)


def test_they_need_the_live_layer():
    with pytest.raises(ConfigError, match="asking must be live"):
        Config(labels="verified")
