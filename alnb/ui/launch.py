"""What the page's address asks for: a session by its name, never by a path.

Opens the label app: on what is named, on what the address names, or from the start page.
"""

from __future__ import annotations

import json
import os
import re
import time
import traceback
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import ipywidgets as widgets

from alnb.config import Config
from alnb.dataset import Dataset, embedded
from alnb.errors import AlnbError
from alnb.journal import Journal
from alnb.session import Session, default_folder
from alnb.sessions import free_folder
from alnb.ui.label.app import LabelApp
from alnb.ui.label.page import Page
from alnb.ui.start_page import HeldPage, StartPage

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")  # ours: a file name on every system


def session_named(query: str, folder: Path) -> Path | None:
    """Find the session that ``?session=NAME`` names, in the folder that is served.

    Parameters
    ----------
    query : str
        Of the address, as Voila leaves it in ``QUERY_STRING``.
    folder : Path
        Whose sessions may be opened, and begun.

    Returns
    -------
    Path or None
        None where the address names none.

    Raises
    ------
    AlnbError
        If it is no name, or a link that leads out of `folder`.
    """
    names = parse_qs(query, keep_blank_values=True).get("session", [])
    if not names:
        return None
    name = names[-1]
    if not NAME.fullmatch(name):
        raise AlnbError(
            f"the address names the session {name[:80]!r}; a name has up to 64 letters, digits, "
            "- and _, and begins with a letter or digit."
        )
    found = (folder / name).resolve()
    if found.parent != folder.resolve():
        raise AlnbError(
            f"the session {name} lies elsewhere; only those in the folder that is served open."
        )
    return found


GONE_S = 5.0  # ours: a page that is loaded anew ends the kernel of the old one within two or so


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
        A dataset's folder; None takes ``ALNB_DATA``, or the embedded phantom. Where neither data
        nor session nor settings are named, ``ALNB_START`` shows the start page of that folder.
    session : path, optional
        The session's folder; None takes ``ALNB_SESSION``, or one of the dataset's own in the
        user's data folder; ``?session=NAME`` in the page's address names another beside that, or
        in ``ALNB_SESSIONS``. Where there is a session it goes on where it was.
    annotator : str
        Written into every answer, until another name is given on the page; none takes
        ``ALNB_ANNOTATOR``, or who answered last in that session.
    **settings
        Of `Config`, for a new session; none takes ``ALNB_SETTINGS``, as JSON, or the defaults.

    Returns
    -------
    ipywidgets.Widget
        The app; where another window writes the session, the question who goes on; or a sentence
        that says why it can't start.
    """
    try:
        annotator = annotator or os.environ.get("ALNB_ANNOTATOR", "")
        data = data or os.environ.get("ALNB_DATA")
        named = session or os.environ.get("ALNB_SESSION")
        settings = settings or json.loads(os.environ.get("ALNB_SETTINGS") or "{}")
        place = os.environ.get("ALNB_START")
        if place and not (data or named or settings):
            return StartPage(Path(place), annotator, _chosen, in_words).widget
        dataset = Dataset.open(Path(data)) if data else embedded()
        folder = Path(named) if named else _of_the_address(dataset)
        return _asked(dataset, folder, annotator, settings, wait_s=GONE_S)
    except Exception as error:  # else the page would stay empty
        return Page.failure(in_words(error))


def in_words(error: Exception) -> str:
    """Say what goes wrong in opening; an unexpected error's trace goes to the terminal."""
    if isinstance(error, AlnbError):
        return str(error)
    if isinstance(error, OSError):
        place = error.filename or "a file"
        return (
            f"{place} can't be used: {error.strerror}. Mend its permissions, make room, or choose "
            "another folder with --session."
        )
    traceback.print_exception(error)
    return (
        f"Something went wrong in alnb ({type(error).__name__}: {error}). Every answer is "
        "saved. Please tell whoever keeps alnb."
    )


def _chosen(
    data: Path | None, session: Path | None, annotator: str, settings: dict[str, Any]
) -> widgets.Widget:
    """Start the app on what was chosen on the start page."""
    dataset = embedded() if data is None else Dataset.open(data)
    folder = session or free_folder(dataset)
    return _asked(dataset, folder, annotator, settings, wait_s=0)


def _asked(
    dataset: Dataset, folder: Path, annotator: str, settings: dict[str, Any], *, wait_s: float
) -> widgets.Widget:
    """Start the app, but ask first where another window writes the session."""
    if _comes_free(folder, wait_s):
        return _started(dataset, folder, annotator, settings)
    taken = partial(_started, dataset, folder, annotator, settings)
    return HeldPage(folder, dataset.folder, taken, in_words).widget


def _comes_free(folder: Path, wait_s: float) -> bool:
    """Tell whether no other window writes the session, after one had some seconds to end."""
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


def _of_the_address(dataset: Dataset) -> Path:
    """Choose the session that the address names, else the dataset's own."""
    own = default_folder(dataset)
    served = Path(os.environ.get("ALNB_SESSIONS") or own.parent)
    return session_named(os.environ.get("QUERY_STRING", ""), served) or served / own.name


def _open(folder: Path, dataset: Dataset, settings: dict[str, Any]) -> Session:
    """Open a session, or start one; what was asked for must hold for one that goes on, too."""
    begun = (folder / "journal.jsonl").exists()
    fresh = None if begun else Config().replace(**settings)
    session = Session.open(folder, dataset, fresh, take_over=True)
    try:
        session.require(session.state.config.replace(**settings))
    except AlnbError:
        session.close()
        raise
    return session
