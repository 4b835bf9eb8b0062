from dataclasses import replace

import numpy as np
import pytest
from scans import chest

from alnb.errors import DataError
from alnb.volumes import Origin, Source, Volume, scan_name, source_of


@pytest.mark.parametrize(
    ("path", "scan"),
    [
        ("d/a_01.nii.gz", "a_01"),
        ("a.b.nii", "a.b"),
        ("x.PNG", "x"),
        ("1.2.jpeg", "1.2"),
        ("p.hdr", "p"),
        ("p.IMG", "p"),
    ],
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


@pytest.mark.parametrize(
    ("affine", "sentence"),
    [
        (np.full((4, 4), np.nan), "names no direction"),
        (np.diag([1, 0, 1, 1.0]), "names no direction"),
        (np.diag([1, 1, 1e6, 1.0]), r"says that voxels are 1×1×1e\+06 mm large"),
        (np.diag([7e-4, 7e-4, 5e-3, 1.0]), "says that voxels are 0.0007×0.0007×0.005 mm large"),
        (np.diag([700, 700, 900, 1.0]), "says that voxels are 700×700×900 mm large"),
        (np.array([[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]), "for two axes"),
        (np.array([[1, 0, 0, 1e9], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]), "first voxel at"),
    ],
)
def test_an_affine_that_is_no_frame_of_a_ct_is_a_sentence(affine, sentence):
    with pytest.raises(DataError, match=rf"a\.nii: its affine .*{sentence}.*Export it"):
        source_of("a.nii", (3, 4, 5), affine, (0, 1), "")
