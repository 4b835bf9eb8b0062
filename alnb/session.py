"""A session: the commands that change its state, each written before it counts."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from itertools import takewhile
from pathlib import Path
from typing import Any

import alnb
from alnb.acquisition import Pick
from alnb.annotation import Answer, Verdict
from alnb.config import Config, retired_settings
from alnb.cost import Cost
from alnb.dataset import PARTS, Dataset, share_of
from alnb.errors import DataError, SessionError, saying
from alnb.journal import Event, Journal, live, own
from alnb.metrics import Scores
from alnb.regions import Region
from alnb.reports import FitReport, Sample
from alnb.state import State, advance, digest, state_of, undone
from alnb.storage import CACHE, JOURNAL, LOCK, is_of_session


def sessions_folder() -> Path:
    """Name the folder of the user's sessions."""
    from platformdirs import user_data_path

    return user_data_path("alnb") / "sessions"


def default_folder(dataset: Dataset) -> Path:
    """Name the folder of a dataset's own session, among the user's data."""
    name = re.sub(r"[^\w-]+", "_", dataset.name)[:40]
    return sessions_folder() / f"{name}-{dataset.fingerprint[:8]}"


class Session:
    """Labelling of one dataset, kept in one folder; every command is on disk when it returns.

    Use `Session.open`. A command that could not be written raises a `SessionError`.
    """

    def __init__(self, dataset: Dataset, journal: Journal) -> None:
        self.dataset = dataset
        self.journal = journal
        self._read = (0, State(Config()))

    @classmethod
    def open(
        cls,
        folder: Path,
        dataset: Dataset,
        config: Config | None = None,
        *,
        take_over: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> Session:
        """Open the session in a folder, or start one there.

        Parameters
        ----------
        folder : Path
            Holds `journal.jsonl`, and caches.
        dataset : Dataset
            What is labelled.
        config : Config, optional
            For a new session; an old one keeps its own, and one that differs is an error.
        take_over : bool
            Open it even while another process has it open; that one can't write any more.
        clock : callable
            Gives seconds since 1970.

        Raises
        ------
        SessionError
            If the journal is broken, in use, of another dataset or of other settings, or if the
            folder holds something else.
        ConfigError
            If the settings leave a person without a slice.
        """
        folder = Path(folder)
        _check_place(folder)
        new = not folder.exists()
        journal = Journal(folder / JOURNAL, clock)
        try:
            journal.claim(take_over=take_over)
            if not journal.events:
                resolved = dataset.resolve(config or Config())
                share_of(dataset, resolved)  # somebody may have none
                journal.append("opened", opening(dataset, resolved))
            session = cls(dataset, journal)
            session._check_opening()
            if config is not None:
                session.require(config)
        except Exception:
            journal.release()
            if new:
                _take_back(folder)
            raise
        return session

    def _check_opening(self) -> None:
        """Refuse another dataset, and settings that alnb no longer has."""
        folder = self.journal.path.parent
        named = self.journal.events[0].data["dataset"]
        if named["fingerprint"] != self.dataset.fingerprint:
            raise SessionError(
                f"the session in {folder} labels the dataset {named['name']!r}, which is not the "
                f"one in {self.dataset.folder}, or that has changed since. Open it with its own "
                "dataset, or choose another folder."
            )
        check_regions(self.journal.events, self.dataset)
        opened = [e for e in self.journal.events if e.kind in ("opened", "forked")]
        if gone := retired_settings(opened[-1].data["config"]):
            raise SessionError(
                f"the session in {folder} was labelled with {', '.join(gone)}, which alnb no "
                "longer has. It can be read, compared and exported, but not gone on with; begin a "
                "new session on the same data."
            )

    def require(self, config: Config) -> None:
        """Make sure that the session runs on these settings; a `SessionError` names others."""
        resolve = self.dataset.resolve
        old, new = resolve(self.state.config).to_dict(), resolve(config).to_dict()
        differ = [f"{key} {old[key]!r}, not {new[key]!r}" for key in old if old[key] != new[key]]
        if differ:
            raise SessionError(
                f"the session in {self.journal.path.parent} was started with other settings "
                f"({'; '.join(differ)}). Go on with those, or choose another folder."
            )

    @property
    def state(self) -> State:
        """Where the session stands; only the journal decides it."""
        events = self.journal.events
        read, state = self._read
        new = events[read:]
        if any(event.kind in ("undone", "redone") for event in new):
            state = state_of(events)  # these change what lives of the past
        else:
            state = reduce(advance, new, state)
        self._read = (len(events), state)
        return state

    @property
    def cache(self) -> Path:
        """Folder of weights, scores and maps, all of which can be made again."""
        return self.journal.path.parent / CACHE

    def ask(self, picks: Sequence[Pick], by: Mapping[str, Any] | None = None) -> None:
        """Begin the next cycle with these regions.

        Parameters
        ----------
        picks : sequence of Pick
        by : mapping, optional
            What chose them, if that was the live layer or the person: ``weights``, ``answers``,
            ``slices`` and ``chosen``, as the journal keeps them. They are asked in this cycle then,
            as long as it is not trained.
        """
        state = self.state
        more = by is not None and state.cycle >= 0 and state.fit_cycle < state.cycle
        self.journal.append(
            "asked",
            {
                "cycle": state.cycle + (0 if more else 1),
                "heuristic": state.config.heuristic,
                **({} if by is None else {"by": dict(by)}),
                "picks": [
                    {"region": pick.region.key, "score": round(pick.score, 6)}
                    | ({"repeat": True} if pick.repeat else {})
                    for pick in picks
                ],
            },
        )

    def choose(self, region: Region, by: Mapping[str, Any] | None = None) -> None:
        """Ask about a region that the person chose, beside those of this cycle.

        Parameters
        ----------
        region : Region
            Of the pool, without an answer.
        by : mapping, optional
            What the person chose against, as in `ask`; nothing if None.
        """
        against = by or {"weights": "", "answers": len(self.state.answers), "slices": 0}
        self.ask([Pick(region, 0.0, chosen=True)], {**against, "chosen": True})

    def submit(self, answer: Answer) -> None:
        """Take an answer; one on a region that has one corrects it.

        Raises
        ------
        SessionError
            If the region was never asked about.
        """
        state, key = self.state, answer.region.key
        if key not in state.ever_asked and key not in state.by_key:
            raise SessionError(f"region {key} was not asked about.")
        answer = replace(answer, corrects=key in state.by_key, decides=key in state.merged)
        self.journal.append("answered", answer.to_dict())

    def sweep(self, answers: Sequence[Answer]) -> None:
        """Take answers that were given in one go on regions of one slice, asked about or not.

        They are written together, and taken back together. One verdict says that those without
        infection are clean, so they are priced as one.

        Raises
        ------
        SessionError
            If they are on several slices.
        """
        if len({answer.region.where for answer in answers}) > 1:
            raise SessionError("a sweep answers regions of one slice.")
        group, merged = {"sweep": self.journal.count}, self.state.merged
        answers = [
            replace(one, rest=one.verdict is Verdict.CLEAN, decides=one.region.key in merged)
            for one in answers
        ]
        if answers:
            self.journal.extend("answered", [answer.to_dict() | group for answer in answers])

    def undo(self) -> tuple[Answer, ...]:
        """Take the last answer back, or the last sweep; what was asked is open again.

        Empty if there is nothing to take back. Answers that were merged from other sessions stay.
        """
        answers = [event for event in own(live(self.journal.events)) if event.kind == "answered"]
        last = _group(answers)
        if last:
            self.journal.extend("undone", [_taken(event.seq, event.data) for event in last])
        return tuple(Answer.from_dict(event.data) for event in last)

    def redo(self) -> tuple[Answer, ...]:
        """Give the answers again that were taken back last.

        Empty if nothing was taken back since the last answer.
        """
        last = _group(undone(self.journal.events))
        if last:
            taken = [_taken(event.data["of"], event.data) for event in last]
            self.journal.extend("redone", taken)
        return tuple(Answer.from_dict(self.journal.events[event.data["of"]].data) for event in last)

    def trained(self, fit: FitReport, answers: Sequence[Answer], cost: Cost) -> None:
        """Note a training.

        Parameters
        ----------
        fit, answers
            What it brought, and on what it learned.
        cost : Cost
            Of every answer given until then.
        """
        self.journal.append(
            "trained",
            {
                "cycle": self.state.cycle,
                "fit": fit.to_dict(),
                "on": digest(answers),
                "cost": dataclasses.asdict(cost),
            },
        )

    def scored(self, scores: Scores | None, score_s: float) -> None:
        """Note how the network of this cycle did on the test part."""
        self.journal.append(
            "scored",
            {
                "cycle": self.state.fit_cycle if self.state.live else self.state.cycle,
                "scores": dataclasses.asdict(scores) if scores else None,
                "score_s": round(score_s, 3),
            },
        )

    def sampled(self, sample: Sample) -> None:
        """Note what the live layer predicts after an answer."""
        self.journal.append("sampled", sample.to_dict())

    def fork(self, folder: Path, cycle: int, **changes: Any) -> Session:  # noqa: ANN401
        """Start another session from this one's answers up to a cycle, with settings changed.

        Parameters
        ----------
        folder : Path
            Of the new session, which is open for writing; must hold none.
        cycle : int
            The last cycle that both share.
        **changes
            Settings of `Config`.

        Raises
        ------
        SessionError
            If there is a session in the folder, or this one never came to that cycle.
        ConfigError
            If a setting is unknown or out of range.
        """
        if not any(e.kind == "asked" and e.data["cycle"] == cycle for e in self.journal.events):
            raise SessionError(
                f"the session never came to cycle {cycle}; it can't be forked there."
            )
        config = self.dataset.resolve(self.state.config.replace(**changes))
        shared = [
            *takewhile(
                lambda one: one.kind != "asked" or one.data["cycle"] <= cycle, self.journal.events
            )
        ]
        source = {"source": str(self.journal.path.parent), "last": len(shared) - 1}
        forked = ("forked", {**source, "config": config.to_dict()})
        events = [*((event.kind, event.data) for event in shared), forked]
        return Session(self.dataset, begin(folder, events, [event.at for event in shared]))

    def close(self) -> None:
        """Let others write; reading goes on."""
        self.journal.release()


def _group(events: Sequence[Event]) -> list[Event]:
    """Take the last event, or all those at the end that are of its sweep."""
    sweep = events[-1].data.get("sweep") if events else None
    if sweep is None:
        return list(events[-1:])
    return list(takewhile(lambda event: event.data.get("sweep") == sweep, reversed(events)))[::-1]


def _taken(of: int, data: Mapping[str, Any]) -> dict[str, Any]:
    group = {"sweep": data["sweep"]} if "sweep" in data else {}
    return {"of": of, "region": data["region"], **group}


def labelled_dataset(events: Sequence[Event], data: Path | None = None) -> Dataset:
    """Open the dataset that a journal's events are about, in its folder `data` or where it was.

    Raises
    ------
    DataError
        If it is not there, or is another.
    """
    named = events[0].data["dataset"]
    folder = data or Path(named["folder"])
    if not folder.is_dir():
        raise DataError(f"the dataset {named['name']!r} is not in {folder}; name it with --data.")
    dataset = Dataset.open(folder)
    if dataset.fingerprint != named["fingerprint"]:
        raise DataError(
            f"{folder} is not the dataset {named['name']!r} that was labelled, or has changed "
            "since; name the right one with --data."
        )
    check_regions(events, dataset)
    return dataset


def check_regions(events: Sequence[Event], dataset: Dataset) -> None:
    """Make sure that all regions lie on a dataset's slices; a person may have edited the journal.

    Raises
    ------
    SessionError
        If one does not.
    """
    slices = set(dataset.slices)
    for event in events:
        named = event.data["picks"] if event.kind == "asked" else [event.data]
        named = [*named, *({"region": key} for key in event.data.get("disputed", ()))]
        for region in (Region.parse(one["region"]) for one in named if "region" in one):
            if region.where not in slices or max(region.end) > dataset.size:
                raise SessionError(
                    f"line {event.seq + 1} of the journal: there is no region {region.key[:80]} in "
                    f"the dataset {dataset.name}. Restore the journal from a copy."
                )


def _take_back(folder: Path) -> None:
    """Remove a new folder in which no session could be begun."""
    with contextlib.suppress(OSError):
        (folder / LOCK).unlink(missing_ok=True)
        folder.rmdir()  # unless something is in it


@saying("folder")
def begin(
    folder: Path, events: Sequence[tuple[str, dict[str, Any]]], times: Sequence[float]
) -> Journal:
    """Begin a session with what happened in others; the journal is open for writing.

    Parameters
    ----------
    folder : Path
        Must hold no session.
    events, times
        As for `Journal.add`.

    Raises
    ------
    SessionError
        If the folder holds anything, or can't be written; it is then as it was.
    """
    check_new(folder)
    new = not Path(folder).exists()
    journal = Journal(Path(folder) / JOURNAL)
    try:
        journal.add(events, times)
    except Exception:
        journal.release()
        if new:
            _take_back(Path(folder))
        raise
    return journal


def check_new(folder: Path) -> None:
    """Make sure that a folder holds no session yet, and nothing else."""
    _check_place(Path(folder))
    if (Path(folder) / JOURNAL).exists():
        raise SessionError(f"{folder} holds a session already; choose another folder.")


def _check_place(folder: Path) -> None:
    """Make sure that a folder is new, empty or a session's."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise SessionError(f"{folder} is a file; a session needs a folder.")
    names = {path.name for path in folder.iterdir()}
    others = sorted(name for name in names if not is_of_session(name))
    if others and JOURNAL not in names:
        raise SessionError(
            f"{folder} holds {others[0]} and no session; name a new folder, so that nothing of "
            "yours is mixed up."
        )


def opening(dataset: Dataset, config: Config) -> dict[str, Any]:
    """Return the data of a session's first event."""
    return {
        "version": alnb.__version__,
        "config": config.to_dict(),
        "dataset": {
            "name": dataset.name,
            "folder": str(dataset.folder.resolve()),
            "fingerprint": dataset.fingerprint,
            "split": {part: len(dataset.part(part)) for part in PARTS},
        },
    }
