from types import SimpleNamespace

import numpy as np
import pytest
from fakes import published
from IPython.core.interactiveshell import InteractiveShell

from alnb.curves.compare import Comparison, find_runs, group, natural_grouping, read_runs
from alnb.posterior import Posterior
from alnb.regions import grid
from alnb.storage import features_path
from alnb.ui import lessons
from alnb.ui.lessons import QUICK, Guess, Player, Probe, Race, Turns, heads, reliability
from alnb.ui.stills import Panel

CONFIG = QUICK.replace(regions_per_slice=16)


@pytest.fixture
def network(squares, tmp_path):
    """What has published all slices."""
    for where in squares.slices:
        path = features_path(tmp_path, "w", where.scan, where.z)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, published(np.asarray(squares.image(where)), 0.0))
    return SimpleNamespace(cache=tmp_path, origin="w")


@pytest.fixture
def player(squares, network):
    player = Player(squares, network, CONFIG)
    yield player
    player.session.close()


@pytest.fixture
def sick(squares):
    return max(squares.part("test"), key=squares.infected_px)


def test_a_player_learns_after_each_answer_and_its_curve_grows(player):
    player.play(8)
    seconds, dice = player.curve

    assert len(player.answers) == 8
    assert seconds[0] == 0
    assert seconds[-1] == player.session.state.cost.nominal_s > 0
    assert len(seconds) == len(dice) == 9
    assert player.live.answers == player.answers


def test_a_player_stops_at_its_seconds_and_at_the_end_of_the_pool(player):
    player.play(100, seconds=9)
    assert player.session.state.cost.nominal_s == 9

    player.play(1000)
    assert len(player.answers) <= 16 * len(player.session.dataset.part("train"))
    assert not player.session.state.pending


def test_a_player_answers_what_somebody_chose(player):
    where = player.session.dataset.part("train")[-1]
    region = player.asker.pool.regions(where)[5]

    assert player.answer(region).region == region
    assert player.session.state.by_key.keys() == {region.key}


def test_a_threshold_trades_recall_for_precision(player):
    player.play(30)

    assert player.measure(0.1).recall >= player.measure(0.9).recall
    assert player.measure(0.5) == sum(
        map(player.live.measure, player.session.dataset.part("test")), start=lessons.Scores()
    )


def test_heads_agree_where_they_were_taught_the_same(player, sick):
    player.play(20)
    one, many = heads(player.live, sick, 1), heads(player.live, sick, 6)

    assert one.mutual_information.max() < 1e-6
    assert many.mutual_information.max() > 1e-4
    assert many.draws == 6
    assert player.live.answers == player.answers  # the layer itself is as it was


def test_reliability_of_a_perfect_guess_lies_on_the_diagonal():
    p = np.repeat([0.05, 0.55], 1000)
    mask = np.zeros(2000, bool)
    mask[:50], mask[1000:1550] = True, True

    predicted, found = reliability(p, mask)

    assert predicted == pytest.approx([0.05, 0.55])
    assert found == pytest.approx([0.05, 0.55])


def test_reliability_leaves_out_bins_of_few_pixels():
    assert reliability(np.full(19, 0.5), np.ones(19, bool)) == ([], [])


# --- by hand ---


def press(hand, row, col, size, panel=0):
    """Press the middle of a pixel, as the page does."""
    left, top, side = hand.still().places[panel]
    by = side / size
    hand._picture._receive(
        None, {"kind": "press", "x": left + (col + 0.5) * by, "y": top + (row + 0.5) * by}, []
    )


def test_a_guess_is_chosen_and_given_up_and_compared(squares, sick):
    guess = Guess(squares.image(sick), grid(sick, (32, 32), 16))
    mask = squares.mask(sick)
    row, col = np.argwhere(mask)[0].tolist()

    press(guess, row, col, 32)
    assert [region.contains(row, col) for region in guess.chosen] == [True]
    assert "You chose 1; 1 of them are." in guess.result(mask)
    before = guess._picture.png
    press(guess, row, col, 32)
    assert guess.chosen == []
    assert guess._picture.png != before
    guess._picture._receive(None, {"kind": "press", "x": 1, "y": 1}, [])  # on the title
    assert guess.chosen == []


def test_a_pixel_is_read_of_every_posterior(squares, sick):
    mean = np.full((32, 32), 0.25, np.float32)
    mean[3, 4] = 0.75
    posterior = Posterior(mean, np.zeros_like(mean), 2)
    probe = Probe(
        [Panel(title="CT", image=squares.image(sick))], {"dropout": posterior}, squares.mask(sick)
    )

    press(probe, 3, 4, 32)

    assert probe.pixels == [(3, 4)]
    assert "<td>0.75</td><td>0.00</td><td>0.56</td>" in probe.table().data


def test_a_turn_moves_map_question_and_curve(player, sick):
    turns = Turns(player, sick)
    first, shown = player.session.state.pending[0], turns._chart.value
    turns.cell.clean.click()

    assert player.answers[0].region == first
    assert player.session.state.pending[0] != first
    assert len(player.curve[0]) == 2
    assert turns._chart.value != shown
    turns.cell.undo.click()
    assert player.session.state.pending[0] == first
    assert player.live.answers == ()


def test_a_race_gives_everybody_an_answer_and_alnb_compare_draws_it(
    squares, network, tmp_path, monkeypatch
):
    monkeypatch.setattr(lessons, "QUICK", CONFIG)
    race = Race(squares, network, tmp_path / "race")
    press(race, 4, 4, 32, panel=1)
    press(race, 4, 4, 32, panel=1)  # it has an answer

    assert race.you.answers[0].region.where == race.slices[1]
    assert "has an answer" in race._text.value
    assert [len(one.answers) for one in (race.you, *race.rivals.values())] == [1, 1, 1]
    race.play(4)
    assert [len(one.answers) for one in (race.you, *race.rivals.values())] == [1, 4, 4]
    runs = read_runs(find_runs([tmp_path / "race"]))
    comparison = Comparison(group(runs, natural_grouping(runs)))
    assert set(comparison.curves) == {"entropy", "random", "you"}
    assert comparison.conclusions()


# --- out of order ---


@pytest.fixture
def shell():
    shell = InteractiveShell()
    shell.set_custom_exc((NameError, lessons.AlnbError), lessons._explain)
    return shell


@pytest.mark.parametrize(
    ("cell", "sentence"),
    [
        ("race.play(3)", "race is made by a cell above that has not run yet"),
        ("from alnb import Config\nConfig(seed=-1)", "setting seed is -1; it can"),
    ],
)
def test_an_error_of_a_cell_is_a_sentence_without_a_trace(
    shell, cell, sentence, capsys, monkeypatch
):
    said = []
    monkeypatch.setattr(lessons, "show", lambda html: said.append(html.data))
    result = shell.run_cell(cell)

    assert not result.success  # so that the cells below are not run
    assert sentence in said[0]
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
