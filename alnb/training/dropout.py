"""MC dropout, once: the deterministic part runs once, only the tail is sampled.

FCN8 has two dropouts, after the ReLUs of fc6 and fc7. The trunk, fc6 and the skips' scores come
before the first, so they are the same numbers in each of the T whole passes of the naive loop.
Running them once gives the same distribution, and under the same masks the same bits.

fc7 is most of the tail's work. It takes a few draws at a time, so that its weights are read once
for all of them; on some processors BLAS rounds differently when there are more rows. Each draw is
added to two sums on the device, so memory does not grow with T.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from alnb.posterior import Posterior
from alnb.training.fcn8 import FCN8, Features

TOGETHER = 5  # ours: draws that go through fc7 at once; more are no faster on two cores
ENOUGH = 32  # ours: cells of fc6 from which BLAS (on AVX2) gives the same bits whatever its rows


def probability(logits: Tensor) -> Tensor:
    """Return the infected class of the softmax of (B, 2, H, W) logits: (B, H, W), in [0, 1]."""
    background, infected = logits.float().unbind(1)
    return torch.sigmoid(infected - background)


def entropy(p: Tensor) -> Tensor:
    """Entropy of infected against background, in nats, for probabilities of any shape."""
    return -(torch.xlogy(p, p) + torch.xlogy(1 - p, 1 - p))


def fold(draws: Iterable[Tensor]) -> Posterior:
    """Fold draws, (H, W) infection probabilities, into a posterior as they come; at least one."""
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


def _draws(
    network: FCN8, features: Features, draws: int, generator: torch.Generator
) -> Iterator[Tensor]:
    """Yield each draw's probabilities, (H, W); masks are drawn one draw after the other."""
    together = TOGETHER if features.fc6[0, 0].numel() >= ENOUGH else 1
    for begin in range(0, draws, together):
        masks = [
            network.draw_masks(features, generator) for _ in range(min(together, draws - begin))
        ]
        hidden = network.hidden(features, torch.cat([first for first, _ in masks]))
        for one, (_, second) in zip(hidden, masks, strict=True):
            yield probability(network.scores(one[None], features, second))[0]


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
        On the network's device; the only source of randomness.

    Returns
    -------
    Posterior
        (H, W) float32 maps: the mean softmax, and the entropy of each draw averaged.

    References
    ----------
    Gal, Ghahramani 2016, arXiv 1506.02142; Gal, Islam, Ghahramani 2017, arXiv 1703.02910.
    """
    return fold(_draws(network, network.features(image), draws, generator))
