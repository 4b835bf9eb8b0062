"""Ours against what else could be done: MC dropout three ways, and a pass in other ways.

The naive loop is what published code does: the whole network runs T times with ``nn.Dropout``
on. It gets our network's weights, modules and memory layout, so that only the method differs.
"""

from __future__ import annotations

import contextlib
import copy
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from alnb.config import PAPER, Config
from alnb.training.dropout import fold, mc_dropout, probability
from alnb.training.fcn8 import FCN8
from alnb.training.losses import point_ce

SIZE = 352  # paper 4.1, in pixels
DRAWS = 20
EMBEDDED, EMBEDDED_SIZE = "efficientnet_lite0", 256
PAIRS = 2  # of timings, one after the other, so that a noisy machine slows both
Figure = tuple[str, float | None, str, str]  # what, value, unit, note


class Naive(nn.Module):
    """The same network with its dropouts as modules, as published code has it.

    Parameters
    ----------
    network : FCN8
        Its modules are shared.
    """

    def __init__(self, network: FCN8) -> None:
        super().__init__()
        self.network = network
        self.drop6 = nn.Dropout(network.dropout)
        self.drop7 = nn.Dropout(network.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of a normalised image, (B, 3, H, W) to (B, 2, H, W)."""
        features = self.network.features(x)
        hidden = torch.relu(self.network.fc7(self.drop6(features.fc6)))
        return self.network.scores(self.drop7(hidden), features)


def time_scoring() -> Iterator[Figure]:
    """Time the posterior of one slice by each method, at both paddings; yields figures."""
    for padding in (100, 0):
        network = _network(padding)
        image = torch.randn(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
        image = image.to(next(network.parameters()).device)
        seconds = _interleaved(_methods(network, image))
        what = f"a slice of {SIZE}×{SIZE}, {DRAWS} draws, padding {padding}"
        ours = statistics.median(seconds["alnb"])
        yield f"{what}: alnb", ours, "s", f"FCN8-VGG16 on {_device()}"
        for rival in ("naive", "baal"):
            if rival not in seconds:
                yield (
                    f"  {rival} loop, padding {padding}",
                    None,
                    "×",
                    "pip install baal to measure it",
                )
                continue
            pairs = zip(seconds[rival], seconds["alnb"], strict=True)
            ratios = [theirs / mine for theirs, mine in pairs]
            note = f"{statistics.median(seconds[rival]):.1f} s, {len(ratios)} pairs"
            yield f"  {rival} loop, padding {padding}", statistics.median(ratios), "×", note


def time_steps() -> Iterator[Figure]:
    """Time a training step of the paper's network and of the embedded default."""
    default = Config()
    size = default.crop or SIZE
    for name, network, batch, side in (
        ("FCN8-VGG16, padding 100, 1 slice", _network(100), PAPER.batch, SIZE),
        ("embedded default", _network(0, EMBEDDED), default.batch, size),
    ):
        seconds = _step_s(network, batch, side)
        note = f"batch of {batch} at {side}×{side}, {_device()}"
        yield f"a training step: {name}", seconds, "s", note


def time_choices() -> Iterator[Figure]:
    """Time one pass in the layout and precision that we chose, and in others; yields figures."""
    networks = (("FCN8-VGG16", "vgg16", SIZE), ("embedded default", EMBEDDED, EMBEDDED_SIZE))
    for name, backbone, side in networks:
        network = _network(0, backbone)
        image = torch.zeros(1, 3, side, side, device=next(network.parameters()).device)
        plain = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
        mixed = copy.deepcopy(network)
        mixed.mixed = True
        yield from _against("ours", network, image, {
            f"a pass of {name} with its layout contiguous": plain,
            f"a pass of {name} in bfloat16": mixed,
        })  # fmt: skip
        yield from _compiled(name, network, image)


def _against(
    ours: str, network: nn.Module, image: Tensor, others: dict[str, nn.Module]
) -> Iterator[Figure]:
    """Time passes of other networks beside those of ours, in turns."""
    passes = {what: _pass(other, image) for what, other in {ours: network, **others}.items()}
    seconds = _interleaved(passes)
    for what in others:
        ratios = [theirs / mine for theirs, mine in zip(seconds[what], seconds[ours], strict=True)]
        yield what, statistics.median(ratios), "×", f"ours {statistics.median(seconds[ours]):.3f} s"


def _pass(network: nn.Module, image: Tensor) -> Callable[[], object]:
    @torch.inference_mode()
    def once() -> object:
        return network(image)

    return once


def _compiled(name: str, network: FCN8, image: Tensor) -> Iterator[Figure]:
    """Time torch.compile's start, with nothing kept from before, and a pass after it."""
    what = f"torch.compile of {name}"
    with tempfile.TemporaryDirectory() as folder:
        with mock.patch.dict(os.environ, TORCHINDUCTOR_CACHE_DIR=folder):
            compiled: Any = torch.compile(network)
            try:
                start = _time(_pass(compiled, image))
            except Exception as error:  # no compiler, mostly
                yield what, None, "s", f"it fails here ({type(error).__name__})"
                return
        yield f"{what} takes to start", start, "s", _device()
        yield from _against("ours", network, image, {f"a pass of {name} compiled": compiled})


def _device() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"CPU, {torch.get_num_threads()} threads"


def _network(padding: int, backbone: str = "vgg16") -> FCN8:
    """Build a network with random weights, of which no figure here depends."""
    network = FCN8(backbone, 2, padding).eval()
    network = network.to("cuda" if torch.cuda.is_available() else "cpu")
    return network.to(memory_format=torch.channels_last)


def _methods(network: FCN8, image: Tensor) -> dict[str, Callable[[], object]]:
    naive = Naive(network)
    naive.drop6.train()
    naive.drop7.train()

    @torch.inference_mode()
    def whole_passes() -> object:
        return fold(probability(naive(image))[0] for _ in range(DRAWS))

    generator = torch.Generator(image.device).manual_seed(0)
    methods: dict[str, Callable[[], object]] = {
        "naive": whole_passes,
        "alnb": lambda: mc_dropout(network, image, DRAWS, generator),
    }
    with contextlib.suppress(ImportError):
        methods["baal"] = _baal(Naive(network), image)
    return methods


def _baal(network: nn.Module, image: Tensor) -> Callable[[], object]:
    """Let baal patch the dropouts and draw; its replicas of the image would fill the memory."""
    from baal.bayesian.dropout import patch_module
    from baal.modelwrapper import ModelWrapper, TrainingArgs

    wrapped = ModelWrapper(
        patch_module(network.eval(), inplace=False),
        TrainingArgs(use_cuda=image.is_cuda, replicate_in_memory=False),
    )

    def draw() -> object:
        logits = wrapped.predict_on_batch(image, iterations=DRAWS)[0]  # (2, H, W, T)
        return fold(probability(logits.permute(3, 0, 1, 2)))

    return draw


def _interleaved(methods: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Time the methods in turns, after an untimed turn of each but the long ones."""
    for name in methods.keys() - {"naive", "baal"}:
        methods[name]()
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(PAIRS):
        for name, method in methods.items():
            seconds[name].append(_time(method))
    return seconds


def _time(method: Callable[[], object]) -> float:
    begin = time.perf_counter()
    method()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def _step_s(network: FCN8, batch: int, side: int) -> float:
    device = next(network.parameters()).device
    grey = torch.zeros(batch, side, side, dtype=torch.uint8, device=device)
    labels = torch.zeros(batch, side, side, dtype=torch.int8, device=device)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-6, fused=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        features = network.features(network.normalise(grey))
        masks = network.draw_masks(features, None)
        point_ce(network.tail(features, masks), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    step()
    return statistics.median(_time(step) for _ in range(3))
