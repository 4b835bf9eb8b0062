import unicodedata

import numpy as np
import pytest
from PIL import Image

from alnb.dataset import SliceId, import_pairs
from alnb.dataset.files import Found, files, find, without
from alnb.dataset.split import nearest
from alnb.errors import DataError
from alnb.volumes import NIFTI, PICTURES


def touch(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def pairs_of(tmp_path, images, masks, skip=()):
    """Pair empty files of these names; return mask by scan, and the notes."""
    touch(tmp_path / "i", *(f"{name}.png" for name in images))
    touch(tmp_path / "m", *(f"{name}.png" for name in masks))
    found = find(tmp_path / "i", tmp_path / "m", PICTURES, skip)
    return {scan: path.stem for scan, path in found.masks.items()}, found.notes


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("x_0000", "x"),
        ("study_0255", "study_0255_mask"),
        ("coronacases_org_001", "coronacases_001"),
        ("radiopaedia_org_covid-19-pneumonia-10_85902_1-dcm", "radiopaedia_10_85902_1"),
        ("image_1", "mask_1"),
        ("img001", "msk001"),
        ("Scan1", "scan1"),
        ("x", "x-seg"),
        ("x", "x_gt"),
        ("x", "x.label"),
        ("x", "x_infectionMask"),
        ("x_ct", "x_seg"),
        ("volume-0", "segmentation-0"),
        ("scan (1)", "scan (1)_mask"),
        ("image", "mask"),
        ("कि_img", "कि_mask"),
    ],
)
def test_usual_endings_are_paired_and_that_is_said(tmp_path, image, mask):
    paired, notes = pairs_of(tmp_path, [image, "other_7"], [mask, "other_7"])

    assert paired == {image: mask, "other_7": "other_7"}
    assert notes == (
        f"masks under other names were paired by the usual endings: {mask}.png to scan {image}.",
    )


def test_equal_names_are_paired_first_and_nothing_is_said(tmp_path):
    names = ["x_0000", "x_0001", "Y", "y", "scan (1)", "日本", "image_1", "mask_1"]

    assert pairs_of(tmp_path, names, names) == ({name: name for name in names}, ())


def test_names_that_unicode_spells_in_two_ways_are_one(tmp_path):
    composed, apart = "M\u00fcller", "Mu\u0308ller"
    paired, notes = pairs_of(tmp_path, [apart], [composed])

    assert (paired, notes) == ({composed: composed}, ())
    touch(tmp_path / "i", f"{composed}.png")
    with pytest.raises(DataError, match="name one scan"):
        files(tmp_path / "i", PICTURES)


@pytest.mark.parametrize(
    ("images", "masks", "sentence"),
    [
        (["x"], ["x_mask", "x_seg"], "scan x could go with mask x_mask, x_seg"),
        (["x_ct", "x_img"], ["x_seg"], "scan x_ct, x_img could go with mask x_seg"),
        (["x"], ["x", "x_seg"], r"mask x_seg\.png: there is no scan of that name; .* are x\."),
        (["p_01"], ["p_1"], "scan p_01: .* no mask of that name; the nearest are p_1. Add it"),
        (["x_0000", "x_0001"], ["x"], "scan x_0001: .* holds no mask of that name. Add it"),
        (["x_2"], ["x_lungs_2"], "scan x_2: .* no mask of that name; the nearest are x_lungs_2"),
        (["कि"], ["का_mask"], "no mask of that name"),
        (["x_1_0"], ["x_10_mask"], "no mask of that name"),
    ],
)
def test_what_could_match_otherwise_is_refused_with_what_is_near(tmp_path, images, masks, sentence):
    with pytest.raises(DataError, match=sentence):
        pairs_of(tmp_path, images, masks)


def test_the_mask_of_a_skipped_scan_is_left_alone_under_any_name(tmp_path):
    paired, _ = pairs_of(tmp_path, ["a_0000", "b_0000", "c"], ["a", "b", "c"], skip=["b_0000", "c"])

    assert paired == {"a_0000": "a"}


def test_masks_may_lie_beside_their_scans(tmp_path):
    folder = touch(tmp_path, "benign (1).png", "benign (1)_mask.png", "b.png", "b_seg.png")
    found = find(folder, folder, PICTURES, ())

    assert list(found.scans) == ["b", "benign (1)"]
    assert found.masks["benign (1)"].name == "benign (1)_mask.png"
    with pytest.raises(DataError, match=r"b_seg is called as the mask of b\. Say --masks"):
        find(folder, None, PICTURES, ())
    assert list(find(folder, None, PICTURES, ["b_seg", "benign (1)_mask"]).scans) == [
        "b", "benign (1)",
    ]  # fmt: skip


def test_a_scan_and_a_mask_that_are_named_both_are_a_pair(tmp_path):
    touch(tmp_path, "a.png", "z.png")

    found = find(tmp_path / "a.png", tmp_path / "z.png", PICTURES, ())
    assert found.masks == {"a": tmp_path / "z.png"}


def test_hidden_files_and_those_of_the_system_are_not_seen(tmp_path):
    touch(tmp_path, "._x.nii.gz", ".DS_Store", "Thumbs.db", "x.nii.gz", "notes.txt")

    assert find(tmp_path, None, NIFTI, ()) == Found({"x": tmp_path / "x.nii.gz"}, {}, ())


def test_files_that_may_be_scans_and_are_not_read_are_counted(tmp_path):
    touch(tmp_path, "a.PNG", "b.tif", "c.tif", "d.dcm")

    assert find(tmp_path, None, PICTURES, ()).notes == (
        "left out, since this import doesn't read them: 1 .dcm, 2 .tif.",
    )


def test_folders_inside_that_hold_scans_too_are_named(tmp_path):
    folder = touch(tmp_path / "i", "a.png")
    touch(folder / "more" / "deep", "b.png")
    touch(folder / "masks", "a.png")
    touch(folder / "notes", "c.txt")
    touch(folder / "__MACOSX", "._a.png")

    assert find(folder, folder / "masks", PICTURES, ()).notes == (
        "left out, since this import doesn't read them: the folder more.",
    )
    with pytest.raises(DataError, match=r"Name one that does: deep\."):
        files(touch(tmp_path / "i" / "more"), PICTURES)
    with pytest.raises(DataError, match=r"does: i, i.masks, i.more.deep, or put their files into"):
        files(tmp_path, PICTURES)


def test_paths_that_can_not_be_listed_are_a_sentence(tmp_path):
    touch(tmp_path, "a.txt")
    (tmp_path / "x.nii").mkdir()

    for path, sentence in {
        tmp_path: r"x\.nii: it is a folder",
        tmp_path / "nowhere": "there is no such folder",
        tmp_path / ("x" * 300): "its name is too long",
    }.items():
        with pytest.raises(DataError, match=sentence):
            files(path, NIFTI)


def test_a_name_to_skip_is_found_in_any_spelling(tmp_path):
    scans = {"M\u00fcller": tmp_path, "b": tmp_path}

    assert list(without(scans, [unicodedata.normalize("NFD", "M\u00fcller")])) == ["b"]
    with pytest.raises(DataError, match=r"--skip B: .* the nearest are b"):
        without(scans, ["B"])


@pytest.mark.parametrize(
    ("name", "names", "said"),
    [
        ("1", ["001", "002"], "; the nearest are 001"),
        ("SCAN_3", ["scan_3", "x"], "; the nearest are scan_3"),
        ("q", ["scan_1"], ""),
    ],
)
def test_the_nearest_names_are_said(name, names, said):
    assert nearest(name, names) == said


@pytest.mark.parametrize("name", ["scan (1)", "日本", "[x] & y's #1 100%", "a,b;c"])
def test_any_name_goes_through_a_dataset(tmp_path, name):
    for kind, value in (("i", 90), ("m", 1)):
        (tmp_path / kind).mkdir()
        Image.fromarray(np.full((8, 8), value, np.uint8)).save(tmp_path / kind / f"{name}.png")
    dataset = import_pairs(
        tmp_path / "i", tmp_path / "d", masks=tmp_path / "m", size=8, split={name: "train"}
    )

    assert dataset.slices == (SliceId(name, 0),)
    assert dataset.mask(SliceId(name, 0)).all()
    dataset.write_mask(tmp_path / f"{name}.nii.gz", name, np.ones((1, 8, 8), bool))
    assert (tmp_path / f"{name}.nii.gz").is_file()


def test_one_scan_finds_its_mask_among_those_of_its_neighbours(tmp_path):
    images = touch(tmp_path / "i", "a.nii", "b.nii", "c_0000.nii")
    masks = touch(tmp_path / "m", "a_seg.nii", "b_seg.nii", "c.nii")

    assert find(images / "b.nii", masks, NIFTI, ()).masks == {"b": masks / "b_seg.nii"}


def test_a_scan_to_skip_may_be_named_by_its_file(tmp_path):
    assert without({"a": tmp_path, "b": tmp_path}, ["a.nii.gz"]) == {"b": tmp_path}
