from dataclasses import replace

import numpy as np
import pytest
from scans import chest

from alnb.errors import DataError
from alnb.volumes import (
    Origin,
    Source,
    Volume,
    scan_name,
    to_unit,
)


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


def test_an_offset_is_added_before_the_unit_is_decided():
    voxels, decided = to_unit(np.array([24, 4095], np.uint16), None, "a.nii", offset=-1024)

    assert decided == "hu"
    assert voxels.tolist() == [-1000, 3071]


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


def test_a_unit_that_does_not_exist_is_a_sentence():
    with pytest.raises(DataError, match=r"a: there is no unit 'HU'\. Say --unit hu or --unit grey"):
        to_unit(chest(), "HU", "a")


@pytest.mark.parametrize(
    ("path", "scan"),
    [("d/a_01.nii.gz", "a_01"), ("a.b.nii", "a.b"), ("x.PNG", "x"), ("1.2.jpeg", "1.2")],
)
def test_a_scan_is_named_by_its_file(path, scan):
    assert scan_name(path) == scan


@pytest.mark.parametrize(
    "scan",
    [
        "a",
        "_1",
        "scan (1)",
        "[x] & y's #1 100%",
        "Müller",
        "日本",
        "क़ि",
        "a\u202fb",
        "b_01.5 +x",
        "=1",
    ],
)
def test_letters_of_every_script_and_brackets_name_a_scan(scan):
    assert Volume.made(scan, chest(), unit="hu").scan == scan


@pytest.mark.parametrize(
    "scan",
    [
        "", " ", "a/b", "..", ".a", "a.", "-a", "a\\b", "a:b", "a?", "a\n", "a\x00b", "\u202ea",
        "a\ufeff", "NUL", "com1.x", "a ", "日" * 80, "a\udcfc",
    ],
)  # fmt: skip
def test_a_scan_has_a_name_that_can_name_a_file(scan):
    with pytest.raises(DataError, match="can't be a file's name on every system"):
        Volume.made(scan, chest(), unit="hu")


def test_a_file_spelt_in_parts_and_one_spelt_whole_have_one_name():
    assert scan_name("Mu\u0308ller.png") == scan_name("M\u00fcller.PNG") == "M\u00fcller"


@pytest.mark.parametrize("axes", [(2, 1, 0), (0, 2, 1)])
def test_the_spacing_follows_the_display(axes):
    affine = np.array([[0, -2.0, 0, 5], [3, 0, 0, 5], [0, 0, 4, 5], [0, 0, 0, 1]])
    source = Source("", "", (4, 5, 3), axes)
    volume = Volume("a", np.zeros(source.display_shape, np.uint8), affine, source, "grey")

    assert volume.spacing_mm == tuple((3, 2, 4)[axis] for axis in axes)
    assert Origin("a", affine, source).spacing_mm == volume.spacing_mm


def test_a_volume_whose_parts_contradict_each_other_is_refused():
    with pytest.raises(DataError, match="grey voxels are uint8"):
        Volume.made("a", chest(), unit="grey")
    volume = Volume.made("a", chest(), unit="hu")
    with pytest.raises(DataError, match="hu voxels are int16 of shape"):
        replace(volume, source=Source("", "", (3, 5, 4)))
