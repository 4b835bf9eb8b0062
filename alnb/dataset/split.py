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
part. `share_of` deals it out to several people.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import difflib
import math
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np

from alnb.dataset.dataset import Dataset
from alnb.dataset.manifest import PARTS, Part, SliceId
from alnb.errors import ConfigError, DataError, path_error, saying
from alnb.schema import shown
from alnb.volumes.scan import plain_name, scan_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from alnb.config import Config

Named: TypeAlias = Mapping[str, Part] | Mapping[SliceId, Part] | Mapping[str | SliceId, Part]
Split: TypeAlias = str | Path | Named

KINDS = ("scan", "sep", "mixed")
_LIKE = 0.3  # ours: a lower bar than difflib's 0.6, since names of scans are short
_DELIMITERS = (",", ";", "\t", "|", " ")


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


@saying("path")
def read_split(path: Path | str) -> dict[str | SliceId, Part]:
    """Read a split from a CSV file with the columns scan and part, and z where slices differ.

    Its first line names the columns, in any case; other columns are ignored. It may be as Excel
    or R saves it: in UTF-8, UTF-16 or Windows-1252, between commas, semicolons, tabs or spaces.

    Raises
    ------
    DataError
        If the file is missing, a line of it can't be understood, or two contradict each other.
    """
    path = Path(path)
    parts: dict[str | SliceId, Part] = {}
    for row in _rows(path):
        key, part = _key(row, path), cast("Part", row["part"].casefold())
        if part not in PARTS:
            raise DataError(
                f"{path.name}: scan {row['scan'][:80]} is put into part {shown(row['part'])}. "
                "A part is train, val or test."
            )
        if parts.setdefault(key, part) != part:
            raise DataError(
                f"{path.name}: {key} is put into {parts[key]} and into {part}. Remove one of "
                "the lines; where slices of a scan differ, number them in a column z."
            )
    return parts


def _rows(path: Path) -> list[dict[str, str]]:
    """Return the lines of a table that hold something, by the names of its columns."""
    text = _text(path)
    told = re.match(r"\s*sep=(.)\s*?(\r\n?|\n|$)", text, flags=re.IGNORECASE)  # a line of Excel's
    text = text[told.end() :] if told else text
    try:
        tables = [_cells(text, by) for by in ([told[1]] if told else _DELIMITERS)]
    except csv.Error as error:
        raise DataError(f"{path.name}: it is no table ({error}). Save it as CSV.") from error
    for table in tables:
        head, *rows = [row for row in table if any(row)] or [[]]
        if all(len(row) == len(head) + 1 and row[-1] for row in rows):
            head = ["", *head]  # R doesn't name its column of row numbers
        names = [name.casefold() for name in head]
        if {"scan", "part"} <= set(names):
            return [dict(zip(names, row + [""] * len(names), strict=False)) for row in rows]
    raise DataError(f"{path.name}: its first line must name the columns scan and part.")


def _cells(text: str, delimiter: str) -> list[list[str]]:
    rows = csv.reader(StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    return [[cell.strip() for cell in row] for row in rows]


def _text(path: Path) -> str:
    """Decode a file of a split."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(
            f"--split {path}: it is neither scan, sep nor mixed, and there is no such file. "
            "Name a CSV file with the columns scan, part and, where slices differ, z."
        ) from None
    except OSError as error:
        raise path_error(error, path) from error
    if content.startswith(b"PK"):
        raise DataError(f"{path.name}: it is a workbook, not a table. Save it as CSV.")
    for encoding in _encodings(content):
        with contextlib.suppress(UnicodeError):
            return content.decode(encoding)
    raise DataError(f"{path.name}: its letters can't be read. Save it as CSV in UTF-8.")


def _encodings(content: bytes) -> tuple[str, ...]:
    """Name the encodings to try: by the marks at the beginning, and where every other byte is 0."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return ("utf-16",)
    if b"\0" in content[:2]:
        return ("utf-16-be",) if content.startswith(b"\0") else ("utf-16-le",)
    return "utf-8-sig", "cp1252"


def _key(row: Mapping[str, str], path: Path) -> str | SliceId:
    scan, z = plain_name(row["scan"]), row.get("z")
    if not z:
        return scan
    if not re.fullmatch(r"\d{1,9}([.,]0+)?", z):  # pandas writes 3.0 in a column with gaps
        raise DataError(f"{path.name}: z is {shown(z)} for scan {scan[:80]}. Count slices from 0.")
    return SliceId(scan, int(re.split("[.,]", z)[0]))


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
    named = {_imported(one, depths): part for one, part in split.items()}
    slices = [SliceId(scan, z) for scan, depth in depths.items() for z in range(depth)]
    unknown = next(iter(named.keys() - depths.keys() - set(slices)), None)
    if unknown is not None:
        raise DataError(
            f"the split names {unknown}, which is not among the imported scans and slices. "
            f"Correct its name, or leave it out{nearest(str(unknown), depths)}."
        )
    parts = {where: named.get(where, named.get(where.scan)) for where in slices}
    left_out = next((where for where, part in parts.items() if part is None), None)
    if left_out is not None:
        raise DataError(
            f"the split says nothing about scan {left_out.scan}, slice {left_out.z}. Add it, or "
            f"leave the scan out with --skip {left_out.scan}."
        )
    return cast("dict[SliceId, Part]", parts)


def _imported(one: str | SliceId, depths: Mapping[str, int]) -> str | SliceId:
    """Return a scan or slice of a split under the name that it was imported by.

    Unicode may spell it otherwise, and the split may name its file.
    """
    if isinstance(one, SliceId):
        return replace(one, scan=str(_imported(one.scan, depths)))
    name = plain_name(one)
    return name if name in depths else scan_name(name) if scan_name(name) in depths else one


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


@dataclass(frozen=True, slots=True)
class Share:
    """The slices that one of several people is asked about."""

    own: tuple[SliceId, ...]  # nobody else has them
    common: tuple[SliceId, ...]  # everybody has them, in this order
    seeds: tuple[int, ...]  # of what is drawn for all people alike


def share_of(dataset: Dataset, config: Config) -> Share:
    """Deal the train part out to `Config.shares` people, and return the share of one.

    It follows only from the dataset, the seed and these settings, so it does not matter when
    somebody starts. The people's own parts differ by one slice at most; `Config.overlap` of the
    slices are common to all, at least one if it is not 0. Slices of all scans are mixed: people
    who label different patients can't be compared.

    Raises
    ------
    ConfigError
        If somebody would have no slice.
    """
    slices = dataset.part("train")
    seeds = (config.seed, int(dataset.fingerprint[:16], 16))
    if config.shares == 1:
        return Share(slices, (), seeds)
    order = np.random.default_rng(seeds).permutation(len(slices)).tolist()
    common = math.ceil(config.overlap * len(slices))
    if len(slices) - common < config.shares:
        raise ConfigError(
            f"setting shares is {config.shares}, but only {len(slices) - common} slices of "
            f"{dataset.name} can be dealt out. Choose fewer shares."
        )
    own = order[common + config.share - 1 :: config.shares]
    first, second = (tuple(slices[n] for n in some) for some in (own, order[:common]))
    return Share(first, second, seeds)


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


def nearest(name: str, names: Iterable[str]) -> str:
    """List the names that are most like another, after a semicolon; empty if none is."""
    folded = {_folded(one): one for one in names}
    close = [folded[one] for one in difflib.get_close_matches(_folded(name), folded, 3, _LIKE)]
    return f"; the nearest are {', '.join(close)}" if close else ""


def _folded(name: str) -> str:
    """Write a name as people compare it: without case, and without zeros before a number."""
    return re.sub(r"(?<!\d)0+(?=\d)", "", unicodedata.normalize("NFKC", name).casefold())
