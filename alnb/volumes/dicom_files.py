"""Find the slices in a folder of DICOM files, and put them together by series.

A hospital's folder or CD holds more than slices: reports, scout views, captures of a screen, other
series. What is left out is counted by kind. No name of a file or person leaves this module.
"""

from __future__ import annotations

import re
import unicodedata
import warnings
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from alnb.errors import DataError, saying
from alnb.volumes.stored import NIFTI

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom import Dataset as Header

Marks: TypeAlias = "dict[str, float | str]"

_INFLATED = 2**28  # ours: bytes of a deflated file, 512 slices of 512×512
_PIECE = 2**20
ENOUGH = 3  # ours: a series at fewer positions is a scout view or a bolus, beside one with more
_CT = ("CT Image", "Enhanced CT Image", "Legacy Converted Enhanced CT Image")
_NEEDED = (("ImagePositionPatient", 3), ("ImageOrientationPatient", 6), ("PixelSpacing", 2))
_MARKS = (
    "AcquisitionNumber", "TemporalPositionIdentifier", "TemporalPositionIndex",
    "FrameAcquisitionNumber", "StackID", "KVP", "ImageType", "ConvolutionKernel", "SliceThickness",
    "TriggerTime", "NominalPercentageOfCardiacPhase",
)  # fmt: skip
_IDENTITIES = ("PatientID", "OtherPatientIDs", "AccessionNumber", "StudyDescription")
_DATES = ("PatientBirthDate", "StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")
_A_DATE = re.compile(
    r"(?<!\d)(19|20)\d\d[-_. ]?(0[1-9]|1[0-2])[-_. ]?(0[1-9]|[12]\d|3[01])(?!\d)"
    r"|(?<!\d)(0?[1-9]|[12]\d|3[01])[-_.](0?[1-9]|1[0-2])[-_.](19|20)\d\d(?!\d)"
)
_LONG = 4  # ours: letters; a shorter name counts as a word only, not within one
_IDEOGRAPHS = "\u2e80"  # from here on a letter says as much as two of ours
_A_UID = re.compile(r"\d+(\.\d+){5,}")  # ours: versions and dates have fewer parts
_NO_ACCENTS = str.maketrans({"ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d", "å": "a"})
_UMLAUTS = re.compile(r"([aou])e")
_NUMBERS = re.compile(r"\d+")
_META = b"\x02\x00"
_BARE = (b"\x08\x00", _META, b"\x00\x08")  # DICOM without preamble begins with these groups
_COLOURED = ("RGB", "YBR", "PALETTE", "HSV", "ARGB", "CMYK")  # PS3.3 C.7.6.3.1.2
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")
_NOT_DICOM, _COLOUR, _NIFTI = "files that are not DICOM", "pictures in colour", "NIfTI files"


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """One slice: a file, or a frame of one."""

    path: Path
    frame: int | None  # from 0; None for a file of one slice
    shape: tuple[int, int]  # (rows, columns)
    position: NDArray[np.float64]  # (3,) LPS mm of the first pixel's centre
    orientation: NDArray[np.float64]  # (6,) the directions along a row and along a column
    spacing: NDArray[np.float64]  # (2,) mm from row to row and from column to column
    slope: float | None = None  # None where the header has none, as for the intercept
    intercept: float | None = None
    lacks: str = ""  # the tag that is missing, so that it is no slice
    uid: str = ""  # SOPInstanceUID
    number: int | None = None  # InstanceNumber, or the frame's
    marks: Marks = field(default_factory=dict)  # what tells acquisitions apart, by tag

    @property
    def normal(self) -> NDArray[np.float64]:
        """The direction that slices follow each other in, (3,)."""
        return np.cross(self.orientation[:3], self.orientation[3:])


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """The slices of one series, in the order of their files."""

    planes: tuple[Plane, ...]
    kind: str  # as in "CT Image"
    study: str  # its UID, or the folder if there is none; never written, as the two below
    patient: str = ""  # the id, or the study
    identities: frozenset[str] = frozenset()  # words that name either, lower case
    order: tuple[float, str] = (0.0, "")  # SeriesNumber and UID

    @property
    def folder(self) -> Path:
        """The innermost folder that holds all its files."""
        folders = [plane.path.parent for plane in self.planes]
        shared = folders[0]
        while not all(shared == one or shared in one.parents for one in folders):
            shared = shared.parent
        return shared

    @property
    def is_ct(self) -> bool:
        """Whether its files say that they are CT."""
        return self.kind in _CT


@dataclass(frozen=True, slots=True)
class Found:
    """What a folder holds."""

    series: tuple[Series, ...]
    left_out: tuple[str, ...]  # a note, or none


@saying("folder")
def find_series(folder: Path | str) -> Found:
    """Find the image series in a folder and all folders below it.

    Files and folders whose name begins with a dot are not looked at. CT series are taken; if there
    is none, so are other series of slices that say where they lie. A series at fewer than `ENOUGH`
    positions is left out if its study has one with more.

    Raises
    ------
    DataError
        If the folder is missing, a file or a folder can't be read, a slice is broken off, or
        nothing is a slice.
    """
    folder = Path(folder)
    if not folder.is_dir():
        problem = "it is a file" if folder.is_file() else "there is no such folder"
        advice = "Name the folder that it lies in" if folder.is_file() else "Check the path"
        raise DataError(f"{folder}: {problem}. {advice}.")
    left: Counter[str] = Counter()
    read: dict[tuple[str, ...], list[_Read]] = {}
    others: list[Path] = []
    for path in _walk(folder):
        one = _read(path)
        if one is None:
            others += [path] if path.name != "DICOMDIR" else []
        elif not one.planes:
            left[one.kind] += 1
        else:
            read.setdefault(one.key, []).append(one)
    del left[""]  # directories of a CD
    series = [part for ones in read.values() for part in _series(ones)]
    _check_broken(others, series)
    for path in others:
        left[_kind_of_other(path.name.lower())] += 1
    taken = _chosen(series, left)
    if not taken:
        raise _nothing(folder, left)
    note = ", ".join(f"{kind} ({count})" for kind, count in sorted(left.items()))
    return Found(tuple(taken), (f"left out: {note}",) if note else ())


def names_person(name: str, series: Series) -> bool:
    """Tell whether a scan's name holds what its header calls the patient or the study, or a date.

    It does not if the header says that identities were removed: all of it is made up then.
    """
    if "" in series.identities:  # removed
        return False
    plain, words = _plain(name), {_plain(word) for word in re.split(r"[\W_]+", name)}
    named = any(word in (plain if _is_long(word) else words) for word in series.identities)
    return named or bool(_A_DATE.search(name)) or bool(_A_UID.search(name))


def _is_long(word: str) -> bool:
    return len(word) + sum(letter >= _IDEOGRAPHS for letter in word) >= _LONG


# --- headers -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Read:
    """What one file is."""

    kind: str
    key: tuple[str, ...] = ()  # what the slices of one series share
    planes: tuple[Plane, ...] = ()
    identities: frozenset[str] = frozenset()
    order: tuple[float, str] = (0.0, "")


def read_header(path: Path, *, pixels: bool = False) -> Header | None:
    """Read a DICOM file, with its preamble or without; None for any other file.

    Raises
    ------
    DataError
        If the file can't be opened, or begins as DICOM and can't be read.
    """
    import pydicom

    head = _head(path, 132)
    marked = head[128:] == b"DICM"
    if not marked and head[:2] not in _BARE:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd values, of which we check those that we use
            if marked or head[:2] == _META:
                _check_deflated(path, 132 if marked else 0)
            header = pydicom.dcmread(path, stop_before_pixels=not pixels, force=True)
            _name_syntax(header)
    except DataError:
        raise
    except Exception as error:  # a broken file fails in any way inside pydicom
        if marked:
            raise _broken_off(path) from error
        return None
    if "SOPClassUID" in header or "Rows" in header or len(header.file_meta) > 1:
        return header
    if marked:
        raise _broken_off(path)
    return None


def _check_deflated(path: Path, begin: int) -> None:
    """Refuse a deflated file that becomes too large, since pydicom inflates it as a whole."""
    from pydicom.filereader import read_dataset
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    with path.open("rb") as file:
        file.seek(begin)
        meta = read_dataset(file, False, True, stop_when=lambda tag, *_: tag.group != 2)
        if text_of(meta, "TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
            return
        inflate, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
        while piece := inflate.unconsumed_tail or file.read(_PIECE):
            size += len(inflate.decompress(piece, _PIECE))
            if size > _INFLATED:
                raise DataError(
                    f"{path}: it is compressed (deflated) and too large to be read at once. Export "
                    "the series uncompressed."
                )


def _broken_off(path: Path) -> DataError:
    return DataError(
        f"{path}: it begins as DICOM, and breaks off or holds no picture. Copy the series again, "
        "or remove the file."
    )


def _name_syntax(header: Header) -> None:
    """Name the encoding that pydicom found where the file doesn't, so that pixels can be read."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    meta = getattr(header, "file_meta", None) or FileMetaDataset()
    if "TransferSyntaxUID" not in meta:
        implicit, little = header.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    header.file_meta = meta


def _head(path: Path, size: int = 4) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise DataError(f"{path}: it can't be read ({error.strerror}).") from error


def _walk(folder: Path, above: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """Yield the files below a folder in order, without those that begin with a dot."""
    try:
        inside = sorted(folder.iterdir(), key=lambda path: path.name)
    except OSError as error:
        raise DataError(f"{folder}: it can't be read ({error.strerror}).") from error
    here = above | {folder.resolve()}  # a link may lead back
    inside = [path for path in inside if not path.name.startswith((".", "__MACOSX"))]
    yield from (path for path in inside if path.is_file())
    for path in inside:
        if path.is_dir() and path.resolve() not in here:
            yield from _walk(path, here)


def _read(path: Path) -> _Read | None:
    """Tell what a file is; None if it is not DICOM."""
    header = read_header(path)
    if header is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _described(path, header)
    except DataError:
        raise
    except Exception as error:  # values are read when they are asked for, so as in `read_header`
        raise _broken_off(path) from error


def _described(path: Path, header: Header) -> _Read:
    kind, is_image = _kind(header)
    named = kind not in _CT and bool(text_of(header, "SOPInstanceUID"))
    if kind and not named and "Rows" not in header:
        raise _broken_off(path)
    if not is_image:
        return _Read(kind)
    study = text_of(header, "StudyInstanceUID")
    uid = text_of(header, "SeriesInstanceUID") or str(path.parent)
    number = number_of(header, "SeriesNumber")
    return _Read(
        kind,
        (study, uid, kind, text_of(header, "PatientID")),
        tuple(_planes(path, header)),
        _identities(header),
        (0.0 if number is None else number, uid),
    )


def _kind(header: Header) -> tuple[str, bool]:
    """Name what a file holds by its SOP class, and tell whether it may be a slice."""
    from pydicom.uid import UID

    uid = UID(
        text_of(header.file_meta, "MediaStorageSOPClassUID") or text_of(header, "SOPClassUID")
    )
    name = "" if uid.is_private or uid.name == uid else uid.name
    kind = name.removesuffix(" Storage").partition(" - ")[0]
    if kind == "Media Storage Directory":
        return "", False
    coloured = text_of(header, "PhotometricInterpretation").startswith(_COLOURED)
    if (number_of(header, "SamplesPerPixel") or 1) > 1 or coloured:
        return _COLOUR, False
    if "LOCALIZER" in text_of(header, "ImageType").upper():
        return "scout views", False
    if kind in _CT:
        return kind, True
    is_image = "Rows" in header and "Columns" in header
    if not name:
        return "images of an unknown kind" if is_image else "other DICOM objects", is_image
    return kind, is_image and kind.endswith("Image") and not kind.startswith("RT")


def _planes(path: Path, header: Header) -> Iterator[Plane]:
    """Yield the slices of a file: one, or its frames."""
    frames = header.get("PerFrameFunctionalGroupsSequence")
    shared = [*(header.get("SharedFunctionalGroupsSequence") or ())]
    if not frames:
        plane = _plane(path, None, (header,))
        many = (number_of(header, "NumberOfFrames") or 1) > 1
        yield replace(plane, lacks="position for each of its frames") if many else plane
        return
    if len(frames) != (number_of(header, "NumberOfFrames") or 1):
        raise DataError(
            f"{path}: its header describes {len(frames)} frames, and counts another number of "
            "them. Export the series again."
        )
    for index, frame in enumerate(frames):
        groups = [item for one in (frame, *shared) for item in _items(one)]
        plane = _plane(path, index, (*groups, header))
        yield replace(plane, number=index)


def _items(group: Header) -> Iterator[Header]:
    """Yield the first item of each sequence of a functional group."""
    for element in group:
        if element.VR == "SQ" and element.value:
            yield element.value[0]


def _plane(path: Path, frame: int | None, headers: Sequence[Header]) -> Plane:
    """Gather a slice's tags, each from the first header that has it."""

    def first(tag: str) -> Header:
        return next((one for one in headers if one.get(tag) not in (None, "", [])), headers[-1])

    found = [_floats(first(tag), tag, length) for tag, length in _NEEDED]
    absent = [tag for (tag, _), one in zip(_NEEDED, found, strict=True) if one is None]
    rows, columns = (number_of(headers[-1], tag) for tag in ("Rows", "Columns"))
    lacks = "Rows" if not rows or not columns else "".join(absent[:1])
    number = number_of(headers[-1], "InstanceNumber")
    slope, intercept = (number_of(first(tag), tag) for tag in ("RescaleSlope", "RescaleIntercept"))
    marks = {tag: value for tag in _MARKS if (value := _mark(first(tag), tag)) is not None}
    position, orientation, spacing = (
        np.zeros(length) if one is None else one
        for (_, length), one in zip(_NEEDED, found, strict=True)
    )
    return Plane(
        path, frame, (int(rows or 0), int(columns or 0)), position, orientation, spacing,
        slope, intercept, lacks, text_of(headers[-1], "SOPInstanceUID"),
        None if number is None else int(number), marks,
    )  # fmt: skip


def text_of(header: Header, tag: str) -> str:
    """Return a tag as text, empty where it is missing or can't be read."""
    try:
        value = header.get(tag)
    except Exception:  # as in `read_header`
        return ""
    return "" if value is None else str(value).strip()


def _floats(header: Header, tag: str, length: int) -> NDArray[np.float64] | None:
    """Return numbers of a header; None where they are missing or none."""
    try:
        values = np.array(header.get(tag), dtype=np.float64).reshape(length)
    except Exception:  # as in `read_header`
        return None
    return values if np.isfinite(values).all() else None


def number_of(header: Header, tag: str) -> float | None:
    """Return a tag as a number; None where it is missing or no finite number."""
    values = _floats(header, tag, 1)
    return None if values is None else float(values[0])


def _mark(header: Header, tag: str) -> float | str | None:
    value = number_of(header, tag)
    return text_of(header, tag) or None if value is None else round(value, 3)


def _identities(header: Header) -> frozenset[str]:
    """Return the words that name a patient or study, lower case; an empty one if removed.

    Single letters identify nobody.
    """
    if text_of(header, "PatientIdentityRemoved").upper() == "YES":
        return frozenset({""})
    words = [text_of(header, tag) for tag in (*_IDENTITIES, *_DATES)]
    for spelling in text_of(header, "PatientName").split("="):
        parts = re.split(r"[\^\s,]+", spelling)
        words += [*parts, "".join(parts), "".join(parts[::-1])]
    bare = [digits for word in words if len(digits := word.lstrip("0")) >= _LONG]
    return frozenset(plain for word in (*words, *bare) if len(plain := _plain(word)) > 1)


def _plain(text: str) -> str:
    """Keep letters without accents, and digits, lower case: 1970-01-01 is 19700101.

    Müller and Mueller are spelled alike.
    """
    letters = unicodedata.normalize("NFKD", text.casefold().translate(_NO_ACCENTS))
    return _UMLAUTS.sub(r"\1", "".join(one for one in letters if one.isalnum()))


# --- series ------------------------------------------------------------------------------------


def _series(ones: Sequence[_Read]) -> Iterator[Series]:
    """Make a series of the files that share its UID.

    Some tools write one UID into all that they export. Where different files of several folders
    lie at one position, or have the same numbers, each folder is a series.
    """
    folders: dict[Path, list[_Read]] = {}
    for one in ones:
        folders.setdefault(one.planes[0].path.parent, []).append(one)
    for theirs in folders.values() if _clash(folders) else (ones,):
        study, _, kind, patient = theirs[0].key
        study = study or str(theirs[0].planes[0].path.parent)
        yield Series(
            tuple(plane for one in theirs for plane in one.planes),
            kind,
            study,
            patient or study,
            frozenset().union(*(one.identities for one in theirs)),
            theirs[0].order,
        )


def _clash(folders: Mapping[Path, Sequence[_Read]]) -> bool:
    """Tell whether different slices of two folders lie at one position, or count alike."""
    at: dict[tuple[float, ...], list[tuple[Path, str]]] = {}
    numbers: dict[Path, dict[int, str]] = {}
    for folder, ones in folders.items() if len(folders) > 1 else ():
        for plane in (plane for one in ones for plane in one.planes if not plane.lacks):
            place = (*plane.position.round(2), *plane.orientation.round(2))
            uid = plane.uid or str(folder)
            at.setdefault(place, []).append((folder, uid))
            if plane.frame is None and plane.number is not None:
                numbers.setdefault(folder, {})[plane.number] = uid
    return any(
        len({folder for folder, _ in theirs}) > 1 and len({uid for _, uid in theirs}) > 1
        for theirs in at.values()
    ) or any(
        _count_alike(*pair)
        for pair in combinations([one for one in numbers.values() if len(one) >= ENOUGH], 2)
    )


def _count_alike(one: Mapping[int, str], other: Mapping[int, str]) -> bool:
    """Tell whether most numbers of the shorter of two folders are those of others there."""
    few = min(len(one), len(other))
    both = sum(one[number] != other[number] for number in one.keys() & other.keys())
    return 2 * both >= few


def _chosen(series: Sequence[Series], left: Counter[str]) -> list[Series]:
    """Choose the series that become scans, and count the files of the others by kind."""
    ct = [one for one in series if one.is_ct]
    placed = [one for one in series if not all(plane.lacks for plane in one.planes)]
    kinds = ct or placed or list(series)
    positions = {id(one): _count_positions(one.planes) for one in kinds}
    most: dict[str, int] = {}
    for one in kinds:
        most[one.study] = max(most.get(one.study, 0), positions[id(one)])
    few = [one for one in kinds if positions[id(one)] < ENOUGH <= most[one.study]]
    for one in series:
        if one in few:
            left[f"images of series at fewer than {ENOUGH} positions"] += _count_files(one)
        elif one not in kinds:
            left[one.kind] += _count_files(one)
    return [one for one in kinds if one not in few]


def _count_positions(planes: Iterable[Plane]) -> int:
    return len({tuple(plane.position.round(1)) for plane in planes if not plane.lacks})


def _count_files(series: Series) -> int:
    return len({plane.path for plane in series.planes})


def _check_broken(others: Sequence[Path], series: Sequence[Series]) -> None:
    """Refuse files that are no DICOM but called like the slices beside them."""
    slices: dict[Path, set[str]] = {}
    for plane in (plane for one in series for plane in one.planes):
        slices.setdefault(plane.path.parent, set()).update(_likes(plane.path.name))
    broken = [path for path in others if _likes(path.name) & slices.get(path.parent, set())]
    if broken:
        raise DataError(
            f"{broken[0].parent}: {broken[0].name}{_more(broken)} can't be read as DICOM, but has "
            "a name like the slices: the file is empty or incomplete. Copy the series again, or "
            "remove it."
        )


def _likes(name: str) -> set[str]:
    """Return what names of one series share: all but their numbers, or their ending.

    A number, as in a UID, is no ending.
    """
    ending = Path(name).suffix.lower().strip(".0123456789")
    return {_NUMBERS.sub("0", name), *([f".{ending}"] if ending else [])}


def _more(names: Sequence[Any]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""


def _kind_of_other(name: str) -> str:
    if name.endswith(NIFTI):
        return _NIFTI
    return "archives" if name.endswith(_ARCHIVES) else _NOT_DICOM


def _nothing(folder: Path, left: Counter[str]) -> DataError:
    """Say why a folder holds no slice."""
    objects = {kind: count for kind, count in sorted(left.items()) if kind != _NOT_DICOM}
    if not objects:
        return DataError(f"{folder}: no DICOM file is in it. Name the folder of a series.")
    if set(objects) == {_COLOUR}:
        return DataError(
            f"{folder}: its pictures are in colour, so they are captures of a screen and hold no "
            "CT values. Export the original series."
        )
    held = ", ".join(f"{kind} ({count})" for kind, count in objects.items())
    advice = "Unpack the archives" if "archives" in objects else "Export the series itself"
    if set(objects) == {_NIFTI}:
        advice = "Import them with alnb import nifti"
    return DataError(f"{folder}: no slice is in it, only {held}. {advice}.")
