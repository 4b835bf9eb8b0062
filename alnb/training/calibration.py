"""A threshold from the answers, by what the network believed before it had any.

How much infection there is differs from dataset to dataset by more than any one threshold bears:
in a sparse one a network that has seen none of it takes vessels for lesions. The answers tell, and
cost nothing more. What it believed before is compared with them, since of the regions that it
learned from it only says what it was told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit
from torch import Tensor

from alnb.annotation import Answer, Verdict
from alnb.arrays import INFECTED
from alnb.dataset import SliceId

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
