"""Write a dataset folder: every scan is checked and staged, and all of it moves in at the end."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from alnb.arrays import MAX_SIDE, Window
from alnb.dataset.audit import write_audit
from alnb.dataset.dataset import Dataset
from alnb.dataset.manifest import (
    AUDIT,
    CACHES,
    FORMAT,
    IMAGES,
    MANIFEST,
    MASKS,
    PARTS,
    SLICES,
    Part,
    SliceId,
)
from alnb.dataset.placement import Placement
from alnb.dataset.split import KINDS, Split, deal, shared_scans, some
from alnb.errors import DataError, saying
from alnb.schema import shown
from alnb.storage import inert
from alnb.volumes import Labels, Source, Volume, mask_misfits, to_labels
from alnb.volumes.intensities import LEVELS, soft_edges

SIZE = 352  # paper 4.1
WINDOW = Window(-1250, 250)  # ours: centre -500, width 1500, a radiologist's lung window

OnStored: TypeAlias = Callable[[str, int], None]  # a scan's name, and how many are stored
Pair: TypeAlias = tuple[Volume, Labels | NDArray[Any] | None]

_STAGE = ".building"
_OURS = {MANIFEST, SLICES, IMAGES, MASKS, *CACHES, AUDIT, _STAGE}


@saying("out")
def build(
    pairs: Iterable[Pair],
    out: Path | str,
    *,
    name: str | None = None,
    size: int = SIZE,
    window: Window = WINDOW,
    split: Split = "scan",
    seed: int = 0,
    infected: Collection[int] | None = None,
    infected_above: float | None = None,
    known: Collection[int] | None = None,
    allow_shared: bool = False,
    synthetic: bool = False,
    pseudo_masks: bool = False,
    notes: Iterable[str] = (),
    progress: OnStored | None = None,
) -> Dataset:
    """Store scans and their masks as a dataset.

    Parameters
    ----------
    pairs : iterable of (Volume, mask)
        A mask is `Labels`, a (Z, Y, X) array of labels or bool in display order, or None; all
        scans have one or none has. One pair is held in memory at a time.
    out : path
        A folder that is new, empty or a dataset, which is then replaced.
    name : str or None
        For people; None: the folder's.
    size : int
        Side of the working grid, in 1…`MAX_SIDE`. Slices are resized as a whole, and padded
        with air.
    window : Window
        How HU become the 8 bits that the network sees. HU are stored as they are.
    split, seed
        As `split.deal` takes them.
    infected : collection of int or None
        The labels of the masks that are infected, all others become background; None: `known`.
    infected_above : float or None
        Labels of the masks above this are infected, and become 1; for masks with soft edges.
    known : collection of int or None
        The labels that the masks may hold, all infected; None: any one label.
    allow_shared : bool
        Whether a split by name may put slices of one scan into different parts.
    synthetic : bool
        Whether a program drew the scans, as a phantom. A network that labels them does not
        learn from other synthetic scans first.
    pseudo_masks : bool
        Whether a network made the masks, not a person.
    notes : iterable of str
        What the caller decided; they come before the dataset's own notes.
    progress : callable or None
        Called after each scan with its name and the number of scans that are stored.

    Returns
    -------
    Dataset
        Opened. Its notes say what was decided, and what will cause trouble later. In its folder
        lies ``import.html``, on which a person sees whether all is right.

    Raises
    ------
    DataError
        If there are no scans, two have one name, a mask has another shape or labels of unknown
        meaning, only some scans have masks, the split doesn't fit or shares scans, or `out`
        holds something else. What was in `out` is then still there.
    """
    out, gate = Path(out), LabelGate(infected, known, infected_above)
    _check_place(out)
    if not 1 <= size <= MAX_SIDE or seed < 0:
        raise DataError(
            f"size {shown(size)}, seed {shown(seed)}: the working grid has 1 to {MAX_SIDE} pixels "
            "on a side, and a seed is 0 or more. Correct --size or --seed."
        )
    stage, new = out / _STAGE, not out.exists()
    shutil.rmtree(stage, ignore_errors=True)
    (stage / IMAGES).mkdir(parents=True)
    (stage / MASKS).mkdir()
    try:
        scans, infected_px, told = _store_all(pairs, stage, size, gate, progress)
        decided = [*_merged(told), *gate.notes()]
        parts = deal(split, {scan: record["depth"] for scan, record in scans.items()}, seed)
        shared = shared_scans(parts)
        if shared and split != "mixed" and not allow_shared:
            raise DataError(
                f"the split puts slices of scan {some(shared)} into more than one part, so that "
                "the same patient would be trained and tested on. Deal whole scans, or allow it "
                "with --allow-shared-scans."
            )
        has_masks = any(MASKS in record["stored_sha256"] for record in scans.values())
        table = _table(parts, infected_px)
        manifest = {
            "format": FORMAT,
            "name": name or out.resolve().name,
            "size": size,
            "window": [window.low, window.high],
            "has_masks": has_masks,
            "synthetic": synthetic,
            "pseudo_masks": pseudo_masks and has_masks,
            "split": split if split in KINDS else "named",
            "seed": seed,
            "parts": {
                part: list(dict.fromkeys(at.scan for at, theirs in parts.items() if theirs == part))
                for part in PARTS
            },
            "shared_scans": shared,
            "notes": [*notes, *decided, *_split_notes(parts, infected_px, has_masks)],
            "slices_sha256": hashlib.sha256(table).hexdigest(),
            "scans": scans,
        }
        (stage / SLICES).write_bytes(table)
        (stage / MANIFEST).write_text(_lines(manifest), encoding="utf-8")
        _move_in(stage, out)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        if new and not any(out.iterdir()):
            out.rmdir()
    write_audit(out, told)
    return Dataset.open(out)


class LabelGate:
    """Admits masks whose labels have a known meaning.

    Parameters
    ----------
    infected, known, above
        As `build` takes infected, known and infected_above.

    Raises
    ------
    DataError
        If an infected label is not in 1…255, or labels and a threshold are named.
    """

    def __init__(
        self,
        infected: Collection[int] | None = None,
        known: Collection[int] | None = None,
        above: float | None = None,
    ) -> None:
        if infected is not None and above is not None:
            raise DataError("--infected names labels, --infected-above a threshold. Say only one.")
        wrong = [label for label in infected or () if not 0 < label < 256]
        if wrong or (infected is not None and not infected):
            raise DataError(
                f"--infected {_listed(infected or ())}: labels are whole numbers in 1…255, and 0 "
                "is background. Name those that are infected, as in --infected 1,2."
            )
        self._infected = infected
        self._known = known
        self._above = above
        self._found: set[int] = set()

    def admit(self, scan: str, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return what each label of a scan's (Z, Y, X) mask becomes, (256,): 0 if not infected.

        Raises
        ------
        DataError
            If the masks so far hold a label of unknown meaning.
        """
        counts = sum(np.bincount(one.ravel(), minlength=256) for one in labels)  # slices: small
        here = set(np.flatnonzero(counts).tolist()) - {0}
        self._found |= here
        if self._above is not None:
            return (np.arange(256) > self._above).astype(np.uint8)
        if len(here) > LEVELS and self._infected is None:
            raise DataError(
                f"scan {scan}: {soft_edges(len(here))}. If these are labels, name those that are "
                "infected with --infected LABEL,LABEL."
            )
        if self._infected is not None:
            kept = np.zeros(256, np.uint8)
            kept[list(self._infected)] = list(self._infected)
            return kept
        if self._known is not None and not here <= set(self._known):
            raise DataError(
                f"scan {scan}: its mask holds {_listed(here - set(self._known))}, where this "
                f"dataset's masks hold {_listed(self._known)}. Check that these are its infection "
                "masks, or say which labels are infected with --infected."
            )
        if self._known is None and len(self._found) > 1:
            raise DataError(
                f"scan {scan}: its mask and those before hold the labels {_listed(self._found)}, "
                "and some may not be infection. Name those that are with --infected LABEL,LABEL; "
                "the others become background."
            )
        return np.arange(256, dtype=np.uint8)

    def notes(self) -> list[str]:
        """Say what became of the labels, once all masks are admitted.

        Raises
        ------
        DataError
            If no mask holds a label that is named as infected, or none above the threshold.
        """
        if self._above is not None:
            if self._found and max(self._found) <= self._above:
                raise DataError(
                    f"--infected-above {self._above:g}: no mask holds a value above it; the "
                    f"highest is {max(self._found)}. Name a lower one."
                )
            return [f"infected is what lies above {self._above:g} in the masks, as asked for."]
        if self._infected is None:
            return []
        if self._found and not self._found & set(self._infected):
            raise DataError(
                f"--infected {_listed(self._infected)}: no mask holds such a label; they hold "
                f"{_listed(self._found)}. Correct it{_or_above(self._found)}."
            )
        left = self._found - set(self._infected)
        became = f"; labels {_listed(left)} became background" if left else ""
        return [f"infected are labels {_listed(self._infected)}, as asked for{became}."]


def _or_above(labels: Collection[int]) -> str:
    return ", or say --infected-above, if edges are soft" if len(labels) > LEVELS else ""


def _lines(manifest: dict[str, Any]) -> str:
    """Write JSON with one line a scan: to be read by people, and fast."""
    *head, (_, scans) = manifest.items()  # the scans stand last
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head]
    records = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in scans.items()]
    lines.append('"scans": {\n' + ",\n".join(records) + "\n}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _check_place(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise DataError(f"{out}: it is a file. Name a folder with --out.")
    others = sorted({path.name for path in out.glob("*")} - _OURS)
    if others:
        raise DataError(
            f"{out}: it holds {others[0]}, which is not part of a dataset. Name a new folder "
            "with --out."
        )


def _move_in(stage: Path, out: Path) -> None:
    """Replace the old files; the folder is no dataset until the manifest is there."""
    for name in (MANIFEST, AUDIT):
        (out / name).unlink(missing_ok=True)
    for name in (IMAGES, MASKS, *CACHES):
        shutil.rmtree(out / name, ignore_errors=True)
    for name in (IMAGES, MASKS, SLICES, MANIFEST):  # the manifest last
        (stage / name).replace(out / name)


def _store_all(
    pairs: Iterable[Pair], stage: Path, size: int, gate: LabelGate, progress: OnStored | None
) -> tuple[dict[str, dict[str, Any]], dict[SliceId, int], dict[str, list[str]]]:
    """Store the scans one by one; return their records, infected pixels and notes, by scan."""
    scans: dict[str, dict[str, Any]] = {}
    infected: dict[SliceId, int] = {}
    notes: dict[str, list[str]] = {}
    has_masks = False
    for volume, mask in pairs:
        if volume.scan in scans:
            raise DataError(f"scan {volume.scan}: there are two of this name. Rename one.")
        labels = Labels(to_labels(mask, "mask")) if isinstance(mask, np.ndarray) else mask
        if scans and (labels is not None) != has_masks:
            raise DataError(
                f"scan {volume.scan}: only some of the scans have masks. Leave the others out "
                "with --skip, or import all without masks."
            )
        has_masks = labels is not None
        becomes = None if labels is None else gate.admit(volume.scan, labels.voxels)
        scans[volume.scan], counts = _store(volume, labels, becomes, stage, size)
        infected |= {SliceId(volume.scan, z): count for z, count in enumerate(counts)}
        notes[volume.scan] = _scan_notes(volume, labels)
        if progress:
            progress(volume.scan, len(scans))
        del volume, mask, labels  # before the next ones are read
    if not scans:
        raise DataError("there is no scan to import. Name a folder that holds some.")
    return scans, infected, notes


def _store(
    volume: Volume,
    labels: Labels | None,
    becomes: NDArray[np.uint8] | None,
    stage: Path,
    size: int,
) -> tuple[dict[str, Any], list[int]]:
    """Store one scan; return its record for the manifest and the infected pixels of its slices.

    `becomes` is what `LabelGate.admit` returns.
    """
    depth, height, width = volume.voxels.shape
    place = Placement(size, (height, width), volume.spacing_mm[1:])
    record: dict[str, Any] = {
        "unit": volume.unit,
        "depth": depth,
        "affine": volume.affine.tolist(),
        "source": _source_record(volume.source),
        "placement": {"inner": place.inner, "corner": place.corner},
        "stored_sha256": {},
    }
    if not volume.stacked:
        record["stacked"] = False
    if not volume.located:
        record["located"] = False
    shape, name = (depth, size, size), f"{volume.scan}.npy"
    images = map(place.image, volume.voxels)
    record["stored_sha256"][IMAGES] = _save(
        stage / IMAGES / name, images, shape, volume.voxels.dtype
    )
    if labels is None or becomes is None:
        return record, [0] * depth
    if labels.voxels.shape != volume.voxels.shape:
        raise mask_misfits(volume.scan, labels.voxels.shape, volume.voxels.shape)
    counts: list[int] = []

    def masks() -> Iterator[NDArray[np.uint8]]:
        for one in labels.voxels:
            mask = place.labels(becomes[one])
            counts.append(int(np.count_nonzero(mask)))
            yield mask

    record["stored_sha256"][MASKS] = _save(stage / MASKS / name, masks(), shape, np.dtype(np.uint8))
    record["mask"] = {"file": labels.file, "sha256": labels.sha256}
    return record, counts


def _source_record(source: Source) -> dict[str, Any]:
    """Return the fields of a source for the manifest, without those that it doesn't have."""
    fields = {name: getattr(source, name) for name in source.__slots__}
    return {name: value for name, value in fields.items() if value is not None}


def _save(
    path: Path, slices: Iterable[NDArray[Any]], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> str:
    """Write an array slice by slice, as `np.save` does, and return the checksum of its file."""
    head = io.BytesIO()
    described = {
        "descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape,
    }  # fmt: skip
    np.lib.format.write_array_header_1_0(head, described)
    digest = hashlib.sha256()
    with path.open("wb") as stream:
        for part in itertools.chain([head.getvalue()], map(np.ndarray.tobytes, slices)):
            digest.update(part)
            stream.write(part)
    return digest.hexdigest()


def _table(parts: dict[SliceId, Part], infected: dict[SliceId, int]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["scan", "z", "part", "infected_px"])
    writer.writerows(
        (inert(where.scan), where.z, part, infected[where]) for where, part in parts.items()
    )
    return text.getvalue().encode("utf-8")


def _scan_notes(volume: Volume, labels: Labels | None) -> list[str]:
    notes = []
    if volume.unit == "grey":
        notes.append("already windowed to 8 bits: shown as they are, the window does not apply")
    if not any(volume.source.codes):
        notes.append("the file names no orientation: check on screen that the heart is right")
    notes += volume.notes
    dy, dx = volume.spacing_mm[1:]
    if not Placement(1, (1, 1), (dy, dx)).square:
        notes.append(
            f"its pixels are not square ({dy:.3g} mm high, {dx:.3g} wide): laid out by millimetres"
        )
    if labels is not None and labels.note:
        notes.append(labels.note)
    return notes


def _merged(notes: dict[str, list[str]]) -> list[str]:
    """Merge equal notes of many scans: "scan a, b, c and 17 more: …"."""
    scans_of: dict[str, list[str]] = {}
    for scan, texts in notes.items():
        for text in texts:
            scans_of.setdefault(text, []).append(scan)
    return [f"scan {some(scans)}: {text}." for text, scans in scans_of.items()]


def _split_notes(
    parts: dict[SliceId, Part], infected: dict[SliceId, int], has_masks: bool
) -> list[str]:
    notes = []
    shared = shared_scans(parts)
    if shared:
        notes.append(
            f"the parts share patients: slices of scan {some(shared)} lie in more than "
            "one, so test scores are too high."
        )
    missing = [part for part in ("val", "test") if part not in parts.values()]
    if missing:
        notes.append(f"there is no {' and no '.join(missing)} part.")
    if not has_masks:
        notes.append("there are no masks: nothing can be simulated, and no Dice is computed.")
    elif not any(infected[where] for where, part in parts.items() if part == "train"):
        notes.append("no slice of the train part is infected: there is nothing to learn from.")
    return notes


def _listed(labels: Collection[int]) -> str:
    """Write labels in order, the first five of many."""
    first = ",".join(str(label) for label in sorted(labels)[:5])
    return f"{first} and {len(labels) - 5} more" if len(labels) > 5 else first
