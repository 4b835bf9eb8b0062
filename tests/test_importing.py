import asyncio
import io
import os
import stat
import zipfile

import numpy as np
import pytest
from scans import ct, write_nifti
from skimage.io import imsave
from test_volumes_dicom import even_chest, write_series

from alnb.dataset import Dataset
from alnb.errors import DataError
from alnb.sessions import datasets_folder
from alnb.ui import importing
from alnb.ui.command import CommandError
from alnb.ui.importing import (
    Incoming,
    Plan,
    Workplace,
    check_links,
    clear_left,
    completions,
    confined,
    free_name,
    import_scans,
    options_of,
    plan_of,
    unpack,
    unpack_all,
)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))


@pytest.fixture
def root(tmp_path):
    """A root with folders, and one beside it that must not be reached."""
    for name in ("root/ct/covid", "root/ct/control", "root/.hidden", "secret/scans"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path / "root"


# --- folders that may be read ---


def test_a_folder_below_the_root_is_found_by_its_path_in_it_or_its_whole_path(root):
    assert confined(root, " ct/covid/ ") == root / "ct" / "covid"
    assert confined(root, str(root / "ct")) == root / "ct"
    assert confined(root, "ct/../ct") == root / "ct"


@pytest.mark.parametrize("text", ["..", "../secret", "/etc", "ct/../../secret", "~/../..", "out"])
def test_nothing_beside_the_root_is_read(root, text):
    (root / "out").symlink_to(root.parent / "secret")
    if text.startswith("~"):
        assert confined(root, "~") == root / "~"  # a name like any other
        return

    with pytest.raises(DataError, match="this page reads only folders in it"):
        confined(root, text)
    assert completions(root, f"{text}/") == []


def test_what_can_be_no_path_is_a_sentence(root):
    (root / "loop").symlink_to(root / "loop")
    for text in ("a\0b", "loop", "loop/a", "x" * 300):
        with pytest.raises(DataError, match=r"can't be a folder's path|its name is too long"):
            plan_of(confined(root, text))


def test_folders_are_completed_as_they_are_typed(root):
    (root / "out").symlink_to(root.parent / "secret")
    (root / "ct" / "cov.txt").write_text("")

    assert completions(root, "") == ["ct/"]
    assert completions(root, "ct/co") == ["ct/control/", "ct/covid/"]
    assert completions(root, "ct/cov") == ["ct/covid/"]
    assert completions(root, f"{root}/ct/cov") == [f"{root}/ct/covid/"]
    assert completions(root, "none/") == completions(root, "../se") == []


def test_a_link_inside_a_folder_must_not_lead_out(root):
    (root / "ct" / "near").symlink_to(root / "ct" / "covid")
    check_links(root / "ct", root)
    (root / "ct" / "covid" / "a.nii").symlink_to(root.parent / "secret")

    with pytest.raises(DataError, match="is a link that leads out of"):
        check_links(root / "ct", root)


# --- what a folder holds ---


def touched(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"1")
    return folder


def test_the_import_follows_from_the_names_in_a_folder(tmp_path):
    volumes = touched(tmp_path / "v", "a.nii.gz", "b.nii")
    pairs = touched(tmp_path / "p", "a.png", "a_mask.png", "b.png", "b_mask.png", ".DS_Store")
    apart = touched(tmp_path / "a", "images/a.nii", "masks/a.nii")
    inside = touched(tmp_path / "i", "x/a.jpg")
    series = touched(tmp_path / "d", "one/IM1", "two/IM1", "three/IM1")

    assert plan_of(volumes) == Plan("nifti", volumes, None, 2)
    assert plan_of(volumes, tmp_path) == Plan("nifti", volumes, tmp_path, 2)
    assert plan_of(pairs) == Plan("pairs", pairs, pairs, 2)
    assert plan_of(apart) == Plan("nifti", apart / "images", apart / "masks", 1)
    assert plan_of(inside) == Plan("pairs", inside / "x", None, 1)
    assert plan_of(series) == Plan("dicom", series)
    assert plan_of(touched(tmp_path / "m", "rp_im/1.nii.gz")).source == [
        "medseg",
        str(tmp_path / "m"),
    ]


def test_what_was_found_is_said(tmp_path):
    pairs = touched(tmp_path / "p", "a.png", "a_mask.png")
    apart = touched(tmp_path / "a", "images/a.nii", "images/b.nii", "masks/a.nii")

    assert plan_of(pairs).words == "1 picture, masks beside them."
    assert plan_of(apart).words == "2 NIfTI volumes, masks in masks."
    assert plan_of(touched(tmp_path / "d", "IM1")).words.endswith("it is read as DICOM.")
    assert plan_of(touched(tmp_path / "z", "COVID-19-CT-Seg_20cases/a")).words.startswith("The pub")


def test_an_empty_folder_or_a_missing_one_is_a_sentence(tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("empty", "missing"):
        with pytest.raises(DataError, match=name):
            plan_of(tmp_path / name)


# --- what arrives ---


def test_files_arrive_in_pieces(tmp_path):
    incoming = Incoming(tmp_path / "up", [("C:\\scans\\a.nii", 5), ("b.png", 2)])
    for piece in ((0, 0, b"abc"), (0, 3, b"de"), (1, 0, b"fg")):
        assert incoming.wanted == {"file": piece[0], "begin": piece[1]}
        assert not incoming.complete
        incoming.take(*piece)

    assert incoming.complete
    assert incoming.done == incoming.total == 7
    assert (tmp_path / "up" / "a.nii").read_bytes() == b"abcde"
    assert (tmp_path / "up" / "b.png").read_bytes() == b"fg"


@pytest.mark.parametrize("piece", [(0, 1, b"a"), (1, 0, b"a"), (0, 0, b"abcdef"), (0, 0, b"")])
def test_a_piece_that_is_not_the_next_is_refused(tmp_path, piece):
    incoming = Incoming(tmp_path / "up", [("a.nii", 5), ("b.nii", 5)])

    with pytest.raises(DataError, match="a file changed while it was sent"):
        incoming.take(*piece)


@pytest.mark.parametrize(
    ("offered", "said"),
    [
        ([("a.exe", 1)], r"a\.exe can't be uploaded"),
        ([(".a.nii", 1)], "can't be uploaded"),
        ([("a\x07.nii", 1)], "can't be uploaded"),
        ([("..", 1)], "can't be uploaded"),
        ([("a.nii", 1), ("x/A.nii", 1)], "the same name"),
        ([("a.nii", 0)], "empty"),
        ([], "none was chosen"),
        ([(f"{n}.png", 1) for n in range(501)], "up to 500 can be uploaded at once"),
        ([("a.zip", 2**31 + 1)], r"up to 2\.0 GB can be uploaded. Name their folder instead"),
    ],
)  # fmt: skip
def test_what_can_not_be_uploaded_is_a_sentence(tmp_path, offered, said):
    with pytest.raises(DataError, match=said):
        Incoming(tmp_path / "up", offered)
    assert not (tmp_path / "up").exists()


def test_a_full_disk_is_said_before_anything_is_sent(tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "SPARE_BYTES", 2**62)

    with pytest.raises(DataError, match="do not fit on the disk"):
        Incoming(tmp_path / "up", [("a.nii", 5)])


def test_a_working_folder_goes_with_its_page(monkeypatch):
    work = Workplace()
    left = work.folder.with_name(f".import-{2**30}-dead")  # no process has this number
    touched(left, "upload/a.nii")
    touched(datasets_folder() / "mine", "manifest.json")
    clear_left()

    assert {path.name for path in datasets_folder().iterdir()} == {work.folder.name, "mine"}
    work.remove()
    assert [path.name for path in datasets_folder().iterdir()] == ["mine"]


# --- zips ---


def zipped(path, members, **changes):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            for field, value in changes.items():
                setattr(info, field, value)
            archive.writestr(info, content)
    return path


def test_a_zip_is_unpacked_and_deleted(tmp_path):
    zipped(tmp_path / "ct.zip", {"s/": b"", "s/IM1": b"1", "__MACOSX/s/._IM1": b"2", "IM2": b"3"})
    unpack_all(tmp_path)

    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {"ct/s/IM1", "ct/IM2"}


@pytest.mark.parametrize(
    "name", ["../out", "/out", "a/../../out", "..\\out", "C:\\out", "c:out", "."]
)
def test_a_zip_that_would_write_outside_is_refused(tmp_path, name):
    archive = zipped(tmp_path / "bad.zip", {"good": b"1", name: b"2"})

    with pytest.raises(DataError, match="would land outside its folder"):
        unpack(archive, tmp_path / "in")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.zip"]


def test_a_zip_with_a_link_is_refused(tmp_path):
    mode = (stat.S_IFLNK | 0o777) << 16
    archive = zipped(tmp_path / "bad.zip", {"link": b"/etc"}, external_attr=mode, create_system=3)

    with pytest.raises(DataError, match="holds the link"):
        unpack(archive, tmp_path / "in")


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "UNPACKED_BYTES", 10**6)
    archive = zipped(tmp_path / "bomb.zip", {"a": b"0" * 900_000, "b": b"0" * 900_000})
    assert archive.stat().st_size < 10_000

    with pytest.raises(DataError, match=r"would take more than 1\.0 MB unpacked"):
        unpack(archive, tmp_path / "in")
    assert not (tmp_path / "in").exists()


def test_a_zip_bomb_that_lies_about_its_size_is_refused_too(tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "UNPACKED_BYTES", 10**6)
    archive = zipped(tmp_path / "bomb.zip", {"a": b"0" * 3_000_000})
    content = archive.read_bytes()
    true, told = (3_000_000).to_bytes(4, "little"), (500_000).to_bytes(4, "little")
    archive.write_bytes(content.replace(true, told))

    with pytest.raises(DataError, match=r"would take more than|can't be unpacked"):
        unpack(archive, tmp_path / "in")
    assert not (tmp_path / "in").exists()


def test_a_zip_of_too_many_files_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "UNPACKED_FILES", 2)

    with pytest.raises(DataError, match="holds 3 files; up to 2"):
        unpack(zipped(tmp_path / "a.zip", dict.fromkeys("abc", b"1")), tmp_path / "in")


def test_a_zip_with_a_password_is_refused(tmp_path):
    archive = zipped(tmp_path / "a.zip", {"a": b"1"})
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)

    with pytest.raises(DataError, match="encrypted"):
        unpack(archive, tmp_path / "in")


@pytest.mark.parametrize(
    "spoil", [lambda b: b[:-30], lambda b: b"no zip", lambda b: b[:40] + b[44:]]
)
def test_a_broken_zip_is_a_sentence(tmp_path, spoil):
    archive = zipped(tmp_path / "a.zip", {"a": os.urandom(500)})
    archive.write_bytes(spoil(archive.read_bytes()))

    with pytest.raises(DataError, match="can't be unpacked"):
        unpack(archive, tmp_path / "in")
    assert not (tmp_path / "in").exists()


def test_a_zip_with_two_files_of_one_name_is_refused(tmp_path):
    with pytest.warns(UserWarning), zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a", b"1")
        archive.writestr("a", b"2")

    with pytest.raises(DataError, match="two files of one name"):
        unpack(tmp_path / "a.zip", tmp_path / "in")


def test_unpacking_can_be_stopped(tmp_path):
    from threading import Event

    stop = Event()
    stop.set()
    with pytest.raises(DataError, match="not unpacked to its end"):
        unpack(zipped(tmp_path / "a.zip", {"a": b"1"}), tmp_path / "in", stop)
    assert not (tmp_path / "in").exists()


# --- the import ---


def test_options_are_read_as_they_are_typed():
    assert options_of("") == []
    assert options_of("--infected 1,2 --pseudo-masks --skip='a b' --offset -1024") == [
        "--infected", "1,2", "--pseudo-masks", "--skip", "a b", "--offset", "-1024",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("--out /etc", "is no option"), ("--masks /etc", "is no option"), ("/etc", "is no option"),
        ("--split /etc/passwd", "there are scan, sep, mixed"), ("--infected", "needs a value"),
        ("--infected --skip", "needs a value"), ("--skip 'a", "can't be read"),
        ("--pseudo-masks=1", "is no option"),
    ],
)  # fmt: skip
def test_options_that_name_files_or_are_unknown_are_refused(text, said):
    with pytest.raises(DataError, match=said):
        options_of(text)


def test_a_datasets_name_is_a_folders_name_and_free():
    assert free_name("../My scans!", set()) == "My_scans"
    assert free_name("a", {"a", "a-2"}) == "a-3"
    assert free_name("  ", set()) == "scans"


def imported(plan, name="mine", options=("--size", "16")):
    work, told = Workplace(), []
    _ = work.folder
    folder, said = asyncio.run(import_scans(plan, name, options, work, told.append))
    work.remove()
    return folder, said, told


def test_volumes_become_a_dataset_among_the_users(tmp_path):
    volume, mask = ct()
    for name in ("a", "b"):
        write_nifti(tmp_path / "in" / f"{name}.nii.gz", volume.voxels, "RAS")
        write_nifti(tmp_path / "in" / f"{name}_mask.nii.gz", mask, "RAS")
    folder, said, told = imported(plan_of(tmp_path / "in"))

    assert folder == datasets_folder() / "mine"
    assert said.startswith("mine: 2 scans, 8 slices of 16×16 pixels, with masks")
    assert [one["completed"] for one in told] == [1, 2]
    assert Dataset.open(folder).has_masks
    assert (folder / "import.html").is_file()
    assert [path.name for path in datasets_folder().iterdir()] == ["mine"]


def test_pictures_and_a_zip_of_dicom_become_datasets(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "p").mkdir()
    for name in ("a", "b"):
        imsave(tmp_path / "p" / f"{name}.png", rng.integers(0, 256, (16, 16), np.uint8))
        mask = np.zeros((16, 16), np.uint8)
        mask[3:6, 3:6] = 255
        imsave(tmp_path / "p" / f"{name}_mask.png", mask, check_contrast=False)
    write_series(tmp_path / "s", even_chest())
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for path in (tmp_path / "s").iterdir():
            archive.write(path, f"series/{path.name}")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "ct.zip").write_bytes(stream.getvalue())
    unpack_all(tmp_path / "d")

    assert Dataset.open(imported(plan_of(tmp_path / "p"), "p")[0]).has_masks
    assert list(Dataset.open(imported(plan_of(tmp_path / "d"), "d")[0]).scans) == ["series"]


def test_an_import_that_fails_is_a_sentence_and_leaves_nothing(tmp_path):
    volume, mask = ct()
    write_nifti(tmp_path / "in" / "a.nii.gz", volume.voxels, "RAS")
    mask[0, 0, 0] = 3
    write_nifti(tmp_path / "in" / "a_mask.nii.gz", mask, "RAS")

    with pytest.raises(CommandError, match="--infected") as caught:
        imported(plan_of(tmp_path / "in"))
    assert ".import-" not in str(caught.value)
    assert [path for path in datasets_folder().rglob("*") if path.is_file()] == []


def test_an_option_that_typer_can_not_read_is_a_sentence(tmp_path):
    with pytest.raises(CommandError, match="Invalid value for '--size'"):
        imported(Plan("nifti", tmp_path), options=options_of("--size many"))


def test_an_import_that_is_cancelled_leaves_nothing(tmp_path):
    volume, _ = ct(depth=64, height=256, width=256)
    for n in range(6):
        write_nifti(tmp_path / "in" / f"{n}.nii", volume.voxels, "RAS")

    async def story():
        work, begun = Workplace(), asyncio.Event()
        _ = work.folder
        task = asyncio.ensure_future(
            import_scans(plan_of(tmp_path / "in"), "mine", (), work, lambda _: begun.set())
        )
        await asyncio.wait_for(begun.wait(), 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert list(work.folder.rglob("*")) == []
        work.remove()

    asyncio.run(story())
    assert list(datasets_folder().iterdir()) == []
