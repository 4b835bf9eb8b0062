import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alnb.dataset import SliceId, build
from alnb.dataset.dataset import SUPERPIXELS
from alnb.regions import SuperpixelCache, grid, superpixels
from alnb.regions.tilings import label_map
from alnb.volumes import Volume

HERE = SliceId("scan_01", 23)


def scene(size=64):
    """A bright disc on dark ground, with noise."""
    row, col = np.mgrid[:size, :size]
    disc = (row - size / 2) ** 2 + (col - size / 2) ** 2 < (0.3 * size) ** 2
    noise = np.random.default_rng(0).normal(0, 4, disc.shape)
    return (60 + 120 * disc + noise).astype(np.uint8), disc


def times_covered(regions, shape):
    return sum(region.drawn(shape).astype(int) for region in regions)


@settings(max_examples=20, deadline=None)
@given(
    n=st.integers(1, 40),
    height=st.integers(16, 50),
    width=st.integers(16, 50),
    seed=st.integers(0, 9),
)
def test_superpixels_cover_every_pixel_once(n, height, width, seed):
    image = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)

    regions = superpixels(HERE, image, n)

    assert (times_covered(regions, image.shape) == 1).all()
    assert 1 <= len(regions) <= n


def test_superpixels_follow_the_edge_of_what_is_shown():
    image, disc = scene()

    def on_the_wrong_side(regions):
        sides = (region.pixels(disc) for region in regions)
        return sum(min(side.sum(), (~side).sum()) for side in sides) / disc.size

    assert on_the_wrong_side(superpixels(HERE, image, 30)) < 0.02
    assert on_the_wrong_side(grid(HERE, image.shape, 30)) > 0.07


def test_the_same_slice_has_the_same_superpixels():
    image, _ = scene()

    assert superpixels(HERE, image, 30) == superpixels(HERE, image, 30)


def test_a_slice_of_one_value_is_divided_too():
    image = np.zeros((40, 40), np.uint8)

    assert (times_covered(superpixels(HERE, image, 16), image.shape) == 1).all()


def test_there_are_never_more_than_wanted(monkeypatch):
    def more(image, n_segments, **_):
        return np.arange(1, n_segments + 3).repeat(4).reshape(-1, 4)

    monkeypatch.setattr("skimage.segmentation.slic", more)

    assert label_map(np.zeros((4, 4), np.uint8), 9).max() == 9


@pytest.fixture
def dataset(tmp_path):
    image, _ = scene(32)
    volume = Volume.made("disc", np.stack([image, image.T]), unit="grey")
    return build([(volume, None)], tmp_path / "disc", size=32, split={"disc": "train"})


@pytest.fixture
def counted(monkeypatch):
    """The slices that SLIC looked at."""
    looked_at = []

    def noted(image, n):
        looked_at.append(n)
        return label_map(image, n)

    monkeypatch.setattr("alnb.regions.tilings.label_map", noted)
    return looked_at


def test_superpixels_are_found_once_a_slice(dataset, counted):
    first, second = dataset.slices
    once = SuperpixelCache(dataset, 12).regions(first)

    assert SuperpixelCache(dataset, 12).regions(first) == once
    assert len(counted) == 1
    assert once == superpixels(first, dataset.image(first), 12)
    counted.clear()
    SuperpixelCache(dataset, 12).regions(second)
    SuperpixelCache(dataset, 9).regions(first)
    assert counted == [12, 9]


@pytest.mark.parametrize("harm", ["delete", "truncate", "confuse"])
def test_a_file_that_is_gone_or_broken_is_made_again(dataset, counted, harm):
    where = dataset.slices[0]
    once = SuperpixelCache(dataset, 12).regions(where)
    folder = dataset.folder / SUPERPIXELS
    (file,) = folder.rglob("*.npz")
    if harm == "delete":
        shutil.rmtree(folder)
    elif harm == "truncate":
        file.write_bytes(file.read_bytes()[:50])
    else:
        np.savez(file, labels=np.ones((3, 3), np.uint8))

    assert SuperpixelCache(dataset, 12).regions(where) == once
    assert len(counted) == 2
    assert SuperpixelCache(dataset, 12).regions(where) == once
    assert len(counted) == 2


def test_where_nothing_can_be_kept_they_are_found_each_time(dataset, counted):
    (dataset.folder / SUPERPIXELS).write_text("in the way")
    where = dataset.slices[0]

    assert SuperpixelCache(dataset, 12).regions(where) == SuperpixelCache(dataset, 12).regions(
        where
    )
    assert len(counted) == 2


def test_importing_again_forgets_them(dataset):
    SuperpixelCache(dataset, 12).regions(dataset.slices[0])
    volume = Volume.made("disc", np.zeros((2, 32, 32), np.uint8), unit="grey")
    build([(volume, None)], dataset.folder, size=32, split={"disc": "train"})

    assert not (dataset.folder / SUPERPIXELS).exists()
