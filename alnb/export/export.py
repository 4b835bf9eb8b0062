"""What a session leaves for other tools: answers, curve, journal, network and its masks."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alnb.annotation import Answer
from alnb.arrays import INFECTED
from alnb.dataset import Dataset
from alnb.errors import AlnbError, SessionError
from alnb.export.coco import write_coco
from alnb.export.model_card import card
from alnb.journal import Event, Journal
from alnb.reports import curve_table
from alnb.session import labelled_dataset
from alnb.state import State, state_of


def export(session: Path, out: Path, data: Path | None = None) -> Iterator[Path]:
    """Write a session's answers, its curve and its network's masks.

    Parameters
    ----------
    session : Path
        The session's folder; it is read, and may be open elsewhere.
    out : Path
        Gets ``answers.csv`` (a row for each click or vertex, and one for each answer without; an
        answer that was corrected or repeated since has ``stands`` false),
        ``curve.csv``, ``journal.jsonl``, and ``coco`` (see `coco.write_coco`). Where there is a
        network in the session's cache it also gets ``weights.safetensors`` with
        ``MODEL_CARD.md``, and the masks of every slice: ``masks/SCAN.nii.gz`` on the grid of each
        source file and ``png/SCAN/SLICE.png``, 255 for infected, on that grid's slices as shown.
    data : Path, optional
        The dataset's folder; None takes the one that the journal names.

    Yields
    ------
    Path
        Each file, once it is written; of pictures their folder.

    Raises
    ------
    SessionError
        If there is no session in the folder.
    DataError
        If the dataset isn't there any more, or is another.
    """
    import pandas as pd

    events = Journal.open(session / "journal.jsonl").events
    if not events:
        raise SessionError(f"{session} holds no session: there is no journal.jsonl in it.")
    state = state_of(events)
    out.mkdir(parents=True, exist_ok=True)
    standing = {id(answer) for answer in state.answers}
    rows = [row for answer in state.given for row in _rows(answer, id(answer) in standing)]
    pd.DataFrame(rows, columns=list(_COLUMNS)).to_csv(out / "answers.csv", index=False)
    yield out / "answers.csv"
    curve_table(state.reports, state.config.seed).to_csv(out / "curve.csv", index=False)
    yield out / "curve.csv"
    (out / "journal.jsonl").write_text("".join(event.line() for event in events), "utf-8")
    yield out / "journal.jsonl"
    yield from _network(state, events, session / "cache", out)
    lacking = "the keypoints and the masks"
    try:
        dataset = labelled_dataset(events, data)
        yield write_coco(dataset, state.answers, out / "coco")
        lacking = "the masks"
        if state.fit is not None:
            yield from _masks(dataset, state, session / "cache", out)
    except AlnbError as error:
        raise type(error)(f"the tables are whole, but {lacking} are missing: {error}") from error


_COLUMNS = (
    "scan", "slice", "region", "verdict", "row", "col", "label", "seconds", "annotator",
    "outline",  # which of the region's outlines a vertex belongs to
    "stands",  # whether the network learns from it
)  # fmt: skip


def _rows(answer: Answer, stands: bool) -> list[tuple[object, ...]]:
    where = answer.region.where
    head = (where.scan, where.z, answer.region.key, str(answer.verdict))
    tail = (answer.seconds, answer.annotator)
    if not answer.points:
        return [(*head, None, None, None, *tail, None, stands)]
    return [
        *(
            (*head, click.row, click.col, click.label, *tail, None, stands)
            for click in answer.clicks
        ),
        *(
            (*head, row, col, INFECTED, *tail, number, stands)
            for number, outline in enumerate(answer.outlines, 1)
            for row, col in outline
        ),
    ]


def _network(state: State, events: Sequence[Event], cache: Path, out: Path) -> Iterator[Path]:
    """Write the last weights and their card; where they are gone, `_masks` says so."""
    from alnb.training.checkpoints import WeightsCache

    kept = WeightsCache(cache)
    if state.fit is None or kept.report(state.fit.weights) is None:
        return
    partial = out / "partial-weights.safetensors"
    shutil.copyfile(kept.path(state.fit.weights), partial)
    yield partial.replace(out / "weights.safetensors")
    (out / "MODEL_CARD.md").write_text(card(state, events[0].data), "utf-8")
    yield out / "MODEL_CARD.md"


def _masks(dataset: Dataset, state: State, cache: Path, out: Path) -> Iterator[Path]:
    from alnb.training.trainer import Trainer

    assert state.fit is not None  # noqa: S101 - the caller looked
    (out / "masks").mkdir(exist_ok=True)
    trainer = Trainer(dataset, state.config, cache)
    for scan in dataset.scans:
        slices = [where for where in dataset.slices if where.scan == scan]
        masks = np.zeros((len(slices), dataset.size, dataset.size), np.uint8)
        for index, (_, infected) in enumerate(trainer.segment(slices, state.fit.weights)):
            masks[index] = infected
        path = out / "masks" / f"{scan}.nii.gz"
        dataset.write_mask(path, scan, masks)
        yield path
        yield _pictures(dataset.to_source(scan, masks), out / "png" / scan)


def _pictures(masks: NDArray[np.uint8], folder: Path) -> Path:
    """Write the masks of a scan, (Z, Y, X), as a PNG each."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    for z, mask in enumerate(masks):
        Image.fromarray(mask * np.uint8(255)).save(folder / f"{z:03d}.png")
    return folder
