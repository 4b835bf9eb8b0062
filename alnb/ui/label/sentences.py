"""What the page says in words, as functions of the state."""

from __future__ import annotations

from alnb.agreement import consistency
from alnb.annotation import Answer, Verdict
from alnb.config import FEWEST_TO_HOLD_OUT
from alnb.cost import Cost, fully_labelled_cost
from alnb.dataset import Dataset
from alnb.state import State
from alnb.ui.label.draft import Draft
from alnb.ui.label.training_client import Activity

FEW_ANSWERS = 20  # ours: a network that learned from fewer asks poor questions
SAID = {"infected": "infection", "clean": "no infection", "skipped": "nothing: you skipped it"}
BACK = "<button type='button' data-act='back'>Back</button>"


def unfinished(state: State) -> bool:
    """Tell whether a training was stopped before it was scored and the next regions asked."""
    if state.fit is None:
        return False
    last = state.reports[-1] if state.reports else None
    return last is None or last.fit != state.fit or last.cycle >= state.cycle


def labelled(state: State) -> list[Answer]:
    """List the answers that a network learns from."""
    return [answer for answer in state.answers if answer.verdict is not Verdict.SKIPPED]


def title(state: State, dataset: Dataset) -> str:
    """Name the dataset, the cycle and how far it is."""
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


def question(state: State, draft: Draft, activity: Activity, left: bool, *, marking: str) -> str:
    """Say what to do next; `marking` is "infection" or "background"."""
    if draft.region is None:
        return _nothing(state, activity, left)
    if draft.sweep:
        return _sweeping(state, draft)
    aside = " Clicks mark <b>background</b> now." if marking == "background" else ""
    if draft.marked:
        return _marked(state, draft) + aside
    before = state.by_key.get(draft.region.key)
    if before is not None:
        return f"<b>You said: {SAID[before.verdict]}.</b> Answer anew, or go {BACK}{aside}"
    draw = "Draw around it" if state.config.labels == "full" else "Click on it"
    return f"<b>Is there infection in the frame?</b> {draw}, or press <b>No infection</b>.{aside}"


def _marked(state: State, draft: Draft) -> str:
    price = f"({state.config.click_s * draft.points:g} s)"
    if not draft.infected:
        return f"<b>Background alone</b> {price} says nothing of infection: click that, too."
    if draft.outlines:
        outlines = "1 outline" if len(draft.outlines) == 1 else f"{len(draft.outlines)} outlines"
        corners = f"<b>{outlines}</b>, {draft.points} points {price}."
        return f"{corners} Outline all infection in the frame, then press <b>Next</b>."
    clicks = "1 click" if draft.points == 1 else f"{draft.points} clicks"
    return (
        f"<b>{clicks}</b> {price}. Click more infections, click a mark again to take it "
        "back, then press <b>Next</b>."
    )


def _sweeping(state: State, draft: Draft) -> str:
    clicks = "1 click" if draft.points == 1 else f"{draft.points} clicks"
    so_far = f" <b>{clicks}</b> so far." if draft.marked else ""
    return (
        "<b>Sweep.</b> Click infection in every cell that has some, then press "
        f"<b>The rest is clean</b>.{so_far}"
    )


def _nothing(state: State, activity: Activity, left: bool) -> str:
    if state.spent:
        spent = f"The budget of {state.config.budget_s:g} s is spent"
        return f"<b>{spent}{_tally(state)}.</b>{_last(state, activity)}"
    if not left:
        return f"<b>There is nothing left to ask{_tally(state)}.</b>{_last(state, activity)}"
    if activity.cycling:
        return "All regions are answered; the next come when the training ends."
    learned = labelled(state)
    if not learned:
        return (
            "<b>All regions were skipped.</b> Press <b>Undo</b>, or a region below, to answer one: "
            "skips teach nothing."
        )
    skipped = len(state.answers) > len(learned)
    done = "done" if skipped else "answered"
    learns = "learns from them and " if state.stale else ""
    return (
        f"<b>All regions of this cycle are {done}.</b> Press <b>Train</b>: the network "
        f"{learns}says where to look next."
    )


def _tally(state: State) -> str:
    answered = len(labelled(state))
    skipped = len(state.answers) - answered
    counts = [f"{n} {word}" for n, word in ((answered, "answered"), (skipped, "skipped")) if n]
    return f": {' and '.join(counts)}" if counts else ""


def _last(state: State, activity: Activity) -> str:
    if activity.cycling:
        return " The network learns the last answers."
    if labelled(state) and (state.stale or unfinished(state)):
        return " Press <b>Train</b> once more to learn the last answers."
    return ""


def rest(state: State, activity: Activity, left: bool) -> str:
    """Say what stands in place of the pictures."""
    if state.spent:
        return "The budget is spent."
    if not left:
        return "No region is left to look at."
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
    """Tell how often the answers on hidden repeats agreed; nothing where there were none."""
    found = consistency(state.repeated)
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
    """Say what that means."""
    if activity.cycling or state.fit is None:
        return ""
    if state.stale:
        return "There are answers given or taken back since the last training"
    return "It has learned all your answers"


def train_hint(state: State, activity: Activity, left: bool) -> str:
    """Say what a training would do now."""
    if activity.cycling:
        return "Labelling goes on meanwhile." if state.pending else ""
    if not labelled(state):
        return "Answer some regions first." if state.pending else "No answer to learn from."
    if not state.stale:
        return _learned_hint(state, left)
    return _ready_hint(state, left)


def _learned_hint(state: State, left: bool) -> str:
    if unfinished(state):
        return "The last training was not finished; Train goes on with it."
    if left and not state.pending:
        return "The network has learned all your answers; Train asks the next regions."
    return "The network has learned all your answers."


def _ready_hint(state: State, left: bool) -> str:
    learned = labelled(state)
    if not any(answer.verdict is Verdict.INFECTED for answer in learned):
        return "No infection clicked yet: the network would learn what is clean, and no more."
    still = len(state.pending)
    ready = f"Ready whenever you are; {still} of this cycle still open." if still else "Ready."
    if left and len(learned) < FEW_ANSWERS:
        return f"{ready} Few answers yet: the network's questions improve with more."
    return ready


def unmasked(dataset: Dataset) -> str:
    """Say why there is no Dice."""
    what = "has no masks" if not dataset.has_masks else "has no test part"
    return (
        f"This dataset {what}, so Dice can't be measured. Shown is the share of held-out answers "
        "whose verdict the network shares."
    )


def unmeasured(state: State, dataset: Dataset) -> str:
    """Say when the share of held-out answers can be drawn."""
    if state.config.holdout == 0:
        return "The setting holdout is 0: no answer is held out, and no point can be measured."
    if state.config.validate:
        return (
            "The validation part's masks choose the network: no answer is held out to measure it."
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
        f"training had fewer. {then}"
    )


def budget(state: State, dataset: Dataset) -> tuple[float, str]:
    """Tell how far the cost is: a share in [0, 1], and words.

    The whole is the budget, where there is one, else what outlining every train slice would cost.
    """
    spent, limit = state.cost.nominal_s, state.config.budget_s
    if limit is not None:
        return min(1.0, spent / limit), f"{spent:,.0f} of the budget's {limit:,.0f} s"
    whole = fully_labelled_cost(len(dataset.part("train")), state.config)
    share = spent / whole if whole else 0.0
    return min(1.0, share), f"{100 * share:.1f} % of outlining every slice ({whole:,.0f} s)"
