"""What part of a slice the region's panel shows: arithmetic without a widget."""

from __future__ import annotations

from dataclasses import dataclass

from alnb.regions import Region

REGION_PX = 480  # the panel's side on the screen
CONTEXT = 0.18  # of the region's longer side, shown around it; 44 px then fill 480 eight-fold
CLOSEST_PX = 12.0  # ours: nearer than this many pixels of the slice there is nothing to see
Box = tuple[slice, slice]


@dataclass(frozen=True, slots=True)
class Frame:
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
    def of(cls, region: Region, shape: tuple[int, int]) -> Frame:
        """Show a region with its surroundings.

        A pixel of the slice is drawn as a whole number of screen pixels, three or more; only
        large regions are scaled to fit.

        Parameters
        ----------
        region : Region
            What is shown.
        shape : (H, W)
            Of its slice; there is nothing to see beyond.
        """
        side = max(region.height, region.width)
        scale = REGION_PX / min(side * (1 + 2 * CONTEXT), max(shape) + 2)
        row = region.row + (region.height - 1) / 2
        col = region.col + (region.width - 1) / 2
        return cls(row, col, REGION_PX / (int(scale) if scale >= 3 else scale))

    @property
    def ranges(self) -> tuple[list[float], list[float]]:
        """The columns and the rows that are shown, as [low, high] each."""
        half = self.side / 2
        return [self.col - half, self.col + half], [self.row - half, self.row + half]

    def zoomed(self, factor: float, row: float, col: float, shape: tuple[int, int]) -> Frame:
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
        there = Frame(row + (self.row - row) * kept, col + (self.col - col) * kept, side)
        return there.moved(0, 0, shape)

    def moved(self, rows: float, cols: float, shape: tuple[int, int]) -> Frame:
        """Look at another place; its centre stays on the slice of (H, W) pixels."""
        row = min(max(self.row + rows, 0.0), shape[0] - 1.0)
        col = min(max(self.col + cols, 0.0), shape[1] - 1.0)
        return Frame(row, col, self.side)

    def box(self, shape: tuple[int, int], margin: float = 0.0) -> Box:
        """Find the pixels of an (H, W) slice that it shows, and a margin (a share of its side)."""
        half = self.side * (0.5 + margin)
        rows, cols = (
            slice(max(0, int(at - half + 0.5)), min(size, int(at + half + 1.5)))
            for at, size in zip((self.row, self.col), shape, strict=True)
        )
        return rows, cols
