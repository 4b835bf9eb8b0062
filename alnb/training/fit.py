"""Training on answers: batches of slices or crops, the losses of their labels, Adam's steps."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from alnb.config import Resolved
from alnb.regions import Region
from alnb.training.fcn8 import FCN8
from alnb.training.losses import LOSSES, distillation, gated_crf
from alnb.training.validation import Validate, Validation

WARM_UP = 10  # ours: steps until the learning rate is reached, with `cosine`

Cut = tuple[Tensor, ...]  # grey levels, labels and, where it is known, the prior prediction


@dataclass(frozen=True, slots=True)
class Labelled:
    """A slice and the answers on it.

    `prior_prediction` are the infection probabilities before any answer; all slices have them or
    none.
    """

    grey: Tensor  # (H, W) uint8
    labels: Tensor  # (H, W) int8, as `arrays.PointLabels`
    regions: tuple[Region, ...]  # those answered; at least one
    prior_prediction: Tensor | None = None  # (H, W) float

    @property
    def maps(self) -> Cut:
        """All that is cut out together."""
        prior = () if self.prior_prediction is None else (self.prior_prediction,)
        return self.grey, self.labels, *prior


Item = tuple[Labelled, Region | None]
OnStep = Callable[[int, int, float], None]


@dataclass(frozen=True, slots=True)
class Trained:
    """What `train` did: steps taken, mean loss of the last tenth, validation of what was kept."""

    steps: int
    loss: float
    validation: Validation


def freeze(network: FCN8, config: Resolved) -> None:
    """Stop the gradient of the trunk up to stride 4 if that is set."""
    if config.freeze == "stem":
        for parameter in network.trunk.stem_parameters():
            parameter.requires_grad_(False)


def train(
    network: FCN8,
    slices: Sequence[Labelled],
    config: Resolved,
    validate: Validate,
    on_step: OnStep = lambda step, steps, loss: None,
    *,
    keep: float = 0.0,
) -> Trained:
    """Train a network in place, and leave in it the weights that validated best.

    BatchNorm stays in eval mode; dropout is drawn explicitly, from the config's seed.

    Parameters
    ----------
    network : FCN8
    slices : non-empty sequence of Labelled
    config : Resolved
        Loss, optimizer, steps, seed.
    validate : callable
        Called after each epoch, or only at the end if the learning rate falls. Of equal scores
        the last counts.
    on_step : callable
        Called after each step with its number, their total and its loss; may raise to stop.
    keep : float
        Share in [0, 1): after the last step each weight goes so far back to its value before the
        training, and the network is validated there. What few answers teach by chance weighs
        less then (Wortsman et al. 2022, WiSE-FT, arXiv 2109.01903).
    """
    network.eval()  # BatchNorm; dropout is explicit
    freeze(network, config)
    items: list[Item] = [  # of an epoch: whole slices, or answered regions to be cut out
        (one, region) for one in slices for region in (one.regions if config.crop else (None,))
    ]
    steps, checks = _plan(len(items), config)
    best, state = Validation(-math.inf, 0.5), network.state_dict()
    before = copy.deepcopy(state) if keep else {}

    def after(step: int, loss: float) -> None:
        nonlocal best, state
        on_step(step, steps, loss)
        if step == steps and keep:
            with torch.no_grad():
                for name, parameter in network.named_parameters():
                    parameter.lerp_(before[name], keep)
        if step in checks:
            found = validate(network)
            if found.score >= best.score:
                best, state = found, copy.deepcopy(network.state_dict())

    losses = descend(network, _losses(network, items, config), steps, config, after)
    network.load_state_dict(state)
    return Trained(steps, float(np.mean(losses[-max(1, steps // 10) :])), best)


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
        Changed in place, where parameters want a gradient.
    losses : iterable of () tensor
        At least `steps`; each is computed before its step, with the network as it is then.
    steps : int
    config : Resolved
        Rates and schedule.
    after : callable
        Called after each step with its number and loss; may raise to stop.

    Returns
    -------
    list of float
        Losses, one a step.
    """
    trained = [(n, p) for n, p in network.named_parameters() if p.requires_grad]
    trunk = [p for name, p in trained if name.startswith("trunk.")]
    rest = [p for name, p in trained if not name.startswith("trunk.")]  # mostly untrained yet
    rate = config.learning_rate
    groups = [{"params": trunk, "lr": rate}, {"params": rest, "lr": rate * config.head_rate}]
    optimizer = torch.optim.Adam(groups, fused=True)
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
    for grey, labels, *prior in _batches(items, config, np.random.default_rng(config.seed)):
        labels = labels.to(device)
        logits = drawn(network, grey, generator)
        loss = LOSSES[config.loss](config)(logits, labels)
        if config.crf > 0:
            loss = loss + config.crf * gated_crf(logits, grey.to(device))
        if config.distil > 0 and prior:
            loss = loss + config.distil * distillation(logits, labels, prior[0].to(device))
        yield loss


def _plan(slices: int, config: Resolved) -> tuple[int, set[int]]:
    """Count the steps, and say after which of them the network is validated.

    At a constant rate after each epoch, as in the paper; a falling rate makes the last the best.
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


def _batches(items: Sequence[Item], config: Resolved, rng: np.random.Generator) -> Iterator[Cut]:
    """Deal B slices with (B, h, w) labels for ever, each once an epoch, half of them mirrored."""
    waiting: list[int] = []
    while True:
        while len(waiting) < config.batch:
            waiting += rng.permutation(len(items)).tolist()
        dealt, waiting = waiting[: config.batch], waiting[config.batch :]
        cuts = [_cut(*items[i], config.crop, rng) for i in dealt]
        turned = [
            tuple(m.flip(-1) for m in cut) if flip else cut
            for cut, flip in zip(cuts, rng.random(len(cuts)) < 0.5, strict=True)
        ]
        yield tuple(torch.stack(maps) for maps in zip(*turned, strict=True))


def _cut(one: Labelled, region: Region | None, crop: int | None, rng: np.random.Generator) -> Cut:
    """Cut a square of `crop` pixels at a random place around a region, or take the slice."""
    if region is None or crop is None:
        return one.maps
    height, width = one.labels.shape
    rows = _span(region.row, region.height, crop, height, rng)
    cols = _span(region.col, region.width, crop, width, rng)
    return tuple(m[rows, cols] for m in one.maps)


def _span(start: int, length: int, crop: int, whole: int, rng: np.random.Generator) -> slice:
    """Place `crop` pixels of `whole` so that they hold a stretch, or lie in it if it is longer."""
    crop = min(crop, whole)
    ends = sorted((start, start + length - crop))
    low, high = max(ends[0], 0), min(ends[1], whole - crop)
    begin = int(rng.integers(low, high + 1))
    return slice(begin, begin + crop)


def drawn(network: FCN8, grey: Tensor, generator: torch.Generator) -> Tensor:
    """Compute the logits of a batch under dropout masks drawn for it.

    Parameters
    ----------
    network : FCN8
    grey : (B, H, W) uint8 tensor
    generator : torch.Generator
        On the network's device.
    """
    features = network.features(network.normalise(grey))
    return network.tail(features, network.draw_masks(features, generator))
