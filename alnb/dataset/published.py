"""Build datasets from the NIfTI files that MedSeg and Zenodo's record 3757476 publish."""

from __future__ import annotations

import csv
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from alnb.dataset.build import Pair, build
from alnb.dataset.files import files, without
from alnb.dataset.folder import Dataset
from alnb.dataset.importers import ZENODO, BuildOptions, import_nifti
from alnb.dataset.slices import Part
from alnb.errors import DataError
from alnb.volumes import NIFTI, Unit, read_mask, read_nifti

MEDSEG_LABELS = (1, 2, 3)  # ground-glass, consolidation, effusion
_VOLUMES = ("rp_im", "rp_msk")  # MedSeg's nine scans
_TWINS = ("radiopaedia_10_85902_1", "radiopaedia_10_85902_3")  # of one patient, says its author


# --- MedSeg ----------------------------------------------------------------------------------


def import_medseg(
    folder: Path | str,
    out: Path | str,
    *,
    skip: Collection[str] = (),
    unit: Unit | None = None,
    flip: Collection[str] = (),
    **options: Unpack[BuildOptions],
) -> Dataset:
    """Import MedSeg's nine scans (COVID-19-A), or its slices as COVID-SemiSeg deals them.

    Parameters
    ----------
    folder : path
        Holds ``rp_im`` and ``rp_msk``, folders of volumes; or ``train_im``, ``train_msk``,
        ``test_im`` and ``test_msk`` as ``.nii.gz``, and where ``train_slices.csv`` and
        ``test_slices.csv`` are there, they must count as many slices.
    out : path
        The dataset's folder.
    skip, unit, flip
        As `import_nifti`; for scans, not for slices.
    **options
        As `build` takes them. The split of the scans is the paper's "sep", unless told; that of
        the slices the published one, and their size 256, so that nothing is resampled.

    Returns
    -------
    Dataset
        Of nine scans; or of two, "train" and "test", of 50 and 24 slices of over 40 patients.
        Labels are 1 ground-glass, 2 consolidation, 3 effusion.

    Raises
    ------
    DataError
        If a file is missing or broken, the tables don't fit the volumes, a mask holds another
        label, something is asked of slices that is for scans, or as `build`.
    """
    folder = Path(folder)
    options = {"known": MEDSEG_LABELS, **options}
    if (folder / _VOLUMES[0]).is_dir():
        options = {"name": "covid19a", "split": "sep", **options}
        images, masks = (folder / name for name in _VOLUMES)
        return import_nifti(images, out, masks=masks, skip=skip, unit=unit, flip=flip, **options)
    if not (folder / "train_im.nii.gz").is_file():
        raise DataError(
            f"{folder}: neither {_VOLUMES[0]} and {_VOLUMES[1]} nor train_im.nii.gz is in it. "
            "Name MedSeg's folder of scans or of slices."
        )
    idle = {"skip": skip, "unit": unit, "flip": flip, "split": options.get("split")}
    if given := [name for name, value in idle.items() if value]:
        raise DataError(
            f"--{given[0]}: MedSeg's slices are dealt as published, and lie as they should; that "
            "is for its nine scans. Leave it out."
        )
    published: dict[str, Part] = {"train": "train", "test": "test"}
    note = (
        "which slices are of one patient isn't published, so a patient may lie in train and in "
        "test."
    )
    options = {"name": "medseg", "size": 256, "notes": (note,), **options, "split": published}
    return build((_medseg(folder, part) for part in published), out, **options)


def _medseg(folder: Path, part: str) -> Pair:
    volume = replace(read_nifti(folder / f"{part}_im.nii.gz"), scan=part, stacked=False)
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


# --- COVID-19-B ------------------------------------------------------------------------------


def import_covid19b(
    folder: Path | str,
    out: Path | str,
    *,
    skip: Collection[str] = (),
    unit: Unit | None = None,
    flip: Collection[str] = (),
    **options: Unpack[BuildOptions],
) -> Dataset:
    """Import COVID-19-B as Zenodo's record 3757476 is unpacked.

    Parameters
    ----------
    folder : path
        Holds ``COVID-19-CT-Seg_20cases`` and ``Infection_Mask``.
    out : path
        The dataset's folder.
    skip, unit, flip
        As `import_nifti`. Which way up a scan lies is not guessed: nothing is turned unless
        told, and the notes say what to look at.
    **options
        As `build` takes them; the split is the paper's "sep", unless told.

    Returns
    -------
    Dataset
        Scans in natural order (radiopaedia_4 before radiopaedia_10), which is ours, since the
        paper doesn't tell its own.

    Raises
    ------
    DataError
        As `import_nifti`.
    """
    folder = Path(folder)
    for name in ZENODO:
        if not (folder / name).is_dir():
            raise DataError(
                f"{folder}: {name} is not in it. Name the folder that holds {ZENODO[0]} and "
                f"{ZENODO[1]}; alnb fetch covid19-b makes one."
            )
    images, masks = (folder / name for name in ZENODO)
    options = {"name": "covid19b", "split": "sep", **options}
    scans = without(files(images, NIFTI), skip)
    options["notes"] = _covid19b_notes(list(scans), flip, options["split"])
    return import_nifti(images, out, masks=masks, skip=skip, unit=unit, flip=flip, **options)


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
            f"scans {' and '.join(_TWINS)} are of one patient, says the data's author: look "
            "whether they lie in different parts."
        )
    return notes
