"""Runs and sessions of others, found in folders, read from their journals, and put into arms."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alnb.errors import DataError, SessionError
from alnb.journal import Journal
from alnb.reports import CURVE_COLUMNS
from alnb.state import State, state_of

if TYPE_CHECKING:
    import pandas as pd

BY_SETTINGS, BY_RUN = "settings", "run"
DEEP = 3  # folders below the one that is named in which runs are looked for


@dataclass(frozen=True, slots=True)
class Run:
    """A run or session that is compared.

    Parameters
    ----------
    name : str
        The end of its folder's path that tells it from the others.
    folder : Path
    dataset : str
        Its dataset's name.
    fingerprint : str
        Of its dataset.
    state : State
        Where it ends.
    arm : str
        What it is grouped under.
    """

    name: str
    folder: Path
    dataset: str
    fingerprint: str
    state: State
    arm: str = ""

    @property
    def seed(self) -> int:
        """Its seed."""
        return self.state.config.seed


def find_runs(paths: Iterable[Path]) -> list[Path]:
    """List the folders with a journal: those named, or below them.

    Raises
    ------
    SessionError
        If there is none in one of them.
    """
    found: dict[Path, None] = {}
    for path in paths:
        below = [path, *(one for depth in range(1, DEEP + 1) for one in path.glob("*/" * depth))]
        runs = sorted({one.resolve() for one in below if _is_there(one / "journal.jsonl")})
        if not runs:
            raise SessionError(
                f"{path} holds no session: there is no journal.jsonl in or below it."
            )
        found.update(dict.fromkeys(runs))
    return list(found)


def _is_there(file: Path) -> bool:
    return os.access(file, os.R_OK) and file.is_file()  # false too where it may not be looked at


def names_of(folders: Sequence[Path]) -> list[str]:
    """Call each folder by the end of its path that tells it from the others.

    Examples
    --------
    >>> names_of([Path("/a/one"), Path("/b/one")])
    ['a/one', 'b/one']
    """
    parts = [folder.resolve().parts for folder in folders]
    longest = max(map(len, parts), default=1)
    depth = next(
        (n for n in range(1, longest) if len({path[-n:] for path in parts}) == len(parts)), longest
    )
    return ["/".join(path[-depth:]) for path in parts]


def read_runs(folders: Sequence[Path]) -> tuple[Run, ...]:
    """Read runs from their journals alone; they may be open elsewhere.

    Raises
    ------
    SessionError
        If a journal can't be read.
    DataError
        If they are of different datasets, or none has a cycle that was scored.
    """
    runs = tuple(_read(name, f) for name, f in zip(names_of(folders), folders, strict=True))
    datasets = {run.fingerprint: run.dataset for run in runs}
    if len(datasets) > 1:
        raise DataError(
            f"the runs are of different datasets ({', '.join(sorted(datasets.values()))}), whose "
            "test slices differ, so their scores can't be compared. Name runs of one dataset."
        )
    if not any(run.state.reports for run in runs):
        raise DataError("none of the runs has been trained yet; there is no curve to compare.")
    return tuple(run for run in runs if run.state.reports)


def _read(name: str, folder: Path) -> Run:
    events = Journal.open(folder / "journal.jsonl").events
    if not events:
        raise SessionError(f"{folder} holds no session: its journal.jsonl is empty.")
    named = events[0].data["dataset"]
    return Run(name, folder, named["name"], named["fingerprint"], state_of(events))


def group(runs: Sequence[Run], by: str = BY_SETTINGS) -> tuple[Run, ...]:
    """Put runs into arms: those whose settings differ by the seed alone, or each by itself.

    An arm of settings is called by those that the arms differ in.
    """
    if by == BY_RUN:
        return tuple(replace(run, arm=run.name) for run in runs)
    settings = [_settings(run) for run in runs]
    differing = [name for name in settings[0] if len({str(one[name]) for one in settings}) > 1]
    return tuple(
        replace(run, arm=_label(run, one, differing))
        for run, one in zip(runs, settings, strict=True)
    )


def _settings(run: Run) -> dict[str, Any]:
    return {name: value for name, value in run.state.config.to_dict().items() if name != "seed"}


def _label(run: Run, settings: Mapping[str, Any], differing: Sequence[str]) -> str:
    alone = not differing or "heuristic" in differing
    words = [str(settings["heuristic"])] if alone else []
    return ", ".join([*words, *(f"{n} {settings[n]}" for n in differing if n != "heuristic")])


def natural(runs: Sequence[Run]) -> str:
    """Choose how to group: by settings, unless an arm would hold a seed twice, as a class does."""
    pairs = [(run.arm, run.seed) for run in group(runs)]
    return BY_SETTINGS if len(set(pairs)) == len(pairs) else BY_RUN


def table_of(runs: Sequence[Run]) -> pd.DataFrame:
    """Put all curves in a tidy table.

    Returns
    -------
    table
        A row a cycle; columns ``run``, ``arm``, ``dataset``, and `CURVE_COLUMNS`.
    """
    import pandas as pd

    rows = [
        {"run": run.name, "arm": run.arm, "dataset": run.dataset, **report.row(run.seed)}
        for run in runs
        for report in run.state.reports
    ]
    return pd.DataFrame(rows, columns=["run", "arm", "dataset", *CURVE_COLUMNS])
