"""``alnb bench``: the paper's experiments; ``alnb explore`` and ``alnb compare``: pages on runs."""

from __future__ import annotations

import os
import sys
from inspect import Parameter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alnb.cli.options import (
    Backbone,
    Browser,
    Data,
    Option,
    Port,
    Preset,
    Settings,
    Weights,
    add_command,
    arms_of,
    changes_of,
    config_of,
    line_of,
    option,
    progress_bar,
    say,
    seeds_of,
    setting_of,
)
from alnb.errors import SessionError

if TYPE_CHECKING:
    from alnb.experiments.plan import Options
    from alnb.experiments.run import Clock, PlannedRun
    from alnb.reports import CycleReport

# --- pages ---


def explore(
    runs: Annotated[list[Path], typer.Argument(help="The folder of a run or session, or of two.")],
    data: Annotated[
        Path | None, typer.Option(help="Their dataset; by default where it was labelled.")
    ] = None,
    port: Port = None,
    browser: Browser = True,
) -> None:
    """Step through the cycles of a run or session in a browser, or of two side by side.

    Only the newest networks are kept. Tick the box to train older ones again in a separate process.
    """
    from alnb.storage import JOURNAL

    for run in runs:
        if not (run / JOURNAL).exists():
            raise SessionError(f"{run} holds no session: there is no {JOURNAL} in it.")
    env = {"ALNB_DATA": str(data.resolve())} if data is not None else {}
    _serve("explore", runs, port, env, browser=browser)


def compare(
    runs: Annotated[
        list[Path], typer.Argument(help="Folders of runs or sessions, or folders above them.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Write figure and data here, and open no page.")
    ] = None,
    port: Port = None,
    browser: Browser = True,
) -> None:
    """Compare the curves of runs and sessions, on a page or in a folder; say what they show."""
    from alnb.curves.compare import Comparison, find_runs, group, natural_grouping, read_runs, write

    found = read_runs(find_runs(runs))
    if out is None:
        env = {"ALNB_OUT": str(Path("alnb-compare").resolve())}
        _serve("compare", [run.folder for run in found], port, env, browser=browser)
        return
    comparison = Comparison(group(found, natural_grouping(found)))
    for line in (*comparison.conclusions(), *write(comparison, out)):
        say(line)


def _serve(
    name: str, runs: list[Path], port: int | None, env: dict[str, str], *, browser: bool
) -> None:
    """Serve an app that reads runs, until it is ended."""
    from alnb.serve import app_notebook, serve

    env = {**env, "ALNB_RUNS": os.pathsep.join(str(run.resolve()) for run in runs)}
    with serve(app_notebook(name), port=port, open_browser=browser, env=env) as server:
        say(f"Open {server.address}")
        raise typer.Exit(server.wait())


# --- experiments ---

bench = typer.Typer(
    no_args_is_help=True,
    help="Run the paper's experiments.\n\nEach experiment leaves NAME.csv, NAME.json, NAME.html "
    "and, if Chrome is installed, NAME.png. The same command continues a stopped one.",
)
OPTIONS: dict[str, Option] = {
    "data": (Data, Parameter.empty),
    "out": option(Path, "The folder of results; runs that were stopped there go on."),
    "seeds": option(str, "One run for each seed: 0,1,2.", "0,1,2"),
    "quick": option(bool, "Less of everything, to see that it works; use another --out.", False),
    "jobs": option(int, "How many runs at a time; they share the cores.", 1),
    "cluster": option(
        str | None,
        "Run on dask workers: local:N, tcp://HOST:PORT (a scheduler's address), slurm or slurm:N.",
        None,
    ),
    "preset": (Preset, "default"),
    "backbone": (Backbone, None),
    "weights": (Weights, None),
    "settings": (Settings, None),
}
"""Options of every experiment."""
CYCLES = option(int | None, "After the start; 25, or 5 if quick.", None, least=0)


def _add_experiment(name: str, text: str, **own: Option) -> None:
    """Add ``alnb bench NAME``; ``own`` are fields of `plan.Options`, or differ from `OPTIONS`."""
    add_command(bench, name, text, OPTIONS | own, lambda given: _experiment(name, **given))


_add_experiment(
    "fig5",
    """Compare entropy with random, cycle by cycle (the paper's figure 5).

    --arms compares other heuristics: entropy, bald, margin, least_confidence, random,
    foreground_random, or a package's.
    """,
    cycles=CYCLES,
    arms=option(
        str | None, "Heuristics; the first is compared with each other: entropy,bald,random.", None
    ),
)
_add_experiment("fig6", "Compare numbers of regions at an equal start of 192 s (figure 6).")
_add_experiment("fig7", "Compare clicks with per-pixel labels at equal cost (figure 7).")
_add_experiment(
    "imperfect",
    """Compare an annotator who never errs with one who does.

    The second misses small infections, clicks beside them and gives wrong verdicts, as miss_rate,
    click_jitter_px and wrong_rate say (--set); by default 0.4, 2 and 0.05.
    """,
    cycles=CYCLES,
    apart=option(bool, "Add an annotator for each kind of error by itself.", False),
)
_add_experiment(
    "upper-bound",
    "Train on the whole train part labelled with its masks (the paper's section 5.3).",
    steps=option(int | None, "Training steps; by default 450, or more if the settings do.", None),
)
_add_experiment(
    "ablations",
    """Cross-validate settings inside the train part, each against the default.

    No test slice is used: choose settings here, and report results on the test part.
    """,
    seeds=option(str, "One run for each seed: 0,1,2,3,4.", "0,1,2,3,4"),
    cycles=option(int | None, "After the start; 3, or 0 if quick.", None, least=0),
    change=option(
        list[str] | None, "NAME=VALUE;… to compare instead of alnb's own; may be repeated.", None
    ),
    folds=option(int, "Folds of the train part; a seed is tested on the fold of its number.", 5),
)


def _experiment(
    name: str, *, data: Path, out: Path, seeds: str, jobs: int, cluster: str | None,
    preset: str, backbone: str | None, weights: Path | None, settings: list[str] | None,
    **own: Any,  # noqa: ANN401 - of several kinds
) -> None:  # fmt: skip
    """Run an experiment, and say what it shows."""
    import shlex

    from alnb.curves.charts import write_picture
    from alnb.dataset import Dataset
    from alnb.experiments.plan import planned
    from alnb.experiments.report import PICTURE, perform

    base = config_of(preset, **changes_of(backbone, weights, settings))
    dataset = Dataset.open(data)
    experiment = planned(name, dataset, base, _options(**own))
    for note in experiment.notes:
        say(f"note: {note}")
    with progress_bar(name) as update:

        def on_start(clock: Clock) -> None:
            update(total=clock.runs, completed=clock.done)

        def on_cycle(run: PlannedRun, report: CycleReport, clock: Clock) -> None:
            say(f"{run.arm.label}, seed {run.seed}: {line_of(report)}; {clock.left}")
            update(completed=clock.done, note=clock.left)

        result = perform(
            experiment, dataset, out, seeds_of(seeds), jobs=jobs, cluster=cluster,
            command=shlex.join(["alnb", *sys.argv[1:]]), on_start=on_start, on_cycle=on_cycle,
        )  # fmt: skip
    for line in (
        *result.conclusions,
        f"Written: {out / name}.csv, {out / name}.json, {out / name}.html.",
        write_picture(out / f"{name}.html", PICTURE),
        f"Next: alnb bench report {out}",
    ):
        say(line)


def _options(
    arms: str | None = None,
    change: list[str] | None = None,
    **own: Any,  # noqa: ANN401 - as above
) -> Options:
    from alnb.experiments.plan import Options

    changes = {
        text: dict(setting_of(part, "--change") for part in text.split(";"))
        for text in change or ()
    }
    return Options(arms=() if arms is None else arms_of(arms), changes=changes, **own)


@bench.command("report")
def report(
    folder: Annotated[Path, typer.Argument(help="Where experiments put their results.")],
) -> None:
    """Put a folder's figures on one page beside the paper's numbers; say what they show."""
    from alnb.experiments.report import write_report

    path, conclusions = write_report(folder)
    for line in (*conclusions, f"Written: {path}"):
        say(line)
