"""What a terminal shows: sentences, a progress bar, a line for each cycle."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from alnb.reports import CycleReport


def say(text: str) -> None:
    """Print a line as it is."""
    from rich.console import Console

    Console(highlight=False, soft_wrap=True).print(text, markup=False)


@contextmanager
def progress_bar(text: str) -> Iterator[Any]:
    """Show a progress bar on a terminal, and nothing elsewhere."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
    with Progress(*columns, TimeElapsedColumn(), transient=True) as bar:
        task = bar.add_task(text, total=None, note="")

        def update(**changes: Any) -> None:  # noqa: ANN401 - rich's own
            bar.update(task, **changes)

        yield update


def line_of(report: CycleReport) -> str:
    """Put a cycle in a line."""
    scores = report.scores
    dice = f"Dice {scores.dice:.3f}, specificity {scores.specificity:.3f}" if scores else ""
    return (
        f"cycle {report.cycle:3d}  {report.cost.nominal_s:6.0f} s  {dice}  "
        f"(trained {report.fit.train_s:.1f} s, scored {report.score_s:.1f} s)"
    )
