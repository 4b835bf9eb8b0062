"""``alnb bench``: speed, and the paper's experiments."""

from __future__ import annotations

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
    setting_of,
)
from alnb.cli.terminal import line_of, progress_bar, say
from alnb.errors import AlnbError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alnb.bench.running import Clock, Run
    from alnb.bench.speed import Measure
    from alnb.config import Config
    from alnb.reports import CycleReport

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
bench = typer.Typer(no_args_is_help=True, help="Measure.")


@bench.command("speed")
def speed(
    data: Annotated[
        Path | None, typer.Option(help="A dataset for the whole cycle; none takes the phantom.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure start-up, a whole cycle, opening a large dataset, and click to marker."""
    from alnb.bench.speed import measure

    _print(measure(data), as_json=as_json)


@bench.command("ui")
def ui(
    data: Annotated[
        Path | None, typer.Option(help="A dataset to label; none takes the phantom.")
    ] = None,
    answers: Annotated[
        int, typer.Option(min=2, help="Over which memory is weighed; 1,000 take ten minutes.")
    ] = 1000,
    as_json: AsJson = False,
) -> None:
    """Measure what a person of the label app waits for, and its memory, in a real browser.

    It fails where a limit is not kept to.
    """
    from alnb.bench.use import measure_use

    missed = [one for one in _print(measure_use(data, answers), as_json=as_json) if not one.kept]
    if missed:
        raise AlnbError(f"over the limit: {'; '.join(one.what for one in missed)}.")


def _print(found: Iterable[Measure], *, as_json: bool) -> list[Measure]:
    """Print each figure as it is found, or all as JSON; return them."""
    measures = []
    for one in found:
        measures.append(one)
        if not as_json:
            say(one.line())
    if as_json:
        import json

        say(json.dumps([one.to_dict() for one in measures], indent=1))
    return measures


@bench.command("shots")
def shots(
    out: Annotated[Path, typer.Argument(help="Gets app_label.png, app_start.png and others.")],
    data: Annotated[
        Path | None, typer.Option(help="A dataset with masks; none takes the phantom.")
    ] = None,
) -> None:
    """Photograph the apps after real runs; takes some minutes."""
    from alnb.bench.shots import photograph

    for path in photograph(out, data):
        say(f"Written: {path}")


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
    from alnb.bench.experiments import arms_of

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

    from alnb.bench.experiments import planned, seeds_of
    from alnb.bench.plan import Options
    from alnb.bench.publish import draw, perform
    from alnb.dataset import Dataset

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
    from alnb.bench.publish import report as write_report

    path, verdicts = write_report(folder)
    for line in verdicts:
        say(line)
    say(f"Written: {path}")
