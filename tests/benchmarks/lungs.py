"""What a search for the lungs leaves to ask about, and which infection it loses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from alnb.config import Config
from alnb.dataset import PARTS, Dataset, SliceId, embedded
from alnb.pool import Pool
from alnb.regions import in_lungs

from .speed import Measure


def asked_and_lost(dataset: Dataset, slices: tuple[SliceId, ...]) -> tuple[float, float]:
    """Return the share of regions that hold lung, and of infected pixels outside of them."""
    pool = Pool(dataset, Config())
    asked = total = infected = lost = 0
    for where in slices:
        regions = pool.regions(where)
        lungs = in_lungs(dataset.raw(where), regions, hu=dataset.unit(where) == "hu")
        asked, total = asked + int(lungs.sum()), total + len(regions)
        if dataset.has_masks:
            mask = dataset.mask(where)
            infected += int(mask.sum())
            outside = (region for region, lung in zip(regions, lungs, strict=True) if not lung)
            lost += sum(int(region.pixels(mask).sum()) for region in outside)
    return asked / total, lost / infected if infected else np.nan


def measure_lungs(data: Path | None) -> Iterator[Measure]:
    """Measure each part of a dataset; None takes the embedded phantom. Train is what is asked."""
    dataset = embedded() if data is None else Dataset.open(data)
    for part in PARTS:
        slices = dataset.part(part)
        if not slices:
            continue
        asked, lost = asked_and_lost(dataset, slices)
        limit = 1.0 if part == "train" else None
        note = f"{len(slices)} slices of {dataset.name}"
        yield Measure(f"{part}: regions that are asked", 100 * asked, "%", None, note)
        if not np.isnan(lost):
            yield Measure(f"{part}: infected pixels outside", 100 * lost, "%", limit, note)
