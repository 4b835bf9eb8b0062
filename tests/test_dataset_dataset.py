import dataclasses
import json
import os
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scans import ct, write_nifti
from skimage.transform import resize

from alnb.arrays import Window
from alnb.dataset import (
    Dataset,
    Placement,
    SliceId,
    build,
    import_nifti,
)
from alnb.errors import DataError
from alnb.volumes import Volume, read_nifti


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


def imported(folder, seed=0):
    return build([ct(seed=seed)], folder, size=16, split="mixed")


def cut_short(folder):
    os.truncate(folder / "images" / "a.npy", 300)


def change_in_place(folder):
    with (folder / "images" / "a.npy").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x7f")


def import_another(folder):
    imported(folder, seed=1)


@pytest.mark.parametrize("read", [True, False])
@pytest.mark.parametrize("harm", [cut_short, change_in_place, import_another])
def test_an_array_that_changes_while_it_is_open_is_a_sentence(tmp_path, harm, read):
    dataset = imported(tmp_path / "d")
    if read:
        dataset.raw(SliceId("a", 0))
        dataset.check()
    harm(tmp_path / "d")

    with pytest.raises(DataError, match=r"truncated|changed.*What was labelled is kept"):
        dataset.image(SliceId("a", 3))
    if read:
        with pytest.raises(DataError, match=r"truncated|changed|another dataset is there now"):
            dataset.check()


def test_an_array_that_was_changed_in_place_is_noticed_where_it_is_opened(tmp_path):
    imported(tmp_path / "d")
    change_in_place(tmp_path / "d")

    with pytest.raises(DataError, match=r"a\.npy: it was changed after its import"):
        Dataset.open(tmp_path / "d").raw(SliceId("a", 0))


def test_another_split_in_its_place_is_another_dataset(tmp_path):
    dataset = imported(tmp_path / "d")
    dataset.check()
    build([ct()], tmp_path / "d", size=16, split="mixed", seed=5)

    with pytest.raises(DataError, match="another dataset is there now"):
        dataset.check()
    with pytest.raises(DataError, match="another dataset is there now"):
        Dataset.open(tmp_path / "d", dataset.fingerprint)


def test_a_dataset_that_was_only_copied_touched_or_imported_likewise_is_the_same(tmp_path):
    dataset = imported(tmp_path / "d")
    before = dataset.raw(SliceId("a", 0))
    os.utime(tmp_path / "d" / "images" / "a.npy")
    dataset.check()
    imported(tmp_path / "d")
    dataset.check()

    assert np.array_equal(dataset.raw(SliceId("a", 0)), before)


def test_a_file_that_is_cut_short_in_use_ends_no_process(tmp_path):
    code = (
        "import os, sys; from alnb.dataset import Dataset; from alnb.errors import DataError\n"
        "data = Dataset.open(sys.argv[1]); where = data.slices[-1]; shown = data.raw(where)\n"
        "os.truncate(data.folder / 'images' / 'a.npy', 0)\n"
        "total = int(shown.sum())\n"
        "try:\n    data.raw(where)\n"
        "except DataError as error:\n    print(error)\n"
    )
    folder = build([ct(height=256, width=256)], tmp_path / "d", size=256, split="mixed").folder
    words = [sys.executable, "-c", code, str(folder)]
    done = subprocess.run(words, capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
    assert "missing or truncated" in done.stdout


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


@given(
    height=st.integers(2, 40), width=st.integers(2, 40), size=st.integers(2, 64),
)  # fmt: skip
def test_a_pixel_lies_in_the_source_pixel_whose_label_it_takes(height, width, size):
    place = Placement(size, (height, width))
    numbers = np.arange(1, height * width + 1, dtype=np.uint16).reshape(height, width)
    shown = place.labels(numbers).ravel()
    rows, cols = np.mgrid[:size, :size].reshape(2, -1)
    found = np.stack(place.to_source(rows, cols, whole=True))

    assert np.array_equal(np.isnan(found).any(axis=0), shown == 0)
    y, x = found[:, shown > 0].astype(int)
    assert np.array_equal(numbers[y, x], shown[shown > 0])


def test_the_corners_of_a_slice_are_its_corners_on_both_grids():
    place = Placement(32, (40, 64))  # on rows 6 to 25
    rows, cols = place.to_source(np.array([5.5, 25.5]), np.array([-0.5, 31.5]))

    assert (rows.tolist(), cols.tolist()) == ([-0.5, 39.5], [-0.5, 63.5])


@pytest.mark.parametrize(
    ("shape", "spacing", "inner", "corner"),
    [
        ((20, 48), (13.0, 6.5), (40, 48), (4, 0)),
        ((512, 512), (0.7, 0.7), (48, 48), (0, 0)),
        ((48, 20), (1.0, 4.8), (24, 48), (12, 0)),
        ((512, 512), (0.7, 0.70001), (48, 48), (0, 0)),  # as header fields of 32 bits round
        ((9, 1), (1e-6, 1.0), (1, 48), (23, 0)),
    ],
)
def test_a_slice_is_laid_out_by_millimetres(shape, spacing, inner, corner):
    place = Placement(48, shape, spacing)

    assert (place.inner, place.corner) == (inner, corner)


def test_pixels_that_are_not_square_are_noted_and_a_mask_returns_to_them(tmp_path):
    rows, cols = np.mgrid[:20, :48]
    round_mm = np.hypot((rows - 9.5) * 2, cols - 23.5) < 15
    voxels = np.where(round_mm, 50, -1000).astype(np.int16)[None]
    volume = Volume.made("a", voxels, unit="hu", spacing_mm=(5, 2, 1))
    dataset = build([(volume, round_mm[None])], tmp_path / "d", size=48, split={"a": "train"})
    shown = dataset.mask(SliceId("a", 0))

    height, width = (np.ptp(np.flatnonzero(shown.any(axis))) + 1 for axis in (1, 0))
    assert abs(height - width) <= 2
    assert ((dataset.raw(SliceId("a", 0)) > -400) != shown).mean() < 0.03
    assert np.array_equal(dataset.to_source("a", shown[None])[0], round_mm)
    assert "scan a: its pixels are not square (2 mm high, 1 wide)" in " ".join(dataset.notes)


def test_a_dataset_of_before_keeps_the_layout_it_was_stored_in(tmp_path):
    volume = Volume.made("a", ct(height=8)[0].voxels, unit="hu", spacing_mm=(1, 2, 1))
    folder = build([(volume, None)], tmp_path / "d", size=16, split="mixed").folder
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    assert manifest["scans"]["a"]["placement"]["inner"] == [16, 16]
    manifest["scans"]["a"]["placement"] = {"inner": [8, 16], "corner": [4, 0]}
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    masks = np.zeros((4, 16, 16), bool)
    masks[:, 4, :] = True

    place = Dataset.open(folder).placement("a")
    assert (place.inner, place.corner) == ((8, 16), (4, 0))
    assert np.flatnonzero(Dataset.open(folder).to_source("a", masks)[0].any(1)).tolist() == [0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((16, (4, 4), (0.0, 1.0)), "pixels of 0×1 mm can't be laid out"),
        ((16, (4, 4), (1.0, np.nan)), "pixels of 1×nan mm"),
        ((16, (4, 4), (1.0, 1.0), (17, 3)), r"doesn't fit a working grid of 16 px"),
    ],
)
def test_a_layout_that_can_not_be_is_a_sentence(arguments, sentence):
    with pytest.raises(DataError, match=sentence):
        Placement(*arguments)


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


@pytest.mark.parametrize(("scan", "synthetic"), [("phantom_01", True), ("coronacases_001", False)])
def test_a_dataset_of_before_these_fields_opens_as_it_did(tmp_path, scan, synthetic):
    folder = build([ct(scan)], tmp_path / "d", size=16, split={scan: "train"}).folder
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    del manifest["synthetic"], manifest["pseudo_masks"]
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    dataset = Dataset.open(folder)

    assert dataset.synthetic is synthetic
    assert not dataset.pseudo_masks


# --- sides and scale ---


def scanned(folder, *, forms=("LPS",), first=(120.0, 90.0, -300.0), mm=(0.7, 0.7, 2.0)):
    """Write a scan whose sform, and qform if there are two, name these axes; import it."""
    volume, _ = ct()
    grid = nib.Nifti1Image(volume.voxels.transpose(2, 1, 0), np.eye(4))
    for form, setting in zip(forms, (grid.set_sform, grid.set_qform), strict=False):
        signs = [1 if code in "RAS" else -1 for code in form]
        affine = np.diag([*np.multiply(signs, mm), 1.0])
        affine[:3, 3] = first
        setting(affine, 1)
    if len(forms) == 1:
        grid.set_qform(None, 0)
    (folder / "i").mkdir(parents=True)
    nib.save(grid, folder / "i" / "a.nii.gz")
    return folder / "i"


@pytest.mark.parametrize("form", ["LPS", "RAS", "LAS", "RPS"])
def test_the_sides_of_a_scan_are_known_where_its_scanner_names_them(tmp_path, form):
    dataset = import_nifti(scanned(tmp_path, forms=(form,)), tmp_path / "d", split="mixed", size=32)

    assert dataset.oriented("a")
    assert dataset.pixel_mm("a") == pytest.approx(0.7 / 2)


def test_a_tilted_scan_has_sides_too(tmp_path):
    volume, _ = ct()
    write_nifti(tmp_path / "i" / "a.nii.gz", volume.voxels, "SAL", tilt=0.3)
    image = nib.load(tmp_path / "i" / "a.nii.gz")
    affine = image.affine.copy()
    affine[:3, 3] += (11, 12, 13)
    nib.save(nib.Nifti1Image(image.dataobj, affine), tmp_path / "i" / "a.nii.gz")

    assert import_nifti(tmp_path / "i", tmp_path / "d", split="mixed", size=16).oriented("a")


@pytest.mark.parametrize("form", ["LPS", "RAS", "RPS"])
def test_directions_that_a_program_made_up_name_no_side(tmp_path, form):
    images = scanned(tmp_path, forms=(form,), first=(0, 0, 0))
    dataset = import_nifti(images, tmp_path / "d", split="mixed", size=16)

    assert not dataset.oriented("a")
    assert dataset.pixel_mm("a") == pytest.approx(0.7)  # a size that somebody wrote


def test_a_made_up_grid_that_was_turned_names_no_side_either(tmp_path):
    write_nifti(tmp_path / "i" / "a.nii.gz", ct()[0].voxels, "RAS")

    assert not import_nifti(tmp_path / "i", tmp_path / "d", split="mixed", size=16).oriented("a")


def test_voxels_of_a_millimetre_from_nowhere_have_no_scale(tmp_path):
    images = scanned(tmp_path, first=(0, 0, 0), mm=(1, 1, 1))

    assert import_nifti(images, tmp_path / "d", split="mixed", size=16).pixel_mm("a") is None


def test_affines_that_contradict_each_other_name_no_side(tmp_path):
    images = scanned(tmp_path, forms=("LPS", "RPS"))
    dataset = import_nifti(images, tmp_path / "d", affine="sform", split="mixed", size=16)

    assert not dataset.oriented("a")


def test_a_scan_that_a_person_turned_has_no_sides(tmp_path):
    images = scanned(tmp_path)

    assert not import_nifti(images, tmp_path / "d", flip=["a"], split="mixed", size=16).oriented(
        "a"
    )


def test_made_data_lies_as_it_is_shown(tmp_path):
    dataset = build([ct()], tmp_path / "d", size=16, split="mixed")

    assert dataset.oriented("a")


def test_pictures_and_slices_of_several_patients_have_neither_sides_nor_scale(tmp_path):
    pair = ct()
    picture = dataclasses.replace(pair[0], located=False)
    several = dataclasses.replace(pair[0], stacked=False)
    for number, volume in enumerate((picture, several)):
        dataset = build([(volume, pair[1])], tmp_path / f"{number}", size=16, split="mixed")
        assert not dataset.oriented("a")
        assert dataset.pixel_mm("a") is None


@pytest.mark.parametrize("shape", [(1, 500_000), (500_000, 2), (4000, 4000)])
def test_a_slice_far_larger_than_the_grid_is_averaged_first_and_keeps_its_mean(shape, monkeypatch):
    ramp = np.linspace(-1000, 400, shape[0] * shape[1]).reshape(shape).astype(np.int16)
    smoothed = []
    monkeypatch.setattr(
        "skimage.transform.resize",
        lambda array, *args, **how: smoothed.append(array.size) or resize(array, *args, **how),
    )

    place = Placement(16, shape)
    laid = place.image(ramp)[place.window]

    assert max(smoothed) <= (2 * 8 * 16) ** 2  # of what takes time: at most 16 times as wide
    assert abs(laid.mean() - ramp.mean()) < 10
    assert laid.flat[0] < -900 and laid.flat[-1] > 300


def test_a_slice_is_averaged_first_only_where_no_ct_is_so_large():
    grey = np.random.default_rng(0).integers(0, 255, (512, 512)).astype(np.uint8)
    wanted = resize(grey.astype(np.float32), (64, 64), order=1, mode="edge",
                    preserve_range=True, anti_aliasing=True)  # fmt: skip

    assert np.array_equal(Placement(64, (512, 512)).image(grey), np.rint(wanted))
