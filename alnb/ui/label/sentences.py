"""What the page says in words, as functions of the state."""

from __future__ import annotations

from alnb.annotation import Answer, Verdict
from alnb.config import FEWEST_TO_HOLD_OUT
from alnb.cost import Cost, fully_labelled_cost
from alnb.dataset import Dataset
from alnb.metrics import Agreement
from alnb.state import State
from alnb.ui.label.draft import Draft
from alnb.ui.label.training_client import Activity

FEW_ANSWERS = 20  # ours: a network that learned from fewer asks poor questions
SAID = {
    "infected": "<b>You answered: infection.</b> Answer again",
    "clean": "<b>You answered: no infection.</b> Answer again",
    "skipped": "<b>You skipped this region.</b> Answer it now",
}
BACK = "<button type='button' data-act='back'>Back</button>"


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
    return f"{dataset.name} · {cycle} · {_count(state)}"


def _count(state: State) -> str:
    if not state.asked:
        again = "1 region is" if len(state.pending) == 1 else f"{len(state.pending)} regions are"
        return f"{again} open again" if state.pending else "no region left to ask"
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
        return _sweeping(state, draft)
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
        outlines = "1 outline" if len(draft.outlines) == 1 else f"{len(draft.outlines)} outlines"
        corners = f"<b>{outlines}</b>, {draft.points} points {price}."
        return f"{corners} Outline all infection in the frame, then press <b>Next</b>."
    clicks = "1 click" if draft.points == 1 else f"{draft.points} clicks"
    return (
        f"<b>{clicks}</b> {price}. Click more infections, click a mark again to remove it, "
        "then press <b>Next</b>."
    )


def _sweeping(state: State, draft: Draft) -> str:
    clicks = "1 click" if draft.points == 1 else f"{draft.points} clicks"
    so_far = f" <b>{clicks}</b> so far." if draft.marked else ""
    return (
        "<b>Sweep.</b> Click infection in every cell that shows some, then press "
        f"<b>The rest is clean</b>.{so_far}"
    )


def nothing(state: State, activity: Activity, left: bool) -> str:
    """Say what to do where no region is on screen.

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
        spent = f"The budget of {state.config.budget_s:g} s is spent"
        return f"<b>{spent}{_tally(state)}.</b>{_last(state, activity)}"
    if not left:
        return f"<b>There is nothing left to ask{_tally(state)}.</b>{_last(state, activity)}"
    if activity.cycling:
        return "All regions are answered; the next ones come when the training ends."
    learned = labelled(state)
    if not learned:
        return (
            "<b>All regions were skipped.</b> The network learns nothing from that: press "
            "<b>Undo</b>, or a region below, to answer one."
        )
    skipped = len(state.answers) > len(learned)
    done = "done" if skipped else "answered"
    learns = "learns from them and " if state.stale else ""
    return (
        f"<b>All regions of this cycle are {done}.</b> Press <b>Train</b>: the network "
        f"{learns}asks the next regions."
    )


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


def rest(state: State, activity: Activity, left: bool) -> str:
    """Say what replaces the pictures; arguments as for `nothing`."""
    if state.spent:
        return "The budget is spent."
    if not left:
        return "No region is left."
    if activity.cycling:
        return "The next regions come when the training ends."
    return "The regions of this cycle are done."


def cost(cost: Cost) -> str:
    """Tell what the answers cost."""
    clicks = "1 click" if cost.clicks == 1 else f"{cost.clicks} clicks"
    regions = "1 region" if cost.regions == 1 else f"{cost.regions} regions"
    return (
        f"<b>{cost.nominal_s:.0f} s</b> nominal · <b>{cost.measured_s:.0f} s</b> measured · "
        f"{regions} · {clicks}"
    )


def repeats(state: State) -> str:
    """Tell how often the answers on hidden repeats agreed; empty if there were none."""
    found = Agreement.of(state.repeated)
    if not found.repeats:
        return ""
    apart = "" if found.distance_px is None else f", clicks {found.distance_px:.0f} px apart"
    return f" · {found.agreed} of {found.repeats} repeats agree{apart}"


def network(state: State, activity: Activity) -> str:
    """Tell whether the network knows the answers."""
    if activity.cycling:
        return f"Network: training {100 * activity.fraction:.0f} %"
    if state.fit is None:
        return "Network: not trained yet"
    return "Network: out of date" if state.stale else "Network: up to date"


def network_title(state: State, activity: Activity) -> str:
    """Explain what `network` says."""
    if activity.cycling or state.fit is None:
        return ""
    if state.stale:
        known = "Answers were given or taken back since the last training"
    else:
        known = "The network has learned all your answers"
    return f"{known}. It started from {state.fit.notice}." if state.fit.notice else known


def train_hint(state: State, activity: Activity, left: bool) -> str:
    """Say what a training would do now."""
    if activity.cycling:
        return "You can go on labelling." if state.pending else ""
    if not labelled(state):
        return "Answer some regions first." if state.pending else "No answer to learn from."
    if not state.stale:
        return _learned_hint(state, left)
    return _ready_hint(state, left)


def _learned_hint(state: State, left: bool) -> str:
    if unfinished(state):
        return "The last training did not finish; Train continues it."
    if left and not state.pending:
        return "The network has learned all your answers; Train asks the next regions."
    return "The network has learned all your answers."


def _ready_hint(state: State, left: bool) -> str:
    learned = labelled(state)
    if not any(answer.verdict is Verdict.INFECTED for answer in learned):
        return "No infection is marked yet: the network would learn only what is clean."
    still = len(state.pending)
    ready = f"Ready to train; {still} of this cycle are still open." if still else "Ready to train."
    if left and len(learned) < FEW_ANSWERS:
        return f"{ready} So far there are few answers: more make better questions."
    return ready


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
