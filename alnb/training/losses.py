"""Losses on points: pure functions of logits and labels that return a scalar."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from alnb.arrays import BACKGROUND, INFECTED, UNLABELLED


def point_ce(logits: Tensor, labels: Tensor) -> Tensor:
    """Sum the cross-entropy over the labelled pixels (paper, eq. 1).

    On sparse clicks this collapses to background: a clean region of 32×32 weighs as much as
    1024 clicks on infection. `balanced_point` does not.

    Parameters
    ----------
    logits : (B, 2, H, W) float tensor
    labels : (B, H, W) integer tensor
        1 infected, 0 background, -1 unlabelled, as `arrays.PointLabels`.

    Returns
    -------
    () tensor
        Nats, ≥ 0; 0 if nothing is labelled.
    """
    return functional.cross_entropy(
        logits.float(), labels.long(), ignore_index=UNLABELLED, reduction="sum"
    )


def balanced_point(logits: Tensor, labels: Tensor, infected_weight: float = 1.0) -> Tensor:
    """Average the cross-entropy over each class's labelled pixels and add the two.

    Parameters
    ----------
    logits : (B, 2, H, W) float tensor
    labels : (B, H, W) integer tensor
        1 infected, 0 background, -1 unlabelled.
    infected_weight : float
        Of the infected mean; the background's weighs 1.

    Returns
    -------
    () tensor
        Nats, ≥ 0; a class that is not labelled adds 0.
    """
    losses = functional.cross_entropy(
        logits.float(), labels.long(), ignore_index=UNLABELLED, reduction="none"
    )
    infected = (labels == INFECTED).float()
    background = (labels == BACKGROUND).float()
    return infected_weight * _mean_over(losses, infected) + _mean_over(losses, background)


def _mean_over(losses: Tensor, members: Tensor) -> Tensor:
    return (losses * members).sum() / members.sum().clamp(min=1)


def consistency(logits: Tensor, flipped: Tensor) -> Tensor:
    """Average how far the logits of an image differ from those of its mirror image.

    Parameters
    ----------
    logits : (B, C, H, W) float tensor
        Of the image.
    flipped : (B, C, H, W) float tensor
        Of the image mirrored left to right, as the network gives them.

    Returns
    -------
    () tensor
        Mean absolute difference, ≥ 0.

    References
    ----------
    Laradji et al. 2020, Weakly supervised consistency-based learning, arXiv 2007.02180.
    """
    return (logits.float() - flipped.float().flip(-1)).abs().mean()
