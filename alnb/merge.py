"""Several people's sessions on one dataset made into one, with all answers of all of them.

A merged session is a new one, whose journal begins with what was taken from the others:

    opened   asked   answered, undone, redone, …   merged

Each answer keeps who gave it, when, and in which session; only its number changes. People who gave
no name, and simulated annotators, go by the name of the session's folder. Where sessions share
answers, as a fork and its source do, each answer is taken once. Where people disagree, a rule
decides which answer stands; the others are set aside, and stay in the journal. Networks and curves
stay where they are.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alnb.agreement import by_person, pair_table, person_table, verdicts_differ
from alnb.annotation import Answer, Verdict
from alnb.config import Config, retired_settings
from alnb.dataset import Dataset
from alnb.errors import ConfigError, DataError, SessionError, path_sentence
from alnb.journal import Event, Journal, live
from alnb.regions import Region
from alnb.schema import shown
from alnb.session import begin, check_new, check_regions, labelled_dataset, opening
from alnb.state import State, advance, state_of
from alnb.storage import AGREEMENT, JOURNAL, csv_of, names_of, write_text

if TYPE_CHECKING:
    import pandas as pd

ASK, MAJORITY, LAST = "ask", "majority", "last"
RULES = (ASK, MAJORITY, LAST)
"""How a disagreement is settled, beside the name of a person whose answers stand."""
TAKEN = ("answered", "undone", "redone")
OF_ONE = ("share", "shares", "overlap", "budget_s")  # settings that hold for one person only

Identity = tuple[str, float, str, int]
"""Which answer it is, in whatever journal: its session, time and region, and a count from 0."""


@dataclass(frozen=True)
class _Given:
    """An answer in a session that is merged."""

    identity: Identity
    event: Event
    answer: Answer  # with who gave it, and without what an earlier merge decided
    stands: bool  # false if it was taken back
    opinion: bool  # false if it was taken back, or is the skip of a hidden repeat


@dataclass(frozen=True)
class _Source:
    """A session that is merged."""

    folder: Path
    name: str  # of its folder, which no other has
    journal: Journal

    @property
    def events(self) -> tuple[Event, ...]:
        return self.journal.events

    @property
    def dataset(self) -> Mapping[str, str]:
        named: Mapping[str, str] = self.events[0].data["dataset"]
        return named

    @cached_property
    def configs(self) -> list[dict[str, Any]]:
        """Its settings, as it began and after each fork."""
        return [one.data["config"] for one in self.events if one.kind in ("opened", "forked")]

    @property
    def config(self) -> Config:
        return Config.from_dict(self.configs[-1])

    @cached_property
    def given(self) -> dict[int, _Given]:
        """Its answers by their numbers, those taken back too."""
        standing, passed, repeats = self._standing()
        seen: Counter[tuple[str, float, str]] = Counter()
        found = {}
        for event in self.events:
            if event.kind != "answered":
                continue
            answer = self._named(Answer.from_dict(event.data), event.seq in repeats)
            place = answer.session, event.at, answer.region.key
            identity = (*place, seen[place])
            seen[place] += 1
            stands = event.seq in standing
            opinion = stands and event.seq not in passed
            found[event.seq] = _Given(identity, event, answer, stands, opinion)
        return found

    def _named(self, answer: Answer, repeat: bool) -> Answer:
        named = answer.annotator and not answer.simulated
        merged = bool(answer.session)  # it was named then
        return dataclasses.replace(
            answer,
            annotator=answer.annotator if named or merged else self.name,
            session=answer.session or self.journal.name,
            repeat=answer.repeat or repeat,
            aside=False,
        )

    def _standing(self) -> tuple[set[int], set[int], set[int]]:
        """List the answers that stand, skips of hidden repeats, and second answers, by number."""
        state, standing = State(Config()), list[int]()
        repeats = set()
        for event in live(self.events):
            before, state = len(state.repeated), advance(state, event)
            if event.kind == "answered":
                standing.append(event.seq)
                if len(state.repeated) > before:
                    repeats.add(event.seq)
        return set(standing), {standing[n] for n in state.passed}, repeats


@dataclass(frozen=True)
class Merged:
    """What was merged, and how far its people agree."""

    dataset: Dataset
    state: State  # of the merged session
    notes: tuple[str, ...] = ()  # what a person should know of the sessions
    events: tuple[tuple[str, dict[str, Any]], ...] = field(default=(), repr=False)
    times: tuple[float, ...] = field(default=(), repr=False)

    @cached_property
    def people(self) -> dict[str, dict[str, Answer]]:
        """Everyone's own answers, as `agreement.by_person` gathers them."""
        return by_person(self.state.opinions)

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """How far each two people agree: `agreement.pair_table`."""
        return pair_table(self.people, self.dataset.pixel_mm)

    @cached_property
    def persons(self) -> pd.DataFrame:
        """What each of them tends to miss: `agreement.person_table`."""
        return person_table(self.people, self.dataset)

    @property
    def sentence(self) -> str:
        """Count answers, regions and disagreements."""
        opinions: dict[str, list[Answer]] = {}
        for own in self.people.values():
            for key, answer in own.items():
                opinions.setdefault(key, []).append(answer)
        several = [each for each in opinions.values() if len(each) > 1]
        differ = sum(map(verdicts_differ, several))
        left = len(self.state.disputed)
        asked = f"; {left} of them will be asked first" if left else ""
        return (
            f"{len(self.state.given)} answers of {len(self.people)} people on {len(opinions)} "
            f"regions. {len(several)} regions were answered by several; on {differ} they "
            f"disagree{asked}."
        )


def merge(
    folders: Sequence[Path], out: Path, conflicts: str = ASK, data: Path | None = None
) -> Merged:
    """Merge sessions on one dataset into a new one; they are only read.

    Parameters
    ----------
    folders : sequence of Path
        Of the sessions, two or more; of merged ones, too. The settings are the first one's.
    out : Path
        Of the new session. Beside its journal it gets ``agreement.csv`` and ``annotators.csv``.
    conflicts : str
        Which answer stands where people disagree about infection. ``ask``: none, until somebody
        decides; these regions are asked first. ``majority``: the last of those whom most agree
        with. ``last``: the last. A name: that person's. Where a rule decides nothing, as in a tie,
        the region is asked. By default nothing is decided that nobody has seen (ours).
    data : Path, optional
        The dataset's folder; None takes the first that a journal names and that is there.

    Returns
    -------
    Merged

    Raises
    ------
    SessionError
        If a session is missing, broken, open elsewhere, without answers, named twice or divided
        into other regions, or `out` is no new folder. Nothing is written then.
    DataError
        If they are of different datasets, or the dataset is not there.
    ConfigError
        If nobody has the name.
    """
    check_new(out)
    sources = _read(folders)
    dataset = _dataset(sources, data)
    for source in sources:
        _check_places(source, dataset)
    merged = _merged(sources, dataset, conflicts)
    tables = [csv_of(merged.pairs), csv_of(merged.persons)]
    begin(out, merged.events, merged.times).release()
    try:
        for name, text in zip(AGREEMENT, tables, strict=True):
            write_text(out / name, text)
    except OSError as error:
        raise SessionError(
            f"{out} is merged, without its tables: {path_sentence(error, out)}"
        ) from error
    return merged


# --- reading, and what is refused ---


def _read(folders: Sequence[Path]) -> tuple[_Source, ...]:
    if len(folders) < 2:
        raise SessionError("one session needs no merging; name two or more.")
    resolved = [folder.resolve() for folder in folders]
    for folder, count in Counter(resolved).items():
        if count > 1:
            raise SessionError(f"{folder} is named {count} times; name each session once.")
    sources = tuple(
        _Source(folder, name, Journal(folder / JOURNAL))
        for folder, name in zip(folders, names_of(resolved), strict=True)
    )
    for source in sources:
        _check_session(source)
    _check_alike(sources)
    return sources


def _check_session(source: _Source) -> None:
    folder, journal = source.folder, source.journal
    if not journal.events:
        raise SessionError(f"{folder} holds no session: there is no {JOURNAL} in it.")
    if journal.held and not journal.host:
        raise SessionError(
            f"{folder} is open in another window or run ({journal.holder}), which may still add "
            "answers. Close it, then merge again."
        )
    if not any(event.kind == "answered" for event in live(journal.events)):
        raise SessionError(f"{folder} holds no answer yet; leave it out.")
    if gone := retired_settings(source.configs[-1]):
        raise SessionError(
            f"{folder} was labelled with {', '.join(gone)}, which alnb no longer has; leave it out."
        )
    try:
        _division(source)
    except ConfigError as error:
        raise SessionError(f"{folder}: {error} Was it labelled with a newer alnb?") from error


def _check_alike(sources: Sequence[_Source]) -> None:
    first = sources[0]
    divided = _division(first)
    for n, other in enumerate(sources):
        if other.dataset["fingerprint"] != first.dataset["fingerprint"]:
            raise DataError(
                f"{first.folder} labels the dataset {first.dataset['name']!r}, {other.folder} "
                f"{other.dataset['name']!r} or another state of it. Merge sessions of one dataset."
            )
        if _division(other) != divided:
            raise SessionError(
                f"{first.folder} divides slices into {divided}, {other.folder} into "
                f"{_division(other)}. Merge sessions whose regions are the same."
            )
        for earlier in sources[:n]:
            if earlier.events == other.events:
                raise SessionError(
                    f"{other.folder} is a copy of {earlier.folder}; name one of the two."
                )


def _division(source: _Source) -> str:
    """Say how a session divides slices, or has divided them."""
    configs = map(Config.from_dict, source.configs)
    words = (f"{one.regions_per_slice} regions ({one.regions})" for one in configs)
    return ", then ".join(dict.fromkeys(words))


def _dataset(sources: Sequence[_Source], data: Path | None) -> Dataset:
    """Open the dataset where it is named, or where one of the sessions knows it."""
    here = (one for one in sources if Path(one.dataset["folder"]).is_dir())
    return labelled_dataset(next(here, sources[0]).events, data)


def _check_places(source: _Source, dataset: Dataset) -> None:
    try:
        check_regions(source.events, dataset)
        _ = source.given
    except (SessionError, DataError) as error:
        raise SessionError(f"{source.folder}: {error}") from error


# --- merging ---


def _merged(sources: Sequence[_Source], dataset: Dataset, conflicts: str) -> Merged:
    kept = _kept(sources)
    opinions = _opinions(sources, kept)
    names = {person for each in opinions.values() for person in each}
    if conflicts not in (*RULES, *names):
        raise ConfigError(
            f"--conflicts {shown(conflicts)}: nobody of that name answered. Name "
            f"{', '.join((*RULES, *sorted(names)))}."
        )
    stands = {key: _standing(each, conflicts) for key, each in opinions.items()}
    aside = {
        one.identity
        for source in sources
        for one in source.given.values()
        if one.opinion and _is_aside(one, stands.get(one.answer.region.key))
    }
    defaults = {name: getattr(Config(), name) for name in OF_ONE}
    config = dataset.resolve(sources[0].config.replace(**defaults))
    picks = [{"region": key, "score": 0.0} for key in opinions]
    taken = _taken(sources, kept, aside)
    events = [
        ("opened", opening(dataset, config)),
        ("asked", {"cycle": 0, "heuristic": config.heuristic, "picks": picks}),
        *((kind, data) for _, kind, data in taken),
        ("merged", {
            "sessions": [_noted(n, source, kept) for n, source in enumerate(sources)],
            "conflicts": conflicts,
            "disputed": _in_order(dataset, (key for key, one in stands.items() if one is None)),
        }),
    ]  # fmt: skip
    times = [at for at, _, _ in taken]
    state = state_of(Event(n, 0.0, *one) for n, one in enumerate(events))
    notes = tuple(_notes(sources, kept))
    return Merged(dataset, state, notes, tuple(events), (times[0], times[0], *times))


def _noted(n: int, source: _Source, kept: Mapping[Identity, int]) -> dict[str, Any]:
    """Note in the journal what is taken of a session."""
    taken = [one for one in source.given.values() if one.stands and kept[one.identity] == n]
    name, place = source.journal.name, str(source.folder.resolve())
    return {"session": name, "source": place, "answers": len(taken)}


def _in_order(dataset: Dataset, keys: Iterable[str]) -> list[str]:
    """Sort regions as they lie: one looks at a slice once."""
    order = {where: n for n, where in enumerate(dataset.slices)}
    regions = map(Region.parse, keys)
    ordered = sorted(regions, key=lambda one: (order[one.where], one.row, one.col))
    return [region.key for region in ordered]


def _kept(sources: Sequence[_Source]) -> dict[Identity, int]:
    """Choose from which session each answer is taken: one in which it stands, if it can be."""
    kept: dict[Identity, tuple[bool, int]] = {}
    for n, source in enumerate(sources):
        for one in source.given.values():
            place = (not one.stands, n)
            kept[one.identity] = min(kept.get(one.identity, place), place)
    return {identity: n for identity, (_, n) in kept.items()}


def _opinions(
    sources: Sequence[_Source], kept: Mapping[Identity, int]
) -> dict[str, dict[str, _Given]]:
    """Gather everyone's last answer on each region, by key and name.

    What an answer was given to decide between counts no more.
    """
    decided: set[Identity] = set()
    for source in sources:
        before: dict[str, list[Identity]] = {}
        for one in source.given.values():
            known = before.setdefault(one.answer.region.key, [])
            if one.opinion and one.answer.decides:
                decided.update(known)
            known.append(one.identity)
    opinions: dict[str, dict[str, _Given]] = {}
    for n, source in enumerate(sources):
        for one in source.given.values():
            if not one.opinion or one.identity in decided or kept[one.identity] != n:
                continue
            each = opinions.setdefault(one.answer.region.key, {})
            earlier = each.get(one.answer.annotator)
            if earlier is None or earlier.event.at <= one.event.at:
                each[one.answer.annotator] = one
    return opinions


def _standing(each: Mapping[str, _Given], conflicts: str) -> _Given | None:
    """Choose whose answer on a region stands; None if somebody must decide."""
    ordered = sorted(each.values(), key=lambda one: one.event.at)
    said = [one for one in ordered if one.answer.verdict is not Verdict.SKIPPED]
    if not said:
        return ordered[-1]
    own = [one for one in said if one.answer.annotator == conflicts and conflicts not in RULES]
    if own or conflicts == LAST or not verdicts_differ([one.answer for one in said]):
        return (own or said)[-1]
    if conflicts != MAJORITY:
        return None
    (verdict, most), *rest = Counter(one.answer.verdict for one in said).most_common()
    if most in (count for _, count in rest):
        return None
    return [one for one in said if one.answer.verdict is verdict][-1]


def _is_aside(one: _Given, stands: _Given | None) -> bool:
    """Tell whether an answer on a region gives way; a person's own last one needs no mark."""
    return stands is None or (
        one.identity != stands.identity
        and (one.answer.annotator, one.answer.session)
        != (stands.answer.annotator, stands.answer.session)
    )


def _taken(
    sources: Sequence[_Source], kept: Mapping[Identity, int], aside: set[Identity]
) -> list[tuple[float, str, dict[str, Any]]]:
    """List what is taken of the sessions, by time: when it happened, its kind and data."""
    ordered = sorted(_happened(sources, kept), key=lambda one: one[:3])
    numbers: dict[Identity, int] = {}  # in the merged journal, whose first two lines are others
    sweeps: dict[tuple[int, int], int] = {}
    taken = []
    for number, (at, n, _, event, one) in enumerate(ordered, 2):
        data = dict(event.data)
        if event.kind == "answered":
            numbers[one.identity] = number
            answer = dataclasses.replace(one.answer, aside=one.identity in aside)
            data.pop("aside", None)
            data |= answer.to_dict()
        else:
            data["of"] = numbers[one.identity]
        if "sweep" in data:
            data["sweep"] = sweeps.setdefault((n, data["sweep"]), number)
        taken.append((at, event.kind, data))
    return taken


def _happened(
    sources: Sequence[_Source], kept: Mapping[Identity, int]
) -> Iterator[tuple[float, int, int, Event, _Given]]:
    """Yield each event that is taken: its time, session and number, itself and its answer.

    A clock that was set back does not change the order of a session.
    """
    for n, source in enumerate(sources):
        at = 0.0
        for event in source.events:
            if event.kind in TAKEN:
                one = source.given[event.data.get("of", event.seq)]
                at = max(at, event.at)
                if kept[one.identity] == n:
                    yield at, n, event.seq, event, one


def _notes(sources: Sequence[_Source], kept: Mapping[Identity, int]) -> Iterator[str]:
    """Say what a person should know of the sessions."""
    settings = [source.config.to_dict() for source in sources]
    ours = settings[0]
    differ = [
        name for name in ours
        if name not in OF_ONE and any(one[name] != ours[name] for one in settings)
    ]  # fmt: skip
    if differ:
        names = ", ".join(differ)
        yield f"The settings are those of {sources[0].folder}; others differ in {names}."
    for n, source in enumerate(sources):
        if source.journal.host:
            yield (
                f"{source.folder} was last open on the computer {source.journal.host}; what is "
                "answered there from now on is not in the merged session."
            )
        if not any(kept[one.identity] == n for one in source.given.values()):
            yield f"{source.folder} adds nothing: its answers are in the others, too."
