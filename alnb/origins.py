"""What all sessions on a machine share: slices that a network before any answer has published.

Such a network follows from dataset and settings. So the first session that needs its slices has
them published, and the others take them over: a class that opens one dataset needs one training
process, and a second session none.

    alnb/origins/code-HASH/SETTINGS.json        the name of the network, and who computes it
    alnb/origins/code-HASH/FINGERPRINT.lock     held by the session that publishes
    alnb/origins/code-HASH/features-NAME/       as in a session's cache; the same files, linked

The folder is in the user's cache. Each version of alnb and torch, and each machine, has its own.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import platform
import time
from collections.abc import Iterable, Mapping
from functools import cache
from hashlib import sha256
from importlib import metadata
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from alnb.config import TRAINING_SETTINGS, Config
from alnb.dataset import Dataset, SliceId
from alnb.storage import UNREADABLE, features_path, forget, link, short_hash, write_text

NETWORKS_KEPT = 4  # ours: half a megabyte a slice each; a session keeps links to what it uses
CODES_KEPT = 2  # ours: of this alnb, and of the one before


class Origins:
    """The shared slices of one dataset and its settings.

    Where the user's cache can't be written, nothing is shared, and all is as with one session.

    Parameters
    ----------
    dataset : Dataset
    config : Config
    cache : Path
        Of the session.
    """

    def __init__(self, dataset: Dataset, config: Config, cache: Path) -> None:
        from platformdirs import user_cache_path

        self._all = user_cache_path("alnb") / "origins"
        self._folder, self._cache = self._all / f"code-{_code()}", cache
        file = Path(config.weights) if config.weights else None
        dated = [(s := file.stat()).st_size, s.st_mtime_ns] if file and file.is_file() else []
        names = ("backbone", "weights", "precision", *TRAINING_SETTINGS)
        settings = [getattr(config, name) for name in names]
        key = short_hash([dataset.fingerprint, settings, dated])
        self._known = self._folder / f"{key}.json"
        self._lock = FileLock(self._folder / f"{dataset.fingerprint[:16]}.lock", timeout=0)

    def recall(self) -> dict[str, str]:
        """Read what a process said of these settings; empty if none did."""
        try:
            known = json.loads(self._known.read_text(encoding="utf-8"))
            return {str(name): str(word) for name, word in known.items()}
        except (*UNREADABLE, AttributeError):
            return {}

    def note(self, known: Mapping[str, str]) -> None:
        """Keep what a process says of these settings."""
        with contextlib.suppress(OSError):  # another process then says it again
            write_text(self._known, json.dumps(dict(known)))
            forget(self._all, "code", CODES_KEPT)

    def take(self, slices: Iterable[SliceId], weights: str) -> tuple[SliceId, ...]:
        """Take over what is published of some slices; return those that are not.

        Parameters
        ----------
        slices : iterable of SliceId
        weights : str
            The network's name.
        """
        return tuple(where for where in slices if not _links(*self._paths(where, weights)))

    def give(self, slices: Iterable[SliceId], weights: str) -> None:
        """Share what the session has published of some slices."""
        for where in slices:
            _links(*reversed(self._paths(where, weights)))
        with contextlib.suppress(OSError):
            forget(self._folder, "features", NETWORKS_KEPT)

    def _paths(self, where: SliceId, weights: str) -> list[Path]:
        return [
            features_path(at, weights, where.scan, where.z) for at in (self._folder, self._cache)
        ]

    def quiet_s(self, weights: str) -> float:
        """Tell for how long nothing was published; infinite if nothing ever was."""
        times = []
        for path in (self._known, self._folder / f"features-{weights}"):
            with contextlib.suppress(OSError):
                times.append(abs(time.time() - path.stat().st_mtime))  # clocks of disks differ
        return min(times, default=math.inf)

    def lock(self) -> bool:
        """Begin to publish, unless another session does; tell whether it is this one's turn."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout:
            return False
        except OSError:  # nothing can be shared
            return True
        return True

    def unlock(self) -> None:
        """End it."""
        self._lock.release()


def _links(path: Path, other: Path) -> bool:
    """Give a slice's file a second name; tell whether there is one. A spoilt file is deleted."""
    try:
        if not other.is_file():
            if not np.isfinite(np.load(path)).all():
                raise ValueError("not finite")
            other.parent.mkdir(parents=True, exist_ok=True)
            link(path, other)
    except OSError:  # it is not published, or can't be kept
        return False
    except UNREADABLE:
        with contextlib.suppress(OSError):
            path.unlink()
        return False
    return True


@cache
def _code() -> str:
    """Hash all that what is published follows from, but dataset and settings."""
    code = sha256()
    for folder in ("training", "live"):
        for path in sorted((Path(__file__).parent / folder).glob("*.py")):
            code.update(path.read_bytes())
    threads = os.environ.get("OMP_NUM_THREADS", "")
    return short_hash([code.hexdigest(), metadata.version("torch"), threads, platform.node()])
