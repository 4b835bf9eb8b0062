import os

import numpy as np
import pandas as pd
import pytest

from alnb.storage import (
    csv_of,
    forget,
    from_inert,
    inert,
    maps_path,
    read_arrays,
    replacing,
    scores_path,
    sha256_of,
    short_hash,
    spare_name,
    staged,
    write_arrays,
    write_durably,
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


def test_what_is_staged_moves_in_together_or_leaves_no_trace(tmp_path):
    with pytest.raises(ZeroDivisionError), staged(tmp_path / "out") as stage:
        (stage / "a.txt").write_text("new")
        raise ZeroDivisionError
    assert not (tmp_path / "out").exists()

    (tmp_path / "out" / "inner").mkdir(parents=True)
    (tmp_path / "out" / "inner" / "a.txt").write_text("old")
    (tmp_path / "out" / "kept.txt").write_text("kept")
    with staged(tmp_path / "out") as stage:
        write_text(stage / "inner" / "a.txt", "new")
        assert (tmp_path / "out" / "inner" / "a.txt").read_text() == "old"

    assert (tmp_path / "out" / "inner" / "a.txt").read_text() == "new"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["inner", "kept.txt"]


def test_what_a_durable_file_replaces_can_be_kept(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("first")
    write_durably(path, b"second", spare_name(path))

    def no_links(*_):
        raise PermissionError(1, "this disk has no such links")

    monkeypatch.setattr(os, "link", no_links)
    write_durably(path, b"third", spare_name(path))

    assert path.read_bytes() == b"third"
    assert (tmp_path / "a.other-1.txt").read_bytes() == b"first"
    assert (tmp_path / "a.other-2.txt").read_bytes() == b"second"


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "'=", "''@"])
def test_a_text_that_a_spreadsheet_would_run_is_written_as_text_and_read_as_it_was(first):
    text = f"{first}1+cmd()"
    assert inert(text) == f"'{text}"
    assert from_inert(inert(text)) == text


@pytest.mark.parametrize("text", ["", "scan_01", "'quoted'", " =1", "a=1", "'", -1.5, None, True])
def test_any_other_value_is_written_as_it_is(text):
    assert inert(text) is text
    if isinstance(text, str):
        assert from_inert(text) == text


def test_a_table_keeps_its_numbers():
    table = pd.DataFrame({"a": ["=1", None], "b": [-1, 2], "c": [-0.5, float("nan")], "d": True})

    assert csv_of(table) == "a,b,c,d\n'=1,-1,-0.5,True\n,2,,True\n"
