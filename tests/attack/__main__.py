"""``python -m tests.attack --hours 1``: spoil files from fresh seeds until the time is up.

``python -m tests.attack --kills 1000``: kill a process that labels, so many times.
``--faults 1000`` lets a disk fill up, or only be read, so many times.
``--served 10000`` asks a served page for what it must not give; ``--pages 10`` opens many at once.
"""

from __future__ import annotations

import contextlib
import secrets
import sys
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from .faults import faults
from .kills import rounds
from .pages import pages
from .run import Outcome, run, table
from .served import all_of
from .targets import TARGETS


def main(
    hours: Annotated[float, typer.Option(help="How long.")] = 0.02,
    seed: Annotated[
        int | None, typer.Option(help="The first seed; by default a fresh one.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="A target; may be repeated.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Folder for what did not hold.")] = None,
    kills: Annotated[
        int, typer.Option(help="Kill a process that labels so many times; spoil nothing.")
    ] = 0,
    refuse: Annotated[
        int, typer.Option("--faults", help="Let a disk refuse so many times; spoil nothing.")
    ] = 0,
    served: Annotated[int, typer.Option(help="Ask a served page so often; spoil nothing.")] = 0,
    many: Annotated[
        int, typer.Option("--pages", help="Open so many pages at once; spoil nothing.")
    ] = 0,
) -> None:
    """Spoil files and open them; what does not hold is printed, and a table at the end."""
    first = secrets.randbelow(2**31) if seed is None else seed
    if kills:
        sys.exit(_kill(kills, first))
    if served or many or refuse:
        sys.exit(_serve(served, many, refuse, first))
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


def _kill(count: int, seed: int) -> bool:
    """Print how the rounds ended; tell whether one did not hold."""
    print(f"seed {seed}")
    outcomes, answers = [], 0
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C ends it early
        for outcome, acknowledged in rounds(count, seed):
            outcomes.append(outcome)
            answers += acknowledged
            if not outcome.held:
                print(f"{outcome.target} {outcome.seed}: {outcome.detail}", flush=True)
    print(table(outcomes))
    lost = sum(not outcome.held for outcome in outcomes)
    print(f"{len(outcomes)} kills, {answers} answers acknowledged; {lost} rounds lost something")
    return lost > 0


def _serve(count: int, many: int, refuse: int, seed: int) -> bool:
    """Print how the tries ended; tell whether one did not hold."""
    print(f"seed {seed}")
    outcomes = []
    attacks = chain(
        all_of(seed, count) if count else (), pages(many) if many else (), faults(refuse, seed)
    )
    for outcome in attacks:
        outcomes.append(outcome)
        if not outcome.held or outcome.target in ("pages", "memory", "reloads"):
            print(f"{outcome.target} {outcome.seed}: {outcome.ended} {outcome.detail}", flush=True)
    print(table(outcomes))
    return any(not outcome.held for outcome in outcomes)


if __name__ == "__main__":
    typer.run(main)
