import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alnb.config import Config
from alnb.dataset import SliceId, build
from alnb.dataset.manifest import SUPERPIXELS
from alnb.errors import ConfigError
from alnb.regions import grid, superpixels, tiling
from alnb.regions.tilings import label_map, shapes
from alnb.volumes import Volume

HERE = SliceId("scan_01", 23)


def scene(size=64):
    """A bright disc on dark ground, with noise."""
    row, col = np.mgrid[:size, :size]
    disc = (row - size / 2) ** 2 + (col - size / 2) ** 2 < (0.3 * size) ** 2
    noise = np.random.default_rng(0).normal(0, 4, disc.shape)
    return (60 + 120 * disc + noise).astype(np.uint8), disc


def shapes_in(image, n):
    return shapes(HERE, label_map(image, n))


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

    regions = shapes_in(image, n)

    assert (times_covered(regions, image.shape) == 1).all()
    assert 1 <= len(regions) <= n


def test_superpixels_follow_the_edge_of_what_is_shown():
    image, disc = scene()

    def on_the_wrong_side(regions):
        sides = (region.pixels(disc) for region in regions)
        return sum(min(side.sum(), (~side).sum()) for side in sides) / disc.size

    assert on_the_wrong_side(shapes_in(image, 30)) < 0.02
    assert on_the_wrong_side(grid(HERE, image.shape, 30)) > 0.07


def test_the_same_slice_has_the_same_superpixels():
    image, _ = scene()

    assert shapes_in(image, 30) == shapes_in(image, 30)


def test_a_slice_of_one_value_is_divided_too():
    image = np.zeros((40, 40), np.uint8)

    assert (times_covered(shapes_in(image, 16), image.shape) == 1).all()


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
    once = superpixels(dataset, 12)(first)

    assert superpixels(dataset, 12)(first) == once
    assert len(counted) == 1
    assert once == shapes(first, label_map(dataset.image(first), 12))
    counted.clear()
    superpixels(dataset, 12)(second)
    superpixels(dataset, 9)(first)
    assert counted == [12, 9]


@pytest.mark.parametrize("harm", ["delete", "truncate", "confuse", "spoil", "claim"])
def test_a_file_that_is_gone_or_broken_is_made_again(dataset, counted, harm):
    where = dataset.slices[0]
    once = superpixels(dataset, 12)(where)
    folder = dataset.folder / SUPERPIXELS
    (file,) = folder.rglob("*.npz")
    if harm == "delete":
        shutil.rmtree(folder)
    elif harm == "truncate":
        file.write_bytes(file.read_bytes()[:50])
    elif harm == "confuse":
        np.savez(file, labels=np.ones((3, 3), np.uint8))
    else:
        labels = np.ones((dataset.size, dataset.size))
        np.savez(file, labels=labels if harm == "spoil" else (labels * 2**40).astype(np.uint64))

    assert superpixels(dataset, 12)(where) == once
    assert len(counted) == 2
    assert superpixels(dataset, 12)(where) == once
    assert len(counted) == 2


def test_where_nothing_can_be_kept_they_are_found_each_time(dataset, counted):
    (dataset.folder / SUPERPIXELS).write_text("in the way")
    where = dataset.slices[0]

    assert superpixels(dataset, 12)(where) == superpixels(dataset, 12)(where)
    assert len(counted) == 2


def test_importing_again_forgets_them(dataset):
    superpixels(dataset, 12)(dataset.slices[0])
    volume = Volume.made("disc", np.zeros((2, 32, 32), np.uint8), unit="grey")
    build([(volume, None)], dataset.folder, size=32, split={"disc": "train"})

    assert not (dataset.folder / SUPERPIXELS).exists()


@pytest.mark.parametrize("k", [1, 4, 9, 16, 36, 64, 81])
@pytest.mark.parametrize("shape", [(352, 352), (351, 353), (97, 61)])
def test_a_grid_covers_every_pixel_once(k, shape):
    regions = grid(HERE, shape, k)

    assert len(regions) == k
    assert (times_covered(regions, shape) == 1).all()


@given(k=st.integers(1, 100), height=st.integers(100, 400), width=st.integers(100, 400))
def test_any_number_of_regions_covers_any_slice_once(k, height, width):
    regions = grid(HERE, (height, width), k)

    assert len(regions) == k
    assert (times_covered(regions, (height, width)) == 1).all()


@given(k=st.integers(1, 81), height=st.integers(81, 400), width=st.integers(81, 400))
def test_the_sides_of_a_grid_differ_by_one_pixel_at_most(k, height, width):
    regions = grid(HERE, (height, width), k)

    for side in ("height", "width"):
        sides = {getattr(region, side) for region in regions}
        assert max(sides) - min(sides) <= 1


def test_the_papers_grid_is_eight_by_eight_of_44_pixels():
    regions = grid(HERE, (352, 352), 64)

    assert [len({getattr(region, side) for region in regions}) for side in ("row", "col")] == [8, 8]
    assert {(region.height, region.width) for region in regions} == {(44, 44)}
    assert regions[27].key == "scan_01/23/132,132,44,44"


def test_more_regions_than_pixels_is_said():
    with pytest.raises(ConfigError, match="fewer regions"):
        grid(HERE, (4, 4), 64)


def test_no_regions_is_said():
    with pytest.raises(ConfigError, match="at least 1"):
        grid(HERE, (4, 4), 0)


def test_the_settings_name_the_tiling(dataset):
    where = dataset.slices[0]
    equal = tiling(dataset, Config(regions_per_slice=16))
    along_edges = tiling(dataset, Config(regions_per_slice=12, regions="superpixels"))

    assert equal(where) == grid(where, (32, 32), 16)
    assert along_edges(where) == shapes(where, label_map(dataset.image(where), 12))
