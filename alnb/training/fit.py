"""Training on point labels."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from alnb.config import Resolved
from alnb.regions import Region
from alnb.training.fcn8 import FCN8
from alnb.training.losses import LOSSES, distillation, gated_crf
from alnb.training.validation import Judge, Judgement

WARM_UP = 10  # ours: steps until the learning rate is reached, with `cosine`


Cut = tuple[Tensor, Tensor, Tensor | None]  # grey levels, labels, what was believed


@dataclass(frozen=True, slots=True)
class Labelled:
    """A slice and what was answered on it.

    Parameters
    ----------
    grey : (H, W) uint8 tensor
    labels : (H, W) int8 tensor
        As `arrays.PointLabels`.
    regions : tuple of Region
        That were answered; at least one.
    believed : (H, W) float tensor or None
        Infection probabilities of the network before any answer; all slices have them or none.
    """

    grey: Tensor
    labels: Tensor
    regions: tuple[Region, ...]
    believed: Tensor | None = None

    def cut(self, rows: slice, cols: slice) -> Cut:
        """Return a part of it."""
        believed = None if self.believed is None else self.believed[rows, cols]
        return self.grey[rows, cols], self.labels[rows, cols], believed


Item = tuple[Labelled, Region | None]
OnStep = Callable[[int, int, float], None]


@dataclass(frozen=True, slots=True)
class Trained:
    """What `train` did: steps taken, mean loss of the last tenth, judgement of what was kept."""

    steps: int
    loss: float
    judgement: Judgement


def freeze(network: FCN8, part: str) -> None:
    """Keep a part of the trunk as it came: ``none``, or its ``stem`` up to stride 4."""
    if part == "stem":
        for parameter in network.trunk.stem_parameters():
            parameter.requires_grad_(False)


def train(
    network: FCN8,
    slices: Sequence[Labelled],
    config: Resolved,
    judge: Judge,
    on_step: OnStep = lambda step, steps, loss: None,
    *,
    keep: float = 0.0,
) -> Trained:
    """Train a network in place, and leave in it the weights that were judged best.

    BatchNorm stays in eval mode; dropout is drawn explicitly, from the config's seed.

    Parameters
    ----------
    network : FCN8
    slices : non-empty sequence of Labelled
    config : Resolved
        Loss, optimizer, steps, seed.
    judge : callable
        Called after each epoch, or at the end alone if the learning rate falls; of equal
        judgements the last counts.
    on_step : callable
        Called after each step with its number, their total and its loss; may raise to stop.
    keep : float
        Share of each weight, in [0, 1), that stays as it was before: after the last step the
        network goes back so far on the straight way it came, and is judged there. What few
        answers teach by chance weighs less then (Wortsman et al. 2022, WiSE-FT, arXiv 2109.01903).
    """
    network.eval()  # BatchNorm; dropout is explicit
    freeze(network, config.freeze)
    items = _items(slices, config.crop)
    steps, checks = _plan(len(items), config)
    best, state = Judgement(-math.inf, 0.5), network.state_dict()
    before = copy.deepcopy(state) if keep else {}

    def after(step: int, loss: float) -> None:
        nonlocal best, state
        on_step(step, steps, loss)
        if step == steps and keep:
            _go_back(network, before, keep)
        if step in checks:
            judgement = judge(network)
            if judgement.score >= best.score:
                best, state = judgement, copy.deepcopy(network.state_dict())

    losses = descend(network, _losses(network, items, config), steps, config, after)
    network.load_state_dict(state)
    return Trained(steps, float(np.mean(losses[-max(1, steps // 10) :])), best)


@torch.no_grad()
def _go_back(network: FCN8, before: Mapping[str, Tensor], share: float) -> None:
    """Move each weight a share of the way back to what it was."""
    for name, parameter in network.named_parameters():
        parameter.lerp_(before[name], share)


def descend(
    network: FCN8,
    losses: Iterable[Tensor],
    steps: int,
    config: Resolved,
    after: Callable[[int, float], None],
) -> list[float]:
    """Take Adam's steps down a stream of losses.

    Parameters
    ----------
    network : FCN8
        Whose parameters that want a gradient are changed, in place.
    losses : iterable of () tensor
        One is computed for each step, with the network as it is then; at least `steps` of them.
    steps : int
    config : Resolved
        Rates and schedule.
    after : callable
        Called after each step with its number and loss; may raise to stop.

    Returns
    -------
    list of float
        The loss of each step.
    """
    optimizer = torch.optim.Adam(_groups(network, config), fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _rate(step, steps) if config.schedule == "cosine" else 1.0
    )
    values: list[float] = []
    for step, loss in zip(range(1, steps + 1), losses, strict=False):
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        values.append(loss.item())
        after(step, values[-1])
    return values


def _losses(network: FCN8, items: Sequence[Item], config: Resolved) -> Iterator[Tensor]:
    device = next(network.parameters()).device
    generator = torch.Generator(device).manual_seed(config.seed)
    for grey, labels, believed in _batches(items, config, np.random.default_rng(config.seed)):
        yield _loss(network, grey, labels.to(device), believed, config, generator)


def _groups(network: FCN8, config: Resolved) -> list[dict[str, Any]]:
    """Give the layers behind the trunk, most of which start untrained, their own rate."""
    trained = [(n, p) for n, p in network.named_parameters() if p.requires_grad]
    trunk = [p for name, p in trained if name.startswith("trunk.")]
    head = [p for name, p in trained if not name.startswith("trunk.")]
    return [
        {"params": trunk, "lr": config.learning_rate},
        {"params": head, "lr": config.learning_rate * config.head_rate},
    ]


def _plan(slices: int, config: Resolved) -> tuple[int, set[int]]:
    """Count the steps, and say after which of them the network is judged.

    At a constant rate after each epoch, as the paper does; a falling rate makes the last the best.
    """
    an_epoch = math.ceil(slices / config.batch)
    steps = config.epochs * an_epoch
    if config.steps is not None:
        steps = min(steps, config.steps)
    if config.schedule == "cosine":
        return steps, {steps}
    return steps, {*range(an_epoch, steps, an_epoch), steps}


def _rate(step: int, steps: int) -> float:
    """Warm up, then fall to 0 along a cosine; in (0, 1]."""
    warm = min(1.0, (step + 1) / WARM_UP)
    return warm * (1 + math.cos(math.pi * step / steps)) / 2


def _items(slices: Sequence[Labelled], crop: int | None) -> list[Item]:
    """List what an epoch goes through: whole slices, or answered regions with what is around."""
    if crop is None:
        return [(one, None) for one in slices]
    return [(one, region) for one in slices for region in one.regions]


def _batches(items: Sequence[Item], config: Resolved, rng: np.random.Generator) -> Iterator[Cut]:
    """Deal B slices with (B, h, w) labels for ever, each once an epoch, half of them mirrored."""
    waiting: list[int] = []
    while True:
        while len(waiting) < config.batch:
            waiting += rng.permutation(len(items)).tolist()
        dealt, waiting = waiting[: config.batch], waiting[config.batch :]
        cuts = [_cut(*items[i], config.crop, rng) for i in dealt]
        turned = [
            _mirrored(cut) if flip else cut
            for cut, flip in zip(cuts, rng.random(len(cuts)) < 0.5, strict=True)
        ]
        grey, labels, believed = zip(*turned, strict=True)
        known = [one for one in believed if one is not None]
        yield torch.stack(grey), torch.stack(labels), torch.stack(known) if known else None


def _mirrored(cut: Cut) -> Cut:
    grey, labels, believed = cut
    return grey.flip(-1), labels.flip(-1), None if believed is None else believed.flip(-1)


def _cut(one: Labelled, region: Region | None, crop: int | None, rng: np.random.Generator) -> Cut:
    """Cut a square of `crop` pixels at a random place around a region, or take the slice."""
    if region is None or crop is None:
        return one.grey, one.labels, one.believed
    height, width = one.labels.shape
    return one.cut(
        _span(region.row, region.height, crop, height, rng),
        _span(region.col, region.width, crop, width, rng),
    )


def _span(start: int, length: int, crop: int, whole: int, rng: np.random.Generator) -> slice:
    """Place `crop` pixels of `whole` so that they hold a stretch, or lie in it if it is longer."""
    crop = min(crop, whole)
    ends = sorted((start, start + length - crop))
    low, high = max(ends[0], 0), min(ends[1], whole - crop)
    begin = int(rng.integers(low, high + 1))
    return slice(begin, begin + crop)


def _loss(
    network: FCN8,
    grey: Tensor,
    labels: Tensor,
    believed: Tensor | None,
    config: Resolved,
    generator: torch.Generator,
) -> Tensor:
    logits = drawn(network, grey, generator)
    loss = LOSSES[config.loss](config)(logits, labels)
    if config.crf > 0:
        loss = loss + config.crf * gated_crf(logits, grey.to(logits.device))
    if config.distil > 0 and believed is not None:
        loss = loss + config.distil * distillation(logits, labels, believed.to(logits.device))
    return loss


def drawn(network: FCN8, grey: Tensor, generator: torch.Generator) -> Tensor:
    """Compute the logits of a batch under dropout masks drawn for it, (B, 2, H, W)."""
    features = network.features_of_grey(grey)
    return network.tail(features, network.draw_masks(features, generator))
