"""What a terminal shows: sentences, a progress bar, a line for each cycle.

The options that several commands take, and the settings made of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from alnb.reports import CycleReport
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alnb.errors import ConfigError

if TYPE_CHECKING:
    from alnb.config import Config


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


Data = Annotated[Path, typer.Argument(help="A dataset's folder, as alnb import makes it.")]
Out = Annotated[Path, typer.Option(help="Where to put it.")]
Size = Annotated[int, typer.Option(help="Side of the working grid, in pixels.")]
Split = Annotated[
    str, typer.Option(help="scan, sep, mixed, or a CSV file with columns scan[,z],part.")
]
WindowText = Annotated[str, typer.Option("--window", help="LOW,HIGH in HU: what the network sees.")]
Skip = Annotated[list[str] | None, typer.Option(help="A scan to leave out; may be repeated.")]
Flip = Annotated[
    list[str] | None,
    typer.Option(help="Scans, by name or pattern, that lie upside down in spite of their header."),
]
Unit = Annotated[str | None, typer.Option(help="hu or grey, where the values allow both.")]
Infected = Annotated[
    str | None,
    typer.Option(help="LABEL,… of the masks that are infected; all others become background."),
]
AllowShared = Annotated[
    bool,
    typer.Option(
        "--allow-shared-scans", help="Take a split file that puts one scan into several parts."
    ),
]
Seed = Annotated[int, typer.Option(help="Of everything random.")]
Backbone = Annotated[str | None, typer.Option(help="efficientnet_lite0, vgg16 or timm/NAME.")]
Heuristic = Annotated[
    str | None,
    typer.Option(
        help="entropy, bald, margin, least_confidence, random, foreground_random, or a package's."
    ),
]
Weights = Annotated[Path | None, typer.Option(help="A file of ImageNet weights.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="NAME=VALUE for any other setting of Config; may be repeated."),
]


def window_of(text: str) -> Any:  # noqa: ANN401 - a Window, imported late
    """Read LOW,HIGH in HU."""
    from alnb.arrays import Window

    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--window {text!r} can't be read; give LOW,HIGH in HU.") from None
    return Window(low, high)


def labels_of(text: str | None) -> tuple[int, ...] | None:
    """Read the labels of a mask, as in 1,2; None for none named."""
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--infected {text!r} can't be read; give LABEL,LABEL.") from None


def setting_of(text: str, option: str = "--set") -> tuple[str, Any]:
    """Read NAME=VALUE; the value is JSON, or else a word."""
    import json

    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(
            f"{option} {text!r} can't be read; give NAME=VALUE, for example steps=60."
        )
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def changes_of(
    backbone: str | None,
    weights: Path | None,
    settings: list[str] | None,
    heuristic: str | None = None,
) -> dict[str, Any]:
    """Gather the settings that were named; a file's path holds from any folder."""
    if weights is not None and not weights.is_file():
        raise ConfigError(f"--weights {weights}: there is no such file. Check the path.")
    path = str(weights.resolve()) if weights else None
    named = {"backbone": backbone, "weights": path, "heuristic": heuristic}
    given = {name: value for name, value in named.items() if value is not None}
    return given | dict(map(setting_of, settings or ()))


def config_of(preset: str, **changes: Any) -> Config:  # noqa: ANN401 - any setting
    """Return a preset with settings changed, None leaving one as it is; names are checked."""
    from alnb.acquisition import check_heuristic
    from alnb.config import PRESETS

    if preset not in PRESETS:
        raise ConfigError(f"preset {preset!r} is unknown; there are {', '.join(PRESETS)}.")
    given = {name: value for name, value in changes.items() if value is not None}
    config = PRESETS[preset].replace(**given)
    check_heuristic(config.heuristic)
    if config.backbone != PRESETS[preset].backbone:
        from alnb.training import backbones

        backbones.find(config.backbone)
    return config
