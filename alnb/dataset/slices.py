"""`SliceId` names a slice, `Part` what it is for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = get_args(Part)


@dataclass(frozen=True, slots=True, order=True)
class SliceId:
    """Names one axial slice of a dataset.

    Parameters
    ----------
    scan : str
        The scan's name.
    z : int
        Counts its slices from 0, from the feet to the head.
    """

    scan: str
    z: int

    def __str__(self) -> str:
        return f"{self.scan}/{self.z}"
