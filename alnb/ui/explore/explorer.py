"""Step through the cycles of one run or two: what was asked, before and after, and what else might.

Widgets hold no truth: what is shown follows from the journals and the controls. Maps come from
the runs' caches or are made again by a training process, in a task on the kernel's loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import traceback
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from alnb.acquisition import Pick, needs_network
from alnb.cycle import ScoreTables
from alnb.dataset import SliceId
from alnb.errors import AlnbError, SessionError
from alnb.journal import Journal
from alnb.regions import Region
from alnb.session import Session
from alnb.ui.explore import words
from alnb.ui.explore.explorer_state import Look, Scene, asks_again, makings
from alnb.ui.explore.page import KEYS, ExplorerPage
from alnb.ui.explore.recompute import Remaker
from alnb.ui.explore.recording import Recording, Step
from alnb.ui.label.page import Page
from alnb.ui.viewer.drawing import thumbnail_png
from alnb.ui.viewer.input import Event, Key
from alnb.ui.viewer.pair_view import Panel
from alnb.worker import Progress, TrainingCancelled, Worker

LOOK_S = 2.0  # ours: how often to look whether somebody labels on; an answer takes 3 s
SEPARATOR = os.pathsep  # between the folders in ``ALNB_RUNS``


def explore_app(
    *runs: Path | str, data: Path | str | None = None, worker: Callable[..., Worker] = Worker
) -> widgets.Widget:
    """Show the cycles of one run or session, or of two side by side.

    They are read alone, and may be open elsewhere: what is labelled there comes in here.

    Parameters
    ----------
    *runs : path
        Their folders; none takes those in ``ALNB_RUNS``, or ``ALNB_SESSION``.
    data : path, optional
        Their dataset's folder; None takes ``ALNB_DATA``, or the one that each journal names.
    worker : callable
        Makes the training process's `Worker`.

    Returns
    -------
    ipywidgets.Widget
        The explorer; or a sentence that says why it can't be shown.
    """
    named = os.environ.get("ALNB_RUNS") or os.environ.get("ALNB_SESSION") or "."
    data = data or os.environ.get("ALNB_DATA")
    try:
        folders = [Path(run) for run in runs or named.split(SEPARATOR)]
        if len(folders) > 2:
            raise SessionError(
                f"{len(folders)} runs can't be stepped through at once; name one or two. "
                "alnb compare takes any number."
            )
        opened = [Recording.open(folder, Path(data) if data else None) for folder in folders]
        return Explorer(opened, worker).start().page.widget
    except AlnbError as error:
        return Page.failure(str(error))
    except Exception as error:  # else the page would stay empty
        traceback.print_exc()
        return Page.failure(f"something went wrong in alnb ({type(error).__name__}: {error}).")


def look_at(session: Path, data: Path | None) -> widgets.Widget:
    """Open the explorer on a session, which may be open elsewhere, without the true mask.

    Who labels it must not see the answers unasked.

    Parameters
    ----------
    session : Path
        Its folder.
    data : Path or None
        Its dataset's; None takes the one that its journal names.
    """
    explorer = Explorer([Recording.open(session, data)])
    explorer.page.layers["mask"].value = False
    return explorer.start().page.widget


class Explorer:
    """The explorer on one recording or two; `page.widget` is what to show.

    Parameters
    ----------
    recordings : sequence of one or two Recording
    worker : callable
        Makes each `Worker`, from the same arguments.

    Raises
    ------
    SessionError
        If two recordings are of different datasets.
    """

    def __init__(
        self, recordings: Sequence[Recording], worker: Callable[..., Worker] = Worker
    ) -> None:
        if len({recording.dataset.fingerprint for recording in recordings}) > 1:
            raise SessionError("the two runs label different datasets; they can't be compared.")
        self.remakers = [Remaker(one, self._on_progress, worker) for one in recordings]
        self.recordings = tuple(recordings)
        self.dataset = recordings[0].dataset
        self.page = ExplorerPage(self.recordings)
        self.message = ""
        self._would: dict[tuple[int, str], tuple[Pick, ...]] = {}
        self._thumbnails: dict[str, bytes] = {}
        self._task: asyncio.Task[None] | None = None
        self._broken = False  # what failed is not tried again until the person acts
        self._led = False  # whether the sliders are moved by what is written, not by the person
        self._connect()
        self.draw()

    def start(self) -> Explorer:
        """Begin to make maps and to follow the labelling, if there is a loop to do it on."""
        self._serve_soon()
        with contextlib.suppress(RuntimeError):  # a test, or plain Python
            self._watching = asyncio.get_running_loop().create_task(self._watch())
        return self

    # --- what is labelled meanwhile ---

    async def _watch(self) -> None:
        self.page.follow.value = self.follow() and self.page.offers_to_follow
        while self.follow():
            await asyncio.sleep(LOOK_S)

    def follow(self) -> bool:
        """Take in what was written since; go there if the person wants to follow.

        Returns
        -------
        bool
            False if a journal can't be read any more, which is said.
        """
        try:
            renewed, held = zip(*(one.renewed() for one in self.recordings), strict=True)
        except Exception as error:
            self._report(error)
            self.draw()
            return False
        self.page.written(any(held))
        if all(new is old for new, old in zip(renewed, self.recordings, strict=True)):
            return True
        self.recordings = renewed
        for remaker, recording in zip(self.remakers, renewed, strict=True):
            remaker.recording = recording
        self.page.renew(renewed)
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
            step = self.scene.step
            keys = [pick.region.key for pick in step.asked]
            given = [a.region.key for a in step.after.given if a.region.key in keys]
            self.page.limit(step.cycle, len(keys))
            self.page.number.value = 1 + (keys.index(given[-1]) if given else 0)
        finally:
            self._led = False

    # --- what the person does ---

    def _connect(self) -> None:
        page = self.page
        page.cycle.observe(self._acted(self._on_cycle), names="value")
        page.back.on_click(self._acted(lambda: self._go(page.cycle.value - 1)))
        page.forward.on_click(self._acted(lambda: self._go(page.cycle.value + 1)))
        page.jump.on_click(self._acted(lambda: self._go(self._largest_change())))
        page.fork.on_click(self._acted(self.fork))
        page.again.observe(self._acted(self._on_again), names="value")
        page.heuristic.observe(self._acted(self._on_heuristic), names="value")
        page.number.observe(self._acted(lambda: None), names="value")
        page.follow.observe(self._acted(self._on_follow), names="value")
        for widget in (page.moment, page.opacity, *page.layers.values(), page.zoom):
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
                self._report(error)
            self.draw()
            self._serve_soon()

        return wrapped

    def _report(self, error: Exception) -> None:
        known = isinstance(error, AlnbError)
        self.message = str(error) if known else f"Something went wrong in alnb: {error!r}"

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Key) and event.name in KEYS:
            slider, by = KEYS[event.name]
            self._go(self.page.cycle.value + by) if slider == "cycle" else self._choose(by)

    def _go(self, cycle: int) -> None:
        self.page.cycle.value = min(max(cycle, 0), self.page.cycle.max)

    def _choose(self, by: int) -> None:
        number = self.page.number
        number.value = min(max(number.value + by, number.min), number.max)

    def _on_cycle(self) -> None:
        self.page.number.value = 1

    def _on_moved(self, _change: object) -> None:
        """Stop following where the person looks elsewhere."""
        if not self._led:
            self.page.follow.value = False

    def _on_follow(self) -> None:
        if self.page.follow.value:
            self._go_to_newest()

    def _on_heuristic(self) -> None:
        self.page.number.value = 1

    def _on_again(self) -> None:
        if not self.page.again.value:
            for remaker in self.remakers:
                remaker.cancel()

    def _largest_change(self) -> int:
        return self.recordings[0].largest_change()

    def fork(self) -> None:
        """Start a session of its own from what was known before the cycle, asking otherwise."""
        step, heuristic = self.scene.step, self.scene.chosen
        if not self.scene.known:
            raise SessionError(
                f"what {heuristic} would have asked is not known yet. Wait for it, or tick "
                "“train again what is not kept”, and fork then."
            )
        picks = self._would.get((step.cycle, heuristic), step.asked)
        run = self.recordings[0]
        folder = run.folder.resolve()
        target = folder.with_name(f"{folder.name}-{heuristic}-from-{step.cycle}")
        source = Session(self.dataset, Journal.open(folder / "journal.jsonl"))
        forked = source.fork(target, step.cycle - 1, heuristic=heuristic)
        forked.ask(picks)
        forked.close()
        self.message = words.forked(run, target, forked.state.config, len(run.steps) - 1)

    # --- what is shown ---

    @property
    def scene(self) -> Scene:
        """What the controls choose."""
        page = self.page
        heuristic = str(page.heuristic.value)
        return Scene(
            recordings=self.recordings,
            names=page.names,
            cycle=page.cycle.value,
            number=page.number.value,
            heuristic=None if heuristic == words.AS_ASKED else heuristic,
            after=page.moment.value == words.AFTER,
            would=self._would,
        )

    def draw(self) -> None:
        """Bring the page up to date with the controls."""
        page = self.page
        page.limit(self.scene.step.cycle, max(map(len, self.scene.picks)))
        scene = self.scene  # within those limits
        looks = scene.looks
        left, right = (self._panel(scene, look) for look in looks)
        page.view.show(left, right, page.visible, page.opacity.value, zoom=page.zoom.value)
        page.show(
            steps=scene.steps,
            regions=[look.region for look in looks],
            picks=scene.picks,
            would=scene.chosen if scene.what_if else "",
            thumbnails=self._thumbnail,
            message=self.message or next((r.notice for r in self.remakers if r.notice), ""),
        )

    def _panel(self, scene: Scene, look: Look) -> Panel:
        region = look.region
        if region is None:
            return Panel(look.title, note=self._nothing(scene))
        where = region.where
        layers = self._layers(look, where)
        answer = look.step.answers.get(region.key) if look.answered else None
        network = None if scene.what_if else look.network
        return Panel(
            title=words.title(look.title, network, region, layers.get("entropy")),
            image=self.dataset.image(where),
            region=region,
            clicks=answer.clicks if answer else (),
            outlines=answer.outlines if answer else (),
            layers=layers,
            regions=self.recordings[look.of].pool.regions(where),
            note="" if "entropy" in layers else self._missing(look),
        )

    def _layers(self, look: Look, where: SliceId) -> dict[str, Any]:
        truth = {"mask": self.dataset.mask(where)} if self.dataset.has_masks else {}
        maps = self.remakers[look.of].maps(look.network, where) if look.network else None
        if maps is None or look.network is None or look.network.fit is None:
            return truth
        infected = maps.mean >= look.network.fit.threshold
        return truth | {"entropy": maps.entropy, "prediction": infected}

    def _missing(self, look: Look) -> str:
        """Say why there are no maps."""
        if look.network is None or look.network.fit is None:
            return words.NO_NETWORK if look.network is None else words.NOT_TRAINED
        return self._awaited(self.remakers[look.of], look.network)

    def _nothing(self, scene: Scene) -> str:
        """Say why there is no region."""
        if not scene.what_if or scene.before is None:
            return words.NONE_LEFT
        return self._awaited(self.remakers[0], scene.before)

    def _awaited(self, remaker: Remaker, step: Step) -> str:
        kept = remaker.has_network(step) or self.page.again.value
        return words.COMING if kept else words.not_kept(step)

    def _thumbnail(self, region: Region) -> bytes:
        if region.key not in self._thumbnails:
            image = self.dataset.image(region.where)
            self._thumbnails[region.key] = thumbnail_png(image, region.window)
        return self._thumbnails[region.key]

    # --- what is made again ---

    def _serve_soon(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # a test, or plain Python: nothing is made
            return
        if self._task is None or self._task.done():
            self._task = loop.create_task(self.settle())

    async def settle(self) -> None:
        """Make what the page wants, the most wanted first, until it wants nothing more."""
        while not self._broken and (job := self._job()) is not None:
            self.page.progress("start", 0, 1)
            try:
                await job()
            except TrainingCancelled:
                self.page.again.value = False
            except Exception as error:
                self._broken = True
                self._report(error)
            self.page.progress("", 0, 0)
            self.draw()

    def _job(self) -> Callable[[], Awaitable[None]] | None:
        """Choose what to make next; None if nothing is wanted."""
        scene, again = self.scene, bool(self.page.again.value)
        if asks_again(scene, self.remakers[0], again=again):
            return partial(self._ask_again, scene)
        wanted = next(makings(scene, self.remakers, again=again), None)
        if wanted is None:
            return None
        remaker, step, slices = wanted
        return partial(remaker.make, step, slices)

    async def _ask_again(self, scene: Scene) -> None:
        """Find out what the chosen heuristic would have asked."""
        cycle, heuristic = scene.step.cycle, scene.chosen
        table: ScoreTables = {}
        if needs_network(heuristic) and scene.before is not None:
            table = await self.remakers[0].table(scene.before, heuristic)
        self._would[cycle, heuristic] = self.recordings[0].would_ask(cycle, heuristic, table)

    def _on_progress(self, progress: Progress) -> None:
        self.page.progress(progress.stage, progress.done, progress.total)
