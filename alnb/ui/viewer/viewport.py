"""Which part of a slice a panel shows: arithmetic without a widget."""

from __future__ import annotations

from dataclasses import dataclass

from alnb.regions import Region

CONTEXT = 0.18  # ours: of the region's longer side, shown around it
CLOSEST_PX = 12.0  # ours: fewer pixels of the slice than this show nothing more
Box = tuple[slice, slice]


@dataclass(frozen=True, slots=True)
class Viewport:
    """A square part of a slice, in its pixels; integers are pixel centres.

    Parameters
    ----------
    row, col : float
        Its centre.
    side : float
        What it shows, from edge to edge, > 0.
    """

    row: float
    col: float
    side: float

    @classmethod
    def whole(cls, shape: tuple[int, int]) -> Viewport:
        """Show all of a slice of (H, W) pixels."""
        return cls((shape[0] - 1) / 2, (shape[1] - 1) / 2, float(max(shape)))

    @classmethod
    def of(cls, region: Region, shape: tuple[int, int]) -> Viewport:
        """Show a region with a little around it, and little beyond an (H, W) slice."""
        side = max(region.height, region.width) * (1 + 2 * CONTEXT)
        return cls(*_middle(region), min(side, max(shape) + 2.0))

    @classmethod
    def around(cls, region: Region, shape: tuple[int, int], sides: float) -> Viewport:
        """Show a region's surroundings, and nothing beyond the slice.

        Parameters
        ----------
        region : Region
            What lies in the middle, or as near to it as the slice's edge allows.
        shape : (H, W)
            Of its slice.
        sides : float
            How many of the region's longer sides are shown.
        """
        side = min(sides * max(region.height, region.width), float(max(shape)))
        row, col = (
            min(max(at, side / 2 - 0.5), size - side / 2 - 0.5) if side <= size else (size - 1) / 2
            for at, size in zip(_middle(region), shape, strict=True)
        )
        return cls(row, col, side)

    @property
    def ranges(self) -> tuple[list[float], list[float]]:
        """The columns and the rows that are shown, as [low, high] each."""
        half = self.side / 2
        return [self.col - half, self.col + half], [self.row - half, self.row + half]

    def zoomed(self, factor: float, row: float, col: float, shape: tuple[int, int]) -> Viewport:
        """Enlarge around a place, which stays where it is on the screen.

        Parameters
        ----------
        factor : float
            Above 1 nearer, below 1 farther; never farther than the whole slice.
        row, col : float
            The place.
        shape : (H, W)
            Of the slice.
        """
        side = min(max(self.side / factor, CLOSEST_PX), max(shape) + 2.0)
        kept = side / self.side
        there = Viewport(row + (self.row - row) * kept, col + (self.col - col) * kept, side)
        return there.moved(0, 0, shape)

    def moved(self, rows: float, cols: float, shape: tuple[int, int]) -> Viewport:
        """Look at another place; the centre stays on the slice.

        Parameters
        ----------
        rows, cols : float
            How far down and to the right.
        shape : (H, W)
            Of the slice.
        """
        row = min(max(self.row + rows, 0.0), shape[0] - 1.0)
        col = min(max(self.col + cols, 0.0), shape[1] - 1.0)
        return Viewport(row, col, self.side)

    def box(self, shape: tuple[int, int], margin: float = 0.0) -> Box:
        """Find the pixels of an (H, W) slice that it shows, and a margin (a share of its side)."""
        half = self.side * (0.5 + margin)
        rows, cols = (
            slice(max(0, int(at - half + 0.5)), min(size, int(at + half + 1.5)))
            for at, size in zip((self.row, self.col), shape, strict=True)
        )
        return rows, cols


def _middle(region: Region) -> tuple[float, float]:
    return region.row + (region.height - 1) / 2, region.col + (region.width - 1) / 2
