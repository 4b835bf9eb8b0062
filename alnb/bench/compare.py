"""Any runs and sessions side by side: their curves in one table, areas, verdicts, and files."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from alnb.bench.curves import Trace, arm_traces
from alnb.bench.figures import COLOURS, SCORES, curve_layout, score_range
from alnb.bench.gathered import Run, table_of
from alnb.bench.picture import NoPictureError, take
from alnb.bench.verdicts import at_cost, difference, sentence, verdict
from alnb.errors import SessionError

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

AXES = {  # column of a curve -> (what its axis is called, its unit)
    "cost_s": ("Labelling cost, nominal (s)", "s"),
    "measured_s": ("Labelling time, measured (s)", "s"),
    "regions": ("Regions answered", "regions"),
    "clicks": ("Clicks", "clicks"),
}
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
        One of `alnb.bench.figures.SCORES`.
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
