import weakref

import numpy as np
import pytest
import torch
from fakes import posterior_of

from alnb.training import dropout
from alnb.training.dropout import ENOUGH, TOGETHER, entropy, fold, mc_dropout, probability
from alnb.training.fcn8 import FCN8


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return with_random_scores(FCN8("efficientnet_lite0", input_padding=0))


def with_random_scores(network):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for layer in (network.score_fr, network.score_pool4, network.score_pool3):
            torch.nn.init.normal_(layer.weight, std=0.1)
    return network.eval()


@pytest.fixture(scope="module")
def image():
    return torch.linspace(-1, 1, 3 * 64 * 96).reshape(1, 3, 64, 96)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("size", [(64, 96), (192, 256)], ids=["a few cells", "many cells"])
def test_it_gives_the_bits_of_whole_passes_under_the_same_masks(network, size):
    agree_in_every_bit(network, torch.linspace(-1, 1, 3 * size[0] * size[1]).reshape(1, 3, *size))


def test_the_published_network_gives_them_too():
    published = with_random_scores(FCN8("vgg16", input_padding=100))
    published = published.to(memory_format=torch.channels_last)

    agree_in_every_bit(published, torch.linspace(-1, 1, 3 * 64 * 64).reshape(1, 3, 64, 64))


def test_draws_one_by_one_give_them_on_any_processor(network, monkeypatch):
    monkeypatch.setattr(dropout, "TOGETHER", 1)

    compare_with_whole_passes(network, torch.linspace(-1, 1, 3 * 192 * 256).reshape(1, 3, 192, 256))


@torch.inference_mode()
def agree_in_every_bit(network, image):
    fc6 = network.features(image).fc6
    if fc6[0, 0].numel() >= ENOUGH and not rows_round_alike(network, fc6):
        pytest.skip("BLAS rounds more rows differently here: draws together have other last bits")
    compare_with_whole_passes(network, image)


def rows_round_alike(network, fc6):
    """Tell whether a product's row has the same bits alone and among those of other draws."""
    rows = fc6[0].flatten(1).T.contiguous()  # a cell each
    many = torch.cat([rows * scale for scale in torch.rand(TOGETHER, generator=seeded(1))])
    weight = network.fc7.weight[:, :, 0, 0]
    alone = [torch.nn.functional.linear(part, weight) for part in many.split(len(rows))]
    return torch.equal(torch.nn.functional.linear(many, weight), torch.cat(alone))


@torch.inference_mode()
def compare_with_whole_passes(network, image):
    draws = TOGETHER + 1
    generator = seeded(5)
    naive = []
    for _ in range(draws):  # everything again for each draw
        masks = network.draw_masks(network.features(image), generator)
        naive.append(probability(network(image, masks))[0])
    naive = fold(naive)

    posterior = mc_dropout(network, image, draws, seeded(5))

    assert np.array_equal(posterior.mean, naive.mean)
    assert np.array_equal(posterior.expected_entropy, naive.expected_entropy)
    assert posterior.mutual_information.max() > 1e-6


def test_the_draws_differ_and_the_seed_decides(network, image):
    one, same, other = (mc_dropout(network, image, 3, seeded(s)) for s in (1, 1, 2))

    assert np.array_equal(one.mean, same.mean)
    assert not np.array_equal(one.mean, other.mean)
    assert one.mutual_information.max() > 1e-6


def test_nothing_global_is_drawn_from(network, image):
    before = torch.get_rng_state()

    mc_dropout(network, image, 2, seeded(0))

    assert torch.equal(torch.get_rng_state(), before)


def test_folding_agrees_with_the_posterior_of_the_draws():
    draws = torch.rand(5, 3, 4, generator=seeded(0))

    ours, wanted = fold(draws), posterior_of(draws.numpy())

    np.testing.assert_allclose(ours.mean, wanted.mean, rtol=1e-6)
    np.testing.assert_allclose(ours.expected_entropy, wanted.expected_entropy, rtol=1e-5)
    assert ours.draws == 5


def test_folding_forgets_each_draw():
    alive: weakref.WeakSet[torch.Tensor] = weakref.WeakSet()
    most = 0

    def draws():
        nonlocal most
        for _ in range(20):
            draw = torch.full((8, 8), 0.5)
            alive.add(draw)
            most = max(most, len(alive))
            yield draw
            del draw

    fold(draws())

    assert most <= 2


def test_no_draws_are_no_posterior():
    with pytest.raises(ValueError, match="at least one draw"):
        fold([])


def test_entropy_is_known():
    given = entropy(torch.tensor([0.9, 0.5, 0.0, 1.0]))

    assert given.tolist() == pytest.approx([0.3251, 0.6931, 0, 0], abs=1e-4)


def test_probability_is_the_softmax():
    logits = torch.randn(2, 2, 3, 4, generator=seeded(0))

    torch.testing.assert_close(probability(logits), logits.softmax(1)[:, 1])
