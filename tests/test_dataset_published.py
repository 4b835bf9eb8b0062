import nibabel as nib
import numpy as np
import pytest
from scans import ct, parts_of, write_nifti

from alnb.dataset import (
    SliceId,
    import_covid19b,
    import_medseg,
    import_nifti,
)
from alnb.dataset.importers import ZENODO
from alnb.errors import DataError
from alnb.volumes import Volume

ZENODOS = [f"coronacases_{n:03d}" for n in range(1, 11)] + [
    f"radiopaedia_{name}"
    for name in (
        "10_85902_1", "10_85902_3", "14_85914_0", "27_86410_0", "29_86490_1", "29_86491_1",
        "36_86526_0", "40_86625_0", "4_85506_1", "7_85703_0",
    )
]  # fmt: skip


def medseg_scans(folder, labels=(1, 2, 3)):
    for scan in range(1, 10):
        volume, _ = ct(seed=scan)
        mask = np.zeros(volume.voxels.shape, np.uint8)
        mask[1, 3, 4 : 4 + len(labels)] = labels
        write_nifti(folder / "rp_im" / f"{scan}.nii.gz", volume.voxels, "RAS")
        write_nifti(folder / "rp_msk" / f"{scan}.nii.gz", mask, "RAS")
    return folder


def zenodo(folder, names=ZENODOS):
    volume, mask = ct(depth=2)
    grey = Volume.made("g", np.arange(512).reshape(2, 16, 16).astype(np.uint8), unit="grey")
    for name in names:
        voxels = (volume if name.startswith("corona") else grey).voxels
        write_nifti(folder / ZENODO[0] / f"{name}.nii.gz", voxels)
        write_nifti(folder / ZENODO[1] / f"{name}.nii.gz", mask)
    return folder


def test_medsegs_nine_scans_are_the_papers_dataset(tmp_path):
    dataset = import_medseg(medseg_scans(tmp_path / "m"), tmp_path / "d", size=16)

    assert list(dataset.scans) == [str(n) for n in range(1, 10)]
    assert [{where.scan for where in dataset.part(part)} for part in ("train", "val", "test")] == [
        {"1", "2", "3", "4", "5"}, {"6"}, {"7", "8", "9"},
    ]  # fmt: skip
    assert dataset.labels(SliceId("3", 1))[3, 4:8].tolist() == [1, 2, 3, 0]
    assert dataset.infected_px(SliceId("3", 1)) == 3
    assert dataset.name == "covid19a"


@pytest.mark.parametrize(
    "idle", [{"skip": ["a"]}, {"flip": ["a"]}, {"unit": "grey"}, {"split": "scan"}]
)
def test_what_is_for_scans_is_not_swallowed_by_slices(tmp_path, idle):
    (tmp_path / "train_im.nii.gz").touch()

    with pytest.raises(DataError, match=f"--{next(iter(idle))}: this option is for MedSeg's nine"):
        import_medseg(tmp_path, tmp_path / "d", **idle)


def test_a_label_that_medseg_does_not_have_is_a_sentence(tmp_path):
    medseg_scans(tmp_path / "m", labels=(1, 4))

    with pytest.raises(DataError, match=r"scan 1: its mask holds 4, where .* masks hold 1,2,3"):
        import_medseg(tmp_path / "m", tmp_path / "d", size=16)
    dataset = import_medseg(tmp_path / "m", tmp_path / "d", size=16, infected=[1])
    assert dataset.infected_px(SliceId("1", 1)) == 1


def test_a_folder_that_is_not_medsegs_is_a_sentence(tmp_path):
    with pytest.raises(DataError, match="neither rp_im and rp_msk nor train_im"):
        import_medseg(tmp_path, tmp_path / "d")


def test_zenodos_folders_are_the_papers_other_dataset(tmp_path):
    dataset = import_covid19b(zenodo(tmp_path / "z"), tmp_path / "d", size=16)
    scans = {part: {where.scan for where in dataset.part(part)} for part in ("train", "test")}

    assert [len(dataset.part(part)) // 2 for part in ("train", "val", "test")] == [15, 1, 4]
    assert {"coronacases_001", "radiopaedia_4_85506_1", "radiopaedia_14_85914_0"} <= scans["train"]
    assert scans["test"] == {f"radiopaedia_{n}" for n in (
        "29_86490_1", "29_86491_1", "36_86526_0", "40_86625_0",
    )}  # fmt: skip
    assert dataset.describe()["unit"] == "grey+hu"
    assert any("already windowed" in note for note in dataset.notes)
    assert any(note.startswith("no scan was turned") for note in dataset.notes)
    assert not any("one patient" in note for note in dataset.notes)


def test_what_was_turned_is_said_instead(tmp_path):
    folder, words = zenodo(tmp_path / "z", ZENODOS[9:12]), {"size": 16, "split": "scan"}
    dataset = import_covid19b(folder, tmp_path / "d", flip=["radiopaedia_*"], **words)
    plain = import_covid19b(folder, tmp_path / "e", **words)
    turned, alone = SliceId(ZENODOS[10], 1), SliceId(ZENODOS[9], 1)

    assert np.array_equal(dataset.raw(turned), plain.raw(turned)[::-1])
    assert np.array_equal(dataset.raw(alone), plain.raw(alone))
    assert not any(note.startswith("no scan was turned") for note in dataset.notes)
    assert any("turned upside down, as asked for: scans radiopaedia_*" in n for n in dataset.notes)
    assert any("of the 20 scans that are published, 3 were" in note for note in dataset.notes)
    assert any("10_85902_3 are of one patient" in note for note in dataset.notes)


def test_a_pattern_that_turns_nothing_is_a_sentence(tmp_path):
    with pytest.raises(DataError, match="--flip radiopedia_: no scan is called so"):
        import_covid19b(zenodo(tmp_path / "z", ZENODOS[:2]), tmp_path / "d", flip=["radiopedia_"])


def test_a_folder_that_is_not_zenodos_is_a_sentence(tmp_path):
    (tmp_path / ZENODO[0]).mkdir()

    with pytest.raises(DataError, match="Infection_Mask is not in it"):
        import_covid19b(tmp_path, tmp_path / "d")


def test_the_real_scans_of_covid19b_are_imported(shared, tmp_path):
    dataset = import_covid19b(
        shared / "data" / "covid19b_pseudo", tmp_path / "d", size=64, flip=["radiopaedia_*"]
    )

    assert (len(dataset.scans), len(dataset.slices)) == (20, 328)
    assert len({where.scan for where in dataset.part("train")}) == 15


def test_medseg_is_dealt_as_published(shared, tmp_path):
    dataset = import_medseg(shared / "data" / "medseg", tmp_path / "d")
    source = np.asanyarray(nib.load(shared / "data" / "medseg" / "train_msk.nii.gz").dataobj)

    assert parts_of(dataset) == {"train": 50, "val": 0, "test": 24}
    assert (dataset.size, dataset.name) == (256, "medseg")
    assert not dataset.stacked("train")
    assert np.array_equal(dataset.labels(SliceId("train", 7)), source[:, :, 7].T)
    assert {
        int(label) for z in range(50) for label in np.unique(dataset.labels(SliceId("train", z)))
    } == {0, 1, 2}
    assert all(dataset.infected_px(where) for where in dataset.slices)


def test_medseg_whose_table_does_not_fit_is_a_sentence(shared, tmp_path):
    for path in (shared / "data" / "medseg").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    table = tmp_path / "test_slices.csv"
    table.write_text("\n".join(table.read_text().splitlines()[:-1]))

    with pytest.raises(DataError, match="it lists 23 slices"):
        import_medseg(tmp_path, tmp_path / "d")


def test_the_folders_of_zenodo_are_found(shared, tmp_path):
    dataset = import_nifti(
        shared / "data" / "covid19b_pseudo",
        tmp_path / "d",
        size=64,
        split="sep",
        flip=["radiopaedia_*"],
    )

    assert (len(dataset.scans), len(dataset.slices)) == (20, 328)
    assert dataset.part("train")[0].scan == "coronacases_001"
    assert dataset.describe()["unit"] == "grey"
