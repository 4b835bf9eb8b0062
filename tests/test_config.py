import dataclasses
import inspect
import re

import pytest

from alnb.config import PAPER, PRESETS, Config, retired_settings
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
        ("learning_rate", 0), ("click_s", -3), ("labels", "boxes"),
        ("outline_tolerance_px", -1), ("miss_rate", 1.1), ("wrong_rate", -0.1),
        ("miss_area_px", 0), ("click_jitter_px", -1), ("steps", 0), ("steps", "abc"),
        ("draws", 2.5), ("crop", "abc"), ("batch", None), ("dropout", None), ("seed", True),
        ("one_region_a_slice", 1), ("budget_s", -3), ("backbone", None), ("precision", "half"),
        ("regions", "hexagons"), ("adapt_threshold", 1),
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


def test_a_broken_value_of_a_journal_is_a_sentence():
    with pytest.raises(ConfigError, match="setting backbone is"):
        Config.from_dict({**Config().to_dict(), "backbone": ["auto"]})


DATA = {"synthetic": False, "val_masks": True, "test_masks": True}


def test_settings_take_effect_as_numbers_and_only_once():
    for config in PRESETS.values():
        for synthetic in (False, True):
            resolved = config.resolved(**DATA | {"synthetic": synthetic}, bfloat16=False)

            assert resolved.resolved(**DATA | {"synthetic": synthetic}) == resolved
            assert not {"auto", None} & {
                getattr(resolved, name)
                for name in ("loss", "epochs", "head_rate", "start_regions", "holdout", "precision",
                             "threshold", "validate", "adapt_threshold")
            }  # fmt: skip


def test_a_network_that_learned_from_synthetic_scans_is_trained_more_gently():
    learned, not_learned = (Config(pretrain_steps=n).resolved(**DATA) for n in (600, 0))

    assert (learned.loss, not_learned.loss) == ("balanced_answers", "balanced_point")
    assert learned.epochs < not_learned.epochs and learned.head_rate < not_learned.head_rate
    assert (learned.start_regions, not_learned.start_regions) == (5, 40)


def test_synthetic_scans_are_not_learned_from_before_synthetic_scans():
    assert Config().resolved(**DATA | {"synthetic": True}).pretrain_steps == 0


def test_only_masks_that_cost_nothing_choose_unless_it_is_set():
    made = DATA | {"synthetic": True}

    assert Config().resolved(**made).validate and not Config().resolved(**DATA).validate
    assert PAPER.resolved(**DATA).validate
    assert not PAPER.resolved(**DATA | {"val_masks": False}).validate
    assert not Config(validate=False).resolved(**made).validate


def test_answers_are_held_out_where_no_mask_measures():
    assert Config().resolved(**DATA).holdout == 0
    assert Config().resolved(**DATA | {"test_masks": False}).holdout == 0.2
    assert Config(holdout=0.3).resolved(**DATA).holdout == 0.3


def test_a_threshold_that_was_set_is_not_moved():
    assert Config().resolved(**DATA).adapt_threshold
    assert not Config(threshold=0.5).resolved(**DATA).adapt_threshold
    assert Config(labels="full", loss="full").resolved(**DATA).threshold == 0.5


def test_a_journal_with_a_retired_setting_is_read():
    old = Config(draws=7).to_dict() | {"regions": "quadtree", "power": 1.0, "neighbours": True}

    assert Config.from_dict(old) == Config(draws=7)
    assert retired_settings(old) == ("power=1.0", "regions=quadtree")
    assert not retired_settings(Config().to_dict() | {"prices": "paper", "smallest_region_px": 4})


def test_more_regions_than_a_slice_can_have_are_refused():
    with pytest.raises(ConfigError, match="4294967295; it can be at most 4096"):
        Config(regions_per_slice=2**32 - 1)
