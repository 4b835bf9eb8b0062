import pytest

from alnb.ui.viewer.drawing import LiveFigure


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
