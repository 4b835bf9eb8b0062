import numpy as np
import pytest
import torch
from benchmarks import baselines, memory
from fakes import posterior_of

from alnb.training.dropout import mc_dropout, probability
from alnb.training.fcn8 import FCN8


@pytest.fixture
def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = FCN8("efficientnet_lite0", input_padding=0).eval()
        for layer in (network.score_fr, network.score_pool4, network.score_pool3):
            torch.nn.init.normal_(layer.weight, std=0.02)
    return network


@pytest.fixture
def image():
    return torch.linspace(-1, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)


@torch.inference_mode()
def test_the_naive_network_is_ours_with_modules(network, image):
    naive = baselines.Naive(network).eval()

    torch.testing.assert_close(naive(image), network(image))


@torch.inference_mode()
def test_the_naive_loop_samples_the_same_posterior(network, image):
    naive = baselines.Naive(network)
    naive.drop6.train()
    naive.drop7.train()
    draws = [probability(naive(image))[0].numpy() for _ in range(200)]
    theirs = posterior_of(draws)

    ours = mc_dropout(network, image, 200, torch.Generator().manual_seed(0))

    error = np.std(draws, axis=0) / np.sqrt(200)
    assert np.abs(ours.mean - theirs.mean).max() < 6 * error.max()
    assert theirs.mutual_information.max() > 0.005
    unlike = np.abs(ours.mutual_information - theirs.mutual_information).mean()
    assert unlike < 0.2 * theirs.mutual_information.mean()


def test_each_rival_is_set_against_ours(monkeypatch):
    monkeypatch.setattr(baselines, "SIZE", 32)
    monkeypatch.setattr(baselines, "PAIRS", 1)
    monkeypatch.setattr(baselines, "DRAWS", 3)
    small = FCN8("efficientnet_lite0", input_padding=0).eval()
    monkeypatch.setattr(baselines, "_network", lambda padding, backbone="": small)

    figures = [*baselines.time_scoring(), *baselines.time_steps()]

    whats = [what for what, *_ in figures]
    assert sum("alnb" in what for what in whats) == 2
    assert sum("naive loop" in what for what in whats) == 2
    assert sum("training step" in what for what in whats) == 2
    assert all(value > 0 for what, value, *_ in figures if "baal" not in what)


def test_what_was_not_chosen_is_set_against_what_was(monkeypatch):
    monkeypatch.setattr(baselines, "SIZE", 32)
    monkeypatch.setattr(baselines, "PAIRS", 1)
    small = FCN8("efficientnet_lite0", input_padding=0).eval()
    monkeypatch.setattr(baselines, "_network", lambda padding, backbone="": small)
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda network: compiled.append(network) or network)

    figures = {what: value for what, value, *_ in baselines.time_choices()}

    assert len(compiled) == 2
    assert len(figures) == 8
    assert all(value > 0 for value in figures.values())
    assert figures["a pass of FCN8-VGG16 in bfloat16"] != 1


def test_a_machine_that_can_not_compile_says_so(monkeypatch):
    def fails(image):
        raise RuntimeError("no C++ compiler")

    monkeypatch.setattr(torch, "compile", lambda network: fails)

    assert list(baselines._compiled("a network", None, torch.zeros(1))) == [
        ("torch.compile of a network", None, "s", "it fails here (RuntimeError)")
    ]


def test_memory_is_of_the_process_that_scores(monkeypatch):
    monkeypatch.setattr(memory, "SIZE", 64)
    monkeypatch.setattr(memory, "POOLS", (1,))
    monkeypatch.setattr(memory, "DRAWS", (2,))
    held = np.ones(3 * 2**29, np.uint8)  # this process's own 1.5 GiB don't count

    what, value, *_ = next(memory.peak_memory())  # the others are processes like it

    assert what == "peak memory: 2 draws, 1 slices to score"
    assert 100 < value < held.nbytes / 2**20
