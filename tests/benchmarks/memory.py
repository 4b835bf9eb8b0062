"""The training process's peak memory when it scores, by draws and by slices."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from alnb.config import Config
from alnb.dataset import Dataset, Part, build
from alnb.oracle import Oracle
from alnb.regions import grid
from alnb.volumes import Volume

SIZE = 256
POOLS = (50, 500)
DRAWS = (10, 100)
PARTS: dict[str, Part] = {"noise": "train"}
Figure = tuple[str, float | None, str, str]


def peak_memory() -> Iterator[Figure]:
    """Score in a fresh process with few and many draws and slices; yields figures in MiB."""
    if not Path("/proc/self/status").exists():
        yield "peak memory", None, "MiB", "measured on Linux alone"
        return
    config = Config(backbone="efficientnet_lite0", pretrain_steps=0, steps=1, start_regions=4)
    with tempfile.TemporaryDirectory() as folder:
        dataset = _noise(Path(folder, "data"), max(POOLS) + 1)
        weights = _train(dataset, config, Path(folder, "cache"))
        for draws, pool in ((min(DRAWS), min(POOLS)), (max(DRAWS), min(POOLS)),
                            (min(DRAWS), max(POOLS))):  # fmt: skip
            words = [str(folder), weights, str(draws), str(pool)]
            code = f"import sys; from {__name__} import score; score(*sys.argv[1:])"
            done = subprocess.run(
                [sys.executable, "-c", code, *words],
                check=True, capture_output=True, text=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )  # fmt: skip
            what = f"peak memory: {draws} draws, {pool} slices to score"
            yield what, float(done.stdout), "MiB", f"embedded default at {SIZE}×{SIZE}"


def score(folder: str, weights: str, draws: str, pool: str) -> None:
    """Score slices in this process and print its peak resident memory in MiB."""
    from alnb.training.trainer import Trainer

    dataset = Dataset.open(Path(folder, "data"))
    config = Config(backbone="efficientnet_lite0", pretrain_steps=0, steps=1, draws=int(draws))
    trainer = Trainer(dataset, config, Path(folder, "cache"), device="cpu")
    trainer.score(dataset.part("train")[: int(pool)], weights)
    print(peak_mib())


def peak_mib() -> float:
    """Read this process's peak from /proc; getrusage would count its parent's before the exec."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise OSError("/proc/self/status has no VmHWM")


def _noise(folder: Path, depth: int) -> Dataset:
    """Build a dataset of grey noise, all of it in the train part, with one infected slice."""
    voxels = np.random.default_rng(0).integers(0, 255, (depth, SIZE, SIZE), dtype=np.uint8)
    masks = np.zeros(voxels.shape, np.uint8)
    masks[0, :64, :64] = 1
    volume = Volume.made("noise", voxels, unit="grey", spacing_mm=(1.0, 1.0, 1.0))
    return build([(volume, masks)], folder, size=SIZE, split=PARTS)


def _train(dataset: Dataset, config: Config, cache: Path) -> str:
    from alnb.training.trainer import Trainer

    oracle = Oracle(dataset)
    regions = grid(dataset.part("train")[0], (SIZE, SIZE), 64)[:4]
    answers = [oracle.answer(region) for region in regions]
    return Trainer(dataset, config, cache, device="cpu").fit(answers).weights
