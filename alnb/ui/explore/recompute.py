"""Maps and scores of past cycles: which are missing, read from caches, or computed again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from alnb.acquisition import needs_network
from alnb.dataset import SliceId
from alnb.errors import SessionError
from alnb.pool import ScoreTables, kept_tables
from alnb.regions import Region
from alnb.storage import (
    CACHE,
    maps_path,
    read_arrays,
    short_hash,
    weights_path,
    write_arrays,
)
from alnb.ui.explore.recording import ExplorerState, Recording, Step
from alnb.worker import Maps, Progress, Worker


class Recomputer:
    """What the networks of a recording predict on its slices.

    The run's own files are only read: somebody may be labelling in it, and it keeps the newest
    weights only. What is computed again lies in a folder of its own below the run's caches, or in
    the user's cache where that folder can't be written. Both may be deleted at any time.

    Parameters
    ----------
    recording : Recording
    on_progress : callable
        Called on the loop with each `Progress`.
    worker : callable
        Makes the `Worker`, from the same arguments.

    Raises
    ------
    TrainerError
        By `predict` and `table`, if the training process fails or was cancelled.
    """

    def __init__(
        self,
        recording: Recording,
        on_progress: Callable[[Progress], None] = lambda progress: None,
        worker: Callable[..., Worker] = Worker,
    ) -> None:
        self.recording = recording
        self.notice = ""  # what a person should know about these maps; empty for nothing
        self.cache = _cache_of(recording.folder)
        self._kept = recording.folder / CACHE
        self._names: dict[str, str] = {}  # of networks that came out under another name
        self._maps: dict[tuple[str, SliceId], Maps] = {}
        self._worker = worker(recording.dataset, recording.state.config, self.cache, on_progress)

    def maps(self, step: Step, where: SliceId) -> Maps | None:
        """Return the maps of a slice by a cycle's network; None if they must be computed."""
        if step.fit is None:
            return None
        key = (step.fit.weights, where)
        size = self.recording.dataset.size
        if key not in self._maps and (found := kept_maps(self._path(*key), (size, size))):
            self._maps[key] = found
        return self._maps.get(key)

    def has_network(self, step: Step) -> bool:
        """Tell whether a cycle's network is kept, so that its maps cost no training."""
        return step.fit is not None and any(self._files(step.fit.weights))

    async def predict(self, step: Step, slices: Sequence[SliceId]) -> None:
        """Compute the maps of a few slices by a cycle's network, trained again if need be."""
        name = await self._network(step)
        assert step.fit is not None  # noqa: S101 - it has a network
        for where, maps in (await self._worker.predict(slices, name)).items():
            self._maps[step.fit.weights, where] = maps
            mean, entropy = maps.mean.astype(np.float16), maps.entropy.astype(np.float16)
            write_arrays(self._path(step.fit.weights, where), mean=mean, entropy=entropy)

    async def table(self, step: Step, heuristic: str) -> ScoreTables:
        """Return the scores of the whole pool by a cycle's network, as `Learner.score` does.

        A stored table is used if it has the heuristic.
        """
        weights = step.fit.weights if step.fit else ""
        for folder in (self._kept, self.cache):
            tables = kept_tables(folder, weights, self.recording.pool.shape)
            if heuristic in tables:
                return tables
        return await self._worker.score(self.recording.pool.slices, await self._network(step))

    def cancel(self) -> None:
        """Stop what is being computed."""
        self._worker.cancel()

    def end(self) -> None:
        """End the training process."""
        with contextlib.suppress(RuntimeError):  # a test, or plain Python
            self._ending = asyncio.get_running_loop().create_task(self._worker.stop())

    def _path(self, weights: str, where: SliceId) -> Path:
        # below the folder in which the process keeps only the newest network's maps
        return maps_path(self.cache / "maps", weights, where.scan, where.z)

    def _files(self, weights: str) -> list[Path]:
        name = self._names.get(weights, weights)
        places = [weights_path(folder, name) for folder in (self.cache, self._kept)]
        return [place for place in places if place.is_file()]

    async def _network(self, step: Step) -> str:
        """Make sure that the process finds a cycle's network; return its name."""
        if step.fit is None:
            raise SessionError(f"cycle {step.cycle} was not trained, so it has no network.")
        weights = step.fit.weights
        if found := self._files(weights):
            self._adopt(found[0])
            return self._names.get(weights, weights)
        fit = await self._worker.fit(step.learned)
        if fit.weights != weights:
            self._names[weights] = fit.weights
            self.notice = (
                f"The networks were trained again with {fit.backbone} on {fit.device}. The run's "
                f"were trained with {step.fit.backbone} on {step.fit.device}, so these maps may "
                "differ from those that chose the regions."
            )
        return fit.weights

    def _adopt(self, weights: Path) -> None:
        """Let the process find the run's weights, by a link if possible and else by a copy."""
        place = self.cache / weights.name
        if place == weights or place.exists():
            return
        self.cache.mkdir(parents=True, exist_ok=True)
        try:
            os.link(weights, place)
        except OSError:
            shutil.copyfile(weights, place)


def kept_maps(path: Path, shape: tuple[int, int]) -> Maps | None:
    """Read a slice's maps, (H, W); None if they are missing or spoilt."""
    arrays = read_arrays(path)
    found = [arrays[name] for name in ("mean", "entropy") if name in arrays]
    fit = all(one.shape == shape and one.dtype.kind == "f" for one in found)
    if len(found) < 2 or not fit:
        return None
    mean, entropy = (one.astype(np.float32) for one in found)
    return Maps(mean, entropy)


def _cache_of(folder: Path) -> Path:
    """Choose where to keep what is computed again."""
    at = folder.resolve()
    cache = at / CACHE
    if os.access(cache if cache.is_dir() else at, os.W_OK):
        return cache / "explored"
    from platformdirs import user_cache_path

    return user_cache_path("alnb") / "explored" / short_hash(str(at))


# --- what is missing ---

FEW = 6  # ours: slices predicted at once; a second or two, so that the page follows the sliders
Job = tuple[Recomputer, Step, list[SliceId]]


def asks_again(state: ExplorerState, recomputer: Recomputer, *, again: bool) -> bool:
    """Tell whether another heuristic is to be asked, and can be; for the rest see `jobs`.

    Parameters
    ----------
    state : ExplorerState
    recomputer : Recomputer
        Of the first run.
    again : bool
        As `jobs` takes it.
    """
    if state.known or state.before is None:
        return False
    return again or not needs_network(state.chosen) or recomputer.has_network(state.before)


def jobs(state: ExplorerState, recomputers: Sequence[Recomputer], *, again: bool) -> Iterator[Job]:
    """List the maps that are missing: of this picture, of its strip, of the next cycle.

    Parameters
    ----------
    state : ExplorerState
    recomputers : sequence of Recomputer
        One a run.
    again : bool
        Whether networks that were not kept may be trained again; never for the next cycle.

    Yields
    ------
    Job
        Whose maps, by which cycle's network, and of which slices: `FEW` at most.
    """
    sides, strips = state.sides, state.picks
    for side in sides:
        yield from _jobs(recomputers[side.of], side.network, [side.region], again=again)
    for side, picks in zip(sides, strips * (3 - len(strips)), strict=True):
        regions = [pick.region for pick in picks]
        yield from _jobs(recomputers[side.of], side.network, regions, again=again)
    for recomputer, recording, step in zip(recomputers, state.recordings, state.steps, strict=True):
        for later in recording.steps[step.cycle + 1 : step.cycle + 2]:
            coming = [pick.region for pick in later.asked]
            for network in (step, later):
                yield from _jobs(recomputer, network, coming, again=False)


def _jobs(
    recomputer: Recomputer, step: Step | None, regions: Sequence[Region | None], *, again: bool
) -> Iterator[Job]:
    if step is None or step.fit is None or not (again or recomputer.has_network(step)):
        return
    slices = dict.fromkeys(region.where for region in regions if region is not None)
    missing = [where for where in slices if recomputer.maps(step, where) is None]
    if missing:
        yield recomputer, step, missing[:FEW]
