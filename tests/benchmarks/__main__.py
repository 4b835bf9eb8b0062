"""Benchmarks of this machine: ``python -m tests.benchmarks`` and a name."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from alnb.errors import AlnbError

from .speed import Measure

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
def memory(as_json: AsJson = False) -> None:
    """Measure the peak memory of importing a long scan; fail where a limit is not kept."""
    from .imports import measure_imports

    _check(_print(measure_imports(), as_json=as_json))


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
