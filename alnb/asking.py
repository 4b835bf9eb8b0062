"""What is asked next where the live layer learns from each answer: one region at a time."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from alnb.acquisition import Pick, needs_network, turns
from alnb.annotation import Answer, Click, Outline, Verdict, around
from alnb.dataset import SliceId
from alnb.live import EXACT, Basis, Live, content_of
from alnb.metrics import Scores
from alnb.pool import Pool, ScoreTables, affordable, with_common, with_repeats
from alnb.regions import Region
from alnb.reports import Sample
from alnb.session import Session
from alnb.state import State, state_of

CANDIDATES = 12  # ours: slices that are published before a network asks; some seconds on two cores
MOST = 2000  # ours: slices that one network publishes, half an hour and 1 GB on two cores
SAMPLED = 40  # ours: slices of the test part that are measured after each answer
AHEAD = 4  # ours: regions that will follow, as it looks now


class Asker:
    """Asks what is most wanted after the answers so far.

    Before a network is published, and as long as one that has learned nothing knows no infection,
    it draws regions at random.

    Parameters
    ----------
    session : Session
        Open for writing.
    pool : Pool
        Its regions.
    """

    def __init__(self, session: Session, pool: Pool) -> None:
        self.session, self.pool = session, pool
        self.live: Live | None = None
        self.asked = ""  # the key of the region that was asked last
        self.scores: ScoreTables = {}  # of the open regions, by which it was; empty if by chance
        self.ahead: tuple[Region, ...] = ()  # what would follow it, the most wanted first
        self._order: tuple[SliceId, ...] = ()
        self._learned: frozenset[Hashable] = frozenset()
        self._measured: tuple[Answer, ...] | None = None

    # --- networks ---

    def order(self, trained: str = "") -> tuple[SliceId, ...]:
        """List the slices in the order in which a network publishes them.

        First those of answers that it has not learned itself, on which the layer learns, then
        those with the fewest answers, which are asked about next. It is taken from the journal, as
        it was when the network was trained. Of a pool beyond `MOST` each network publishes a
        sample, another one each time, as even over the scans as it can be.

        Parameters
        ----------
        trained : str
            The name of the network; empty for the one before any answer.
        """
        answers, learned = self._training(trained)
        slices, state = self.pool.slices, self.session.state
        counts = self.pool.answered(answers)
        for answer in answers:
            place = self.pool.place(answer.region)
            if place is not None and learned and content_of(answer) not in learned:
                counts[place[0]] = -1
        large = len(slices) > MOST
        rng = np.random.default_rng([state.config.seed, 2, *([len(learned)] if large else [])])
        shuffled = rng.permutation(len(slices))
        turn = turns(self.pool.scan_numbers[shuffled]) if large else np.zeros(len(slices))
        common = np.array([where in self.pool.common for where in slices])  # asked less often
        by_count = shuffled[np.lexsort((turn, common[shuffled], counts[shuffled]))]
        return tuple(slices[n] for n in by_count[:MOST].tolist())

    def _training(self, trained: str) -> tuple[tuple[Answer, ...], frozenset[Hashable]]:
        """Return the answers when a training was noted, and the content of those it learned."""
        events = self.session.journal.events
        for n in range(len(events) - 1, -1, -1) if trained else ():
            event = events[n]
            if event.kind == "trained" and event.data["fit"]["weights"] == trained:
                state = state_of(events[: n + 1])
                return state.answers, frozenset(map(content_of, state.learned))
        return (), frozenset()

    @cached_property
    def watchable(self) -> tuple[SliceId, ...]:
        """At most `SAMPLED` slices of the test part, which a person can watch."""
        test = self.pool.dataset.part("test")
        chosen = np.linspace(0, len(test) - 1, min(SAMPLED, len(test))).round().astype(int)
        return tuple(test[n] for n in chosen.tolist())

    @cached_property
    def sample(self) -> tuple[SliceId, ...]:
        """The slices of the test part that are measured; none without masks."""
        return self.watchable if self.pool.dataset.has_masks else ()

    def use(self, basis: Basis, trained: str = "", cache: Path | None = None) -> None:
        """Ask by another network from now on, whose first slices are published.

        The layer learns the answers that the network has not learned itself, so that none counts
        twice.

        Parameters
        ----------
        basis : Basis
            The network.
        trained : str
            As for `order`.
        cache : Path, optional
            Where it is published; the session's own if None.
        """
        dataset, config = self.pool.dataset, self.pool.config
        self.live = Live(dataset, config, cache or self.session.cache, basis)
        self._order, (_, self._learned) = self.order(trained), self._training(trained)
        self.learn()

    @property
    def weights(self) -> str:
        """The name of the network that asks; empty before there is one."""
        return "" if self.live is None else self.live.basis.weights

    def missing(self) -> tuple[SliceId, ...]:
        """List the slices that the network has not published yet.

        First `sample`, then its order, then slices with open regions beyond it, and at the end what
        is only watched.
        """
        if self.live is None:
            return ()
        pending = (region.where for region in self.session.state.pending)
        wanted = dict.fromkeys((*self.sample, *self._order, *pending, *self.watchable))
        return tuple(where for where in wanted if not self.live.published(where))

    # --- answers ---

    def learn(self) -> bool:
        """Let the live layer learn the answers so far; tell whether that changed it."""
        if self.live is None or (answers := self._new(self.session.state)) == self.live.answers:
            return False
        self.live.learn(answers)
        return True

    def try_out(
        self, region: Region, clicks: Sequence[Click], outlines: Sequence[Outline] = ()
    ) -> Live | None:
        """Copy the live layer and teach the copy marks in a region that are no answer yet.

        None if the slice of the region is not published.

        Parameters
        ----------
        region : Region
        clicks, outlines : sequence of Click, of Outline
            The marks; there may be none.
        """
        if self.live is None or not self.live.published(region.where):
            return None
        others = tuple(one for one in self._new(self.session.state) if one.region != region)
        tried = copy(self.live)  # what it has read is shared, what it learns is not
        if outlines:
            marked = Answer(region, Verdict.INFECTED, tuple(clicks), outlines=tuple(outlines))
            tried.learn((*others, marked))
        else:
            tried.learn(others, (region, clicks) if clicks else None)
        return tried

    def outlines(self, region: Region, clicks: Sequence[Click]) -> tuple[Outline, ...] | None:
        """Outline the infection of a region as the live layer predicts it with some clicks.

        None if the slice of the region is not published.
        """
        tried = self.try_out(region, clicks)
        if tried is None:
            return None
        p = np.where(region.drawn((self.pool.dataset.size,) * 2), tried.infection(region.where), 0)
        return around(p[region.window], region.row, region.col)

    def _new(self, state: State) -> tuple[Answer, ...]:
        """List the answers on published slices that the network has not learned itself."""
        assert self.live is not None  # noqa: S101
        waiting = set(self._order).difference(self._published())
        return tuple(
            answer for answer in state.answers
            if answer.region.where not in waiting and self.live.published(answer.region.where)
            and content_of(answer) not in self._learned
        )  # fmt: skip

    def measure(self) -> None:
        """Measure what the live layer predicts, and note it; nothing if that is known."""
        for _ in self.measuring():
            pass

    def measuring(self) -> Iterator[None]:
        """Do as `measure`, a slice at a time; another answer ends it."""
        self.learn()
        live, state = self.live, self.session.state
        if live is None or not self.sample or not all(map(live.published, self.sample)):
            return
        last = state.samples[-1] if state.samples else None
        weights, answers, cost = live.basis.weights, live.answers, state.cost
        noted = last and (last.weights, last.answers, last.cost) == (weights, len(answers), cost)
        if noted and self._measured in (None, answers):  # None: of a window before this
            self._measured = answers
            return
        scores = Scores()
        for where in self.sample:
            scores += live.measure(where)
            yield
            if self.live is not live or live.answers is not answers:
                return
        self._measured = answers
        self.session.sampled(
            Sample(
                weights=weights, answers=len(answers), slices=len(self.sample), cost=cost,
                scores=scores,
            )
        )  # fmt: skip

    def _published(self) -> tuple[SliceId, ...]:
        """List the slices that the network has published without a gap, in order."""
        assert self.live is not None  # noqa: S101
        for n, where in enumerate(self._order):
            if not self.live.published(where):
                return self._order[:n]
        return self._order

    # --- questions ---

    def ask(self) -> bool:
        """Ask the region that is most wanted now; tell whether there was one."""
        state = self.session.state
        picks = self.choice(state)
        published = () if self.live is None else self._published()
        wanted = with_common(self.pool, state, picks[:1])
        asked = affordable(with_repeats(self.pool, state, wanted), state)[:1]
        self.ahead = tuple(pick.region for pick in picks[:5] if pick not in asked)[:AHEAD]
        if asked:
            self.asked = asked[0].region.key
            self.session.ask(asked, self._by(published))
        return bool(asked)

    def choice(self, state: State) -> tuple[Pick, ...]:
        """Choose what to ask in a state, and what would follow it, most wanted first."""
        published = () if self.live is None else self._published()
        if self.live is not None:
            self.live.learn(self._new(state))
        return self._picks(state, published, 1 + AHEAD)

    def choose(self, region: Region) -> None:
        """Ask a region that a person chose."""
        published = () if self.live is None else self._published()
        self.ahead = tuple(other for other in self.ahead if other != region)
        self.session.choose(region, self._by(published))

    def _by(self, published: Sequence[SliceId]) -> dict[str, Any]:
        if self.live is None or not self.scores:
            return {"weights": "", "answers": len(self.session.state.answers), "slices": 0}
        return {
            "weights": self.live.basis.weights,
            "answers": len(self.live.answers),
            "slices": len(published),
        }

    def _picks(self, state: State, published: Sequence[SliceId], count: int) -> tuple[Pick, ...]:
        pool, heuristic = self.pool, self.pool.config.heuristic
        if published and needs_network(heuristic) and self.knows(state):
            tables = self._scores(published, state)
            self.scores = {name: pool.own(table, state) for name, table in tables.items()}
            if not pool.config.one_region_a_slice:
                picks = pool.picks(self.scores[heuristic], count, one_a_slice=False)
            else:
                picks = pool.spread(self.scores[heuristic], state, count)
                answered = pool.answered(state.answers)
                for pick in picks[:1]:  # the slices among which it was the most wanted
                    own = self.scores[heuristic]
                    own[answered != answered[pool.row(pick.region.where)]] = np.nan
                    passed = np.isnan(pool.askable(own, [pick]))
                    for table in self.scores.values():
                        table[passed] = np.nan
            if picks:
                return picks
        # nothing is known, or nothing of what is published is open
        self.scores = {}
        rng = np.random.default_rng([pool.config.seed, 0])
        scores = pool.own(rng.random(pool.shape), state)
        if needs_network(heuristic):  # the start
            return pool.spread(scores, state, count, aerated_first=True)
        return pool.picks(scores, count, one_a_slice=False)

    def _scores(self, published: Sequence[SliceId], state: State) -> ScoreTables:
        """Score the pool; of many slices only those with the fewest answers, which come first."""
        assert self.live is not None  # noqa: S101
        if len(published) > EXACT:
            answered = self.pool.answered(state.answers)
            counts = np.array([answered[self.pool.row(where)] for where in published])
            published = [published[n] for n in np.flatnonzero(counts == counts.min()).tolist()]
        rows = [self.pool.row(where) for where in published]
        tables = {}
        for name, scores in self.live.score(published).items():
            tables[name] = np.full(self.pool.shape, np.nan)
            tables[name][rows] = scores
        return tables

    def knows(self, state: State) -> bool:
        """Tell whether the layer knows any infection, so that what it predicts says something."""
        return self.live is not None and (
            self.live.basis.learned
            or any(answer.verdict is Verdict.INFECTED for answer in state.answers)
        )
