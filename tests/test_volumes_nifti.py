from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.orientations import axcodes2ornt, ornt_transform
from scans import chest

from alnb.errors import DataError
from alnb.volumes import (
    Volume,
    read_mask,
    read_nifti,
    upside_down,
    write_mask,
)

SPACING_MM = (2.0, 0.7, 0.8)
ORIENTATIONS = ["LPS", "RAS", "LAS", "RPI", "SAL", "PSR"]


def stored(voxels, codes="LPS", tilt=0.0):
    """Lay a display-order array into a NIfTI image along other axes, tilted by some radians."""
    dz, dy, dx = SPACING_MM
    cos, sin = np.cos(tilt), np.sin(tilt)
    turn = np.array([[1, 0, 0, 0], [0, cos, -sin, 0], [0, sin, cos, 0], [0, 0, 0, 1]])
    image = nib.Nifti1Image(voxels.transpose(2, 1, 0), turn @ np.diag([-dx, -dy, dz, 1]))
    return image.as_reoriented(ornt_transform(axcodes2ornt("LPS"), axcodes2ornt(codes)))


def saved(path, voxels, codes="LPS", tilt=0.0):
    nib.save(stored(voxels, codes, tilt), path)
    return path


@pytest.mark.parametrize("codes", ORIENTATIONS)
@pytest.mark.parametrize("tilt", [0.0, 0.3])
def test_a_scan_shows_the_same_whatever_axes_it_is_stored_along(tmp_path, codes, tilt):
    volume = read_nifti(saved(tmp_path / "a.nii.gz", chest(), codes, tilt))

    assert np.array_equal(volume.voxels, chest())
    assert volume.unit == "hu"
    assert volume.scan == "a"


def test_the_display_of_a_ras_file_is_its_transpose_with_rows_and_columns_turned(tmp_path):
    data = chest().transpose(2, 1, 0)  # x to the left hand of RAS's R, y to A, z to S
    nib.save(nib.Nifti1Image(data, np.eye(4)), tmp_path / "ras.nii")

    assert np.array_equal(
        read_nifti(tmp_path / "ras.nii").voxels, data.transpose(2, 1, 0)[:, ::-1, ::-1]
    )


@settings(max_examples=25, deadline=None)
@given(
    order=st.permutations([("L", "R"), ("P", "A"), ("S", "I")]),
    flips=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    tilt=st.floats(-0.5, 0.5),
    sform=st.booleans(),
)
def test_a_mask_written_comes_back_on_the_files_own_grid(
    tmp_path_factory, order, flips, tilt, sform
):
    codes = "".join(pair[flip] for pair, flip in zip(order, flips, strict=True))
    folder = tmp_path_factory.mktemp("grid")
    image = stored(chest(), codes, tilt)
    image.set_sform(image.affine, 1 if sform else 0)
    image.set_qform(image.affine, 3)
    nib.save(image, folder / "a.nii")
    volume = read_nifti(folder / "a.nii")
    truth = (np.asanyarray(image.dataobj) % 3 == 0).astype(np.uint8)

    write_mask(folder / "m.nii.gz", volume.voxels % 3 == 0, volume)
    written = nib.load(folder / "m.nii.gz")

    assert np.array_equal(np.asanyarray(written.dataobj), truth)
    assert written.get_data_dtype() == np.uint8
    assert np.allclose(written.affine, image.affine, atol=1e-4)
    for code in ("qform_code", "sform_code"):
        assert written.header[code] == image.header[code]
    again = read_mask(folder / "m.nii.gz", volume)
    assert np.array_equal(again.voxels, volume.voxels % 3 == 0)
    assert again.note == ""


def test_an_affine_without_direction_is_a_sentence(tmp_path):
    path = saved(tmp_path / "a.nii", chest())
    content = bytearray(path.read_bytes())
    content[280:296] = bytes(16)  # srow_x
    path.write_bytes(content)

    with pytest.raises(DataError, match="names no direction"):
        read_nifti(tmp_path / "a.nii")


def test_a_mask_of_another_shape_names_both_shapes_and_the_way_out(tmp_path):
    volume = read_nifti(saved(tmp_path / "coronacases_003.nii", chest(4)))
    saved(tmp_path / "m.nii", chest(3) % 2)

    with pytest.raises(DataError) as error:
        read_mask(tmp_path / "m.nii", volume)
    assert str(error.value) == (
        "scan coronacases_003: the mask is 4×5×3, the image 4×5×4. Re-export the mask on the "
        "image's grid, or leave the scan out with --skip coronacases_003."
    )
    with pytest.raises(DataError, match=r"the mask is 3×5×4, the image 4×5×4"):
        write_mask(tmp_path / "w.nii", np.zeros((3, 5, 4)), volume)


def test_a_mask_stored_along_other_axes_is_laid_onto_the_scan(tmp_path):
    volume = read_nifti(saved(tmp_path / "a.nii", chest(), "RAS"))
    labels = read_mask(saved(tmp_path / "m.nii", chest() % 3, "PSR"), volume)

    assert np.array_equal(labels.voxels, chest() % 3)
    assert labels.note == ""
    assert len(labels.sha256) == 64


def test_a_mask_whose_header_contradicts_the_scan_is_taken_voxel_by_voxel(tmp_path):
    volume = read_nifti(saved(tmp_path / "a.nii", chest(), "LPS"))
    own = nib.Nifti1Image((chest() % 2).transpose(2, 1, 0).astype(np.uint8), np.eye(4))
    nib.save(own, tmp_path / "m.nii")

    labels = read_mask(tmp_path / "m.nii", volume)

    assert np.array_equal(labels.voxels, chest() % 2)
    assert "voxel by voxel" in labels.note


@pytest.mark.parametrize("value", [0.5, -1, 256, np.nan])
def test_a_label_that_is_no_small_whole_number_is_refused(tmp_path, value):
    volume = read_nifti(saved(tmp_path / "a.nii", chest()))
    odd = np.zeros(chest().shape, np.float32)
    odd[0, 0, 0] = value

    with pytest.raises(DataError, match="no label"):
        read_mask(saved(tmp_path / "m.nii", odd), volume)


def test_whole_numbers_stored_as_floats_are_labels(tmp_path):
    volume = read_nifti(saved(tmp_path / "a.nii", chest()))
    labels = read_mask(saved(tmp_path / "m.nii", (chest() % 3).astype(np.float32)), volume)

    assert labels.voxels.dtype == np.uint8
    assert np.array_equal(labels.voxels, chest() % 3)


@pytest.mark.parametrize("code", [6, 1000, -3])
def test_a_mask_is_written_where_the_scan_has_a_code_that_nobody_knows(tmp_path, code):
    image = stored(chest())
    image.header["sform_code"] = code
    nib.save(image, tmp_path / "a.nii")
    volume = read_nifti(tmp_path / "a.nii")
    write_mask(tmp_path / "mask.nii.gz", np.ones(volume.voxels.shape, np.uint8), volume)

    np.testing.assert_allclose(nib.load(tmp_path / "mask.nii.gz").affine, volume.affine, atol=1e-4)


def test_a_mask_that_cannot_be_written_is_a_sentence(tmp_path):
    volume = Volume.made("a", chest(), unit="hu")
    (tmp_path / "file").touch()

    with pytest.raises(DataError, match="can't be written"):
        write_mask(tmp_path / "file" / "m.nii", chest() > 0, volume)
    with pytest.raises(DataError, match=r"\.nii or \.nii\.gz"):
        write_mask(tmp_path / "m.png", chest() > 0, volume)


def test_real_ct_in_hu_and_in_grey_is_told_apart(shared):
    hu = read_nifti(shared / "data" / "hu_volumes" / "P002.nii.gz")
    grey = read_nifti(shared / "data" / "medseg" / "test_im.nii.gz")
    stored = np.asanyarray(nib.load(shared / "data" / "hu_volumes" / "P002.nii.gz").dataobj)

    assert (hu.unit, hu.voxels.shape) == ("hu", (14, 192, 192))
    assert (grey.unit, grey.voxels.shape) == ("grey", (24, 256, 256))
    assert np.array_equal(hu.voxels[5], stored[:, :, 5].T)


def test_a_scan_turned_upside_down_still_finds_the_way_back(tmp_path):
    volume = read_nifti(saved(tmp_path / "a.nii", chest(), "LAS"))
    turned, _ = upside_down(volume, None)

    write_mask(tmp_path / "m.nii", turned.voxels % 2, turned)

    assert np.array_equal(turned.voxels, volume.voxels[:, ::-1])
    assert np.array_equal(read_mask(tmp_path / "m.nii", volume).voxels, volume.voxels % 2)


LESION_HU = -200


def lesioned():
    """HU with a lesion in the patient's right, and its mask; in display order."""
    voxels = np.full((6, 9, 8), -850, np.int16)
    voxels[1:3, 2:4, 1:3] = LESION_HU
    return voxels, (voxels == LESION_HU).astype(np.uint8)


def off_centre(image):
    """Move an image to where no scan is symmetric."""
    moved = np.eye(4)
    moved[:3, 3] = (13.1, -47.3, 310.9)
    return nib.Nifti1Image(np.asanyarray(image.dataobj), moved @ image.affine)


def headed(path, data, affine, qform=1, sform=1, other=None):
    """Save an image whose qform is `other`, or the same as its sform."""
    image = nib.Nifti1Image(data, affine)
    image.set_sform(affine, sform)
    image.set_qform(affine if other is None else other, qform)
    nib.save(image, path)
    return path


def pair(tmp_path, codes="LPS", mask_codes=None):
    """A scan read from a file, and its mask's array and affine along `mask_codes`."""
    voxels, mask = lesioned()
    scan = off_centre(stored(voxels, codes))
    image = off_centre(stored(mask, mask_codes or codes))
    path = headed(tmp_path / "a.nii", np.asanyarray(scan.dataobj), scan.affine)
    return read_nifti(path), np.asanyarray(image.dataobj), image.affine


def under(labels, volume):
    return np.unique(volume.voxels[labels.voxels > 0]).tolist()


def shifted(affine, *voxels):
    there = affine.copy()
    there[:3, 3] += affine[:3, :3] @ voxels
    return there


@pytest.mark.parametrize("codes", ORIENTATIONS)
@pytest.mark.parametrize("mask_codes", ORIENTATIONS)
def test_a_mask_along_other_axes_and_a_voxel_off_follows_its_directions(
    tmp_path, codes, mask_codes
):
    volume, mask, affine = pair(tmp_path, codes, mask_codes)
    exact = read_mask(headed(tmp_path / "m.nii", mask, affine), volume)
    near = read_mask(headed(tmp_path / "n.nii", mask, shifted(affine, 1, -1, 1)), volume)

    assert under(exact, volume) == under(near, volume) == [LESION_HU]
    assert np.array_equal(exact.voxels, near.voxels)
    assert exact.note == ""
    assert near.note.startswith("the mask's header lays it")


def test_a_mask_along_other_axes_and_elsewhere_is_refused_with_both_grids(tmp_path):
    volume, mask, affine = pair(tmp_path, "LPS", "RAS")
    headed(tmp_path / "m.nii", mask, shifted(affine, 5, 0, 0))

    with pytest.raises(DataError) as error:
        read_mask(tmp_path / "m.nii", volume)
    for word in ("scan a: ", "the mask is RAS, 8×9×6 voxels", "the image LPS, 8×9×6", "--skip a"):
        assert word in str(error.value)


@pytest.mark.parametrize("codes", ["LPS", "RAS", "PSR"])
@pytest.mark.parametrize("at", [(0, 0, 0), (13.1, -47.3, 310.9)])
def test_a_mask_without_a_header_is_taken_voxel_by_voxel(tmp_path, codes, at):
    voxels, mask = (np.asanyarray(stored(one, codes).dataobj) for one in lesioned())
    affine = stored(lesioned()[0], codes).affine
    centred = affine.copy()
    centred[:3, 3] = -affine[:3, :3] @ (np.array(voxels.shape) - 1) / 2 + at
    volume = read_nifti(headed(tmp_path / "a.nii", voxels, centred))
    silent = read_nifti(headed(tmp_path / "s.nii", voxels, centred, 0, 0))
    bare = headed(tmp_path / "m.nii", mask, np.diag([0.8, 0.7, 2, 1]), 0, 0)
    full = headed(tmp_path / "f.nii", mask, centred)

    for scan, path, whose in ((volume, bare, "mask"), (silent, full, "image")):
        labels = read_mask(path, scan)
        assert under(labels, scan) == [LESION_HU]
        assert labels.note == (
            f"the {whose}'s header names no orientation, so it was taken voxel by voxel"
        )
    assert under(read_mask(bare, silent), silent) == [LESION_HU]


@pytest.mark.parametrize("identity", [np.eye(4), np.diag([-1.0, -1, 1, 1])])
@pytest.mark.parametrize("codes", ["LPS", "RAS"])
def test_a_mask_with_the_header_of_a_bare_array_is_taken_voxel_by_voxel(tmp_path, identity, codes):
    volume, mask, _ = pair(tmp_path, codes)
    labels = read_mask(headed(tmp_path / "m.nii", mask, identity), volume)

    assert under(labels, volume) == [LESION_HU]
    assert "voxel by voxel" in labels.note


def test_a_mask_of_equal_axes_and_another_origin_or_spacing_is_taken_voxel_by_voxel(tmp_path):
    volume, mask, affine = pair(tmp_path)

    for other in (shifted(affine, 40, 0, 0), affine @ np.diag([1.25, 1.4, 0.5, 1])):
        labels = read_mask(headed(tmp_path / "m.nii", mask, other), volume)
        assert under(labels, volume) == [LESION_HU]
        assert "voxel by voxel" in labels.note


@pytest.mark.parametrize("signs", [(-1, -1, 1), (-1, 1, 1), (1, -1, 1)])
def test_a_mask_whose_header_has_the_signs_of_lps_is_refused(tmp_path, signs):
    volume, mask, affine = pair(tmp_path)
    headed(tmp_path / "m.nii", mask, np.diag([*signs, 1.0]) @ affine)

    with pytest.raises(DataError, match="along other axes and elsewhere"):
        read_mask(tmp_path / "m.nii", volume)


def test_a_mask_whose_signs_can_not_be_told_is_noted(tmp_path):
    voxels, mask = lesioned()
    scan = stored(voxels, "LPS")
    affine = scan.affine.copy()
    affine[:3, 3] = -affine[:3, :3] @ (np.array(scan.shape) - 1) / 2  # around 0
    volume = read_nifti(headed(tmp_path / "a.nii", np.asanyarray(scan.dataobj), affine))
    turned = nib.Nifti1Image(np.asanyarray(stored(mask).dataobj), affine).as_reoriented(
        ornt_transform(axcodes2ornt("LPS"), axcodes2ornt("RAS"))
    )
    nib.save(turned, tmp_path / "m.nii")

    labels = read_mask(tmp_path / "m.nii", volume)

    assert under(labels, volume) == [LESION_HU]
    assert "check that the mask lies on the lesions" in labels.note


def test_a_mask_of_a_cube_follows_its_header(tmp_path):
    cube = chest(5, 5, 5)
    volume = read_nifti(saved(tmp_path / "a.nii", cube, "LPS"))

    for codes in ("PLS", "SPL", "ASR", "RAS"):
        labels = read_mask(saved(tmp_path / "m.nii", cube % 3, codes), volume)
        assert np.array_equal(labels.voxels, cube % 3)


def test_a_mask_of_turned_shape_without_a_header_is_refused(tmp_path):
    volume, mask, _ = pair(tmp_path)
    headed(tmp_path / "m.nii", mask.transpose(2, 1, 0), np.eye(4), 0, 0)

    with pytest.raises(DataError, match="the mask is 6×9×8, the image 8×9×6"):
        read_mask(tmp_path / "m.nii", volume)


def test_a_mask_may_have_a_last_axis_of_one(tmp_path):
    volume, mask, affine = pair(tmp_path)

    labels = read_mask(headed(tmp_path / "m.nii", mask[..., None], affine), volume)
    assert under(labels, volume) == [LESION_HU]


def conflicting(tmp_path, **options):
    """A scan whose sform is the mirror of its qform, its mask's array, and both affines."""
    volume, mask, qform = pair(tmp_path)
    sform = np.diag([-1.0, 1, 1, 1]) @ qform
    data = volume.source.to_file(volume.voxels)
    path = headed(tmp_path / "c.nii", data, sform, 1, 2, other=qform)
    return read_nifti(path, **options), mask, qform, sform


def test_two_affines_that_differ_are_noted_and_one_can_be_chosen(tmp_path):
    volume, *_, qform, sform = conflicting(tmp_path)
    chosen, *_ = conflicting(tmp_path, form="qform")
    alike, *_ = conflicting(tmp_path, form="sform")

    assert np.allclose(volume.affine, sform, atol=1e-4)
    assert volume.notes[0].endswith("the sform was used (--affine qform takes the other)")
    assert np.allclose(chosen.affine, qform, atol=1e-4)
    assert chosen.notes[0].endswith("the qform was used (as asked for)")
    assert np.array_equal(chosen.voxels, volume.voxels[..., ::-1])
    assert np.array_equal(alike.voxels, volume.voxels)
    with pytest.raises(DataError, match="--affine both: there is no such affine"):
        conflicting(tmp_path, form="both")


def test_an_affine_that_is_not_coded_can_not_be_chosen(tmp_path):
    _, mask, affine = pair(tmp_path)
    path = headed(tmp_path / "b.nii", mask, affine, 0, 1, other=np.eye(4))

    assert np.allclose(read_nifti(path, form="qform", unit="grey").affine, affine, atol=1e-4)


@pytest.mark.parametrize("form", [None, "qform", "sform"])
def test_a_mask_goes_out_with_both_affines_as_they_came_in(tmp_path, form):
    volume, mask, qform, sform = conflicting(tmp_path, form=form)

    write_mask(tmp_path / "out.nii.gz", volume.voxels == LESION_HU, volume)
    out = nib.load(tmp_path / "out.nii.gz")

    assert np.allclose(out.get_qform(), qform, atol=1e-4)
    assert np.allclose(out.get_sform(), sform, atol=1e-4)
    assert (int(out.header["qform_code"]), int(out.header["sform_code"])) == (1, 2)
    assert np.array_equal(np.asanyarray(out.dataobj), mask)
    again = read_mask(tmp_path / "out.nii.gz", volume, form=form)
    assert (under(again, volume), again.note) == ([LESION_HU], "")


@pytest.mark.parametrize("codes", [(1, 0), (0, 2), (0, 0)])
def test_an_affine_without_a_code_goes_out_as_it_came_in(tmp_path, codes):
    voxels, _ = lesioned()
    image = stored(voxels)
    other = np.diag([-3.0, -3, 3, 1])
    path = headed(tmp_path / "a.nii", np.asanyarray(image.dataobj), image.affine, *codes, other)
    if codes[0]:
        path = headed(tmp_path / "a.nii", np.asanyarray(image.dataobj), other, *codes, image.affine)
    came = nib.load(path)
    volume = read_nifti(path)

    write_mask(tmp_path / "m.nii", volume.voxels > 0, volume)
    out = nib.load(tmp_path / "m.nii")

    assert np.allclose(out.affine, came.affine, atol=1e-4)
    assert np.allclose(out.get_sform(), came.get_sform(), atol=1e-4)
    assert np.allclose(out.get_qform(), came.get_qform(), atol=1e-4)


def test_a_mask_that_was_resaved_with_the_other_affine_only_lies_on_its_scan(tmp_path):
    volume, mask, qform, _ = conflicting(tmp_path)
    labels = read_mask(headed(tmp_path / "m.nii", mask, qform, 1, 0), volume)

    assert under(labels, volume) == [LESION_HU]
    assert "the image's other affine" in labels.note


def test_a_mask_that_two_affines_lay_in_two_ways_is_refused(tmp_path):
    voxels, mask = lesioned()
    image = stored(voxels)
    qform = image.affine.copy()
    qform[0, 3] = -qform[0, 0] * (image.shape[0] - 1) / 2  # around 0, where the mirror fits too
    sform = np.diag([-1.0, 1, 1, 1]) @ qform
    path = headed(tmp_path / "a.nii", np.asanyarray(image.dataobj), sform, 1, 2, other=qform)
    resaved = headed(tmp_path / "m.nii", np.asanyarray(stored(mask).dataobj), qform)

    with pytest.raises(DataError, match=r"in two ways\. Say which is right with --affine"):
        read_mask(resaved, read_nifti(path))
    chosen = read_nifti(path, form="qform")
    assert under(read_mask(resaved, chosen, form="qform"), chosen) == [LESION_HU]


def test_a_mask_of_a_sheared_scan_has_no_qform_that_would_misplace_it(tmp_path):
    sheared = np.array([[-2, 0, 0, 0], [0, -2, 0, 0], [0, 3, 8, 0], [0, 0, 0, 1.0]])
    volume = Volume.made("a", lesioned()[0], unit="hu")
    tilted = replace(volume, affine=sheared, source=replace(volume.source, codes=(1, 1)))

    write_mask(tmp_path / "m.nii", tilted.voxels == LESION_HU, tilted)
    out = nib.load(tmp_path / "m.nii")

    assert (int(out.header["qform_code"]), int(out.header["sform_code"])) == (0, 1)
    assert np.allclose(out.affine, sheared)


def test_a_broken_qform_is_ignored_beside_an_sform_and_else_a_sentence(tmp_path):
    for name, code in (("both", 1), ("alone", 0)):
        path = headed(tmp_path / f"{name}.nii", stored(chest()).dataobj, stored(chest()).affine)
        raw = bytearray(path.read_bytes())
        raw[254:256] = code.to_bytes(2, "little")  # sform_code
        raw[256:268] = np.array([2, 2, 2], "<f4").tobytes()  # a quaternion longer than 1
        path.write_bytes(raw)

    assert np.array_equal(read_nifti(tmp_path / "both.nii").voxels, chest())
    with pytest.raises(DataError, match=r"alone\.nii: its qform is broken"):
        read_nifti(tmp_path / "alone.nii")


def test_values_of_a_mask_above_a_threshold_are_infected(tmp_path):
    volume, mask, affine = pair(tmp_path)
    soft = headed(tmp_path / "m.nii", mask * np.float32(0.8) + np.float32(0.1), affine)

    labels = read_mask(soft, volume, above=0.5)

    assert under(labels, volume) == [LESION_HU]
    assert np.unique(labels.voxels).tolist() == [0, 1]
    assert labels.note == "values above 0.5 of the mask are infected"


def test_a_mask_of_two_affines_takes_the_one_that_lays_it_on_its_scan(tmp_path):
    volume, mask, affine = pair(tmp_path)
    mirrored = np.diag([-1.0, 1, 1, 1]) @ affine
    labels = read_mask(headed(tmp_path / "m.nii", mask, mirrored, 1, 2, other=affine), volume)

    assert under(labels, volume) == [LESION_HU]
    assert "the mask's other affine" in labels.note


def test_a_mask_of_other_axes_and_other_shape_is_refused(tmp_path):
    volume, mask, affine = pair(tmp_path, "LPS", "RAS")

    with pytest.raises(DataError, match="the mask is 8×9×5, the image 8×9×6"):
        read_mask(headed(tmp_path / "m.nii", mask[..., :5], affine), volume)


@pytest.mark.parametrize("codes", ["LPS", "RAS", "PSR"])
def test_an_identity_says_less_than_the_other_affine_of_a_header(tmp_path, codes):
    plain, mask, affine = pair(tmp_path, codes)
    data = plain.source.to_file(plain.voxels)
    volume = read_nifti(headed(tmp_path / "b.nii", data, np.eye(4), other=affine))
    labels = read_mask(headed(tmp_path / "m.nii", mask, np.eye(4), other=affine), volume)

    assert np.allclose(volume.affine, affine, atol=1e-4)
    assert "the qform was used (--affine sform takes the other)" in volume.notes[0]
    assert under(labels, volume) == [LESION_HU]


@pytest.mark.parametrize("codes", ["LPS", "RAS", "PSR"])
def test_a_scan_with_the_header_of_a_bare_array_is_noted_and_takes_its_mask(tmp_path, codes):
    plain, mask, affine = pair(tmp_path, codes)
    path = tmp_path / "b.nii"
    nib.save(nib.Nifti1Image(plain.source.to_file(plain.voxels), np.eye(4)), path)
    volume = read_nifti(path)
    labels = read_mask(headed(tmp_path / "m.nii", mask, affine), volume)

    assert volume.notes[0].startswith("its header seems to know no orientation")
    assert under(labels, volume) == [LESION_HU]
    assert "voxel by voxel" in labels.note


def test_equal_shapes_along_other_axes_are_no_reason_to_refuse_and_both_grids_are(tmp_path):
    volume, mask, _ = pair(tmp_path, "PSR")
    headed(tmp_path / "m.nii", mask, np.diag([0.7, 2, 0.8, 1]))

    with pytest.raises(DataError, match=r"the mask is RAS, 9×6×8 voxels .* the image PSR, 9×6×8"):
        read_mask(tmp_path / "m.nii", volume)


@pytest.mark.parametrize("broken", [np.full((4, 4), np.nan), np.diag([0.0, 1, 1, 1])])
def test_a_broken_sform_gives_way_to_a_qform_and_that_is_said(tmp_path, broken):
    plain, _, affine = pair(tmp_path, "RAS")
    data = plain.source.to_file(plain.voxels)
    image = nib.Nifti1Image(data, affine)
    image.header.set_qform(affine, 1)
    image.header.set_sform(broken, 1)
    with (tmp_path / "b.nii").open("wb") as file:
        file.write(image.header.binaryblock[:108] + np.float32(0).tobytes())  # no vox_offset
        file.write(image.header.binaryblock[112:] + bytes(4) + data.tobytes("F"))
    volume = read_nifti(tmp_path / "b.nii")
    write_mask(tmp_path / "out.nii", volume.voxels == LESION_HU, volume)

    assert np.array_equal(volume.voxels, plain.voxels)
    assert np.allclose(volume.affine, affine, atol=1e-4)
    assert volume.notes == ("its sform is broken, so the qform was used",)
    assert under(read_mask(tmp_path / "out.nii", volume), volume) == [LESION_HU]
    with pytest.raises(DataError, match="its sform"):
        read_nifti(tmp_path / "b.nii", form="sform")
