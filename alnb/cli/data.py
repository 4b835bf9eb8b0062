"""``alnb import``, ``alnb fetch`` and ``alnb phantom``: datasets from scans."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alnb.cli.options import (
    AllowShared,
    Flip,
    Infected,
    Out,
    Seed,
    Size,
    Skip,
    Split,
    Unit,
    WindowText,
    labels_of,
    progress_bar,
    say,
    window_of,
)
from alnb.errors import DataError

if TYPE_CHECKING:
    from alnb.dataset import Dataset

imports = typer.Typer(no_args_is_help=True, help="Make a dataset from scans.")
fetches = typer.Typer(no_args_is_help=True, help="Fetch published data.")


def _build(make: Any, *sources: Path, out: Path, **options: Any) -> None:  # noqa: ANN401
    """Import with any importer, and tell what came of it."""
    from alnb.dataset.dataset import MANIFEST

    if (out / MANIFEST).exists():
        raise DataError(
            f"{out} holds a dataset already, whose sessions another would shut out. Name a new "
            "folder with --out, or delete that one."
        )
    with progress_bar("importing") as update:

        def progress(scan: str, count: int) -> None:
            update(note=f"{count} scans, last {scan}")

        dataset = make(*sources, out=out, progress=progress, **options)
    _tell(dataset)


def _tell(dataset: Dataset) -> None:
    parts = ", ".join(
        f"{part} {len(dataset.part(part))}"
        for part in ("train", "val", "test")
        if dataset.part(part)
    )
    masks = "with masks" if dataset.has_masks else "without masks"
    say(
        f"{dataset.name}: {len(dataset.scans)} scans, {len(dataset.slices)} slices of "
        f"{dataset.size}×{dataset.size} pixels, {masks}; {parts}."
    )
    for note in dataset.notes:
        say(f"  note: {note}")
    say(f"Written to {dataset.folder}. Next: alnb label {dataset.folder}")


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

    given = {"size": size, "split": split, "infected": labels_of(infected)}
    options = {name: value for name, value in given.items() if value is not None}
    _build(
        make, folder, out=out, skip=tuple(skip or ()), flip=tuple(flip or ()), unit=unit, seed=seed,
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
        make, folder, out=out, size=size, split=split, window=window_of(window), unit=unit,
        seed=seed, skip=tuple(skip or ()), infected=labels_of(infected), allow_shared=allow_shared,
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
        make, folder, out=out, size=size, split=split, window=window_of(window), unit=unit,
        seed=seed, skip=tuple(skip or ()), flip=tuple(flip or ()), infected=labels_of(infected),
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
        make, folder, out=out, size=size, split=split, skip=tuple(skip or ()),
        infected=labels_of(infected), seed=seed,
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
        make, images, out=out, masks=masks, size=size, split=split, window=window_of(window),
        skip=tuple(skip or ()), flip=tuple(flip or ()), unit=unit, seed=seed,
        infected=labels_of(infected), allow_shared=allow_shared,
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
        make, images, out=out, masks=masks, size=size, split=split, skip=tuple(skip or ()),
        seed=seed, infected=labels_of(infected),
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
        make, folder, out=out, size=size, split=split, window=window_of(window), unit=unit,
        seed=seed, skip=tuple(skip or ()), allow_shared=allow_shared,
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


def phantom(
    out: Out,
    scans: Annotated[int, typer.Option(help="How many patients.")] = 6,
    size: Size = 352,
    seed: Seed = 0,
) -> None:
    """Make synthetic chest CT with lesions: the embedded data."""
    from alnb.dataset import import_phantom as make

    _build(make, out=out, scans=scans, size=size, seed=seed)
