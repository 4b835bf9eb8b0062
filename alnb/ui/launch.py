"""Open the label app on what is named or what the page's address names, or show a page to choose.

`StartPage` offers sessions to continue or begin; `HeldPage` asks before one is taken over. An
address names a session, never a path.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Callable
from functools import partial
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import ipywidgets as widgets

from alnb.acquisition import FOREGROUND_RANDOM, HEURISTICS, RANDOM, plugin_names
from alnb.config import Config
from alnb.dataset import Dataset, embedded, read_audit
from alnb.errors import AlnbError, log_to, sentence_of, user_log_folder
from alnb.journal import Journal
from alnb.session import Session, default_folder
from alnb.sessions import SessionEntry, free_folder, list_datasets, list_sessions, session_entry
from alnb.ui.label.app import LabelApp
from alnb.ui.label.page import CSS, Page, capital, message_html

GONE_S = 5.0  # ours: after a reload, the old page's kernel ends within about two seconds
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")  # ours: a file name on every system
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
LOOK, HIDE = "Look at scans", "Hide scans"
FIELD = {"layout": {"width": "530px"}, "style": {"description_width": "260px"}}


def session_named(query: str, folder: Path) -> Path | None:
    """Find the session that ``?session=NAME`` names, in the folder that is served.

    Parameters
    ----------
    query : str
        The address's query, as Voila leaves it in ``QUERY_STRING``.
    folder : Path
        Only sessions directly in it may be opened or begun.

    Returns
    -------
    Path or None
        None if the address names no session.

    Raises
    ------
    AlnbError
        If the name is invalid, or a link that leads out of `folder`.
    """
    names = parse_qs(query, keep_blank_values=True).get("session", [])
    if not names:
        return None
    name = names[-1]
    if not NAME.fullmatch(name):
        raise AlnbError(
            f"the address names the session {name[:80]!r}; a name has up to 64 letters, digits, "
            "- and _, and begins with a letter or digit. Correct the address."
        )
    found = (folder / name).resolve()
    if found.parent != folder.resolve():
        raise AlnbError(
            f"the session {name} lies elsewhere: only sessions in the folder that is served can "
            "be opened. Name another session."
        )
    return found


def label_app(
    data: Path | str | None = None,
    session: Path | str | None = None,
    annotator: str = "",
    **settings: Any,  # noqa: ANN401 - of any field
) -> widgets.Widget:
    """Show the label app.

    Parameters
    ----------
    data : path, optional
        A dataset's folder; None takes ``ALNB_DATA``, or the embedded phantom. Without data,
        session and settings, ``ALNB_START`` names the folder whose start page is shown.
    session : path, optional
        The session's folder; an existing session continues. None takes ``ALNB_SESSION``, or the
        dataset's own session in the user's data folder; ``?session=NAME`` in the page's address
        names another session beside that one, or in the folder ``ALNB_SESSIONS``.
    annotator : str
        Written into every answer until the page is given another name; empty takes
        ``ALNB_ANNOTATOR``, or the person who answered last in that session.
    **settings
        Of `Config`, for a new session; none takes ``ALNB_SETTINGS``, as JSON, or the defaults.

    Returns
    -------
    ipywidgets.Widget
        The app; if another window writes the session, a page that asks whether to take it over;
        or a sentence that says why the app can't start.
    """
    try:
        with contextlib.suppress(OSError):  # of the log only
            log_to(user_log_folder())
        annotator = annotator or os.environ.get("ALNB_ANNOTATOR", "")
        data = data or os.environ.get("ALNB_DATA")
        named = session or os.environ.get("ALNB_SESSION")
        settings = settings or json.loads(os.environ.get("ALNB_SETTINGS") or "{}")
        place = os.environ.get("ALNB_START")
        if place and not (data or named or settings):
            return StartPage(Path(place), annotator).widget
        dataset = Dataset.open(Path(data)) if data else embedded()
        folder = Path(named) if named else _addressed(dataset)
        return _opened(dataset, folder, annotator, settings, wait_s=GONE_S)
    except Exception as error:  # without this the page would stay empty
        return Page.failure(_in_words(error))


def _addressed(dataset: Dataset) -> Path:
    """Choose the session that the page's address names, or the dataset's own."""
    own = default_folder(dataset)
    served = Path(os.environ.get("ALNB_SESSIONS") or own.parent)
    return session_named(os.environ.get("QUERY_STRING", ""), served) or served / own.name


def _opened(
    dataset: Dataset, folder: Path, annotator: str, settings: dict[str, Any], wait_s: float = 0.0
) -> widgets.Widget:
    """Start the label app on a session; if another window writes it for `wait_s` more, ask first.

    A new session gets the settings, an existing one must have them.
    """
    start = partial(_started, dataset, folder, annotator, settings)
    if _comes_free(folder, wait_s):
        return start()
    return HeldPage(folder, dataset.folder, start).widget


def _comes_free(folder: Path, wait_s: float) -> bool:
    """Give another window some seconds to end; tell whether no window writes the session then."""
    if not (folder / "journal.jsonl").is_file():
        return True
    journal = Journal(folder / "journal.jsonl")
    until = time.monotonic() + wait_s
    while journal.held:
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


def _started(
    dataset: Dataset, folder: Path, annotator: str, settings: dict[str, Any]
) -> widgets.Widget:
    begun = (folder / "journal.jsonl").exists()
    fresh = None if begun else Config().replace(**settings)
    session = Session.open(folder, dataset, fresh, take_over=True)
    try:
        session.require(session.state.config.replace(**settings))
    except AlnbError:
        session.close()
        raise
    app = LabelApp(session, annotator)
    app.start()
    return app.page.widget


def _in_words(error: Exception) -> str:
    """Say what went wrong in opening; the log has the trace of an unexpected error."""
    if isinstance(error, OSError):
        place = error.filename or "a file"
        return (
            f"{place} can't be used: {error.strerror}. Change its permissions, free some space, or "
            "choose another folder with --session."
        )
    return sentence_of(error)


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
            self.message.value = message_html(_in_words(error))
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
        words = escape(session_entry(session).words)
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
        entries = list_sessions(place)
        self._datasets = list_datasets(place, entries)
        self.annotator = widgets.Text(description="your name", value=annotator, **FIELD)
        self._make_fields()
        self.begin = _button("Begin", "alnb-main")
        self.begin.on_click(
            lambda _: self._open(self._datasets[self.dataset.value], None, self.settings)
        )
        rows = [self._row(entry) for entry in entries]
        ready = [row.children[0] for row in rows if not row.children[0].disabled]
        for newest in ready[:1]:
            newest.add_class("alnb-main")
        old = [_heading("Continue a session"), *rows] if rows else []
        fields = [
            widgets.HBox([self.dataset, self.look]), self.scans, self.heuristic, self.labels,
            self.regions, self.start_regions, self.per_cycle, self.budget,
        ]  # fmt: skip
        new = [_heading("Begin a new session"), *fields, self.begin]
        self._show(self.annotator, self.message, *old, *new)

    def _look(self) -> None:
        """Show what was imported of the chosen dataset, in a frame without scripts; or hide it."""
        if self.scans.value:
            self._hide()
            return
        folder = self._datasets[self.dataset.value]
        try:
            page = read_audit(embedded() if folder is None else Dataset.open(folder))
        except Exception as error:
            self.message.value = message_html(_in_words(error))
            return
        self.scans.value = (
            "<iframe sandbox title='what was imported' style='width: 100%; height: 75vh; "
            f"border: 1px solid var(--line)' srcdoc='{escape(page)}'></iframe>"
        )
        self.look.description = HIDE

    def _hide(self) -> None:
        self.scans.value, self.look.description = "", LOOK

    def _make_fields(self) -> None:
        heuristics = [*HEURISTICS, RANDOM, FOREGROUND_RANDOM, *plugin_names()]
        self.dataset = widgets.Dropdown(
            options=list(self._datasets), description="dataset", **FIELD
        )
        self.look = _button(LOOK)
        self.look.layout.margin = "0 0 4px 8px"
        self.look.tooltip = "Three slices of each scan of this dataset, as they were imported"
        self.scans = widgets.HTML(layout=widgets.Layout(width="100%"))
        self.look.on_click(lambda _: self._look())
        self.dataset.observe(lambda _: self._hide(), "value")
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

    def _row(self, entry: SessionEntry) -> widgets.HBox:
        note = capital(entry.problem or (HELD if entry.held else ""))
        words = f"{escape(entry.words)}<br><span class='alnb-small'>{note} "
        words += f"{escape(str(entry.folder))}</span>"
        go_on, view = _button("Continue"), _button("View")
        go_on.tooltip = f"Continue {entry.words}"
        view.tooltip = f"Step through {entry.words}, or fork it; this only reads it"
        go_on.on_click(lambda _: self._open(entry.data, entry.folder, {}))
        view.on_click(lambda _: self._put(partial(_viewed, entry.folder, entry.data)))
        go_on.disabled = view.disabled = bool(entry.problem)
        return widgets.HBox([go_on, view, widgets.HTML(words)])

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of a new session, as fields of `Config`."""
        return {
            "heuristic": self.heuristic.value,
            "labels": self.labels.value,
            "regions": self.regions.value,
            "start_regions": self.start_regions.value or None,
            "regions_per_cycle": self.per_cycle.value,
            "budget_s": self.budget.value or None,
            **({"loss": "full"} if self.labels.value == "full" else {}),
        }

    def _open(self, data: Path | None, session: Path | None, settings: dict[str, Any]) -> None:
        annotator = self.annotator.value.strip()

        def make() -> widgets.Widget:
            dataset = embedded() if data is None else Dataset.open(data)
            return _opened(dataset, session or free_folder(dataset), annotator, settings)

        self._put(make)


def _viewed(session: Path, data: Path | None) -> widgets.Widget:
    from alnb.ui.explore.explorer import look_at

    return look_at(session, data)


def _button(words: str, *classes: str) -> widgets.Button:
    made = widgets.Button(
        description=words, layout=widgets.Layout(width="148px", margin="4px 8px 4px 0")
    )
    for name in classes:
        made.add_class(name)
    return made


def _heading(words: str) -> widgets.HTML:
    return widgets.HTML(f"<h2 class='alnb-start'>{words}</h2>")
