import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian
from test_volumes_dicom import even_chest, volume_of, write_series
from test_volumes_dicom_files import changed

from alnb.errors import DataError

PLAIN = {"RescaleSlope": None, "RescaleIntercept": None}


def stored_as(folder, values, **tags):
    """Store (Z, Y, X) values as they are, in files named IM0, IM1, …"""
    write_series(folder, even_chest(len(values)), name="IM{z}")
    changed(folder, **tags)
    for path, pixels in zip(sorted(folder.iterdir()), values, strict=True):
        one = pydicom.dcmread(path)
        one.PixelData = pixels.tobytes()
        one["PixelData"].VR = "OW" if pixels.itemsize > 1 else "OB"
        one.save_as(path)
    return folder


def hu(depth=3):
    """A chest in air: more than a twentieth of each slice lies below -500 HU."""
    voxels = np.full((depth, 5, 4), 40, np.int16)
    voxels[:, :2] = -1000
    voxels[:, 2, 1] = -850
    voxels[0, 4, 3] = 700
    return voxels


BITS = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}


def test_a_slope_of_each_slice_is_its_own(tmp_path):
    folder = write_series(tmp_path / "s", even_chest(), name="IM{z}")
    for slope, path in enumerate(sorted(folder.iterdir()), 1):
        one = pydicom.dcmread(path)
        stored = (even_chest()[slope - 1].astype(int) + 1024) // 2
        one.RescaleSlope, one.PixelData = 0.5 * slope, (stored * 60).astype(np.uint16).tobytes()
        one.RescaleSlope, one.RescaleIntercept = slope / 10, -1000 - slope
        one.save_as(path)
    stored = (even_chest().astype(int) + 1024) // 2 * 60
    factors = np.arange(1, 4)[:, None, None]

    found = volume_of(folder, unit="hu").voxels
    assert np.abs(found - (stored * factors / 10 - 1000 - factors)).max() <= 0.5


@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("signed", [True, False])
def test_values_in_the_upper_bits_of_a_word_are_hu_like_others(tmp_path, left, signed):
    stored = (hu() + (0 if signed else 1024)).astype(np.int16 if signed else np.uint16)
    tags = {"RescaleSlope": 1, "RescaleIntercept": 0 if signed else -1024, "BitsStored": 12,
            "HighBit": 15, "PixelRepresentation": int(signed)}  # fmt: skip
    folder = stored_as(tmp_path / "s", stored << 4 if left else stored & 0xFFF, **tags)

    assert np.array_equal(volume_of(folder).voxels, hu())


@pytest.mark.parametrize("size", [8, 16])
def test_low_values_that_are_shown_white_are_inverted(tmp_path, size):
    grey = np.clip((hu() + 1250) / 1500 * 255, 0, 255).round()
    tags = {"PhotometricInterpretation": "MONOCHROME1", "BitsStored": 8, "HighBit": 7}
    if size == 8:
        tags |= BITS
    kind = np.uint8 if size == 8 else np.uint16
    folder = stored_as(tmp_path / "s", (255 - grey).astype(kind), **PLAIN, **tags)
    volume = volume_of(folder)

    assert volume.unit == "grey"
    assert np.array_equal(volume.voxels, grey)
    assert volume.notes[-1].endswith("(MONOCHROME1): values were inverted")


def test_inverted_hu_are_turned_back_and_true_hu_are_kept(tmp_path):
    tags = {
        "PhotometricInterpretation": "MONOCHROME1", "BitsStored": 12, "HighBit": 11,
        "RescaleSlope": 1, "RescaleIntercept": -1024,
    }  # fmt: skip
    stored = (hu() + 1024).astype(np.uint16)
    inverted = volume_of(stored_as(tmp_path / "a", 4095 - stored, **tags))
    kept = volume_of(stored_as(tmp_path / "b", stored, **tags))

    assert np.array_equal(inverted.voxels, hu())
    assert np.array_equal(kept.voxels, hu())
    assert inverted.notes[-1].endswith("values were inverted")
    assert kept.notes[-1].endswith("values are HU all the same and were kept")


def test_bits_of_an_overlay_are_no_values(tmp_path):
    stored = (hu() + 1024).astype(np.uint16)
    stored[:, 1, 1] |= 1 << 14
    tags = {"BitsStored": 12, "HighBit": 11, "RescaleSlope": 1, "RescaleIntercept": -1024}

    assert np.array_equal(volume_of(stored_as(tmp_path / "s", stored, **tags)).voxels, hu())


@pytest.mark.parametrize("extended", [True, False])
def test_twelve_signed_bits_are_read_with_their_sign(tmp_path, extended):
    stored = hu().astype(np.int16) if extended else (hu() & 0x0FFF).astype(np.int16)
    tags = {
        "BitsStored": 12, "HighBit": 11, "PixelRepresentation": 1,
        "RescaleSlope": 1, "RescaleIntercept": 0,
    }  # fmt: skip

    assert np.array_equal(volume_of(stored_as(tmp_path / "s", stored, **tags)).voxels, hu())


def test_padding_brighter_than_any_tissue_becomes_the_lowest_value(tmp_path):
    stored = (hu() + 1024).astype(np.uint16)
    stored[:, 0, 0] = 63536  # -2000 in two bytes
    folder = stored_as(tmp_path / "s", stored, RescaleSlope=1, RescaleIntercept=-1024)
    for path in folder.iterdir():
        one = pydicom.dcmread(path)
        one.add_new("PixelPaddingValue", "US", 63536)
        one.save_as(path)
    expected = hu()
    expected[:, 0, 0] = -1000

    assert np.array_equal(volume_of(folder).voxels, expected)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_other_encodings_are_read(tmp_path, syntax):
    folder = write_series(tmp_path / "s", even_chest(), name="IM{z}")
    for path in folder.iterdir():
        one = pydicom.dcmread(path)
        if syntax == ExplicitVRBigEndian:
            one.PixelData = one.pixel_array.byteswap().tobytes()
        one.file_meta.TransferSyntaxUID = syntax
        pydicom.dcmwrite(path, one, implicit_vr=syntax.is_implicit_VR,
                         little_endian=syntax.is_little_endian)  # fmt: skip

    assert np.array_equal(volume_of(folder).voxels, even_chest())


def test_a_missing_intercept_is_named_in_a_note_and_in_a_refusal(tmp_path):
    grey = volume_of(stored_as(tmp_path / "g", (hu() % 200).astype(np.uint16), **PLAIN))
    folder = stored_as(tmp_path / "s", (hu() + 1024).astype(np.uint16), **PLAIN)
    text = "he header has no RescaleIntercept or RescaleSlope: stored values were taken as they are"

    assert grey.notes == (f"t{text}",)
    with pytest.raises(DataError, match=f"T{text}"):
        volume_of(folder)
    volume = volume_of(folder, offset=-1024)
    assert np.array_equal(volume.voxels, hu())
    assert volume.notes == (f"t{text}", "-1024 was added to its values, as asked for")


def test_an_offset_is_not_added_where_the_header_has_one(tmp_path):
    volume = volume_of(write_series(tmp_path / "s", even_chest()), offset=-1024)

    assert np.array_equal(volume.voxels, even_chest())
    assert volume.notes == ("the header has a RescaleIntercept, so no offset was added",)


def test_an_offset_is_added_to_an_intercept_where_values_are_refused_without(tmp_path):
    tags = {"RescaleSlope": 1, "RescaleIntercept": -1024}
    folder = stored_as(tmp_path / "s", (hu() + 2048).astype(np.uint16), **tags)
    with pytest.raises(DataError):
        volume_of(folder)
    volume = volume_of(folder, offset=-1024)

    assert np.array_equal(volume.voxels, hu())
    assert volume.notes == ("-1024 was added to its values, as asked for",)


def test_an_intercept_of_some_slices_only_is_a_sentence(tmp_path):
    folder = write_series(tmp_path / "s", even_chest(), name="IM{z}")
    one = pydicom.dcmread(folder / "IM1")
    del one.RescaleIntercept
    one.save_as(folder / "IM1")
    with pytest.raises(DataError, match="IM1 has no RescaleIntercept, and other slices have one"):
        volume_of(folder)


def test_a_slope_of_zero_is_a_sentence(tmp_path):
    folder = changed(write_series(tmp_path / "s", even_chest(), name="IM{z}"), RescaleSlope=0)
    with pytest.raises(DataError, match="the RescaleSlope of IM0 is 0, which makes all values"):
        volume_of(folder)


def test_pixels_that_break_off_name_the_slice_and_no_compression(tmp_path):
    folder = write_series(tmp_path / "s", even_chest(), name="IM{z}")
    (folder / "IM1").write_bytes((folder / "IM1").read_bytes()[:-20])
    with pytest.raises(DataError, match="s: IM1: its pixels can't be read") as error:
        volume_of(folder)

    assert "uncompressed" not in str(error.value)


def test_a_slice_without_pixels_is_a_sentence(tmp_path):
    folder = changed(write_series(tmp_path / "s", even_chest(1), name="IM{z}"), PixelData=None)
    with pytest.raises(DataError, match="IM0 has no PixelData: the file is incomplete"):
        volume_of(folder)


def test_values_that_are_no_hu_are_said(tmp_path):
    folder = changed(write_series(tmp_path / "s", even_chest()), RescaleType="MGML")

    assert volume_of(folder).notes == ("the header says that values are no HU (RescaleType)",)


def test_a_table_of_values_is_a_sentence(tmp_path):
    folder = write_series(tmp_path / "s", even_chest(), name="IM{z}")
    changed(folder, **PLAIN, ModalityLUTSequence=[pydicom.Dataset()])
    with pytest.raises(DataError, match="IM1 names its values in a table"):
        volume_of(folder)
