import weakref

import numpy as np
import pytest
from scans import ct, write_nifti

from alnb.dataset import (
    Dataset,
    build,
    import_nifti,
)
from alnb.dataset.build import LabelGate
from alnb.errors import DataError


def mask(*labels):
    found = np.zeros((2, 4, 4), np.uint8)
    found[1, 0, : len(labels)] = labels
    return found


def test_one_label_needs_no_telling_and_two_do():
    gate = LabelGate()

    for labels in (mask(255), mask()):
        assert np.array_equal(gate.admit("a", labels)[labels], labels)
    with pytest.raises(DataError, match="its mask and those before hold the labels 1,255"):
        gate.admit("c", mask(1))


def test_labels_that_are_not_named_become_background_and_that_is_said():
    gate = LabelGate(infected=[3])

    assert np.array_equal(gate.admit("a", mask(1, 3, 2))[mask(1, 3, 2)], mask(0, 3, 0))
    assert gate.notes() == ["infected are labels 3, as asked for; labels 1,2 became background."]


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


def test_many_labels_are_soft_edges_unless_some_are_named():
    levels = np.arange(201, dtype=np.uint8).reshape(1, 3, 67)

    for gate in (LabelGate(), LabelGate(known=(1, 2))):
        with pytest.raises(DataError, match=r"scan a: the mask holds 200 levels .*infected-above"):
            gate.admit("a", levels)
    assert LabelGate(infected=[7]).admit("a", levels)[levels].sum() == 7
    named = LabelGate(infected=[255])
    named.admit("a", levels)
    with pytest.raises(
        DataError, match=r"1,2,3,4,5 and 195 more\. Correct it, or .*infected-above"
    ):
        named.notes()


def test_what_lies_above_a_threshold_is_infected():
    levels = np.arange(200, dtype=np.uint8).reshape(1, 2, 100)
    gate = LabelGate(above=127)

    assert gate.admit("a", levels)[levels].sum() == 72
    assert gate.notes() == ["infected is what lies above 127 in the masks, as asked for."]
    low = LabelGate(above=127)
    low.admit("a", mask(1))
    with pytest.raises(DataError, match="no mask holds a value above it; the highest is 1"):
        low.notes()
    with pytest.raises(DataError, match="Say only one"):
        LabelGate([1], above=127)


def test_a_scan_is_let_go_before_the_next_one_is_read(tmp_path):
    alive = []

    def made(name):
        assert not any(one() is not None for one in alive)
        volume, mask = ct(name)
        alive.extend(weakref.ref(one) for one in (volume.voxels, mask))
        return volume, mask

    assert len(build(map(made, "abc"), tmp_path / "d", size=16).scans) == 3


def test_arrays_are_stored_as_numpy_stores_them(tmp_path):
    volume, mask = ct()
    dataset = build([(volume, mask)], tmp_path / "d", size=16, split="mixed")

    for kind, expected in (("images", volume.voxels), ("masks", mask)):
        np.save(tmp_path / "expected.npy", expected)
        stored = (tmp_path / "d" / kind / "a.npy").read_bytes()
        assert stored == (tmp_path / "expected.npy").read_bytes()
    dataset.verify()


def test_a_scan_named_like_a_formula_keeps_its_name_and_a_spreadsheet_runs_nothing(tmp_path):
    build([ct("=1+cmd()")], tmp_path / "d", size=16, split="mixed")

    lines = (tmp_path / "d" / "slices.csv").read_text().splitlines()
    assert all(line.startswith("'=1+cmd(),") for line in lines[1:])
    assert list(Dataset.open(tmp_path / "d").scans) == ["=1+cmd()"]
    assert {where.scan for where in Dataset.open(tmp_path / "d").slices} == {"=1+cmd()"}


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

    with pytest.raises(DataError, match="hold the labels 1,2"):
        import_nifti(tmp_path / "i", tmp_path / "d", **words)
    assert not (tmp_path / "d" / "manifest.json").exists()
    dataset = import_nifti(tmp_path / "i", tmp_path / "d", infected=[2], **words)

    assert dataset.infected_px(dataset.slices[0]) == 0
    assert dataset.infected_px(dataset.slices[1]) == 20
    assert "infected are labels 2, as asked for; labels 1 became background." in dataset.notes


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


def test_the_same_scans_have_the_same_fingerprint_and_others_another(tmp_path):
    first = build([ct("a"), ct("b")], tmp_path / "1" / "d", size=16)
    second = build([ct("a"), ct("b")], tmp_path / "2" / "d", size=16)
    split = build([ct("a"), ct("b")], tmp_path / "3" / "d", size=16, split="mixed")
    other = build([ct("a"), ct("b", seed=1)], tmp_path / "4" / "d", size=16)

    assert first.fingerprint == second.fingerprint
    assert len({first.fingerprint, split.fingerprint, other.fingerprint}) == 3


def test_a_train_part_without_infection_is_noted(tmp_path):
    volume, mask = ct()
    dataset = build([(volume, mask * 0)], tmp_path / "d", size=16, split="mixed")

    assert any("no slice of the train part is infected" in note for note in dataset.notes)


def test_kept_features_go_with_the_dataset_that_they_are_of(tmp_path):
    build([ct("a")], tmp_path, size=16, split="mixed")
    (tmp_path / "features" / "trunk-1").mkdir(parents=True)

    build([ct("b")], tmp_path, size=16, split="mixed")

    assert not (tmp_path / "features").exists()


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")

    with pytest.raises(DataError, match=r"it holds thesis\.tex, which is not part of a dataset"):
        build([ct()], tmp_path, size=16)
    with pytest.raises(DataError, match="it is a file"):
        build([ct()], tmp_path / "thesis.tex", size=16)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_dataset_is_replaced_by_the_next_one(tmp_path):
    build([ct("a"), ct("b")], tmp_path, size=16)
    dataset = build([(ct("c")[0], None)], tmp_path, size=16, split="mixed")

    assert {where.scan for where in dataset.slices} == {"c"}
    assert not list(tmp_path.rglob("a.npy"))


def test_a_build_that_fails_leaves_what_was_there(tmp_path):
    before = build([ct("a")], tmp_path / "d", size=16, split="mixed")
    volume, mask = ct("b")

    with pytest.raises(DataError, match="the mask is 3×16×16, the image 4×16×16"):
        build([ct("c"), (volume, mask[1:])], tmp_path / "d", size=16)
    assert Dataset.open(tmp_path / "d").fingerprint == before.fingerprint
    with pytest.raises(DataError):
        build([(volume, mask[1:])], tmp_path / "new", size=16)
    with pytest.raises(DataError, match="there is no such folder"):
        Dataset.open(tmp_path / "new")


def test_a_full_disk_is_a_sentence_and_leaves_what_was_there(tmp_path):
    resource = pytest.importorskip("resource", reason="Windows limits no file's size")
    before = build([ct("a")], tmp_path / "d", size=16, split="mixed")
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, old[1]))
    try:
        for folder in (tmp_path / "d", tmp_path / "new"):
            with pytest.raises(DataError, match=rf"{folder}.*: there is no room for it"):
                build([ct("a", height=64, width=64)], folder, size=64, split="mixed")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)

    assert Dataset.open(tmp_path / "d").fingerprint == before.fingerprint
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


@pytest.mark.parametrize(
    ("out", "sentence"),
    [("file/d", "a part of this path is a file"), ("x" * 300, "its name is too long")],
)
def test_a_folder_that_can_not_be_made_is_a_sentence(tmp_path, out, sentence):
    (tmp_path / "file").touch()

    with pytest.raises(DataError, match=sentence):
        build([ct()], tmp_path / out, size=16)


def test_scans_that_do_not_go_together_are_refused(tmp_path):
    with pytest.raises(DataError, match="scan a: there are two of this name"):
        build([ct("a"), ct("a")], tmp_path / "d")
    with pytest.raises(DataError, match="scan b: only some of the scans have masks"):
        build([ct("a"), (ct("b")[0], None)], tmp_path / "d")
    with pytest.raises(DataError, match="there is no scan to import"):
        build([], tmp_path / "d")


def test_progress_is_told_scan_by_scan(tmp_path):
    told = []
    build([ct("a"), ct("b")], tmp_path / "d", size=16, progress=lambda *one: told.append(one))

    assert told == [("a", 1), ("b", 2)]


def test_what_is_said_of_the_data_is_kept(tmp_path):
    plain = build([ct()], tmp_path / "plain", size=16, split={"a": "train"})
    said = build(
        [ct()], tmp_path / "said", size=16, split={"a": "train"}, synthetic=True, pseudo_masks=True
    )
    fold_of_said = said.divided(dict.fromkeys(said.slices, "train"), "one part")

    assert (plain.synthetic, plain.pseudo_masks) == (False, False)
    for dataset in (said, Dataset.open(said.folder), fold_of_said):
        assert (dataset.synthetic, dataset.pseudo_masks) == (True, True)


def test_without_masks_there_are_no_pseudo_masks(tmp_path):
    scan, _ = ct()

    assert not build([(scan, None)], tmp_path / "d", size=16, pseudo_masks=True).pseudo_masks


@pytest.mark.parametrize(("size", "seed"), [(0, 0), (200_000, 0), (10**400, 0), (16, -1)])
def test_a_grid_or_a_seed_that_can_not_be_is_a_sentence(tmp_path, size, seed):
    with pytest.raises(DataError, match="1 to 4096 pixels"):
        build([ct()], tmp_path / "d", size=size, seed=seed)
    assert not (tmp_path / "d").exists()
