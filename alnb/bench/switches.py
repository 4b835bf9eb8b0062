"""What each setting of the default brings, by cross-validation inside the train part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alnb.bench.plan import Arm, Comparison, Experiment, Options
from alnb.config import DISTILLED_THRESHOLD, LOSS, Config
from alnb.dataset import Dataset
from alnb.errors import ConfigError

SHARE = 0.035  # ours: of the effort of labelling all with masks; half of the paper's 7 %
START = 0.2  # ours: of those answers, before the first training
ABLATION_CYCLES = 3  # ours: so that acquisition counts, with fewer trainings than in a session

SWITCHES: Mapping[str, Mapping[str, Any]] = {
    "from ImageNet alone": {"pretrain_steps": 0},
    "goes back by nothing": {"prior_answers": 0.0},
    "forgets what it believed": {"distil": 0.0},
    "a threshold for all data": {"threshold": DISTILLED_THRESHOLD},
    "clicks weigh as much as all that is clean": {"loss": LOSS},
    "predicts the slice alone": {"predict_zoom": 1.0, "predict_mirrored": False},
    "predicts no mirror image": {"predict_mirrored": False},
    "holds a fifth of the answers out": {"holdout": 0.2},
    "no CRF": {"crf": 0.0},
    "starts anywhere": {"start_in_lungs": 0.0},
    "a second click, on background": {"background_click": True},
    "random": {"heuristic": "random"},
    "random in the lungs": {"heuristic": "foreground_random"},
    "BALD": {"heuristic": "bald"},
    "margin": {"heuristic": "margin"},
    "a region's highest pixel": {"region_score": "max"},
    "PowerBALD's noise": {"power": 1.0},
    "no two neighbours": {"neighbours": False},
    "several regions of a slice": {"one_region_a_slice": False},
    "superpixels": {"regions": "superpixels"},
    "blocks of mixed sizes": {"regions": "quadtree"},
}
"""What is changed of the default, one at a time. All were weighed for it; so it is told what they
bring, not found anew."""


def switches(dataset: Dataset, base: Config, options: Options) -> Experiment:
    """Compare the settings with each switch of them thrown, at 3.5 % of the full effort.

    The test part is not touched: a seed's runs train on all folds of the train part but one, and
    are measured on that.
    """
    changes = options.switches or SWITCHES
    answers = _answers(dataset, base, options.folds)
    start = max(1, round(START * answers))
    cycles = 0 if options.quick else ABLATION_CYCLES
    if options.cycles is not None:
        cycles = options.cycles
    base = base.replace(
        start="regions", start_regions=start, budget_s=answers * base.click_s,
        regions_per_cycle=max(1, round((answers - start) / max(cycles, 1))),
    )  # fmt: skip
    if not cycles:
        base = base.replace(start_regions=answers)
    default = Arm(name="default", label="as it is", config=base, cycles=cycles)
    thrown = [
        Arm(name=f"switch{n}", label=label, config=_changed(base, change), cycles=cycles)
        for n, (label, change) in enumerate(changes.items(), 1)
    ]
    return Experiment(
        name="switches",
        title="What each setting brings",
        arms=(default, *thrown),
        comparisons=tuple(Comparison("default", arm.name, None) for arm in thrown),
        notes=(
            f"{answers} answers, {answers * base.click_s:.0f} s: {SHARE:.1%} of the effort of "
            f"labelling the train part with masks. Cross-validation in {options.folds} folds of "
            "the train part: each seed trains on all but its own and is measured on that; no val "
            "or test slice is looked at. Folds share slices to train on, so the intervals are "
            f"somewhat too narrow; and of {len(thrown)} switches that do nothing, one in twenty "
            "would be shown to do something.",
        ),
        folds=options.folds,
        only_ends=True,
    )


def _answers(dataset: Dataset, base: Config, folds: int) -> int:
    """Count the answers that cost `SHARE` of the full effort of the whole train part."""
    if folds < 2:
        raise ConfigError(f"--folds is {folds}; it must be at least 2.")
    return max(2, round(SHARE * base.slice_s * len(dataset.part("train")) / base.click_s))


def _changed(base: Config, change: Mapping[str, Any]) -> Config:
    if all(getattr(base, name, None) == value for name, value in change.items()):
        words = ", ".join(f"{name}={value}" for name, value in change.items())
        raise ConfigError(f"--switch {words} changes nothing: so it is anyway. Leave it out.")
    return base.replace(**change)
