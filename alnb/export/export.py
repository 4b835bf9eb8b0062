"""A session for other tools: answers (CSV, COCO), curve, journal, network and its masks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from alnb.annotation import Answer, Outline, Verdict
from alnb.arrays import BACKGROUND, INFECTED
from alnb.config import Config
from alnb.dataset import Dataset, SliceId
from alnb.errors import AlnbError, SessionError
from alnb.export.model_card import model_card
from alnb.journal import Event, Journal
from alnb.reports import curve_table
from alnb.session import labelled_dataset
from alnb.state import State, state_of
from alnb.storage import CACHE, JOURNAL, replacing, weights_path, write_text


def write_export(session: Path, out: Path, data: Path | None = None) -> Iterator[Path]:
    """Write a session's answers, its curve and its network's masks.

    Parameters
    ----------
    session : Path
        The session's folder; it is only read, and may be open elsewhere.
    out : Path
        Gets ``answers.csv`` (a row for each click or vertex, and one for each answer without any;
        ``stands`` is false for an answer that was corrected or repeated later), ``curve.csv``,
        ``journal.jsonl``, and ``coco`` (see `write_coco`). If the session's cache holds a network,
        it also gets ``weights.safetensors`` with ``MODEL_CARD.md``, and the masks of every slice:
        ``masks/SCAN.nii.gz`` on the grid of each source file, and ``png/SCAN/SLICE.png``, 255 for
        infected, on the same grid as the apps show it.
    data : Path, optional
        The dataset's folder; None takes the one that the journal names.

    Yields
    ------
    Path
        Of each file, once it is written; of pictures their folder.

    Raises
    ------
    SessionError
        If there is no session in the folder.
    DataError
        If the dataset is not there any more, or is a different one.
    """
    import pandas as pd

    events = Journal.open(session / JOURNAL).events
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
    write_text(out / JOURNAL, "".join(event.line() for event in events))
    yield out / JOURNAL
    yield from _network(state, events, session / CACHE, out)
    lacking = "the keypoints and the masks"
    try:
        dataset = labelled_dataset(events, data)
        yield write_coco(dataset, state.answers, out / "coco")
        lacking = "the masks"
        if state.fit is not None:
            yield from _masks(dataset, state.config, state.fit.weights, session / CACHE, out)
    except AlnbError as error:
        raise type(error)(f"the tables are complete, but {lacking} are missing: {error}") from error


_COLUMNS = (
    "scan", "slice", "region", "verdict", "row", "col", "label", "seconds", "annotator",
    "outline",  # which of the region's outlines a vertex belongs to
    "stands",  # whether the network learns from it
)  # fmt: skip


def _rows(answer: Answer, stands: bool) -> list[tuple[object, ...]]:
    where = answer.region.where
    head = (where.scan, where.z, answer.region.key, str(answer.verdict))
    points: list[tuple[Any, Any, Any, int | None]] = [
        (click.row, click.col, click.label, None) for click in answer.clicks
    ]
    for number, outline in enumerate(answer.outlines, 1):
        points += [(row, col, INFECTED, number) for row, col in outline]
    return [
        (*head, row, col, label, answer.seconds, answer.annotator, number, stands)
        for row, col, label, number in points or [(None, None, None, None)]
    ]


def _network(state: State, events: Sequence[Event], cache: Path, out: Path) -> Iterator[Path]:
    """Write the last weights and their model card; if they are gone, `_masks` says so."""
    from alnb.training.checkpoints import kept_report

    if state.fit is None or kept_report(cache, state.fit.weights) is None:
        return
    with replacing(out / "weights.safetensors") as temporary:
        shutil.copyfile(weights_path(cache, state.fit.weights), temporary)
    yield out / "weights.safetensors"
    write_text(out / "MODEL_CARD.md", model_card(state, events[0].data))
    yield out / "MODEL_CARD.md"


def _masks(
    dataset: Dataset, config: Config, weights: str, cache: Path, out: Path
) -> Iterator[Path]:
    from PIL import Image

    from alnb.training.trainer import Trainer

    (out / "masks").mkdir(exist_ok=True)
    trainer = Trainer(dataset, config, cache)
    for scan in dataset.scans:
        slices = [where for where in dataset.slices if where.scan == scan]
        found = [infected for _, infected in trainer.segment(slices, weights)]
        masks = np.stack(found).astype(np.uint8)
        path = out / "masks" / f"{scan}.nii.gz"
        dataset.write_mask(path, scan, masks)
        yield path
        pictures = out / "png" / scan
        pictures.mkdir(parents=True, exist_ok=True)
        for z, mask in enumerate(dataset.to_source(scan, masks)):
            Image.fromarray(mask * np.uint8(255)).save(pictures / f"{z:03d}.png")
        yield pictures


# --- COCO ---

CLEAN = 3
_OF_LABEL = {INFECTED: 1, BACKGROUND: 2}
CATEGORIES = ("infected", "background", "clean")  # from 1
NO_KEYPOINT = {"keypoints": [0, 0, 0], "num_keypoints": 0}


def write_coco(dataset: Dataset, answers: Sequence[Answer], out: Path) -> Path:
    """Write answers as COCO keypoints (Lin et al. 2014), with their slices as PNG.

    A click becomes an annotation with one keypoint in the box of its region, an outline one with
    a polygon, a clean region one without a visible keypoint; skipped regions are left out. Fields
    that COCO does not have are ``region``, ``annotator`` and ``seconds`` (of the whole answer).

    Parameters
    ----------
    dataset : Dataset
        What was labelled.
    answers : sequence of Answer
        One for each region.
    out : Path
        Gets ``keypoints.json``, which is returned, and ``images/SCAN_SLICE.png``, on the working
        grid and in the dataset's window, as the annotator and the network saw them.
    """
    from PIL import Image

    given = [answer for answer in answers if answer.verdict is not Verdict.SKIPPED]
    slices = sorted({answer.region.where for answer in given})
    ids = {where: number for number, where in enumerate(slices, 1)}
    (out / "images").mkdir(parents=True, exist_ok=True)
    for where in slices:
        Image.fromarray(dataset.image(where)).save(out / "images" / _name(where))
    parts = (part for answer in given for part in _parts(answer, ids[answer.region.where]))
    content = {
        "info": {"description": f"Clicks on {dataset.name}", "fingerprint": dataset.fingerprint},
        "images": [
            {"id": ids[w], "file_name": _name(w), "width": dataset.size, "height": dataset.size}
            for w in slices
        ],
        "categories": [
            {
                "id": number,
                "name": name,
                "supercategory": "region",
                "keypoints": ["click"],
                "skeleton": [],
            }
            for number, name in enumerate(CATEGORIES, 1)
        ],
        "annotations": [{"id": number, **part} for number, part in enumerate(parts, 1)],
    }
    path = out / "keypoints.json"
    write_text(path, json.dumps(content, ensure_ascii=False))
    return path


def _name(where: SliceId) -> str:
    return f"{where.scan}_{where.z:03d}.png"


def _parts(answer: Answer, image: int) -> Iterator[dict[str, Any]]:
    """Yield the annotations of an answer: its clicks, its outlines, or that it is clean."""
    region = answer.region
    common = {
        "image_id": image, "bbox": [region.col, region.row, region.width, region.height],
        "area": region.width * region.height, "iscrowd": 0, "region": region.key,
        "annotator": answer.annotator, "seconds": answer.seconds,
    }  # fmt: skip
    if answer.verdict is Verdict.CLEAN:
        yield common | {"category_id": CLEAN} | NO_KEYPOINT
    for click in answer.clicks:  # (x, y, 2 for visible); whole numbers are pixel centres, as ours
        keypoint = {"keypoints": [click.col, click.row, 2], "num_keypoints": 1}
        yield common | {"category_id": _OF_LABEL[click.label]} | keypoint
    for outline in answer.outlines:
        yield common | {"category_id": _OF_LABEL[INFECTED]} | NO_KEYPOINT | _polygon(outline)


def _polygon(outline: Outline) -> dict[str, Any]:
    """COCO's polygons count from a pixel's corner: half a pixel more than ours."""
    corners = [(col + 0.5, row + 0.5) for row, col in outline]
    edges = zip(corners, [*corners[1:], corners[0]], strict=True)
    area = abs(sum(x * y2 - x2 * y for (x, y), (x2, y2) in edges)) / 2
    xs, ys = zip(*corners, strict=True)
    return {
        "segmentation": [[value for corner in corners for value in corner]],
        "bbox": [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)],
        "area": area,
    }
