"""Build datasets from NIfTI folders, pictures, DICOM series, and the phantom that is embedded.

Every import finds its files by name, in natural order, and passes the options of `build` on.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypedDict, Unpack

from filelock import FileLock

from alnb.arrays import Window
from alnb.dataset.build import SIZE, OnStored, Pair, build
from alnb.dataset.dataset import Dataset
from alnb.dataset.files import check_folder, find, natural, without
from alnb.dataset.split import Split, nearest
from alnb.errors import DataError
from alnb.volumes import (
    NIFTI,
    PICTURES,
    Labels,
    Unit,
    read_mask,
    read_nifti,
    read_picture,
    read_picture_mask,
    upside_down,
)
from alnb.volumes.dicom import names_patient, read_series
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
    known: Collection[int] | None
    allow_shared: bool
    synthetic: bool
    pseudo_masks: bool
    notes: Iterable[str]
    progress: OnStored | None


def import_nifti(
    images: Path | str,
    out: Path | str,
    *,
    masks: Path | str | None = None,
    skip: Collection[str] = (),
    unit: Unit | None = None,
    flip: Collection[str] = (),
    **options: Unpack[BuildOptions],
) -> Dataset:
    """Import a folder of NIfTI volumes, one a scan.

    Parameters
    ----------
    images : path
        A folder of ``.nii`` and ``.nii.gz`` files, one such file, or a folder that holds
        ``COVID-19-CT-Seg_20cases`` and ``Infection_Mask`` as Zenodo's record 3757476 does.
    out : path
        The dataset's folder.
    masks : path or None
        A folder of masks under the scans' names, ``.nii`` or ``.nii.gz``, or under names that
        differ by usual endings, as ``x_seg`` and ``x``; None: no masks.
    skip : collection of str
        Scans to leave out.
    unit : "hu", "grey" or None
        What the values are; None: decided scan by scan.
    flip : collection of str
        Patterns, as ``radiopaedia_*``, of scans that are stored upside down while their headers
        say they are not. Export turns them back.
    **options
        As `build` takes them.

    Raises
    ------
    DataError
        If a scan has no mask or a mask no scan, a pattern of `flip` finds no scan, a file is
        broken, or as `build`.
    """
    images = Path(images)
    if masks is None and all((images / folder).is_dir() for folder in ZENODO):
        images, masks = images / ZENODO[0], images / ZENODO[1]
    scans, theirs, notes = find(images, masks, NIFTI, skip)
    idle = next((one for one in flip if not any(_named(scan, one) for scan in scans)), None)
    if idle is not None:
        raise DataError(
            f"--flip {idle}: no scan is called so. Correct the name or pattern"
            f"{nearest(idle, scans)}."
        )
    if flip:
        notes = (f"turned upside down, as asked for: scans {', '.join(flip)}.", *notes)
    options = noted(options, *notes)

    def pairs() -> Iterator[Pair]:
        for scan, path in scans.items():
            volume = read_nifti(path, unit=unit)
            labels = read_mask(theirs[scan], volume) if theirs else None
            wrong = any(_named(scan, pattern) for pattern in flip)
            yield upside_down(volume, labels) if wrong else (volume, labels)

    return build(pairs(), out, **options)


def _named(scan: str, pattern: str) -> bool:
    """Tell whether a scan has this name, or one of this pattern."""
    pattern = plain_name(pattern)  # its brackets may be a part of the name
    return scan == pattern or fnmatchcase(scan, pattern)


def import_pairs(
    images: Path | str,
    out: Path | str,
    *,
    masks: Path | str | None = None,
    skip: Collection[str] = (),
    unit: Unit | None = None,
    offset: float | None = None,
    infected_above: float | None = None,
    **options: Unpack[BuildOptions],
) -> Dataset:
    """Import a folder of PNG or JPEG slices; each becomes a scan of one slice.

    Parameters
    ----------
    images, out, masks, skip, unit, **options
        As `import_nifti`, and errors too; the endings of a slice and its mask may differ.
    offset : float or None
        Added to the values of pictures of 16 bits, to make them HU: -32768 for DeepLesion's.
    infected_above : float or None
        Values of the masks above it are infected, for masks with soft edges; None: the values are
        labels.
    """
    check_threshold(infected_above, options)
    scans, theirs, notes = find(Path(images), masks, PICTURES, skip)

    def pairs() -> Iterator[Pair]:
        for scan, path in scans.items():
            volume, mask = read_picture(path, unit=unit, offset=offset), theirs.get(scan)
            labels = read_picture_mask(mask, volume, above=infected_above) if mask else None
            yield volume, labels

    note = (
        "every picture counts as a scan of its own; if a patient has several, name the parts "
        "with a --split file."
    )
    checked = reaching(infected_above, pairs())
    return build(checked, out, **noted(options, note, *notes))


def import_dicom(
    folder: Path | str,
    out: Path | str,
    *,
    skip: Collection[str] = (),
    unit: Unit | None = None,
    **options: Unpack[BuildOptions],
) -> Dataset:
    """Import DICOM series without masks, each in a folder of its own.

    Parameters
    ----------
    folder : path
        One series, or a folder of such folders. Scans are named by their folders. If a folder
        is named by its patient, all are named by numbers, in natural order.
    out, skip, unit, **options
        As `import_nifti`.

    Raises
    ------
    DataError
        If a series is broken, or as `build`.
    """
    folder = Path(folder)
    check_folder(folder)
    inner = sorted((path for path in folder.iterdir() if path.is_dir()), key=natural)
    series = without({path.name: path for path in inner or [folder]}, skip)
    if any(names_patient(path) for path in series.values()):
        series = {f"scan_{number}": path for number, path in enumerate(series.values(), 1)}
        note = "folders named by their patients became scan_1, scan_2, … in their order."
        options = noted(options, note)
    pairs = ((read_series(path, unit=unit, scan=scan)[0], None) for scan, path in series.items())
    return build(pairs, out, **options)


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


def check_threshold(above: float | None, options: BuildOptions) -> None:
    """Refuse a threshold of the masks beside labels of theirs, with a `DataError`."""
    if above is not None and options.get("infected"):
        raise DataError("--infected and --infected-above: labels or a threshold. Say one of them.")


def reaching(above: float | None, pairs: Iterable[Pair]) -> Iterator[Pair]:
    """Pass pairs on; at their end a `DataError` says if no mask reaches a threshold."""
    found = above is None
    for volume, labels in pairs:
        found = found or (isinstance(labels, Labels) and bool(labels.voxels.any()))
        yield volume, labels
    if not found:
        raise DataError(
            f"--infected-above {above:g}: no mask holds a value above it. Name a lower one."
        )


def noted(options: BuildOptions, *notes: str) -> BuildOptions:
    """Put the notes of an import before those of its caller."""
    return {**options, "notes": [*notes, *options.get("notes", ())]}
