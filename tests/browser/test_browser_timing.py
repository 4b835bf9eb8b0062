"""The benchmark of the label app, on few answers and clicks: its figures are there, and sane."""

import json
from contextlib import nullcontext

from benchmarks import browser_page, browser_timing
from benchmarks.__main__ import app
from typer.testing import CliRunner


def test_the_app_is_timed_and_weighed_in_use_and_no_request_fails(browser, phantom, monkeypatch):
    monkeypatch.setattr(browser_timing, "launched", lambda: nullcontext(browser))
    monkeypatch.setattr(browser_timing, "REGIONS", 5)
    monkeypatch.setattr(browser_page, "CLICKS", 9)
    words = ["browser", "--answers", "6", "--json", "--data", str(phantom.folder)]
    done = CliRunner().invoke(app, words)
    late = "over the limit" in str(done.exception)  # a busy machine is no defect
    assert done.exit_code == 0 or late, done.exception
    measures = {one["what"]: one for one in json.loads(done.stdout)}

    for what, limit in (
        ("alnb label to the first region", 10),
        ("click to mark, p95", 100),
        ("answer to the next region, p95", 300),
        ("click to mark while it trains, p95", 100),
        ("answer to the next region while it trains, p95", 300),
        ("cancel until it is cancelled", 2),
    ):
        assert measures[what]["value"] > 0
        assert measures[what]["limit"] == limit
    failed = measures["requests that failed or went to another host"]
    assert failed["value"] == 0, failed["note"]
    assert int(failed["note"].removeprefix("of ")) > 10
    for what in ("the kernel", "the page"):
        gained = measures[f"memory that {what} gained over 3 answers"]
        assert 0 < float(gained["note"].split()[1]) < 2000
