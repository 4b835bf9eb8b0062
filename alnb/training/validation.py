"""Validation: answers held out of training, and what is chosen on them or on masks.

An epoch and a threshold are chosen by the masks of the validation part, or by answers that were
held out. `calibrated_threshold` moves the threshold by all answers, before a training: how much
infection there is differs too much between datasets for one threshold.
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
from alnb.arrays import INFECTED, Map, Mask
from alnb.config import FEWEST_TO_HOLD_OUT
from alnb.dataset import SliceId
from alnb.metrics import Scores
from alnb.regions import Region
from alnb.training.dropout import probability
from alnb.training.fcn8 import FCN8

STRIDE = 32  # the network's deepest; an enlarged slice is a whole number of them
STEP = 0.05  # ours: of the thresholds that are tried
THRESHOLDS = np.arange(1, 20) * STEP

INFECTED_WORTH = 45  # ours: so many infected answers weigh as much as the threshold of other data
CLICK_SHARE = 0.5  # ours: see `_area`; a larger one moves less by chance, but overestimates areas
MOST_LOG_ODDS = 1.5  # ours: the largest shift; on data with masks 0.3 to 1.5 was right
LEAST = 2e-4  # a less probable pixel is background, whatever the shift


@dataclass(frozen=True, slots=True)
class Validation:
    """How good a network is on what was kept from training."""

    score: float  # higher is better
    threshold: float  # the infection probability that gives it
    accuracy: float | None = None  # share of the held-out answers whose verdict it shares


Validate = Callable[[FCN8], Validation]
Predict = Callable[[FCN8, Tensor], NDArray[np.float32]]


def hold_out(
    answers: Sequence[Answer], share: float, seed: int = 0
) -> tuple[list[Answer], list[Answer]]:
    """Divide answers into those to train on and those to validate on; skipped ones are neither.

    As far as the share allows, only its region and the seed decide whether an answer is held out,
    so that it seldom changes sides when others are added.

    Parameters
    ----------
    answers : sequence of Answer
    share : float
        Of each verdict, in [0, 1), rounded; at least one is trained on. None are held out of fewer
        answers than `alnb.config.FEWEST_TO_HOLD_OUT`.
    seed : int
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
    training = [answer for answer in given if answer.region.key not in held]
    return training, [answer for answer in given if answer.region.key in held]


# --- prediction ---


@torch.inference_mode()
def infection(
    network: FCN8, grey: Tensor, zoom: float = 1.0, *, mirror: bool = False
) -> NDArray[np.float32]:
    """Predict infection probabilities without dropout, (B, H, W) float32.

    Parameters
    ----------
    network : FCN8
    grey : (B, H, W) uint8 tensor
    zoom : float
        Average with a prediction of the slice enlarged so many times, which shows what is as fine
        as the network's stride of 8 pixels. 1: do not.
    mirror : bool
        Average with a prediction of the slice mirrored left to right: a chest is nearly its own
        mirror image, and what a network sees in only one of them weighs half.
    """
    p = _as_it_lies(network, grey, zoom)
    if mirror:
        p = (p + _as_it_lies(network, grey.flip(-1), zoom).flip(-1)) / 2
    found: NDArray[np.float32] = p.cpu().numpy()
    return found


def _as_it_lies(network: FCN8, grey: Tensor, zoom: float) -> Tensor:
    """Predict without mirroring, (B, H, W)."""
    pictures = network.normalise(grey)  # (B, 3, H, W)
    p = probability(network(pictures))
    if zoom <= 1:
        return p
    size = [round(side * zoom / STRIDE) * STRIDE for side in grey.shape[-2:]]
    enlarged = probability(network(_resized(pictures, size)))
    return (p + _resized(enlarged[:, None], list(grey.shape[-2:]))[:, 0]) / 2


def _resized(pictures: Tensor, size: list[int]) -> Tensor:
    return functional.interpolate(pictures, size, mode="bilinear", align_corners=False)


# --- the choice of epoch and threshold ---


def validate_by_answers(
    network: FCN8,
    held: Sequence[Answer],
    grey: Mapping[SliceId, Tensor],
    threshold: float,
    predict: Predict = infection,
    *,
    fixed: bool = False,
) -> Validation:
    """Compare with the verdicts on held-out regions: one is infected if any pixel is predicted so.

    Parameters
    ----------
    network : FCN8
    held : sequence of Answer
        May be empty: then the threshold stands and there is no accuracy.
    grey : mapping
        Their slices: (H, W) uint8 grey levels.
    threshold : float
        The one to start from. A few answers can move it by 0.1 at most: a region's highest pixel
        says little of its boundary. Of thresholds that agree with equally many verdicts the
        nearest is taken.
    predict : callable
        As `infection`.
    fixed : bool
        Whether to try no other threshold.
    """
    if not held:
        return Validation(0.0, threshold)
    peaks = _peaks(network, held, grey, predict)
    verdicts = np.array([answer.verdict is Verdict.INFECTED for answer in held])
    around = np.clip(threshold + np.arange(-2, 3) * STEP, STEP, 1 - STEP)
    tried = np.array([threshold]) if fixed else around
    accuracies = ((peaks >= tried[:, None]) == verdicts).mean(axis=1)
    best = max(range(len(tried)), key=lambda i: (accuracies[i], -abs(tried[i] - threshold)))
    return Validation(float(accuracies[best]), float(tried[best]), float(accuracies[best]))


def _peaks(
    network: FCN8, held: Sequence[Answer], grey: Mapping[SliceId, Tensor], predict: Predict
) -> NDArray[np.float64]:
    """Find each region's highest probability; a slice is predicted once."""
    peaks = np.zeros(len(held))
    for where in {answer.region.where: None for answer in held}:
        p = predict(network, grey[where][None])[0]
        for i, answer in enumerate(held):
            if answer.region.where == where:
                peaks[i] = _inside(answer.region, p).max()
    return peaks


def validate_by_masks(
    network: FCN8,
    slices: Sequence[tuple[Tensor, Mask, Mask]],
    predict: Predict = infection,
    *,
    fixed: float | None = None,
) -> Validation:
    """Compare with masks by Dice, at the threshold where it is highest.

    Parameters
    ----------
    network : FCN8
    slices : sequence of (grey, infected, background)
        (H, W) each: uint8 tensor, where the mask is infected, and where the slice shows nothing
        and is clean whatever the network says.
    predict : callable
        As `infection`.
    fixed : float or None
        The only threshold to try; None tries `THRESHOLDS`.
    """
    thresholds = THRESHOLDS if fixed is None else np.array([fixed])
    totals = [Scores()] * len(thresholds)
    for grey, infected, background in slices:
        p = predict(network, grey[None])[0]
        p[background] = 0
        totals = [
            total + Scores.of(p >= threshold, infected)
            for total, threshold in zip(totals, thresholds, strict=True)
        ]
    dices = np.nan_to_num([total.dice for total in totals])
    best = int(np.argmax(dices))
    return Validation(float(dices[best]), float(thresholds[best]))


# --- a threshold from the answers ---


def calibrated_threshold(
    threshold: float, answers: Sequence[Answer], priors: Mapping[SliceId, Tensor]
) -> float:
    """Raise a threshold by as much as the network predicted too much before any answer.

    In the answered regions the prior predictions add up to an area of infection. Clean regions
    have none; in infected ones the clicks tell it (`_area`). A shift of all log odds makes the two
    equal, and the threshold moves the other way, as a classifier is adjusted to another prior
    (Saerens et al. 2002); the fewer answers are infected, the less. Predictions from before the
    answers are used, since a trained network repeats the answers that it learned from.

    The threshold is never lowered, nor changed if no answer is infected: a heuristic asks where the
    network has learned to see what it missed before, so that in asked regions the predictions were
    too low more often than elsewhere.

    Ours, by cross-validation in the train parts of three datasets (two folds of medseg and of
    covid19b_pseudo Mixed, one of Sep; answers asked by entropy and at random; mean Dice):

    ===============================================  ======  =====  =====
    threshold                                        medseg  Mixed  Sep
    ===============================================  ======  =====  =====
    0.4                                              0.710   0.710  0.758
    0.5                                              0.705   0.743  0.780
    this, from 0.4 (the clicks drawn twelve times)   0.707   0.754  0.785
    this, if each click lies in the very middle      0.699   0.762  0.781
    the best for each, in hindsight                  0.714   0.783  0.786
    ===============================================  ======  =====  =====

    Parameters
    ----------
    threshold : float
        For data of which nothing is known, in (0, 1).
    answers : sequence of Answer
        With clicks.
    priors : mapping of SliceId to (H, W) float tensor
        Infection probabilities before any answer, of each slice that was answered on.

    References
    ----------
    Saerens, Latinne, Decaestecker 2002, Adjusting the outputs of a classifier to new a priori
    probabilities, Neural Computation 14(1).
    """
    infected = [answer for answer in answers if answer.clicks]  # and not outlined
    if not infected:
        return threshold
    clean = [answer for answer in answers if answer.verdict is Verdict.CLEAN]

    def of(answer: Answer) -> Map:
        p: Map = priors[answer.region.where].float().numpy()
        return p

    sick = [_inside(answer.region, of(answer)) for answer in infected]
    clicks = [
        np.array([of(answer)[click.pixel] for click in answer.clicks if click.label == INFECTED])
        for answer in infected
    ]
    everything = np.concatenate(sick + [_inside(answer.region, of(answer)) for answer in clean])
    weight = len(infected) / (len(infected) + INFECTED_WORTH)
    return float(expit(logit(threshold) + weight * _too_high(everything, _area(sick, clicks))))


def _inside(region: Region, p: Map) -> Map:
    """Return the predictions of a region's pixels, (N,)."""
    window = p[region.window]
    return window.ravel() if region.mask is None else window[region.mask]


def _area(sick: Sequence[Map], clicks: Sequence[Map]) -> float:
    """Estimate the infected pixels of infected regions from the probabilities at their clicks.

    `CLICK_SHARE` of the clicks lie at some probability or above it, and so does about that share
    of the infected pixels, if clicks fall on any of them. The pixels of infected regions that are
    so probable are nearly all infected: their number, divided by that share, is the area. A click
    counts by the infection predicted in its region.
    """
    weights = np.concatenate([
        np.full(len(on), region.sum() / len(on))
        for region, on in zip(sick, clicks, strict=True)
    ])  # fmt: skip
    weights = np.maximum(weights, LEAST)
    probable = np.concatenate(clicks)
    falling = np.argsort(-probable, kind="stable")
    shares = np.cumsum(weights[falling]) / weights.sum()
    least = int(np.searchsorted(shares, CLICK_SHARE))
    above = sum(np.count_nonzero(region >= probable[falling[least]]) for region in sick)
    return float(above / shares[least])


def _too_high(p: Map, area: float) -> float:
    """Find by how much log odds are too high, if probabilities should add up to an area; ≥ 0."""
    odds = logit(np.minimum(p[p > LEAST].astype(np.float64), 1 - LEAST))

    def excess(by: float) -> float:
        return float(expit(odds - by).sum()) - area

    if excess(0) <= 0:
        return 0.0
    if excess(MOST_LOG_ODDS) >= 0:
        return MOST_LOG_ODDS
    return float(brentq(excess, 0, MOST_LOG_ODDS, xtol=1e-4))
