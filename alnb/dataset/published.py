"""Build datasets from folders as they are published: MedSeg, COVID-19-A and -B, SemiSeg."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np

from alnb.dataset.build import Pair, build
from alnb.dataset.dataset import Dataset
from alnb.dataset.files import check_folder, files, find, natural, without
from alnb.dataset.importers import (
    ZENODO,
    BuildOptions,
    import_nifti,
    noted,
    reaching,
    threshold_of,
)
from alnb.dataset.manifest import Part
from alnb.dataset.split import nearest, some
from alnb.errors import DataError, saying
from alnb.storage import sha256_of
from alnb.volumes import (
    NIFTI,
    PICTURES,
    Form,
    Labels,
    Unit,
    mask_misfits,
    read_mask,
    read_nifti,
    read_picture,
    read_picture_labels,
    read_picture_mask,
)
from alnb.volumes.dicom import read_series
from alnb.volumes.scan import plain_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

MEDSEG_LABELS = (1, 2, 3)  # ground-glass, consolidation, effusion
MEDSEG_SCANS = ("rp_im", "rp_msk")  # folders of MedSeg's nine scans
COVID19A_LABELS = (127, 255)  # both are infection
COVID19A = ("OpenSourceDCMs", "InfectionMasks")  # folders of series and of masks
_TWINS = ("radiopaedia_10_85902_1", "radiopaedia_10_85902_3")  # of one patient, says its author
_TRAIN = ("TrainingSet/LungInfection-Train/Doctor-label", "TrainingSet/LungInfection-Train")
_TEST = ("TestingSet/LungInfection-Test",)
_IMAGE_FOLDERS = {"imgs", "img", "images", "image"}
_MASK_FOLDERS = {"gt", "gts", "masks", "mask"}


# --- MedSeg ----------------------------------------------------------------------------------


@saying("folder")
def import_medseg(
    folder: Path | str,
    out: Path | str,
    *,
    skip: Collection[str] = (),
    unit: Unit | None = None,
    offset: float | None = None,
    affine: Form | None = None,
    flip: Collection[str] = (),
    **options: Unpack[BuildOptions],
) -> Dataset:
    """Import MedSeg's nine scans (COVID-19-A), or its slices as COVID-SemiSeg deals them.

    Parameters
    ----------
    folder : path
        Holds ``rp_im`` and ``rp_msk``, folders of volumes; or ``train_im``, ``train_msk``,
        ``test_im`` and ``test_msk`` as ``.nii.gz``. If ``train_slices.csv`` and
        ``test_slices.csv`` are there, they must list as many slices.
    out, skip, unit, offset, affine, flip, **options
        As `import_nifti`; those before options only for the nine scans. The default split of the
        scans is the paper's "sep". The split of the slices is the published one, and their
        default size 256: nothing is resampled.

    Returns
    -------
    Dataset
        Of nine scans; or of two, "train" and "test", of 50 and 24 slices of over 40 patients.
        Labels are 1 ground-glass, 2 consolidation, 3 effusion.

    Raises
    ------
    DataError
        If a file is missing or broken, the tables don't fit the volumes, a mask holds another
        label, an option for scans is used for slices, or as `build`.
    """
    folder = Path(folder)
    options = {"known": MEDSEG_LABELS, **options}
    if (folder / MEDSEG_SCANS[0]).is_dir():
        options = {"name": "covid19a", "split": "sep", **options}
        images, masks = (folder / name for name in MEDSEG_SCANS)
        return import_nifti(
            images, out, masks=masks, skip=skip, unit=unit, offset=offset, affine=affine, flip=flip,
            **options,
        )  # fmt: skip
    if not (folder / "train_im.nii.gz").is_file():
        raise DataError(
            f"{folder}: neither {' and '.join(MEDSEG_SCANS)} nor train_im.nii.gz is in it. Name "
            "MedSeg's folder of scans or of slices."
        )
    idle = {
        "skip": skip or None, "flip": flip or None, "unit": unit, "offset": offset,
        "affine": affine, "split": options.get("split"),
    }  # fmt: skip
    if given := [name for name, value in idle.items() if value is not None]:
        raise DataError(
            f"--{given[0]}: this option is for MedSeg's nine scans. Its slices keep the published "
            "split and orientation. Leave the option out."
        )
    published: dict[str, Part] = {"train": "train", "test": "test"}
    note = (
        "which slices are of one patient isn't published, so a patient may lie in train and in "
        "test."
    )
    options = {"name": "medseg", "size": 256, **noted(options, note), "split": published}
    return build((_medseg(folder, part) for part in published), out, **options)


def _medseg(folder: Path, part: str) -> Pair:
    volume = replace(read_nifti(folder / f"{part}_im.nii.gz"), scan=part, stacked=False)
    table = folder / f"{part}_slices.csv"
    if table.is_file():
        with table.open(newline="", encoding="utf-8", errors="replace") as stream:
            listed = sum(1 for _ in csv.DictReader(stream))
        if listed != len(volume.voxels):
            raise DataError(
                f"{table.name}: it lists {listed} slices, {volume.source.file} holds "
                f"{len(volume.voxels)}. Download the folder again."
            )
    return volume, read_mask(folder / f"{part}_msk.nii.gz", volume)


# --- COVID-19-B ------------------------------------------------------------------------------


@saying("folder")
def import_covid19b(
    folder: Path | str,
    out: Path | str,
    *,
    skip: Collection[str] = (),
    unit: Unit | None = None,
    offset: float | None = None,
    affine: Form | None = None,
    flip: Collection[str] = (),
    **options: Unpack[BuildOptions],
) -> Dataset:
    """Import COVID-19-B as Zenodo's record 3757476 is unpacked.

    Parameters
    ----------
    folder : path
        Holds ``COVID-19-CT-Seg_20cases`` and ``Infection_Mask``.
    out, skip, unit, offset, affine, flip, **options
        As `import_nifti`. No scan is turned unless `flip` names it; the notes say what to check.
        The default split is the paper's "sep".

    Returns
    -------
    Dataset
        Scans in natural order (radiopaedia_4 before radiopaedia_10). The order is ours; the
        paper doesn't give its own.

    Raises
    ------
    DataError
        As `import_nifti`.
    """
    folder = Path(folder)
    _check_holds(folder, ZENODO, "; alnb fetch covid19-b makes one")
    images, masks = (folder / name for name in ZENODO)
    options = {"name": "covid19b", "split": "sep", **options}
    scans = without(files(images, NIFTI), skip)
    options = noted(options, *_covid19b_notes(list(scans), flip, options["split"]))
    return import_nifti(
        images, out, masks=masks, skip=skip, unit=unit, offset=offset, affine=affine, flip=flip,
        **options,
    )  # fmt: skip


def _covid19b_notes(scans: list[str], flip: Collection[str], split: object) -> list[str]:
    notes = []
    if len(scans) != 20:
        notes.append(f"of the 20 scans that are published, {len(scans)} were imported.")
    if not flip and any(scan.startswith("radiopaedia") for scan in scans):
        notes.append(
            "no scan was turned; in some copies the scans radiopaedia_* lie upside down in spite "
            "of their headers. If their spine is at the top, import again with --flip "
            "'radiopaedia_*'."
        )
    if set(_TWINS) <= set(scans) and split != "mixed" and (split != "sep" or len(scans) != 20):
        notes.append(
            f"scans {' and '.join(_TWINS)} are of one patient, says the data's author: check "
            "whether they lie in different parts."
        )
    return notes


# --- COVID-19-A ------------------------------------------------------------------------------


@saying("folder")
def import_covid19a(
    folder: Path | str,
    out: Path | str,
    *,
    skip: Collection[str] = (),
    unit: Unit | None = None,
    **options: Unpack[BuildOptions],
) -> Dataset:
    """Import COVID-19-A from DICOM series and a PNG mask for every slice.

    Parameters
    ----------
    folder : path
        Holds ``OpenSourceDCMs/DCM<scan>/*s<slice:04d>*`` and
        ``InfectionMasks/<scan>_z<slice>.png``. Slices are sorted by their position. The number
        in a file's name is only used to find its mask.
    out, skip, unit, **options
        As `import_nifti`; scans are called as in ``DCM3``. The default split is the paper's "sep".

    Returns
    -------
    Dataset
        Labels are 127 and 255, both infected. Masks are flipped left to right and then turned
        by 90°, as the paper's authors read them: so they lie on the stored pixels.

    Raises
    ------
    DataError
        If a slice has no mask or a mask no slice, masks differ in size from their slices or
        hold another label, a series is broken, or as `build`.
    """
    folder = Path(folder)
    _check_holds(folder, COVID19A)
    found = [one for one in (folder / COVID19A[0]).glob("DCM*") if one.is_dir()]
    series = without({one.name: one for one in sorted(found, key=natural)}, skip)
    masks = _masks_by_scan(folder / COVID19A[1])
    stray = next((scan for scan in masks if scan not in series and scan not in skip), None)
    if stray is not None:
        raise DataError(
            f"{COVID19A[1]}: there are masks of {stray}, and no such series. Add it, or take the "
            "masks out."
        )
    note = "masks were flipped left to right and turned by 90°, as their authors read them."
    options = {
        "name": "covid19a", "split": "sep", "known": COVID19A_LABELS, **noted(options, note),
    }  # fmt: skip
    pairs = (_covid19a(path, masks.get(scan, {}), unit) for scan, path in series.items())
    return build(pairs, out, **options)


def _masks_by_scan(folder: Path) -> dict[str, dict[int, Path]]:
    """Find masks by series and number of slice."""
    masks: dict[str, dict[int, Path]] = {}
    for path in files(folder, (".png",)).values():
        named = re.fullmatch(r"(\w+)_z(\d+)\.png", path.name, flags=re.IGNORECASE)
        if not named:
            continue
        twin = masks.setdefault(f"DCM{named[1]}", {}).setdefault(int(named[2]), path)
        if twin is not path:
            raise DataError(f"{folder}: {twin.name} and {path.name} name one slice. Remove one.")
    return masks


def _covid19a(folder: Path, masks: Mapping[int, Path], unit: Unit | None) -> Pair:
    volume, files_of = read_series(folder, unit=unit, scan=folder.name)
    numbers = [tuple(_slice_number(name, folder) for name in names) for names in files_of]
    _check_masks(volume.scan, numbers, masks)
    columns, rows, _ = volume.source.shape
    planes = [
        _turned_mask([masks[one] for one in theirs if one in masks], volume.scan, (rows, columns))
        for theirs in numbers
    ]
    stored = np.stack([plane.T for plane in planes], axis=-1)
    digests = "".join(sha256_of(masks[number]) for number in sorted(masks))
    checksum = hashlib.sha256(digests.encode()).hexdigest()
    labels = np.ascontiguousarray(volume.source.to_display(stored))
    return volume, Labels(labels, f"{len(masks)} files", checksum)


def _slice_number(name: str, folder: Path) -> int:
    found = {int(digits) for digits in re.findall(r"s(\d{4,})", name)}
    if len(found) != 1:
        raise DataError(
            f"{folder.name}: {name} has no slice number, such as s0012. Rename the file, or remove "
            "it."
        )
    return found.pop()


def _check_masks(scan: str, numbers: list[tuple[int, ...]], masks: Mapping[int, Path]) -> None:
    lacking = [theirs[0] for theirs in numbers if not any(one in masks for one in theirs)]
    if lacking:
        raise DataError(
            f"scan {scan}: {COVID19A[1]} holds no mask for slice {some(lacking)}. Add it, or leave "
            f"the scan out with --skip {scan}."
        )
    stray = masks.keys() - {one for theirs in numbers for one in theirs}
    if stray:
        raise DataError(
            f"scan {scan}: there is a mask for slice {some(sorted(stray))}, and no such slice. "
            f"Add it, or leave the scan out with --skip {scan}."
        )


def _turned_mask(paths: list[Path], scan: str, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the (rows, columns) mask of a slice; its doubles must have the same."""
    planes: list[NDArray[np.uint8]] = [
        np.rot90(np.fliplr(read_picture_labels(path).voxels[0])) for path in paths
    ]
    if planes[0].shape != shape:
        raise mask_misfits(scan, planes[0].shape, shape)
    if not all(np.array_equal(planes[0], plane) for plane in planes):
        raise DataError(
            f"scan {scan}: {paths[0].name} and {paths[1].name} are masks of one slice and "
            "differ. Remove one of them, and its slice."
        )
    return planes[0]


# --- COVID-SemiSeg ---------------------------------------------------------------------------


@saying("folder")
def import_semiseg(
    folder: Path | str,
    out: Path | str,
    *,
    skip: Collection[str] = (),
    **options: Unpack[BuildOptions],
) -> Dataset:
    """Import COVID-SemiSeg's pictures; each becomes a scan of one slice.

    Parameters
    ----------
    folder : path
        Holds ``TrainingSet/LungInfection-Train/Doctor-label`` (or the same without its last
        part) and ``TestingSet/LungInfection-Test``, here or in ``Dataset``; or is one of these
        itself. In each, ``Imgs`` holds the slices and ``GT`` the masks, under equal names.
    out, skip, **options
        As `import_pairs`. Where both parts are there, the split is the published one.

    Returns
    -------
    Dataset
        Pseudo-labels and the set of several classes, which lie beside these, are not read.

    Raises
    ------
    DataError
        If the folders aren't there, a slice has no mask or a mask no slice, or as `build`.
    """
    above = threshold_of(options)
    skipped = {plain_name(one) for one in skip}
    folders = _semiseg_sets(Path(folder))
    every = [files(images, PICTURES) for images, _ in folders]
    known = {name for one in every for name in one}
    if unknown := next(iter(skipped - known), None):
        raise DataError(
            f"--skip {unknown}: there is no such picture. Correct the name"
            f"{nearest(unknown, known)}."
        )
    sets = [
        find(*pair, PICTURES, skipped & names.keys())
        for pair, names in zip(folders, every, strict=True)
    ]
    parts: tuple[Part, Part] = ("train", "test")
    clash = len(sets) == 2 and not sets[0].scans.keys().isdisjoint(sets[1].scans)
    pictures = [
        (f"{part}_{name}" if clash else name, part, image, one.masks[name])
        for part, one in zip(parts, sets, strict=False)
        for name, image in one.scans.items()
    ]

    def pairs() -> Iterator[Pair]:
        for scan, _, image, mask in pictures:
            volume = replace(read_picture(image), scan=scan)
            yield volume, read_picture_mask(mask, volume, above=above)

    note = (
        "which slices are of one patient isn't published, so a patient may lie in different parts."
    )
    options = noted(options, note, *(note for one in sets for note in one.notes))
    options = {"name": "semiseg", **options}
    if len(sets) == 2:
        options["split"] = {scan: part for scan, part, *_ in pictures}
    return build(reaching(above, pairs()), out, **options)


def _semiseg_sets(folder: Path) -> list[tuple[Path, Path]]:
    """Find folders of pictures and masks: of the train and test part, or of the one set there."""
    check_folder(folder)
    roots = (folder, folder / "Dataset")
    found = [
        next((pair for root in roots for one in paths if (pair := _folders(root / one))), None)
        for paths in (_TRAIN, _TEST)
    ]
    parts = [pair for pair in found if pair]
    if len(parts) == 1:
        raise DataError(
            f"{folder}: only one of {_TRAIN[0]} and {_TEST[0]} is in it. Add the other, or name "
            "that one's folder."
        )
    if single := None if parts else _folders(folder):
        parts = [single]
    if not parts:
        raise DataError(
            f"{folder}: no folders Imgs and GT are in it, nor in {_TRAIN[0]}. Name the folder "
            "that COVID-SemiSeg is unpacked in."
        )
    return parts


def _folders(folder: Path) -> tuple[Path, Path] | None:
    """Return a folder's folders of slices and of masks, where it has both."""
    inner = {path.name.lower(): path for path in folder.glob("*") if path.is_dir()}
    images = next((inner[name] for name in sorted(inner.keys() & _IMAGE_FOLDERS)), None)
    masks = next((inner[name] for name in sorted(inner.keys() & _MASK_FOLDERS)), None)
    return (images, masks) if images and masks else None


def _check_holds(folder: Path, names: tuple[str, str], hint: str = "") -> None:
    """Refuse a folder that lacks one of two folders."""
    lacking = next((name for name in names if not (folder / name).is_dir()), None)
    if lacking is not None:
        raise DataError(
            f"{folder}: {lacking} is not in it. Name the folder that holds {' and '.join(names)}"
            f"{hint}."
        )
