"""The outline that follows a click: its Dice in the region, by how much a click counts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from alnb.annotation import Click, Verdict
from alnb.arrays import Mask
from alnb.config import Config
from alnb.dataset import Dataset, embedded
from alnb.live import Basis, Live, layer
from alnb.oracle import Oracle
from alnb.pool import Pool
from alnb.regions import Region
from alnb.session import Session

WORTHS = (0.3, 1.0, 2.0, 4.0, 8.0, 16.0)  # 0.3: as once the region is answered


def outline_dice(data: Path | None, regions: int, seed: int = 0) -> Iterator[dict[str, float]]:
    """Click once in infected regions of the train part, and compare what is outlined then.

    No other answer was given, as at a session's first infected region.

    Parameters
    ----------
    data : Path or None
        A dataset's folder; None takes the embedded phantom.
    regions : int
        How many are drawn, at most.
    seed : int
        Of the draw, and of the clicks.

    Yields
    ------
    dict
        ``worth`` (0: without the click), ``regions``, mean ``dice`` with the half width of its 95 %
        interval over regions, ``inside``: the share of clicks beside the outline without them that
        lie inside it with them.
    """
    from alnb.training.trainer import Trainer

    dataset = embedded() if data is None else Dataset.open(data)
    with tempfile.TemporaryDirectory() as folder:
        session = Session.open(Path(folder), dataset, Config(asking="live", seed=seed))
        config = session.state.config
        session.close()
    oracle, drawn = Oracle(dataset, seed), _infected(dataset, config, regions, seed)
    clicks = [oracle.answer(region).clicks for region in drawn]
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(dataset, config, Path(folder))
        trainer.publish(sorted({region.where for region in drawn}), trainer.origin)
        basis = Basis(trainer.origin, learned=config.pretrain_steps > 0)
        live = Live(dataset, config, Path(folder), basis)
        before = [_outlined(live, region, ()) for region in drawn]
        yield _row(dataset, 0.0, drawn, before, [])
        missed = [n for n, (one,) in enumerate(clicks) if not before[n][one.pixel]]
        for worth in WORTHS:
            layer.MARKED = worth
            after = [_outlined(live, *marked) for marked in zip(drawn, clicks, strict=True)]
            found = [bool(after[n][clicks[n][0].pixel]) for n in missed]
            yield _row(dataset, worth, drawn, after, found)


def _infected(dataset: Dataset, config: Config, count: int, seed: int) -> list[Region]:
    pool, oracle = Pool(dataset, config), Oracle(dataset, seed)
    order = np.random.default_rng(seed).permutation(len(pool.slices))
    found: list[Region] = []
    for number in order.tolist():
        cells = pool.regions(pool.slices[number])
        found += [one for one in cells if oracle.answer(one).verdict is Verdict.INFECTED]
    return [found[n] for n in np.random.default_rng(seed).permutation(len(found))[:count].tolist()]


def _outlined(live: Live, region: Region, clicks: Sequence[Click]) -> Mask:
    """Return the slice's pixels that are outlined in a region."""
    live.learn((), (region, clicks) if clicks else None)
    inside: Mask = region.drawn(live.infection(region.where).shape)
    return inside & (live.infection(region.where) > 0.5)


def _row(
    dataset: Dataset,
    worth: float,
    regions: Sequence[Region],
    outlined: Sequence[Mask],
    found: Sequence[bool],
) -> dict[str, float]:
    dice = []
    for region, mask in zip(regions, outlined, strict=True):
        true = region.drawn(mask.shape) & dataset.mask(region.where)
        dice.append(2 * (mask & true).sum() / (mask.sum() + true.sum()))
    half = 1.96 * np.std(dice) / np.sqrt(len(dice))
    return {
        "worth": worth, "regions": len(dice), "dice": round(float(np.mean(dice)), 4),
        "half_width": round(float(half), 4),
        "inside": round(float(np.mean(found)), 3) if found else float("nan"),
    }  # fmt: skip


def write_outlines(out: Path, data: Path | None, regions: int, seeds: int) -> Path:
    """Write the table of several seeds, and return its path."""
    rows = [{"seed": s, **row} for s in range(seeds) for row in outline_dice(data, regions, s)]
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{'phantom' if data is None else data.name}_outlines.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path
