"""Any runs and sessions side by side: found in folders, put into arms, compared, written."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from alnb.agreement import ABOUT, by_person, pair_cells, pair_table, person_cells, person_table
from alnb.annotation import Answer
from alnb.config import Config
from alnb.curves.charts import (
    AXES,
    COLOURS,
    SCORES,
    Trace,
    arm_traces,
    curve_layout,
    figure_html,
    figure_layout,
    page_html,
    write_picture,
)
from alnb.curves.statistics import area, at_cost, conclusion, difference, sentence
from alnb.dataset import Dataset
from alnb.errors import AlnbError, DataError, SessionError
from alnb.journal import Journal
from alnb.reports import CURVE_COLUMNS
from alnb.state import State, state_of
from alnb.storage import AGREEMENT, JOURNAL, csv_of, names_of, staged, write_text

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

# --- runs ---

BY_SETTINGS, BY_RUN = "settings", "run"
WHOSE = ("seed", "share", "shares", "overlap")  # they tell one run from another, and no arms
DEEP = 3  # folders below the one that is named in which runs are looked for


@dataclass(frozen=True, slots=True)
class Run:
    """A run or session that is compared."""

    name: str  # one of `names_of`
    folder: Path
    dataset: str  # its name
    fingerprint: str  # the dataset's
    state: State  # where it ends
    data: Path = Path()  # the dataset's folder, when it was labelled
    arm: str = ""  # the group that it belongs to

    @property
    def seed(self) -> int:
        """Its seed."""
        return self.state.config.seed

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Its curve, a row a training, as `CycleReport.row`.

        Without a training, a row for each answer that the live layer was measured after.
        """
        if self.state.reports:
            return [report.row(self.seed) for report in self.state.reports]
        samples = enumerate(sample.row() for sample in self.state.samples)
        return [{"cycle": n, "seed": self.seed, **row} for n, row in samples]


def find_runs(paths: Iterable[Path]) -> list[Path]:
    """List the folders that hold a journal: the named ones, or folders below them.

    Raises
    ------
    SessionError
        If there is none in one of them.
    """
    found: dict[Path, None] = {}
    for path in paths:
        below = [path, *(one for depth in range(1, DEEP + 1) for one in path.glob("*/" * depth))]
        # `os.access` is also false in a folder without permission, where `is_file` raises
        runs = {one.resolve() for one in below if os.access(one / JOURNAL, os.R_OK)}
        if not runs:
            raise SessionError(
                f"{path} holds no session: there is no journal.jsonl in or below it."
            )
        found |= dict.fromkeys(sorted(runs))
    return list(found)


def read_runs(folders: Sequence[Path]) -> tuple[Run, ...]:
    """Read runs that were trained from their journals; they may be open elsewhere.

    If none was trained, those whose live layer was measured are compared.

    Raises
    ------
    SessionError
        If a journal can't be read.
    DataError
        If they are of different datasets, or none was trained or measured.
    """
    runs = tuple(_read(name, f) for name, f in zip(names_of(folders), folders, strict=True))
    datasets = {run.fingerprint: run.dataset for run in runs}
    if len(datasets) > 1:
        raise DataError(
            f"the runs are of different datasets ({', '.join(sorted(datasets.values()))}), whose "
            "test slices differ, so their scores can't be compared. Name runs of one dataset."
        )
    trained = tuple(run for run in runs if run.state.reports)
    drawn = trained or tuple(run for run in runs if run.rows)
    if not drawn:
        raise DataError("none of the runs has been trained yet; there is no curve to compare.")
    return drawn


def _read(name: str, folder: Path) -> Run:
    events = Journal(folder / JOURNAL).events
    if not events:
        raise SessionError(f"{folder} holds no session: its journal.jsonl is empty.")
    named = events[0].data["dataset"]
    place = Path(named["folder"])
    return Run(name, folder, named["name"], named["fingerprint"], state_of(events), place)


def group(runs: Sequence[Run], by: str = BY_SETTINGS) -> tuple[Run, ...]:
    """Put runs into arms: those whose settings differ only in `WHOSE`, or each by itself.

    An arm of settings is named by the settings in which the arms differ.
    """
    if by == BY_RUN:
        return tuple(replace(run, arm=run.name) for run in runs)
    settings = [settings_of(run.state.config) for run in runs]
    files = sorted({one["weights"] for one in settings} - {None})
    named = dict(zip(files, names_of([Path(file) for file in files]), strict=True))
    settings = [{**one, "weights": named.get(one["weights"])} for one in settings]
    differing = [name for name in settings[0] if len({str(one[name]) for one in settings}) > 1]
    pairs = zip(runs, settings, strict=True)
    return tuple(replace(run, arm=_label(one, differing)) for run, one in pairs)


def settings_of(config: Config) -> dict[str, Any]:
    """Return settings as plain values, without `WHOSE`: what the runs of an arm share."""
    return {name: value for name, value in config.to_dict().items() if name not in WHOSE}


def _label(settings: Mapping[str, Any], differing: Sequence[str]) -> str:
    words = [f"{name} {settings[name]}" for name in differing if name != "heuristic"]
    if not differing or "heuristic" in differing:
        words = [str(settings["heuristic"]), *words]
    return ", ".join(words)


def natural_grouping(runs: Sequence[Run]) -> str:
    """Group by settings, unless an arm would hold a seed twice, as in a class of students."""
    return BY_SETTINGS if _are_paired(group(runs)) else BY_RUN


def _are_paired(runs: Sequence[Run]) -> bool:
    """Tell whether no arm holds a seed twice, so that arms can be paired by seed."""
    return len({(run.arm, run.seed) for run in runs}) == len(runs)


def table_of(runs: Sequence[Run]) -> pd.DataFrame:
    """Put all curves in a tidy table, with `Run.rows`: run, arm, dataset, and `CURVE_COLUMNS`."""
    import pandas as pd

    rows = [
        {"run": run.name, "arm": run.arm, "dataset": run.dataset, **row}
        for run in runs
        for row in run.rows
    ]
    return pd.DataFrame(rows, columns=["run", "arm", "dataset", *CURVE_COLUMNS])


# --- the people behind the runs ---


def agreement_of(runs: Sequence[Run]) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Say how far the people agree who answered in runs; None if no two share a region.

    Simulated annotators are left out.

    Returns
    -------
    (pairs, persons)
        As `agreement.pair_table` and `agreement.person_table` make them; in millimetres and by the
        masks where the dataset is still where it was.
    """
    people: dict[str, dict[str, Answer]] = {}
    for run in runs:
        given = (answer for answer in run.state.opinions if not answer.simulated)
        for name, own in by_person(given, run.name).items():
            people.setdefault(name, {}).update(own)
    if len(people) < 2:
        return None
    dataset = _dataset_of(runs)
    pairs = pair_table(people) if dataset is None else pair_table(people, dataset.pixel_mm)
    return None if pairs.empty else (pairs, person_table(people, dataset))


def _dataset_of(runs: Sequence[Run]) -> Dataset | None:
    for place in dict.fromkeys(run.data for run in runs):
        with contextlib.suppress(AlnbError):
            return Dataset.open(place, runs[0].fingerprint)
    return None


def agreement_html(found: tuple[pd.DataFrame, pd.DataFrame] | None) -> str:
    """Write what `agreement_of` found as two HTML tables; empty for None."""
    if found is None:
        return ""
    tables = "".join(map(_table, (pair_cells(found[0]), person_cells(found[1]))))
    return (
        f"<div class='alnb-agreement' tabindex='0'><h2>Agreement between people</h2>{tables}"
        f"<p class='quiet'>{escape(ABOUT)}</p></div>"
    )


def _table(cells: Sequence[Sequence[str]]) -> str:
    head, *rows = (
        "".join(f"<{tag}>{escape(cell)}</{tag}>" for tag, cell in zip(tags, row, strict=True))
        for tags, row in zip(_tags(cells), cells, strict=True)
    )
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table class='alnb-compare'><tr>{head}</tr>{body}</table>"


def _tags(cells: Sequence[Sequence[str]]) -> Iterator[list[str]]:
    """Choose heads and cells: columns without a head hold names."""
    yield ["th"] * len(cells[0])
    for _ in cells[1:]:
        yield ["td" if head else "th" for head in cells[0]]


# --- a comparison ---

OTHERS = 4  # ours: nobody would read sentences on more arms
DASHES = ("solid", "dash", "dot", "dashdot")  # the next for each round of the colours
CAPTION = (
    "Thin lines: the runs. Thick: their mean. Band: from the lowest to the highest. Area: the mean "
    "of a curve over the part of the axis that all curves share. Intervals (95 %) are over seeds, "
    "not over other patients."
)
PICTURE = (928, 1200)  # window of the page, in its own pixels


@dataclass(frozen=True)  # no slots: what is read of the runs is kept
class Comparison:
    """Curves of runs on chosen axes."""

    runs: Sequence[Run]  # not empty, and grouped
    x: str = "cost_s"  # one of `AXES`
    y: str = "dice"  # one of `SCORES`

    @cached_property
    def table(self) -> pd.DataFrame:
        """The curves with ``x`` as ``cost_s`` and ``y`` as ``dice``, as `statistics` reads them."""
        whole = table_of(self.runs)
        whole = whole[~whole["run"].isin(self.unmeasured)]
        chosen = whole.assign(cost_s=whole[self.x].astype(float), dice=whole[self.y])
        return chosen[["run", "arm", "seed", "cycle", "cost_s", "dice"]].dropna(subset=["dice"])

    @cached_property
    def unmeasured(self) -> list[str]:
        """The runs that have no place on the axis, since simulated answers took no time."""
        if self.x != "measured_s":
            return []
        return [run.name for run in self.runs if not any(row["measured_s"] for row in run.rows)]

    @cached_property
    def curves(self) -> dict[str, dict[str, pd.DataFrame]]:
        """The curves that have a score, by arm and by run, in order."""
        curves: dict[str, dict[str, pd.DataFrame]] = {}
        for (arm, run), curve in self.table.groupby(["arm", "run"], sort=False):
            curves.setdefault(str(arm), {})[str(run)] = curve
        return curves

    @property
    def unit(self) -> str:
        """Of ``x``."""
        return AXES[self.x][1]

    @property
    def score(self) -> str:
        """What ``y`` is called in a sentence."""
        return SCORES[self.y].split()[0]

    @cached_property
    def common(self) -> tuple[float, float] | None:
        """From where all curves have begun to where the first ends; None if they share no point."""
        spans = self.table.groupby("run")["cost_s"].agg(["min", "max"])
        if spans.empty:
            return None
        begin, end = float(spans["min"].max()), float(spans["max"].min())
        return (begin, end) if begin <= end else None

    def areas(self, arm: str) -> dict[int, float]:
        """Return the area under each of an arm's curves, by seed; see `statistics.area`."""
        if self.common is None or self.common[0] == self.common[1]:
            return {}
        seeds = {run.name: run.seed for run in self.runs}
        return {seeds[name]: area(c, *self.common) for name, c in self.curves[arm].items()}

    def conclusions(self) -> list[str]:
        """Say, in a sentence each, what the first arm shows against the others."""
        return [*self._left_out(), *self._differences()]

    def _left_out(self) -> list[str]:
        """Name the runs that are not drawn."""
        if len(self.unmeasured) == len(self.runs):
            return ["no run has measured seconds: their answers are simulated"]
        names = ", ".join(self.unmeasured)
        what = "not drawn, since their answers are simulated and took no time"
        return [f"{what}: {names}"] if names else []

    def _differences(self) -> list[str]:
        first, *others = [*self.curves] or [""]
        if not others:
            return [f"only one arm is shown: {first}. Add runs to compare it with"] if first else []
        if not _are_paired(self.runs):
            return [
                "no difference can be shown: an arm has several runs of one seed, so there are no "
                "pairs. Group by run to see each"
            ]
        if self.common is None:
            costs = {str(run): curve["cost_s"] for run, curve in self.table.groupby("run")}
            ends, begins = (
                min(costs, key=lambda run: float(costs[run].max())),
                max(costs, key=lambda run: float(costs[run].min())),
            )
            return [
                f"no difference can be shown: {ends} ends at {costs[ends].max():.0f} {self.unit}, "
                f"before {begins} begins at {costs[begins].min():.0f} {self.unit}"
            ]
        end = self.common[1]
        lines = [line for second in others[:OTHERS] for line in self._concluded(first, second, end)]
        if (left := len(others) - OTHERS) > 0:
            lines.append(f"{left} more are only in the table; name two to compare them in words")
        return lines

    def _concluded(self, first: str, second: str, end: float) -> list[str]:
        if not self._seeds(first) & self._seeds(second):
            return [
                f"no difference can be shown between {first} and {second}: they share no seed, so "
                "there are no pairs"
            ]
        at_end = conclusion(self.table, (first, first), (second, second), end, self.unit)
        a, b = self.areas(first), self.areas(second)
        seeds = sorted(a.keys() & b.keys())
        if not seeds:  # the curves share a point only
            return [at_end]
        found = difference([a[seed] for seed in seeds], [b[seed] for seed in seeds])
        return [at_end, sentence(found, first, second, f"in area up to {end:.0f} {self.unit}")]

    def _seeds(self, arm: str) -> set[int]:
        return {run.seed for run in self.runs if run.name in self.curves[arm]}

    def summary(self) -> list[dict[str, Any]]:
        """Describe each arm.

        Returns
        -------
        list of dict
            ``arm``, ``runs`` (their number), ``mean``, ``low`` and ``high`` of the score where the
            common part ends, ``area`` (the mean of `area`), and ``last`` (the mean of the curves'
            last scores). What is not known is NaN.
        """
        return [self._summary(arm, [*curves.values()]) for arm, curves in self.curves.items()]

    def _summary(self, arm: str, curves: Sequence[pd.DataFrame]) -> dict[str, Any]:
        found = [at_cost(curve, self.common[1]) for curve in curves] if self.common else []
        scores = [value for value in found if value is not None] or [math.nan]
        areas = list(self.areas(arm).values()) or [math.nan]
        last = [float(curve["dice"].iloc[-1]) for curve in curves]
        return {
            "arm": arm, "runs": len(curves), "mean": float(np.mean(scores)), "low": min(scores),
            "high": max(scores), "area": float(np.mean(areas)), "last": float(np.mean(last)),
        }  # fmt: skip

    def traces(self) -> list[Trace]:
        """Draw each arm: the band over its runs, a thin line for each, and their mean."""
        traces: list[Trace] = []
        for n, (arm, curves) in enumerate(self.curves.items()):
            colour, dash = COLOURS[n % len(COLOURS)], DASHES[n // len(COLOURS) % len(DASHES)]
            traces += arm_traces(arm, curves, colour, self.unit, self.score, dash)
        return traces

    def layout(self) -> dict[str, Any]:
        """Describe the axes as a Plotly layout."""
        dice = self.table["dice"]
        low, high = (float(dice.min()), float(dice.max())) if len(dice) else (0.0, 1.0)
        layout = figure_layout(curve_layout(self.y), low, high)
        layout["xaxis"] |= {"title": {"text": AXES[self.x][0], "standoff": 8}}
        return layout

    def figure(self) -> go.Figure:
        """Draw the curves."""
        import plotly.graph_objects as go

        return go.Figure(self.traces(), self.layout() | {"paper_bgcolor": "#ffffff"})


def summary_html(comparison: Comparison) -> str:
    """Write the arms as an HTML table."""
    where = f" at {comparison.common[1]:.0f} {comparison.unit}" if comparison.common else ""
    heads = ("", "runs", f"{comparison.score}{where}", "range", "area", "last")
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join(map(_row, comparison.summary()))
    return f"<table class='alnb-compare'><tr>{head}</tr>{body}</table>"


def _row(row: Mapping[str, Any]) -> str:
    name = escape(row["arm"])
    reach = f"{_number(row['low'])}–{_number(row['high'])}" if row["runs"] > 1 else ""
    cells = (row["runs"], _number(row["mean"]), reach, _number(row["area"]), _number(row["last"]))
    return f"<tr><th title='{name}'>{name}</th>{''.join(f'<td>{c}</td>' for c in cells)}</tr>"


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def page_of(comparison: Comparison) -> str:
    """Write the figure, the table and what they show as a page that needs no network."""
    lines = "".join(f"<li>{escape(line)}</li>" for line in comparison.conclusions())
    names = escape(", ".join(run.name for run in comparison.runs))
    data = escape(comparison.runs[0].dataset)
    figure = figure_html(comparison.figure(), "curves")
    return page_html(
        "alnb compare",
        f"<h1>{data}</h1>{figure}{summary_html(comparison)}<ul>{lines}</ul>"
        f"{agreement_html(agreement_of(comparison.runs))}"
        f'<p class="quiet">{CAPTION} Runs: {names}.</p>',
    )


def write(comparison: Comparison, out: Path) -> Iterator[str]:
    """Write the figure and its data; yield a sentence for each file, once all are written.

    Parameters
    ----------
    comparison : Comparison
    out : Path
        Gets ``compare.csv`` (every curve, with all its columns), ``compare.html`` and, where a
        Chrome is installed, ``compare.png``. If several people answered the same regions, also
        ``agreement.csv`` and ``annotators.csv``.

    Raises
    ------
    SessionError
        If the folder can't be written; it is then as it was.
    """
    texts = {"compare.csv": csv_of(table_of(comparison.runs)), "compare.html": page_of(comparison)}
    if found := agreement_of(comparison.runs):
        texts |= dict(zip(AGREEMENT, map(csv_of, found), strict=True))
    try:
        with staged(out) as stage:
            for name, text in texts.items():
                write_text(stage / name, text)
    except OSError as error:
        raise SessionError(
            f"{out} can't be written: {error.strerror}. Choose another folder with --out."
        ) from error
    for name in texts:
        yield f"Written: {out / name}"
    yield write_picture(out / "compare.html", PICTURE)
