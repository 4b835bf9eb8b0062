"""What the live layer learns on: of a slice, the network's logit and the features behind it.

A slice becomes a grid of cells of `STRIDE` pixels. A cell has `NUMBERS` numbers: the network's
logits of infection on its four quarters, then features. These are the trunk's maps at strides 8
and 16 along their principal directions, and the grey levels around the cell.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from alnb.arrays import Map
from alnb.live import NUMBERS, QUARTERS, STRIDE
from alnb.training.fcn8 import FCN8, Resample

SCALES_PX = (4, 8, 16, 32)  # ours: windows of grey levels; each gives mean, square, deviation
FINE_PX = 4  # windows begin this far apart; a cell has the mean of its four
GREYS = 3 * len(SCALES_PX)
DIRECTIONS = NUMBERS - QUARTERS - GREYS
WHITENED = 0.75  # ours: 0 leaves the directions' variances as they are, 1 makes them equal
SAMPLED = 24  # ours: slices on which the directions are found
MOST = 6e4  # of a number, so that float16 holds it
LEAST = 1e-5  # of a probability, so that its logit is finite
PADDED_PX = 99  # by how much more the published network is padded than others


@dataclass(frozen=True, slots=True, eq=False)
class Basis:
    """How the maps of a network become features: C channels in, `DIRECTIONS` out."""

    mean: Tensor  # (C,)
    directions: Tensor  # (C, DIRECTIONS)
    grey_mean: Tensor  # (GREYS,)
    grey_scale: Tensor  # (GREYS,)

    @classmethod
    @torch.inference_mode()
    def of(cls, network: FCN8, slices: Iterable[Tensor]) -> Basis:
        """Find the principal directions of a network's maps on some slices, (H, W) uint8 each."""
        maps = [_maps(network, grey) for grey in slices]
        deep = torch.cat([one for one, _ in maps]).double().cpu()
        greys = torch.cat([one for _, one in maps])
        scale = deep.std(0).clamp(min=1e-6)
        standard = (deep - deep.mean(0)) / scale
        variances, directions = torch.linalg.eigh(standard.T @ standard / len(standard))
        kept = min(DIRECTIONS, len(variances))
        variances = variances.flip(0)[:kept].clamp(min=1e-9)
        spread = variances ** (1 - WHITENED)
        factors = (spread / spread.mean() / variances).sqrt()
        chosen = directions.flip(1)[:, :kept] * factors / scale[:, None]
        chosen = functional.pad(chosen, (0, DIRECTIONS - kept))  # few channels: the rest is 0
        return cls(
            deep.mean(0).to(greys), chosen.to(greys), greys.mean(0),
            greys.std(0).clamp(min=1e-6),
        )  # fmt: skip


@torch.inference_mode()
def describe(network: FCN8, basis: Basis, grey: Tensor, p: Map) -> NDArray[np.float16]:
    """Describe a slice for the live layer.

    Parameters
    ----------
    network : FCN8
    basis : Basis
        Of that network.
    grey : (H, W) uint8 tensor
    p : (H, W) float array
        The network's infection probabilities.

    Returns
    -------
    (h, w, NUMBERS) float16 array
        h is H / `STRIDE`, rounded up, as w.
    """
    deep, greys = _maps(network, grey)
    features = torch.cat(
        [(deep - basis.mean) @ basis.directions, (greys - basis.grey_mean) / basis.grey_scale], 1
    )
    rows, cols = (-(-side // STRIDE) for side in grey.shape)
    logit = torch.logit(torch.from_numpy(p).clamp(LEAST, 1 - LEAST))
    quarters = functional.avg_pool2d(_whole_cells(logit[None, None]), STRIDE // 2)
    found = torch.cat(
        [functional.pixel_unshuffle(quarters, 2)[0].permute(1, 2, 0).cpu(),
         features.reshape(rows, cols, -1).cpu()], 2,
    )  # fmt: skip
    finite = found.nan_to_num(0.0, 0.0, 0.0)  # of a network that diverged
    described: NDArray[np.float16] = finite.clamp(-MOST, MOST).half().numpy()
    return described


def _maps(network: FCN8, grey: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the trunk's maps, (cells, C), and grey levels, (cells, GREYS), of a slice."""
    size = tuple(-(-side // STRIDE) for side in grey.shape)
    s8, s16 = network.maps(network.normalise(grey[None]))[:2]
    shift = PADDED_PX if network.published else 0
    resampled = [
        Resample((stride, centre - shift), (STRIDE, (STRIDE - 1) / 2))(one.float(), size)[0]
        for one, stride, centre in zip((s8, s16), (8, 16), network.backbone.centres, strict=False)
    ]
    levels = _whole_cells(grey.to(s8.device).float()[None, None] / 255)
    return _cells(torch.cat(resampled)), _cells(torch.cat(_greys(levels)))


def _greys(levels: Tensor) -> list[Tensor]:
    found = []
    for scale in SCALES_PX:
        around = functional.pad(levels, [(scale - FINE_PX) // 2] * 4, mode="replicate")
        mean, square = (functional.avg_pool2d(x, scale, FINE_PX)[0] for x in (around, around**2))
        fine = (mean, mean**2, (square - mean**2).clamp(min=0).sqrt())
        found += [functional.avg_pool2d(one, STRIDE // FINE_PX) for one in fine]
    return found


def _whole_cells(x: Tensor) -> Tensor:
    """Continue (1, 1, H, W) below and to the right to whole cells."""
    height, width = x.shape[-2:]
    return functional.pad(x, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")


def _cells(maps: Tensor) -> Tensor:
    return maps.flatten(1).T
