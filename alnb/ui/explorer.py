"""Step through the cycles of a journal: what was asked, what was answered, where the curve was."""

from __future__ import annotations

import os
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from alnb.annotation import Answer
from alnb.cycle import Pool
from alnb.errors import AlnbError, SessionError
from alnb.journal import Event, Journal, live
from alnb.regions import Region
from alnb.session import labelled_dataset, state_of
from alnb.ui.charts import Charts
from alnb.ui.page import CSS, Page, columns
from alnb.ui.region_view import RegionView


@dataclass(frozen=True, slots=True)
class Step:
    """One cycle of a journal.

    Parameters
    ----------
    cycle : int
        0 is the start.
    asked : tuple of Region
        In the order they were asked, best first.
    answers : dict of str to Answer
        By the region's key; of those that stand.
    """

    cycle: int
    asked: tuple[Region, ...]
    answers: dict[str, Answer]


def steps_of(events: tuple[Event, ...]) -> tuple[Step, ...]:
    """Cut a journal into its cycles.

    Raises
    ------
    SessionError
        If nothing was ever asked.
    """
    lasting = live(events)
    given = (Answer.from_dict(e.data) for e in lasting if e.kind == "answered")
    answers = {answer.region.key: answer for answer in given}
    steps = tuple(
        Step(e.data["cycle"], tuple(Region.parse(p["region"]) for p in e.data["picks"]), answers)
        for e in lasting
        if e.kind == "asked"
    )
    if not steps:
        raise SessionError("the journal asks nothing; there is nothing to step through.")
    return steps


def explore_app(run: Path | str | None = None, data: Path | str | None = None) -> widgets.Widget:
    """Show a run's or a session's cycles; it is read, and may be open elsewhere.

    Parameters
    ----------
    run : path, optional
        Its folder; None takes ``ALNB_SESSION``.
    data : path, optional
        Its dataset's folder; None takes ``ALNB_DATA``, or the one that the journal names.

    Returns
    -------
    ipywidgets.Widget
        The explorer; or a sentence that says why it can't be shown.
    """
    try:
        data = data or os.environ.get("ALNB_DATA")
        folder = Path(run or os.environ.get("ALNB_SESSION", "."))
        return Explorer(folder, Path(data) if data else None).widget
    except AlnbError as error:
        return Page.failure(str(error))


class Explorer:
    """Two sliders, a view and a curve over one journal.

    Parameters
    ----------
    run : Path
        A folder with ``journal.jsonl``.
    data : Path or None
        Its dataset's folder; None takes the one that the journal names.

    Raises
    ------
    SessionError
        If there is no journal in it, or it can't be read.
    DataError
        If its dataset is not where it was, or has changed.
    """

    def __init__(self, run: Path, data: Path | None = None) -> None:
        events = Journal.open(run / "journal.jsonl").events
        if not events:
            raise SessionError(
                f"the folder {run} holds no session: there is no journal.jsonl in it."
            )
        self.dataset = labelled_dataset(events, data)
        self.state = state_of(events)
        self.steps = steps_of(events)
        self.pool = Pool(self.dataset, self.state.config)
        self.view = RegionView((self.dataset.size, self.dataset.size))
        self.charts = Charts("dice" if self.dataset.has_masks else "heldout_accuracy", width=368)
        self.view.tap.command = "alnb explore"
        self.cycle = _slider("cycle", 0, len(self.steps) - 1)
        self.number = _slider("region", 1, len(self.steps[0].asked))
        self._text = widgets.HTML()
        self.cycle.observe(self._on_cycle, names="value")
        self.number.observe(lambda _: self.draw(), names="value")
        self.widget = self._arranged(run)
        self.draw()

    def _arranged(self, run: Path) -> widgets.Widget:
        head = widgets.HTML(
            f"<style>{CSS}</style><div class='alnb-head'><span><h1>alnb</h1>"
            f"{escape(self.dataset.name)} · {escape(run.name)}</span></div>"
        )
        left = [self.view.widget, self.cycle, self.number, self._text]
        whole = widgets.VBox([head, columns(left, [self.charts.widget])])
        whole.add_class("alnb-app")
        return whole

    def _on_cycle(self, _change: object) -> None:
        self.number.max = max(1, len(self.steps[self.cycle.value].asked))
        self.number.value = 1
        self.draw()

    def draw(self) -> None:
        """Show the chosen region of the chosen cycle, and the curve up to there."""
        step = self.steps[self.cycle.value]
        rows = self._rows(step.cycle)
        self.charts.show(rows)
        text = self._draw_region(step) if step.asked else self._draw_none()
        dice = next((f"; Dice {r['dice']:.3f}" for r in rows if r["cycle"] == step.cycle), "")
        self._text.value = f"<div class='alnb-question'>Cycle {step.cycle}, {text}{dice}</div>"

    def _rows(self, last: int) -> list[dict[str, Any]]:
        seed = self.state.config.seed
        return [report.row(seed) for report in self.state.reports if report.cycle <= last]

    def _draw_none(self) -> str:
        self.view.clear("No region was left to ask.")
        return "no region left to ask"

    def _draw_region(self, step: Step) -> str:
        region = step.asked[self.number.value - 1]
        answer = step.answers.get(region.key)
        self.view.show(
            self.dataset.image(region.where),
            region,
            clicks=answer.clicks if answer else (),
            regions=self.pool.regions(region.where),
        )
        verdict = answer.verdict if answer else "not answered"
        return f"region {self.number.value} of {len(step.asked)}: <b>{verdict}</b>"


def _slider(name: str, first: int, last: int) -> widgets.IntSlider:
    return widgets.IntSlider(
        value=first, min=first, max=max(first, last), description=name,
        layout=widgets.Layout(width="480px"),
    )  # fmt: skip
