from alnb.serve import app_notebook
from browser.layout import faults, resize

NAMES = """() => {
  const plot = document.querySelector(".alnb-compare-chart .js-plotly-plot");
  return [...plot.querySelectorAll(".legendtext")].map(text => text.textContent);
}"""


def test_runs_are_compared_regrouped_and_saved(serving, watched, four_runs, tmp_path):
    page = watched.page
    env = {"ALNB_RUNS": four_runs, "ALNB_OUT": tmp_path / "out"}
    with serving(app_notebook("compare"), **env) as server:
        page.goto(server.address)
        page.wait_for_selector(".alnb-compare-chart .legendtext")
        assert page.evaluate(NAMES) == ["entropy", "random"]
        assert "2 seeds)" in page.locator(".alnb-verdicts").inner_text()

        page.locator("select").nth(2).select_option("run")
        page.wait_for_function(f"() => ({NAMES})().length === 4")
        page.locator("select").nth(1).select_option("Regions answered")
        page.locator(".alnb-verdicts", has_text="at 10 regions").wait_for()
        page.locator("select").nth(1).select_option("Labelling time, measured (s)")
        page.locator(".alnb-verdicts", has_text="no run has measured seconds").wait_for()
        page.wait_for_function(f"() => ({NAMES})().length === 0")  # and no line at 0 s
        page.locator("select").nth(1).select_option("Regions answered")
        page.wait_for_function(f"() => ({NAMES})().length === 4")
        page.get_by_role("button", name="Save figure and data").click()
        page.locator(".alnb-done", has_text="compare.png").wait_for()
        assert (tmp_path / "out" / "compare.csv").exists()
        page.locator("select").nth(0).select_option("Held-out accuracy")  # the longest name
        page.locator(".ytitle", has_text="Held-out accuracy").wait_for()
        for window in ((1280, 720), (1920, 1080), (1024, 768)):
            resize(page, *window)
            assert faults(page, whole=window >= (1280, 720)) == [], window
    assert watched.foreign == []
    assert watched.errors == []
