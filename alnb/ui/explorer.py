"""Step through the cycles of one run or two: what was asked, before and after, and what else might.

Widgets hold no truth: what is shown follows from the journals and the controls. Maps come from
the runs' caches or are made again by a training process, in a task on the kernel's loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import traceback
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from alnb.acquisition import Pick, needs_network
from alnb.cycle import Scored
from alnb.dataset import SliceId
from alnb.errors import AlnbError, SessionError
from alnb.journal import Journal
from alnb.regions import Region
from alnb.session import Session
from alnb.ui import explorer_words as words
from alnb.ui.explorer_page import KEYS, ExplorerPage
from alnb.ui.page import Page
from alnb.ui.pair_view import Panel
from alnb.ui.pictures import thumbnail_png
from alnb.ui.remake import Remaker
from alnb.ui.tap import Event, Key
from alnb.ui.timeline import Recording, Step
from alnb.worker import Progress, TrainingCancelled, Worker

LOOK_S = 2.0  # ours: how often to look whether somebody labels on; an answer takes 3 s
FEW = 6  # ours: slices predicted at once; one second or two, so that scrubbing is followed
SEPARATOR = os.pathsep  # between the folders in ``ALNB_RUNS``
Job = Callable[[], Awaitable[None]]


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


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One side of the view: a region, and the network whose maps lie on it.

    Parameters
    ----------
    remaker : Remaker
        Of the recording.
    title : str
        Of the panel.
    region : Region or None
        None where nothing was asked.
    network : Step or None
        The cycle whose network made the maps; None where there was none yet.
    step : Step
        The cycle that is shown.
    answered : bool
        Whether the answer's clicks are drawn.
    """

    remaker: Remaker
    title: str
    region: Region | None
    network: Step | None
    step: Step
    answered: bool = True


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
            step = self._step(self.recordings[0])
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
        step, heuristic = self._step(self.recordings[0]), self._chosen
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

    def _step(self, recording: Recording) -> Step:
        chosen: int = self.page.cycle.value
        return recording.steps[min(chosen, len(recording.steps) - 1)]

    @property
    def _chosen(self) -> str:
        """The heuristic that is asked what it would have asked; the step's own for none."""
        step = self._step(self.recordings[0])
        chosen = str(self.page.heuristic.value)
        return step.heuristic if chosen == words.AS_ASKED or not step.cycle else chosen

    @property
    def _what_if(self) -> bool:
        step = self._step(self.recordings[0])
        return len(self.recordings) == 1 and self._chosen != step.heuristic

    def _picks(self) -> list[tuple[Pick, ...]]:
        """List what each strip shows."""
        steps = [self._step(recording) for recording in self.recordings]
        if self._what_if:
            return [self._would.get((steps[0].cycle, self._chosen), ()), steps[0].asked]
        return [step.asked for step in steps]

    def _looks(self) -> list[Look]:
        """Choose the two sides."""
        picks, page = self._picks(), self.page
        regions = [
            one[min(page.number.value, len(one)) - 1].region if one else None for one in picks
        ]
        steps = [self._step(recording) for recording in self.recordings]
        earlier = [_before(*pair) for pair in zip(self.recordings, steps, strict=True)]
        first = self.remakers[0]
        if self._what_if:
            would = f"<b>{self._chosen}</b> would have asked"
            return [
                Look(first, would, regions[0], earlier[0], steps[0], answered=False),
                Look(first, f"<b>{steps[0].heuristic}</b> asked", regions[1], earlier[0], steps[0]),
            ]
        if len(steps) == 1:
            return [
                Look(first, "<b>Before</b>", regions[0], earlier[0], steps[0], answered=False),
                Look(first, "<b>After</b>", regions[0], steps[0], steps[0]),
            ]
        after = page.moment.value == words.AFTER
        return [
            Look(remaker, f"<b>{name}</b>", region, step if after else before, step)
            for remaker, name, region, step, before in zip(
                self.remakers, page.names, regions, steps, earlier, strict=True
            )
        ]

    def draw(self) -> None:
        """Bring the page up to date with the controls."""
        page, picks = self.page, self._picks()
        page.limit(self._step(self.recordings[0]).cycle, max(map(len, picks)))
        looks = self._looks()
        left, right = (self._panel(look) for look in looks)
        page.view.show(left, right, page.visible, page.opacity.value, zoom=page.zoom.value)
        page.show(
            steps=[self._step(recording) for recording in self.recordings],
            regions=[look.region for look in looks],
            picks=picks,
            would=self._chosen if self._what_if else "",
            thumbnails=self._thumbnail,
            message=self.message or next((r.notice for r in self.remakers if r.notice), ""),
        )

    def _panel(self, look: Look) -> Panel:
        region = look.region
        if region is None:
            return Panel(look.title, note=self._nothing())
        where = region.where
        layers = self._layers(look, where)
        answer = look.step.answers.get(region.key) if look.answered else None
        return Panel(
            title=words.title(
                look.title, None if self._what_if else look.network, region, layers.get("entropy")
            ),
            image=self.dataset.image(where),
            region=region,
            clicks=answer.clicks if answer else (),
            layers=layers,
            regions=look.remaker.recording.pool.borders(where, look.step.after),
            note=self._missing(look, layers),
        )

    def _layers(self, look: Look, where: SliceId) -> dict[str, Any]:
        truth = {"mask": self.dataset.mask(where)} if self.dataset.has_masks else {}
        maps = look.remaker.maps(look.network, where) if look.network else None
        if maps is None or look.network is None or look.network.fit is None:
            return truth
        infected = maps.mean >= look.network.fit.threshold
        return truth | {"entropy": maps.entropy, "prediction": infected}

    def _missing(self, look: Look, layers: dict[str, Any]) -> str:
        """Say why there are no maps; empty if there are."""
        if "entropy" in layers:
            return ""
        if look.network is None or look.network.fit is None:
            return words.NO_NETWORK if look.network is None else words.NOT_TRAINED
        if look.remaker.has_network(look.network) or self.page.again.value:
            return words.COMING
        return words.not_kept(look.network)

    def _nothing(self) -> str:
        step = self._step(self.recordings[0])
        if not self._what_if:
            return words.NONE_LEFT
        before = self.recordings[0].steps[step.cycle - 1]
        kept = self.remakers[0].has_network(before) or self.page.again.value
        return words.COMING if kept else words.not_kept(before)

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
        while not self._broken and (job := next(self._jobs(), None)) is not None:
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

    def _jobs(self) -> Iterator[Job]:
        """List what is wanted: the choice of another heuristic, this picture, its neighbours."""
        if (
            self._what_if
            and (self._step(self.recordings[0]).cycle, self._chosen) not in self._would
        ):
            yield from self._ask_again()
        looks, strips = self._looks(), self._picks()
        again = bool(self.page.again.value)
        for look in looks:
            yield from self._predict(look.remaker, look.network, [look.region], again=again)
        for look, picks in zip(looks, strips * (3 - len(strips)), strict=True):
            regions = [pick.region for pick in picks]
            yield from self._predict(look.remaker, look.network, regions, again=again)
        for remaker, recording in zip(self.remakers, self.recordings, strict=True):
            step = self._step(recording)
            for later in recording.steps[step.cycle + 1 : step.cycle + 2]:
                coming = [pick.region for pick in later.asked]
                for network in (step, later):
                    yield from self._predict(remaker, network, coming, again=False)

    def _predict(
        self, remaker: Remaker, step: Step | None, regions: Sequence[Region | None], *, again: bool
    ) -> Iterator[Job]:
        if step is None or step.fit is None or not (again or remaker.has_network(step)):
            return
        slices = dict.fromkeys(region.where for region in regions if region is not None)
        missing = [where for where in slices if remaker.maps(step, where) is None]
        if missing:
            yield partial(remaker.make, step, missing[:FEW])

    def _ask_again(self) -> Iterator[Job]:
        step, heuristic = self._step(self.recordings[0]), self._chosen
        before, remaker = self.recordings[0].steps[step.cycle - 1], self.remakers[0]

        async def choose() -> None:
            wanted = needs_network(heuristic)
            table: Scored = await remaker.table(before, heuristic) if wanted else {}
            picks = self.recordings[0].would_ask(step.cycle, heuristic, table)
            self._would[step.cycle, heuristic] = picks

        if not needs_network(heuristic) or remaker.has_network(before) or self.page.again.value:
            yield choose

    def _on_progress(self, progress: Progress) -> None:
        self.page.progress(progress.stage, progress.done, progress.total)


def _before(recording: Recording, step: Step) -> Step | None:
    """Return the cycle whose network asked; None at the start."""
    return recording.steps[step.cycle - 1] if step.cycle else None
