"""Open the label app on what is named or what the page's address names, or show a page to choose.

`StartPage` offers sessions to continue or begin, and an import. `HeldPage` asks before a session is
taken over. An address names a session, never a path.
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
from urllib.parse import parse_qs, urlencode

import ipywidgets as widgets

from alnb.acquisition import FOREGROUND_RANDOM, HEURISTICS, RANDOM, plugin_names
from alnb.annotation import name_of
from alnb.config import Config
from alnb.dataset import Dataset, embedded, embedded_folder, read_audit
from alnb.dataset.manifest import MANIFEST
from alnb.errors import AlnbError, log_to, sentence_of, user_log_folder
from alnb.journal import Journal
from alnb.regions import Region
from alnb.session import Session, default_folder, sessions_folder
from alnb.sessions import (
    SessionEntry,
    fork_session,
    free_folder,
    list_datasets,
    list_sessions,
    session_entry,
)
from alnb.storage import JOURNAL
from alnb.ui.import_panel import Fold, ImportPanel
from alnb.ui.label.app import LabelApp
from alnb.ui.parts import CSS, Message, capital, failure_page, message_html
from alnb.ui.viewer.drawing import thumbnail_png, uri

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
INTRO = (
    "<p>alnb asks you about the regions of CT that its network is least sure of, and learns from "
    "each answer.<br>Choose scans, click the infection you see, and watch the network's Dice "
    "rise.</p>"
)
DATASET = "What you label. The embedded phantom is synthetic CT, to try alnb with."
LABELLING = (
    "<b>Clicks</b>: one in each infection. Fast, and enough to teach where infection is. "
    "<b>Outlines</b>: draw round each infection. Slower, but the borders are yours."
)
LOOK = "Look at scans"
FIELD = {"layout": {"width": "min(600px, 100%)"}, "style": {"description_width": "140px"}}
START_CSS = Path(__file__).with_name("start.css").read_text(encoding="utf-8")


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
        session and settings the start page is shown: of the folder ``ALNB_START``, or, in a
        notebook, of the home folder. A page that Voila serves without ``ALNB_START`` has none.
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
        annotator = name_of(annotator or os.environ.get("ALNB_ANNOTATOR", ""))
        data = data or os.environ.get("ALNB_DATA")
        named = session or os.environ.get("ALNB_SESSION")
        settings = settings or json.loads(os.environ.get("ALNB_SETTINGS") or "{}")
        place = os.environ.get("ALNB_START") or ("" if _is_served() else Path.home())
        if place and not (data or named or settings):
            return _begun_at(StartPage(Path(place), annotator))
        dataset = Dataset.open(Path(data)) if data else embedded()
        folder = Path(named) if named else _addressed(dataset)
        return _opened(dataset, folder, annotator, settings, wait_s=GONE_S)
    except Exception as error:  # without this the page would stay empty
        return failure_page(_in_words(error))


def _begun_at(page: StartPage) -> widgets.Widget:
    """Show a start page, or at once the session of it that the page's address names."""
    query = os.environ.get("QUERY_STRING", "")
    places = (session_named(query, folder) for folder in (sessions_folder(), page.place))
    named = [found for found in places if found is not None]
    if named:
        page.reopen(next((one for one in named if (one / JOURNAL).is_file()), named[0]))
    return page.widget


def _without_session() -> str:
    """Name the address of the start page, for a link on the page of a session."""
    query = parse_qs(os.environ.get("QUERY_STRING", ""), keep_blank_values=True)
    query.pop("session", None)
    return f"?{urlencode(query, doseq=True)}"


def _is_served() -> bool:
    """Tell whether Voila runs this: it hands on the address's query."""
    return "QUERY_STRING" in os.environ


def _addressed(dataset: Dataset) -> Path:
    """Choose the session that the page's address names, or the dataset's own."""
    own = default_folder(dataset)
    served = Path(os.environ.get("ALNB_SESSIONS") or own.parent)
    return session_named(os.environ.get("QUERY_STRING", ""), served) or served / own.name


def _opened(
    dataset: Dataset,
    folder: Path,
    annotator: str,
    settings: dict[str, Any],
    *,
    wait_s: float = 0.0,
    place: Path | None = None,
) -> widgets.Widget:
    """Start the label app on a session; if another window writes it for `wait_s` more, ask first.

    A new session gets the settings, an existing one must have them. From the start page of a
    `place` that Voila serves, the page's address names the session from then on.
    """
    start = partial(_started, dataset, folder, annotator, settings, place)
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
    dataset: Dataset, folder: Path, annotator: str, settings: dict[str, Any], place: Path | None
) -> widgets.Widget:
    begun = (folder / "journal.jsonl").exists()
    asking = "cycle" if settings.get("start") == "slices" else "live"
    fresh = None if begun else Config().replace(**{"asking": asking} | settings)
    session = Session.open(folder, dataset, fresh, take_over=True)
    try:
        session.require(session.state.config.replace(**settings))
    except AlnbError:
        session.close()
        raise
    app = LabelApp(session, annotator)
    if place is not None and _is_served():
        app.page.lead_back(_without_session())
        app.view.tap.session = _name_in_address(folder, place)
    app.start()
    return app.page.widget


def _name_in_address(folder: Path, place: Path) -> str:
    """Name a session for ``?session=``; empty if that would open another one, or none."""
    outer = next((one for one in (sessions_folder(), place) if (one / folder.name).exists()), None)
    mine = outer is not None and (outer / folder.name).resolve() == folder.resolve()
    return folder.name if mine and NAME.fullmatch(folder.name) else ""


def _in_words(error: Exception) -> Message:
    """Say what went wrong in opening; the log has the trace of an unexpected error."""
    if isinstance(error, OSError):
        place = error.filename or "a file"
        return Message(
            f"{place} can't be used: {error.strerror}. Change its permissions, free some space, or "
            "choose another folder with --session.",
            "error",
        )
    return Message(sentence_of(error), "error")


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
        style = widgets.HTML(
            f"<style>{CSS}{START_CSS}</style>", layout=widgets.Layout(display="none")
        )
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
        for name in ("alnb-app", "alnb-start-page"):  # the app brings its own
            self.widget.remove_class(name)
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
        entry = session_entry(session)
        words = f"{_dice(entry)} {escape(entry.words)}"
        self.take_over = _button("Continue here", "alnb-main")
        self.view = _button("View")
        self.take_over.on_click(lambda _: self._put(take_over))
        self.view.on_click(lambda _: self._put(partial(_viewed, session, data)))
        said = f"<p>{words}<br><span class='alnb-small'>{escape(str(session))}</span></p>"
        asked = widgets.HTML(f"{said}<p role='alert'>{ASKED}</p>")
        self._show(asked, widgets.HBox([self.take_over, self.view]), self.message)


class StartPage(OpeningPage):
    """Offer the sessions to continue, view or fork, a new session, and an import of scans.

    Parameters
    ----------
    place : Path
        Datasets and sessions directly in it are offered, beside the user's own. Folders below it
        can be imported.
    annotator : str
        Who answers.
    """

    def __init__(self, place: Path, annotator: str) -> None:
        super().__init__()
        self.place = place
        self.annotator = widgets.Text(description="your name", value=annotator, **FIELD)
        self._make_fields()
        self.importing = ImportPanel(place, FIELD, self._on_imported)
        self.begin = _button("Begin", "alnb-main")
        self.begin.on_click(
            lambda _: self._open(self._datasets[self.dataset.value], None, self.settings)
        )
        self.back = _button("‹ Start page")
        self.back.on_click(lambda _: self.home())
        self.label = _button("Label these scans", "alnb-main")
        self.label.layout.width = "180px"
        self.label.on_click(lambda _: self.begin.click())
        self.home()

    def home(self, said: str = "") -> None:
        """Show the page as it is now, with a sentence for the person."""
        self._begun = False
        entries = list_sessions(self.place)
        self._datasets = list_datasets(self.place, entries)
        chosen = self.dataset.value
        self.dataset.options = list(self._datasets)
        self.dataset.value = chosen if chosen in self._datasets else next(iter(self._datasets))
        rows = [self._row(entry) for entry in entries]
        who = self.annotator.value.strip()
        ready = [
            row.children[1] for entry, row in zip(entries, rows, strict=True)
            if not entry.problem and (not who or who in entry.annotators)
        ]  # fmt: skip
        for newest in ready[:1]:
            newest.add_class("alnb-main")
        old = [_heading("Continue a session"), *rows] if rows else []
        new = widgets.VBox([
            _heading("Begin a new session"),
            widgets.HBox([self.dataset, self.look]), _choice(DATASET), self.labels,
            _choice(LABELLING), self.more.widget, self.begin,
        ])  # fmt: skip
        scans = widgets.VBox([_heading("Import your own scans"), self.importing.widget])
        columns = widgets.Box([new, scans])
        columns.add_class("alnb-columns")
        self.widget.add_class("alnb-app")
        self.widget.add_class("alnb-start-page")
        self.message.value = message_html(said)
        self._show(widgets.HTML(INTRO), self.message, self.annotator, *old, columns)

    def _look(self) -> None:
        """Show what was imported of the chosen dataset."""
        folder = self._datasets[self.dataset.value]
        self.message.value = message_html("Opening…")
        try:
            self._show_scans(embedded() if folder is None else Dataset.open(folder))
        except Exception as error:
            self.message.value = message_html(_in_words(error))

    def _show_scans(self, dataset: Dataset, said: str = "") -> None:
        """Show the page that ends an import in a frame without scripts, and a way back."""
        self.scans.value = (
            "<iframe sandbox title='what was imported' class='alnb-scans' "
            f"srcdoc='{escape(read_audit(dataset))}'></iframe>"
        )
        line = widgets.HTML(f"<div role='status'>{escape(said)}</div>")
        self.message.value = ""
        self._show(widgets.HBox([self.back, self.label, line]), self.message, self.scans)

    def _on_imported(self, folder: Path, said: str) -> None:
        """Choose the new dataset, and show what was imported unless the person is elsewhere."""
        if self._begun:
            return
        self.home()
        self.dataset.value = next(name for name, at in self._datasets.items() if at == folder)
        self._show_scans(Dataset.open(folder), said)

    def _fork(self, entry: SessionEntry) -> None:
        """Copy a session; the copy is the newest, so it is listed first."""
        try:
            folder = fork_session(entry)
        except Exception as error:
            self.message.value = message_html(_in_words(error))
            return
        self.home(f"Copied into {folder}. It is the first of the list.")

    def _make_fields(self) -> None:
        heuristics = [*HEURISTICS, RANDOM, FOREGROUND_RANDOM, *plugin_names()]
        self.dataset = widgets.Dropdown(description="dataset", **FIELD)
        self.dataset.layout.flex, self.dataset.layout.width = "1 1 0", "auto"
        self.dataset.layout.min_width = "0"  # long paths are cut short
        self.look = _button(LOOK)
        self.look.layout.margin, self.look.layout.flex = "0 0 4px 8px", "0 0 auto"
        self.look.tooltip = "Three slices of each scan of this dataset, as they were imported"
        self.scans = widgets.HTML(layout=widgets.Layout(width="100%"))
        self.look.on_click(lambda _: self._look())
        self.heuristic = widgets.Dropdown(
            options=heuristics, value=DEFAULT.heuristic, description="ask by", **FIELD
        )
        self.labels = widgets.Dropdown(options=LABELS, description="label by", **FIELD)
        self.regions = widgets.Dropdown(options=REGIONS, description="regions", **FIELD)
        self.start_regions = widgets.BoundedIntText(
            0, min=0, max=999, description="regions at the start", **FIELD
        )
        self.per_cycle = widgets.BoundedIntText(
            DEFAULT.regions_per_cycle, min=1, max=99, description="regions a cycle", **FIELD
        )
        self.budget = widgets.BoundedFloatText(
            0, min=0, max=1e6, description="budget in s", **FIELD
        )
        self.more = Fold("More settings", [
            self.heuristic, self.regions, self.start_regions, _choice("0: as many as needed."),
            self.per_cycle, self.budget, _choice("0: no budget."),
        ])  # fmt: skip

    def _row(self, entry: SessionEntry) -> widgets.HBox:
        note = capital(entry.problem or (HELD if entry.held else ""))
        words = f"{_dice(entry)} {escape(entry.words)}<br><span class='alnb-small'>{note} "
        words += f"{escape(str(entry.folder))}</span>"
        go_on, view, fork = _button("Continue"), _button("View"), _button("Fork")
        go_on.tooltip = f"Continue {entry.words}"
        view.tooltip = f"Step through {entry.words}; this only reads it"
        fork.tooltip = f"Copy {entry.words}, to try something else with the same answers"
        for button in (go_on, view, fork):
            button.disabled, button.layout.width = bool(entry.problem), "92px"
        go_on.on_click(lambda _: self._open(entry.data, entry.folder, {}))
        view.on_click(lambda _: self._put(partial(_viewed, entry.folder, entry.data, self.home)))
        fork.on_click(lambda _: self._fork(entry))
        picture = widgets.HTML(_picture(entry))
        picture.add_class("alnb-seen")
        row = widgets.HBox([picture, go_on, view, fork, widgets.HTML(words)])
        row.add_class("alnb-session")
        return row

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

    def _open(
        self,
        data: Path | None,
        session: Path | None,
        settings: dict[str, Any],
        wait_s: float = 0.0,
    ) -> None:
        def make() -> widgets.Widget:
            annotator = name_of(self.annotator.value)
            dataset = embedded() if data is None else Dataset.open(data)
            folder = session or free_folder(dataset)
            return _opened(dataset, folder, annotator, settings, wait_s=wait_s, place=self.place)

        self._put(make)

    def reopen(self, folder: Path) -> None:
        """Continue a session that the page's address names, as after a reload."""
        if not (folder / JOURNAL).is_file():
            self.message.value = message_html(f"There is no session {folder.name} any more.")
            return
        entry = session_entry(folder)
        if entry.problem:
            self.message.value = message_html(Message(capital(entry.problem), "error"))
        else:
            self._open(entry.data, folder, {}, wait_s=GONE_S)


def _dice(entry: SessionEntry) -> str:
    if entry.problem or entry.dice is None:
        return ""
    return f"<span class='alnb-dice'>Dice {entry.dice:.2f}</span> ·"


def _picture(entry: SessionEntry) -> str:
    """Draw a session's slice with its region; a black square if there is none to draw."""
    inside = ""
    with contextlib.suppress(AlnbError, OSError):
        folder = entry.data or embedded_folder()
        if entry.region is not None and not entry.problem and (folder / MANIFEST).is_file():
            inside = _drawn(Dataset.open(folder), entry.region)
    return f"<span class='alnb-picture'>{inside}</span>"


def _drawn(dataset: Dataset, region: Region) -> str:
    png = thumbnail_png(dataset.image(region.where), (slice(None), slice(None)))
    sides = {
        "left": region.col, "top": region.row, "width": region.width, "height": region.height,
    }  # fmt: skip
    place = "; ".join(f"{side}: {100 * px / dataset.size:.1f}%" for side, px in sides.items())
    what = f"{region.where.scan}, slice {region.where.number}"
    return f"<img alt='{escape(what)}' src='{uri(png)}'><i style='{place}'></i>"


def _viewed(
    session: Path, data: Path | None, leave: Callable[[], None] | None = None
) -> widgets.Widget:
    from alnb.ui.explore.explorer import look_at

    return look_at(session, data, leave)


def _button(words: str, *classes: str) -> widgets.Button:
    made = widgets.Button(
        description=words, layout=widgets.Layout(width="148px", margin="4px 8px 4px 0")
    )
    for name in classes:
        made.add_class(name)
    return made


def _choice(words: str) -> widgets.HTML:
    return widgets.HTML(f"<div class='alnb-small alnb-choice'>{words}</div>")


def _heading(words: str) -> widgets.HTML:
    return widgets.HTML(f"<h2 class='alnb-start'>{words}</h2>")
