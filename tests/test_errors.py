import errno
import logging
from pathlib import Path

import pytest

from alnb import errors
from alnb.dataset import (
    Dataset,
    import_covid19a,
    import_covid19b,
    import_dicom,
    import_medseg,
    import_nifti,
    import_pairs,
    import_phantom,
    import_semiseg,
    read_split,
)
from alnb.errors import (
    LOG,
    AlnbError,
    DataError,
    TrainerError,
    log_to,
    path_sentence,
    quoted,
    saying,
    sentence_of,
)
from alnb.ui.importing import plan_of
from alnb.volumes import read_nifti, read_picture
from alnb.volumes.dicom import read_series
from alnb.volumes.dicom_files import find_series


@pytest.fixture(autouse=True)
def logged(tmp_path):
    yield log_to(tmp_path)
    for handler in list(errors.LOGGER.handlers):
        errors.LOGGER.removeHandler(handler)
        handler.close()


def failure():
    try:
        raise ZeroDivisionError("by nothing")
    except ZeroDivisionError as error:
        return error


def test_an_error_for_the_person_is_its_sentence_and_not_logged(logged):
    assert sentence_of(DataError("scan a: too dark.")) == "scan a: too dark."
    assert not logged.exists()


def test_a_surprise_is_logged_with_its_trace_and_the_sentence_points_there(logged):
    sentence = sentence_of(failure())

    assert "ZeroDivisionError: by nothing" in sentence and f"The log {logged} says more" in sentence
    assert "in failure" in logged.read_text("utf-8")


def test_another_folder_takes_the_place_of_the_one_before(logged, tmp_path):
    (tmp_path / "other").mkdir()
    log_to(tmp_path / "other")
    sentence_of(failure())

    assert (tmp_path / "other" / LOG).exists() and not logged.exists()


def test_the_log_is_rotated(logged, tmp_path, monkeypatch):
    monkeypatch.setattr(errors, "LOG_BYTES", 200)
    log_to(tmp_path)
    for _ in range(50):
        logging.getLogger("alnb.training").warning("x" * 50)

    assert sorted(file.name for file in tmp_path.iterdir()) == [LOG, f"{LOG}.1", f"{LOG}.2"]


def test_a_log_that_can_not_be_written_stops_nothing(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    log_to(tmp_path / "file")

    assert "ZeroDivisionError" in sentence_of(failure())


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (errno.ENOSPC, "x: there is no room for it. Make room on the disk, or name another place."),
        (errno.EACCES, "x: it may not be read or written here. Correct the permissions, or name"),
        (errno.EISDIR, "x: it is a folder. Name a file."),
        (errno.EIO, "x: it can't be used (Input/output error). Check the path."),
    ],
)
def test_what_the_system_says_of_a_path_becomes_a_sentence(code, sentence):
    assert path_sentence(OSError(code, "Input/output error"), "x").startswith(sentence)
    assert path_sentence(OSError(code, "", "y"), "x").startswith("y: ")


def test_another_librarys_error_is_quoted_on_one_line_and_cut():
    assert quoted(ValueError("no\n decoder. ")) == "no decoder"
    assert quoted(ValueError("a" * 1000)) == f"{'a' * 120}…"


@pytest.mark.parametrize("error", [AlnbError, DataError, TrainerError])
def test_no_error_holds_a_word_that_nobody_would_read_to_its_end(error):
    said = str(error(f"the split names {'a' * 5000}, as /data/{'b' * 90}/{'c' * 90}.nii. Correct."))

    assert said == f"the split names {'a' * 100}… as /data/{'b' * 90}/{'c' * 90}.nii. Correct."
    assert str(error()) == ""


def test_a_name_that_is_too_long_is_cut_in_its_sentence():
    path = Path("/data") / ("a" * 255) / "b.dcm"
    said = path_sentence(OSError(errno.ENAMETOOLONG, "", str(path)), "x")

    assert said == f"/data/{'a' * 100}…/b.dcm: its name is too long. Name another place."


def test_a_decorated_function_says_which_path_it_could_not_write(tmp_path):
    @saying("out")
    def write(text, out):
        out.write_text(text)
        return out

    assert write("a", tmp_path / "a").read_text() == "a"
    with pytest.raises(DataError, match="it is a folder"):
        write("a", out=tmp_path)


@pytest.mark.parametrize("named", ["a\0b", "a\udc00b", "x" * 300, "/dev/null/x"])
def test_what_can_be_no_path_is_a_sentence_wherever_it_is_named(tmp_path, named):
    out = tmp_path / "out"
    readers = [
        Dataset.open, read_split, read_nifti, read_picture, read_series, find_series,
        lambda path: plan_of(Path(path)),
        *(lambda path, make=make: make(path, out) for make in (
            import_nifti, import_pairs, import_dicom, import_medseg, import_covid19a,
            import_covid19b, import_semiseg,
        )),
        lambda path: import_phantom(path, scans=1, size=32),
    ]  # fmt: skip
    for read in readers:
        with pytest.raises(DataError) as raised:
            read(named)
        assert len(str(raised.value)) < 700
