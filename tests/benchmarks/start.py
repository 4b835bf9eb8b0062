"""The start that comes with alnb: made here, and compared with what it was rounded from."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from alnb.config import Config
from alnb.dataset import PARTS, Dataset, Part
from alnb.metrics import Scores
from alnb.training.fcn8 import FCN8
from alnb.training.pretrain import SHIPPED, name_of, ship, shipped_name
from alnb.training.trainer import Trainer

from .speed import Measure

LARGEST_MIB, MOST_APART = 10.0, 0.002


def make_start(data: Path) -> Iterator[Measure]:
    """Learn the start of the default settings, write it into the package, and measure both.

    Parameters
    ----------
    data : Path
        A dataset of real scans with masks, from which nothing is learned.
    """
    dataset = Dataset.open(data)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(dataset, Config(), Path(folder), "cpu")
        SHIPPED.unlink(missing_ok=True)
        shipped_name.cache_clear()
        learned = trainer.networks.fresh()
        ship(learned, name_of(learned, trainer.config, "ImageNet", mixed=False))
        shipped_name.cache_clear()
        rounded = trainer.networks.fresh()
        size = SHIPPED.stat().st_size / 2**20
        yield Measure(f"{SHIPPED.name}", size, "MiB", LARGEST_MIB, shipped_name())
        for part in PARTS:
            if dataset.part(part):
                yield from _compared(trainer, part, learned, rounded)


def _compared(trainer: Trainer, part: Part, learned: FCN8, rounded: FCN8) -> Iterator[Measure]:
    dataset, threshold = trainer.dataset, trainer.config.threshold
    dices = []
    for network in (learned, rounded):
        scores = Scores()
        for where in dataset.part(part):
            infected = trainer._infected(network, where) >= threshold
            scores += Scores.of(infected, dataset.mask(where))
        dices.append(scores.dice)
    note = f"{dices[1]:.4f} and {dices[0]:.4f} as learned, {part} part of {dataset.name}"
    yield Measure("Dice, apart", abs(dices[0] - dices[1]), "", MOST_APART, note)
