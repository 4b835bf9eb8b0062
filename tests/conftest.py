"""Fixtures that every test can ask for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from alnb.dataset import Dataset, build
from alnb.volumes import Source, Volume

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real data beside the checkout; tests that need it skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the folder ../shared with real CT is not here")
    return SHARED


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


@pytest.fixture(scope="session")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Three scans of four slices of 32 pixels with square infections; one scan to test."""
    parts = {"one": "train", "two": "train", "three": "test"}
    pairs = [scan_of(name, 4, 32, seed) for seed, name in enumerate(parts)]
    return build(pairs, tmp_path_factory.mktemp("data") / "squares", size=32, split=parts)


@pytest.fixture(scope="session")
def unmasked(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The same without masks."""
    parts = {"one": "train", "two": "train", "three": "test"}
    pairs = [(scan_of(name, 4, 32, seed)[0], None) for seed, name in enumerate(parts)]
    return build(pairs, tmp_path_factory.mktemp("data") / "unmasked", size=32, split=parts)
