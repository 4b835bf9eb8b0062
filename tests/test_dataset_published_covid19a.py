import re

import numpy as np
import pytest
from skimage import io
from test_volumes_dicom import PATIENT, write_series

from alnb.dataset import SliceId, import_covid19a
from alnb.errors import DataError


def hu(depth=4, seed=0):
    voxels = np.random.default_rng(seed).integers(-512, 1500, (depth, 10, 10)) * 2
    return voxels.astype(np.int16)


def labels(depth=4):
    """127 in a corner that no symmetry maps onto itself, and a row of 255 as long as z."""
    mask = np.zeros((depth, 10, 10), np.uint8)
    mask[:, 1, 6:9] = 127
    for z in range(depth):
        mask[z, 7, : z + 1] = 255
    return mask


def published(folder, scans=3, depth=4, **series):
    """Write scans as COVID-19-A is published: masks lie turned, and count from 1."""
    (folder / "InfectionMasks").mkdir(parents=True)
    for scan in range(1, scans + 1):
        write_series(
            folder / "OpenSourceDCMs" / f"DCM{scan}", hu(depth, scan),
            name="img_s{z:04d}.dcm", **{"PixelSpacing": [0.7, 0.7], **series},
        )  # fmt: skip
        for z, mask in enumerate(labels(depth)):
            seen = np.fliplr(np.rot90(mask, -1))  # undone by a flip, then a turn to the left
            path = folder / "InfectionMasks" / f"{scan}_z{z}.png"
            io.imsave(path, seen, check_contrast=False)
    return folder


def test_series_and_masks_become_the_papers_dataset(tmp_path):
    dataset = import_covid19a(published(tmp_path / "a", scans=9), tmp_path / "d", size=10)

    assert list(dataset.scans) == [f"DCM{n}" for n in range(1, 10)]
    assert dataset.name == "covid19a"
    assert {where.scan for where in dataset.part("train")} == {f"DCM{n}" for n in range(1, 6)}
    assert {where.scan for where in dataset.part("val")} == {"DCM6"}
    assert {where.scan for where in dataset.part("test")} == {"DCM7", "DCM8", "DCM9"}
    for z in range(4):
        assert np.array_equal(dataset.raw(SliceId("DCM2", z)), hu(seed=2)[z])
        assert np.array_equal(dataset.labels(SliceId("DCM2", z)), labels()[z])
    assert dataset.unit(dataset.slices[0]) == "hu"
    assert any("flipped left to right and turned by 90°" in note for note in dataset.notes)


def test_a_mask_follows_its_file_when_files_count_from_the_head(tmp_path):
    folder = published(tmp_path / "a", scans=2, positions=[6, 4, 2, 0])
    dataset = import_covid19a(folder, tmp_path / "d", size=10)

    for z in range(4):
        assert np.array_equal(dataset.raw(SliceId("DCM1", z)), hu(seed=1)[3 - z])
        assert np.array_equal(dataset.labels(SliceId("DCM1", z)), labels()[3 - z])


def test_a_series_in_a_subfolder_keeps_its_scans_name(tmp_path):
    folder = published(tmp_path / "a", scans=2)
    for series in (folder / "OpenSourceDCMs").iterdir():
        slices = list(series.iterdir())
        (series / "IMAGES").mkdir()
        for path in slices:
            path.rename(series / "IMAGES" / path.name)

    assert list(import_covid19a(folder, tmp_path / "d", size=10).scans) == ["DCM1", "DCM2"]


def test_no_patient_is_named_in_the_dataset(tmp_path):
    import_covid19a(published(tmp_path / "a", scans=2), tmp_path / "d", size=10)
    written = [path for path in (tmp_path / "d").rglob("*") if path.is_file()]
    name, number = PATIENT.values()
    words = re.compile("|".join([*name.split("^"), number]), re.IGNORECASE)

    assert len(written) == 7
    for path in written:
        assert not words.search(path.name + path.read_bytes().decode("latin-1")), path


def test_a_slice_that_is_there_twice_has_one_mask(tmp_path):
    folder = published(tmp_path / "a", scans=2)
    series = folder / "OpenSourceDCMs" / "DCM1"
    (series / "img_s0009.dcm").write_bytes((series / "img_s0002.dcm").read_bytes())
    dataset = import_covid19a(folder, tmp_path / "d", size=10)

    assert np.array_equal(dataset.labels(SliceId("DCM1", 2)), labels()[2])
    assert any(note.startswith("scan DCM1: slices that are there twice") for note in dataset.notes)
    masks = folder / "InfectionMasks"
    (masks / "1_z9.png").write_bytes((masks / "1_z1.png").read_bytes())
    with pytest.raises(DataError, match=r"1_z2\.png and 1_z9\.png are masks of one slice and"):
        import_covid19a(folder, tmp_path / "d", size=10)


def lose_mask(folder):
    (folder / "InfectionMasks" / "1_z2.png").unlink()


def lose_slice(folder):
    (folder / "OpenSourceDCMs" / "DCM1" / "img_s0002.dcm").unlink()


def lose_series(folder):
    (folder / "OpenSourceDCMs" / "DCM1").rename(folder / "OpenSourceDCMs" / "DCM5")


def rename_slice(folder):
    path = folder / "OpenSourceDCMs" / "DCM1" / "img_s0002.dcm"
    path.rename(path.with_name("img_2.dcm"))


def shrink_mask(folder):
    io.imsave(
        folder / "InfectionMasks" / "1_z2.png", np.zeros((9, 10), np.uint8), check_contrast=False
    )


def relabel_mask(folder):
    io.imsave(
        folder / "InfectionMasks" / "1_z2.png", np.full((10, 10), 64, np.uint8),
        check_contrast=False,
    )  # fmt: skip


def double_mask(folder):
    masks = folder / "InfectionMasks"
    (masks / "1_z02.png").write_bytes((masks / "1_z2.png").read_bytes())


def lose_folder(folder):
    (folder / "InfectionMasks").rename(folder / "masks")


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (lose_mask, "scan DCM1: InfectionMasks holds no mask for slice 2"),
        (lose_slice, "scan DCM1: there is a mask for slice 2, and no such slice"),
        (lose_series, "there are masks of DCM1, and no such series"),
        (rename_slice, r"DCM1: img_2\.dcm has no slice number"),
        (shrink_mask, "scan DCM1: the mask is 10×9, the image 10×10"),
        (relabel_mask, "scan DCM1: its mask holds 64, where this dataset's masks hold 127,255"),
        (lose_folder, "InfectionMasks is not in it"),
        (double_mask, r"1_z2\.png and 1_z02\.png name one slice"),
    ],
)
def test_a_folder_that_does_not_fit_is_a_sentence(tmp_path, harm, sentence):
    folder = published(tmp_path / "a", scans=2)
    harm(folder)

    with pytest.raises(DataError, match=sentence):
        import_covid19a(folder, tmp_path / "d", size=10)


def test_a_scan_that_does_not_fit_can_be_left_out(tmp_path):
    folder = published(tmp_path / "a", scans=3)
    lose_mask(folder)

    assert list(import_covid19a(folder, tmp_path / "d", size=10, skip=["DCM1"]).scans) == [
        "DCM2",
        "DCM3",
    ]
