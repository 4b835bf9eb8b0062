"""Find the files of scans and of their masks, by name and in natural order."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from alnb.errors import DataError
from alnb.volumes import scan_name


def find(
    images: Path, masks: Path | str | None, endings: tuple[str, ...], skip: Collection[str]
) -> tuple[dict[str, Path], dict[str, Path] | None]:
    """Find the scans' files, and their masks' where there are masks.

    Parameters
    ----------
    images : path
        A folder, or one file.
    masks : path or None
        A folder of masks under the scans' names.
    endings : tuple of str
        Of the files, lower case.
    skip : collection of str
        Scans to leave out.

    Returns
    -------
    dict of str to Path, and the same or None
        By scan, in natural order.

    Raises
    ------
    DataError
        If there are none, two name one scan, or a scan has no mask or a mask no scan.
    """
    scans = without(files(images, endings), skip)
    return scans, None if masks is None else _paired(scans, Path(masks), endings, skip)


def files(folder: Path, endings: tuple[str, ...]) -> dict[str, Path]:
    """Find the files of these endings by scan, in natural order."""
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
    """Refuse what is no folder."""
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder. Check the path.")


def without(scans: dict[str, Path], skip: Collection[str]) -> dict[str, Path]:
    """Leave scans out, all of which must be there."""
    unknown = next((scan for scan in skip if scan not in scans), None)
    if unknown is not None:
        raise DataError(f"--skip {unknown}: there is no such scan. Correct the name.")
    return {scan: path for scan, path in scans.items() if scan not in skip}


def natural(path: Path) -> list[tuple[int, str]]:
    """Sort scan 2 before scan 10."""
    return [
        (int(digits or -1), text) for digits, text in re.findall(r"(\d+)|(\D+)", path.name.lower())
    ]


def _paired(
    scans: Mapping[str, Path], folder: Path, endings: tuple[str, ...], skip: Collection[str]
) -> dict[str, Path]:
    masks = files(folder, endings)
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
