"""Any number of runs on one chart: bands, areas, verdicts, and a button that saves them."""

from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from alnb.curves.charts import SCORES
from alnb.curves.compare import (
    AXES,
    BY_RUN,
    BY_SETTINGS,
    CAPTION,
    Comparison,
    Run,
    find_runs,
    group,
    natural,
    read_runs,
    summary_html,
    write,
)
from alnb.errors import AlnbError
from alnb.ui.label.page import CSS, Page, columns
from alnb.ui.viewer.drawing import LiveFigure
from alnb.ui.viewer.input import Tap

STYLE = Path(__file__).with_name("comparer.css").read_text(encoding="utf-8")
WIDTH, HEIGHT = 848, 560
TARGET = "alnb-compare-chart"
OUT = "alnb-compare"  # the folder that is written where none is named
BLANK: dict[str, Any] = {  # all that a trace may be given, so that none keeps what it was
    "type": "scatter", "name": None, "x": [], "y": [], "customdata": None, "mode": "lines",
    "line": {}, "marker": {}, "opacity": 1, "fill": "none", "fillcolor": None,
    "hoverinfo": None, "hovertemplate": None, "showlegend": True, "visible": True,
}  # fmt: skip
EMPTY = BLANK | {"visible": False}


def compare_app(*runs: Path | str, out: Path | str | None = None) -> widgets.Widget:
    """Compare the curves of runs and sessions of one dataset.

    They are read alone, and may be open elsewhere.

    Parameters
    ----------
    *runs : path
        Their folders, or folders above them; none takes those in ``ALNB_RUNS``.
    out : path, optional
        Where figure and data are saved; None takes ``ALNB_OUT``, or a folder beside the work.

    Returns
    -------
    ipywidgets.Widget
        The comparison; or a sentence that says why it can't be shown.
    """
    named = os.environ.get("ALNB_RUNS", ".").split(os.pathsep)
    try:
        read = read_runs(find_runs([Path(run) for run in runs or named]))
        return Comparer(read, Path(out or os.environ.get("ALNB_OUT", OUT))).widget
    except AlnbError as error:
        return Page.failure(str(error))
    except Exception as error:  # else the page would stay empty
        traceback.print_exc()
        return Page.failure(f"something went wrong in alnb ({type(error).__name__}: {error}).")


class Comparer:
    """The comparison's page; `widget` is what to show.

    Parameters
    ----------
    runs : non-empty sequence of Run
    out : Path
        Where figure and data are saved.

    Attributes
    ----------
    x, y, by : ipywidgets.Dropdown
        The axes, and how runs are grouped.
    save : ipywidgets.Button
        Writes `out`.
    """

    def __init__(self, runs: Sequence[Run], out: Path) -> None:
        self.runs, self.out = tuple(runs), out
        self._task: asyncio.Task[None] | None = None
        self.x = _choice("against", [(name, key) for key, (name, _) in AXES.items()])
        self.y = _choice("score", [(name, key) for key, name in SCORES.items()])
        self.y.value = self._first_score()
        self.by = _choice("group by", [BY_SETTINGS, BY_RUN])
        self.by.value = natural(self.runs)
        self.save = widgets.Button(
            description="Save figure and data", tooltip=f"Into {out}", layout={"width": "220px"}
        )
        self._table, self._verdicts, self._message = (widgets.HTML() for _ in range(3))
        # as many traces as the most that any grouping needs: a band, a line and a mean for each
        self.figure = LiveFigure([dict(EMPTY) for _ in range(3 * len(self.runs))], self._layout())
        self.tap = Tap(TARGET, panel="xy")
        self.tap.pictured = "learning curves"
        self.tap.locked, self.tap.command = True, "alnb compare"
        self.widget = self._arranged()
        for control in (self.x, self.y, self.by):
            control.observe(self._acted(lambda: None), names="value")
        self.save.on_click(self._acted(self._save))
        self.draw()

    def _first_score(self) -> str:
        """Choose Dice, or where no run has it, what the dataset without masks has."""
        scored = [report.scores for run in self.runs for report in run.state.reports]
        return "dice" if any(scored) else "heldout_accuracy"

    @property
    def comparison(self) -> Comparison:
        """What the controls choose."""
        return Comparison(group(self.runs, self.by.value), self.x.value, self.y.value)

    def _layout(self) -> dict[str, Any]:
        own = {"width": WIDTH, "height": HEIGHT, "dragmode": False}
        layout = self.comparison.layout() | own
        for axis in ("xaxis", "yaxis"):
            layout[axis] = layout[axis] | {"fixedrange": True}
        return layout

    def _arranged(self) -> widgets.Widget:
        head = widgets.HTML(
            f"<style>{CSS}{STYLE}</style><div class='alnb-head'><span><h1>alnb</h1>"
            f"{escape(self.runs[0].dataset)} · {_count(len(self.runs), 'run')}</span></div>"
        )
        size = widgets.Layout(
            width=f"{WIDTH}px", min_width=f"{WIDTH}px", height=f"{HEIGHT}px", flex="0 0 auto",
            overflow="hidden",
        )  # fmt: skip
        chart = widgets.Box([self.figure, self.tap], layout=size)
        chart.add_class(TARGET)
        controls = [self.y, self.x, self.by]
        right = widgets.VBox([*controls, self._table, self._verdicts, self.save, self._message])
        whole = widgets.VBox([head, columns([chart, widgets.HTML(NOTE)], [right])])
        whole.add_class("alnb-app")
        whole.add_class("alnb-comparer")
        return whole

    def _acted(self, handler: Callable[[], None]) -> Callable[[object], None]:
        """Carry out what the person did, show what goes wrong, and draw."""

        def wrapped(_event: object) -> None:
            self._message.value = ""
            try:
                handler()
                self.draw()
            except Exception as error:
                known = isinstance(error, AlnbError)
                text = str(error) if known else f"Something went wrong in alnb: {error!r}"
                self._message.value = f"<div class='alnb-message' role='alert'>{escape(text)}</div>"

        return wrapped

    def _save(self) -> None:
        """Write the files beside the loop, since drawing the picture takes seconds."""
        comparison = self.comparison
        self.save.disabled = True
        self._message.value = "<div class='alnb-done' role='status'>Saving…</div>"
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # plain Python
            self._saved(_outcome(comparison, self.out))
            return

        async def save() -> None:
            self._saved(await asyncio.to_thread(_outcome, comparison, self.out))

        self._task = loop.create_task(save())

    def _saved(self, lines: Iterable[str]) -> None:
        text = "<br>".join(map(escape, lines))
        self._message.value = f"<div class='alnb-done' role='status'>{text}</div>"
        self.save.disabled = False

    def draw(self) -> None:
        """Draw the curves, the table and what they show."""
        comparison = self.comparison
        traces, layout = comparison.traces(), comparison.layout()
        spare = [dict(EMPTY)] * (len(self.figure.data) - len(traces))
        with self.figure.batch_update():
            for shown, trace in zip(self.figure.data, [*traces, *spare], strict=True):
                shown.update(BLANK | trace, overwrite=True)
            self.figure.layout.xaxis.title.text = layout["xaxis"]["title"]["text"]
            self.figure.layout.yaxis.title.text = layout["yaxis"]["title"]["text"]
            self.figure.layout.yaxis.range = layout["yaxis"]["range"]
        self._table.value = summary_html(comparison)
        lines = "".join(f"<li>{escape(line)}</li>" for line in comparison.conclusions())
        self._verdicts.value = f"<ul class='alnb-verdicts' role='status'>{lines}</ul>"


def _outcome(comparison: Comparison, out: Path) -> list[str]:
    """Write the files; return the sentences of what is written, or of what went wrong."""
    try:
        return list(write(comparison, out))
    except AlnbError as error:
        return [str(error)]
    except Exception as error:
        return [f"Something went wrong in alnb: {error!r}"]


NOTE = f"<div class='alnb-small'>{CAPTION}</div>"


def _choice(name: str, options: list[Any]) -> widgets.Dropdown:
    return widgets.Dropdown(
        options=options, description=name, layout={"width": "340px"},
        style={"description_width": "64px"},
    )  # fmt: skip


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
