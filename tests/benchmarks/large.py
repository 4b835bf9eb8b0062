"""A dataset of 100,000 slices: how long a person waits to open it, and for each question."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from alnb.asking import MOST, Asker
from alnb.config import Config
from alnb.dataset import Dataset, SliceId, embedded
from alnb.live import NUMBERS, STRIDE, Basis
from alnb.oracle import Oracle
from alnb.pool import Pool
from alnb.session import Session
from alnb.storage import features_path

from .speed import Measure

SCANS = 5000  # of 20 slices, 80 % of them to ask about
ANSWERS = 10


def measure_large(scans: int = SCANS) -> Iterator[Measure]:
    """Open a dataset of many scans, and answer before and after a network has published."""
    with tempfile.TemporaryDirectory() as inside:
        folder = Path(inside)
        _repeated(embedded(), folder / "data", scans)
        begin, before = time.perf_counter(), _resident_mb()
        dataset = Dataset.open(folder / "data")
        seconds, grown = time.perf_counter() - begin, _resident_mb() - before
        yield Measure(f"open {len(dataset.slices):,} slices", seconds, "s", 1.0)
        yield Measure("  memory that this takes", grown, "MB", 200.0)

        begin = time.perf_counter()
        session = Session.open(folder / "session", dataset, Config(asking="live"))
        asker = Asker(session, Pool(dataset, session.state.config))
        asker.ask()
        yield Measure("  first question", time.perf_counter() - begin, "s", 3.0)
        yield Measure("  next question, at random", _next_s(asker), "s", 0.2, "median")

        published = asker.order()
        _publish(published, dataset, session.cache)
        asker.use(Basis("noise"))
        asker.ask()  # reads the slices, as the background does
        note = f"median; of {len(published):,} slices that are published, {MOST:,} at most"
        yield Measure("  next question, by entropy", _next_s(asker), "s", 1.0, note)
        session.close()


def _next_s(asker: Asker) -> float:
    """Answer, and time the next question: its slice was looked at in the background."""
    taken, oracle = [], Oracle(asker.pool.dataset)
    for _ in range(ANSWERS):
        asker.session.submit(oracle.answer(asker.session.state.pending[0]))
        for region in asker.ahead:
            asker.pool.look(region.where)
        begin = time.perf_counter()
        asker.ask()
        taken.append(time.perf_counter() - begin)
    return float(np.median(taken))


def _repeated(dataset: Dataset, folder: Path, scans: int) -> None:
    """Make a dataset of a few scans under many names, whose files are the same."""
    manifest = json.loads((dataset.folder / "manifest.json").read_text(encoding="utf-8"))
    with (dataset.folder / "slices.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    names, lines, records = list(manifest["scans"]), [header], {}
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for n in range(scans):
        old, new = names[n % len(names)], f"scan_{n:05d}"
        records[new] = manifest["scans"][old]
        for kind in ("images", "masks"):
            os.link(dataset.folder / kind / f"{old}.npy", folder / kind / f"{new}.npy")
        part = "test" if n % 5 == 4 else "train"
        lines += [[new, z, part, infected] for scan, z, _, infected in rows if scan == old]
    table = "".join(",".join(line) + "\n" for line in lines).encode()
    (folder / "slices.csv").write_bytes(table)
    manifest |= {"scans": records, "slices_sha256": hashlib.sha256(table).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def _publish(slices: tuple[SliceId, ...], dataset: Dataset, cache: Path) -> None:
    """Publish noise, the same for all slices."""
    side = -(-dataset.size // STRIDE)
    noise = np.random.default_rng(1).normal(size=(side, side, NUMBERS)).astype(np.float16)
    first = None
    for where in slices:
        path = features_path(cache, "noise", where.scan, where.z)
        path.parent.mkdir(parents=True, exist_ok=True)
        if first is None:
            np.save(path, noise)
            first = path
        else:
            os.link(first, path)


def _resident_mb() -> float:
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6
