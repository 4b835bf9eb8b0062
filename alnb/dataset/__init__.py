"""A dataset: slices and masks of many scans on one working grid, in one folder.

    manifest.json      where each scan came from, its map back, window, checksums, notes
    slices.csv         scan, z, part, infected_px: one line a slice
    images/SCAN.npy    (Z, size, size) int16 HU, or uint8 where the source came windowed
    masks/SCAN.npy     (Z, size, size) uint8 class labels, 0 for background
    features/          of the slices, from a frozen trunk; may be deleted at any time
    superpixels/       of the slices; may be deleted at any time
    import.html        three slices of each scan, to look at; may be deleted at any time

`Dataset.open` reads such a folder; `build` and the `import_*` functions write it.
"""

from alnb.dataset.audit import read_audit
from alnb.dataset.build import build
from alnb.dataset.dataset import Dataset
from alnb.dataset.importers import (
    embedded,
    embedded_folder,
    import_dicom,
    import_nifti,
    import_pairs,
    import_phantom,
)
from alnb.dataset.manifest import PARTS, Part, SliceId
from alnb.dataset.placement import Placement
from alnb.dataset.published import import_covid19a, import_covid19b, import_medseg, import_semiseg
from alnb.dataset.split import Share, fold, read_split, share_of

__all__ = [
    "PARTS",
    "Dataset",
    "Part",
    "Placement",
    "Share",
    "SliceId",
    "build",
    "embedded",
    "embedded_folder",
    "fold",
    "import_covid19a",
    "import_covid19b",
    "import_dicom",
    "import_medseg",
    "import_nifti",
    "import_pairs",
    "import_phantom",
    "import_semiseg",
    "read_audit",
    "read_split",
    "share_of",
]
