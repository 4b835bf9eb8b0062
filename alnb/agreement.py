"""How far answers agree: an annotator's with their own, and those of several people.

Dice between two annotators, or between a network and an annotator, is limited by the annotator's
agreement with themselves. Hidden repeats measure it (`Config.repeats`). Between people it is
measured on the regions that both answered without seeing each other's answers. A skip is no
opinion: it is counted nowhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist, median
from typing import TYPE_CHECKING, Any

import numpy as np

from alnb.annotation import Answer, Verdict
from alnb.arrays import INFECTED
from alnb.dataset import Dataset

if TYPE_CHECKING:
    import pandas as pd

LEVEL = 0.95  # ours, as is usual
People = Mapping[str, Mapping[str, Answer]]
"""Everyone's own answers by name, and then by the region's key."""


def _no_scale(_scan: str) -> float | None:
    return None


@dataclass(frozen=True, slots=True)
class Kappa:
    """Cohen's kappa of two lists of verdicts, with its 95 % interval; all in [-1, 1]."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, both: int, first: int, second: int, neither: int) -> Kappa | None:
        """Compute it from counts; None where chance explains all, as if all say the same.

        The interval takes the agreement by chance as known, as Cohen's own does. That of the
        agreement is Wilson's (1927), which also holds where all agree. Regions count as
        independent: if many lie on one slice, the interval is too narrow.

        Parameters
        ----------
        both, first, second, neither : int
            Regions that both call infected, only the first, only the second, neither.

        References
        ----------
        Cohen 1960, A coefficient of agreement for nominal scales.

        Examples
        --------
        >>> found = Kappa.of(20, 5, 10, 15)
        >>> round(found.value, 2), round(found.low, 2), round(found.high, 2)
        (0.4, 0.12, 0.62)
        """
        n = both + first + second + neither
        if not n:
            return None
        one, other = (both + first) / n, (both + second) / n
        chance = one * other + (1 - one) * (1 - other)
        if chance == 1:
            return None
        agreed = (both + neither) / n
        shares = (agreed, *_wilson(agreed, n))
        return cls(*(max(-1.0, (share - chance) / (1 - chance)) for share in shares))


def _wilson(share: float, n: int) -> tuple[float, float]:
    """Return the interval of a share of n."""
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two answers on each of some regions agree.

    The distances are medians: from each click on infection to the nearest one of the other answer.
    In millimetres they are of the scans whose spacing is known. They are None without such clicks.
    """

    regions: int = 0  # with two answers, without those that were skipped
    agreed: int = 0  # with the same verdict twice
    kappa: Kappa | None = None
    only_first: int = 0  # infected only in the first answer
    only_second: int = 0
    distance_px: float | None = None
    distance_mm: float | None = None

    @classmethod
    def of(
        cls,
        pairs: Iterable[tuple[Answer, Answer]],
        pixel_mm: Callable[[str], float | None] = _no_scale,
    ) -> Agreement:
        """Compare pairs of answers, such as `State.repeated`; each pair is on one region.

        Parameters
        ----------
        pairs : iterable of (Answer, Answer)
        pixel_mm : callable
            Takes a scan, gives the side of a pixel in mm, as `Dataset.pixel_mm`; None if unknown.
        """
        said = [pair for pair in pairs if Verdict.SKIPPED not in (one.verdict for one in pair)]
        counts = dict.fromkeys([(a, b) for a in (True, False) for b in (True, False)], 0)
        px: list[float] = []
        mm: list[float] = []
        for first, second in said:
            counts[first.verdict is Verdict.INFECTED, second.verdict is Verdict.INFECTED] += 1
            apart = list(_distances(first, second))
            px += apart
            scale = pixel_mm(first.region.where.scan) if apart else None
            mm += [] if scale is None else [scale * one for one in apart]
        return cls(
            regions=len(said),
            agreed=counts[True, True] + counts[False, False],
            kappa=Kappa.of(*counts.values()),
            only_first=counts[True, False],
            only_second=counts[False, True],
            distance_px=median(px) if px else None,
            distance_mm=median(mm) if mm else None,
        )

    @property
    def share(self) -> float | None:
        """Share of equal verdicts, in [0, 1]; None without regions."""
        return self.agreed / self.regions if self.regions else None


def _distances(first: Answer, second: Answer) -> Iterator[float]:
    """Measure from each click to the nearest one of the other answer, both ways, in pixels."""
    one, other = _clicked(first), _clicked(second)
    if one and other:
        for here, there in ((one, other), (other, one)):
            yield from (min(math.dist(click, near) for near in there) for click in here)


def _clicked(answer: Answer) -> list[tuple[float, float]]:
    return [(click.row, click.col) for click in answer.clicks if click.label == INFECTED]


# --- several people ---


def by_person(answers: Iterable[Answer], nameless: str = "") -> dict[str, dict[str, Answer]]:
    """Gather everyone's own last answer on each region.

    An answer that decides between those of others, or corrects another person's, was given with
    these on screen: it is left out.

    Parameters
    ----------
    answers : iterable of Answer
        Of a session, in the order in which they were given: `State.opinions`.
    nameless : str
        Names a person who gave no name.

    Returns
    -------
    dict of name to dict of key to Answer
        The keys are the regions'.
    """
    people: dict[str, dict[str, Answer]] = {}
    for answer in answers:
        own = people.setdefault(answer.annotator or nameless, {})
        key = answer.region.key
        if not answer.decides and (key in own or not answer.corrects):
            own[key] = answer
    return {name: own for name, own in people.items() if own}


PAIR_COLUMNS = (
    "first", "second", "regions", "agreed", "kappa", "kappa_low", "kappa_high", "distance_mm",
    "distance_px", "only_first", "only_second",
)  # fmt: skip
PERSON_COLUMNS = (
    "annotator", "answers", "skipped", "seconds", "shared", "missed", "of_infected", "alone",
    "of_clean", "mask_missed", "of_mask", "missed_px", "found_px",
)  # fmt: skip


def pair_table(people: People, pixel_mm: Callable[[str], float | None] = _no_scale) -> pd.DataFrame:
    """Compare all people in pairs, a row each: `PAIR_COLUMNS`, the most shared regions first.

    Pairs that share no region are left out. What is not known is NaN.

    Parameters
    ----------
    people : mapping
        As `by_person` returns it.
    pixel_mm : callable
        As for `Agreement.of`.
    """
    import pandas as pd

    rows = []
    for (one, first), (other, second) in combinations(people.items(), 2):
        shared = [(answer, second[key]) for key, answer in first.items() if key in second]
        found = Agreement.of(shared, pixel_mm)
        if found.regions:
            rows.append(_pair_row(one, other, found))
    table = pd.DataFrame(rows, columns=list(PAIR_COLUMNS))
    table = table.sort_values("regions", ascending=False, kind="stable", ignore_index=True)
    measured = dict.fromkeys(PAIR_COLUMNS[4:9], float)  # not known of any: None has no type
    return table.astype(measured)


def _pair_row(one: str, other: str, found: Agreement) -> list[object]:
    kappa = found.kappa
    interval = (None,) * 3 if kappa is None else (kappa.value, kappa.low, kappa.high)
    measured = [
        None if value is None else round(value, 4)
        for value in (*interval, found.distance_mm, found.distance_px)
    ]
    counts = [found.regions, found.agreed]
    return [one, other, *counts, *measured, found.only_first, found.only_second]


def person_table(people: People, dataset: Dataset | None = None) -> pd.DataFrame:
    """Say of each person what they tend to miss, a row each: `PERSON_COLUMNS`.

    ``missed`` of ``of_infected`` are the regions that most of the others call infected and this
    person clean; ``alone`` of ``of_clean`` the reverse. ``mask_missed`` of ``of_mask`` are those
    that hold infection by the masks; ``missed_px`` and ``found_px`` are the median areas of
    infection, in pixels, in what the person missed and found of these.

    Parameters
    ----------
    people : mapping
        As `by_person` returns it.
    dataset : Dataset, optional
        If it has masks, they are compared, too; NaN where there is nothing to compare.
    """
    import pandas as pd

    areas = _areas(people, dataset) if dataset is not None and dataset.has_masks else None
    rows = [_person_row(name, people, areas) for name in people]
    return pd.DataFrame(rows, columns=list(PERSON_COLUMNS))


def _areas(people: People, dataset: Dataset) -> dict[str, int]:
    """Count the infected pixels of each answered region."""
    regions = {key: answer.region for own in people.values() for key, answer in own.items()}
    ordered = sorted(regions.values(), key=lambda region: region.where)
    areas: dict[str, int] = {}
    where = None
    for region in ordered:
        if region.where != where:
            where = region.where
            mask = dataset.mask(where)
        areas[region.key] = int(np.count_nonzero(region.pixels(mask)))
    return areas


def _person_row(name: str, people: People, areas: Mapping[str, int] | None) -> tuple[object, ...]:
    own = people[name]
    said = {key: one.verdict for key, one in own.items() if one.verdict is not Verdict.SKIPPED}
    others = {key: _most(key, name, people) for key in said}
    shared = [key for key, share in others.items() if share is not None]
    infected = [key for key in shared if (others[key] or 0) > 0.5]
    clean = [key for key in shared if (others[key] or 0) < 0.5]
    row = (
        name,
        len(own),
        len(own) - len(said),
        round(sum(answer.seconds for answer in own.values()), 1),
        len(shared),
        sum(said[key] is Verdict.CLEAN for key in infected),
        len(infected),
        sum(said[key] is Verdict.INFECTED for key in clean),
        len(clean),
    )
    if areas is None:
        return *row, *(math.nan,) * 4
    held = [key for key in said if areas[key]]
    missed = [areas[key] for key in held if said[key] is Verdict.CLEAN]
    found = [areas[key] for key in held if said[key] is Verdict.INFECTED]
    medians = (median(some) if some else math.nan for some in (missed, found))
    return *row, len(missed), len(held), *medians


def _most(key: str, name: str, people: People) -> float | None:
    """Return the share of the other people who call a region infected; None if nobody did say."""
    verdicts = [own[key].verdict for other, own in people.items() if other != name and key in own]
    said = [verdict for verdict in verdicts if verdict is not Verdict.SKIPPED]
    return said.count(Verdict.INFECTED) / len(said) if said else None


def verdicts_differ(answers: Sequence[Answer]) -> bool:
    """Tell whether answers on one region disagree; a skip is no opinion."""
    return len({one.verdict for one in answers} - {Verdict.SKIPPED}) > 1


# --- as a person reads it ---

MOST_PAIRS = 15  # ours: nobody reads the pairs of twenty people; a CSV has them all
ABOUT = (
    "Kappa is agreement beyond chance: 0 is chance, 1 is all; in brackets its 95 % interval, in "
    "which regions count as independent. Missed: said clean where most others say infected. Alone: "
    "said infected where most others say clean."
)


def pair_cells(table: pd.DataFrame) -> list[list[str]]:
    """Put a `pair_table` into words: a head, then at most `MOST_PAIRS` rows."""
    head = ["", "", "regions", "agreed", "kappa", "clicks apart", "infected only by"]
    rows = [
        [
            row["first"], row["second"], str(row["regions"]),
            f"{100 * row['agreed'] / row['regions']:.0f} %", _kappa(row), _apart(row),
            f"{row['only_first']} : {row['only_second']}",
        ]
        for row in table.head(MOST_PAIRS).to_dict("records")
    ]  # fmt: skip
    return [head, *rows]


def _kappa(row: Mapping[Hashable, Any]) -> str:
    if math.isnan(row["kappa"]):
        return "–"
    return f"{row['kappa']:.2f} ({row['kappa_low']:.2f} to {row['kappa_high']:.2f})".replace(
        "-", "\N{MINUS SIGN}"
    )


def _apart(row: Mapping[Hashable, Any]) -> str:
    if not math.isnan(row["distance_mm"]):
        return f"{row['distance_mm']:.1f} mm"
    return "–" if math.isnan(row["distance_px"]) else f"{row['distance_px']:.1f} px"


def person_cells(table: pd.DataFrame) -> list[list[str]]:
    """Put a `person_table` into words: a head, then a row each; of masks only if there are any."""
    masked = not table["mask_missed"].isna().all()
    head = ["", "answers", "skipped", "s each", "missed", "alone"]
    own = ["missed by the masks", "area missed", "area found"] if masked else []
    rows = [
        [
            row["annotator"], str(row["answers"]), str(row["skipped"]),
            f"{row['seconds'] / row['answers']:.1f}", f"{row['missed']} of {row['of_infected']}",
            f"{row['alone']} of {row['of_clean']}",
        ] + ([
            f"{row['mask_missed']} of {row['of_mask']}", _area(row["missed_px"]),
            _area(row["found_px"]),
        ] if masked else [])
        for row in table.to_dict("records")
    ]  # fmt: skip
    return [[*head, *own], *rows]


def _area(px: float) -> str:
    return "–" if math.isnan(px) else f"{px:.0f} px"


def aligned(cells: Sequence[Sequence[str]]) -> str:
    """Write cells as lines of text, in columns of one width."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in cells)
    return "\n".join(lines)
