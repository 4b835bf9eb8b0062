"""What the explorer shows, as a value: the runs and what is chosen give the two sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from alnb.acquisition import Pick
from alnb.regions import Region
from alnb.ui.timeline import Recording, Step

Would = Mapping[tuple[int, str], tuple[Pick, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One side of the view: a region, and the network whose maps lie on it.

    Parameters
    ----------
    of : int
        Index of the recording it is of.
    title : str
        Of the panel, as HTML.
    region : Region or None
        None where nothing was asked.
    network : Step or None
        The cycle whose network made the maps; None where there was none yet.
    step : Step
        The cycle that is shown.
    answered : bool
        Whether the answer's clicks are drawn.
    """

    of: int
    title: str
    region: Region | None
    network: Step | None
    step: Step
    answered: bool = True


@dataclass(frozen=True, slots=True)
class Scene:
    """A cycle of one run before and after, or of two runs side by side, or what else might be.

    Parameters
    ----------
    recordings : one or two Recording
    names : one or two str
        What the runs are called.
    cycle : int
        That is looked at; a run that has fewer shows its last.
    number : int
        Of the region in what the cycle asked, from 1.
    heuristic : str or None
        That is asked what it would have asked instead; None where that is not wanted.
    after : bool
        Of two runs: whether the network after the cycle is shown, or the one that asked.
    would : mapping of (cycle, heuristic) to picks
        What heuristics would have asked, as far as it is known.
    """

    recordings: Sequence[Recording]
    names: Sequence[str]
    cycle: int = 0
    number: int = 1
    heuristic: str | None = None
    after: bool = True
    would: Would = field(default_factory=dict)

    @property
    def steps(self) -> list[Step]:
        """The cycle of each run."""
        return [one.steps[min(self.cycle, len(one.steps) - 1)] for one in self.recordings]

    @property
    def step(self) -> Step:
        """The cycle of the first run."""
        return self.steps[0]

    @property
    def before(self) -> Step | None:
        """The first run's cycle whose network asked; None at the start."""
        return self._earlier()[0]

    @property
    def chosen(self) -> str:
        """The heuristic that is asked what it would have asked; the step's own for none."""
        step = self.step
        return self.heuristic if self.heuristic and step.cycle else step.heuristic

    @property
    def what_if(self) -> bool:
        """Whether what another heuristic would have asked is shown beside what was asked."""
        return len(self.recordings) == 1 and self.chosen != self.step.heuristic

    @property
    def known(self) -> bool:
        """Whether it is known what the chosen heuristic would have asked, if that is wanted."""
        return not self.what_if or (self.step.cycle, self.chosen) in self.would

    @property
    def picks(self) -> list[tuple[Pick, ...]]:
        """What each strip of regions shows."""
        if self.what_if:
            return [self.would.get((self.step.cycle, self.chosen), ()), self.step.asked]
        return [step.asked for step in self.steps]

    @property
    def looks(self) -> list[Look]:
        """The two sides."""
        regions = [
            one[min(self.number, len(one)) - 1].region if one else None for one in self.picks
        ]
        step, before = self.step, self.before
        if self.what_if:
            would = f"<b>{escape(self.chosen)}</b> would have asked"
            asked = f"<b>{escape(step.heuristic)}</b> asked"
            return [
                Look(0, would, regions[0], before, step, answered=False),
                Look(0, asked, regions[1], before, step),
            ]
        if len(self.recordings) == 1:
            return [
                Look(0, "<b>Before</b>", regions[0], before, step, answered=False),
                Look(0, "<b>After</b>", regions[0], step, step),
            ]
        sides = zip(self.names, regions, self.steps, self._earlier(), strict=True)
        return [
            Look(n, f"<b>{escape(name)}</b>", region, step if self.after else earlier, step)
            for n, (name, region, step, earlier) in enumerate(sides)
        ]

    def _earlier(self) -> list[Step | None]:
        return [
            one.steps[step.cycle - 1] if step.cycle else None
            for one, step in zip(self.recordings, self.steps, strict=True)
        ]
