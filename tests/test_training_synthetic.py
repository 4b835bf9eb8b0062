import numpy as np
import pytest
from scipy import ndimage

from alnb.training.pretrain import Slices, batches


@pytest.fixture(scope="module")
def slices():
    return Slices.draw(scans=2, size=96)


def test_crops_are_grey_with_masks_of_their_infection(slices):
    grey, labels = next(batches(slices, 6, 64, np.random.default_rng(0)))

    assert grey.shape == labels.shape == (6, 64, 64)
    assert (grey.dtype, labels.dtype) == (np.uint8, np.int8)
    assert set(np.unique(labels)) == {0, 1}
    assert len({one.tobytes() for one in grey}) == 6


def test_the_same_seed_cuts_the_same_crops(slices):
    first, second = (next(batches(slices, 4, 64, np.random.default_rng(3))) for _ in range(2))

    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_infection_is_denser_than_the_lung_round_it(slices):
    cut = batches(slices, 32, 64, np.random.default_rng(1))
    grey, labels = next(cut)
    lung = (labels == 0) & (grey < 100)

    assert grey[labels == 1].mean() > grey[lung].mean() + 30


def test_a_picture_no_larger_than_a_crop_is_enlarged(slices):
    small = Slices(slices.hu[:, :40, :40], slices.infected[:, :40, :40])
    infected = Slices(small.hu, np.ones_like(small.infected))

    grey, labels = next(batches(infected, 2, 64, np.random.default_rng(0)))

    assert grey.shape == (2, 64, 64) and labels.all()


def test_drawing_is_counted_and_can_be_stopped():
    seen = []

    def stop(done, total):
        seen.append((done, total))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Slices.draw(stop, scans=3, size=64)
    assert seen == [(1, 3)]


def test_some_lesions_are_crossed_by_lines_and_what_is_healthy_never_is(slices, monkeypatch):
    infected = np.zeros_like(slices.infected)
    infected[:, 24:72, 24:72] = True
    even = Slices(np.full_like(slices.hu, -600), infected)
    monkeypatch.setattr("alnb.training.pretrain.BLUR_PX", 0.0)
    monkeypatch.setattr("alnb.training.pretrain.NOISE", 0.0)
    grey, labels = next(batches(even, 40, 64, np.random.default_rng(2)))

    def varies(infected):
        found = []
        for one, is_infected in zip(grey.astype(float), labels, strict=True):
            inner = ndimage.binary_erosion(is_infected == infected, iterations=6)
            found.append(one[inner].std() if inner.any() else 0.0)
        return np.array(found) > 1

    assert 6 <= varies(1).sum() <= 26  # WEB of 40, about
    assert not varies(0).any()
