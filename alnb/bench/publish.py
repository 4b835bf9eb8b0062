"""From an experiment to its files: run what is missing, then write table, facts, page, picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from alnb.bench.picture import NoPictureError, take
from alnb.bench.plan import Experiment
from alnb.bench.results import Result, facts_of, read_all, table_of, write
from alnb.bench.running import Clock, MakeLearner, Run, carry_out, check, runs_of
from alnb.bench.sheet import experiment_page, report_page
from alnb.dataset import Dataset
from alnb.reports import CycleReport

PICTURE = (928, 900)  # of a page's window, in its own pixels

OnCycle = Callable[[Run, CycleReport, Clock], None]


def perform(
    experiment: Experiment,
    dataset: Dataset,
    out: Path,
    seeds: Sequence[int],
    *,
    jobs: int = 1,
    command: str = "",
    on_start: Callable[[Clock], None] = lambda clock: None,
    on_cycle: OnCycle = lambda run, report, clock: None,
    learner: MakeLearner | None = None,
) -> Result:
    """Carry an experiment out and write its files; one that was stopped goes on.

    Parameters
    ----------
    experiment : Experiment
    dataset : Dataset
        With masks.
    out : Path
        Gets ``NAME.csv``, ``NAME.json`` and ``NAME.html``, and the runs in ``NAME/runs``.
    seeds : sequence of int
    jobs : int
        Runs at a time.
    command : str
        Noted in ``NAME.json``.
    on_start, on_cycle : callable
        Hear what is done and how long the rest will take.
    learner : callable, optional
        As `running.carry_out` takes it.

    Raises
    ------
    AlnbError
        As `running.check` and `running.carry_out` say.
    """
    runs = runs_of(experiment, out, seeds)
    clock = Clock(check(runs, dataset))
    on_start(clock)

    def noted(run: Run, report: CycleReport) -> None:
        clock.note(run, report)
        on_cycle(run, run.priced(report), clock)

    carry_out(runs, dataset, jobs=jobs, notify=noted, learner=learner)
    facts = facts_of(experiment, runs, dataset, command)
    result = Result(facts, table_of(experiment, runs, dataset))
    write(result, out)
    page = out / f"{result.name}.html"
    page.write_text(experiment_page(result), encoding="utf-8")
    return result


def draw(result: Result, out: Path) -> str:
    """Write ``NAME.png`` from the page that is there, and say where, or why there is none."""
    png = out / f"{result.name}.png"
    try:
        take(out / f"{result.name}.html", png, PICTURE)
    except NoPictureError as error:
        return f"{png.name} could not be drawn: {error}. The page {result.name}.html holds it all."
    return f"Written: {png}"


def report(out: Path) -> tuple[Path, list[str]]:
    """Write ``report.html`` on all experiments in a folder.

    Returns
    -------
    path : Path
        Of the page.
    verdicts : list of str
        A sentence for each comparison, led by its experiment's name.

    Raises
    ------
    DataError
        If there is none, one can't be read, or they are of different datasets.
    """
    results = read_all(out)
    path = out / "report.html"
    path.write_text(report_page(results), encoding="utf-8")
    return path, [f"{name}: {line}" for name, one in results.items() for line in one.verdicts]
