"""What the page's address asks for: a session by its name, never by a path."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs

from alnb.errors import AlnbError

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
