import os

import numpy as np
import pytest

from alnb.storage import (
    forget,
    maps_path,
    read_arrays,
    replacing,
    scores_path,
    sha256_of,
    short_hash,
    write_arrays,
    write_text,
)


def test_a_file_is_written_whole_or_stays_as_it_was(tmp_path):
    path = tmp_path / "new" / "notes.txt"
    write_text(path, "one\n")

    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("tw")
        raise ZeroDivisionError

    assert path.read_bytes() == b"one\n"
    assert [file.name for file in path.parent.iterdir()] == ["notes.txt"]


def test_arrays_read_back_by_name(tmp_path):
    write_arrays(tmp_path / "maps.npz", mean=np.eye(2), file=np.arange(3))
    found = read_arrays(tmp_path / "maps.npz")

    assert found.keys() == {"mean", "file"}
    assert (found["mean"] == np.eye(2)).all()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"\x93NUMPY"])
def test_broken_arrays_are_as_if_missing(tmp_path, content):
    (tmp_path / "maps.npz").write_bytes(content)

    assert read_arrays(tmp_path / "maps.npz") == read_arrays(tmp_path / "absent.npz") == {}


@pytest.mark.parametrize("cut", [10, 100, 200])
def test_arrays_cut_short_are_as_if_missing(tmp_path, cut):
    write_arrays(tmp_path / "maps.npz", mean=np.eye(4))
    content = (tmp_path / "maps.npz").read_bytes()
    (tmp_path / "maps.npz").write_bytes(content[:-cut])

    assert read_arrays(tmp_path / "maps.npz") == {}


def test_equal_values_have_equal_hashes():
    assert short_hash({"a": 1, "b": [2]}) == short_hash({"b": [2], "a": 1}) != short_hash({"a": 1})
    assert len(short_hash([], 12)) == 12


def test_a_file_is_hashed_by_its_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"x")

    assert sha256_of(tmp_path / "a").startswith("2d711642b726b044")


def test_a_slice_of_any_scan_has_a_files_name(tmp_path):
    assert maps_path(tmp_path, "w", "a/b:c", 3).parent == tmp_path


def test_the_oldest_files_of_a_kind_are_forgotten(tmp_path):
    for age, name in enumerate("cba"):
        path = scores_path(tmp_path, name)
        write_arrays(path, entropy=np.zeros(1))
        os.utime(path, (100 - age, 100 - age))
    write_text(tmp_path / "weights-x.safetensors", "")
    forget(tmp_path, "scores", keep=1)

    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "scores-c.npz",
        "weights-x.safetensors",
    ]
