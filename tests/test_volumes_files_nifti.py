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
    read_picture,
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


def test_a_file_of_a_single_trailing_axis_is_a_scan(tmp_path):
    nib.save(nib.Nifti1Image(chest()[..., None], np.eye(4)), tmp_path / "a.nii")

    assert read_nifti(tmp_path / "a.nii").voxels.size == chest().size


def test_a_slope_and_intercept_in_the_header_are_applied(tmp_path):
    image = nib.Nifti1Image(chest().transpose(2, 1, 0) + 1000, np.diag([-1, -1, 1, 1]))
    image.header.set_slope_inter(1, -1000)  # nibabel writes the voxels as they are
    nib.save(image, tmp_path / "a.nii")

    assert np.array_equal(read_nifti(tmp_path / "a.nii").voxels, chest())


def test_a_missing_file_is_a_sentence(tmp_path):
    for read in (read_nifti, read_picture):
        with pytest.raises(DataError, match=r"there is no such .*\. Check the path\."):
            read(tmp_path / "nowhere.nii")


def test_a_file_with_a_changed_byte_is_a_sentence(tmp_path):
    path = tmp_path / "scan.nii.gz"
    voxels = np.random.default_rng(0).integers(-1000, 400, (16, 16, 4)).astype(np.int16)
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), path)
    stored = bytearray(path.read_bytes())
    stored[-6] ^= 1  # in the checksum: the voxels can be read and are not what was written
    path.write_bytes(stored)

    with pytest.raises(DataError, match=r"scan\.nii\.gz: it can't be read as NIfTI"):
        read_nifti(path)


def test_voxels_of_single_bits_are_a_sentence(tmp_path):
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 2), np.uint8), np.eye(4)), tmp_path / "a.nii")
    raw = bytearray((tmp_path / "a.nii").read_bytes())
    raw[70:72] = (1).to_bytes(2, "little")  # datatype: DT_BINARY
    (tmp_path / "a.nii").write_bytes(raw)

    with pytest.raises(DataError, match=r"a\.nii: it can't be read as NIfTI"):
        read_nifti(tmp_path / "a.nii")


@pytest.mark.parametrize("kept", [0, 10, 200])
def test_a_truncated_file_is_a_sentence(tmp_path, kept):
    noise = np.random.default_rng(0).integers(-1000, 1000, (4, 40, 40)).astype(np.int16)
    path = saved(tmp_path / "a.nii.gz", noise)
    path.write_bytes(path.read_bytes()[:kept])

    with pytest.raises(DataError, match=r"a\.nii\.gz: it can't be read as NIfTI"):
        read_nifti(path)


def test_a_file_that_is_no_nifti_is_a_sentence(tmp_path):
    (tmp_path / "a.nii.gz").write_text("<html>404</html>")
    nib.save(nib.MGHImage(chest().astype(np.int32), np.eye(4)), tmp_path / "a.mgz")

    for name in ("a.nii.gz", "a.mgz"):
        with pytest.raises(DataError, match="NIfTI"):
            read_nifti(tmp_path / name)


def test_a_file_of_four_axes_is_a_sentence(tmp_path):
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 3, 2), np.int16), np.eye(4)), tmp_path / "a.nii")

    with pytest.raises(DataError, match=r"it has 4 axes \(4×4×3×2\)"):
        read_nifti(tmp_path / "a.nii")


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
