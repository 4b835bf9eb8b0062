"""Runs and sessions of others, found in folders, read from their journals, and put into arms.

Curves of several runs as Plotly traces: a band, a thin line for each run, and their mean.

Any runs and sessions side by side: their curves in one table, areas, verdicts, and files.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alnb.errors import DataError, SessionError
from alnb.journal import Journal
from alnb.reports import CURVE_COLUMNS
from alnb.state import State, state_of

if TYPE_CHECKING:
    import pandas as pd
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from alnb.curves.charts import curve_trace
from alnb.curves.statistics import at_cost

if TYPE_CHECKING:
    import pandas as pd
import math
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING

from alnb.curves.charts import (
    AXES,
    COLOURS,
    SCORES,
    NoPictureError,
    curve_layout,
    score_range,
    take,
)
from alnb.curves.statistics import difference, sentence, verdict

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go


BY_SETTINGS, BY_RUN = "settings", "run"
DEEP = 3  # folders below the one that is named in which runs are looked for


@dataclass(frozen=True, slots=True)
class Run:
    """A run or session that is compared.

    Parameters
    ----------
    name : str
        The end of its folder's path that tells it from the others.
    folder : Path
    dataset : str
        Its dataset's name.
    fingerprint : str
        Of its dataset.
    state : State
        Where it ends.
    arm : str
        What it is grouped under.
    """

    name: str
    folder: Path
    dataset: str
    fingerprint: str
    state: State
    arm: str = ""

    @property
    def seed(self) -> int:
        """Its seed."""
        return self.state.config.seed


def find_runs(paths: Iterable[Path]) -> list[Path]:
    """List the folders with a journal: those named, or below them.

    Raises
    ------
    SessionError
        If there is none in one of them.
    """
    found: dict[Path, None] = {}
    for path in paths:
        below = [path, *(one for depth in range(1, DEEP + 1) for one in path.glob("*/" * depth))]
        runs = sorted({one.resolve() for one in below if _is_there(one / "journal.jsonl")})
        if not runs:
            raise SessionError(
                f"{path} holds no session: there is no journal.jsonl in or below it."
            )
        found.update(dict.fromkeys(runs))
    return list(found)


def _is_there(file: Path) -> bool:
    return os.access(file, os.R_OK) and file.is_file()  # false too where it may not be looked at


def names_of(folders: Sequence[Path]) -> list[str]:
    """Call each folder by the end of its path that tells it from the others.

    Examples
    --------
    >>> names_of([Path("/a/one"), Path("/b/one")])
    ['a/one', 'b/one']
    """
    parts = [folder.resolve().parts for folder in folders]
    longest = max(map(len, parts), default=1)
    depth = next(
        (n for n in range(1, longest) if len({path[-n:] for path in parts}) == len(parts)), longest
    )
    return ["/".join(path[-depth:]) for path in parts]


def read_runs(folders: Sequence[Path]) -> tuple[Run, ...]:
    """Read runs from their journals alone; they may be open elsewhere.

    Raises
    ------
    SessionError
        If a journal can't be read.
    DataError
        If they are of different datasets, or none has a cycle that was scored.
    """
    runs = tuple(_read(name, f) for name, f in zip(names_of(folders), folders, strict=True))
    datasets = {run.fingerprint: run.dataset for run in runs}
    if len(datasets) > 1:
        raise DataError(
            f"the runs are of different datasets ({', '.join(sorted(datasets.values()))}), whose "
            "test slices differ, so their scores can't be compared. Name runs of one dataset."
        )
    if not any(run.state.reports for run in runs):
        raise DataError("none of the runs has been trained yet; there is no curve to compare.")
    return tuple(run for run in runs if run.state.reports)


def _read(name: str, folder: Path) -> Run:
    events = Journal.open(folder / "journal.jsonl").events
    if not events:
        raise SessionError(f"{folder} holds no session: its journal.jsonl is empty.")
    named = events[0].data["dataset"]
    return Run(name, folder, named["name"], named["fingerprint"], state_of(events))


def group(runs: Sequence[Run], by: str = BY_SETTINGS) -> tuple[Run, ...]:
    """Put runs into arms: those whose settings differ by the seed alone, or each by itself.

    An arm of settings is called by those that the arms differ in.
    """
    if by == BY_RUN:
        return tuple(replace(run, arm=run.name) for run in runs)
    settings = [_settings(run) for run in runs]
    differing = [name for name in settings[0] if len({str(one[name]) for one in settings}) > 1]
    return tuple(
        replace(run, arm=_label(run, one, differing))
        for run, one in zip(runs, settings, strict=True)
    )


def _settings(run: Run) -> dict[str, Any]:
    return {name: value for name, value in run.state.config.to_dict().items() if name != "seed"}


def _label(run: Run, settings: Mapping[str, Any], differing: Sequence[str]) -> str:
    alone = not differing or "heuristic" in differing
    words = [str(settings["heuristic"])] if alone else []
    return ", ".join([*words, *(f"{n} {settings[n]}" for n in differing if n != "heuristic")])


def natural(runs: Sequence[Run]) -> str:
    """Choose how to group: by settings, unless an arm would hold a seed twice, as a class does."""
    pairs = [(run.arm, run.seed) for run in group(runs)]
    return BY_SETTINGS if len(set(pairs)) == len(pairs) else BY_RUN


def table_of(runs: Sequence[Run]) -> pd.DataFrame:
    """Put all curves in a tidy table.

    Returns
    -------
    table
        A row a cycle; columns ``run``, ``arm``, ``dataset``, and `CURVE_COLUMNS`.
    """
    import pandas as pd

    rows = [
        {"run": run.name, "arm": run.arm, "dataset": run.dataset, **report.row(run.seed)}
        for run in runs
        for report in run.state.reports
    ]
    return pd.DataFrame(rows, columns=["run", "arm", "dataset", *CURVE_COLUMNS])


MARKED = 30  # ours: points of a curve; more would hide it
Trace = dict[str, Any]
Array = NDArray[np.float64]


def arm_traces(
    label: str,
    curves: Mapping[str, pd.DataFrame],
    colour: str,
    unit: str = "s",
    score: str = "Dice",
    dash: str = "solid",
) -> list[Trace]:
    """Draw an arm: the band, a thin line for each run, and their mean.

    Parameters
    ----------
    label : str
        What the legend calls it.
    curves : non-empty mapping of str to table
        A run each, with columns ``cycle``, ``cost_s`` and ``dice``.
    colour : str
        As ``#rrggbb``.
    unit, score : str
        Of what ``cost_s`` and ``dice`` hold, where it is something else.
    dash : str
        Plotly's name of how the line is broken, where there are more arms than colours.

    Returns
    -------
    list of dict
        Scatter traces: the band, the runs, the mean; of a single run its curve alone.
    """
    if len(curves) == 1:
        return [_dashed(_alone(label, next(iter(curves.values())), colour, unit, score), dash)]
    tables = list(curves.values())
    costs, mean, low, high = mean_and_range(tables)
    points = enumerate(zip(costs, mean, strict=True))
    rows = [{"cycle": n, "cost_s": cost, "dice": dice} for n, (cost, dice) in points]
    same = all(len(table) == len(costs) for table in tables)
    shape = "linear" if same else "hv"  # steps where costs differ
    hover = f"%{{x:,.0f}} {unit}<br>{score} %{{y:.3f}}<extra></extra>"
    thin = [
        _thin(curve, f"{label}, {name}", colour, shape)
        | {"hovertemplate": f"{name}, cycle %{{customdata}}<br>{hover}"}
        for name, curve in curves.items()
    ]
    thick = _thick(curve_trace(rows, label, colour=colour), shape)
    thick |= {"hovertemplate": f"mean of {len(tables)}<br>{hover}"}
    return [_band(costs, low, high, colour, shape), *thin, _dashed(thick, dash)]


def _dashed(trace: Trace, dash: str) -> Trace:
    return trace | {"line": trace["line"] | {"dash": dash}}


def _alone(label: str, curve: pd.DataFrame, colour: str, unit: str, score: str) -> Trace:
    rows: list[Mapping[str, Any]] = curve.to_dict("records")  # type: ignore[assignment]
    trace = _thick(curve_trace(rows, label, colour=colour), "linear")
    hover = f"{label}, cycle %{{customdata}}<br>%{{x:,.0f}} {unit}<br>{score} %{{y:.3f}}"
    return trace | {"hovertemplate": f"{hover}<extra></extra>"}


def _band(costs: Array, low: Array, high: Array, colour: str, shape: str) -> Trace:
    """Fill between the lowest and the highest; steps are written out, as a fill runs back."""
    if shape == "hv":
        costs = np.repeat(costs, 2)[1:]
        low, high = np.repeat(low, 2)[:-1], np.repeat(high, 2)[:-1]
    return {
        "type": "scatter", "mode": "lines", "fill": "toself", "fillcolor": faint(colour),
        "x": [*costs, *costs[::-1]], "y": [*high, *low[::-1]], "line": {"width": 0},
        "hoverinfo": "skip", "showlegend": False,
    }  # fmt: skip


def _thin(curve: pd.DataFrame, name: str, colour: str, shape: str) -> Trace:
    rows: list[Mapping[str, Any]] = curve.to_dict("records")  # type: ignore[assignment]
    trace = curve_trace(rows, name, colour=colour)
    return trace | {
        "mode": "lines", "opacity": 0.45, "showlegend": False,
        "line": {"color": colour, "width": 1, "shape": shape},
    }  # fmt: skip


def _thick(trace: Trace, shape: str) -> Trace:
    line = trace["line"] | {"width": 3, "shape": shape}
    mode = "lines+markers" if len(trace["x"]) <= MARKED else "lines"
    return trace | {"mode": mode, "line": line}


def mean_and_range(curves: Sequence[pd.DataFrame]) -> tuple[Array, Array, Array, Array]:
    """Read several curves as steps at every cost that one of them has.

    Parameters
    ----------
    curves : non-empty sequence of tables
        A seed each, with columns ``cost_s`` and ``dice``.

    Returns
    -------
    costs, mean, lowest, highest : (N,) float arrays
        From where all curves have begun.
    """
    costs = np.unique(np.concatenate([curve["cost_s"] for curve in curves]))
    costs = costs[costs >= max(curve["cost_s"].min() for curve in curves)]
    read = [[at_cost(curve, cost) for cost in costs] for curve in curves]
    dice = np.array(read, dtype=np.float64)  # (seeds, N); None becomes NaN
    return costs, dice.mean(axis=0), dice.min(axis=0), dice.max(axis=0)


def faint(colour: str, share: float = 0.15) -> str:
    """Return a ``#rrggbb`` colour as one that lets ``1 - share`` through."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{share})"


OTHERS = 4  # ours: verdicts on more arms would not be read
DASHES = ("solid", "dash", "dot", "dashdot")  # of as many curves as there are colours, each
PICTURE = (928, 1200)  # of the page's window, in its own pixels


@dataclass(frozen=True)
class Comparison:
    """Curves of runs on chosen axes.

    Parameters
    ----------
    runs : non-empty sequence of Run
        Grouped.
    x : str
        One of `AXES`.
    y : str
        One of `alnb.curves.charts.SCORES`.
    """

    runs: Sequence[Run]
    x: str = "cost_s"
    y: str = "dice"

    @property
    def table(self) -> pd.DataFrame:
        """The curves with ``x`` as ``cost_s`` and ``y`` as ``dice``, as `verdicts` reads them."""
        whole = table_of(self.runs)
        chosen = whole.assign(cost_s=whole[self.x].astype(float), dice=whole[self.y])
        return chosen[["run", "arm", "seed", "cycle", "cost_s", "dice"]].dropna(subset=["dice"])

    @property
    def arms(self) -> list[str]:
        """The arms that have a score, in order."""
        return list(dict.fromkeys(self.table["arm"]))

    @property
    def unit(self) -> str:
        """Of ``x``."""
        return AXES[self.x][1]

    @property
    def score(self) -> str:
        """What ``y`` is called in a sentence."""
        return SCORES[self.y].split()[0]

    def curves(self, arm: str) -> dict[str, pd.DataFrame]:
        """Return an arm's curves by the names of its runs."""
        own = self.table[self.table["arm"] == arm]
        return {str(name): curve for name, curve in own.groupby("run", sort=False)}

    @property
    def common(self) -> tuple[float, float] | None:
        """From where all curves have begun to where the first ends; None if there is nothing."""
        spans = self.table.groupby("run")["cost_s"].agg(["min", "max"])
        if spans.empty:
            return None
        begin, end = float(spans["min"].max()), float(spans["max"].min())
        return (begin, end) if begin < end else None

    def areas(self, arm: str) -> dict[int, float]:
        """Return the area under each of an arm's curves, by seed; see `area`."""
        if self.common is None:
            return {}
        seeds = {run.name: run.seed for run in self.runs}
        return {seeds[name]: area(c, *self.common) for name, c in self.curves(arm).items()}

    @property
    def paired(self) -> bool:
        """Whether no arm holds a seed twice, so that arms can be paired by seed."""
        pairs = [(run.arm, run.seed) for run in self.runs]
        return len(pairs) == len(set(pairs))

    def verdicts(self) -> list[str]:
        """Say, in a sentence each, what the first arm shows against the others."""
        first, *others = self.arms or [""]
        if not others:
            return ["one arm alone: there is nothing to compare it with"]
        if not self.paired:
            return ["no verdict: an arm holds several runs of one seed, so seeds can't be paired"]
        if self.common is None:
            return ["no verdict: the curves have no part of the axis in common"]
        said = [line for second in others[:OTHERS] for line in self._verdicts(first, second)]
        if (left := len(others) - OTHERS) > 0:
            said.append(f"{left} more are in the table alone; name two to compare them in words")
        return said

    def _verdicts(self, first: str, second: str) -> list[str]:
        assert self.common is not None  # noqa: S101 - the caller looked
        end, (a, b) = self.common[1], (self.areas(first), self.areas(second))
        seeds = sorted(a.keys() & b.keys())
        if not seeds:
            return [f"no verdict: {first} and {second} have no seed in common"]
        found = difference([a[seed] for seed in seeds], [b[seed] for seed in seeds])
        return [
            verdict(self.table, (first, first), (second, second), end, self.unit),
            sentence(found, first, second, f"in area up to {end:.0f} {self.unit}"),
        ]

    def summary(self) -> list[dict[str, Any]]:
        """Describe each arm.

        Returns
        -------
        list of dict
            ``arm``, ``runs`` (their number), ``at`` (where the common part ends), ``mean``,
            ``low`` and ``high`` of the score there, ``area`` (the mean of `area`), and ``last``
            (the mean of the curves' last scores). What can't be had is NaN.
        """
        return [self._summary(arm) for arm in self.arms]

    def _summary(self, arm: str) -> dict[str, Any]:
        curves = self.curves(arm)
        end = self.common[1] if self.common else math.nan
        found = [at_cost(curve, end) for curve in curves.values()] if self.common else []
        scores = [value for value in found if value is not None] or [math.nan]
        areas = list(self.areas(arm).values()) or [math.nan]
        last = [float(curve["dice"].iloc[-1]) for curve in curves.values()]
        return {
            "arm": arm, "runs": len(curves), "at": end, "mean": float(np.mean(scores)),
            "low": min(scores), "high": max(scores), "area": float(np.mean(areas)),
            "last": float(np.mean(last)),
        }  # fmt: skip

    def traces(self) -> list[Trace]:
        """Draw each arm: the band over its runs, a thin line for each, and their mean."""
        return [
            trace
            for n, arm in enumerate(self.arms)
            for trace in arm_traces(
                arm,
                self.curves(arm),
                COLOURS[n % len(COLOURS)],
                self.unit,
                self.score,
                DASHES[n // len(COLOURS) % len(DASHES)],
            )
        ]

    def layout(self) -> dict[str, Any]:
        """Describe the axes as a Plotly layout."""
        layout = curve_layout(self.y)
        low, top = 0.0, 1.0
        if len(self.table):
            low, top = (float(self.table["dice"].agg(end)) for end in ("min", "max"))
        title = {"text": AXES[self.x][0], "standoff": 8}
        return layout | {
            "showlegend": True,
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
            "margin": {"l": 64, "r": 24, "t": 40, "b": 56},
            "height": 440,
            "xaxis": layout["xaxis"] | {"title": title, "rangemode": "normal"},
            "yaxis": layout["yaxis"] | {"range": score_range(low, top)},
        }

    def figure(self) -> go.Figure:
        """Draw the curves."""
        import plotly.graph_objects as go

        return go.Figure(self.traces(), self.layout() | {"paper_bgcolor": "#ffffff"})


def area(curve: pd.DataFrame, begin: float, end: float) -> float:
    """Average a curve between two costs: the area under it, divided by their distance.

    Parameters
    ----------
    curve : table
        Of one run, with columns ``cost_s`` and ``dice``; straight lines join its points.
    begin, end : float
        ``begin < end``, both within the curve.

    Returns
    -------
    float
        In the unit of the score, so that areas of different spans can be read alike.
    """
    ordered = curve.sort_values("cost_s", kind="stable").drop_duplicates("cost_s", keep="last")
    costs, scores = ordered["cost_s"].to_numpy(), ordered["dice"].to_numpy()
    inside = costs[(costs > begin) & (costs < end)]
    at = np.concatenate([[begin], inside, [end]])
    return float(np.trapezoid(np.interp(at, costs, scores), at) / (end - begin))


def summary_html(comparison: Comparison) -> str:
    """Write the arms as an HTML table."""
    unit = comparison.unit
    common = comparison.common
    where = f"{comparison.score} at {common[1]:.0f} {unit}" if common else comparison.score
    heads = ("", "runs", where, "range", "area", "last")
    body = "".join(_row(row) for row in comparison.summary())
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    return f"<table class='alnb-compare'><tr>{head}</tr>{body}</table>"


def _row(row: Mapping[str, Any]) -> str:
    name = escape(row["arm"])
    reach = f"{_number(row['low'])}–{_number(row['high'])}" if row["runs"] > 1 else ""
    cells = (row["runs"], _number(row["mean"]), reach, _number(row["area"]), _number(row["last"]))
    return f"<tr><th title='{name}'>{name}</th>{''.join(f'<td>{c}</td>' for c in cells)}</tr>"


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;color:#1f2937;max-width:880px;margin:24px auto}"
    "table{border-collapse:collapse;font-size:14px}th,td{padding:3px 14px 3px 0;text-align:left}"
)


def page_of(comparison: Comparison) -> str:
    """Write the figure, the table and the verdicts as a page that needs no network."""
    figure = comparison.figure().to_html(
        include_plotlyjs=True, full_html=False, config={"displayModeBar": False}
    )
    lines = "".join(f"<li>{escape(line)}</li>" for line in comparison.verdicts())
    names = escape(", ".join(run.name for run in comparison.runs))
    data = escape(comparison.runs[0].dataset)
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>alnb compare</title>"
        f"<style>{STYLE}</style><body><h1>{data}</h1>{figure}{summary_html(comparison)}"
        f"<ul>{lines}</ul><p>Thin lines: the runs. Thick: their mean. Band: from the lowest to the "
        f"highest. Area: the mean of a curve over the part of the axis that all have in common. "
        f"Intervals (95 %) tell of seeds, not of other patients. Runs: {names}.</p></body></html>"
    )


def write(comparison: Comparison, out: Path) -> Iterator[str]:
    """Write the figure and its data.

    Parameters
    ----------
    comparison : Comparison
    out : Path
        Gets ``compare.csv`` (every curve, with all its columns), ``compare.html`` and, where a
        Chrome is installed, ``compare.png``.

    Yields
    ------
    str
        A sentence for each file, once it is written.

    Raises
    ------
    SessionError
        If the folder can't be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        table = table_of(comparison.runs)
        table.to_csv(out / "compare.csv", index=False, lineterminator="\n")
        yield f"Written: {out / 'compare.csv'}"
        (out / "compare.html").write_text(page_of(comparison), encoding="utf-8")
        yield f"Written: {out / 'compare.html'}"
    except OSError as error:
        raise SessionError(
            f"{out} can't be written: {error.strerror}. Choose another folder with --out."
        ) from error
    try:
        take(out / "compare.html", out / "compare.png", PICTURE)
    except NoPictureError as error:
        yield f"compare.png could not be drawn: {error}. The page compare.html holds it all."
    else:
        yield f"Written: {out / 'compare.png'}"
