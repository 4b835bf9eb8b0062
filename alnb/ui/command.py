"""Run a command of alnb in a process beside the page, which goes on answering."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from typing import Any

from alnb.config import PROGRESS
from alnb.errors import AlnbError, log_hint

END_S = 2.0  # ours: a command that is cancelled gets this long to end
BAD_OPTION = 2  # typer's exit status for an option that it can't read
FRAME = "│╭╮╰╯─ "  # what typer draws around such an error

logger = logging.getLogger(__name__)


class CommandError(AlnbError):
    """A command failed; the text is its own sentence."""


async def run_command(
    *words: str, on_progress: Callable[[dict[str, Any]], None] = lambda progress: None
) -> list[str]:
    """Run ``alnb WORDS``, and return the lines that it prints.

    A task that is cancelled ends the command first.

    Parameters
    ----------
    *words : str
        The command, its arguments and options.
    on_progress : callable
        Called on the loop with what the command says of its progress: ``note``, ``completed`` and
        ``total``, where it knows them.

    Raises
    ------
    CommandError
        If it fails. The log has what it printed, if that is no sentence.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "alnb.cli", *words, stdin=DEVNULL, stdout=PIPE, stderr=PIPE,
        env={**os.environ, PROGRESS: "1", "PYTHONUTF8": "1"},
    )  # fmt: skip
    assert process.stdout is not None and process.stderr is not None  # noqa: S101 - pipes
    errors = asyncio.ensure_future(process.stderr.read())
    lines: list[str] = []
    try:
        async for raw in process.stdout:
            line = raw.decode(errors="replace").rstrip()
            if progress := _progress(line):
                on_progress(progress)
            else:
                lines.append(line)
        said = (await errors).decode(errors="replace")
        status = await process.wait()
    finally:
        errors.cancel()
        await _end(process)
    if status:
        raise CommandError(_reason(words[0], status, said))
    return lines


def _progress(line: str) -> dict[str, Any]:
    """Read a line of progress; empty for any other line."""
    if not line.startswith(f'{{"{PROGRESS}": '):
        return {}
    with contextlib.suppress(ValueError):
        found = json.loads(line)[PROGRESS]
        return found if isinstance(found, dict) else {}
    return {}


async def _end(process: Process) -> None:
    """End a process that still runs."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), END_S)
    except TimeoutError:
        process.kill()
        await process.wait()


def _reason(command: str, status: int, said: str) -> str:
    """Put what a command that failed printed into a sentence."""
    lines = [line.strip(FRAME) for line in said.splitlines() if line.strip(FRAME)]
    last = lines[-1] if lines else ""
    if last.startswith("alnb: "):
        return last.removeprefix("alnb: ")
    if status == BAD_OPTION and "Error" in lines:
        return " ".join(lines[lines.index("Error") + 1 :])
    if status < 0:
        return (
            f"alnb {command} was ended by signal {-status}, perhaps for lack of memory. Close "
            "other programs and try again."
        )
    logger.error("alnb %s ended with status %s:\n%s", command, status, said)
    return f"something went wrong in alnb {command} ({last or f'status {status}'}).{log_hint()}"
