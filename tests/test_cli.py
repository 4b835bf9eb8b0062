import csv
import inspect
import io
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from scans import noisy_chest, write_nifti

import alnb.dataset
from alnb.cli.data import imports
from alnb.dataset import Dataset
from alnb.dataset.importers import BuildOptions
from alnb.errors import AlnbError, DataError
from alnb.serve import free_port

FAST = [
    "--set",
    "pretrain_steps=0",
    "--set",
    "steps=2",
    "--set",
    "draws=2",
    "--set",
    "start_regions=8",
    "--set",
    "crop=32",
]


@pytest.fixture
def run(command_line):
    """Run a command line; return its status, output and errors."""
    return command_line


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("import dicom", "Which of several acquisitions that lie in one another."),
        ("export", "It names the patient, as the series does."),
        ("import dicom", "Compressed JPEG needs pip install 'alnb[dicom]'."),
        ("import nifti", "scan: whole scans, 60 % train, 10 % val, 30 % test, by seed."),
        ("label", "Without it a dataset has one session in your user data folder; the terminal"),
        ("label", "Without it, the name of the person who answered last in the session."),
        ("run", "padding 100, whole slices first: 960 s, then 15 s a cycle)."),
        ("run", "From the fourth training on it says what another minute of labelling is expected"),
        ("bench", "and, if Chrome is installed, NAME.png. The same command continues a stopped"),
        ("explore", "Tick the box to train older ones again in a separate process."),
    ],
)
def test_the_help_tells_it(run, command, sentence):
    status, out, _ = run(*command.split(), "--help")

    assert status == 0
    assert sentence in " ".join(out.replace("│", " ").split())


def test_export_writes_a_segmentation_of_the_series_that_is_named(run, monkeypatch, tmp_path):
    given = []
    monkeypatch.setattr(
        "alnb.export.dicom_seg.write_dicom_seg",
        lambda session, out, series, **how: given.append((series, how)) or [out / "s.dcm"],
    )
    monkeypatch.setattr("alnb.export.export.write_export", lambda *_: [])
    words = ("--dicom-seg", tmp_path / "series", "--seg-type", "fractional")
    status, out, _ = run("export", tmp_path, "--out", tmp_path / "out", *words)

    assert (status, given) == (0, [(tmp_path / "series", {"kind": "fractional", "data": None})])
    assert "s.dcm" in out


def test_it_tells_its_version(run):
    assert run("--version") == (0, f"{alnb.__version__}\n", "")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """NIfTI volumes with masks, in two folders."""
    import nibabel as nib

    folder = tmp_path_factory.mktemp("nifti")
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        hu = rng.integers(-1000, 200, (40, 40, 4)).astype(np.int16)
        mask = np.zeros(hu.shape, np.uint8)
        mask[10:20, 10:20, ::2] = 1
        for kind, voxels in (("images", hu), ("masks", mask)):
            (folder / kind).mkdir(exist_ok=True)
            nib.save(nib.Nifti1Image(voxels, np.eye(4)), folder / kind / f"{name}.nii.gz")
    return folder


@pytest.fixture
def data(run, folders, tmp_path):
    words = ("--images", folders / "images", "--masks", folders / "masks", "--size", 32)
    status, out, err = run("import", "nifti", *words, "--out", tmp_path / "data")
    assert (status, err) == (0, "")
    assert "3 scans, 12 slices of 32×32 pixels, with masks" in out
    assert (
        out.rstrip().splitlines()[-2].startswith(f"Look at {tmp_path / 'data' / 'import.html'}: ")
    )
    return tmp_path / "data"


def test_importing_writes_a_dataset(data):
    dataset = Dataset.open(data)

    assert dataset.has_masks
    assert len(dataset.slices) == 12


def test_a_page_is_told_the_progress_in_lines(run, folders, tmp_path, monkeypatch):
    monkeypatch.setenv("ALNB_PROGRESS", "1")
    words = ("--images", folders / "images", "--size", 32, "--out", tmp_path / "d")
    status, out, _ = run("import", "nifti", *words)
    told = [json.loads(line)["ALNB_PROGRESS"] for line in out.splitlines() if line[0] == "{"]

    assert status == 0
    assert told[1] == {"note": "2 scans, last b", "completed": 2}
    assert len(told) == 3


def test_a_missing_folder_is_a_sentence(run, tmp_path):
    status, out, err = run(
        "import", "nifti", "--images", tmp_path / "none", "--out", tmp_path / "d"
    )

    assert status == 1
    assert out == ""  # no bar, and no blank line, where there is no terminal
    assert err.startswith("alnb: ")
    assert "Traceback" not in out + err


def test_a_window_that_can_not_be_read_is_a_sentence(run, folders, tmp_path):
    words = ("--images", folders / "images", "--out", tmp_path / "d", "--window", "lung")

    assert run("import", "nifti", *words)[2] == (
        "alnb: --window 'lung' can't be read; give LOW,HIGH in HU.\n"
    )


@pytest.mark.parametrize(
    ("labels", "sentence"), [("1;2", "give LABEL,LABEL"), ("7", "no mask holds such a label")]
)
def test_labels_that_can_not_be_read_or_found_are_a_sentence(
    run, folders, tmp_path, labels, sentence
):
    words = ("--images", folders / "images", "--masks", folders / "masks", "--infected", labels)

    assert sentence in run("import", "nifti", *words, "--out", tmp_path / "d", "--size", 32)[2]


def test_a_split_file_may_share_a_scan_if_that_is_allowed(run, folders, tmp_path):
    (tmp_path / "split.csv").write_text("scan,z,part\na,,train\nb,,train\nc,,test\nc,1,val\n")
    words = ("--images", folders / "images", "--masks", folders / "masks", "--size", 32)
    words = (*words, "--split", tmp_path / "split.csv", "--out", tmp_path / "d")

    assert "or allow it with --allow-shared-scans" in run("import", "nifti", *words)[2]
    status, out, _ = run("import", "nifti", *words, "--allow-shared-scans")
    assert status == 0
    assert "note: the parts share patients: slices of scan c" in out


def test_the_papers_datasets_have_importers(run, folders, tmp_path):
    from alnb.dataset.importers import ZENODO

    for names in (ZENODO, ("rp_im", "rp_msk")):
        for name, ours in zip(names, ("images", "masks"), strict=True):
            (tmp_path / name).symlink_to(folders / ours)
    status, text, _ = run("import", "covid19b", tmp_path, "--size", 32, "--out", tmp_path / "b")
    assert (status, text.split(":")[0].strip()) == (0, "covid19b")
    status, text, _ = run(
        "import", "medseg", tmp_path, "--size", 32, "--split", "mixed", "--out", tmp_path / "a"
    )
    assert (status, text.split(":")[0].strip()) == (0, "covid19a")
    assert "the parts share patients" in text
    out = ("--out", tmp_path / "c", "--size", 32)
    assert "OpenSourceDCMs is not in it" in run("import", "covid19a", tmp_path, *out)[2]
    assert "no folders Imgs and GT are in it" in run("import", "semiseg", tmp_path, *out)[2]


def test_a_person_can_say_what_scans_and_masks_are(run, folders, data, tmp_path):
    words = ("--images", folders / "images", "--masks", folders / "masks", "--size", 32)
    words = (*words, "--out", tmp_path / "d", "--pseudo-masks", "--synthetic")
    assert run("import", "nifti", *words)[0] == 0
    told, usual = Dataset.open(tmp_path / "d"), Dataset.open(data)

    assert (told.pseudo_masks, told.synthetic) == (True, True)
    assert (usual.pseudo_masks, usual.synthetic) == (False, False)


def test_pictures_of_16_bits_take_a_unit_and_an_offset(run, tmp_path):
    from PIL import Image

    (tmp_path / "i").mkdir()
    stored = np.linspace(31768, 33168, 64).astype(np.uint16).reshape(8, 8)
    Image.fromarray(stored).save(tmp_path / "i" / "a.png")
    words = ("import", "pairs", "--images", tmp_path / "i", "--out", tmp_path / "d", "--size", 8)
    assert run(*words)[0] == 1
    assert run(*words, "--unit", "hu", "--offset", -32768)[::2] == (0, "")

    dataset = Dataset.open(tmp_path / "d")
    assert np.array_equal(dataset.raw(dataset.slices[0]), stored.astype(int) - 32768)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(28, "No space left", "x.csv"), "alnb: x.csv: there is no room for it."),
        (OSError(5, "Input/output error"), "alnb: a file or folder of this command: it can't be"),
        (UnicodeDecodeError("utf-8", b"\xfc", 0, 1, "invalid"), "alnb: a name or a file holds"),
        (DataError("scan a: too dark."), "alnb: scan a: too dark."),
    ],
)
def test_what_a_person_can_mend_is_a_sentence(run, monkeypatch, error, sentence):
    def failing(*_):
        raise error

    monkeypatch.setattr("alnb.cli.app", failing)
    status, _, err = run("run")

    assert status == 1
    assert err.startswith(sentence)


@pytest.fixture
def refusing(disk):
    """A small disk that takes nothing, or next to nothing, or may only be read."""

    def refuse(how):
        if how == "read only":
            disk.set_writable(False)
        else:
            disk.fill(left=how)
        return disk.path / "out"

    return refuse


@pytest.mark.parametrize("how", ["read only", 0, 4096])
@pytest.mark.parametrize("command", ["phantom", "import", "export", "compare", "run"])
def test_a_disk_that_refuses_is_a_sentence_and_nothing_is_left_half(
    run, folders, four_runs, squares, refusing, command, how
):
    words = {
        "phantom": ("phantom", "--scans", 1, "--size", 32),
        "import": ("import", "nifti", "--images", folders / "images", "--size", 32),
        "export": ("export", four_runs / "random-0"),
        "compare": ("compare", four_runs / "random-0", four_runs / "random-1"),
        "run": ("run", squares.folder, "--set", "steps=1", "--set", "pretrain_steps=0"),
    }[command]
    if command == "import":
        words = (*words, "--masks", folders / "masks")
    out = refusing(how)
    status, _, err = run(*words, "--out", out)

    assert status == 1
    assert re.search("no room|may not be read or written|can't be written", err)
    assert str(out) in err
    assert "Traceback" not in err
    left = {path.name for path in out.rglob("*") if path.is_file()} if out.exists() else set()
    assert left <= ({"journal.jsonl", "journal.lock"} if command == "run" else set())


@pytest.mark.parametrize("command", imports.registered_commands, ids=lambda command: command.name)
def test_an_import_asks_for_what_its_importer_takes(command):
    importer = inspect.signature(getattr(alnb.dataset, f"import_{command.name}")).parameters
    asked = inspect.signature(command.callback).parameters

    assert asked.keys() <= importer.keys() | BuildOptions.__annotations__.keys()


def test_a_licence_is_shown_before_anything_is_fetched(run, tmp_path, monkeypatch):
    from alnb.dataset import fetch

    def fake(out, *, lungs, progress):
        progress("a.zip", 1, 2)
        return (out / "a",)

    monkeypatch.setattr(fetch, "fetch_covid19b", fake)
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    status, out, _ = run("fetch", "covid19-b", "--out", tmp_path)
    assert status == 1
    assert "CC BY" in out
    assert "Unpacked" not in out

    status, out, _ = run("fetch", "covid19-b", "--out", tmp_path, "--yes")
    assert status == 0
    assert f"Unpacked: {tmp_path / 'a'}" in out
    assert f"Next: alnb import covid19b {tmp_path} --out DATA" in out


def test_a_run_prints_a_line_a_cycle_and_goes_on(run, data, tmp_path):
    words = ("run", data, "--out", tmp_path / "run", "--backbone", "efficientnet_lite0", *FAST)
    status, out, err = run(*words, "--cycles", 1)
    assert (status, err) == (0, "")
    assert out.count("Dice") == 2

    status, out, _ = run(*words, "--cycles", 2)
    assert status == 0
    assert out.count("Dice") == 1
    assert len((tmp_path / "run" / "curve.csv").read_text().splitlines()) == 4
    assert "It is too early to say what one more minute of labelling brings" in out

    _, out, _ = run(*words, "--cycles", 3)
    (line,) = (line for line in out.splitlines() if line.startswith("cycle"))
    assert "; one more minute: " in line
    assert "\nOne more minute of labelling is " in out


def test_export_writes_clicks_curve_and_masks_on_the_sources_grid(
    run, data, folders, tmp_path, monkeypatch
):
    import nibabel as nib
    from PIL import Image

    words = ("--backbone", "efficientnet_lite0", "--cycles", 0, *FAST)
    run("run", data, "--out", tmp_path / "run", *words)
    monkeypatch.setenv("ALNB_PROGRESS", "1")
    status, out, err = run("export", tmp_path / "run", "--out", tmp_path / "export")

    assert (status, err) == (0, "")
    assert out.count("Written") == 13
    assert '"masks 12 of 12", "completed": 12, "total": 12' in out
    mask = nib.load(tmp_path / "export" / "masks" / "a.nii.gz")
    source = nib.load(folders / "images" / "a.nii.gz")
    assert mask.shape == source.shape
    assert (mask.affine == source.affine).all()
    shown = [np.asarray(Image.open(tmp_path / "export/png/a" / f"{z:03d}.png")) for z in range(4)]
    stored = np.asarray(mask.dataobj)  # RAS; pictures show the patient's right and front first
    assert np.array_equal(np.stack(shown), 255 * stored.transpose(2, 1, 0)[:, ::-1, ::-1])
    head, *lines = (tmp_path / "export" / "answers.csv").read_text().splitlines()
    assert head.startswith("scan,slice,region,verdict,row,col")
    assert len(lines) == 8


def test_export_writes_the_journal_and_a_network_that_its_card_can_load(
    run, data, tmp_path, monkeypatch
):
    words = ("--backbone", "efficientnet_lite0", "--cycles", 0, *FAST)
    run("run", data, "--out", tmp_path / "run", *words)
    run("export", tmp_path / "run", "--out", tmp_path / "export")

    journal = (tmp_path / "export" / "journal.jsonl").read_text()
    kept = (tmp_path / "run" / "journal.jsonl").read_text()
    assert journal == kept.replace(json.dumps(str(data.resolve())), json.dumps(data.name))
    text = (tmp_path / "export" / "MODEL_CARD.md").read_text()
    assert Dataset.open(data).fingerprint in text
    code = text.split("```python\n")[1].split("```")[0].replace("256, 256", "32, 32")
    monkeypatch.chdir(tmp_path / "export")
    names = {}
    exec(code, names)  # noqa: S102 - what the card tells the reader to run
    assert names["infected"].shape == (1, 32, 32)


def test_a_run_labelled_in_full_trains_and_exports_its_outlines(run, data, tmp_path):
    full = ("--set", "labels=full", "--set", "loss=full", "--set", "regions_per_slice=16")
    most = ("--set", "start_regions=60", "--set", "holdout=0.2")  # of 64
    words = ("--backbone", "efficientnet_lite0", "--cycles", 0, *FAST, *full, *most)
    status, _, err = run("run", data, "--out", tmp_path / "run", *words)
    assert (status, err) == (0, "")
    run("export", tmp_path / "run", "--out", tmp_path / "export")

    with (tmp_path / "export" / "answers.csv").open() as file:
        rows = list(csv.DictReader(file))
    with (tmp_path / "run" / "curve.csv").open() as file:
        (curve,) = csv.DictReader(file)
    vertices = [row for row in rows if row["outline"]]
    assert {row["verdict"] for row in vertices} == {"infected"}
    assert {row["verdict"] for row in rows if not row["outline"]} == {"clean"}
    assert float(curve["cost_s"]) == 3 * len(rows)
    assert int(curve["clicks"]) == len(vertices) > 0
    assert 0 <= float(curve["heldout_accuracy"]) <= 1


def test_without_the_network_the_tables_go_out_and_the_rest_is_said(run, data, tmp_path):
    run("run", data, "--out", tmp_path / "run", "--cycles", 0, *FAST)
    shutil.rmtree(tmp_path / "run" / "cache")

    status, out, err = run("export", tmp_path / "run", "--out", tmp_path / "out")

    assert status == 1
    assert "curve.csv" in out
    assert "the tables are complete, but the masks are missing" in err


def test_a_run_names_its_dataset_from_any_folder(run, data, tmp_path, monkeypatch):
    monkeypatch.chdir(data.parent)
    run("run", data.name, "--out", tmp_path / "run", "--cycles", 0, *FAST)
    monkeypatch.chdir("/")

    status, _, err = run("export", tmp_path / "run", "--out", tmp_path / "out")

    assert (status, err) == (0, "")


def test_a_dataset_is_not_replaced_unasked(run, data, folders):
    status, _, err = run("import", "nifti", "--images", folders / "images", "--out", data)

    assert status == 1
    assert "holds a dataset already" in err


def test_a_session_that_is_a_file_is_refused_before_a_page_is_served(run, data, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for words in ((), (data,)):
        status, _, err = run("label", *words, "--session", tmp_path / "notes.txt", "--no-browser")

        assert (status, "it is a file. Name the session's folder" in err) == (1, True)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_exploring_nothing_is_a_sentence(run, tmp_path):
    status, _, err = run("explore", tmp_path)

    assert status == 1
    assert "holds no session" in err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--budget", 26), "Ended: the budget of 26 s is spent (24 s)."),
        (("--set", "regions_per_slice=1", "--set", "regions_per_cycle=99"), "every region"),
    ],
)
def test_a_run_says_why_it_ended_early(run, data, tmp_path, words, sentence):
    status, out, _ = run("run", data, "--out", tmp_path / "run", "--cycles", 9, *FAST, *words)

    assert status == 0
    assert sentence in out


def test_exporting_nothing_is_a_sentence(run, tmp_path):
    status, _, err = run("export", tmp_path, "--out", tmp_path / "out")

    assert status == 1
    assert "holds no session" in err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--heuristic", "entropi"), "heuristic 'entropi' is unknown; there are entropy"),
        (("--set", "backbone=vgg"), "backbone 'vgg' is unknown; there are vgg16"),
        (("--preset", "papers"), "preset 'papers' is unknown; there are default, paper"),
        (("--set", "steps"), "give NAME=VALUE"),
        (("--set", "stepz=3"), "unknown setting stepz"),
    ],
)
def test_a_wrong_setting_is_a_sentence(run, data, tmp_path, words, sentence):
    status, _, err = run("run", data, "--out", tmp_path / "run", *words)

    assert status == 1
    assert sentence in err


def test_a_port_in_use_is_a_sentence(run, data, tmp_path):
    import socket

    with socket.create_server(("127.0.0.1", free_port())) as taken:
        port = taken.getsockname()[1]
        status, _, err = run(
            "label", data, "--session", tmp_path / "s", "--port", port, "--no-browser"
        )

    assert status == 1
    assert f"port {port} is in use" in err


@pytest.fixture
def handed(monkeypatch, tmp_path):
    """What `alnb label` hands to the page, which does not open."""
    given = {}

    def refuse(_notebook, *, env, **_options):
        given.update(env)
        raise AlnbError("no page here")

    monkeypatch.setattr("alnb.serve.serve", refuse)
    monkeypatch.setattr("alnb.cli._dataset", lambda data: None)  # else it draws the phantom
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    return given


def test_label_hands_the_annotators_name_to_the_page(run, data, tmp_path, handed):
    status, _, _ = run("label", data, "--session", tmp_path / "s", "--annotator", "Ann")

    assert status == 1
    assert handed["ALNB_ANNOTATOR"] == "Ann"
    assert "ALNB_START" not in handed


def test_label_refuses_a_name_that_is_too_long(run, handed):
    status, _, said = run("label", "--annotator", "a" * 10**7)

    assert status == 1
    assert "has 10000000 characters; it may have 100 at most" in said
    assert handed == {}


def test_label_shows_the_start_page_unless_more_is_said(run, data, handed, monkeypatch):
    monkeypatch.chdir(data.parent)
    run("label", "--heuristic", "margin")
    assert "ALNB_START" not in handed
    run("label")
    assert handed["ALNB_START"] == str(data.parent)


def test_a_phantom_can_be_made(run, tmp_path):
    status, out, _ = run("phantom", "--out", tmp_path / "p", "--scans", 2, "--size", 64)

    assert status == 0
    assert "2 scans" in out


def test_doctor_finds_what_is_installed(run):
    status, out, _ = run("doctor")

    assert status == 0
    assert "ok    torch " in out


def test_ctrl_c_says_that_nothing_is_lost(run, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("alnb.cli.app", interrupted)
    status, _, err = run("run")

    assert status == 130
    assert "What was done is kept" in err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--weights", "absent.pth"), "absent.pth: there is no such file"),
        (("--set", "steps"), "give NAME=VALUE"),
        (("--set", "nonsense=1"), "unknown setting nonsense"),
    ],
)
@pytest.mark.parametrize("command", ["label", "run"])
def test_a_setting_that_can_not_be_is_a_sentence(run, tmp_path, command, words, sentence):
    words = (*words, "--out", tmp_path / "run") if command == "run" else words
    status, _, err = run(command, tmp_path, *words)

    assert status == 1
    assert sentence in err


def test_label_prints_its_address_with_the_token_and_ends_with_its_input(data, tmp_path):
    words = ["label", str(data), "--session", str(tmp_path / "s"), "--no-browser"]
    process = subprocess.Popen(
        [sys.executable, "-c", "from alnb.cli import main; main()", *words],
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        lines = [process.stdout.readline() for _ in range(2)]
        process.terminate()

    assert "http://127.0.0.1:" in lines[0]
    assert "?token=" in lines[0]
    assert "answers are kept in" in lines[1]


def test_an_import_is_repeated_with_the_options_that_a_refusal_names(run, tmp_path):
    soft = np.zeros((4, 40, 40), np.float32)
    soft[:, 10:20, 10:20] = np.linspace(0.1, 1, 10)
    write_nifti(tmp_path / "i" / "a.nii.gz", noisy_chest() + 1024)
    write_nifti(tmp_path / "m" / "a.nii.gz", soft)
    words = ["import", "nifti", "--images", tmp_path / "i", "--masks", tmp_path / "m"]
    words += ["--out", tmp_path / "d", "--size", "40", "--affine", "sform"]

    assert "Say --unit hu --offset -1024" in run(*words)[2]
    words += ["--unit", "hu", "--offset", "-1024"]
    assert "Say with --infected-above" in run(*words)[2]
    status, out, _ = run(*words, "--infected-above", "0.5")
    assert status == 0
    assert "-1024 was added to its values" in out
