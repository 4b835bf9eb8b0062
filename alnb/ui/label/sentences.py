"""What the page says in words, as functions of the state and of the training process."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from alnb.agreement import Agreement
from alnb.annotation import Answer, Verdict
from alnb.config import FEWEST_TO_HOLD_OUT
from alnb.cost import Cost, fully_labelled_cost
from alnb.dataset import Dataset, SliceId, share_of
from alnb.state import State
from alnb.ui.label.draft import Draft

if TYPE_CHECKING:
    from alnb.ui.label.screen import Explanation

FEW_ANSWERS = 20  # ours: a network that learned from fewer asks poor questions
SAID = {
    "infected": "<b>{who} answered: infection{marks}.</b> Change it",
    "clean": "<b>{who} answered: no infection.</b> Answer again",
    "skipped": "<b>{who} skipped this region.</b> Answer it now",
}
GUESSED = (
    "<b>Is the outline right?</b> Press <b>Right</b>. Else click what is missing, Shift click what "
    "is too much."
)
BACK = "<button type='button' data-act='back'>Back</button>"
UNDO = "Undo (Z) takes that back."
UNSURE = "The network is unsure here"
WHY = {  # heuristic -> why it asks about a region, in plain words
    "entropy": UNSURE,
    "margin": UNSURE,
    "least_confidence": UNSURE,
    "bald": "The network contradicts itself here",
}
STAGES = {  # stage of the training process -> words, and its share of a cycle's time
    "warm": ("starting the training process", (0.0, 0.05)),
    "wait": ("waiting for the training process", (0.0, 0.0)),
    "start": ("getting ready to train", (0.0, 0.05)),
    "draw": ("once: drawing synthetic scans", (0.0, 0.0)),
    "prepare": ("once: learning from synthetic scans", (0.0, 0.0)),
    "believe": ("noting what it believes so far", (0.0, 0.05)),
    "fit": ("training", (0.05, 0.65)),
    "evaluate": ("measuring Dice on the test slices", (0.65, 0.75)),
    "score": ("scoring the regions", (0.75, 0.97)),
    "publish": ("preparing the next questions", (0.65, 0.75)),
    "predict": ("drawing the maps", (0.97, 1.0)),
}
LIVE_SHARES = {"fit": (0.05, 0.5), "publish": (0.5, 0.8), "evaluate": (0.8, 1.0)}
"""Share of each stage in a training whose answers teach at once: nothing is scored then."""
FIRST_USE = {"draw": (0.0, 0.1), "prepare": (0.1, 1.0), "fit": (0.0, 1.0)}
"""Share of each stage in what is done before the first training; the bar shows that then."""
UNTRAINED = (
    "Each answer teaches the network's last layer at once, and the curve shows what that brings. "
    "Train teaches the whole network."
)
SURE_S = 1.0  # ours: a stage's first second gives no estimate of its speed
A_MINUTE = 90.0  # ours: estimates from here on are in minutes
ROUND_S = 5  # ours: estimates in seconds are multiples of this


@dataclass(frozen=True, slots=True)
class Activity:
    """What the training process is doing; `stage` is empty when it does nothing.

    Parameters
    ----------
    stage, detail : str
        Of `STAGES`; the detail is a stage inside the stage, such as preparing during the start.
    done, total : int
        How much of the stage (or the detail) is done.
    backbone, device : str
        Of the network.
    still_s : float
        Seconds without progress, if that is long; else 0.
    took_s : float
        Seconds that the stage (or the detail) has taken so far.
    live : bool
        Whether the answers teach at once, see `LIVE_SHARES`.
    reached : float
        The fraction that this cycle has shown before: its bar never goes back.
    """

    stage: str = ""
    done: int = 0
    total: int = 0
    backbone: str = ""
    device: str = ""
    detail: str = ""
    still_s: float = 0.0
    took_s: float = 0.0
    live: bool = False
    reached: float = 0.0

    @property
    def cycling(self) -> bool:
        """Whether a cycle is running, or waits for the process to start."""
        return self.stage not in ("", "warm")

    @property
    def fraction(self) -> float:
        """How much of the cycle is done, or of what comes before the first one, in [0, 1]."""
        if not self.stage:
            return 0.0
        low, high = FIRST_USE[self.first] if self.first else self._share
        now = low + (high - low) * self.done / self.total if self.total else low
        return max(now, self.reached)

    @property
    def _share(self) -> tuple[float, float]:
        own = STAGES[self.stage][1]
        return LIVE_SHARES.get(self.stage, own) if self.live else own

    @property
    def first(self) -> str:
        """The stage of what is done before the first training; empty if nothing of it is."""
        return self.detail or (self.stage if self.stage in ("draw", "prepare") else "")

    @property
    def text(self) -> str:
        """What the process does, in words."""
        if not self.stage:
            return ""
        counted = f" {self.done} of {self.total}" if self.total else ""
        left = f"; no further for {self.still_s:.0f} s: Cancel ends it" if self.still_s else ""
        if not left and (left_s := self.left_s) is not None:
            minutes, fives = math.ceil(left_s / 60), max(1, math.ceil(left_s / ROUND_S))
            about = f"{minutes} min" if left_s >= A_MINUTE else f"{fives * ROUND_S} s"
            left = f", about {about} left"
        return f"{STAGES[self.detail or self.stage][0]}{counted}{left}"

    @property
    def left_s(self) -> float | None:
        """Estimate the seconds until the cycle, or the detail, is done; None if unknown.

        From the stage's speed, and its share of a cycle.
        """
        if not self.done or self.took_s < SURE_S:
            return None
        stage_s = self.took_s * self.total / self.done
        low, high = self._share
        after = 0.0 if self.first or high == low else (1 - high) / (high - low)
        return stage_s - self.took_s + stage_s * after


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def unfinished(state: State) -> bool:
    """Tell whether the last training stopped before the next regions were asked."""
    if state.fit is None:
        return False
    last = state.reports[-1] if state.reports else None
    if last is None or last.fit != state.fit:
        return True
    return last.cycle >= state.cycle and not state.live  # the next cycle was not asked


def labelled(state: State) -> list[Answer]:
    """List the answers that a network learns from."""
    return [answer for answer in state.answers if answer.verdict is not Verdict.SKIPPED]


def slice_of(dataset: Dataset, where: SliceId) -> str:
    """Name a slice and its scan: b_01, slice 24 of 199."""
    return f"{where.scan}, {slice_number(dataset, where)}"


def slice_number(dataset: Dataset, where: SliceId) -> str:
    """Name a slice by its number, from 1 as people count; z counts from 0."""
    return f"slice {where.number} of {dataset.scans[where.scan]['depth']}"


def title(state: State, dataset: Dataset) -> str:
    """Name the dataset and the cycle, and count what is open of what it asked."""
    cycle = "start" if state.cycle <= 0 else f"cycle {state.cycle}"
    config = state.config
    part = "" if config.shares == 1 else f"part {config.share} of {config.shares}"
    return " · ".join(filter(None, (dataset.name, part, cycle, _answered(state))))


def _answered(state: State) -> str:
    verdicts = {key: answer.verdict for key, answer in state.by_key.items()}
    if state.live:
        return _skipped(list(verdicts.values()))
    if not state.asked:
        if not state.pending:
            return "no region left to ask"
        verb = "is" if len(state.pending) == 1 else "are"
        return f"{_counted(len(state.pending), 'region')} {verb} open again"
    batch = [verdicts[key] for pick in state.asked if (key := pick.region.key) in verdicts]
    count = f"{len(state.asked) - len(batch)} of {len(state.asked)} still open"
    return ", ".join(filter(None, (count, _skipped(batch))))


def _skipped(verdicts: list[Verdict]) -> str:
    skipped = verdicts.count(Verdict.SKIPPED)
    return f"{skipped} skipped" if skipped else ""


def first_hint(state: State) -> str:
    """Say what to do at the first question of a session."""
    mark = "Draw around the infection" if state.config.labels == "full" else "Click the infection"
    return f"{mark}, then press <b>Next</b> (N). Nothing there? Press <b>No infection</b> (C)."


def why(explanation: Explanation) -> str:
    """Say in a plain sentence why a region is asked about."""
    own = explanation.reasons[0].heuristic if explanation.reasons else ""
    words = WHY.get(own, f"It has a high score by {own}") if own else explanation.sentence
    if explanation.mean is None:
        return words if words.endswith(".") else f"{words}."
    guess = f"{100 * explanation.mean:.0f} % infected."
    return f"{words}: {guess}" if own else f"{words} The network guesses {guess}"


def corrected(before: Answer, after: Answer) -> str:
    """Say that an answer took another's place; empty if both say the same."""
    was, now = (_answer(answer) for answer in (before, after))
    return f"Corrected: {was} became {now}. {UNDO}" if was != now else ""


def _answer(answer: Answer) -> str:
    if answer.verified:
        return "infection (the network's outline)"
    if answer.verdict is Verdict.INFECTED:
        return f"infection ({_marks(answer)})"
    return "no infection" if answer.verdict is Verdict.CLEAN else "a skip"


def _marks(marked: Answer | Draft) -> str:
    """Count clicks, and outlines, as a person counts them."""
    counts = ((len(marked.outlines), "outline"), (len(marked.clicks), "click"))
    return ", ".join(_counted(n, noun) for n, noun in counts if n)


def question(state: State, draft: Draft, marking: str, *, revealed: bool = False) -> str:
    """Say what to do in the region on screen.

    Parameters
    ----------
    state : State
        Of the session.
    draft : Draft
        With a region.
    marking : str
        "infection" or "background".
    revealed : bool
        Whether the network's outline is on screen before any mark.
    """
    if draft.region is None:
        return ""
    if draft.sweep:
        return _sweeping(state, draft)
    aside = " Clicks mark <b>background</b>." if marking == "background" else ""
    before = state.by_key.get(draft.region.key)
    if before is not None and not draft.changed:
        marks = ", the network's outline" if before.verified else ""
        marks = f", {_marks(draft)}" if draft.marked and not marks else marks
        who = escape(before.annotator) if before.session else "You"  # it was merged from there
        said = SAID[before.verdict].format(who=who, marks=marks)
        return f"{said}, or go {BACK}.{aside}"
    if draft.marked:
        return _marked(state, draft, revealed=revealed) + aside
    if revealed:
        return f"{GUESSED}{aside}"
    draw = "Draw around it" if state.config.labels == "full" else "Click on it"
    if disputed := state.disputed.get(draft.region.key):
        decide = f"You decide: {draw.lower()}, or press <b>No infection</b>."
        return f"<b>{_disagreeing(disputed)}</b> {decide}{aside}"
    return f"<b>Is there infection in the frame?</b> {draw}, or press <b>No infection</b>.{aside}"


def _disagreeing(answers: Sequence[Answer]) -> str:
    """Say who sees infection and who does not: Ann: infection. Ben, Cleo: no infection."""
    sides = ((Verdict.INFECTED, "infection"), (Verdict.CLEAN, "no infection"))
    names = {
        words: ", ".join(escape(one.annotator) for one in answers if one.verdict is verdict)
        for verdict, words in sides
    }
    return " ".join(f"{who}: {words}." for words, who in names.items())


def _marked(state: State, draft: Draft, *, revealed: bool) -> str:
    price = f"({state.config.click_s * draft.points:g} s)"
    full = state.config.labels == "full"
    if revealed and not draft.outlines:
        clicks = f"<b>{_counted(draft.points, 'click')}</b> {price}."
        return f"{clicks} Is the outline right now? Press <b>Right</b>, or click again."
    if not draft.infected:
        mark = "Draw around infection, too" if full else "Click infection, too"
        return f"<b>Only background is marked.</b> {mark}, or press <b>No infection</b>."
    if draft.outlines:
        outlines = f"<b>{_counted(len(draft.outlines), 'outline')}</b>, {draft.points} points"
        return f"{outlines} {price}. Outline all infection in the frame, then press <b>Next</b>."
    more = "Draw around all infection" if full else "Click more, or a mark again to remove it"
    return f"<b>{_counted(draft.points, 'click')}</b> {price}. {more}; then press <b>Next</b>."


def _sweeping(state: State, draft: Draft) -> str:
    price = state.config.click_s * (1 + draft.points)
    so_far = f" <b>{_counted(draft.points, 'click')}</b> and the rest: {price:g} s."
    return (
        "<b>Sweep.</b> Click infection in each cell that has some, then press "
        f"<b>The rest is clean</b>.{so_far if draft.marked else ''}"
    )


def nothing(state: State, activity: Activity, left: bool) -> tuple[str, str]:
    """Say what to do where no region is on screen, and what replaces the pictures.

    Parameters
    ----------
    state : State
        Of the session.
    activity : Activity
        Of the training process.
    left : bool
        Whether the pool holds a region that has no answer.
    """
    if state.spent:
        spent = f"The budget of {state.config.budget_s:g} s is spent{_tally(state)}."
        return f"<b>{spent}</b>{_last(state, activity)}", "The budget is spent."
    if not left:
        end = f"There is nothing left to ask{_tally(state)}."
        return f"<b>{end}</b>{_last(state, activity)}", "No region is left."
    if activity.cycling:
        return (
            "All regions are answered; the next ones come when the training ends.",
            "The next regions come when the training ends.",
        )
    if state.live:
        return "The next region is being chosen.", "The next region is being chosen."
    learned, done = labelled(state), "The regions of this cycle are done."
    if not learned:
        return (
            "<b>All regions were skipped.</b> The network learns nothing from that: press "
            "<b>Undo</b>, or a region below, to answer one."
        ), done
    verb = "done" if len(state.answers) > len(learned) else "answered"
    learns = "learns from them and " if state.stale else ""
    return (
        f"<b>All regions of this cycle are {verb}.</b> Press <b>Train</b>: the network "
        f"{learns}asks the next regions."
    ), done


def _tally(state: State) -> str:
    answered = len(labelled(state))
    skipped = len(state.answers) - answered
    counts = [f"{n} {word}" for n, word in ((answered, "answered"), (skipped, "skipped")) if n]
    return f": {' and '.join(counts)}" if counts else ""


def _last(state: State, activity: Activity) -> str:
    if activity.cycling:
        return " The network is learning the last answers."
    if labelled(state) and (state.stale or unfinished(state)):
        return " Press <b>Train</b> once more to learn the last answers."
    return ""


def cost(cost: Cost, labels: str) -> str:
    """Tell what the answers cost; `labels` is the setting, as outlines have points."""
    return (
        f"<b>{cost.nominal_s:.0f} s</b> nominal · <b>{cost.measured_s:.0f} s</b> measured · "
        f"{_counted(cost.regions, 'region')} · "
        f"{_counted(cost.clicks, 'point' if labels == 'full' else 'click')}"
    )


def repeats(state: State) -> str:
    """Tell how often the answers on hidden repeats agreed; empty if there were none."""
    found = Agreement.of(state.repeated)
    if not found.regions:
        return ""
    apart = "" if found.distance_px is None else f", clicks {found.distance_px:.0f} px apart"
    return f" · {found.agreed} of {found.regions} repeats agree{apart}"


def network(state: State, activity: Activity) -> tuple[str, str]:
    """Tell whether the network knows the answers, and explain that; empty if it needs none."""
    if activity.cycling:
        doing = "preparing" if activity.first else "training"
        return f"Network: {doing} {100 * activity.fraction:.0f} %", ""
    if state.fit is None:
        if state.live:
            return "Network: last layer learns", UNTRAINED
        return "Network: not trained yet", ""
    short, known = (
        ("out of date", "Answers were given or taken back since the last training")
        if state.stale
        else ("up to date", "The network has learned all your answers")
    )
    notice = state.fit.notice
    return f"Network: {short}", f"{known}. It started from {notice}." if notice else known


def train_hint(state: State, activity: Activity, left: bool) -> str:
    """Say what a training would do now.

    Parameters
    ----------
    state, activity, left
        As for `nothing`.
    """
    learned, still = labelled(state), len(state.pending)
    if activity.cycling:
        return "You can go on labelling." if still else ""
    if not learned:
        return "Answer some regions first." if still else "No answer to learn from."
    if not state.stale:
        return _learned_hint(state, left)
    if state.live and state.since_training < 1:
        return "Answers were taken back since the last training; Train learns without them."
    if state.live:
        return f"{_counted(state.since_training, 'new answer')}. Train teaches the whole network."
    if not any(answer.verdict is Verdict.INFECTED for answer in learned):
        return "No infection is marked yet: the network would learn only what is clean."
    ready = f"Ready to train; {still} of this cycle are open." if still else "Ready to train."
    if left and len(learned) < FEW_ANSWERS:
        return f"{ready} Few answers so far: more make better questions."
    return ready


def _learned_hint(state: State, left: bool) -> str:
    if unfinished(state):
        return "The last training did not finish; Train continues it."
    if left and not state.pending and not state.live:
        return "The network has learned all your answers; Train asks the next regions."
    return "The network has learned all your answers."


def measured(state: State, dataset: Dataset) -> str:
    """Say what the thin line of the chart is measured on; empty without one."""
    if not state.samples:
        return ""
    some, whole = state.samples[-1].slices, len(dataset.part("test"))
    slices = f"{whole}" if some == whole else f"{some} of {whole}"
    return f"Thin line: after each answer, {slices} test slices."


def unmasked(dataset: Dataset) -> str:
    """Say why there is no Dice."""
    what = "has no masks" if not dataset.has_masks else "has no test part"
    return (
        f"This dataset {what}, so Dice can't be measured. The chart shows the share of held-out "
        "answers that the network gets right."
    )


def unmeasured(state: State, dataset: Dataset) -> str:
    """Say when the agreement with held-out answers can be drawn."""
    if state.config.holdout == 0:
        return "The setting holdout is 0: without held-out answers no point can be measured."
    if state.config.validate:
        return (
            "The masks of the validation part choose the network, so no answer is held out to "
            "measure it."
        )
    if not state.reports:
        return (
            f"A point appears here after each training on {FEWEST_TO_HOLD_OUT} answered regions "
            "or more."
        )
    missing = FEWEST_TO_HOLD_OUT - len(labelled(state))
    then = f"Answer {missing} more, then train again." if missing > 0 else "Train again."
    return (
        f"No point could be measured: that takes {FEWEST_TO_HOLD_OUT} answered regions, and the "
        f"last training had fewer. {then}"
    )


def budget(state: State, dataset: Dataset) -> tuple[float, str]:
    """Compare the cost with the budget, or with outlining every slice: in [0, 1], and in words."""
    spent, limit = state.cost.nominal_s, state.config.budget_s
    if limit is not None:
        return min(1.0, spent / limit), f"{spent:,.0f} of the budget's {limit:,.0f} s"
    dealt = share_of(dataset, state.config)
    whole = fully_labelled_cost(len(dealt.own + dealt.common), state.config)
    share = spent / whole if whole else 0.0
    return min(1.0, share), f"{100 * share:.1f} % of outlining every slice ({whole:,.0f} s)"
