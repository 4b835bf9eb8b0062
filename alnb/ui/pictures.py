"""Turn arrays into small PNG pictures that a browser can show: CT, heat maps, predictions.

A palette PNG is a byte a pixel, and encodes in a few milliseconds; colours and transparency
stand in its palette.
"""

from __future__ import annotations

import base64
import io
import math
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from alnb.arrays import Grey, Map, Mask

PREDICTION_RGB = (0, 229, 255)  # cyan: no colour of inferno, and told apart by colour-blind eyes
MASK_RGB = (200, 255, 0)  # lime: apart from cyan for all eyes; of inferno's yellow a line alone
HEAT_ALPHA = 0.9  # of the hottest pixel; the coldest is clear, so that CT shows where all is sure
FILL_ALPHA = 0.35  # of a prediction's inside; its edge is opaque


def uri(png: bytes) -> str:
    """Return a PNG as a data URI."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _encode(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)  # 1: three times faster than 6, 15 % larger
    return buffer.getvalue()


def grey_png(image: Grey) -> bytes:
    """Encode an (H, W) uint8 slice as a grey PNG."""
    return _encode(Image.fromarray(np.ascontiguousarray(image)))


def _palette_png(
    indices: NDArray[np.uint8], rgb: NDArray[np.uint8], alpha: NDArray[np.uint8]
) -> bytes:
    image = Image.fromarray(np.ascontiguousarray(indices)).convert("P")
    image.putpalette(rgb.tobytes())
    image.info["transparency"] = alpha.tobytes()
    return _encode(image)


@cache
def _inferno() -> NDArray[np.uint8]:
    """Return inferno's 256 colours, (256, 3) uint8."""
    from PIL import ImageColor
    from plotly.colors import sequential, unlabel_rgb

    stops = np.array(
        [ImageColor.getrgb(c) if c[0] == "#" else unlabel_rgb(c) for c in sequential.Inferno]
    )
    at = np.linspace(0, 1, 256)
    channels = [np.interp(at, np.linspace(0, 1, len(stops)), stops[:, i]) for i in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8)


def heat_png(values: Map, top: float = math.log(2)) -> bytes:
    """Encode a map as a heat picture, the more opaque the higher.

    Parameters
    ----------
    values : (H, W) float array
        From 0 to `top`; beyond, clipped.
    top : float
        What is drawn hottest; ln 2 nats, the highest entropy of two classes.

    Returns
    -------
    bytes
        A palette PNG in inferno's colours.
    """
    levels = np.rint(np.clip(values / top, 0, 1) * 255).astype(np.uint8)
    alpha = np.rint(np.linspace(0, HEAT_ALPHA * 255, 256)).astype(np.uint8)
    return _palette_png(levels, _inferno(), alpha)


def _fine(shape: tuple[int, ...], factor: float) -> tuple[int, int]:
    return round(shape[1] * factor), round(shape[0] * factor)


def enlarge_grey(image: Grey, factor: float) -> Grey:
    """Draw an (H, W) uint8 picture on a grid `factor` ≥ 1 times finer, by cubic splines.

    As a viewer of CT does: the eye reads smooth tissue better than squares.
    """
    fine = Image.fromarray(np.ascontiguousarray(image))
    grey: Grey = np.asarray(fine.resize(_fine(image.shape, factor), Image.Resampling.BICUBIC))
    return grey


def enlarge_map(values: Map, factor: float) -> Map:
    """Draw an (H, W) float map on a grid `factor` ≥ 1 times finer, linearly, in float32."""
    fine = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    smooth: Map = np.asarray(fine.resize(_fine(values.shape, factor), Image.Resampling.BILINEAR))
    return smooth


def edge(mask: Mask) -> Mask:
    """Find the pixels of a mask that share a side with its outside, within the picture.

    Examples
    --------
    >>> edge(np.array([[1, 1, 0], [1, 1, 0]], dtype=bool)).astype(int).tolist()
    [[0, 1, 0], [0, 1, 0]]
    """
    padded = np.pad(mask, 1, mode="edge")  # so that a picture's border is no edge
    within = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    found: Mask = mask & ~within
    return found


def prediction_png(prediction: Map | Mask, at: float = 0.5) -> bytes:
    """Encode where infection is predicted: a cyan outline with a faint inside.

    Parameters
    ----------
    prediction : (H, W) float or bool array
        Infection probability, or the mask itself.
    at : float
        Probability above which a pixel counts as infected.

    Returns
    -------
    bytes
        A palette PNG.
    """
    mask: Mask = prediction > at  # of a bool array too, True being 1
    indices = mask.astype(np.uint8) + edge(mask)
    rgb = np.array([(0, 0, 0), PREDICTION_RGB, PREDICTION_RGB], dtype=np.uint8)
    alpha = np.array([0, round(FILL_ALPHA * 255), 255], dtype=np.uint8)
    return _palette_png(indices, rgb, alpha)


def outline_png(mask: Mask, rgb: tuple[int, int, int] = MASK_RGB) -> bytes:
    """Encode the border of an (H, W) bool mask as a palette PNG, clear elsewhere."""
    colours = np.array([(0, 0, 0), rgb], dtype=np.uint8)
    return _palette_png(edge(mask).astype(np.uint8), colours, np.array([0, 255], dtype=np.uint8))


def thumbnail_png(image: Grey, window: tuple[slice, slice], size: int = 56) -> bytes:
    """Encode a part of a slice as a grey PNG that fits a square.

    Parameters
    ----------
    image : (H, W) uint8 array
        The slice.
    window : tuple of two slices
        Which part, as `Region.window` names it.
    size : int
        The longer side, in pixels.
    """
    part = Image.fromarray(np.ascontiguousarray(image[window]))
    scale = size / max(part.size)
    shape = tuple(max(1, round(side * scale)) for side in part.size)
    return _encode(part.resize((shape[0], shape[1]), Image.Resampling.BICUBIC))


def outline_path(areas: Mask | NDArray[np.integer[Any]]) -> str:
    """Trace the borders of areas along the sides of pixels, a line for each straight stretch.

    Parameters
    ----------
    areas : (H, W) bool or integer array
        A shape, or numbers of several; 0 is outside. Not empty.

    Returns
    -------
    str
        An SVG path in columns and rows, of absolute commands, as Plotly asks.

    Examples
    --------
    >>> outline_path(np.ones((1, 2), dtype=bool))
    'M-0.5,-0.5H1.5M-0.5,0.5H1.5M-0.5,-0.5V0.5M1.5,-0.5V0.5'
    """
    padded = np.pad(areas, 1).astype(np.int64)
    across = _stretches(np.diff(padded, axis=0)[:, 1:-1] != 0)  # upper sides of pixels
    down = _stretches(np.diff(padded, axis=1)[1:-1].T != 0)  # left sides
    pieces = [f"M{begin},{row}H{end}" for row, begin, end in across]
    return "".join(pieces + [f"M{col},{begin}V{end}" for col, begin, end in down])


def _stretches(sides: Mask) -> list[tuple[float, float, float]]:
    """Join the sides along each line: (line, begin, end), half a pixel before their pixels."""
    ends = np.diff(np.pad(sides, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    begins, stops = np.argwhere(ends == 1) - 0.5, np.nonzero(ends == -1)[1] - 0.5
    pairs = zip(begins.tolist(), stops.tolist(), strict=True)
    return [(line, begin, end) for (line, begin), end in pairs]
