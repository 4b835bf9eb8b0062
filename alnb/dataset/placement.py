"""Where a slice lies on the square grid of a dataset, and the way back to its source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alnb.errors import DataError
from alnb.volumes.scan import by

if TYPE_CHECKING:
    from numpy.typing import NDArray

AIR = {"hu": -1024, "grey": 0}  # what lies outside the scanner's circle
_ROUNDING = 1e-6  # ours: px; a vertex on the outer edge still lies on the slice
SQUARE = 1e-3  # ours: pixels whose sides differ by less are square; 352 of them err by 0.4 px
_STEP = 8  # ours: a slice that is larger by this, which no CT is, is averaged first


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a source slice lies on the working grid, laid out by millimetres.

    Parameters
    ----------
    size : int
        Side of the working grid, whose pixels are square.
    shape : (int, int)
        Height and width of the source slice, in its pixels.
    spacing : (float, float)
        Distance of its rows and of its columns; only their ratio counts.
    inner : (int, int) or None
        Height and width of the slice on the working grid. None: its side that is longer in mm
        fills the grid.

    Raises
    ------
    DataError
        If a length is not positive, or `inner` is larger than the grid.

    Examples
    --------
    >>> place = Placement(352, (400, 512))
    >>> place.inner, place.corner
    ((275, 352), (38, 0))
    >>> Placement(352, (256, 512), spacing=(1.4, 0.7)).inner
    (352, 352)
    """

    size: int
    shape: tuple[int, int]
    spacing: tuple[float, float] = (1.0, 1.0)
    inner: tuple[int, int] = None  # type: ignore[assignment]  # decided where it is made

    def __post_init__(self) -> None:
        if min(self.size, *self.shape) < 1:
            raise DataError(
                f"a working grid of {self.size} px can't hold slices of "
                f"{self.shape[0]}×{self.shape[1]} px. Choose --size above 0."
            )
        if not all(0 < one < np.inf for one in self.spacing):
            raise DataError(
                f"pixels of {self.spacing[0]:g}×{self.spacing[1]:g} mm can't be laid out. Export "
                "the scan with the spacing of its pixels."
            )
        if self.inner is None:
            object.__setattr__(self, "inner", self._filling())
        if not all(0 < one <= self.size for one in self.inner):
            raise DataError(
                f"a slice of {by(self.inner)} px doesn't fit a working grid of {self.size} px. "
                "Import the data again."
            )

    def _filling(self) -> tuple[int, int]:
        sides: tuple[float, float] = self.shape
        if not self.square:
            sides = sides[0] * self.spacing[0], sides[1] * self.spacing[1]
        height, width = (max(1, round(side * self.size / max(sides))) for side in sides)
        return height, width

    @property
    def square(self) -> bool:
        """Whether the source's pixels are as high as wide, to `SQUARE`."""
        return abs(self.spacing[0] / self.spacing[1] - 1) <= SQUARE

    @property
    def corner(self) -> tuple[int, int]:
        """Row and column where the slice begins; it is centred."""
        height, width = self.inner
        return (self.size - height) // 2, (self.size - width) // 2

    @property
    def window(self) -> tuple[slice, slice]:
        """Index the slice on the working grid, without the padding."""
        (top, left), (height, width) = self.corner, self.inner
        return slice(top, top + height), slice(left, left + width)

    def image(self, voxels: NDArray[Any]) -> NDArray[Any]:
        """Lay an (H0, W0) slice, int16 HU or uint8 grey, on the working grid, padded with air.

        Bilinear, with anti-aliasing where it shrinks; (size, size) of the same type.
        """
        if self.inner != self.shape:
            from skimage.transform import resize

            means = _means(voxels.astype(np.float32), self.inner)
            shrinks = any(new < old for new, old in zip(self.inner, means.shape, strict=True))
            resized = resize(
                means, self.inner, order=1, mode="edge",
                preserve_range=True, anti_aliasing=shrinks,
            )  # fmt: skip
            limits = np.iinfo(voxels.dtype)
            voxels = np.clip(np.rint(resized), limits.min, limits.max).astype(voxels.dtype)
        return self._padded(voxels, AIR["hu" if voxels.dtype == np.int16 else "grey"])

    def labels(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Lay an (H0, W0) mask on the grid, padded with 0; each pixel takes its nearest label."""
        return self._padded(_nearest(mask, self.inner), 0)

    def back(self, masks: NDArray[Any]) -> NDArray[Any]:
        """Lay (..., size, size) masks of the working grid on the source's, (..., H0, W0).

        What lies in the padding is lost; a mask that `labels` enlarged returns exactly.
        """
        return _nearest(masks[(..., *self.window)], self.shape)

    def to_source(
        self, rows: NDArray[Any], cols: NDArray[Any], *, whole: bool = False
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return where positions of the working grid lie on the source slice.

        Parameters
        ----------
        rows, cols : (N,) array
            On the working grid; integers are pixel centres, which are aligned as in `image` and
            `labels`.
        whole : bool
            Give the pixel that holds each position, as `labels` takes it, and NaN in the padding.

        Returns
        -------
        (N,) float array, twice
            Rows and columns of the source; integers are pixel centres.
        """
        exact = (
            (np.asarray(at, dtype=np.float64) - begin + 0.5) * old / new - 0.5
            for at, begin, old, new in zip(
                (rows, cols), self.corner, self.shape, self.inner, strict=True
            )
        )
        y, x = map(_held, exact, self.shape) if whole else exact
        return y, x

    def _padded(self, inner: NDArray[Any], value: int) -> NDArray[Any]:
        grid = np.full((self.size, self.size), value, dtype=inner.dtype)
        grid[self.window] = inner
        return grid


def _held(at: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Return which of `length` pixels holds each position; NaN if none does."""
    beyond = np.abs(at - (length - 1) / 2) > length / 2 + _ROUNDING
    return np.where(beyond, np.nan, np.clip(np.floor(at + 0.5), 0, length - 1))


def _means(array: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """Average blocks of a slice that is far larger than its place, which is slow to smooth."""
    for axis, new in enumerate(shape):
        block = array.shape[axis] // (_STEP * new)
        if block > 1:
            starts = np.arange(0, array.shape[axis], block)
            ends = np.append(starts[1:], array.shape[axis])
            count = np.expand_dims(ends - starts, 1 - axis).astype(np.float32)
            array = np.add.reduceat(array, starts, axis=axis) / count
    return array


def _nearest(array: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """Resize the last two axes; pixel centres are aligned, as skimage's resize does it."""
    rows, cols = (
        ((np.arange(new) + 0.5) * old / new).astype(np.intp)
        for new, old in zip(shape, array.shape[-2:], strict=True)
    )
    return array[..., rows[:, None], cols]
