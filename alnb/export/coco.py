"""Answers in the form of COCO's keypoints, with the slices that they lie on as pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from alnb.annotation import Answer, Click, Outline, Verdict
from alnb.arrays import BACKGROUND, INFECTED
from alnb.dataset import Dataset, SliceId

CLEAN = 3
_OF_LABEL = {INFECTED: 1, BACKGROUND: 2}
CATEGORIES = (
    {"id": 1, "name": "infected", "supercategory": "region", "keypoints": ["click"]},
    {"id": 2, "name": "background", "supercategory": "region", "keypoints": ["click"]},
    {"id": CLEAN, "name": "clean", "supercategory": "region", "keypoints": ["click"]},
)


def write_coco(dataset: Dataset, answers: Sequence[Answer], out: Path) -> Path:
    """Write answers as COCO keypoints (Lin et al. 2014), with their slices as PNG.

    Each click is an annotation of one keypoint in the box of its region; a clean region is one
    without a visible keypoint, an outline one with a polygon; a skipped region is none. What COCO
    has no field for stands in ``region``, ``annotator`` and ``seconds`` (of the whole answer).

    Parameters
    ----------
    dataset : Dataset
        What was labelled.
    answers : sequence of Answer
        One for each region.
    out : Path
        Gets ``keypoints.json`` and ``images/SCAN_SLICE.png``, on the working grid and in the
        dataset's window: what the annotator and the network saw.

    Returns
    -------
    Path
        Of ``keypoints.json``.
    """
    from PIL import Image

    said = [answer for answer in answers if answer.verdict is not Verdict.SKIPPED]
    slices = sorted({answer.region.where for answer in said})
    ids = {where: number for number, where in enumerate(slices, 1)}
    (out / "images").mkdir(parents=True, exist_ok=True)
    for where in slices:
        Image.fromarray(dataset.image(where)).save(out / "images" / _name(where))
    parts = (part for answer in said for part in _parts(answer, ids[answer.region.where]))
    content = {
        "info": {"description": f"Clicks on {dataset.name}", "fingerprint": dataset.fingerprint},
        "images": [
            {"id": ids[w], "file_name": _name(w), "width": dataset.size, "height": dataset.size}
            for w in slices
        ],
        "categories": [dict(category, skeleton=[]) for category in CATEGORIES],
        "annotations": [{"id": number, **part} for number, part in enumerate(parts, 1)],
    }
    path = out / "keypoints.json"
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


def _name(where: SliceId) -> str:
    return f"{where.scan}_{where.z:03d}.png"


def _parts(answer: Answer, image: int) -> Iterator[dict[str, Any]]:
    """Yield what an answer says: a click, an outline, or that all is clean."""
    region = answer.region
    common = {
        "image_id": image,
        "bbox": [region.col, region.row, region.width, region.height],
        "area": region.width * region.height,
        "iscrowd": 0,
        "region": region.key,
        "annotator": answer.annotator,
        "seconds": answer.seconds,
    }
    if answer.verdict is Verdict.CLEAN:
        yield common | {"category_id": CLEAN} | _nothing_seen()
    for click in answer.clicks:
        yield common | _keypoint(click)
    for outline in answer.outlines:
        yield common | {"category_id": 1} | _nothing_seen() | _polygon(outline)


def _nothing_seen() -> dict[str, Any]:
    return {"keypoints": [0, 0, 0], "num_keypoints": 0}


def _keypoint(click: Click) -> dict[str, Any]:
    """COCO's keypoints are (x, y, 2 for visible); whole numbers are pixel centres, as ours."""
    category = _OF_LABEL[click.label]
    return {"category_id": category, "keypoints": [click.col, click.row, 2], "num_keypoints": 1}


def _polygon(outline: Outline) -> dict[str, Any]:
    """COCO's polygons count from a pixel's corner, so half a pixel more than ours."""
    corners = [(col + 0.5, row + 0.5) for row, col in outline]
    edges = zip(corners, [*corners[1:], corners[0]], strict=True)
    area = abs(sum(x * y2 - x2 * y for (x, y), (x2, y2) in edges)) / 2
    xs, ys = zip(*corners, strict=True)
    return {
        "segmentation": [[value for corner in corners for value in corner]],
        "bbox": [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)],
        "area": area,
    }
