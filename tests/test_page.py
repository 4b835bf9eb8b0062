import dataclasses

import numpy as np
import pytest

from alnb.arrays import Window
from alnb.dataset import SliceId
from alnb.forecast import Forecast, Gain
from alnb.regions import grid
from alnb.state import State
from alnb.ui.label.draft import Draft
from alnb.ui.label.page import Page
from alnb.ui.label.screen import Explanation, Mode, Reason, Tile, present
from alnb.ui.label.sentences import Activity
from alnb.ui.label.watched import WatchedSlice
from alnb.ui.parts import SIGNS, Message, failure_page
from alnb.ui.viewer.charts import Charts
from alnb.ui.viewer.drawing import thumbnail_png
from alnb.ui.viewer.slice_view import SliceView

WINDOW = Window(-1250, 250)
NAMES = {
    "clean": "No infection", "next": "Next", "skip": "Skip", "undo": "Undo", "train": "Train",
    "cancel": "Cancel", "redo": "Redo", "sweep": "Sweep slice",
}  # fmt: skip
REGIONS = grid(SliceId("one <scan>", 3), (32, 32), 64)
PNG = thumbnail_png(np.zeros((32, 32), np.uint8), REGIONS[0].window)
THUMBNAILS = {region.key: PNG for region in REGIONS}


def unwatched():
    """Nothing to watch: no test part."""
    return WatchedSlice(None, (), lambda: None)


@pytest.fixture(scope="module")
def page():
    return Page(SliceView((32, 32)), Charts(), unwatched(), WINDOW)


@pytest.fixture
def screen(squares):
    from alnb.config import Config

    return present(State(Config()), Draft(), Activity(), squares, Mode())


def html(page):
    parts = (page._head, page._message, page._question, page._strip, page._train_hint, page._bar,
             page._note, page._advice)  # fmt: skip
    return "".join(part.value for part in parts)


def test_the_buttons_have_their_names(page):
    assert {name: getattr(page, name).description for name in NAMES} == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_button_works_when_the_screen_says_so(page, screen, name):
    working = dataclasses.replace(screen, **{f"can_{name}": True})
    page.show(working, "", {})
    assert [n for n in NAMES if not getattr(page, n).disabled] == [name]

    page.show(screen, "", {})
    assert getattr(page, name).disabled


def test_what_comes_from_data_is_no_markup(page, screen):
    tiles = (Tile(REGIONS[0], "open", True, "one <scan>, slice 4 of 9"),)
    strange = dataclasses.replace(screen, title="a<b>&c", tiles=tiles)
    page.show(strange, "scan <x> is broken", THUMBNAILS)

    assert "a&lt;b&gt;&amp;c" in html(page)
    assert "Scan &lt;x&gt; is broken" in html(page)
    assert "one &lt;scan&gt;, slice 4 of 9: open" in html(page)


@pytest.mark.parametrize(
    ("kind", "role", "name"),
    [("success", "status", "Done"), ("note", "status", "Note"), ("warning", "alert", "Warning"),
     ("error", "alert", "Error")],
)  # fmt: skip
def test_a_message_has_the_sign_of_its_kind_and_goes_away(page, screen, kind, role, name):
    page.show(screen, Message("a sentence.", kind), {})
    assert f"class='alnb-message alnb-{kind}' role='{role}'" in html(page)
    assert f"aria-label='{name}' title='{name}'>{SIGNS[kind][0]}<" in html(page)

    page.show(screen, "", {})
    assert "alnb-message" not in html(page)


def test_no_two_kinds_of_message_look_the_same_without_colour():
    assert len({sign for sign, _ in SIGNS.values()}) == len(SIGNS)


def test_what_to_do_first_is_hinted_until_the_first_answer(page, screen):
    page.show(dataclasses.replace(screen, hint="Click the infection."), "", {})
    assert page._hint.value == "<div class='alnb-hint'>Click the infection.</div>"

    page.show(screen, "", {})
    assert page._hint.value == ""


def test_advice_is_read_and_interrupts_nobody(page, screen):
    found = Forecast("Dice", 6, Gain(0.005, -0.01, 0.01, 0.02))
    page.show(dataclasses.replace(screen, advice=found), "", {})
    assert ">One more minute of labelling is not expected to change Dice.<" in html(page)
    assert "title='One more minute of labelling is not expected to change Dice" in html(page)
    assert "role='alert'" not in html(page)

    page.show(screen, "", {})
    assert "One more minute" not in html(page)


def test_the_strip_speaks_each_verdict(page, screen):
    marks = ("infected", "clean", "skipped", "open")
    where = "one, slice 4 of 9"
    tiles = tuple(Tile(r, mark, False, where) for r, mark in zip(REGIONS, marks, strict=False))
    page.show(dataclasses.replace(screen, tiles=tiles, earlier=2, later=3), "", THUMBNAILS)

    for words in ("infected", "no infection", "skipped", "open"):
        assert f"slice 4 of 9: {words}'" in page._strip.value
    assert "2 before" in page._strip.value
    assert "3 more" in page._strip.value


def test_a_tile_opens_its_region_and_an_arrow_pages(page, screen):
    tiles = (Tile(REGIONS[0], "clean", True),)
    page.show(dataclasses.replace(screen, tiles=tiles, later=3), "", THUMBNAILS)

    assert "data-act='open:one &lt;scan&gt;/3/0,0,4,4'" in page._strip.value
    assert "aria-current='true'" in page._strip.value
    assert "data-act='strip:1'" in page._strip.value
    assert "data-act='strip:-1'" not in page._strip.value


def test_buttons_are_named_by_what_they_do_now(page, screen):
    page.show(dataclasses.replace(screen, sweeping=True, marking="background"), "", {})
    names = [page.clean.description, page.sweep.description, page.background.description]
    assert names == ["The rest is clean", "Leave sweep", "Mark infection"]

    page.show(screen, "", {})
    names = [page.clean.description, page.sweep.description, page.background.description]
    assert names == ["No infection", "Sweep slice", "Mark background"]


def test_the_card_tells_scores_ranks_and_who_else_would_ask(page, screen):
    reasons = (
        Reason("entropy", 0.5911, 1, 3825, 1), Reason("bald", 0.062, 1234, 3825, 0),
        Reason("b<ald", 0.062, 23, 3825, 0),
    )  # fmt: skip
    explanation = Explanation("Number 1 of 5 by entropy.", reasons, 5 / 3825, 0.66)
    page.show(dataclasses.replace(screen, explanation=explanation), "", {})
    shown, numbers = page._explanation.value.split("<div class='alnb-numbers'>")

    assert ">The network is unsure here: 66 % infected.<" in shown
    assert "Number 1 of 5 by entropy. Mean probability 0.66." in numbers
    assert "<td>rank of 3,825</td>" in numbers
    assert "in nats'>uncertainty <i>entropy</i></th><td>0.591</td><td>1</td><td>✓</td>" in numbers
    assert "disagreement <i>bald</i></th><td>0.062</td><td>1,234</td><td>no</td>" in numbers
    assert ">b&lt;ald</th><td>0.062</td><td>23</td><td>no</td>" in numbers
    assert "0.13 %" in numbers
    page.show(screen, "", {})
    assert page._explanation.value == ""


def test_the_cost_is_a_meter_with_words(page, screen):
    page.show(dataclasses.replace(screen, budget=0.25, budget_text="150 of 600 s"), "", {})

    assert "aria-valuenow='25'" in page._head.value
    assert "aria-valuetext='150 of 600 s'" in page._head.value


def test_layers_that_are_switched_off_are_hidden(page):
    assert page.hidden == set()
    page.toggles["marks"].value = page.toggles["grid"].value = False

    assert page.hidden == {"clicks", "grid"}
    page.toggles["marks"].value = page.toggles["grid"].value = True


def test_teaching_needs_masks():
    for has_masks, display in ((False, "none"), (True, None)):
        page = Page(SliceView((32, 32)), Charts(), unwatched(), WINDOW, has_masks=has_masks)
        assert page.toggles["mask"].layout.display == display


def test_the_bar_is_seen_while_something_runs(page, screen):
    running = dataclasses.replace(screen, progress=0.42, progress_text="training 3 of 9")
    page.show(running, "", {})
    assert "aria-valuenow='42'" in page._bar.value

    page.show(dataclasses.replace(running, progress=0.0, progress_text="starting"), "", {})
    assert "aria-valuenow" not in page._bar.value
    assert ">starting<" in page._bar.value

    page.show(screen, "", {})
    assert "progressbar" not in page._bar.value
    assert "of outlining every slice" in page._bar.value


def test_showing_the_same_again_sends_nothing(page, screen):
    page.show(screen, "", {})
    sent = []
    page._head.observe(sent.append)
    page.clean.observe(sent.append)
    page.show(screen, "", {})

    assert sent == []


def test_the_overlays_are_those_switched_on(page):
    assert page.overlays == {"entropy"}
    called = []
    page.on_overlays(lambda: called.append(True))
    page.toggles["prediction"].value = True

    assert page.overlays == {"entropy", "prediction"}
    assert called == [True]


def test_the_large_picture_is_bare_until_it_is_asked_for(page):
    assert page.toggles["on_region"].value is False
    called = []
    page.on_overlays(lambda: called.append(True))
    page.toggles["on_region"].value = True

    assert called == [True]


def test_the_networks_state_is_explained(page, screen):
    page.show(
        dataclasses.replace(screen, network="Network: x", network_title="since <then>"), "", {}
    )

    assert "title='since &lt;then&gt;'>Network: x<" in html(page)


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("the folder is missing.", "The folder is missing."),
        ("line 1: no journal.", "Line 1: no journal."),
        ("medseg: there is no such folder.", "medseg: there is no such folder."),
        ("data/medseg is no folder.", "data/medseg is no folder."),
        ("/data is no folder.", "/data is no folder."),
        ("slices.csv is empty.", "slices.csv is empty."),
        ("scan_01 is empty.", "scan_01 is empty."),
        ("Training cancelled.", "Training cancelled."),
    ],
)  # fmt: skip
def test_a_sentence_begins_with_a_capital_where_that_spoils_no_name(page, sentence, shown):
    page.say(sentence)

    assert f">{shown}<" in page._message.value


def test_a_failure_is_a_page_with_its_sentence():
    assert "The folder &lt;x&gt; is missing." in failure_page("the folder <x> is missing.").value


def test_what_is_set_once_is_folded_away(page):
    assert not page.settings_are_shown
    page.toggle_settings()
    assert page.settings_are_shown
    page.toggle_settings()
    assert not page.settings_are_shown


def test_what_the_page_says_stands_in_the_room_under_the_slice():
    view, charts = SliceView((32, 32)), Charts()
    page = Page(view, charts, unwatched(), WINDOW)
    view.tap.rooms = {view.tap.target: [1349, 851], "alnb-charts": [531, 790]}
    said = page._said.layout

    assert (said.left, said.width) == ("0px", f"{view.spare[2]}px")
    assert int(said.top.removesuffix("px")) > view.plan.panels["slice"][2]
    assert charts.figure.layout.width == 531
    assert view.figure.layout.height == 851
