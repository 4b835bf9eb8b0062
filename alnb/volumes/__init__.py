"""Read scans and write masks; keep how a scan is stored apart from how it is shown.

Every reader returns a `Volume` in display order: z runs from the feet to the head, row 0 is
anterior, column 0 is the patient's right, so the heart lies on the right of the picture and
the spine at its bottom. Whatever the file's axes are (LPS, RAS, LAS, oblique), they are
permuted and flipped to the nearest of these; nothing is resampled, and `Source` remembers
the way back, so that `write_mask` returns a mask to the grid it came from.

Intensities are HU (``"hu"``, int16) or already windowed to 8 bits (``"grey"``, uint8); which
of the two, `to_unit` decides. It never guesses where the values allow both.
"""

from alnb.volumes.files import (
    NIFTI,
    read_mask,
    read_nifti,
    write_mask,
)
from alnb.volumes.pictures import (
    PICTURES,
    read_picture,
    read_picture_labels,
    read_picture_mask,
)
from alnb.volumes.scan import (
    Labels,
    Origin,
    Source,
    Unit,
    Volume,
    mask_misfits,
    scan_name,
    source_of,
    to_labels,
    to_unit,
    upside_down,
)

__all__ = [
    "NIFTI",
    "PICTURES",
    "Labels",
    "Origin",
    "Source",
    "Unit",
    "Volume",
    "mask_misfits",
    "read_mask",
    "read_nifti",
    "read_picture",
    "read_picture_labels",
    "read_picture_mask",
    "scan_name",
    "source_of",
    "to_labels",
    "to_unit",
    "upside_down",
    "write_mask",
]
