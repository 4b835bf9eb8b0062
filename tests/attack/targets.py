"""What is attacked: for each kind of file how a good one is made, spoilt and opened by alnb."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import random
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
def _dicom_slice(number: int, compressed: bool) -> bytes:
    import io

    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RLELossless

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
    if compressed:
        header.compress(RLELossless)
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, header, enforce_file_format=True)
    return stream.getvalue()


def _spoil_dicom(rng: random.Random, folder: Path) -> None:
    (folder / "s").mkdir(parents=True)
    victim, compressed = rng.randrange(3), rng.random() < 0.2
    every = rng.random() < 0.2  # the same fault in all slices, as a scanner makes it
    seed = rng.random()
    for number in range(3):
        content = _dicom_slice(number, compressed)
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
    from alnb.metrics import Scores
    from alnb.regions import Region
    from alnb.reports import FitReport
    from alnb.session import Session

    with tempfile.TemporaryDirectory() as inside:
        folder = Path(inside)
        session = Session.open(folder / "session", _dataset(folder), _quick())
        regions = [Region(SliceId("a", 0), row, 0, 8, 12) for row in (0, 8, 16)]
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
        forked = session.fork(folder / "forked", 0, seed=1)
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
    from alnb.curves.compare import read_runs
    from alnb.dataset import Dataset
    from alnb.errors import AlnbError
    from alnb.export.export import write_export
    from alnb.session import Session
    from alnb.sessions import session_entry
    from alnb.ui.explore.recording import Recording

    session_entry(folder / "session")
    with contextlib.suppress(AlnbError):  # it has no network: the masks are missing
        list(write_export(folder / "session", folder / "export"))
    read_runs([folder / "session"])
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
    from alnb.training.backbones import read_weights
    from alnb.training.checkpoints import kept_report

    kept_report(folder, "0" * 16)
    return read_weights(folder / f"weights-{'0' * 16}.safetensors")


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
        Target("settings", _spoil_settings, _open_settings),
    )
}
