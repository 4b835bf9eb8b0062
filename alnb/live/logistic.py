"""Bayesian logistic regression, with the network's logits as offsets."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alnb.arrays import Map
from alnb.live.cells import Cells
from alnb.posterior import Posterior

STEPS, CLOSE = 20, 1e-3  # Newton's: at most, and the change at which it ends
NODES = np.polynomial.hermite_e.hermegauss(5)  # of the integral over a cell's log odds


@dataclass(frozen=True, slots=True, eq=False)
class Logistic:
    """The weights of a last layer with F features: most probable ones, and how sure they are."""

    w: NDArray[np.float64]  # (F,): the most probable
    root: NDArray[np.float32]  # (F, F): its product with its own transpose is their covariance

    @classmethod
    def prior(cls, precision: NDArray[np.float64]) -> Logistic:
        """Believe what is believed before any observation.

        Parameters
        ----------
        precision : (F,) float array
            Of each weight's normal prior, whose mean is 0.
        """
        return cls(np.zeros(len(precision)), np.diag(precision**-0.5).astype(np.float32))

    @classmethod
    def fitted(
        cls,
        precision: NDArray[np.float64],
        cells: Cells,
        targets: NDArray[np.float32],
        weights: NDArray[np.float32],
    ) -> Logistic:
        """Find the most probable weights by Newton's method, and their covariance's root.

        Parameters
        ----------
        precision
            As for `prior`.
        cells : (N, 1 + F) float32 array
            Offset and features.
        targets, weights : (N,) float32 array
            Infected or not, in [0, 1], and for how many observations each counts.
        """
        offsets, x = cells[:, 0], cells[:, 1:]

        def loss(w: NDArray[np.float64]) -> float:
            z = offsets + x @ w.astype(np.float32)
            likely = weights * (np.logaddexp(0, z) - targets * z)
            return float(likely.sum(dtype=np.float64) + (precision * w**2).sum() / 2)

        w = np.zeros(len(precision))
        before = loss(w)
        for _ in range(STEPS):
            p = sigmoid(offsets + x @ w.astype(np.float32))
            slope = x.T @ (weights * (p - targets)) + precision * w
            curved = x.T @ (x * (weights * p * (1 - p))[:, None])
            hessian = curved.astype(np.float64) + np.diag(precision)
            step = np.linalg.solve(hessian, slope)
            share = 1.0
            while (after := loss(w - share * step)) > before and share > 1e-3:
                share /= 2
            w = w - share * step
            if before - after < CLOSE:
                break
            before = after
        root = np.linalg.inv(np.linalg.cholesky(hessian)).T.astype(np.float32)
        return cls(w, root)

    def cautious(self, share: float) -> Logistic:
        """Believe only a share, in [0, 1], of the last weight: the constant."""
        shares = np.append(np.ones(len(self.w) - 1), share)
        return Logistic(self.w * shares, self.root * shares[:, None].astype(np.float32))

    def moved(self, cells: Cells) -> Map:
        """Tell by how much the weights move the log odds of N cells, (N,)."""
        by: Map = cells @ np.append(0, self.w).astype(np.float32)
        return by

    def posterior(self, cells: Cells) -> Posterior:
        """Give the cells of a square, as rows of offset and features, a posterior of (h, w) maps.

        The mean is that of a logistic function under a normal distribution (MacKay 1992); the
        expected entropy is integrated by `NODES`.
        """
        side = math.isqrt(len(cells))
        odds = (cells @ np.append(1, self.w).astype(np.float32)).reshape(side, side)
        apart = cells @ np.vstack([np.zeros_like(self.root[:1]), self.root])
        variance = np.einsum("ij,ij->i", apart, apart).reshape(side, side)
        deviation = np.sqrt(variance)
        places, weights = NODES
        expected = np.zeros_like(odds)
        for place, weight in zip(places, weights / weights.sum(), strict=True):
            expected += np.float32(weight) * _entropy(odds + np.float32(place) * deviation)
        mean = sigmoid(odds / np.sqrt(1 + np.float32(np.pi / 8) * variance))
        return Posterior(mean, expected, draws=len(places))


def sigmoid(z: Map) -> Map:
    """Turn log odds into probabilities."""
    p: Map = np.tanh(z / 2) / 2 + np.float32(0.5)
    return p


def _entropy(z: Map) -> Map:
    """Compute the entropy of log odds, in nats."""
    size = np.abs(z)
    small = np.exp(-size)
    entropy: Map = np.log1p(small) + size * small / (1 + small)
    return entropy
