"""Build datasets from what people have: NIfTI folders, pictures, DICOM, MedSeg, the phantom."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypedDict, Unpack

from alnb.arrays import Window
from alnb.dataset.build import SIZE, Pair, Progress, build
from alnb.dataset.folder import Dataset
from alnb.dataset.slices import Part
from alnb.dataset.split import Split
from alnb.errors import DataError
from alnb.volumes import (
    NIFTI,
    PICTURES,
    Unit,
    Volume,
    read_dicom,
    read_mask,
    read_nifti,
    read_picture,
    read_picture_mask,
    scan_name,
    upside_down,
)

ZENODO = ("COVID-19-CT-Seg_20cases", "Infection_Mask")  # of record 3757476


class BuildOptions(TypedDict, total=False):
    """What every import passes on to `build`, and as it is there."""

    name: str | None
    size: int
    window: Window
    split: Split
    seed: int
    progress: Progress | None


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
        Patterns, as ``radiopaedia_*``, of the scans that are stored upside down although
        their headers say otherwise. Export turns them back.
    **options
        As `build` takes them.

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        If a scan has no mask or a mask no scan, a file is broken, or as `build`.
    """
    images = Path(images)
    if masks is None and all((images / folder).is_dir() for folder in ZENODO):
        images, masks = images / ZENODO[0], images / ZENODO[1]
    scans, theirs = _find(images, masks, NIFTI, skip)
    notes = [f"turned upside down, as told: scans {', '.join(flip)}."] if flip else []

    def pairs() -> Iterator[Pair]:
        for scan, path in scans.items():
            volume = read_nifti(path, unit=unit)
            labels = read_mask(theirs[scan], volume) if theirs else None
            wrong = any(fnmatchcase(scan, pattern) for pattern in flip)
            yield upside_down(volume, labels) if wrong else (volume, labels)

    return build(pairs(), out, notes=notes, **options)


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
        As `import_nifti`; the endings of a slice and its mask may differ.

    Returns
    -------
    Dataset
        Its notes say that the split can't tell patients apart, unless the split names them.

    Raises
    ------
    DataError
        As `import_nifti`.
    """
    note = (
        "every picture counts as a scan of its own; if a patient has several, name the parts "
        "with a --split file."
    )
    scans, theirs = _find(Path(images), masks, PICTURES, skip)

    def pairs() -> Iterator[Pair]:
        for scan, path in scans.items():
            volume = read_picture(path, unit=unit)
            yield volume, read_picture_mask(theirs[scan], volume) if theirs else None

    return build(pairs(), out, notes=(note,), **options)


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
        One series, or a folder of such folders; a scan is named by its folder.
    out, skip, unit, **options
        As `import_nifti`.

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        If a series is broken, or as `build`.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder. Check the path.")
    inner = sorted((path for path in folder.iterdir() if path.is_dir()), key=_natural)
    series = _without({path.name: path for path in inner or [folder]}, skip)
    pairs = ((read_dicom(path, unit=unit), None) for path in series.values())
    return build(pairs, out, **options)


def import_medseg(folder: Path | str, out: Path | str, **options: Unpack[BuildOptions]) -> Dataset:
    """Import the MedSeg slices as COVID-SemiSeg deals them: 50 to train on, 24 to test on.

    Parameters
    ----------
    folder : path
        Holds ``train_im``, ``train_msk``, ``test_im`` and ``test_msk`` as ``.nii.gz``; where
        ``train_slices.csv`` and ``test_slices.csv`` are there, they must count as many slices.
    out : path
        The dataset's folder.
    **options
        As `build` takes them, but size is 256, the source's, so that nothing is resampled, and
        the split is the published one.

    Returns
    -------
    Dataset
        Of two scans, "train" and "test", of slices of over 40 patients; no val part.
        Labels are 1 ground-glass, 2 consolidation.

    Raises
    ------
    DataError
        If a file is missing or broken, or the tables don't fit the volumes.
    """
    folder = Path(folder)
    published: dict[str, Part] = {"train": "train", "test": "test"}
    merged: BuildOptions = {"name": "medseg", "size": 256, "split": published, **options}
    note = (
        "which slices are of one patient isn't published, so a patient may lie in train and in "
        "test."
    )
    return build(
        (_medseg(folder, part) for part in ("train", "test")), out, notes=(note,), **merged
    )


def import_phantom(
    out: Path | str,
    *,
    scans: int = 6,
    **options: Unpack[BuildOptions],
) -> Dataset:
    """Make synthetic chest CT with lesions, and import it.

    Parameters
    ----------
    out : path
        The dataset's folder.
    scans : int
        How many.
    **options
        As `build` takes them; size and seed are the phantom's too.

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        As `build`.
    """
    from alnb.phantom import phantom

    merged: BuildOptions = {"name": "phantom", "size": SIZE, "seed": 0, **options}
    pairs = phantom(scans=scans, size=merged["size"], seed=merged["seed"])
    return build(pairs, out, **merged)


def _find(
    images: Path, masks: Path | str | None, endings: tuple[str, ...], skip: Collection[str]
) -> tuple[dict[str, Path], dict[str, Path] | None]:
    """Find the scans' files, and their masks' where there are masks."""
    scans = _without(_files(images, endings), skip)
    return scans, None if masks is None else _paired(scans, Path(masks), endings, skip)


def _files(folder: Path, endings: tuple[str, ...]) -> dict[str, Path]:
    """Find the files of these endings by scan, in natural order."""
    if folder.is_file():
        return {scan_name(folder): folder}
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder. Check the path.")
    paths = [path for path in folder.iterdir() if path.name.lower().endswith(endings)]
    found: dict[str, Path] = {}
    for path in sorted(paths, key=_natural):
        twin = found.setdefault(scan_name(path), path)
        if twin is not path:
            raise DataError(f"{folder}: {twin.name} and {path.name} name one scan. Remove one.")
    if not found:
        raise DataError(f"{folder}: it holds no {' or '.join(endings)} file. Name another folder.")
    return found


def _without(scans: dict[str, Path], skip: Collection[str]) -> dict[str, Path]:
    unknown = next((scan for scan in skip if scan not in scans), None)
    if unknown is not None:
        raise DataError(f"--skip {unknown}: there is no such scan. Correct the name.")
    return {scan: path for scan, path in scans.items() if scan not in skip}


def _paired(
    scans: Mapping[str, Path], folder: Path, endings: tuple[str, ...], skip: Collection[str]
) -> dict[str, Path]:
    masks = _files(folder, endings)
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
    return masks


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sort scan 2 before scan 10."""
    return [
        (int(digits or -1), text) for digits, text in re.findall(r"(\d+)|(\D+)", path.name.lower())
    ]


def _medseg(folder: Path, part: str) -> Pair:
    image = read_nifti(folder / f"{part}_im.nii.gz")
    volume = Volume(part, image.voxels, image.affine, image.source, image.unit)
    table = folder / f"{part}_slices.csv"
    if table.is_file():
        with table.open(newline="", encoding="utf-8") as stream:
            listed = sum(1 for _ in csv.DictReader(stream))
        if listed != len(volume.voxels):
            raise DataError(
                f"{table.name}: it lists {listed} slices, {volume.source.file} holds "
                f"{len(volume.voxels)}. Download the folder again."
            )
    return volume, read_mask(folder / f"{part}_msk.nii.gz", volume)
