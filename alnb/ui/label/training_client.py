"""The training process as the app uses it: one cycle at a time, on the kernel's loop.

Also `exported`, which writes a session's files in a process of its own, since masks need torch.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from alnb.cycle import ScoreTables, drive_async, next_cycle
from alnb.dataset import SliceId
from alnb.errors import SessionError
from alnb.pool import Pool
from alnb.session import Session
from alnb.storage import read_arrays, scores_path
from alnb.ui.label.screen import Explainer, asking_weights
from alnb.ui.label.sentences import Activity
from alnb.worker import Maps, Progress, TrainingCancelled, Worker

PREPARING = ("draw", "prepare")
STILL_S = 60.0  # ours: a step takes up to 9 s, and loading torch half a minute, on a slow machine
CHART_S = 0.5  # the loss is drawn this often: each time the page stands still for a moment


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
        self.maps: dict[SliceId, Maps] = {}  # of the slices with open regions
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
        """Start the process and draw the maps of the open regions; a cycle may wait for the end.

        On a machine where nothing was trained before, the network first learns from synthetic
        scans, while the person answers.
        """
        self._warming = True
        self._set(Activity("warm"))
        try:
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
        """
        try:
            await self._wait_for_turn()
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

    def begin(self) -> None:
        """Show that a cycle was asked for; `cycle` does the rest."""
        self._losses = []
        self._set(replace(self.activity, stage="wait") if self._warming else Activity("start"))

    def cancel(self) -> None:
        """Stop the cycle, if there is one; the last network is kept, and a start goes on."""
        if self.activity.cycling and not self._give_turn(False):
            self.worker.cancel()

    async def _wait_for_turn(self) -> None:
        """Wait while the process starts; a start that failed is tried again by the cycle."""
        if not self._warming:
            return
        self._turn = asyncio.get_running_loop().create_future()
        if not await self._turn:
            raise TrainingCancelled("cancelled; the last network is kept.")
        self._set(Activity("start"))

    def _give_turn(self, wanted: bool) -> bool:
        """Let the waiting cycle begin, or drop it; tell whether one waited."""
        turn, self._turn = self._turn, None
        if turn is None or turn.done():
            return False
        turn.set_result(wanted)
        return True

    async def _predict(self, weights: str) -> None:
        slices = tuple(dict.fromkeys(region.where for region in self.session.state.pending))
        self.maps = await self.worker.predict(slices, weights)
        self._changed()

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
        self.activity = replace(
            activity, backbone=self.worker.backbone, device=self.worker.device,
            took_s=now - self._began[1],
        )  # fmt: skip
        self._changed()

    def explainer(self) -> Explainer:
        """Return the explainer of this cycle's regions; it is kept while the cycle lasts."""
        state = self.session.state
        weights = asking_weights(state)
        key = (state.cycle, len(state.asked), weights)
        if self._explainer is None or self._explainer[0] != key:
            if weights != self._tables[0]:  # after a reload: the training process wrote them
                self._tables = weights, read_arrays(scores_path(self.session.cache, weights))
            self._explainer = key, Explainer(self.pool, state, self._tables[1])
        return self._explainer[1]


async def exported(session: Path, data: Path) -> str:
    """Run ``alnb export``, and say in a sentence where the files are.

    Parameters
    ----------
    session : Path
        The session's folder; the files go to its folder ``export``, and replace what is there.
    data : Path
        Its dataset's.

    Raises
    ------
    SessionError
        If not all could be written; the sentence is the command's.
    """
    out = session / "export"
    words = ("export", str(session), "--out", str(out), "--data", str(data))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "alnb.cli", *words,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    written, errors = await process.communicate()
    if process.returncode:
        last = errors.decode(errors="replace").strip().splitlines()[-1:]
        reason = last[0].removeprefix("alnb: ") if last else f"exit code {process.returncode}"
        raise SessionError(f"Exported to {out}, but not all: {reason}")
    return f"{len(written.splitlines())} files are in {out}."
