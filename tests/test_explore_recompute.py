import asyncio

import numpy as np
import pytest
from fakes import FakeLearner, FakeWorker

from alnb.config import Config
from alnb.errors import SessionError
from alnb.experiments.run import simulate
from alnb.ui.explore.recompute import Recomputer
from alnb.ui.explore.recording import Recording

CONFIG = Config(regions_per_slice=16, start_regions=6, regions_per_cycle=2)


class Elsewhere(FakeWorker):
    """A machine on which networks come out under other names."""

    async def fit(self, answers):
        fit = await super().fit(answers)
        object.__setattr__(fit, "weights", "f" * 16)
        return fit


@pytest.fixture
def recording(tmp_path, squares):
    simulate(squares, tmp_path / "run", CONFIG, cycles=1, learner=FakeLearner(squares, CONFIG))
    return Recording.open(tmp_path / "run")


@pytest.fixture
def recomputer(recording):
    return Recomputer(recording, worker=FakeWorker)


def keep_network(recording, step):
    folder = recording.folder / "cache"
    folder.mkdir(exist_ok=True)
    (folder / f"weights-{step.fit.weights}.safetensors").write_text("a network")


def test_a_network_that_is_not_kept_is_trained_again_on_what_it_learned(recomputer, recording):
    step = recording.steps[1]
    where = step.asked[0].region.where
    assert not recomputer.has_network(step)
    assert recomputer.maps(step, where) is None

    asyncio.run(recomputer.predict(step, [where]))

    assert recomputer._worker.fitted == [step.learned]
    assert recomputer.maps(step, where).mean.shape == (32, 32)
    assert recomputer.notice == ""


def test_a_kept_network_is_adopted_and_costs_no_training(recomputer, recording):
    step = recording.steps[0]
    keep_network(recording, step)
    assert recomputer.has_network(step)

    asyncio.run(recomputer.predict(step, [step.asked[0].region.where]))

    assert recomputer._worker.did == ["predict"]
    assert (recomputer.cache / f"weights-{step.fit.weights}.safetensors").read_text() == "a network"


def test_maps_outlive_the_page(recomputer, recording):
    step = recording.steps[0]
    where = step.asked[0].region.where
    asyncio.run(recomputer.predict(step, [where]))

    later = Recomputer(recording, worker=FakeWorker)
    np.testing.assert_allclose(later.maps(step, where).mean, 0.6, atol=1e-3)
    assert later.maps(recording.steps[1], where) is None


def test_a_network_that_came_out_different_is_said_and_used(recording):
    recomputer = Recomputer(recording, worker=Elsewhere)
    step = recording.steps[0]
    where = step.asked[0].region.where

    asyncio.run(recomputer.predict(step, [where]))

    assert "these maps may differ" in recomputer.notice
    assert recomputer.maps(step, where) is not None


def test_a_table_that_the_run_left_is_read(recomputer, recording):
    step = recording.steps[0]
    folder = recording.folder / "cache"
    folder.mkdir(exist_ok=True)
    given = np.random.default_rng(0).random(recording.pool.shape)
    np.savez(folder / f"scores-{step.fit.weights}.npz", entropy=given)

    table = asyncio.run(recomputer.table(step, "entropy"))

    np.testing.assert_array_equal(table["entropy"], given)
    assert recomputer._worker.did == []
    asyncio.run(recomputer.table(step, "margin"))  # which that table lacks
    assert recomputer._worker.did == ["fit", "score"]


def test_else_the_pool_is_scored_by_that_network(recomputer, recording, squares):
    step = recording.steps[0]
    table = asyncio.run(recomputer.table(step, "entropy"))
    learner = FakeLearner(squares, CONFIG)

    expected = learner.score(recording.pool.slices, step.fit.weights)["entropy"]
    np.testing.assert_array_equal(table["entropy"], expected)


def test_the_run_itself_is_left_as_it_was(recomputer, recording):
    before = sorted(path for path in recording.folder.rglob("*") if "explored" not in path.parts)
    asyncio.run(recomputer.predict(recording.steps[0], [recording.steps[0].asked[0].region.where]))
    after = sorted(path for path in recording.folder.rglob("*") if "explored" not in path.parts)

    assert [path for path in after if path.name != "cache"] == before


def test_a_run_that_can_not_be_written_keeps_its_maps_elsewhere(recording, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "mine"))
    monkeypatch.setattr("os.access", lambda path, mode: False)

    assert Recomputer(recording, worker=FakeWorker).cache.is_relative_to(tmp_path / "mine")


def test_a_cycle_that_was_not_trained_has_no_network(recomputer, recording):
    step = recording.steps[0]
    object.__setattr__(step, "fit", None)

    assert not recomputer.has_network(step)
    with pytest.raises(SessionError, match="was not trained"):
        asyncio.run(recomputer.predict(step, []))


@pytest.mark.parametrize(
    "spoilt", [{}, {"mean": np.ones((2, 2)), "entropy": np.ones((2, 2))}, {"mean": np.ones(3)}]
)
def test_spoilt_maps_and_tables_are_computed_again(recomputer, recording, spoilt):
    step = recording.steps[0]
    where = step.asked[0].region.where
    asyncio.run(recomputer.predict(step, [where]))
    later = Recomputer(recording, worker=FakeWorker)
    np.savez(later._path(step.fit.weights, where), **spoilt)
    (recording.folder / "cache").mkdir(exist_ok=True)
    np.savez(recording.folder / f"cache/scores-{step.fit.weights}.npz", entropy=np.eye(2))

    assert later.maps(step, where) is None
    asyncio.run(later.table(step, "entropy"))
    assert later._worker.did == ["fit", "score"]
