from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.orientations import axcodes2ornt, ornt_transform
from PIL import Image
from skimage import io

from alnb.errors import DataError
from alnb.volumes import (
    Source,
    Volume,
    read_mask,
    read_nifti,
    read_picture,
    read_picture_mask,
    scan_name,
    to_unit,
    upside_down,
    write_mask,
)

SHARED = Path(__file__).parents[2] / "shared" / "data"
SPACING_MM = (2.0, 0.7, 0.8)
ORIENTATIONS = ["LPS", "RAS", "LAS", "RPI", "SAL", "PSR"]


def chest(depth=3, height=5, width=4):
    """HU in display order, every voxel different."""
    count = depth * height * width
    return (np.arange(count).reshape(depth, height, width) * 7 - 1000).astype(np.int16)


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


# --- orientation -----------------------------------------------------------------------------


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


def test_a_scan_turned_upside_down_still_finds_the_way_back(tmp_path):
    volume = read_nifti(saved(tmp_path / "a.nii", chest(), "LAS"))
    turned, _ = upside_down(volume, None)

    write_mask(tmp_path / "m.nii", turned.voxels % 2, turned)

    assert np.array_equal(turned.voxels, volume.voxels[:, ::-1])
    assert np.array_equal(read_mask(tmp_path / "m.nii", volume).voxels, volume.voxels % 2)


def test_a_file_of_a_single_trailing_axis_is_a_scan(tmp_path):
    nib.save(nib.Nifti1Image(chest()[..., None], np.eye(4)), tmp_path / "a.nii")

    assert read_nifti(tmp_path / "a.nii").voxels.size == chest().size


# --- intensities -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "unit", "expected"),
    [
        (np.array([-1024, 3071], np.int16), "hu", [-1024, 3071]),
        (np.array([-1000.4, 70000.0]), "hu", [-1000, 32767]),
        (np.array([0, 255], np.uint8), "grey", [0, 255]),
        (np.array([0, 200], np.int32), "grey", [0, 200]),
        (np.array([0.0, 0.5, 1.0]), "grey", [0, 128, 255]),
        (np.array([0.0, 99.6]), "grey", [0, 100]),
        (np.array([False, True]), "grey", [0, 1]),
    ],
)
def test_the_range_of_values_decides_their_unit(values, unit, expected):
    voxels, decided = to_unit(values, None, "a.nii")

    assert decided == unit
    assert voxels.dtype == (np.int16 if unit == "hu" else np.uint8)
    assert voxels.tolist() == expected


@pytest.mark.parametrize("values", [[0, 4095], [-100, 300]])
def test_an_ambiguous_range_asks_for_the_unit(values):
    with pytest.raises(DataError, match=r"a\.nii: .* Say which it is with --unit hu or --unit"):
        to_unit(np.array(values, np.int16), None, "a.nii")
    assert to_unit(np.array(values, np.int16), "hu", "a.nii")[1] == "hu"


def test_hu_are_not_taken_for_grey_even_if_told():
    with pytest.raises(DataError, match="not 8-bit grey"):
        to_unit(chest(), "grey", "a.nii")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused(value):
    with pytest.raises(DataError, match="NaN or infinite"):
        to_unit(np.array([-1000.0, value, 0.0]), None, "a.nii")


def test_voxels_that_are_no_numbers_are_refused():
    with pytest.raises(DataError, match="are not CT"):
        to_unit(np.zeros(3, np.complex64), None, "a.nii")
    with pytest.raises(DataError, match="empty"):
        to_unit(np.zeros(0, np.int16), None, "a.nii")


def test_a_slope_and_intercept_in_the_header_are_applied(tmp_path):
    image = nib.Nifti1Image(chest().transpose(2, 1, 0) + 1000, np.diag([-1, -1, 1, 1]))
    image.header.set_slope_inter(1, -1000)  # nibabel writes the voxels as they are
    nib.save(image, tmp_path / "a.nii")

    assert np.array_equal(read_nifti(tmp_path / "a.nii").voxels, chest())


# --- broken files ----------------------------------------------------------------------------


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


def test_a_unit_that_does_not_exist_is_a_sentence():
    with pytest.raises(DataError, match=r"a: there is no unit 'HU'\. Say --unit hu or --unit grey"):
        to_unit(chest(), "HU", "a")


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


# --- masks -----------------------------------------------------------------------------------


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

    with pytest.raises(DataError, match="can't be written"):
        write_mask(tmp_path / "nowhere" / "m.nii", chest() > 0, volume)
    with pytest.raises(DataError, match=r"\.nii or \.nii\.gz"):
        write_mask(tmp_path / "m.png", chest() > 0, volume)


# --- values ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "scan"),
    [("d/a_01.nii.gz", "a_01"), ("a.b.nii", "a.b"), ("x.PNG", "x"), ("1.2.jpeg", "1.2")],
)
def test_a_scan_is_named_by_its_file(path, scan):
    assert scan_name(path) == scan


@pytest.mark.parametrize("scan", ["", "a/b", ".hidden", "..", "a\n"])
def test_a_scan_has_a_name_that_can_name_a_file(scan):
    with pytest.raises(DataError, match="a scan is named by"):
        Volume.made(scan, chest(), unit="hu")


def test_a_volume_whose_parts_contradict_each_other_is_refused():
    with pytest.raises(DataError, match="grey voxels are uint8"):
        Volume.made("a", chest(), unit="grey")
    volume = Volume.made("a", chest(), unit="hu")
    with pytest.raises(DataError, match="hu voxels are int16 of shape"):
        replace(volume, source=Source("", "", (3, 5, 4)))


# --- pictures --------------------------------------------------------------------------------


def test_a_picture_is_shown_as_it_is_seen(tmp_path):
    grey = np.arange(20, dtype=np.uint8).reshape(4, 5) * 10
    io.imsave(tmp_path / "grey.png", grey, check_contrast=False)
    io.imsave(tmp_path / "rgb.png", np.stack([grey] * 3, -1), check_contrast=False)
    io.imsave(tmp_path / "rgba.png", np.stack([grey] * 4, -1), check_contrast=False)

    for name in ("grey", "rgb", "rgba"):
        volume = read_picture(tmp_path / f"{name}.png")
        assert (volume.scan, volume.unit) == (name, "grey")
        assert np.array_equal(volume.voxels[0], grey)


def test_a_coloured_picture_becomes_luminance(tmp_path):
    green = np.zeros((4, 4, 3), np.uint8)
    green[..., 1] = 200
    io.imsave(tmp_path / "a.png", green, check_contrast=False)

    assert (read_picture(tmp_path / "a.png").voxels == 143).all()


def test_a_picture_mask_keeps_labels_in_png_and_is_cut_in_half_in_jpeg(tmp_path):
    volume = Volume.made("a", np.zeros((1, 16, 16), np.uint8), unit="grey")
    mask = np.zeros((16, 16), np.uint8)
    mask[:8] = 127
    mask[8:] = 255
    io.imsave(tmp_path / "m.png", np.stack([mask, mask * 0, mask * 0], -1), check_contrast=False)
    io.imsave(tmp_path / "m.jpg", np.where(mask > 200, mask, 0), check_contrast=False)

    assert np.array_equal(read_picture_mask(tmp_path / "m.png", volume).voxels[0], mask)
    assert np.array_equal(read_picture_mask(tmp_path / "m.jpg", volume).voxels[0], mask > 200)


def test_the_numbers_of_a_palette_are_labels_and_its_colours_the_picture(tmp_path):
    picture = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8)).convert("P")
    picture.putpalette([0, 0, 0, 90, 90, 90, 200, 200, 200])
    picture.save(tmp_path / "a.png")
    volume = read_picture(tmp_path / "a.png")

    assert volume.voxels.tolist() == [[[0, 90], [200, 90]]]
    assert read_picture_mask(tmp_path / "a.png", volume).voxels.tolist() == [[[0, 1], [2, 1]]]


def test_a_picture_mask_of_another_size_is_a_sentence(tmp_path):
    io.imsave(tmp_path / "m.png", np.zeros((4, 6), np.uint8), check_contrast=False)

    with pytest.raises(DataError, match="the mask is 4×6, the image 4×5"):
        read_picture_mask(
            tmp_path / "m.png", Volume.made("a", np.zeros((1, 4, 5), np.uint8), unit="grey")
        )


def test_a_file_that_is_no_picture_is_a_sentence(tmp_path):
    (tmp_path / "a.png").write_text("no")

    with pytest.raises(DataError, match="can't be read as a picture"):
        read_picture(tmp_path / "a.png")


# --- real CT ---------------------------------------------------------------------------------


@pytest.mark.skipif(not SHARED.is_dir(), reason="shared/data is not beside the project")
def test_real_ct_in_hu_and_in_grey_is_told_apart():
    hu = read_nifti(SHARED / "hu_volumes" / "P002.nii.gz")
    grey = read_nifti(SHARED / "medseg" / "test_im.nii.gz")
    stored = np.asanyarray(nib.load(SHARED / "hu_volumes" / "P002.nii.gz").dataobj)

    assert (hu.unit, hu.voxels.shape) == ("hu", (14, 192, 192))
    assert (grey.unit, grey.voxels.shape) == ("grey", (24, 256, 256))
    assert np.array_equal(hu.voxels[5], stored[:, :, 5].T)
