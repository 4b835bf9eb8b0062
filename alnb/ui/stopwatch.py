"""How long the person worked on a region: by the clock, without pauses."""

from __future__ import annotations

from alnb.cost import PAUSE_S


class Stopwatch:
    """Add up the time between what a person does; a gap counts `PAUSE_S` at most.

    Attributes
    ----------
    seconds : float
        So far.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._last = 0.0

    def start(self, now: float) -> None:
        """Begin anew: a region is shown."""
        self.seconds, self._last = 0.0, now

    def touch(self, now: float) -> None:
        """Note that the person did something."""
        self.seconds += min(max(0.0, now - self._last), PAUSE_S)
        self._last = now
