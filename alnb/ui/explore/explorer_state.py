"""What the explorer shows, as a value: two sides, and the maps that it still lacks for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from alnb.acquisition import Pick, needs_network
from alnb.dataset import SliceId
from alnb.regions import Region
from alnb.ui.explore.recompute import Recomputer
from alnb.ui.explore.recording import Recording, Step

Would = Mapping[tuple[int, str], tuple[Pick, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One side of the view: a region, and the network whose maps lie on it."""

    of: int  # index of the recording
    title: str  # of the panel, as HTML
    region: Region | None  # None where nothing was asked
    network: Step | None  # the cycle whose network made the maps; None where there was none yet
    step: Step  # the cycle that is shown
    answered: bool = True  # whether the answer's clicks are drawn


@dataclass(frozen=True, slots=True)
class ExplorerState:
    """A cycle of one run before and after, or of two runs, or what another heuristic would ask."""

    recordings: Sequence[Recording]  # one or two
    names: Sequence[str]  # what the runs are called
    cycle: int  # the chosen one; a run that has fewer shows its last
    number: int  # of the region in what the cycle asked, from 1
    heuristic: str | None  # whose choice is shown beside what was asked
    after: bool  # of two runs: show the network after the cycle, or the one that asked
    would: Would  # by cycle and heuristic: what it would have asked, where that is known

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
        """The heuristic whose choice is shown; the step's own if none is chosen."""
        step = self.step
        return self.heuristic if self.heuristic and step.cycle else step.heuristic

    @property
    def what_if(self) -> bool:
        """Whether another heuristic's choice is shown beside what was asked."""
        return len(self.recordings) == 1 and self.chosen != self.step.heuristic

    @property
    def known(self) -> bool:
        """Whether the choice of the chosen heuristic is known, or needs not be."""
        return not self.what_if or (self.step.cycle, self.chosen) in self.would

    @property
    def picks(self) -> list[tuple[Pick, ...]]:
        """What each strip of regions shows."""
        if self.what_if:
            return [self.would.get((self.step.cycle, self.chosen), ()), self.step.asked]
        return [step.asked for step in self.steps]

    @property
    def sides(self) -> list[Side]:
        """The two sides."""
        regions = [one[: self.number][-1].region if one else None for one in self.picks]
        step, before = self.step, self.before
        if self.what_if:
            would = f"<b>{escape(self.chosen)}</b> would have asked"
            asked = f"<b>{escape(step.heuristic)}</b> asked"
            return [
                Side(0, would, regions[0], before, step, answered=False),
                Side(0, asked, regions[1], before, step),
            ]
        if len(self.recordings) == 1:
            return [
                Side(0, _titled("Before", before), regions[0], before, step, answered=False),
                Side(0, _titled("After", step), regions[0], step, step),
            ]
        networks = self.steps if self.after else self._earlier()
        runs = zip(self.names, regions, self.steps, networks, strict=True)
        return [
            Side(n, _titled(name, network), region, network, step)
            for n, (name, region, step, network) in enumerate(runs)
        ]

    def _earlier(self) -> list[Step | None]:
        return [
            one.steps[step.cycle - 1] if step.cycle else None
            for one, step in zip(self.recordings, self.steps, strict=True)
        ]


def _titled(name: str, network: Step | None) -> str:
    return f"<b>{escape(name)}</b>" + (f", network of cycle {network.cycle}" if network else "")


FEW = 6  # ours: slices predicted at once; a second or two, so that the page follows the sliders
Job = tuple[Recomputer, Step, list[SliceId]]


def asks_again(state: ExplorerState, recomputer: Recomputer, *, again: bool) -> bool:
    """Tell whether another heuristic is to be asked, and can be; for the rest see `jobs`.

    Parameters
    ----------
    state : ExplorerState
    recomputer : Recomputer
        Of the first run.
    again : bool
        As `jobs` takes it.
    """
    if state.known or state.before is None:
        return False
    return again or not needs_network(state.chosen) or recomputer.has_network(state.before)


def jobs(state: ExplorerState, recomputers: Sequence[Recomputer], *, again: bool) -> Iterator[Job]:
    """List the maps that are missing: of this picture, of its strip, of the next cycle.

    Parameters
    ----------
    state : ExplorerState
    recomputers : sequence of Recomputer
        One a run.
    again : bool
        Whether networks that were not kept may be trained again; never for the next cycle.

    Yields
    ------
    Job
        Whose maps, by which cycle's network, and of which slices: `FEW` at most.
    """
    sides, strips = state.sides, state.picks
    for side in sides:
        yield from _jobs(recomputers[side.of], side.network, [side.region], again=again)
    for side, picks in zip(sides, strips * (3 - len(strips)), strict=True):
        regions = [pick.region for pick in picks]
        yield from _jobs(recomputers[side.of], side.network, regions, again=again)
    for recomputer, recording, step in zip(recomputers, state.recordings, state.steps, strict=True):
        for later in recording.steps[step.cycle + 1 : step.cycle + 2]:
            coming = [pick.region for pick in later.asked]
            for network in (step, later):
                yield from _jobs(recomputer, network, coming, again=False)


def _jobs(
    recomputer: Recomputer, step: Step | None, regions: Sequence[Region | None], *, again: bool
) -> Iterator[Job]:
    if step is None or step.fit is None or not (again or recomputer.has_network(step)):
        return
    slices = dict.fromkeys(region.where for region in regions if region is not None)
    missing = [where for where in slices if recomputer.maps(step, where) is None]
    if missing:
        yield recomputer, step, missing[:FEW]
