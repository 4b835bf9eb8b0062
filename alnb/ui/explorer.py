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
from alnb.ui.page import CSS, Page
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
            raise SessionError(f"{run} holds no session: there is no journal.jsonl in it.")
        self.dataset = labelled_dataset(events, data)
        self.state = state_of(events)
        self.steps = steps_of(events)
        self.pool = Pool(self.dataset, self.state.config)
        self.view = RegionView((self.dataset.size, self.dataset.size))
        self.charts = Charts("dice" if self.dataset.has_masks else "heldout_accuracy", width=368)
        self.cycle = _slider("cycle", len(self.steps) - 1)
        self.number = _slider("region", len(self.steps[0].asked) - 1)
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
        left = widgets.VBox([self.view.widget, self.cycle, self.number, self._text])
        right = widgets.VBox([self.charts.widget], layout=widgets.Layout(margin="0 0 0 16px"))
        whole = widgets.VBox([head, widgets.HBox([left, right])])
        whole.add_class("alnb-app")
        return whole

    def _on_cycle(self, _change: object) -> None:
        self.number.max = max(0, len(self.steps[self.cycle.value].asked) - 1)
        self.number.value = 0
        self.draw()

    def draw(self) -> None:
        """Show the chosen region of the chosen cycle, and the curve up to there."""
        step = self.steps[self.cycle.value]
        region = step.asked[self.number.value]
        answer = step.answers.get(region.key)
        self.view.show(
            self.dataset.image(region.where),
            region,
            clicks=answer.clicks if answer else (),
            regions=self.pool.regions(region.where),
        )
        seed = self.state.config.seed
        rows: list[dict[str, Any]] = [
            report.row(seed) for report in self.state.reports if report.cycle <= step.cycle
        ]
        self.charts.show(rows)
        verdict = answer.verdict if answer else "not answered"
        dice = next((f"; Dice {r['dice']:.3f}" for r in rows if r["cycle"] == step.cycle), "")
        self._text.value = (
            f"<div class='alnb-question'>Cycle {step.cycle}, region {self.number.value + 1} of "
            f"{len(step.asked)}: <b>{verdict}</b>{dice}</div>"
        )


def _slider(name: str, last: int) -> widgets.IntSlider:
    return widgets.IntSlider(
        value=0, min=0, max=max(0, last), description=name, layout=widgets.Layout(width="480px")
    )
