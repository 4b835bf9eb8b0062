"""Benchmarks of this machine: ``python -m tests.benchmarks`` and a name."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from alnb.config import THREADS
from alnb.errors import AlnbError

for name, value in THREADS.items():  # before NumPy, as alnb's own commands do
    os.environ.setdefault(name, value)

from .speed import Measure  # noqa: E402

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Measure this machine.")
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Data = Annotated[Path | None, typer.Option(help="A dataset to label; none takes the phantom.")]


@app.command()
def speed(data: Data = None, as_json: AsJson = False) -> None:
    """Measure start-up, a whole cycle, opening a large dataset, and click to mark."""
    from .speed import measure

    _print(measure(data), as_json=as_json)


@app.command()
def browser(
    data: Data = None,
    answers: Annotated[
        int, typer.Option(min=2, help="Answers given while memory is watched; 1,000: 10 minutes.")
    ] = 1000,
    as_json: AsJson = False,
) -> None:
    """Measure what a person waits for in a real browser; fail where a limit is not kept."""
    from .browser_timing import measure_use

    _check(_print(measure_use(data, answers), as_json=as_json))


@app.command()
def waiting(
    data: Data = None,
    cycles: Annotated[int, typer.Option(min=1, help="Trainings; 5 take some minutes.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Measure what a quick person waits for while the network trains; fail above a limit."""
    from .browser_waiting import measure_waiting

    _check(_print(measure_waiting(data, cycles), as_json=as_json))


@app.command()
def memory(as_json: AsJson = False) -> None:
    """Measure the peak memory of importing a long scan; fail where a limit is not kept."""
    from .imports import measure_imports

    _check(_print(measure_imports(), as_json=as_json))


@app.command()
def large(as_json: AsJson = False) -> None:
    """Measure how long a person waits with 100,000 slices; fail where a limit is not kept."""
    from .large import measure_large

    _check(_print(measure_large(), as_json=as_json))


@app.command()
def live(
    out: Annotated[Path | None, typer.Argument(help="Gets NAME_live.csv; none: no curves.")] = None,
    data: Data = None,
    seeds: Annotated[int, typer.Option(min=1)] = 5,
    answers: Annotated[int, typer.Option(min=1)] = 107,
    folds: Annotated[int, typer.Option(help="Of the train part; 0: the test part.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Measure the live layer: how long it takes, and its curve without any training."""
    import pandas as pd

    from .live import curves, timings

    if out is None:
        _check(_print(timings(), as_json=as_json))
        return
    tables, heuristics = [], ("entropy", "random", "foreground_random")
    for table in curves(data, range(seeds), answers, heuristics, folds):
        tables.append(table)
        first, last = table.iloc[0], table.iloc[-1]
        typer.echo(f"{first.heuristic}, fold {first.fold}, seed {first.seed}: {last.dice:.3f}")
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{'phantom' if data is None else data.name}_live.csv"
    pd.concat(tables).to_csv(path, index=False)
    typer.echo(f"Written: {path}")


@app.command()
def marks(
    out: Annotated[Path, typer.Argument(help="Gets NAME_outlines.csv.")],
    data: Data = None,
    regions: Annotated[int, typer.Option(min=1, help="Drawn for each seed.")] = 150,
    seeds: Annotated[int, typer.Option(min=1)] = 3,
) -> None:
    """Measure the outline that follows a click, by how much a click counts."""
    from .marks import write_outlines

    typer.echo(f"Written: {write_outlines(out, data, regions, seeds)}")


@app.command()
def cluster(
    data: Data = None,
    pairs: Annotated[int, typer.Option(min=1, help="How often both are timed.")] = 3,
    steps: Annotated[int, typer.Option(min=1, help="Of each training.")] = 150,
    as_json: AsJson = False,
) -> None:
    """Measure what a second worker of a cluster brings; fail below 0.9 of twice as fast."""
    from .cluster import measure_cluster

    _check(_print(measure_cluster(data, pairs, steps), as_json=as_json))


@app.command()
def lungs(data: Data = None, as_json: AsJson = False) -> None:
    """Measure what is asked about in the lungs, and infection outside; fail above 1 % of train."""
    from .lungs import measure_lungs

    _check(_print(measure_lungs(data), as_json=as_json))


@app.command()
def start(
    data: Annotated[Path, typer.Argument(help="A dataset of real scans with masks.")],
    as_json: AsJson = False,
) -> None:
    """Make the start that comes with alnb, and measure what rounding it costs there."""
    from .start import make_start

    _check(_print(make_start(data), as_json=as_json))


@app.command()
def screenshots(
    out: Annotated[Path, typer.Argument(help="Gets app_label.png, app_start.png and others.")],
    data: Data = None,
) -> None:
    """Photograph the apps after real runs; takes some minutes."""
    from .screenshots import photograph

    for path in photograph(out, data):
        typer.echo(f"Written: {path}")


def _check(measures: list[Measure]) -> None:
    if missed := [one for one in measures if not one.kept]:
        raise AlnbError(f"over the limit: {'; '.join(one.what for one in missed)}.")


def _print(found: Iterable[Measure], *, as_json: bool) -> list[Measure]:
    """Print each figure as it is found, or all as JSON; return them."""
    measures = []
    for one in found:
        measures.append(one)
        if not as_json:
            typer.echo(one.line())
    if as_json:
        typer.echo(json.dumps([one.to_dict() for one in measures], indent=1))
    return measures


def main() -> None:
    """Run a benchmark; an error is one sentence and exit status 1."""
    try:
        app()
    except AlnbError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
