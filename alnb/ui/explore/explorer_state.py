"""What the explorer shows, as a value: the runs and what is chosen give the two sides.

What a scene of the explorer wants made again, the most wanted first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from alnb.acquisition import Pick, needs_network
from alnb.dataset import SliceId
from alnb.regions import Region
from alnb.ui.explore.recompute import Remaker
from alnb.ui.explore.recording import Recording, Step

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


FEW = 6  # ours: slices predicted at once; one second or two, so that scrubbing is followed
Making = tuple[Remaker, Step, list[SliceId]]


def asks_again(scene: Scene, remaker: Remaker, *, again: bool) -> bool:
    """Tell whether another heuristic is to be asked, and can be.

    Parameters
    ----------
    scene : Scene
    remaker : Remaker
        Of the first run.
    again : bool
        Whether networks that were not kept may be trained again.
    """
    if scene.known or scene.before is None:
        return False
    return again or not needs_network(scene.chosen) or remaker.has_network(scene.before)


def makings(scene: Scene, remakers: Sequence[Remaker], *, again: bool) -> Iterator[Making]:
    """List the maps that are missing: of this picture, of its strip, of the cycle to come.

    Parameters
    ----------
    scene : Scene
    remakers : sequence of Remaker
        One a run.
    again : bool
        Whether networks that were not kept may be trained again; for a cycle to come none is.

    Yields
    ------
    tuple of Remaker, Step, list of SliceId
        Whose maps, by which cycle's network, and of which slices: `FEW` at most.
    """
    looks, strips = scene.looks, scene.picks
    for look in looks:
        yield from _making(remakers[look.of], look.network, [look.region], again=again)
    for look, picks in zip(looks, strips * (3 - len(strips)), strict=True):
        regions = [pick.region for pick in picks]
        yield from _making(remakers[look.of], look.network, regions, again=again)
    for remaker, recording, step in zip(remakers, scene.recordings, scene.steps, strict=True):
        for later in recording.steps[step.cycle + 1 : step.cycle + 2]:
            coming = [pick.region for pick in later.asked]
            for network in (step, later):
                yield from _making(remaker, network, coming, again=False)


def _making(
    remaker: Remaker, step: Step | None, regions: Sequence[Region | None], *, again: bool
) -> Iterator[Making]:
    if step is None or step.fit is None or not (again or remaker.has_network(step)):
        return
    slices = dict.fromkeys(region.where for region in regions if region is not None)
    missing = [where for where in slices if remaker.maps(step, where) is None]
    if missing:
        yield remaker, step, missing[:FEW]
