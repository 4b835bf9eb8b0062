"""Open a dataset folder: slices and masks on one working grid, and the part of each slice."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from alnb.arrays import Grey, Mask, Window, read_only
from alnb.config import Config, Resolved
from alnb.dataset.manifest import IMAGES, MASKS, PARTS, Part, Row, SliceId, read_tables
from alnb.errors import DataError
from alnb.schema import conform
from alnb.storage import UNREADABLE, sha256_of
from alnb.volumes import PICTURES, Origin, Source, Unit, write_mask
from alnb.volumes.scan import by

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

AIR = {"hu": -1024, "grey": 0}  # what lies outside the scanner's circle
_ROUNDING = 1e-6  # ours: px; a vertex on the outer edge still lies on the slice
SQUARE = 1e-3  # ours: pixels whose sides differ by less are square; 352 of them err by 0.4 px
_OPEN_ARRAYS = 64  # mapped files kept open; a process may hold about 1000


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a source slice lies on the working grid, laid out by millimetres.

    Parameters
    ----------
    size : int
        Side of the working grid, whose pixels are square.
    shape : (int, int)
        Height and width of the source slice, in its pixels.
    spacing : (float, float)
        Distance of its rows and of its columns; only their ratio counts.
    inner : (int, int) or None
        Height and width of the slice on the working grid. None: its side that is longer in mm
        fills the grid.

    Raises
    ------
    DataError
        If a length is not positive, or `inner` is larger than the grid.

    Examples
    --------
    >>> place = Placement(352, (400, 512))
    >>> place.inner, place.corner
    ((275, 352), (38, 0))
    >>> Placement(352, (256, 512), spacing=(1.4, 0.7)).inner
    (352, 352)
    """

    size: int
    shape: tuple[int, int]
    spacing: tuple[float, float] = (1.0, 1.0)
    inner: tuple[int, int] = None  # type: ignore[assignment]  # decided where it is made

    def __post_init__(self) -> None:
        if min(self.size, *self.shape) < 1:
            raise DataError(
                f"a working grid of {self.size} px can't hold slices of "
                f"{self.shape[0]}×{self.shape[1]} px. Choose --size above 0."
            )
        if not all(0 < one < np.inf for one in self.spacing):
            raise DataError(
                f"pixels of {self.spacing[0]:g}×{self.spacing[1]:g} mm can't be laid out. Export "
                "the scan with the spacing of its pixels."
            )
        if self.inner is None:
            object.__setattr__(self, "inner", self._filling())
        if not all(0 < one <= self.size for one in self.inner):
            raise DataError(
                f"a slice of {by(self.inner)} px doesn't fit a working grid of {self.size} px. "
                "Import the data again."
            )

    def _filling(self) -> tuple[int, int]:
        sides: tuple[float, float] = self.shape
        if not self.square:
            sides = sides[0] * self.spacing[0], sides[1] * self.spacing[1]
        height, width = (max(1, round(side * self.size / max(sides))) for side in sides)
        return height, width

    @property
    def square(self) -> bool:
        """Whether the source's pixels are as high as wide, to `SQUARE`."""
        return abs(self.spacing[0] / self.spacing[1] - 1) <= SQUARE

    @property
    def corner(self) -> tuple[int, int]:
        """Row and column where the slice begins; it is centred."""
        height, width = self.inner
        return (self.size - height) // 2, (self.size - width) // 2

    @property
    def window(self) -> tuple[slice, slice]:
        """Index the slice on the working grid, without the padding."""
        (top, left), (height, width) = self.corner, self.inner
        return slice(top, top + height), slice(left, left + width)

    def image(self, voxels: NDArray[Any]) -> NDArray[Any]:
        """Lay an (H0, W0) slice, int16 HU or uint8 grey, on the working grid, padded with air.

        Bilinear, with anti-aliasing where it shrinks; (size, size) of the same type.
        """
        if self.inner != self.shape:
            from skimage.transform import resize

            shrinks = any(new < old for new, old in zip(self.inner, self.shape, strict=True))
            resized = resize(
                voxels.astype(np.float32), self.inner, order=1, mode="edge",
                preserve_range=True, anti_aliasing=shrinks,
            )  # fmt: skip
            limits = np.iinfo(voxels.dtype)
            voxels = np.clip(np.rint(resized), limits.min, limits.max).astype(voxels.dtype)
        return self._padded(voxels, AIR["hu" if voxels.dtype == np.int16 else "grey"])

    def labels(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Lay an (H0, W0) mask on the grid, padded with 0; each pixel takes its nearest label."""
        return self._padded(_nearest(mask, self.inner), 0)

    def back(self, masks: NDArray[Any]) -> NDArray[Any]:
        """Lay (..., size, size) masks of the working grid on the source's, (..., H0, W0).

        What lies in the padding is lost; a mask that `labels` enlarged returns exactly.
        """
        return _nearest(masks[(..., *self.window)], self.shape)

    def to_source(
        self, rows: NDArray[Any], cols: NDArray[Any], *, whole: bool = False
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return where positions of the working grid lie on the source slice.

        Parameters
        ----------
        rows, cols : (N,) array
            On the working grid; integers are pixel centres, which are aligned as in `image` and
            `labels`.
        whole : bool
            Give the pixel that holds each position, as `labels` takes it, and NaN in the padding.

        Returns
        -------
        (N,) float array, twice
            Rows and columns of the source; integers are pixel centres.
        """
        exact = (
            (np.asarray(at, dtype=np.float64) - begin + 0.5) * old / new - 0.5
            for at, begin, old, new in zip(
                (rows, cols), self.corner, self.shape, self.inner, strict=True
            )
        )
        y, x = map(_held, exact, self.shape) if whole else exact
        return y, x

    def _padded(self, inner: NDArray[Any], value: int) -> NDArray[Any]:
        grid = np.full((self.size, self.size), value, dtype=inner.dtype)
        grid[self.window] = inner
        return grid


class Dataset:
    """Slices, masks and split of a dataset folder, read only.

    `Dataset.open` reads the two tables. Arrays are mapped into memory when a slice is first
    asked for. Methods raise a `DataError` for a slice or scan that is not in the dataset, and for a
    file that is missing, truncated or was changed.

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
        self, folder: Path, manifest: dict[str, Any], rows: dict[SliceId, Row], fingerprint: str
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
        self._array = lru_cache(maxsize=_OPEN_ARRAYS)(self._map)

    @classmethod
    def open(cls, folder: Path | str) -> Dataset:
        """Open a dataset folder, as `build` or an `import_*` function wrote it.

        Raises
        ------
        DataError
            If the folder is missing, no dataset, of a newer format, or a file of it is
            missing or was changed.
        """
        folder = Path(folder)
        manifest, rows, fingerprint = read_tables(folder)
        return cls(folder, manifest, rows, fingerprint)

    def divided(self, parts: Mapping[SliceId, Part], name: str) -> Dataset:
        """Return a dataset of the same folder with another split.

        `parts` names the slices that are kept; the others are left out. `name` is for notes and
        tables. It is not in the fingerprint, which depends on the parts only.
        """
        rows = {where: replace(self._row(where), part=part) for where, part in parts.items()}
        text = "\n".join(f"{where} {part}" for where, part in parts.items())
        fingerprint = hashlib.sha256(f"{self.fingerprint}\n{text}".encode()).hexdigest()
        return Dataset(self.folder, {**self._manifest, "name": name}, rows, fingerprint)

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
        voxels: NDArray[Any] = self._array(IMAGES, where.scan)[where.z]
        return voxels

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
        return cast("NDArray[np.uint8]", self._array(MASKS, where.scan)[where.z])

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
                path = self.folder / kind / f"{scan}.npy"
                self._array(kind, scan)
                if sha256_of(path) != checksum:
                    raise DataError(f"{path}: it was changed. Import the data again.")

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

    def _map(self, kind: str, scan: str) -> NDArray[Any]:
        path = self.folder / kind / f"{scan}.npy"
        record = self._scan(scan)
        try:
            array = cast("NDArray[Any]", np.load(path, mmap_mode="r", allow_pickle=False))
        except UNREADABLE as error:
            raise DataError(
                f"{path}: it is missing or truncated. Import the data again."
            ) from error
        dtype = np.int16 if (kind, record["unit"]) == (IMAGES, "hu") else np.uint8
        if array.shape != (record["depth"], self.size, self.size) or array.dtype != dtype:
            raise DataError(f"{path}: it was changed. Import the data again.")
        return array.view(np.ndarray)


def _held(at: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Return which of `length` pixels holds each position; NaN if none does."""
    beyond = np.abs(at - (length - 1) / 2) > length / 2 + _ROUNDING
    return np.where(beyond, np.nan, np.clip(np.floor(at + 0.5), 0, length - 1))


def _nearest(array: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """Resize the last two axes; pixel centres are aligned, as skimage's resize does it."""
    rows, cols = (
        ((np.arange(new) + 0.5) * old / new).astype(np.intp)
        for new, old in zip(shape, array.shape[-2:], strict=True)
    )
    return array[..., rows[:, None], cols]
