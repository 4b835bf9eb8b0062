import gzip

import nibabel as nib
import numpy as np
import pytest
from scans import chest

from alnb.errors import DataError
from alnb.volumes import read_mask, read_nifti, read_picture

LPS = np.diag([-0.8, -0.7, 2, 1])


def written(path, voxels=None, kind=nib.Nifti1Image):
    """Write a display-order array to a file."""
    voxels = chest() if voxels is None else voxels
    nib.save(kind(np.asarray(voxels).transpose(2, 1, 0), LPS), path)
    return path


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


@pytest.mark.parametrize("kept", [10, 200, 3000])
def test_a_truncated_file_is_a_sentence(tmp_path, kept):
    noise = np.random.default_rng(0).integers(-1000, 1000, (4, 40, 40)).astype(np.int16)
    path = written(tmp_path / "a.nii.gz", noise)
    path.write_bytes(path.read_bytes()[:kept])

    with pytest.raises(DataError, match=r"a\.nii\.gz: it .*truncated.* Copy or download it again"):
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


@pytest.mark.parametrize("slope", [0.0, np.nan, np.inf])
def test_a_slope_that_is_no_number_is_none(tmp_path, slope):
    path = written(tmp_path / "a.nii")
    raw = bytearray(path.read_bytes())
    raw[112:116] = np.float32(slope).tobytes()
    path.write_bytes(raw)

    assert np.array_equal(read_nifti(path).voxels, chest())


def test_a_negative_slope_is_applied(tmp_path):
    image = nib.Nifti1Image(-chest().transpose(2, 1, 0), LPS)
    image.header.set_slope_inter(-1, 0)  # nibabel writes the voxels as they are
    nib.save(image, tmp_path / "a.nii")

    assert np.array_equal(read_nifti(tmp_path / "a.nii").voxels, chest())


def test_the_first_bytes_tell_what_is_compressed_and_not_the_name(tmp_path):
    plain = written(tmp_path / "plain.nii").read_bytes()
    (tmp_path / "a.nii.gz").write_bytes(plain)
    (tmp_path / "b.nii").write_bytes(gzip.compress(plain))

    for name in ("a.nii.gz", "b.nii"):
        assert np.array_equal(read_nifti(tmp_path / name).voxels, chest())


@pytest.mark.parametrize("kind", [nib.Nifti1Pair, nib.Nifti2Pair])
def test_a_pair_of_header_and_voxels_is_one_scan(tmp_path, kind):
    written(tmp_path / "a.img", kind=kind)
    volume = read_nifti(tmp_path / "a.hdr")

    assert np.array_equal(volume.voxels, chest())
    assert volume.scan == "a"
    assert np.array_equal(read_nifti(tmp_path / "a.img").voxels, chest())
    assert np.array_equal(
        read_mask(written(tmp_path / "m.nii", chest() % 2), volume).voxels, chest() % 2
    )
    sha256 = volume.source.sha256
    (tmp_path / "a.img").write_bytes((tmp_path / "a.img").read_bytes()[:-2] + b"\0\0")
    assert read_nifti(tmp_path / "a.hdr").source.sha256 != sha256
    (tmp_path / "a.img").unlink()
    with pytest.raises(DataError, match=r"a\.hdr: there is no a\.img beside it\. Add it"):
        read_nifti(tmp_path / "a.hdr")


@pytest.mark.parametrize(
    ("head", "sentence"),
    [
        (b"", "it is empty"),
        (bytes(1000), "it is empty"),
        (b"NRRD0004\n", "this is NRRD. Export it as NIfTI"),
        (b"ObjectType = Image\n", "this is MetaImage"),
        (b"PK\x03\x04", "this is a zip archive"),
        (b"\x89PNG\r\n", "this is a PNG picture"),
        (b"<!DOCTYPE html>", "this is a web page"),
        (b"version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS"),
        (bytes(128) + b"DICM", "this is DICOM. Import it with alnb import dicom"),
        (gzip.compress(gzip.compress(b"x", mtime=0), mtime=0), "a gzip file inside a gzip file"),
        (b"anything", "something else or truncated"),
    ],
)
def test_another_format_is_named_whatever_the_file_is_called(tmp_path, head, sentence):
    (tmp_path / "a.nii.gz").write_bytes(head)

    with pytest.raises(DataError, match=rf"a\.nii\.gz: .*{sentence}"):
        read_nifti(tmp_path / "a.nii.gz")


def test_analyze_is_refused_because_it_names_no_sides(tmp_path):
    nib.save(nib.AnalyzeImage(chest(), np.eye(4)), tmp_path / "a.img")

    with pytest.raises(DataError, match=r"a\.hdr: this is Analyze 7\.5, which doesn't say"):
        read_nifti(tmp_path / "a.hdr")


def test_a_folder_that_is_called_like_a_file_is_a_sentence(tmp_path):
    (tmp_path / "a.nii").mkdir()

    with pytest.raises(DataError, match=r"a\.nii: this is a folder"):
        read_nifti(tmp_path / "a.nii")


def test_slices_and_colours_are_sentences(tmp_path):
    nib.save(nib.Nifti1Image(chest()[0], LPS), tmp_path / "flat.nii")
    colours = np.zeros((4, 4, 3), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.save(nib.Nifti1Image(colours, LPS), tmp_path / "rgb.nii")
    nib.save(nib.Nifti1Image(chest().astype(np.complex64), LPS), tmp_path / "complex.nii")

    with pytest.raises(DataError, match=r"it has 2 axes \(5×4\)"):
        read_nifti(tmp_path / "flat.nii")
    with pytest.raises(DataError, match="its voxels are colours"):
        read_nifti(tmp_path / "rgb.nii")
    with pytest.raises(DataError, match="complex64, which are not CT"):
        read_nifti(tmp_path / "complex.nii")


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("side", [2000, 30000])
def test_a_header_that_promises_more_than_there_is_is_refused_unread(tmp_path, side, compressed):
    path = written(tmp_path / "a.nii")
    raw = bytearray(path.read_bytes())
    raw[42:46] = np.array([side, side], "<i2").tobytes()
    path.write_bytes(gzip.compress(raw) if compressed else raw)

    with pytest.raises(DataError, match=r"a\.nii: (it is truncated|.* voxels are no CT)"):
        read_nifti(path)
