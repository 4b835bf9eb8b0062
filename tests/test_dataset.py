import json
import re
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.orientations import axcodes2ornt, ornt_transform
from skimage import io
from test_volumes_dicom import even_chest, write_series

from alnb.arrays import Window
from alnb.dataset import (
    Dataset,
    Placement,
    SliceId,
    build,
    import_dicom,
    import_medseg,
    import_nifti,
    import_pairs,
    import_phantom,
    read_split,
)
from alnb.dataset.split import deal
from alnb.errors import DataError
from alnb.volumes import Volume, read_nifti

SHARED = Path(__file__).parents[2] / "shared" / "data"
real_ct = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the folder ../shared with real CT is not here"
)


def ct(scan="a", depth=4, height=16, width=16, seed=0):
    """A scan in HU and its mask: a square of label 2 in the odd slices."""
    rng = np.random.default_rng(seed)
    voxels = rng.integers(-1000, 300, (depth, height, width)).astype(np.int16)
    mask = np.zeros(voxels.shape, np.uint8)
    mask[1::2, 3:7, 4:9] = 2
    return Volume.made(scan, voxels, unit="hu"), mask


def write_nifti(path, voxels, codes="LPS", tilt=0.0):
    """Lay a display-order array into a NIfTI file along other axes, tilted by some radians."""
    path.parent.mkdir(exist_ok=True, parents=True)
    cos, sin = np.cos(tilt), np.sin(tilt)
    turn = np.array([[1, 0, 0, 0], [0, cos, -sin, 0], [0, sin, cos, 0], [0, 0, 0, 1]])
    image = nib.Nifti1Image(voxels.transpose(2, 1, 0), turn @ np.diag([-0.8, -0.7, 2, 1]))
    nib.save(image.as_reoriented(ornt_transform(axcodes2ornt("LPS"), axcodes2ornt(codes))), path)


def parts_of(dataset):
    return {part: len(dataset.part(part)) for part in ("train", "val", "test")}


# --- a dataset -------------------------------------------------------------------------------


def test_a_dataset_gives_back_what_was_stored(tmp_path):
    volume, mask = ct()
    dataset = build([(volume, mask)], tmp_path / "d", size=16, split="mixed")
    where = SliceId("a", 1)

    assert dataset.slices == tuple(SliceId("a", z) for z in range(4))
    assert np.array_equal(dataset.raw(where), volume.voxels[1])
    assert np.array_equal(dataset.image(where), Window(-1250, 250).to_grey(volume.voxels[1]))
    assert np.array_equal(
        dataset.image(where, Window(-160, 240)), Window(-160, 240).to_grey(volume.voxels[1])
    )
    assert np.array_equal(dataset.labels(where), mask[1])
    assert np.array_equal(dataset.mask(where), mask[1] > 0)
    assert dataset.mask(where).dtype == bool
    assert (dataset.infected_px(where), dataset.infected_px(SliceId("a", 0))) == (20, 0)
    assert (dataset.unit(where), dataset.name, dataset.size) == ("hu", "d", 16)
    assert dataset.has_masks


def test_every_array_of_a_dataset_is_read_only(tmp_path):
    dataset = build([ct()], tmp_path / "d", size=16, split="mixed")
    where = SliceId("a", 1)

    for array in (dataset.raw(where), dataset.image(where), dataset.mask(where)):
        assert not array.flags.writeable


def test_what_came_windowed_passes_as_it_is_and_is_said(tmp_path):
    grey = np.arange(2 * 64, dtype=np.uint8).reshape(2, 8, 8)
    pairs = [(Volume.made(scan, grey, unit="grey"), grey > 60) for scan in "abcde"]
    dataset = build(pairs, tmp_path / "d", size=8)

    assert np.array_equal(dataset.image(SliceId("a", 1), Window(-160, 240)), grey[1])
    assert "scan a, b, c and 2 more: already windowed to 8 bits" in dataset.notes[0]


def test_a_dataset_opened_again_is_the_same(tmp_path):
    built = build([ct("a"), ct("b", seed=1)], tmp_path / "d", size=16)
    opened = Dataset.open(tmp_path / "d")

    assert opened.fingerprint == built.fingerprint
    assert opened.slices == built.slices
    assert opened.describe() == built.describe()
    opened.verify()


def test_the_same_scans_have_the_same_fingerprint_and_others_another(tmp_path):
    first = build([ct("a"), ct("b")], tmp_path / "1" / "d", size=16)
    second = build([ct("a"), ct("b")], tmp_path / "2" / "d", size=16)
    split = build([ct("a"), ct("b")], tmp_path / "3" / "d", size=16, split="mixed")
    other = build([ct("a"), ct("b", seed=1)], tmp_path / "4" / "d", size=16)

    assert first.fingerprint == second.fingerprint
    assert len({first.fingerprint, split.fingerprint, other.fingerprint}) == 3


def test_a_dataset_counts_what_is_in_it(tmp_path):
    parts = {"a": "train", "b": "test"}
    dataset = build([ct("a"), ct("b", depth=3)], tmp_path / "d", size=16, split=parts)

    assert dataset.describe()["parts"] == {
        "train": {"scans": 1, "slices": 4, "infected_slices": 2},
        "val": {"scans": 0, "slices": 0, "infected_slices": 0},
        "test": {"scans": 1, "slices": 3, "infected_slices": 1},
    }
    assert dataset.part_of(SliceId("b", 0)) == "test"
    assert dataset.describe()["unit"] == "hu"
    assert "2 scans, 7 slices" in repr(dataset)
    assert dataset.notes == ("there is no val part.",)


def test_a_dataset_without_masks_says_so_when_asked_for_one(tmp_path):
    dataset = build([(ct()[0], None)], tmp_path / "d", size=16, split="mixed")

    assert not dataset.has_masks
    assert any("there are no masks" in note for note in dataset.notes)
    assert dataset.describe()["parts"]["train"]["infected_slices"] is None
    with pytest.raises(DataError, match="it has no masks"):
        dataset.mask(SliceId("a", 0))


def test_a_train_part_without_infection_is_noted(tmp_path):
    volume, mask = ct()
    dataset = build([(volume, mask * 0)], tmp_path / "d", size=16, split="mixed")

    assert any("no slice of the train part is infected" in note for note in dataset.notes)


def test_a_slice_or_scan_that_is_not_there_is_a_sentence(tmp_path):
    dataset = build([ct()], tmp_path / "d", size=16, split="mixed")

    for where in (SliceId("b", 0), SliceId("a", 4), SliceId("a", -1)):
        with pytest.raises(DataError, match="it has no slice"):
            dataset.raw(where)
    with pytest.raises(DataError, match="it has no scan b"):
        dataset.origin("b")


def test_hundreds_of_scans_open_without_a_heavy_import(tmp_path):
    pixels = np.zeros((1, 4, 4), np.uint8)
    pairs = ((Volume.made(f"s{n}", pixels, unit="grey"), None) for n in range(300))
    build(pairs, tmp_path / "d", size=4)
    code = (
        "import sys; from alnb.dataset import Dataset; d = Dataset.open(sys.argv[1]);"
        "d.image(d.slices[-1]); print(len(d.slices), *{'pandas', 'nibabel', 'skimage', 'scipy',"
        "'torch', 'pydicom'} & set(sys.modules))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "d")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["300"]


# --- broken folders --------------------------------------------------------------------------


def break_nothing(folder):
    (folder / "manifest.json").unlink()


def garble_manifest(folder):
    (folder / "manifest.json").write_text("{")


def strip_manifest(folder):
    (folder / "manifest.json").write_text("[]")


def age_manifest(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"format": 99}))


def lose_mask(folder):
    (folder / "masks" / "a.npy").unlink()


def edit_table(folder):
    with (folder / "slices.csv").open("a") as stream:
        stream.write("b,0,test,0\n")


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (break_nothing, "it is no dataset, manifest.json is missing"),
        (garble_manifest, "it is broken or not of alnb"),
        (strip_manifest, "it is broken or not of alnb"),
        (age_manifest, "it is of format 99, this alnb reads 1"),
        (lose_mask, "masks/a.npy is missing"),
        (edit_table, r"slices\.csv was changed"),
    ],
)
def test_a_broken_folder_is_a_sentence(tmp_path, harm, sentence):
    build([ct()], tmp_path / "d", size=16, split="mixed")
    harm(tmp_path / "d")

    with pytest.raises(DataError, match=sentence):
        Dataset.open(tmp_path / "d")


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(DataError, match="there is no such folder"):
        Dataset.open(tmp_path / "d")


def test_a_truncated_array_is_a_sentence_once_it_is_asked_for(tmp_path):
    dataset = build([ct()], tmp_path / "d", size=16, split="mixed")
    path = tmp_path / "d" / "images" / "a.npy"
    whole = path.read_bytes()

    for kept in (0, 50, 500):
        path.write_bytes(whole[:kept])
        with pytest.raises(DataError, match=r"a\.npy: it is missing or truncated"):
            dataset.raw(SliceId("a", 0))


def test_an_array_of_another_shape_or_content_is_a_sentence(tmp_path):
    dataset = build([ct()], tmp_path / "d", size=16, split="mixed")
    np.save(tmp_path / "d" / "images" / "a.npy", np.zeros((4, 8, 8), np.int16))
    with pytest.raises(DataError, match="it was changed"):
        dataset.raw(SliceId("a", 0))

    np.save(tmp_path / "d" / "images" / "a.npy", np.zeros((4, 16, 16), np.int16))
    with pytest.raises(DataError, match="it was changed"):
        dataset.verify()


# --- building --------------------------------------------------------------------------------


def test_kept_features_go_with_the_dataset_that_they_are_of(tmp_path):
    build([ct("a")], tmp_path, size=16, split="mixed")
    (tmp_path / "features" / "trunk-1").mkdir(parents=True)

    build([ct("b")], tmp_path, size=16, split="mixed")

    assert not (tmp_path / "features").exists()


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")

    with pytest.raises(DataError, match=r"it holds thesis\.tex, which is not part of a dataset"):
        build([ct()], tmp_path, size=16)
    with pytest.raises(DataError, match="it is a file"):
        build([ct()], tmp_path / "thesis.tex", size=16)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_dataset_is_replaced_by_the_next_one(tmp_path):
    build([ct("a"), ct("b")], tmp_path, size=16)
    dataset = build([(ct("c")[0], None)], tmp_path, size=16, split="mixed")

    assert {where.scan for where in dataset.slices} == {"c"}
    assert not list(tmp_path.rglob("a.npy"))


def test_a_build_that_fails_leaves_what_was_there(tmp_path):
    before = build([ct("a")], tmp_path / "d", size=16, split="mixed")
    volume, mask = ct("b")

    with pytest.raises(DataError, match="the mask is 3×16×16, the image 4×16×16"):
        build([ct("c"), (volume, mask[1:])], tmp_path / "d", size=16)
    assert Dataset.open(tmp_path / "d").fingerprint == before.fingerprint
    with pytest.raises(DataError):
        build([(volume, mask[1:])], tmp_path / "new", size=16)
    with pytest.raises(DataError, match="there is no such folder"):
        Dataset.open(tmp_path / "new")


def test_scans_that_do_not_go_together_are_refused(tmp_path):
    with pytest.raises(DataError, match="scan a: there are two of this name"):
        build([ct("a"), ct("a")], tmp_path / "d")
    with pytest.raises(DataError, match="scan b: only some of the scans have masks"):
        build([ct("a"), (ct("b")[0], None)], tmp_path / "d")
    with pytest.raises(DataError, match="there is no scan to import"):
        build([], tmp_path / "d")


def test_progress_is_told_scan_by_scan(tmp_path):
    told = []
    build([ct("a"), ct("b")], tmp_path / "d", size=16, progress=lambda *one: told.append(one))

    assert told == [("a", 1), ("b", 2)]


# --- the working grid ------------------------------------------------------------------------


def test_a_slice_keeps_its_shape_and_is_padded_with_air(tmp_path):
    volume, mask = ct(height=8, width=16)
    dataset = build([(volume, mask)], tmp_path / "d", size=16, split="mixed")
    raw = dataset.raw(SliceId("a", 1))

    assert np.array_equal(raw[4:12], volume.voxels[1])
    assert (raw[:4] == -1024).all()
    assert (raw[12:] == -1024).all()
    assert np.array_equal(dataset.labels(SliceId("a", 1))[4:12], mask[1])


def test_a_slice_that_shrinks_is_smoothed_first():
    stripes = np.tile(np.array([0, 200], np.uint8), (64, 32))
    small = Placement(16, (64, 64)).image(stripes)

    assert abs(int(small[8, 8]) - 100) < 10  # without anti-aliasing, stripes turn into 0 or 200


def test_images_and_masks_stay_on_each_other(tmp_path):
    voxels = np.full((1, 100, 80), -900, np.int16)
    voxels[0, 20:60, 10:50] = 100
    volume = Volume.made("a", voxels, unit="hu")
    dataset = build([(volume, voxels > 0)], tmp_path / "d", size=64, split={"a": "train"})
    where = SliceId("a", 0)

    differs = (dataset.raw(where) > -400) != dataset.mask(where)
    assert differs.sum() <= 4  # corners, which smoothing rounds


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 60))
def test_a_mask_that_is_enlarged_comes_back_exactly(height, width, extra):
    place = Placement(max(height, width) + extra, (height, width))
    mask = np.random.default_rng(0).integers(0, 3, (height, width)).astype(np.uint8)

    enlarged = place.labels(mask)
    assert enlarged.shape == (place.size, place.size)
    if min(height, width) * place.size // max(height, width) >= min(height, width):
        assert np.array_equal(place.back(enlarged), mask)


def test_a_working_grid_without_pixels_is_refused():
    with pytest.raises(DataError, match="Choose --size above 0"):
        Placement(0, (4, 4))


@pytest.mark.parametrize("codes", ["LPS", "RAS", "LAS", "SAL"])
@pytest.mark.parametrize("tilt", [0.0, 0.3])
def test_a_mask_goes_out_to_the_grid_it_came_from(tmp_path, codes, tilt):
    volume, mask = ct(height=60, width=44)
    mask[2, 5:9, 30:41] = 1
    write_nifti(tmp_path / "i" / "a.nii.gz", volume.voxels, codes, tilt)
    write_nifti(tmp_path / "m" / "a.nii.gz", mask, codes, tilt)

    for size in (60, 96, 50):  # as it is, larger, smaller
        dataset = import_nifti(
            tmp_path / "i", tmp_path / "d", masks=tmp_path / "m", size=size, split="mixed",
            infected=(1, 2),
        )  # fmt: skip
        dataset.write_mask(
            tmp_path / "out.nii.gz", "a",
            np.stack([dataset.labels(where) for where in dataset.slices]),
        )  # fmt: skip
        truth, out = nib.load(tmp_path / "m" / "a.nii.gz"), nib.load(tmp_path / "out.nii.gz")
        assert np.allclose(out.affine, truth.affine, atol=1e-4)
        wrong = np.asanyarray(out.dataobj) != np.asanyarray(truth.dataobj)
        if size >= 60:
            assert not wrong.any()
        else:  # nothing is off by more than a pixel of the border
            shown = read_nifti(tmp_path / "out.nii.gz", unit="grey").voxels > 0
            assert (shown[:, 1:-1, 1:-1] <= _grown(mask)).all()
            assert (_grown(shown) >= (mask > 0)[:, 1:-1, 1:-1]).all()


def _grown(mask):
    """Grow by a pixel in plane, then crop a pixel."""
    height, width = mask.shape[1:]
    shifts = [
        mask[:, row : height - 2 + row, col : width - 2 + col] > 0
        for row in range(3)
        for col in range(3)
    ]
    return np.any(shifts, axis=0)


def test_masks_that_do_not_fit_the_scan_do_not_go_out(tmp_path):
    dataset = build([ct()], tmp_path / "d", size=16, split="mixed")

    with pytest.raises(DataError, match="masks of 3×16×16 don't fit its 4 slices of 16×16"):
        dataset.to_source("a", np.zeros((3, 16, 16), bool))


# --- splits ----------------------------------------------------------------------------------


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


# --- imports ---------------------------------------------------------------------------------


def nifti_folders(folder, names=("a_2", "a_10"), masks=("a_2", "a_10")):
    volume, mask = ct()
    for name in names:
        write_nifti(folder / "i" / f"{name}.nii.gz", volume.voxels, "RAS")
    for name in masks:
        write_nifti(folder / "m" / f"{name}.nii", mask, "RAS")
    return folder / "i", folder / "m"


def test_nifti_volumes_and_masks_are_paired_by_name(tmp_path):
    images, masks = nifti_folders(tmp_path)
    dataset = import_nifti(images, tmp_path / "d", masks=masks, size=16)
    manifest = json.loads((tmp_path / "d" / "manifest.json").read_text())
    volume, mask = ct()

    assert list(manifest["scans"]) == ["a_2", "a_10"]
    assert manifest["scans"]["a_2"]["source"]["file"] == "a_2.nii.gz"
    assert manifest["scans"]["a_2"]["mask"]["file"] == "a_2.nii"
    assert str(tmp_path) not in (tmp_path / "d" / "manifest.json").read_text()
    assert np.array_equal(dataset.raw(SliceId("a_10", 1)), volume.voxels[1])
    assert np.array_equal(dataset.labels(SliceId("a_10", 1)), mask[1])


def test_one_nifti_file_is_a_dataset_too(tmp_path):
    images, _ = nifti_folders(tmp_path)

    assert len(import_nifti(images / "a_2.nii.gz", tmp_path / "d", split="mixed").slices) == 4


def test_a_scan_without_mask_or_a_mask_without_scan_is_a_sentence(tmp_path):
    images, masks = nifti_folders(tmp_path, names=("a", "b"), masks=("a", "c"))

    with pytest.raises(DataError, match=r"scan b: .* holds no mask .* with --skip b"):
        import_nifti(images, tmp_path / "d", masks=masks)
    with pytest.raises(DataError, match=r"mask c\.nii: there is no scan of that name"):
        import_nifti(images, tmp_path / "d", masks=masks, skip=["b"])
    (masks / "c.nii").unlink()
    dataset = import_nifti(images, tmp_path / "d", masks=masks, skip=["b"])
    assert {where.scan for where in dataset.slices} == {"a"}


def test_a_folder_that_cannot_be_imported_is_a_sentence(tmp_path):
    images, _ = nifti_folders(tmp_path)

    with pytest.raises(DataError, match=r"it holds no \.nii or \.nii\.gz file"):
        import_nifti(tmp_path, tmp_path / "d")
    with pytest.raises(DataError, match="there is no such folder"):
        import_nifti(tmp_path / "nowhere", tmp_path / "d")
    with pytest.raises(DataError, match="--skip b: there is no such scan"):
        import_nifti(images, tmp_path / "d", skip=["b"])
    write_nifti(images / "a_2.nii", ct()[0].voxels)
    with pytest.raises(DataError, match="name one scan"):
        import_nifti(images, tmp_path / "d")


def test_scans_stored_upside_down_are_turned_and_turned_back(tmp_path):
    images, masks = nifti_folders(tmp_path)
    dataset = import_nifti(images, tmp_path / "d", masks=masks, size=16, split="sep", flip=["*_10"])
    volume, mask = ct()
    dataset.write_mask(tmp_path / "out.nii", "a_10", np.stack([mask[z, ::-1] for z in range(4)]))

    assert np.array_equal(dataset.raw(SliceId("a_10", 1)), volume.voxels[1, ::-1])
    assert np.array_equal(dataset.labels(SliceId("a_10", 1)), mask[1, ::-1])
    assert np.array_equal(dataset.raw(SliceId("a_2", 1)), volume.voxels[1])
    assert np.array_equal(read_nifti(tmp_path / "out.nii").voxels, mask)
    assert any("upside down" in note for note in dataset.notes)


def test_headers_that_say_nothing_or_contradict_each_other_are_noted(tmp_path):
    images, masks = nifti_folders(tmp_path)
    silent = nib.load(images / "a_2.nii.gz")
    silent.set_sform(silent.affine, 0)
    silent.set_qform(silent.affine, 0)
    nib.save(silent, images / "a_2.nii.gz")

    notes = import_nifti(images, tmp_path / "d", masks=masks, split="mixed").notes

    assert notes[0].startswith("scan a_2: the file names no orientation")
    assert notes[1].startswith("scan a_2: the mask's header lays it beside the image")


def test_pictures_become_scans_of_one_slice(tmp_path):
    (tmp_path / "i").mkdir()
    (tmp_path / "m").mkdir()
    grey = np.arange(0, 240, 15, dtype=np.uint8).reshape(4, 4)
    for name in ("p1", "p2", "p3"):
        io.imsave(tmp_path / "i" / f"{name}.jpg", grey, check_contrast=False)
        mask = ((grey > 100) * 255).astype(np.uint8)
        io.imsave(tmp_path / "m" / f"{name}.png", mask, check_contrast=False)

    dataset = import_pairs(tmp_path / "i", tmp_path / "d", masks=tmp_path / "m", size=4)

    assert sorted(dataset.slices) == [SliceId(f"p{n}", 0) for n in (1, 2, 3)]
    assert np.array_equal(dataset.mask(SliceId("p1", 0)), grey > 100)
    assert "every picture counts as a scan" in dataset.notes[0]
    assert not import_pairs(tmp_path / "i", tmp_path / "e", size=4).has_masks


def test_dicom_series_become_scans(tmp_path):
    (tmp_path / "all").mkdir()
    for name in ("s1", "s2"):
        write_series(tmp_path / "all" / name, even_chest())

    both = import_dicom(tmp_path / "all", tmp_path / "d", size=8)
    one = import_dicom(tmp_path / "all" / "s1", tmp_path / "e", size=8, split="mixed")

    assert {where.scan for where in both.slices} == {"s1", "s2"}
    assert one.unit(one.slices[0]) == "hu"
    with pytest.raises(DataError, match="there is no such folder"):
        import_dicom(tmp_path / "nowhere", tmp_path / "d")


def test_what_a_series_lacks_is_noted(tmp_path):
    write_series(tmp_path / "s1", even_chest(4), positions=[0, 2, 4, 8])
    dataset = import_dicom(tmp_path / "s1", tmp_path / "d", size=8, split="mixed")

    assert dataset.notes[0].startswith("scan s1: slices are missing (1 after ")


def test_no_patient_is_named_in_a_dataset(tmp_path):
    write_series(tmp_path / "all" / "Curie_Marie_CT", even_chest())
    write_series(tmp_path / "all" / "b", even_chest())
    dataset = import_dicom(tmp_path / "all", tmp_path / "d", size=8)
    written = [path for path in (tmp_path / "d").rglob("*") if path.is_file()]

    assert list(dataset.scans) == ["scan_1", "scan_2"]
    assert any("named by their patients" in note for note in dataset.notes)
    assert len(written) == 4
    for path in written:
        content = path.name.encode() + path.read_bytes()
        assert not re.search(b"curie|marie|mrn-4711", content, re.IGNORECASE), path


def test_the_phantom_is_a_dataset_in_hu(tmp_path):
    dataset = import_phantom(tmp_path / "d", scans=2, size=64)

    assert dataset.name == "phantom"
    assert dataset.describe()["unit"] == "hu"
    assert dataset.has_masks
    assert parts_of(dataset)["test"] > 0


# --- real CT ---------------------------------------------------------------------------------


@real_ct
def test_medseg_is_dealt_as_published(tmp_path):
    dataset = import_medseg(SHARED / "medseg", tmp_path / "d")
    source = np.asanyarray(nib.load(SHARED / "medseg" / "train_msk.nii.gz").dataobj)

    assert parts_of(dataset) == {"train": 50, "val": 0, "test": 24}
    assert (dataset.size, dataset.name) == (256, "medseg")
    assert not dataset.stacked("train")
    assert np.array_equal(dataset.labels(SliceId("train", 7)), source[:, :, 7].T)
    assert {
        int(label) for z in range(50) for label in np.unique(dataset.labels(SliceId("train", z)))
    } == {0, 1, 2}
    assert all(dataset.infected_px(where) for where in dataset.slices)


@real_ct
def test_medseg_whose_table_does_not_fit_is_a_sentence(tmp_path):
    for path in (SHARED / "medseg").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    table = tmp_path / "test_slices.csv"
    table.write_text("\n".join(table.read_text().splitlines()[:-1]))

    with pytest.raises(DataError, match="it lists 23 slices"):
        import_medseg(tmp_path, tmp_path / "d")


@real_ct
def test_the_folders_of_zenodo_are_found(tmp_path):
    dataset = import_nifti(
        SHARED / "covid19b_pseudo", tmp_path / "d", size=64, split="sep", flip=["radiopaedia_*"]
    )

    assert (len(dataset.scans), len(dataset.slices)) == (20, 328)
    assert dataset.part("train")[0].scan == "coronacases_001"
    assert dataset.describe()["unit"] == "grey"


@real_ct
def test_hu_volumes_keep_their_hu_and_have_no_masks(tmp_path):
    dataset = import_nifti(SHARED / "hu_volumes", tmp_path / "d", size=192)
    source = np.asanyarray(nib.load(SHARED / "hu_volumes" / "cap002.nii.gz").dataobj)

    assert not dataset.has_masks
    assert np.array_equal(dataset.raw(SliceId("cap002", 3)), source[:, :, 3].T)
    assert dataset.image(SliceId("cap002", 3)).max() == 255


def test_a_refused_import_leaves_no_folder_behind(tmp_path):
    with pytest.raises(DataError, match="no scan"):
        build([], tmp_path / "data", size=32)

    assert not (tmp_path / "data").exists()
