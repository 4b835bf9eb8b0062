import dataclasses

import numpy as np
import pytest
import torch

from alnb.errors import ConfigError
from alnb.training import backbones
from alnb.training.fcn8 import FCN8, Resample

VGG_CONVOLUTIONS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
DENSE = ("fc6", "fc7", "score_fr", "score_pool4", "score_pool3")


@pytest.fixture(scope="module")
def published():
    """The published network with the golden outputs' weights."""
    network = FCN8("vgg16", classes=2, input_padding=100).eval()
    names = [f"trunk.{i}.{kind}" for i in VGG_CONVOLUTIONS for kind in ("weight", "bias")]
    names += [f"{layer}.{kind}" for layer in DENSE for kind in ("weight", "bias")]
    own = dict(network.named_parameters())
    with torch.no_grad():
        for k, name in enumerate(names):
            shape = tuple(own[name].shape)
            value = np.random.default_rng(k).standard_normal(shape, dtype=np.float32)
            weight = name.endswith("weight")
            value *= np.float32(np.sqrt(2 / np.prod(shape[1:])) if weight else 0.01)
            own[name].copy_(torch.from_numpy(value))
    return network


@pytest.fixture
def narrow(monkeypatch):
    """Vgg16 without padding, with 32 units in fc6 and fc7, random scores."""
    entry = dataclasses.replace(backbones.find("vgg16"), head=(7, 32))
    monkeypatch.setattr(backbones, "find", lambda name: entry)
    return random_network("vgg16", input_padding=0)


def random_network(backbone, **settings):
    """An FCN8, the same every time, that says something: its scores start at zero else."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = FCN8(backbone, **settings)
        for layer in (network.score_fr, network.score_pool4, network.score_pool3):
            torch.nn.init.normal_(layer.weight, std=0.1)
    return network.eval()


@torch.inference_mode()
def test_it_is_the_published_network(published, shared):
    wanted = np.load(shared / "golden" / "fcn8_64x80.npz")["logits"]
    x = np.random.default_rng(1000).standard_normal((1, 3, 64, 80), dtype=np.float32)

    given = published(torch.from_numpy(x)).numpy()

    assert np.abs(given - wanted).max() < 1e-4 * np.abs(wanted).max()


@torch.inference_mode()
def test_the_published_network_keeps_an_odd_shape(published):
    assert published(torch.zeros(1, 3, 33, 47)).shape == (1, 2, 33, 47)


def test_the_published_upscores_start_as_bilinear(published):
    x = torch.arange(5.0).expand(1, 2, 5, 5)
    up = published.upscore2(x)[0, 0, 4, 3:9]

    assert up.tolist() == pytest.approx([0.75, 1.25, 1.75, 2.25, 2.75, 3.25])


@pytest.mark.parametrize("size", [(33, 47), (64, 80), (97, 32)])
@torch.inference_mode()
def test_an_unpadded_network_keeps_any_shape(narrow, size):
    assert narrow(torch.zeros(1, 3, *size)).shape == (1, 2, *size)


@torch.inference_mode()
def test_a_shifted_input_gives_the_shifted_output(narrow):
    x = torch.from_numpy(np.random.default_rng(1).standard_normal((1, 3, 704, 48), np.float32))
    shifted = torch.roll(x, 32, dims=2)
    interior = slice(256, 448)  # beyond the reach of the border, 202 + 32 pixels

    before, after = narrow(x)[:, :, interior], narrow(shifted)[:, :, 288:480]

    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4 * float(before.abs().max()))


@torch.inference_mode()
def test_with_symmetric_kernels_a_mirrored_input_gives_the_mirrored_output(narrow):
    for layer in narrow.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.weight.copy_((layer.weight + layer.weight.flip(-1)) / 2)
    x = torch.from_numpy(np.random.default_rng(2).standard_normal((1, 3, 64, 96), np.float32))

    torch.testing.assert_close(narrow(x.flip(-1)), narrow(x).flip(-1), rtol=1e-3, atol=1e-4)


def test_the_response_to_a_blob_is_centred_on_it(narrow):
    change = responses(lambda grey: [narrow(narrow.normalise(grey))])

    assert np.allclose(centroid(change[0]), 127.5, atol=8)


def test_cells_of_the_embedded_backbone_lie_where_they_are_said_to():
    network = FCN8("efficientnet_lite0", input_padding=0).eval()
    network.backbone.load(network, None)

    maps = responses(lambda grey: network.trunk(network.normalise(grey)))

    for change, stride, centre in zip(maps, (8, 16, 32), network.backbone.centres, strict=True):
        at = centre + stride * np.array(centroid(change))
        assert np.allclose(at, 127.5, atol=stride / 4 + 2)


@torch.inference_mode()
def responses(network):
    """What changes in each of a network's maps by a bright blob in the middle of 256×256."""
    grey = torch.full((1, 256, 256), 60, dtype=torch.uint8)
    blob = grey.clone()
    blob[:, 112:144, 112:144] = 200
    return [after - before for after, before in zip(network(blob), network(grey), strict=True)]


def centroid(change):
    """Where a (1, C, H, W) map changes, (row, col)."""
    weight = change[0].square().sum(0)
    at = torch.arange(float(len(weight)))
    return [float((weight.sum(axis) * at).sum() / weight.sum()) for axis in (1, 0)]


def test_resampling_puts_each_cell_where_it_lies():
    cells = torch.tensor([0.0, 1.0, 2.0]).expand(1, 1, 3, 3)

    up = Resample((8, 3.5), (1, 0.0))(cells, (24, 24))[0, 0, 0]

    assert up[:4].tolist() == [0, 0, 0, 0]  # beyond the first cell's centre its value holds
    assert up[3].item() == 0 and up[4].item() == 0.0625  # 3.5 is between them
    assert up[11].item() == pytest.approx(0.9375)


def test_it_starts_undecided():
    network = FCN8("efficientnet_lite0", input_padding=0).eval()

    assert not network(torch.ones(1, 3, 32, 32)).any()


def test_without_masks_there_is_no_dropout():
    network = random_network("efficientnet_lite0", input_padding=0)
    x = torch.ones(1, 3, 64, 64)

    assert torch.equal(network(x), network(x))


def test_masks_keep_half_of_the_units_and_their_mean():
    network = FCN8("efficientnet_lite0", input_padding=0, dropout=0.5).eval()
    features = network.features(torch.ones(1, 3, 256, 256))

    first, second = network.draw_masks(features, torch.Generator().manual_seed(0))

    assert set(first.unique().tolist()) == {0, 2}
    assert first.mean().item() == pytest.approx(1, abs=0.05)
    assert not torch.equal(first, second)


def test_only_the_paddings_that_are_understood_are_taken():
    with pytest.raises(ConfigError, match="input_padding is 50; it can be 0 or 100"):
        FCN8("vgg16", input_padding=50)


@torch.inference_mode()
def test_in_mixed_precision_the_logits_stay_float32_and_near(narrow):
    x = torch.linspace(-1, 1, 3 * 32 * 32).reshape(1, 3, 32, 32)
    wanted = narrow(x)
    narrow.mixed = True

    given = narrow(x)

    assert given.dtype == torch.float32
    assert narrow.features(x).fc6.dtype == torch.bfloat16
    assert 0 < (given - wanted).abs().max() < 0.05 * wanted.abs().max()
