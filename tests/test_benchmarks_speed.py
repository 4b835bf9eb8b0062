import shutil

from benchmarks import baselines, speed

from alnb.config import Config


def quick(monkeypatch, squares, tmp_path):
    monkeypatch.setattr(speed, "REPEATS", 1)
    monkeypatch.setattr(speed, "SCANS", 3)
    monkeypatch.setattr(speed, "DEPTH", 2)
    monkeypatch.setattr(
        baselines, "time_scoring", lambda: iter([("naive loop, padding 100", 14.0, "×", "")])
    )
    monkeypatch.setattr(baselines, "time_choices", lambda: iter([]))
    monkeypatch.setattr(baselines, "time_steps", lambda: iter([("a step", 1.0, "s", "")]))
    monkeypatch.setattr(speed, "peak_memory", lambda: iter([("peak memory", 9.0, "MiB", "")]))
    fast = Config(
        backbone="efficientnet_lite0", regions_per_slice=4, start_regions=8, pretrain_steps=0,
        steps=2, draws=2,
    )  # fmt: skip
    monkeypatch.setattr(speed, "Config", lambda: fast)
    data = shutil.copytree(squares.folder, tmp_path / "data")  # caches go there
    return {measure.what: measure for measure in speed.measure(data)}


def test_every_figure_has_a_unit_and_is_measured(monkeypatch, squares, tmp_path):
    monkeypatch.setattr(speed, "time_page", lambda data: iter([("click", 20.0, "ms")]))
    measures = quick(monkeypatch, squares, tmp_path)

    assert measures["a whole cycle"].value >= measures["  training"].value > 0
    assert measures["open a dataset of 10,000 slices"].value > 0
    assert measures["click"].limit == 100
    assert "at least 12 ×" in measures["naive loop, padding 100"].line()
    assert measures["peak memory"].limit is None
    assert "2 steps" in measures["  training"].line()


def test_a_machine_without_a_browser_says_so(monkeypatch, squares, tmp_path):
    def none(data):
        raise FileNotFoundError("no Chromium or Chrome on this machine")
        yield

    monkeypatch.setattr(speed, "time_page", none)
    page = quick(monkeypatch, squares, tmp_path)["the page"]

    assert page.value is None
    assert "not measured" in page.line()
    assert "no Chromium" in page.line()
