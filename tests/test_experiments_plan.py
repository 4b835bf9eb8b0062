import pytest
from fakes import FakeLearner, scan_of

from alnb.config import PAPER, Config
from alnb.dataset import build
from alnb.errors import ConfigError
from alnb.experiments.plan import (
    ABLATIONS,
    ERRORS,
    EXPERIMENTS,
    Contrast,
    Options,
    start_cost,
)
from alnb.experiments.run import simulate

fig5, fig6, fig7, imperfect, ablations, upper_bound = EXPERIMENTS.values()
QUICK = Options(quick=True)
FORTY = Config(start_regions=40)  # 120 s


def arms(experiment):
    return {arm.name: arm for arm in experiment.arms}


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A scan of 70 slices to ask about, and one to test."""
    split = {"a": "train", "b": "test"}
    scans = [scan_of("a", 70, 32, 0), scan_of("b", 2, 32, 1)]
    return build(scans, tmp_path_factory.mktemp("many") / "data", size=32, split=split)


def test_figure_5_sets_entropy_beside_random_for_25_cycles(squares):
    found = arms(fig5(squares, Config(), Options()))

    assert [arm.config.heuristic for arm in found.values()] == ["entropy", "random"]
    assert {arm.cycles for arm in found.values()} == {25}
    assert found["entropy"].config == Config()


def test_figure_5_is_shorter_if_quick_and_as_long_as_is_asked(squares):
    assert fig5(squares, Config(), QUICK).arms[0].cycles == 5
    assert fig5(squares, Config(), Options(quick=True, cycles=7)).arms[0].cycles == 7


def test_figure_5_compares_at_thirds_of_its_cycles(squares):
    experiment = fig5(squares, FORTY, Options(cycles=6))

    assert experiment.comparisons == tuple(
        Contrast("entropy", "random", cost) for cost in (150, 180, 210)
    )


def test_figure_5_compares_the_start_only_if_there_is_nothing_else(squares):
    def costs(cycles):
        return [c.cost_s for c in fig5(squares, FORTY, Options(cycles=cycles)).comparisons]

    assert (costs(0), costs(1), costs(2)) == ([120], [135], [135, 150])


def test_the_heuristic_that_was_set_is_compared(squares):
    assert "bald" in arms(fig5(squares, Config(heuristic="bald"), QUICK))


def test_several_heuristics_are_each_compared_with_the_first(squares):
    names = ("bald", "margin", "foreground_random")
    experiment = fig5(squares, FORTY, Options(arms=names, cycles=1))

    assert [arm.config.heuristic for arm in experiment.arms] == list(names)
    assert experiment.title == "Bald against margin, foreground_random"
    assert experiment.comparisons == tuple(
        Contrast("bald", other, 135) for other in ("margin", "foreground_random")
    )


def test_figure_6_starts_with_192_s_whatever_the_regions(many):
    experiment = fig6(many, Config(), Options())

    counts = [arm.config.regions_per_slice for arm in experiment.arms]
    assert counts == [1, 4, 9, 16, 36, 64, 81]
    assert {start_cost(many, arm.config) for arm in experiment.arms} == {192}
    assert {arm.cycles for arm in experiment.arms} == {0}
    assert experiment.notes == ()


def test_a_start_of_whole_slices_comes_as_near_to_192_s_as_it_can(many):
    experiment = fig6(many, PAPER, Options())

    costs = [start_cost(many, arm.config) for arm in experiment.arms]
    assert costs == [192, 192, 189, 192, 216, 192, 243]
    assert experiment.notes[1] == (
        "K = 36: the start cost 216 s instead of 192 s, because it consists of whole slices."
    )


def test_too_few_slices_for_the_start_are_said_with_what_it_cost(squares):
    experiment = fig6(squares, Config(), QUICK)

    assert experiment.notes == (
        "K = 4: the start cost 96 s instead of 192 s, because there are only 8 train slices.",
    )


@pytest.mark.parametrize("base", [Config(), PAPER])
def test_the_start_costs_what_was_foretold(squares, base, tmp_path):
    for arm in fig6(squares, base, Options()).arms:
        learner = FakeLearner(squares, arm.config)
        (report,) = simulate(squares, tmp_path / arm.name, arm.config, cycles=0, learner=learner)

        assert report.cost.nominal_s == start_cost(squares, arm.config)


def test_a_crop_holds_the_region_whose_click_it_is_for(tmp_path):
    scans = [scan_of("a", 2, 256, 0), scan_of("b", 2, 256, 1)]
    dataset = build(scans, tmp_path / "d", size=256, split={"a": "train", "b": "test"})
    crops = {arm.name: arm.config.crop for arm in fig6(dataset, Config(), Options()).arms}

    assert crops == {"K1": 256, **dict.fromkeys(("K4", "K9", "K16", "K36", "K64", "K81"), 128)}
    assert fig6(dataset, PAPER, Options()).arms[0].config.crop is None


def test_figure_6_compares_neighbours_and_the_ends(many):
    comparisons = fig6(many, Config(), QUICK).comparisons

    assert [(c.first, c.second) for c in comparisons] == [
        ("K16", "K4"), ("K64", "K16"), ("K64", "K4"),
    ]  # fmt: skip
    assert {c.cost_s for c in comparisons} == {None}


def test_figure_7_spends_the_same_on_clicks_and_on_outlines(squares):
    found = arms(fig7(squares, Config(), Options()))
    points, full = found["points"].config, found["full"].config

    assert (points.labels, points.loss) == ("points", "auto")
    assert (full.labels, full.loss) == ("full", "full")
    assert points.budget_s == full.budget_s == 1000
    assert points.start_regions == 40
    assert full.regions_per_cycle == max(1, round(5 * full.start_regions / 40))
    clicks = ("labels", "loss", "crf", "threshold", "start_regions", "regions_per_cycle")
    assert full.replace(**{name: getattr(points, name) for name in clicks}) == points


def test_figure_7_spends_it_in_fewer_cycles_of_clicks_if_quick(squares):
    found = arms(fig7(squares, Config(), QUICK))

    assert found["points"].config.regions_per_cycle == 50
    full = found["full"].config
    assert full.regions_per_cycle == round(50 * full.start_regions / 40)


def test_figure_7_starts_at_equal_cost(squares, tmp_path):
    for arm in fig7(squares, Config(), Options()).arms:
        learner = FakeLearner(squares, arm.config)
        (report,) = simulate(squares, tmp_path / arm.name, arm.config, cycles=0, learner=learner)

        assert report.cost.nominal_s == pytest.approx(120, rel=0.2)


def test_figure_7_compares_where_the_papers_axis_runs(squares):
    experiment = fig7(squares, PAPER, Options())

    assert [c.cost_s for c in experiment.comparisons] == [600, 800, 1000]
    assert "one slice" in " ".join(experiment.notes)


def test_who_errs_is_set_beside_who_does_not(squares):
    found = arms(imperfect(squares, Config(), QUICK))
    perfect, errs = found["perfect"].config, found["imperfect"].config

    assert perfect == Config()
    assert errs == perfect.replace(**ERRORS)
    assert {arm.cycles for arm in found.values()} == {5}


def test_the_errors_that_are_set_are_compared_and_said(squares):
    experiment = imperfect(squares, Config(miss_rate=0.7, miss_area_px=9), Options())
    found = arms(experiment)

    assert found["perfect"].config.miss_rate == 0
    assert (found["imperfect"].config.miss_rate, found["imperfect"].config.wrong_rate) == (0.7, 0)
    assert experiment.notes == (
        "The annotator who errs misses an infection of n pixels in 0.7 · exp(-n / 9) of the cases.",
    )


def test_each_error_may_be_shown_by_itself(squares):
    experiment = imperfect(squares, FORTY, Options(apart=True, cycles=6))
    found = arms(experiment)

    assert list(found) == ["perfect", "imperfect", "misses", "jitter", "wrong"]
    assert found["jitter"].config == FORTY.replace(click_jitter_px=ERRORS["click_jitter_px"])
    assert [c.cost_s for c in experiment.comparisons if c.second == "wrong"] == [150, 180, 210]


def test_the_upper_bound_is_told_every_pixel_of_every_train_slice(squares, tmp_path):
    arm = upper_bound(squares, Config(miss_rate=0.5, wrong_rate=0.2), Options()).arms[0]
    learner = FakeLearner(squares, arm.config)
    simulate(squares, tmp_path, arm.config, cycles=0, learner=learner)

    assert learner.fits == [8]
    assert arm.cost_s == 8 * 96
    assert (arm.config.labels, arm.config.loss, arm.config.holdout) == ("full", "full", 0)
    assert arm.config.outline_tolerance_px == arm.config.miss_rate == arm.config.wrong_rate == 0


def test_the_upper_bound_takes_more_steps_than_a_cycle(squares):
    def config(base=Config(), **options):  # noqa: B008 - immutable
        return upper_bound(squares, base, Options(**options)).arms[0].config

    assert config().steps == 450
    assert config().epochs >= 450  # so that an epoch of a single batch does not end it
    assert config(Config(steps=600)).steps == 600
    assert config(steps=20).steps == 20
    assert config(Config(steps=7), quick=True).steps == 7
    assert (config(PAPER).steps, config(PAPER).epochs) == (None, 40)


@pytest.mark.parametrize("name", EXPERIMENTS)
@pytest.mark.parametrize("quick", [True, False])
def test_every_experiment_is_named_and_compares_its_own_arms(squares, name, quick):
    experiment = EXPERIMENTS[name](squares, Config(), Options(quick=quick))
    names = {arm.name for arm in experiment.arms}

    assert experiment.name == name
    assert len(names) == len(experiment.arms)
    assert all({c.first, c.second} <= names for c in experiment.comparisons)


def test_settings_are_changed_one_at_a_time_by_cross_validation(squares):
    experiment = ablations(squares, Config(), Options())
    default, *changed = experiment.arms

    assert (experiment.folds, experiment.only_ends) == (5, True)
    for arm, (label, change) in zip(changed, ABLATIONS.items(), strict=True):
        assert arm.label == label and arm.config == default.config.replace(**change)
    assert experiment.comparisons == tuple(Contrast("default", arm.name, None) for arm in changed)


def test_changes_are_compared_at_a_share_of_the_full_effort(tmp_path):
    pairs = [scan_of("one", 10, 32, 0)]
    dataset = build(pairs, tmp_path / "ten", size=32, split={"one": "train"})
    arm = ablations(dataset, Config(), Options()).arms[0]
    assert arm.config.budget_s == pytest.approx(0.035 * 10 * 96, abs=2)

    answers = arm.config.start_regions + arm.cycles * arm.config.regions_per_cycle
    assert answers * 3 == pytest.approx(0.035 * 10 * 96, abs=2)


def test_changes_can_be_named_and_end_with_the_start(squares):
    named = {"crf=0": {"crf": 0.0}}
    experiment = ablations(squares, Config(), Options(changes=named, cycles=0, folds=2))

    assert [arm.label for arm in experiment.arms] == ["default", "crf=0"]
    assert [arm.cycles for arm in experiment.arms] == [0, 0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (Options(changes={"crf=0.1": {"crf": 0.1}}), "changes nothing"),
        (Options(changes={"x=1": {"x": 1}}), "unknown setting x"),
        (Options(folds=1), "at least 2"),
    ],
)
def test_changes_that_can_not_be_made_are_said(squares, options, said):
    with pytest.raises(ConfigError, match=said):
        ablations(squares, Config(), options)
