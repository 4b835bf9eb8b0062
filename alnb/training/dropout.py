"""MC dropout, once: the deterministic part runs once, only the tail is sampled.

Nothing before the first dropout depends on the draw, so running it once gives the same
distribution as T whole passes, and under the same masks the same bits. Draws are folded into
two sums on the device, so memory does not grow with T.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from alnb.posterior import Posterior
from alnb.training.fcn8 import FCN8, Features


def probability(logits: Tensor) -> Tensor:
    """Softmax over two classes, of which the infected one is returned.

    Parameters
    ----------
    logits : (B, 2, H, W) float tensor

    Returns
    -------
    (B, H, W) float tensor
        In [0, 1].
    """
    background, infected = logits.float().unbind(1)
    return torch.sigmoid(infected - background)


def entropy(p: Tensor) -> Tensor:
    """Entropy of infected against background, in nats, for probabilities of any shape."""
    return -(torch.xlogy(p, p) + torch.xlogy(1 - p, 1 - p))


def fold(draws: Iterable[Tensor]) -> Posterior:
    """Fold draws into a posterior as they come.

    Parameters
    ----------
    draws : iterable of (H, W) float tensor
        Infection probabilities; at least one.
    """
    total = expected = torch.zeros(())
    count = 0
    for p in draws:
        total = total.to(p) + p
        expected = expected.to(p) + entropy(p)
        count += 1
    return Posterior(
        mean=(total / max(count, 1)).cpu().numpy(),
        expected_entropy=(expected / max(count, 1)).cpu().numpy(),
        draws=count,
    )


@torch.inference_mode()
def sample_tail(
    network: FCN8, features: Features, draws: int, generator: torch.Generator
) -> Posterior:
    """Sample the tail of one slice whose features are known.

    Parameters
    ----------
    network : FCN8
    features : Features
        Of a single image.
    draws : int
        T, ≥ 1.
    generator : torch.Generator
        On the network's device; the only source of randomness.

    Returns
    -------
    Posterior
        (H, W) float32 maps.
    """
    return fold(
        probability(network.tail(features, network.draw_masks(features, generator)))[0]
        for _ in range(draws)
    )


@torch.inference_mode()
def mc_dropout(network: FCN8, image: Tensor, draws: int, generator: torch.Generator) -> Posterior:
    """Sample the posterior of one image by dropout.

    Parameters
    ----------
    network : FCN8
        In eval mode.
    image : (1, 3, H, W) float tensor
        Normalised.
    draws : int
        T, ≥ 1.
    generator : torch.Generator
        On the network's device.

    Returns
    -------
    Posterior
        (H, W) float32 maps: the mean softmax, and the entropy of each draw averaged.

    References
    ----------
    Gal, Ghahramani 2016, arXiv 1506.02142; Gal, Islam, Ghahramani 2017, arXiv 1703.02910.
    """
    return sample_tail(network, network.features(image), draws, generator)
