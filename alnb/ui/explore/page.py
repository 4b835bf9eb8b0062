"""The explorer's widgets in their places, and the sentences and tables that stand in them."""

from __future__ import annotations

import contextlib
import json
import math
import shlex
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

import ipywidgets as widgets

from alnb.acquisition import Pick
from alnb.annotation import Verdict
from alnb.config import Config
from alnb.errors import log_to, sentence_of, user_log_folder
from alnb.regions import Region
from alnb.session import Session
from alnb.storage import names_of
from alnb.ui.explore.recording import CHOICES, ExplorerState, Recording, Step, agreement
from alnb.ui.parts import CSS, MARKS, SPOKEN, failure_page, message_html, room, whole_window
from alnb.ui.viewer.charts import CurveChart
from alnb.ui.viewer.drawing import MASK_RGB, PREDICTION_RGB, uri
from alnb.ui.viewer.pair_view import PairView

PLAY_MS = 1500  # ours: long enough to compare before with after
KEYS = {
    "ArrowLeft": ("cycle", -1), "ArrowRight": ("cycle", 1),
    "ArrowUp": ("region", -1), "ArrowDown": ("region", 1),
}  # fmt: skip
TILES = 13  # in a strip's width
AS_ASKED, BEFORE, AFTER = "as it was asked", "before", "after"
MOMENTS = ("Maps of the network that asked", "Maps of the network that learned from the answers")
NO_NETWORK = "This is the start: there is no network yet."
NOT_TRAINED = "No network was trained in this cycle."
COMING = "The maps are being computed…"
NONE_LEFT = "No region was left to ask about."
WAIT = "wait"  # until the training process says what it does
STAGES = {
    WAIT: "waiting for the training process",
    "draw": "drawing synthetic scans", "prepare": "learning from synthetic scans",
    "features": "keeping features", "believe": "noting what the network predicts before training",
    "fit": "training the network again", "score": "scoring regions",
    "predict": "computing maps",
}  # fmt: skip
SCORED = {"dice": "Dice", "heldout_accuracy": "held-out accuracy"}
KEY = (
    "<div class='alnb-key'><span><i style='background:linear-gradient(90deg,#000,#781c6d,#ed6925,"
    "#fcffa4)'></i> entropy, 0 to 0.69 nats</span><span><i style='background:rgb"
    f"{PREDICTION_RGB}'></i> predicted infection</span><span><i style='background:rgb{MASK_RGB}'>"
    "</i> mask</span><span><i class='dot'></i> click</span></div>"
)


class ExplorerPage:
    """All widgets of the explorer, in their places, for one recording or two.

    `widget` is the whole. `number` is of the region in its cycle, from 1.
    `moment` chooses whose maps two runs show, and `again` whether networks that were not kept are
    trained again. `follow` stands on the page while somebody labels.
    """

    def __init__(self, recordings: Sequence[Recording]) -> None:
        self.names = names_of([recording.folder for recording in recordings])
        first = recordings[0]
        self.view = PairView((first.dataset.size,) * 2, shortcuts=tuple(KEYS))
        self.view.tap.command = "alnb explore"
        self.chart = CurveChart(self.names, first.score)
        self.cycle = _slider("cycle", 0, "440px")
        self.play = widgets.Play(
            min=0, max=0, interval=PLAY_MS, show_repeat=False, layout={"width": "112px"}
        )
        self._link = widgets.jslink((self.play, "value"), (self.cycle, "value"))
        self.back = _button("‹", "36px", "The cycle before (←)")
        self.forward = _button("›", "36px", "The next cycle (→)")
        self.jump = _button(
            "Largest change", "auto", f"The cycle in which {SCORED[first.score]} changes most"
        )
        self.leave = _button("‹ Start page", "110px", "Back to the start page")
        self.leave.layout.display = "none"
        self.number = _slider("region", 1, "280px")
        self.moment = widgets.ToggleButtons(
            options=[BEFORE, AFTER], value=AFTER, tooltips=list(MOMENTS),
            style={"button_width": "80px"},
        )  # fmt: skip
        self.layers = {
            "entropy": _toggle("entropy", True), "prediction": _toggle("prediction", True),
            "mask": _toggle("mask", first.dataset.has_masks), "grid": _toggle("grid", False),
        }  # fmt: skip
        self.layers["mask"].disabled = not first.dataset.has_masks
        self.zoom = _toggle("zoom", False)
        self.same = _toggle("the left region on both sides", True)
        self.opacity = widgets.FloatSlider(
            value=0.6, min=0.1, max=1, step=0.1, description="opacity", readout=False,
            layout={"width": "200px"}, style={"description_width": "52px"},
        )  # fmt: skip
        self.heuristic = widgets.Dropdown(
            options=[AS_ASKED, *CHOICES], description="ask by", layout={"width": "220px"},
            style={"description_width": "46px"},
        )  # fmt: skip
        self.fork = _button("Fork here", "110px", "A new session that begins before this cycle")
        self.again = _toggle("train again what was not kept", False)
        self.follow = _toggle("follow the labelling that goes on now", False)
        self.follow.layout.display = "none"
        self._message, self._text, self._strips, self._facts, self._bar, self._would = (
            widgets.HTML() for _ in range(6)
        )
        self.reach(recordings)
        self.widget = self._arranged(recordings)

    def _arranged(self, recordings: Sequence[Recording]) -> widgets.Widget:
        steps = _row([self.play, self.back, self.cycle, self.forward, self.jump])
        regions = _row([self.number, self._text])
        left = [steps, room(self.view.widget), widgets.HTML(KEY), regions, self._strips]
        self.view.tap.on_room("alnb-charts", self.chart.resize)
        self.view.tap.on_drawn("alnb-charts", self.chart.figure.catch_up)
        if len(recordings) > 1:
            asking = [_row([widgets.Label("maps"), self.moment]), self.same]
        else:
            asking = [_row([self.heuristic, self.fork]), self._would]
        right = [
            self._facts, *asking,
            _row([*self.layers.values()]), _row([self.opacity, self.zoom]),
            self.again, self.follow, self._bar, self._message,
        ]  # fmt: skip
        title = f"{recordings[0].dataset.name} · {' and '.join(self.names)}"
        return whole_page(
            "explorer", title, left, [room(self.chart.widget)], right,
            hint="← → cycles, ↑ ↓ regions", leave=self.leave,
        )  # fmt: skip

    @property
    def visible(self) -> frozenset[str]:
        """The layers that are switched on."""
        return frozenset(name for name, toggle in self.layers.items() if toggle.value)

    def reach(self, recordings: Sequence[Recording]) -> None:
        """Let the slider reach the last cycle; the chosen one stays."""
        self.cycle.max = self.play.max = max(len(one.steps) for one in recordings) - 1
        self.play.disabled = (
            self.play.max == 0
        )  # there is nowhere to go; at the end it starts again

    def written(self, held: bool) -> None:
        """Offer to follow while somebody labels."""
        self.follow.layout.display = None if held else "none"

    @property
    def offers_to_follow(self) -> bool:
        """Whether somebody labels."""
        return bool(self.follow.layout.display != "none")

    def limit(self, cycle: int, regions: int) -> None:
        """Let the sliders and buttons reach what there is."""
        self.number.max = max(1, regions)
        self.back.disabled, self.forward.disabled = cycle == 0, self.cycle.value == self.cycle.max
        self.heuristic.disabled = self.fork.disabled = cycle == 0

    def show(
        self, state: ExplorerState, thumbnails: Callable[[Region], bytes], message: str
    ) -> None:
        """Show the words and the curve of the chosen cycle.

        Parameters
        ----------
        state : ExplorerState
        thumbnails : callable
            Gives a region's PNG.
        message : str
            A sentence for the person; empty for none.
        """
        steps, regions = state.steps, [side.region for side in state.sides]
        self.chart.show([r.rows for r in state.recordings], [step.cycle for step in steps])
        self._message.value = message_html(message)
        answers = _answers(steps, regions)
        self._text.value = f"<div class='alnb-question' role='status'>{answers}</div>"
        names = [f"{state.chosen} would ask", "asked"] if state.what_if else state.names
        self._strips.value = "".join(
            _strip(name if len(state.picks) > 1 else "", picks, region, thumbnails, step)
            for name, picks, region, step in zip(
                names, state.picks, regions, [*steps, *steps], strict=False
            )
        )
        self._facts.value = _facts(state)
        self._would.value = _would(state)

    def progress(self, stage: str, done: int, total: int) -> None:
        """Show how far the training process is.

        Parameters
        ----------
        stage : str
            One of `STAGES`.
        done, total : int
            Steps of it; a total of 0 shows nothing.
        """
        if not total:
            self._bar.value = ""
            return
        percent = round(100 * done / total)
        count = f": {done} of {total}" if done else ""
        self._bar.value = (
            f"<div class='alnb-bar' role='progressbar' aria-valuenow='{percent}'>"
            f"<div style='width:{percent}%'></div></div><div class='alnb-small'>"
            f"{STAGES.get(stage, stage)}{count}</div>"
        )


def whole_page(
    name: str,
    title: str,
    left: list[widgets.Widget],
    *right: list[widgets.Widget],
    hint: str = "",
    leave: widgets.Widget | None = None,
) -> widgets.Widget:
    """Put a page's widgets in two columns below its title.

    Parameters
    ----------
    name : str
        Of its style sheet beside this module, and of its CSS class.
    title : str
        Plain text.
    left, *right
        As for `whole_window`.
    hint : str
        At the end of the title's line.
    leave : ipywidgets.Widget, optional
        A button after it.
    """
    style = Path(__file__).with_name(f"{name}.css").read_text(encoding="utf-8")
    head = widgets.HTML(
        f"<style>{CSS}{style}</style><div class='alnb-head'><span><h1>alnb</h1>{escape(title)}"
        f"</span><span class='quiet'>{hint}</span></div>"
    )
    whole = widgets.VBox([whole_window([head, *([leave] if leave else [])], left, *right)])
    for css_class in ("alnb-app", f"alnb-{name}"):
        whole.add_class(css_class)
    return whole


def page_or_sentence(make: Callable[[], widgets.Widget]) -> widgets.Widget:
    """Make a page; what goes wrong stands in its place, since Voila would show nothing."""
    with contextlib.suppress(OSError):  # of the log
        log_to(user_log_folder())  # the runs' own folders are only read
    try:
        return make()
    except Exception as error:
        return failure_page(sentence_of(error))


def _slider(name: str, first: int, width: str) -> widgets.IntSlider:
    return widgets.IntSlider(
        value=first, min=first, max=first, description=name, layout={"width": width},
        style={"description_width": "50px"},
    )  # fmt: skip


def _button(text: str, width: str, tooltip: str) -> widgets.Button:
    layout = {"width": width, "margin": "0 4px 0 0"}
    return widgets.Button(description=text, tooltip=tooltip, layout=layout)


def _toggle(text: str, on: bool) -> widgets.Checkbox:
    layout = {"width": "auto", "margin": "0 10px 0 0"}
    return widgets.Checkbox(value=on, description=text, indent=False, layout=layout)


def _row(children: list[widgets.Widget]) -> widgets.Widget:
    layout = {"align_items": "center", "overflow": "hidden", "flex": "0 0 auto"}
    return widgets.HBox(children, layout=layout)


def not_kept(step: Step) -> str:
    """Say that a network must be trained again, and how long that took."""
    took = f", which took {step.fit.train_s:.0f} s" if step.fit else ""
    return f"The network of cycle {step.cycle} was not kept. Tick “train again”{took}."


def how_to_go_on(fork: Session, cycles: int) -> str:
    """Say where a fork lies and how to go on with it, for `cycles` if its answers are simulated."""
    data, folder, config = str(fork.dataset.folder), fork.journal.path.parent, fork.state.config
    command = ["alnb", "label", data, "--session", str(folder)]
    if any(answer.simulated for answer in fork.state.given):
        command = [
            "alnb", "run", data, "--out", str(folder), "--cycles", str(cycles), "--heuristic",
            config.heuristic, "--seed", str(config.seed),
        ]  # fmt: skip
        plain = Config().to_dict() | {"heuristic": config.heuristic, "seed": config.seed}
        for name, value in config.to_dict().items():
            if value != plain[name]:
                command += ["--set", f"{name}={json.dumps(value)}"]
    return f"Forked into {folder}. Go on with: {shlex.join(command)}"


def _answers(steps: Sequence[Step], regions: Sequence[Region | None]) -> str:
    """Say what was answered on the region that each recording shows."""
    own = regions[-1:] if len(steps) == 1 else regions  # the left one may be another heuristic's
    return " · ".join(_answer(*pair) for pair in zip(steps, own, strict=True))


def _answer(step: Step, region: Region | None) -> str:
    if region is None:
        return "nothing was asked"
    where = f"{escape(region.where.scan)}, slice {region.where.number}"
    answer = step.answers.get(region.key)
    if answer is None:
        return f"{where}: <b>not answered</b>"
    clicks = f", {counted(answer.points, 'click')}" if answer.points else ""
    took = f", {answer.seconds:.1f} s" if answer.seconds else ""
    return f"{where}: <b>{SPOKEN[str(answer.verdict)]}</b>{clicks}{took}"


def counted(number: int, word: str) -> str:
    """Count things: ``counted(2, "run")`` is "2 runs"."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _strip(
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
    text = escape(f"{region.where.scan}, slice {region.where.number}: {SPOKEN[mark]}")
    caption = f"<figcaption>{MARKS[mark]}</figcaption>" if MARKS[mark] else ""
    classes = f"{mark} current" if current else mark
    picture = f"<img alt='{text}' src='{uri(png)}'>"
    return f"<figure class='{classes}' title='{text}'>{picture}{caption}</figure>"


def _facts(state: ExplorerState) -> str:
    """Put a cycle of each recording in a table: its score, answers and cost."""
    runs = zip(state.names, state.steps, state.recordings, strict=True)
    lines = "".join(_fact_row(*run) for run in runs)
    if len(state.recordings) == 2:
        both, alike = agreement(*state.recordings)
        text = f"{counted(both, 'region')} answered in both, {alike} of them alike"
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


def _would(state: ExplorerState) -> str:
    """Say how many of the regions that another heuristic would have asked were asked."""
    others, asked = ({pick.region.key for pick in one} for one in (state.picks * 2)[:2])
    if not (state.what_if and others):
        return ""
    return (
        f"<div class='alnb-small'>{escape(state.chosen)} would have asked {len(others)} regions; "
        f"{len(others & asked)} of them were asked.</div>"
    )
