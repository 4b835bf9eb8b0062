import dataclasses
import itertools

import numpy as np
import pytest
from fakes import published, scan_of

from alnb.annotation import Answer, Click, Verdict
from alnb.asking import Asker
from alnb.config import Config
from alnb.dataset import SliceId, build, import_medseg
from alnb.dataset.split import fold
from alnb.live import Basis, Live, sigmoid
from alnb.live import layer as module
from alnb.oracle import Oracle
from alnb.pool import Pool
from alnb.regions import grid
from alnb.session import Session
from alnb.storage import features_path

CONFIG = Config(regions_per_slice=16)


def publish(dataset, cache, weights="w", logit=0.0, slices=None):
    for where in slices or dataset.slices:
        path = features_path(cache, weights, where.scan, where.z)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, published(np.asarray(dataset.image(where)), logit))


@pytest.fixture
def cache(squares, tmp_path):
    publish(squares, tmp_path)
    return tmp_path


def layer(dataset, cache, config=CONFIG, **basis):
    return Live(dataset, config, cache, Basis("w", **basis))


def cells(dataset, where):
    return grid(where, (dataset.size, dataset.size), 16)


def infected(dataset, where):
    """A region with infection, and a click on it."""
    row, col = np.argwhere(dataset.mask(where))[0].tolist()
    region = next(one for one in cells(dataset, where) if one.contains(row, col))
    return Answer(region, Verdict.INFECTED, (Click(row, col),))


def clean(dataset, where):
    mask = dataset.mask(where)
    return next(
        Answer(one, Verdict.CLEAN) for one in cells(dataset, where) if not one.pixels(mask).any()
    )


def some(dataset):
    """An infected and a clean answer on each infected slice of the train part."""
    slices = [where for where in dataset.part("train") if dataset.mask(where).any()]
    return [answer(dataset, where) for where in slices for answer in (infected, clean)]


def test_without_answers_the_network_stands(squares, tmp_path):
    publish(squares, tmp_path, logit=1.5)
    where = squares.slices[0]
    assert layer(squares, tmp_path).infection(where) == pytest.approx(
        sigmoid(np.array(1.5)), abs=1e-3
    )
    assert layer(squares, tmp_path).segment(where).all()
    assert not layer(squares, tmp_path, threshold=0.9).segment(where).any()


def test_a_click_raises_what_looks_alike_and_a_clean_region_lowers_it(squares, cache):
    live = layer(squares, cache, learned=False)
    where = next(w for w in squares.part("train") if squares.mask(w).any())
    click, no = infected(squares, where), clean(squares, where)
    live.learn([click])
    raised = live.infection(where)[click.clicks[0].pixel]
    live.learn([no])
    lowered = no.region.pixels(live.infection(where)).mean()
    assert lowered < 0.5 < raised
    live.learn(some(squares))
    other = next(w for w in squares.part("test") if squares.mask(w).any())
    mask = squares.mask(other)
    assert live.infection(other)[mask].mean() > live.infection(other)[~mask].mean()


def test_what_it_finds_is_the_most_probable(squares, cache):
    live = layer(squares, cache, learned=False)
    live.learn(some(squares))
    rows = [one for one in live._rows.values() if one is not None]
    x, offsets, targets, weights = (
        np.concatenate(parts).astype(np.float64)
        for parts in (
            [r.cells[:, 1:] for r in rows], [r.cells[:, 0] for r in rows],
            [r.targets for r in rows], [r.weights for r in rows],
        )
    )  # fmt: skip
    p = 1 / (1 + np.exp(-(offsets + x @ live._last.w)))
    slope = x.T @ (weights * (p - targets)) + live._precision * live._last.w
    assert np.abs(slope).max() < 0.02


def test_an_answer_taken_back_is_as_if_never_given(squares, cache):
    answers, where = some(squares), squares.slices[0]
    once, back = layer(squares, cache), layer(squares, cache)
    once.learn(answers[:3])
    back.learn(answers)
    back.learn(answers[:3])
    assert np.array_equal(once.infection(where), back.infection(where))
    assert np.array_equal(once.score([where])["bald"], back.score([where])["bald"], equal_nan=True)


def test_a_skip_says_nothing(squares, cache):
    where = squares.part("train")[0]
    live = layer(squares, cache)
    live.learn([Answer(cells(squares, where)[0], Verdict.SKIPPED)])
    assert live.infection(where) == pytest.approx(0.5, abs=1e-4)


def test_answers_lower_the_mutual_information(squares, cache):
    live = layer(squares, cache, learned=False)
    where = squares.part("test")[0]
    before = np.nanmean(live.score([where])["bald"])
    live.learn(some(squares))
    after = np.nanmean(live.score([where])["bald"])
    assert before > after > 0


def test_a_learned_network_holds_the_rest_of_an_infected_region(squares, tmp_path):
    publish(squares, tmp_path, logit=-2.0)
    where = next(w for w in squares.part("train") if squares.mask(w).any())
    click = infected(squares, where)
    held, free = layer(squares, tmp_path), layer(squares, tmp_path, learned=False)
    held.learn([click])
    free.learn([click])
    believed = sigmoid(np.array(-2.0))
    moved = [click.region.pixels(one.infection(where)).mean() - believed for one in (held, free)]
    assert 0 <= moved[0] < moved[1] / 2


def test_outlines_teach_their_extent(squares, cache):
    where = next(w for w in squares.part("train") if squares.mask(w).any())
    click = infected(squares, where)
    row, col = click.clicks[0].pixel
    region = click.region
    bottom, right = region.row + region.height - 0.5, region.col + region.width - 0.5
    square = ((row - 0.5, col - 0.5), (row - 0.5, right), (bottom, right), (bottom, col - 0.5))
    outlined = dataclasses.replace(click, clicks=(), outlines=(square,))
    live = layer(squares, cache, learned=False)
    live.learn([outlined])
    p = live.infection(where)
    assert p[row + 2, col + 2] > region.pixels(p).min()


def test_a_slice_that_is_not_published_waits(squares, tmp_path):
    first, second = squares.part("train")[:2]
    publish(squares, tmp_path, slices=[first])
    live = layer(squares, tmp_path)
    scores = live.score([first, second])["entropy"]
    assert np.isfinite(scores[0]).all() and np.isnan(scores[1]).all()
    live.learn([clean(squares, second)])
    assert live.infection(first) == pytest.approx(0.5, abs=1e-4)


def test_of_many_slices_the_best_are_scored(squares, cache, monkeypatch):
    live = layer(squares, cache, learned=False)
    live.learn(some(squares)[:2])
    slices = squares.part("train")
    whole = live.score(slices)["entropy"]
    monkeypatch.setattr(module, "EXACT", 2)
    few = live.score(slices)["entropy"]
    rows = np.flatnonzero(np.isfinite(few).any(axis=1))
    assert len(rows) == 2
    assert np.array_equal(few[rows], whole[rows])
    assert np.nanmax(few) == pytest.approx(np.nanmax(whole), abs=0.05)


def test_features_that_are_deleted_say_nothing(squares, cache):
    where = squares.part("train")[0]
    live = layer(squares, cache)
    assert live.published(where)
    features_path(cache, "w", where.scan, where.z).unlink()
    assert live.infection(where) == pytest.approx(0.5)


@pytest.mark.parametrize("spoilt", [np.float64(0.5), np.float16(np.nan), np.str_("a")])
def test_features_that_are_spoilt_say_nothing(squares, cache, spoilt):
    where = squares.part("train")[0]
    live = layer(squares, cache)
    path = features_path(cache, "w", where.scan, where.z)
    np.save(path, np.full(np.load(path).shape, spoilt))

    assert live.infection(where) == pytest.approx(0.5)


def test_the_largest_of_a_region_counts_if_that_is_set(squares, cache):
    answers, where = some(squares), squares.part("test")[0]
    tables = []
    for how in ("mean", "max"):
        live = layer(squares, cache, CONFIG.replace(region_score=how), learned=False)
        live.learn(answers)
        tables.append(live.score([where])["entropy"])
    assert (tables[1] >= tables[0] - 1e-6).all()


def test_answers_take_ignorance_away(squares, cache):
    live, where = layer(squares, cache, learned=False), squares.part("train")[0]
    before = live.posterior(where)
    live.learn(some(squares) + [clean(squares, one) for one in squares.part("train")])
    after = live.posterior(where)

    assert before.mean.shape == (squares.size, squares.size)
    assert after.mutual_information.mean() < before.mutual_information.mean()
    assert np.allclose(after.predictive_entropy, live.entropy(where), atol=0.02)


def test_slices_of_any_size_are_covered(tmp_path):
    pairs = [scan_of(f"s{n}", 4, 44, n) for n in range(3)]
    odd = build(pairs, tmp_path / "odd", size=44)
    publish(odd, tmp_path)
    live = layer(odd, tmp_path)
    where: SliceId = odd.slices[0]
    assert live.infection(where).shape == live.entropy(where).shape == (44, 44)
    assert np.isfinite(live.score([where])["entropy"]).all()


def test_answers_of_one_verdict_say_nothing_of_how_much_infection_there_is(squares, cache):
    live, untaught = layer(squares, cache), layer(squares, cache, learned=False)
    yes, no = some(squares)[::2], some(squares)[1::2]

    def constants(answers):
        live.learn(answers)
        untaught.learn(answers)
        return live._last.w[-1], untaught._last.w[-1]

    for one_sided in (yes, no):
        held, free = constants(one_sided)
        assert held == 0 != free
    few, many = (abs(constants(yes[:n] + no)[0]) for n in (1, len(yes)))
    assert 0 < few < many


@pytest.mark.slow
def test_no_answers_lead_it_far_below_its_start_on_real_ct(shared, tmp_path):
    """Two annotators on each of four folds of the train part, at half the size."""
    from alnb.training.trainer import Trainer  # the only use of torch here

    dataset, cache = import_medseg(shared / "data" / "medseg", tmp_path / "d", size=128), tmp_path
    trainer = Trainer(dataset, Config(asking="live"), cache)
    trainer.publish(dataset.part("train"), trainer.origin)
    gains = []
    for seed, number in itertools.product(range(2), range(4)):
        config = Config(asking="live", seed=seed)
        part = fold(dataset, number, 4)
        session = Session.open(tmp_path / f"{seed}_{number}", part, config)
        asker = Asker(session, Pool(part, session.state.config))
        asker.use(Basis(trainer.origin), cache=cache)
        oracle = Oracle(part, 10 * number + seed)
        for answers in range(21):
            if answers in (0, 5, 10, 20):
                asker.measure()
            asker.ask()
            session.submit(oracle.answer(session.state.pending[0]))
        start, *later = [sample.scores.dice for sample in session.state.samples]
        session.close()
        gains.append([dice - start for dice in later])
    assert np.min(gains) > -0.01
    assert (np.mean(gains, axis=0) > -0.002).all()


@pytest.mark.parametrize(("learned", "follows"), [(True, 0.005), (False, 0)])
def test_marks_that_are_no_answer_yet_are_learned_beside_the_answers(
    squares, cache, learned, follows
):
    live = layer(squares, cache, learned=learned)
    first = infected(squares, squares.part("train")[0])
    live.learn([first])
    alone = live.infection(first.region.where)
    (click,) = first.clicks
    too_much = Click(click.row, click.col, 0)

    live.learn([], (first.region, first.clicks))
    more = live.infection(first.region.where)[click.pixel] - alone[click.pixel]
    assert more > follows if learned else more == 0  # what a person corrects must follow
    live.learn([first], (first.region, [too_much, too_much]))
    assert live.infection(first.region.where)[click.pixel] < alone[click.pixel]
