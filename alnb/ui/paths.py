"""Borders of regions, and outlines, as SVG paths in columns and rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from alnb.outlines import Outline
from alnb.regions import Region
from alnb.ui.pictures import outline_path
from alnb.ui.region_figure import NO_PATH


def numbered(regions: Sequence[Region]) -> NDArray[np.intp]:
    """Draw regions of one slice by their numbers from 1, as far as they reach; 0 elsewhere."""
    shape = (max(r.row + r.height for r in regions), max(r.col + r.width for r in regions))
    areas = np.zeros(shape, dtype=np.intp)
    for number, region in enumerate(regions, 1):
        areas[region.drawn(shape)] = number
    return areas


def grid_path(regions: Iterable[Region]) -> str:
    """Draw the borders of regions, as shaped as they are, as one SVG path in columns and rows.

    One path, and no trace: Plotly draws each piece of a line as an element of its own, which
    made a click wait.
    """
    regions = tuple(regions)
    if any(region.mask is not None for region in regions):
        return outline_path(numbered(regions))
    corners = (
        (r.col - 0.5, r.row - 0.5, r.col + r.width - 0.5, r.row + r.height - 0.5) for r in regions
    )
    paths = [
        f"M{left},{top}L{right},{top}L{right},{bottom}L{left},{bottom}Z"
        for left, top, right, bottom in corners
    ]
    return "".join(paths) or NO_PATH


def polygon_path(outlines: Iterable[Outline]) -> str:
    """Draw outlines as one SVG path, in columns and rows."""
    paths = [
        "M" + "L".join(f"{col},{row}" for row, col in outline) + "Z"
        for outline in outlines
        if outline
    ]
    return "".join(paths) or NO_PATH
