"""The network, its training and its uncertainty: the only room that knows torch.

`backbones` and `fcn8` are the network. `pretrain` teaches it from synthetic scans, `losses` and
`fit` from answers; `validation` holds answers out and chooses the threshold. `dropout` is its
uncertainty, and `features` is what the live layer learns on. `checkpoints` keeps the weights.
`trainer.Trainer` puts all of it to use on a dataset, and `process` runs a trainer for the label
app. Importing this package does not import torch.
"""

from __future__ import annotations

from typing import Protocol

from alnb.errors import AlnbError


class Cancelled(AlnbError):
    """A person stopped the training; nothing is lost."""


class OnProgress(Protocol):
    """Hears how far a stage has come; `worker.Progress` names the stages."""

    def __call__(self, stage: str, done: int, total: int, **numbers: float) -> None:
        """Take note of `done` of `total`, and of numbers such as ``loss``."""
        ...
