"""`Trainer`: trains networks on the answers of a dataset, and predicts slices with them."""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alnb.acquisition import heuristics_of, region_scores
from alnb.annotation import Answer, Verdict, point_labels
from alnb.arrays import Map, Mask
from alnb.config import Config
from alnb.dataset import Dataset, Part, SliceId
from alnb.errors import TrainerError
from alnb.metrics import Scores
from alnb.posterior import Posterior
from alnb.regions import bare, grid, tiling
from alnb.reports import FitReport
from alnb.storage import features_path, forget, replacing
from alnb.training import Cancelled, OnProgress
from alnb.training.checkpoints import Networks
from alnb.training.dropout import mc_dropout
from alnb.training.fcn8 import FCN8
from alnb.training.features import SAMPLED, Basis, describe
from alnb.training.fit import Labelled, Trained, train
from alnb.training.validation import (
    Validate,
    calibrated_threshold,
    hold_out,
    infection,
    validate_by_answers,
    validate_by_masks,
)

FEATURES_KEPT = 2  # networks; a session may go back to the one before the newest
BACKGROUND_GRID = 64  # ours: regions a slice, as the default asks


class Trainer:
    """Train on the answers of one dataset, and predict its slices; a `cycle.Learner`.

    Methods find weights in the cache by their name.

    Parameters
    ----------
    dataset : Dataset
    config : Config
        Resolved here, for the dataset and the device.
    cache : Path
        Folder of the weights; may be deleted at any time.
    device : str, optional
        torch's name; None: the first GPU if there is one, else the CPU.
    progress : OnProgress
        Called after each step or slice.
    cancelled : callable, optional
        Asked before each step or slice; true stops with `Cancelled`.

    Raises
    ------
    ConfigError
        If there is no backbone or heuristic of the name in `config`, or a package's heuristic
        can't be loaded.
    TrainerError
        From methods that are given weights, if there are none of that name; from `prepare` and
        `fit`, if ImageNet weights can't be had; from `fit`, if there is nothing to learn from.
    Cancelled
        From all methods, if they were stopped; weights trained before stay.
    """

    def __init__(
        self,
        dataset: Dataset,
        config: Config,
        cache: Path,
        device: str | None = None,
        progress: OnProgress = lambda stage, done, total, **numbers: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        self.dataset, self.cache = dataset, Path(cache)
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        fast = self.device.type == "cuda" and torch.cuda.is_bf16_supported()
        self.config = config = dataset.resolve(config, bfloat16=fast)
        self.progress, self.cancelled = progress, cancelled
        self.networks = Networks(
            dataset, config, self.cache, self.device, progress, self._stop_if_cancelled
        )
        self._heuristics = heuristics_of(config)
        self._predict = partial(infection, zoom=config.predict_zoom, mirror=config.predict_mirrored)
        self._basis: tuple[str, Basis] | None = None  # of the network that was published last
        self._tested: dict[SliceId, Map] = {}  # what it predicts of test slices, to evaluate them
        self._priors: dict[SliceId, Tensor] = {}  # (H, W) probabilities before any answer

    @property
    def origin(self) -> str:
        """The name of the network before any answer."""
        return self.networks.origin

    # --- training ---

    def prepare(self) -> None:
        """Learn what is learned before any answer, so that no training waits for it."""
        if self.networks.pretrains:
            self.networks.fresh()

    def fit(self, answers: Sequence[Answer]) -> FitReport:
        """Train on answers of the train part, or find that it was done before."""
        name, config = self.networks.name(answers), self.config
        if (report := self.networks.report(name)) is not None:
            return report
        self.dataset.check()
        training, held = hold_out(answers, config.holdout, config.seed)
        if not training:
            raise TrainerError(
                "there is nothing to train on: every region was skipped. Answer some regions first."
            )
        begin = time.perf_counter()
        self._stop_if_cancelled()
        network = self.networks.fresh()
        if self.networks.pretrains and config.distil > 0:
            self._predict_priors([a.region.where for a in (*training, *held)])
        threshold = config.threshold
        if config.adapt_threshold and self._priors:
            threshold = calibrated_threshold(threshold, (*training, *held), self._priors)
        validate = self._validation(held, threshold)
        trained = self._trained(network, training, validate)
        report = FitReport(
            weights=name,
            backbone=self.networks.backbone,
            device=self.networks.device_name,
            steps=trained.steps,
            loss=trained.loss,
            threshold=trained.validation.threshold,
            heldout=len(held),
            heldout_accuracy=trained.validation.accuracy,
            train_s=time.perf_counter() - begin,
            batch=config.batch,
            crop=min(config.crop, self.dataset.size) if config.crop else None,
            precision=config.precision,
            notice=self.networks.notice,
        )
        self.networks.keep(network, report)
        return report

    def _trained(self, network: FCN8, answers: Sequence[Answer], validate: Validate) -> Trained:
        """Train a network in place.

        A pretrained one stays as it is until an answer shows infection: from clean regions only it
        would learn to see none.
        """
        infected = any(answer.verdict is Verdict.INFECTED for answer in answers)
        if self.networks.pretrains and not infected:
            return Trained(0, 0.0, validate(network))
        prior = self.config.prior_answers if self.networks.pretrains else 0.0
        keep = prior / (prior + len(answers))
        slices = self._labelled(answers)
        return train(network, slices, self.config, validate, self._on_step, keep=keep)

    def _labelled(self, answers: Sequence[Answer]) -> list[Labelled]:
        """Gather the answers by slice, in the order of the slices' names."""
        of: dict[SliceId, list[Answer]] = {}
        for answer in answers:
            of.setdefault(answer.region.where, []).append(answer)
        size = self.dataset.size
        return [
            Labelled(
                self._grey(where),
                torch.from_numpy(point_labels(of[where], (size, size))),
                tuple(answer.region for answer in of[where]),
                self._priors.get(where),
            )
            for where in sorted(of)
        ]

    def _on_step(self, step: int, steps: int, loss: float) -> None:
        self.progress("fit", step, steps, loss=loss)
        self._stop_if_cancelled()

    def _predict_priors(self, slices: Sequence[SliceId]) -> None:
        """Keep what is predicted of slices before any answer; once a slice."""
        if missing := [where for where in dict.fromkeys(slices) if where not in self._priors]:
            network = self.networks.fresh()
            for where in self._each(missing, "believe"):
                self._priors[where] = torch.from_numpy(self._infected(network, where)).half()

    def _validation(self, held: Sequence[Answer], threshold: float) -> Validate:
        """Validate by the masks of the validation part if that is set, or by answers."""
        predict, fixed = self._predict, not self.config.adapt_threshold
        if self.config.validate:
            slices = [
                (self._grey(where), self.dataset.mask(where), self._background(where))
                for where in self.dataset.part("val")
            ]
            only = threshold if fixed else None
            return lambda network: validate_by_masks(network, slices, predict, fixed=only)
        grey = {answer.region.where: self._grey(answer.region.where) for answer in held}
        return lambda network: validate_by_answers(
            network, held, grey, threshold, predict, fixed=fixed
        )

    # --- what a trained network says ---

    def score(self, slices: Sequence[SliceId], weights: str) -> dict[str, NDArray[np.float64]]:
        """Score the regions of slices by each heuristic, from one posterior a slice.

        Returns
        -------
        dict of the names of `acquisition.heuristics_of` to (N, K) float64 array
            Regions are the columns of a `tiling`; higher is more wanted, NaN is no region.
        """
        regions_of, how = tiling(self.dataset, self.config), self.config.region_score
        shape = (len(slices), self.config.regions_per_slice)
        scores = {name: np.full(shape, np.nan) for name in self._heuristics}
        for n, (where, posterior) in enumerate(self._posteriors(slices, weights, "score")):
            regions = regions_of(where)
            for name, heuristic in self._heuristics.items():
                values = region_scores(heuristic(posterior), regions, how)
                scores[name][n, : len(regions)] = values
        return scores

    def publish(self, slices: Sequence[SliceId], weights: str) -> None:
        """Write what the live layer learns on, where it is not there yet: `features_path`.

        Parameters
        ----------
        slices : sequence of SliceId
            In this order.
        weights : str
            May be `origin`.
        """
        paths = {w: features_path(self.cache, weights, w.scan, w.z) for w in slices}
        missing = [where for where in slices if not paths[where].is_file()]
        if not missing:
            return
        network = self.networks.find(weights)
        if self._basis is None or self._basis[0] != weights:
            self._tested = {}
            train = self.dataset.part("train")
            sampled = train[:: max(1, len(train) // SAMPLED)][:SAMPLED]
            self._basis = weights, Basis.of(network, map(self._grey, sampled))
        learned, test = (
            weights != self.origin or self.networks.pretrains,
            set(self.dataset.part("test")),
        )
        for where in self._each(missing, "publish"):
            p = self._infected(network, where) if learned else self._untaught(where)
            if where in test:
                self._tested[where] = p
            described = describe(network, self._basis[1], self._grey(where), p)
            with replacing(paths[where]) as temporary:
                np.save(temporary, described, allow_pickle=False)
        forget(self.cache, "features", FEATURES_KEPT)

    def evaluate(self, part: Part, weights: str) -> Scores | None:
        """Compare predictions, without dropout, with the masks of a part.

        Pixels are pooled over the part. None if it has no masks or no slices.
        """
        slices = self.dataset.part(part)
        if not self.dataset.has_masks or not slices:
            return None
        found = self._segmented(slices, weights, "evaluate")
        return sum((Scores.of(p, self.dataset.mask(where)) for where, p in found), Scores())

    def segment(self, slices: Sequence[SliceId], weights: str) -> Iterator[tuple[SliceId, Mask]]:
        """Yield where each slice is infected, (H, W): what is evaluated, shown and exported."""
        return self._segmented(slices, weights, "predict")

    def infection(self, slices: Sequence[SliceId], weights: str) -> Iterator[tuple[SliceId, Map]]:
        """Yield the infection probability of each slice without dropout, (H, W) float32."""
        network, _ = self.networks.kept(weights)
        for where in self._each(slices, "predict"):
            yield where, self._infected(network, where)

    def predict(
        self, slices: Sequence[SliceId], weights: str
    ) -> Iterator[tuple[SliceId, Posterior]]:
        """Yield the posterior of each slice, with float32 maps."""
        return self._posteriors(slices, weights, "predict")

    def _segmented(
        self, slices: Sequence[SliceId], weights: str, stage: str
    ) -> Iterator[tuple[SliceId, Mask]]:
        network, report = self.networks.kept(weights)
        known = self._tested if self._basis and self._basis[0] == weights else {}
        for where in self._each(slices, stage):
            p = known[where] if where in known else self._infected(network, where)
            yield where, p >= report.threshold

    def _posteriors(
        self, slices: Sequence[SliceId], weights: str, stage: str
    ) -> Iterator[tuple[SliceId, Posterior]]:
        network, _ = self.networks.kept(weights)
        for where in self._each(slices, stage):
            generator = torch.Generator(self.device).manual_seed(_seed(self.config.seed, where))
            image = network.normalise(self._grey(where)[None])
            posterior = mc_dropout(network, image, self.config.draws, generator)
            background = self._background(where)
            for values in (posterior.mean, posterior.expected_entropy):
                values[background] = 0
            yield where, posterior

    # --- slices ---

    def _grey(self, where: SliceId) -> Tensor:
        return torch.from_numpy(np.array(self.dataset.image(where)))

    def _infected(self, network: FCN8, where: SliceId) -> Map:
        """Predict a slice, (H, W); background is clean, whatever the network says."""
        p: Map = self._predict(network, self._grey(where)[None])[0]
        p[self._background(where)] = 0
        return p

    def _untaught(self, where: SliceId) -> Map:
        """Say of a slice what a network says that has learned nothing, without running it."""
        p: Map = np.full((self.dataset.size, self.dataset.size), 0.5, dtype=np.float32)
        p[self._background(where)] = 0
        return p

    def _background(self, where: SliceId) -> Mask:
        """Find the regions that show nothing, (H, W); none if they are asked (`Config.ask_in`).

        One grid is used for all kinds and numbers of regions, so that all networks are compared
        alike.
        """
        size = self.dataset.size
        background = np.zeros((size, size), dtype=bool)
        if self.config.ask_in != "anywhere":
            regions = grid(where, (size, size), BACKGROUND_GRID)
            hu = self.dataset.unit(where) == "hu"
            empty = bare(self.dataset.raw(where), regions, hu=hu)
            for region in itertools.compress(regions, empty):
                background[region.window] = True
        return background

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
    """Derive a slice's seed, so that its draws don't depend on the slices scored with it."""
    return int.from_bytes(hashlib.sha256(f"{seed} {where}".encode()).digest()[:6], "big")
