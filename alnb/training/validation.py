"""What is chosen on answers or slices kept from training: the best epoch and the threshold.

A threshold from the answers, by what the network believed before it had any.

How much infection there is differs from dataset to dataset by more than any one threshold bears:
in a sparse one a network that has seen none of it takes vessels for lesions. The answers tell, and
cost nothing more. What it believed before is compared with them, since of the regions that it
learned from it only says what it was told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit
from torch import Tensor
from torch.nn import functional

from alnb.annotation import Answer, Verdict
from alnb.arrays import INFECTED
from alnb.config import FEWEST_TO_HOLD_OUT
from alnb.dataset import SliceId
from alnb.metrics import Scores
from alnb.training.dropout import probability
from alnb.training.fcn8 import FCN8

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
Predict = Callable[[FCN8, Tensor], NDArray[np.float32]]


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
    network: FCN8, grey: Tensor, zoom: float = 1.0, *, mirror: bool = False
) -> NDArray[np.float32]:
    """Predict without dropout.

    Parameters
    ----------
    grey : (B, H, W) uint8 tensor
    zoom : float
        The slice is predicted enlarged so many times too, and the two are averaged: what is as
        fine as the network's stride of 8 pixels is then seen. 1: it is not.
    mirror : bool
        The slice is predicted mirrored left to right too, and the two are averaged: a chest is
        nearly its own mirror image, and what a network sees in one of them alone weighs half.

    Returns
    -------
    (B, H, W) float32 array
        Infection probability, in [0, 1].
    """
    found = _infection(network, grey, zoom)
    if mirror:
        found = (found + _infection(network, grey.flip(-1), zoom).flip(-1)) / 2
    return _numpy(found)


def _infection(network: FCN8, grey: Tensor, zoom: float) -> Tensor:
    """Predict without dropout, as the slice lies: (B, H, W)."""
    pictures = network.normalise(grey.to(network.mean.device))
    p = probability(network(pictures))
    return (p + _enlarged(network, pictures, zoom)) / 2 if zoom > 1 else p


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
    seen: Mapping[SliceId, Tensor],
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
        Their slices: (H, W) uint8 grey levels.
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
    network: FCN8, held: Sequence[Answer], seen: Mapping[SliceId, Tensor], predict: Predict
) -> NDArray[np.float64]:
    """Find each region's highest probability; a slice is predicted once."""
    peaks = np.zeros(len(held))
    for where in {answer.region.where: None for answer in held}:
        p = predict(network, seen[where][None])[0]
        for i, region in enumerate(answer.region for answer in held):
            if region.where == where:
                inside = p[region.window]
                peaks[i] = (inside if region.mask is None else inside[region.mask]).max()
    return peaks


def judge_by_masks(
    network: FCN8,
    slices: Sequence[Tensor],
    masks: Sequence[NDArray[np.bool_]],
    bare: Sequence[NDArray[np.bool_]],
    predict: Predict = infection,
    *,
    fixed: float | None = None,
) -> Judgement:
    """Judge by Dice over slices with masks, at the threshold where it is highest.

    Parameters
    ----------
    slices : sequence of (H, W) uint8 tensor
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
        p = predict(network, seen[None])[0]
        p[nothing] = 0
        totals = [
            total + Scores.of(p >= threshold, mask)
            for total, threshold in zip(totals, thresholds, strict=True)
        ]
    dices = np.nan_to_num([total.dice for total in totals])
    best = int(np.argmax(dices))
    return Judgement(float(dices[best]), float(thresholds[best]))


WORTH = 45  # ours: so many infected answers weigh as much as the threshold of other data
SHARE = 0.5  # ours: see `_area`; a larger one moves less by chance, and tells too large an area
FARTHEST = 1.5  # ours: of a shift, in log odds; on data with masks 0.3 to 1.5 was right
LEAST = 2e-4  # what is less probable is background, whatever the shift

Map = NDArray[np.floating]


def calibrated(
    prior: float, answers: Sequence[Answer], believed: Mapping[SliceId, Tensor]
) -> float:
    """Raise a threshold by as much as beliefs were too high where answers are.

    In the regions answered the belief adds up to an area of infection. Clean regions have none; of
    the infected ones the clicks tell it (`_area`). The shift of all log odds that makes the two
    equal moves the threshold the other way, as a classifier is adjusted to another prior (Saerens
    et al. 2002); the less, the fewer answers are infected. It is raised alone: a heuristic asks
    where the network has learned to see what it missed before, so that in the regions asked the
    beliefs were too low more often than elsewhere.

    Ours, by cross-validation in the train parts of three datasets (two folds of medseg and of
    covid19b_pseudo Mixed, one of Sep; answers asked by entropy and at random; mean Dice):

    ===============================================  ======  =====  =====
    threshold                                        medseg  Mixed  Sep
    ===============================================  ======  =====  =====
    0.4                                              0.710   0.710  0.758
    0.5                                              0.705   0.743  0.780
    this, from 0.4 (the clicks drawn twelve times)   0.707   0.754  0.785
    this, if each click lies in the very middle      0.699   0.762  0.781
    the best for each, which nobody knows            0.714   0.783  0.786
    ===============================================  ======  =====  =====

    Parameters
    ----------
    prior : float
        The threshold for data of which nothing is known, in (0, 1).
    answers : sequence of Answer
        With clicks.
    believed : mapping of SliceId to (H, W) float tensor
        Infection probabilities before any answer, of each slice that was answered on.

    Returns
    -------
    float
        In (0, 1), the prior or above; the prior if no answer is infected.

    References
    ----------
    Saerens, Latinne, Decaestecker 2002, Adjusting the outputs of a classifier to new a priori
    probabilities, Neural Computation 14(1).
    """
    infected = [answer for answer in answers if answer.clicks]  # and not outlined
    if not infected:
        return prior
    clean = [answer for answer in answers if answer.verdict is Verdict.CLEAN]
    sick = [_inside(answer, believed) for answer in infected]
    clicks = [_clicked(answer, believed) for answer in infected]
    everything = np.concatenate(sick + [_inside(answer, believed) for answer in clean])
    weight = len(infected) / (len(infected) + WORTH)
    return float(expit(logit(prior) + weight * _too_high(everything, _area(sick, clicks))))


def _inside(answer: Answer, believed: Mapping[SliceId, Tensor]) -> Map:
    region = answer.region
    p = believed[region.where].float().numpy()[region.window]
    inside: Map = p.ravel() if region.mask is None else p[region.mask]
    return inside


def _clicked(answer: Answer, believed: Mapping[SliceId, Tensor]) -> Map:
    p = believed[answer.region.where].float().numpy()
    return np.array([p[click.pixel] for click in answer.clicks if click.label == INFECTED])


def _area(sick: Sequence[Map], clicks: Sequence[Map]) -> float:
    """Estimate the infected pixels of infected regions from where their clicks lie in the belief.

    The most probable of the clicks, `SHARE` of them, lie at some probability or above it, and so
    does about that share of the infected pixels, if clicks fall on any of them. The pixels of
    infected regions that are so probable are nearly all infected: their number, divided by that
    share, is the area. A click counts by the infection believed in its region.
    """
    weights = np.concatenate([
        np.full(len(on), region.sum() / len(on))
        for region, on in zip(sick, clicks, strict=True)
    ])  # fmt: skip
    weights = np.maximum(weights, LEAST)
    probable = np.concatenate(clicks)
    falling = np.argsort(-probable, kind="stable")
    shares = np.cumsum(weights[falling]) / weights.sum()
    least = int(np.searchsorted(shares, SHARE))
    above = sum(np.count_nonzero(region >= probable[falling[least]]) for region in sick)
    return float(above / shares[least])


def _too_high(p: Map, area: float) -> float:
    """Find by how much log odds are too high, if probabilities should add up to an area; ≥ 0."""
    odds = logit(np.minimum(p[p > LEAST].astype(np.float64), 1 - LEAST))

    def excess(by: float) -> float:
        return float(expit(odds - by).sum()) - area

    if excess(0) <= 0:
        return 0.0
    if excess(FARTHEST) >= 0:
        return FARTHEST
    found: float = brentq(excess, 0, FARTHEST, xtol=1e-4)
    return found
