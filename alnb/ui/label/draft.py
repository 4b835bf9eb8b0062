"""Marks on the region on screen that are no answer yet; ``draft.json`` keeps them for a reload."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from alnb.annotation import Answer, Click, Outline, Verdict
from alnb.arrays import INFECTED
from alnb.regions import Region
from alnb.schema import Number, read_json
from alnb.state import State
from alnb.storage import write_text

Marks = tuple[tuple[Click, ...], tuple[Outline, ...]]


def distance_px(one: Click, other: Click) -> float:
    """Measure how far two clicks are apart, in pixels of the slice."""
    return math.dist((one.row, one.col), (other.row, other.col))


@dataclass(frozen=True, slots=True)
class Draft:
    """The region on screen and its marks.

    Parameters
    ----------
    region : Region or None
        None where nothing is asked; the whole slice in a sweep.
    clicks : tuple of Click
    outlines : tuple of Outline
    held : bool
        Whether the person chose this region: then it stays on screen without marks, too.
    sweep : bool
        Whether the region is a whole slice, answered at once.
    past, future : tuple of Marks
        The marks before each step taken, and after each step taken back; the latest is last.
    """

    region: Region | None = None
    clicks: tuple[Click, ...] = ()
    outlines: tuple[Outline, ...] = ()
    held: bool = False
    sweep: bool = False
    past: tuple[Marks, ...] = field(default=(), compare=False, repr=False)
    future: tuple[Marks, ...] = field(default=(), compare=False, repr=False)

    @classmethod
    def of(cls, answer: Answer) -> Draft:
        """Open an answer again, with its marks; an outline of the network is no mark."""
        outlines = () if answer.verified else answer.outlines
        return cls(answer.region, answer.clicks, outlines, held=True)

    @property
    def marked(self) -> bool:
        """Whether there is any mark."""
        return bool(self.clicks or self.outlines)

    @property
    def infected(self) -> bool:
        """Whether a mark says where infection is; a background click does not."""
        return bool(self.outlines) or any(click.label == INFECTED for click in self.clicks)

    @property
    def changed(self) -> bool:
        """Whether the marks differ from those of an answer."""
        return bool(self.past) or (self.marked and not self.held)

    @property
    def points(self) -> int:
        """How many points are set: clicks, and vertices of outlines."""
        return len(self.clicks) + sum(map(len, self.outlines))

    def toggled(self, click: Click, reach_px: float) -> Draft:
        """Add a click, or remove the nearest one within `reach_px` pixels of the slice."""
        near = [old for old in self.clicks if distance_px(old, click) <= reach_px]
        hit = min(near, key=lambda old: distance_px(old, click), default=None)
        kept = tuple(old for old in self.clicks if old is not hit)
        return self._stepped(kept if near else (*self.clicks, click), self.outlines)

    def outlined(self, outline: Outline) -> Draft:
        """Add an outline."""
        return self._stepped(self.clicks, (*self.outlines, outline))

    def _stepped(self, clicks: tuple[Click, ...], outlines: tuple[Outline, ...]) -> Draft:
        past = (*self.past, (self.clicks, self.outlines))
        return replace(self, clicks=clicks, outlines=outlines, past=past, future=())

    def undone(self) -> Draft:
        """Take the last step back; after a reload there are no steps, so the last mark."""
        if not (self.past or self.marked):
            return self
        clicks, outlines = self.clicks, self.outlines
        if self.past:
            clicks, outlines = self.past[-1]
        elif outlines:
            outlines = outlines[:-1]
        else:
            clicks = clicks[:-1]
        future = (*self.future, (self.clicks, self.outlines))
        return replace(self, clicks=clicks, outlines=outlines, past=self.past[:-1], future=future)

    def redone(self) -> Draft:
        """Repeat the step that was taken back last."""
        if not self.future:
            return self
        clicks, outlines = self.future[-1]
        past = (*self.past, (self.clicks, self.outlines))
        return replace(self, clicks=clicks, outlines=outlines, past=past, future=self.future[:-1])

    @property
    def can_undo(self) -> bool:
        """Whether there is a step or a mark to take back."""
        return bool(self.past) or self.marked

    def answer(self, verdict: Verdict, seconds: float, **given: Any) -> Answer:  # noqa: ANN401
        """Make an answer on the region; `given` are the other fields of `Answer`."""
        if self.region is None:
            raise ValueError("there is no region to answer")
        if verdict is not Verdict.INFECTED:
            return Answer(self.region, verdict, (), seconds, **given)
        given = {"outlines": self.outlines} | given
        return Answer(self.region, verdict, self.clicks, seconds, **given)

    def swept(self, cells: Iterable[Region], seconds: float, **given: Any) -> tuple[Answer, ...]:  # noqa: ANN401
        """Answer the cells of a slice: clicked cells are infected, the others clean.

        Parameters
        ----------
        cells : iterable of Region
            The slice's regions that have no answer yet.
        seconds : float
            Working time on the whole slice; each answer gets an equal share.
        **given
            The other fields of `Answer`.
        """
        cells = tuple(cells)
        share = round(seconds / max(1, len(cells)), 3)
        answers = []
        for cell in cells:
            clicks = tuple(click for click in self.clicks if cell.contains(click.row, click.col))
            marked = Draft(cell, clicks)
            verdict = Verdict.INFECTED if marked.infected else Verdict.CLEAN
            answers.append(marked.answer(verdict, share, **given))
        return tuple(answers)


class _Kept(TypedDict):
    """What ``draft.json`` holds."""

    region: str
    clicks: list[tuple[Number, Number, int]]
    outlines: NotRequired[list[list[tuple[Number, Number]]]]
    sweep: NotRequired[bool]
    corrects: NotRequired[bool]  # whether the region has an answer


def keep_draft(path: Path, draft: Draft, *, answered: bool) -> None:
    """Write a draft's marks; without marks, or with only those of its answer, remove the file.

    Parameters
    ----------
    path : Path
        The file.
    draft : Draft
        What is on screen.
    answered : bool
        Whether its region has an answer.
    """
    if draft.region is None or not draft.marked or (answered and not draft.changed):
        if path.exists():  # a disk that may only be read refuses even what is not there
            path.unlink()
        return
    kept = {
        "region": draft.region.key,
        "clicks": [[c.row, c.col, c.label] for c in draft.clicks],
        "outlines": draft.outlines,
        "sweep": draft.sweep,
        "corrects": answered,
    }
    write_text(path, json.dumps(kept))


def restore_draft(path: Path, state: State) -> Draft:
    """Read the marks that the last page left; a broken or outdated file is no draft."""
    with contextlib.suppress(OSError, ValueError):
        kept = read_json(path.read_bytes(), _Kept)
        region = Region.parse(kept["region"])
        clicks = tuple(Click(*click) for click in kept["clicks"])
        outlines = tuple(
            tuple((row, col) for row, col in line) for line in kept.get("outlines", ())
        )
        sweep, corrects = kept.get("sweep", False), kept.get("corrects", False)
        answered = region.key in state.by_key
        asked = region.key in state.ever_asked
        wanted = sweep or ((asked or answered) if corrects else (asked and not answered))
        if wanted and all(region.contains(c.row, c.col) for c in clicks):
            return Draft(region, clicks, outlines, held=sweep, sweep=sweep)
    return Draft()
