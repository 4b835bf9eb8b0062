"""``alnb explore`` and ``alnb compare``: pages that read runs and sessions.

``alnb bench``: speed, and the paper's experiments.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alnb.cli.options import (
    Backbone,
    Data,
    Settings,
    Weights,
    changes_of,
    config_of,
    line_of,
    progress_bar,
    say,
    setting_of,
)
from alnb.errors import SessionError

if TYPE_CHECKING:
    from alnb.config import Config
    from alnb.experiments.run import Clock, Run
    from alnb.reports import CycleReport


Port = Annotated[int | None, typer.Option(help="None takes a free one.")]
Browser = Annotated[bool, typer.Option(help="Open the page in a browser.")]


def explore(
    runs: Annotated[list[Path], typer.Argument(help="The folder of a run or session, or of two.")],
    data: Annotated[
        Path | None, typer.Option(help="Their dataset; none looks where it was labelled.")
    ] = None,
    port: Port = None,
    browser: Browser = True,
) -> None:
    """Step through the cycles of a run or session in a browser, or of two side by side."""
    for run in runs:
        if not (run / "journal.jsonl").exists():
            raise SessionError(f"{run} holds no session: there is no journal.jsonl in it.")
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
    """Compare the curves of runs and sessions, with verdicts, on a page or into a folder."""
    from alnb.curves.compare import Comparison, find_runs, group, natural, read_runs, write

    found = read_runs(find_runs(runs))
    if out is None:
        env = {"ALNB_OUT": str(Path("alnb-compare").resolve())}
        _serve("compare", [run.folder for run in found], port, env, browser=browser)
        return
    comparison = Comparison(group(found, natural(found)))
    for line in (*comparison.verdicts(), *write(comparison, out)):
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


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
bench = typer.Typer(no_args_is_help=True, help="Measure.")


Seeds = Annotated[str, typer.Option(help="A run for each: 0,1,2.")]
Results = Annotated[Path, typer.Option(help="The results' folder; runs stopped there go on.")]
Quick = Annotated[bool, typer.Option(help="Less of all, to see that it works; own --out.")]
Jobs = Annotated[int, typer.Option(help="Runs at a time; they share the cores.")]
Cycles = Annotated[int | None, typer.Option(help="After the start; 25, or 5 if quick.", min=0)]
Preset = Annotated[str, typer.Option(help="default or paper.")]


@bench.command("fig5")
def fig5(
    data: Data,
    out: Results,
    seeds: Seeds = "0,1,2",
    quick: Quick = False,
    jobs: Jobs = 1,
    preset: Preset = "default",
    backbone: Backbone = None,
    weights: Weights = None,
    settings: Settings = None,
    cycles: Cycles = None,
    arms: Annotated[
        str | None,
        typer.Option(help="Heuristics, the first set against each other: entropy,bald,random."),
    ] = None,
) -> None:
    """Compare entropy with random, cycle by cycle (the paper's figure 5).

    --arms compares other heuristics: entropy, bald, margin, least_confidence, random,
    foreground_random, or a package's.
    """
    from alnb.experiments.plan import arms_of

    base = config_of(preset, **changes_of(backbone, weights, settings))
    named = arms_of(arms)
    _experiment("fig5", data, out, seeds, jobs, base, quick=quick, cycles=cycles, arms=named)


@bench.command("fig6")
def fig6(
    data: Data,
    out: Results,
    seeds: Seeds = "0,1,2",
    quick: Quick = False,
    jobs: Jobs = 1,
    preset: Preset = "default",
    backbone: Backbone = None,
    weights: Weights = None,
    settings: Settings = None,
) -> None:
    """Compare numbers of regions at an equal start of 192 s (figure 6)."""
    base = config_of(preset, **changes_of(backbone, weights, settings))
    _experiment("fig6", data, out, seeds, jobs, base, quick=quick)


@bench.command("fig7")
def fig7(
    data: Data,
    out: Results,
    seeds: Seeds = "0,1,2",
    quick: Quick = False,
    jobs: Jobs = 1,
    preset: Preset = "default",
    backbone: Backbone = None,
    weights: Weights = None,
    settings: Settings = None,
) -> None:
    """Compare clicks with per-pixel labels at equal cost (figure 7)."""
    base = config_of(preset, **changes_of(backbone, weights, settings))
    _experiment("fig7", data, out, seeds, jobs, base, quick=quick)


@bench.command("imperfect")
def imperfect(
    data: Data,
    out: Results,
    seeds: Seeds = "0,1,2",
    quick: Quick = False,
    jobs: Jobs = 1,
    preset: Preset = "default",
    backbone: Backbone = None,
    weights: Weights = None,
    settings: Settings = None,
    cycles: Cycles = None,
    apart: Annotated[
        bool, typer.Option(help="An annotator more for each kind of error by itself.")
    ] = False,
) -> None:
    """Compare an annotator who never errs with one who does.

    Who errs misses small infections, clicks beside them and gives wrong verdicts, as miss_rate,
    click_jitter_px and wrong_rate say (--set); by default 0.4, 2 and 0.05.
    """
    base = config_of(preset, **changes_of(backbone, weights, settings))
    _experiment("imperfect", data, out, seeds, jobs, base, quick=quick, cycles=cycles, apart=apart)


@bench.command("upper-bound")
def upper_bound(
    data: Data,
    out: Results,
    seeds: Seeds = "0,1,2",
    quick: Quick = False,
    jobs: Jobs = 1,
    preset: Preset = "default",
    backbone: Backbone = None,
    weights: Weights = None,
    settings: Settings = None,
    steps: Annotated[int | None, typer.Option(help="Of training; 450 or more.")] = None,
) -> None:
    """Train on the whole train part labelled with its masks (the paper's section 5.3)."""
    base = config_of(preset, **changes_of(backbone, weights, settings))
    _experiment("upper-bound", data, out, seeds, jobs, base, quick=quick, steps=steps)


@bench.command("switches")
def switches(
    data: Data,
    out: Results,
    seeds: Seeds = "0,1,2,3,4",
    quick: Quick = False,
    jobs: Jobs = 1,
    preset: Preset = "default",
    backbone: Backbone = None,
    weights: Weights = None,
    settings: Settings = None,
    cycles: Annotated[
        int | None, typer.Option(help="After the start; 3, or none if quick.", min=0)
    ] = None,
    switch: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE;… to throw instead of alnb's own; may be repeated."),
    ] = None,
    folds: Annotated[int, typer.Option(help="Of the train part; a seed's is its number.")] = 5,
) -> None:
    """Cross-validate settings inside the train part, each against the default.

    No test slice is looked at: choose here, report elsewhere.
    """
    base = config_of(preset, **changes_of(backbone, weights, settings))
    thrown = {
        text: dict(setting_of(part, "--switch") for part in text.split(";"))
        for text in switch or ()
    }
    options: dict[str, Any] = {"cycles": cycles, "switches": thrown, "folds": folds}
    _experiment("switches", data, out, seeds, jobs, base, quick=quick, **options)


def _experiment(
    name: str,
    data: Path,
    out: Path,
    seeds: str,
    jobs: int,
    base: Config,
    **options: Any,  # noqa: ANN401 - of several kinds
) -> None:
    """Carry an experiment out, with the fields of its `Options`, and say what it showed."""
    import shlex

    from alnb.dataset import Dataset
    from alnb.experiments.plan import Options, planned, seeds_of
    from alnb.experiments.report import draw, perform

    dataset = Dataset.open(data)
    experiment = planned(name, dataset, base, Options(**options))
    for note in experiment.notes:
        say(f"note: {note}")
    with progress_bar(name) as update:

        def on_start(clock: Clock) -> None:
            update(total=clock.runs, completed=clock.done)

        def on_cycle(run: Run, report: CycleReport, clock: Clock) -> None:
            say(f"{run.arm.label}, seed {run.seed}: {line_of(report)}; {clock.left}")
            update(completed=clock.done, note=clock.left)

        result = perform(
            experiment, dataset, out, seeds_of(seeds), jobs=jobs,
            command=shlex.join(["alnb", *sys.argv[1:]]), on_start=on_start, on_cycle=on_cycle,
        )  # fmt: skip
    for line in result.verdicts:
        say(line)
    say(f"Written: {out / name}.csv, {out / name}.json, {out / name}.html.")
    say(draw(result, out))
    say(f"Next: alnb bench report {out}")


@bench.command("report")
def report(
    folder: Annotated[Path, typer.Argument(help="Where experiments put their results.")],
) -> None:
    """Put a folder's figures on one page beside the paper's numbers, with verdicts."""
    from alnb.experiments.report import report as write_report

    path, verdicts = write_report(folder)
    for line in verdicts:
        say(line)
    say(f"Written: {path}")
