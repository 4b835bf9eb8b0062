"""`Predictor`: says what kept networks make of slices."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alnb.acquisition import region_scores, scored_by
from alnb.arrays import Map, Mask
from alnb.config import Config
from alnb.dataset import Dataset, Part, SliceId
from alnb.dataset.folder import FEATURES
from alnb.metrics import Scores
from alnb.posterior import Posterior
from alnb.regions import Division, bare, grid
from alnb.training import Cancelled, Progress
from alnb.training.dropout import sample_tail
from alnb.training.fcn8 import FCN8
from alnb.training.features import FeatureStore, Seen, features_of, identity, stacked
from alnb.training.judging import infection
from alnb.training.networks import Networks

View = Callable[[SliceId], Seen]
BARE_GRID = 64  # ours: regions a slice, as the default asks


def _silent(stage: str, done: int, total: int, **numbers: float) -> None:
    """Report to nobody."""


class Predictor:
    """Score, evaluate and predict slices of one dataset by networks that are kept.

    Parameters
    ----------
    dataset : Dataset
    config : Config
    cache : Path
        Folder of the weights; made if missing, may be deleted at any time. A frozen trunk's
        maps lie in the folder ``features`` of the dataset, or here if that can't be written.
    device : str, optional
        torch's name; None: the first GPU if there is one, else the CPU.
    progress : callable, optional
        ``progress(stage, done, total, **numbers)`` after each step or slice.
    cancelled : callable, optional
        Asked before each step or slice; true stops with `Cancelled`.

    Raises
    ------
    ConfigError
        If there is no backbone or heuristic of the name in `config`, or a package's heuristic
        can't be loaded.
    """

    def __init__(
        self,
        dataset: Dataset,
        config: Config,
        cache: Path,
        device: str | None = None,
        progress: Progress = _silent,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        self.dataset, self.config, self.cache = dataset, config, Path(cache)
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.progress, self.cancelled = progress, cancelled
        self.networks = Networks(
            dataset, config, self.cache, self.device, progress, self._stop_if_cancelled
        )
        self._scored_by = scored_by(config)
        self._predict = partial(infection, zoom=config.predict_zoom, mirror=config.predict_mirrored)
        self._store: FeatureStore | None = None
        self._believed: dict[SliceId, Tensor] = {}  # before any answer; (H, W) probabilities

    def score(self, slices: Sequence[SliceId], weights: str) -> dict[str, NDArray[np.float64]]:
        """Score the regions of slices by each heuristic, from one posterior a slice.

        Returns
        -------
        dict of what `acquisition.scored_by` names to (N, K) float64 array
            Regions are the columns of a `Division`; higher is more wanted, NaN is no region.

        Raises
        ------
        TrainerError
            If there are no such weights.
        Cancelled
            If it was stopped.
        """
        division, how = Division(self.dataset, self.config), self.config.region_score
        shape = (len(slices), division.columns)
        scores = {name: np.full(shape, np.nan) for name in self._scored_by}
        for n, (where, posterior) in enumerate(self._posteriors(slices, weights, "score")):
            regions = division.regions(where)
            for name, heuristic in self._scored_by.items():
                values = region_scores(heuristic(posterior), regions, how)
                scores[name][n, : len(regions)] = values
        return scores

    def evaluate(self, part: Part, weights: str) -> Scores | None:
        """Compare predictions, without dropout, with the masks of a part.

        Returns
        -------
        Scores or None
            Pixels pooled over the part; None if it has no masks or no slices.

        Raises
        ------
        TrainerError
            If there are no such weights.
        Cancelled
            If it was stopped.
        """
        slices = self.dataset.part(part)
        if not self.dataset.has_masks or not slices:
            return None
        total = Scores()
        for where, infected in self.segment(slices, weights, "evaluate"):
            total = total + Scores.of(infected, self.dataset.mask(where))
        return total

    def segment(
        self, slices: Sequence[SliceId], weights: str, stage: str = "predict"
    ) -> Iterator[tuple[SliceId, Mask]]:
        """Yield where each slice is infected, (H, W): what is evaluated, shown and exported.

        Raises
        ------
        TrainerError
            If there are no such weights.
        Cancelled
            If it was stopped.
        """
        _, report = self.networks.kept(weights)
        for where, p in self.infection(slices, weights, stage):
            yield where, p >= report.threshold

    def infection(
        self, slices: Sequence[SliceId], weights: str, stage: str = "predict"
    ) -> Iterator[tuple[SliceId, Map]]:
        """Yield the infection probability of each slice without dropout, (H, W) float32.

        Raises
        ------
        TrainerError
            If there are no such weights.
        Cancelled
            If it was stopped.
        """
        network, _ = self.networks.kept(weights)
        see = self._view(network, slices)
        for where in self._each(slices, stage):
            yield where, self._infected(network, where, see)

    def predict(
        self, slices: Sequence[SliceId], weights: str
    ) -> Iterator[tuple[SliceId, Posterior]]:
        """Yield the posterior of each slice, with float32 maps, for those that are shown.

        Raises
        ------
        TrainerError
            If there are no such weights.
        Cancelled
            If it was stopped.
        """
        return self._posteriors(slices, weights, "predict")

    # --- slices ---

    def _infected(self, network: FCN8, where: SliceId, see: View) -> Map:
        """Predict a slice, (H, W); what shows nothing is clean, whatever the network says."""
        p: Map = self._predict(network, stacked([see(where)]))[0]
        p[self._bare(where)] = 0
        return p

    def _grey(self, where: SliceId) -> Tensor:
        return torch.from_numpy(np.array(self.dataset.image(where)))

    def _view(self, network: FCN8, slices: Sequence[SliceId]) -> View:
        """Return how a network sees a slice; maps of a frozen trunk are first made for `slices`."""
        if self.config.freeze != "trunk":
            return self._grey
        if self._store is None or self._store.identity != identity(self.dataset, network):
            folders = (self.dataset.folder / FEATURES, self.cache / FEATURES)
            self._store = FeatureStore(self.dataset, network, folders)
        for where in self._each(self._store.missing(slices), "features"):
            self._store.add(network, where)
        return self._store.kept

    def _posteriors(
        self, slices: Sequence[SliceId], weights: str, stage: str
    ) -> Iterator[tuple[SliceId, Posterior]]:
        network, _ = self.networks.kept(weights)
        see = self._view(network, slices)
        for where in self._each(slices, stage):
            with torch.inference_mode():
                features = features_of(network, stacked([see(where)]))
            generator = torch.Generator(self.device).manual_seed(_seed(self.config.seed, where))
            posterior = sample_tail(network, features, self.config.draws, generator)
            empty = self._bare(where)
            for values in (posterior.mean, posterior.expected_entropy):
                values[empty] = 0
            yield where, posterior

    def _believe(self, slices: Sequence[SliceId], see: View) -> None:
        """Note what is believed of slices before any answer; once a slice."""
        missing = [where for where in dict.fromkeys(slices) if where not in self._believed]
        if not missing:
            return
        network = self.networks.fresh()
        for where in self._each(missing, "believe"):
            self._believed[where] = torch.from_numpy(self._infected(network, where, see)).half()

    def _bare(self, where: SliceId) -> Mask:
        """Draw what shows nothing, (H, W): it is clean, whatever the network says.

        By one grid, whatever kind and number of regions is asked about, so that all are judged
        alike; not where `Config.ask_bare` has such regions asked, as in the paper.
        """
        size = self.dataset.size
        drawn = np.zeros((size, size), dtype=bool)
        if not self.config.ask_bare:
            regions = grid(where, (size, size), BARE_GRID)
            hu = self.dataset.unit(where) == "hu"
            for region in itertools.compress(
                regions, bare(self.dataset.raw(where), regions, hu=hu)
            ):
                drawn[region.window] = True
        return drawn

    def _each(self, slices: Sequence[SliceId], stage: str) -> Iterator[SliceId]:
        """Go through slices, reporting progress and stopping if asked to."""
        for done, where in enumerate(slices, 1):
            self._stop_if_cancelled()
            yield where
            self.progress(stage, done, len(slices))

    def _stop_if_cancelled(self) -> None:
        if self.cancelled():
            raise Cancelled("the training was cancelled; the last weights stay.")


def _seed(seed: int, where: SliceId) -> int:
    """Derive a slice's seed, so that its draws don't depend on what is scored with it."""
    return int.from_bytes(hashlib.sha256(f"{seed} {where}".encode()).digest()[:6], "big")
