"""What a network learns from synthetic scans before anybody answers; once for a machine and seed.

ImageNet has no lungs in it. The phantom's lesions are not real, but from them a network learns
that grey patches in a black lung are wanted, and vessels, hila and the chest wall are not. On
medseg's train part, of which it has seen nothing, this alone has a Dice of 0.70 (`bench switches`
has what it brings with answers). It is not used on the phantom itself: there it would be
cheating.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load_file

from alnb.config import Config
from alnb.dataset import Dataset
from alnb.training import Progress
from alnb.training.fcn8 import FCN8
from alnb.training.fit import descend, drawn, freeze
from alnb.training.losses import balanced_point
from alnb.training.synthetic import Slices, batches
from alnb.training.weights import write_weights

VERSION = 4  # of the recipe and of the phantom; raise it when either changes
BATCH, CROP = 8, 128  # ours: as in a cycle
INFECTED_WEIGHT = (
    0.07  # ours: of the infected mean; with a cycle's 0.3 it sees infection everywhere
)


def wanted(dataset: Dataset, config: Config) -> bool:
    """Tell whether a network is to learn from synthetic scans first: not to label more of them."""
    return config.learns_first(synthetic=dataset.synthetic)


def pretrained(
    network: FCN8,
    config: Config,
    origin: str,
    progress: Progress,
    stop: Callable[[], None] = lambda: None,
) -> None:
    """Put into a network what it learns from synthetic scans; learn it first if nobody has.

    Of two processes that need it at once, one learns and the other waits.

    Parameters
    ----------
    network : FCN8
        With the weights of its backbone, the rest initialised by the seed; on its device.
    config : Config
        Steps, rates, what stays frozen, and the seed, so that runs with several seeds differ in
        this too.
    origin : str
        What those weights are; another origin, another file.
    progress : callable
        Hears the stage "prepare".
    stop : callable
        Called before each scan and step; may raise.
    """
    path = _folder() / f"pretrained-{_name(network, config, origin)}.safetensors"
    if _read(network, path):
        return
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):  # nowhere to keep it: then it is learned, and lost
            path.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(FileLock(f"{path}.lock"))
        if not _read(network, path):
            learn(network, config, progress, stop)
            with contextlib.suppress(OSError, SafetensorError):
                write_weights(network, path)


def learn(
    network: FCN8,
    config: Config,
    progress: Progress,
    stop: Callable[[], None] = lambda: None,
    slices: Slices | None = None,
) -> None:
    """Train a network on synthetic crops, in place.

    Parameters
    ----------
    network, config, progress, stop
        As for `pretrained`.
    slices : Slices, optional
        None: drawn here.
    """
    steps = config.pretrain_steps

    def on_scan(done: int, total: int) -> None:
        stop()
        progress("draw", done, total)

    def on_step(step: int, loss: float) -> None:
        stop()
        progress("prepare", step, steps)

    slices = slices or Slices.draw(on_scan)
    device = next(network.parameters()).device
    freeze(network, "stem" if config.freeze == "trunk" else config.freeze)
    generator = torch.Generator(device).manual_seed(config.seed)

    def losses() -> Iterable[torch.Tensor]:
        for grey, labels in batches(slices, BATCH, CROP, np.random.default_rng(config.seed)):
            logits = drawn(network, torch.from_numpy(grey), generator)
            truth = torch.from_numpy(labels).to(device)
            yield balanced_point(logits, truth, INFECTED_WEIGHT)

    descend(network, losses(), steps, config.replace(schedule="cosine"), on_step)
    network.requires_grad_(True)


def _folder() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("alnb")


def _name(network: FCN8, config: Config, origin: str) -> str:
    """Hash all that the pretrained weights follow from."""
    what = {
        "version": VERSION,
        "backbone": network.backbone.name,
        "origin": origin,
        "bfloat16": network.mixed,
        "settings": [
            getattr(config, name)
            for name in (
                "pretrain_steps", "input_padding", "dropout", "learning_rate", "head_rate",
                "freeze", "seed",
            )
        ],
    }  # fmt: skip
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]


def _read(network: FCN8, path: Path) -> bool:
    """Load what was kept; false where there is none, or it can't be read."""
    try:
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError):
        return False
    return True
