import numpy as np
import pydicom
import pytest
from fakes import FakeLearner
from scans import ct
from test_volumes_dicom import write_series
from test_volumes_dicom_files import changed, write_enhanced

from alnb.config import Config
from alnb.dataset import build
from alnb.errors import DataError, SessionError
from alnb.experiments.run import simulate
from alnb.export.dicom_seg import dicom_seg, write_dicom_seg
from alnb.training.trainer import Trainer
from alnb.volumes.dicom import matching_planes, read_series
from alnb.volumes.dicom_files import find_series

hd = pytest.importorskip("highdicom", reason="alnb[dicom] is not installed: no highdicom")

CONFIG = Config(regions_per_slice=16, start_regions=6, regions_per_cycle=2, seed=7)
STUDY = {"StudyInstanceUID": "1.2.3", "FrameOfReferenceUID": "1.2.4", "PatientSex": "F"}
TILT = np.radians(20)
ORIENTATIONS = {
    "axial": (1, 0, 0, 0, 1, 0),
    "prone": (-1, 0, 0, 0, -1, 0),
    "oblique": (np.cos(TILT), np.sin(TILT), 0, -np.sin(TILT), np.cos(TILT), 0),
    "coronal": (1, 0, 0, 0, 0, -1),
    "tilted": (1, 0, 0, 0, np.cos(TILT), -np.sin(TILT)),
}


def source(folder, *, orientation="axial", voxels=None, **tags):
    """Write a series with a lesion of 800 HU in another place of each slice."""
    if voxels is None:
        voxels = np.full((4, 6, 8), -1000, np.int16)
        for z in range(1, 4):
            voxels[z, z : z + 2, 2 * z] = 800
    write_series(folder, voxels, orientation=ORIENTATIONS[orientation], **(STUDY | tags))
    if orientation == "tilted":
        for path in folder.iterdir():
            one = pydicom.dcmread(path)
            one.ImagePositionPatient = [-50, -50, 2.5 * one.InstanceNumber]
            one.save_as(path)
    return folder


def segmented(folder, masks=None):
    """Segment the lesion as an export does, and read the file back."""
    volume, _ = read_series(folder)
    (series,) = find_series(folder).series
    planes = matching_planes(series, volume)
    marked = volume.voxels > 0 if masks is None else masks(volume.voxels)
    stored = volume.source.to_file(marked).transpose(2, 1, 0)
    path = folder.parent / "seg.dcm"
    dicom_seg(planes, stored, "f00d" * 16).save_as(path)
    return hd.seg.segread(path)


def marked_at(seg, folder):
    """Compare each frame with the pixels of the slice at its position."""
    slices = {
        tuple(one.ImagePositionPatient): one for one in map(pydicom.dcmread, folder.iterdir())
    }
    frames = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
    for frame, groups in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
        one = slices[tuple(groups.PlanePositionSequence[0].ImagePositionPatient)]
        assert np.array_equal(frame > 0, one.pixel_array > 512)
        (reference,) = groups.DerivationImageSequence[0].SourceImageSequence
        at = slices_by_uid(folder)[reference.ReferencedSOPInstanceUID]
        assert at.ImagePositionPatient == one.ImagePositionPatient
    orientation = seg.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    assert np.allclose(orientation.ImageOrientationPatient, one.ImageOrientationPatient)
    return len(frames)


def slices_by_uid(folder):
    return {one.SOPInstanceUID: one for one in map(pydicom.dcmread, folder.iterdir())}


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("positions", [None, (6, 4, 2, 0)])
def test_a_mask_lies_on_the_lesion_of_its_source_slice(tmp_path, orientation, positions):
    folder = source(tmp_path / "s", orientation=orientation, positions=positions)
    seg = segmented(folder)

    assert marked_at(seg, folder) == 3
    assert seg.pixel_array.sum() == 6


def test_slices_that_are_there_twice_are_referred_to_once(tmp_path):
    voxels = np.full((4, 6, 8), -1000, np.int16)
    voxels[1:3, 2, 3] = 800
    folder = source(tmp_path / "s", voxels=voxels, positions=[0, 2, 2, 4])

    assert marked_at(segmented(folder), folder) == 1


def test_the_frames_of_one_file_are_segmented(tmp_path):
    voxels = np.full((3, 6, 8), -1000, np.int16)
    voxels[1, 2, 3] = 800
    path = write_enhanced(tmp_path / "s", voxels, positions=[4, 2, 0], **STUDY)
    seg = segmented(path.parent)

    (groups,) = seg.PerFrameFunctionalGroupsSequence
    assert groups.PlanePositionSequence[0].ImagePositionPatient == [-50, -50, -48]
    assert np.array_equal(seg.pixel_array.squeeze() > 0, voxels[1] > 0)


def test_the_algorithm_is_named_and_the_patient_is_the_sources(tmp_path):
    seg = segmented(source(tmp_path / "s"))
    (segment,) = seg.SegmentSequence
    (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence

    assert seg.SegmentationType == "BINARY"
    assert (segment.SegmentAlgorithmType, algorithm.AlgorithmName) == ("AUTOMATIC", "alnb")
    assert "f00d" in algorithm.AlgorithmParameters
    assert (seg.PatientID, seg.StudyInstanceUID) == ("MRN-4711", "1.2.3")


def test_probabilities_are_fractions_of_255(tmp_path):
    seg = segmented(source(tmp_path / "s"), lambda voxels: np.where(voxels > 0, 0.4, 0.0))

    assert (seg.SegmentationType, seg.SegmentationFractionalType) == ("FRACTIONAL", "PROBABILITY")
    assert set(np.unique(seg.pixel_array)) == {0, 102}


def test_a_mask_without_any_infection_is_written(tmp_path):
    assert segmented(source(tmp_path / "s"), lambda voxels: voxels > 9999).pixel_array.sum() == 0


def test_a_source_without_its_ids_is_a_sentence(tmp_path):
    folder = write_series(tmp_path / "s", ct()[0].voxels)
    with pytest.raises(DataError, match="has no StudyInstanceUID, which a segmentation must name"):
        segmented(folder)


def test_slices_that_share_an_id_are_a_sentence(tmp_path):
    folder = changed(source(tmp_path / "s"), SOPInstanceUID="1.2.5")
    with pytest.raises(DataError, match="several slices have one SOPInstanceUID"):
        segmented(folder)


def test_another_series_is_told_from_that_which_was_imported(tmp_path):
    volume, _ = read_series(source(tmp_path / "s"))
    other = volume.voxels.copy()
    other[0, 0, 0] = 500
    (equal,) = find_series(source(tmp_path / "t", positions=[0, 2, 4, 6])).series
    (changed,) = find_series(source(tmp_path / "u", voxels=other)).series
    (moved,) = find_series(source(tmp_path / "v", positions=[1, 3, 5, 7])).series

    assert matching_planes(equal, volume) is not None
    assert matching_planes(changed, volume) is None
    assert matching_planes(moved, volume) is None


def test_the_acquisition_that_was_imported_is_found_again(tmp_path):
    folder, uid = source(tmp_path / "s", AcquisitionNumber=1, uid="1.2.9"), "1.2.9"
    voxels = np.full((4, 6, 8), -900, np.int16)
    source(folder, voxels=voxels, AcquisitionNumber=2, uid=uid, name="second_{z}")
    volume, _ = read_series(folder, acquisition=2)
    planes = matching_planes(find_series(folder).series[0], volume)

    assert [plane.path.name for plane in planes] == [f"second_{z}" for z in range(4)]


# --- a session's ------------------------------------------------------------------------------


@pytest.fixture
def session(tmp_path, monkeypatch):
    """A run on one series, whose network marks what is above 0 HU."""
    volume, _ = read_series(source(tmp_path / "s"))
    dataset = build(
        [(volume, (volume.voxels > 0).astype(np.uint8))],
        tmp_path / "d",
        size=16,
        split={"s": "train"},
    )
    simulate(dataset, tmp_path / "run", CONFIG, cycles=0, learner=FakeLearner(dataset, CONFIG))
    monkeypatch.setattr(
        Trainer, "segment", lambda self, slices, _: ((at, dataset.mask(at)) for at in slices)
    )
    monkeypatch.setattr(
        Trainer,
        "infection",
        lambda self, slices, _: ((at, dataset.mask(at) * 0.4) for at in slices),
    )
    return tmp_path / "run"


def test_a_sessions_masks_lie_on_its_source_series(session, tmp_path):
    (path,) = write_dicom_seg(session, tmp_path / "out", tmp_path)

    assert path == tmp_path / "out" / "dicom-seg" / "s.dcm"
    assert marked_at(hd.seg.segread(path), tmp_path / "s") == 3


def test_a_sessions_probabilities_are_written_if_asked_for(session, tmp_path):
    (path,) = write_dicom_seg(session, tmp_path / "out", tmp_path / "s", kind="fractional")

    assert set(np.unique(hd.seg.segread(path).pixel_array)) == {0, 102}


def test_a_disk_without_room_takes_no_part_of_a_segmentation(session, tmp_path, disk):
    disk.fill(left=4096)
    with pytest.raises(SessionError, match="there is no room for it"):
        list(write_dicom_seg(session, disk.path / "out", tmp_path / "s"))

    assert not (disk.path / "out").exists()


def test_a_folder_of_another_series_is_a_sentence(session, tmp_path):
    other = source(tmp_path / "t", positions=[0, 3, 6, 9])
    with pytest.raises(DataError, match="no scan of d came from it; it is another series"):
        list(write_dicom_seg(session, tmp_path / "out", other))


def test_another_type_or_no_session_is_a_sentence(session, tmp_path):
    with pytest.raises(DataError, match="--seg-type soft: it is binary or fractional"):
        list(write_dicom_seg(session, tmp_path / "out", tmp_path / "s", kind="soft"))
    with pytest.raises(SessionError, match="holds no session"):
        list(write_dicom_seg(tmp_path, tmp_path / "out", tmp_path / "s"))


def test_scans_that_were_no_dicom_are_told_so(squares, tmp_path):
    simulate(squares, tmp_path / "run", CONFIG, cycles=0, learner=FakeLearner(squares, CONFIG))
    with pytest.raises(DataError, match="the scans of squares were not DICOM"):
        list(write_dicom_seg(tmp_path / "run", tmp_path / "out", source(tmp_path / "s")))
