"""The live layer alone: its learning curve without any training, and how long it takes."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from alnb.annotation import Answer, Click, Verdict
from alnb.asking import Asker
from alnb.config import Config
from alnb.dataset import Dataset, SliceId, build, embedded
from alnb.dataset.split import fold
from alnb.live import NUMBERS, STRIDE, Basis, Live
from alnb.oracle import Oracle
from alnb.pool import Pool
from alnb.regions import grid
from alnb.session import Session
from alnb.storage import features_path
from alnb.volumes import Source, Volume

from .speed import Measure

SIZE, ANSWERS = 256, 300
MEASURED = (5, 10, 20, 40, 80)  # answers, where folds are many
POOLS = (60, 1600)  # slices to rank
FIT_MS, RANK_MS = 30.0, {60: 50.0, 1600: 1000.0}  # limits


def curves(
    data: Path | None, seeds: Sequence[int], answers: int, heuristics: Sequence[str], folds: int = 0
) -> Iterator[pd.DataFrame]:
    """Simulate labelling without training, and measure the whole test part after each answer.

    Parameters
    ----------
    data : Path or None
        A dataset's folder; None takes the embedded phantom.
    seeds : sequence of int
        Of network, questions and annotator.
    answers : int
    heuristics : sequence of str
    folds : int
        Instead of the test part, measure on so many folds of the train part in turn, after
        `MEASURED` answers. All folds share what is published.

    Yields
    ------
    DataFrame
        Of one run: heuristic, fold, seed, cost_s, regions, dice.
    """
    from alnb.training.trainer import Trainer

    whole = embedded() if data is None else Dataset.open(data)
    parts = [fold(whole, n, folds) for n in range(folds)] or [whole]
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            config = Config(asking="live", seed=seed)
            trainer = Trainer(whole, config, Path(folder, "cache"))
            test = () if folds else whole.part("test")
            trainer.publish([*whole.part("train"), *test], trainer.origin)
            for (number, dataset), heuristic in itertools.product(enumerate(parts), heuristics):
                own = config.replace(heuristic=heuristic)
                session = Session.open(Path(folder, f"{heuristic}{number}"), dataset, own)
                asker = Asker(session, Pool(dataset, session.state.config))
                asker.sample = dataset.part("test")
                basis = Basis(trainer.origin, learned=session.state.config.pretrain_steps > 0)
                asker.use(basis, cache=trainer.cache)
                asker.measure()
                oracle = Oracle(dataset, 100 * number + seed)
                for count in range(1, answers + 1):
                    if not asker.ask():
                        break
                    session.submit(oracle.answer(session.state.pending[0]))
                    if not folds or count in MEASURED:
                        asker.measure()
                rows = [sample.row() for sample in session.state.samples]
                session.close()
                yield pd.DataFrame(
                    [{"heuristic": heuristic, "fold": number, "seed": seed, **row} for row in rows],
                    columns=["heuristic", "fold", "seed", "cost_s", "regions", "dice"],
                )


def timings() -> Iterator[Measure]:
    """Time the fit with `ANSWERS` answers, and the ranking of small and large pools."""
    with tempfile.TemporaryDirectory() as folder:
        dataset = _noise(Path(folder, "data"), max(POOLS))
        _publish(dataset, Path(folder, "cache"))
        slices, config = dataset.part("train"), Config(asking="live")
        live = Live(dataset, config, Path(folder, "cache"), Basis("noise"))
        answers = [_answer(where, dataset.size, n) for n, where in enumerate(slices[:ANSWERS])]
        live.learn(answers)  # reads the answered cells, as the answers before have done
        taken = [_timed(live.learn, answers[:n]) for n in range(ANSWERS - 9, ANSWERS + 1)]
        what = f"live layer: fit with {ANSWERS} answers"
        yield Measure(what, _p95(taken), "ms", FIT_MS, "p95 of 10")
        for count in POOLS:
            live.score(slices[:count])  # reads the slices, as the question before has done
            taken = [_timed(live.score, slices[:count]) for _ in range(10)]
            what = f"live layer: ranking {count} slices of {SIZE}×{SIZE}"
            yield Measure(what, _p95(taken), "ms", RANK_MS[count], "p95 of 10")


def _timed(do: Callable[[Any], object], argument: object) -> float:
    """Time a call, in ms."""
    begin = time.perf_counter()
    do(argument)
    return 1000 * (time.perf_counter() - begin)


def _p95(taken: Sequence[float]) -> float:
    return float(np.percentile(taken, 95))


def _noise(folder: Path, slices: int) -> Dataset:
    voxels = np.random.default_rng(0).integers(0, 255, (slices, SIZE, SIZE), np.uint8)
    source = Source(file="noise.nii.gz", sha256="", shape=(SIZE, SIZE, slices))
    volume = Volume("noise", voxels, np.eye(4), source, "grey")
    return build([(volume, None)], folder, size=SIZE, split={"noise": "train"})


def _publish(dataset: Dataset, cache: Path) -> None:
    rng, side = np.random.default_rng(1), -(-dataset.size // STRIDE)
    for where in dataset.part("train"):
        path = features_path(cache, "noise", where.scan, where.z)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, rng.normal(size=(side, side, NUMBERS)).astype(np.float16))


def _answer(where: SliceId, size: int, n: int) -> Answer:
    regions = grid(where, (size, size), Config().regions_per_slice)
    region = regions[n % len(regions)]
    if n % 2:
        return Answer(region, Verdict.CLEAN)
    return Answer(region, Verdict.INFECTED, (Click(region.row + 3, region.col + 3),))
