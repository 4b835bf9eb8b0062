"""Who learns from what: slices are dealt to the parts train, val and test.

=========  ==================================================================================
``scan``   whole scans, shuffled by a seed, 60 % train, 10 % val, 30 % test. Ours: no patient
           is in two parts, and a third is left to test on, because a handful of scans differ
           so much that fewer say little. Below 5 scans there is no val part
``sep``    whole scans in order; of 9: 5, 1, 3 and of 20: 15, 1, 4 (paper 4.1); of another
           number 55, 10, 35 %, which is the first of the two carried over
``mixed``  of every scan its first 45 % of slices train, the next 5 % val, the rest test
           (paper 4.1); the parts share patients, so test scores flatter
a mapping  from a scan's name, or a `SliceId`, to its part; or a CSV file that says so
=========  ==================================================================================

Cross-validation: the train part divided, so that settings are chosen without the test part.

What an import refuses rather than guesses: labels of unknown meaning, scans in two parts.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np

from alnb.dataset.dataset import PARTS, Part, SliceId
from alnb.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alnb.dataset.dataset import Dataset, Part, SliceId
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from alnb.dataset.dataset import Part, SliceId

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
        Every slice, in order. Parts may be empty, but for train.

    Raises
    ------
    DataError
        If the split is unknown, leaves a slice out, names one that isn't there, or leaves
        nothing to train on.
    """
    scans = list(depths)
    if split == "mixed":
        parts = dict(_mixed(depths))
    elif split == "scan":
        shuffled = [scans[index] for index in np.random.default_rng(seed).permutation(len(scans))]
        parts = _whole(shuffled, _counts_scan(len(scans)), depths)
    elif split == "sep":
        parts = _whole(scans, _counts_sep(len(scans)), depths)
    elif isinstance(split, Mapping):
        parts = _named(split, depths)
    else:
        parts = _named(read_split(split), depths)
    if "train" not in parts.values():
        raise DataError(
            "the split leaves no slice to train on. Choose another --split, or import more scans."
        )
    return {
        SliceId(scan, z): parts[SliceId(scan, z)] for scan in scans for z in range(depths[scan])
    }


def shared_scans(parts: Mapping[SliceId, Part]) -> tuple[str, ...]:
    """Return the scans that lie in more than one part; of one slice a scan there is none."""
    found: dict[str, set[Part]] = {}
    for where, part in parts.items():
        found.setdefault(where.scan, set()).add(part)
    return tuple(scan for scan, theirs in found.items() if len(theirs) > 1)


def read_split(path: Path | str) -> dict[str | SliceId, Part]:
    """Read a split from a CSV file with the columns scan and part, and z where slices differ.

    Parameters
    ----------
    path : path
        Its first line names the columns; other columns are passed over.

    Returns
    -------
    dict of str or SliceId to "train", "val" or "test"

    Raises
    ------
    DataError
        If the file is missing, a line of it can't be understood, or two contradict each other.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(
            f"--split {path}: it is neither scan, sep nor mixed, nor a file that is there. "
            "Name a CSV file with the columns scan, part and, where slices differ, z."
        )
    with path.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        if not {"scan", "part"} <= set(reader.fieldnames or ()):
            raise DataError(f"{path.name}: its first line must name the columns scan and part.")
        parts: dict[str | SliceId, Part] = {}
        for row in reader:
            key, part = _key(row, path), _part(row, path)
            if parts.setdefault(key, part) != part:
                raise DataError(
                    f"{path.name}: {key} is put into {parts[key]} and into {part}. Leave one of "
                    "the lines out; where slices of a scan differ, number them in a column z."
                )
        return parts


def _key(row: Mapping[str, str], path: Path) -> str | SliceId:
    z = row.get("z")
    if not z:
        return row["scan"]
    if not z.isdecimal():
        raise DataError(f"{path.name}: z is {z!r} for scan {row['scan']}. Count slices from 0.")
    return SliceId(row["scan"], int(z))


def _part(row: Mapping[str, str], path: Path) -> Part:
    if row["part"] not in PARTS:
        raise DataError(
            f"{path.name}: scan {row['scan']} is put into part {row['part']!r}. "
            "A part is train, val or test."
        )
    return row["part"]


def _counts_scan(scans: int) -> tuple[int, int]:
    """Return how many scans val and test get."""
    val = max(1, round(0.1 * scans)) if scans >= 5 else 0
    return val, max(1, round(0.3 * scans)) if scans >= 2 else 0


def _counts_sep(scans: int) -> tuple[int, int]:
    if scans == 20:
        return 1, 4
    val = max(1, round(0.1 * scans)) if scans >= 3 else 0  # 9 scans: 5, 1, 3
    return val, max(1, round(0.35 * scans)) if scans >= 2 else 0


def _whole(
    scans: Sequence[str], counts: tuple[int, int], depths: Mapping[str, int]
) -> dict[SliceId, Part]:
    """Deal whole scans: train first, test last."""
    val, test = counts
    train = len(scans) - val - test
    dealt = [
        part for part, count in zip(PARTS, (train, val, test), strict=True) for _ in range(count)
    ]
    return {
        SliceId(scan, z): part
        for scan, part in zip(scans, dealt, strict=True)
        for z in range(depths[scan])
    }


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
    """Make a dataset of the train part alone: one fold of it to test on, the rest to train on.

    Whole scans stay together where there are at least as many as folds, so that no patient is on
    both sides; else neighbouring slices do. There is no val part, and what was val or test is
    left out.

    Parameters
    ----------
    dataset : Dataset
    number : int
        Which fold is tested on, in [0, folds).
    folds : int
        At least 2.

    Raises
    ------
    DataError
        If there are fewer folds than 2, no such fold, or fewer train slices than folds.
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


class LabelGate:
    """Lets masks through whose labels have a known meaning.

    Parameters
    ----------
    infected : collection of int or None
        The labels that are infected; all others become background. None: the masks decide.
    known : collection of int or None
        Where the masks decide, the labels that they may hold, all of them infected; None: any
        label, but only one besides 0, since of two one may be the lung.

    Raises
    ------
    DataError
        If a label is none, or is 0, which is background.
    """

    def __init__(
        self, infected: Collection[int] | None = None, known: Collection[int] | None = None
    ) -> None:
        wrong = [label for label in infected or () if not 0 < label < 256]
        if wrong or (infected is not None and not infected):
            raise DataError(
                f"--infected {listed(infected or ())}: labels are whole numbers in 1…255, and 0 "
                "is background. Name those that are infected, as in --infected 1,2."
            )
        self._infected = infected
        self._known = known
        self._found: set[int] = set()

    def admit(self, scan: str, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the mask of a scan with its infected labels alone.

        Parameters
        ----------
        scan : str
            Its name, for the sentence.
        labels : (Z, Y, X) uint8 array

        Returns
        -------
        (Z, Y, X) uint8 array
            The same, but that labels which are not infected are 0.

        Raises
        ------
        DataError
            If the masks so far hold a label of which no one said what it means.
        """
        counts = sum(np.bincount(one.ravel(), minlength=256) for one in labels)  # slices: small
        here = set(np.flatnonzero(counts).tolist()) - {0}
        self._found |= here
        if self._infected is not None:
            kept = np.zeros(256, np.uint8)
            kept[list(self._infected)] = list(self._infected)
            return kept[labels]
        if self._known is not None and not here <= set(self._known):
            raise DataError(
                f"scan {scan}: its mask holds {listed(here - set(self._known))}, where this "
                f"dataset's masks hold {listed(self._known)}. Check that these are its infection "
                "masks, or say which labels are infected with --infected."
            )
        if self._known is None and len(self._found) > 1:
            raise DataError(
                f"scan {scan}: with its mask there are the labels {listed(self._found)}, and "
                "some may not be infection. Name those that are with --infected LABEL,LABEL; the "
                "others become background."
            )
        return labels

    def notes(self) -> list[str]:
        """Say what became of the labels, once all masks are through.

        Raises
        ------
        DataError
            If no mask holds a label that was said to be infected.
        """
        if self._infected is None:
            return []
        if self._found and not self._found & set(self._infected):
            raise DataError(
                f"--infected {listed(self._infected)}: no mask holds such a label; they hold "
                f"{listed(self._found)}. Correct it."
            )
        left = self._found - set(self._infected)
        became = f"; labels {listed(left)} became background" if left else ""
        return [f"infected are labels {listed(self._infected)}, as told{became}."]


def check_shared(split: object, parts: Mapping[SliceId, Part], *, allowed: bool) -> None:
    """Refuse a split by name that deals slices of one scan to different parts.

    The paper's ``mixed`` does so on purpose, and the dataset's notes say it.

    Raises
    ------
    DataError
        If it does, and that is not allowed.
    """
    shared = shared_scans(parts)
    if shared and split != "mixed" and not allowed:
        raise DataError(
            f"the split puts slices of scan {some(shared)} into more than one part, so that a "
            "patient would be learnt from and tested on. Deal whole scans, or allow it with "
            "--allow-shared-scans."
        )


def listed(labels: Collection[int]) -> str:
    """Write labels in order, the first five of many."""
    first = ",".join(str(label) for label in sorted(labels)[:5])
    return f"{first} and {len(labels) - 5} more" if len(labels) > 5 else first


def some(names: Collection[Any]) -> str:
    """Write names, the first three of many."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join([str(name) for name in names][:3]) + more
