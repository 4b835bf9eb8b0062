"""The network's masks as DICOM Segmentation on the series that the scans came from.

Viewers and archives of a hospital show it over the source series. The standard asks that it names
the patient and the study as that series does, so it belongs where the series belongs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import alnb
from alnb.annotation import as_labelled
from alnb.dataset import Dataset
from alnb.errors import DataError, SessionError, path_sentence, quoted, refused
from alnb.journal import Journal
from alnb.session import labelled_dataset
from alnb.state import state_of
from alnb.storage import CACHE, JOURNAL, staged
from alnb.volumes import Origin
from alnb.volumes.dicom import matching_planes
from alnb.volumes.dicom_files import Plane, find_series, read_header

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEG_TYPES = ("binary", "fractional")
_SERIES_NUMBER = 9001  # ours: far above those that scanners give
_FRACTIONS = 255  # a probability of 1; the most that the standard's 8 bits hold
_NEEDED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")
_MAY_BE_EMPTY = (  # type 2 in the standard: there, but without a value if it is not known
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID",
    "StudyDate", "StudyTime",
)  # fmt: skip


def write_dicom_seg(
    session: Path,
    out: Path,
    series: Path,
    *,
    kind: str = "binary",
    data: Path | None = None,
) -> Iterator[Path]:
    """Write what a session's network marks as DICOM Segmentation, a file for each scan.

    Parameters
    ----------
    session : Path
        The session's folder, with its network; it is only read.
    out : Path
        Gets ``dicom-seg/SCAN.dcm``.
    series : Path
        A folder that holds source series, at any depth. Scans whose series is not in it are left
        out.
    kind : "binary" or "fractional"
        The mask, or the probability in steps of 1/255.
    data : Path, optional
        The dataset's folder; None takes the one that the journal names.

    Yields
    ------
    Path
        Of each file, once all are written.

    Raises
    ------
    SessionError
        If there is no session in the folder, no network yet, or `out` can't be written.
    DataError
        If no scan was DICOM, none of them came from these series, highdicom is missing, or as
        `find_series`.
    """
    from alnb.training.trainer import Trainer

    _check(kind)
    events = Journal(session / JOURNAL).events
    if not events:
        raise SessionError(f"{session} holds no session: there is no {JOURNAL} in it.")
    state = state_of(events)
    if state.fit is None:
        raise SessionError(f"{session}: no network is trained yet, so there is no mask. Train it.")
    dataset = labelled_dataset(events, data)
    sources = _sources(dataset, series)
    trainer = Trainer(dataset, state.config, session / CACHE)
    found = trainer.segment if kind == "binary" else trainer.infection
    try:
        with staged(out) as stage:
            (stage / "dicom-seg").mkdir()
            for scan, planes in sources.items():
                slices = [where for where in dataset.slices if where.scan == scan]
                maps = np.stack([
                    as_labelled(where, one, state.answers)
                    for where, one in found(slices, state.fit.weights)
                ])  # fmt: skip
                stored = dataset.origin(scan).source.to_file(dataset.to_source(scan, maps))
                segmentation = dicom_seg(planes, stored.transpose(2, 1, 0), state.fit.weights)
                segmentation.save_as(stage / "dicom-seg" / f"{scan}.dcm")
    except OSError as error:
        raise SessionError(path_sentence(refused(error) or error, out)) from error
    for scan in sources:
        yield out / "dicom-seg" / f"{scan}.dcm"


def dicom_seg(planes: Sequence[Plane], masks: NDArray[Any], weights: str) -> Any:  # noqa: ANN401
    """Make a DICOM Segmentation of masks, which lie on their source slices pixel by pixel.

    Parameters
    ----------
    planes : sequence of Plane
        The source slices, in any order.
    masks : (n, rows, columns) array
        bool or 0 and 1 for a binary segmentation; floats in 0…1 for a fractional one.
    weights : str
        The checksum of the network, which the file names.

    Returns
    -------
    highdicom.seg.Segmentation

    Raises
    ------
    DataError
        If the source series lacks what a segmentation must refer to.
    """
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentDescription
    from pydicom.sr.codedict import codes
    from pydicom.uid import generate_uid

    headers, masks = _in_source_order(planes, np.ascontiguousarray(masks))
    fractional = masks.dtype.kind == "f"
    kind = "FRACTIONAL" if fractional else "BINARY"
    source = f"{headers[0].SeriesInstanceUID} {headers[0].SOPInstanceUID}"
    segment = SegmentDescription(
        segment_number=1,
        segment_label="infection",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Lesion,
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            name="alnb",
            family=codes.cid7162.ArtificialIntelligence,
            version=alnb.__version__,
            parameters={"weights": weights},
        ),
        anatomic_regions=[codes.SCT.Lung],
    )
    make = partial(
        Segmentation,
        headers,
        masks.astype(np.float32 if fractional else np.uint8),
        kind,
        [segment],
        # the same network on the same series is the same object, so that archives keep one
        series_instance_uid=generate_uid(entropy_srcs=["series", source, weights, kind]),
        sop_instance_uid=generate_uid(entropy_srcs=["object", source, weights, kind]),
        series_number=_SERIES_NUMBER,
        instance_number=1,
        manufacturer="alnb",
        manufacturer_model_name="alnb",
        software_versions=alnb.__version__,
        device_serial_number=weights[:16] or "0",
        max_fractional_value=_FRACTIONS,
        content_label="INFECTION",
        content_description="infection as marked by a network, not for diagnosis",
    )
    try:
        return make()
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # of the source's headers
        raise DataError(
            f"--dicom-seg: no segmentation can refer to this series ({quoted(error)}). Export the "
            "series again from the archive."
        ) from error


def _check(kind: str) -> None:
    """Refuse another kind, and a missing highdicom, before anything is computed."""
    from importlib.util import find_spec

    if kind not in SEG_TYPES:
        raise DataError(f"--seg-type {kind}: it is binary or fractional. Choose one.")
    if find_spec("highdicom") is None:
        raise DataError("--dicom-seg needs highdicom. Run pip install 'alnb[dicom]'.")


def _sources(dataset: Dataset, folder: Path) -> dict[str, list[Plane]]:
    """Find the slices that each scan came from, in the order of its source's third axis."""
    origins = {scan: dataset.origin(scan) for scan in dataset.scans}
    dicom = {scan: origin for scan, origin in origins.items() if _was_dicom(origin)}
    if not dicom:
        file = next(iter(origins.values())).source.file or "made data"
        raise DataError(
            f"--dicom-seg: the scans of {dataset.name} were not DICOM ({file}). Use the NIfTI "
            "masks that alnb export writes without it."
        )
    series = find_series(folder).series
    found = {
        scan: planes
        for scan, origin in dicom.items()
        if (planes := next(filter(None, (matching_planes(one, origin) for one in series)), None))
    }
    if not found:
        raise DataError(
            f"--dicom-seg {folder}: no scan of {dataset.name} came from it; it is another series, "
            "or was changed since. Name the folder that was imported."
        )
    return found


def _was_dicom(origin: Origin) -> bool:
    """Tell a series from files: it is named by its folder, and its header names an orientation."""
    from alnb.volumes import NIFTI, PICTURES

    file = origin.source.file
    return bool(file) and not file.lower().endswith((*NIFTI, *PICTURES))


def _thickness_mm(planes: Sequence[Plane]) -> float:
    """Return how thick a slice is; the distance of slices where the header doesn't say."""
    thickness = planes[0].marks.get("SliceThickness")
    if isinstance(thickness, float) and thickness > 0:
        return thickness
    depths = np.sort([plane.position @ planes[0].normal for plane in planes])
    return float(np.median(np.diff(depths))) if len(depths) > 1 else 1.0


def _in_source_order(
    planes: Sequence[Plane], masks: NDArray[Any]
) -> tuple[list[Any], NDArray[Any]]:
    """Return source headers and the mask of each; one header for the frames of one file."""
    files = list(dict.fromkeys(plane.path for plane in planes))
    headers = [_header(path) for path in files]
    if len({header.SOPInstanceUID for header in headers}) < len(headers):
        raise DataError(
            "--dicom-seg: several slices have one SOPInstanceUID, and a segmentation must name "
            "each. Export the series again from the archive."
        )
    if planes[0].frame is None:
        for header in headers:  # roundings differ, and highdicom wants one text
            header.ImageOrientationPatient = headers[0].ImageOrientationPatient
            header.PixelSpacing = headers[0].PixelSpacing
            header.SliceThickness = _thickness_mm(planes)
        return headers, masks
    if len(files) > 1:
        raise DataError(
            f"--dicom-seg: {len(files)} files of many frames make up this scan, and a segmentation "
            "refers to one. Export the series as single slices."
        )
    headers[0].SharedFunctionalGroupsSequence = [_shared(planes)]
    frames = np.zeros((int(headers[0].NumberOfFrames), *masks.shape[1:]), masks.dtype)
    for plane, mask in zip(planes, masks, strict=True):
        frames[plane.frame or 0] = mask
    return headers, frames


def _shared(planes: Sequence[Plane]) -> Any:  # noqa: ANN401 - pydicom's
    """Name once what all frames share, as `stacked` has checked."""
    from highdicom import PixelMeasuresSequence, PlaneOrientationSequence
    from pydicom import Dataset as Tags

    shared = Tags()
    across_down = [float(number) for number in planes[0].orientation]
    spacing_mm = [float(number) for number in planes[0].spacing]
    shared.PlaneOrientationSequence = PlaneOrientationSequence("PATIENT", across_down)
    shared.PixelMeasuresSequence = PixelMeasuresSequence(spacing_mm, _thickness_mm(planes))
    return shared


def _header(path: Path) -> Any:  # noqa: ANN401 - pydicom's
    header = read_header(path)
    missing = [tag for tag in _NEEDED if header is None or not header.get(tag)]
    if header is None or missing:
        raise DataError(
            f"--dicom-seg: {path.name} has no {missing[0]}, which a segmentation must name. Export "
            "the series again from the archive."
        )
    for tag in _MAY_BE_EMPTY:
        if tag not in header:
            setattr(header, tag, None)
    return header
