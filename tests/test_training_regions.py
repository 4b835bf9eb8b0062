"""Training on regions that are no grid, with a real network."""

import json

import numpy as np
import pytest

from alnb.acquisition import HEURISTICS, region_scores
from alnb.config import Config
from alnb.oracle import Oracle
from alnb.pool import Pool, start_picks
from alnb.regions import Region
from alnb.training.trainer import Trainer

CONFIG = Config(
    backbone="efficientnet_lite0", regions_per_slice=9, start_regions=12,
    pretrain_steps=0, steps=2, batch=2, draws=2, crop=32,
)  # fmt: skip
KINDS = ("grid", "superpixels")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["mean", "max"])
def test_each_region_is_scored_by_its_own_pixels(tmp_path, squares, kind, how):
    config = CONFIG.replace(regions=kind, region_score=how)
    pool, oracle = Pool(squares, config), Oracle(squares)
    trainer = Trainer(squares, config, tmp_path)
    fit = trainer.fit([oracle.answer(pick.region) for pick in start_picks(pool)])
    slices = pool.slices[:2]

    tables = trainer.score(slices, fit.weights)

    for n, (where, posterior) in enumerate(trainer.predict(slices, fit.weights)):
        regions = pool.regions(where)
        for name, table in tables.items():
            expected = region_scores(HEURISTICS[name](posterior), regions, how)
            assert table.shape == (2, pool.shape[1])
            assert np.array_equal(table[n, : len(regions)], expected)
            assert np.isnan(table[n, len(regions) :]).all()


@pytest.mark.parametrize("kind", ["superpixels"])
def test_a_run_by_command_asks_such_regions(command_line, tmp_path, squares, kind):
    settings = ["steps=2", "draws=2", "start_regions=8", "crop=32", "regions_per_slice=9",
                f"regions={kind}"]  # fmt: skip
    words = [word for setting in settings for word in ("--set", setting)]
    out = tmp_path / "run"
    status, _, err = command_line(
        "run",
        squares.folder,
        "--out",
        out,
        "--cycles",
        2,
        "--backbone",
        "efficientnet_lite0",
        *words,
    )
    assert (status, err) == (0, "")

    events = [json.loads(line) for line in (out / "journal.jsonl").read_text().splitlines()]
    regions = [Region.parse(event["region"]) for event in events if event["kind"] == "answered"]
    assert len(regions) == 8 + 2 * 5
    if kind == "superpixels":
        assert any(region.mask is not None for region in regions)
    else:
        assert len({region.height for region in regions}) > 1
    status, _, _ = command_line("export", out, "--out", tmp_path / "export")
    assert status == 0
    table = (tmp_path / "export" / "answers.csv").read_text()
    assert all(region.key in table for region in regions)
