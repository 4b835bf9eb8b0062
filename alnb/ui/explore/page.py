"""The explorer's widgets, in their places."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

import ipywidgets as widgets

from alnb.acquisition import Pick
from alnb.curves.compare import names_of
from alnb.regions import Region
from alnb.ui.explore import words
from alnb.ui.explore.recording import CHOICES, Recording, Step
from alnb.ui.label.page import CSS, columns
from alnb.ui.viewer.charts import CurveChart
from alnb.ui.viewer.pair_view import PairView

STYLE = Path(__file__).with_name("explorer.css").read_text(encoding="utf-8")
PLAY_MS = 1500  # ours: long enough to compare before with after
KEYS = {
    "ArrowLeft": ("cycle", -1), "ArrowRight": ("cycle", 1),
    "ArrowUp": ("region", -1), "ArrowDown": ("region", 1),
}  # fmt: skip


class ExplorerPage:
    """All widgets of the explorer, in their places.

    Parameters
    ----------
    recordings : sequence of one or two Recording

    Attributes
    ----------
    widget : ipywidgets.Widget
        The whole, 1248 pixels wide.
    cycle, number : ipywidgets.IntSlider
        Which cycle, and which of its regions, from 1.
    moment : ipywidgets.ToggleButtons
        Whose maps two runs show: of the network before or after.
    heuristic : ipywidgets.Dropdown
        What would have been asked.
    again : ipywidgets.Checkbox
        Whether networks that are not kept are trained again.
    follow : ipywidgets.Checkbox
        Whether the page goes where the labelling is; shown while there is some.
    """

    def __init__(self, recordings: Sequence[Recording]) -> None:
        self.recordings = recordings
        self.names = names_of([recording.folder for recording in recordings])
        first = recordings[0]
        last = max(len(recording.steps) for recording in recordings) - 1
        self.view = PairView((first.dataset.size,) * 2, shortcuts=tuple(KEYS))
        self.view.tap.command = "alnb explore"
        self.chart = CurveChart(self.names, first.score)
        self.cycle = _slider("cycle", 0, last, "440px")
        self.play = widgets.Play(
            min=0, max=max(last, 0), interval=PLAY_MS, show_repeat=False,
            layout=widgets.Layout(width="112px"),
        )  # fmt: skip
        self._link = widgets.jslink((self.play, "value"), (self.cycle, "value"))
        self.back = _button("‹", "36px", "The cycle before (←)")
        self.forward = _button("›", "36px", "The next cycle (→)")
        self.jump = _button(
            "Largest change", "140px", f"Where {words.SCORED[first.score]} changes most"
        )
        self.number = _slider("region", 1, 1, "340px")
        self.moment = widgets.ToggleButtons(
            options=[words.BEFORE, words.AFTER], value=words.AFTER,
            tooltips=list(words.MOMENTS),
            style={"button_width": "80px"},
        )  # fmt: skip
        self.layers = {
            "entropy": _toggle("entropy", True), "prediction": _toggle("prediction", True),
            "mask": _toggle("mask", first.dataset.has_masks), "grid": _toggle("grid", False),
        }  # fmt: skip
        self.layers["mask"].disabled = not first.dataset.has_masks
        self.zoom = _toggle("zoom", False)
        self.opacity = widgets.FloatSlider(
            value=0.6, min=0.1, max=1, step=0.1, description="opacity", readout=False,
            layout=widgets.Layout(width="200px"), style={"description_width": "52px"},
        )  # fmt: skip
        self.heuristic = widgets.Dropdown(
            options=[words.AS_ASKED, *CHOICES], description="ask by", layout={"width": "220px"},
            style={"description_width": "46px"},
        )  # fmt: skip
        self.fork = _button("Fork here", "110px", "A new session from before this cycle")
        self.again = _toggle("train again what is not kept", False)
        self.follow = _toggle("follow the labelling, which goes on now", False)
        self.follow.layout.display = "none"
        self._would = widgets.HTML()
        self._message, self._text, self._strips, self._facts, self._bar = (
            widgets.HTML() for _ in range(5)
        )
        self.widget = self._arranged()

    def _arranged(self) -> widgets.Widget:
        dataset = escape(self.recordings[0].dataset.name)
        names = " and ".join(map(escape, self.names))
        head = widgets.HTML(
            f"<style>{CSS}{STYLE}</style><div class='alnb-head'><span><h1>alnb</h1>"
            f"{dataset} · {names}</span><span class='quiet'>← → cycles, ↑ ↓ regions</span></div>"
        )
        two = len(self.recordings) > 1
        steps = [self.play, self.back, self.cycle, self.forward, self.jump]
        regions = [self.number, self._text]
        left = [_row(steps), self.view.widget, widgets.HTML(words.KEY), _row(regions), self._strips]
        moment = _row([widgets.Label("maps"), self.moment])
        asking = [moment] if two else [_row([self.heuristic, self.fork]), self._would]
        right = widgets.VBox([
            self.chart.widget, self._facts, *asking,
            _row([*self.layers.values()]), _row([self.opacity, self.zoom]),
            self.again, self.follow, self._bar, self._message,
        ])  # fmt: skip
        whole = widgets.VBox([head, columns(left, [right])])
        whole.add_class("alnb-app")
        whole.add_class("alnb-explorer")
        return whole

    @property
    def visible(self) -> frozenset[str]:
        """The layers that are switched on."""
        return frozenset(name for name, toggle in self.layers.items() if toggle.value)

    def renew(self, recordings: Sequence[Recording]) -> None:
        """Reach the cycles that have come; the chosen one stays."""
        self.recordings = recordings
        last = max(len(recording.steps) for recording in recordings) - 1
        self.cycle.max = self.play.max = last

    def written(self, held: bool) -> None:
        """Offer to follow while somebody labels."""
        self.follow.layout.display = None if held else "none"

    @property
    def offers_to_follow(self) -> bool:
        """Whether somebody labels, as far as is known."""
        return bool(self.follow.layout.display != "none")

    def limit(self, cycle: int, regions: int) -> None:
        """Let the sliders and buttons reach what there is."""
        self.number.max = max(1, regions)
        self.back.disabled, self.forward.disabled = cycle == 0, self.cycle.value == self.cycle.max
        self.heuristic.disabled = self.fork.disabled = cycle == 0

    def show(
        self,
        *,
        steps: Sequence[Step],
        regions: Sequence[Region | None],
        picks: Sequence[Sequence[Pick]],
        would: str,
        thumbnails: Callable[[Region], bytes],
        message: str,
    ) -> None:
        """Show the words and the curve of the chosen cycle.

        Parameters
        ----------
        steps : sequence of Step
            Of each recording.
        regions : sequence of two Region or None
            What the view shows, left and right.
        picks : sequence of sequences of Pick
            A strip each.
        would : str
            The heuristic that is asked what it would have asked; empty for none.
        thumbnails : callable
            Gives a region's PNG.
        message : str
            A sentence for the person; empty for none.
        """
        self.chart.show([r.rows for r in self.recordings], [step.cycle for step in steps])
        warn = f"<div class='alnb-message' role='alert'>{escape(message)}</div>" if message else ""
        _set(self._message, warn)
        _set(
            self._text,
            f"<div class='alnb-question' role='status'>{words.answer(steps, regions)}</div>",
        )
        names = [f"{would} would ask", "asked"] if would else list(self.names)
        strips = [
            words.strip(name if len(picks) > 1 else "", chosen, region, thumbnails, step)
            for name, chosen, region, step in zip(
                names, picks, regions, [*steps, *steps], strict=False
            )
        ]
        _set(self._strips, "".join(strips))
        _set(self._facts, words.facts(self.names, steps, self.recordings))
        _set(self._would, words.would(would, picks))

    def progress(self, stage: str, done: int, total: int) -> None:
        """Show how far the training process is; total 0 for nothing."""
        if not total:
            _set(self._bar, "")
            return
        percent = round(100 * done / total)
        count = f": {done} of {total}" if done else ""
        _set(self._bar, (
            f"<div class='alnb-bar' role='progressbar' aria-valuenow='{percent}'>"
            f"<div style='width:{percent}%'></div></div><div class='alnb-small'>"
            f"{words.STAGES.get(stage, stage)}{count}</div>"
        ))  # fmt: skip


def _slider(name: str, first: int, last: int, width: str) -> widgets.IntSlider:
    return widgets.IntSlider(
        value=first, min=first, max=max(first, last), description=name,
        layout=widgets.Layout(width=width), style={"description_width": "50px"},
    )  # fmt: skip


def _button(text: str, width: str, tooltip: str) -> widgets.Button:
    return widgets.Button(
        description=text, tooltip=tooltip, layout=widgets.Layout(width=width, margin="0 4px 0 0")
    )


def _toggle(text: str, on: bool) -> widgets.Checkbox:
    return widgets.Checkbox(
        value=on, description=text, indent=False,
        layout=widgets.Layout(width="auto", margin="0 10px 0 0"),
    )  # fmt: skip


def _row(children: list[widgets.Widget]) -> widgets.Widget:
    return widgets.HBox(
        children, layout=widgets.Layout(align_items="center", overflow="hidden", flex="0 0 auto")
    )


def _set(widget: widgets.HTML, value: str) -> None:
    if widget.value != value:
        widget.value = value
