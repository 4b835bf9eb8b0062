import io
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image, ImageColor
from skimage.color import deltaE_ciede2000, rgb2lab

from alnb.ui.viewer.drawing import (
    CLEAN_RGBA,
    INFECTED_RGBA,
    MASK_RGB,
    PREDICTION_RGB,
    click_marks,
    edge,
    grey_png,
    heat_png,
    outline_path,
    prediction_png,
    thumbnail_png,
    uri,
)


def decoded(png, mode):
    return np.asarray(Image.open(io.BytesIO(png)).convert(mode))


@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_a_slice_comes_back_from_its_picture(image):
    assert (decoded(grey_png(image), "L") == image).all()


def test_a_crop_of_a_read_only_slice_can_be_drawn():
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    image.flags.writeable = False

    assert (decoded(grey_png(image[:, 1:3]), "L") == image[:, 1:3]).all()


def test_heat_is_clear_where_sure_and_nearly_opaque_where_not():
    rgba = decoded(heat_png(np.array([[0.0, math.log(2)]])), "RGBA")

    assert rgba[0, 0, 3] == 0
    assert rgba[0, 1].tolist() == [252, 255, 164, 230]  # inferno's last colour


def test_a_prediction_has_an_opaque_edge_and_a_faint_inside():
    probability = np.zeros((7, 7))
    probability[1:6, 1:6] = 0.9

    rgba = decoded(prediction_png(probability), "RGBA")

    assert rgba[0, 0, 3] == 0
    assert rgba[1, 1].tolist() == [*PREDICTION_RGB, 255]
    assert rgba[3, 3].tolist() == [*PREDICTION_RGB, 89]


def test_a_mask_is_drawn_as_the_prediction_that_it_is():
    mask = np.zeros((7, 7), dtype=bool)
    mask[1:6, 1:6] = True

    assert prediction_png(mask) == prediction_png(mask.astype(float))


def test_a_picture_border_is_no_edge():
    assert not edge(np.ones((3, 3), dtype=bool)).any()


def test_a_thumbnail_fits_its_square():
    image = np.zeros((30, 30), dtype=np.uint8)

    assert decoded(thumbnail_png(image, (slice(0, 10), slice(0, 20))), "L").shape == (28, 56)


@given(arrays(st.sampled_from([bool, int]), array_shapes(min_dims=2, max_dims=2, max_side=6)))
def test_an_outline_runs_along_each_side_between_areas_once(areas):
    padded = np.pad(areas, 1)
    between = [
        *(("H", row - 0.5, col) for row, col in np.argwhere(np.diff(padded, axis=0)[:, 1:-1])),
        *(("V", col - 0.5, row) for row, col in np.argwhere(np.diff(padded, axis=1)[1:-1])),
    ]
    drawn = []
    for x, y, way, end in re.findall(r"M([\d.-]+),([\d.-]+)([HV])([\d.-]+)", outline_path(areas)):
        line, begin = (y, x) if way == "H" else (x, y)
        pixels = np.arange(float(begin) + 0.5, float(end) + 0.5)
        drawn += [(way, float(line), pixel) for pixel in pixels]

    assert sorted(drawn) == sorted(between)


def test_an_outline_is_one_line_a_straight_stretch():
    assert outline_path(np.ones((4, 9), bool)).count("M") == 4
    assert outline_path(np.eye(3, dtype=bool)).count("M") == 8


def test_a_uri_names_its_kind():
    assert uri(b"\x00").startswith("data:image/png;base64,AA")


# --- colours that mean different things, also to colour-blind eyes ---

# Machado, Oliveira, Fernandes 2009: of linear RGB, where a kind of cone is wholly absent.
BLIND = {
    "none": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                     [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                   [0.004733, 0.691367, 0.303900]],
}  # fmt: skip
APART = 15  # ours: CIEDE2000; a difference of 2 is seen side by side, this at a glance


def seen(colour, eyes):
    """Return a colour (0 to 1) in CIELAB as such eyes see it."""
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.asarray(BLIND[eyes]) @ linear, 0, 1)
    shown = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return rgb2lab(shown[None, None])[0, 0]


def of(rgba):
    return np.array([int(part) for part in rgba[5:].split(",")[:3]]) / 255


def click(label):
    return np.array(ImageColor.getrgb(click_marks(13)[f"clicks {label}"]["color"])) / 255


PAIRS = {
    "clicks on infection and background": (click("infected"), click("background")),
    "regions answered infected and clean": (of(INFECTED_RGBA), of(CLEAN_RGBA)),
    "prediction and mask": (np.array(PREDICTION_RGB) / 255, np.array(MASK_RGB) / 255),
}


@pytest.mark.parametrize("eyes", BLIND)
@pytest.mark.parametrize("pair", PAIRS)
def test_what_means_different_things_looks_different(pair, eyes):
    one, other = (seen(colour, eyes) for colour in PAIRS[pair])

    assert deltaE_ciede2000(one, other) >= APART
