import contextlib
import io
import shutil
import struct
import zlib

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset as Tags
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    PositronEmissionTomographyImageStorage,
    RTStructureSetStorage,
    SecondaryCaptureImageStorage,
    XRayRadiationDoseSRStorage,
    generate_uid,
)
from test_volumes_dicom import even_chest, write_series

from alnb.errors import DataError
from alnb.volumes.dicom import read_series
from alnb.volumes.dicom_files import find_series, names_person

STUDY = {"StudyInstanceUID": "1.2.3"}


def write_object(path, sop, **tags):
    """Write a DICOM file without pixels."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
    one.SOPClassUID, one.SOPInstanceUID = sop, meta.MediaStorageSOPInstanceUID
    for tag, value in tags.items():
        setattr(one, tag, value)
    one.save_as(path, enforce_file_format=True)
    return path


def changed(folder, **tags):
    """Change tags of every file; None deletes one."""
    for path in sorted(folder.iterdir()):
        one = pydicom.dcmread(path)
        for tag, value in tags.items():
            if tag == "SOPClassUID":
                one.file_meta.MediaStorageSOPClassUID = value
            if value is None:
                delattr(one, tag)
            else:
                setattr(one, tag, value)
        one.save_as(path)
    return folder


def write_enhanced(folder, voxels, *, positions, **tags):
    """Write (Z, Y, X) HU as one file of many frames, each with its own position."""
    write_series(folder, voxels[:1], name="all.dcm", **tags)
    one = pydicom.dcmread(folder / "all.dcm")
    for tag in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
                "RescaleSlope", "RescaleIntercept"):  # fmt: skip
        delattr(one, tag)
    shared, orientation, measures = Tags(), Tags(), Tags()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing, measures.SliceThickness = [0.7, 0.8], 2
    shared.PlaneOrientationSequence = [orientation]
    shared.PixelMeasuresSequence = [measures]
    frames, stored = [], []
    for z, (pixels, depth) in enumerate(zip(voxels, positions, strict=True)):
        frame, position, values = Tags(), Tags(), Tags()
        position.ImagePositionPatient = [-50, -50, depth - 50]
        values.RescaleSlope, values.RescaleIntercept, values.RescaleType = 1, -1024 - z, "HU"
        frame.PlanePositionSequence = [position]
        frame.PixelValueTransformationSequence = [values]
        frames.append(frame)
        stored.append((pixels.astype(np.int32) + 1024 + z).astype(np.uint16))
    one.SharedFunctionalGroupsSequence, one.PerFrameFunctionalGroupsSequence = [shared], frames
    one.NumberOfFrames, one.PixelData = len(voxels), np.stack(stored).tobytes()
    one.SOPClassUID = one.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    one.save_as(folder / "all.dcm")
    return folder / "all.dcm"


def planes_of(folder):
    return [len(one.planes) for one in find_series(folder).series]


def test_a_series_is_found_in_folders_of_any_depth(tmp_path):
    folder, uid = tmp_path / "s", generate_uid()
    write_series(folder, even_chest(3), uid=uid, name="a{z}")
    write_series(folder / "b" / "c", even_chest(2), uid=uid, positions=[6, 8], name="a{z}")
    write_series(folder / ".trash", even_chest(2), uid=uid)
    (series,) = find_series(folder).series

    assert len(series.planes) == 5
    assert series.folder == folder
    assert find_series(folder).left_out == ()


def test_what_is_no_slice_is_counted_by_kind(tmp_path):
    folder = write_series(tmp_path / "s", even_chest(), **STUDY)
    write_object(folder / "RS.dcm", RTStructureSetStorage, SeriesInstanceUID="1.9", **STUDY)
    write_object(folder / "SR1", XRayRadiationDoseSRStorage, SeriesInstanceUID="1.8", **STUDY)
    write_object(folder / "SR2", XRayRadiationDoseSRStorage, SeriesInstanceUID="1.8", **STUDY)
    write_object(folder / "private", "1.2.840.99999.1")
    write_object(folder / "DICOMDIR", "1.2.840.10008.1.3.10")
    capture = write_series(tmp_path / "c", even_chest(1), name="capture", **STUDY)
    changed(capture, SOPClassUID=SecondaryCaptureImageStorage)
    (capture / "capture").rename(folder / "capture")
    pet = write_series(tmp_path / "p", even_chest(4), name="pet{z}", **STUDY)
    for path in changed(pet, SOPClassUID=PositronEmissionTomographyImageStorage).iterdir():
        path.rename(folder / path.name)
    scout = write_series(tmp_path / "l", even_chest(2), name="scout{z}", **STUDY)
    for path in changed(scout, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]).iterdir():
        path.rename(folder / path.name)
    (folder / "Curie_Marie_report.pdf").write_bytes(b"%PDF-1.4")
    (folder / "images.zip").write_bytes(b"PK\3\4")

    assert planes_of(folder) == [3]
    assert find_series(folder).left_out == (
        "left out: Positron Emission Tomography Image (4), RT Structure Set (1), Secondary Capture "
        "Image (1), X-Ray Radiation Dose SR (2), archives (1), files that are not DICOM (1), other "
        "DICOM objects (1), scout views (2)",
    )


def test_a_short_series_is_left_out_beside_a_long_one_of_its_study(tmp_path):
    write_series(tmp_path / "s" / "lung", even_chest(3), **STUDY)
    write_series(tmp_path / "s" / "bolus", even_chest(4), positions=[1, 1, 1, 1], **STUDY)

    assert planes_of(tmp_path / "s") == [3]
    assert find_series(tmp_path / "s").left_out == (
        "left out: images of series at fewer than 3 positions (4)",
    )
    assert planes_of(tmp_path / "s" / "bolus") == [4]


def test_patients_whose_tools_wrote_one_uid_stay_apart(tmp_path):
    for name in ("a", "b"):
        write_series(tmp_path / "s" / name, even_chest(), uid="1.2.9", **STUDY)

    assert planes_of(tmp_path / "s") == [3, 3]


@pytest.mark.parametrize("apart", [200.0, 7.0])
def test_patients_of_one_uid_stay_apart_where_their_numbers_are_equal(tmp_path, apart):
    for name, start in (("a", 0.0), ("b", apart)):
        at = start + 4.0 * np.arange(4)
        write_series(tmp_path / "s" / name, even_chest(4), uid="1.2.9", positions=at, **STUDY)

    assert planes_of(tmp_path / "s") == [4, 4]


def test_a_series_in_a_folder_for_each_slice_is_one(tmp_path):
    for z, one in enumerate(even_chest(5)):
        folder = tmp_path / "s" / str(z)
        write_series(folder, [one], uid="1.2.9", positions=[2.0 * z], **STUDY)

    assert planes_of(tmp_path / "s") == [5]


def test_a_series_that_was_copied_twice_is_one(tmp_path):
    folder = write_series(tmp_path / "s" / "a", even_chest(), name="a{z}")
    shutil.copytree(folder, tmp_path / "s" / "b")
    volume, files = read_series(tmp_path / "s")

    assert np.array_equal(volume.voxels, even_chest())
    assert files[0] == ("a0", "a0")


def test_a_link_that_leads_back_is_not_followed(tmp_path):
    folder = write_series(tmp_path / "s", even_chest())
    (folder / "again").symlink_to(folder, target_is_directory=True)

    assert planes_of(folder) == [3]


def test_a_file_in_place_of_a_folder_is_a_sentence(tmp_path):
    (tmp_path / "a.dcm").write_bytes(b"")
    with pytest.raises(DataError, match=r"a\.dcm: it is a file\. Name the folder"):
        find_series(tmp_path / "a.dcm")


@pytest.mark.parametrize(
    ("tags", "sentence"),
    [
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "in colour, so they are capt"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "in colour, so they are captures"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, r"only scout views \(3\)"),
    ],
)
def test_a_folder_without_any_slice_says_what_is_in_it(tmp_path, tags, sentence):
    folder = changed(write_series(tmp_path / "s", even_chest()), **tags)
    with pytest.raises(DataError, match=sentence):
        find_series(folder)


def test_archives_are_to_be_unpacked(tmp_path):
    (tmp_path / "ct.zip").write_bytes(b"PK\3\4")
    with pytest.raises(DataError, match=r"only archives \(1\)\. Unpack the archives"):
        find_series(tmp_path)


def test_nifti_is_no_archive(tmp_path):
    (tmp_path / "ct.nii.gz").write_bytes(b"\x1f\x8b")
    with pytest.raises(DataError, match=r"NIfTI files \(1\)\. Import them with alnb import nifti"):
        find_series(tmp_path)


def test_files_without_preamble_are_read(tmp_path):
    folder = write_series(tmp_path / "s", even_chest(), name="IM{z}")
    for path in folder.iterdir():
        content = path.read_bytes()
        meta = 132 + 12 + int.from_bytes(content[140:144], "little")
        path.write_bytes(content[meta:])  # from the group 0008 on

    assert pydicom.dcmread(folder / "IM0", force=True).file_meta.get("TransferSyntaxUID") is None
    assert np.array_equal(read_series(folder)[0].voxels, even_chest())


def test_a_file_that_breaks_off_in_its_header_is_no_slice_left_out(tmp_path):
    folder = write_series(tmp_path / "s", even_chest(), name="{z}.dcm")
    content = (folder / "1.dcm").read_bytes()
    for length in range(140, len(content) - 1, 11):
        (folder / "1.dcm").write_bytes(content[:length])
        with pytest.raises(DataError, match=r"1\.dcm"):
            read_series(folder)


@pytest.mark.parametrize("frames", [False, True])
def test_whatever_byte_is_wrong_the_error_is_a_sentence(tmp_path, frames):
    folder, rng = tmp_path / "s", np.random.default_rng(0)
    if frames:
        write_enhanced(folder, even_chest(), positions=[0, 2, 4])
    else:
        write_series(folder, even_chest(), name="{z}.dcm")
    path = sorted(folder.iterdir())[-1]
    content = path.read_bytes()
    for _ in range(300):
        broken = bytearray(content)
        for at in rng.integers(132, len(content), rng.choice([1, 4])):
            broken[at] = rng.integers(256)
        path.write_bytes(bytes(broken))
        with contextlib.suppress(DataError):
            read_series(folder)


def test_the_frames_of_an_enhanced_file_lie_where_they_say(tmp_path):
    path = write_enhanced(tmp_path / "s", even_chest(), positions=[4, 2, 0])
    volume, files = read_series(path.parent)

    assert np.array_equal(volume.voxels, even_chest()[::-1])
    assert np.allclose(volume.affine @ (0, 0, 1, 1), (50, 50, -48, 1))
    assert (volume.unit, volume.notes) == ("hu", ())
    assert files == (("all.dcm",),) * 3


def test_frames_with_one_position_for_all_are_a_sentence(tmp_path):
    folder = write_series(tmp_path / "s", even_chest(1), name="all.dcm")
    one = pydicom.dcmread(folder / "all.dcm")
    one.NumberOfFrames, one.PixelData = 3, one.PixelData * 3
    one.save_as(folder / "all.dcm")

    with pytest.raises(DataError, match=r"all\.dcm has no position for each of its frames"):
        read_series(folder)


def test_other_images_are_read_where_there_is_no_ct_and_said(tmp_path):
    folder = write_series(tmp_path / "s", even_chest())
    changed(folder, SOPClassUID=SecondaryCaptureImageStorage)
    volume, _ = read_series(folder)

    assert np.array_equal(volume.voxels, even_chest())
    assert volume.notes == ("its files say that they hold no CT (Secondary Capture Image)",)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("Curie", True), ("CURIÉ_Marié", True), ("li_1", True), ("slice_1", False),
        ("acc_A-7712", True), ("CT Thorax Curie", True), ("19671107", True), ("ct_thorax", False),
    ],
)  # fmt: skip
def test_ids_dates_and_descriptions_of_a_study_are_told_in_a_name(tmp_path, name, found):
    tags = {"PatientName": "Curie^Marie^Li", "AccessionNumber": "A7712",
            "StudyDescription": "Thorax Curie", "PatientBirthDate": "19671107"}  # fmt: skip
    (series,) = find_series(write_series(tmp_path / "s", even_chest(), **tags)).series

    assert names_person(name, series) is found


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("Mueller 1", True), ("Müller", True), ("soeren", True), ("Soren CT", True),
        ("王伟 胸部", True), ("王伟ct", True), ("伟", False), ("ct 4711", True), ("s000471", False),
    ],
)  # fmt: skip
def test_a_name_is_told_in_other_spellings_and_an_id_without_its_zeros(tmp_path, name, found):
    tags = {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Müller^Søren=王^伟"}
    folder = write_series(tmp_path / "s", even_chest(), **tags, PatientID="0004711")
    (series,) = find_series(folder).series

    assert names_person(name, series) is found


def test_ct_is_taken_in_every_form_of_its_sop_class(tmp_path):
    folder = write_series(tmp_path / "s", even_chest(1))

    assert find_series(folder).series[0].kind == CTImageStorage.name.removesuffix(" Storage")
    assert find_series(folder).series[0].is_ct


def test_a_deflated_file_is_read_and_a_bomb_refused(tmp_path, monkeypatch):
    folder = write_series(tmp_path / "s", even_chest())
    for path in folder.iterdir():
        one = pydicom.dcmread(path)
        one.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        one.save_as(path)
    assert np.array_equal(read_series(folder)[0].voxels, even_chest())

    path = min(folder.iterdir())
    content = path.read_bytes()
    begin = 132 + 12 + pydicom.dcmread(path).file_meta.FileMetaInformationGroupLength
    plain = zlib.decompress(content[begin:], -zlib.MAX_WBITS)
    deflate = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    zeros = bytes(2**24)
    packed = b"".join([deflate.compress(plain), *(deflate.compress(zeros) for _ in range(20))])
    path.write_bytes(content[:begin] + packed + deflate.flush())
    monkeypatch.setattr("pydicom.dcmread", lambda *_, **__: pytest.fail("it was inflated"))
    with pytest.raises(DataError, match="too large to be read at once"):
        find_series(folder)


def jpeg(side):
    stream = io.BytesIO()
    Image.new("L", (side, side)).save(stream, "jpeg")
    return stream.getvalue()


def jpeg_ls(side):
    return b"\xff\xd8\xff\xf7\0\x0b\x08" + struct.pack(">HH", side, side) + bytes(20)


def jpeg_2000(side):
    return b"\xff\x4f\xff\x51\0\x29\0\0" + struct.pack(">4I", side, side, 0, 0) + bytes(20)


@pytest.mark.parametrize(
    ("syntax", "picture"),
    [(JPEGBaseline8Bit, jpeg), (JPEGLSLossless, jpeg_ls), (JPEG2000Lossless, jpeg_2000)],
)
def test_a_picture_in_a_slice_is_no_larger_than_it(tmp_path, syntax, picture):
    folder = write_series(tmp_path / "s", even_chest())
    for path in folder.iterdir():
        one = pydicom.dcmread(path)
        one.PixelData = encapsulate([picture(8000)])
        one["PixelData"].VR = "OB"
        one.file_meta.TransferSyntaxUID = syntax
        one.BitsAllocated = one.BitsStored = 8
        one.HighBit = 7
        one.save_as(path)

    with pytest.raises(DataError, match="claims 64000000 pixels"):
        read_series(folder)
