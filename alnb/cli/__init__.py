"""The command line ``alnb``; ``alnb COMMAND --help`` explains each command."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import alnb
from alnb.cli.data import fetches, imports, phantom
from alnb.cli.experiments import bench, compare, explore
from alnb.cli.options import (
    Backbone,
    Browser,
    Data,
    Heuristic,
    Out,
    Port,
    Preset,
    Seed,
    Settings,
    Weights,
    changes_of,
    config_of,
    line_of,
    progress_bar,
    say,
    shared_of,
)
from alnb.config import THREADS
from alnb.errors import AlnbError, SessionError, path_sentence

if TYPE_CHECKING:
    from alnb.dataset import Dataset
    from alnb.reports import CycleReport

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Label chest CT by region with clicks while a network learns which region to ask next.",
)
app.add_typer(imports, name="import")
app.add_typer(fetches, name="fetch")
app.add_typer(bench, name="bench")
app.command()(phantom)
app.command()(explore)
app.command()(compare)

INTERRUPTED = 130  # a shell's number for Ctrl-C; typer exits with it on a KeyboardInterrupt


@app.command()
def run(
    data: Data,
    out: Annotated[Path, typer.Option(help="The run's folder; a stopped run there goes on.")],
    cycles: Annotated[int | None, typer.Option(help="Trainings after the first.", min=0)] = None,
    heuristic: Heuristic = None,
    seed: Seed = 0,
    preset: Preset = "default",
    backbone: Backbone = None,
    weights: Weights = None,
    budget: Annotated[float | None, typer.Option(help="Nominal seconds to spend at most.")] = None,
    settings: Settings = None,
) -> None:
    """Simulate the annotator from the masks, and write the learning curve.

    Writes journal.jsonl, curve.csv, curve.html and the weights. From the fourth training on it
    says what another minute of labelling is expected to bring.
    """
    from alnb.dataset import Dataset
    from alnb.experiments.run import simulate, why_ended
    from alnb.forecast import forecast
    from alnb.journal import Journal
    from alnb.state import state_of
    from alnb.storage import JOURNAL

    changes = {"seed": seed, "budget_s": budget}
    config = config_of(preset, **(changes | changes_of(backbone, weights, settings, heuristic)))
    dataset = Dataset.open(data)
    last = config.cycles if cycles is None else cycles
    reports = [*state_of(Journal(out / JOURNAL).events).reports]
    with progress_bar("start") as update:

        def on_step(stage: str, done: int, total: int, **numbers: float) -> None:
            loss = f", loss {numbers['loss']:.3f}" if "loss" in numbers else ""
            update(note=f"{stage} {done} of {total}{loss}", completed=done, total=total)

        def on_cycle(report: CycleReport) -> None:
            reports.append(report)
            say("; ".join(filter(None, (line_of(report), forecast(reports).short))))
            update(description=f"cycle {report.cycle + 1} of {last}")

        simulate(dataset, out, config, cycles=cycles, progress=on_step, on_cycle=on_cycle)
    state = state_of(Journal(out / JOURNAL).events)
    if ended := why_ended(state, last):
        say(f"Ended: {ended}.")
    say(forecast(state.reports).sentence)
    say(f"Written: {out / 'curve.csv'}, {out / 'curve.html'}, {out / JOURNAL}.")


@app.command()
def label(
    data: Annotated[
        Path | None,
        typer.Argument(help="A dataset's folder; by default you choose on a start page."),
    ] = None,
    session: Annotated[
        Path | None,
        typer.Option(
            help="The session's folder; a session there goes on. Without it a dataset has one "
            "session in your user data folder; the terminal prints where."
        ),
    ] = None,
    port: Port = None,
    browser: Browser = True,
    annotator: Annotated[
        str | None,
        typer.Option(
            help="Your name, kept with every answer; the page can change it. Without it, the name "
            "of the person who answered last in the session."
        ),
    ] = None,
    heuristic: Heuristic = None,
    backbone: Backbone = None,
    weights: Weights = None,
    share: Annotated[
        str | None,
        typer.Option(
            help="Which part of the slices you label, and of how many: 2/3. Others label the rest."
        ),
    ] = None,
    overlap: Annotated[
        float | None,
        typer.Option(help="Share of the slices, and of your questions, that all have in common."),
    ] = None,
    settings: Settings = None,
) -> None:
    """Open the label app in a browser; settings apply to a new session only."""
    import json

    from alnb.annotation import name_of
    from alnb.serve import app_notebook, serve
    from alnb.session import default_folder

    changes = changes_of(backbone, weights, settings, heuristic) | shared_of(share, overlap)
    config_of("default", **changes)
    if session is not None and session.exists() and not session.is_dir():
        raise SessionError(f"{session}: it is a file. Name the session's folder.")
    env = {"ALNB_SETTINGS": json.dumps(changes), "ALNB_ANNOTATOR": name_of(annotator or "")}
    named = {"ALNB_DATA": data, "ALNB_SESSION": session}
    env |= {name: str(path.resolve()) for name, path in named.items() if path is not None}
    if choose := not (data or session or changes):
        env["ALNB_START"] = str(Path.cwd())
    with ThreadPoolExecutor(1) as drawing:
        opening = drawing.submit(_dataset, data)  # the embedded one is drawn while the page starts
        if data is not None:
            opening.result()
        with serve(app_notebook("label"), port=port, open_browser=browser, env=env) as server:
            say(f"Open {server.address}")
            dataset = opening.result()
            folder = (session or default_folder(dataset)).resolve()
            place = f"Labelling {dataset.name}; answers are kept in {folder}"
            say("Choose a session or scans on the page." if choose else place)
            say("Ctrl-C ends it; nothing is lost.")
            raise typer.Exit(server.wait())


def _dataset(data: Path | None) -> Dataset:
    from alnb.dataset import Dataset, embedded

    return embedded() if data is None else Dataset.open(data)


@app.command()
def export(
    session: Annotated[Path, typer.Argument(help="A session's or run's folder.")],
    out: Out,
    data: Annotated[
        Path | None, typer.Option(help="Its dataset; by default where it was labelled.")
    ] = None,
    dicom_seg: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the source series: writes the masks as DICOM Segmentation too. It "
            "names the patient, as the series does."
        ),
    ] = None,
    seg_type: Annotated[
        str, typer.Option(help="binary: masks. fractional: probabilities.")
    ] = "binary",
) -> None:
    """Write a session's clicks (CSV, COCO), curve, journal, network and masks (NIfTI, PNG)."""
    from alnb.export.dicom_seg import write_dicom_seg
    from alnb.export.export import write_export

    if dicom_seg is not None:  # first: it may be the wrong folder
        for path in write_dicom_seg(session, out, dicom_seg, kind=seg_type, data=data):
            say(f"Written: {path}")
    with progress_bar("exporting") as update:

        def progress(done: int, total: int) -> None:
            update(note=f"masks {done} of {total}", completed=done, total=total)

        for path in write_export(session, out, data, progress):
            say(f"Written: {path}")


@app.command()
def merge(
    sessions: Annotated[list[Path], typer.Argument(help="The folders of two sessions or more.")],
    out: Annotated[Path, typer.Option(help="The new session's folder.")],
    conflicts: Annotated[
        str,
        typer.Option(
            help="Whose answer stands where people disagree: ask, majority, last, or a NAME. ask "
            "leaves it open, and the label app asks these regions first."
        ),
    ] = "ask",
    data: Annotated[
        Path | None, typer.Option(help="Their dataset; by default where it was labelled.")
    ] = None,
) -> None:
    """Merge several people's sessions on one dataset, and say how far they agree."""
    from alnb import agreement
    from alnb.merge import merge
    from alnb.storage import AGREEMENT, JOURNAL

    merged = merge(sessions, out, conflicts, data)
    for line in (
        merged.sentence,
        *merged.notes,
        "",
        agreement.aligned(agreement.pair_cells(merged.pairs)),
        "",
        agreement.aligned(agreement.person_cells(merged.persons)),
        "",
        agreement.ABOUT,
        *(f"Written: {out / name}" for name in (JOURNAL, *AGREEMENT)),
        f"Next: alnb label {merged.dataset.folder} --session {out}",
    ):
        say(line)


@app.command()
def doctor() -> None:
    """Check what alnb needs on this machine, and say how to get what is missing."""
    from alnb.export.doctor import check

    findings = check()
    for finding in findings:
        say(finding.line)
    raise typer.Exit(any(finding.needed and not finding.ok for finding in findings))


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        say(alnb.__version__)
        raise typer.Exit


def main() -> None:
    """Run a command; what a person can mend is a sentence on the terminal, not a trace."""
    for name, value in THREADS.items():
        os.environ.setdefault(name, value)
    try:
        app()
    except (AlnbError, OSError, UnicodeError) as error:
        sys.stderr.write(f"alnb: {_sentence(error)}\n")
        raise SystemExit(1) from None
    except (KeyboardInterrupt, SystemExit) as end:
        if isinstance(end, SystemExit) and end.code != INTERRUPTED:
            raise
        sys.stderr.write("alnb: stopped. What was done is kept; the same command goes on.\n")
        raise SystemExit(INTERRUPTED) from None


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError):
        return path_sentence(error, "a file or folder of this command")
    if isinstance(error, UnicodeError) and not isinstance(error, AlnbError):
        return f"a name or a file holds letters that can't be read ({error}). Write it in UTF-8."
    return str(error)
