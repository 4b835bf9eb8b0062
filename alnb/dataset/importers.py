"""Build datasets from NIfTI folders, pictures, DICOM series, and the phantom that is embedded.

Every import finds its files by name, in natural order, and passes the options of `build` on.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from shlex import quote
from typing import TypedDict, Unpack

from filelock import FileLock

from alnb.arrays import Window
from alnb.dataset.build import SIZE, LabelGate, OnStored, Pair, build
from alnb.dataset.dataset import Dataset
from alnb.dataset.files import find, natural, without
from alnb.dataset.split import Split, nearest, some
from alnb.errors import DataError, saying
from alnb.volumes import (
    NIFTI,
    PICTURES,
    Form,
    Labels,
    Unit,
    read_mask,
    read_nifti,
    read_picture,
    read_picture_mask,
    upside_down,
)
from alnb.volumes.dicom import read_series
from alnb.volumes.dicom_files import Series, find_series, names_person
from alnb.volumes.scan import plain_name

ZENODO = ("COVID-19-CT-Seg_20cases", "Infection_Mask")  # folders of record 3757476
PHANTOM_LABELS = (1, 2)  # ground-glass and consolidation, as the phantom draws them
EMBEDDED_SIZE = 256  # ours: half the work of 352 at the first start and in every cycle
VERSION = 2  # of the phantom; raise it when its slices change, so that old caches are left


class BuildOptions(TypedDict, total=False):
    """The options of `build`, which every import takes and passes on."""

    name: str | None
    size: int
    window: Window
    split: Split
    seed: int
    infected: Collection[int] | None
    infected_above: float | None
    known: Collection[int] | None
    allow_shared: bool
    synthetic: bool
    pseudo_masks: bool
    notes: Iterable[str]
    progress: OnStored | None


@saying("images")
def import_nifti(
    images: Path | str,
    out: Path | str,
    *,
    masks: Path | str | None = None,
    skip: Collection[str] = (),
    unit: Unit | None = None,
    offset: float | None = None,
    affine: Form | None = None,
    flip: Collection[str] = (),
    **options: Unpack[BuildOptions],
) -> Dataset:
    """Import a folder of NIfTI volumes, one a scan.

    Parameters
    ----------
    images : path
        A folder of ``.nii`` and ``.nii.gz`` files, or of pairs of ``.hdr`` and ``.img``; one such
        file; or a folder that holds ``COVID-19-CT-Seg_20cases`` and ``Infection_Mask`` as Zenodo's
        record 3757476 does.
    out : path
        The dataset's folder.
    masks : path or None
        A folder of masks under the scans' names, ``.nii`` or ``.nii.gz``, or under names that
        differ by usual endings, as ``x_seg`` and ``x``; None: no masks.
    skip : collection of str
        Scans to leave out.
    unit : "hu", "grey" or None
        What the values are; None: decided scan by scan.
    offset : float or None
        Added to all values before that, as -1024 where HU + 1024 are stored; None: none is known.
    affine : "sform", "qform" or None
        The one to use where a header names two that differ; None: the sform, which is noted.
    flip : collection of str
        Patterns, as ``radiopaedia_*``, of scans that are stored upside down while their headers
        say they are not. Export turns them back.
    **options
        As `build` takes them. With `infected_above`, masks may hold any numbers, as fractions.

    Raises
    ------
    DataError
        If a scan has no mask or a mask no scan, a pattern of `flip` finds no scan, no mask holds a
        value above `infected_above`, a file is broken, or as `build`.
    """
    images = Path(images)
    if masks is None and all((images / folder).is_dir() for folder in ZENODO):
        images, masks = images / ZENODO[0], images / ZENODO[1]
    found = find(images, masks, NIFTI, skip)
    scans, theirs, notes = found.scans, found.masks, found.notes
    idle = next((one for one in flip if not any(_named(scan, one) for scan in scans)), None)
    if idle is not None:
        raise DataError(
            f"--flip {idle}: no scan is called so. Correct the name or pattern"
            f"{nearest(idle, scans)}."
        )
    if flip:
        notes = (f"turned upside down, as asked for: scans {', '.join(flip)}.", *notes)
    options = noted(options, *notes)

    above = threshold_of(options)

    def read(scan: str) -> Pair:
        volume = read_nifti(scans[scan], unit=unit, offset=offset, form=affine)
        labels = read_mask(theirs[scan], volume, form=affine, above=above) if theirs else None
        wrong = any(_named(scan, pattern) for pattern in flip)
        return upside_down(volume, labels) if wrong else (volume, labels)

    return build(reaching(above if theirs else None, map(read, scans)), out, **options)


def _named(scan: str, pattern: str) -> bool:
    """Tell whether a scan has this name, or one of this pattern."""
    pattern = plain_name(pattern)  # its brackets may be a part of the name
    return scan == pattern or fnmatchcase(scan, pattern)


@saying("images")
def import_pairs(
    images: Path | str,
    out: Path | str,
    *,
    masks: Path | str | None = None,
    skip: Collection[str] = (),
    unit: Unit | None = None,
    offset: float | None = None,
    **options: Unpack[BuildOptions],
) -> Dataset:
    """Import a folder of PNG or JPEG slices; each becomes a scan of one slice.

    Parameters
    ----------
    images, out, masks, skip, unit, offset, **options
        As `import_nifti`, and errors too; the endings of a slice and its mask may differ.
    """
    found = find(Path(images), masks, PICTURES, skip)
    above = threshold_of(options)

    def read(scan: str) -> Pair:
        volume, mask = (
            read_picture(found.scans[scan], unit=unit, offset=offset),
            found.masks.get(scan),
        )
        return volume, read_picture_mask(mask, volume, above=above) if mask else None

    note = (
        "every picture counts as a scan of its own; if a patient has several, name the parts "
        "with a --split file."
    )
    pairs = reaching(above if found.masks else None, map(read, found.scans))
    return build(pairs, out, **noted(options, note, *found.notes))


@saying("folder")
def import_dicom(
    folder: Path | str,
    out: Path | str,
    *,
    skip: Collection[str] = (),
    unit: Unit | None = None,
    offset: float | None = None,
    acquisition: int | None = None,
    **options: Unpack[BuildOptions],
) -> Dataset:
    """Import DICOM series without masks.

    Parameters
    ----------
    folder : path
        Series in folders of any depth, as a CD or an archive of patients holds them. Scans are
        named by the innermost folder of their slices, with those above or a number where that is
        not enough. If a name holds what the header calls the patient or the study, a date or a
        UID, all are named by numbers, in natural order.
    out, skip, unit, **options
        As `import_nifti`.
    offset, acquisition
        As `read_series` takes them.

    Raises
    ------
    DataError
        If a series is broken, or as `build`.
    """
    folder = Path(folder)
    found = find_series(folder)
    series = _named_series(found.series, folder)
    if any(names_person(scan, one) for scan, one in series.items()):
        kept = without(series, [scan for scan in skip if scan in series])
        skip = [scan for scan in skip if scan not in series]
        series = {f"scan_{number}": one for number, one in enumerate(kept.values(), 1)}
        note = (
            "folders named by their patients, a study or a date became scan_1, scan_2, … in their "
            "order."
        )
        options = noted(options, note)
    else:
        options = noted(
            options, "scans are named by their folders: check that none names a patient."
        )
    series = without(series, skip)
    notes = [f"{note}." for note in found.left_out] + _patient_notes(series)

    def read(scan: str) -> Pair:
        try:
            return read_series(
                series[scan], unit=unit, offset=offset, scan=scan, acquisition=acquisition
            )[0], None
        except DataError as error:
            if len(series) == 1:
                raise
            raise DataError(f"{error} Or leave it out with --skip {quote(scan)}.") from error

    return build(map(read, series), out, **noted(options, *notes))


def _named_series(found: Sequence[Series], root: Path) -> dict[str, Series]:
    """Name series by their folders, in natural order; by a number too where a folder has two."""

    def place(one: Series) -> tuple[list[list[tuple[int, str]]], tuple[float, str]]:
        return [natural(Path(part)) for part in one.folder.relative_to(root).parts], one.order

    ordered = sorted(found, key=place)
    names = [plain_name(one.folder.resolve().name) for one in ordered]
    if len({*names}) < len(names):
        inner = [one.folder.relative_to(root).parts for one in ordered]
        names = [plain_name("_".join(parts)) or root.resolve().name for parts in inner]
    seen: Counter[str] = Counter()
    series = {}
    for name, one in zip(names, ordered, strict=True):
        seen[name] += 1
        series[f"{name}_{seen[name]}" if names.count(name) > 1 else name] = one
    return series


def _patient_notes(series: Mapping[str, Series]) -> list[str]:
    """Say which scans are of one patient, so that they don't lie in different parts."""
    patients: dict[str, list[str]] = {}
    for scan, one in series.items():
        patients.setdefault(one.patient, []).append(f"{scan} ({len(one.planes)} slices)")
    return [
        f"scans {some(scans)} are of one patient, by their headers: leave out all but one with "
        "--skip, or keep them in one part with a --split file."
        for scans in patients.values()
        if len(scans) > 1
    ]


def import_phantom(out: Path | str, *, scans: int = 6, **options: Unpack[BuildOptions]) -> Dataset:
    """Make synthetic chest CT with lesions, and import it.

    Size and seed of the `options`, which are those of `build`, are the phantom's, too. Its scans
    are synthetic unless the options say that they are not.
    """
    from alnb.phantom import phantom

    merged: BuildOptions = {
        "name": "phantom", "size": SIZE, "seed": 0, "known": PHANTOM_LABELS,
        "synthetic": True, **options,
    }  # fmt: skip
    pairs = phantom(scans=scans, size=merged["size"], seed=merged["seed"])
    return build(pairs, out, **merged)


def embedded_folder(size: int | None = None) -> Path:
    """Name the folder of the embedded dataset; `size` is the side of its slices in pixels."""
    from platformdirs import user_cache_path

    other = "" if size in (None, EMBEDDED_SIZE) else f"-{size}"
    return user_cache_path("alnb") / f"phantom-{VERSION}{other}"


def embedded(progress: OnStored | None = None, *, size: int | None = None) -> Dataset:
    """Open the embedded dataset; draw it first if it is missing.

    If two processes need it at once, one draws and the other waits. `progress` is as in `build`,
    `size` the side of its slices in pixels; None: `EMBEDDED_SIZE`. At 128 all takes a quarter of
    the time, so that notebooks can train.

    Raises
    ------
    DataError
        If it can't be written.
    """
    folder = embedded_folder(size)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(str(folder.with_name(f"{folder.name}.lock"))):
            try:
                return Dataset.open(folder)
            except DataError:  # none yet, or an incomplete one
                shutil.rmtree(folder, ignore_errors=True)
                return import_phantom(folder, size=size or EMBEDDED_SIZE, progress=progress)
    except OSError as error:
        raise DataError(
            f"the embedded data can't be written to {folder}: {error.strerror}. Correct the "
            "permissions, or name a dataset."
        ) from error


def threshold_of(options: BuildOptions) -> float | None:
    """Take ``infected_above`` out of the options; a `DataError` says if it doesn't fit them."""
    above = options.pop("infected_above", None)
    LabelGate(options.get("infected"), above=above)
    return above


def reaching(above: float | None, pairs: Iterable[Pair]) -> Iterator[Pair]:
    """Pass pairs on; at their end a `DataError` says if no mask reaches a threshold."""
    found = above is None
    for pair in pairs:
        found = found or (isinstance(pair[1], Labels) and bool(pair[1].voxels.any()))
        yield pair
        del pair  # before the next one is read
    if not found:
        raise DataError(
            f"--infected-above {above:g}: no mask holds a value above it. Name a lower one."
        )


def noted(options: BuildOptions, *notes: str) -> BuildOptions:
    """Put the notes of an import before those of its caller."""
    return {**options, "notes": [*notes, *options.get("notes", ())]}
