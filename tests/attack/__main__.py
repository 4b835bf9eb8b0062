"""``python -m tests.attack --hours 1``: spoil files from fresh seeds until the time is up."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from .run import Outcome, run, table
from .targets import TARGETS


def main(
    hours: Annotated[float, typer.Option(help="How long.")] = 0.02,
    seed: Annotated[
        int | None, typer.Option(help="The first seed; by default a fresh one.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="A target; may be repeated.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Folder for what did not hold.")] = None,
) -> None:
    """Spoil files and open them; what does not hold is printed, and a table at the end."""
    first = secrets.randbelow(2**31) if seed is None else seed
    names = list(only or TARGETS)
    until = time.monotonic() + 3600 * hours
    print(f"seed {first}")

    def batches() -> Iterator[Outcome]:
        number = first
        while time.monotonic() < until:
            yield from run([(name, number + n) for n in range(20) for name in names], keep)
            number += 20

    outcomes = []
    known: set[tuple[str, str]] = set()
    for outcome in batches():
        outcomes.append(outcome)
        kind = (outcome.ended, outcome.detail.split(": ")[0])
        if not outcome.held and kind not in known:
            known.add(kind)
            print(f"{outcome.target} {outcome.seed}: {outcome.ended} {outcome.detail}", flush=True)
    print(table(outcomes))
    sys.exit(any(not outcome.held for outcome in outcomes))


typer.run(main)
