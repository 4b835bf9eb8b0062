"""HTML pages of charts that need no network, and their pictures, taken by an installed browser."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from PIL import Image

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


def photograph(page: Path, png: Path, size: tuple[int, int], scale: int = 2) -> None:
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


def write_picture(page: Path, size: tuple[int, int]) -> str:
    """Photograph a page into a PNG beside it; say where it is, or why there is none.

    Parameters
    ----------
    page, size
        As `photograph` takes them.
    """
    png = page.with_suffix(".png")
    try:
        photograph(page, png, size)
    except NoPictureError as error:
        return f"{png.name} could not be drawn: {error}. The page {page.name} holds everything."
    return f"Written: {png}"
