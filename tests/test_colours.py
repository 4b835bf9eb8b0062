"""Colours that mean different things are told apart by colour-blind eyes, too."""

import numpy as np
import pytest
from PIL import ImageColor
from skimage.color import deltaE_ciede2000, rgb2lab

from alnb.ui.viewer.drawing import (
    CLEAN_RGBA,
    INFECTED_RGBA,
    MASK_RGB,
    PREDICTION_RGB,
    region_figure,
)

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
    (trace,) = (t for t in region_figure((8, 8)).data if t.name == f"clicks {label}")
    return np.array(ImageColor.getrgb(trace.marker.color)) / 255


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
