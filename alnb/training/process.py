"""The training process: reads commands from standard input, writes events to standard output.

Both are JSON, an object a line. The first command must be `open`. Commands run one after
another, and each but `cancel` ends in exactly one of `done`, `cancelled` and `failed`.

=============  ===============================  ==================================================
command        fields besides id                `done` has
=============  ===============================  ==================================================
``open``       dataset, fingerprint, cache,     device, backbone, origin
               config, log_hint (a sentence or
               empty)
``prepare``    –                                –: learns from synthetic scans, if that is set
``fit``        answers                          fit (a `FitReport`)
``score``      slices, weights                  –: `storage.scores_path`, (N, K) a heuristic
``evaluate``   part, weights                    scores (tp, fp, fn, tn) or null
``publish``    slices, weights                  –: `storage.features_path` of each, in this order
``predict``    slices, weights                  –: `storage.maps_path`, mean and entropy of each
``cancel``     –                                –: stops the command of that id and those before
``quit``       –                                –: the process ends
=============  ===============================  ==================================================

=============  ===========================================================================
event          fields besides id
=============  ===========================================================================
``beat``       –: every second, whatever else goes on
``progress``   stage, done, total, and numbers such as loss
``done``       as above
``cancelled``  –: the last good weights are kept
``failed``     message (a sentence for the person), detail (for the log)
=============  ===========================================================================

A slice is ``[scan, z]``. What else the process has to say goes to standard error, for the log. It
ends when its standard input closes, so that it ends with the program that started it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import queue
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np

from alnb.annotation import Answer
from alnb.config import Config
from alnb.dataset import Dataset, SliceId
from alnb.errors import AlnbError, TrainerError, path_sentence, refused
from alnb.storage import forget, maps_path, scores_path, write_arrays
from alnb.training import Cancelled

if TYPE_CHECKING:
    from alnb.training.trainer import Trainer


BEAT_S = 1.0
NICE = 10  # ours: the page stays quick while both cores train
PROGRESS_S = 0.1  # ours: no more than ten progress events a second
OUT_OF_MEMORY = ("out of memory", "can't allocate")  # as CUDA and the CPU's allocator say it
SMALLEST_CROP = 64  # ours: crops halved below this show too little round an answer
SCORES_KEPT = 2  # tables; the page may still explain what the network before the newest asked
MAPS_KEPT = 100  # ours: slices; a cycle asks on fewer


class Commands:
    """Runs commands and writes events; knows which commands were cancelled."""

    def __init__(self, out: IO[str]) -> None:
        self.cancelled_to = -1
        self.trainer: Trainer | None = None
        self.cache = Path()
        self._out, self._lock = out, threading.Lock()
        self._log_hint = ""
        self._id = -1
        self._reported = 0.0

    def send(self, event: str, **fields: Any) -> None:  # noqa: ANN401 - any JSON value
        """Write one event, a line, and flush it; from any thread."""
        line = json.dumps({"event": event, **fields}, allow_nan=False)
        with self._lock:
            self._out.write(line + "\n")
            self._out.flush()

    def run(self, command: dict[str, Any]) -> None:
        """Run one command to its last event."""
        self._id = command.get("id", -1)
        try:
            if self._cancelled():
                raise Cancelled("cancelled before it began")
            self.send("done", id=self._id, **self._do(command))
        except Cancelled:
            self.send("cancelled", id=self._id)
        except Exception as error:
            detail = traceback.format_exc()
            known = isinstance(error, AlnbError)
            message = str(error) if known else self._sentence(error, command)
            self.send("failed", id=self._id, message=message, detail=detail)

    def _sentence(self, error: Exception, command: dict[str, Any]) -> str:
        text = str(error)
        full = isinstance(error, MemoryError) or any(words in text for words in OUT_OF_MEMORY)
        if full and self.trainer is not None:
            return self._out_of_memory(self.trainer, trains=command.get("do") == "fit")
        if no_room := refused(error):
            return (
                f"the training failed. {path_sentence(no_room, self.cache)} Every answer is saved."
            )
        reason = text.splitlines()[0] if text else type(error).__name__
        return (
            f"the training failed ({reason}). Every answer is saved; train again, and if it fails "
            f"again report it, with alnb.log.{self._log_hint}"
        )

    def _out_of_memory(self, trainer: Trainer, *, trains: bool) -> str:
        """Say what was too large, and halve it for the next training."""
        config, size = trainer.config, trainer.dataset.size
        smaller = _smaller(config, size) if trains else None
        begin = f"the memory was too small for {_taken(config, size, trains=trains)}. Every answer"
        if smaller is None:
            return (
                f"{begin} is saved. Close other programs and try again; if that does not help, "
                f"import the dataset with --size {size // 2}."
            )
        import torch  # as late as the trainer that needs it

        self.trainer = self._make(trainer.dataset, smaller)
        torch.cuda.empty_cache()
        return (
            f"{begin} is saved. Press Train again: it then takes "
            f"{_taken(smaller, size, trains=trains)}, which learns slightly differently."
        )

    def _do(self, command: dict[str, Any]) -> dict[str, Any]:
        match command.get("do"):
            case "open":
                return self._open(command)
            case "prepare":
                self._ready.prepare()
            case "fit":
                answers = [Answer.from_dict(answer) for answer in command["answers"]]
                return {"fit": self._ready.fit(answers).to_dict()}
            case "score":
                self._score(_slices(command), command["weights"])
            case "evaluate":
                scores = self._ready.evaluate(command["part"], command["weights"])
                return {"scores": dataclasses.asdict(scores) if scores else None}
            case "publish":
                self._ready.publish(_slices(command), command["weights"])
            case "predict":
                self._predict(_slices(command), command["weights"])
            case name:
                raise TrainerError(f"the training process knows no command {name!r}.")
        return {}

    def _cancelled(self) -> bool:
        return self._id <= self.cancelled_to

    def _progress(self, stage: str, done: int, total: int, **numbers: float) -> None:
        now = time.monotonic()
        if done < total and now - self._reported < PROGRESS_S:
            return
        self._reported = now
        self.send("progress", id=self._id, stage=stage, done=done, total=total, **numbers)

    @property
    def _ready(self) -> Trainer:
        if self.trainer is None:
            raise TrainerError("the training process has opened no dataset; start it again.")
        return self.trainer

    def _open(self, command: dict[str, Any]) -> dict[str, Any]:
        self.cache, self._log_hint = Path(command["cache"]), command["log_hint"]
        dataset = Dataset.open(command["dataset"], command.get("fingerprint", ""))
        config = Config.from_dict(command["config"])
        self.trainer = self._make(dataset, config)
        networks = self.trainer.networks
        return {
            "device": networks.device_name, "backbone": networks.backbone,
            "origin": networks.origin,
        }  # fmt: skip

    def _make(self, dataset: Dataset, config: Config) -> Trainer:
        from alnb.training.trainer import Trainer

        return Trainer(
            dataset, config, self.cache, progress=self._progress, cancelled=self._cancelled
        )

    def _score(self, slices: list[SliceId], weights: str) -> None:
        write_arrays(scores_path(self.cache, weights), **self._ready.score(slices, weights))
        forget(self.cache, "scores", SCORES_KEPT)

    def _predict(self, slices: list[SliceId], weights: str) -> None:
        """Write the maps of slices whose maps are not there yet."""
        forget(self.cache, "maps", MAPS_KEPT)
        paths = {where: maps_path(self.cache, weights, where.scan, where.z) for where in slices}
        missing = [where for where in slices if not paths[where].is_file()]
        shown = self._ready.infection(missing, weights)
        sampled = self._ready.predict(missing, weights)
        for (where, p), (_, posterior) in zip(shown, sampled, strict=True):
            entropy = posterior.predictive_entropy.astype(np.float16)
            write_arrays(paths[where], mean=p.astype(np.float16), entropy=entropy)


def _slices(command: dict[str, Any]) -> list[SliceId]:
    return [SliceId(scan, z) for scan, z in command["slices"]]


def _smaller(config: Config, size: int) -> Config | None:
    """Halve a training's batch, or its crops if the batch is 1; None if neither can be halved."""
    if config.batch > 1:
        return config.replace(batch=config.batch // 2)
    crop = min(config.crop or 0, size)
    return config.replace(crop=crop // 2) if crop // 2 >= SMALLEST_CROP else None


def _taken(config: Config, size: int, *, trains: bool) -> str:
    """Say what is in memory at once; only a training has batches and crops."""
    if not trains:
        return f"slices of {size}×{size} pixels"
    side = min(config.crop or size, size)
    pictures = "picture" if config.batch == 1 else "pictures"
    return f"{config.batch} {pictures} of {side}×{side} pixels at once"


def _beat(commands: Commands) -> None:
    while True:
        time.sleep(BEAT_S)
        with contextlib.suppress(BrokenPipeError, ValueError):
            commands.send("beat")


def _listen(source: IO[str], commands: Commands, waiting: queue.Queue[dict[str, Any]]) -> None:
    """Queue commands; cancel and the end of the input act at once, whatever is running."""
    for line in source:
        try:
            command = cast("dict[str, Any]", json.loads(line))
        except ValueError as error:
            commands.send("failed", id=-1, message=f"not a command: {error}", detail=line)
            continue
        if command.get("do") == "quit":
            break
        if command.get("do") == "cancel":
            commands.cancelled_to = max(commands.cancelled_to, command["id"])
        else:
            waiting.put(command)
    os._exit(0)  # nothing to tidy: every file is written under a temporary name


def main() -> None:
    """Serve commands until the input closes."""
    # what torch or a driver prints must not come between the events
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with contextlib.suppress(AttributeError, OSError):
        os.nice(NICE)
    commands = Commands(out)
    waiting: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_beat, args=(commands,), daemon=True).start()
    threading.Thread(target=_listen, args=(sys.stdin, commands, waiting), daemon=True).start()
    while True:
        commands.run(waiting.get())


if __name__ == "__main__":
    main()
