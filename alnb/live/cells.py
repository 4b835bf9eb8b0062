"""What the training process publishes of each slice: a grid of cells, rows of numbers.

A cell holds the network's logit in each of its quarters, and its features.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alnb.arrays import Map, Mask
from alnb.dataset import SliceId
from alnb.storage import UNREADABLE, features_path

STRIDE, QUARTERS, FEATURES = 8, 4, 64  # pixels of a cell's side; numbers of a cell
NUMBERS = QUARTERS + FEATURES
KEPT = 128  # ours: slices whose cells stay in memory, half a megabyte each

Cells = NDArray[np.float32]


class Published:
    """Read the slices that one network has published.

    Parameters
    ----------
    size : int
        The side of a slice, in pixels.
    cache : Path
        Where `features_path` is.
    weights : str
        The network's name.
    threshold : float
        Logits are read so that this probability of infection has the logit 0.

    Attributes
    ----------
    side : int
        How many cells a slice has in each direction.
    """

    def __init__(self, size: int, cache: Path, weights: str, threshold: float) -> None:
        self.side = -(-size // STRIDE)
        self._size, self._cache, self._weights = size, cache, weights
        self._shift = float(np.log(threshold / (1 - threshold)))
        self._known: set[SliceId] = set()
        self._read: dict[SliceId, Cells] = {}
        self._coarse: dict[SliceId, NDArray[np.float16]] = {}

    def __contains__(self, where: SliceId) -> bool:
        """Tell whether a slice is published."""
        if where not in self._known and self._path(where).is_file():
            self._known.add(where)
        return where in self._known

    def _path(self, where: SliceId) -> Path:
        return features_path(self._cache, self._weights, where.scan, where.z)

    def _file(self, where: SliceId) -> NDArray[np.float16]:
        shape = (self.side, self.side, NUMBERS)
        try:
            found: NDArray[np.float16] = np.load(self._path(where))
        except UNREADABLE:
            found = np.zeros(0, np.float16)
        kept = found.shape == shape and found.dtype == np.float16
        if not (kept and np.isfinite(found).all()):
            return np.zeros(shape, np.float16)  # deleted meanwhile, or spoilt: it says nothing
        return found

    def cells(self, where: SliceId) -> Cells:
        """Read a slice as rows, (h·w, 2 + FEATURES): its logit, features, 1."""
        if where not in self._read:
            file = self._file(where)
            cells = np.ones((self.side**2, 2 + FEATURES), dtype=np.float32)
            cells[:, 0] = file[..., :QUARTERS].mean(-1, dtype=np.float32).ravel() - self._shift
            cells[:, 1:-1] = file[..., QUARTERS:].reshape(-1, FEATURES)
            while len(self._read) >= KEPT:
                self._read.pop(next(iter(self._read)))
            self._read[where] = cells
        return self._read[where]

    def few_cells(self, where: SliceId) -> Cells:
        """Read every second cell in each direction; they stay in memory, for all slices."""
        if where not in self._coarse:
            cells = self.cells(where).reshape(self.side, self.side, -1)[1::2, 1::2]
            self._coarse[where] = cells.reshape(-1, 2 + FEATURES).astype(np.float16)
        return self._coarse[where].astype(np.float32)

    def at(self, where: SliceId, row: int, col: int) -> Cells:
        """Interpolate between the cells around a pixel: (2 + FEATURES,).

        Parameters
        ----------
        where : SliceId
        row, col : int
            In the slice.
        """
        over = _between(STRIDE * self.side, self.side)
        rows, cols = np.flatnonzero(over[row]), np.flatnonzero(over[col])
        around = self.cells(where).reshape(self.side, self.side, -1)[np.ix_(rows, cols)]
        cell: Cells = np.einsum("i,j,ijn->n", over[row, rows], over[col, cols], around)
        quarter = (row // (STRIDE // 2) % 2) * 2 + col // (STRIDE // 2) % 2
        cell[0] = self._file(where)[row // STRIDE, col // STRIDE, quarter] - self._shift
        return cell

    def odds(self, where: SliceId, moved: Map) -> Map:
        """Add (h, w) to a slice's logits, and enlarge them to (H, W).

        Bilinear between quarters and between cells.
        """
        quarters = self._file(where)[..., :QUARTERS].astype(np.float32) - self._shift
        fine = quarters.reshape(self.side, self.side, 2, 2).transpose(0, 2, 1, 3)
        doubled = _between(2 * self.side, self.side)
        moved = fine.reshape(2 * self.side, -1) + doubled @ moved @ doubled.T
        return self.enlarged(moved)

    def enlarged(self, values: Map) -> Map:
        """Enlarge a square of values for a slice to (H, W), bilinearly."""
        between = _between(STRIDE * self.side, len(values))
        large: Map = between @ values @ between.T
        return large[: self._size, : self._size]

    def share(self, mask: Mask) -> Map:
        """Tell how much of each cell a mask of (H, W) covers, (h, w) in [0, 1]."""
        whole = self.side * STRIDE
        padded = np.zeros((whole, whole), dtype=np.float32)
        padded[: mask.shape[0], : mask.shape[1]] = mask
        share: Map = padded.reshape(self.side, STRIDE, self.side, STRIDE).mean((1, 3))
        return share


@lru_cache(maxsize=8)
def _between(length: int, cells: int) -> NDArray[np.float32]:
    """Weigh cells for each of `length` places over them, bilinearly: (length, cells)."""
    at = (np.arange(length) + 0.5) * cells / length - 0.5
    away = np.abs(np.clip(at, 0, cells - 1)[:, None] - np.arange(cells))
    weights: NDArray[np.float32] = np.maximum(1 - away, 0).astype(np.float32)
    return weights
