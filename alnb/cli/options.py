"""What commands share: options, how their texts are read, and lines on the terminal."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from inspect import Parameter, Signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from alnb.config import PROGRESS
from alnb.errors import ConfigError
from alnb.schema import read_json, shown

if TYPE_CHECKING:
    from alnb.arrays import Window
    from alnb.config import Config
    from alnb.reports import CycleReport

# --- options ---

Data = Annotated[Path, typer.Argument(help="A dataset's folder, as alnb import makes it.")]
Out = Annotated[Path, typer.Option(help="The folder to write.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Preset = Annotated[
    str,
    typer.Option(
        help="default or paper. paper: as written (FCN8 on VGG16, padding 100, whole slices first: "
        "960 s, then 15 s a cycle)."
    ),
]
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
Port = Annotated[int | None, typer.Option(help="Port of the page; by default a free one.")]
Browser = Annotated[bool, typer.Option(help="Open the page in a browser.")]

Option: TypeAlias = tuple[Any, Any]
"""What typer reads of an option: its annotated type, and its default."""


def option(
    kind: Any,  # noqa: ANN401 - a type, or a union of types
    text: str,
    default: Any = Parameter.empty,  # noqa: ANN401
    *names: str,
    least: int | None = None,
) -> Option:
    """Describe an option of a table; it is required without a default."""
    return Annotated[kind, typer.Option(*names, help=text, min=least)], default


def add_command(
    group: typer.Typer,
    name: str,
    text: str,
    options: Mapping[str, Option],
    carry_out: Callable[[dict[str, Any]], None],
) -> None:
    """Add a command that hands its options, described in a table, to `carry_out`."""

    def command(**given: Any) -> None:  # noqa: ANN401 - as the table says
        carry_out(given)

    command.__signature__ = Signature(  # type: ignore[attr-defined]
        [
            Parameter(option, Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
            for option, (annotation, default) in options.items()
        ]
    )
    group.command(name, help=text)(command)


# --- reading what was typed ---


def window_of(text: str) -> Window:
    """Read LOW,HIGH in HU."""
    from alnb.arrays import Window

    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--window {shown(text)} can't be read; give LOW,HIGH in HU.") from None
    return Window(low, high)


def labels_of(text: str) -> tuple[int, ...]:
    """Read the labels of a mask, as in 1,2."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--infected {shown(text)} can't be read; give LABEL,LABEL.") from None


def seeds_of(text: str) -> tuple[int, ...]:
    """Read seeds, as in 0,1,2: different whole numbers from 0 up."""
    parts = [part.strip() for part in text.split(",")]
    whole = all(part.isdecimal() and len(part) < 16 for part in parts)
    if not whole or len({*map(int, parts)}) < len(parts):
        raise ConfigError(f"--seeds {shown(text)} can't be read; give different numbers, as 0,1,2.")
    return tuple(map(int, parts))


def arms_of(text: str) -> tuple[str, ...]:
    """Read two or more different heuristics, as in entropy,bald,random."""
    from alnb.acquisition import check_heuristic

    names = tuple(check_heuristic(part.strip()) for part in text.split(","))
    if len(set(names)) < max(2, len(names)):
        advice = "give different heuristics, two or more"
        raise ConfigError(f"--arms {shown(text)} can't be compared; {advice}.")
    return names


def shared_of(share: str | None, overlap: float | None) -> dict[str, Any]:
    """Read which part of how many, as in 2/3, and how much is common to all, as settings."""
    common = {} if overlap is None else {"overlap": overlap}
    if share is None:
        return common
    part, _, parts = share.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and max(len(part), len(parts)) < 16):
        raise ConfigError(f"--share {shown(share)} can't be read; give PART/PARTS, as 2/3.")
    return {"share": int(part), "shares": int(parts), **common}


def setting_of(text: str, option: str = "--set") -> tuple[str, Any]:
    """Read NAME=VALUE; the value is JSON, or else a word."""
    name, equals, value = text.partition("=")
    if not equals:
        advice = "give NAME=VALUE, for example steps=60"
        raise ConfigError(f"{option} {shown(text)} can't be read; {advice}.")
    try:
        return name, read_json(value.encode(), Any)
    except ValueError:
        return name, value


def changes_of(
    backbone: str | None,
    weights: Path | None,
    settings: list[str] | None,
    heuristic: str | None = None,
) -> dict[str, Any]:
    """Gather the settings that were named: NAME=VALUE wins, and the file is named absolutely.

    Raises
    ------
    ConfigError
        If there is no such file, or a setting can't be read.
    """
    if weights is not None and not weights.is_file():
        raise ConfigError(f"--weights {weights}: there is no such file. Check the path.")
    path = str(weights.resolve()) if weights else None
    named = {"backbone": backbone, "weights": path, "heuristic": heuristic}
    return _given(named) | dict(map(setting_of, settings or ()))


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def config_of(preset: str, **changes: Any) -> Config:  # noqa: ANN401 - any setting
    """Return a preset with settings changed; None leaves one as it is, and names are checked."""
    from alnb.acquisition import check_heuristic
    from alnb.config import PRESETS

    if preset not in PRESETS:
        raise ConfigError(f"preset {shown(preset)} is unknown; there are {', '.join(PRESETS)}.")
    config = PRESETS[preset].replace(**_given(changes))
    check_heuristic(config.heuristic)
    named = config.weights
    if named is not None and not os.path.isfile(named):  # noqa: PTH113 - any text may be named
        raise ConfigError(f"--weights {shown(named)}: there is no such file. Correct it.")
    if config.backbone != PRESETS[preset].backbone:
        from alnb.training import backbones

        backbones.find(config.backbone)
    return config


# --- on the terminal ---


def say(text: str) -> None:
    """Print a line as it is."""
    from rich.console import Console

    Console(highlight=False, soft_wrap=True).print(text, markup=False)


def _say_progress(changes: Mapping[str, Any]) -> None:
    """Tell a page how far a command is; one that is gone hears nothing."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(json.dumps({PROGRESS: changes}) + "\n")
        sys.stdout.flush()


@contextmanager
def progress_bar(text: str) -> Iterator[Any]:
    """Show a progress bar on a terminal, lines to a page (see `PROGRESS`), nothing elsewhere."""
    if os.environ.get(PROGRESS):
        yield lambda **changes: _say_progress(changes)
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
    elsewhere = not sys.stdout.isatty()
    with Progress(*columns, TimeElapsedColumn(), transient=True, disable=elsewhere) as bar:
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
