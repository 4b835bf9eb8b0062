"""What is drawn from runs, by Plotly."""

from __future__ import annotations

import math
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from PIL import Image


Row = Mapping[str, Any]

SCORES = {  # column of a curve -> what its axis is called
    "dice": "Dice (test)",
    "precision": "Precision (test)",
    "recall": "Recall (test)",
    "specificity": "Specificity (test)",
    "iou": "IoU (test)",
    "heldout_accuracy": "Accuracy on held-out regions",
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
) -> dict[str, Any]:
    """Describe a learning curve as a Plotly trace.

    Parameters
    ----------
    rows : sequence of mappings
        One a cycle, with ``cycle``, `x` and the score's column; a row without the score (absent,
        None or NaN) is left out.
    name : str
        What the legend calls it.
    score : str
        The column drawn; see `SCORES`.
    colour : str
        Of line and points.
    x : str
        The column it is drawn against; see `AXES`.

    Returns
    -------
    dict
        A scatter trace.
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
    """Choose where a score's axis begins and ends, on tenths.

    It begins at 0 unless the curves lie so high, and so near each other, that they would be one
    line there; what is drawn as bars begins at 0 always.

    Examples
    --------
    >>> score_range(0.66, 0.75), score_range(0.2, 0.75)
    ([0.6, 0.8], [0, 0.8])
    """
    end = min(1.0, math.ceil(10 * high + 0.5) / 10)
    begin = math.floor(10 * low - 0.5) / 10
    return [begin if begin >= 0.3 and high - low < 0.3 else 0, end]


def curve_figure(curves: Mapping[str, Sequence[Row]], score: str = "dice") -> go.Figure:
    """Draw learning curves: a score against the cost of labelling.

    Parameters
    ----------
    curves : mapping of str to rows
        What the legend calls each curve, and its rows as `curve_trace` takes them.
    score : str
        The column drawn; see `SCORES`.

    Returns
    -------
    plotly.graph_objects.Figure
        ``write_html(path, include_plotlyjs=True)`` makes a page of it that needs no network.

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
    """Why there is no picture, as the end of a sentence."""


def browser() -> str:
    """Find a Chrome, Chromium or Edge.

    Raises
    ------
    NoPictureError
        If there is none.
    """
    found = next(filter(None, map(shutil.which, (*BROWSERS, *APPLICATIONS))), None)
    if found is None:
        raise NoPictureError("no Chrome, Chromium or Edge is installed")
    return found


def take(page: Path, png: Path, size: tuple[int, int], scale: int = 2) -> None:
    """Photograph a page without opening a window, down to the last thing that is not white.

    Parameters
    ----------
    page : Path
        HTML that needs no network.
    png : Path
        Gets the picture.
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
        _trimmed(shot, scale).save(png, optimize=True)


def _trimmed(shot: Path, scale: int) -> Image.Image:
    """Cut the white below the last thing drawn, but for a margin."""
    from PIL import Image

    with Image.open(shot) as opened:
        picture = opened.convert("RGB")
    drawn = np.flatnonzero((np.asarray(picture.convert("L")) < 255).any(axis=1))
    bottom = int(drawn[-1]) + 1 + MARGIN_PX * scale if len(drawn) else picture.height
    return picture.crop((0, 0, picture.width, min(bottom, picture.height)))
