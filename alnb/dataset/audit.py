"""The page that ends an import: three slices of each scan as they will be shown, and its facts.

It is one file without scripts, made of the stored slices. It needs no network, and may be deleted:
no other file depends on it.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from alnb.dataset.dataset import Dataset
from alnb.dataset.manifest import AUDIT, PARTS, SliceId
from alnb.errors import DataError
from alnb.storage import write_text

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

SHARES = (1 / 6, 1 / 2, 5 / 6)  # ours: the middle of each third of a scan
THUMB_PX = 224  # ours: three and their facts fit side by side on a screen of 1280
JPEG_BYTES = 6500  # ours: with two more and base64 a scan takes below 30 kB, 200 scans 6 MB
QUALITIES = (85, 75, 65, 55, 45, 35, 25)  # ours: of JPEG; the first that is small enough
OUTLINE = (255, 45, 149)  # the colour of infected clicks in the app

CHECKS = (
    "the spine is at the bottom of each picture, and the heart leans to L, the patient's left",
    "lungs are dark, and vessels in them are visible: if not, unit or window are wrong",
)
CHECK_STACK = "the low slice shows the base of the lungs, the high one their top"
CHECK_MASKS = "the pink outline runs around the infection: point at a picture to see it without"
STYLE = """
:root { color-scheme: light dark; --ink: #1f2937; --quiet: #4b5563; --paper: #fff;
  --line: #c7ced8; --warn: #fef3c7; --warn-line: #b45309; }
@media (prefers-color-scheme: dark) { :root { --ink: #e5e7eb; --quiet: #a8b0bd; --paper: #16191e;
  --line: #47505e; --warn: #43350a; --warn-line: #f0b429; } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  margin: 0 auto; padding: 16px 24px; max-width: 1360px; }
h1 { font-size: 22px; margin: 0 0 4px; } h2 { font-size: 17px; margin: 0 0 6px; }
h2, td, li { overflow-wrap: anywhere; }
ul { margin: 8px 0; padding-left: 20px; } p { margin: 4px 0; }
.quiet, figcaption, th { color: var(--quiet); font-size: 13px; }
.notes { background: var(--warn); border-left: 4px solid var(--warn-line); padding: 6px 12px;
  margin: 8px 0; } .notes ul { margin: 0; }
section { display: flex; flex-wrap: wrap; gap: 12px 20px; border-top: 1px solid var(--line);
  padding: 14px 0; }
.single { display: grid; grid-template-columns: repeat(auto-fill, minmax(560px, 1fr));
  gap: 0 24px; }
.pictures { display: flex; flex-wrap: wrap; gap: 12px; } figure { margin: 0; width: 224px; }
.facts { flex: 1 1 340px; min-width: 300px; }
table { border-collapse: collapse; } td, th { text-align: left; vertical-align: baseline;
  padding: 1px 12px 1px 0; } th { font-weight: 400; white-space: nowrap; }
.slice { position: relative; width: 224px; height: 224px; background: #000; }
.slice img { position: absolute; inset: 0; width: 100%; height: 100%; }
.slice:hover .mask { visibility: hidden; }
.slice b { position: absolute; color: #ffd600; font-size: 14px; line-height: 1;
  text-shadow: 0 0 3px #000, 0 0 3px #000; }
.top { top: 3px; left: 0; right: 0; text-align: center; } .left { left: 4px; top: 105px; }
.bottom { bottom: 3px; left: 0; right: 0; text-align: center; } .right { right: 4px; top: 105px; }
"""


def write_audit(folder: Path, notes: Mapping[str, Sequence[str]]) -> Path:
    """Write `audit_page` into a dataset's folder, beside what is fingerprinted.

    Raises
    ------
    DataError
        If it can't be written.
    """
    path = folder / AUDIT
    page = audit_page(Dataset.open(folder), notes)
    try:
        write_text(path, page)
    except OSError as error:
        raise DataError(
            f"{path}: this page can't be written ({error.strerror}). The dataset itself is "
            "complete; make room, and look at its scans on the start page of alnb label."
        ) from error
    return path


def read_audit(dataset: Dataset) -> str:
    """Return the page in a dataset's folder, or make one if it is missing."""
    try:
        return (dataset.folder / AUDIT).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return audit_page(dataset)


def audit_page(dataset: Dataset, notes: Mapping[str, Sequence[str]] | None = None) -> str:
    """Return the page as HTML: the dataset, then each scan.

    `notes` are those of each scan by its name; None: only what the dataset's own notes say of them.
    """
    slices: dict[str, list[SliceId]] = {}
    for where in dataset.slices:
        slices.setdefault(where.scan, []).append(where)
    scans = (
        _scan(dataset, scan, here, (notes or {}).get(scan, ())) for scan, here in slices.items()
    )
    return "".join(
        (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width">'
            f"<title>{escape(dataset.name)}: what was imported</title><style>{STYLE}</style></head>"
            f"<body>{_head(dataset)}<main{' class=single' * _single(dataset)}>",
            *scans,
            "</main></body></html>\n",
        )
    )


def chosen(dataset: Dataset, slices: Sequence[SliceId]) -> list[SliceId]:
    """Choose up to three of a scan's slices: low, middle and high.

    The most infected slice takes the place of the nearest of them.
    """
    found = {int(len(slices) * share) for share in SHARES}
    most = max(range(len(slices)), key=lambda at: dataset.infected_px(slices[at]))
    if dataset.infected_px(slices[most]) and most not in found:
        found.remove(min(found, key=lambda at: abs(at - most)))
        found.add(most)
    return [slices[at] for at in sorted(found)]


def _head(dataset: Dataset) -> str:
    counts = {part: len(dataset.part(part)) for part in PARTS}
    parts = ", ".join(f"{count} {part}" for part, count in counts.items() if count)
    plural = "" if len(dataset.scans) == 1 else "s"
    stacks = not _single(dataset) and any(dataset.stacked(scan) for scan in dataset.scans)
    checks = [*CHECKS, *[CHECK_STACK] * stacks, *[CHECK_MASKS] * dataset.has_masks]
    listed = "".join(f"<li>{escape(check)}</li>" for check in checks)
    return (
        f"<h1>{escape(dataset.name)}</h1><p>{len(dataset.scans)} scan{plural}, "
        f"{len(dataset.slices)} slices ({parts}), each laid on {dataset.size}×{dataset.size} "
        f"pixels.</p>{_notes(dataset.notes)}<p class='quiet'>Check that:</p>"
        f"<ul class='quiet'>{listed}</ul>"
    )


def _single(dataset: Dataset) -> bool:
    """Return whether every scan is one slice."""
    return len(dataset.slices) == len(dataset.scans)


def _notes(notes: Sequence[str]) -> str:
    lines = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f"<div class='notes'><ul>{lines}</ul></div>" if notes else ""


def _scan(dataset: Dataset, scan: str, slices: Sequence[SliceId], notes: Sequence[str]) -> str:
    shown = chosen(dataset, slices)
    pictures = "".join(_figure(dataset, where, shown) for where in shown)
    facts = "".join(
        f"<tr><th>{what}</th><td>{escape(value)}</td></tr>"
        for what, value in _facts(dataset, scan, slices, shown)
    )
    return (
        f"<section><div class='pictures'>{pictures}</div><div class='facts'>"
        f"<h2>{escape(scan)}</h2><table>{facts}</table>{_notes(notes)}</div></section>\n"
    )


def _facts(
    dataset: Dataset, scan: str, slices: Sequence[SliceId], shown: Sequence[SliceId]
) -> Iterator[tuple[str, str]]:
    """Yield what a person checks of a scan: a name, and a value in words."""
    source, window = dataset.origin(scan).source, dataset.window
    inside = dataset.placement(scan).window
    raw = [dataset.raw(where)[inside] for where in shown]
    low, high = min(one.min() for one in raw), max(one.max() for one in raw)
    if dataset.unit(shown[0]) == "hu":
        yield "unit", f"HU; here {_signed(low)} to {_signed(high)}"
        yield "window", f"{_signed(window.low)} to {_signed(window.high)} HU"
    else:
        yield "unit", f"8-bit grey; here {low} to {high}"
        yield "window", "none: shown as stored"
    depth, height, width = source.display_shape
    yield "slices", f"{depth} of {width}×{height} pixels"
    yield "spacing", _spacing(dataset, scan)
    counts = {part: sum(dataset.part_of(one) == part for one in slices) for part in PARTS}
    parts = [(part, count) for part, count in counts.items() if count]
    alone = parts[0][0] if len(parts) == 1 else ""
    yield "part", alone or ", ".join(f"{count} {part}" for part, count in parts)
    yield "mask", _mask_words(dataset, slices)
    if not dataset.oriented(scan):
        reason = "are made up, or in doubt" if dataset.located(scan) else "are not in the file"
        yield "directions", f"{reason}, so there are no letters"


def _signed(value: float) -> str:
    return f"{value:g}".replace("-", "−")


def _spacing(dataset: Dataset, scan: str) -> str:
    """Write the distances of pixels and slices, of which a picture says nothing."""
    if not dataset.located(scan):
        return "not known"
    mm = dataset.origin(scan).spacing_mm
    across = f"{mm[2]:.3g}×{mm[1]:.3g} mm in the slice"
    many = dataset.stacked(scan) and dataset.origin(scan).source.display_shape[0] > 1
    return f"{across}, {mm[0]:.3g} mm between slices" if many else across


def _mask_words(dataset: Dataset, slices: Sequence[SliceId]) -> str:
    if not dataset.has_masks:
        return "none"
    infected = sum(dataset.infected_px(where) > 0 for where in slices)
    maker = ", made by a network" if dataset.pseudo_masks else ""
    return f"{infected} of {len(slices)} slices infected{maker}"


def _figure(dataset: Dataset, where: SliceId, shown: Sequence[SliceId]) -> str:
    from PIL import Image

    picture = _small(Image.fromarray(dataset.image(where)))
    layers = _img(_jpeg(picture), "jpeg", f"{where.scan}, slice {where.number}", "")
    if dataset.infected_px(where):
        layers += _img(_outline(dataset.mask(where), picture.size[0]), "png", "", "mask")
    if dataset.oriented(where.scan):
        layers += "<b class='top'>A</b><b class='bottom'>P</b>"
        layers += "<b class='left'>R</b><b class='right'>L</b>"
    return (
        f"<figure><div class='slice'>{layers}</div>"
        f"<figcaption>{_caption(dataset, where, shown)}</figcaption></figure>"
    )


def _caption(dataset: Dataset, where: SliceId, shown: Sequence[SliceId]) -> str:
    words = [f"slice {where.number}"]
    if dataset.stacked(where.scan) and len(shown) == len(SHARES):
        words.insert(0, ("low", "middle", "high")[shown.index(where)])
    if share := dataset.infected_px(where) / dataset.size**2:
        words.append(f"{100 * share:.1f} % infected" if share >= 0.001 else "below 0.1 % infected")
    return " · ".join(words)


def _small(picture: Image) -> Image:
    """Shrink a picture to `THUMB_PX`, if it is larger."""
    side = min(THUMB_PX, picture.size[0])
    return picture if side == picture.size[0] else picture.resize((side, side))


def _jpeg(picture: Image) -> bytes:
    for quality in QUALITIES:
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=quality, optimize=True)
        if stream.tell() <= JPEG_BYTES:
            break
    return stream.getvalue()


def _outline(mask: NDArray[np.bool_], side: int) -> bytes:
    """Draw a ring around a mask, as a PNG of `side` pixels that is transparent elsewhere."""
    from PIL import Image
    from scipy.ndimage import binary_dilation

    full = Image.fromarray(mask.astype(np.uint8) * np.uint8(255))
    inside = np.asarray(full.resize((side, side), Image.Resampling.BOX)) > 0  # keeps a speck
    edge = binary_dilation(inside, np.ones((3, 3))) & ~inside
    picture = Image.fromarray(edge.astype(np.uint8))
    picture.putpalette([0, 0, 0, *OUTLINE])
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True, transparency=0, bits=1)
    return stream.getvalue()


def _img(content: bytes, kind: str, alt: str, name: str) -> str:
    source = f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
    return f"<img loading='lazy' class='{name}' alt='{escape(alt)}' src='{source}'>"
