"""The runs of a small experiment on `squares`: two heuristics, by two seeds."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from fakes import FEW

from alnb.config import Config
from alnb.dataset import Dataset
from alnb.experiments.plan import EXPERIMENTS, Options
from alnb.experiments.run import PlannedRun, runs_of


def small_runs(
    dataset: Dataset,
    out: Path,
    config: Config = FEW,
    cycles: int = 2,
    seeds: Sequence[int] = (0, 1),
) -> tuple[PlannedRun, ...]:
    """Plan fig5 with few cycles."""
    return runs_of(EXPERIMENTS["fig5"](dataset, config, Options(cycles=cycles)), out, seeds)


def curves(runs: Sequence[PlannedRun]) -> list[list[dict[str, str]]]:
    """Read the curve of each run, without the seconds that it took."""
    texts = [(run.folder / "curve.csv").read_text() for run in runs]
    return [
        [
            {name: row[name] for name in row if name not in ("train_s", "score_s")}
            for row in csv.DictReader(text.splitlines())
        ]
        for text in texts
    ]
