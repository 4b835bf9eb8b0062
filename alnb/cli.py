"""The command line: ``alnb COMMAND --help`` says what each does."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import alnb
from alnb.errors import AlnbError, ConfigError, DataError, SessionError

if TYPE_CHECKING:
    from alnb.bench.running import Clock, Run
    from alnb.config import Config
    from alnb.dataset import Dataset
    from alnb.reports import CycleReport

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Label chest CT by region with clicks while a network learns which region to ask next.",
)
imports = typer.Typer(no_args_is_help=True, help="Make a dataset from scans.")
bench = typer.Typer(no_args_is_help=True, help="Measure.")
fetches = typer.Typer(no_args_is_help=True, help="Fetch published data.")
app.add_typer(imports, name="import")
app.add_typer(fetches, name="fetch")
app.add_typer(bench, name="bench")

INTERRUPTED = 130  # as shells say Ctrl-C; typer makes it of a KeyboardInterrupt

Data = Annotated[Path, typer.Argument(help="A dataset's folder, as alnb import makes it.")]
Out = Annotated[Path, typer.Option(help="Where to put it.")]
Size = Annotated[int, typer.Option(help="Side of the working grid, in pixels.")]
Split = Annotated[
    str, typer.Option(help="scan, sep, mixed, or a CSV file with columns scan[,z],part.")
]
WindowText = Annotated[str, typer.Option("--window", help="LOW,HIGH in HU: what the network sees.")]
Skip = Annotated[list[str] | None, typer.Option(help="A scan to leave out; may be repeated.")]
Flip = Annotated[
    list[str] | None,
    typer.Option(help="Scans, by name or pattern, that lie upside down in spite of their header."),
]
Unit = Annotated[str | None, typer.Option(help="hu or grey, where the values allow both.")]
Infected = Annotated[
    str | None,
    typer.Option(help="LABEL,… of the masks that are infected; all others become background."),
]
AllowShared = Annotated[
    bool,
    typer.Option(
        "--allow-shared-scans", help="Take a split file that puts one scan into several parts."
    ),
]
Seed = Annotated[int, typer.Option(help="Of everything random.")]
Backbone = Annotated[str | None, typer.Option(help="auto, vgg16, efficientnet_lite0 or timm/NAME.")]
Weights = Annotated[Path | None, typer.Option(help="A file of ImageNet weights.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="NAME=VALUE for any other setting of Config; may be repeated."),
]


def _print(text: str) -> None:
    from rich.console import Console

    Console(highlight=False, soft_wrap=True).print(text, markup=False)


@contextmanager
def _progress(text: str) -> Iterator[Any]:
    """Show a progress bar on a terminal, and nothing elsewhere."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
    with Progress(*columns, TimeElapsedColumn(), transient=True) as bar:
        task = bar.add_task(text, total=None, note="")

        def update(**changes: Any) -> None:  # noqa: ANN401 - rich's own
            bar.update(task, **changes)

        yield update


def _window(text: str) -> Any:  # noqa: ANN401 - a Window, imported late
    from alnb.arrays import Window

    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--window {text!r} can't be read; give LOW,HIGH in HU.") from None
    return Window(low, high)


def _labels(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--infected {text!r} can't be read; give LABEL,LABEL.") from None


def _build(make: Any, *args: Any, **options: Any) -> None:  # noqa: ANN401 - any importer
    out = args[-1]
    if (out / "manifest.json").exists():
        raise DataError(
            f"{out} holds a dataset already, whose sessions another would shut out. Name a new "
            "folder with --out, or delete that one."
        )
    with _progress("importing") as update:

        def progress(scan: str, count: int) -> None:
            update(note=f"{count} scans, last {scan}")

        dataset = make(*args, progress=progress, **options)
    _tell(dataset)


def _tell(dataset: Dataset) -> None:
    parts = ", ".join(
        f"{part} {len(dataset.part(part))}"
        for part in ("train", "val", "test")
        if dataset.part(part)
    )
    masks = "with masks" if dataset.has_masks else "without masks"
    _print(
        f"{dataset.name}: {len(dataset.scans)} scans, {len(dataset.slices)} slices of "
        f"{dataset.size}×{dataset.size} pixels, {masks}; {parts}."
    )
    for note in dataset.notes:
        _print(f"  note: {note}")
    _print(f"Written to {dataset.folder}. Next: alnb label {dataset.folder}")


@imports.command("medseg")
def import_medseg(
    folder: Annotated[
        Path, typer.Argument(help="With rp_im and rp_msk, or with train_im.nii.gz, …")
    ],
    out: Out,
    size: Annotated[
        int | None, typer.Option(help="Side of the working grid; 352 for scans, 256 for slices.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Of scans, as of alnb import nifti; none takes sep.")
    ] = None,
    skip: Skip = None,
    flip: Flip = None,
    unit: Unit = None,
    infected: Infected = None,
    seed: Seed = 0,
) -> None:
    """Import MedSeg's nine scans (COVID-19-A), or its slices with their own parts.

    rp_im/N.nii.gz and rp_msk/N.nii.gz are the scans: 1 ground-glass, 2 consolidation, 3
    effusion, all infected. train_im, train_msk, test_im and test_msk are the slices.
    """
    from alnb.dataset import import_medseg as make

    given = {"size": size, "split": split, "infected": _labels(infected)}
    options = {name: value for name, value in given.items() if value is not None}
    _build(
        make, folder, out, skip=tuple(skip or ()), flip=tuple(flip or ()), unit=unit, seed=seed,
        **options,
    )  # fmt: skip


@imports.command("covid19a")
def import_covid19a(
    folder: Annotated[Path, typer.Argument(help="With OpenSourceDCMs and InfectionMasks.")],
    out: Out,
    size: Size = 352,
    split: Split = "sep",
    window: WindowText = "-1250,250",
    skip: Skip = None,
    unit: Unit = None,
    infected: Infected = None,
    allow_shared: AllowShared = False,
    seed: Seed = 0,
) -> None:
    """Import COVID-19-A from DICOM series and PNG masks.

    OpenSourceDCMs/DCM1/…s0012… has its mask in InfectionMasks/1_z12.png. MedSeg's NIfTI of the
    same scans: alnb import medseg.
    """
    from alnb.dataset import import_covid19a as make

    _build(
        make, folder, out, size=size, split=split, window=_window(window), unit=unit, seed=seed,
        skip=tuple(skip or ()), infected=_labels(infected), allow_shared=allow_shared,
    )  # fmt: skip


@imports.command("covid19b")
def import_covid19b(
    folder: Annotated[
        Path, typer.Argument(help="With COVID-19-CT-Seg_20cases and Infection_Mask.")
    ],
    out: Out,
    size: Size = 352,
    split: Split = "sep",
    window: WindowText = "-1250,250",
    skip: Skip = None,
    flip: Flip = None,
    unit: Unit = None,
    infected: Infected = None,
    allow_shared: AllowShared = False,
    seed: Seed = 0,
) -> None:
    """Import COVID-19-B, as alnb fetch covid19-b unpacks it.

    No scan is turned unless told: in some copies the radiopaedia scans lie upside down in spite
    of their headers. Look at one, and where its spine is at the top give --flip 'radiopaedia_*'.
    """
    from alnb.dataset import import_covid19b as make

    _build(
        make, folder, out, size=size, split=split, window=_window(window), unit=unit, seed=seed,
        skip=tuple(skip or ()), flip=tuple(flip or ()), infected=_labels(infected),
        allow_shared=allow_shared,
    )  # fmt: skip


@imports.command("semiseg")
def import_semiseg(
    folder: Annotated[
        Path, typer.Argument(help="With TrainingSet and TestingSet, or with Imgs and GT.")
    ],
    out: Out,
    size: Size = 352,
    split: Annotated[
        str, typer.Option(help="Where only one set is there; both have their own parts.")
    ] = "scan",
    skip: Skip = None,
    infected: Infected = None,
    seed: Seed = 0,
) -> None:
    """Import COVID-SemiSeg's pictures, with their own train and test parts.

    TrainingSet/LungInfection-Train/Doctor-label and TestingSet/LungInfection-Test hold slices in
    Imgs and masks in GT. Pseudo-labels and the set of several classes are left alone.
    """
    from alnb.dataset import import_semiseg as make

    _build(
        make, folder, out, size=size, split=split, skip=tuple(skip or ()),
        infected=_labels(infected), seed=seed,
    )  # fmt: skip


@imports.command("nifti")
def import_nifti(
    images: Annotated[Path, typer.Option(help="Folder of .nii or .nii.gz volumes.")],
    out: Out,
    masks: Annotated[Path | None, typer.Option(help="Folder of masks of the same names.")] = None,
    size: Size = 352,
    split: Split = "scan",
    window: WindowText = "-1250,250",
    skip: Skip = None,
    flip: Flip = None,
    unit: Unit = None,
    infected: Infected = None,
    allow_shared: AllowShared = False,
    seed: Seed = 0,
) -> None:
    """Import NIfTI volumes, paired with their masks by file name."""
    from alnb.dataset import import_nifti as make

    _build(
        make, images, out, masks=masks, size=size, split=split, window=_window(window),
        skip=tuple(skip or ()), flip=tuple(flip or ()), unit=unit, seed=seed,
        infected=_labels(infected), allow_shared=allow_shared,
    )  # fmt: skip


@imports.command("pairs")
def import_pairs(
    images: Annotated[Path, typer.Option(help="Folder of PNG or JPEG slices.")],
    out: Out,
    masks: Annotated[Path | None, typer.Option(help="Folder of masks of the same names.")] = None,
    size: Size = 352,
    split: Split = "scan",
    skip: Skip = None,
    infected: Infected = None,
    seed: Seed = 0,
) -> None:
    """Import pictures of single slices, paired with their masks by file name."""
    from alnb.dataset import import_pairs as make

    _build(
        make, images, out, masks=masks, size=size, split=split, skip=tuple(skip or ()), seed=seed,
        infected=_labels(infected),
    )  # fmt: skip


@imports.command("dicom")
def import_dicom(
    folder: Annotated[Path, typer.Argument(help="One series, or a folder of series folders.")],
    out: Out,
    size: Size = 352,
    split: Split = "scan",
    window: WindowText = "-1250,250",
    skip: Skip = None,
    unit: Unit = None,
    allow_shared: AllowShared = False,
    seed: Seed = 0,
) -> None:
    """Import DICOM series, without masks.

    Slices are sorted by position; doubles and gaps are said. Names and ids of patients are not
    copied. Compressed JPEG needs pip install 'alnb[dicom]'.
    """
    from alnb.dataset import import_dicom as make

    _build(
        make, folder, out, size=size, split=split, window=_window(window), unit=unit, seed=seed,
        skip=tuple(skip or ()), allow_shared=allow_shared,
    )  # fmt: skip


@fetches.command("covid19-b")
def fetch_covid19b(
    out: Annotated[Path, typer.Option(help="Where to put archives and scans.")] = Path("covid19-b"),
    lungs: Annotated[bool, typer.Option("--lungs", help="Fetch the lungs' masks as well.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Take the licence as read.")] = False,
) -> None:
    """Fetch COVID-19-B, 20 CT scans with masks, from Zenodo's record 3757476.

    About 1.1 GB. Its licence is shown first. What broke off goes on where it was; what is whole
    is not fetched again; every archive is checked by its SHA-256.
    """
    from alnb.dataset.fetch import LICENCE
    from alnb.dataset.fetch import fetch_covid19b as fetch

    _print(LICENCE)
    if not yes:
        typer.confirm("Fetch it?", abort=True)
    with _progress("fetching") as update:

        def progress(name: str, here: int, total: int) -> None:
            text = f"{name}, {here / 1e6:.0f} of {total / 1e6:.0f} MB"
            update(note=text, completed=here, total=total or None)

        for folder in fetch(out, lungs=lungs, progress=progress):
            _print(f"Unpacked: {folder}")
    _print(f"Next: alnb import covid19b {out} --out DATA")


@app.command()
def phantom(
    out: Out,
    scans: Annotated[int, typer.Option(help="How many patients.")] = 6,
    size: Size = 352,
    seed: Seed = 0,
) -> None:
    """Make synthetic chest CT with lesions: the embedded data."""
    from alnb.dataset import import_phantom as make

    _build(make, out, scans=scans, size=size, seed=seed)


def _setting(text: str) -> tuple[str, Any]:
    """Read NAME=VALUE; the value is JSON, or else a word."""
    import json

    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set {text!r} can't be read; give NAME=VALUE, for example steps=60.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _changes(
    backbone: str | None, weights: Path | None, settings: list[str] | None
) -> dict[str, Any]:
    """Gather the settings that were named; a file's path holds from any folder."""
    if weights is not None and not weights.is_file():
        raise ConfigError(f"--weights {weights}: there is no such file. Check the path.")
    named = {"backbone": backbone, "weights": str(weights.resolve()) if weights else None}
    given = {name: value for name, value in named.items() if value is not None}
    return given | dict(map(_setting, settings or ()))


def _config(preset: str, **changes: Any) -> Config:  # noqa: ANN401 - any setting
    from alnb.acquisition import check_heuristic
    from alnb.config import PRESETS

    if preset not in PRESETS:
        raise ConfigError(f"preset {preset!r} is unknown; there are {', '.join(PRESETS)}.")
    given = {name: value for name, value in changes.items() if value is not None}
    config = PRESETS[preset].replace(**given)
    check_heuristic(config.heuristic)
    return config


@app.command()
def run(
    data: Data,
    out: Annotated[Path, typer.Option(help="The run's folder; a stopped run there goes on.")],
    cycles: Annotated[int | None, typer.Option(help="After the start.", min=0)] = None,
    heuristic: Annotated[str | None, typer.Option(help="entropy, bald or random.")] = None,
    seed: Seed = 0,
    preset: Annotated[str, typer.Option(help="default or paper.")] = "default",
    backbone: Backbone = None,
    weights: Weights = None,
    budget: Annotated[float | None, typer.Option(help="Nominal seconds to spend at most.")] = None,
    settings: Settings = None,
) -> None:
    """Simulate the annotator from the masks, and write the learning curve."""
    from alnb.bench.simulate import simulate, why_ended
    from alnb.dataset import Dataset

    changes = {"heuristic": heuristic, "seed": seed, "budget_s": budget}
    config = _config(preset, **(changes | _changes(backbone, weights, settings)))
    dataset = Dataset.open(data)
    last = config.cycles if cycles is None else cycles
    with _progress("start") as update:

        def on_step(stage: str, done: int, total: int, **numbers: float) -> None:
            loss = f", loss {numbers['loss']:.3f}" if "loss" in numbers else ""
            update(note=f"{stage} {done} of {total}{loss}", completed=done, total=total)

        def on_cycle(report: CycleReport) -> None:
            _print(_line(report))
            update(description=f"cycle {report.cycle + 1} of {last}")

        reports = simulate(
            dataset, out, config, cycles=cycles, progress=on_step, on_cycle=on_cycle
        )
    if ended := why_ended(reports, last, config):
        _print(f"Ended: {ended}.")
    _print(f"Written: {out / 'curve.csv'}, {out / 'curve.html'}, {out / 'journal.jsonl'}.")


def _line(report: CycleReport) -> str:
    scores = report.scores
    dice = f"Dice {scores.dice:.3f}, specificity {scores.specificity:.3f}" if scores else ""
    return (
        f"cycle {report.cycle:3d}  {report.cost.nominal_s:6.0f} s  {dice}  "
        f"(trained {report.fit.train_s:.1f} s, scored {report.score_s:.1f} s)"
    )


@app.command()
def label(
    data: Annotated[
        Path | None, typer.Argument(help="A dataset's folder; none takes the embedded phantom.")
    ] = None,
    session: Annotated[
        Path | None, typer.Option(help="The session's folder; one there goes on where it was.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="None takes a free one.")] = None,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
    backbone: Backbone = None,
    weights: Weights = None,
    settings: Settings = None,
) -> None:
    """Open the label app in a browser; settings are for a new session."""
    import json

    from alnb.serve import app_notebook, serve
    from alnb.session import default_folder

    changes = _changes(backbone, weights, settings)
    _config("default", **changes)
    env = {"ALNB_SETTINGS": json.dumps(changes)}
    if data is not None:
        env["ALNB_DATA"] = str(data.resolve())
    with ThreadPoolExecutor(1) as drawing:
        opening = drawing.submit(_dataset, data)  # the embedded one is drawn while the page starts
        if data is not None:
            opening.result()
        if session is not None:
            env["ALNB_SESSION"] = str(session.resolve())
        with serve(app_notebook("label"), port=port, open_browser=browser, env=env) as server:
            _print(f"Open {server.address}")
            dataset = opening.result()
            folder = (session or default_folder(dataset)).resolve()
            _print(f"Labelling {dataset.name}; answers are kept in {folder}")
            _print("Ctrl-C ends it; nothing is lost.")
            raise typer.Exit(server.wait())


def _dataset(data: Path | None) -> Dataset:
    from alnb.dataset import Dataset, embedded

    return embedded() if data is None else Dataset.open(data)


@app.command()
def explore(
    run: Annotated[Path, typer.Argument(help="A run's or session's folder.")],
    data: Annotated[
        Path | None, typer.Option(help="Its dataset; none looks where it was labelled.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="None takes a free one.")] = None,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
) -> None:
    """Step through the cycles of a run or session in a browser."""
    from alnb.serve import app_notebook, serve

    if not (run / "journal.jsonl").exists():
        raise SessionError(f"{run} holds no session: there is no journal.jsonl in it.")
    env = {"ALNB_SESSION": str(run.resolve())}
    if data is not None:
        env["ALNB_DATA"] = str(data.resolve())
    with serve(app_notebook("explore"), port=port, open_browser=browser, env=env) as server:
        _print(f"Open {server.address}")
        raise typer.Exit(server.wait())


@app.command()
def export(
    session: Annotated[Path, typer.Argument(help="A session's or run's folder.")],
    out: Out,
    data: Annotated[
        Path | None, typer.Option(help="Its dataset; none looks where it was labelled.")
    ] = None,
) -> None:
    """Write a session's clicks and curve as CSV, and its predicted masks as NIfTI."""
    from alnb.bench.export import export as write

    for path in write(session, out, data):
        _print(f"Written: {path}")


@app.command()
def doctor() -> None:
    """Check what alnb needs on this machine, and say what to do about what is missing."""
    from alnb.bench.doctor import check

    findings = check()
    for finding in findings:
        _print(f"{'ok ' if finding.ok else 'NOT'}  {finding.text}")
    raise typer.Exit(0 if all(finding.ok or not finding.needed for finding in findings) else 1)


@bench.command("speed")
def speed(
    data: Annotated[
        Path | None, typer.Option(help="A dataset for the whole cycle; none takes the phantom.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure start-up, a whole cycle, opening a large dataset, and click to marker."""
    from alnb.bench.speed import measure

    measures = []
    for one in measure(data):
        measures.append(one)
        if not as_json:
            _print(one.line())
    if as_json:
        import json

        _print(json.dumps([one.to_dict() for one in measures], indent=1))


Seeds = Annotated[str, typer.Option(help="A run for each: 0,1,2.")]
Results = Annotated[Path, typer.Option(help="The results' folder; runs stopped there go on.")]
Quick = Annotated[bool, typer.Option(help="Less of all, to see that it works; own --out.")]
Jobs = Annotated[int, typer.Option(help="Runs at a time; they share the cores.")]
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
    cycles: Annotated[int | None, typer.Option(help="After the start; 25, or 5 if quick.")] = None,
) -> None:
    """Compare entropy with random, cycle by cycle (the paper's figure 5)."""
    base = _config(preset, **_changes(backbone, weights, settings))
    _experiment("fig5", data, out, seeds, jobs, base, quick=quick, cycles=cycles)


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
    base = _config(preset, **_changes(backbone, weights, settings))
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
    base = _config(preset, **_changes(backbone, weights, settings))
    _experiment("fig7", data, out, seeds, jobs, base, quick=quick)


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
    base = _config(preset, **_changes(backbone, weights, settings))
    _experiment("upper-bound", data, out, seeds, jobs, base, quick=quick, steps=steps)


def _experiment(
    name: str, data: Path, out: Path, seeds: str, jobs: int, base: Config, *,
    quick: bool, cycles: int | None = None, steps: int | None = None,
) -> None:  # fmt: skip
    """Carry an experiment of the paper out and say what it showed."""
    import shlex

    from alnb.bench.experiments import EXPERIMENTS, Options, seeds_of
    from alnb.bench.publish import draw, perform
    from alnb.dataset import Dataset

    dataset = Dataset.open(data)
    options = Options(quick=quick, cycles=cycles, steps=steps)
    experiment = EXPERIMENTS[name](dataset, base, options)
    for note in experiment.notes:
        _print(f"note: {note}")
    with _progress(name) as update:

        def on_start(clock: Clock) -> None:
            update(total=clock.runs, completed=clock.done)

        def on_cycle(run: Run, report: CycleReport, clock: Clock) -> None:
            _print(f"{run.arm.label}, seed {run.seed}: {_line(report)}; {clock.left}")
            update(completed=clock.done, note=clock.left)

        result = perform(
            experiment, dataset, out, seeds_of(seeds), jobs=jobs,
            command=shlex.join(["alnb", *sys.argv[1:]]), on_start=on_start, on_cycle=on_cycle,
        )  # fmt: skip
    for line in result.verdicts:
        _print(line)
    _print(f"Written: {out / name}.csv, {out / name}.json, {out / name}.html.")
    _print(draw(result, out))
    _print(f"Next: alnb bench report {out}")


@bench.command("report")
def report(
    folder: Annotated[Path, typer.Argument(help="Where experiments put their results.")],
) -> None:
    """Put a folder's figures on one page beside the paper's numbers, with verdicts."""
    from alnb.bench.publish import report as write

    path, verdicts = write(folder)
    for line in verdicts:
        _print(line)
    _print(f"Written: {path}")


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        _print(alnb.__version__)
        raise typer.Exit


def main() -> None:
    """Run a command; what goes wrong on purpose is a sentence, not a trace."""
    # read when torch is loaded: threads that wait must not take the cores from those that work
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app()
    except AlnbError as error:
        sys.stderr.write(f"alnb: {error}\n")
        raise SystemExit(1) from None
    except (KeyboardInterrupt, SystemExit) as end:
        if isinstance(end, SystemExit) and end.code != INTERRUPTED:
            raise
        sys.stderr.write("alnb: stopped; what was done is kept, the same command goes on.\n")
        raise SystemExit(INTERRUPTED) from None
