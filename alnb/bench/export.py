"""What a session leaves for other tools: clicks and curve as tables, predicted masks as NIfTI."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from alnb.annotation import Answer
from alnb.arrays import INFECTED
from alnb.dataset import Dataset
from alnb.errors import AlnbError, SessionError
from alnb.journal import Journal, live
from alnb.reports import curve_table
from alnb.session import State, labelled_dataset, state_of


def export(session: Path, out: Path, data: Path | None = None) -> Iterator[Path]:
    """Write a session's answers, its curve and its network's masks.

    Parameters
    ----------
    session : Path
        The session's folder; it is read, and may be open elsewhere.
    out : Path
        Gets ``answers.csv`` (a row for each click or vertex, and one for each region without),
        ``curve.csv`` and, where there is a network in the session's cache, ``masks/SCAN.nii.gz``
        on the grid of each source file.
    data : Path, optional
        The dataset's folder; None takes the one that the journal names.

    Yields
    ------
    Path
        Each file, once it is written.

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
    answers = (Answer.from_dict(e.data) for e in live(events) if e.kind == "answered")
    rows = [row for answer in answers for row in _rows(answer)]
    pd.DataFrame(rows, columns=list(_COLUMNS)).to_csv(out / "answers.csv", index=False)
    yield out / "answers.csv"
    curve_table(state.reports, state.config.seed).to_csv(out / "curve.csv", index=False)
    yield out / "curve.csv"
    if state.fit is None:
        return
    try:
        dataset = labelled_dataset(events, data)
        yield from _masks(dataset, state, session / "cache", out / "masks")
    except AlnbError as error:
        raise type(error)(f"the tables are whole, but the masks are missing: {error}") from error


_COLUMNS = ("scan", "slice", "region", "verdict", "row", "col", "label", "seconds", "annotator",
            "outline")  # fmt: skip # which of the region's outlines a vertex belongs to


def _rows(answer: Answer) -> list[tuple[object, ...]]:
    where = answer.region.where
    head = (where.scan, where.z, answer.region.key, str(answer.verdict))
    tail = (answer.seconds, answer.annotator)
    if not answer.points:
        return [(*head, None, None, None, *tail, None)]
    return [
        *((*head, click.row, click.col, click.label, *tail, None) for click in answer.clicks),
        *(
            (*head, row, col, INFECTED, *tail, number)
            for number, outline in enumerate(answer.outlines, 1)
            for row, col in outline
        ),
    ]


def _masks(dataset: Dataset, state: State, cache: Path, out: Path) -> Iterator[Path]:
    from alnb.training.trainer import Trainer

    assert state.fit is not None  # noqa: S101 - the caller looked
    out.mkdir(exist_ok=True)
    trainer = Trainer(dataset, state.config, cache)
    for scan in dataset.scans:
        slices = [where for where in dataset.slices if where.scan == scan]
        masks = np.zeros((len(slices), dataset.size, dataset.size), np.uint8)
        for index, (_, posterior) in enumerate(trainer.predict(slices, state.fit.weights)):
            masks[index] = posterior.mean >= state.fit.threshold
        path = out / f"{scan}.nii.gz"
        dataset.write_mask(path, scan, masks)
        yield path
