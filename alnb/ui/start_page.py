"""Open a session in the label app, and the pages before it.

`StartPage` offers sessions to continue or begin, `HeldPage` asks before one is taken over.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from alnb.acquisition import FOREGROUND_RANDOM, HEURISTICS, RANDOM, plugin_names
from alnb.config import Config
from alnb.dataset import Dataset, embedded
from alnb.errors import AlnbError, sentence_of
from alnb.journal import Journal
from alnb.session import Session
from alnb.sessions import Known, free_folder, known_datasets, known_session, known_sessions
from alnb.ui.label.app import LabelApp
from alnb.ui.label.page import CSS, capital, message_html

DEFAULT = Config()
LABELS = {"clicks (3 s each)": "points", "outlines (3 s a point)": "full"}
REGIONS = {"equal rectangles": "grid", "shapes that follow edges": "superpixels"}
HELD = (
    "It is open in another window. Continue asks before it takes the session over; View only "
    "reads it."
)
ASKED = (
    "This session is open in another window, or a window that had it ended unexpectedly. "
    "<b>Continue here</b> takes the session over: every answer given there is saved, and the other "
    "window can't answer any more. <b>View</b> only reads it, and follows the answers given there."
)
FIELD = {"layout": {"width": "530px"}, "style": {"description_width": "260px"}}


class OpeningPage:
    """A page on which one chooses an app, which then takes the page's place in `widget`."""

    def __init__(self) -> None:
        self._begun = False
        self.message = widgets.HTML()
        title = "<div class='alnb-head'><span><h1>alnb</h1>Label chest CT</span></div>"
        self._title = widgets.HTML(title)
        self.widget = widgets.VBox([])
        self.widget.add_class("alnb-app")

    def _show(self, *parts: widgets.Widget) -> None:
        style = widgets.HTML(f"<style>{CSS}</style>", layout=widgets.Layout(display="none"))
        self.widget.children = [style, self._title, *parts]

    def _put(self, make: Callable[[], widgets.Widget]) -> None:
        """Put an app in the page's place; show an error on the page."""
        if self._begun:
            return  # a second press, meant for the page that is gone
        self.message.value = message_html("Opening…")
        try:
            app = make()
        except Exception as error:
            self.message.value = message_html(in_words(error))
            return
        self._begun = True
        self.widget.remove_class("alnb-app")  # the app brings its own
        self.widget.children = [app]


class HeldPage(OpeningPage):
    """Ask whether to take over a session that is open in another window, or only to view it.

    Parameters
    ----------
    session : Path
        Its folder.
    data : Path
        Its dataset's folder.
    take_over : callable
        Makes the label app on it.
    """

    def __init__(self, session: Path, data: Path, take_over: Callable[[], widgets.Widget]) -> None:
        super().__init__()
        words = escape(known_session(session).words)
        self.take_over = _button("Continue here", "alnb-main")
        self.view = _button("View")
        self.take_over.on_click(lambda _: self._put(take_over))
        self.view.on_click(lambda _: self._put(partial(_viewed, session, data)))
        said = f"<p>{words}<br><span class='alnb-small'>{escape(str(session))}</span></p>"
        asked = widgets.HTML(f"{said}<p role='alert'>{ASKED}</p>")
        self._show(asked, widgets.HBox([self.take_over, self.view]), self.message)


class StartPage(OpeningPage):
    """Offer the sessions to continue or view, and a new session with its main settings.

    Parameters
    ----------
    place : Path
        Datasets and sessions directly in it are offered, beside the user's own.
    annotator : str
        Who answers.
    """

    def __init__(self, place: Path, annotator: str) -> None:
        super().__init__()
        known = known_sessions(place)
        self._datasets = known_datasets(place, known)
        self.annotator = widgets.Text(description="your name", value=annotator, **FIELD)
        self._make_fields()
        self.begin = _button("Begin", "alnb-main")
        self.begin.on_click(lambda _: self._open(self._chosen, None, self.settings))
        rows = [self._row(one) for one in known]
        ready = [row.children[0] for row in rows if not row.children[0].disabled]
        for newest in ready[:1]:
            newest.add_class("alnb-main")
        old = [_heading("Continue a session"), *rows] if rows else []
        new = [_heading("Begin a new session"), *self._fields, self.begin]
        self._show(self.annotator, self.message, *old, *new)

    def _make_fields(self) -> None:
        heuristics = [*HEURISTICS, RANDOM, FOREGROUND_RANDOM, *plugin_names()]
        self.dataset = _choice("dataset", list(self._datasets))
        self.heuristic = _choice("ask by", heuristics)
        self.heuristic.value = DEFAULT.heuristic
        self.labels = _choice("label by", LABELS)
        self.regions = _choice("regions", REGIONS)
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

    def _row(self, known: Known) -> widgets.HBox:
        note = capital(known.problem or (HELD if known.held else ""))
        words = f"{escape(known.words)}<br><span class='alnb-small'>{note} "
        words += f"{escape(str(known.folder))}</span>"
        go_on, view = _button("Continue"), _button("View")
        go_on.tooltip = f"Continue {known.words}"
        view.tooltip = f"Step through {known.words}, or fork it; this only reads it"
        go_on.on_click(lambda _: self._open(known.data, known.folder, {}))
        view.on_click(lambda _: self._put(partial(_viewed, known.folder, known.data)))
        go_on.disabled = view.disabled = bool(known.problem)
        return widgets.HBox([go_on, view, widgets.HTML(words)])

    @property
    def _chosen(self) -> Path | None:
        return self._datasets[self.dataset.value]

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of a new session, as fields of `Config`."""
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

        def make() -> widgets.Widget:
            dataset = embedded() if data is None else Dataset.open(data)
            return opened(dataset, session or free_folder(dataset), annotator, settings)

        self._put(make)


def _viewed(session: Path, data: Path | None) -> widgets.Widget:
    from alnb.ui.explore.explorer import look_at

    return look_at(session, data)


def _choice(words: str, options: list[str] | dict[str, str]) -> widgets.Dropdown:
    return widgets.Dropdown(options=options, description=words, **FIELD)


def _button(words: str, *classes: str) -> widgets.Button:
    made = widgets.Button(
        description=words, layout=widgets.Layout(width="130px", margin="4px 8px 4px 0")
    )
    for name in classes:
        made.add_class(name)
    return made


def _heading(words: str) -> widgets.HTML:
    return widgets.HTML(f"<h2 class='alnb-start'>{words}</h2>")


def opened(
    dataset: Dataset, folder: Path, annotator: str, settings: dict[str, Any], wait_s: float = 0.0
) -> widgets.Widget:
    """Start the label app on a session; ask first if another window writes it.

    Parameters
    ----------
    dataset : Dataset
    folder : Path
        The session's.
    annotator : str
        Empty for the person who answered last.
    settings : dict
        Fields of `Config`, which a new session gets and an existing one must have.
    wait_s : float
        Seconds that the other window gets to end, ≥ 0.

    Returns
    -------
    ipywidgets.Widget

    Raises
    ------
    AlnbError
        If the session can't be opened.
    """
    if _comes_free(folder, wait_s):
        return _started(dataset, folder, annotator, settings)
    taken = partial(_started, dataset, folder, annotator, settings)
    return HeldPage(folder, dataset.folder, taken).widget


def _comes_free(folder: Path, wait_s: float) -> bool:
    """Give another window some seconds to end; tell whether none writes the session."""
    if not (folder / "journal.jsonl").is_file():
        return True
    journal = Journal.open(folder / "journal.jsonl")
    until = time.monotonic() + wait_s
    while journal.held:
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


def _started(
    dataset: Dataset, folder: Path, annotator: str, settings: dict[str, Any]
) -> widgets.Widget:
    app = LabelApp(_open(folder, dataset, settings), annotator)
    app.start()
    return app.page.widget


def _open(folder: Path, dataset: Dataset, settings: dict[str, Any]) -> Session:
    """Open or begin a session; the settings named must hold for an existing session, too."""
    begun = (folder / "journal.jsonl").exists()
    fresh = None if begun else Config().replace(**settings)
    session = Session.open(folder, dataset, fresh, take_over=True)
    try:
        session.require(session.state.config.replace(**settings))
    except AlnbError:
        session.close()
        raise
    return session


def in_words(error: Exception) -> str:
    """Say what went wrong in opening; the log has the trace of an unexpected error."""
    if isinstance(error, OSError):
        place = error.filename or "a file"
        return (
            f"{place} can't be used: {error.strerror}. Change its permissions, free some space, or "
            "choose another folder with --session."
        )
    return sentence_of(error)
