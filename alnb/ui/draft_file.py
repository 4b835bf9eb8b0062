"""Marks that are no answer yet, kept in ``draft.json``, so that a reload does not lose them."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from alnb.annotation import Click
from alnb.regions import Region
from alnb.state import State
from alnb.ui.draft import Draft

DRAFT_FILE = "draft.json"


def keep_draft(path: Path, draft: Draft, *, answered: bool) -> None:
    """Write a draft's marks; nothing is kept of one that has none, or those of its answer alone.

    Parameters
    ----------
    path : Path
        The file.
    draft : Draft
        What is on screen.
    answered : bool
        Whether its region has an answer that stands.
    """
    if draft.region is None or not draft.marked or (answered and not draft.changed):
        path.unlink(missing_ok=True)
        return
    kept = {
        "region": draft.region.key,
        "clicks": [[c.row, c.col, c.label] for c in draft.clicks],
        "outlines": draft.outlines,
        "sweep": draft.sweep,
        "corrects": answered,
    }
    whole = path.with_suffix(".new")
    whole.write_text(json.dumps(kept))
    whole.replace(path)


def restore_draft(path: Path, state: State) -> Draft:
    """Read the marks that a page had when it went; a broken file, or an old one, is no draft."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        kept = json.loads(path.read_text())
        region = Region.parse(kept["region"])
        clicks = tuple(Click(*click) for click in kept["clicks"])
        outlines = tuple(
            tuple((float(row), float(col)) for row, col in outline)
            for outline in kept.get("outlines", ())
        )
        sweep = bool(kept.get("sweep", False))
        corrects = bool(kept.get("corrects", False))
        open_ = state.ever_asked if corrects else state.ever_asked - state.by_key.keys()
        wanted = sweep or region.key in open_
        if wanted and all(region.contains(c.row, c.col) for c in clicks):
            return Draft(region, clicks, outlines, held=sweep, sweep=sweep)
    return Draft()
