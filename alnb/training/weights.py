"""Trained weights as a cache: files named by what they follow from, with their reports inside."""

from __future__ import annotations

import json
import os
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from alnb.reports import FitReport

KEPT = 5  # ours: older weights are trained again if they are wanted; VGG16's fill 0.5 GB each


class WeightsCache:
    """A folder of trained weights; it may be deleted at any time.

    Parameters
    ----------
    folder : Path
        Made at the first `save`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        """Return where weights of that name lie, if they do."""
        return self.folder / f"weights-{name}.safetensors"

    def report(self, name: str) -> FitReport | None:
        """Read the report stored with weights; None if they are missing or unreadable."""
        try:
            with safe_open(self.path(name), "pt") as file:
                return FitReport.from_dict(json.loads(file.metadata()["report"]))
        except (OSError, SafetensorError, KeyError, TypeError, ValueError):
            return None

    def read(self, name: str) -> dict[str, Tensor]:
        """Read weights whose report could be read: parameter name to tensor, on the CPU."""
        return load_file(self.path(name))

    def save(self, network: nn.Module, report: FitReport) -> None:
        """Write weights under a temporary name, then rename; forget the oldest."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_weights(network, self.path(report.weights), {"report": json.dumps(report.to_dict())})
        found = sorted(self.folder.glob("weights-*.safetensors"), key=lambda p: p.stat().st_mtime)
        for old in found[:-KEPT]:
            old.unlink()


def write_weights(network: nn.Module, path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a network's state as safetensors, under a temporary name until all of it is there."""
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    state = {name: value.cpu().contiguous() for name, value in network.state_dict().items()}
    try:
        save_file(state, temporary, metadata=metadata)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
