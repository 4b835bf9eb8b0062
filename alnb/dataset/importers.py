"""Build datasets from NIfTI folders, pictures, DICOM series, and the phantom that is embedded.

Every import finds its files by name, in natural order, and passes the options of `build` on.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypedDict, Unpack

from filelock import FileLock

from alnb.arrays import Window
from alnb.dataset.build import SIZE, LabelGate, OnStored, Pair, build
from alnb.dataset.dataset import Dataset
from alnb.dataset.split import Split
from alnb.errors import DataError
from alnb.volumes import (
    NIFTI,
    PICTURES,
    Form,
    Unit,
    read_mask,
    read_nifti,
    read_picture,
    read_picture_mask,
    scan_name,
    upside_down,
)
from alnb.volumes.dicom import names_patient, read_series

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
        A folder of masks under the scans' names, ``.nii`` or ``.nii.gz``; None: no masks.
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
    scans, theirs = find(images, masks, NIFTI, skip)
    idle = next((one for one in flip if not any(fnmatchcase(scan, one) for scan in scans)), None)
    if idle is not None:
        raise DataError(f"--flip {idle}: no scan is called so. Correct the name or pattern.")
    if flip:
        options = noted(options, f"turned upside down, as asked for: scans {', '.join(flip)}.")

    above, found = options.pop("infected_above", None), False
    LabelGate(options.get("infected"), above=above)  # refuses both before a scan is read

    def read(scan: str) -> Pair:
        nonlocal found
        volume = read_nifti(scans[scan], unit=unit, offset=offset, form=affine)
        volume = replace(volume, notes=(*volume.notes, *_added(offset)))
        labels = read_mask(theirs[scan], volume, form=affine, above=above) if theirs else None
        found = found or (labels is not None and bool(labels.voxels.any()))
        wrong = any(fnmatchcase(scan, pattern) for pattern in flip)
        return upside_down(volume, labels) if wrong else (volume, labels)

    def pairs() -> Iterator[Pair]:
        yield from map(read, scans)  # `read` keeps no pair while the next one is read
        if above is not None and theirs and not found:
            raise DataError(
                f"--infected-above {above:g}: no mask holds a value above it. Name a lower one."
            )

    return build(pairs(), out, **options)


def _added(offset: float | None) -> tuple[str, ...]:
    return (f"{offset:+g} was added to its values, as asked for",) if offset else ()


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
        raise DataError(
            f"{folder}: it holds no {' or '.join(endings)} file{_instead(folder)}. Name another "
            "folder."
        )
    return found


def _instead(folder: Path) -> str:
    """Name the kinds of files that are there."""
    kinds = sorted({path.suffix.lower() for path in folder.iterdir() if path.is_file()} - {""})
    return f", only {', '.join(kinds[:5])}" if kinds else ""


def check_folder(folder: Path) -> None:
    """Refuse what is no folder, with a `DataError`."""
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder. Check the path.")


def without(scans: dict[str, Path], skip: Collection[str]) -> dict[str, Path]:
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
