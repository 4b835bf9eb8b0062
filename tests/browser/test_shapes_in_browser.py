import numpy as np
import pytest
from app_page import App, asked, events
from scipy.ndimage import distance_transform_edt

from alnb.config import Config
from alnb.dataset import import_phantom
from alnb.regions import Region
from alnb.serve import app_notebook
from alnb.session import Session
from alnb.ui.viewer.slice_view import SHAPES

CONFIG = Config(
    backbone="efficientnet_lite0", regions="superpixels", regions_per_slice=16, start_regions=12
)
BORDERS = """() => document.querySelector(".alnb-figure .js-plotly-plot")
  .layout.shapes.map(shape => shape.path.split("M").length - 1)"""


@pytest.fixture
def phantom(tmp_path):
    parts = {"phantom_01": "train", "phantom_02": "test"}
    return import_phantom(tmp_path / "phantom", scans=2, size=128, split=parts)


def farthest_from_an_edge(pixels):
    """Find the (row, col) deepest in a shape."""
    depth = distance_transform_edt(np.pad(pixels, 1))[1:-1, 1:-1]
    return np.unravel_index(depth.argmax(), depth.shape)


def press(app, row, col):
    """Press the mouse on a position of the slice in the region's panel."""
    x, y = app.page.evaluate(
        """([row, col]) => {
          const plot = document.querySelector(".alnb-figure .js-plotly-plot");
          const box = plot.querySelector(".nsewdrag[data-subplot=x2y2]").getBoundingClientRect();
          const { xaxis2, yaxis2 } = plot._fullLayout;
          return [box.left + xaxis2.d2p(col), box.top + yaxis2.d2p(row)];
        }""",
        [row, col],
    )
    app.page.mouse.click(x, y)


def test_a_person_labels_a_superpixel_by_its_true_shape(serving, watched, phantom, tmp_path):
    folder = tmp_path / "session"
    Session.open(folder, phantom, CONFIG).close()
    with serving(app_notebook("label"), ALNB_DATA=phantom.folder, ALNB_SESSION=folder) as server:
        app = App(watched.page, server.address)
        regions = iter(map(Region.parse, asked(folder)))
        while (region := next(regions)).mask is None or (~region.mask).sum() < 50:
            app.answer("No infection")
        beside = ~region.mask
        outside, inside = map(farthest_from_an_edge, (beside, region.mask))

        press(app, region.row + int(outside[0]), region.col + int(outside[1]))
        app.says("outside the frame")
        assert app.marks() == 0
        borders = dict(zip(SHAPES, app.page.evaluate(BORDERS), strict=True))
        assert borders["grid"] > 16
        assert borders["border"] == borders["frame"] > 4

        app.click(region.row + int(inside[0]), region.col + int(inside[1]))
        app.answer("Next")
        answer = events(folder, "answered")[-1]
        assert answer["region"] == region.key
        ((row, col, _),) = answer["clicks"]
        assert region.contains(row, col)
    assert watched.errors == []
