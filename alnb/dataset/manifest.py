"""What lies in a dataset's folder: the names of its files, and reading its two tables.

``manifest.json`` says how each scan was read, and holds the checksums of all else; ``slices.csv``
says which part each slice belongs to. Both are checked field by field before they are believed.
"""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    TypeAlias,
    TypedDict,
    get_args,
)

from msgspec import Meta

from alnb.arrays import MAX_SIDE, Window
from alnb.errors import AlnbError, DataError, saying
from alnb.schema import Count, Number, conform, read_json, shown
from alnb.storage import from_inert
from alnb.volumes import Source, Unit
from alnb.volumes.scan import MOST_VOXELS, by, check_name

Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = get_args(Part)

FORMAT = 1
MANIFEST, SLICES, IMAGES, MASKS = "manifest.json", "slices.csv", "images", "masks"
AUDIT = "import.html"  # what was imported, to look at; may be deleted at any time
FEATURES = "features"  # of slices, as a frozen trunk computes them
SUPERPIXELS = "superpixels"  # of slices
CACHES = (FEATURES, SUPERPIXELS)  # follow from the slices; may be deleted at any time


@dataclass(frozen=True, slots=True, order=True)
class SliceId:
    """One axial slice of a dataset; z counts a scan's slices from 0, from the feet to the head."""

    scan: str
    z: int

    def __str__(self) -> str:
        return f"{self.scan}/{self.z}"

    @property
    def number(self) -> int:
        """The slice's number in its scan from 1, as people count."""
        return self.z + 1


@dataclass(frozen=True, slots=True)
class Row:
    """What ``slices.csv`` says of a slice."""

    part: Part
    infected_px: int


_Row4: TypeAlias = tuple[Number, Number, Number, Number]
_Length: TypeAlias = Annotated[int, Meta(ge=1, le=2**20)]  # ours: of an axis; NIfTI-1 holds 2**15
_Side: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_SIDE)]


class _Placed(TypedDict):
    inner: tuple[_Side, _Side]


class _Scan(TypedDict):
    unit: Unit
    depth: _Length
    affine: tuple[_Row4, _Row4, _Row4, _Row4]
    source: Source
    placement: _Placed
    stored_sha256: dict[Literal["images", "masks"], str]
    stacked: NotRequired[bool]
    located: NotRequired[bool]


class _Manifest(TypedDict):
    name: str
    size: _Side
    window: tuple[Number, Number]
    has_masks: bool
    synthetic: NotRequired[bool]
    pseudo_masks: NotRequired[bool]
    notes: list[str]
    slices_sha256: str
    scans: dict[str, _Scan]


class _Format(TypedDict):
    format: Count


def read_tables(folder: Path) -> tuple[dict[str, Any], dict[SliceId, Row], str]:
    """Read and check ``manifest.json`` and ``slices.csv``, and look for the arrays.

    Returns
    -------
    dict
        The manifest, as plain values.
    dict of SliceId to Row
        In the order of import.
    str
        SHA-256 of the manifest.

    Raises
    ------
    DataError
        If the folder is missing, no dataset, of a newer format, or a file of it is missing or
        was changed.
    """
    text = _read(folder, MANIFEST)
    manifest = _parse_manifest(text, folder)
    table = _read(folder, SLICES)
    if hashlib.sha256(table).hexdigest() != manifest["slices_sha256"]:
        raise DataError(f"dataset {folder}: {SLICES} was changed. Import the data again.")
    _check_files(folder, manifest)
    rows = _parse_slices(table, folder, manifest["scans"])
    return manifest, rows, hashlib.sha256(text).hexdigest()


def _read(folder: Path, name: str) -> bytes:
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder. Make a dataset with alnb import.")
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise DataError(
            f"{folder}: it is no dataset, {name} is missing or can't be read. "
            "Make one with alnb import."
        ) from error


def _parse_manifest(text: bytes, folder: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = read_json(text, _Format)
        if manifest["format"] != FORMAT:
            raise DataError(
                f"dataset {folder}: it is of format {manifest['format']}, this alnb reads "
                f"{FORMAT}. Import the data again, or update alnb."
            )
        checked = conform(manifest, _Manifest)
        Window(*checked["window"])
        for scan, record in checked["scans"].items():
            _check_scan(scan, record, checked)
    except AlnbError as error:
        raise DataError(f"dataset {folder}: {error}") from error
    except ValueError as error:
        raise DataError(
            f"{folder / MANIFEST}: it is broken or not of alnb ({error}). Import the data again."
        ) from error
    # datasets of before have neither field, and phantoms were known by their scans' names
    manifest.setdefault("synthetic", all(scan.startswith("phantom_") for scan in manifest["scans"]))
    manifest.setdefault("pseudo_masks", False)
    return manifest


def _check_scan(scan: str, record: _Scan, manifest: _Manifest) -> None:
    """Refuse a record whose fields contradict each other."""
    check_name(scan)
    source = record["source"]
    if sorted(source.axes) != [0, 1, 2] or min(source.shape) < 1:
        raise ValueError(f"scan {scan}: axes {source.axes} of {by(source.shape)} voxels")
    if source.display_shape[0] != record["depth"] or prod(source.shape) > MOST_VOXELS:
        raise ValueError(f"scan {scan}: {record['depth']} slices of {by(source.shape)} voxels")
    if source.origins is not None and len(source.origins) != source.shape[2]:
        raise ValueError(f"scan {scan}: {len(source.origins)} origins of {source.shape[2]} slices")
    if max(record["placement"]["inner"]) > manifest["size"]:
        raise ValueError(f"scan {scan}: its slices are larger than the working grid")
    if (MASKS in record["stored_sha256"]) != manifest["has_masks"]:
        raise ValueError(f"scan {scan}: its masks are not as has_masks says")


def _parse_slices(table: bytes, folder: Path, scans: Mapping[str, Any]) -> dict[SliceId, Row]:
    """Read slices.csv, which has a line for each slice of each scan."""
    rows: dict[SliceId, Row] = {}
    line = 0
    try:
        for line, row in enumerate(csv.reader(table.decode("utf-8").splitlines(), strict=True), 1):
            if line > 1:
                scan, z, part, infected = row
                scan = from_inert(scan)
                where = SliceId(scan, int(z))
                if where in rows or part not in PARTS or not 0 <= where.z < scans[scan]["depth"]:
                    raise ValueError("it is there twice, or has no such slice or part")
                rows[where] = Row(part, max(0, int(infected)))
        if len(rows) != sum(record["depth"] for record in scans.values()):
            raise ValueError("slices are missing after it")
    except (ValueError, KeyError, csv.Error) as error:
        raise DataError(
            f"{folder / SLICES}, line {line}: it can't be read ({shown(str(error))}). Import the "
            "data again."
        ) from error
    return rows


@saying("folder")
def _check_files(folder: Path, manifest: dict[str, Any]) -> None:
    """Look for the arrays by name; their contents are checked when they are read."""
    for kind in (IMAGES, MASKS) if manifest["has_masks"] else (IMAGES,):
        inside = folder / kind
        found = set(os.listdir(inside)) if inside.is_dir() else set()  # noqa: PTH208 - 9 times faster
        lost = next((scan for scan in manifest["scans"] if _lacks(inside, found, scan)), None)
        if lost is not None:
            raise DataError(
                f"dataset {folder}: {kind}/{lost}.npy is missing. Import the data again."
            )


def _lacks(folder: Path, found: set[str], scan: str) -> bool:
    file = f"{scan}.npy"  # macOS may list it in another spelling than it opens it by
    return file not in found and not (folder / file).is_file()
