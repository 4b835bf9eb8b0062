"""How a slice lies on the working grid: resized as a whole, never stretched, padded with air."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alnb.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray


AIR = {"hu": -1024, "grey": 0}  # what lies outside the scanner's circle


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the pixels of a source slice lie on the square working grid.

    Parameters
    ----------
    size : int
        Side of the working grid, in pixels.
    shape : (int, int)
        Height and width of the source slice.

    Raises
    ------
    DataError
        If a length is not positive.

    Examples
    --------
    >>> place = Placement(352, (400, 512))
    >>> place.inner, place.corner
    ((275, 352), (38, 0))
    """

    size: int
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        if min(self.size, *self.shape) < 1:
            raise DataError(
                f"a working grid of {self.size} px can't hold slices of "
                f"{self.shape[0]}×{self.shape[1]} px. Choose --size above 0."
            )

    @property
    def inner(self) -> tuple[int, int]:
        """Height and width of the slice on the working grid; its longer side fills it."""
        longer = max(self.shape)
        height, width = (max(1, round(side * self.size / longer)) for side in self.shape)
        return height, width

    @property
    def corner(self) -> tuple[int, int]:
        """Row and column where the slice begins; it is centred."""
        height, width = self.inner
        return (self.size - height) // 2, (self.size - width) // 2

    def image(self, voxels: NDArray[Any]) -> NDArray[Any]:
        """Lay a slice on the working grid, bilinear, with anti-aliasing where it shrinks.

        Parameters
        ----------
        voxels : (H0, W0) int16 or uint8 array
            HU or grey.

        Returns
        -------
        (size, size) array of the same type
            Padded with -1024 HU, or with 0.
        """
        if self.inner != self.shape:
            from skimage.transform import resize

            shrinks = self.inner < self.shape
            resized = resize(
                voxels.astype(np.float32), self.inner, order=1, mode="edge",
                preserve_range=True, anti_aliasing=shrinks,
            )  # fmt: skip
            limits = np.iinfo(voxels.dtype)
            voxels = np.clip(np.rint(resized), limits.min, limits.max).astype(voxels.dtype)
        return self._padded(voxels, AIR["hu" if voxels.dtype == np.int16 else "grey"])

    def labels(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Lay a mask on the working grid; each pixel takes its nearest neighbour's label.

        Parameters
        ----------
        mask : (H0, W0) uint8 array

        Returns
        -------
        (size, size) uint8 array
            Padded with 0.
        """
        return self._padded(_nearest(mask, self.inner), 0)

    def back(self, masks: NDArray[Any]) -> NDArray[Any]:
        """Lay masks of the working grid on the source's in-plane grid.

        Parameters
        ----------
        masks : (..., size, size) array

        Returns
        -------
        (..., H0, W0) array
            What lies in the padding is lost; a mask that `labels` enlarged returns exactly.
        """
        (top, left), (height, width) = self.corner, self.inner
        return _nearest(masks[..., top : top + height, left : left + width], self.shape)

    def _padded(self, inner: NDArray[Any], value: int) -> NDArray[Any]:
        (top, left), (height, width) = self.corner, self.inner
        grid = np.full((self.size, self.size), value, dtype=inner.dtype)
        grid[top : top + height, left : left + width] = inner
        return grid


def _nearest(array: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """Resize the last two axes; pixel centres are aligned, as skimage's resize does it."""
    rows, cols = (
        ((np.arange(new) + 0.5) * old / new).astype(np.intp)
        for new, old in zip(shape, array.shape[-2:], strict=True)
    )
    return array[..., rows[:, None], cols]
