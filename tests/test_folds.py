import pytest
from fakes import scan_of

from alnb.dataset import build, fold
from alnb.errors import DataError


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Four scans to train on, of 3, 4, 5 and 6 slices, one to test."""
    parts = {"a": "train", "b": "train", "c": "train", "d": "train", "e": "test"}
    pairs = [scan_of(name, 3 + n, 32, n) for n, name in enumerate(parts)]
    return build(pairs, tmp_path_factory.mktemp("data") / "five", size=32, split=parts)


@pytest.mark.parametrize("folds", [2, 3, 4, 7, 18])
def test_each_train_slice_is_tested_on_once_and_no_other_is_seen(dataset, folds):
    parts = [fold(dataset, n, folds) for n in range(folds)]

    tested = [where for one in parts for where in one.part("test")]
    assert sorted(tested) == sorted(dataset.part("train"))
    for one in parts:
        assert sorted((*one.part("train"), *one.part("test"))) == sorted(dataset.part("train"))
        assert one.part("train") and one.part("test") and not one.part("val")


@pytest.mark.parametrize("folds", [2, 4])
def test_a_patient_is_on_one_side_where_there_are_enough(dataset, folds):
    for n in range(folds):
        one = fold(dataset, n, folds)
        sides = [{where.scan for where in one.part(part)} for part in ("train", "test")]
        assert not sides[0] & sides[1]


def test_a_fold_reads_the_same_slices(dataset):
    one = fold(dataset, 1, 3)
    where = one.part("test")[0]

    assert (one.mask(where) == dataset.mask(where)).all()
    assert (one.image(where) == dataset.image(where)).all()


def test_folds_are_told_apart(dataset):
    names = {fold(dataset, n, 3).fingerprint for n in range(3)}

    assert len(names | {dataset.fingerprint}) == 4
    assert fold(dataset, 1, 3).fingerprint == fold(dataset, 1, 3).fingerprint
    assert "fold 1 of 3 of its train part" in fold(dataset, 1, 3).name


@pytest.mark.parametrize(("number", "folds"), [(3, 3), (-1, 3), (0, 1), (0, 19)])
def test_what_can_not_be_is_said(dataset, number, folds):
    with pytest.raises(DataError, match="Choose from 2 to 18 folds"):
        fold(dataset, number, folds)
