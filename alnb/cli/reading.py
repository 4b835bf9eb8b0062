"""``alnb explore`` and ``alnb compare``: pages that read runs and sessions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from alnb.cli.terminal import say
from alnb.errors import SessionError

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
    from alnb.bench.compare import Comparison, write
    from alnb.bench.gathered import find_runs, group, natural, read_runs

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
