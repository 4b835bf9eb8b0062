"""A test slice that the person watches: what the network finds in it, as it learns."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from html import escape

import ipywidgets as widgets
import numpy as np

from alnb.annotation import around
from alnb.arrays import Map, Mask
from alnb.dataset import Dataset, SliceId
from alnb.metrics import Lesions, Scores
from alnb.ui.label.sentences import slice_of
from alnb.ui.viewer.drawing import (
    FILL_ALPHA,
    MASK_RGB,
    PREDICTION_RGB,
    grey_png,
    heat_png,
    polygon_path,
    uri,
)

NOT_YET = "The network has not predicted this slice yet."
UNSEEN = "The network never learns from test slices."
LOOKS = {
    "prediction": f"fill='rgb{PREDICTION_RGB}' fill-opacity='{FILL_ALPHA}' "
    f"stroke='rgb{PREDICTION_RGB}'",
    "mask": f"fill='none' stroke='rgb{MASK_RGB}' stroke-dasharray='5 3'",
}
WORDS = {"prediction": "predicted", "mask": "mask"}
SWATCH = "<svg viewBox='0 0 16 10'><rect x='1' y='1' width='14' height='8' {}/></svg>"


class WatchedSlice:
    """One of the test slices, with what is predicted in it and, where teaching, its mask.

    Parameters
    ----------
    dataset : Dataset
        With masks or without.
    slices : sequence of SliceId
        To choose from; with none there is nothing to watch.
    changed : callable
        Called when another slice is chosen.

    Attributes
    ----------
    widget : ipywidgets.Widget
        Beside the chart where there is room, else over it once `enlarge` was called.
    where : SliceId or None
        The slice; at first the one with the most infection, where there are masks.
    """

    def __init__(
        self, dataset: Dataset, slices: Sequence[SliceId], changed: Callable[[], None]
    ) -> None:
        self._dataset, self._slices, self._changed = dataset, tuple(slices), changed
        self.where = self._slices[0] if self._slices else None
        if self._slices and dataset.has_masks:
            self.where = max(self._slices, key=dataset.infected_px)
        self._now: tuple[Hashable, float] = (None, np.nan)  # the network, and Dice by it
        self._before = np.nan  # Dice by the network before
        self._picture, self._words = widgets.HTML(), widgets.HTML()
        self._picture.add_class("alnb-watched-picture")
        row = widgets.Box([self._turn("‹", -1), self._words, self._turn("›", 1)])
        row.add_class("alnb-watched-row")
        self.widget = widgets.Box([self._picture, row])
        self.widget.add_class("alnb-watched")
        self.widget.layout.display = None if self._slices else "none"
        self._large = False

    def _turn(self, sign: str, slices: int) -> widgets.Button:
        words = "The next test slice" if slices > 0 else "The test slice before"
        button = widgets.Button(description=sign, tooltip=words, disabled=len(self._slices) < 2)
        button.add_class("alnb-quiet")
        button.on_click(lambda _: self.step(slices))
        return button

    def step(self, slices: int) -> None:
        """Watch another slice; after the last comes the first."""
        if self.where is not None:
            at = (self._slices.index(self.where) + slices) % len(self._slices)
            self.where, self._now, self._before = self._slices[at], (None, np.nan), np.nan
            self._changed()

    def enlarge(self) -> None:
        """Lay it over the whole chart, or back."""
        self._large = not self._large
        (self.widget.add_class if self._large else self.widget.remove_class)("alnb-large")

    def show(self, overlays: Mapping[str, Map | Mask], network: Hashable) -> None:
        """Draw what is known of the slice.

        Parameters
        ----------
        overlays : mapping of str to (H, W) array
            What to draw: ``prediction`` and ``mask``, True where infected, and ``entropy`` in
            nats, beside the prediction.
        network : hashable
            What predicted it. The Dice is told with the one before it changed; before it did,
            with the first.
        """
        where = self.where
        if where is None:
            return
        grey = self._dataset.image(where)
        drawn = [name for name in LOOKS if name in overlays]
        lines = [_line(overlays[name] > 0, LOOKS[name]) for name in drawn]
        tiles = [_tile(grey_png(grey), grey.shape, *lines)]
        if "entropy" in overlays:
            tiles.append(_tile(heat_png(np.asarray(overlays["entropy"], np.float32)), grey.shape))
        keys = "".join(f"{SWATCH.format(LOOKS[name])}{WORDS[name]}" for name in drawn)
        self._picture.value = (
            f"<div class='alnb-tiles'>{''.join(tiles)}</div>"
            f"<div class='alnb-small alnb-keys'>{keys}</div>"
        )
        number = f"{self._slices.index(where) + 1} of {len(self._slices)}"
        self._words.value = (
            f"<div class='alnb-small' role='status' title='{UNSEEN}'><b>Test slice {number}: "
            f"{escape(slice_of(self._dataset, where))}</b>{self._said(overlays, network)}</div>"
        )

    def _said(self, overlays: Mapping[str, Map | Mask], network: Hashable) -> str:
        if "prediction" not in overlays or self.where is None:
            return NOT_YET
        predicted: Mask = overlays["prediction"] > 0
        if not self._dataset.has_masks:
            count = Lesions.of_slice(predicted, predicted).of
            return f"{count} {'lesion' if count == 1 else 'lesions'} predicted."
        mask = self._dataset.mask(self.where)
        dice = Scores.of(predicted, mask).dice
        other, so_far = self._now
        if network != other or (np.isnan(self._before) and dice != so_far):
            self._before = so_far
        self._now = network, dice
        return sentence(self._before, dice, Lesions.of_slice(predicted, mask))


def sentence(before: float, dice: float, lesions: Lesions) -> str:
    """Say how well a slice is predicted.

    Parameters
    ----------
    before : float
        Dice of the network before, in [0, 1]; NaN if there was none.
    dice : float
        Dice now.
    lesions : Lesions
        What it finds now.

    Examples
    --------
    >>> sentence(0.53, 0.6, Lesions(found=3, of=5, false=1))
    'Dice 0.53 → 0.60. Found 3 of 5 lesions, 1 false.'
    """
    false = f"{lesions.false or 'none'} false."
    if lesions.of == 0:
        return f"Nothing is infected here; {false}"
    rose = "" if np.isnan(before) else f"{before:.2f} → "
    ending = "" if lesions.of == 1 else "s"
    return f"Dice {rose}{dice:.2f}. Found {lesions.found} of {lesions.of} lesion{ending}, {false}"


def _line(mask: Mask, look: str) -> str:
    style = "fill-rule='evenodd' stroke-width='1.5' vector-effect='non-scaling-stroke'"
    return f"<path d='{polygon_path(around(mask))}' {style} {look}/>"


def _tile(png: bytes, shape: tuple[int, ...], *drawn: str) -> str:
    """Draw a picture of `shape` (H, W); a pixel's middle is where its row and column say."""
    height, width = shape
    size = f"x='-0.5' y='-0.5' width='{width}' height='{height}'"
    return (
        f"<svg viewBox='-0.5 -0.5 {width} {height}' role='img'>"
        f"<image {size} href='{uri(png)}'/>{''.join(drawn)}</svg>"
    )
