"""A session for other tools: answers (CSV, COCO), curve, journal, network and its masks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from alnb.annotation import Answer, Outline, Verdict, as_labelled, fill
from alnb.arrays import BACKGROUND, INFECTED, Mask
from alnb.dataset import Dataset, SliceId
from alnb.errors import AlnbError, SessionError, path_sentence, refused
from alnb.export.model_card import last_part, model_card, without_paths
from alnb.journal import Event, Journal
from alnb.regions.region import Region, runs
from alnb.reports import curve_table
from alnb.session import labelled_dataset
from alnb.state import State, state_of
from alnb.storage import ANSWERS, CACHE, JOURNAL, csv_of, staged, weights_path, write_text


def write_export(
    session: Path,
    out: Path,
    data: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[Path]:
    """Write a session's answers, its curve and its network's masks.

    Parameters
    ----------
    session : Path
        The session's folder; it is only read, and may be open elsewhere.
    out : Path
        Gets ``answers.csv`` (see `ABOUT`, which becomes ``README.md``), ``curve.csv``,
        ``journal.jsonl`` without the paths of this machine, and ``coco`` (see `write_coco`). If the
        session's cache holds a network, it also gets ``weights.safetensors`` with
        ``MODEL_CARD.md``, and the masks of every slice: ``masks/SCAN.nii.gz`` on the grid of each
        source file, and ``png/SCAN/SLICE.png``, 255 for infected, on the same grid as the apps
        show it.
    data : Path, optional
        The dataset's folder; None takes the one that the journal names.
    progress : callable
        Called after each mask with how many slices have theirs, and how many there are.

    Yields
    ------
    Path
        Of each file, once all are written; of pictures their folder.

    Raises
    ------
    SessionError
        If there is no session in the folder, or `out` can't be written; nothing is then.
    DataError
        If the dataset is not there any more, or is a different one.
    """
    events = Journal(session / JOURNAL).events
    if not events:
        raise SessionError(f"{session} holds no session: there is no journal.jsonl in it.")
    written: list[Path] = []
    lacking: AlnbError | None = None
    try:
        with staged(out) as stage:
            try:
                written.extend(_files(session, events, stage, data, progress))
            except AlnbError as error:
                if no_room := refused(error):
                    raise no_room from error
                lacking = error
            written = [out / path.relative_to(stage) for path in written]
    except OSError as error:
        raise SessionError(path_sentence(refused(error) or error, out)) from error
    yield from written
    if lacking is not None:
        raise lacking


def _files(
    session: Path,
    events: Sequence[Event],
    out: Path,
    data: Path | None,
    progress: Callable[[int, int], None],
) -> Iterator[Path]:
    """Write the files of `write_export`, and yield each."""
    state = state_of(events)
    dataset = _labelled(events, data)
    yield from _tables(state, events, dataset, out)
    yield from _network(state, events, session / CACHE, out)
    lacking = "the voxels of the answers, the keypoints and the masks"
    try:
        if isinstance(dataset, AlnbError):
            raise dataset
        yield write_coco(dataset, state.answers, out / "coco")
        lacking = "the masks"
        if state.fit is not None:
            yield from _masks(dataset, state, state.fit.weights, session / CACHE, out, progress)
    except AlnbError as error:
        raise type(error)(f"the tables are complete, but {lacking} are missing: {error}") from error


def _labelled(events: Sequence[Event], data: Path | None) -> Dataset | AlnbError:
    """Open the dataset, or return why it can't be: the tables go out all the same."""
    try:
        return labelled_dataset(events, data)
    except AlnbError as error:
        return error


def _tables(
    state: State, events: Sequence[Event], dataset: Dataset | AlnbError, out: Path
) -> Iterator[Path]:
    import pandas as pd

    known = dataset if isinstance(dataset, Dataset) else None
    standing = {id(answer) for answer in state.answers}
    rows = [row for one in state.given for row in _rows(one, id(one) in standing, known)]
    table = pd.DataFrame(rows, columns=list(_COLUMNS)).astype(dict.fromkeys("ijk", "Int64"))
    write_text(out / ANSWERS, csv_of(table))
    yield out / ANSWERS
    write_text(out / "curve.csv", csv_of(curve_table(state.reports, state.config.seed)))
    yield out / "curve.csv"
    write_text(out / JOURNAL, "".join(_without_paths(event).line() for event in events))
    yield out / JOURNAL
    write_text(out / "README.md", ABOUT)
    yield out / "README.md"


ABOUT = """# What is in this folder
**Two grids.** alnb shows every slice on a square *working grid*. Its rows and columns are not \
those of your files. Masks and the columns `i`, `j`, `k` are on the grid of your files.

| file | what it holds | grid |
|---|---|---|
| `answers.csv` | a row for each click, outline vertex, and answer without any | both |
| `curve.csv` | scores and seconds after each training | none |
| `journal.jsonl` | all that happened; folders only by name | working grid |
| `coco/` | the answers as COCO keypoints, and their slices as PNG | working grid |
| `masks/` | what the network marks, and where a region is outlined that outline | your files |
| `png/` | the same as pictures, turned as alnb shows slices | your files, turned |
| `dicom-seg/` | the masks as DICOM Segmentation, if asked for; **names the patient** | the series |
| `weights.safetensors`, `MODEL_CARD.md` | the network, and how it was trained and measured | |

Columns of `answers.csv`:

| column | meaning |
|---|---|
| `scan`, `slice` | the scan; its slice, from 0 at the feet |
| `region` | scan/slice/row,column,height,width on the working grid; a shape's runs may follow |
| `verdict` | infected, clean or skipped |
| `row`, `col` | the point on the working grid; whole numbers are pixel centres |
| `i`, `j`, `k` | the voxel that holds the point: indices from 0 into the file's own array, as \
nibabel gives it; of DICOM: column, row, and slice in the order of position. Empty beside the scan |
| `x_ras_mm`, `y_ras_mm`, `z_ras_mm` | the place in the file's coordinates, in millimetres: x \
grows to the patient's right, y to the front, z to the head (RAS+). For DICOM's LPS change the \
signs of x and y. Of a click it is the centre of its voxel. Empty where a file, such as a picture, \
names no place |
| `label` | 1 infected, 0 background |
| `outline` | the number of the outline in its answer; empty for a click |
| `seconds`, `annotator` | of the whole answer |
| `verified` | of the whole answer: whether its outlines were the network's, and found right |
| `scan`, `region`, `annotator` | an apostrophe stands before = + - @, so that no spreadsheet runs \
them |
| `stands` | false if it was corrected or repeated later, or another person's answer stands in its \
place: the network does not learn from it |
| `decides` | true if it was given with the answers of several people on screen, to decide |
"""

_COLUMNS = (
    "scan", "slice", "region", "verdict", "row", "col",
    "i", "j", "k", "x_ras_mm", "y_ras_mm", "z_ras_mm",  # on the grid of the file
    "label", "seconds", "annotator",
    "outline",  # which of the region's outlines a vertex belongs to
    "verified",  # whether those were the network's
    "stands",  # whether the network learns from it
    "decides",  # whether it decides between those of several people
)  # fmt: skip
_NOWHERE = (None,) * 6
_MM_DIGITS = 3  # ours: a header's single precision says no more


def _rows(answer: Answer, stands: bool, dataset: Dataset | None) -> list[tuple[object, ...]]:
    where = answer.region.where
    head = (where.scan, where.z, answer.region.key, str(answer.verdict))
    points: list[tuple[Any, Any, Any, int | None]] = [
        (click.row, click.col, click.label, None) for click in answer.clicks
    ]
    for number, outline in enumerate(answer.outlines, 1):
        points += [(row, col, INFECTED, number) for row, col in outline]
    by = answer.seconds, answer.annotator
    ending = answer.verified, stands, answer.decides
    if not points:
        return [(*head, None, None, *_NOWHERE, None, *by, None, *ending)]
    return [
        (*head, row, col, *place, label, *by, number, *ending)
        for (row, col, label, number), place in zip(
            points, _places(points, where, dataset), strict=True
        )
    ]


def _places(
    points: Sequence[tuple[Any, ...]], where: SliceId, dataset: Dataset | None
) -> Sequence[tuple[object, ...]]:
    """Return i, j, k and x, y, z of points (row, col, label, outline); None for what is unknown.

    A click marks a voxel, so it lies in its centre; a vertex lies where it was drawn.
    """
    if dataset is None:
        return [_NOWHERE] * len(points)
    rows, cols = np.array([point[:2] for point in points], dtype=np.float64).T
    voxels = dataset.source_voxels(where, rows, cols, whole=True)
    drawn = np.array([[point[3] is not None] for point in points])
    exact = np.where(drawn, dataset.source_voxels(where, rows, cols), voxels)
    mm = dataset.source_mm(where.scan, exact).round(_MM_DIGITS) + 0.0  # no minus before a zero
    beside = np.isnan(voxels).any(axis=1, keepdims=True)
    found = np.hstack([np.where(beside, np.nan, voxels), mm])
    return [tuple(None if np.isnan(one) else one for one in line) for line in found.tolist()]


def _without_paths(event: Event) -> Event:
    """Name folders and files of this machine by their last part only."""
    data = dict(event.data)
    if "dataset" in data:
        data["dataset"] = {**data["dataset"], "folder": last_part(data["dataset"]["folder"])}
    if "sessions" in data:
        data["sessions"] = [{**one, "source": last_part(one["source"])} for one in data["sessions"]]
    if "source" in data:
        data["source"] = last_part(data["source"])
    if "config" in data:
        data["config"] = without_paths(data["config"])
    return replace(event, data=data)


def _network(state: State, events: Sequence[Event], cache: Path, out: Path) -> Iterator[Path]:
    """Write the last weights and their model card; if they are gone, `_masks` says so."""
    if state.fit is None:
        return
    from alnb.training.checkpoints import kept_report  # torch takes seconds

    if kept_report(cache, state.fit.weights) is None:
        return
    shutil.copyfile(weights_path(cache, state.fit.weights), out / "weights.safetensors")
    yield out / "weights.safetensors"
    write_text(out / "MODEL_CARD.md", model_card(state, events[0].data))
    yield out / "MODEL_CARD.md"


def _masks(
    dataset: Dataset,
    state: State,
    weights: str,
    cache: Path,
    out: Path,
    progress: Callable[[int, int], None],
) -> Iterator[Path]:
    from PIL import Image

    from alnb.training.trainer import Trainer

    (out / "masks").mkdir(exist_ok=True)
    trainer = Trainer(dataset, state.config, cache)
    done = 0
    for scan in dataset.scans:
        slices = [where for where in dataset.slices if where.scan == scan]
        found = []
        for where, infected in trainer.segment(slices, weights):
            found.append(as_labelled(where, infected, state.answers))
            done += 1
            progress(done, len(dataset.slices))
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
    a polygon, a clean region one without a visible keypoint; skipped regions are left out. The
    segmentation of each holds the pixels that were labelled: a click's pixel, what is outlined, all
    of a clean region. Box and area are a click's region's, since one pixel gives keypoints no
    scale. Fields that COCO does not have are ``region``, ``annotator`` and ``seconds`` (of the
    whole answer).

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
    parts = (
        part for answer in given for part in _parts(answer, ids[answer.region.where], dataset.size)
    )
    content = {
        "info": {
            "description": f"Clicks on {dataset.name}, in pixels of alnb's working grid, as these "
            "pictures are; answers.csv has the voxels of the source files",
            "fingerprint": dataset.fingerprint,
        },
        "licenses": [],  # of the slices: alnb does not know them
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


def _parts(answer: Answer, image: int, size: int) -> Iterator[dict[str, Any]]:
    """Yield the annotations of an answer: its clicks, its outlines, or that it is clean."""
    region = answer.region
    common = {
        "image_id": image, "bbox": [region.col, region.row, region.width, region.height],
        "area": region.width * region.height, "iscrowd": 0, "region": region.key,
        "annotator": answer.annotator, "seconds": answer.seconds,
    }  # fmt: skip
    if answer.verdict is Verdict.CLEAN:
        yield common | {"category_id": CLEAN} | NO_KEYPOINT | _whole(region, size)
    for click in answer.clicks:  # (x, y, 2 for visible); whole numbers are pixel centres, as ours
        row, col = click.pixel
        keypoint = {"keypoints": [click.col, click.row, 2], "num_keypoints": 1}
        pixel = {"segmentation": [_box(row, col, 1, 1)]}
        yield common | {"category_id": _OF_LABEL[click.label]} | keypoint | pixel
    for drawn in _drawn(answer, size):
        yield common | {"category_id": _OF_LABEL[INFECTED]} | NO_KEYPOINT | drawn


def _box(row: int, col: int, height: int, width: int) -> list[int]:
    """Return a rectangle as COCO's polygon, which counts from a pixel's corner."""
    bottom, right = row + height, col + width
    return [col, row, right, row, right, bottom, col, bottom]


def _whole(region: Region, size: int) -> dict[str, Any]:
    if region.mask is not None:
        return _mask(region.drawn((size, size)))
    return {"segmentation": [_box(region.row, region.col, region.height, region.width)]}


def _drawn(answer: Answer, size: int) -> Iterator[dict[str, Any]]:
    """Yield a polygon for each outline; one mask where they cut holes or the region is a shape."""
    if not answer.outlines:
        return
    shape, region = (size, size), answer.region
    inside = fill(answer.outlines, shape)
    once = sum(np.count_nonzero(fill([one], shape)) for one in answer.outlines)
    if region.mask is None and once == np.count_nonzero(inside):
        yield from map(_polygon, answer.outlines)
    elif (labelled := inside & region.drawn(shape)).any():
        yield _mask(labelled)


def _mask(inside: Mask) -> dict[str, Any]:
    """Return an (H, W) mask as COCO's runs down the columns, the pixels outside first."""
    rows, cols = (np.flatnonzero(inside.any(axis=axis)).tolist() for axis in (1, 0))
    return {
        "segmentation": {"counts": runs(inside), "size": list(inside.shape)},
        "bbox": [cols[0], rows[0], cols[-1] - cols[0] + 1, rows[-1] - rows[0] + 1],
        "area": int(np.count_nonzero(inside)),
    }


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
