"""Starts the training process, talks to it and stops it, on an asyncio loop.

`alnb.training.process` documents the messages. The process is started at the first need and again
after it died. It ends after `IDLE_S` without a command, since torch takes some 500 MB, and with the
program that started it, because its standard input closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from alnb.annotation import Answer
from alnb.arrays import Map
from alnb.config import THREADS, Config
from alnb.dataset import Dataset, SliceId
from alnb.errors import TrainerError, log_hint
from alnb.metrics import Scores
from alnb.origins import Origins
from alnb.pool import ScoreTables
from alnb.reports import FitReport
from alnb.storage import maps_path, read_arrays, scores_path

SILENCE_S = 30.0  # ours: beats come every second; a process silent for longer is given up
IDLE_S = 120.0  # ours: a person who trains presses Train again sooner; a start takes seconds
QUIT_S = 2.0
CANCEL_S = 1.5  # ours: a cancel is promised within 2 s; a step of VGG16 takes up to 9 on two cores
CANCELLED = "cancelled; the network is as it was before."
SAVED = "Every answer is saved; press Train to start it again."

HELD_S = 180.0  # ours: another session's process is waited for; ten at once took 120 s to start
STILL_S = 15.0  # ours: a session that has published nothing for longer has other work
LOOK_S = 0.2  # ours: between two looks at what another session publishes
KNOWN = ("device", "backbone", "origin")
CHUNK = 2**16  # ours: bytes of standard error that make one entry of the log

logger = logging.getLogger(__name__)
process_logger = logging.getLogger("alnb.training")


class TrainingCancelled(TrainerError):
    """The person cancelled; the last good weights are kept."""


class _Restarted(TrainerError):
    """The process was ended because of an earlier command; another one takes this command."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a command is: `done` of `total` steps or slices; while fitting, the loss.

    `stage` is draw or prepare (once for a machine), believe, fit, score, evaluate, publish or
    predict.
    """

    stage: str
    done: int
    total: int
    loss: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Maps:
    """What is shown of a slice: (H, W) infection probability and entropy (nats)."""

    mean: Map
    entropy: Map
    threshold: float | None = None  # of the probability; None: the network's own


class Worker:
    """A training process for one session.

    Each command starts the process if there is none. What the process writes to its standard error
    goes to the logger ``alnb.training``, and so does the trace of each command that fails.

    Parameters
    ----------
    dataset : Dataset
    config : Config
    cache : Path
        Folder in which the process puts weights, scores and maps.
    on_progress : callable
        Called on the loop with each `Progress`.
    silence_s : float
        A process that is silent for longer is given up.
    idle_s : float
        A process without a command for longer is ended; the next command starts another.

    Attributes
    ----------
    device, backbone, origin : str
        Empty until a process has started with these settings, of this session or of another;
        `origin` names the network before any answer.

    Raises
    ------
    TrainingCancelled
        From all commands, if `cancel` was called.
    TrainerError
        From all commands and `start`, if they failed or the process died.
    """

    def __init__(
        self,
        dataset: Dataset,
        config: Config,
        cache: Path,
        on_progress: Callable[[Progress], None] = lambda progress: None,
        silence_s: float = SILENCE_S,
        idle_s: float = IDLE_S,
    ) -> None:
        self._dataset, self._config, self._cache = dataset, config, Path(cache)
        self._on_progress, self._silence_s = on_progress, silence_s
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._next = 0
        self._cancelled_to = -1
        self._starting = asyncio.Lock()
        self._hearing: set[asyncio.Future[None]] = set()  # of a cancel, during a start
        self._idle_s, self._wanted = idle_s, 0
        self._idle: asyncio.TimerHandle | None = None
        self._resting: asyncio.Task[None] | None = None
        self._origins = Origins(dataset, config, self._cache)
        self.device = self.backbone = self.origin = ""
        self._recall()

    @property
    def pid(self) -> int | None:
        """The number of the process; None while there is none."""
        return self._process.pid if self._process and self._process.returncode is None else None

    # --- commands ---

    async def prepare(self) -> None:
        """Learn from synthetic scans, if that is set and was not done before."""
        await self._request("prepare")

    async def fit(self, answers: Sequence[Answer]) -> FitReport:
        """Train; see `cycle.Learner.fit`."""
        done = await self._request("fit", answers=[answer.to_dict() for answer in answers])
        return FitReport.from_dict(done["fit"])

    async def score(self, slices: Sequence[SliceId], weights: str) -> ScoreTables:
        """Score every region of every slice; see `cycle.Learner.score`."""
        await self._request("score", slices=_named(slices), weights=weights)
        return read_arrays(scores_path(self._cache, weights))

    async def evaluate(self, part: Literal["val", "test"], weights: str) -> Scores | None:
        """Compare with the masks of a part; see `cycle.Learner.evaluate`."""
        done = await self._request("evaluate", part=part, weights=weights)
        return Scores(**done["scores"]) if done["scores"] else None

    async def find_origin(self) -> None:
        """Learn the name of the network before any answer, with a process where none has said it.

        Where another session of the dataset asks its process now, its answer is waited for.
        """
        until = time.monotonic() + HELD_S
        while not self._recall():
            if not self._origins.lock() and time.monotonic() < until:
                await asyncio.sleep(LOOK_S)
                continue
            try:
                if not self._recall():
                    await self.start()
            finally:
                self._origins.unlock()

    async def publish(self, slices: Sequence[SliceId], weights: str) -> None:
        """Write what the live layer learns on; see `cycle.Learner.publish`.

        Before any answer, what another session of the dataset has published is taken over. What it
        publishes now is waited for, since a process for each would fill the memory.
        """
        if weights != self.origin:
            await self._request("publish", slices=_named(slices), weights=weights)
            return
        origins, left, until = self._origins, -1, 0.0
        while missing := origins.take(slices, weights):
            if len(missing) != left or self._wanted:  # a training of this session goes first
                left, until = len(missing), time.monotonic() + HELD_S
            others = self.pid is None and origins.quiet_s(weights) < STILL_S
            waits = self._wanted or others or not origins.lock()
            if waits and time.monotonic() < until:
                await asyncio.sleep(LOOK_S)
                continue
            try:
                if missing := origins.take(missing, weights):
                    await self._publish(missing, weights)
            finally:
                origins.unlock()
            return

    async def _publish(self, slices: Sequence[SliceId], weights: str) -> None:
        """Publish slices before any answer, and share each as soon as it is there."""
        publishes = asyncio.ensure_future(
            self._request("publish", slices=_named(slices), weights=weights)
        )
        try:
            while not publishes.done():
                await asyncio.wait({publishes}, timeout=LOOK_S)
                self._origins.give(slices, weights)
            publishes.result()
        finally:
            publishes.cancel()

    async def predict(self, slices: Sequence[SliceId], weights: str) -> dict[SliceId, Maps]:
        """Return the maps of a few slices."""
        await self._request("predict", slices=_named(slices), weights=weights)
        return {
            where: _maps(maps_path(self._cache, weights, where.scan, where.z)) for where in slices
        }

    def cancel(self) -> None:
        """Stop what runs and what waits; their callers get `TrainingCancelled`.

        A process that does not heed it within `CANCEL_S` is ended: its work is lost, finished
        weights are kept, and the next request starts another. A start goes on, for that request.
        """
        for heard in self._hearing:
            if not heard.done():
                heard.set_result(None)
        if self.pid is not None and not self._starting.locked():
            number = self._cancelled_to = self._next - 1
            self._send({"do": "cancel", "id": number})
            asyncio.get_running_loop().call_later(CANCEL_S, self._end, self._process, number)

    # --- the process ---

    async def start(self) -> None:
        """Start the process if there is none, and wait until it has loaded torch."""
        async with self._starting:
            if self.pid is not None:
                return
            if self._process is not None and self._reader is not None:
                await self._reader  # those who wait for the process that died are told first
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "alnb.training.process", stdin=PIPE, stdout=PIPE, stderr=PIPE,
                limit=2**20, start_new_session=True, env={**THREADS, **os.environ},
            )  # fmt: skip
            self._reader = asyncio.create_task(self._read(self._process))
            dataset, cache = str(self._dataset.folder.resolve()), str(self._cache.resolve())
            what = {"dataset": dataset, "cache": cache, "config": self._config.to_dict()}
            mark = self._dataset.fingerprint
            try:
                ready = await self._ask("open", **what, fingerprint=mark, log_hint=log_hint())
            except TrainerError:
                await self.stop()  # a process that has opened nothing is of no use
                raise
            self.device, self.backbone = ready["device"], ready["backbone"]
            self.origin = ready["origin"]
            self._origins.note({name: ready[name] for name in KNOWN})
            self._rest_later()

    async def stop(self) -> None:
        """End the process, by force if it does not end by itself."""
        if self._idle is not None:
            self._idle.cancel()
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(OSError, TrainerError):
                self._send({"do": "quit"})
            try:
                await asyncio.wait_for(self._process.wait(), QUIT_S)
            except TimeoutError:
                _kill(self._process)
        if self._reader is not None:
            await self._reader

    def _end(self, process: asyncio.subprocess.Process | None, cancelled_to: int) -> None:
        """End a process that still works on a cancelled command; later ones go to another."""
        waiting = {number: f for number, f in self._waiting.items() if not f.done()}
        heeded = all(number > cancelled_to for number in waiting)
        if heeded or process is None or process is not self._process:
            return
        self._process = None
        _kill(process)
        for number, future in waiting.items():
            cancelled = number <= self._cancelled_to
            future.set_exception(TrainingCancelled(CANCELLED) if cancelled else _Restarted())

    def _recall(self) -> bool:
        """Tell whether a process has said of these settings what network they begin with."""
        if not self.origin and tuple(known := self._origins.recall()) == KNOWN:
            self.device, self.backbone, self.origin = known.values()
        return bool(self.origin)

    def _rest_later(self) -> None:
        """End the process once it was without a command for a while."""
        if self._idle is not None:
            self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(self._idle_s, self._rest_now)

    def _rest_now(self) -> None:
        self._resting = asyncio.get_running_loop().create_task(self._rest())

    async def _rest(self) -> None:
        async with self._starting:  # a command that comes now waits, and starts another
            if not self._wanted:
                await self.stop()

    async def _request(self, do: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401
        self._wanted += 1
        try:
            while True:
                await self._started()
                with contextlib.suppress(_Restarted):
                    return await self._ask(do, **fields)
        finally:
            self._wanted -= 1
            self._rest_later()

    async def _started(self) -> None:
        """Wait until the process has started, or until a cancel."""
        starting = asyncio.ensure_future(self.start())
        heard = asyncio.get_running_loop().create_future()
        self._hearing.add(heard)
        try:
            await asyncio.wait({starting, heard}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            starting.cancel()
            raise
        finally:
            self._hearing.discard(heard)
        if heard.done():
            starting.add_done_callback(_ignored)
            raise TrainingCancelled(CANCELLED)
        starting.result()

    async def _ask(self, do: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401
        number, self._next = self._next, self._next + 1
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            self._send({"do": do, "id": number, **fields})
            return await answer
        finally:
            self._waiting.pop(number, None)

    def _send(self, command: dict[str, Any]) -> None:
        assert self._process is not None and self._process.stdin is not None  # noqa: S101
        try:
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
        except (BrokenPipeError, ConnectionError, RuntimeError) as error:
            raise TrainerError(_death(self._process.returncode)) from error

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        """Take events until the process ends or has to be ended; then tell all who wait."""
        assert process.stdout is not None and process.stderr is not None  # noqa: S101
        logged = asyncio.create_task(_log(process.stderr))
        message = ""
        try:
            while line := await asyncio.wait_for(process.stdout.readline(), self._silence_s):
                self._take(json.loads(line))
        except TimeoutError:
            message = f"was silent for {self._silence_s:.0f} s and was ended. {SAVED}"
        except Exception:
            logger.exception("an event of the training process can't be read")
            message = f"sent an event that can't be read and was ended. {SAVED}"
        if message:
            _kill(process)
        await process.stdout.read()  # what is left, so that the process ends
        await process.wait()
        await asyncio.wait({logged}, timeout=QUIT_S)  # a child of it may still hold the pipe
        logged.cancel()
        if process is not self._process:
            return  # it was ended for not heeding a cancel; who waits now waits for another
        error = f"the training process {message}" if message else _death(process.returncode)
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(TrainerError(error))

    def _take(self, event: dict[str, Any]) -> None:
        """Pass an event on to who waits for it."""
        kind = event.pop("event")
        if kind == "progress":
            progress = Progress(event["stage"], event["done"], event["total"], event.get("loss"))
            try:
                self._on_progress(progress)
            except Exception:  # of the page; the training goes on
                logger.exception("%s could not be shown", progress)
        elif kind == "failed":
            process_logger.error("%s\n%s", event["message"], event["detail"].rstrip())
        future = self._waiting.get(event.get("id", -1))
        if future is None or future.done():
            return
        if kind == "done":
            future.set_result(event)
        elif kind == "cancelled":
            future.set_exception(TrainingCancelled(CANCELLED))
        elif kind == "failed":
            future.set_exception(TrainerError(event["message"]))


def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()


async def _log(stderr: asyncio.StreamReader) -> None:
    """Log what a process writes, in whole lines where they are not too long."""
    rest = b""
    while chunk := await stderr.read(CHUNK):
        lines, newline, rest = (rest + chunk).rpartition(b"\n")
        if len(rest) > CHUNK:
            lines, rest = lines + newline + rest, b""
        if lines:
            process_logger.warning("%s", lines.decode(errors="replace"))
    if rest:
        process_logger.warning("%s", rest.decode(errors="replace"))


def _ignored(task: asyncio.Task[None]) -> None:
    """Retrieve how a task ended that nobody waits for any more, so that asyncio does not warn."""
    if not task.cancelled():
        task.exception()


def _death(code: int | None) -> str:
    if code is not None and code < 0:
        how = f"was killed ({signal.Signals(-code).name})"
        why = ", perhaps for want of memory" if -code == signal.SIGKILL else ""
    else:
        how, why = "ended unexpectedly", f" (exit code {code})" if code else ""
    return f"the training process {how}{why}. {SAVED}{log_hint()}"


def _named(slices: Sequence[SliceId]) -> list[list[Any]]:
    return [[where.scan, where.z] for where in slices]


def _maps(path: Path) -> Maps:
    arrays = read_arrays(path)
    return Maps(arrays["mean"].astype(np.float32), arrays["entropy"].astype(np.float32))
