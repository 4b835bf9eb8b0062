"""Made scans, and files of them."""

import nibabel as nib
import numpy as np
from nibabel.orientations import axcodes2ornt, ornt_transform

from alnb.volumes import Volume


def ct(scan="a", depth=4, height=16, width=16, seed=0):
    """A scan in HU and its mask: a square of label 2 in the odd slices."""
    rng = np.random.default_rng(seed)
    voxels = rng.integers(-1000, 300, (depth, height, width)).astype(np.int16)
    mask = np.zeros(voxels.shape, np.uint8)
    mask[1::2, 3:7, 4:9] = 2
    return Volume.made(scan, voxels, unit="hu"), mask


def write_nifti(path, voxels, codes="LPS", tilt=0.0, mm=(0.7, 0.7, 2)):
    """Lay a display-order array into a NIfTI file along other axes, tilted by some radians."""
    path.parent.mkdir(exist_ok=True, parents=True)
    cos, sin = np.cos(tilt), np.sin(tilt)
    turn = np.array([[1, 0, 0, 0], [0, cos, -sin, 0], [0, sin, cos, 0], [0, 0, 0, 1]])
    image = nib.Nifti1Image(voxels.transpose(2, 1, 0), turn @ np.diag([-mm[0], -mm[1], mm[2], 1]))
    nib.save(image.as_reoriented(ornt_transform(axcodes2ornt("LPS"), axcodes2ornt(codes))), path)


def parts_of(dataset):
    return {part: len(dataset.part(part)) for part in ("train", "val", "test")}


def chest(depth=3, height=5, width=4):
    """HU in display order, every voxel different."""
    count = depth * height * width
    return (np.arange(count).reshape(depth, height, width) * 7 - 1000).astype(np.int16)
