"""`Predictor`: says what kept networks make of slices.

`Trainer`: trains on answers, and says what the network makes of slices; weights are a cache.
"""

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
from alnb.training import Cancelled, Progress
from alnb.training.checkpoints import Networks
from alnb.training.dropout import sample_tail
from alnb.training.fcn8 import FCN8
from alnb.training.fit import Labelled, Trained, train
from alnb.training.validation import (
    Judge,
    calibrated,
    hold_out,
    infection,
    judge_by_answers,
    judge_by_masks,
)

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
        Folder of the weights; made if missing, may be deleted at any time.
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
        self._believed: dict[SliceId, Tensor] = {}  # before any answer; (H, W) probabilities

    def score(self, slices: Sequence[SliceId], weights: str) -> dict[str, NDArray[np.float64]]:
        """Score the regions of slices by each heuristic, from one posterior a slice.

        Returns
        -------
        dict of what `acquisition.heuristics_of` names to (N, K) float64 array
            Regions are the columns of a `tiling`; higher is more wanted, NaN is no region.

        Raises
        ------
        TrainerError
            If there are no such weights.
        Cancelled
            If it was stopped.
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
        for where in self._each(slices, stage):
            yield where, self._infected(network, where)

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

    def _infected(self, network: FCN8, where: SliceId) -> Map:
        """Predict a slice, (H, W); what shows nothing is clean, whatever the network says."""
        p: Map = self._predict(network, self._grey(where)[None])[0]
        p[self._bare(where)] = 0
        return p

    def _grey(self, where: SliceId) -> Tensor:
        return torch.from_numpy(np.array(self.dataset.image(where)))

    def _posteriors(
        self, slices: Sequence[SliceId], weights: str, stage: str
    ) -> Iterator[tuple[SliceId, Posterior]]:
        network, _ = self.networks.kept(weights)
        for where in self._each(slices, stage):
            with torch.inference_mode():
                features = network.features_of_grey(self._grey(where)[None])
            generator = torch.Generator(self.device).manual_seed(_seed(self.config.seed, where))
            posterior = sample_tail(network, features, self.config.draws, generator)
            empty = self._bare(where)
            for values in (posterior.mean, posterior.expected_entropy):
                values[empty] = 0
            yield where, posterior

    def _believe(self, slices: Sequence[SliceId]) -> None:
        """Note what is believed of slices before any answer; once a slice."""
        missing = [where for where in dict.fromkeys(slices) if where not in self._believed]
        if not missing:
            return
        network = self.networks.fresh()
        for where in self._each(missing, "believe"):
            self._believed[where] = torch.from_numpy(self._infected(network, where)).half()

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


class Trainer(Predictor):
    """Train on the answers of one dataset; a `cycle.Learner`, made as any `Predictor` is."""

    def prepare(self) -> None:
        """Learn what is learnt before any answer, so that no training waits for it.

        Raises
        ------
        TrainerError
            If ImageNet weights can't be had.
        Cancelled
            If it was stopped.
        """
        if self.networks.pretrains:
            self.networks.fresh()

    def fit(self, answers: Sequence[Answer]) -> FitReport:
        """Train on answers, or find that it was done before.

        Parameters
        ----------
        answers : sequence of Answer
            Of the train part; skipped ones teach nothing.

        Returns
        -------
        FitReport
            With the name of the weights, by which the other methods find them.

        Raises
        ------
        TrainerError
            If there is nothing to learn from, or ImageNet weights can't be had.
        Cancelled
            If it was stopped; weights trained before stay.
        """
        name = self.networks.name(answers)
        if (report := self.networks.report(name)) is not None:
            return report
        training, held = hold_out(answers, self.config.holdout, self.config.seed)
        if not training:
            raise TrainerError(
                "there is nothing to train on: every region was skipped. Answer some regions first."
            )
        begin = time.perf_counter()
        self._stop_if_cancelled()
        network = self.networks.fresh()
        if self.networks.pretrains and self.config.distil > 0:
            self._believe([a.region.where for a in (*training, *held)])
        judge = self._judge(held, self._threshold((*training, *held)))
        trained = self._trained(network, training, judge)
        report = FitReport(
            weights=name,
            backbone=self.networks.backbone,
            device=self.networks.device_name,
            steps=trained.steps,
            loss=trained.loss,
            threshold=trained.judgement.threshold,
            heldout=len(held),
            heldout_accuracy=trained.judgement.accuracy,
            train_s=time.perf_counter() - begin,
        )
        self.networks.keep(network, report)
        return report

    def _trained(
        self,
        network: FCN8,
        answers: Sequence[Answer],
        judge: Judge,
    ) -> Trained:
        """Train a network in place.

        As long as no answer shows infection it stays as it was before any, if it has learned what
        infection is: from clean regions alone it would only learn to see none.
        """
        infected = any(answer.verdict is Verdict.INFECTED for answer in answers)
        if self.networks.pretrains and not infected:
            return Trained(0, 0.0, judge(network))
        prior = self.config.prior_answers if self.networks.pretrains else 0.0
        keep = prior / (prior + len(answers))
        slices = self._labelled(answers)
        return train(network, slices, self.config, judge, self._on_step, keep=keep)

    def _labelled(self, answers: Sequence[Answer]) -> list[Labelled]:
        """Gather the answers by slice, in the order of the slices' names."""
        of: dict[SliceId, list[Answer]] = {}
        for answer in answers:
            of.setdefault(answer.region.where, []).append(answer)
        shape = (self.dataset.size, self.dataset.size)
        return [
            Labelled(
                self._grey(where),
                torch.from_numpy(point_labels(of[where], shape)),
                tuple(answer.region for answer in of[where]),
                self._believed.get(where),
            )
            for where in sorted(of)
        ]

    # --- training ---

    def _on_step(self, step: int, steps: int, loss: float) -> None:
        self.progress("fit", step, steps, loss=loss)
        self._stop_if_cancelled()

    def _threshold(self, answers: Sequence[Answer]) -> float:
        """Choose one from the answers, where what was believed before them is known."""
        threshold = self.config.threshold
        if self.config.adapt_threshold and self._believed:
            return calibrated(threshold, answers, self._believed)
        return threshold

    def _judge(self, held: Sequence[Answer], threshold: float) -> Judge:
        """Judge by the validation part's masks if they are to be used, else by held-out answers."""
        predict, fixed = self._predict, not self.config.adapt_threshold
        if self.config.validate:
            slices = self.dataset.part("val")
            views = [self._grey(where) for where in slices]
            masks = [self.dataset.mask(where) for where in slices]
            empty = [self._bare(where) for where in slices]
            return lambda network: judge_by_masks(
                network, views, masks, empty, predict, fixed=threshold if fixed else None
            )
        seen = {answer.region.where: self._grey(answer.region.where) for answer in held}
        return lambda network: judge_by_answers(
            network, held, seen, threshold, predict, fixed=fixed
        )
