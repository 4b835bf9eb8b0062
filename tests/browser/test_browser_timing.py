"""The command that measures the label app, on few answers: what it measures is there, and sane."""

import json
import os
import subprocess
import sys

from conftest import ROOT


def test_the_app_is_timed_and_weighed_in_use_and_no_request_fails(browser, phantom):
    words = ["browser", "--data", str(phantom.folder), "--answers", "6", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", *words], cwd=ROOT,
        env={**os.environ, "PYTHONPATH": ROOT}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0 or "over the limit" in done.stderr  # a busy machine is no defect
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
