"""Pictures of pages, taken by the browser that is installed: nothing else need be."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

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
