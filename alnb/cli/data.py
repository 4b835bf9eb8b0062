"""``alnb import``, ``alnb fetch`` and ``alnb phantom``: datasets from scans."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alnb.cli.options import (
    Option,
    Out,
    Seed,
    add_command,
    labels_of,
    option,
    progress_bar,
    say,
    window_of,
)
from alnb.errors import DataError

if TYPE_CHECKING:
    from alnb.dataset import Dataset

imports = typer.Typer(no_args_is_help=True, help="Make a dataset from scans.")
fetches = typer.Typer(no_args_is_help=True, help="Fetch published data.")

SPLIT = (
    "scan, sep, mixed, or a CSV file with columns scan[,z],part. scan: whole scans, 60 % train, "
    "10 % val, 30 % test, by seed."
)
TEXTS = list[str] | None
OPTIONS: dict[str, Option] = {
    "masks": option(Path | None, "Folder of masks of the same names, or as x_mask for x.", None),
    "size": option(int, "Side of the working grid, in pixels.", 352),
    "split": option(str, SPLIT, "scan"),
    "window": option(str, "LOW,HIGH in HU: what the network sees.", "-1250,250"),
    "skip": option(TEXTS, "A scan to leave out; may be repeated.", None),
    "flip": option(
        TEXTS, "Scans, by name or pattern, that lie upside down in spite of their header.", None
    ),
    "unit": option(str | None, "hu or grey, where the values allow both.", None),
    "offset": option(
        float | None, "Added to all values, as -1024 where HU + 1024 are stored; 0: nothing.", None
    ),
    "affine": option(
        str | None, "sform or qform: which to use where a NIfTI header names two.", None
    ),
    "infected": option(
        str | None, "LABEL,… of the masks that are infected; all others become background.", None
    ),
    "infected_above": option(
        float | None, "VALUE of the masks above which a voxel is infected, for soft edges.", None
    ),
    "pseudo_masks": option(
        bool, "A network made the masks, not a person: every report says so.", False,
        "--pseudo-masks",
    ),
    "synthetic": option(
        bool, "A program drew the scans: no network learns from other drawn scans first.", False,
        "--synthetic",
    ),
    "allow_shared": option(
        bool, "Take a split file that puts one scan into several parts.", False,
        "--allow-shared-scans",
    ),
    "seed": option(int, "Seed of everything random.", 0),
}  # fmt: skip
"""Options of imports, in the order of the help."""
SCANS = "split window skip unit allow_shared"  # what only volumes have, beside --flip
MASKED = "infected infected_above"
HEADERS = "offset affine"  # what only NIfTI has
READ: dict[str, Callable[[Any], Any]] = {
    "window": window_of, "infected": labels_of, "skip": tuple, "flip": tuple,
}  # fmt: skip


def _folder(text: str) -> Option:
    return Annotated[Path, typer.Argument(help=text)], Parameter.empty


def _add_import(name: str, text: str, takes: str, **own: Option) -> None:
    """Add ``alnb import NAME``, which `alnb.dataset.import_NAME` carries out.

    ``takes`` names the `OPTIONS` beside size and seed; ``own`` are what is read, and options
    that differ from those.
    """
    names = {*takes.split(), *own, "size", "seed"}
    source = {key: what for key, what in own.items() if key not in OPTIONS}
    shared = {key: own.get(key, what) for key, what in OPTIONS.items() if key in names}

    def carry_out(given: dict[str, Any]) -> None:
        named = {key: value for key, value in given.items() if value is not None}
        read = {key: READ[key](named[key]) for key in READ.keys() & named.keys()}
        _build(name, **named | read)

    add_command(imports, name, text, {**source, "out": (Out, Parameter.empty), **shared}, carry_out)


def _build(name: str, *, out: Path, **options: Any) -> None:  # noqa: ANN401 - as READ makes them
    """Import with an importer of `alnb.dataset`, and say what came of it."""
    import alnb.dataset
    from alnb.dataset.manifest import MANIFEST

    if (out / MANIFEST).exists():
        raise DataError(
            f"{out} holds a dataset already, and sessions on it could not be opened with another "
            "one. Name a new folder with --out, or delete that one."
        )
    make = getattr(alnb.dataset, f"import_{name}")
    with progress_bar("importing") as update:

        def progress(scan: str, count: int) -> None:
            update(note=f"{count} scans, last {scan}", completed=count)

        _describe(make(out=out, progress=progress, **options))


def _describe(dataset: Dataset) -> None:
    from alnb.dataset.manifest import AUDIT, PARTS

    counts = {part: len(dataset.part(part)) for part in PARTS}
    parts = ", ".join(f"{part} {count}" for part, count in counts.items() if count)
    masks = "with masks" if dataset.has_masks else "without masks"
    say(
        f"{dataset.name}: {len(dataset.scans)} scans, {len(dataset.slices)} slices of "
        f"{dataset.size}×{dataset.size} pixels, {masks}; {parts}."
    )
    for note in dataset.notes:
        say(f"  note: {note}")
    say(f"Look at {dataset.folder / AUDIT}: three slices of each scan, as they will be shown.")
    say(f"Written to {dataset.folder}. Next: alnb label {dataset.folder}")


_add_import(
    "medseg",
    """Import MedSeg's nine scans (COVID-19-A), or its slices with their own parts.

    rp_im/N.nii.gz and rp_msk/N.nii.gz are the scans: 1 ground-glass, 2 consolidation, 3
    effusion, all infected. train_im, train_msk, test_im and test_msk are the slices.
    """,
    f"skip flip unit {HEADERS} {MASKED}",
    folder=_folder("With rp_im and rp_msk, or with train_im.nii.gz, …"),
    size=option(int | None, "Side of the working grid; 352 for scans, 256 for slices.", None),
    split=option(str | None, "Of scans, as in alnb import nifti; by default sep.", None),
)
_add_import(
    "covid19a",
    """Import COVID-19-A from DICOM series and PNG masks.

    OpenSourceDCMs/DCM1/…s0012… has its mask in InfectionMasks/1_z12.png. MedSeg's NIfTI of the
    same scans: alnb import medseg.
    """,
    f"{SCANS} {MASKED}",
    folder=_folder("With OpenSourceDCMs and InfectionMasks."),
    split=option(str, SPLIT, "sep"),
)
_add_import(
    "covid19b",
    """Import COVID-19-B, as alnb fetch covid19-b unpacks it.

    In some copies the radiopaedia scans lie upside down in spite of their headers. Look at one:
    if its spine is at the top, import again with --flip 'radiopaedia_*'.
    """,
    f"{SCANS} {HEADERS} flip {MASKED} pseudo_masks",
    folder=_folder("With COVID-19-CT-Seg_20cases and Infection_Mask."),
    split=option(str, SPLIT, "sep"),
)
_add_import(
    "semiseg",
    """Import COVID-SemiSeg's pictures, with their own train and test parts.

    TrainingSet/LungInfection-Train/Doctor-label and TestingSet/LungInfection-Test hold slices in
    Imgs and masks in GT. Pseudo-labels and the set of several classes are not read.
    """,
    f"skip {MASKED}",
    folder=_folder("With TrainingSet and TestingSet, or with Imgs and GT."),
    split=option(str, "Where only one set is there; both have their own parts.", "scan"),
)
_add_import(
    "nifti",
    "Import NIfTI volumes, paired with their masks by file name.",
    f"masks {SCANS} {HEADERS} flip {MASKED} pseudo_masks synthetic",
    images=option(Path, "Folder of .nii, .nii.gz or .hdr volumes."),
)
_add_import(
    "pairs",
    "Import pictures of single slices, paired with their masks by file name.",
    f"masks split skip unit offset {MASKED} pseudo_masks synthetic",
    images=option(Path, "Folder of PNG or JPEG slices."),
)
_add_import(
    "dicom",
    """Import DICOM series, without masks.

    Folders are searched to any depth. Slices are sorted by position; notes name doubles and gaps,
    and count what was left out. Names and ids of patients are not copied. Compressed JPEG needs pip
    install 'alnb\\[dicom]'.
    """,
    f"{SCANS} synthetic",
    folder=_folder("One series, a folder of series, or a CD."),
    offset=option(
        float | None,
        "Added to the values of series without a RescaleIntercept, such as -1024.",
        None,
    ),
    acquisition=option(int | None, "Which of several acquisitions that lie in one another.", None),
)


def phantom(
    out: Out,
    scans: Annotated[int, typer.Option(help="How many patients.")] = 6,
    size: Annotated[int, typer.Option(help="Side of the slices, in pixels.")] = 352,
    seed: Seed = 0,
) -> None:
    """Make synthetic chest CT with lesions: the embedded data."""
    _build("phantom", out=out, scans=scans, size=size, seed=seed)


@fetches.command("covid19-b")
def fetch_covid19b(
    out: Annotated[Path, typer.Option(help="Where to put archives and scans.")] = Path("covid19-b"),
    lungs: Annotated[bool, typer.Option("--lungs", help="Fetch the lungs' masks as well.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Accept the licence without asking.")] = False,
) -> None:
    """Fetch COVID-19-B, 20 CT scans with masks, from Zenodo's record 3757476.

    About 1.1 GB. Its licence is shown first. A download that broke off goes on where it was;
    complete files are not fetched again; every archive is checked by its SHA-256.
    """
    from alnb.dataset.fetch import LICENCE
    from alnb.dataset.fetch import fetch_covid19b as fetch

    say(LICENCE)
    if not yes:
        typer.confirm("Fetch it?", abort=True)
    with progress_bar("fetching") as update:

        def progress(name: str, here: int, total: int) -> None:
            text = f"{name}, {here / 1e6:.0f} of {total / 1e6:.0f} MB"
            update(note=text, completed=here, total=total or None)

        for folder in fetch(out, lungs=lungs, progress=progress):
            say(f"Unpacked: {folder}")
    say(f"Next: alnb import covid19b {out} --out DATA")
