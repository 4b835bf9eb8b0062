"""The network, its training and its uncertainty: the only place that knows torch.

`backbones` and `fcn8` are the network, `synthetic` and `pretrain` what it learns before any answer,
`features` what a frozen trunk makes of slices, `losses` and `fit` its training, `dropout` its
uncertainty, `judging` its prediction and what is chosen by it; `trainer.Trainer` puts them to use
on a dataset. Importing this package alone does not import torch.
"""

from __future__ import annotations

from typing import Protocol

from alnb.errors import AlnbError


class Cancelled(AlnbError):
    """A person stopped the training; nothing is lost."""


class Progress(Protocol):
    """Hears how far a stage has come; `worker.Progress` names the stages."""

    def __call__(self, stage: str, done: int, total: int, **numbers: float) -> None:
        """Take note of `done` of `total`, and of numbers such as ``loss``."""
        ...
