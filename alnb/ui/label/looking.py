"""What the person looks at: window, neighbouring slices and overlays; the next region, early."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Hashable, Mapping

from alnb.annotation import Verdict
from alnb.arrays import Grey, Map, Mask
from alnb.dataset import Dataset, SliceId
from alnb.pool import Pool
from alnb.regions import Region
from alnb.reports import FitReport
from alnb.state import State
from alnb.ui.label.draft import Draft
from alnb.ui.label.page import Page
from alnb.ui.label.sentences import slice_number
from alnb.ui.label.shortcuts import key_of
from alnb.ui.viewer.slice_view import Encoded, Facts, SliceView
from alnb.worker import Maps

PREPARE_S = 0.05  # after a region is shown: the page draws it first
KEPT = 4  # regions whose pictures are kept
STEP = 1.25  # of one notch of the wheel, or one press of a key
NOTCHES_A_SLICE = 0.6  # ours: a slow turn of a wheel is one slice


def facts_of(dataset: Dataset, where: SliceId, window: str = "") -> Facts:
    """Tell what is known of a slice.

    Parameters
    ----------
    dataset : Dataset
    where : SliceId
    window : str
        Through which window it is shown, in words.
    """
    return Facts(
        where=where,
        place=slice_number(dataset, where),
        values=dataset.raw(where),
        unit="HU" if dataset.unit(where) == "hu" else "grey",
        window=window,
        pixel_mm=dataset.pixel_mm(where.scan),
        oriented=dataset.oriented(where.scan),
        voxels=dataset.voxel_axes(where),
    )


class Viewing:
    """Draw regions into a `SliceView`, with the overlays and the window chosen on the page."""

    def __init__(self, pool: Pool, view: SliceView, page: Page) -> None:
        self.pool = pool
        self.dataset = pool.dataset
        self.view = view
        self.page = page
        self.offset = 0  # slices from the one that is asked about to the one on screen
        self._turned = 0.0
        self._soon: asyncio.TimerHandle | None = None
        self._ready: dict[Hashable, Encoded] = {}
        self._next: Region | None = None
        self._fit: FitReport | None = None
        self._maps: Mapping[SliceId, Maps] = {}

    def step(self, slices: int, region: Region) -> None:
        """Show a neighbouring slice, at most the first or the last of the scan."""
        last = int(self.dataset.scans[region.where.scan]["depth"]) - 1
        z = min(max(region.where.z + self.offset + slices, 0), last)
        self.offset = z - region.where.z

    def turn(self, notches: float, region: Region) -> bool:
        """Turn the wheel by parts of notches; return whether the slice changes."""
        self._turned += notches
        slices = int(self._turned / NOTCHES_A_SLICE)
        if slices:
            self._turned = 0.0
            self.step(1 if slices > 0 else -1, region)
        return bool(slices)

    def home(self) -> None:
        """Show the slice that is asked about."""
        self.offset, self._turned = 0, 0.0

    def draw(self, draft: Draft, state: State, maps: Mapping[SliceId, Maps]) -> None:
        """Show the draft's region, its slice's answers and the overlays chosen.

        Parameters
        ----------
        draft : Draft
            Its region is not None.
        state : State
            Of the session.
        maps : mapping of SliceId to Maps
            Of its last network.
        """
        region, page = draft.region, self.page
        assert region is not None  # noqa: S101
        self.know(state.fit, maps)
        self.view.smooth = not page.toggles["pixels"].value
        where = self._where(region)
        self.view.set_overlays(
            page.overlays,
            page.opacity.value,
            in_region=page.toggles["on_region"].value,
            hidden=page.hidden,
        )
        self.view.show(
            self._image(where),
            region,
            clicks=() if self.offset else draft.clicks,
            overlays=self.overlays(where),
            regions=self.pool.regions(where),
            encoded=self._encoded(region),
            looking=self._looking(region),
            facts=self._facts(where),
        )
        self._show_answers(state, where, region)
        page.window_controls.show(hu=self._hu(where))
        self._next = next((other for other in state.pending if other != region), None)
        self._prepare_soon()

    def rewindow(self, region: Region) -> None:
        """Show the slice on screen through another window, as a drag goes on."""
        where = self._where(region)
        words = self.page.window_controls.words(hu=self._hu(where))
        self.view.rewindow(self._image(where), words)
        self._prepare_soon()

    def _prepare_soon(self) -> None:
        if self._soon is not None:
            self._soon.cancel()
        with contextlib.suppress(RuntimeError):  # no loop: a test, or plain Python
            self._soon = asyncio.get_running_loop().call_later(PREPARE_S, self.prepare)

    def _hu(self, where: SliceId) -> bool:
        return self.dataset.unit(where) == "hu"

    def _facts(self, where: SliceId) -> Facts:
        words = self.page.window_controls.words(hu=self._hu(where))
        return facts_of(self.dataset, where, words)

    def know(self, fit: FitReport | None, maps: Mapping[SliceId, Maps]) -> None:
        """Take the maps of another network for the overlays."""
        self._fit, self._maps = fit, maps

    def _where(self, region: Region) -> SliceId:
        return SliceId(region.where.scan, region.where.z + self.offset)

    def _image(self, where: SliceId) -> Grey:
        look = self.page.window_controls.chosen(hu=self._hu(where))
        if look is None:
            return self.dataset.image(where)
        return look.window.to_grey(self.dataset.raw(where))

    def overlays(self, where: SliceId) -> dict[str, Map | Mask]:
        """Return the network's maps of a slice, where it has some, and the mask in teaching."""
        found: dict[str, Map | Mask] = {}
        maps = self._maps.get(where)
        own = self._fit.threshold if self._fit is not None else None
        threshold = own if maps is None or maps.threshold is None else maps.threshold
        if maps is not None and threshold is not None:
            found["entropy"] = maps.entropy
            found["prediction"] = maps.mean >= threshold
        if self.page.toggles["mask"].value:
            found["mask"] = self.dataset.mask(where)
        return found

    def _looking(self, region: Region) -> str:
        if not self.offset:
            return ""
        seen = slice_number(self.dataset, self._where(region)).capitalize()
        return (
            f"{seen}: {key_of('home')} or a click goes back to {region.where.z + 1}, which is "
            "asked about"
        )

    def _show_answers(self, state: State, where: SliceId, current: Region) -> None:
        answers = [
            answer
            for answer in state.by_key.values()
            if answer.region.where == where and answer.region != current
        ]
        infected, clean = (
            [answer.region for answer in answers if answer.verdict is verdict]
            for verdict in (Verdict.INFECTED, Verdict.CLEAN)
        )
        self.view.show_answers(infected, clean, [c for answer in answers for c in answer.clicks])

    def _token(self, region: Region) -> Hashable:
        """Name all that the pictures of a region follow from."""
        where = self._where(region)
        weights: Hashable = self._fit.weights if self._fit and where in self._maps else ""
        if not isinstance(self._maps, dict):
            weights = id(self._maps)  # of the live layer, which changes with each answer
        taught = self.page.toggles["mask"].value
        look = self.page.window_controls.chosen(hu=self._hu(where)), self.view.smooth
        return region.key, where, look, weights, taught

    def _encoded(self, region: Region) -> Encoded | None:
        return None if region == self.view.region else self._ready.get(self._token(region))

    def prepare(self) -> None:
        """Draw the next region's pictures, unless that is done."""
        region = self._next
        if region is None or self.offset or self._token(region) in self._ready:
            return
        image, overlays = self._image(region.where), self.overlays(region.where)
        self._ready[self._token(region)] = self.view.encode(image, region, overlays)
        while len(self._ready) > KEPT:
            self._ready.pop(next(iter(self._ready)))
