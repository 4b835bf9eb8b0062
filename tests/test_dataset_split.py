import json

import numpy as np
import pytest
from fakes import scan_of
from hypothesis import given
from hypothesis import strategies as st
from scans import ct, parts_of

from alnb.dataset import (
    SliceId,
    build,
    fold,
    read_split,
)
from alnb.dataset.split import deal
from alnb.errors import DataError
from alnb.volumes import Volume


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Four scans to train on, of 3, 4, 5 and 6 slices, one to test."""
    parts = {"a": "train", "b": "train", "c": "train", "d": "train", "e": "test"}
    pairs = [scan_of(name, 3 + n, 32, n) for n, name in enumerate(parts)]
    return build(pairs, tmp_path_factory.mktemp("data") / "five", size=32, split=parts)


@pytest.mark.parametrize("folds", [2, 3, 4, 7, 18])
def test_each_train_slice_is_tested_on_once_and_no_other_is_seen(dataset, folds):
    parts = [fold(dataset, n, folds) for n in range(folds)]

    tested = [where for one in parts for where in one.part("test")]
    assert sorted(tested) == sorted(dataset.part("train"))
    for one in parts:
        assert sorted((*one.part("train"), *one.part("test"))) == sorted(dataset.part("train"))
        assert one.part("train") and one.part("test") and not one.part("val")


@pytest.mark.parametrize("folds", [2, 4])
def test_a_patient_is_on_one_side_where_there_are_enough(dataset, folds):
    for n in range(folds):
        one = fold(dataset, n, folds)
        sides = [{where.scan for where in one.part(part)} for part in ("train", "test")]
        assert not sides[0] & sides[1]


def test_a_fold_reads_the_same_slices(dataset):
    one = fold(dataset, 1, 3)
    where = one.part("test")[0]

    assert (one.mask(where) == dataset.mask(where)).all()
    assert (one.image(where) == dataset.image(where)).all()


def test_folds_are_told_apart(dataset):
    names = {fold(dataset, n, 3).fingerprint for n in range(3)}

    assert len(names | {dataset.fingerprint}) == 4
    assert fold(dataset, 1, 3).fingerprint == fold(dataset, 1, 3).fingerprint
    assert "fold 1 of 3 of its train part" in fold(dataset, 1, 3).name


@pytest.mark.parametrize(("number", "folds"), [(3, 3), (-1, 3), (0, 1), (0, 19)])
def test_what_can_not_be_is_said(dataset, number, folds):
    with pytest.raises(DataError, match="Choose from 2 to 18 folds"):
        fold(dataset, number, folds)


def scans_by_part(parts):
    found = {"train": [], "val": [], "test": []}
    for where, part in parts.items():
        if where.scan not in found[part]:
            found[part].append(where.scan)
    return found


@pytest.mark.parametrize(
    ("scans", "counts"),
    [(1, (1, 0, 0)), (2, (1, 0, 1)), (6, (3, 1, 2)), (9, (5, 1, 3)), (20, (15, 1, 4))],
)
def test_sep_deals_scans_in_order_as_the_paper_does(scans, counts):
    names = [f"s{n:02d}" for n in range(scans)]
    found = scans_by_part(deal("sep", dict.fromkeys(names, 3)))

    assert tuple(len(theirs) for theirs in found.values()) == counts
    assert found["train"] + found["val"] + found["test"] == names


@pytest.mark.parametrize(
    ("names", "val", "test"),
    [
        ([f"DCM{n}" for n in range(1, 10)], ["DCM6"], ["DCM7", "DCM8", "DCM9"]),
        ([f"s{n:02d}" for n in range(1, 21)], ["s16"], ["s17", "s18", "s19", "s20"]),
    ],
)
def test_sep_of_the_papers_two_datasets_is_known(tmp_path, names, val, test):
    pixels = np.zeros((2, 4, 4), np.uint8)
    pairs = [(Volume.made(name, pixels, unit="grey"), None) for name in names]
    build(pairs, tmp_path / "d", size=4, split="sep")
    manifest = json.loads((tmp_path / "d" / "manifest.json").read_text())

    train = names[: -len(val + test)]
    assert manifest["split"] == "sep"
    assert manifest["parts"] == {"train": train, "val": val, "test": test}
    assert manifest["shared_scans"] == []


def test_mixed_cuts_every_scan_as_the_paper_does():
    parts = deal("mixed", {"a": 100, "b": 20})

    assert [parts[SliceId("a", z)] for z in (0, 44, 45, 49, 50, 99)] == [
        "train", "train", "val", "val", "test", "test",
    ]  # fmt: skip
    assert [parts[SliceId("b", z)] for z in (8, 9, 10)] == ["train", "val", "test"]


@pytest.mark.parametrize(
    ("scans", "counts"), [(1, (1, 0, 0)), (4, (3, 0, 1)), (6, (3, 1, 2)), (20, (12, 2, 6))]
)
def test_scan_deals_whole_scans_by_seed(scans, counts):
    depths = {f"s{n:02d}": 3 for n in range(scans)}

    found = scans_by_part(deal("scan", depths, seed=1))
    assert tuple(len(theirs) for theirs in found.values()) == counts
    assert deal("scan", depths, seed=1) == deal("scan", depths, seed=1)
    if scans == 20:
        assert deal("scan", depths, seed=1) != deal("scan", depths, seed=2)


@given(
    st.sampled_from(["scan", "sep", "mixed"]),
    st.lists(st.integers(3, 30), min_size=1, max_size=30),
    st.integers(0, 3),
)
def test_every_slice_is_dealt_once_and_in_order(split, depths, seed):
    depths = {f"s{n}": depth for n, depth in enumerate(depths)}
    parts = deal(split, depths, seed)

    assert list(parts) == [SliceId(scan, z) for scan in depths for z in range(depths[scan])]
    if split != "mixed":
        assert all(
            len({parts[SliceId(scan, z)] for z in range(depth)}) == 1
            for scan, depth in depths.items()
        )


def test_shared_patients_are_recorded(tmp_path):
    dataset = build([ct("a", depth=20)], tmp_path / "d", size=16, split="mixed")
    manifest = json.loads((tmp_path / "d" / "manifest.json").read_text())

    assert manifest["shared_scans"] == ["a"]
    assert manifest["split"] == "mixed"
    assert manifest["parts"] == {"train": ["a"], "val": ["a"], "test": ["a"]}
    assert "the parts share patients: slices of scan a" in dataset.notes[0]
    assert parts_of(dataset) == {"train": 9, "val": 1, "test": 10}


def test_a_file_can_name_the_split(tmp_path):
    file = tmp_path / "split.csv"
    file.write_text("scan,part,z,why\na,train,,x\nb,test,,\nb,val,1,y\n", encoding="utf-8-sig")
    with pytest.raises(DataError, match="slices of scan b into more than one part"):
        build([ct("a"), ct("b")], tmp_path / "d", size=16, split=str(file))
    dataset = build([ct("a"), ct("b")], tmp_path / "d", size=16, split=str(file), allow_shared=True)

    assert read_split(file)["a"] == "train"
    assert str(file) not in (tmp_path / "d" / "manifest.json").read_text()
    assert any("the parts share patients: slices of scan b" in note for note in dataset.notes)
    assert dataset.part("val") == (SliceId("b", 1),)
    assert parts_of(dataset) == {"train": 4, "val": 1, "test": 3}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("scan,part\na,train\nb,learn\n", "scan b is put into part 'learn'"),
        ("scan,z,part\na,one,train\n", "z is 'one' for scan a"),
        ("name,part\na,train\n", "must name the columns scan and part"),
        ("scan,part\na,train\n", "says nothing about scan b, slice 0"),
        ("scan,part\na,train\nb,test\nc,test\n", "the split names c, which is not among"),
        ("scan,part\na,test\nb,test\n", "leaves no slice to train on"),
        ("scan,part\na,train\nb,test\na,test\n", "a is put into train and into test"),
        ("scan,slice,part\na,0,train\na,1,test\nb,0,test\n", "number them in a column z"),
    ],
)
def test_a_split_file_that_does_not_fit_is_a_sentence(tmp_path, content, sentence):
    (tmp_path / "split.csv").write_text(content)

    with pytest.raises(DataError, match=sentence):
        deal(tmp_path / "split.csv", {"a": 2, "b": 2})


def test_a_split_that_is_unknown_is_a_sentence():
    with pytest.raises(DataError, match="--split sepp: it is neither scan, sep nor mixed"):
        deal("sepp", {"a": 2})


TABLE = "scan,part\na,train\nM\u00fcller,test\n"


@pytest.mark.parametrize(
    "content",
    [
        TABLE.encode("cp1252"),
        TABLE.encode("utf-8-sig"),
        TABLE.encode("utf-16"),
        TABLE.encode("utf-16-le"),
        TABLE.encode("utf-16-be"),
        TABLE.replace("\u00fc", "u\u0308").encode(),
        TABLE.replace(",", ";").encode(),
        TABLE.replace(",", "\t").encode("utf-16"),
        b"sep=;\r\n" + TABLE.replace(",", ";").replace("\n", "\r\n").encode(),
        b"SEP=|\n" + TABLE.replace(",", "|").encode(),
        TABLE.replace("\n", "\r").encode(),
        ('\n\n"Scan" , "PART"\n\na, Train\n,,\n M\u00fcller ,TEST\n\n').encode(),
        "Nr;Part;Scan;\n1;train;a;\n2;test;M\u00fcller;\n;;;\n".encode(),
        "scan,part\na.nii.gz,train\nM\u00fcller.PNG,test".encode(),
        "scan,z,part\na,,train\nM\u00fcller,0.0,test\nM\u00fcller,1,test".encode(),
        "scan;z;part\na;;train\nM\u00fcller;0,0;test\nM\u00fcller;1,0;test".encode(),
        '"scan","part"\n"1","a","train"\n"2","M\u00fcller","test"\n'.encode(),
        '"scan" "part"\n"1" "a" "train"\n"2" "M\u00fcller" "test"\n'.encode(),
    ],
)
def test_a_split_is_read_as_excel_and_others_save_it(tmp_path, content):
    (tmp_path / "split.csv").write_bytes(content)
    parts = deal(tmp_path / "split.csv", {"a": 2, "M\u00fcller": 2})

    assert scans_by_part(parts) == {"train": ["a"], "val": [], "test": ["M\u00fcller"]}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "must name the columns scan and part"),
        (b"PK\x03\x04rest", "it is a workbook, not a table. Save it as CSV"),
        (b"scan,part\na,train\n\x81,test\n", "its letters can't be read"),
        (b"scan,part\n" + b'"' + b"x" * 200_000, "it is no table"),
        (b"scan,part\na\n", "scan a is put into part ''"),
        (b"scan,part\na,train\nB,test\n", "names B, which .* the nearest are b"),
        (b"scan,z,part\na,-1,train\n", "z is '-1' for scan a"),
        (b"scan,z,part\na," + b"7" * 5000 + b",train\n", "z is '777"),
    ],
)
def test_a_split_file_that_can_not_be_read_is_a_sentence(tmp_path, content, sentence):
    (tmp_path / "split.csv").write_bytes(content)

    with pytest.raises(DataError, match=sentence):
        deal(tmp_path / "split.csv", {"a": 2, "b": 2})


def test_a_folder_is_no_split(tmp_path):
    with pytest.raises(DataError, match=r"it is a folder\. Name a file"):
        read_split(tmp_path)
