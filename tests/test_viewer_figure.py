import pytest

from alnb.ui.viewer.figure import LiveFigure


@pytest.fixture
def sent(monkeypatch):
    """What is sent of single traits, by name; the last value of each."""
    sent = {}

    def spy(self, key=None):
        names = [key] if isinstance(key, str) else list(key or ())
        sent.update(self.get_state(names) if names else {})

    monkeypatch.setattr(LiveFigure, "send_state", spy)
    return sent


def test_a_notebook_gets_the_figure_as_it_was_made(sent):
    LiveFigure([{"type": "scatter", "y": [1, 2]}], {"width": 300, "height": 200})

    assert sent["_widget_layout"]["width"] == 300
    assert sent["_widget_data"][0]["y"] == [1, 2]


def test_a_page_that_asks_late_gets_the_figure_as_it_is():
    figure = LiveFigure([{"type": "scatter", "y": [1, 2]}], {"width": 300})
    figure.layout.width = 400

    assert figure.get_state()["_widget_layout"]["width"] == 400


def test_a_page_gets_again_what_it_was_sent_before_its_figure_was_drawn(sent):
    figure = LiveFigure([{"type": "scatter", "y": [1, 2]}, {"type": "scatter"}], {"width": 300})
    figure.get_state()  # a page asks
    with figure.batch_update():
        figure.data[0].y, figure.layout.width = [3, 4], 400
    figure.data[0].y, figure.data[1].y = [5, 6], [7, 8]
    figure.layout.meta = {"screen": 4}
    sent.clear()

    heard = []
    names = ["_py2js_restyle", "_py2js_relayout", "_py2js_update"]
    figure.observe(lambda change: heard.append(change["new"]), names)
    figure.catch_up()
    styles = {
        one["restyle_traces"][0]: one["restyle_data"]
        for one in heard
        if one and "restyle_data" in one
    }
    (layout,) = [one["relayout_data"] for one in heard if one and "relayout_data" in one]
    assert {trace: style["y"] for trace, style in styles.items()} == {0: [[5, 6]], 1: [[7, 8]]}
    assert layout == {"width": 400, "meta": {"screen": 4}}

    heard.clear()
    figure.data[0].y = [9, 9]
    figure.catch_up()  # the page has drawn it again; it has missed nothing
    assert len([one for one in heard if one]) == 1


def test_figures_share_one_script_which_a_page_gets_once():
    one, two = LiveFigure([], {}), LiveFigure([], {})

    assert one.script is two.script
    assert len(one.script.code) > 1e6  # Plotly's
    assert len(one._esm) < 3000
