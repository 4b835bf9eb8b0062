"""Learning curves drawn: Plotly traces and layouts, pages that need no network, and pictures."""

from __future__ import annotations

import math
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from alnb.curves.statistics import read_steps
from alnb.errors import path_sentence
from alnb.storage import replacing

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go
    from PIL import Image

Row: TypeAlias = Mapping[str, Any]
Trace: TypeAlias = dict[str, Any]
Array: TypeAlias = NDArray[np.float64]

SCORES = {  # column of a curve -> what its axis is called
    "dice": "Dice (test)",
    "precision": "Precision (test)",
    "recall": "Recall (test)",
    "specificity": "Specificity (test)",
    "iou": "IoU (test)",
    "heldout_accuracy": "Held-out accuracy",
}
AXES = {  # column of a curve -> (what its axis is called, its unit)
    "cost_s": ("Labelling cost, nominal (s)", "s"),
    "measured_s": ("Labelling time, measured (s)", "s"),
    "regions": ("Regions answered", "regions"),
    "clicks": ("Clicks", "clicks"),
}
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")  # Okabe and Ito


def curve_trace(
    rows: Sequence[Row],
    name: str = "",
    score: str = "dice",
    colour: str = COLOURS[0],
    x: str = "cost_s",
) -> Trace:
    """Describe a learning curve as a Plotly scatter trace.

    Parameters
    ----------
    rows : sequence of mappings
        One a cycle, with ``cycle``, `x` and the score's column; a row without the score (absent,
        None or NaN) is left out.
    name : str
        What the legend calls it.
    score, x : str
        The columns to draw, and to draw it against; see `SCORES` and `AXES`.
    colour : str
        Of line and points.
    """
    drawn = [row for row in rows if row.get(score) is not None and row[score] == row[score]]
    return {
        "type": "scatter",
        "name": name,
        "x": [row[x] for row in drawn],
        "y": [row[score] for row in drawn],
        "customdata": [row["cycle"] for row in drawn],
        "mode": "lines+markers",
        "line": {"color": colour, "width": 2},
        "marker": {"color": colour, "size": 7},
        "hovertemplate": f"cycle %{{customdata}}<br>%{{x:,.0f}} {AXES[x][1]}<br>"
        f"{SCORES[score].split()[0]} %{{y:.3f}}<extra></extra>",
    }


def curve_layout(score: str = "dice") -> dict[str, Any]:
    """Describe the axes of a learning curve as a Plotly layout."""
    grid = {"gridcolor": "#e5e7eb", "zeroline": False}
    return {
        "template": "none",
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "#1f2937"},
        "xaxis": grid | {"title": {"text": "Labelling cost (s)"}, "rangemode": "tozero"},
        "yaxis": grid | {"title": {"text": SCORES[score]}, "range": [0, 1]},
        "showlegend": False,
    }


def score_range(low: float, high: float) -> list[float]:
    """Choose where a score's axis begins and ends, on tenths: at 0, or for near curves higher.

    Examples
    --------
    >>> score_range(0.66, 0.75), score_range(0.2, 0.75)
    ([0.6, 0.8], [0, 0.8])
    """
    end = min(1.0, math.ceil(10 * high + 0.5) / 10)
    begin = math.floor(10 * low - 0.5) / 10
    return [begin if begin >= 0.3 and high - low < 0.3 else 0, end]


def figure_layout(layout: dict[str, Any], low: float, high: float) -> dict[str, Any]:
    """Complete a layout for a figure of its own, with a legend above the curves.

    Parameters
    ----------
    layout : dict
        As `curve_layout` returns it.
    low, high : float
        The lowest and highest score that is drawn, in [0, 1].
    """
    return layout | {
        "showlegend": True,
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "margin": {"l": 64, "r": 24, "t": 40, "b": 56},
        "height": 440,
        "xaxis": layout["xaxis"] | {"rangemode": "normal"},
        "yaxis": layout["yaxis"] | {"range": score_range(low, high)},
    }


def curve_figure(curves: Mapping[str, Sequence[Row]], score: str = "dice") -> go.Figure:
    """Draw learning curves: a score, one of `SCORES`, against the cost of labelling.

    ``curves`` are the rows of each curve, as `curve_trace` takes them, by its name in the legend.

    Examples
    --------
    >>> rows = [{"cycle": 0, "cost_s": 120.0, "dice": 0.41}]
    >>> curve_figure({"entropy": rows}).layout.yaxis.title.text
    'Dice (test)'
    """
    import plotly.graph_objects as go

    traces = [
        curve_trace(rows, name, score, COLOURS[i % len(COLOURS)])
        for i, (name, rows) in enumerate(curves.items())
    ]
    return go.Figure(traces, curve_layout(score) | {"showlegend": len(traces) > 1})


MARKED = 30  # ours: a longer curve has no markers; they would hide it


def arm_traces(
    label: str,
    curves: Mapping[str, pd.DataFrame],
    colour: str,
    unit: str = "s",
    score: str = "Dice",
    dash: str = "solid",
) -> list[Trace]:
    """Draw an arm: a band from lowest to highest, a thin line for each run, and their mean.

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
        The band, the runs, the mean; for a single run only its curve.
    """
    hover = f"%{{x:,.0f}} {unit}<br>{score} %{{y:.3f}}<extra></extra>"
    if len(curves) == 1:
        (curve,) = curves.values()
        trace = _thick(curve_trace(_rows(curve), label, colour=colour), "linear", dash)
        return [trace | {"hovertemplate": f"{label}, cycle %{{customdata}}<br>{hover}"}]
    costs, mean, low, high = mean_and_range([*curves.values()])
    points = enumerate(zip(costs, mean, strict=True))
    rows = [{"cycle": n, "cost_s": cost, "dice": dice} for n, (cost, dice) in points]
    same = all(len(curve) == len(costs) for curve in curves.values())
    shape = "linear" if same else "hv"  # steps where costs differ
    thin = [
        curve_trace(_rows(curve), f"{label}, {name}", colour=colour)
        | {
            "mode": "lines", "opacity": 0.45, "showlegend": False,
            "line": {"color": colour, "width": 1, "shape": shape},
            "hovertemplate": f"{name}, cycle %{{customdata}}<br>{hover}",
        }
        for name, curve in curves.items()
    ]  # fmt: skip
    thick = _thick(curve_trace(rows, label, colour=colour), shape, dash)
    thick |= {"hovertemplate": f"mean of {len(curves)}<br>{hover}"}
    return [_band(costs, low, high, colour, shape), *thin, thick]


def _rows(curve: pd.DataFrame) -> list[Row]:
    return curve.to_dict("records")  # type: ignore[return-value] # their keys are words


def _thick(trace: Trace, shape: str, dash: str) -> Trace:
    line = trace["line"] | {"width": 3, "shape": shape, "dash": dash}
    mode = "lines+markers" if len(trace["x"]) <= MARKED else "lines"
    return trace | {"mode": mode, "line": line}


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


def mean_and_range(curves: Sequence[pd.DataFrame]) -> tuple[Array, Array, Array, Array]:
    """Read several curves as steps at every cost that one of them has, once all have begun.

    Returns
    -------
    costs, mean, lowest, highest : (N,) float arrays
    """
    costs = np.unique(np.concatenate([curve["cost_s"] for curve in curves]))
    costs = costs[costs >= max(curve["cost_s"].min() for curve in curves)]
    dice = np.stack([read_steps(curve, costs) for curve in curves])  # (seeds, N)
    return costs, dice.mean(axis=0), dice.min(axis=0), dice.max(axis=0)


def faint(colour: str, share: float = 0.15) -> str:
    """Return a ``#rrggbb`` colour as one that lets ``1 - share`` through."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{share})"


# --- pages ---

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2937; background: #fff; margin: 0; }
main { width: 880px; margin: 0 auto; padding: 24px; }
h1 { font-size: 24px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 32px 0 8px; }
p, ul { margin: 6px 0; } ul { padding-left: 20px; }
.warning { background: #fef3c7; border-left: 4px solid #d97706; padding: 10px 14px; }
.warning { margin: 14px 0; font-weight: 600; }
.quiet, figcaption { color: #4b5563; font-size: 13px; }
figure { margin: 0; } figcaption { margin: 0 0 4px; }
code { font: 12.5px ui-monospace, monospace; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; }
th, td { text-align: left; vertical-align: top; padding: 5px 12px 5px 0; }
td:nth-child(2):nth-last-child(2), td:nth-child(3):last-child { width: 39%; }
th { border-bottom: 2px solid #9ca3af; } td { border-bottom: 1px solid #e5e7eb; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
@page { size: A4; margin: 12mm; }
@media print {
  main { zoom: 0.78; padding: 0; }
  figure, tr, .warning { break-inside: avoid; } h2 { break-after: avoid; }
}
"""


def page_html(title: str, body: str) -> str:
    """Return a whole page with Plotly in it; ``body`` is HTML, ``title`` is not."""
    from plotly.offline import get_plotlyjs

    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{STYLE}</style>"
        f"<script>{get_plotlyjs()}</script></head><body><main>{body}</main></body></html>\n"
    )


def figure_html(figure: go.Figure, name: str) -> str:
    """Return a figure's part of a page; ``name`` differs from those of the page's others."""
    return str(
        figure.to_html(
            full_html=False, include_plotlyjs=False, div_id=f"figure-{name}",
            config={"displaylogo": False, "displayModeBar": False},
        )
    )  # fmt: skip


# --- pictures ---

BROWSERS = (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome",
    "microsoft-edge",
)  # fmt: skip
APPLICATIONS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
FLAGS = (
    "--headless", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--no-sandbox",
)  # fmt: skip
DRAWN_MS = 3000  # of the page's own time, which runs as fast as it can
LIMIT_S = 60.0
MARGIN_PX = 24


class NoPictureError(Exception):
    """Says why there is no picture; its text ends a sentence."""


def browser() -> str:
    """Find a Chrome, Chromium or Edge; raise `NoPictureError` if there is none."""
    found = next(filter(None, map(shutil.which, (*BROWSERS, *APPLICATIONS))), None)
    if found is None:
        raise NoPictureError("no Chrome, Chromium or Edge is installed")
    return found


def photograph(page: Path, png: Path, size: tuple[int, int], scale: int = 2) -> None:
    """Photograph a page without opening a window, down to the last thing that is not white.

    Parameters
    ----------
    page, png : Path
        HTML that needs no network, and the picture to write.
    size : (width, height)
        Of the page's window, in its own pixels.
    scale : int
        Pixels of the picture for each.

    Raises
    ------
    NoPictureError
        If there is no browser or it draws nothing.
    """
    program = browser()
    with tempfile.TemporaryDirectory(prefix="alnb-picture-") as folder:
        shot = Path(folder, "shot.png")
        words = [
            program, *FLAGS, f"--user-data-dir={folder}/profile", f"--screenshot={shot}",
            f"--window-size={size[0]},{size[1]}", f"--force-device-scale-factor={scale}",
            f"--virtual-time-budget={DRAWN_MS}", page.resolve().as_uri(),
        ]  # fmt: skip
        try:
            subprocess.run(words, check=False, capture_output=True, timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            raise NoPictureError(f"{Path(program).name} took more than {LIMIT_S:.0f} s") from None
        if not shot.exists():
            raise NoPictureError(f"{Path(program).name} drew nothing")
        try:
            with replacing(png) as temporary:
                _trimmed(shot, scale).save(temporary, "PNG", optimize=True)
        except OSError as error:
            raise NoPictureError(path_sentence(error, png).rstrip(".")) from error


def _trimmed(shot: Path, scale: int) -> Image.Image:
    """Cut the white below the last thing drawn, but for a margin."""
    from PIL import Image

    with Image.open(shot) as opened:
        picture = opened.convert("RGB")
    drawn = np.flatnonzero((np.asarray(picture.convert("L")) < 255).any(axis=1))
    bottom = int(drawn[-1]) + 1 + MARGIN_PX * scale if len(drawn) else picture.height
    return picture.crop((0, 0, picture.width, min(bottom, picture.height)))


def write_picture(page: Path, size: tuple[int, int]) -> str:
    """Photograph a page into a PNG beside it; say where it is, or why there is none."""
    png = page.with_suffix(".png")
    try:
        photograph(page, png, size)
    except NoPictureError as error:
        return f"{png.name} could not be drawn: {error}. The page {page.name} holds everything."
    return f"Written: {png}"
