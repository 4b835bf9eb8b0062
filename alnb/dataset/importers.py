"""Build datasets from what people have: NIfTI folders, pictures, DICOM series; and the phantom."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypedDict, Unpack

from alnb.arrays import Window
from alnb.dataset.build import SIZE, Pair, Progress, build
from alnb.dataset.files import check_folder, find, natural, without
from alnb.dataset.folder import Dataset
from alnb.dataset.split import Split
from alnb.dicom import names_patient, read_dicom
from alnb.errors import DataError
from alnb.volumes import (
    NIFTI,
    PICTURES,
    Unit,
    read_mask,
    read_nifti,
    read_picture,
    read_picture_mask,
    upside_down,
)

ZENODO = ("COVID-19-CT-Seg_20cases", "Infection_Mask")  # of record 3757476
PHANTOM_LABELS = (1, 2)  # ground-glass and consolidation, as the phantom draws them


class BuildOptions(TypedDict, total=False):
    """What every import passes on to `build`, and as it is there."""

    name: str | None
    size: int
    window: Window
    split: Split
    seed: int
    infected: Collection[int] | None
    known: Collection[int] | None
    allow_shared: bool
    notes: Iterable[str]
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
        told = f"turned upside down, as told: scans {', '.join(flip)}."
        options["notes"] = [told, *options.get("notes", ())]

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
    scans, theirs = find(Path(images), masks, PICTURES, skip)

    def pairs() -> Iterator[Pair]:
        for scan, path in scans.items():
            volume = read_picture(path, unit=unit)
            yield volume, read_picture_mask(theirs[scan], volume) if theirs else None

    options["notes"] = [note, *options.get("notes", ())]
    return build(pairs(), out, **options)


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
        One series, or a folder of such folders. Scans are named by their folders, unless one
        of these is named by its patient: then by numbers, in natural order.
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
    check_folder(folder)
    inner = sorted((path for path in folder.iterdir() if path.is_dir()), key=natural)
    series = without({path.name: path for path in inner or [folder]}, skip)
    names = _anonymous(list(series.values()))
    if any(scan != path.name for scan, path in names.items()):
        note = "folders named by their patients became scan_1, scan_2, … in their order."
        options["notes"] = [note, *options.get("notes", ())]
    pairs = ((read_dicom(path, unit=unit, scan=scan), None) for scan, path in names.items())
    return build(pairs, out, **options)


def _anonymous(series: list[Path]) -> dict[str, Path]:
    """Name series by their folders, but by numbers where one is named by its patient."""
    if any(names_patient(path) for path in series):
        return {f"scan_{number}": path for number, path in enumerate(series, 1)}
    return {path.name: path for path in series}


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

    merged: BuildOptions = {
        "name": "phantom", "size": SIZE, "seed": 0, "known": PHANTOM_LABELS, **options,
    }  # fmt: skip
    pairs = phantom(scans=scans, size=merged["size"], seed=merged["seed"])
    return build(pairs, out, **merged)
