"""What the page says in words, as functions of the state and of the training process."""

from __future__ import annotations

import math
from dataclasses import dataclass

from alnb.annotation import Answer, Verdict
from alnb.config import FEWEST_TO_HOLD_OUT
from alnb.cost import Cost, fully_labelled_cost
from alnb.dataset import Dataset
from alnb.metrics import Agreement
from alnb.state import State
from alnb.ui.label.draft import Draft

FEW_ANSWERS = 20  # ours: a network that learned from fewer asks poor questions
SAID = {
    "infected": "<b>You answered: infection.</b> Answer again",
    "clean": "<b>You answered: no infection.</b> Answer again",
    "skipped": "<b>You skipped this region.</b> Answer it now",
}
BACK = "<button type='button' data-act='back'>Back</button>"
STAGES = {  # stage of the training process -> words, and its share of a cycle's time
    "warm": ("starting the training process", (0.0, 0.05)),
    "wait": ("waiting for the training process", (0.0, 0.0)),
    "start": ("getting ready to train", (0.0, 0.05)),
    "draw": ("drawing synthetic scans to learn from, once on this machine", (0.0, 0.0)),
    "prepare": ("learning from synthetic scans, once on this machine", (0.0, 0.0)),
    "believe": ("noting what it believes so far", (0.0, 0.05)),
    "fit": ("training", (0.05, 0.65)),
    "evaluate": ("measuring Dice on the test slices", (0.65, 0.75)),
    "score": ("scoring the regions", (0.75, 0.97)),
    "predict": ("drawing the maps", (0.97, 1.0)),
}
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
    """

    stage: str = ""
    done: int = 0
    total: int = 0
    backbone: str = ""
    device: str = ""
    detail: str = ""
    still_s: float = 0.0
    took_s: float = 0.0

    @property
    def cycling(self) -> bool:
        """Whether a cycle is running, or waits for the process to start."""
        return self.stage not in ("", "warm")

    @property
    def fraction(self) -> float:
        """How much of the cycle is done, in [0, 1]; a detail counts for nothing."""
        if not self.stage:
            return 0.0
        low, high = STAGES[self.stage][1]
        counted = self.total and not self.detail
        return low + (high - low) * self.done / self.total if counted else low

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
        low, high = STAGES[self.stage][1]
        after = 0.0 if self.detail or high == low else (1 - high) / (high - low)
        return stage_s - self.took_s + stage_s * after


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def unfinished(state: State) -> bool:
    """Tell whether the last training stopped before the next regions were asked."""
    if state.fit is None:
        return False
    last = state.reports[-1] if state.reports else None
    return last is None or last.fit != state.fit or last.cycle >= state.cycle


def labelled(state: State) -> list[Answer]:
    """List the answers that a network learns from."""
    return [answer for answer in state.answers if answer.verdict is not Verdict.SKIPPED]


def title(state: State, dataset: Dataset) -> str:
    """Name the dataset and the cycle, and count its answers."""
    cycle = "start" if state.cycle <= 0 else f"cycle {state.cycle}"
    return f"{dataset.name} · {cycle} · {_answered(state)}"


def _answered(state: State) -> str:
    if not state.asked:
        if not state.pending:
            return "no region left to ask"
        verb = "is" if len(state.pending) == 1 else "are"
        return f"{_counted(len(state.pending), 'region')} {verb} open again"
    verdicts = {key: answer.verdict for key, answer in state.by_key.items()}
    batch = [verdicts[key] for pick in state.asked if (key := pick.region.key) in verdicts]
    skipped = batch.count(Verdict.SKIPPED)
    count = f"{len(batch) - skipped} of {len(state.asked)} regions answered"
    return f"{count}, {skipped} skipped" if skipped else count


def question(state: State, draft: Draft, marking: str) -> str:
    """Say what to do in the region on screen.

    Parameters
    ----------
    state : State
        Of the session.
    draft : Draft
        With a region.
    marking : str
        "infection" or "background".
    """
    if draft.region is None:
        return ""
    if draft.sweep:
        return _sweeping(draft)
    aside = " Clicks mark <b>background</b> now." if marking == "background" else ""
    if draft.marked:
        return _marked(state, draft) + aside
    before = state.by_key.get(draft.region.key)
    if before is not None:
        return f"{SAID[before.verdict]}, or go {BACK}.{aside}"
    draw = "Draw around it" if state.config.labels == "full" else "Click on it"
    return f"<b>Is there infection in the frame?</b> {draw}, or press <b>No infection</b>.{aside}"


def _marked(state: State, draft: Draft) -> str:
    price = f"({state.config.click_s * draft.points:g} s)"
    if not draft.infected:
        return f"<b>Only background is marked</b> {price}. Click the infection, too."
    if draft.outlines:
        outlines = f"<b>{_counted(len(draft.outlines), 'outline')}</b>, {draft.points} points"
        return f"{outlines} {price}. Outline all infection in the frame, then press <b>Next</b>."
    return (
        f"<b>{_counted(draft.points, 'click')}</b> {price}. Click more infections, click a mark "
        "again to remove it, then press <b>Next</b>."
    )


def _sweeping(draft: Draft) -> str:
    so_far = f" <b>{_counted(draft.points, 'click')}</b> so far." if draft.marked else ""
    return (
        "<b>Sweep.</b> Click infection in every cell that shows some, then press "
        f"<b>The rest is clean</b>.{so_far}"
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


def cost(cost: Cost) -> str:
    """Tell what the answers cost."""
    return (
        f"<b>{cost.nominal_s:.0f} s</b> nominal · <b>{cost.measured_s:.0f} s</b> measured · "
        f"{_counted(cost.regions, 'region')} · {_counted(cost.clicks, 'click')}"
    )


def repeats(state: State) -> str:
    """Tell how often the answers on hidden repeats agreed; empty if there were none."""
    found = Agreement.of(state.repeated)
    if not found.repeats:
        return ""
    apart = "" if found.distance_px is None else f", clicks {found.distance_px:.0f} px apart"
    return f" · {found.agreed} of {found.repeats} repeats agree{apart}"


def network(state: State, activity: Activity) -> tuple[str, str]:
    """Tell whether the network knows the answers, and explain that; empty if it needs none."""
    if activity.cycling:
        return f"Network: training {100 * activity.fraction:.0f} %", ""
    if state.fit is None:
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
    if not any(answer.verdict is Verdict.INFECTED for answer in learned):
        return "No infection is marked yet: the network would learn only what is clean."
    ready = f"Ready to train; {still} of this cycle are still open." if still else "Ready to train."
    if left and len(learned) < FEW_ANSWERS:
        return f"{ready} So far there are few answers: more make better questions."
    return ready


def _learned_hint(state: State, left: bool) -> str:
    if unfinished(state):
        return "The last training did not finish; Train continues it."
    if left and not state.pending:
        return "The network has learned all your answers; Train asks the next regions."
    return "The network has learned all your answers."


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
    whole = fully_labelled_cost(len(dataset.part("train")), state.config)
    share = spent / whole if whole else 0.0
    return min(1.0, share), f"{100 * share:.1f} % of outlining every slice ({whole:,.0f} s)"
