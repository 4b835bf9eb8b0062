"""Names, ids and paths that stand in imported files and around them are in nothing that leaves."""

import gzip
import io
import re
import zipfile

import nibabel as nib
import numpy as np
import pydicom
import pytest
from fakes import FakeLearner
from PIL import Image, PngImagePlugin
from scans import ct, write_nifti
from test_volumes_dicom import even_chest, write_series

from alnb.annotation import Answer, Click, Verdict
from alnb.config import Config
from alnb.curves.compare import group, read_runs
from alnb.dataset import import_dicom, import_nifti, import_pairs
from alnb.errors import TrainerError
from alnb.experiments.run import simulate
from alnb.export.doctor import Finding
from alnb.export.export import write_export
from alnb.export.model_card import model_card
from alnb.journal import Journal
from alnb.merge import merge
from alnb.pool import Pool, start_picks
from alnb.session import Session
from alnb.state import state_of

HOME, PATIENT = "quexhomeuser", "quexpatient"
MARKS = re.compile(f"{HOME}|{PATIENT}".encode(), re.IGNORECASE)
QUICK = (
    "pretrain_steps=0", "steps=2", "draws=2", "start_regions=8", "crop=32",
    "one_region_a_slice=false",
)  # fmt: skip


@pytest.fixture
def home(tmp_path):
    """A folder whose path names a user."""
    (tmp_path / HOME / "in").mkdir(parents=True)
    return tmp_path / HOME


def marked_nifti(path, voxels):
    """Write a NIfTI file in whose header and extension a patient is named."""
    write_nifti(path, voxels)
    image = nib.load(path)
    image = nib.Nifti1Image(np.asanyarray(image.dataobj), image.affine, image.header)
    for field in ("descrip", "aux_file", "intent_name", "db_name"):
        image.header[field] = PATIENT.encode()
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", PATIENT.encode()))
    nib.save(image, path)


def marked_picture(path, pixels):
    """Write a PNG or JPEG file in whose text and EXIF data a patient is named."""
    picture, text = Image.fromarray(pixels), PngImagePlugin.PngInfo()
    text.add_text("Comment", PATIENT)
    exif = picture.getexif()
    exif[0x013B] = exif[0x010E] = PATIENT  # artist and description
    picture.save(path, exif=exif, pnginfo=text, comment=PATIENT)
    assert MARKS.search(path.read_bytes())


def nifti(home):
    for name in ("a", "b", "c"):
        volume, mask = ct(name, 4, 32, 32)
        marked_nifti(home / "in" / "images" / f"{name}.nii.gz", volume.voxels)
        marked_nifti(home / "in" / "masks" / f"{name}.nii.gz", mask)
    masks = home / "in" / "masks"
    return import_nifti(home / "in" / "images", home / "data", masks=masks, size=32)


def pictures(home):
    pixels = np.arange(32 * 32, dtype=np.int64).reshape(32, 32) % 256
    for name in ("a.png", "b.jpg", "c.png"):
        marked_picture(home / "in" / name, pixels.astype(np.uint8))
    return import_pairs(home / "in", home / "data", size=32)


def dicom(home):
    for name in ("s1", "s2", "s3"):
        tags = dict.fromkeys(("InstitutionName", "OperatorsName", "StationName"), PATIENT)
        write_series(home / "in" / name, even_chest(), PatientName=f"{PATIENT}^A", **tags)
    assert PATIENT in str(pydicom.dcmread(next((home / "in" / "s1").iterdir())))
    return import_dicom(home / "in", home / "data", size=32)


def marks_in(folder):
    """List the files in which a mark stands, packed ones unpacked."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and _marked(path))


def _marked(path):
    content = path.name.encode() + path.read_bytes()
    parts = [content, content.replace(b"\0", b"")]  # the second for UTF-16
    if path.suffix == ".gz":
        parts.append(gzip.decompress(path.read_bytes()))
    if path.suffix == ".npz":
        with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
            parts += [archive.read(name) for name in archive.namelist()]
    return any(MARKS.search(part) for part in parts)


@pytest.mark.parametrize("make", [nifti, pictures, dicom])
def test_what_files_and_paths_name_is_in_no_dataset_and_no_export(make, home):
    data = make(home)
    session = Session.open(home / "run", data, Config(regions_per_slice=4, start_regions=3))
    session.ask(start_picks(Pool(data, session.state.config)))
    first, second, third = session.state.pending[:3]
    session.submit(Answer(first, Verdict.INFECTED, (Click(first.row, first.col),)))
    session.submit(Answer(second, Verdict.CLEAN, annotator="Ann"))
    session.submit(Answer(third, Verdict.SKIPPED))
    session.fork(home / "fork", 0).close()
    session.submit(Answer(first, Verdict.CLEAN))
    session.close()
    merge([home / "run", home / "fork"], home / "all")
    for name in ("fork", "all"):
        list(write_export(home / name, home / f"{name}-out"))

    assert marks_in(home / "in") != []
    assert (
        marks_in(home / "data") == marks_in(home / "fork-out") == marks_in(home / "all-out") == []
    )
    assert marks_in(home / "run") == ["journal.jsonl"]  # names the dataset's folder, to open it


def test_a_network_and_what_it_draws_name_nobody(home, command_line):
    data = nifti(home)
    settings = [word for one in QUICK for word in ("--set", one)]
    done = command_line("run", data.folder, "--out", home / "run", "--cycles", 1, *settings)
    assert done[0] == 0
    for words in (("export", home / "run"), ("compare", home / "run")):
        assert command_line(*words, "--out", home / words[0])[0] == 0

    assert (home / "export" / "masks" / "a.nii.gz").is_file()
    assert marks_in(home / "export") == marks_in(home / "compare") == marks_in(home / "data") == []
    assert marks_in(home / "run") == ["journal.jsonl"]


def test_a_file_of_weights_leaves_by_its_name_only(squares, home):
    for name in ("one", "two"):
        config = Config(start_regions=6, weights=str(home / f"{name}.pth"))
        simulate(squares, home / name, config, cycles=0, learner=FakeLearner(squares, config))
    events = Journal(home / "one" / "journal.jsonl").events
    card = model_card(state_of(events), events[0].data)
    with pytest.raises(TrainerError, match="but the masks are missing"):
        list(write_export(home / "one", home / "export", squares.folder))

    assert '"weights": "one.pth"' in card and HOME not in card
    assert marks_in(home / "export") == []
    arms = [run.arm for run in group(read_runs([home / "one", home / "two"]))]
    assert [arm.split(", ")[-1] for arm in arms] == ["weights one.pth", "weights two.pth"]


@pytest.mark.parametrize(
    ("found", "said"),
    [("HOME/.cache/x, 3 free", "~/.cache/x, 3 free"), ("in HOME: y", "in ~: y"), ("HOMEr/x", None)],
)
def test_the_doctor_does_not_name_the_home_folder(found, said, home, monkeypatch):
    monkeypatch.setattr("pathlib.Path.home", lambda: home)
    text = found.replace("HOME", str(home))

    assert Finding(True, text).line == f"ok    {said or text}"
