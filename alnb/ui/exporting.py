"""Writes a session's files for other tools beside it, in a process of its own: masks need torch."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from alnb.errors import SessionError

FOLDER = "export"


async def exported(session: Path, data: Path) -> str:
    """Run ``alnb export``; say where the files are.

    Parameters
    ----------
    session : Path
        The session's folder, which gets the folder ``export``; what it held is written anew.
    data : Path
        Its dataset's.

    Returns
    -------
    str
        A sentence.

    Raises
    ------
    SessionError
        If not all could be written; the sentence is the command's.
    """
    out = session / FOLDER
    words = ("export", str(session), "--out", str(out), "--data", str(data))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "alnb.cli", *words,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    written, errors = await process.communicate()
    if process.returncode:
        last = errors.decode(errors="replace").strip().splitlines()[-1:]
        reason = last[0].removeprefix("alnb: ") if last else f"exit code {process.returncode}"
        raise SessionError(f"Exported to {out}, but not all: {reason}")
    return f"{len(written.splitlines())} files are in {out}."
