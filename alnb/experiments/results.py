"""Results of an experiment: the curves in ``NAME.csv``, and the facts about them in ``NAME.json``.

The facts are which experiment, data, settings and versions the curves come from.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import alnb
from alnb.curves.compare import settings_of
from alnb.curves.statistics import conclusion
from alnb.dataset import Dataset
from alnb.errors import DataError, saying
from alnb.experiments.plan import EXPERIMENTS, Experiment
from alnb.experiments.run import PlannedRun
from alnb.journal import Journal
from alnb.reports import CURVE_COLUMNS
from alnb.schema import Count, Number, read_json
from alnb.state import state_of
from alnb.storage import JOURNAL, csv_of, write_text

if TYPE_CHECKING:
    import pandas as pd


_SHOWN = 120  # ours: characters of an error in a sentence
COLUMNS = (
    "experiment", "dataset", "arm", "seed", *(name for name in CURVE_COLUMNS if name != "seed"),
)  # fmt: skip


class _Settings(TypedDict):
    budget_s: Number | None


class _Arm(TypedDict):
    label: str
    cycles: Count
    config: _Settings


class _Part(TypedDict):
    scans: Count
    slices: Count
    infected_slices: Count | None


class _Parts(TypedDict):
    train: _Part
    val: _Part
    test: _Part


class _Data(TypedDict):
    name: str
    size: Count
    scans: Count
    slices: Count
    parts: _Parts
    fingerprint: str
    notes: list[str]
    pseudo_labels: bool


class _Facts(TypedDict):
    experiment: str
    title: str
    command: str
    seeds: list[Count]
    notes: list[str]
    comparisons: list[tuple[str, str, Number | None]]
    dataset: _Data
    folds: Count | None
    only_ends: bool
    quick: bool
    full_cost_s: Number
    network: str
    device: str
    versions: dict[str, str]
    platform: str
    arms: dict[str, _Arm]


@dataclass(frozen=True, slots=True)
class Result:
    """An experiment's table and its facts."""

    facts: Mapping[str, Any]  # as `facts_of` returns
    table: pd.DataFrame  # with `COLUMNS`

    @property
    def name(self) -> str:
        """The experiment's."""
        return str(self.facts["experiment"])

    @property
    def labels(self) -> dict[str, str]:
        """The label of each arm, by its name, in order."""
        return {name: arm["label"] for name, arm in self.facts["arms"].items()}

    @property
    def conclusions(self) -> list[str]:
        """A sentence for each comparison."""
        labels = self.labels
        return [
            conclusion(self.table, (first, labels[first]), (second, labels[second]), cost)
            for first, second, cost in self.facts["comparisons"]
        ]


def table_of(experiment: Experiment, runs: Sequence[PlannedRun], dataset: Dataset) -> pd.DataFrame:
    """Put the curves of finished runs together, up to the cycle that the experiment asks for.

    Parameters
    ----------
    experiment : Experiment
    runs : non-empty sequence of PlannedRun
        Finished.
    dataset : Dataset

    Returns
    -------
    table
        With `COLUMNS`; a row a cycle.
    """
    import pandas as pd

    tables = []
    for run in runs:
        curve = _curve(run.folder / "curve.csv")
        curve = curve[curve["cycle"] <= run.arm.cycles]
        curve = curve.assign(experiment=experiment.name, dataset=dataset.name, arm=run.arm.name)
        priced = {} if run.arm.cost_s is None else {"cost_s": run.arm.cost_s}
        tables.append(curve.assign(**priced))
    return pd.concat(tables, ignore_index=True)[list(COLUMNS)]


def _curve(path: Path) -> pd.DataFrame:
    """Read the curve of a finished run."""
    import pandas as pd

    try:
        curve = pd.read_csv(path)
        odd = [name for name in CURVE_COLUMNS if curve[name].dtype.kind not in "iuf"]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{path}: it is missing or broken ({str(error)[:_SHOWN]}). Delete its folder; the run "
            "is made again."
        ) from error
    if odd:
        raise DataError(f"{path}: {odd[0]} holds no numbers. Delete its folder; it is made again.")
    return curve


def facts_of(
    experiment: Experiment, runs: Sequence[PlannedRun], dataset: Dataset, command: str
) -> dict[str, Any]:
    """Gather what a reader must know about an experiment, as plain values.

    Parameters
    ----------
    experiment, runs, dataset
        As `table_of` takes them.
    command : str
        The command line.
    """
    fit = state_of(Journal(runs[0].folder / JOURNAL).events).fit
    packages = ("torch", "torchvision", "timm", "numpy", "scikit-image", "plotly")
    return {
        "experiment": experiment.name,
        "title": experiment.title,
        "command": command,
        "seeds": sorted({run.seed for run in runs}),
        "notes": list(experiment.notes),
        "comparisons": [[c.first, c.second, c.cost_s] for c in experiment.comparisons],
        "dataset": {
            **dataset.describe(),
            "fingerprint": dataset.fingerprint,
            "notes": list(dataset.notes),
            "pseudo_labels": dataset.pseudo_masks,
        },
        "folds": experiment.folds,
        "only_ends": experiment.only_ends,
        "quick": experiment.quick,
        "full_cost_s": runs[0].config.slice_s * len(dataset.part("train")),
        "network": fit.backbone if fit else "",
        "device": fit.device if fit else "",
        "versions": {
            "alnb": alnb.__version__,
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in packages},
        },
        "platform": f"{platform.system()} {platform.machine()}",
        "arms": {
            arm.name: {"label": arm.label, "cycles": arm.cycles, "config": settings_of(arm.config)}
            for arm in experiment.arms
        },
    }


@saying("out")
def write(result: Result, out: Path) -> None:
    """Write an experiment's table and facts."""
    write_text(out / f"{result.name}.csv", csv_of(result.table))
    facts = json.dumps(result.facts, indent=1, ensure_ascii=False)
    write_text(out / f"{result.name}.json", facts + "\n")


def read(out: Path, name: str) -> Result | None:
    """Read what `write` wrote, or raise a `DataError`; None if that experiment was not run."""
    import pandas as pd

    path = out / f"{name}.json"
    if not path.exists():
        return None
    try:
        facts = read_json(path.read_bytes(), _Facts)
        table = _checked(pd.read_csv(out / f"{name}.csv"), facts)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path.with_suffix('')}: its .json or .csv can't be read ({str(error)[:_SHOWN]}). Run "
            f"alnb bench {name} again: finished runs are kept."
        ) from error
    if facts["experiment"] != name:
        raise DataError(f"{path}: it is of another experiment. Run alnb bench {name} again.")
    return Result(facts, table)


def _checked(table: pd.DataFrame, facts: Mapping[str, Any]) -> pd.DataFrame:
    """Return a table that fits its facts; a `ValueError` says if it doesn't."""
    lacking = [name for name in COLUMNS if name not in table.columns]
    numbers = [name for name in COLUMNS[3:] if name not in lacking]
    odd = [name for name in numbers if table[name].dtype.kind not in "iuf"]
    arms = {str(arm) for arm in table["arm"]} if "arm" in table else set()
    if lacking or odd or not len(table) or not arms <= facts["arms"].keys():
        raise ValueError(f"columns {', '.join(lacking + odd) or 'arm'} are missing or others")
    compared = {arm for first, second, _ in facts["comparisons"] for arm in (first, second)}
    if not compared <= arms:
        raise ValueError("an arm that is compared is missing")
    return table


def read_all(out: Path) -> dict[str, Result]:
    """Read every experiment in a folder, by name.

    Raises
    ------
    DataError
        If there is none, one can't be read, or they are of different datasets.
    """
    found = {name: result for name in EXPERIMENTS if (result := read(out, name)) is not None}
    if not found:
        raise DataError(
            f"{out} holds no experiment. Run one first: alnb bench fig5 DATA --out {out}"
        )
    datasets = {result.facts["dataset"]["fingerprint"] for result in found.values()}
    if len(datasets) > 1:
        raise DataError(
            f"{out} holds experiments on different datasets, which can't be compared. Give each "
            "dataset its own --out."
        )
    return found
