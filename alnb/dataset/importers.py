"""Build datasets from NIfTI folders, pictures, DICOM series, and the phantom that is embedded.

Every import finds its files by name, in natural order, and passes the options of `build` on.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypedDict, TypeVar, Unpack

from filelock import FileLock

from alnb.arrays import Window
from alnb.dataset.build import SIZE, OnStored, Pair, build
from alnb.dataset.dataset import Dataset
from alnb.dataset.split import Split, some
from alnb.errors import DataError
from alnb.volumes import (
    NIFTI,
    PICTURES,
    Unit,
    read_mask,
    read_nifti,
    read_picture,
    read_picture_mask,
    scan_name,
    upside_down,
)
from alnb.volumes.dicom import read_series
from alnb.volumes.dicom_files import Series, find_series, names_person

T = TypeVar("T")

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
        A folder of masks under the scans' names, ``.nii`` or ``.nii.gz``; None: no masks.
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
    scans, theirs = find(images, masks, NIFTI, skip)
    idle = next((one for one in flip if not any(fnmatchcase(scan, one) for scan in scans)), None)
    if idle is not None:
        raise DataError(f"--flip {idle}: no scan is called so. Correct the name or pattern.")
    if flip:
        options = noted(options, f"turned upside down, as asked for: scans {', '.join(flip)}.")

    def pairs() -> Iterator[Pair]:
        for scan, path in scans.items():
            volume = read_nifti(path, unit=unit)
            labels = read_mask(theirs[scan], volume) if theirs else None
            wrong = any(fnmatchcase(scan, pattern) for pattern in flip)
            yield upside_down(volume, labels) if wrong else (volume, labels)

    return build(pairs(), out, **options)


def import_pairs(
    images: Path | str,
    out: Path | str,
    *,
    masks: Path | str | None = None,
    skip: Collection[str] = (),
    unit: Unit | None = None,
    **options: Unpack[BuildOptions],
) -> Dataset:
    """Import a folder of PNG or JPEG slices; each becomes a scan of one slice.

    Parameters
    ----------
    images, out, masks, skip, unit, **options
        As `import_nifti`, and errors too; the endings of a slice and its mask may differ.
    """
    scans, theirs = find(Path(images), masks, PICTURES, skip)

    def pairs() -> Iterator[Pair]:
        for scan, path in scans.items():
            volume = read_picture(path, unit=unit)
            yield volume, read_picture_mask(theirs[scan], volume) if theirs else None

    note = (
        "every picture counts as a scan of its own; if a patient has several, name the parts "
        "with a --split file."
    )
    return build(pairs(), out, **noted(options, note))


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
    series = without(series, skip)
    notes = [f"{note}." for note in found.left_out] + _patient_notes(series)
    pairs = (
        (read_series(one, unit=unit, offset=offset, scan=scan, acquisition=acquisition)[0], None)
        for scan, one in series.items()
    )
    return build(pairs, out, **noted(options, *notes))


def _named_series(found: Sequence[Series], root: Path) -> dict[str, Series]:
    """Name series by their folders, in natural order; by a number too where a folder has two."""

    def place(one: Series) -> tuple[list[list[tuple[int, str]]], tuple[float, str]]:
        return [natural(Path(part)) for part in one.folder.relative_to(root).parts], one.order

    ordered = sorted(found, key=place)
    names = [one.folder.resolve().name for one in ordered]
    if len({*names}) < len(names):
        inner = [one.folder.relative_to(root).parts for one in ordered]
        names = ["_".join(parts) or root.resolve().name for parts in inner]
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


def noted(options: BuildOptions, *notes: str) -> BuildOptions:
    """Put the notes of an import before those of its caller."""
    return {**options, "notes": [*notes, *options.get("notes", ())]}


def find(
    images: Path, folder: Path | str | None, endings: tuple[str, ...], skip: Collection[str]
) -> tuple[dict[str, Path], dict[str, Path]]:
    """Find the scans' files, and their masks' where there are masks.

    Parameters
    ----------
    images, endings
        As `files` takes them.
    folder : path or None
        Of masks under the scans' names.
    skip : collection of str
        Scans to leave out.

    Returns
    -------
    dict of str to Path, twice
        By scan, in natural order; no masks if there is no folder of them.

    Raises
    ------
    DataError
        As `files`, or if a scan has no mask or a mask no scan.
    """
    scans = without(files(images, endings), skip)
    if folder is None:
        return scans, {}
    masks = files(Path(folder), endings)
    lacking = next((scan for scan in scans if scan not in masks), None)
    if lacking is not None:
        raise DataError(
            f"scan {lacking}: {folder} holds no mask of that name. Add it, or leave the scan "
            f"out with --skip {lacking}."
        )
    surplus = next((name for name in masks if name not in scans and name not in skip), None)
    if surplus is not None:
        raise DataError(
            f"mask {masks[surplus].name}: there is no scan of that name. Add the scan, or take "
            "the mask out of its folder."
        )
    return scans, masks


def files(folder: Path, endings: tuple[str, ...]) -> dict[str, Path]:
    """Find the files of these endings by scan, in natural order; `folder` may be one file.

    Raises
    ------
    DataError
        If there are none, or two name one scan.
    """
    if folder.is_file():
        return {scan_name(folder): folder}
    check_folder(folder)
    paths = [
        path
        for path in folder.iterdir()
        if path.name.lower().endswith(endings) and not path.name.startswith(".")
    ]
    found: dict[str, Path] = {}
    for path in sorted(paths, key=natural):
        twin = found.setdefault(scan_name(path), path)
        if twin is not path:
            raise DataError(f"{folder}: {twin.name} and {path.name} name one scan. Remove one.")
    if not found:
        raise DataError(f"{folder}: it holds no {' or '.join(endings)} file. Name another folder.")
    return found


def check_folder(folder: Path) -> None:
    """Refuse what is no folder, with a `DataError`."""
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder. Check the path.")


def without(scans: dict[str, T], skip: Collection[str]) -> dict[str, T]:
    """Leave scans out; a `DataError` names one that is missing."""
    unknown = next((scan for scan in skip if scan not in scans), None)
    if unknown is not None:
        raise DataError(f"--skip {unknown}: there is no such scan. Correct the name.")
    return {scan: path for scan, path in scans.items() if scan not in skip}


def natural(path: Path) -> list[tuple[int, str]]:
    """Sort scan 2 before scan 10."""
    return [
        (int(digits or -1), text) for digits, text in re.findall(r"(\d+)|(\D+)", path.name.lower())
    ]
