import dataclasses
import inspect
import re

import pytest

from alnb.config import PAPER, PRESETS, Config
from alnb.errors import ConfigError


def test_the_papers_settings_are_the_papers():
    assert PAPER.backbone == "vgg16"
    assert PAPER.input_padding == 100
    assert PAPER.dropout == 0.5
    assert (PAPER.regions, PAPER.regions_per_slice) == ("grid", 64)
    assert (PAPER.start, PAPER.start_slices) == ("slices", 5)
    assert (PAPER.cycles, PAPER.regions_per_cycle) == (100, 5)
    assert (PAPER.epochs, PAPER.batch, PAPER.learning_rate) == (40, 1, 1e-4)
    assert PAPER.loss == "point_ce"
    assert (PAPER.click_s, PAPER.slice_s) == (3, 96)


def test_settings_read_back():
    for config in PRESETS.values():
        assert Config.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dropout", 1.0), ("holdout", -0.1), ("draws", 0), ("regions_per_slice", 0), ("batch", 0),
        ("seed", -1), ("loss", "hinge"), ("region_score", "median"), ("start", "anywhere"),
        ("learning_rate", 0), ("click_s", -3), ("labels", "boxes"), ("prices", "hull"),
        ("outline_tolerance_px", -1), ("miss_rate", 1.1), ("wrong_rate", -0.1),
        ("miss_area_px", 0), ("click_jitter_px", -1), ("steps", 0), ("steps", "abc"),
        ("draws", 2.5), ("crop", "abc"), ("batch", None), ("dropout", None), ("seed", True),
        ("one_region_a_slice", 1), ("budget_s", -3), ("backbone", None), ("precision", "half"),
        ("power", 0), ("neighbours", 1), ("per_second", "yes"),
        ("regions", "hexagons"), ("smallest_region_px", 0),
    ],
)  # fmt: skip
def test_a_setting_out_of_range_is_said_by_name(name, value):
    with pytest.raises(ConfigError, match=name):
        Config().replace(**{name: value})


def test_a_whole_number_is_a_number_and_null_may_be_none():
    config = Config().replace(budget_s=150, dropout=0, steps=None)

    assert (config.budget_s, config.steps) == (150, None)


def test_an_unknown_setting_is_said():
    with pytest.raises(ConfigError, match="unknown setting heuristics"):
        Config().replace(heuristics="entropy")


def test_settings_can_not_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().seed = 1


def test_every_default_says_where_it_comes_from():
    source = inspect.getsource(Config)
    for field in dataclasses.fields(Config):
        if field.name != "seed":
            assert re.search(rf"^    {field.name}: .*#", source, re.M), field.name


def test_a_setting_that_older_journals_hold_is_left_out():
    assert Config.from_dict(
        {**Config(draws=7).to_dict(), "keep": 0.25, "consistency": 0.3, "warm_start": True}
    ) == Config(draws=7)


def test_the_backbone_of_an_older_journal_is_the_default():
    assert Config.from_dict({**Config().to_dict(), "backbone": "auto"}) == Config()
    assert Config().replace(backbone="auto") == Config()


def test_a_broken_value_of_a_journal_is_a_sentence():
    with pytest.raises(ConfigError, match="setting backbone is"):
        Config.from_dict({**Config().to_dict(), "backbone": ["auto"]})


def test_an_older_journal_does_what_it_did_and_not_what_is_new():
    older = Config().to_dict()
    del older["predict_mirrored"]

    assert Config.from_dict(older) == Config(predict_mirrored=False)


def test_only_masks_that_cost_nothing_choose_unless_it_is_said():
    assert Config().validates(synthetic=True) and not Config().validates(synthetic=False)
    assert PAPER.validates(synthetic=False)
    assert not Config(validate=False).validates(synthetic=True)


def test_an_older_journal_did_as_it_did():
    old = Config.from_dict({"regions_per_slice": 16})

    assert old.validate is True and old.predict_mirrored is False
