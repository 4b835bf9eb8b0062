"""Step through the cycles of one run or two: what was asked, the maps before and after.

What is shown follows from the journals and the controls. Maps come from the runs' caches, or a
training process computes them again in a task on the kernel's loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from alnb.acquisition import Pick, needs_network
from alnb.dataset import SliceId
from alnb.errors import SessionError, sentence_of
from alnb.journal import Journal
from alnb.pool import ScoreTables
from alnb.regions import Region
from alnb.session import Session
from alnb.storage import JOURNAL
from alnb.ui.explore.page import (
    AFTER,
    AS_ASKED,
    COMING,
    KEYS,
    NO_NETWORK,
    NONE_LEFT,
    NOT_TRAINED,
    WAIT,
    ExplorerPage,
    how_to_go_on,
    not_kept,
    page_or_sentence,
)
from alnb.ui.explore.recompute import Recomputer, asks_again, jobs
from alnb.ui.explore.recording import ExplorerState, Recording, Side
from alnb.ui.parts import Message
from alnb.ui.viewer.drawing import thumbnail_png
from alnb.ui.viewer.input import Event, Key
from alnb.ui.viewer.pair_view import Panel
from alnb.worker import Progress, TrainingCancelled, Worker

LOOK_S = 2.0  # ours: how often to look whether somebody labels on; an answer takes 3 s
SEPARATOR = os.pathsep  # between the folders in ``ALNB_RUNS``


def explore_app(
    *runs: Path | str, data: Path | str | None = None, worker: Callable[..., Worker] = Worker
) -> widgets.Widget:
    """Show the cycles of one run or session, or of two side by side, or say why not.

    They are only read, and may be open elsewhere: what is labelled there appears here.

    Parameters
    ----------
    *runs : path
        Their folders; none takes those in ``ALNB_RUNS``, or ``ALNB_SESSION``.
    data : path, optional
        Their dataset's folder; None takes ``ALNB_DATA``, or the one that each journal names.
    worker : callable
        Makes the training process's `Worker`.
    """
    named = os.environ.get("ALNB_RUNS") or os.environ.get("ALNB_SESSION") or "."
    data = data or os.environ.get("ALNB_DATA")

    def opened() -> widgets.Widget:
        folders = [Path(run) for run in runs or named.split(SEPARATOR)]
        if len(folders) > 2:
            raise SessionError(
                f"{len(folders)} runs can't be stepped through at once; name one or two. "
                "alnb compare takes any number."
            )
        recordings = [Recording.open(folder, Path(data) if data else None) for folder in folders]
        return Explorer(recordings, worker).start().page.widget

    return page_or_sentence(opened)


def look_at(
    session: Path, data: Path | None, leave: Callable[[], None] | None = None
) -> widgets.Widget:
    """Open the explorer on a session, which may be open elsewhere, with the true mask hidden.

    A person who labels it must not see the right answers by accident.

    Parameters
    ----------
    session : Path
    data : Path or None
        The dataset's folder; None takes the one that the journal names.
    leave : callable, optional
        Leads back to where the person came from; its button stands at the top.
    """
    explorer = Explorer([Recording.open(session, data)])
    explorer.page.layers["mask"].value = False
    if leave is not None:
        explorer.leads_back(leave)
    return explorer.start().page.widget


class Explorer:
    """The explorer on one recording or two; `page.widget` is what to show.

    Two of different datasets raise a `SessionError`.
    """

    def __init__(
        self, recordings: Sequence[Recording], worker: Callable[..., Worker] = Worker
    ) -> None:
        if len({recording.dataset.fingerprint for recording in recordings}) > 1:
            raise SessionError("the two runs label different datasets; they can't be compared.")
        self.recomputers = [Recomputer(one, self._on_progress, worker) for one in recordings]
        self.recordings = tuple(recordings)
        self.dataset = recordings[0].dataset
        self.page = ExplorerPage(self.recordings)
        self.message = ""
        self._would: dict[tuple[int, str], tuple[Pick, ...]] = {}
        self._thumbnails: dict[str, bytes] = {}
        self._task: asyncio.Task[None] | None = None
        self._started = False  # whether a training process has said anything
        self._broken = False  # after a failure nothing is tried until the person acts
        self._left = False  # whether the person went back
        self._led = False  # whether the sliders are moved by what is written, not by the person
        self._connect()
        self.draw()

    def start(self) -> Explorer:
        """Begin to compute maps and to follow the labelling, if there is a loop to do it on."""
        self._serve_soon()
        with contextlib.suppress(RuntimeError):  # a test, or plain Python
            self._watching = asyncio.get_running_loop().create_task(self._watch())
        return self

    def leads_back(self, leave: Callable[[], None]) -> None:
        """Show the button that ends the explorer, and call `leave` then."""

        def end(_button: object) -> None:
            self._left = True
            self.page.view.tap.unobserve_all("rooms")  # no figure is there any more to be fitted
            for recomputer in self.recomputers:
                recomputer.end()
            leave()

        self.page.leave.layout.display = ""
        self.page.leave.on_click(end)

    # --- what is labelled meanwhile ---

    async def _watch(self) -> None:
        self.page.follow.value = self.follow() and self.page.offers_to_follow
        while not self._left and self.follow():
            await asyncio.sleep(LOOK_S)

    def follow(self) -> bool:
        """Read what was written since, and go there if wanted; False if that fails."""
        try:
            renewed, held = zip(*(one.renewed() for one in self.recordings), strict=True)
        except Exception as error:
            self.message = Message(sentence_of(error), "error")
            self.draw()
            return False
        self.page.written(any(held))
        if all(new is old for new, old in zip(renewed, self.recordings, strict=True)):
            return True
        self.recordings = renewed
        for recomputer, recording in zip(self.recomputers, renewed, strict=True):
            recomputer.recording = recording
        self.page.reach(renewed)
        if self.page.follow.value:
            self._go_to_newest()
        self.draw()
        self._serve_soon()
        return True

    def _go_to_newest(self) -> None:
        """Show the region that was answered last, or the first of a new cycle."""
        self._led = True
        try:
            self._go(self.page.cycle.max)
            step = self.state.step
            keys = [pick.region.key for pick in step.asked]
            given = [a.region.key for a in step.after.given if a.region.key in keys]
            self.page.limit(step.cycle, len(keys))
            self.page.number.value = 1 + (keys.index(given[-1]) if given else 0)
        finally:
            self._led = False

    # --- what the person does ---

    def _connect(self) -> None:
        page = self.page
        for choice in (page.cycle, page.heuristic):
            choice.observe(self._acted(lambda: self._choose(1)), names="value")
        page.back.on_click(self._acted(lambda: self._go(page.cycle.value - 1)))
        page.forward.on_click(self._acted(lambda: self._go(page.cycle.value + 1)))
        page.jump.on_click(self._acted(lambda: self._go(self.recordings[0].largest_change())))
        page.fork.on_click(self._acted(self.fork))
        page.again.observe(self._acted(self._on_again), names="value")
        page.follow.observe(self._acted(self._on_follow), names="value")
        for widget in (
            page.number,
            page.moment,
            page.opacity,
            *page.layers.values(),
            page.zoom,
            page.same,
        ):
            widget.observe(self._acted(lambda: None), names="value")
        for slider in (page.cycle, page.number):
            slider.observe(self._on_moved, names="value")
        page.view.tap.on_event(self._on_event)

    def _acted(self, handler: Callable[[], None]) -> Callable[[object], None]:
        """Carry out what the person did, show what goes wrong, and draw."""

        def wrapped(_event: object) -> None:
            if self._led:
                return
            self.message, self._broken = "", False
            try:
                handler()
            except Exception as error:
                self.message = Message(sentence_of(error), "error")
            self.draw()
            self._serve_soon()

        return wrapped

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Key) and event.name in KEYS:
            slider, by = KEYS[event.name]
            if slider == "cycle":
                self._go(self.page.cycle.value + by)
            else:
                self._choose(self.page.number.value + by)

    def _go(self, cycle: int) -> None:
        self.page.cycle.value = min(max(cycle, 0), self.page.cycle.max)

    def _choose(self, number: int) -> None:
        self.page.number.value = min(max(number, 1), self.page.number.max)

    def _on_moved(self, _change: object) -> None:
        """Stop following where the person looks elsewhere."""
        if not self._led:
            self.page.follow.value = False

    def _on_follow(self) -> None:
        if self.page.follow.value:
            self._go_to_newest()

    def _on_again(self) -> None:
        if not self.page.again.value:
            for recomputer in self.recomputers:
                recomputer.cancel()

    def fork(self) -> None:
        """Start a new session from what was known before the cycle, with the chosen heuristic."""
        step, heuristic = self.state.step, self.state.chosen
        if not self.state.known:
            raise SessionError(
                f"what {heuristic} would have asked is not known yet. Wait for it, or tick "
                "“train again what was not kept”, then fork."
            )
        picks = self._would.get((step.cycle, heuristic), step.asked)
        run = self.recordings[0]
        folder = run.folder.resolve()
        target = folder.with_name(f"{folder.name}-{heuristic}-from-{step.cycle}")
        source = Session(self.dataset, Journal(folder / JOURNAL))
        forked = source.fork(target, step.cycle - 1, heuristic=heuristic)
        forked.ask(picks)
        forked.close()
        self.message = how_to_go_on(forked, len(run.steps) - 1)

    # --- what is shown ---

    @property
    def state(self) -> ExplorerState:
        """What the controls choose."""
        page = self.page
        heuristic = str(page.heuristic.value)
        return ExplorerState(
            recordings=self.recordings,
            names=page.names,
            cycle=page.cycle.value,
            number=page.number.value,
            heuristic=None if heuristic == AS_ASKED else heuristic,
            after=page.moment.value == AFTER,
            same=page.same.value,
            would=self._would,
        )

    def draw(self) -> None:
        """Bring the page up to date with the controls."""
        if self._left:
            return
        page, state = self.page, self.state
        page.limit(state.step.cycle, max(map(len, state.picks)))
        state = self.state  # within those limits
        left, right = (self._panel(state, side) for side in state.sides)
        page.view.show(left, right, page.visible, page.opacity.value, zoom=page.zoom.value)
        notice = next((one.notice for one in self.recomputers if one.notice), "")
        page.show(state, self._thumbnail, self.message or notice)

    def _panel(self, state: ExplorerState, side: Side) -> Panel:
        region, title, note = side.region, side.title, self._why_nothing(state, side)
        if region is None:
            return Panel(title, note=note)
        where = region.where
        layers = self._layers(side, where)
        answer = side.step.answers.get(region.key) if side.answered else None
        if "entropy" in layers:
            mean = region.pixels(layers["entropy"]).mean()
            title, note = f"{title}: {mean:.2f} nats in the region", ""
        return Panel(
            title=title,
            image=self.dataset.image(where),
            region=region,
            clicks=answer.clicks if answer else (),
            outlines=answer.outlines if answer else (),
            layers=layers,
            regions=self.recordings[side.of].pool.regions(where),
            note=note,
        )

    def _layers(self, side: Side, where: SliceId) -> dict[str, Any]:
        truth = {"mask": self.dataset.mask(where)} if self.dataset.has_masks else {}
        maps = self.recomputers[side.of].maps(side.network, where) if side.network else None
        if maps is None or side.network is None or side.network.fit is None:
            return truth
        infected = maps.mean >= side.network.fit.threshold
        return truth | {"entropy": maps.entropy, "prediction": infected}

    def _why_nothing(self, state: ExplorerState, side: Side) -> str:
        """Say why a side has no region, or no maps."""
        network = side.network
        if side.region is None and not (state.what_if and network):
            return NONE_LEFT
        if network is None or network.fit is None:
            return NO_NETWORK if network is None else NOT_TRAINED
        kept = self.recomputers[side.of].has_network(network) or self.page.again.value
        return COMING if kept else not_kept(network)

    def _thumbnail(self, region: Region) -> bytes:
        if region.key not in self._thumbnails:
            image = self.dataset.image(region.where)
            self._thumbnails[region.key] = thumbnail_png(image, region.window)
        return self._thumbnails[region.key]

    # --- what is computed again ---

    def _serve_soon(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # a test, or plain Python: nothing is computed
            return
        if self._task is None or self._task.done():
            self._task = loop.create_task(self.settle())

    async def settle(self) -> None:
        """Compute what the page lacks, the most wanted first, until it lacks nothing."""
        while not (self._broken or self._left) and (job := self._job()) is not None:
            self.page.progress("predict" if self._started else WAIT, 0, 1)
            try:
                await job()
            except TrainingCancelled:
                self.page.again.value = False
            except Exception as error:
                self._broken = True
                self.message = Message(sentence_of(error), "error")
            self.page.progress("", 0, 0)
            self.draw()

    def _job(self) -> Callable[[], Awaitable[None]] | None:
        """Choose what to compute next; None if nothing is missing."""
        state, again = self.state, bool(self.page.again.value)
        if asks_again(state, self.recomputers[0], again=again):
            return partial(self._ask_again, state)
        for recomputer, step, slices in jobs(state, self.recomputers, again=again):
            return partial(recomputer.predict, step, slices)
        return None

    async def _ask_again(self, state: ExplorerState) -> None:
        """Find out what the chosen heuristic would have asked."""
        cycle, heuristic = state.step.cycle, state.chosen
        table: ScoreTables = {}
        if needs_network(heuristic) and state.before is not None:
            table = await self.recomputers[0].table(state.before, heuristic)
        self._would[cycle, heuristic] = self.recordings[0].would_ask(cycle, heuristic, table)

    def _on_progress(self, progress: Progress) -> None:
        self._started = True
        self.page.progress(progress.stage, progress.done, progress.total)
