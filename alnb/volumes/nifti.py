"""Read scans and masks from NIfTI files, and write masks.

A header may name two affines, the qform and the sform. The sform is used where both are coded,
unless a person chooses; both are kept, and a mask that is written gets both back.
"""

# mypy: disable-error-code="no-untyped-call"
# nibabel types its modules only in part

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from alnb.errors import DataError, saying
from alnb.storage import replacing
from alnb.volumes.intensities import Unit, Values, added, reading_of, to_labels
from alnb.volumes.scan import (
    Labels,
    Matrix,
    Origin,
    Source,
    Triple,
    Volume,
    by,
    by_mm,
    frame_fault,
    mask_misfits,
    room_for,
    scan_name,
    source_of,
)
from alnb.volumes.stored import Stored

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Affine = NDArray[np.float64]

Form = Literal["sform", "qform"]

_WRITTEN = (".nii", ".nii.gz")
_CODES, _ALIGNED = range(6), 2  # NIfTI's, which some files don't keep to, and the one for these
_SAME_PX = 0.5  # ours: grids that differ by less show the same place
_NEAR_PX = 2.0  # ours: programs that turn a mask take n for n - 1, or shift by half a voxel
_HUGE = 1e9  # ours: float32 squares it without overflow
_EQUAL_PX = 1e-3  # ours: affines that differ by less are one, rounded twice
_SIGNS = tuple(np.diag([x, y, 1.0, 1.0]) for x, y in ((-1, -1), (-1, 1), (1, -1)))  # of LPS


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """The affines that a header names, and the one that is used."""

    affine: Affine  # the one that is used
    other: Affine | None  # the other, if both are coded and differ, and nobody chose
    codes: tuple[int, int]
    qform: Affine | None  # as it is in the header; None: broken
    sform: Affine | None  # likewise
    note: str

    @classmethod
    def of(cls, stored: Stored, form: Form | None) -> Frames:
        """Read the affines of a header, and take `form` where it is coded.

        Raises
        ------
        DataError
            If the only one that is coded is broken, or there is no such form.
        """
        if form not in (None, "sform", "qform"):
            raise DataError(f"--affine {form}: there is no such affine. Say sform or qform.")
        header, name = stored.header, stored.path.name
        codes = int(header["qform_code"]), int(header["sform_code"])
        with np.errstate(all="ignore"):  # a broken header overflows
            qform, sform, base = (
                _matrix(one) for one in (header.get_qform, header.get_sform, header.get_base_affine)
            )
        coded = [
            pair
            for pair, code in ((("sform", sform), codes[1]), (("qform", qform), codes[0]))
            if code > 0
        ]
        # first the one that is asked for, then one that can be used, last one that says nothing
        coded.sort(key=lambda pair: (pair[0] != form, _is_broken(pair[1]), _made_up(pair[1], base)))
        (used, affine), *others = coded or [("pixdim", base)]
        if affine is None:
            raise DataError(
                f"{name}: its {used} is broken. Export it with the scanner's orientation, in mm."
            )
        if fault := frame_fault(affine):
            raise DataError(
                f"{name}: its {used} {fault}. Export it with the scanner's orientation, in mm."
            )
        left, other = others[0] if others else ("", None)
        if other is None or _is_broken(other):
            lost = "its sform is broken, so the qform was used" if left == "sform" else ""
            return cls(affine, None, codes, qform, sform, lost)
        if (apart := _apart_px(other, affine, stored.shape)) <= _SAME_PX:
            return cls(affine, None, codes, qform, sform, "")
        why = "as asked for" if form else f"--affine {left} takes the other"
        note = f"its qform and sform differ, by {apart:.0f} voxels; the {used} was used ({why})"
        return cls(affine, None if form else other, codes, qform, sform, note)

    @property
    def affines(self) -> list[Affine]:
        """The affines that may be right."""
        return [self.affine] if self.other is None else [self.affine, self.other]

    def source(self, stored: Stored, sha256: str) -> Source:
        """Find the way back to the file; an affine that equals the one in use is not kept twice."""
        source = source_of(stored.path.name, stored.shape, self.affine, self.codes, sha256)
        qform, sform = (self._kept(form, stored.shape) for form in (self.qform, self.sform))
        return replace(source, qform=qform, sform=sform)

    def _kept(self, form: Affine | None, shape: Triple) -> Matrix | None:
        if form is None or _is_broken(form) or _apart_px(form, self.affine, shape) <= _EQUAL_PX:
            return None
        return tuple(tuple(row) for row in form.tolist())


@saying("path")
def read_nifti(
    path: Path | str,
    *,
    unit: Unit | None = None,
    offset: float | None = None,
    form: Form | None = None,
) -> Volume:
    """Read a scan from a NIfTI file of three axes: ``.nii``, ``.nii.gz``, or ``.hdr`` and ``.img``.

    A fourth axis of length 1 is dropped. The nearest axes of an oblique affine are taken, and
    nothing is resampled. The file is read twice, slice by slice, so that little more than the
    voxels is in memory.

    Parameters
    ----------
    path : path
        Its first bytes tell whether it is compressed, not its name.
    unit, offset
        What the values are, and what is added to them, as `to_unit` takes it.
    form : "sform", "qform" or None
        The affine to use where the header names two; None: the sform.

    Raises
    ------
    DataError
        If the file is missing, truncated, no NIfTI, not of three axes, without orientation
        that can be read, or its values are not CT.
    """
    stored = Stored.open(Path(path))
    frames, where = Frames.of(stored, form), stored.path.name
    source = frames.source(stored, stored.sha256)
    values = Values.of(stored.planes(), stored.value_dtype, where)
    reading = reading_of(values, unit, where, offset)
    dtype = np.int16 if reading.unit == "hu" else np.uint8
    voxels = room_for(where, source.display_shape, dtype)
    for plane, target in zip(stored.planes(), _planes(source.to_file(voxels)), strict=True):
        target[...] = reading.voxels(plane)
    notes = (*filter(None, (frames.note, _doubt(frames.affine))), *added(offset, reading))
    return Volume(scan_name(path), voxels, frames.affine, source, reading.unit, notes)


@saying("path")
def read_mask(
    path: Path | str, volume: Volume, *, form: Form | None = None, above: float | None = None
) -> Labels:
    """Read the mask of a scan from a NIfTI file, along any axes that its header lays onto the scan.

    Masks are often saved voxel by voxel with a made-up header or none, or their header is a voxel
    off. So these are taken, and the note says it: voxel by voxel, if a header is missing or names
    the scan's own axes at another place; along the header's axes, if it lies within two voxels of
    the scan.

    Parameters
    ----------
    path : path
    volume : Volume
    form : "sform", "qform" or None
        The affine to use where a header names two, as for the scan.
    above : float or None
        Values above it are infected, label 1; None: the values are the labels.

    Raises
    ------
    DataError
        If the file can't be read, is not on the scan's grid, or holds what is no label.
    """
    stored = Stored.open(Path(path))
    own, note = _laid(stored, Frames.of(stored, form), volume, form)
    labels = room_for(stored.path.name, own.display_shape, np.uint8)
    for plane, target in zip(stored.planes(), _planes(own.to_file(labels)), strict=True):
        target[...] = to_labels(plane, stored.path.name, above)
    if above is not None:
        note = "; ".join(filter(None, (note, f"values above {above:g} of the mask are infected")))
    return Labels(labels, stored.path.name, stored.sha256, note)


@saying("path")
def write_mask(path: Path | str, mask: NDArray[Any], scan: Volume | Origin) -> None:
    """Write a mask as NIfTI on the grid of the file that the scan came from.

    Parameters
    ----------
    path : path
        ``.nii`` or ``.nii.gz``.
    mask : (Z, Y, X) bool or integer array
        In display order, on the source's own in-plane grid; labels in 0…255.
    scan : Volume or Origin
        Gives the axes, and the header's affines with their codes. A qform can't hold slices that
        are shifted against each other, as of a tilted gantry. It gets code 0 then, so that
        programs that read only the qform refuse the mask rather than misplace it.

    Raises
    ------
    DataError
        If the mask is not of the scan's shape, holds what is no label, or can't be written.
    """
    import nibabel as nib

    path, source = Path(path), scan.source
    if mask.shape != source.display_shape:
        raise mask_misfits(scan.scan, mask.shape, source.display_shape)
    if not path.name.endswith(_WRITTEN):
        raise DataError(f"{path.name}: a mask is written as .nii or .nii.gz. Name it so.")
    stored = np.ascontiguousarray(source.to_file(to_labels(mask, path.name)))
    image = nib.Nifti1Image(stored, scan.affine)
    image.header.set_xyzt_units("mm")
    qform, sform = (code if code in _CODES else _ALIGNED for code in source.codes)
    image.set_qform(scan.affine if source.qform is None else np.array(source.qform), qform)
    if source.qform is None and _apart_px(image.get_qform(), scan.affine, source.shape) > _SAME_PX:
        image.set_qform(None, 0)
    image.set_sform(scan.affine if source.sform is None else np.array(source.sform), sform)
    try:
        with replacing(path) as partial:
            nib.save(image, partial)
    except OSError as error:
        raise DataError(f"{path}: the mask can't be written ({error}). Choose --out.") from error


def _matrix(read: Callable[[], Any]) -> Affine | None:
    """Read an affine from a header; None: it can't be read, or it can't be written either."""
    try:
        affine = np.asarray(read(), np.float64)
    except (ValueError, ArithmeticError):  # its quaternion is none
        return None
    return affine if np.isfinite(affine).all() and np.abs(affine).max() < _HUGE else None


def _is_broken(form: Affine | None) -> bool:
    return form is None or frame_fault(form) is not None


def _planes(stored: NDArray[Any]) -> NDArray[Any]:
    """Look at an array of the file's axes plane by plane, as the file is read."""
    return np.moveaxis(stored, -1, 0)


def _corners(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the first voxel and the ends of the axes that begin there, (4, 3)."""
    return np.vstack([np.zeros(3), np.diag(np.array(shape) - 1.0)])


def _at(affine: Affine, places: NDArray[np.float64]) -> NDArray[np.float64]:
    moved: NDArray[np.float64] = places @ affine[:3, :3].T + affine[:3, 3]
    return moved


def _apart_px(one: Affine, other: Affine, shape: tuple[int, ...]) -> float:
    """Return how far two affines lie a grid apart, in the smaller side of the other's voxels."""
    return _moved_px(_at(one, _corners(shape)) - _at(other, _corners(shape)), other)


def _moved_px(moved_mm: NDArray[np.float64], affine: Affine) -> float:
    return float(np.abs(moved_mm).max() / np.linalg.norm(affine[:3, :3], axis=0).min())


def _stored_at(source: Source, display: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn indices (N, 3) along z, y and x into the file's."""
    last = np.array(source.display_shape) - 1
    turned: NDArray[np.float64] = np.where(source.flips, last - display, display)
    return turned[:, np.argsort(source.axes)]


def _beside_mm(own: Source, affine: Affine, volume: Volume) -> NDArray[np.float64]:
    """Return how far the corners of a mask lie from the scan's in display order, (4, 3)."""
    if own.display_shape != volume.source.display_shape:
        return np.full((4, 3), np.inf)
    corners = _corners(own.display_shape)
    theirs = _at(volume.affine, _stored_at(volume.source, corners))
    return _at(affine, _stored_at(own, corners)) - theirs


def _turned(source: Source) -> tuple[object, ...]:
    return source.axes, source.flips


def _laid(stored: Stored, frames: Frames, volume: Volume, form: Form | None) -> tuple[Source, str]:
    """Find the way from the axes of a mask to the display, and say what was decided."""
    own = frames.source(stored, "")
    same = _turned(own) == _turned(volume.source)
    beside_mm = _beside_mm(own, frames.affine, volume)
    if same and _moved_px(beside_mm, volume.affine) <= _SAME_PX:
        return own, ""
    if not (any(frames.codes) and any(volume.source.codes)):
        whose = "image" if any(frames.codes) else "mask"
        return _voxel_by_voxel(stored, volume, f"the {whose}'s header names no orientation")
    if fits := _fits(stored, frames, volume, form):
        return _only(fits, volume)
    if same:
        return _voxel_by_voxel(stored, volume, "the mask's header lays it beside the image")
    if whose := _unoriented(frames.affine, volume.affine):
        return _voxel_by_voxel(stored, volume, f"the {whose}'s header is the one of no scanner")
    if not _is_near(beside_mm, frames.affine, volume):
        raise _elsewhere(stored, frames, volume)
    return own, (
        "the mask's header lays it along other axes and up to "
        f"{_NEAR_PX:.0f} voxels beside the image, so only its axes were followed"
    )


def _fits(
    stored: Stored, frames: Frames, volume: Volume, form: Form | None
) -> list[tuple[Source, str]]:
    """List the ways to lay a mask exactly onto the scan, by any affine of either."""
    fits = []
    for affine in frames.affines:
        own = source_of(stored.path.name, stored.shape, affine, frames.codes, "")
        if _moved_px(_beside_mm(own, affine, volume), volume.affine) <= _SAME_PX:
            fits.append((own, _turn_note(affine, frames, volume)))
    note = "the mask's header is the image's other affine, so it was taken voxel by voxel"
    others = [] if form or stored.shape != volume.source.shape else _other_affines(volume.source)
    for affine, other in itertools.product(frames.affines, others):
        if _apart_px(affine, other, stored.shape) <= _SAME_PX:
            fits.append((volume.source, note))
    return fits


def _turn_note(affine: Affine, frames: Frames, volume: Volume) -> str:
    if affine is not frames.affine:
        return "the mask's other affine lays it on the image, so that one was used"
    if _with_other_signs(affine, volume):
        return (
            "the mask's header turns it, but may have confused the signs of LPS and RAS: check "
            "that the mask lies on the lesions"
        )
    return ""


def _only(fits: list[tuple[Source, str]], volume: Volume) -> tuple[Source, str]:
    """Return the one way there is to lay a mask; refuse if affines lay it in two ways."""
    if len({_turned(source) for source, _ in fits}) > 1:
        raise DataError(
            f"scan {volume.scan}: the qform and sform of the image or of the mask lay the mask in "
            "two ways. Say which is right with --affine sform or --affine qform."
        )
    return fits[0]


def _other_affines(source: Source) -> list[Affine]:
    """Return the coded affine of a scan that is not in use, if there is one."""
    forms = zip((source.qform, source.sform), source.codes, strict=True)
    return [np.array(form) for form, code in forms if form is not None and code > 0]


def _voxel_by_voxel(stored: Stored, volume: Volume, why: str) -> tuple[Source, str]:
    if stored.shape != volume.source.shape:
        raise mask_misfits(volume.scan, stored.shape, volume.source.shape)
    return volume.source, f"{why}, so it was taken voxel by voxel"


def _made_up(affine: Affine | None, other: Affine | None) -> bool:
    """Tell whether an affine is what nibabel or ITK writes where it is told nothing.

    Voxels of 1 mm may be true, unless another affine of the grid has others.
    """
    if affine is None or other is None:
        return False
    sizes = np.linalg.norm(other[:3, :3], axis=0)
    identities = (np.eye(4), np.diag([-1.0, -1.0, 1.0, 1.0]))  # in RAS, and in ITK's LPS
    told_nothing = any(np.allclose(affine, one, atol=_EQUAL_PX) for one in identities)
    return told_nothing and not np.allclose(sizes, 1, atol=0.01)


def _unoriented(mask: Affine, scan: Affine) -> str:
    """Return which of the two has a header that was made up; empty: neither."""
    return "mask" if _made_up(mask, scan) else "image" if _made_up(scan, mask) else ""


def _doubt(affine: Affine) -> str:
    """Return a note on an affine that holds sizes only, as of an array that was written out."""
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.allclose(affine, np.diag([*sizes, 1.0]), atol=_EQUAL_PX):
        return ""
    return "its header seems to know no orientation: check on screen that the heart is right"


def _is_near(beside_mm: NDArray[np.float64], affine: Affine, volume: Volume) -> bool:
    """Tell whether a mask along other axes lies so near that only its origin can be wrong.

    It can't be told if its header is the scan's with changed signs: that may be a true turn of the
    voxels, or the signs of LPS taken for RAS and no turn.
    """
    if not np.isfinite(beside_mm).all():  # its shape is another
        return False
    px = beside_mm @ np.linalg.inv(volume.affine[:3, :3]).T
    return bool(np.abs(px).max() <= _NEAR_PX) and not _with_other_signs(affine, volume)


def _with_other_signs(affine: Affine, volume: Volume) -> bool:
    """Tell whether an affine is the scan's with the signs of x, y or z changed."""
    shape = volume.source.shape
    return any(_apart_px(affine, one @ volume.affine, shape) <= _SAME_PX for one in _SIGNS)


def _elsewhere(stored: Stored, frames: Frames, volume: Volume) -> DataError:
    if sorted(stored.shape) != sorted(volume.source.shape):
        return mask_misfits(volume.scan, stored.shape, volume.source.shape)
    mask = _grid(stored.shape, frames.affine)
    return DataError(
        f"scan {volume.scan}: the mask's header lays it along other axes and elsewhere: the mask "
        f"is {mask}, the image {_grid(volume.source.shape, volume.affine)}. Re-export the mask on "
        f"the image's grid, or leave the scan out with --skip {volume.scan}."
    )


def _grid(shape: tuple[int, ...], affine: Affine) -> str:
    """Describe a grid: LPS, 512×512×30 voxels of 0.7×0.7×5 mm from (-170, -170, 12)."""
    from nibabel.orientations import aff2axcodes

    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    first = ", ".join(f"{mm:.1f}" for mm in affine[:3, 3])
    return f"{''.join(aff2axcodes(affine))}, {by(shape)} voxels of {by_mm(sizes)} from ({first})"
