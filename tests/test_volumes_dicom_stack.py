import numpy as np
import pydicom
import pytest
from scans import chest
from test_volumes_dicom import even_chest, volume_of, write_series
from test_volumes_dicom_files import changed, write_enhanced

from alnb.errors import DataError
from alnb.volumes.dicom import read_series
from alnb.volumes.dicom_files import find_series
from alnb.volumes.dicom_stack import every_stack

UID = "1.2.826.0.1.9"


def moved(folder, positions):
    """Put the slices, in the order of their files, at full positions."""
    for path, position in zip(sorted(folder.iterdir()), positions, strict=True):
        one = pydicom.dcmread(path)
        one.ImagePositionPatient = [float(number) for number in position]
        one.save_as(path)
    return folder


def series(folder, positions):
    voxels = even_chest(len(positions))
    return write_series(folder, voxels, positions=positions, name="IM{z:04d}")


def depths_off(volume, positions):
    """How far the affine lays each slice from where it was, in mm."""
    at = [(volume.affine @ (0, 0, k, 1))[2] for k in range(len(positions))]
    return np.abs(np.array(at) + 50 - positions).max()


@pytest.mark.parametrize("size", [0.01, 0.1])
def test_positions_that_jitter_are_a_regular_stack(tmp_path, size):
    at = 2.0 * np.arange(60) + np.random.default_rng(0).uniform(-size, size, 60)
    volume = volume_of(series(tmp_path / "s", at))

    assert volume.notes == ()
    assert np.array_equal(volume.voxels, even_chest(60))
    assert depths_off(volume, at) < 3 * size


def test_another_distance_from_some_slice_on_is_said_with_what_it_costs(tmp_path):
    at = np.cumsum([0] + [7.5] * 7 + [2.5] * 6)
    volume = volume_of(series(tmp_path / "s", at))

    assert volume.notes == (
        "slices are not evenly apart (7.5 mm (7 times) and 2.5 mm (6 times)), and were taken as "
        "5.2 mm apart, so exported NIfTI masks lie up to 16.2 mm off",
    )
    assert np.isclose(depths_off(volume, at), 16.15, atol=0.01)


@pytest.mark.parametrize(
    "at",
    [
        np.cumsum([0] + [2.5] * 4 + [7.5] * 3),
        np.cumsum([0] + [4] * 19 + [12] + [8] * 8),
        [0, 2, 4, 9, 11],
        [0, 1, 2, 4.5, 8, 9, 13],
    ],
)
def test_wide_steps_that_are_another_distance_are_no_missing_slices(tmp_path, at):
    (note,) = volume_of(series(tmp_path / "s", at)).notes

    assert note.startswith("slices are not evenly apart (")


def test_positions_in_whole_mm_are_no_missing_slices(tmp_path):
    at = np.rint(1.25 * np.arange(40))
    volume = volume_of(series(tmp_path / "s", at))

    assert np.isclose(volume.affine[2, 2], 1.25, atol=0.02)
    assert volume.notes == (
        "slices are not evenly apart (1 mm (29 times) and 2 mm (10 times)), and were taken as "
        "1.3 mm apart, so exported NIfTI masks lie up to 0.7 mm off",
    )


def test_a_missing_slice_is_said_where_positions_jitter(tmp_path):
    at = np.delete(2.0 * np.arange(60) + np.random.default_rng(0).uniform(-0.1, 0.1, 60), 30)
    volume = volume_of(series(tmp_path / "s", at))

    assert volume.notes[0].startswith("slices are missing (1 after 8.")
    assert np.isclose(volume.affine[2, 2], 2, atol=0.01)


def test_a_field_of_view_that_moves_is_no_tilted_gantry(tmp_path):
    at = [(30 if z >= 7 else 0, 0, 8 * z) for z in range(14)]
    volume = volume_of(moved(series(tmp_path / "s", 8.0 * np.arange(14)), at))

    assert volume.notes == (
        "the field of view moves by up to 30.0 mm from the first slice, so exported NIfTI masks "
        "lie off by as much",
    )
    assert np.allclose(volume.affine[:3, 2], (0, 0, 8))


def test_slices_that_drift_evenly_are_sheared_as_they_were(tmp_path):
    at = [(2 * z, 0, 8 * z) for z in range(5)]
    volume = volume_of(moved(series(tmp_path / "s", 8.0 * np.arange(5)), at))

    assert np.allclose(volume.affine @ (0, 0, 4, 1), (-8, 0, 32, 1))
    assert volume.notes == (
        "slices are shifted evenly by 14°: each slice is shifted against the one below",
    )


def test_slices_without_any_position_of_their_own_are_a_sentence(tmp_path):
    folder = moved(series(tmp_path / "s", [0, 1, 2, 3]), [(0, 0, 0)] * 4)
    with pytest.raises(DataError, match=r"all 4 slices have one position \(0, 0, 0\) and IM0000"):
        volume_of(folder)


def test_an_impossible_direction_names_its_file(tmp_path):
    folder = changed(series(tmp_path / "s", [0, 1]), ImageOrientationPatient=[1, 0, 0, 1, 0, 0])
    with pytest.raises(DataError, match="ImageOrientationPatient or PixelSpacing of IM0000 is"):
        volume_of(folder)


def test_a_header_that_claims_a_huge_slice_is_refused_before_it_is_decoded(tmp_path):
    folder = changed(series(tmp_path / "s", [0, 1]), Rows=60000, Columns=60000)
    with pytest.raises(DataError, match="IM0000 claims to be of 60000×60000 pixels"):
        volume_of(folder)


def test_a_coronal_stack_in_the_same_series_is_no_scout_view(tmp_path):
    folder = series(tmp_path / "s", 2.0 * np.arange(5))
    write_series(
        folder, even_chest(6), uid=pydicom.dcmread(folder / "IM0000").SeriesInstanceUID,
        orientation=(1, 0, 0, 0, 0, -1), name="MPR{z}",
    )  # fmt: skip
    with pytest.raises(
        DataError, match=r"IM0000 has another .* than MPR\d, as 5 of 11 slices have"
    ):
        volume_of(folder)


# --- acquisitions ------------------------------------------------------------------------------


def two(folder, tags, *, shift=0.0, depth=4):
    """Write two scans of one series: the second 100 HU denser, and shifted."""
    at = 4.0 * np.arange(depth)
    first = even_chest(depth)
    write_series(folder, first, uid=UID, name="a{z}", positions=at, **tags[0])
    write_series(folder, first + 100, uid=UID, name="b{z}", positions=at + shift, **tags[1])
    return folder, first


@pytest.mark.parametrize("shift", [0, 1.3, 2])
@pytest.mark.parametrize(
    ("tag", "values", "number"),
    [
        ("AcquisitionNumber", (3, 7), 7),
        ("TemporalPositionIdentifier", (1, 2), 2),
        ("ConvolutionKernel", ("B30f", "B70f"), 2),
        ("SliceThickness", (1.25, 5), 2),
        ("KVP", (80, 140), 2),
        ("ImageType", ("ORIGINAL", "DERIVED"), 1),
    ],
)
def test_acquisitions_that_lie_in_one_another_are_refused_until_one_is_chosen(
    tmp_path, tag, values, number, shift
):
    folder, first = two(tmp_path / "s", [{tag: value} for value in values], shift=shift)

    with pytest.raises(DataError, match=f"2 acquisitions lie in one another, told apart by {tag}"):
        volume_of(folder)
    with pytest.raises(DataError, match="there is no acquisition 9; 2 acquisitions"):
        volume_of(folder, acquisition=9)
    volume = volume_of(folder, acquisition=number)
    assert np.array_equal(volume.voxels, first + 100)
    assert volume.notes == (f"acquisition {number} was taken, as asked for (4 of 8 slices)",)


def test_the_counts_of_both_acquisitions_are_said(tmp_path):
    folder, _ = two(tmp_path / "s", [{"AcquisitionNumber": 1}, {"AcquisitionNumber": 2}])
    with pytest.raises(DataError, match=r"4 slices of 1, 4 slices of 2\. .* --acquisition 1"):
        volume_of(folder)


def test_phases_of_a_heart_are_told_apart_by_their_trigger(tmp_path):
    folder, first = two(tmp_path / "s", [{"TriggerTime": 0}, {"TriggerTime": 400}])
    with pytest.raises(
        DataError, match=r"by TriggerTime: 4 slices of 1 \(0\), 4 slices of 2 \(400"
    ):
        volume_of(folder)

    assert np.array_equal(volume_of(folder, acquisition=1).voxels, first)


@pytest.mark.parametrize("numbered", [True, False])
def test_phases_that_only_their_order_tells_apart_are_refused_and_can_be_chosen(tmp_path, numbered):
    folder, first = two(tmp_path / "s", [{}, {}])
    for path in folder.glob("b*") if numbered else ():
        one = pydicom.dcmread(path)
        one.InstanceNumber += 10
        one.save_as(path)
    with pytest.raises(DataError, match="told apart by their order: 4 slices of 1, 4 slices of 2"):
        volume_of(folder)

    assert np.array_equal(volume_of(folder, acquisition=2).voxels, first + 100)


def test_phases_in_no_order_are_a_sentence(tmp_path):
    folder, _ = two(tmp_path / "s", [{}, {}])
    (folder / "a1").rename(folder / "z")
    (folder / "b2").rename(folder / "aa")
    with pytest.raises(DataError, match="have the same position and differ"):
        volume_of(folder)


@pytest.mark.parametrize("first", [0, 10])
@pytest.mark.parametrize("shift", [0.5, 2, -1])
def test_scans_whose_numbers_begin_again_are_refused_and_can_be_chosen(tmp_path, first, shift):
    folder, voxels = two(tmp_path / "s", [{}, {}], shift=shift)
    for path in folder.glob("b*"):
        one = pydicom.dcmread(path)
        one.InstanceNumber += first
        one.save_as(path)
    with pytest.raises(DataError, match="told apart by InstanceNumber: 4 slices of 1, 4 slices"):
        volume_of(folder)

    chosen = 1 if shift < 0 and not first else 2
    assert np.array_equal(volume_of(folder, acquisition=chosen).voxels, voxels + 100)


@pytest.mark.parametrize(
    ("tag", "numbers"),
    [
        ("InstanceNumber", (5, 4, 3, 2, 1, 0)),
        ("InstanceNumber", (1, 2, 3, 1, 2, 3)),
        ("InstanceNumber", (0,) * 6),
        ("InstanceNumber", (1, 3, 5, 2, 4, 6)),
        ("AcquisitionNumber", (1, 1, 1, 2, 2, 2)),  # one follows the other
        ("AcquisitionNumber", (1, 1, 2, 2, 3, 3)),
        ("AcquisitionNumber", (1, 2, 3, 4, 5, 6)),
    ],
)
def test_slices_that_are_numbered_in_any_way_are_one_scan(tmp_path, tag, numbers):
    folder = series(tmp_path / "s", 2.0 * np.arange(6))
    for path, number in zip(sorted(folder.iterdir()), numbers, strict=True):
        one = pydicom.dcmread(path)
        setattr(one, tag, number)
        one.save_as(path)
    volume = volume_of(folder)

    assert np.array_equal(volume.voxels, even_chest(6))
    assert volume.notes == ()


@pytest.mark.parametrize(
    "orientation",
    [
        (1, 0, 0, 0, 1, 0), (-1, 0, 0, 0, -1, 0), (-1, 0, 0, 0, 1, 0), (1, 0, 0, 0, -1, 0),
        (0, 1, 0, -1, 0, 0), (0, -1, 0, 1, 0, 0), (0, 1, 0, 0, 0, -1), (1, 0, 0, 0, 0, -1),
    ],
)  # fmt: skip
@pytest.mark.parametrize("positions", [(0, 2, 4), (4, 2, 0)])
def test_every_voxel_lies_where_its_header_says_however_the_patient_lay(
    tmp_path, orientation, positions
):
    voxels = even_chest(3)
    folder = write_series(
        tmp_path / "s", voxels, orientation=orientation, positions=positions, name="IM{z}"
    )
    volume = volume_of(folder)
    stored = volume.source.to_file(volume.voxels)

    for z, path in enumerate(sorted(folder.iterdir())):
        one = pydicom.dcmread(path)
        across, down = np.array(one.ImageOrientationPatient).reshape(2, 3)
        place = np.array(one.ImagePositionPatient) + across * 0.8 * 3 + down * 0.7 * 1
        voxel = np.linalg.inv(volume.affine) @ (*(place * (-1, -1, 1)), 1)
        assert stored[tuple(voxel[:3].round().astype(int))] == voxels[z, 1, 3]


@pytest.mark.parametrize(("tag", "value"), [("SliceThickness", 2.01), ("KVP", 120.1)])
def test_a_measured_value_that_varies_makes_no_second_scan(tmp_path, tag, value):
    folder = tmp_path / "s"
    at = 2.0 * np.arange(8)
    for part in (0, 1):
        voxels, tags = even_chest(8)[part::2], {tag: (np.floor(value), value)[part]}
        name = f"{part}{{z}}"
        write_series(folder, voxels, uid=UID, name=name, positions=at[part::2], **tags)

    assert np.array_equal(volume_of(changed(folder, InstanceNumber=1)).voxels, even_chest(8))


@pytest.mark.parametrize("count", [lambda z: z + 1, lambda z: 90 - 2 * z])
def test_a_header_that_varies_from_slice_to_slice_makes_no_second_scan(tmp_path, count):
    folder = series(tmp_path / "s", 2.0 * np.arange(9))
    for z, path in enumerate(sorted(folder.iterdir())):
        one = pydicom.dcmread(path)
        one.SliceThickness = f"{2 + 0.001 * (z % 3):.3f}"
        one.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL", ("A", "B")[z % 2]]
        one.InstanceNumber = count(z)
        one.save_as(path)

    assert len(volume_of(folder).voxels) == 9


def test_an_acquisition_that_need_not_be_chosen_is_said(tmp_path):
    volume = volume_of(series(tmp_path / "s", [0, 1, 2]), acquisition=2)

    assert volume.notes == ("only one acquisition was found, and was taken",)


def test_a_series_that_was_exported_again_is_taken_once(tmp_path):
    write_series(tmp_path / "s", even_chest(), uid=UID, name="a{z}", AcquisitionNumber=1)
    at = np.array([0, 2, 4]) + 0.004  # rounded once more
    folder = write_series(
        tmp_path / "s", even_chest(), uid=UID, name="b{z}", positions=at, AcquisitionNumber=1
    )
    volume, files = read_series(folder)

    assert np.array_equal(volume.voxels, even_chest())
    assert files == (("a0", "b0"), ("a1", "b1"), ("a2", "b2"))
    assert len(volume.notes) == 1


def test_every_acquisition_is_a_stack(tmp_path):
    folder, _ = two(tmp_path / "s", [{"AcquisitionNumber": 1}, {"AcquisitionNumber": 2}])
    planes = find_series(folder).series[0].planes

    assert [len(stack.groups) for stack in every_stack(planes, "s")] == [4, 4]
    assert len(list(every_stack(planes[:4], "s"))) == 1


def test_slices_of_two_sizes_are_counted(tmp_path):
    write_series(tmp_path / "s", chest(4), uid=UID, name="a{z}")
    folder = write_series(tmp_path / "s", chest(1, 9), uid=UID, name="b{z}")
    with pytest.raises(DataError, match="than a0, as 1 of 5 slices have"):
        volume_of(folder)


@pytest.mark.parametrize("apart", [0.0, 100.0])
@pytest.mark.parametrize("turned", [False, True])
def test_two_stacks_of_one_file_are_chosen_by_number(tmp_path, turned, apart):
    voxels = np.concatenate([even_chest(4), even_chest(4)])
    at = [*range(0, 8, 2), *(apart + z for z in range(1, 5))]
    path = write_enhanced(tmp_path / "s", voxels, positions=at)
    one = pydicom.dcmread(path)
    for k, frame in enumerate(one.PerFrameFunctionalGroupsSequence):
        content, orientation = pydicom.Dataset(), pydicom.Dataset()
        content.StackID = "1" if k < 4 else "2"
        coronal = turned and k >= 4
        orientation.ImageOrientationPatient = [1, 0, 0, 0, 0, -1] if coronal else [1, 0, 0, 0, 1, 0]
        frame.FrameContentSequence, frame.PlaneOrientationSequence = [content], [orientation]
        place = frame.PlanePositionSequence[0]
        x, y, z = place.ImagePositionPatient
        place.ImagePositionPatient = [x, z, y] if coronal else [x, y, z]
    del one.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence
    one.save_as(path)

    with pytest.raises(
        DataError,
        match=r"2 acquisitions are in one series, told apart by StackID: 4 slices of 1 \(1\), 4 "
        r"slices of 2 \(2\)\. Choose one, as with --acquisition 1",
    ):
        read_series(tmp_path / "s")
    volume, _ = read_series(tmp_path / "s", acquisition=1)
    assert np.array_equal(volume.voxels, even_chest(4))
    assert volume.notes == ("acquisition 1 was taken, as asked for (4 of 8 slices)",)
    assert read_series(tmp_path / "s", acquisition=2)[0].source.shape[2] == 4
    (series,) = find_series(tmp_path / "s").series
    assert [len(stack.groups) for stack in every_stack(series.planes, "s")] == [4, 4]
