"""The names and conventions of every array in alnb.

===========  ==============  =====================================================
name         shape           meaning
===========  ==============  =====================================================
volume       (Z, Y, X)       a scan: z counts slices, y runs to the patient's back,
                             x to the patient's left (radiological display)
slice        (H, W)          one axial slice on the dataset's working grid
`Map`        (H, W)          a float for each pixel: probability in [0, 1] or nats
`Mask`       (H, W)          True where infected
`PointLabels` (H, W)         int8: 1 infected, 0 background, -1 unlabelled
draws        (T, H, W)       one `Map` for each dropout draw
===========  ==============  =====================================================

Positions are always (row, col). Row 0 is at the top, and integers are pixel centres.
Names end in their units: `_hu`, `_mm`, `_s`, `_px`. A higher score is always more wanted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from alnb.errors import ConfigError

Map: TypeAlias = NDArray[np.floating[Any]]
Mask: TypeAlias = NDArray[np.bool_]
PointLabels: TypeAlias = NDArray[np.int8]
Grey: TypeAlias = NDArray[np.uint8]

INFECTED, BACKGROUND, UNLABELLED = 1, 0, -1
MAX_SIDE = 4096  # ours: pixels on a side of a working grid; CT has 512, the finest scanners 2048


@dataclass(frozen=True, slots=True)
class Window:
    """Show the intensities between two limits, in HU, as black to white.

    Parameters
    ----------
    low, high : float
        HU shown as 0 and as 255; finite, ``low < high``.

    Raises
    ------
    ConfigError
        If ``low`` is not below ``high``, or one of them is not finite.

    Examples
    --------
    >>> Window(-1250, 250).to_grey(np.array([-2000, -500, 250], dtype=np.int16)).tolist()
    [0, 128, 255]
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not -np.inf < self.low < self.high < np.inf:
            raise ConfigError(
                f"window {self.low}…{self.high}: both limits are finite, the lower one below "
                "the upper. Give it as LOW,HIGH in HU, for example -1250,250."
            )

    def to_grey(self, voxels_hu: NDArray[np.generic]) -> Grey:
        """Map HU to 8-bit grey.

        Parameters
        ----------
        voxels_hu : array of any shape
            Intensities in HU.

        Returns
        -------
        uint8 array of the same shape
            0 at or below `low`, 255 at or above `high`, linear and rounded between.
        """
        scaled = (voxels_hu.astype(np.float32) - self.low) * (255.0 / (self.high - self.low))
        grey: Grey = np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
        return grey


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """Return the same data as a view that can't be written."""
    view = array.view()
    view.flags.writeable = False
    return view
