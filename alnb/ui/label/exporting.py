"""Write a session's files with ``alnb export``; what a page began is said on the next one, too."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

from alnb.errors import SessionError
from alnb.journal import another_lives
from alnb.storage import STAGED
from alnb.ui.command import CommandError, run_command
from alnb.ui.parts import Message

LOOK_S = 1.0  # ours: how often a page looks whether the export of an earlier one has ended
UNTRAINED = "Masks and network come once it was trained."
GOES_ON = "The export that was begun before goes on…"


def export_folder(session: Path) -> Path:
    """Name the folder that gets a session's files; it replaces what is there."""
    return session / "export"


async def exported(
    session: Path, data: Path, say: Callable[[str], None], *, trained: bool
) -> Message:
    """Run ``alnb export``, and say in a sentence where the files are.

    Parameters
    ----------
    session, data : Path
        The folders of the session and of its dataset.
    say : callable
        Called on the loop with how far it is.
    trained : bool
        Whether there is a network, and so masks.

    Raises
    ------
    SessionError
        If not all could be written; the sentence is the command's.
    """
    out = export_folder(session)
    words = ("export", str(session), "--out", str(out), "--data", str(data))
    try:
        written = await run_command(
            *words, on_progress=lambda told: say(f"Exporting: {told['note']}…")
        )
    except CommandError as error:
        raise SessionError(f"Exported to {out}, but not all: {error}") from error
    said = f"{len(written)} files are in {out}."
    return Message(said if trained else f"{said} {UNTRAINED}", "success")


async def earlier_export(session: Path, say: Callable[[str], None]) -> Message | None:
    """Wait for an export that a page began before it went, and say what became of it.

    Parameters
    ----------
    session : Path
        The session's folder.
    say : callable
        Called on the loop while it goes on.

    Returns
    -------
    Message or None
        None if there is none.
    """
    out = export_folder(session)
    stages = list(out.glob(f".*{STAGED}"))
    if not stages:
        return None
    while any(stage.exists() and another_lives(_process_of(stage)) for stage in stages):
        say(GOES_ON)
        await asyncio.sleep(LOOK_S)
    ended = not any(stage.exists() for stage in stages)
    for stage in stages:  # of processes that were killed
        shutil.rmtree(stage, ignore_errors=True)
    with contextlib.suppress(OSError):  # it holds files
        out.rmdir()
    if ended and out.exists():
        return Message(f"The export that was begun before is in {out}.", "success")
    return Message(
        "The export that was begun before was cut off. Press Export (F) again.", "warning"
    )


def _process_of(stage: Path) -> int | None:
    number = stage.name.removeprefix(".").removesuffix(STAGED)
    return int(number) if number.isdecimal() else None
