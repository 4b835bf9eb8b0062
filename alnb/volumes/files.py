"""Read scans and masks from PNG and JPEG files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from alnb.errors import DataError
from alnb.storage import sha256_of
from alnb.volumes.intensities import Unit, to_labels, to_unit
from alnb.volumes.scan import Labels, Volume, mask_misfits, scan_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

PICTURES = (".png", ".jpg", ".jpeg")


def read_picture(path: Path | str, *, unit: Unit | None = None) -> Volume:
    """Read one slice from a PNG or JPEG file, row 0 its top.

    Colour is turned into luminance, transparency dropped. `unit` says what the values are; None:
    decided by `to_unit`.

    Raises
    ------
    DataError
        If the file is missing or no picture, or its values are not CT.
    """
    path = Path(path)
    pixels = _load_picture(path)
    if pixels.ndim == 3:
        pixels = np.rint(pixels @ [0.2125, 0.7154, 0.0721])  # as skimage's rgb2gray
    voxels, decided = to_unit(pixels[None], unit, path.name)
    return Volume.made(
        scan_name(path), voxels, unit=decided, file=path.name, sha256=sha256_of(path)
    )


def read_picture_mask(path: Path | str, volume: Volume) -> Labels:
    """Read the mask of one slice, a volume, from a PNG or JPEG file.

    Raises
    ------
    DataError
        If the file is missing, no picture, or of another size.
    """
    labels = read_picture_labels(path)
    if labels.shape != volume.voxels.shape[1:]:
        raise mask_misfits(volume.scan, labels.shape, volume.voxels.shape[1:])
    return Labels(labels[None], Path(path).name, sha256_of(Path(path)))


def read_picture_labels(path: Path | str) -> NDArray[np.uint8]:
    """Return the (Y, X) labels of a PNG or JPEG file.

    A palette's numbers are the labels. Of colours the brightest channel counts. JPEG smears labels,
    so half white is its border.
    """
    path = Path(path)
    pixels = _load_picture(path, palette=True)
    if pixels.ndim == 3:
        pixels = pixels.max(axis=-1)
    if path.suffix.lower() != ".png":
        pixels = pixels > 127
    return to_labels(pixels, path.name)


def _load_picture(path: Path, *, palette: bool = False) -> NDArray[Any]:
    """Return (Y, X) or (Y, X, 3) pixels; `palette` keeps the numbers of a palette's colours."""
    from PIL import Image

    if not path.is_file():
        raise DataError(f"{path}: there is no such file. Check the path.")
    try:
        with Image.open(path) as picture:
            plain = picture.mode in ("1", "L", "I", "I;16", "F") or (
                palette and picture.mode == "P"
            )
            return np.asarray(picture if plain else picture.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(
            f"{path.name}: it can't be read as a picture. Copy or download it again."
        ) from error
