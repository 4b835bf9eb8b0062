"""What is attacked: for each kind of file how a good one is made, spoilt and opened by alnb."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import random
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from tests.attack import mutate

SIDE = 24  # of slices: small, so that thousands of attempts take minutes


@dataclass(frozen=True)
class Target:
    """A kind of file: `spoil` writes a spoilt one and its good partners, `open` reads them."""

    name: str
    spoil: Callable[[random.Random, Path], None]
    open: Callable[[Path], object]


def _image(rng: random.Random) -> np.ndarray:
    voxels = np.random.default_rng(rng.randrange(4)).integers(-1000, 400, (SIDE, SIDE, 3))
    kind = rng.choice(("int16", "int16", "float32", "uint8", "float64", "int32"))
    return (voxels % 256 if kind == "uint8" else voxels).astype(kind)


def _nifti_bytes(rng: random.Random, data: np.ndarray, path: Path, *, spoilt: bool) -> None:
    image = nib.Nifti1Image(data, np.diag([-0.8, -0.7, 2.0, 1.0]))
    if rng.random() < 0.3:
        image.header.set_slope_inter(rng.choice((1.0, 0.5, 2.0)), 0.0)
    header = image.header
    if spoilt and rng.random() < 0.6:
        plain = header.binaryblock + b"\0" * 4 + data.tobytes(order="F")
        struct = np.frombuffer(plain[:348], header.template_dtype).copy()
        struct["vox_offset"], struct["magic"] = 352, b"n+1"
        for _ in range(rng.choice((1, 1, 2, 3))):
            mutate.header_field(rng, struct[0])
        content = struct.tobytes() + plain[348:]
    else:
        content = image.to_bytes()
    packed = path.suffix == ".gz"
    late = rng.random() < 0.5  # spoilt within the compressed stream, or around it
    if spoilt and (not packed or not late) and rng.random() < 0.5:
        content = mutate.in_bytes(rng, content)
    if packed:
        content = gzip.compress(content, 1)
        if spoilt and late:
            content = mutate.in_bytes(rng, content)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _nifti(which: str) -> Callable[[random.Random, Path], None]:
    def spoil(rng: random.Random, folder: Path) -> None:
        ending = rng.choice((".nii", ".nii.gz"))
        mask = np.zeros((SIDE, SIDE, 3), np.uint8)
        mask[4:9, 5:8, 1] = 1
        _nifti_bytes(rng, _image(rng), folder / f"i/a{ending}", spoilt=which in ("image", "both"))
        _nifti_bytes(rng, mask, folder / f"m/a{ending}", spoilt=which in ("mask", "both"))

    return spoil


def _open_nifti(folder: Path) -> object:
    from alnb.dataset import import_nifti

    return import_nifti(folder / "i", folder / "out", masks=folder / "m", size=SIDE)


@cache
def _dicom_slice(number: int, kind: str) -> bytes:
    import io

    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import (
        CTImageStorage,
        DeflatedExplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        JPEGBaseline8Bit,
        RLELossless,
    )

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = f"1.2.3.{number + 1}"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    header.SOPClassUID, header.SOPInstanceUID = CTImageStorage, f"1.2.3.{number + 1}"
    header.StudyInstanceUID, header.SeriesInstanceUID, header.Modality = "1.2", "1.2.3", "CT"
    header.PatientName, header.PatientID = "Made^Up", "X1"
    header.InstanceNumber, header.AcquisitionNumber = number + 1, 1
    header.ImagePositionPatient = [0.0, 0.0, 2.0 * number]
    header.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    header.PixelSpacing, header.SliceThickness = [0.7, 0.7], 2
    header.Rows = header.Columns = SIDE
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated = header.BitsStored = 16
    header.HighBit, header.PixelRepresentation = 15, 0
    header.RescaleSlope, header.RescaleIntercept = 1, -1024
    pixels = np.random.default_rng(number).integers(0, 1400, (SIDE, SIDE)).astype(np.uint16)
    header.PixelData = pixels.tobytes()
    if kind == "rle":
        header.compress(RLELossless)
    elif kind == "deflated":
        header.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    elif kind == "jpeg":
        header.BitsAllocated = header.BitsStored = 8
        header.HighBit = 7
        header.PixelData = encapsulate([_picture("L", ".jpg", "image")])
        header["PixelData"].VR = "OB"
        header.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    elif kind == "frames":
        _as_frames(header, pixels)
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, header, enforce_file_format=True)
    return stream.getvalue()


def _as_frames(header: Any, pixels: np.ndarray) -> None:
    """Make one file of two stacks of three frames of a slice's header."""
    from pydicom.dataset import Dataset as Tags
    from pydicom.uid import EnhancedCTImageStorage

    frames = []
    for z in range(6):
        place, content, frame = Tags(), Tags(), Tags()
        place.ImagePositionPatient = [0.0, 0.0, 2.0 * z]
        content.StackID = "1"
        frame.PlanePositionSequence, frame.FrameContentSequence = [place], [content]
        frames.append(frame)
    orientation, measures, values, shared = Tags(), Tags(), Tags(), Tags()
    orientation.ImageOrientationPatient = header.ImageOrientationPatient
    measures.PixelSpacing, measures.SliceThickness = header.PixelSpacing, 2
    values.RescaleSlope, values.RescaleIntercept, values.RescaleType = 1, -1024, "HU"
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    shared.PixelValueTransformationSequence = [values]
    header.SharedFunctionalGroupsSequence = [shared]
    header.PerFrameFunctionalGroupsSequence = frames
    header.NumberOfFrames, header.PixelData = 6, pixels.tobytes() * 6
    header.SOPClassUID = header.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    for tag in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope",
                "RescaleIntercept"):  # fmt: skip
        delattr(header, tag)


def _spoil_dicom(rng: random.Random, folder: Path) -> None:
    (folder / "s").mkdir(parents=True)
    kind = rng.choice(("plain", "plain", "plain", "rle", "deflated", "jpeg", "frames"))
    count = 1 if kind == "frames" else 3
    victim = rng.randrange(count)
    every = rng.random() < 0.2  # the same fault in all slices, as a scanner makes it
    seed = rng.random()
    for number in range(count):
        content = _dicom_slice(number, kind)
        if every or number == victim:
            again = random.Random(seed)
            for _ in range(again.choice((1, 1, 1, 2, 3))):
                structured = again.random() < 0.7
                content = (mutate.dicom_element if structured else mutate.in_bytes)(again, content)
        (folder / f"s/{number}.dcm").write_bytes(content)


def _open_dicom(folder: Path) -> object:
    from alnb.dataset import import_dicom

    return import_dicom(folder / "s", folder / "out", size=SIDE)


@cache
def _picture(mode: str, ending: str, which: str) -> bytes:
    import io

    from PIL import Image

    pixels = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE)).astype(np.uint8)
    if which == "mask":
        pixels = np.where(pixels > 200, 255, 0).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, {".png": "png"}.get(ending, "jpeg"))
    return stream.getvalue()


def _pictures(which: str) -> Callable[[random.Random, Path], None]:
    def spoil(rng: random.Random, folder: Path) -> None:
        for part in ("image", "mask"):
            ending = rng.choice((".png", ".jpg"))
            modes = ("L", "RGB", "P", "1", "RGBA", "I;16") if ending == ".png" else ("L", "RGB")
            content = _picture(rng.choice(modes), ending, part)
            if part == which:
                claims = mutate.png_header if ending == ".png" else mutate.jpeg_size
                content = (claims if rng.random() < 0.4 else mutate.in_bytes)(rng, content)
            path = folder / part / f"a{ending}"
            path.parent.mkdir(parents=True)
            path.write_bytes(content)

    return spoil


def _open_pictures(folder: Path) -> object:
    from alnb.dataset import import_pairs

    return import_pairs(folder / "image", folder / "out", masks=folder / "mask", size=SIDE)


def _volumes() -> Iterator[tuple[Any, np.ndarray]]:
    from alnb.volumes import Volume

    for scan in ("a", "b"):
        voxels = np.random.default_rng(1).integers(-1000, 400, (3, SIDE, SIDE)).astype(np.int16)
        mask = np.zeros(voxels.shape, np.uint8)
        mask[:, 4:9, 5:12] = 1
        yield Volume.made(scan, voxels, unit="hu"), mask


def _dataset(folder: Path) -> Any:
    from alnb.dataset import build

    return build(_volumes(), folder / "data", size=SIDE, split="mixed")


def _spoil_split(rng: random.Random, folder: Path) -> None:
    text = rng.choice(
        ("scan,part\na,train\nb,test\n", "scan,z,part\na,0,train\na,1,val\na,2,test\nb,,test\n")
    )
    (folder / "split.csv").write_bytes(mutate.table(rng, text))


def _open_split(folder: Path) -> object:
    from alnb.dataset import build

    return build(
        _volumes(), folder / "data", size=SIDE, split=str(folder / "split.csv"), allow_shared=True
    )


def _spoil_manifest(rng: random.Random, folder: Path) -> None:
    path = _dataset(folder).folder / "manifest.json"
    content = path.read_bytes()
    if rng.random() < 0.8:
        path.write_bytes(
            mutate.json_value(rng, json.loads(content)).encode("utf-8", "surrogatepass")
        )
    else:
        path.write_bytes(mutate.in_bytes(rng, content))


def _spoil_slices(rng: random.Random, folder: Path) -> None:
    data = _dataset(folder).folder
    table = mutate.table(rng, (data / "slices.csv").read_text())
    (data / "slices.csv").write_bytes(table)
    manifest = json.loads((data / "manifest.json").read_text())
    if rng.random() < 0.9:  # somebody who changed the table may have changed this, too
        manifest["slices_sha256"] = hashlib.sha256(table).hexdigest()
    (data / "manifest.json").write_text(json.dumps(manifest))


def _spoil_arrays(rng: random.Random, folder: Path) -> None:
    path = _dataset(folder).folder / rng.choice(("images/a.npy", "masks/b.npy"))
    path.write_bytes(mutate.in_bytes(rng, path.read_bytes()[: rng.choice((128, None))]))


def _open_dataset(folder: Path) -> object:
    """Look at everything, label and export, as far as the dataset lets us."""
    from alnb.dataset import Dataset
    from alnb.session import Session

    dataset = Dataset.open(folder / "data")
    dataset.describe()
    for where in dataset.slices:
        dataset.image(where)
        dataset.mask(where)
    for scan in dataset.scans:
        masks = np.zeros((dataset.scans[scan]["depth"], dataset.size, dataset.size), np.uint8)
        dataset.write_mask(folder / "mask.nii.gz", scan, masks)
    session = Session.open(folder / "session", dataset, _quick())
    session.close()
    return session.state


def _quick() -> Any:
    from alnb.config import Config

    return Config(pretrain_steps=0, steps=1, start_regions=2, regions_per_cycle=2, crop=None)


@cache
def _story() -> tuple[str, ...]:
    """Return the lines of a journal with every kind of event, on the dataset of `_dataset`."""
    import tempfile

    from alnb.acquisition import Pick
    from alnb.annotation import Answer, Click, Verdict
    from alnb.cost import Cost
    from alnb.dataset import SliceId
    from alnb.merge import merge
    from alnb.metrics import Scores
    from alnb.regions import Region
    from alnb.reports import FitReport
    from alnb.session import Session

    with tempfile.TemporaryDirectory() as inside:
        folder = Path(inside)
        dataset = _dataset(folder)
        regions = [Region(SliceId("a", 0), row, 0, 8, 12) for row in (0, 8, 16)]
        for name, clicks in (("Ada", (Click(5, 6),)), ("Ben", ())):
            session = Session.open(folder / name, dataset, _quick())
            session.ask([Pick(region, 0.5) for region in regions[:2]])
            verdict = Verdict.INFECTED if clicks else Verdict.CLEAN
            session.submit(Answer(regions[0], verdict, clicks, 2.0, name))
            session.close()
        merge([folder / "Ada", folder / "Ben"], folder / "session")
        session = Session.open(folder / "session", dataset)
        session.ask([Pick(region, 0.5) for region in regions[:2]])
        session.submit(Answer(regions[0], Verdict.INFECTED, (Click(5, 6),), 2.0, "Ada"))
        session.submit(Answer(regions[1], Verdict.CLEAN, (), 1.0, "Ada"))
        session.undo()
        session.redo()
        outline = ((17.0, 1.0), (17.0, 8.0), (21.0, 5.0))
        session.sweep([Answer(regions[2], Verdict.INFECTED, (), 3.0, "Ada", (outline,))])
        fit = FitReport(
            weights="0" * 16, backbone="none", device="none", steps=1, loss=0.5, threshold=0.5,
            heldout=0, heldout_accuracy=None, train_s=1.0,
        )  # fmt: skip
        session.trained(fit, session.state.answers, Cost(3.0, 3.0, 2, 2))
        session.scored(Scores(1, 2, 3, 4), 0.5)
        session.ask([Pick(regions[0], 0.5, repeat=True)])
        session.undo()
        forked = session.fork(folder / "forked", 1, seed=1)
        lines = forked.journal.path.read_text().splitlines()
        return tuple(line.replace(str(folder), "@FOLDER@") for line in lines)


def _spoil_journal(rng: random.Random, folder: Path) -> None:
    _dataset(folder)
    lines = [line.replace("@FOLDER@", str(folder)) for line in _story()]
    content = mutate.lines(rng, lines).encode("utf-8", "surrogatepass")
    (folder / "session").mkdir()
    path = folder / "session/journal.jsonl"
    path.write_bytes(mutate.in_bytes(rng, content) if rng.random() < 0.1 else content)


def _open_journal(folder: Path) -> object:
    """List, open, go on with, compare and export the session."""
    from alnb.annotation import Answer, Verdict
    from alnb.curves.compare import agreement_of, read_runs
    from alnb.dataset import Dataset
    from alnb.errors import AlnbError
    from alnb.export.export import write_export
    from alnb.session import Session
    from alnb.sessions import session_entry
    from alnb.ui.explore.recording import Recording

    session_entry(folder / "session")
    with contextlib.suppress(AlnbError):  # it has no network: the masks are missing
        list(write_export(folder / "session", folder / "export"))
    agreement_of(read_runs([folder / "session"]))
    list(Recording.open(folder / "session").rows)
    session = Session.open(folder / "session", Dataset.open(folder / "data"))
    for region in session.state.pending[:1]:
        session.submit(Answer(region, Verdict.CLEAN))
    session.undo()
    session.redo()
    session.close()
    return session.state


def _spoil_draft(rng: random.Random, folder: Path) -> None:
    good = {
        "region": "a/0/0,0,8,12", "clicks": [[5.0, 6.0, 1]], "outlines": [[[1.0, 1.0]]],
        "sweep": True, "corrects": False,
    }  # fmt: skip
    text = mutate.json_value(rng, good).encode("utf-8", "surrogatepass")
    (folder / "draft.json").write_bytes(text if rng.random() < 0.8 else mutate.in_bytes(rng, text))


def _open_draft(folder: Path) -> object:
    from alnb.config import Config
    from alnb.state import State
    from alnb.ui.label.draft import keep_draft, restore_draft

    draft = restore_draft(folder / "draft.json", State(Config()))
    keep_draft(folder / "draft.json", draft, answered=False)
    return draft


def _spoil_weights(rng: random.Random, folder: Path) -> None:
    import torch
    from safetensors.torch import save

    fit = next(event["fit"] for event in map(json.loads, _story()) if event["kind"] == "trained")
    content = save({"a": torch.zeros(3)}, {"report": json.dumps(fit)})
    size = int.from_bytes(content[:8], "little")
    if rng.random() < 0.6:
        head = mutate.json_value(rng, json.loads(content[8 : 8 + size])).encode("utf-8", "replace")
        content = len(head).to_bytes(8, "little") + head + content[8 + size :]
    else:
        content = mutate.in_bytes(rng, content)
    (folder / f"weights-{'0' * 16}.safetensors").write_bytes(content)


def _open_weights(folder: Path) -> object:
    """Put it into a network, wholly or not at all; whatever is put in are numbers."""
    import torch

    from alnb.errors import TrainerError
    from alnb.training.backbones import load_weights
    from alnb.training.checkpoints import kept_report

    kept_report(folder, "0" * 16)
    network = torch.nn.ParameterDict({"a": torch.nn.Parameter(torch.ones(3))})
    try:
        return load_weights(network, folder / f"weights-{'0' * 16}.safetensors")
    except TrainerError:
        assert torch.equal(network["a"], torch.ones(3))
        raise
    finally:
        assert network["a"].isfinite().all()


@cache
def _imagenet(ending: str) -> bytes:
    import torch
    from safetensors.torch import save

    from alnb.training.backbones import in_order, lite0_weights
    from alnb.training.fcn8 import FCN8

    own = in_order(FCN8("efficientnet_lite0").get_submodule("trunk.body"), lite0_weights())
    tensors = {name: value.contiguous() for name, value in own.items()}
    if ending == ".safetensors":
        return save(tensors)
    stream = io.BytesIO()
    torch.save(tensors, stream, _use_new_zipfile_serialization=ending == ".pth")
    return stream.getvalue()


def _spoil_imagenet(rng: random.Random, folder: Path) -> None:
    """Spoil what describes the tensors, which lies at either end, or any of it."""
    ending = rng.choice((".pth", ".pt", ".safetensors"))
    content = _imagenet(ending)
    ends = rng.choice((200, 5000, 60_000))
    if rng.random() < 0.4:
        content = mutate.in_bytes(rng, content[:ends]) + content[ends:]
    elif rng.random() < 0.7:
        content = content[:-ends] + mutate.in_bytes(rng, content[-ends:])
    else:
        content = mutate.in_bytes(rng, content)
    (folder / f"a{ending}").write_bytes(content)


def _open_imagenet(folder: Path) -> object:
    """Put a file of ``--weights`` into a network: all of it, and only numbers."""
    import torch

    from alnb.training.backbones import find, read_weights
    from alnb.training.fcn8 import FCN8

    network = FCN8("efficientnet_lite0")
    told = find("efficientnet_lite0").load(network, read_weights(next(folder.iterdir())))
    assert all(bool(torch.isfinite(one).all()) for one in network.state_dict().values())
    return told


def _spoil_results(rng: random.Random, folder: Path) -> None:
    from alnb.experiments.results import COLUMNS

    part = {"scans": 1, "slices": 2, "infected_slices": 1}
    data = {
        "name": "d", "size": 24, "scans": 2, "slices": 6, "fingerprint": "0", "notes": ["n"],
        "parts": dict.fromkeys(("train", "val", "test"), part), "pseudo_labels": False,
    }  # fmt: skip
    arms = {
        name: {"label": name, "cycles": 1, "config": {"budget_s": None}}
        for name in ("entropy", "random")
    }
    facts = {
        "experiment": "fig5", "title": "t", "command": "alnb", "seeds": [0, 1], "notes": [],
        "comparisons": [["entropy", "random", None]], "dataset": data, "folds": None,
        "only_ends": False, "quick": True, "full_cost_s": 96.0, "network": "n", "device": "cpu",
        "versions": {"alnb": "1"}, "platform": "p", "arms": arms,
    }  # fmt: skip
    rows = [
        ",".join(["fig5", "d", arm, str(seed), str(cycle), *["0.5"] * (len(COLUMNS) - 5)])
        for arm in arms for seed in (0, 1) for cycle in (0, 1)
    ]  # fmt: skip
    table = "\n".join([",".join(COLUMNS), *rows]) + "\n"
    text, content = json.dumps(facts), table.encode()
    if rng.random() < 0.6:
        text = mutate.json_value(rng, facts)
    else:
        content = mutate.table(rng, table)
    (folder / "fig5.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    (folder / "fig5.csv").write_bytes(content)


def _open_results(folder: Path) -> object:
    from alnb.experiments.report import write_report

    return write_report(folder)


CACHED = {"superpixels": ("labels",), "scores": ("entropy",), "maps": ("mean", "entropy")}


def _spoil_cached(rng: random.Random, folder: Path) -> None:
    """Write arrays as a cache holds them, of another shape or type, or spoilt bytes."""
    from alnb.storage import write_arrays

    for kind, names in CACHED.items():
        arrays = {name: _an_array(rng, kind) for name in names}
        path = folder / f"{kind}.npz"
        write_arrays(path, **arrays)
        if rng.random() < 0.3:
            path.write_bytes(mutate.in_bytes(rng, path.read_bytes()))


def _an_array(rng: random.Random, kind: str) -> np.ndarray:
    shape = (6, 64) if kind == "scores" else (SIDE, SIDE)
    good = np.random.default_rng(1).integers(1, 9, shape)
    plain = good.astype(np.uint8) if kind == "superpixels" else (good / 9).astype(np.float16)
    odd = [
        plain, plain[1:], plain.ravel(), plain[..., None], good.astype(np.int64) - 5,
        good.astype(np.uint64) * 2**40, plain.astype(np.float64) * np.nan, good.astype("U9"),
        good.astype(np.complex64), np.zeros(0), np.float64(1), plain > 3,
    ]  # fmt: skip
    return np.asarray(rng.choice(odd))


def _open_cached(folder: Path) -> object:
    """Tile by superpixels, and read scores and maps, as if a session had kept them."""
    import shutil

    from alnb.pool import Pool, kept_tables
    from alnb.regions.tilings import superpixels
    from alnb.storage import scores_path
    from alnb.ui.explore.recompute import kept_maps

    dataset = _dataset(folder)
    where = dataset.slices[0]
    superpixels(dataset, 16)(where)
    for path in dataset.folder.glob("superpixels/*/*.npz"):
        shutil.copyfile(folder / "superpixels.npz", path)
    regions = superpixels(dataset, 16)(where)
    shutil.copyfile(folder / "scores.npz", scores_path(folder, "w"))
    pool = Pool(dataset, dataset.resolve(_quick()))
    tables = kept_tables(folder, "w", pool.shape)
    assert all(table.shape == pool.shape for table in tables.values())
    return regions, kept_maps(folder / "maps.npz", (SIDE, SIDE))


def _spoil_command(rng: random.Random, folder: Path) -> None:
    """Write a command line with an argument that makes no sense."""
    import nibabel as nib

    voxels = np.random.default_rng(1).integers(-1000, 400, (SIDE, SIDE, 3)).astype(np.int16)
    nib.save(nib.Nifti1Image(voxels, np.diag([-0.8, -0.7, 2.0, 1.0])), folder / "a.nii")
    out, odd = str(folder / "out"), mutate.an_argument(rng)
    good = ["import", "nifti", "--images", str(folder / "a.nii"), "--out", out, "--size", "16"]
    others = (
        ["phantom", "--out", out, "--scans", "1", "--size", "32"],
        ["compare", str(folder), "--out", out],
        ["export", str(folder), "--out", out],
        ["explore", str(folder), "--no-browser"],
        ["bench", "report", str(folder)],
        ["run", str(folder), "--out", out],
        ["import", "dicom", str(folder), "--out", out],
        ["import", "pairs", "--images", str(folder), "--out", out],
    )
    command = list(rng.choice((good, good, *others))) if odd else good
    options = ("--size", "--seed", "--window", "--split", "--skip", "--flip", "--unit", "--offset",
               "--affine", "--infected", "--infected-above", "--masks", "--out", "--scans", "--set",
               "--weights", "--backbone", "--heuristic", "--budget", "--data")  # fmt: skip
    if rng.random() < 0.6 and odd:
        command = [*command, rng.choice(options), odd]
    elif odd:
        command[rng.randrange(1, len(command))] = odd
    (folder / "command.json").write_text(json.dumps(command))


def _open_command(folder: Path) -> object:
    """Run it in a folder of its own; it ends in a sentence and no trace."""
    import os
    import sys

    from alnb.cli import main
    from alnb.errors import AlnbError

    argv, here = sys.argv, Path.cwd()
    sys.argv = ["alnb", *json.loads((folder / "command.json").read_text())]
    said = io.StringIO()
    try:
        os.chdir(folder)
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            main()
    except SystemExit as end:
        if end.code:
            assert "Traceback" not in said.getvalue()
            raise AlnbError(said.getvalue()[-300:]) from None
    finally:
        sys.argv = argv
        os.chdir(here)
    return said.getvalue()


def _spoil_zip(rng: random.Random, folder: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(
        stream, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    ) as one:
        for name in ("series/", "series/a.dcm", "b.dcm"):
            one.writestr(name, b"" if name.endswith("/") else rng.randbytes(300))
    content = (mutate.a_zip(rng) if rng.random() < 0.3 else b"") or stream.getvalue()
    (folder / "up").mkdir()
    spoilt = mutate.in_bytes(rng, content) if rng.random() < 0.8 else content
    (folder / "up" / "ct.zip").write_bytes(spoilt)


def _open_zip(folder: Path) -> object:
    """Unpack it; nothing may land beside it, and nothing be left of one that is refused."""
    from alnb.errors import AlnbError
    from alnb.ui.importing import plan_of, unpack_all

    try:
        unpack_all(folder / "up")
    except AlnbError:
        assert [path.name for path in (folder / "up").iterdir()] == ["ct.zip"]
        raise
    finally:
        assert [path.name for path in folder.iterdir()] == ["up"]
    return plan_of(folder / "up")


def _spoil_settings(rng: random.Random, folder: Path) -> None:
    import dataclasses

    from alnb.config import Config

    names = [field.name for field in dataclasses.fields(Config)]
    settings = [mutate.a_setting(rng, names) for _ in range(rng.choice((1, 1, 2)))]
    (folder / "settings.json").write_text(json.dumps(settings))


def _open_settings(folder: Path) -> object:
    """Begin a session with the settings, and ask."""
    from alnb.cli.options import changes_of, config_of
    from alnb.pool import Pool, start_picks
    from alnb.session import Session

    settings = json.loads((folder / "settings.json").read_text())
    config = config_of("default", **changes_of(None, None, settings))
    dataset = _dataset(folder)
    session = Session.open(folder / "session", dataset, config)
    session.ask(start_picks(Pool(dataset, session.state.config)))
    session.close()
    return session.state


TARGETS = {
    target.name: target
    for target in (
        Target("nifti image", _nifti("image"), _open_nifti),
        Target("nifti mask", _nifti("mask"), _open_nifti),
        Target("nifti both", _nifti("both"), _open_nifti),
        Target("dicom", _spoil_dicom, _open_dicom),
        Target("picture", _pictures("image"), _open_pictures),
        Target("picture mask", _pictures("mask"), _open_pictures),
        Target("split", _spoil_split, _open_split),
        Target("manifest", _spoil_manifest, _open_dataset),
        Target("slices", _spoil_slices, _open_dataset),
        Target("arrays", _spoil_arrays, _open_dataset),
        Target("journal", _spoil_journal, _open_journal),
        Target("draft", _spoil_draft, _open_draft),
        Target("weights", _spoil_weights, _open_weights),
        Target("zip", _spoil_zip, _open_zip),
        Target("imagenet", _spoil_imagenet, _open_imagenet),
        Target("results", _spoil_results, _open_results),
        Target("cached", _spoil_cached, _open_cached),
        Target("command", _spoil_command, _open_command),
        Target("settings", _spoil_settings, _open_settings),
    )
}
