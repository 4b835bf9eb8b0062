import shutil
import threading

import numpy as np
import pytest
import torch
from fakes import scan_of

from alnb.dataset import build
from alnb.errors import TrainerError
from alnb.training import features
from alnb.training.fcn8 import FCN8
from alnb.training.features import FeatureStore, Kept, features_of, identity, mirrored, stacked
from alnb.training.trunks import EfficientNetTrunk


def network_of(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return FCN8("efficientnet_lite0", input_padding=0).eval()


@pytest.fixture(scope="module")
def network():
    return network_of()


@pytest.fixture
def store(squares, network, tmp_path):
    return FeatureStore(squares, network, [tmp_path])


@pytest.fixture
def passes(monkeypatch):
    """The number of images of each pass of the trunk."""
    counted = []
    rest = EfficientNetTrunk.rest

    def counting(trunk, x):
        counted.append(len(x))
        return rest(trunk, x)

    monkeypatch.setattr(EfficientNetTrunk, "rest", counting)
    return counted


def grey_of(dataset, where):
    return torch.from_numpy(np.array(dataset.image(where)))


@pytest.mark.parametrize("mirror", [False, True])
@torch.inference_mode()
def test_a_store_gives_what_the_trunk_gives(squares, network, store, mirror):
    where = squares.slices[5]
    grey = grey_of(squares, where)
    x = network.normalise((grey.flip(-1) if mirror else grey)[None])

    maps = store.maps(network, [(where, mirror)])

    for kept, wanted in zip(maps, network.trunk.rest(network.trunk.stem(x)), strict=True):
        assert kept.shape == wanted.shape and kept.dtype == torch.float32
        assert torch.equal(kept, kept.half().float())
        torch.testing.assert_close(kept, wanted, rtol=1e-3, atol=1e-4)


def test_each_slice_is_computed_once_with_its_mirror_image(squares, network, store, passes):
    one, two, three = squares.slices[:3]
    store.add(network, one)

    store.maps(network, [(one, False), (two, True), (one, True)])
    store.maps(network, [(two, False), (one, False)])

    assert passes == [2, 2]
    assert store.missing([one, two, three]) == [three]


def test_the_files_are_memory_mapped_float16(squares, network, store, tmp_path):
    store.add(network, squares.slices[3])

    folder = tmp_path / store.name
    shapes = {"s8": (4, 4, 40), "s16": (2, 2, 112), "s32": (1, 1, 320)}
    for name, shape in shapes.items():
        array = np.load(folder / f"{name}.npy", mmap_mode="r")
        assert array.shape == (12, 2, *shape) and array.dtype == np.float16
        assert array[3].any() and not array[4].any()
    assert np.load(folder / "done.npy").tolist() == [0, 0, 0, 1] + [0] * 8
    assert all(isinstance(one, np.memmap) for one in (*store._files.maps, store._files.done))
    assert [path.name for path in tmp_path.iterdir()] == [store.name]


def test_a_half_filled_store_goes_on(squares, network, store, tmp_path, passes):
    for where in squares.slices[:2]:
        store.add(network, where)
    passes.clear()

    again = FeatureStore(squares, network, [tmp_path])

    assert again.missing(squares.slices) == list(squares.slices[2:])
    before, after = (each.maps(network, [(squares.slices[1], True)]) for each in (store, again))
    assert all(map(torch.equal, before, after))
    assert passes == []


def test_a_slice_that_was_not_written_to_its_end_is_missing(
    squares, network, store, tmp_path, monkeypatch
):
    where = squares.slices[2]
    put = features._Files._put

    def killed(files, name, *rest):
        if name == "done":
            raise KeyboardInterrupt
        put(files, name, *rest)

    monkeypatch.setattr(features._Files, "_put", killed)
    with pytest.raises(KeyboardInterrupt):
        store.add(network, where)

    assert FeatureStore(squares, network, [tmp_path]).missing([where]) == [where]


def test_a_deleted_store_is_made_again_the_same(squares, network, store, tmp_path):
    which = [(where, mirror) for where in squares.slices[:2] for mirror in (False, True)]
    before = store.maps(network, which)
    shutil.rmtree(tmp_path / store.name)

    again = FeatureStore(squares, network, [tmp_path])

    assert again.missing(squares.slices[:2]) == list(squares.slices[:2])
    assert all(map(torch.equal, before, again.maps(network, which)))


def test_a_store_that_is_deleted_while_it_is_used_goes_on(squares, network, store, tmp_path):
    store.add(network, squares.slices[0])
    shutil.rmtree(tmp_path / store.name)

    store.add(network, squares.slices[1])

    assert store.missing(squares.slices[:3]) == [squares.slices[2]]


@pytest.mark.parametrize("damage", ["lost", "cut", "other"])
def test_a_broken_store_is_made_again(squares, network, store, tmp_path, damage):
    store.add(network, squares.slices[0])
    path = tmp_path / store.name / "s16.npy"
    if damage == "lost":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:200])
    else:
        np.save(path, np.zeros((3, 2), np.float16))

    again = FeatureStore(squares, network, [tmp_path])
    again.add(network, squares.slices[1])

    assert again.missing(squares.slices[:2]) == [squares.slices[0]]
    assert np.load(path).shape == (12, 2, 2, 2, 112)


def test_two_that_fill_one_store_share_it(squares, network, tmp_path):
    stores = [FeatureStore(squares, network, [tmp_path]) for _ in range(2)]  # neither has files
    threads = [
        threading.Thread(target=lambda s=s, w=w: [s.add(network, where) for where in w])
        for s, w in zip(stores, (squares.slices[:3], squares.slices[1:5]), strict=True)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for store in (*stores, FeatureStore(squares, network, [tmp_path])):
        assert store.missing(squares.slices) == list(squares.slices[5:])
    assert [path.name for path in tmp_path.iterdir()] == [stores[0].name]


def test_other_weights_other_data_and_another_padding_lie_elsewhere(squares, network, tmp_path):
    other = build([scan_of("one", 4, 32, 9)], tmp_path / "other", size=32, split={"one": "train"})
    padded = network_of()
    padded.published = True

    names = [identity(squares, n) for n in (network, network_of(1), padded)]

    assert len({*names, identity(other, network)}) == 4
    assert identity(squares, network_of()) == names[0]


def test_the_layout_of_the_memory_is_no_other_weights(squares, network):
    last = network_of().to(memory_format=torch.channels_last)

    assert identity(squares, last) == identity(squares, network)


def test_a_folder_that_cannot_be_written_is_passed_over(squares, network, tmp_path):
    (tmp_path / "file").write_text("")

    store = FeatureStore(squares, network, [tmp_path / "file" / "features", tmp_path / "cache"])
    store.add(network, squares.slices[0])

    assert (tmp_path / "cache" / store.name / "done.npy").is_file()


def test_a_read_only_store_is_used_once_it_is_complete(
    squares, network, tmp_path, monkeypatch, passes
):
    store = FeatureStore(squares, network, [tmp_path / "data"])
    store.add(network, squares.slices[0])
    opened = features._open

    def read_only(folder, name):
        if folder.parent.name == "data":
            return (folder / f"{name}.npy").open("rb")
        return opened(folder, name)

    monkeypatch.setattr(features, "_open", read_only)
    folders = [tmp_path / "data", tmp_path / "cache"]
    assert FeatureStore(squares, network, folders).missing(squares.slices[:1])

    for where in squares.slices:
        store.add(network, where)
    passes.clear()
    assert FeatureStore(squares, network, folders).missing(squares.slices) == []
    assert not (tmp_path / "cache").exists()


def test_nowhere_to_write_is_a_sentence(squares, network, tmp_path):
    (tmp_path / "file").write_text("")
    store = FeatureStore(squares, network, [tmp_path / "file"])

    with pytest.raises(TrainerError, match=r"could not be written to .*file .*freeze=stem"):
        store.add(network, squares.slices[0])


def test_a_map_beyond_float16_is_kept_finite(squares, tmp_path):
    network = network_of()
    with torch.no_grad():
        for parameter in network.trunk.body.blocks[6].parameters():
            parameter.mul_(100)
    where = squares.slices[0]

    *_, s32 = FeatureStore(squares, network, [tmp_path]).maps(network, [(where, False)])

    assert s32.isfinite().all()
    assert s32.abs().max() == 65504


@torch.inference_mode()
def test_features_come_from_kept_maps_as_from_grey_levels(squares, network, store):
    slices = squares.slices[:2]
    grey = stacked([grey_of(squares, where) for where in slices])
    kept = stacked([store.kept(where) for where in slices])

    for change in (lambda seen: seen, mirrored, lambda seen: mirrored(mirrored(seen))):
        wanted, found = (features_of(network, change(seen)) for seen in (grey, kept))
        assert found.size == wanted.size == (32, 32)
        for name in ("fc6", "pool4", "pool3"):
            torch.testing.assert_close(
                getattr(found, name), getattr(wanted, name), rtol=2e-3, atol=2e-3
            )


def test_mirroring_and_stacking_know_both_kinds(squares, store):
    one, two = squares.slices[:2]
    grey = torch.arange(4, dtype=torch.uint8).reshape(2, 2)

    assert mirrored(grey).tolist() == [[1, 0], [3, 2]]
    assert stacked([grey, grey]).shape == (2, 2, 2)
    assert stacked([store.kept(one), mirrored(store.kept(two))]) == Kept(
        store, ((one, False), (two, True))
    )
