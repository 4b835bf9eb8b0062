"""The posterior over infection that dropout draws stand for.

Two means are kept, so memory does not grow with the number of draws.
All entropies are of the two-class distribution (p, 1 − p), in nats.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alnb.arrays import Map


def binary_entropy(probability: Map) -> Map:
    """Compute the entropy of infected against background at probabilities in [0, 1].

    It is in nats, in [0, ln 2]; 0 at probabilities 0 and 1.

    Examples
    --------
    >>> round(float(binary_entropy(np.array(0.9))), 3)
    0.325
    """
    tiny = np.finfo(probability.dtype).tiny
    p, q = probability, 1 - probability
    entropy: Map = -(p * np.log(np.maximum(p, tiny)) + q * np.log(np.maximum(q, tiny)))
    return np.maximum(entropy, 0)


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """The draws of one slice, summed up, as two (H, W) maps.

    Raises
    ------
    ValueError
        If the maps differ in shape or there are no draws.
    """

    mean: Map  # infection probability averaged over the draws, in [0, 1]
    expected_entropy: Map  # of each draw, averaged over the draws; nats, in [0, ln 2]
    draws: int  # how many, at least 1

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise ValueError("a posterior needs at least one draw")
        if self.mean.shape != self.expected_entropy.shape:
            raise ValueError(
                f"mean is {self.mean.shape}, expected_entropy {self.expected_entropy.shape}; "
                "they must be equal"
            )

    @property
    def predictive_entropy(self) -> Map:
        """Entropy of the mean, nats in [0, ln 2]: the paper's uncertainty (after eq. 2)."""
        return binary_entropy(self.mean)

    @property
    def mutual_information(self) -> Map:
        """BALD: the part of the entropy on which the draws disagree; nats, in [0, ln 2].

        Houlsby et al. 2011, arXiv 1112.5745; Gal, Islam, Ghahramani 2017, arXiv 1703.02910.
        """
        return np.maximum(self.predictive_entropy - self.expected_entropy, 0)
