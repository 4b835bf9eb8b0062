"""Every setting of the method: its default, and where the default comes from.

`PAPER` is Laradji et al. 2020 as written. `Config()` is ours. Each setting names its source:
"paper 4.1" is a section of the paper, "ours" gives our reason for another value.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, Self, get_args, get_origin, get_type_hints

from alnb.errors import ConfigError
from alnb.schema import shown

RegionScore = Literal["mean", "max"]
Start = Literal["regions", "slices"]
Loss = Literal["auto", "point_ce", "balanced_point", "balanced_answers", "full"]
Precision = Literal["auto", "float32", "bfloat16"]
Schedule = Literal["constant", "cosine"]
Freeze = Literal["none", "stem"]
Labels = Literal["points", "verified", "full"]
Regions = Literal["grid", "superpixels"]
Asking = Literal["cycle", "live"]
AskIn = Literal["lungs", "body", "anywhere"]

FROM_IMAGENET: Mapping[str, Any] = {
    "start_regions": 40,  # 120 s: five clean answers teach it to see no infection
    "loss": "balanced_point",
    "epochs": 40,  # paper 4.1
    "head_rate": 10.0,  # untrained layers learn faster than the trunk
    "threshold": 0.7,  # a network that learns only from clicks over-segments
}
"""What `Config.resolved` puts for None and "auto" if a network starts from ImageNet (ours)."""

LIVE_START = 20
"""`start_regions` from ImageNet where the live layer asks: its answers say more (ours)."""

FROM_SYNTHETIC: Mapping[str, Any] = {
    "start_regions": 5,  # 15 s: after these it can choose what to ask
    "loss": "balanced_answers",
    "epochs": 10,  # a few answers should not lead it far away
    "head_rate": 3.0,
    "threshold": 0.4,
}
"""The same if a network first learned from synthetic scans (ours).

``loss``: such a network knows what infection is. If most answers are clean, `balanced_point` makes
it find more and more of it. With random answers on the train part of covid19b_pseudo (two folds of
Mixed, one of Sep; threshold 0.4) Dice is 0.63 with `balanced_point` and 0.72 with
`balanced_answers`; on medseg both have 0.71. From ImageNet neither is shown to be better (phantom,
3 seeds). ``head_rate``: Dice over five cycles is 0.01 ± 0.015 higher with 3 than with 10 (3 folds
of medseg's train part): a choice, not a finding. ``threshold``: 0.35 to 0.5 do equally well on
those folds. Sparser data need more, and `training.validation` raises it by the answers.
"""

MASKS_THRESHOLD = 0.5
"""`Config.threshold` if regions and slices are outlined and no threshold is set."""

LARGEST = 2**53
"""The largest number that a setting takes: the last that every reader of JSON keeps whole."""

MOST_REGIONS = 4096
"""The most regions of a slice (ours): of 352 pixels each is 5 or 6 wide then."""

HOLDOUT = 0.2
"""`Config.holdout` if there are no masks to measure the network: held-out answers do it (ours)."""
FEWEST_TO_HOLD_OUT = 10  # ours: of fewer answers none is held out

RETIRED: Mapping[str, Any] = {
    "neighbours": True, "per_second": False, "power": None, "prices": "paper",
    "smallest_region_px": 16, "ask_bare": None, "start_in_lungs": None,
}  # fmt: skip
"""Retired settings, each with the value at which it did nothing."""
RETIRED_VALUES: Mapping[str, str] = {
    "freeze": "trunk", "region_score": "sum", "regions": "quadtree",
}  # fmt: skip
"""Retired values of settings that remain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings of a session: immutable, and kept in its journal.

    Raises
    ------
    ConfigError
        If a value is out of its range; the sentence names the setting and the range.
    """

    # --- network ---
    backbone: str = "efficientnet_lite0"  # ours: the rest is tuned for it (paper 4.1: vgg16)
    weights: str | None = None  # a file of ImageNet weights; None: the backbone's own
    input_padding: int = 0  # ours: 2.4 times cheaper than FCN8's 100 (Long et al. 2015)
    dropout: float = 0.5  # paper 4.1
    precision: Precision = "auto"  # ours: bfloat16 if the GPU has it; 5 times slower on AVX2

    # --- regions ---
    regions: Regions = "grid"  # paper 3; superpixels are its future work (6)
    regions_per_slice: int = 64  # paper 5.1: 64 equal rectangles; the most superpixels

    # --- acquisition ---
    asking: Asking = "cycle"  # paper 3: a cycle's regions at once; live (ours): after each answer
    heuristic: str = "entropy"  # paper 3
    region_score: RegionScore = "mean"  # paper 3, the first of two statements
    draws: int = 20  # the authors' code; the paper names no number
    regions_per_cycle: int = 5  # paper 4.1
    ask_in: AskIn = "lungs"  # ours: body: not padding and air around it; anywhere: paper
    one_region_a_slice: bool = True  # paper 3: the best region of each of the best slices
    repeats: float = 0.0  # ours: share of questions that repeat an answered one, unmarked

    # --- several people: each is dealt an equal part of the slices, and some are common to all ---
    share: int = 1  # ours: which part, from 1
    shares: int = 1  # ours: how many there are; 1: the pool is whole
    overlap: float = 0.0  # ours: share of slices, and of questions, that are common to all

    # --- start and budget ---
    start: Start = "regions"  # ours: whole slices cost 960 s before the first training
    start_regions: int | None = None  # ours: see `FROM_SYNTHETIC`
    start_slices: int = 5  # paper 4.1; used if start is "slices"
    cycles: int = 100  # paper 4.1
    budget_s: float | None = None  # nominal seconds; None: only `cycles` limits

    # --- training ---
    pretrain_steps: int = 600  # ours: on synthetic scans; 0: none (paper)
    pretrain_seed: int = 0  # ours: of that; 0 comes with alnb, others are learned once a machine
    loss: Loss = "auto"  # ours: see `FROM_SYNTHETIC`; eq. 1 collapses to background on few clicks
    infected_weight: float = 0.3  # ours: infected against clean; at 1 clicks over-segment
    crf: float = 0.1  # ours: weight of the gated CRF loss; Dice 0.56 instead of 0.54, as above
    prior_answers: float = 20.0  # ours: how many answers the start counts as; 0: none (paper)
    distil: float = 1.0  # ours: weight of the start's prediction where nobody answered
    epochs: int | None = None  # at most, in a cycle; see `FROM_SYNTHETIC` (paper 4.1: 40)
    steps: int | None = 150  # ours: at most, in a cycle; None: only `epochs` limits (paper)
    batch: int = 8  # ours: crops; with few clicks steadier than the paper's 1
    crop: int | None = 128  # ours: pixels around an answer, half the time; None: whole slices
    learning_rate: float = 3e-4  # ours: for a falling rate and few steps (paper 4.1: 1e-4)
    head_rate: float | None = None  # ours: times the rate, behind the trunk; as above (paper: 1)
    schedule: Schedule = "cosine"  # ours: warm up, then fall to 0 (paper 4.1: constant)
    freeze: Freeze = "stem"  # ours: fixes the trunk up to stride 4; 1.6 times faster
    validate: bool | None = None  # ours: only by masks that cost nothing, synthetic ones
    holdout: float | None = None  # ours: share of answers kept from training; see `HOLDOUT`
    predict_zoom: float = 1.5  # ours: averages with the slice enlarged; 1: does not (paper)
    predict_mirrored: bool = True  # ours: averages with the mirror image; false: does not (paper)
    threshold: float | None = None  # ours: infection probability; see `FROM_SYNTHETIC`
    adapt_threshold: bool | None = None  # ours: answers raise it, unless a threshold is set

    # --- prices, in seconds ---
    click_s: float = 3.0  # paper 5.3: a click, or saying that a region is clean
    slice_s: float = 96.0  # paper 5.3: outlining a slice accurately

    # --- simulated annotator ---
    # "full" outlines infection (5.3), for loss="full"; "verified" (ours) accepts the live layer's
    # outline where it is right, and else clicks
    labels: Labels = "points"  # paper 3
    accept_dice: float = 0.7  # ours: Dice in the region from which an outline counts as right
    background_click: bool = False  # paper 3: no; true (ours): a second click in an infected region
    outline_tolerance_px: float = 1.0  # ours: a pixel, as fine as a mask; the paper names none
    miss_rate: float = 0.0  # ours: chance to miss the smallest infection; paper: nobody errs
    miss_area_px: float = 20.0  # ours: area at which that chance is 37 %; a disc 5 px across
    click_jitter_px: float = 0.0  # ours: standard deviation of a click, in each direction
    wrong_rate: float = 0.0  # ours: chance of the wrong verdict

    seed: int = 0

    def __post_init__(self) -> None:
        self._check_types()
        self._check_choices()
        self._check_shares()
        self._check_ranges()
        self._check_people()

    def _check_types(self) -> None:
        for name, kinds in _kinds().items():
            value = getattr(self, name)
            if type(value) not in kinds and not (float in kinds and type(value) is int):
                words = " or ".join(_WORDS[kind] for kind in kinds)
                raise ConfigError(f"setting {name} is {shown(value)}; it must be {words}.")
            if type(value) in (int, float) and not -LARGEST <= value <= LARGEST:
                raise ConfigError(
                    f"setting {name} is {shown(value)}; it must be a number within ±{LARGEST}."
                )

    def _check_choices(self) -> None:
        for name, hint in get_type_hints(Config).items():
            value = getattr(self, name)
            if get_origin(hint) is Literal and value not in get_args(hint):
                raise ConfigError(
                    f"setting {name} is {shown(value)}; it can be {' or '.join(get_args(hint))}."
                )

        if self.asking == "live" and self.start == "slices":
            raise ConfigError(
                "setting asking is 'live', which asks one region at a time; start must be regions."
            )
        if self.labels == "verified" and self.asking != "live":
            raise ConfigError(
                "setting labels is 'verified', which needs the live layer's outline; asking must "
                "be live."
            )

    def _check_shares(self) -> None:
        for name in ("dropout", "holdout", "threshold", "repeats", "overlap"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1:
                raise ConfigError(f"setting {name} is {value}; it must be in [0, 1).")
        for name in ("miss_rate", "wrong_rate", "accept_dice"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"setting {name} is {getattr(self, name)}; it must be in [0, 1].")

    def _check_ranges(self) -> None:
        positive = (
            "regions_per_slice", "draws", "regions_per_cycle", "share", "shares",
            "start_regions", "start_slices", "epochs", "steps", "batch", "budget_s",
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
        if self.regions_per_slice > MOST_REGIONS:
            raise ConfigError(
                f"setting regions_per_slice is {self.regions_per_slice}; it can be at most "
                f"{MOST_REGIONS}."
            )
        if not 1 <= self.predict_zoom <= 4:
            raise ConfigError(f"setting predict_zoom is {self.predict_zoom}; it must be in [1, 4].")
        if self.crop is not None and self.crop < 32:
            raise ConfigError(f"setting crop is {self.crop}; it must be at least 32, or None.")

    def _check_people(self) -> None:
        if self.share > self.shares:
            raise ConfigError(
                f"setting share is {self.share} of {self.shares}; it can be 1 to {self.shares}."
            )
        if self.overlap and self.shares == 1:
            raise ConfigError(
                f"setting overlap is {self.overlap}, but nobody else has a share; set shares, too."
            )

    def resolved(
        self,
        *,
        synthetic: bool,
        val_masks: bool,
        test_masks: bool,
        bfloat16: bool | None = None,
    ) -> Resolved:
        """Decide every "auto" and None of the settings, for one dataset.

        Resolving twice changes nothing.

        Parameters
        ----------
        synthetic : bool
            Whether the dataset's scans are synthetic. If so, the network does not first learn from
            other synthetic scans: that would be cheating.
        val_masks : bool
            Whether a mask of the validation part shows infection. Unless `validate` is set, only
            synthetic masks choose epoch and threshold: drawing others costs 96 s each, which no
            curve counts.
        test_masks : bool
            Whether masks of a test part measure the network. If not, held-out answers do.
        bfloat16 : bool, optional
            Whether the device is fast in bfloat16; None leaves `precision` open.
        """
        pretrain_steps = 0 if synthetic else self.pretrain_steps
        start = FROM_SYNTHETIC if pretrain_steps else FROM_IMAGENET
        believes = start if self.distil > 0 else FROM_IMAGENET
        threshold = MASKS_THRESHOLD if self.labels == "full" else believes["threshold"]
        validate = val_masks and (synthetic if self.validate is None else self.validate)
        holdout = (0.0 if test_masks else HOLDOUT) if self.holdout is None else self.holdout
        precision = self.precision
        if precision == "auto" and bfloat16 is not None:
            precision = "bfloat16" if bfloat16 else "float32"
        chosen = {name: start[name] for name in start if getattr(self, name) in (None, "auto")}
        if self.asking == "live" and "start_regions" in chosen:
            chosen["start_regions"] = min(chosen["start_regions"], LIVE_START)
        adapt = self.threshold is None if self.adapt_threshold is None else self.adapt_threshold
        return Resolved(
            **self.to_dict()
            | chosen
            | {
                "pretrain_steps": pretrain_steps,
                "threshold": threshold if self.threshold is None else self.threshold,
                "adapt_threshold": adapt,
                "validate": validate,
                "holdout": 0.0 if validate else holdout,
                "precision": precision,
            }
        )

    def replace(self, **changes: Any) -> Self:  # noqa: ANN401 - the values of any field
        """Return a copy with some settings changed.

        Raises
        ------
        ConfigError
            If a setting is unknown or out of range.
        """
        unknown = changes.keys() - {field.name for field in dataclasses.fields(self)}
        if unknown:
            raise ConfigError(f"unknown setting {', '.join(sorted(unknown))[:80]}.")
        if changes.get("threshold") is not None:  # one that is set is not moved by answers
            changes.setdefault("adapt_threshold", None)
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, for the journal."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Config:
        """Read settings that `to_dict` wrote, without those that were retired.

        Raises
        ------
        ConfigError
            If a setting is unknown or out of range.
        """
        known = {name: value for name, value in values.items() if name not in RETIRED}
        if "ask_bare" in values:  # what is now `ask_in`; it goes on as it began
            known["ask_in"] = "anywhere" if values["ask_bare"] else "body"
            known.setdefault("pretrain_seed", values.get("seed", 0))  # one seed was for both
        for name, value in RETIRED_VALUES.items():
            if known.get(name) == value:
                del known[name]
        return cls().replace(**known)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved(Config):
    """Settings as they take effect on one dataset; see `Config.resolved`."""

    start_regions: int
    loss: Literal["point_ce", "balanced_point", "balanced_answers", "full"]
    epochs: int
    head_rate: float
    validate: bool
    holdout: float
    threshold: float
    adapt_threshold: bool


def retired_settings(values: Mapping[str, Any]) -> tuple[str, ...]:
    """List the retired settings that a journal uses, as ``name=value``.

    Examples
    --------
    >>> retired_settings({"regions": "quadtree", "power": None, "per_second": True, "seed": 0})
    ('per_second=True', 'regions=quadtree')
    """
    gone = {name for name, off in RETIRED.items() if values.get(name, off) != off}
    gone.discard("smallest_region_px")  # it did nothing without regions=quadtree
    gone -= {"ask_bare", "start_in_lungs"}  # `Config.from_dict` has what they say
    gone |= {name for name, value in RETIRED_VALUES.items() if values.get(name) == value}
    return tuple(f"{name}={values[name]}" for name in sorted(gone))


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


TRAINING_SETTINGS = (
    "labels", "ask_in",
    "input_padding", "dropout", "pretrain_steps", "pretrain_seed", "loss", "infected_weight", "crf",
    "prior_answers", "distil", "epochs", "steps", "batch", "crop", "learning_rate", "head_rate",
    "schedule", "freeze", "threshold", "adapt_threshold", "validate", "holdout",
    "predict_zoom", "predict_mirrored", "seed",
)  # fmt: skip
"""What a network follows from, beside its dataset, backbone, weights, device and answers."""

THREADS = {"GOMP_SPINCOUNT": "10000", "OPENBLAS_NUM_THREADS": "1"}
"""For a process that loads torch: a waiting thread spins for some ten microseconds, then sleeps
(ours). With OpenMP's default, idle threads hold up the page and other trainings. Sleeping at once
made a cycle on two cores 1.5 times longer. NumPy's products are small: on one thread the live layer
learns 300 answers many times sooner while a training keeps the cores busy."""

PROGRESS = "ALNB_PROGRESS"
"""Set for a command that a page runs: its progress becomes lines of JSON, under this name."""

PAPER = Config(
    backbone="vgg16",
    input_padding=100,
    ask_in="anywhere",
    start="slices",
    loss="point_ce",
    pretrain_steps=0,
    crf=0.0,
    epochs=40,
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
