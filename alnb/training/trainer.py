"""`Trainer`: trains on answers, and says what the network makes of slices; weights are a cache."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from alnb.annotation import Answer, Verdict, point_labels
from alnb.config import (
    CLICKS_THRESHOLD,
    DISTILLED_THRESHOLD,
    EPOCHS,
    EPOCHS_PRETRAINED,
    HEAD_RATE,
    HEAD_RATE_PRETRAINED,
    HOLDOUT,
    LOSS,
    LOSS_PRETRAINED,
    MASKS_THRESHOLD,
    Config,
)
from alnb.dataset import SliceId
from alnb.errors import TrainerError
from alnb.reports import FitReport
from alnb.training.calibration import calibrated
from alnb.training.fcn8 import FCN8
from alnb.training.fit import Labelled, Trained, train
from alnb.training.judging import Judge, hold_out, judge_by_answers, judge_by_masks
from alnb.training.predictor import Predictor, View


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
        training, held = hold_out(answers, self._holdout, self.config.seed)
        if not training:
            raise TrainerError(
                "there is nothing to train on: every region was skipped. Answer some regions first."
            )
        begin = time.perf_counter()
        self._stop_if_cancelled()
        network = self.networks.fresh()
        see = self._view(network, self._in_a_cycle)
        if self._distils:
            self._believe([a.region.where for a in (*training, *held)], see)
        judge = self._judge(held, self._threshold((*training, *held)), see)
        trained = self._trained(network, training, judge, see)
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
        see: View,
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
        slices = self._labelled(answers, see)
        return train(network, slices, self._fitting, judge, self._on_step, keep=keep)

    @property
    def _in_a_cycle(self) -> tuple[SliceId, ...]:
        """All slices that are trained on, judged by, evaluated or scored."""
        return self.dataset.slices if self.dataset.has_masks else self.dataset.part("train")

    def _labelled(self, answers: Sequence[Answer], see: View) -> list[Labelled]:
        """Gather the answers by slice, in the order of the slices' names."""
        of: dict[SliceId, list[Answer]] = {}
        for answer in answers:
            of.setdefault(answer.region.where, []).append(answer)
        shape = (self.dataset.size, self.dataset.size)
        return [
            Labelled(
                see(where),
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

    @property
    def _validates(self) -> bool:
        """Whether masks of a validation part judge; without infection they could not."""
        wanted = self.config.validates(synthetic=self.dataset.synthetic)
        if not (wanted and self.dataset.has_masks):
            return False
        val = self.dataset.part("val")
        return any(self.dataset.infected_px(where) for where in val)

    @property
    def _holdout(self) -> float:
        if self._validates:
            return 0.0
        if self.config.holdout is not None:
            return self.config.holdout
        return 0.0 if self.dataset.has_masks and self.dataset.part("test") else HOLDOUT

    @property
    def _fitting(self) -> Config:
        """The settings of a training, with epochs, loss and rates as its network needs them."""
        config, knows = self.config, self.networks.pretrains
        epochs = EPOCHS_PRETRAINED if knows else EPOCHS
        loss = LOSS_PRETRAINED if knows else LOSS
        head_rate = HEAD_RATE_PRETRAINED if knows else HEAD_RATE
        return config.replace(
            epochs=epochs if config.epochs is None else config.epochs,
            loss=loss if config.loss == "auto" else config.loss,
            head_rate=head_rate if config.head_rate is None else config.head_rate,
        )

    @property
    def _distils(self) -> bool:
        """Whether what was believed before any answer is learned from."""
        return self.networks.pretrains and self.config.distil > 0

    def _threshold(self, answers: Sequence[Answer]) -> float:
        """Choose one from the answers, where what was believed before them is known."""
        if self.config.threshold is not None:
            return self.config.threshold
        if self.config.labels == "full":
            return MASKS_THRESHOLD
        if not self._distils:
            return CLICKS_THRESHOLD
        return calibrated(DISTILLED_THRESHOLD, answers, self._believed)

    def _judge(self, held: Sequence[Answer], threshold: float, see: View) -> Judge:
        """Judge by the validation part's masks if they are to be used, else by held-out answers."""
        predict = self._predict
        if self._validates:
            slices = self.dataset.part("val")
            views = [see(where) for where in slices]
            masks = [self.dataset.mask(where) for where in slices]
            empty = [self._bare(where) for where in slices]
            return lambda network: judge_by_masks(
                network, views, masks, empty, predict, fixed=self.config.threshold
            )
        seen = {answer.region.where: see(answer.region.where) for answer in held}
        fixed = self.config.threshold is not None
        return lambda network: judge_by_answers(
            network, held, seen, threshold, predict, fixed=fixed
        )
