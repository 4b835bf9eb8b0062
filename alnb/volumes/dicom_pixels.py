"""Decode the pixels of DICOM slices, and turn them into HU as their headers say."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from alnb.errors import DataError, quoted
from alnb.volumes.dicom_files import Plane, number_of, read_header, text_of
from alnb.volumes.scan import MOST_PIXELS

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom import Dataset as Header

_HIGHEST_HU = 3071  # of 12 bits, as scanners store HU; a padding value above it is a slip
_HU_TYPES = ("", "HU", "US")  # PS3.3 C.11.1.1.2; US is unspecified
_SHOWN = "PhotometricInterpretation"
_AIR_HU = -500  # as `to_unit` has it
_FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # markers before a picture's size
_OUTSIDE = 5  # ours: percentile; more than that of a slice is air around the patient


class Pixels:
    """The pixels of one series; the file that was read last stays open for its other frames.

    Parameters
    ----------
    planes : sequence of Plane
        Slices of one series.
    where : str
        The series, for the sentences.

    Attributes
    ----------
    notes : tuple of str
        What is missing in the headers, and what became of MONOCHROME1.

    Raises
    ------
    DataError
        If only some slices name a slope or an intercept, or a slope is 0.
    """

    def __init__(self, planes: Sequence[Plane], where: str) -> None:
        self._where = where
        self._open: tuple[Path, Header] | None = None
        self._checked: Path | None = None  # whose compressed frames claim no more than they may
        self._invert = False
        self.notes = _rescale_notes(planes, where)
        self._check(planes)

    def __call__(self, plane: Plane) -> NDArray[Any]:
        """Return a slice's (rows, columns) values: int16 where they fit, or float32.

        Raises
        ------
        DataError
            If the file is broken or compressed in a way that nothing here decodes.
        """
        header = self._header(plane.path)
        stored = self._stored(header, plane)
        slope = 1.0 if plane.slope is None else plane.slope
        intercept = plane.intercept or 0.0
        values = stored
        if self._invert and text_of(header, _SHOWN) == "MONOCHROME1":
            bits = int(number_of(header, "BitsStored") or 0)
            signed = bool(number_of(header, "PixelRepresentation"))
            values = (-1 if signed else 2**bits - 1) - stored.astype(np.int64)
        if slope % 1 or intercept % 1 or stored.dtype.kind not in "iu":
            values = values.astype(np.float32) * np.float32(slope) + np.float32(intercept)
        else:
            values = _short(values.astype(np.int64) * int(slope) + int(intercept))
        padding = _padding(header, stored)
        if padding.any() and not padding.all() and values[padding].min() > _HIGHEST_HU:
            values[padding] = values[~padding].min()
        return values

    def _check(self, planes: Sequence[Plane]) -> None:
        """Look at how a slice in the middle says that its values are meant.

        With MONOCHROME1, values that are HU already keep their sign, whichever way a screen shows
        them.
        """
        middle = planes[len(planes) // 2]
        header = self._header(middle.path)
        if middle.slope is None and "ModalityLUTSequence" in header:
            raise DataError(
                f"{self._where}: {middle.path.name} names its values in a table "
                "(ModalityLUTSequence), which is not read. Export the series with RescaleSlope."
            )
        if text_of(header, "RescaleType") not in _HU_TYPES:
            self.notes = (*self.notes, "the header says that values are no HU (RescaleType)")
        if text_of(header, _SHOWN) != "MONOCHROME1":
            return
        known = middle.intercept is not None
        is_hu = known and float(np.percentile(self(middle), _OUTSIDE)) <= _AIR_HU
        self._invert = not is_hu
        done = "values are HU all the same and were kept" if is_hu else "values were inverted"
        self.notes = (*self.notes, f"the header shows low values white (MONOCHROME1): {done}")

    def _header(self, path: Path) -> Header:
        if self._open is None or self._open[0] != path:
            header = read_header(path, pixels=True)
            if header is None:
                raise DataError(f"{path}: it can't be read any more. Import again.")
            self._open = path, header
        return self._open[1]

    def _stored(self, header: Header, plane: Plane) -> NDArray[Any]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of odd lengths; what matters is checked below
                if self._checked != plane.path:  # of all frames at once
                    _check_claims(header)
                    self._checked = plane.path
                stored = _decoded(header, plane.frame)
        except Exception as error:  # a broken file fails in any way inside a decoder
            raise _undecoded(header, self._where, plane.path.name, error) from error
        if stored.shape != plane.shape:
            raise DataError(
                f"{self._where}: the pixels of {plane.path.name} are of shape {stored.shape}, not "
                f"{plane.shape}. Export the series again."
            )
        return stored


def _check_claims(header: Header) -> None:
    """Refuse compressed frames that claim more pixels than a slice has, before any is decoded."""
    from pydicom.encaps import generate_fragments

    if header.file_meta.TransferSyntaxUID.is_encapsulated:
        for fragment in generate_fragments(header.PixelData):
            if (claimed := _claimed(fragment)) > MOST_PIXELS:
                raise ValueError(f"a compressed picture claims {claimed} pixels")


def _claimed(picture: bytes) -> int:
    """Read how many pixels a JPEG, JPEG-LS or JPEG 2000 stream claims; 0 if it does not say."""
    try:
        if picture.startswith(b"\xff\x4f\xff\x51"):  # JPEG 2000, ISO 15444-1 A.5.1
            right, bottom, left, top = struct.unpack_from(">4I", picture, 8)
            return int((right - left) * (bottom - top))
        at = 2 if picture.startswith(b"\xff\xd8") else len(picture)
        while at < len(picture):  # a segment after the other, ISO 10918-1 B.1
            _, marker, length = struct.unpack_from(">BBH", picture, at)
            if marker in _FRAMES:
                height, width = struct.unpack_from(">HH", picture, at + 5)
                return int(height * width)
            at += 1 if marker == 0xFF else 2 + length
    except struct.error:
        pass
    return 0


def _decoded(header: Header, frame: int | None) -> NDArray[Any]:
    """Return stored values, also of old files that keep them in the upper bits of a word.

    A HighBit that only claims so is not believed: there, some of the lower bits are set.
    """
    from pydicom.pixels.utils import pixel_array

    stored: NDArray[Any] = pixel_array(header, index=frame)
    bits, highest = (int(number_of(header, tag) or 0) for tag in ("BitsStored", "HighBit"))
    below = highest + 1 - bits
    if not bits or below <= 0 or header.file_meta.TransferSyntaxUID.is_compressed:
        return stored
    header.BitsStored = highest + 1
    try:
        word: NDArray[Any] = pixel_array(header, index=frame)
    finally:
        header.BitsStored = bits
    return stored if (word & (2**below - 1)).any() else word >> below


def _rescale_notes(planes: Sequence[Plane], where: str) -> tuple[str, ...]:
    """Say which of slope and intercept no header has."""
    missing = []
    for tag, key in (("RescaleIntercept", "intercept"), ("RescaleSlope", "slope")):
        without = [plane for plane in planes if getattr(plane, key) is None]
        if 0 < len(without) < len(planes):
            raise DataError(
                f"{where}: {without[0].path.name} has no {tag}, and other slices have one. Export "
                "the series again."
            )
        missing += [tag] if without else []
    flat = next((plane for plane in planes if plane.slope == 0), None)
    if flat is not None:
        raise DataError(
            f"{where}: the RescaleSlope of {flat.path.name} is 0, which makes all values equal. "
            "Export the series again."
        )
    text = " or ".join(missing)
    return (f"the header has no {text}: stored values were taken as they are",) if text else ()


def _short(values: NDArray[np.int64]) -> NDArray[Any]:
    fits = np.iinfo(np.int16).min <= values.min() and values.max() <= np.iinfo(np.int16).max
    return values.astype(np.int16 if fits else np.float32)


def _padding(header: Header, stored: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which pixels the header calls padding."""
    value = number_of(header, "PixelPaddingValue")
    if value is None:
        return np.zeros(stored.shape, dtype=bool)
    limit = number_of(header, "PixelPaddingRangeLimit")
    low, high = sorted((value, value if limit is None else limit))
    inside: NDArray[np.bool_] = (stored >= low) & (stored <= high)
    return inside


def _undecoded(header: Header, where: str, file: str, error: Exception) -> DataError:
    """Say why the pixels of a file can't be read."""
    from pydicom.config import IGNORE
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    syntax = UID(text_of(header.file_meta, "TransferSyntaxUID"), IGNORE)
    if "PixelData" not in header:
        return DataError(
            f"{where}: {file} has no PixelData: the file is incomplete. Copy it again."
        )
    try:
        missing = syntax.is_compressed and not get_decoder(syntax).is_available
    except (NotImplementedError, ValueError):  # no syntax of images, or a private one
        return DataError(
            f"{where}: {file}: its pixels are stored in a way that can't be read ({syntax.name}). "
            "Export the series uncompressed."
        )
    if missing:
        return DataError(
            f"{where}: its pixels are compressed ({syntax.name}), and no decoder for that "
            "is installed. Run pip install 'alnb[dicom]', or export the series uncompressed."
        )
    advice = "Copy it again, or export the series again"
    if syntax.is_compressed:
        advice += " uncompressed"
    return DataError(f"{where}: {file}: its pixels can't be read ({quoted(error)}). {advice}.")
