"""What the training process is doing, in words and as a share of a cycle.

The training process as the app uses it: one cycle at a time, on the kernel's loop.

Writes a session's files for other tools beside it, in a process of its own: masks need torch.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from alnb.cycle import ScoreTables, drive_async, next_cycle
from alnb.dataset import SliceId
from alnb.errors import SessionError
from alnb.pool import Pool
from alnb.session import Session
from alnb.storage import read_arrays, scores_path
from alnb.ui.label.explanation import Explainer, asking_weights
from alnb.worker import Maps, Progress, TrainingCancelled, Worker

SURE_S = 1.0  # ours: what a stage's first second says of its speed is not said
A_MINUTE = 90.0  # ours: from there on minutes are said
ROUND_S = 5  # ours: a number that is read, not watched

STAGES = {
    "warm": "starting the training process",
    "wait": "waiting for the training process",
    "start": "getting ready to train",
    "draw": "drawing synthetic scans to learn from, once on this machine",
    "prepare": "learning from synthetic scans, once on this machine",
    "believe": "noting what it believes so far",
    "fit": "training",
    "evaluate": "measuring Dice on the test slices",
    "score": "scoring the regions",
    "predict": "drawing the maps",
}
WEIGHT = {"warm": (0.0, 0.05), "wait": (0.0, 0.0), "start": (0.0, 0.05),
          "draw": (0.0, 0.0), "prepare": (0.0, 0.0),
          "believe": (0.0, 0.05), "fit": (0.05, 0.65),
          "evaluate": (0.65, 0.75), "score": (0.75, 0.97),
          "predict": (0.97, 1.0)}  # fmt: skip # shares of a cycle's time


@dataclass(frozen=True, slots=True)
class Activity:
    """What the training process is doing; `stage` is empty when it does nothing.

    `detail` is a stage inside another: what is done while a process starts, or is waited for.
    `still_s` is for how many seconds it has got no further, where that is long. `took_s` is how
    long the stage (or `detail`) has taken so far.
    """

    stage: str = ""
    done: int = 0
    total: int = 0
    backbone: str = ""
    device: str = ""
    detail: str = ""
    still_s: float = 0.0
    took_s: float = 0.0

    @property
    def running(self) -> bool:
        """Whether it does anything."""
        return bool(self.stage)

    @property
    def cycling(self) -> bool:
        """Whether a cycle is on its way."""
        return self.running and self.stage != "warm"

    @property
    def fraction(self) -> float:
        """How much of the cycle is done, in [0, 1]."""
        if not self.stage:
            return 0.0
        low, high = WEIGHT[self.stage]
        if self.detail:  # it is counted, but not in this cycle
            return low
        return low + (high - low) * (self.done / self.total if self.total else 0)

    @property
    def text(self) -> str:
        """What it does, in words."""
        if not self.stage:
            return ""
        counted = f" {self.done} of {self.total}" if self.total else ""
        still = f"; no further for {self.still_s:.0f} s: Cancel ends it" if self.still_s else ""
        left = "" if still else self._left
        return f"{STAGES[self.detail or self.stage]}{counted}{left}{still}"

    @property
    def left_s(self) -> float | None:
        """Estimate the seconds until the cycle, or the detail, is done; None until that is known.

        By how fast the stage goes, and by which share of a cycle it is.
        """
        if not self.done or self.took_s < SURE_S:
            return None
        stage_s = self.took_s * self.total / self.done
        low, high = WEIGHT[self.stage]
        after = 0.0 if self.detail or high == low else (1 - high) / (high - low)
        return stage_s - self.took_s + stage_s * after

    @property
    def _left(self) -> str:
        left = self.left_s
        if left is None:
            return ""
        if left >= A_MINUTE:
            return f", about {math.ceil(left / 60)} min left"
        return f", about {max(1, math.ceil(left / ROUND_S)) * ROUND_S} s left"


PREPARING = ("draw", "prepare")
STILL_S = 60.0  # ours: a step takes up to 9 s, and loading torch half a minute, on a slow machine
CHART_S = 0.5  # how often the loss is drawn: a figure redrawn is a page held up


class Learning:
    """Train, score and ask; what happens meanwhile is told by two callbacks.

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

    Attributes
    ----------
    activity : Activity
        What the process does.
    maps : dict of SliceId to Maps
        Of the slices that are asked about.
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
        self.maps: dict[SliceId, Maps] = {}
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
        """Start the process, and make the maps of what is open; a cycle may wait for the end.

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

    def begin(self) -> None:
        """Note that a cycle was asked for; `cycle` does the rest."""
        self._losses = []
        self._set(replace(self.activity, stage="wait") if self._warming else Activity("start"))

    async def cycle(self) -> None:
        """Train on the answers so far, then ask the next regions.

        Raises
        ------
        TrainingCancelled
            If `cancel` was called.
        TrainerError
            If the process failed.
        """
        await self._wait_for_turn()
        tables = await drive_async(
            next_cycle(self.session, self.pool), lambda request: request.by(self.worker)
        )
        weights = asking_weights(self.session.state)
        self._tables = (weights, tables)
        self.maps = {}
        self._changed()
        await self._predict(weights)

    async def used(self, story: Coroutine[Any, Any, None]) -> None:
        """Use the process, and show that it rests, or still starts, when the story ends."""
        try:
            await story
        finally:
            self._set(Activity("warm" if self._warming else ""))

    def cancel(self) -> None:
        """Stop what the process does, but for its start; the last network is kept."""
        if not self._give_turn(False):
            self.worker.cancel()

    async def _wait_for_turn(self) -> None:
        """Wait while the process starts; what it fails with is said there, and tried again here."""
        if not self._warming:
            return
        self._turn = asyncio.get_running_loop().create_future()
        if not await self._turn:
            raise TrainingCancelled("cancelled; the last network is kept.")
        self._set(Activity("start"))

    def _give_turn(self, wanted: bool) -> bool:
        """Let the cycle that waits begin, or drop it; tell whether one waited."""
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
        """Say so if the process works on something and gets no further."""
        still = self._clock() - self._moved_at
        if self.activity.running and self.activity.stage != "wait" and still >= STILL_S:
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

    # --- why a region is asked ---

    def explainer(self) -> Explainer:
        """Return the explainer of this cycle's regions; made once a cycle."""
        state = self.session.state
        weights = asking_weights(state)
        key = (state.cycle, len(state.asked), weights)
        if self._explainer is None or self._explainer[0] != key:
            self._explainer = key, Explainer(self.pool, state, self._scores(weights))
        return self._explainer[1]

    def _scores(self, weights: str) -> ScoreTables:
        """Find the scores that chose the regions; after a reload, where the process left them."""
        if weights != self._tables[0]:
            self._tables = weights, read_arrays(scores_path(self.session.cache, weights))
        return self._tables[1]


FOLDER = "export"


async def exported(session: Path, data: Path) -> str:
    """Run ``alnb export``; say where the files are.

    Parameters
    ----------
    session : Path
        The session's folder, which gets the folder ``export``; what it held is written anew.
    data : Path
        Its dataset's.

    Returns
    -------
    str
        A sentence.

    Raises
    ------
    SessionError
        If not all could be written; the sentence is the command's.
    """
    out = session / FOLDER
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
