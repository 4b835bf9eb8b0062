"""Deal slices to the parts train, val and test.

=========  ==================================================================================
``scan``   whole scans, shuffled by a seed, 60 % train, 10 % val, 30 % test. Ours: no patient
           is in two parts, and a third is for testing, because scans differ so much that
           fewer say little. With fewer than 5 scans there is no val part
``sep``    whole scans in order; of 9: 5, 1, 3 and of 20: 15, 1, 4 (paper 4.1); of another
           number 55, 10, 35 %, as of 9
``mixed``  of every scan its first 45 % of slices train, the next 5 % val, the rest test
           (paper 4.1); the parts share patients, so test scores flatter
a mapping  from a scan's name, or a `SliceId`, to its part; or a CSV file that says so
=========  ==================================================================================

`fold` divides the train part for cross-validation, so that settings are chosen without the test
part.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np

from alnb.dataset.dataset import PARTS, Dataset, Part, SliceId
from alnb.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Named: TypeAlias = Mapping[str, Part] | Mapping[SliceId, Part] | Mapping[str | SliceId, Part]
Split: TypeAlias = str | Path | Named

KINDS = ("scan", "sep", "mixed")


def deal(split: Split, depths: Mapping[str, int], seed: int = 0) -> dict[SliceId, Part]:
    """Give every slice its part.

    Parameters
    ----------
    split : str, path or mapping
        "scan", "sep", "mixed", a CSV file for `read_split`, or what that returns.
    depths : mapping of str to int
        The number of slices of each scan, in order.
    seed : int
        Shuffles the scans of "scan".

    Returns
    -------
    dict of SliceId to "train", "val" or "test"
        Every slice, in order. Val and test may be empty.

    Raises
    ------
    DataError
        If the split is unknown, omits a slice, names a slice that is missing, or leaves nothing
        to train on.
    """
    if split == "mixed":
        parts = dict(_mixed(depths))
    elif split in ("scan", "sep"):
        parts = _named(_whole(list(depths), seed if split == "scan" else None), depths)
    else:
        parts = _named(split if isinstance(split, Mapping) else read_split(split), depths)
    if "train" not in parts.values():
        raise DataError(
            "the split leaves no slice to train on. Choose another --split, or import more scans."
        )
    return parts


def shared_scans(parts: Mapping[SliceId, Part]) -> tuple[str, ...]:
    """Return the scans that lie in more than one part."""
    found: dict[str, set[Part]] = {}
    for where, part in parts.items():
        found.setdefault(where.scan, set()).add(part)
    return tuple(scan for scan, theirs in found.items() if len(theirs) > 1)


def read_split(path: Path | str) -> dict[str | SliceId, Part]:
    """Read a split from a CSV file with the columns scan and part, and z where slices differ.

    Its first line names the columns; other columns are ignored.

    Raises
    ------
    DataError
        If the file is missing, a line of it can't be understood, or two contradict each other.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(
            f"--split {path}: it is neither scan, sep nor mixed, and there is no such file. "
            "Name a CSV file with the columns scan, part and, where slices differ, z."
        )
    with path.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        if not {"scan", "part"} <= set(reader.fieldnames or ()):
            raise DataError(f"{path.name}: its first line must name the columns scan and part.")
        parts: dict[str | SliceId, Part] = {}
        for row in reader:
            key, part = _key(row, path), cast("Part", row["part"])
            if part not in PARTS:
                raise DataError(
                    f"{path.name}: scan {row['scan']} is put into part {part!r}. "
                    "A part is train, val or test."
                )
            if parts.setdefault(key, part) != part:
                raise DataError(
                    f"{path.name}: {key} is put into {parts[key]} and into {part}. Remove one of "
                    "the lines; where slices of a scan differ, number them in a column z."
                )
        return parts


def _key(row: Mapping[str, str], path: Path) -> str | SliceId:
    z = row.get("z")
    if not z:
        return row["scan"]
    if not z.isdecimal():
        raise DataError(f"{path.name}: z is {z!r} for scan {row['scan']}. Count slices from 0.")
    return SliceId(row["scan"], int(z))


def _whole(scans: Sequence[str], seed: int | None) -> dict[str, Part]:
    """Deal whole scans: train first, test last; shuffled by a seed, or else as the paper does."""
    count = len(scans)
    order = range(count) if seed is None else np.random.default_rng(seed).permutation(count)
    enough, share = (3, 0.35) if seed is None else (5, 0.3)
    val = max(1, round(0.1 * count)) if count >= enough else 0
    test = max(1, round(share * count)) if count >= 2 else 0
    if seed is None and count == 20:
        val, test = 1, 4
    train = count - val - test
    dealt = [
        part for part, many in zip(PARTS, (train, val, test), strict=True) for _ in range(many)
    ]
    return {scans[index]: part for index, part in zip(order, dealt, strict=True)}


def _mixed(depths: Mapping[str, int]) -> Iterator[tuple[SliceId, Part]]:
    for scan, depth in depths.items():
        train, val = depth * 45 // 100, depth * 50 // 100
        for z in range(depth):
            yield SliceId(scan, z), "train" if z < train else "val" if z < val else "test"


def _named(split: Named, depths: Mapping[str, int]) -> dict[SliceId, Part]:
    named = cast("Mapping[str | SliceId, Part]", split)
    slices = [SliceId(scan, z) for scan, depth in depths.items() for z in range(depth)]
    unknown = next(iter(named.keys() - depths.keys() - set(slices)), None)
    if unknown is not None:
        raise DataError(
            f"the split names {unknown}, which is not among the imported scans and slices. "
            "Correct its name, or leave it out."
        )
    parts = {where: named.get(where, named.get(where.scan)) for where in slices}
    left_out = next((where for where, part in parts.items() if part is None), None)
    if left_out is not None:
        raise DataError(
            f"the split says nothing about scan {left_out.scan}, slice {left_out.z}. Add it, or "
            f"leave the scan out with --skip {left_out.scan}."
        )
    return cast("dict[SliceId, Part]", parts)


def fold(dataset: Dataset, number: int, folds: int) -> Dataset:
    """Make a dataset of the train part only: one fold of it to test on, the rest to train on.

    If there are at least as many scans as folds, whole scans stay together, so that no patient is
    on both sides; if not, neighbouring slices do. There is no val part. The slices of the val and
    test part are left out.

    Parameters
    ----------
    dataset : Dataset
    number : int
        Which fold is tested on, in [0, folds).
    folds : int
        At least 2, and at most as many as there are train slices; if not, a `DataError`.
    """
    slices = dataset.part("train")
    if not 0 <= number < folds or not 2 <= folds <= len(slices):
        raise DataError(
            f"dataset {dataset.name}: its {len(slices)} train slices have no fold {number} of "
            f"{folds}. Choose from 2 to {len(slices)} folds; the first is 0."
        )
    test = set(_stretches(slices, folds)[number])
    parts: dict[SliceId, Part] = {where: "test" if where in test else "train" for where in slices}
    return dataset.divided(parts, f"{dataset.name}, fold {number} of {folds} of its train part")


def _stretches(slices: tuple[SliceId, ...], folds: int) -> list[list[SliceId]]:
    """Cut the slices, or their scans if there are enough, in about equal stretches."""
    scans = list(dict.fromkeys(where.scan for where in slices))
    if len(scans) < folds:
        return [[slices[i] for i in part] for part in np.array_split(np.arange(len(slices)), folds)]
    return [
        [where for where in slices if where.scan in {scans[i] for i in part}]
        for part in np.array_split(np.arange(len(scans)), folds)
    ]


def some(names: Collection[Any]) -> str:
    """Write names, the first three of many."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join([str(name) for name in names][:3]) + more
