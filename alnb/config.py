"""Every setting of the method: its default, and where the default comes from.

`PAPER` is Laradji et al. 2020 as written; `Config()` is ours. A setting's source stands
beside it: "paper 4.1" is a section of the paper, "ours" says why we chose otherwise.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

from alnb.errors import ConfigError

RegionScore = Literal["mean", "max", "sum"]
Start = Literal["regions", "slices"]
Loss = Literal["auto", "point_ce", "balanced_point", "balanced_answers", "full"]
Precision = Literal["auto", "float32", "bfloat16"]
Schedule = Literal["constant", "cosine"]
Freeze = Literal["none", "stem", "trunk"]
Labels = Literal["points", "full"]
Prices = Literal["paper", "exact_hull"]
Regions = Literal["grid", "superpixels", "quadtree"]

HOLDOUT = 0.2
"""Share of the answers that measure the network, and set its threshold, where `Config.holdout` is
None and no slice has a mask that could (ours). Where one has, all answers are learned from."""

CLICKS_THRESHOLD, DISTILLED_THRESHOLD = 0.7, 0.4
"""Where `Config.threshold` is None (ours): a network that learns from clicks alone over-segments,
one that keeps what it believed before under-segments. The latter is where `training.calibration`
begins, and held-out answers correct either by 0.1 at most. Both are of folds of medseg's train
part, where of 0.3 to 0.5 0.35 to 0.5 do equally well for the latter; sparser data want more."""

START_REGIONS, START_REGIONS_PRETRAINED = 40, 5
"""Where `Config.start_regions` is None (ours): 120 s, and 15 s for a network that learned from
synthetic scans, which can ask by itself from then on. From ImageNet five answers, if all are clean,
teach a network to see nothing, and where to ask it then does not know."""

EPOCHS, EPOCHS_PRETRAINED = 40, 10
"""Where `Config.epochs` is None: the paper's, and ours for a network that learned from synthetic
scans, which a few answers should not lead far away."""

LOSS: Loss = "balanced_point"
LOSS_PRETRAINED: Loss = "balanced_answers"
"""What `Config.loss` "auto" is (ours), the latter for a network that learned from synthetic scans.
It knows what infection is, and where answers are mostly clean, `balanced_point` makes it see ever
more of it: on covid19b_pseudo's train part, random answers (two folds of Mixed, one of Sep), a
threshold of 0.4 has a Dice of 0.63 with that and 0.72 with this, while on medseg's both have 0.71.
From ImageNet neither is shown to be better (phantom, 3 seeds)."""

HEAD_RATE, HEAD_RATE_PRETRAINED = 10.0, 3.0
"""Where `Config.head_rate` is None (ours): layers that come untrained learn faster than the trunk;
those that learned from synthetic scans know something. By cross-validation in medseg's train part
(3 folds, `bench switches`) Dice over five cycles is 0.01 ± 0.015 higher with 3 than with 10: a
choice, not a finding."""

MASKS_THRESHOLD = 0.5
"""The same for regions and slices labelled in full."""

RETIRED = frozenset({"keep", "consistency", "warm_start"})
"""Settings of older journals that have no effect any more."""
BEFORE = {"predict_mirrored": False, "validate": True}
"""What a journal did that does not know the setting yet."""
RENAMED = {"backbone": {"auto": "efficientnet_lite0"}}  # values; auto was vgg16 on a GPU
FEWEST_TO_HOLD_OUT = 10  # ours: fewer answers are all trained on, and none measures the network


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings of a session; immutable, and written into its journal.

    Raises
    ------
    ConfigError
        If a value is out of its range; the sentence names the setting and the range.
    """

    # --- network ---
    backbone: str = "efficientnet_lite0"  # ours: the rest is tuned for it (paper 4.1: vgg16)
    weights: str | None = None  # a file of ImageNet weights; None: those of the backbone
    input_padding: int = 0  # ours: 2.4 times cheaper than FCN8's 100 (Long et al. 2015)
    dropout: float = 0.5  # paper 4.1
    precision: Precision = "auto"  # ours: bfloat16 on a GPU that has it; 5 times slower on AVX2

    # --- regions ---
    regions: Regions = "grid"  # paper 3; superpixels are its future work (6), quadtree is ours
    regions_per_slice: int = 64  # paper 5.1: 64 equal rectangles; of other kinds at most so many
    smallest_region_px: int = 16  # ours: side of a quadtree's blocks; 64 of a grid at 256 px: 32

    # --- acquisition ---
    heuristic: str = "entropy"  # paper 3
    region_score: RegionScore = "mean"  # paper 3, the first of two statements; sum: for mixed sizes
    draws: int = 20  # the authors' code; the paper names no number
    regions_per_cycle: int = 5  # paper 4.1
    ask_bare: bool = False  # ours: padding and air are clean, asked or not (paper: all regions)
    one_region_a_slice: bool = True  # paper 3: the best region of each of the best slices
    neighbours: bool = True  # paper 3: regions of a cycle may touch; false (ours): no two do
    power: float | None = None  # paper 3: none; beta of PowerBALD's noise (Kirsch et al. 2021: 1)
    repeats: float = 0.0  # ours: share of the questions that were asked before, unmarked
    per_second: bool = False  # paper 3: no; true (ours): score a second of the expected price

    # --- start and budget ---
    start: Start = "regions"  # ours: whole slices cost 960 s before the first training
    start_regions: int | None = None  # ours: instead of slices of 960 s; see `START_REGIONS`
    start_in_lungs: float = 1.0  # ours: share; 0.59 Dice, not 0.56, on folds of medseg's train part
    start_slices: int = 5  # paper 4.1; used when start is "slices"
    cycles: int = 100  # paper 4.1
    budget_s: float | None = None  # nominal seconds; None: no limit but `cycles`

    # --- training ---
    pretrain_steps: int = 600  # ours: on synthetic scans, once for a seed; 0: none (paper)
    loss: Loss = "auto"  # ours: see `LOSS`; eq. 1 collapses to background on few clicks
    infected_weight: float = 0.3  # ours: clicks over-segment at 1; of infected against clean
    crf: float = 0.1  # ours: weight of the gated CRF loss; 0.56 Dice, not 0.54, on those folds
    prior_answers: float = 20.0  # ours: so many answers is what it believed before worth; 0: none
    distil: float = 1.0  # ours: weight of what it believed before any answer, where none is given
    epochs: int | None = None  # the most in a cycle; see `EPOCHS` (paper 4.1: 40)
    steps: int | None = 150  # ours: the most in a cycle; None: `epochs` alone (paper)
    batch: int = 8  # ours: of crops; steadier than the paper's 1 with few clicks
    crop: int | None = 128  # ours: pixels round an answer, half the time; None, freeze="trunk": all
    learning_rate: float = 3e-4  # ours: with a falling rate and few steps (paper 4.1: 1e-4)
    head_rate: float | None = None  # times the rate, behind the trunk; see `HEAD_RATE` (paper: 1)
    schedule: Schedule = "cosine"  # ours: warm up, fall to 0, keep the last (paper 4.1: constant)
    freeze: Freeze = "stem"  # ours: to stride 4, 1.6 times faster; "trunk": 5 to 9 more, Dice -0.12
    validate: bool | None = None  # ours: by masks of val that cost nothing; see `validates`
    holdout: float | None = None  # ours: share of answers not learned from; see `HOLDOUT`
    predict_zoom: float = 1.5  # ours: averages slice and enlarged slice; 1: the slice (paper)
    predict_mirrored: bool = True  # ours: averages slice and mirror image; false: the slice (paper)
    threshold: float | None = None  # ours: infection probability; see `CLICKS_THRESHOLD`

    # --- prices, in seconds ---
    click_s: float = 3.0  # paper 5.3: a click, or saying that a region is clean
    slice_s: float = 96.0  # paper 5.3: outlining a slice accurately
    prices: Prices = "paper"  # paper 5.3: vertices drawn; "exact_hull": of the hull around them

    # --- simulated annotator ---
    labels: Labels = "points"  # paper 3; "full" outlines infection (5.3), for loss="full"
    background_click: bool = False  # paper 3: no; true (ours): a second one where it is infected
    outline_tolerance_px: float = 1.0  # ours: a pixel, as fine as a mask is; the paper names none
    miss_rate: float = 0.0  # ours: nobody errs in the paper; chance to miss the smallest infection
    miss_area_px: float = 20.0  # ours: where that chance is down to 37 %; a disc 5 px across
    click_jitter_px: float = 0.0  # ours: as above; standard deviation of a click, either way
    wrong_rate: float = 0.0  # ours: as above; chance of the wrong verdict, whatever is seen

    seed: int = 0

    def __post_init__(self) -> None:
        self._check_types()
        self._check_choices()
        self._check_shares()
        self._check_ranges()

    def _check_types(self) -> None:
        for name, kinds in _kinds().items():
            value = getattr(self, name)
            if type(value) not in kinds and not (float in kinds and type(value) is int):
                words = " or ".join(_WORDS[kind] for kind in kinds)
                raise ConfigError(f"setting {name} is {value!r}; it must be {words}.")

    def _check_choices(self) -> None:
        for name, hint in get_type_hints(Config).items():
            value = getattr(self, name)
            if get_origin(hint) is Literal and value not in get_args(hint):
                raise ConfigError(
                    f"setting {name} is {value!r}; it can be {' or '.join(get_args(hint))}."
                )

    def _check_shares(self) -> None:
        for name in ("dropout", "holdout", "threshold", "repeats"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1:
                raise ConfigError(f"setting {name} is {value}; it must be in [0, 1).")
        for name in ("miss_rate", "wrong_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"setting {name} is {getattr(self, name)}; it must be in [0, 1].")

    def _check_ranges(self) -> None:
        positive = (
            "regions_per_slice", "smallest_region_px", "draws", "regions_per_cycle",
            "start_regions", "start_slices", "epochs", "steps", "batch", "budget_s", "power",
            "learning_rate", "head_rate", "click_s", "slice_s", "miss_area_px",
        )  # fmt: skip
        for name in positive:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"setting {name} is {value}; it must be above 0.")
        not_negative = (
            "input_padding", "pretrain_steps", "infected_weight", "crf", "distil",
            "prior_answers", "cycles", "outline_tolerance_px", "click_jitter_px", "seed",
        )  # fmt: skip
        for name in not_negative:
            if getattr(self, name) < 0:
                raise ConfigError(f"setting {name} is {getattr(self, name)}; it can't be negative.")
        if not 1 <= self.predict_zoom <= 4:
            raise ConfigError(f"setting predict_zoom is {self.predict_zoom}; it must be in [1, 4].")
        if self.crop is not None and self.crop < 32:
            raise ConfigError(f"setting crop is {self.crop}; it must be at least 32, or None.")

    def learns_first(self, *, synthetic: bool) -> bool:
        """Tell whether a network learns from synthetic scans before any answer.

        Not where `synthetic` scans are what is labelled: there it would be cheating.
        """
        return self.pretrain_steps > 0 and not synthetic

    def validates(self, *, synthetic: bool) -> bool:
        """Tell whether masks of a validation part choose epoch and threshold, where there are some.

        Unless it is said, those of `synthetic` scans alone: others cost 96 s each to draw, which no
        curve counts, and the answers can choose.
        """
        return synthetic if self.validate is None else self.validate

    def replace(self, **changes: Any) -> Config:  # noqa: ANN401 - the values of any field
        """Return a copy with some settings changed.

        Raises
        ------
        ConfigError
            If a setting is unknown or out of range.
        """
        unknown = changes.keys() - {field.name for field in dataclasses.fields(self)}
        if unknown:
            raise ConfigError(f"unknown setting {', '.join(sorted(unknown))}.")
        for name, names in RENAMED.items():
            if isinstance(value := changes.get(name), str):
                changes[name] = names.get(value, value)
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, for the journal."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Config:
        """Read settings that `to_dict` wrote, of an older alnb too.

        Raises
        ------
        ConfigError
            If a setting is unknown or out of range.
        """
        known = {name: value for name, value in values.items() if name not in RETIRED}
        return cls().replace(**BEFORE | known)


_WORDS: dict[type, str] = {
    bool: "true or false", int: "a whole number", float: "a number", str: "a word",
    type(None): "null",
}  # fmt: skip


@cache
def _kinds() -> dict[str, tuple[type, ...]]:
    """List the types that a value may have, by setting."""
    hints = get_type_hints(Config)
    plain = {name: hint for name, hint in hints.items() if get_origin(hint) is not Literal}
    return {name: get_args(hint) or (hint,) for name, hint in plain.items()}


THREADS = {"GOMP_SPINCOUNT": "10000"}
"""For the environment of whoever loads torch: a thread that waits spins for some ten microseconds,
then sleeps (ours). OpenMP's default lets a page, or another training, wait for threads that do
nothing; sleeping at once made a cycle on two cores 1.5 times longer."""

PAPER = Config(
    backbone="vgg16",
    input_padding=100,
    ask_bare=True,
    start="slices",
    loss="point_ce",
    pretrain_steps=0,
    crf=0.0,
    epochs=EPOCHS,
    steps=None,
    batch=1,
    crop=None,
    learning_rate=1e-4,
    head_rate=1.0,
    schedule="constant",
    freeze="none",
    validate=True,
    holdout=HOLDOUT,
    predict_zoom=1.0,
    predict_mirrored=False,
    threshold=0.5,
)

PRESETS = {"default": Config(), "paper": PAPER}
