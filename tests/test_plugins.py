import sys

import numpy as np
import pytest
from fakes import install_heuristics

from alnb.acquisition import check_heuristic, load_plugin, plugin_names, scored_by
from alnb.config import Config
from alnb.errors import ConfigError
from alnb.posterior import Posterior

POSTERIOR = Posterior(np.full((4, 4), 0.25), np.zeros((4, 4)), 2)
CODE = """
import numpy as np

def variance(posterior):
    return posterior.mean * (1 - posterior.mean)

def flat(posterior):
    return posterior.mean.ravel()

def endless(posterior):
    return np.full(posterior.mean.shape, np.inf)

def broken(posterior):
    return posterior.nothing

number = 3
"""


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    """A package with heuristics, of which one is good."""
    names = ("variance", "flat", "endless", "broken", "number", "absent")
    entries = {name: f"theirs:{name}" for name in names}
    install_heuristics(tmp_path, CODE, **entries, gone="no_such_module:score")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("theirs", None)


def test_the_heuristics_of_a_package_are_named_and_not_loaded(theirs):
    assert {"variance", "gone"} <= set(plugin_names())
    assert check_heuristic("gone") == "gone"
    assert "theirs" not in sys.modules


def test_a_packages_heuristic_scores_pixels(theirs):
    assert (load_plugin("variance")(POSTERIOR) == 0.1875).all()


def test_it_is_scored_only_if_it_is_chosen(theirs):
    assert "variance" not in scored_by(Config())
    assert "variance" in scored_by(Config(heuristic="variance"))


def test_an_unknown_heuristic_is_said_with_those_of_packages(theirs):
    with pytest.raises(ConfigError, match=r"foreground_random, absent, broken, .*variance\."):
        check_heuristic("varianc")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("gone", "of the package theirs can't be loaded from 'no_such_module:score' (ModuleNotF"),
        ("absent", "can't be loaded from 'theirs:absent' (AttributeError"),
        ("number", "is no function: 'theirs:number'"),
        ("nobodys", "is brought by no package"),
    ],
)
def test_one_that_can_not_be_loaded_is_a_sentence(theirs, name, sentence):
    with pytest.raises(ConfigError) as error:
        load_plugin(name)

    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("flat", r"returned an array of shape \(16,\); the slice's is \(4, 4\)"),
        ("endless", "not finite"),
        ("broken", r"failed \(AttributeError: .*nothing"),
    ],
)
def test_one_that_returns_what_it_must_not_is_a_sentence(theirs, name, sentence):
    with pytest.raises(ConfigError, match=sentence):
        load_plugin(name)(POSTERIOR)


def test_two_packages_may_not_bring_the_same(theirs, tmp_path, monkeypatch):
    install_heuristics(tmp_path / "more", CODE, package="others", variance="theirs:flat")
    monkeypatch.syspath_prepend(tmp_path / "more")

    with pytest.raises(ConfigError, match="brought by others and theirs; it must be one"):
        load_plugin("variance")


def test_what_is_named_as_one_of_ours_is_not_used(tmp_path, monkeypatch):
    install_heuristics(tmp_path, CODE, entropy="theirs:broken")
    monkeypatch.syspath_prepend(tmp_path)

    assert scored_by(Config())["entropy"](POSTERIOR).shape == (4, 4)
