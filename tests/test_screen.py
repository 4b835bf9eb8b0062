import dataclasses

import pytest

from alnb.acquisition import Pick
from alnb.annotation import Answer, Click, Verdict
from alnb.config import Config
from alnb.cost import Cost
from alnb.dataset import SliceId
from alnb.metrics import Scores
from alnb.regions import Region, grid
from alnb.reports import CycleReport, FitReport
from alnb.state import State, digest
from alnb.ui.label.draft import Draft
from alnb.ui.label.screen import STRIP, Explanation, Mode, focus, neighbour, present
from alnb.ui.label.sentences import Activity

REGIONS = grid(SliceId("one", 0), (32, 32), 64)
FIRST, SECOND, THIRD = REGIONS[:3]
CLICK = Click(FIRST.row + 1, FIRST.col + 1)
CONFIG = Config()
FIT = FitReport(
    weights="w", backbone="fake", device="none", steps=1, loss=1.0, threshold=0.5,
    heldout=4, heldout_accuracy=0.75, train_s=0.25,
)  # fmt: skip
BUTTONS = (
    "can_clean", "can_next", "can_skip", "can_undo", "can_redo", "can_sweep", "can_train",
    "can_cancel",
)  # fmt: skip


def clean(region):
    return Answer(region, Verdict.CLEAN, seconds=2.0)


def infected(region, count=1):
    clicks = tuple(Click(region.row + n, region.col) for n in range(count))
    return Answer(region, Verdict.INFECTED, clicks, seconds=2.0)


def skipped(region):
    return Answer(region, Verdict.SKIPPED, seconds=2.0)


def asked(count=3, *given, **more):
    """Return the state after `count` regions were asked and some answers given."""
    picks = tuple(Pick(region, 1.0) for region in REGIONS[:count])
    ever = frozenset(pick.region.key for pick in picks)
    return State(CONFIG, cycle=0, asked=picks, given=given, ever_asked=ever, **more)


def trained(state, report=True):
    """Return the state after a network learned all its answers, scored or not."""
    reports = (CycleReport(cycle=state.cycle, cost=Cost(), scores=None, fit=FIT, score_s=0.1),)
    fitted = dataclasses.replace(state, fit=FIT, trained_on=digest(state.answers))
    if not report:
        return fitted
    more = (Pick(THIRD, 0.5),)
    ever = state.ever_asked | {THIRD.key}
    return dataclasses.replace(
        fitted, reports=reports, cycle=state.cycle + 1, asked=more, ever_asked=ever
    )


@pytest.fixture
def screen(squares):
    def show(state, draft=None, activity=None, dataset=squares, explanation=None, **mode):
        draft = Draft(focus(state, Draft())) if draft is None else draft
        return present(state, draft, activity or Activity(), dataset, Mode(**mode), explanation)

    return show


def works(screen):
    return {name.removeprefix("can_") for name in BUTTONS if getattr(screen, name)}


# --- which region is on screen ---


def test_the_next_region_to_answer_is_shown():
    assert focus(asked(3, clean(FIRST)), Draft()) == SECOND


def test_a_region_with_clicks_stays_though_others_are_asked_now():
    assert focus(trained(asked(2, clean(SECOND))), Draft(FIRST, (CLICK,))) == FIRST


def test_a_region_without_clicks_gives_way():
    assert focus(trained(asked(2, clean(SECOND))), Draft(FIRST)) == THIRD


def test_nothing_is_shown_where_all_is_answered():
    assert focus(asked(1, clean(FIRST)), Draft(FIRST)) is None


# --- which buttons work ---


def test_before_anything_is_asked_no_button_works(screen):
    assert works(screen(State(CONFIG))) == set()


def test_an_open_region_can_be_clean_or_skipped(screen):
    assert works(screen(asked())) == {"clean", "skip"}


def test_a_region_with_clicks_goes_on_or_loses_them(screen):
    assert works(screen(asked(), Draft(FIRST, (CLICK,)))) == {"next", "undo"}


def test_an_answer_can_be_taken_back_and_trained_on(screen):
    assert works(screen(asked(3, clean(FIRST)))) == {"clean", "skip", "undo", "train"}


def test_skipped_regions_teach_nothing(screen):
    shown = screen(asked(3, skipped(FIRST)))

    assert "train" not in works(shown)
    assert shown.train_hint == "Answer some regions first."


def test_with_all_answered_only_training_is_left(screen):
    shown = screen(asked(2, clean(FIRST), infected(SECOND)))

    assert works(shown) == {"undo", "train"}
    assert "Press <b>Train</b>" in shown.question


def test_labelling_goes_on_while_training_which_can_be_cancelled(screen):
    shown = screen(asked(3, clean(FIRST)), activity=Activity("fit", 2, 10))

    assert works(shown) == {"clean", "skip", "undo", "cancel"}
    assert shown.train_hint == "You can go on labelling."
    assert shown.network == "Network: training 17 %"


def test_train_can_be_pressed_while_the_process_starts_and_is_not_offered_twice(screen):
    asks = asked(3, clean(FIRST))

    assert "train" in works(screen(asks, activity=Activity("warm")))
    assert works(screen(asks, activity=Activity("wait"))) == {"clean", "skip", "undo", "cancel"}


def test_with_all_answered_while_training_the_person_waits(screen):
    shown = screen(asked(1, clean(FIRST)), activity=Activity("fit", 2, 10))

    assert "the next ones come when the training ends" in shown.question


def test_a_window_that_lost_the_session_writes_nothing(screen):
    shown = screen(asked(3, clean(FIRST)), Draft(SECOND, (CLICK,)), owned=False)

    assert works(shown) == set()
    assert not shown.can_mark
    assert screen(asked(3, clean(FIRST)), Draft(SECOND, (CLICK,))).can_mark


def test_what_was_learned_is_not_learned_again(screen):
    shown = screen(trained(asked(2, clean(FIRST), infected(SECOND))))

    assert "train" not in works(shown)
    assert shown.network == "Network: up to date"
    assert shown.train_hint == "The network has learned all your answers."


def test_another_answer_makes_the_network_out_of_date(screen):
    state = trained(asked(2, clean(FIRST), infected(SECOND)))
    state = dataclasses.replace(state, given=(*state.given, clean(THIRD)))

    assert screen(state).network == "Network: out of date"
    assert screen(state).can_train


def test_a_cycle_that_was_stopped_before_it_was_scored_can_go_on(screen):
    shown = screen(trained(asked(2, clean(FIRST), infected(SECOND)), report=False))

    assert shown.can_train
    assert "Press <b>Train</b>" in shown.question
    assert shown.train_hint == "The last training did not finish; Train continues it."


def test_a_pool_that_is_empty_is_the_end(screen):
    state = dataclasses.replace(trained(asked(2, clean(FIRST), infected(SECOND))), asked=())
    shown = screen(state, left=False)

    assert works(shown) == {"undo"}
    assert shown.question == "<b>There is nothing left to ask: 2 answered.</b>"
    assert shown.rest == "No region is left."
    assert shown.title == "squares · cycle 1 · no region left to ask"


def test_a_pool_that_ends_with_a_skip_is_the_end_and_counts_it(screen):
    state = trained(asked(2, clean(FIRST), infected(SECOND)))
    state = dataclasses.replace(state, given=(*state.given, skipped(THIRD)))
    shown = screen(state, left=False)

    assert works(shown) == {"undo"}
    assert shown.question == "<b>There is nothing left to ask: 2 answered and 1 skipped.</b>"
    assert shown.network == "Network: up to date"
    assert shown.title == "squares · cycle 1 · 0 of 1 still open, 1 skipped"


def test_a_pool_of_only_skips_says_so(screen):
    shown = screen(asked(1, skipped(FIRST)), left=False)

    assert works(shown) == {"undo"}
    assert shown.question == "<b>There is nothing left to ask: 1 skipped.</b>"
    assert shown.train_hint == "No answer to learn from."


def test_a_spent_budget_is_the_end_though_regions_are_left(screen):
    config = CONFIG.replace(budget_s=7)
    shown = screen(dataclasses.replace(asked(3, clean(FIRST), infected(SECOND)), config=config))

    assert works(shown) == {"undo", "train"}
    assert shown.question.startswith("<b>The budget of 7 s is spent: 2 answered.</b> Press")
    assert shown.rest == "The budget is spent."


def test_a_spent_budget_promises_no_more_once_all_is_learned(screen):
    state = dataclasses.replace(asked(1, clean(FIRST)), config=CONFIG.replace(budget_s=3))
    shown = screen(dataclasses.replace(trained(state), asked=()))

    assert works(shown) == {"undo"}
    assert shown.train_hint == "The network has learned all your answers."


def test_the_last_answers_of_a_pool_are_learned_and_no_more_is_promised(screen):
    shown = screen(asked(2, clean(FIRST), infected(SECOND)), left=False)

    assert works(shown) == {"undo", "train"}
    assert "<b>Train</b> once more" in shown.question
    assert "asks the next regions" not in shown.question


def test_a_region_opened_again_in_an_empty_pool_is_counted(screen):
    state = trained(asked(2, clean(FIRST), infected(SECOND)))
    state = dataclasses.replace(state, asked=(), given=state.given[:1], reopened=(SECOND,))
    shown = screen(state)

    assert shown.title == "squares · cycle 1 · 1 region is open again"
    assert shown.rest == ""


def test_a_cycle_of_skips_goes_on_though_nothing_new_is_learned(screen):
    state = trained(asked(2, clean(FIRST), infected(SECOND)))
    state = dataclasses.replace(state, given=(*state.given, skipped(THIRD)))
    shown = screen(state)

    assert works(shown) == {"undo", "train"}
    assert "are done.</b> Press <b>Train</b>: the network asks the next" in shown.question
    assert shown.network == "Network: up to date"
    assert shown.rest == "The regions of this cycle are done."


def test_a_cycle_of_only_skips_can_be_taken_back(screen):
    shown = screen(asked(1, skipped(FIRST)))

    assert works(shown) == {"undo"}
    assert "press <b>Undo</b>" in shown.question


def test_an_answer_changed_in_an_empty_pool_can_be_trained_on(screen):
    state = dataclasses.replace(trained(asked(2, clean(FIRST), infected(SECOND))), asked=())
    state = dataclasses.replace(state, given=(clean(FIRST), infected(SECOND, 2)))
    shown = screen(state, left=False)

    assert works(shown) == {"undo", "train"}
    assert "<b>Train</b> once more" in shown.question


def test_training_without_infection_is_allowed_and_said(screen):
    shown = screen(asked(3, clean(FIRST)))

    assert shown.can_train
    assert "No infection is marked yet" in shown.train_hint


@pytest.mark.parametrize(("answers", "said"), [(19, True), (20, False)])
def test_a_network_of_few_answers_is_said_to_ask_poorly(screen, answers, said):
    shown = screen(asked(30, infected(FIRST), *map(clean, REGIONS[1:answers])))

    assert shown.can_train
    assert ("Few answers so far" in shown.train_hint) is said


# --- words ---


def test_a_network_out_of_date_says_what_that_means(screen):
    state = trained(asked(2, clean(FIRST), infected(SECOND)))
    later = dataclasses.replace(state, given=(*state.given, clean(THIRD)))

    assert screen(asked()).network_title == ""
    assert screen(state).network_title == "The network has learned all your answers"
    assert "since the last training" in screen(later).network_title


def test_what_to_know_of_the_weights_is_said_with_the_network(screen):
    state = trained(asked(2, clean(FIRST), infected(SECOND)))
    notice = "VGG16 with ImageNet convolutions; the file has no fc6 and fc7, which start untrained"
    noticed = dataclasses.replace(state, fit=dataclasses.replace(state.fit, notice=notice))

    assert screen(noticed).network_title == (
        f"The network has learned all your answers. It started from {notice}."
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((), "<b>0 s</b> nominal · <b>0 s</b> measured · 0 regions · 0 clicks"),
        ((infected(FIRST),), "<b>3 s</b> nominal · <b>2 s</b> measured · 1 region · 1 click"),
        (
            (infected(FIRST, 2), clean(SECOND)),
            "<b>9 s</b> nominal · <b>4 s</b> measured · 2 regions · 2 clicks",
        ),
    ],
)
def test_the_cost_is_told_in_both_seconds(screen, given, words):
    assert screen(asked(3, *given)).cost == words


@pytest.mark.parametrize(
    ("count", "words"), [(1, "<b>1 click</b> (3 s)."), (2, "<b>2 clicks</b> (6 s).")]
)
def test_clicks_that_are_no_answer_yet_are_priced(screen, count, words):
    clicks = tuple(Click(FIRST.row + n, FIRST.col) for n in range(count))

    assert screen(asked(), Draft(FIRST, clicks)).question.startswith(words)


def test_the_title_counts_what_is_open_and_only_the_cost_what_is_answered(screen):
    swept = [clean(region) for region in REGIONS[4:10]]
    shown = screen(asked(3, clean(SECOND), *swept))
    assert shown.title == "squares · start · 2 of 3 still open"
    assert "· 7 regions ·" in shown.cost
    state = trained(asked(2, clean(FIRST), infected(SECOND)))
    assert screen(state).title == "squares · cycle 1 · 1 of 1 still open"


def test_the_question_is_asked(screen):
    assert "Is there infection in the frame?" in screen(asked()).question


def test_when_it_was_saved_is_told_once_something_is(screen):
    assert screen(asked()).saved == ""
    assert screen(asked(), saved_at="12:03:04").saved == "saved 12:03:04"


def test_the_progress_is_told_in_words_and_only_rises(screen):
    steps = [
        Activity("wait"), Activity("start"), Activity("believe", 3, 4), Activity("fit", 0, 10),
        Activity("fit", 10, 10),
        Activity("evaluate", 1, 4), Activity("score", 1, 4), Activity("predict", 5, 5),
    ]  # fmt: skip
    shown = [screen(asked(), activity=step) for step in steps]

    assert [s.progress for s in shown] == sorted(s.progress for s in shown)
    assert shown[-1].progress == 1
    assert shown[2].progress_text == "noting what it believes so far 3 of 4"
    assert shown[3].progress_text == "training 0 of 10"
    assert screen(asked()).progress_text == ""


def test_the_device_is_told_once_it_is_known(screen):
    known = Activity(backbone="vgg16", device="2 CPU threads")

    assert screen(asked(), activity=known).device == "vgg16 on 2 CPU threads"
    assert screen(asked()).device == ""


# --- the curve ---


def test_with_masks_the_curve_is_dice(screen):
    shown = screen(asked())

    assert (shown.score, shown.chart_note) == ("dice", "")


def test_without_masks_the_curve_is_the_held_out_accuracy_and_says_so(screen, unmasked):
    shown = screen(asked(), dataset=unmasked)

    assert shown.score == "heldout_accuracy"
    assert "has no masks, so Dice can't be measured" in shown.chart_note


def test_with_masks_a_point_is_promised_after_each_training(screen):
    assert screen(asked()).chart_hint == "A point appears here after each training."


def test_without_masks_a_point_is_promised_only_of_enough_answers(screen, unmasked):
    hint = screen(asked(), dataset=unmasked).chart_hint

    assert hint == "A point appears here after each training on 10 answered regions or more."


@pytest.mark.parametrize(
    ("answers", "then"),
    [(2, "Answer 8 more, then train again."), (9, "Answer 1 more, then train again."),
     (10, "had fewer. Train again.")],
)  # fmt: skip
def test_a_training_on_too_few_answers_tells_why_there_is_no_point(screen, unmasked, answers, then):
    state = trained(asked(2, clean(FIRST), infected(SECOND)))
    more = map(clean, REGIONS[2:answers])
    state = dataclasses.replace(state, given=(*state.given, *more, skipped(REGIONS[20])))
    hint = screen(state, dataset=unmasked).chart_hint

    assert hint.startswith("No point could be measured: that takes 10 answered regions")
    assert hint.endswith(then)


def test_without_held_out_answers_no_point_is_promised(screen, unmasked):
    state = dataclasses.replace(asked(), config=CONFIG.replace(holdout=0.0))

    assert "no point can be measured" in screen(state, dataset=unmasked).chart_hint


def test_after_a_training_it_is_said_what_another_minute_brings(screen):
    state = trained(asked(2, clean(FIRST), infected(SECOND)))
    reports = tuple(
        dataclasses.replace(
            state.reports[0], cost=Cost(nominal_s=120.0 + 15 * n),
            scores=Scores(tp=500 + 10 * n, fp=500 - 10 * n, fn=500 - 10 * n, tn=1),
        )
        for n in range(6)
    )  # fmt: skip
    known = dataclasses.replace(state, reports=reports)

    assert screen(asked()).advice is screen(state).advice is None  # it is too early
    assert screen(known).advice.short.startswith("one more minute: +0.0")
    assert screen(known, left=False).advice is None  # there is no other minute


def test_the_rows_are_those_of_the_cycles(screen):
    state = trained(asked(2, clean(FIRST), infected(SECOND)))
    report = dataclasses.replace(state.reports[0], scores=Scores(tp=1, fp=1, fn=1, tn=1))
    rows = screen(dataclasses.replace(state, reports=(report,))).rows

    assert [(row["cycle"], row["dice"], row["heldout_accuracy"]) for row in rows] == [
        (0, 0.5, 0.75)
    ]


# --- the strip ---


def test_the_strip_tells_the_verdict_of_each_region(screen):
    tiles = screen(asked(4, infected(FIRST), clean(SECOND), skipped(THIRD))).tiles

    assert [tile.mark for tile in tiles] == ["infected", "clean", "skipped", "open"]
    assert [tile.current for tile in tiles] == [False, False, False, True]


def test_the_strip_holds_the_answers_of_every_cycle(screen):
    tiles = screen(trained(asked(2, clean(SECOND), clean(FIRST)))).tiles

    assert [(tile.region, tile.current) for tile in tiles] == [
        (SECOND, False), (FIRST, False), (THIRD, True)
    ]  # fmt: skip


def test_a_corrected_region_keeps_its_place_in_the_strip(screen):
    tiles = screen(asked(3, clean(FIRST), clean(SECOND), infected(FIRST))).tiles

    assert [tile.mark for tile in tiles] == ["infected", "clean", "open"]


@pytest.mark.parametrize("done", [0, 1, 20, 39, 40])
def test_a_long_strip_shows_what_is_around_the_current_region(screen, done):
    shown = screen(asked(40, *map(clean, REGIONS[:done])))

    assert len(shown.tiles) == STRIP
    assert shown.earlier + len(shown.tiles) + shown.later == 40
    assert done == 40 or REGIONS[done] in [tile.region for tile in shown.tiles]


def test_a_strip_that_was_paged_stays_there(screen):
    state = asked(40, *map(clean, REGIONS[:20]))

    assert screen(state, strip_from=3).tiles[0].region == REGIONS[3]
    assert screen(state, strip_from=99).later == 0


def test_a_short_strip_is_whole(screen):
    shown = screen(asked(3))

    assert (shown.earlier, shown.later, len(shown.tiles)) == (0, 0, 3)


def test_a_tile_has_neighbours_but_at_the_ends():
    state = asked(3, clean(FIRST))

    assert neighbour(state, SECOND, -1) == FIRST
    assert neighbour(state, SECOND, 1) == THIRD
    assert neighbour(state, FIRST, -1) is None
    assert neighbour(state, None, -1) == THIRD


# --- corrections, redo, sweeps ---


def test_a_reopened_answer_can_become_any_other(screen):
    shown = screen(asked(3, infected(FIRST)), Draft.of(infected(FIRST)))

    assert works(shown) == {"clean", "next", "skip", "undo", "train"}
    assert focus(asked(3, infected(FIRST)), Draft.of(infected(FIRST))) == FIRST


@pytest.mark.parametrize(
    ("answer", "said"),
    [(clean, "You answered: no infection."), (skipped, "You skipped this region.")],
)
def test_what_was_said_before_is_told(screen, answer, said):
    shown = screen(asked(3, answer(FIRST)), Draft.of(answer(FIRST)))

    assert said in shown.question
    assert "data-act='back'" in shown.question


def test_what_was_taken_back_can_be_given_again(screen):
    assert "redo" not in works(screen(asked(3)))
    assert "redo" in works(screen(asked(3), can_redo=True))
    draft = Draft(FIRST).toggled(CLICK, 1).undone()
    assert "redo" in works(screen(asked(3), draft))


def test_a_region_with_only_background_marked_can_be_said_to_be_clean(screen):
    draft = Draft(FIRST).toggled(dataclasses.replace(CLICK, label=0), 1)
    shown = screen(asked(), draft)

    assert works(shown) == {"clean", "undo"}
    assert "Only background is marked" in shown.question
    assert "or press <b>No infection</b>." in shown.question


def test_a_reopened_answer_is_told_and_can_be_left_also_with_marks(screen):
    shown = screen(asked(3, infected(FIRST)), Draft.of(infected(FIRST)))

    assert "You answered: infection, 1 click." in shown.question
    assert "data-act='back'" in shown.question


def test_a_session_with_outlines_never_speaks_of_clicks_alone(screen):
    full = Config(labels="full")
    outlined = Answer(FIRST, Verdict.INFECTED, outlines=(((0, 0), (0, 3), (3, 3)),))
    state = dataclasses.replace(asked(3, outlined), config=full)
    shown = screen(state, Draft(SECOND, (Click(SECOND.row, SECOND.col),)), fresh=True)

    assert "· 3 points" in shown.cost
    assert "Draw around all infection" in shown.question
    assert "Click more" not in shown.question
    assert shown.hint.startswith("Draw around the infection")


def test_the_first_question_has_a_hint(screen):
    assert screen(asked(), fresh=True).hint.startswith("Click the infection, then press <b>Next")
    assert screen(asked()).hint == ""
    assert screen(asked(), fresh=True, owned=False).hint == ""


@pytest.mark.parametrize(
    ("activity", "share"),
    [
        (Activity("warm"), 0.0),
        (Activity("warm", 5, 10, detail="draw"), 0.05),
        (Activity("wait", 5, 10, detail="prepare"), 0.55),
        (Activity("prepare", 10, 10), 1.0),
        (Activity("fit", 5, 10), 0.35),
    ],
)
def test_the_bar_moves_while_the_network_learns_from_synthetic_scans(activity, share):
    assert activity.fraction == pytest.approx(share)


def test_the_bar_of_a_training_never_goes_back():
    assert Activity("publish", 5, 10, live=True).fraction == pytest.approx(0.65)
    assert Activity("publish", 0, 4, live=True, reached=0.8).fraction == pytest.approx(0.8)
    assert Activity("evaluate", 10, 10, live=True, reached=0.8).fraction == pytest.approx(1.0)


def test_a_network_before_its_first_training_says_what_it_has_learned(screen):
    state = dataclasses.replace(asked(), config=asked().config.replace(asking="live"))
    shown = screen(state)

    assert shown.network == "Network: last layer learns"
    assert "Each answer teaches the network's last layer" in shown.network_title


def test_a_first_use_is_not_called_a_training(screen):
    shown = screen(asked(), activity=Activity("wait", 5, 10, detail="prepare"))

    assert shown.network == "Network: preparing 55 %"


def test_a_sweep_leaves_the_strip_where_the_question_was(screen):
    state = asked(40, *map(clean, REGIONS[:20]))
    before = screen(state)
    whole = Region(FIRST.where, 0, 0, 32, 32)
    swept = screen(state, Draft(whole, held=True, sweep=True))

    assert (swept.earlier, swept.tiles, swept.later) == (14, before.tiles, 13)


def test_background_clicks_are_said_while_they_are_set(screen):
    assert "mark <b>background</b>." in screen(asked(), marking="background").question


def test_an_outline_is_priced_by_its_points(screen):
    draft = Draft(FIRST).outlined(((0, 0), (0, 3), (3, 3), (3, 0)))

    assert "<b>1 outline</b>, 4 points (12 s)" in screen(asked(), draft).question
    assert screen(asked(), draft).can_next


def test_a_sweep_ends_with_the_rest_clean_or_is_left(screen):
    draft = Draft(FIRST, (CLICK,), held=True, sweep=True)
    shown = screen(asked(), draft)

    assert works(shown) == {"clean", "sweep", "undo"}
    assert "The rest is clean" in shown.question
    assert "<b>1 click</b> and the rest: 6 s" in shown.question


# --- the budget ---


def test_without_a_budget_the_whole_is_outlining_every_slice(screen):
    shown = screen(asked(3, clean(FIRST)))  # 8 train slices of 96 s

    assert shown.budget == pytest.approx(3 / 768)
    assert shown.budget_text == "0.4 % of outlining every slice (768 s)"


def test_a_budget_is_the_whole_where_there_is_one(screen):
    state = dataclasses.replace(asked(3, clean(FIRST)), config=Config(budget_s=30.0))

    assert screen(state).budget == 0.1
    assert screen(state).budget_text == "3 of the budget's 30 s"


def test_why_a_region_is_asked_is_handed_on(screen):
    explanation = Explanation("Because.")

    assert screen(asked(), explanation=explanation).explanation is explanation
