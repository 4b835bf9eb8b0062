"""The training process as the app uses it: one cycle at a time, on the kernel's loop.

Also `exported`, which writes a session's files in a process of its own, since masks need torch.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from alnb.annotation import Click, Outline, around
from alnb.arrays import Map
from alnb.asking import Asker
from alnb.cycle import Work, begin_live, drive_async, learn_live, next_cycle, resume_live
from alnb.dataset import SliceId
from alnb.live import Live
from alnb.pool import Pool, ScoreTables, kept_tables
from alnb.regions import Region
from alnb.session import Session
from alnb.ui.label.screen import Explainer, Explanation, asking_weights, explain_now
from alnb.ui.label.sentences import Activity
from alnb.worker import CANCELLED, Maps, Progress, TrainingCancelled, Worker

PREPARING = ("draw", "prepare", "fit")  # a network that is no longer kept is made again
STILL_S = 60.0  # ours: a step takes up to 9 s, and loading torch half a minute, on a slow machine
DISPUTED = "People disagree about this region, so it comes first."
MARGIN = 1.0  # ours: of a region's sides, around it, in which a prediction is outlined
FEW = 4  # ours: slices that are published at once in the background: a training waits for them
PAUSE_S = 0.3  # ours: between them, while a training runs
CHART_S = 0.5  # the loss is drawn this often: each time the page stands still for a moment


def nearby(region: Region, infection: Map) -> tuple[Outline, ...]:
    """Outline infection in a region and next to it, from the probabilities of a slice, (H, W)."""
    margin = round(MARGIN * max(region.height, region.width))
    top, left = max(0, region.row - margin), max(0, region.col - margin)
    bottom, right = region.row + region.height + margin, region.col + region.width + margin
    return around(infection[top:bottom, left:right], top, left)


class LiveMaps(Mapping[SliceId, Maps]):
    """The maps of every published slice by a live layer; computed when asked.

    They stand for what it has learned when they are made, `source`.
    """

    __eq__, __hash__ = object.__eq__, object.__hash__  # not by what was asked so far

    def __init__(self, live: Live | None) -> None:
        self.source = live, () if live is None else live.answers
        self._kept = dict[SliceId, Maps]()

    def __getitem__(self, where: SliceId) -> Maps:
        live, _ = self.source
        if live is None or not live.published(where):
            raise KeyError(where)
        if where not in self._kept:
            self._kept[where] = Maps(live.infection(where), live.entropy(where), 0.5)
        return self._kept[where]

    def __iter__(self) -> Iterator[SliceId]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)


class TrainingClient:
    """Train, score and ask; two callbacks report what happens.

    Parameters
    ----------
    session : Session
        Open for writing.
    pool : Pool
        Its regions.
    worker : callable
        Makes the `Worker`.
    changed : callable
        Called when `activity` or `maps` changed.
    show_losses : callable
        Called with the losses of the training so far, one a step.
    clock : callable
        Seconds, only ever rising.
    """

    def __init__(
        self,
        session: Session,
        pool: Pool,
        worker: Callable[..., Worker],
        changed: Callable[[], None],
        show_losses: Callable[[list[float]], None],
        clock: Callable[[], float],
    ) -> None:
        self.session = session
        self.pool = pool
        self.activity = Activity()
        self.maps: Mapping[SliceId, Maps] = {}  # of the slices with open regions
        self.asker = Asker(session, pool) if session.state.live else None
        self.watched: SliceId | None = None  # a test slice that the maps have, too
        self._publishing = False
        self._changed = changed
        self._show_losses = show_losses
        self._clock = clock
        self._losses: list[float] = []
        self._charted_at = 0.0
        self._tables: tuple[str, ScoreTables] = ("", {})
        self._explainer: tuple[tuple[int, int, str], Explainer] | None = None
        self._moved_at = 0.0
        self._began: tuple[tuple[str, str], float] = (("", ""), 0.0)  # which stage, and when
        self._warming = False
        self._turn: asyncio.Future[bool] | None = None  # of a cycle that waits for the warm-up
        self.worker = worker(
            session.dataset, session.state.config, session.cache, self._on_progress
        )

    async def warm_up(self) -> None:
        """Have the maps of the open regions drawn; a cycle may wait for the end.

        The process starts only if something is missing.

        On a machine where nothing was trained before, the network first learns from synthetic
        scans, while the person answers.
        """
        self._warming = True
        self._set(Activity("warm"))
        try:
            if self.asker is not None:
                if not resume_live(self.asker, self.worker.origin):
                    await self.worker.find_origin()
                    steps = begin_live(self.asker, self.worker.origin, whole=False)
                    await drive_async(steps, self._perform)
                self.follow()
            else:
                await self.worker.start()
                fit = self.session.state.fit
                if fit is not None and self.session.state.pending:
                    await self._predict(fit.weights)
                await self.worker.prepare()
        finally:
            self._warming = False
            if not self.activity.cycling:
                self._set(Activity())
            self._give_turn(self.session.journal.owned)

    async def cycle(self) -> None:
        """Train on the answers so far, then ask the next regions.

        Raises
        ------
        TrainingCancelled
            If `cancel` was called.
        TrainerError
            If the process failed.
        DataError
            If the dataset is not the one that was opened any more.
        """
        try:
            await self._wait_for_turn()
            self.session.dataset.check()
            if self.asker is not None:
                await drive_async(learn_live(self.asker, whole=False), self._perform)
                self.follow()
                return
            tables = await drive_async(
                next_cycle(self.session, self.pool), lambda request: request.by(self.worker)
            )
            weights = asking_weights(self.session.state)
            self._tables = (weights, tables)
            self.maps = {}
            self._changed()
            await self._predict(weights)
        finally:
            self._set(Activity("warm" if self._warming else ""))

    async def _perform(self, request: Work) -> object:
        """Have a request of the live loop performed, and show what came of the one before."""
        self.follow()
        return await request.by(self.worker)

    async def publish_rest(self) -> None:
        """Publish the slices that the network has not published yet, a few at a time.

        A region that was on screen as the network changed comes first: it lacks its maps.
        """
        if self.asker is None or self._publishing:
            return
        self._publishing = True
        try:
            while self.session.journal.owned and (missing := self.asker.missing()):
                if self.activity.cycling or self._warming:
                    await asyncio.sleep(PAUSE_S)
                    continue
                shown = {region.where for region in self.session.state.pending} | {self.watched}
                few = sorted(missing, key=lambda where: where not in shown)[:FEW]
                with contextlib.suppress(TrainingCancelled):
                    await self.worker.publish(few, self.asker.weights)
                await self.measure()  # once the sample is whole
                if shown.intersection(few):
                    self.maps = self._live_maps(self.asker)
                self._changed()
        finally:
            self._publishing = False

    # --- the live layer ---

    def follow(self) -> None:
        """Ask the next region if none is open, and let the maps show what the answers taught."""
        asker, session = self.asker, self.session
        if asker is None or not session.journal.owned:
            return
        if not session.state.pending and not session.state.spent:
            asker.ask()
        asker.learn()
        maps = self._live_maps(asker)
        if not isinstance(self.maps, LiveMaps) or self.maps.source != maps.source:
            self.maps = maps
            self._changed()

    def _live_maps(self, asker: Asker) -> LiveMaps:
        """Return what the live layer predicts; nothing while it has seen no infection."""
        return LiveMaps(asker.live if asker.knows(self.session.state) else None)

    async def measure(self) -> None:
        """Measure what the answers taught, for the curve; clicks come in between."""
        if self.asker is not None and self.session.journal.owned:
            for _ in self.asker.measuring():
                await asyncio.sleep(0)

    def try_out(
        self, region: Region, clicks: Sequence[Click], outlines: Sequence[Outline]
    ) -> Map | None:
        """Compute a slice's infection probability, (H, W), with marks that are no answer yet.

        Parameters
        ----------
        region, clicks, outlines
            As for `Asker.try_out`.
        """
        tried = None if self.asker is None else self.asker.try_out(region, clicks, outlines)
        return None if tried is None else tried.infection(region.where)

    @property
    def guessing(self) -> bool:
        """Whether the live layer can outline a region, to be found right."""
        asks = self.asker is not None and self.asker.live is not None
        return asks and self.session.state.config.labels != "full"

    def outlines(self, region: Region, clicks: Sequence[Click]) -> tuple[Outline, ...] | None:
        """Outline a region with clicks in it; None where the network has not looked yet."""
        return None if self.asker is None else self.asker.outlines(region, clicks)

    def begin(self) -> None:
        """Show that a cycle was asked for; `cycle` does the rest."""
        self._losses = []
        self._set(replace(self.activity, stage="wait") if self._warming else Activity("start"))

    def cancel(self) -> None:
        """Stop the cycle, if there is one; the network stays as it was, and a start goes on."""
        if self.activity.cycling and not self._give_turn(False):
            self.worker.cancel()

    async def _wait_for_turn(self) -> None:
        """Wait while the process starts; a start that failed is tried again by the cycle."""
        if not self._warming:
            return
        self._turn = asyncio.get_running_loop().create_future()
        if not await self._turn:
            raise TrainingCancelled(CANCELLED)
        self._set(Activity("start"))

    def _give_turn(self, wanted: bool) -> bool:
        """Let the waiting cycle begin, or drop it; tell whether one waited."""
        turn, self._turn = self._turn, None
        if turn is None or turn.done():
            return False
        turn.set_result(wanted)
        return True

    async def _predict(self, weights: str) -> None:
        wanted = [region.where for region in self.session.state.pending]
        slices = tuple(dict.fromkeys([*wanted, *filter(None, [self.watched])]))
        self.maps = await self.worker.predict(slices, weights)
        self._changed()

    async def look_at(self, where: SliceId) -> None:
        """Let the maps have a test slice, now and after each training."""
        self.watched = where
        fit = self.session.state.fit
        idle = not (self.activity.cycling or self._warming)
        if self.asker is None and fit is not None and where not in self.maps and idle:
            self.maps = {**self.maps, **await self.worker.predict((where,), fit.weights)}
            self._changed()

    @property
    def network(self) -> str:
        """The name of the network that the maps are of; the live layer moves on from it."""
        fit = self.session.state.fit
        own = "" if fit is None else fit.weights
        return own if self.asker is None else self.asker.weights

    @property
    def test_slices(self) -> tuple[SliceId, ...]:
        """The slices that can be watched."""
        return self.pool.dataset.part("test") if self.asker is None else self.asker.watchable

    def _on_progress(self, progress: Progress) -> None:
        if progress.loss is not None:
            self._losses.append(progress.loss)
            if progress.done == progress.total or self._clock() - self._charted_at > CHART_S:
                self._charted_at = self._clock()
                self._show_losses(self._losses)
        stage, done, total = progress.stage, progress.done, progress.total
        if self._warming:
            outer = "wait" if self._turn is not None else "warm"
            if stage in PREPARING:
                self._set(Activity(outer, done, total, detail=stage))
        elif self.activity.cycling:
            self._set(Activity(stage, done, total))

    def tick(self) -> None:
        """Note how long the process has made no progress, if that is long."""
        still = self._clock() - self._moved_at
        if self.activity.stage not in ("", "wait") and still >= STILL_S:
            self.activity = replace(self.activity, still_s=still)
            self._changed()

    def _set(self, activity: Activity) -> None:
        self._moved_at = now = self._clock()
        stage = (activity.stage, activity.detail)
        if stage != self._began[0] or not activity.done:
            self._began = stage, now
        goes_on = activity.cycling and self.activity.cycling
        goes_on &= bool(activity.first) == bool(self.activity.first)
        self.activity = replace(
            activity, backbone=self.worker.backbone, device=self.worker.device,
            took_s=now - self._began[1], live=self.asker is not None,
            reached=self.activity.fraction if goes_on else 0.0,
        )  # fmt: skip
        self._changed()

    @property
    def ahead(self) -> tuple[Region, ...]:
        """What would follow the region that is asked now."""
        return () if self.asker is None else self.asker.ahead

    def choose(self, region: Region) -> None:
        """Ask a region, since the person chose it."""
        (self.session if self.asker is None else self.asker).choose(region)

    def explain(self, region: Region, mean: float | None) -> Explanation:
        """Say why a region is asked about; `mean` is its infection probability, where known."""
        if region.key in self.session.state.disputed:
            return Explanation(DISPUTED, mean=mean)
        if self.asker is None:
            return self.explainer().explain(region, mean)
        if self.asker.asked != region.key:
            return Explanation(self._earlier(region), mean=mean)
        return explain_now(self.pool, region, self.asker.scores, mean)

    def _earlier(self, region: Region) -> str:
        """Say why a region was asked that the live layer did not ask just now."""
        picks = {pick.region.key: pick for pick in self.session.state.asked}
        if region.key not in picks:
            return "It was asked earlier; the scores of then are not kept."
        if picks[region.key].chosen:
            return "You chose this region."
        own = self.pool.config.heuristic
        return f"It was the next by {own} when it was asked; the scores of then are not kept."

    def explainer(self) -> Explainer:
        """Return the explainer of this cycle's regions; it is kept while the cycle lasts."""
        state = self.session.state
        weights = asking_weights(state)
        key = (state.cycle, len(state.asked), weights)
        if self._explainer is None or self._explainer[0] != key:
            if weights != self._tables[0]:  # after a reload: the training process wrote them
                self._tables = weights, kept_tables(self.session.cache, weights, self.pool.shape)
            self._explainer = key, Explainer(self.pool, state, self._tables[1])
        return self._explainer[1]
