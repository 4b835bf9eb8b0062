import numpy as np
from scipy.ndimage import distance_transform_edt

from alnb.config import Config
from alnb.regions import Region
from alnb.ui.viewer.slice_view import SHAPES
from browser.app_page import App, asked, events

CONFIG = Config(
    backbone="efficientnet_lite0", regions="superpixels", regions_per_slice=16, start_regions=12
)
BORDERS = """() => document.querySelector(".alnb-figure .js-plotly-plot")
  .layout.shapes.map(shape => shape.path.split("M").length - 1)"""


def farthest_from_an_edge(pixels):
    """Find the (row, col) deepest in a shape."""
    depth = distance_transform_edt(np.pad(pixels, 1))[1:-1, 1:-1]
    row, col = np.unravel_index(depth.argmax(), depth.shape)
    return int(row), int(col)


def test_a_person_labels_a_superpixel_by_its_true_shape(watched, begun):
    folder, address = begun(CONFIG)
    app = App(watched.page, address)
    regions = iter(map(Region.parse, asked(folder)))
    while (region := next(regions)).mask is None or (~region.mask).sum() < 50:
        app.answer("No infection")
    beside = ~region.mask
    outside, inside = map(farthest_from_an_edge, (beside, region.mask))

    app.page.mouse.click(*app.place(region.row + outside[0], region.col + outside[1]))
    app.says("outside the frame")
    assert app.marks() == 0
    borders = dict(zip(SHAPES, app.page.evaluate(BORDERS), strict=True))
    assert borders["grid"] > 16
    assert borders["border"] == borders["frame"] > 4

    app.click(region.row + inside[0], region.col + inside[1])
    app.answer("Next")
    answer = events(folder, "answered")[-1]
    assert answer["region"] == region.key
    ((row, col, _),) = answer["clicks"]
    assert region.contains(row, col)
    assert watched.errors == []
