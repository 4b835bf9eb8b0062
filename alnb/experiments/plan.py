"""The paper's experiments as values: which runs each has, and what they are compared on.

Where the paper says nothing, the choice is ours, and the experiment's notes say so.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from alnb.acquisition import RANDOM
from alnb.config import FROM_IMAGENET, FROM_SYNTHETIC, MASKS_THRESHOLD, Config
from alnb.cost import fully_labelled_cost, price_of
from alnb.dataset import Dataset
from alnb.errors import ConfigError, DataError
from alnb.oracle import Oracle
from alnb.pool import Pool, start_picks


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One way of labelling, run once for each seed."""

    name: str  # in folders and tables
    label: str  # in figures and sentences
    config: Config  # each run has a seed of its own
    cycles: int  # after the start, at most; `config.budget_s` may end a run earlier
    cost_s: float | None = None  # of its labels, if that is not the sum over the answers


@dataclass(frozen=True, slots=True)
class Contrast:
    """Two arms, by name, that are compared at a cost in seconds; None: where they end."""

    first: str
    second: str
    cost_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """What is run, and what it should show.

    With `folds`, the train part is divided into so many, and a run is measured on the fold of its
    seed's number. Without, runs are measured on the test part.
    """

    name: str  # one of `EXPERIMENTS`
    title: str  # above its figure
    arms: tuple[Arm, ...]
    comparisons: tuple[Contrast, ...] = ()  # each ends in a sentence
    notes: tuple[str, ...] = ()  # sentences: what a reader must know beside the paper's section
    folds: int | None = None
    only_ends: bool = False  # of the curves are shown
    quick: bool = False  # less of everything, to see that it works; no figure to keep


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a person may change of an experiment beside `Config`; None takes the default."""

    quick: bool = False  # less of everything
    cycles: int | None = None  # after the start, of fig5, imperfect and ablations
    steps: int | None = None  # of the training of upper-bound
    apart: bool = False  # imperfect also has an annotator for each kind of error
    arms: tuple[str, ...] = ()  # heuristics of fig5; the first is compared with each other
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # empty: `ABLATIONS`
    folds: int = 5  # of ablations, at least 2

    def cycles_or(self, usual: int, quick: int) -> int:
        """Return how many cycles follow the start: those named, or the usual number."""
        if self.cycles is not None:
            return self.cycles
        return quick if self.quick else usual


# --- the paper's figures ---

CYCLES, QUICK_CYCLES = 25, 5  # paper, figure 5
REGION_COUNTS, QUICK_REGION_COUNTS = (1, 4, 9, 16, 36, 64, 81), (4, 16, 64)  # paper, figure 6
START_ANSWERS = 64  # paper 5.2: 192 s of 3 s each
FIG7_START = 40  # ours: 120 s, so that an equal start is more than a region in full
BUDGET_S = 1000.0  # paper, figure 7: where its axis ends
QUICK_TIMES = 10  # ours: as many regions to click on in a cycle, so that fewer spend the budget
BOUND_STEPS = 450  # ours: the least; a cycle's 150 are too few for so many labels
COSTS = 3  # ours: two curves are compared at so many costs

ERRORS: Mapping[str, float] = {
    # single readers missed 37 % of 390 nodules of 3.9 ± 3.2 mm (Wormanns et al. 2005)
    "miss_rate": 0.4,
    "click_jitter_px": 2.0,  # ours: some 3 mm of a chest in 256 px
    "wrong_rate": 0.05,  # ours: an answer in twenty
}
ERROR_NAMES = {
    "miss_rate": ("misses", "misses small infections"),
    "click_jitter_px": ("jitter", "clicks beside"),
    "wrong_rate": ("wrong", "wrong verdicts"),
}


def start_cost(dataset: Dataset, config: Config) -> float:
    """Price the answers of the start, in nominal seconds, at one click or verdict a region."""
    return len(start_picks(Pool(dataset, config))) * config.click_s


def _fig5(dataset: Dataset, base: Config, options: Options) -> Experiment:
    """Compare entropy with random, or the named heuristics, cycle by cycle (paper 5.1)."""
    cycles = options.cycles_or(CYCLES, QUICK_CYCLES)
    first = base.heuristic if base.heuristic != RANDOM else "entropy"
    names = options.arms or (first, RANDOM)
    arms = tuple(
        Arm(name=name, label=name, config=base.replace(heuristic=name), cycles=cycles)
        for name in names
    )
    return Experiment(
        name="fig5",
        title=f"{names[0].capitalize()} against {', '.join(names[1:])}",
        arms=arms,
        comparisons=_along_curves(dataset, arms),
    )


def _along_curves(dataset: Dataset, arms: Sequence[Arm]) -> tuple[Contrast, ...]:
    """Compare the first arm with each other, after each third of their cycles."""
    config, cycles = arms[0].config, arms[0].cycles
    start, step = start_cost(dataset, config), config.regions_per_cycle * config.click_s
    thirds = dict.fromkeys(round(cycles * n / COSTS) for n in range(1, COSTS + 1))
    costs = [start + step * n for n in thirds if n] or [start]  # the start is the same in all
    return tuple(Contrast(arms[0].name, arm.name, cost) for arm in arms[1:] for cost in costs)


def _imperfect(dataset: Dataset, base: Config, options: Options) -> Experiment:
    """Compare an annotator who never errs, as in the paper, with one who does (ours).

    The second errs as the settings say, or by `ERRORS` if they say nothing.
    """
    cycles = options.cycles_or(CYCLES, QUICK_CYCLES)
    named = {name: getattr(base, name) for name in ERRORS}
    errors = named if any(named.values()) else dict(ERRORS)
    perfect = base.replace(**dict.fromkeys(ERRORS, 0.0))
    arms = [
        Arm(name="perfect", label="never errs", config=perfect, cycles=cycles),
        Arm(name="imperfect", label="errs", config=perfect.replace(**errors), cycles=cycles),
    ]
    for error, (name, label) in ERROR_NAMES.items():
        if options.apart and errors[error]:
            config = perfect.replace(**{error: errors[error]})
            arms.append(Arm(name=name, label=label, config=config, cycles=cycles))
    return Experiment(
        name="imperfect",
        title="An annotator who errs against one who never does",
        arms=tuple(arms),
        comparisons=_along_curves(dataset, arms),
        notes=(_error_note(perfect.replace(**errors)),),
    )


def _error_note(config: Config) -> str:
    kinds = (
        f"misses an infection of n pixels in {config.miss_rate:g} · exp(-n / "
        f"{config.miss_area_px:g}) of the cases",
        f"clicks {config.click_jitter_px:g} px beside (standard deviation, along rows and columns)",
        f"gives the other verdict in {config.wrong_rate:.0%} of the cases",
    )
    kept = [text for text, name in zip(kinds, ERRORS, strict=True) if getattr(config, name)]
    return f"The annotator who errs {', '.join(kept)}."


def _fig6(dataset: Dataset, base: Config, options: Options) -> Experiment:
    """Compare numbers of regions at an equal start (paper 5.2)."""
    counts = QUICK_REGION_COUNTS if options.quick else REGION_COUNTS
    configs = {k: _equal_start(dataset, base, k) for k in counts}
    return Experiment(
        name="fig6",
        title="Number of regions at an equal start",
        arms=tuple(
            Arm(name=f"K{k}", label=f"K = {k}", config=config, cycles=0)
            for k, config in configs.items()
        ),
        comparisons=tuple(
            Contrast(f"K{many}", f"K{few}", None)
            for few, many in (*pairwise(counts), (counts[0], counts[-1]))
        ),
        notes=tuple(_start_notes(dataset, configs)),
    )


def _equal_start(dataset: Dataset, base: Config, k: int) -> Config:
    """Divide slices into k regions; start with 64 answers, or about as many in whole slices.

    A crop is no smaller than a region (ours): a smaller one would often miss the only click.
    """
    slices = max(1, round(START_ANSWERS / k))
    side = math.ceil(dataset.size / math.isqrt(k))
    crop = None if base.crop is None else max(base.crop, side)
    return base.replace(
        regions_per_slice=k, start_regions=START_ANSWERS, start_slices=slices, crop=crop
    )


def _start_notes(dataset: Dataset, configs: Mapping[int, Config]) -> Iterator[str]:
    slices = len(dataset.part("train"))
    for k, config in configs.items():
        cost, wanted = start_cost(dataset, config), START_ANSWERS * config.click_s
        if cost == wanted:
            continue
        few = slices * k < START_ANSWERS or config.start == "regions"
        why = f"there are only {slices} train slices" if few else "it consists of whole slices"
        yield f"K = {k}: the start cost {cost:.0f} s instead of {wanted:.0f} s, because {why}."


def _fig7(dataset: Dataset, base: Config, options: Options) -> Experiment:
    """Compare clicks with per-pixel labels at equal cost (paper 5.3)."""
    check_masks(dataset)
    start = max(base.start_regions or 0, FIG7_START)
    points = base.replace(labels="points", budget_s=BUDGET_S, start_slices=1, start_regions=start)
    full = points.replace(labels="full", loss="full", crf=0.0, threshold=_for_masks(base))
    outlined = _equal_in_cost(dataset, points, full)
    full = full.replace(start_regions=outlined)
    if options.quick:
        points = points.replace(regions_per_cycle=QUICK_TIMES * base.regions_per_cycle)
    cycles = math.ceil(BUDGET_S / (base.click_s * base.regions_per_cycle))
    limit = "" if base.threshold is None else "; their threshold is at most 0.5"
    notes = [f"Outlines are trained on with F3Net's loss{limit}."]
    if base.start == "slices":
        notes.append("The start is one slice: the paper's five slices would cost 960 s.")
    else:
        share = outlined / start  # of the regions for the same seconds
        full = full.replace(regions_per_cycle=max(1, round(points.regions_per_cycle * share)))
        notes.append(
            f"The start is {start} regions to click on, or {outlined} to outline at about the same "
            f"cost; a cycle is {points.regions_per_cycle} regions to click on, or "
            f"{full.regions_per_cycle} to outline."
        )
    return Experiment(
        name="fig7",
        title="Point against per-pixel labels at equal cost",
        arms=(
            Arm(name="points", label="point labelling", config=points, cycles=cycles),
            Arm(name="full", label="per-pixel labelling", config=full, cycles=cycles),
        ),
        comparisons=tuple(
            Contrast("points", "full", BUDGET_S * share) for share in (0.6, 0.8, 1.0)
        ),
        notes=tuple(notes),
    )


def _for_masks(base: Config) -> float | None:
    """Limit a threshold that is set: a high one suits clicks, not outlines."""
    return None if base.threshold is None else min(base.threshold, MASKS_THRESHOLD)


def _equal_in_cost(dataset: Dataset, points: Config, full: Config) -> int:
    """Count the regions whose outlines cost as much as the clicks of a start."""
    oracle = Oracle(dataset, full.seed, full)
    picks = start_picks(Pool(dataset, points))
    price = sum(price_of(oracle.answer(pick.region), full) for pick in picks) / len(picks)
    return max(1, round(len(picks) * points.click_s / price))


def _upper_bound(dataset: Dataset, base: Config, options: Options) -> Experiment:
    """Train on the whole train part labelled with its masks (paper 5.3).

    No answer is held out, the annotator does not err, and there are more steps than in a cycle:
    against a weak bound the share that clicks reach would look too good.
    """
    slices = len(dataset.part("train"))
    steps = options.steps
    if steps is None and base.steps is not None:  # None: the settings count epochs
        steps = base.steps if options.quick else max(base.steps, BOUND_STEPS)
    epochs = base.epochs or FROM_IMAGENET["epochs"]
    config = base.replace(
        regions_per_slice=1, ask_in="anywhere", start="regions", start_regions=slices,
        crf=0.0, distil=0.0, prior_answers=0.0,
        labels="full", loss="full", outline_tolerance_px=0.0, budget_s=None,
        miss_rate=0.0, click_jitter_px=0.0, wrong_rate=0.0,
        steps=steps, epochs=max(epochs, steps or 1), holdout=0.0,
        threshold=_for_masks(base),
    )  # fmt: skip
    cost = fully_labelled_cost(slices, base)
    how = f"{steps} steps" if steps else f"{epochs} epochs"
    return Experiment(
        name="upper-bound",
        title="Upper bound: every train slice labelled in full",
        arms=(Arm(name="bound", label="upper bound", config=config, cycles=0, cost_s=cost),),
        notes=(
            f"{slices} train slices at {base.slice_s:.0f} s: {cost:.0f} s. Trained on their exact "
            f"masks with F3Net's loss for {how}, none held out.",
        ),
    )


# --- what each setting brings ---

EFFORT = 0.035  # ours: of labelling the train part with masks; half of the paper's 7 %
START_SHARE = 0.2  # ours: of those answers, before the first training
ABLATION_CYCLES = 3  # ours: so that acquisition counts, with fewer trainings than in a session

ABLATIONS: Mapping[str, Mapping[str, Any]] = {
    "from ImageNet only": {"pretrain_steps": 0},
    "no prior strength": {"prior_answers": 0.0},
    "no distillation": {"distil": 0.0},
    "one threshold for all data": {"threshold": FROM_SYNTHETIC["threshold"]},
    "clicks weigh as much as all clean regions": {"loss": FROM_IMAGENET["loss"]},
    "predicts from the slice only": {"predict_zoom": 1.0, "predict_mirrored": False},
    "predicts from no mirror image": {"predict_mirrored": False},
    "holds a fifth of the answers out": {"holdout": 0.2},
    "no CRF": {"crf": 0.0},
    "asks outside the lungs, too": {"ask_in": "body"},
    "a second click, on background": {"background_click": True},
    "random": {"heuristic": "random"},
    "random in the lungs": {"heuristic": "foreground_random"},
    "BALD": {"heuristic": "bald"},
    "margin": {"heuristic": "margin"},
    "a region's highest pixel": {"region_score": "max"},
    "several regions of a slice": {"one_region_a_slice": False},
    "superpixels": {"regions": "superpixels"},
}
"""What is changed in the default, one at a time. The default was chosen among these, so they
show what each setting brings; they are no independent test of it."""


def _ablations(dataset: Dataset, base: Config, options: Options) -> Experiment:
    """Compare the settings with one of them changed at a time, at 3.5 % of the full effort."""
    if options.folds < 2:
        raise ConfigError(f"--folds is {options.folds}; it must be at least 2.")
    changes = options.changes or ABLATIONS
    effort = fully_labelled_cost(len(dataset.part("train")), base)
    answers = max(2, round(EFFORT * effort / base.click_s))
    start = max(1, round(START_SHARE * answers))
    cycles = options.cycles_or(ABLATION_CYCLES, 0)
    base = base.replace(
        start="regions", start_regions=start if cycles else answers,
        budget_s=answers * base.click_s,
        regions_per_cycle=max(1, round((answers - start) / max(cycles, 1))),
    )  # fmt: skip
    default = Arm(name="default", label="default", config=base, cycles=cycles)
    changed = [
        Arm(name=f"change{n}", label=label, config=_changed(base, change), cycles=cycles)
        for n, (label, change) in enumerate(changes.items(), 1)
    ]
    return Experiment(
        name="ablations",
        title="What each setting brings",
        arms=(default, *changed),
        comparisons=tuple(Contrast("default", arm.name, None) for arm in changed),
        notes=(
            f"{answers} answers, {answers * base.click_s:.0f} s: {EFFORT:.1%} of the effort of "
            f"labelling the train part with masks. Cross-validation in {options.folds} folds of "
            "the train part: a seed trains on all folds but its own and is measured on that one; "
            "no val or test slice is used. Folds share slices to train on, so the intervals are "
            f"somewhat too narrow. Of {len(changed)} changes without effect, one in twenty would "
            "seem to have one.",
        ),
        folds=options.folds,
        only_ends=True,
    )


def _changed(base: Config, change: Mapping[str, Any]) -> Config:
    if all(getattr(base, name, None) == value for name, value in change.items()):
        words = ", ".join(f"{name}={value}" for name, value in change.items())
        raise ConfigError(f"--change {words} changes nothing: it is set already. Leave it out.")
    return base.replace(**change)


# --- all of them ---

EXPERIMENTS: Mapping[str, Callable[[Dataset, Config, Options], Experiment]] = {
    "fig5": _fig5, "fig6": _fig6, "fig7": _fig7, "imperfect": _imperfect,
    "ablations": _ablations, "upper-bound": _upper_bound,
}  # fmt: skip


def planned(name: str, dataset: Dataset, base: Config, options: Options) -> Experiment:
    """Plan one of `EXPERIMENTS`; a quick one says so in its notes.

    Parameters
    ----------
    name : str
    dataset : Dataset
    base : Config
        What the arms have in common.
    options : Options

    Raises
    ------
    ConfigError
        If an option or a change of the settings is out of range, or changes nothing.
    DataError
        As `check_masks`, where the plan needs answers.
    """
    experiment = EXPERIMENTS[name](dataset, base, options)
    if not options.quick:
        return experiment
    note = "Made with --quick, to see that it works; do not keep its figures."
    return dataclasses.replace(experiment, quick=True, notes=(*experiment.notes, note))


def check_masks(dataset: Dataset) -> None:
    """Refuse a dataset without masks or infected train slices with a `DataError`."""
    if not dataset.has_masks:
        raise DataError(
            f"dataset {dataset.name} has no masks, so no annotator can be simulated. Import it "
            "with --masks, or label it yourself: alnb label."
        )
    train = dataset.part("train")
    if not any(dataset.infected_px(where) for where in train):
        raise DataError(
            f"dataset {dataset.name}: none of its {len(train)} train slices is infected, so there "
            "is nothing to learn. Check the masks, or import it with another --split."
        )
