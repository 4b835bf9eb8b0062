"""What a scene of the explorer wants made again, the most wanted first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from alnb.acquisition import needs_network
from alnb.dataset import SliceId
from alnb.regions import Region
from alnb.ui.remake import Remaker
from alnb.ui.scene import Scene
from alnb.ui.timeline import Step

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
