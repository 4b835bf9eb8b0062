"""What the explorer says: its sentences and tables, from steps alone."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from alnb.acquisition import Pick
from alnb.annotation import Answer, Verdict
from alnb.arrays import Map
from alnb.config import Config
from alnb.regions import Region
from alnb.ui.explore.recording import Recording, Step, agreement
from alnb.ui.label.page import MARKS, SPOKEN
from alnb.ui.viewer.drawing import MASK_RGB, PREDICTION_RGB, uri

TILES = 13  # in a strip's width
AS_ASKED, BEFORE, AFTER = "as it was asked", "before", "after"
MOMENTS = ("Maps of the network that asked", "Maps of the network that learned from the answers")
NO_NETWORK = "the start: there is no network yet"
NOT_TRAINED = "this cycle was not trained"
COMING = "maps are being made…"
NONE_LEFT = "no region was left to ask"
STAGES = {
    "start": "starting the training process",
    "draw": "drawing synthetic scans", "prepare": "learning from synthetic scans",
    "features": "keeping features", "believe": "noting what it believed before",
    "fit": "training the network again", "score": "scoring regions",
    "predict": "making maps",
}  # fmt: skip
SCORED = {"dice": "Dice", "heldout_accuracy": "held-out accuracy"}
KEY = (
    "<div class='alnb-key'><span><i style='background:linear-gradient(90deg,#000,#781c6d,#ed6925,"
    "#fcffa4)'></i> entropy, 0 to 0.69 nats</span><span><i style='background:rgb"
    f"{PREDICTION_RGB}'></i> predicted infection</span><span><i style='background:rgb{MASK_RGB}'>"
    "</i> mask</span><span><i class='dot'></i> click</span></div>"
)


def not_kept(step: Step) -> str:
    """Say that a network must be trained again, and how long that took."""
    took = f", {step.fit.train_s:.0f} s" if step.fit else ""
    return f"cycle {step.cycle}'s network isn't kept: tick “train again”{took}"


def title(name: str, network: Step | None, region: Region, entropy: Map | None) -> str:
    """Write what stands above a panel."""
    by = "" if network is None else f", network of cycle {network.cycle}"
    if entropy is None:
        return f"{name}{by}"
    mean = float(region.pixels(entropy).mean())
    return f"{name}{by}: {mean:.2f} nats in the region"


def forked(run: Recording, folder: Path, config: Config, cycles: int) -> str:
    """Say where a fork lies and how to go on with it."""
    data = str(run.dataset.folder)
    if any(answer.simulated for answer in run.state.given):
        plain = Config().to_dict()
        settings = [
            word
            for name, value in config.to_dict().items()
            if value != plain[name] and name not in ("heuristic", "seed")
            for word in ("--set", f"{name}={json.dumps(value)}")
        ]
        command = [
            "alnb", "run", data, "--out", str(folder), "--cycles", str(cycles), "--heuristic",
            config.heuristic, "--seed", str(config.seed), *settings,
        ]  # fmt: skip
    else:
        command = ["alnb", "label", data, "--session", str(folder)]
    return f"Forked into {folder}. Go on with: {shlex.join(command)}"


def answer(steps: Sequence[Step], regions: Sequence[Region | None]) -> str:
    """Say what was answered on the region that each recording shows."""
    own = regions[-1:] if len(steps) == 1 else regions  # left, another heuristic's may be
    return " · ".join(
        "nothing was asked"
        if region is None
        else f"{escape(region.where.scan)}, slice {region.where.z}: "
        + _said(step.answers.get(region.key))
        for step, region in zip(steps, own, strict=True)
    )


def _said(answer: Answer | None) -> str:
    if answer is None:
        return "<b>not answered</b>"
    points = answer.points
    set_ = f", {points} {'click' if points == 1 else 'clicks'}" if points else ""
    took = f", {answer.seconds:.1f} s" if answer.seconds else ""
    return f"<b>{SPOKEN[str(answer.verdict)]}</b>{set_}{took}"


def strip(
    name: str, picks: Sequence[Pick], current: Region | None,
    thumbnails: Callable[[Region], bytes], step: Step,
) -> str:  # fmt: skip
    """Draw a row of small pictures of regions, one of them framed."""
    regions = [pick.region for pick in picks]
    at = regions.index(current) if current in regions else 0
    first = max(0, min(at - TILES // 2, len(regions) - TILES))
    shown = regions[first : first + TILES]
    label = f"<b class='alnb-strip-name'>{escape(name)}</b>" if name else ""
    before = f"<span>{first} before</span>" if first else ""
    later = len(regions) - first - len(shown)
    after = f"<span>{later} more</span>" if later else ""
    tiles = "".join(_tile(region, region == current, thumbnails(region), step) for region in shown)
    return f"<div class='alnb-strip'>{label}{before}{tiles}{after}</div>"


def _tile(region: Region, current: bool, png: bytes, step: Step) -> str:
    answer = step.answers.get(region.key)
    mark = str(answer.verdict) if answer else "open"
    text = escape(f"{region.where.scan}, slice {region.where.z}: {SPOKEN[mark]}")
    caption = f"<figcaption>{MARKS[mark]}</figcaption>" if MARKS[mark] else ""
    classes = f"{mark} current" if current else mark
    return (
        f"<figure class='{classes}' title='{text}'><img alt='{text}' src='{uri(png)}'>"
        f"{caption}</figure>"
    )


def facts(names: Sequence[str], steps: Sequence[Step], runs: Sequence[Recording]) -> str:
    """Put a cycle of each recording in a table: its score, answers and cost."""
    rows = [_fact_row(*one) for one in zip(names, steps, runs, strict=True)]
    lines = "".join(rows)
    if len(runs) == 2:
        both, alike = agreement(*runs)
        text = f"{both} regions were answered in both, {alike} of them alike"
        lines += f"<tr><td colspan=2>{text}</td></tr>"
    return f"<table class='alnb-facts'>{lines}</table>"


def _fact_row(name: str, step: Step, run: Recording) -> str:
    asked = escape(step.heuristic) if step.cycle else "the start"
    given = [str(answer.verdict) for answer in step.answers.values()]
    counts = ", ".join(
        f"{given.count(verdict)} {SPOKEN[verdict]}" for verdict in map(str, Verdict)
        if given.count(verdict)
    )  # fmt: skip
    cost = step.report.cost if step.report else step.after.cost
    return (
        f"<tr><th colspan=2>{escape(name)}, cycle {step.cycle}: {asked}</th></tr>"
        f"<tr><td>{SCORED[run.score]}</td><td>{_score(run, step)}</td></tr>"
        f"<tr><td>answers</td><td>{counts or 'none'}</td></tr>"
        f"<tr><td>cost so far</td><td>{cost.nominal_s:.0f} s nominal, {cost.measured_s:.0f} s "
        f"measured</td></tr>"
    )


def _score(run: Recording, step: Step) -> str:
    values = {row["cycle"]: row[run.score] for row in run.rows}
    now, earlier = values.get(step.cycle, math.nan), values.get(step.cycle - 1, math.nan)
    if math.isnan(now):
        return "not measured"
    if math.isnan(earlier):
        return f"{now:.3f}"
    change = f"{now - earlier:+.3f}".replace("-", "\N{MINUS SIGN}")
    return f"{earlier:.3f} → <b>{now:.3f}</b> ({change})"


def would(heuristic: str, picks: Sequence[Sequence[Pick]]) -> str:
    """Say how many of the regions another heuristic would have asked were asked."""
    if not heuristic:
        return ""
    others, asked = ({pick.region.key for pick in one} for one in picks)
    if not others:
        return ""
    same = len(others & asked)
    return (
        f"<div class='alnb-small'>{escape(heuristic)} would have asked {len(others)} regions, "
        f"{same} of them the same.</div>"
    )
