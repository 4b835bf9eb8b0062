import numpy as np
import pytest
from skimage import io

from alnb.dataset import SliceId, import_semiseg
from alnb.errors import DataError

DOCTOR = "TrainingSet/LungInfection-Train/Doctor-label"
TEST = "TestingSet/LungInfection-Test"
GREY = np.arange(0, 240, 15, dtype=np.uint8).reshape(4, 4)
MASK = ((GREY > 100) * 255).astype(np.uint8)


def pictures(folder, names, images="Imgs", masks="GT", mask=MASK):
    for kind, ending, picture in ((images, "jpg", GREY), (masks, "png", mask)):
        (folder / kind).mkdir(parents=True)
        for name in names:
            io.imsave(folder / kind / f"{name}.{ending}", picture, check_contrast=False)


@pytest.mark.parametrize("inner", ["", "Dataset"])
@pytest.mark.parametrize("train", [DOCTOR, "TrainingSet/LungInfection-Train"])
def test_train_and_test_are_dealt_as_published(tmp_path, inner, train):
    pictures(tmp_path / inner / train, ["p1", "p2", "p10"])
    pictures(tmp_path / inner / TEST, ["q1"])
    pictures(tmp_path / inner / "TrainingSet" / "MultiClassInfection-Train", ["m1"])
    dataset = import_semiseg(tmp_path, tmp_path / "out", size=4)

    assert [where.scan for where in dataset.part("train")] == ["p1", "p2", "p10"]
    assert [where.scan for where in dataset.part("test")] == ["q1"]
    assert np.array_equal(dataset.mask(SliceId("q1", 0)), MASK > 0)
    assert dataset.name == "semiseg"
    assert any("isn't published" in note for note in dataset.notes)


def test_one_set_is_dealt_as_told_and_its_folders_have_several_names(tmp_path):
    pictures(tmp_path / "set", [f"p{n}" for n in range(4)], images="Image", masks="masks")
    dataset = import_semiseg(tmp_path / "set", tmp_path / "out", size=4, split="sep")

    assert [len(dataset.part(part)) for part in ("train", "val", "test")] == [2, 1, 1]


def test_pictures_of_one_name_in_both_parts_are_told_apart(tmp_path):
    pictures(tmp_path / DOCTOR, ["p1", "p2"])
    pictures(tmp_path / TEST, ["p1"])
    dataset = import_semiseg(tmp_path, tmp_path / "out", size=4, skip=["p2"])

    assert list(dataset.scans) == ["train_p1", "test_p1"]
    with pytest.raises(DataError, match="--skip p3: there is no such picture"):
        import_semiseg(tmp_path, tmp_path / "out", size=4, skip=["p3"])


def test_a_folder_that_does_not_fit_is_a_sentence(tmp_path):
    with pytest.raises(DataError, match="there is no such folder"):
        import_semiseg(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no folders Imgs and GT are in it"):
        import_semiseg(tmp_path / "empty", tmp_path / "out")
    pictures(tmp_path / "half" / TEST, ["p1"])
    with pytest.raises(DataError, match="Add the other, or name that one's folder"):
        import_semiseg(tmp_path / "half", tmp_path / "out")
    assert import_semiseg(tmp_path / "half" / TEST, tmp_path / "out", size=4).scans.keys() == {"p1"}


def test_a_mask_that_is_missing_or_smoothed_is_a_sentence(tmp_path):
    pictures(tmp_path / "soft", ["p1"], mask=GREY)
    with pytest.raises(DataError, match="the labels 15,30,45,60,75 and 10 more"):
        import_semiseg(tmp_path / "soft", tmp_path / "out", size=4)

    pictures(tmp_path / "bare", ["p1", "p2"])
    (tmp_path / "bare" / "GT" / "p2.png").unlink()
    with pytest.raises(DataError, match=r"scan p2: .* holds no mask of that name"):
        import_semiseg(tmp_path / "bare", tmp_path / "out", size=4)


def test_masks_under_the_usual_endings_are_found_and_one_can_be_left_out(tmp_path):
    pictures(tmp_path, ["p1", "p2"])
    (tmp_path / "GT" / "p1.png").rename(tmp_path / "GT" / "p1_mask.png")
    (tmp_path / "GT" / "p2.png").unlink()
    dataset = import_semiseg(tmp_path, tmp_path / "out", size=4, skip=["p2"])

    assert list(dataset.scans) == ["p1"]
    assert any("p1_mask.png to scan p1" in note for note in dataset.notes)


def test_pictures_are_read_as_they_are_seen(tmp_path):
    pictures(tmp_path, ["p1"])
    seen = np.full((4, 4, 4), 255, np.uint8)
    seen[..., 3] = MASK
    io.imsave(tmp_path / "GT" / "p1.png", seen, check_contrast=False)
    dataset = import_semiseg(tmp_path, tmp_path / "out", size=4)

    assert np.array_equal(dataset.mask(SliceId("p1", 0)), MASK > 0)
