import numpy as np
import pytest
from test_dataset import ct, write_nifti

from alnb.dataset import build, import_nifti
from alnb.dataset.split import LabelGate
from alnb.errors import DataError


def mask(*labels):
    found = np.zeros((2, 4, 4), np.uint8)
    found[1, 0, : len(labels)] = labels
    return found


def test_one_label_needs_no_telling_and_two_do():
    gate = LabelGate()

    assert np.array_equal(gate.admit("a", mask(255)), mask(255))
    assert np.array_equal(gate.admit("b", mask()), mask())
    with pytest.raises(DataError, match="scan c: with its mask there are the labels 1,255, and"):
        gate.admit("c", mask(1))


def test_labels_that_are_not_named_become_background_and_that_is_said():
    gate = LabelGate(infected=[3])

    assert np.array_equal(gate.admit("a", mask(1, 3, 2)), mask(0, 3, 0))
    assert gate.notes() == ["infected are labels 3, as told; labels 1,2 became background."]


def test_labels_that_no_mask_holds_are_a_sentence():
    gate = LabelGate(infected=[4])
    gate.admit("a", mask(1, 2))

    with pytest.raises(DataError, match="--infected 4: no mask holds such a label; they hold 1,2"):
        gate.notes()


def test_a_label_that_is_not_known_is_listed():
    gate = LabelGate(known=(1, 2, 3))
    gate.admit("a", mask(3, 1))

    with pytest.raises(DataError, match=r"scan b: its mask holds 4,9, where .* hold 1,2,3"):
        gate.admit("b", mask(9, 1, 4))


def test_many_labels_are_counted():
    with pytest.raises(DataError, match="the labels 1,2,3,4,5 and 195 more"):
        LabelGate().admit("a", np.arange(201, dtype=np.uint8).reshape(1, 3, 67))


@pytest.mark.parametrize("labels", [(), (0, 1), (256,)])
def test_what_is_no_label_is_not_infected(labels):
    with pytest.raises(DataError, match="labels are whole numbers in 1…255"):
        LabelGate(infected=labels)


def test_lungs_are_not_taken_for_infection(tmp_path):
    volume, lungs = ct()
    lungs[:, 8:12, 2:9] = 1
    write_nifti(tmp_path / "i" / "a.nii", volume.voxels)
    write_nifti(tmp_path / "m" / "a.nii", lungs)
    words = {"masks": tmp_path / "m", "size": 16, "split": "mixed"}

    with pytest.raises(DataError, match="there are the labels 1,2"):
        import_nifti(tmp_path / "i", tmp_path / "d", **words)
    assert not (tmp_path / "d" / "manifest.json").exists()
    dataset = import_nifti(tmp_path / "i", tmp_path / "d", infected=[2], **words)

    assert dataset.infected_px(dataset.slices[0]) == 0
    assert dataset.infected_px(dataset.slices[1]) == 20
    assert "infected are labels 2, as told; labels 1 became background." in dataset.notes


def test_a_split_that_shares_a_scan_is_refused_but_for_mixed(tmp_path):
    shared = {"a": "train", "b": "test"}
    slices = build([ct("a"), ct("b")], tmp_path / "d", size=16, split=shared).slices
    shared |= {slices[-1]: "val"}

    with pytest.raises(DataError, match="slices of scan b into more than one part"):
        build([ct("a"), ct("b")], tmp_path / "d", size=16, split=shared)
    allowed = build([ct("a"), ct("b")], tmp_path / "d", size=16, split=shared, allow_shared=True)
    mixed = build([ct("a"), ct("b")], tmp_path / "e", size=16, split="mixed")

    for dataset in (allowed, mixed):
        assert any("the parts share patients" in note for note in dataset.notes)
