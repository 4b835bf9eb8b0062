"""Checkpoints: networks built, named by all that they follow from, and kept in a cache."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from alnb.annotation import Answer, Verdict
from alnb.config import TRAINING_SETTINGS, Resolved
from alnb.dataset import Dataset
from alnb.errors import ConfigError, TrainerError
from alnb.reports import FitReport
from alnb.schema import read_json
from alnb.storage import forget, sha256_of, short_hash, weights_path
from alnb.training import OnProgress, backbones
from alnb.training.fcn8 import FCN8
from alnb.training.pretrain import VERSION, pretrained

KEPT = 5  # ours: networks; older ones are trained again if need be; VGG16's fill 0.5 GB each


def kept_report(cache: Path, weights: str) -> FitReport | None:
    """Read the report stored with weights; None if they are missing, unreadable or others."""
    try:
        with safe_open(weights_path(cache, weights), "pt") as file:
            report = FitReport.from_dict(read_json(file.metadata()["report"].encode(), Any))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None
    return report if report.weights == weights else None


class Networks:
    """Builds, names, keeps and loads the networks of one dataset and its settings.

    Parameters
    ----------
    dataset : Dataset
    config : Resolved
    cache : Path
        Folder of the weights, made at the first `keep`; it may be deleted at any time.
    device : torch.device
    progress : callable
        Hears what is learned from synthetic scans.
    stop : callable
        Called meanwhile; may raise to stop.

    Attributes
    ----------
    backbone : str
        Its name.
    notice : str
        What a person should know of the weights that training starts from; empty before `fresh`.

    Raises
    ------
    ConfigError
        If there is no backbone of the name in `config`.
    """

    def __init__(
        self,
        dataset: Dataset,
        config: Resolved,
        cache: Path,
        device: torch.device,
        progress: OnProgress,
        stop: Callable[[], None],
    ) -> None:
        self.dataset, self.config, self.device = dataset, config, device
        self.backbone = backbones.find(config.backbone).name
        self.notice = ""
        self._progress, self._stop, self._cache = progress, stop, cache
        self._loaded: tuple[str, FCN8, FitReport | None] | None = None

    @property
    def device_name(self) -> str:
        """The device in words, for the screen."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        threads = torch.get_num_threads()
        return "CPU, 1 thread" if threads == 1 else f"CPU, {threads} threads"

    @property
    def mixed(self) -> bool:
        """Whether to compute in bfloat16."""
        return self.config.precision == "bfloat16"

    @property
    def pretrains(self) -> bool:
        """Whether they learn from synthetic scans first."""
        return self.config.pretrain_steps > 0

    def name(self, answers: Sequence[Answer]) -> str:
        """Hash all that trained weights follow from."""
        what = {
            "dataset": self.dataset.fingerprint,
            "backbone": self.backbone,
            "device": self.device.type,
            "bfloat16": self.mixed,
            "weights": self._file_hash(),
            "pretrained": VERSION if self.pretrains else None,
            "settings": {name: getattr(self.config, name) for name in TRAINING_SETTINGS},
            "answers": [a.content for a in answers if a.verdict is not Verdict.SKIPPED],
        }
        return short_hash(what)

    def fresh(self) -> FCN8:
        """Build one as it is before any answer: from ImageNet, and from synthetic scans."""
        network = self._build(self.backbone)
        path = self.config.weights
        tensors = None if path is None else backbones.read_weights(Path(path))
        self.notice = network.backbone.load(network, tensors)
        network = self._placed(network)
        if self.pretrains:
            origin = self._file_hash() or "ImageNet"
            pretrained(network, self.config, origin, self._progress, self._stop)
        return network

    @property
    def origin(self) -> str:
        """The name of the network before any answer."""
        return self.name(())

    def find(self, weights: str) -> FCN8:
        """Find a network by its name: trained, as `kept`, or the one before any answer."""
        if weights != self.origin:
            return self.kept(weights)[0]
        if self._loaded is None or self._loaded[0] != weights:
            self._loaded = (weights, self.fresh(), None)
        return self._loaded[1]

    def keep(self, network: FCN8, report: FitReport) -> None:
        """Keep a trained network under its report's name; forget the oldest beyond `KEPT`."""
        metadata = {"report": json.dumps(report.to_dict())}
        backbones.write_weights(network, weights_path(self._cache, report.weights), metadata)
        forget(self._cache, "weights", KEPT)
        self._loaded = (report.weights, network, report)

    def report(self, weights: str) -> FitReport | None:
        """Return the report of a network that is kept; None if it is not, or can't be used."""
        try:
            return self.kept(weights)[1]
        except (ConfigError, TrainerError):
            return None

    def kept(self, weights: str) -> tuple[FCN8, FitReport]:
        """Find trained weights, in memory or in the cache.

        Raises
        ------
        TrainerError
            If there are none of that name, or their file was changed.
        """
        if self._loaded and self._loaded[0] == weights and self._loaded[2]:
            return self._loaded[1], self._loaded[2]
        report = kept_report(self._cache, weights)
        if report is None:
            raise TrainerError(
                f"weights {weights} are not in {self._cache}. Train again: the answers are kept."
            )
        network = self._build(report.backbone)  # perhaps another machine's
        backbones.load_weights(network, weights_path(self._cache, weights))
        network = self._placed(network)
        self._loaded = (weights, network, report)
        return network, report

    def _file_hash(self) -> str | None:
        """Hash the file of `Config.weights`; None if the backbone's own are used."""
        if self.config.weights is None:
            return None
        path = Path(self.config.weights)
        if not os.path.isfile(path):  # noqa: PTH113 - any text may be named
            raise TrainerError(f"weights {str(path)[:200]}: there is no such file. Check the path.")
        return sha256_of(path)

    def _build(self, backbone: str) -> FCN8:
        """Build a network, initialised by the seed without touching torch's global state."""
        with torch.random.fork_rng(devices=[]):
            seed = self.config.pretrain_seed if self.pretrains else self.config.seed
            torch.default_generator.manual_seed(seed)
            return FCN8(backbone, 2, self.config.input_padding, self.config.dropout)

    def _placed(self, network: FCN8) -> FCN8:
        """Move a network to the device, and choose its layout and precision.

        Measured on two cores with AVX2: channels last is 1.1 to 1.6 times faster, bfloat16 5 to
        15 times slower. ``torch.compile`` saves 3 to 27 % of a pass and takes 7 to 42 s to start,
        more than a cycle, so it is not used.
        """
        network.eval().to(self.device)
        network.mixed = self.mixed
        return network.to(memory_format=torch.channels_last)
