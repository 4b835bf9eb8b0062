"""Build a dataset from COVID-SemiSeg's folders of pictures."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias, Unpack

from alnb.dataset.build import Pair, build
from alnb.dataset.files import check_folder, find
from alnb.dataset.folder import Dataset
from alnb.dataset.importers import BuildOptions
from alnb.dataset.slices import Part
from alnb.errors import DataError
from alnb.volumes import PICTURES, read_picture, read_picture_mask

_TRAIN = (
    Path("TrainingSet/LungInfection-Train/Doctor-label"),
    Path("TrainingSet/LungInfection-Train"),
)
_TEST = (Path("TestingSet/LungInfection-Test"),)
_IMAGE_FOLDERS = {"imgs", "img", "images", "image"}
_MASK_FOLDERS = {"gt", "gts", "masks", "mask"}

_Set: TypeAlias = tuple[dict[str, Path], dict[str, Path]]  # slices and masks, by name


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
    out : path
        The dataset's folder.
    skip : collection of str
        Pictures to leave out.
    **options
        As `build` takes them; where both parts are there, the split is the published one.

    Returns
    -------
    Dataset
        Pseudo-labels and the set of several classes, which lie beside these, are left alone.

    Raises
    ------
    DataError
        If the folders aren't there, a slice has no mask or a mask no slice, or as `build`.
    """
    sets = _semiseg_sets(Path(folder))
    note = (
        "which slices are of one patient isn't published, so a patient may lie in different parts."
    )
    options = {"name": "semiseg", "notes": (note,), **options}
    unknown = next((one for one in skip if not any(one in pictures for pictures, _ in sets)), None)
    if unknown is not None:
        raise DataError(f"--skip {unknown}: there is no such picture. Correct the name.")
    names = _unique_names([pictures for pictures, _ in sets])
    if len(sets) == 2:
        options["split"] = _published(sets, names, skip)
    return build(_semiseg(sets, names, skip), out, **options)


def _semiseg_sets(folder: Path) -> list[_Set]:
    """Find pictures and masks of the train and test part, or of the one set that is there."""
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
    single = _folders(folder)
    parts = parts or ([single] if single else [])
    if not parts:
        raise DataError(
            f"{folder}: no folders Imgs and GT are in it, nor in {_TRAIN[0]}. Name the folder "
            "that COVID-SemiSeg is unpacked in."
        )
    sets = []
    for images, masks in parts:
        pictures, theirs = find(images, masks, PICTURES, ())
        sets.append((pictures, theirs or {}))
    return sets


def _folders(folder: Path) -> tuple[Path, Path] | None:
    """Return a folder's folders of slices and of masks, where it has both."""
    inner = {path.name.lower(): path for path in folder.glob("*") if path.is_dir()}
    images = next((inner[name] for name in sorted(inner.keys() & _IMAGE_FOLDERS)), None)
    masks = next((inner[name] for name in sorted(inner.keys() & _MASK_FOLDERS)), None)
    return (images, masks) if images and masks else None


def _unique_names(sets: list[dict[str, Path]]) -> list[dict[str, str]]:
    """Name pictures by their files, and by their part too if the parts share a name."""
    clash = len(sets) == 2 and sets[0].keys() & sets[1].keys()
    return [
        {name: f"{part}_{name}" if clash else name for name in pictures}
        for part, pictures in zip(("train", "test"), sets, strict=False)
    ]


def _published(
    sets: list[_Set], names: list[dict[str, str]], skip: Collection[str]
) -> dict[str, Part]:
    parts: tuple[Part, Part] = ("train", "test")
    return {
        theirs[name]: part
        for part, (pictures, _), theirs in zip(parts, sets, names, strict=True)
        for name in pictures
        if name not in skip
    }


def _semiseg(
    sets: list[_Set], names: list[dict[str, str]], skip: Collection[str]
) -> Iterator[Pair]:
    for (pictures, masks), theirs in zip(sets, names, strict=True):
        for name, path in pictures.items():
            if name not in skip:
                volume = replace(read_picture(path), scan=theirs[name])
                yield volume, read_picture_mask(masks[name], volume)
