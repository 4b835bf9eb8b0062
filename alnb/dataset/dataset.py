"""Open a dataset folder: slices and masks on one working grid, and the part of each slice."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import math
import os
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np

from alnb.arrays import Grey, Mask, Window, read_only
from alnb.config import Config, Resolved
from alnb.dataset.manifest import (
    IMAGES,
    MANIFEST,
    MASKS,
    PARTS,
    Part,
    Row,
    SliceId,
    read_tables,
)
from alnb.dataset.placement import Placement
from alnb.errors import DataError, saying
from alnb.schema import conform
from alnb.storage import UNREADABLE, Stamp, sha256_of, stamp_of
from alnb.volumes import PICTURES, Origin, Source, Unit, write_mask
from alnb.volumes.scan import by

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

_NOWHERE_MM = 1e-3  # ours: less than any scanner or rounding can mean
_ADVICE = "Restore it from a copy, or import the data again. What was labelled is kept."


class Dataset:
    """Slices, masks and split of a dataset folder, read only.

    `Dataset.open` reads the two tables, and a slice is read when it is asked for. Methods raise a
    `DataError` for a slice or scan that is not in the dataset, and for a file that is missing,
    truncated or was changed. A file counts as changed if it was written to after the import, or
    after it was read first, and has another checksum.

    Attributes
    ----------
    size : int
        Side of every slice, in pixels.
    window : Window
        Shows HU as the network sees it.
    has_masks : bool
        All scans have masks, or none has.
    slices : tuple of SliceId
        In the order of import.
    synthetic : bool
        The scans are drawn, not scanned: no network learns from other synthetic scans first.
    pseudo_masks : bool
        A network made the masks, not a person.
    notes : tuple of str
        What was decided at import, for the person.
    fingerprint : str
        SHA-256 of the manifest, which holds the checksums of all else.
    """

    def __init__(
        self,
        folder: Path,
        manifest: dict[str, Any],
        rows: dict[SliceId, Row],
        fingerprint: str,
        checksum: str = "",
    ) -> None:
        self.folder = folder
        self.fingerprint = fingerprint
        self.name: str = manifest["name"]
        self.size: int = manifest["size"]
        self.window = Window(*manifest["window"])
        self.has_masks: bool = manifest["has_masks"]
        self.synthetic: bool = manifest["synthetic"]
        self.pseudo_masks: bool = manifest["pseudo_masks"]
        self.notes: tuple[str, ...] = tuple(manifest["notes"])
        self.scans: Mapping[str, Any] = MappingProxyType(manifest["scans"])
        self.slices = tuple(rows)
        self._manifest, self._rows = manifest, rows
        self._parts = {
            part: tuple(where for where, row in rows.items() if row.part == part) for part in PARTS
        }
        self._checksum = checksum or fingerprint  # of the manifest
        self._imported = _stamp(folder / MANIFEST)
        self._seen: dict[Path, tuple[Stamp, int]] = {}  # and where the voxels begin

    @classmethod
    @saying("folder")
    def open(cls, folder: Path | str, expected: str = "") -> Dataset:
        """Open a dataset folder, as `build` or an `import_*` function wrote it.

        Parameters
        ----------
        folder : path
        expected : str
            The fingerprint that it had before; empty takes any.

        Raises
        ------
        DataError
            If the folder is missing, no dataset, another than expected, of a newer format, or a
            file of it is missing or was changed.
        """
        folder = Path(folder)
        manifest, rows, fingerprint = read_tables(folder)
        if expected not in ("", fingerprint):
            raise _replaced(folder)
        return cls(folder, manifest, rows, fingerprint)

    def divided(self, parts: Mapping[SliceId, Part], name: str) -> Dataset:
        """Return a dataset of the same folder with another split.

        `parts` names the slices that are kept; the others are left out. `name` is for notes and
        tables. It is not in the fingerprint, which depends on the parts only.
        """
        rows = {where: replace(self._row(where), part=part) for where, part in parts.items()}
        text = "\n".join(f"{where} {part}" for where, part in parts.items())
        fingerprint = hashlib.sha256(f"{self.fingerprint}\n{text}".encode()).hexdigest()
        manifest = {**self._manifest, "name": name}
        return Dataset(self.folder, manifest, rows, fingerprint, self._checksum)

    def __repr__(self) -> str:
        return f"<Dataset {self.name}: {len(self.scans)} scans, {len(self.slices)} slices>"

    def resolve(self, config: Config, *, bfloat16: bool | None = None) -> Resolved:
        """Return settings as they take effect on this dataset; see `Config.resolved`."""
        return config.resolved(
            synthetic=self.synthetic,
            val_masks=any(self.infected_px(where) for where in self.part("val")),
            test_masks=self.has_masks and bool(self.part("test")),
            bfloat16=bfloat16,
        )

    def part(self, part: Part) -> tuple[SliceId, ...]:
        """Return the slices of "train", "val" or "test"; none where there is no such part."""
        return self._parts[part]

    def part_of(self, where: SliceId) -> Part:
        """Return the part that a slice belongs to."""
        return self._row(where).part

    def infected_px(self, where: SliceId) -> int:
        """Count the infected pixels of a slice; 0 without masks."""
        return self._row(where).infected_px

    def unit(self, where: SliceId) -> Unit:
        """Return whether a slice holds HU or came windowed, "hu" or "grey"."""
        return cast("Unit", self._scan(where.scan)["unit"])

    def stacked(self, scan: str) -> bool:
        """Return whether a scan's slices lie on each other, so that slices have neighbours."""
        return bool(self._scan(scan).get("stacked", True))

    def raw(self, where: SliceId) -> NDArray[Any]:
        """Return a slice as stored: (size, size), int16 HU or uint8 grey, read-only."""
        self._row(where)
        return self._read(IMAGES, where)

    def image(self, where: SliceId, window: Window | None = None) -> Grey:
        """Return a slice as the network sees it: (size, size) uint8, read-only.

        `window` is for HU; None: the dataset's. Slices that came windowed stay as they are.
        """
        raw = self.raw(where)
        if self.unit(where) == "hu":
            return read_only((window or self.window).to_grey(raw))
        return cast("Grey", raw)

    def labels(self, where: SliceId) -> NDArray[np.uint8]:
        """Return the class labels of a slice, 0 for background: (size, size) uint8, read-only.

        Raises
        ------
        DataError
            If the dataset has no masks.
        """
        if not self.has_masks:
            raise DataError(
                f"dataset {self.name}: it has no masks, so nothing can be simulated or scored "
                "from them. Import it with --masks, or label it by hand."
            )
        self._row(where)
        return self._read(MASKS, where)

    def mask(self, where: SliceId) -> Mask:
        """Return where a slice is infected, (size, size) bool, read-only; raises as `labels`."""
        return cast("Mask", read_only(self.labels(where) > 0))

    def origin(self, scan: str) -> Origin:
        """Return the grid that a scan came from."""
        record = self._scan(scan)
        return Origin(scan, np.array(record["affine"]), conform(record["source"], Source))

    def placement(self, scan: str) -> Placement:
        """Return where a scan's slices lie on the working grid, as they were laid out."""
        origin = self.origin(scan)
        _, height, width = origin.source.display_shape
        _, dy, dx = origin.spacing_mm
        inner = tuple(self._scan(scan)["placement"]["inner"])  # older datasets took square pixels
        return Placement(self.size, (height, width), (dy, dx), cast("tuple[int, int]", inner))

    def source_voxels(
        self, where: SliceId, rows: NDArray[Any], cols: NDArray[Any], *, whole: bool = False
    ) -> NDArray[np.float64]:
        """Return where points of a slice lie in the array of the scan's file.

        Parameters
        ----------
        where : SliceId
        rows, cols, whole
            As `Placement.to_source` takes them.

        Returns
        -------
        (N, 3) float array
            i, j, k along the file's own axes, from 0, as nibabel indexes it; integers are voxel
            centres.
        """
        y, x = self.placement(where.scan).to_source(rows, cols, whole=whole)
        z = np.full(y.shape, where.z, dtype=np.float64)
        return self.origin(where.scan).source.indices(np.stack([z, y, x], axis=-1))

    def voxel_axes(self, where: SliceId) -> tuple[tuple[str, list[float | None]], ...]:
        """Say which voxel of the scan's file each row and column of a slice shows.

        Returns
        -------
        three of (str, list)
            For i, j and k, as `source_voxels` gives them with `whole`: what the index follows,
            ``"row"`` or ``"col"``, and its value at each of them, None in the padding; or ``""``,
            and the one value that it has.
        """
        place, line = self.placement(where.scan), np.arange(self.size)
        row, col = (  # that lie on the slice, however narrow it is
            np.full(self.size, begin + length // 2)
            for begin, length in zip(place.corner, place.inner, strict=True)
        )
        along = {
            "row": self.source_voxels(where, line, col, whole=True),
            "col": self.source_voxels(where, row, line, whole=True),
        }
        found: list[tuple[str, list[float | None]]] = []
        for axis in range(3):
            values = {name: voxels[:, axis] for name, voxels in along.items()}
            follows = next((n for n, at in values.items() if np.ptp(at[np.isfinite(at)])), "")
            if follows:
                found.append((follows, [None if np.isnan(v) else v for v in values[follows]]))
            else:
                found.append(("", [float(np.nanmax(values["row"]))]))
        return tuple(found)

    def source_mm(self, scan: str, voxels: NDArray[Any]) -> NDArray[np.float64]:
        """Return the (N, 3) places of voxels of a scan's file, in RAS+ mm; NaN if not `located`."""
        origin = self.origin(scan)
        mm: NDArray[np.float64] = voxels @ origin.affine[:3, :3].T + origin.affine[:3, 3]
        if origin.source.origins is not None:  # slices that are not evenly apart
            firsts, k = np.array(origin.source.origins), voxels[:, 2]
            first = [np.interp(k, range(len(firsts)), one) for one in firsts.T]
            mm = voxels[:, :2] @ origin.affine[:3, :2].T + np.transpose(first)
        return mm if self.located(scan) else np.full_like(mm, np.nan)

    def located(self, scan: str) -> bool:
        """Return whether the scan's file says where in the patient its voxels lie.

        A picture does not, and a NIfTI file without orientation codes doesn't either: their affine
        is made up.
        """
        source = self.origin(scan).source
        picture = source.file.lower().endswith(PICTURES)  # datasets of before have no such field
        return any(source.codes) and bool(self._scan(scan).get("located", not picture))

    def oriented(self, scan: str) -> bool:
        """Return whether column 0 is known to be the patient's right, and row 0 the front.

        False where a letter might be wrong: the file names no directions, a program made them up,
        its affines contradict each other, a person turned the scan at import, or the slices are of
        several patients.
        """
        origin = self.origin(scan)
        source = origin.source
        if not (self.located(scan) and self.stacked(scan)):
            return False
        if source.file and _made_up(origin):  # made data has no file, and is in display order
            return False
        forms = zip((source.qform, source.sform), source.codes, strict=True)
        others = [np.array(form) for form, code in forms if form is not None and code]
        return all(_radiological(affine, source) for affine in (origin.affine, *others))

    def pixel_mm(self, scan: str) -> float | None:
        """Return the side of a pixel of the working grid in mm; None where it is not known.

        Voxels of 1 mm from (0, 0, 0) on are what programs write that are told nothing.
        """
        if not (self.located(scan) and self.stacked(scan)):
            return None
        origin, place = self.origin(scan), self.placement(scan)
        if _made_up(origin) and np.allclose(origin.spacing_mm, 1):
            return None
        return origin.spacing_mm[2] * place.shape[1] / place.inner[1]

    def to_source(self, scan: str, masks: NDArray[Any]) -> NDArray[Any]:
        """Lay (Z, size, size) masks on the (Z, Y, X) grid that the scan came from.

        The result is in display order; `volumes.write_mask` takes it on to the file's axes.

        Raises
        ------
        DataError
            If the masks are of another shape.
        """
        depth = self.origin(scan).source.display_shape[0]
        if masks.shape != (depth, self.size, self.size):
            raise DataError(
                f"scan {scan}: masks of {by(masks.shape)} don't fit its "
                f"{depth} slices of {self.size}×{self.size}. Give one mask for each slice."
            )
        return self.placement(scan).back(masks)

    def write_mask(self, path: Path | str, scan: str, masks: NDArray[Any]) -> None:
        """Write masks as NIfTI on the grid that the scan came from.

        Parameters
        ----------
        path, scan, masks
            As `volumes.write_mask` and `to_source` take them, and raise a `DataError`.
        """
        write_mask(path, self.to_source(scan, masks), self.origin(scan))

    def describe(self) -> dict[str, Any]:
        """Count what is in the dataset, for a table; infected slices are None without masks."""
        parts = {}
        for part, slices in self._parts.items():
            infected = sum(self._rows[where].infected_px > 0 for where in slices)
            parts[part] = {
                "scans": len({where.scan for where in slices}),
                "slices": len(slices),
                "infected_slices": infected if self.has_masks else None,
            }
        return {
            "name": self.name,
            "size": self.size,
            "window": (self.window.low, self.window.high),
            "unit": "+".join(sorted({record["unit"] for record in self.scans.values()})),
            "has_masks": self.has_masks,
            "scans": len(self.scans),
            "slices": len(self.slices),
            "parts": parts,
        }

    def verify(self) -> None:
        """Read every array and compare it with the manifest's checksum."""
        for scan, record in self.scans.items():
            for kind, checksum in record["stored_sha256"].items():
                path = self._path(kind, scan)
                with _sentences(path), path.open("rb") as file:
                    self._begin(file, kind, scan)
                    if sha256_of(path) != checksum:
                        raise _changed(path)

    def check(self) -> None:
        """Make sure that the dataset is still the one that was opened; this takes milliseconds.

        Raises
        ------
        DataError
            If it was imported again, or an array that was read is missing, truncated or changed.
        """
        manifest = self.folder / MANIFEST
        with _sentences(manifest):
            if _stamp(manifest) != self._imported and sha256_of(manifest) != self._checksum:
                raise _replaced(self.folder)
        for path in [*self._seen]:
            with _sentences(path), path.open("rb", buffering=0) as file:
                self._found(file, path)

    def _row(self, where: SliceId) -> Row:
        if where not in self._rows:
            raise self._absent(f"slice {where}")
        return self._rows[where]

    def _scan(self, scan: str) -> dict[str, Any]:
        if scan not in self.scans:
            raise self._absent(f"scan {scan}")
        return cast("dict[str, Any]", self.scans[scan])

    def _absent(self, what: str) -> DataError:
        return DataError(
            f"dataset {self.name}: it has no {what}. Was the session begun with another dataset?"
        )

    def _path(self, kind: str, scan: str) -> Path:
        return self.folder / kind / f"{scan}.npy"

    def _read(self, kind: str, where: SliceId) -> NDArray[Any]:
        """Read a slice. Its file is not mapped: one that is cut short would end the process."""
        path, dtype = self._path(kind, where.scan), self._dtype(kind, where.scan)
        length = self.size**2 * dtype.itemsize
        with _sentences(path), path.open("rb", buffering=0) as file:
            file.seek(self._found(file, path) + where.z * length)
            raw = file.read(length)
            return np.frombuffer(raw, dtype).reshape(self.size, self.size)

    def _dtype(self, kind: str, scan: str) -> np.dtype[Any]:
        hu = (kind, self._scan(scan)["unit"]) == (IMAGES, "hu")
        return np.dtype(np.int16 if hu else np.uint8)

    def _found(self, file: IO[bytes], path: Path) -> int:
        """Return where the voxels begin in a file; check a file that is new or was written to."""
        stamp = stamp_of(os.fstat(file.fileno()))
        known = self._seen.get(path)
        if known is not None and known[0] == stamp:
            return known[1]
        kind, scan = path.parent.name, path.stem
        begin = self._begin(file, kind, scan)
        late = known is not None or self._imported is None or stamp[-1] > self._imported[-1]
        if late and sha256_of(path) != self._scan(scan)["stored_sha256"].get(kind):
            raise _changed(path)
        self._seen[path] = stamp, begin
        return begin

    def _begin(self, file: IO[bytes], kind: str, scan: str) -> int:
        """Read the head of an array, which must be as the manifest says; return where it ends."""
        path, dtype = self._path(kind, scan), self._dtype(kind, scan)
        shape = (self._scan(scan)["depth"], self.size, self.size)
        if np.lib.format.read_magic(file) != (1, 0):
            raise _changed(path)
        if np.lib.format.read_array_header_1_0(file) != (shape, False, dtype):
            raise _changed(path)
        begin = file.tell()
        if os.fstat(file.fileno()).st_size < begin + math.prod(shape) * dtype.itemsize:
            raise ValueError("it ends too early")
        return begin


@contextlib.contextmanager
def _sentences(path: Path) -> Iterator[None]:
    """Turn what reading a broken file raises into a sentence."""
    try:
        yield
    except DataError:
        raise
    except UNREADABLE as error:
        raise DataError(f"{path}: it is missing or truncated. {_ADVICE}") from error


def _changed(path: Path) -> DataError:
    return DataError(f"{path}: it was changed after its import. {_ADVICE}")


def _replaced(folder: Path) -> DataError:
    return DataError(
        f"{folder}: another dataset is there now than the one that was opened. Import it into a "
        "folder of its own, and restore this one. What was labelled is kept."
    )


def _stamp(path: Path) -> Stamp | None:
    try:
        return stamp_of(path.stat())
    except OSError:
        return None


def _made_up(origin: Origin) -> bool:
    """Tell whether a corner of the scan lies at (0, 0, 0): no scanner puts it there."""
    ends = [(0, length - 1) for length in origin.source.shape]
    corners = np.array(list(itertools.product(*ends)))
    corners_mm = corners @ origin.affine[:3, :3].T + origin.affine[:3, 3]
    return bool((np.abs(corners_mm).max(axis=1) < _NOWHERE_MM).any())


def _radiological(affine: NDArray[np.float64], source: Source) -> bool:
    """Tell whether an affine lets the display's rows run to the back and its columns to the left.

    Along an oblique axis the largest of its parts counts.
    """
    for display, towards in ((1, 1), (2, 0)):  # y to -A, x to -R
        runs = affine[:3, source.axes[display]] * (-1 if source.flips[display] else 1)
        if int(np.abs(runs).argmax()) != towards or runs[towards] > 0:
            return False
    return True
