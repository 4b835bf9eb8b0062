"""Find the files of scans and of their masks, and pair them by name."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from alnb.dataset.split import nearest, some
from alnb.errors import DataError, saying
from alnb.volumes import NIFTI, PICTURES, scan_name
from alnb.volumes.scan import plain_name

T = TypeVar("T")

_OF_IMAGES = {
    "image", "images", "img", "imgs", "im", "ct", "scan", "slice", "vol", "volume", "org", "orig",
    "original", "raw", "input", "dcm",
}  # fmt: skip
_OF_MASKS = {
    "mask", "masks", "msk", "seg", "segm", "segmentation", "gt", "groundtruth", "truth", "label",
    "labels", "labelmap", "lbl", "manual", "annotation", "annotated", "lesion", "lesions",
    "infection", "infections",
}  # fmt: skip
"""Words that only say what a file is: "x_mask" is the mask of "x"."""
_KAGGLE = re.compile(r"covid-19-pneumonia-?")  # in the names of Kaggle's copy of COVID-19-B
_CHANNEL = "_0000"  # nnU-Net's ending of a scan of one channel; its mask has none
_SCANS = {
    *NIFTI, *PICTURES, ".nrrd", ".mha", ".mhd", ".mgz", ".dcm", ".ima", ".tif",
    ".tiff", ".bmp", ".gif", ".webp", ".npy", ".npz", ".zip", ".7z", ".rar", ".tar", ".tgz",
}  # fmt: skip
"""Endings that may hold scans, so that it is said when they are left out."""


@dataclass(frozen=True, slots=True)
class Found:
    """The files of an import."""

    scans: dict[str, Path]  # by scan, in natural order
    masks: dict[str, Path]  # by scan; empty if there is no folder of them
    notes: tuple[str, ...]  # what was decided or left out, for the person


def find(
    images: Path, folder: Path | str | None, endings: tuple[str, ...], skip: Collection[str]
) -> Found:
    """Find the scans' files, and their masks' where there are masks.

    Parameters
    ----------
    images, endings
        As `files` takes them.
    folder : path or None
        Of masks under the scans' names, or under names that differ by usual words and endings
        only: ``x_0000`` and ``x``, ``image_1`` and ``mask_1``, ``x`` and ``x_seg``. It may be
        `images` itself.
    skip : collection of str
        Scans to leave out.

    Raises
    ------
    DataError
        As `files`, or if a scan has no mask, a mask no scan, or one of them several.
    """
    every = files(images, endings)
    left = _left_out(images, endings, folder)
    if folder is None:
        scans = without(every, skip)
        _check_no_masks(scans, images)
        return Found(scans, {}, left)
    folder = Path(folder)
    masks = files(folder, endings)
    if images.is_dir() and folder.is_dir() and images.samefile(folder):
        masks = {name: path for name, path in masks.items() if _OF_MASKS & {*_words(name)}}
        every = {name: path for name, path in every.items() if name not in masks}
    else:
        left = (*left, *_left_out(folder, endings, images))
    scans = without(every, skip)
    if images.is_file() and folder.is_file():
        return Found(scans, dict(zip(scans, masks.values(), strict=False)), left)
    skipped = {*every} - {*scans}
    if images.is_file():  # the masks of its neighbours are none of its own
        skipped |= {scan_name(one) for one in _listed(images.parent)}
    paired, note = _paired(scans, masks, skipped - {*scans}, folder)
    return Found(scans, paired, (*left, *note))


@saying("folder")
def files(folder: Path, endings: tuple[str, ...]) -> dict[str, Path]:
    """Find the files of these endings by scan, in natural order; `folder` may be one file.

    Raises
    ------
    DataError
        If there are none, two name one scan, or a folder is called like a file.
    """
    if folder.is_file():
        return {scan_name(folder): folder}
    found: dict[str, Path] = {}
    for path in sorted(_listed(folder), key=natural):
        if not path.name.lower().endswith(endings):
            continue
        if path.is_dir():
            raise DataError(f"{path}: it is a folder. Move its file out of it, or rename it.")
        twin = found.setdefault(scan_name(path), path)
        if twin is not path:
            raise DataError(f"{folder}: {twin.name} and {path.name} name one scan. Remove one.")
    if not found:
        inner = {path.parent: None for one in _inner(folder, endings) for path in _in(one, endings)}
        names = some([path.relative_to(folder) for path in inner])
        into_one = ", or put their files into one" if len(inner) > 1 else ""
        hint = f"one that does: {names}{into_one}" if inner else "another folder"
        raise DataError(
            f"{folder}: it holds no {' or '.join(endings)} file{_instead(folder)}. Name {hint}."
        )
    return found


def _instead(folder: Path) -> str:
    """Name the kinds of files that are there."""
    kinds = sorted({path.suffix.lower() for path in folder.iterdir() if path.is_file()} - {""})
    return f", only {', '.join(kinds[:5])}" if kinds else ""


def is_called_mask(path: Path) -> bool:
    """Tell whether a file or folder is called like a mask, as ``x_mask.png`` or ``masks``."""
    return bool(_OF_MASKS & {*_words(scan_name(path))})


@saying("folder")
def check_folder(folder: Path) -> None:
    """Refuse what is no folder, with a `DataError`."""
    if folder.is_file():
        raise DataError(f"{folder}: it is a file. Name the folder that holds it.")
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder. Check the path.")


def without(scans: dict[str, T], skip: Collection[str]) -> dict[str, T]:
    """Leave scans out; a `DataError` names one that is missing."""
    known = {plain_name(scan) for scan in scans}
    names = {name if name in known else scan_name(name) for name in map(plain_name, skip)}
    if unknown := next(iter(sorted(names - known)), None):
        raise DataError(
            f"--skip {unknown}: there is no such scan. Correct the name{nearest(unknown, known)}."
        )
    return {scan: one for scan, one in scans.items() if plain_name(scan) not in names}


def natural(path: Path) -> list[tuple[int, str]]:
    """Sort scan 2 before scan 10."""
    return [
        (int(digits or -1), text)
        for digits, text in re.findall(r"(\d+)|(\D+)", plain_name(path.name).lower())
    ]


def _listed(folder: Path) -> list[Path]:
    """List a folder without hidden files, such as macOS adds."""
    check_folder(folder)
    return [path for path in folder.iterdir() if not path.name.startswith(".")]


def _left_out(folder: Path, endings: tuple[str, ...], named: Path | str | None) -> tuple[str, ...]:
    """Say which files of a folder may be scans, too, and are not read; `named` is the other one."""
    if not folder.is_dir():
        return ()
    others = Counter(
        path.suffix.lower()
        for path in _listed(folder)
        if not path.name.lower().endswith(endings) and path.suffix.lower() in _SCANS
    )
    counts = [f"{count} {ending}" for ending, count in sorted(others.items())]
    inner = [one for one in _inner(folder, endings) if named is None or one not in _up(named)]
    counts += [f"the folder {one.name}" for one in inner]
    return (f"left out, since this import doesn't read them: {some(counts)}.",) if counts else ()


def _inner(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    """Find the folders inside that hold such files, at any depth."""
    return [
        inner
        for inner in sorted(_listed(folder), key=natural)
        if inner.is_dir() and _in(inner, endings)
    ]


def _in(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    """List the files of these endings at any depth, without hidden ones, in natural order."""
    every = sorted(folder.rglob("*"), key=natural)
    return [
        one for one in every if one.name.lower().endswith(endings) and not one.name.startswith(".")
    ]


def _up(path: Path | str) -> tuple[Path, ...]:
    """List a path and all that it lies in."""
    return Path(path), *Path(path).parents


# --- pairing ---


def _paired(
    scans: dict[str, Path], masks: dict[str, Path], skipped: set[str], folder: Path
) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Give every scan its mask: under its own name, or one that usual words tell apart."""
    pairs = {scan: scan for scan in scans if scan in masks}
    unusual: dict[str, str] = {}
    for key in (_key, _key_of_channel):
        open_masks = [name for name in masks if name not in {*pairs.values(), *skipped}]
        found = _by_key([scan for scan in scans if scan not in pairs], open_masks, key)
        unusual |= found
        pairs |= found
    lacking = next((scan for scan in scans if scan not in pairs), None)
    spare = [name for name in masks if name not in {*pairs.values(), *skipped}]
    if lacking is not None:
        raise DataError(
            f"scan {lacking}: {folder} holds no mask of that name{nearest(lacking, spare)}. Add "
            f"it, or leave the scan out with --skip {lacking}."
        )
    theirs = {key(scan) for scan in skipped for key in (_key, _key_of_channel)}
    surplus = next((name for name in spare if _key(name) not in theirs), None)
    if surplus is not None:
        raise DataError(
            f"mask {masks[surplus].name}: there is no scan of that name{nearest(surplus, scans)}. "
            "Add the scan, or take the mask out of its folder."
        )
    said = some([f"{masks[name].name} to scan {scan}" for scan, name in unusual.items()])
    note = (f"masks under other names were paired by the usual endings: {said}.",)
    return {scan: masks[name] for scan, name in pairs.items()}, note if unusual else ()


def _by_key(scans: list[str], masks: list[str], key: Callable[[str], str]) -> dict[str, str]:
    """Pair names that only differ by usual words; a `DataError` if two could match.

    `key` is of scans; masks have `_key`.
    """
    by_scan, by_mask = _grouped(scans, key), _grouped(masks, _key)
    for shared in by_scan.keys() & by_mask.keys():
        ours, theirs = by_scan[shared], by_mask[shared]
        if len(ours) > 1 or len(theirs) > 1:
            raise DataError(
                f"scan {some(ours)} could go with mask {some(theirs)}, so they can't be paired by "
                "name. Rename the masks as their scans, or take out what isn't needed."
            )
    return {ours[0]: by_mask[key][0] for key, ours in by_scan.items() if key in by_mask}


def _grouped(names: list[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(key(name), []).append(name)
    return groups


def _check_no_masks(scans: dict[str, Path], folder: Path) -> None:
    """Refuse masks among scans that were to be imported without masks."""
    like = {name for name in scans if _OF_MASKS & {*_words(name)}}
    keys = {
        key(name): name for name in scans if name not in like for key in (_key_of_channel, _key)
    }
    mask = next((name for name in scans if name in like and _key(name) in keys), None)
    if mask is not None:
        raise DataError(
            f"{folder}: {mask} is called as the mask of {keys[_key(mask)]}. Say --masks {folder} "
            f"if it is one, or leave it out with --skip {mask}."
        )


def _words(name: str) -> list[str]:
    """Split a name in words and numbers, in lower case: ``ct1_infectionMask``, at its capitals."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", unicodedata.normalize("NFKC", name))
    return re.findall(r"\d+|[^\d\s_.,;()\[\]{}+&#-]+", _KAGGLE.sub("", apart.casefold()))


def _key(name: str) -> str:
    """Return what tells a name from others: without the words that say what a file is."""
    key = ""
    for word in _words(name):
        if word not in _OF_IMAGES | _OF_MASKS:
            key += f"_{word}" if key[-1:].isdecimal() and word.isdecimal() else word
    return key


def _key_of_channel(name: str) -> str:
    return _key(name.removesuffix(_CHANNEL))
