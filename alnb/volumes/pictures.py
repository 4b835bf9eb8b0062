"""Read single slices and their masks from PNG and JPEG files, as a viewer shows them."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from alnb.errors import DataError, path_error, saying
from alnb.storage import sha256_of
from alnb.volumes.intensities import Unit, added, to_labels, to_unit
from alnb.volumes.scan import MOST_PIXELS, Labels, Volume, by, mask_misfits, scan_name

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

PICTURES = (".png", ".jpg", ".jpeg")

_LUMINANCE = (0.2125, 0.7154, 0.0721)  # as skimage's rgb2gray
_HALF = 127  # of 8 bits: JPEG smears a border of 0 and 255 on both sides of it
_DARK = 40  # ours: the brightest that the darker of two colours may be, to be background
_COLOURED = 48  # ours: channels that differ by more are a colour; JPEG's noise stays below
_FLAT, _RAMP = 32, 40  # ours, of 255: what 3×3 pixels of one class differ by after JPEG, and how
# far from black and white they lie to be a class between
_COMMON = 0.1  # ours: the share of a mask's pixels from which a colour is no smear of another


@saying("path")
def read_picture(
    path: Path | str, *, unit: Unit | None = None, offset: float | None = None
) -> Volume:
    """Read one slice from a PNG or JPEG file, row 0 its top as a viewer shows it.

    EXIF turns it. Colour becomes luminance. What is transparent becomes black.

    Parameters
    ----------
    path : path
    unit, offset
        As `to_unit` takes them. 8-bit grey that was stored in 16 bits is read as 8 bits, unless
        either says something else; with "grey" any 16 bits that span half of their range.

    Raises
    ------
    DataError
        If the file is missing, no picture or of several, or its values are not CT.
    """
    path = Path(path)
    seen = _seen(path)
    stored, notes = _grey(seen.image, path.name)
    as_hu = offset is not None or unit == "hu"
    pixels = stored if as_hu else _eight_bits(stored, grey=unit == "grey")
    try:
        voxels, decided = to_unit(pixels[None], unit, path.name, offset=offset)
    except DataError as error:
        if as_hu or _eight_bits(stored, grey=True) is stored:
            raise
        raise DataError(f"{error} If white is 65535, say --unit grey.") from error
    volume = Volume.made(
        scan_name(path), voxels, unit=decided, file=path.name, sha256=sha256_of(path)
    )
    said = {
        "the picture was turned, as its EXIF says": seen.turned,
        "its 16 bits of grey became 8": pixels is not stored,
    }
    told = (*(note for note, holds in said.items() if holds), *added(offset), *notes)
    return replace(volume, notes=told, located=False)


def read_picture_mask(path: Path | str, volume: Volume, *, above: float | None = None) -> Labels:
    """Read the mask of one slice, a volume, as `read_picture_labels` does.

    Parameters
    ----------
    path, above
        As `read_picture_labels` takes them.
    volume : Volume
        The slice.

    Raises
    ------
    DataError
        As `read_picture_labels`, or if it is of another size.
    """
    labels = read_picture_labels(path, above=above)
    if labels.voxels.shape != volume.voxels.shape:
        raise mask_misfits(volume.scan, labels.voxels.shape[1:], volume.voxels.shape[1:])
    return labels


@saying("path")
def read_picture_labels(path: Path | str, *, above: float | None = None) -> Labels:
    """Read the (1, Y, X) labels of a PNG or JPEG file, as a viewer shows them.

    EXIF turns it, and what is transparent is background. The numbers of a palette are the labels
    where number 0 and nothing else is black. In a palette of two colours, and in colours without a
    palette, the brightest channel counts. JPEG smears labels, so half white is its border.

    Parameters
    ----------
    path : path
    above : float or None
        Values above it are infected, label 1, as 127 of 255 where edges are soft. None: the values
        are the labels.

    Raises
    ------
    DataError
        If the file is missing or no picture, or what is infected can't be told from its colours or
        seems to be black on white.
    """
    path = Path(path)
    seen = _seen(path)
    numbers, note = _numbers(seen, path.name, cut=above is None)
    if above is not None:
        numbers = numbers > above
        note = "; ".join(filter(None, (note, f"values above {above:g} of the mask are infected")))
    notes = ("the mask was turned, as its EXIF says" if seen.turned else "", note)
    labels = to_labels(numbers, path.name)
    _check_ground(labels, path.name)
    return Labels(labels[None], path.name, sha256_of(path), "; ".join(filter(None, notes)))


# --- decoding ---


class _Seen(NamedTuple):
    """A decoded picture, upright."""

    image: Image
    lossy: bool  # stored as JPEG, whatever its ending says
    turned: bool


def _seen(path: Path) -> _Seen:
    """Decode a picture; a `DataError` says why it can't be."""
    from PIL import Image

    if path.is_dir():
        raise DataError(f"{path}: it is a folder. Name a picture, or remove it.")
    if not path.is_file():
        raise DataError(f"{path}: there is no such file. Check the path.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of broken extras; the size is checked below
            with Image.open(path) as picture:
                _check_decodable(picture, path)
                picture.load()
                upright = _upright(picture)
                return _Seen(upright, picture.format in ("JPEG", "MPO"), upright is not picture)
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise _too_large(path, "more than 178 million") from error
    except Exception as error:  # decoders raise what they like on broken bytes
        if isinstance(error, OSError) and error.errno:  # the system's, not the decoder's
            raise path_error(error, path) from error
        empty = path.stat().st_size == 0
        why = "it is empty" if empty else "it can't be read as a picture"
        raise DataError(f"{path.name}: {why}. Copy or download it again.") from error


def _check_decodable(picture: Image, path: Path) -> None:
    width, height = picture.size
    if width * height > MOST_PIXELS:
        raise _too_large(path, by((height, width)))
    count = getattr(picture, "n_frames", 1)
    if count > 1 and picture.format != "MPO":  # a camera's JPEG, whose first picture is shown
        raise DataError(f"{path.name}: it holds {count} pictures. Export one slice a file.")
    if picture.format == "PNG":
        with path.open("rb") as file:
            depth, kind = file.read(26)[24:]  # of the header, IHDR
        if depth == 16 and kind != 0:  # Pillow would drop the lower 8 bits
            raise DataError(
                f"{path.name}: it has 16 bits a channel and colour or transparency. Export it as "
                "grey without transparency, or with 8 bits a channel."
            )


def _too_large(path: Path, pixels: str) -> DataError:
    return DataError(
        f"{path.name}: its {pixels} pixels are too many for a slice. Export it smaller."
    )


def _upright(picture: Image) -> Image:
    """Turn a picture as EXIF's orientation says; the same object if it says nothing."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE, 6: Transpose.ROTATE_270, 7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }  # fmt: skip
    try:
        turn = turns.get(picture.getexif().get(0x0112, 1))
    except Exception:  # a broken EXIF turns nothing, in viewers as here
        return picture
    return picture if turn is None else picture.transpose(turn)


def _transparent(image: Image) -> bool:
    return "transparency" in image.info or image.mode in ("LA", "La", "PA", "RGBA", "RGBa")


def _rgba(image: Image) -> NDArray[np.uint8]:
    """Return (Y, X, 4) colours and opacity of any mode of 8 bits."""
    if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa"):
        image = image.convert("RGB")  # CMYK and others, which hold no transparency
    return np.asarray(image.convert("RGBA"))


def _numeric(image: Image) -> bool:
    """Tell whether the pixels are numbers of more than 8 bits."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def _eight_bits(pixels: NDArray[Any], *, grey: bool = False) -> NDArray[Any]:
    """Take 8-bit values back that were stored in 16 bits, where white is 65535.

    `grey` says that they are grey, so that they may be rounded if they span half of the range.
    """
    if pixels.dtype.kind not in "iu" or pixels.max() <= 255:
        return pixels
    if not (pixels % 257).any():
        return pixels // 257
    return np.rint(pixels / 257) if grey and int(np.ptp(pixels)) >= 2**15 else pixels


# --- a slice ---


def _grey(image: Image, name: str) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Return (Y, X) grey values, and notes."""
    if _numeric(image):
        return np.asarray(image), ()
    if image.mode == "L" and not _transparent(image):
        return np.asarray(image), ()
    rgba = _rgba(image)
    colours, opacity = rgba[..., :3], rgba[..., 3]
    rows = [np.rint(row @ _LUMINANCE).astype(np.uint8) for row in colours]
    grey = np.where(opacity > 0, np.stack(rows), 0).astype(np.uint8)
    notes = []
    coloured = np.ptp(colours, axis=-1) > _COLOURED
    if coloured.any():
        _check_tint(colours, coloured, name)
        notes.append("it is in colour, and its luminance was taken: check that nothing is drawn in")
    _check_visible(colours, opacity, name)
    if (colours[opacity == 0] > 0).any():
        notes.append("what is transparent became black")
    if ((opacity > 0) & (opacity < 255)).any():
        notes.append("what is partly transparent was read as if it were not")
    return grey, tuple(notes)


def _check_tint(colours: NDArray[np.uint8], coloured: NDArray[np.bool_], name: str) -> None:
    """Refuse a slice in the colours of a colour map, whose luminance is no grey."""
    strongest = np.bincount(colours[coloured].argmax(axis=-1), minlength=3)
    seen = np.count_nonzero(colours.any(axis=-1))
    if (strongest > _COMMON * seen).sum() > 1:
        raise DataError(
            f"{name}: it is in several colours, as a colour map or an overlay draws a slice, so "
            "its grey can't be told. Export it in grey, without colours."
        )


def _check_visible(colours: NDArray[np.uint8], opacity: NDArray[np.uint8], name: str) -> None:
    if not opacity.any() and np.ptp(colours.reshape(-1, 3), axis=0).any():
        raise DataError(
            f"{name}: all of it is transparent, though it holds a picture. Export it without "
            "transparency."
        )


# --- a mask ---


def _numbers(seen: _Seen, name: str, *, cut: bool) -> tuple[NDArray[Any], str]:
    """Return the (Y, X) labels as numbers, and a note; `cut` makes two levels of a JPEG."""
    image = seen.image
    if _numeric(image):
        pixels = _eight_bits(np.asarray(image))
        clear = image.info.get("transparency")
        return (pixels if clear is None else np.where(np.asarray(image) == clear, 0, pixels)), ""
    plain = image.mode in ("1", "L") and not _transparent(image)
    if plain and not (seen.lossy and cut):
        return np.asarray(image), ""
    rgba = _rgba(image)
    if seen.lossy and cut:
        return _halved(rgba[..., :3], name), ""
    if image.mode == "P" and _numbered(image, rgba, name):
        return np.asarray(image), ""
    return _brightest(rgba, name)


def _check_ground(labels: NDArray[np.uint8], name: str) -> None:
    """Refuse a mask whose border is all of one label, and what lies inside it background."""
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    if border.min() and np.array_equal(np.unique(labels), [0, border[0]]):
        raise DataError(
            f"{name}: the mask marks all of its border and leaves out a part inside, as where "
            "infection is black on white. Invert it, so that infection is white on black."
        )


def _numbered(image: Image, rgba: NDArray[np.uint8], name: str) -> bool:
    """Tell whether a palette's numbers are labels: number 0 and nothing else is background."""
    indices, palette = np.asarray(image), image.getpalette() or []
    if not any(palette):  # it shows nothing, so that the numbers are all there is
        return True
    if len(palette) <= 6:  # two colours, whose order is the program's that wrote them
        return False
    black, clear = ~rgba[..., :3].any(axis=-1), rgba[..., 3] == 0
    hidden = np.unique(indices[black & ~clear & (indices > 0)])
    if len(hidden) and not any(palette[:3]):
        raise DataError(
            f"{name}: its palette shows number {hidden[0]} black as number 0, so whether it is a "
            "label can't be told. Export the mask in grey, without a palette."
        )
    return np.array_equal(black | clear, indices == 0)


def _brightest(rgba: NDArray[np.uint8], name: str) -> tuple[NDArray[np.uint8], str]:
    """Take the brightest channel of what is opaque; refuse colours that it can't tell apart."""
    colours, opacity = rgba[..., :3], rgba[..., 3]
    _check_visible(colours, opacity, name)
    opaque = (opacity > 0) & (opacity > opacity.max() / 2)  # an overlay may be faint, a border soft
    labels = np.where(opaque, colours.max(axis=-1), 0).astype(np.uint8)
    if opaque.any() and not opaque.all() and not labels.any():
        return (
            opaque * np.uint8(255),
            "the mask is black on a transparent ground: what is black was taken as its label",
        )
    used = _used(colours[opaque])
    if len(used) == 2 and opaque.all():
        labels = _of_two(labels, used, name)
    _check_colours(colours[labels > 0], name)
    return labels, ""


def _of_two(labels: NDArray[np.uint8], used: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    """Make the darker of two colours background; refuse two hues without black."""
    dark, bright = sorted(used.max(axis=-1).tolist())
    if dark <= _DARK < bright:
        return np.where(labels == dark, 0, labels).astype(np.uint8)
    first, second = used > _DARK
    if not np.array_equal(first, second):
        raise DataError(
            f"{name}: neither of its two colours is black, so which one is background can't be "
            "told. Export the mask with a black background."
        )
    return labels


def _check_colours(colours: NDArray[np.uint8], name: str) -> None:
    """Refuse (N, 3) colours of a mask that are drawn on a picture, or as bright as each other."""
    used = _used(colours)
    grey = np.ptp(used, axis=-1) == 0
    if grey.any() and not grey.all():
        raise DataError(
            f"{name}: it holds grey and colours, as marks drawn on a picture do. Export the mask "
            "alone, in black and white."
        )
    if len(np.unique(used.max(axis=-1))) < len(used):
        raise _several_colours(name)


def _used(colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """List each of (N, 3) colours once; a table is faster than sorting millions of pixels."""
    table = np.zeros((256, 256, 256), dtype=bool)
    table[colours[:, 0], colours[:, 1], colours[:, 2]] = True
    return np.argwhere(table).astype(np.uint8)


def _several_colours(name: str) -> DataError:
    return DataError(
        f"{name}: the mask has several colours, and which are infection can't be told. Export "
        "those that are in white on black, or as label numbers 1, 2, … in grey."
    )


def _halved(colours: NDArray[np.uint8], name: str) -> NDArray[np.bool_]:
    """Cut what JPEG smeared at half white; refuse what holds more than black and one colour."""
    from scipy import ndimage

    bright = colours.max(axis=-1)
    if 0 < bright.max() <= _HALF:
        raise DataError(
            f"{name}: it is a JPEG that gets no brighter than {bright.max()} of 255, and JPEG "
            "smears labels, so they can't be told from the background. Export the mask as PNG."
        )
    low, high = ndimage.minimum_filter(bright, 3), ndimage.maximum_filter(bright, 3)
    top = low.max() if low.max() > _HALF + _RAMP else 255  # of its areas; its edges overshoot
    flat = (high - low <= _FLAT) & (low > _RAMP) & (high < top - _RAMP)
    if flat.any():
        raise DataError(
            f"{name}: it is a JPEG with areas of {int(np.median(bright[flat]))} of 255, which is "
            "neither background nor its brightest, and JPEG smears labels. Export the mask as PNG."
        )
    inside: NDArray[np.bool_] = bright > _HALF
    kinds = (colours[inside] > _HALF) @ np.array([1, 2, 4])
    if (np.bincount(kinds, minlength=8) > _COMMON * max(len(kinds), 1)).sum() > 1:
        raise _several_colours(name)
    return inside
