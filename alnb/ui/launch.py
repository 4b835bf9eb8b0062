"""Open the label app: on what is named, on what the page's address names, or the start page.

An address names a session, never a path.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import ipywidgets as widgets

from alnb.dataset import Dataset, embedded
from alnb.errors import AlnbError, log_to, user_log_folder
from alnb.session import default_folder
from alnb.ui.label.page import Page
from alnb.ui.start_page import StartPage, in_words, opened

GONE_S = 5.0  # ours: after a reload, the old page's kernel ends within about two seconds
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")  # ours: a file name on every system


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
        folder = Path(named) if named else _of_the_address(dataset)
        return opened(dataset, folder, annotator, settings, wait_s=GONE_S)
    except Exception as error:  # without this the page would stay empty
        return Page.failure(in_words(error))


def _of_the_address(dataset: Dataset) -> Path:
    """Choose the session that the address names, or the dataset's own."""
    own = default_folder(dataset)
    served = Path(os.environ.get("ALNB_SESSIONS") or own.parent)
    return session_named(os.environ.get("QUERY_STRING", ""), served) or served / own.name
