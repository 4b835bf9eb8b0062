"""Losses: pure functions of logits and labels that return a scalar ≥ 0; `LOSSES` names them.

Logits are (B, 2, H, W) float tensors. Labels are (B, H, W) integer tensors, as
`arrays.PointLabels`: 1 infected, 0 background, -1 unlabelled.

====================  ===================================================================
Config.loss           right for
====================  ===================================================================
``point_ce``          the paper's eq. 1 as written; on sparse clicks it collapses to background
``balanced_point``    clicks and clean regions: each class counts as one, however few its pixels
``balanced_answers``  the same, but infection weighs less where few answers show it
``full``              regions labelled in full (``Config.labels="full"``); with clicks it would
                      take the few clicked pixels for the whole shape of the infection
====================  ===================================================================
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from alnb.arrays import BACKGROUND, INFECTED, UNLABELLED
from alnb.config import Config

NEIGHBOURHOOD = 31  # F3Net: side of the square that a pixel is compared with, in pixels
CRF_CELL, CRF_RADIUS = 4, 4  # ours: pixels a side, and cells to the farthest neighbour
CRF_GREY = 0.1  # Obukhov et al. 2019: standard deviation of grey levels, of 0 to 1
HALF_DISC = [  # steps to neighbours, (down, right), one of each opposite pair
    (d, r)
    for d in range(CRF_RADIUS + 1)
    for r in range(-CRF_RADIUS, CRF_RADIUS + 1)
    if (d, r) > (0, 0) and d**2 + r**2 <= CRF_RADIUS**2
]
FOCUS = 5.0  # F3Net: gamma, how much more a pixel weighs that differs from all around it


def point_ce(logits: Tensor, labels: Tensor) -> Tensor:
    """Sum the cross-entropy over the labelled pixels (paper, eq. 1).

    On sparse clicks this collapses to background: a clean region of 32×32 weighs as much as
    1024 clicks on infection. `balanced_point` does not. In nats; 0 if nothing is labelled.
    """
    return functional.cross_entropy(
        logits.float(), labels.long(), ignore_index=UNLABELLED, reduction="sum"
    )


def balanced_point(logits: Tensor, labels: Tensor, infected_weight: float = 1.0) -> Tensor:
    """Average the cross-entropy over each class's labelled pixels and add the two.

    In nats; a class that is not labelled adds 0.

    Parameters
    ----------
    logits : (B, 2, H, W) float tensor
    labels : (B, H, W) integer tensor
    infected_weight : float
        Of the infected mean; the background's weighs 1.
    """
    losses, infected, background = _by_class(logits, labels)
    return infected_weight * _mean_over(losses, infected) + _mean_over(losses, background)


def balanced_answers(logits: Tensor, labels: Tensor, infected_weight: float = 1.0) -> Tensor:
    """Average the cross-entropy over answers: an infected one counts as one, however many clicks.

    Where half of the pictures have clicks this is `balanced_point`. Where few have, the clicks
    weigh little. There `balanced_point` weighs the few clicks as much as everything clean, and
    the network sees more infection the more answers are clean.

    Parameters
    ----------
    logits : (B, 2, H, W) float tensor
    labels : (B, H, W) integer tensor
        A picture shows one answer.
    infected_weight : float
        Of the infected mean where half of the pictures have clicks; the background's weighs 1.
    """
    losses, infected, background = _by_class(logits, labels)
    answers = _over_image(losses * infected) / _over_image(infected).clamp(min=1)
    return 2 * infected_weight * answers.mean() + _mean_over(losses, background)


def _over_image(values: Tensor) -> Tensor:
    return values.sum(dim=(1, 2))


def _mean_over(losses: Tensor, members: Tensor) -> Tensor:
    return (losses * members).sum() / members.sum().clamp(min=1)


def _by_class(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return each pixel's cross-entropy, and where infected and background are labelled."""
    losses = functional.cross_entropy(
        logits.float(), labels.long(), ignore_index=UNLABELLED, reduction="none"
    )
    return losses, (labels == INFECTED).float(), (labels == BACKGROUND).float()


def distillation(logits: Tensor, labels: Tensor, prior_prediction: Tensor) -> Tensor:
    """Average over the unlabelled pixels how far a network is from its prediction before training.

    Without this term a few examples overwrite the pretrained class balance. The distance is a
    cross-entropy in nats; 0 if all is labelled.

    Parameters
    ----------
    logits : (B, 2, H, W) float tensor
    labels : (B, H, W) integer tensor
    prior_prediction : (B, H, W) float tensor
        Infection probabilities, in [0, 1].

    References
    ----------
    Li, Hoiem 2016, Learning without Forgetting, arXiv 1606.09282.
    """
    background, infected = logits.float().unbind(1)
    losses = functional.binary_cross_entropy_with_logits(
        infected - background, prior_prediction.float(), reduction="none"
    )
    return _mean_over(losses, (labels == UNLABELLED).float())


def full(logits: Tensor, labels: Tensor) -> Tensor:
    """Add F3Net's weighted cross-entropy and weighted IoU, as the paper does for masks (5.3).

    A pixel weighs 1 + 5·|share of infection around it - its own label|, so that boundaries and
    thin parts count most. The share is the mean label of the labelled pixels among the 31×31
    around. Unlabelled pixels are left out of every sum, and so is what lies outside the image, as
    in eq. 4 of the source. Its code pads with background instead, which would make the edge of a
    crop through a lesion a boundary.

    As in that code the cross-entropy is divided by the sum of the weights, and 1 is added to
    intersection and union, so that an image without infection has a finite loss. The result is the
    mean over the images; an image where nothing is labelled adds 0.

    References
    ----------
    Wei, Wang, Huang 2019, F3Net, arXiv 1911.11445, eqs. 3 and 5.
    """
    losses, infected, background = _by_class(logits, labels)
    p = logits.float().softmax(dim=1)[:, INFECTED]  # (B, H, W)
    known = infected + background
    weights = known * (1 + FOCUS * (_share_around(infected, known) - infected).abs())
    entropy = _over_image(weights * losses) / _over_image(weights).clamp(min=1)
    intersection = _over_image(weights * p * infected)
    union = _over_image(weights * (p + infected)) - intersection
    return (entropy + 1 - (intersection + 1) / (union + 1)).mean()


def _share_around(infected: Tensor, known: Tensor) -> Tensor:
    """Average (B, H, W) labels over the known pixels around each pixel; 0 where none is known."""
    both = torch.stack([infected, known], dim=1)
    around = functional.avg_pool2d(both, NEIGHBOURHOOD, stride=1, padding=NEIGHBOURHOOD // 2)
    return around[:, 0] / around[:, 1].clamp(min=NEIGHBOURHOOD**-2)


def gated_crf(logits: Tensor, grey: Tensor) -> Tensor:
    """Charge for predictions that change where the picture does not.

    Each pair of neighbours pays k_ij · (p_i (1 - p_j) + p_j (1 - p_i)): the chance that one is
    infected and the other is not, times a Gaussian kernel of their distance and of their
    difference in grey. It needs no labels: clicks spread over what looks like them and stop at
    edges. Ours: on means over 4×4 pixels, since the network's finest map has a stride of 8,
    within 4 of those, and each pair once. `grey` are the same images, (B, H, W) uint8. The charge
    is summed over the steps to a neighbour, each averaged over its pairs; it is 0 where the
    prediction is one class with certainty.

    References
    ----------
    Obukhov, Georgoulis, Dai, Van Gool 2019, Gated CRF Loss for Weakly Supervised Semantic Image
    Segmentation, arXiv 1906.04651.
    """
    p = functional.avg_pool2d(logits.float().softmax(dim=1)[:, INFECTED], CRF_CELL)
    looks = functional.avg_pool2d(grey.float() / 255, CRF_CELL)  # (B, h, w)
    total = torch.zeros((), device=p.device)
    for down, right in HALF_DISC:
        if down >= p.shape[-2] or abs(right) >= p.shape[-1]:
            continue
        here, there = _apart(down, right)
        near = math.exp(-(down**2 + right**2) / (2 * CRF_RADIUS**2))
        alike = torch.exp(-((looks[here] - looks[there]) ** 2) / (2 * CRF_GREY**2))
        differ = p[here] * (1 - p[there]) + p[there] * (1 - p[here])
        total = total + near * (alike * differ).mean()
    return total


def _apart(down: int, right: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Index the pixels of (B, h, w) maps that have a neighbour this far off, and the neighbours."""
    every = slice(None)
    left, back = max(right, 0), max(-right, 0)
    here = (every, slice(None, -down or None), slice(back, -left or None))
    there = (every, slice(down, None), slice(left, -back or None))
    return here, there


Loss = Callable[[Tensor, Tensor], Tensor]

LOSSES: Mapping[str, Callable[[Config], Loss]] = {
    "point_ce": lambda config: point_ce,
    "balanced_point": lambda c: partial(balanced_point, infected_weight=c.infected_weight),
    "balanced_answers": lambda c: partial(balanced_answers, infected_weight=c.infected_weight),
    "full": lambda config: full,
}
"""Name in `Config.loss`, but for "auto", to (logits, labels) → scalar, its settings bound."""
