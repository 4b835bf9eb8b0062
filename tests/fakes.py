"""Stand-ins that follow the protocols of `alnb.cycle`, without a network."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from alnb.acquisition import HEURISTICS
from alnb.annotation import Answer
from alnb.config import Config
from alnb.dataset import Dataset, SliceId
from alnb.errors import SessionError, TrainerError
from alnb.journal import Event, live
from alnb.live import NUMBERS, STRIDE
from alnb.metrics import Scores
from alnb.posterior import Posterior, binary_entropy
from alnb.regions import Region
from alnb.reports import FitReport
from alnb.state import digest
from alnb.storage import features_path
from alnb.volumes import Source, Volume
from alnb.worker import Maps, Progress, TrainingCancelled

FEW = Config(regions_per_slice=16, start_regions=6, regions_per_cycle=2)  # regions of `squares`
TWO_STEPS = Config(  # a training of some seconds
    backbone="efficientnet_lite0", regions_per_slice=4, pretrain_steps=0, steps=2, batch=2,
    draws=2, holdout=0.2,
)  # fmt: skip


class FakeWorker:
    """Follows `alnb.worker.Worker` without a process: a `FakeLearner` behind a gate.

    Parameters are those of `Worker`. A command waits while `gate` is closed, and fails with
    `failure` if there is one.
    """

    def __init__(
        self,
        dataset: Dataset,
        config: Config,
        cache: object,
        on_progress: Callable[[Progress], None] = lambda progress: None,
    ) -> None:
        self._learner = FakeLearner(dataset, config, cache)
        self._on_progress = on_progress
        self._fits: dict[str, FitReport] = {}
        self._cancels = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.hold = ""  # the stage that closes the gate as it begins
        self.failure: Exception | None = None
        self.fitted: list[Sequence[Answer]] = []
        self.did: list[str] = []
        self.device = ""
        self.backbone = ""
        self.origin = FakeLearner.origin

    async def _begin(self, stage: str, total: int) -> None:
        self.did.append(stage)
        if stage == self.hold:
            self.gate.clear()
        before = self._cancels
        loss = 0.5 if stage == "fit" else None
        self._on_progress(Progress(stage, 1, total, loss))
        await self.gate.wait()
        if self._cancels > before:
            raise TrainingCancelled("cancelled; the network is as it was before.")
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure

    async def start(self) -> None:
        self.device, self.backbone = "no device", "fake"

    find_origin = start

    async def prepare(self) -> None:
        """Has learned all there is to learn."""

    async def fit(self, answers: Sequence[Answer]) -> FitReport:
        await self._begin("fit", 10)
        self.fitted.append(tuple(answers))
        fit = self._learner.fit(answers)
        return self._fits.setdefault(fit.weights, fit)

    async def score(self, slices: Sequence[SliceId], weights: str) -> Mapping[str, np.ndarray]:
        await self._begin("score", len(slices))
        return self._learner.score(slices, weights)

    async def evaluate(self, part: str, weights: str) -> Scores | None:
        await self._begin("evaluate", 4)
        return self._learner.evaluate(part, weights)

    async def predict(self, slices: Sequence[SliceId], weights: str) -> dict[SliceId, Maps]:
        await self._begin("predict", len(slices))
        size = self._learner.dataset.size
        mean = np.full((size, size), 0.6, dtype=np.float32)
        return {where: Maps(mean, mean) for where in slices}

    async def publish(self, slices: Sequence[SliceId], weights: str) -> None:
        await self._begin("publish", len(slices))
        self._learner.publish(slices, weights)

    def cancel(self) -> None:
        self._cancels += 1
        self.gate.set()

    async def stop(self) -> None:
        self.did.append("stop")
        self.failure = TrainerError("the training process ended unexpectedly.")
        self.gate.set()


class FakeLearner:
    """Learns nothing: all it says follows from the digest of the answers.

    As features it publishes the grey level of a cell, its square, and noise; with its logits 0.
    """

    origin = "00000000"

    def __init__(self, dataset: Dataset, config: Config, cache: Path | None = None) -> None:
        self.dataset = dataset
        self.config = config
        self.cache = cache
        self.fits: list[int] = []

    def fit(self, answers: Sequence[Answer]) -> FitReport:
        name = digest(answers)
        self.fits.append(len(answers))
        return FitReport(
            weights=name, backbone="fake", device="none", steps=1, loss=1.0, threshold=0.5,
            heldout=0, heldout_accuracy=None, train_s=0.25,
        )  # fmt: skip

    def score(self, slices: Sequence[SliceId], weights: str) -> Mapping[str, np.ndarray]:
        rng = np.random.default_rng(int(weights[:8], 16))
        shape = (len(slices), self.config.regions_per_slice)
        return {name: rng.random(shape) for name in HEURISTICS}

    def publish(self, slices: Sequence[SliceId], weights: str) -> None:
        assert self.cache is not None
        for where in slices:
            path = features_path(self.cache, weights, where.scan, where.z)
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, published(np.asarray(self.dataset.image(where))))

    def evaluate(self, part: str, weights: str) -> Scores | None:
        if not self.dataset.has_masks:
            return None
        return Scores(tp=int(weights[:4], 16), fp=1, fn=10, tn=100)


def published(image: np.ndarray, logit: float = 0.0) -> np.ndarray:
    """Describe a slice of (H, W) grey levels for the live layer, without a network."""
    side = -(-len(image) // STRIDE)
    whole = np.pad(image, (0, side * STRIDE - len(image)), mode="edge").astype(np.float32)
    grey = whole.reshape(side, STRIDE, side, STRIDE).mean((1, 3)) / 128 - 1
    cells = np.random.default_rng(0).normal(0, 0.1, (side, side, NUMBERS))
    cells[..., :4] = logit
    cells[..., 4], cells[..., 5] = grey, grey**2
    return cells.astype(np.float16)


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


def install_heuristics(folder: Path, code: str, package: str = "theirs", **entries: str) -> None:
    """Lay a package out as pip would, with a module ``theirs`` and entry points of heuristics."""
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "theirs.py").write_text(code)
    sys.modules.pop("theirs", None)  # another test's
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = "".join(f"{name} = {value}\n" for name, value in entries.items())
    (info / "entry_points.txt").write_text(f"[alnb.heuristics]\n{lines}")


def posterior_of(draws):
    """Fold draws, (H, W) probabilities each, as dropout does on torch tensors."""
    draws = np.stack(list(draws))
    return Posterior(draws.mean(axis=0), binary_entropy(draws).mean(axis=0), len(draws))


class Replay:
    """An annotator that answers as a journal's did.

    Parameters
    ----------
    events : sequence of Event
        Of that journal; of several answers on a region the last that stands is given.
    """

    def __init__(self, events: Sequence[Event]) -> None:
        answers = (Answer.from_dict(e.data) for e in live(events) if e.kind == "answered")
        self._answers = {answer.region.key: answer for answer in answers}

    def answer(self, region: Region, guess: object = None) -> Answer:
        """Give the answer of the journal.

        Raises
        ------
        SessionError
            If that journal has none.
        """
        try:
            return self._answers[region.key]
        except KeyError:
            raise SessionError(f"the journal has no answer on region {region.key}.") from None
