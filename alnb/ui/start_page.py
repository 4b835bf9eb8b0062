"""Pages before the label app: what to go on with or begin, and whose a session is that is open."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from alnb.acquisition import FOREGROUND_RANDOM, HEURISTICS, RANDOM, plugin_names
from alnb.config import Config
from alnb.sessions import Known, known_datasets, known_session, known_sessions
from alnb.ui.label import page_html
from alnb.ui.label.page import CSS

DEFAULT = Config()
LABELS = {"clicks (3 s each)": "points", "outlines (3 s a point)": "full"}
REGIONS = {
    "equal rectangles": "grid",
    "shapes that follow edges": "superpixels",
}
HELD = "It is open in another window: Go on asks before it takes it over, Look leaves it alone."
ASKED = (
    "This session is open in another window; or it was, in one that ended without saying so. "
    "<b>Go on here</b> takes it over: all that was answered there is saved, and the other window "
    "can't answer any more. <b>Look on</b> leaves it alone: what is answered there shows here."
)
Opener = Callable[[Path | None, Path | None, str, dict[str, Any]], widgets.Widget]
FIELD = {"layout": {"width": "530px"}, "style": {"description_width": "260px"}}


class Before:
    """A page until something is chosen on it; then the app that was chosen takes its place.

    Parameters
    ----------
    in_words : callable
        Makes a sentence of what goes wrong.

    Attributes
    ----------
    widget : ipywidgets.Widget
        The page.
    """

    def __init__(self, in_words: Callable[[Exception], str]) -> None:
        self._in_words = in_words
        self._begun = False
        self.message = widgets.HTML()
        title = "<div class='alnb-head'><span><h1>alnb</h1>Label chest CT</span></div>"
        self._title = widgets.HTML(title)
        self.widget = widgets.VBox([])
        self.widget.add_class("alnb-app")

    def _show(self, *parts: widgets.Widget) -> None:
        self.widget.children = [_style(), self._title, *parts]

    def _put(self, make: Callable[[], widgets.Widget]) -> None:
        """Put an app in the page's place; what goes wrong is said on the page."""
        if self._begun:
            return  # a second press, meant for the page that has gone
        self.message.value = page_html.message("Opening…")
        try:
            app = make()
        except Exception as error:
            self.message.value = page_html.message(self._in_words(error))
            return
        self._begun = True
        self.widget.remove_class("alnb-app")  # the app brings its own
        self.widget.children = [app]


class HeldPage(Before):
    """Asks whether to take over a session that is open in another window, or to look on.

    Parameters
    ----------
    session : Path
        Its folder.
    data : Path
        Its dataset's.
    take_over : callable
        Makes the label app on it.
    in_words : callable
        Makes a sentence of what goes wrong.
    """

    def __init__(
        self,
        session: Path,
        data: Path,
        take_over: Callable[[], widgets.Widget],
        in_words: Callable[[Exception], str],
    ) -> None:
        super().__init__(in_words)
        words = escape(known_session(session).words)
        self.take_over = _button("Go on here", "alnb-main")
        self.look_on = _button("Look on")
        self.take_over.on_click(lambda _: self._put(take_over))
        self.look_on.on_click(lambda _: self._put(partial(_looked_at, session, data)))
        said = f"<p>{words}<br><span class='alnb-small'>{escape(str(session))}</span></p>"
        asked = widgets.HTML(f"{said}<p role='alert'>{ASKED}</p>")
        self._show(asked, widgets.HBox([self.take_over, self.look_on]), self.message)


class StartPage(Before):
    """What to choose from; once something is chosen, the label app takes its place.

    Parameters
    ----------
    place : Path
        Datasets and sessions directly in it are offered, beside the user's own.
    annotator : str
        Who answers.
    opener : callable
        ``opener(data, session, annotator, settings)`` makes the label app; None as data is the
        embedded dataset, None as session a new one.
    in_words : callable
        Makes a sentence of what goes wrong.
    """

    def __init__(
        self, place: Path, annotator: str, opener: Opener, in_words: Callable[[Exception], str]
    ) -> None:
        super().__init__(in_words)
        self._opener = opener
        known = known_sessions(place)
        self._datasets = known_datasets(place, known)
        self.annotator = widgets.Text(description="your name", value=annotator, **FIELD)
        self._make_fields()
        self.begin = _button("Begin", "alnb-main")
        self.begin.on_click(lambda _: self._open(self._chosen, None, self.settings))
        self.go_on: list[widgets.Button] = []
        rows = [self._row(one) for one in known]
        if self.go_on:
            self.go_on[0].add_class("alnb-main")
        old = [_heading("Go on with a session"), *rows] if rows else []
        new = [_heading("Begin a new session"), *self._fields, self.begin]
        self._show(self.annotator, self.message, *old, *new)

    def _make_fields(self) -> None:
        heuristics = [*HEURISTICS, RANDOM, FOREGROUND_RANDOM, *plugin_names()]
        self.dataset = widgets.Dropdown(
            options=list(self._datasets), description="dataset", **FIELD
        )
        self.heuristic = widgets.Dropdown(
            options=heuristics, value=DEFAULT.heuristic, description="ask by", **FIELD
        )
        self.labels = widgets.Dropdown(options=LABELS, description="label by", **FIELD)
        self.regions = widgets.Dropdown(options=REGIONS, description="regions", **FIELD)
        self.start_regions = widgets.BoundedIntText(
            0, min=0, max=999, description="regions at the start; 0: as needed", **FIELD
        )
        self.per_cycle = widgets.BoundedIntText(
            DEFAULT.regions_per_cycle, min=1, max=99, description="regions a cycle", **FIELD
        )
        self.budget = widgets.BoundedFloatText(
            0, min=0, max=1e6, description="budget in s; 0 for none", **FIELD
        )
        self._fields = [
            self.dataset, self.heuristic, self.labels, self.regions, self.start_regions,
            self.per_cycle, self.budget,
        ]  # fmt: skip

    def _row(self, known: Known) -> widgets.Widget:
        note = page_html.capital(known.problem or (HELD if known.held else ""))
        words = f"{escape(known.words)}<br><span class='alnb-small'>{note} "
        words += f"{escape(str(known.folder))}</span>"
        go_on, look = _button("Go on"), _button("Look")
        go_on.tooltip = f"Go on with {known.words}"
        look.tooltip = f"Step through {known.words}, or fork it; it is read alone"
        go_on.on_click(lambda _: self._open(known.data, known.folder, {}))
        look.on_click(lambda _: self._put(partial(_looked_at, known.folder, known.data)))
        for button in (go_on, look):
            button.disabled = bool(known.problem)
        if not known.problem:
            self.go_on.append(go_on)
        return widgets.HBox([go_on, look, widgets.HTML(words)])

    @property
    def _chosen(self) -> Path | None:
        return self._datasets[self.dataset.value]

    @property
    def settings(self) -> dict[str, Any]:
        """What was set for a new session, as fields of `Config`."""
        loss = {"loss": "full"} if self.labels.value == "full" else {}
        return {
            "heuristic": self.heuristic.value,
            "labels": self.labels.value,
            "regions": self.regions.value,
            "start_regions": self.start_regions.value or None,
            "regions_per_cycle": self.per_cycle.value,
            "budget_s": self.budget.value or None,
            **loss,
        }

    def _open(self, data: Path | None, session: Path | None, settings: dict[str, Any]) -> None:
        annotator = self.annotator.value.strip()
        self._put(lambda: self._opener(data, session, annotator, settings))


def _looked_at(session: Path, data: Path | None) -> widgets.Widget:
    from alnb.ui.explore.explorer import look_at

    return look_at(session, data)


def _button(words: str, *classes: str) -> widgets.Button:
    made = widgets.Button(
        description=words, layout=widgets.Layout(width="110px", margin="4px 8px 4px 0")
    )
    for name in classes:
        made.add_class(name)
    return made


def _heading(words: str) -> widgets.HTML:
    return widgets.HTML(f"<h2 class='alnb-start'>{words}</h2>")


def _style() -> widgets.HTML:
    return widgets.HTML(f"<style>{CSS}</style>", layout=widgets.Layout(display="none"))
