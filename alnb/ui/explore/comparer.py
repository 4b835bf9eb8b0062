"""Compare any number of runs on one chart: bands, areas, conclusions, and a button to save them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from alnb.curves.charts import AXES, SCORES
from alnb.curves.compare import (
    BY_RUN,
    BY_SETTINGS,
    CAPTION,
    Comparison,
    Run,
    agreement_html,
    agreement_of,
    find_runs,
    group,
    natural_grouping,
    read_runs,
    summary_html,
    write,
)
from alnb.errors import sentence_of
from alnb.ui.explore.page import counted, page_or_sentence, whole_page
from alnb.ui.parts import Message, message_html, room
from alnb.ui.viewer.charts import fit, still
from alnb.ui.viewer.drawing import figure_box
from alnb.ui.viewer.figure import LiveFigure
from alnb.ui.viewer.input import Tap

WIDTH, HEIGHT = 848, 560  # of the chart, at first
TARGET = "alnb-compare-chart"
OUT = "alnb-compare"  # the folder that is written where none is named
BLANK: dict[str, Any] = {  # every property that a trace may have, so that none is kept
    "type": "scatter", "name": None, "x": [], "y": [], "customdata": None, "mode": "lines",
    "line": {}, "marker": {}, "opacity": 1, "fill": "none", "fillcolor": None,
    "hoverinfo": None, "hovertemplate": None, "showlegend": True, "visible": True,
}  # fmt: skip
EMPTY = BLANK | {"visible": False}


def compare_app(*runs: Path | str, out: Path | str | None = None) -> widgets.Widget:
    """Compare the curves of runs and sessions of one dataset, or say why they can't be shown.

    They are only read, and may be open elsewhere.

    Parameters
    ----------
    *runs : path
        Their folders, or folders above them; none takes those in ``ALNB_RUNS``.
    out : path, optional
        Where figure and data are saved; None takes ``ALNB_OUT``, or a folder beside the work.
    """
    named = os.environ.get("ALNB_RUNS", ".").split(os.pathsep)

    def opened() -> widgets.Widget:
        read = read_runs(find_runs([Path(run) for run in runs or named]))
        return Comparer(read, Path(out or os.environ.get("ALNB_OUT", OUT))).widget

    return page_or_sentence(opened)


class Comparer:
    """The page that compares `runs`, at least one; `widget` is what to show.

    `x`, `y` and `by` choose the axes and how runs are grouped; `save` writes figure and data into
    `out`.
    """

    def __init__(self, runs: Sequence[Run], out: Path) -> None:
        self.runs, self.out = tuple(runs), out
        self._task: asyncio.Task[None] | None = None
        self.x = _choice("against", [(name, key) for key, (name, _) in AXES.items()])
        self.y = _choice("score", [(name, key) for key, name in SCORES.items()])
        scored = any(row["dice"] == row["dice"] for run in self.runs for row in run.rows)  # no NaN
        self.y.value = "dice" if scored else "heldout_accuracy"  # what a dataset without masks has
        self.by = _choice("group by", [BY_SETTINGS, BY_RUN])
        self.by.value = natural_grouping(self.runs)
        self.save = widgets.Button(
            description="Save figure and data", tooltip=f"Into {out}", layout={"width": "220px"}
        )
        self._table, self._verdicts, self._message = (widgets.HTML() for _ in range(3))
        self._agreement = widgets.HTML(agreement_html(agreement_of(self.runs)))
        self._agreement.layout.display = "" if self._agreement.value else "none"
        layout = still(self.comparison.layout(), (WIDTH, HEIGHT))
        # as many traces as the most that any grouping needs: a band, a line and a mean for each
        self.figure = LiveFigure([dict(EMPTY) for _ in range(3 * len(self.runs))], layout)
        self.tap = Tap(TARGET, panel="xy")
        self.tap.on_room(TARGET, self._resize)
        self.tap.on_drawn(TARGET, self.figure.catch_up)
        self.tap.pictured = "learning curves"
        self.tap.locked, self.tap.command = True, "alnb compare"
        self.widget = self._arranged()
        for control in (self.x, self.y, self.by):
            control.observe(self._acted(lambda: None), names="value")
        self.save.on_click(self._acted(self._save))
        self.draw()

    @property
    def comparison(self) -> Comparison:
        """What the controls choose."""
        return Comparison(group(self.runs, self.by.value), self.x.value, self.y.value)

    def _arranged(self) -> widgets.Widget:
        chart = figure_box([self.figure, self.tap], (WIDTH, HEIGHT), TARGET)
        note = widgets.HTML(f"<div class='alnb-small'>{CAPTION}</div>")
        right = [self.y, self.x, self.by, self._table, self._verdicts, self.save, self._message]
        title = f"{self.runs[0].dataset} · {counted(len(self.runs), 'run')}"
        return whole_page("comparer", title, [room(chart), note, self._agreement], right)

    def _resize(self, width: int, height: int) -> None:
        with self.figure.batch_update():
            fit(self.figure, (width, height))

    def _acted(self, handler: Callable[[], None]) -> Callable[[object], None]:
        """Carry out what the person did, show what goes wrong, and draw."""

        def wrapped(_event: object) -> None:
            self._message.value = ""
            try:
                handler()
                self.draw()
            except Exception as error:
                self._message.value = message_html(Message(sentence_of(error), "error"))

        return wrapped

    def _save(self) -> None:
        """Write the files in a thread, since drawing the picture takes seconds."""
        comparison = self.comparison
        self.save.disabled = True
        self._say(["Saving…"])

        async def save() -> None:
            self._say(await asyncio.to_thread(_outcome, comparison, self.out))
            self.save.disabled = False

        try:
            self._task = asyncio.get_running_loop().create_task(save())
        except RuntimeError:  # plain Python
            asyncio.run(save())

    def _say(self, lines: Iterable[str]) -> None:
        text = "<br>".join(map(escape, lines))
        self._message.value = f"<div class='alnb-done' role='status'>{text}</div>"

    def draw(self) -> None:
        """Draw the curves, the table and what they show."""
        comparison = self.comparison
        traces, layout = comparison.traces(), comparison.layout()
        spare = [dict(EMPTY)] * (len(self.figure.data) - len(traces))
        with self.figure.batch_update():
            for shown, trace in zip(self.figure.data, [*traces, *spare], strict=True):
                shown.update(BLANK | trace, overwrite=True)
            axes = self.figure.layout
            axes.xaxis.title.text = layout["xaxis"]["title"]["text"]
            axes.yaxis.title.text = layout["yaxis"]["title"]["text"]
            axes.yaxis.range = layout["yaxis"]["range"]
        self._table.value = summary_html(comparison)
        lines = "".join(f"<li>{escape(line)}</li>" for line in comparison.conclusions())
        self._verdicts.value = f"<ul class='alnb-verdicts' role='status'>{lines}</ul>"


def _outcome(comparison: Comparison, out: Path) -> list[str]:
    """Write the files; return the sentences of what is written, or of what went wrong."""
    try:
        return list(write(comparison, out))
    except Exception as error:
        return [sentence_of(error)]


def _choice(name: str, options: list[Any]) -> widgets.Dropdown:
    return widgets.Dropdown(
        options=options, description=name, layout={"width": "98%"},
        style={"description_width": "64px"},
    )  # fmt: skip
