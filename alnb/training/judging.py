"""What is chosen on answers or slices kept from training: the best epoch and the threshold."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from alnb.annotation import Answer, Verdict
from alnb.config import FEWEST_TO_HOLD_OUT
from alnb.dataset import SliceId
from alnb.metrics import Scores
from alnb.training.dropout import probability
from alnb.training.fcn8 import FCN8
from alnb.training.features import Kept, Seen, mirrored, stacked

STRIDE = 32  # the network's deepest; an enlarged slice is a whole number of them
STEP = 0.05  # ours: of the thresholds that are tried
THRESHOLDS = np.arange(1, 20) * STEP


@dataclass(frozen=True, slots=True)
class Judgement:
    """How good a network is on what was kept from training.

    Parameters
    ----------
    score : float
        Higher is better.
    threshold : float
        Infection probability that gives it.
    accuracy : float or None
        Share of the held-out answers whose verdict the network shares.
    """

    score: float
    threshold: float
    accuracy: float | None = None


Judge = Callable[[FCN8], Judgement]
Predict = Callable[[FCN8, Seen], NDArray[np.float32]]


def hold_out(
    answers: Sequence[Answer], share: float, seed: int = 0
) -> tuple[list[Answer], list[Answer]]:
    """Divide answers into those to train on and those to choose on, by verdict.

    Which answers are held out depends on the seed and their region alone as far as the share
    allows, so that an answer seldom changes sides when others are added.

    Parameters
    ----------
    answers : sequence of Answer
    share : float
        Of each verdict, in [0, 1), rounded, but one is trained on; none are held out of fewer
        answers than `alnb.config.FEWEST_TO_HOLD_OUT`.
    seed : int

    Returns
    -------
    training, held : lists of Answer
        In the order given; skipped answers in neither.
    """
    given = [answer for answer in answers if answer.verdict is not Verdict.SKIPPED]
    if len(given) < FEWEST_TO_HOLD_OUT:
        return given, []
    held: set[str] = set()
    for verdict in (Verdict.INFECTED, Verdict.CLEAN):
        keys = [answer.region.key for answer in given if answer.verdict is verdict]
        keys.sort(key=lambda key: hashlib.sha256(f"{seed} {key}".encode()).digest())
        count = min(round(len(keys) * share), len(keys) - 1)
        held |= set(keys[: max(count, 0)])
    return (
        [answer for answer in given if answer.region.key not in held],
        [answer for answer in given if answer.region.key in held],
    )


@torch.inference_mode()
def infection(
    network: FCN8, seen: Seen, zoom: float = 1.0, *, mirror: bool = False
) -> NDArray[np.float32]:
    """Predict without dropout.

    Parameters
    ----------
    seen : (B, H, W) uint8 tensor or Kept
        Grey levels, or a frozen trunk's maps.
    zoom : float
        The slice is predicted enlarged so many times too, and the two are averaged: what is as
        fine as the network's stride of 8 pixels is then seen. 1, and maps, are as they are.
    mirror : bool
        The slice is predicted mirrored left to right too, and the two are averaged: a chest is
        nearly its own mirror image, and what a network sees in one of them alone weighs half.

    Returns
    -------
    (B, H, W) float32 array
        Infection probability, in [0, 1].
    """
    found = _infection(network, seen, zoom)
    if mirror:
        found = (found + _infection(network, mirrored(seen), zoom).flip(-1)) / 2
    return _numpy(found)


def _infection(network: FCN8, seen: Seen, zoom: float) -> Tensor:
    """Predict without dropout, as the slice lies: (B, H, W)."""
    if isinstance(seen, Kept):
        return probability(network.tail(seen.features(network)))
    grey = network.normalise(seen.to(next(network.parameters()).device))
    p = probability(network(grey))
    return (p + _enlarged(network, grey, zoom)) / 2 if zoom > 1 else p


def _enlarged(network: FCN8, grey: Tensor, zoom: float) -> Tensor:
    """Predict (B, 3, H, W) pictures enlarged, on their own grid: (B, H, W)."""
    size = [round(side * zoom / STRIDE) * STRIDE for side in grey.shape[-2:]]
    larger = probability(network(_resized(grey, size)))
    return _resized(larger[:, None], list(grey.shape[-2:]))[:, 0]


def _resized(pictures: Tensor, size: list[int]) -> Tensor:
    return functional.interpolate(pictures, size, mode="bilinear", align_corners=False)


def _numpy(values: Tensor) -> NDArray[np.float32]:
    found: NDArray[np.float32] = values.cpu().numpy()
    return found


def judge_by_answers(
    network: FCN8,
    held: Sequence[Answer],
    seen: Mapping[SliceId, Seen],
    prior: float,
    predict: Predict = infection,
    *,
    fixed: bool = False,
) -> Judgement:
    """Judge by the verdicts on held-out regions: infected if any pixel of it is predicted so.

    Parameters
    ----------
    held : sequence of Answer
        May be empty: then the prior stands and there is no accuracy.
    seen : mapping
        Their slices: (H, W) uint8 grey levels, or `Kept`.
    prior : float
        The threshold wanted. A few answers can move it by 0.1 at most: a region's highest pixel
        says little of its boundary. Of those that agree with as many verdicts the nearest is taken.
    predict : callable
        As `infection` does.
    fixed : bool
        Whether no threshold but the prior is tried.
    """
    if not held:
        return Judgement(0.0, prior)
    peaks = _peaks(network, held, seen, predict)
    verdicts = np.array([answer.verdict is Verdict.INFECTED for answer in held])
    candidates = np.clip(prior + np.arange(-2, 3) * STEP, STEP, 1 - STEP)
    if fixed:
        candidates = np.array([prior])
    accuracies = ((peaks >= candidates[:, None]) == verdicts).mean(axis=1)
    best = max(range(len(candidates)), key=lambda i: (accuracies[i], -abs(candidates[i] - prior)))
    return Judgement(float(accuracies[best]), float(candidates[best]), float(accuracies[best]))


def _peaks(
    network: FCN8, held: Sequence[Answer], seen: Mapping[SliceId, Seen], predict: Predict
) -> NDArray[np.float64]:
    """Find each region's highest probability; a slice is predicted once."""
    peaks = np.zeros(len(held))
    for where in {answer.region.where: None for answer in held}:
        p = predict(network, stacked([seen[where]]))[0]
        for i, region in enumerate(answer.region for answer in held):
            if region.where == where:
                inside = p[region.window]
                peaks[i] = (inside if region.mask is None else inside[region.mask]).max()
    return peaks


def judge_by_masks(
    network: FCN8,
    slices: Sequence[Seen],
    masks: Sequence[NDArray[np.bool_]],
    bare: Sequence[NDArray[np.bool_]],
    predict: Predict = infection,
    *,
    fixed: float | None = None,
) -> Judgement:
    """Judge by Dice over slices with masks, at the threshold where it is highest.

    Parameters
    ----------
    slices : sequence of (H, W) uint8 tensor or Kept
    masks : sequence of (H, W) bool array
        Where they are infected.
    bare : sequence of (H, W) bool array
        Where they show nothing, and are clean whatever the network says.
    predict : callable
        As for `judge_by_answers`.
    fixed : float or None
        A threshold that was set: no other is tried.
    """
    thresholds = THRESHOLDS if fixed is None else np.array([fixed])
    totals = [Scores()] * len(thresholds)
    for seen, mask, nothing in zip(slices, masks, bare, strict=True):
        p = predict(network, stacked([seen]))[0]
        p[nothing] = 0
        totals = [
            total + Scores.of(p >= threshold, mask)
            for total, threshold in zip(totals, thresholds, strict=True)
        ]
    dices = np.nan_to_num([total.dice for total in totals])
    best = int(np.argmax(dices))
    return Judgement(float(dices[best]), float(thresholds[best]))
