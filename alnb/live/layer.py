"""The live layer: answers in, maps and scores of regions out."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alnb.acquisition import RegionScores, heuristics_of
from alnb.annotation import Answer, Click, Verdict, point_labels
from alnb.arrays import INFECTED, Map, Mask
from alnb.config import Config, RegionScore
from alnb.dataset import Dataset, SliceId
from alnb.live.cells import FEATURES, KEPT, Cells, Published
from alnb.live.logistic import Logistic, sigmoid
from alnb.metrics import Scores
from alnb.posterior import Posterior
from alnb.regions import Region, Tiling, tiling

# Ours, chosen by cross-validation in the train parts of medseg and covid19b_pseudo, and for an
# untaught network on the phantom; figures in notebooks/results. True: if the network has learned.
INFECTED_WORTH = {True: 0.3, False: 0.5}  # of a click, in observations
MARKED = 8.0  # of a click while its region is answered, if the network has learned
OUTLINED = 0.5  # of the inside of an outline that was found right, together
HOLD = 1.0  # of the other cells of an infected region, together, if the network has learned
PRECISION = {True: (20.0, 1.0), False: (2.0, 0.05)}  # of w's prior: features, constant
CAUTION = 8.0  # answers of either verdict from which half of the constant is believed
Marks = tuple[Region, Sequence[Click]]
EXACT = 64  # ours: slices ranked by all cells; of more, those ranked best by every fourth cell


@dataclass(frozen=True, slots=True)
class Basis:
    """The network under the layer."""

    weights: str  # its name
    threshold: float = 0.5  # its infection probability from which a pixel counts as infected
    learned: bool = True  # whether it has learned what infection is, from anything


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """What one answer says: N cells, with targets in [0, 1] and weights."""

    cells: Cells  # (N, 2 + FEATURES): logit, features, 1
    targets: NDArray[np.float32]
    weights: NDArray[np.float32]


class Live:
    """Learn from answers at once, on what one network has published of a dataset.

    Parameters
    ----------
    dataset : Dataset
    config : Config
        Heuristic, regions.
    cache : Path
        Where `features_path` is.
    basis : Basis
    """

    def __init__(self, dataset: Dataset, config: Config, cache: Path, basis: Basis) -> None:
        self.basis = basis
        self.answers: tuple[Answer, ...] = ()  # those of the last `learn`
        self._dataset = dataset
        self._slices = Published(dataset.size, cache, basis.weights, basis.threshold)
        self._heuristics, self._how = heuristics_of(config), config.region_score
        self._own = config.heuristic if config.heuristic in self._heuristics else "entropy"
        self._k = config.regions_per_slice
        self._regions: Tiling = tiling(dataset, config)
        self._same = config.regions == "grid"  # for all slices
        self._shares: dict[tuple[SliceId | None, int], NDArray[np.float32]] = {}
        self._rows: dict[Hashable, _Rows | None] = {}
        features, constant = PRECISION[basis.learned]
        self._precision = np.append(np.full(FEATURES, features), constant)
        self.learn(())

    # --- learning ---

    def learn(self, answers: Sequence[Answer], marks: Marks | None = None) -> None:
        """Forget what was learned, and learn these answers; those of unpublished slices wait.

        Parameters
        ----------
        answers : sequence of Answer
        marks : (Region, clicks), optional
            Clicks in a published region that are no answer yet, learned beside them.
        """
        self.answers = tuple(answers)
        said = {content_of(answer): answer for answer in self.answers}
        self._rows = {key: self._rows.get(key) or self._said(said[key]) for key in said}
        rows = [one for one in self._rows.values() if one is not None]
        clean = sum(not one.targets.any() for one in rows)
        fewer = min(clean, len(rows) - clean + (marks is not None))
        if marks is not None:
            rows += self._marked(*marks, worth=MARKED if self.basis.learned else None)
        self._last = Logistic.prior(self._precision)
        if rows:
            joined = (
                np.concatenate([getattr(one, name) for one in rows])
                for name in ("cells", "targets", "weights")
            )
            self._last = Logistic.fitted(self._precision, *joined)
        if self.basis.learned:
            self._last = self._last.cautious(fewer / (fewer + CAUTION))

    def _said(self, answer: Answer) -> _Rows | None:
        """Turn an answer into rows; None if it says nothing, or its slice is not published."""
        region = answer.region
        if answer.verdict is Verdict.SKIPPED or not self.published(region.where):
            return None
        size = (self._dataset.size, self._dataset.size)
        labels = point_labels([answer], size)
        inside = self._slices.share(region.drawn(size))
        infected = self._slices.share(labels == INFECTED)
        if answer.verdict is Verdict.CLEAN or (answer.outlines and not answer.verified):
            return self._shared(region.where, inside, infected / np.maximum(inside, 1e-6), 1.0)
        parts = self._marked(region, answer.clicks)
        if answer.verified:
            parts.append(self._shared(region.where, infected, np.ones_like(inside), OUTLINED))
        return _Rows(*(np.concatenate([getattr(one, field.name) for one in parts])
                       for field in dataclasses.fields(_Rows)))  # fmt: skip

    def _marked(
        self, region: Region, clicks: Sequence[Click], worth: float | None = None
    ) -> list[_Rows]:
        """Say what clicks in a region say; the rest of it holds what the network believes."""
        parts = [self._click(region.where, click, worth) for click in clicks]
        if self.basis.learned:
            inside = self._slices.share(region.drawn((self._dataset.size, self._dataset.size)))
            logit = self._slices.cells(region.where)[:, 0].reshape(inside.shape)
            parts.append(self._shared(region.where, inside, sigmoid(logit), HOLD))
        return parts

    def _click(self, where: SliceId, click: Click, worth: float | None) -> _Rows:
        """Say what a click says, of the features where it fell."""
        cell, label = self._slices.at(where, *click.pixel), click.label
        if worth is None:
            worth = INFECTED_WORTH[self.basis.learned] if label == INFECTED else 1.0
        return _Rows(cell[None], np.full(1, label, np.float32), np.full(1, worth, np.float32))

    def _shared(self, where: SliceId, inside: Map, targets: Map, worth: float) -> _Rows:
        """Share one observation among cells, as far as they lie inside."""
        used = inside.ravel() > 0
        weights = inside.ravel()[used]
        return _Rows(
            self._slices.cells(where)[used],
            targets.ravel()[used].astype(np.float32),
            (worth * weights / weights.sum()).astype(np.float32),
        )

    # --- what it says ---

    def published(self, where: SliceId) -> bool:
        """Tell whether the network has published a slice."""
        return where in self._slices

    def infection(self, where: SliceId) -> Map:
        """Compute the infection probability of a slice, (H, W); `segment` cuts it at 0.5."""
        return sigmoid(self._odds(where))

    def segment(self, where: SliceId) -> Mask:
        """Tell where a slice is infected, (H, W)."""
        return self._odds(where) >= 0

    def _odds(self, where: SliceId) -> Map:
        """Compute log odds of infection, (H, W)."""
        moved = self._last.moved(self._slices.cells(where))
        return self._slices.odds(where, moved.reshape(self._slices.side, -1))

    def entropy(self, where: SliceId) -> Map:
        """Compute the predictive entropy of a slice, (H, W), nats."""
        entropy = self._last.posterior(self._slices.cells(where)).predictive_entropy
        return np.maximum(self._slices.enlarged(entropy), 0)

    def posterior(self, where: SliceId) -> Posterior:
        """Describe what is believed of a slice, and how surely: (H, W) maps, between its cells."""
        cells = self._last.posterior(self._slices.cells(where))
        mean, expected = map(self._slices.enlarged, (cells.mean, cells.expected_entropy))
        return Posterior(np.clip(mean, 0, 1), np.maximum(expected, 0), cells.draws)

    def measure(self, where: SliceId) -> Scores:
        """Compare with the mask of a slice."""
        return Scores.of(self.segment(where), self._dataset.mask(where))

    # --- what to ask ---

    def score(self, slices: Sequence[SliceId]) -> dict[str, NDArray[np.float64]]:
        """Score the regions of slices by each heuristic, as a `cycle.Learner` does.

        Of more than `EXACT` slices the best are found by every fourth cell, and only they are
        scored. The others, and slices that are not published, have NaN.
        """
        rows = np.array([n for n, where in enumerate(slices) if self.published(where)], dtype=int)
        if len(rows) > EXACT:
            roughly = self._scored([slices[n] for n in rows], 2)[self._own]
            best = np.nan_to_num(roughly, nan=-np.inf).max(axis=1)
            rows = rows[np.sort(np.argsort(-best, kind="stable")[:EXACT])]
        tables = {name: np.full((len(slices), self._k), np.nan) for name in self._heuristics}
        if len(rows):
            for name, values in self._scored([slices[n] for n in rows], 1).items():
                tables[name][rows] = values
        return tables

    def _scored(self, slices: Sequence[SliceId], every: int) -> dict[str, NDArray[np.float64]]:
        """Score slices by every cell, or every second in each direction: (N, K) a heuristic."""
        heuristics = self._heuristics if every == 1 else {self._own: self._heuristics[self._own]}
        tables = {name: np.full((len(slices), self._k), np.nan) for name in heuristics}
        for n, where in enumerate(slices):
            read = self._slices.cells if every == 1 else self._slices.few_cells
            posterior = self._last.posterior(read(where))
            maps = np.stack([h(posterior).ravel() for h in heuristics.values()], axis=1)
            values = _reduced(maps, self._shares_of(where, every), self._how)
            for name, column in zip(heuristics, values.T, strict=True):
                tables[name][n, : len(column)] = column
        return tables

    def _shares_of(self, where: SliceId, every: int) -> NDArray[np.float32]:
        """Tell how much of each region lies in each cell, (K, cells); rows add up to 1."""
        key = (None if self._same else where, every)
        if key not in self._shares:
            size = (self._dataset.size, self._dataset.size)
            begin = every - 1
            if len(self._shares) > KEPT:
                self._shares.clear()
            shares = np.array([
                self._slices.share(region.drawn(size))[begin::every, begin::every].ravel()
                for region in self._regions(where)
            ])  # fmt: skip
            with np.errstate(invalid="ignore"):  # of one that holds no cell
                self._shares[key] = shares / shares.sum(axis=1, keepdims=True)
        return self._shares[key]


def content_of(answer: Answer) -> Hashable:
    """Name what the layer learns from an answer."""
    return answer.region.key, answer.verdict, answer.clicks, answer.outlines


def _reduced(maps: Map, shares: NDArray[np.float32], how: RegionScore) -> RegionScores:
    """Reduce scores of cells, (cells, S), to scores of regions, (K, S); NaN where none is held."""
    if how == "max":
        inside = np.where(shares > 0, 0, -np.inf)[..., None]
        highest = (inside + maps).max(axis=1)
        return np.where(np.isfinite(highest), highest, np.nan)
    found: RegionScores = (shares @ maps.astype(np.float32)).astype(np.float64)
    return found
