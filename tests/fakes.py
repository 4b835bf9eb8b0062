"""Stand-ins that follow the protocols of `alnb.cycle`, without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from alnb.annotation import Answer
from alnb.config import Config
from alnb.dataset import Dataset, SliceId
from alnb.metrics import Scores
from alnb.reports import FitReport
from alnb.session import digest
from alnb.volumes import Source, Volume


class FakeLearner:
    """Learns nothing: all it says follows from the digest of the answers."""

    def __init__(self, dataset: Dataset, config: Config) -> None:
        self.dataset = dataset
        self.config = config
        self.fits: list[int] = []

    def fit(self, answers: Sequence[Answer], previous: str | None = None) -> FitReport:
        name = digest(answers)
        self.fits.append(len(answers))
        return FitReport(
            weights=name, backbone="fake", device="none", steps=1, loss=1.0, threshold=0.5,
            heldout=0, heldout_accuracy=None, train_s=0.25,
        )  # fmt: skip

    def score(self, slices: Sequence[SliceId], weights: str) -> Mapping[str, np.ndarray]:
        rng = np.random.default_rng(int(weights[:8], 16))
        return {"entropy": rng.random((len(slices), self.config.regions_per_slice))}

    def evaluate(self, part: str, weights: str) -> Scores | None:
        if not self.dataset.has_masks:
            return None
        return Scores(tp=int(weights[:4], 16), fp=1, fn=10, tn=100)


def scan_of(name: str, depth: int, size: int, seed: int) -> tuple[Volume, np.ndarray]:
    """Make a grey scan whose infection is its brightest square, in every other slice."""
    rng = np.random.default_rng(seed)
    voxels = rng.integers(20, 90, (depth, size, size)).astype(np.uint8)
    mask = np.zeros(voxels.shape, np.uint8)
    for z in range(0, depth, 2):
        row, col = rng.integers(0, size // 2, 2)
        mask[z, row : row + size // 4, col : col + size // 4] = 1
    voxels[mask > 0] += 120
    source = Source(file=f"{name}.nii.gz", sha256="", shape=(size, size, depth))
    return Volume(name, voxels, np.eye(4), source, "grey"), mask
