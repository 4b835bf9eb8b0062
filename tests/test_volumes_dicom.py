import io
import struct
import tracemalloc

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    RLELossless,
    generate_uid,
)
from scans import chest

from alnb.errors import DataError
from alnb.volumes import read_mask, write_mask
from alnb.volumes.dicom import read_series
from alnb.volumes.dicom_files import find_series, names_person

PATIENT = {"PatientName": "Curie^Marie", "PatientID": "MRN-4711"}


def write_series(
    folder, voxels, *, positions=None, uid=None, orientation=(1, 0, 0, 0, 1, 0), name=None, **tags
):
    """Write (Z, Y, X) HU as a CT series of stored values 0…4095, by a name in odd order."""
    folder.mkdir(exist_ok=True, parents=True)
    uid = uid or generate_uid()
    normal = np.cross(orientation[:3], orientation[3:])
    for z, pixels in enumerate(voxels):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        path = folder / (name or "{odd:02d}_{uid}_{z}.dcm").format(
            odd=(z * 7) % 11, uid=uid[-4:], z=z
        )
        one = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
        one.SOPClassUID, one.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        one.SeriesInstanceUID, one.Modality = uid, "CT"
        for tag, value in (PATIENT | tags).items():
            setattr(one, tag, value)
        at = 2.0 * z if positions is None else positions[z]  # along the normal, or (x, y, z)
        place = np.array(at) if np.ndim(at) else normal * at
        one.ImagePositionPatient = [float(value) for value in -50 + place]
        one.ImageOrientationPatient = [float(value) for value in orientation]
        one.PixelSpacing = one.get("PixelSpacing", [0.7, 0.8])
        one.Rows, one.Columns = pixels.shape
        one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
        one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 0
        one.RescaleSlope, one.RescaleIntercept, one.InstanceNumber = 2, -1024, z + 1
        one.PixelData = ((pixels.astype(np.int32) + 1024) // 2).astype(np.uint16).tobytes()
        one.save_as(path, enforce_file_format=True)
    return folder


def volume_of(folder, **options):
    volume, _ = read_series(folder, **options)
    return volume


def even_chest(depth=3):
    return (chest(depth) // 2 * 2).astype(np.int16)


def test_a_series_is_rescaled_and_sorted_by_position(tmp_path):
    folder = write_series(tmp_path / "series_1", even_chest())
    (folder / "notes.txt").write_text("not a slice")

    volume = volume_of(folder)

    assert (volume.scan, volume.unit) == ("series_1", "hu")
    assert np.array_equal(volume.voxels, even_chest())
    assert np.allclose(
        volume.affine, [[-0.8, 0, 0, 50], [0, -0.7, 0, 50], [0, 0, 2, -50], [0, 0, 0, 1]]
    )


def test_a_prone_series_is_turned_to_display_order(tmp_path):
    folder = write_series(tmp_path / "prone", even_chest(), orientation=(-1, 0, 0, 0, -1, 0))

    volume = volume_of(folder)
    write_mask(tmp_path / "m.nii", volume.voxels % 4 == 0, volume)

    assert np.array_equal(volume.voxels, even_chest()[:, ::-1, ::-1])
    assert nib.load(tmp_path / "m.nii").shape == (4, 5, 3)
    assert np.array_equal(read_mask(tmp_path / "m.nii", volume).voxels, volume.voxels % 4 == 0)


def test_a_series_without_doubles_or_gaps_has_no_notes(tmp_path):
    volume, files = read_series(write_series(tmp_path / "s", even_chest(), name="s{z:04d}"))

    assert volume.notes == ()
    assert files == (("s0000",), ("s0001",), ("s0002",))


def test_a_series_is_sorted_along_its_normal_whatever_its_files_are_called(tmp_path):
    folder = write_series(tmp_path / "s", even_chest(), positions=[4, 2, 0], name="s{z:04d}")
    volume, files = read_series(folder)

    assert np.array_equal(volume.voxels, even_chest()[::-1])
    assert files == (("s0002",), ("s0001",), ("s0000",))


def test_missing_slices_are_said(tmp_path):
    folder = write_series(tmp_path / "s", even_chest(4), positions=[0, 2, 4, 10])
    volume = volume_of(folder)

    assert np.array_equal(volume.voxels, even_chest(4))
    assert volume.affine[2, 2] == 2
    (note,) = volume.notes
    assert note.startswith("slices are missing (2 after -46.0 mm; 2.0 mm is usual)")


def test_many_gaps_are_counted(tmp_path):
    at = np.cumsum([0, *[1] * 9, 3, 1, 3, 1, 3, 1, 3, 1])
    (note,) = volume_of(write_series(tmp_path / "s", even_chest(18), positions=at)).notes

    assert note.count(" after ") == 3
    assert "and in 1 more places" in note


def test_a_slice_that_is_there_twice_is_taken_once_and_said(tmp_path):
    voxels = even_chest()
    volume, files = read_series(
        write_series(tmp_path / "s", voxels[[0, 1, 1, 2]], positions=[0, 2, 2, 4], name="s{z:04d}")
    )

    assert np.array_equal(volume.voxels, voxels)
    assert files == (("s0000",), ("s0001", "s0002"), ("s0003",))
    assert volume.notes == (
        "slices that are there twice, with equal pixels, were taken once (1 of 3)",
    )


def test_two_slices_of_one_position_that_differ_are_a_sentence(tmp_path):
    folder = write_series(tmp_path / "s", chest(4), positions=[0, 2, 2, 4], name="s{z:04d}")

    with pytest.raises(DataError, match="s0001 and s0002 have the same position and differ"):
        volume_of(folder)


def test_a_scout_view_in_the_series_is_a_sentence(tmp_path):
    folder, uid = tmp_path / "s", generate_uid()
    write_series(folder, chest(), uid=uid, name="a{z}")
    write_series(folder, chest(1, 9), uid=uid, name="scout")
    with pytest.raises(DataError, match="scout has another size, spacing or direction than a0"):
        volume_of(folder)


def test_a_scout_view_across_the_slices_is_left_out_and_said(tmp_path):
    folder, uid = write_series(tmp_path / "s", even_chest(), uid=(uid := generate_uid())), uid
    write_series(folder, chest(1), uid=uid, name="scout", orientation=(1, 0, 0, 0, 0, -1))
    volume = volume_of(folder)

    assert np.array_equal(volume.voxels, even_chest())
    assert volume.notes == ("left out: scout views (1)",)


def test_a_folder_without_one_whole_series_is_a_sentence(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no DICOM file is in it"):
        volume_of(tmp_path / "empty")

    two = write_series(tmp_path / "two", chest())
    write_series(two, chest())
    with pytest.raises(DataError, match="it holds 2 series"):
        volume_of(two)


def test_a_slice_without_position_or_with_broken_pixels_is_a_sentence(tmp_path):
    folder = write_series(tmp_path / "s", chest())
    path = sorted(folder.iterdir())[0]
    one = pydicom.dcmread(path)
    one.PixelData = one.PixelData[:-8]
    one.save_as(path)
    with pytest.raises(DataError, match=f"{path.name}: its pixels can't be read"):
        volume_of(folder)

    del one.ImagePositionPatient
    one.save_as(path)
    with pytest.raises(DataError, match="has no ImagePositionPatient"):
        volume_of(folder)


def test_a_series_of_one_slice_is_a_scan(tmp_path):
    assert volume_of(write_series(tmp_path / "s", chest(1)), unit="hu").voxels.shape == (1, 5, 4)


def test_a_missing_folder_is_a_sentence(tmp_path):
    with pytest.raises(DataError, match=r"there is no such folder\. Check the path\."):
        volume_of(tmp_path / "nowhere")


# --- compressed pixels -----------------------------------------------------------------------


def jpeg_lossless(pixels):
    """Encode (H, W) uint16 as JPEG lossless, first-order prediction: ITU-T T.81, annex H.

    Every category of differences has a code of 5 bits, its own number.
    """
    height, width = pixels.shape
    values = pixels.astype(int)
    before = np.roll(values, 1, axis=1)
    before[1:, 0], before[0, 0] = values[:-1, 0], 1 << 15
    bits = ""
    for difference in ((values - before + 32768) % 65536 - 32768).ravel().tolist():
        size = abs(difference).bit_length()
        low = difference if difference > 0 else difference + (1 << size) - 1
        bits += f"{size:05b}" + (f"{low:0{size}b}" if 0 < size < 16 else "")
    bits += "1" * (-len(bits) % 8)
    coded = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    frame = struct.pack(">BHHB3B", 16, height, width, 1, 1, 0x11, 0)
    table = bytes([0, *[0] * 4, 17, *[0] * 11, *range(17)])
    segments = ((0xC3, frame), (0xC4, table), (0xDA, bytes([1, 1, 0, 1, 0, 0])))
    stream = io.BytesIO(b"\xff\xd8")
    stream.seek(0, io.SEEK_END)
    for marker, content in segments:
        stream.write(struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content)
    stream.write(coded + b"\xff\xd9")
    return stream.getvalue()


def compress(folder, syntax):
    for path in folder.iterdir():
        one = pydicom.dcmread(path)
        if syntax == JPEGLosslessSV1:
            one.PixelData = encapsulate([jpeg_lossless(one.pixel_array)])
            one["PixelData"].VR = "OB"
            one.file_meta.TransferSyntaxUID = syntax
        else:
            one.compress(syntax)
        one.save_as(path)
    return folder


@pytest.mark.parametrize(
    ("syntax", "needs"),
    [(RLELossless, "pydicom"), (JPEG2000Lossless, "openjpeg"), (JPEGLosslessSV1, "libjpeg")],
)
def test_compressed_pixels_are_decoded(tmp_path, syntax, needs):
    pytest.importorskip(needs, reason=f"alnb[dicom] is not installed: no {needs}")
    rng = np.random.default_rng(0)
    voxels = (rng.integers(-512, 512, (2, 40, 32)) * 2).astype(np.int16)
    folder = compress(write_series(tmp_path / "s", voxels), syntax)

    assert pydicom.dcmread(next(folder.iterdir())).file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(volume_of(folder).voxels, voxels)


def test_a_decoder_that_is_missing_names_the_extra(tmp_path, monkeypatch):
    from pydicom.pixels.decoders import JPEGLosslessSV1Decoder

    folder = compress(write_series(tmp_path / "s", even_chest(1)), JPEGLosslessSV1)
    monkeypatch.setattr(JPEGLosslessSV1Decoder, "_available", {})

    with pytest.raises(DataError) as error:
        volume_of(folder)
    assert "s: its pixels are compressed (JPEG Lossless" in str(error.value)
    assert "pip install 'alnb[dicom]'" in str(error.value)


# --- patients --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "removed", "found"),
    [
        ("CURIE_marie_ct", "NO", True),
        ("scan mrn-4711", "NO", True),
        ("scan_mrn4711", "NO", True),
        ("CT 1970-01-31", "NO", True),
        ("CT_31.01.1970", "NO", True),
        ("1.2.840.113619.2.55.3.604688", "NO", True),
        ("scan_1", "NO", False),
        ("lung_b60f_1.25mm_2.0", "NO", False),
        ("mrn-4711", "YES", False),
    ],
)
def test_a_folder_named_by_its_patient_is_told(tmp_path, name, removed, found):
    folder = write_series(tmp_path / name, chest(1), PatientIdentityRemoved=removed)

    assert names_person(name, find_series(folder).series[0]) is found


def test_files_that_are_no_dicom_are_counted_and_not_named(tmp_path):
    folder = write_series(tmp_path / "s", even_chest())
    (folder / "Curie_Marie.txt").write_text("not a slice")
    (folder / "README").write_text("nor this")

    assert volume_of(folder).notes == ("left out: files that are not DICOM (2)",)


@pytest.mark.parametrize("content", [b"", b"\0" * 600])
def test_a_slice_that_was_broken_off_is_not_left_out_in_silence(tmp_path, content):
    folder = write_series(tmp_path / "s", even_chest(), name="IM{z}")
    (folder / "IM2").write_bytes(content)

    with pytest.raises(DataError, match="s: IM2 can't be read as DICOM, but has a name like"):
        volume_of(folder)


def test_slices_of_a_tilted_gantry_lie_where_they_were(tmp_path):
    tilt = np.radians(20)
    orientation = (1, 0, 0, 0, np.cos(tilt), -np.sin(tilt))
    folder = write_series(tmp_path / "s", even_chest(3), orientation=orientation, name="IM{z}")
    for z, path in enumerate(sorted(folder.iterdir())):
        one = pydicom.dcmread(path)
        one.ImagePositionPatient = [-50.0, -50.0, 5.0 * z]  # along the couch
        one.save_as(path)
    volume = volume_of(folder)

    assert np.allclose(volume.affine @ (0, 0, 2, 1), (50, 50, 10, 1))
    assert volume.notes == (
        "the gantry was tilted by 20°: each slice is shifted against the one below",
    )


def test_slices_of_two_fields_of_view_are_a_sentence(tmp_path):
    folder = write_series(tmp_path / "s", even_chest(), name="IM{z}")
    one = pydicom.dcmread(folder / "IM2")
    one.PixelSpacing = [0.6, 0.6]
    one.save_as(folder / "IM2")

    with pytest.raises(DataError, match="IM2 has another size, spacing or direction than IM0"):
        volume_of(folder)


def test_an_empty_slope_is_1_and_an_empty_position_a_sentence(tmp_path):
    folder = write_series(tmp_path / "s", even_chest(), name="IM{z}")
    for path in folder.iterdir():
        one = pydicom.dcmread(path)
        one.RescaleSlope, one.RescaleIntercept = None, None
        one.save_as(path)
    stored = (even_chest() + 1024) // 2
    assert np.array_equal(volume_of(folder, unit="hu").voxels, stored)

    one.ImagePositionPatient = None
    one.save_as(path)
    with pytest.raises(DataError, match=f"the file {path.name} has no ImagePositionPatient"):
        volume_of(folder)


@pytest.mark.parametrize("slope", [1, 0.5])
def test_a_long_series_takes_little_more_memory_than_its_voxels(tmp_path, slope):
    side, depth = 512, 40
    plane = np.resize(even_chest(1)[0], (side, side))
    folder = write_series(
        tmp_path / "s",
        np.broadcast_to(plane, (depth, side, side)),
        orientation=(-1, 0, 0, 0, -1, 0),
    )
    for path in folder.iterdir():
        one = pydicom.dcmread(path)
        one.RescaleSlope = slope
        one.save_as(path)
    volume_of(folder, unit="hu", offset=0)  # imports, too, take memory

    tracemalloc.start()
    volume = volume_of(folder, unit="hu", offset=0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert volume.voxels.shape == (depth, side, side)
    assert peak < 1.8 * volume.voxels.nbytes
