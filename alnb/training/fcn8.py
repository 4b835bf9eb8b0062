"""FCN-8s on a backbone, in two parts: `features` is deterministic, `tail` holds the dropout.

`FCN8("vgg16", input_padding=100)` is the published network (Long et al. 2015, as Laradji et al.
2020 use it: dropout 0.5 after the ReLUs of fc6 and fc7), by Shelhamer's names. Every other
variant upsamples bilinearly to where the cells of its maps lie on the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from alnb.errors import ConfigError
from alnb.training import backbones

Masks = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Features:
    """The part of a pass that is the same in every dropout draw."""

    fc6: Tensor  # (B, C, h, w), after its ReLU, before the first dropout
    pool4: Tensor  # (B, classes, …), score map of a skip, as pool3
    pool3: Tensor
    size: tuple[int, int]  # (H, W) of the image


class FCN8(nn.Module):
    """FCN-8s; grey levels or a normalised image in, a logit for each pixel and class out.

    Parameters
    ----------
    backbone : str
        A name of the registry.
    classes : int
        2: background, infected.
    input_padding : int
        Of vgg16's first convolution. 100: the published network. 0: fc6 is padded by 3 instead,
        which is cheaper but another function, since 100 shifts the phase of the pools. Other
        backbones always keep their own padding.
    dropout : float
        Probability that a unit of fc6 and fc7 is dropped, in [0, 1).

    Raises
    ------
    ConfigError
        If the backbone is unknown or the padding is neither 0 nor 100.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: str = "vgg16",
        classes: int = 2,
        input_padding: int = 100,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if input_padding not in (0, 100):
            raise ConfigError(f"setting input_padding is {input_padding}; it can be 0 or 100.")
        self.backbone = backbones.find(backbone)
        self.published = backbone == "vgg16" and input_padding == 100
        self.dropout = dropout
        self.mixed = False  # trunk, fc6 and fc7 in bfloat16; scores and logits stay float32
        kernel, width = self.backbone.head
        c8, c16, c32 = self.backbone.channels
        self.trunk = self.backbone.trunk(input_padding)
        self.fc6 = nn.Conv2d(c32, width, kernel, padding=0 if self.published else kernel // 2)
        self.fc7 = nn.Conv2d(width, width, 1)
        self.score_fr = _zeros(nn.Conv2d(width, classes, 1))
        self.score_pool4 = _zeros(nn.Conv2d(c16, classes, 1))
        self.score_pool3 = _zeros(nn.Conv2d(c8, classes, 1))
        if self.published:
            steps = ((4, 2), (4, 2), (16, 8))
            upscores: list[nn.Module] = [_bilinear(classes, *one) for one in steps]
        else:
            o8, o16, o32 = self.backbone.centres
            grids = ((32, o32), (16, o16), (8, o8), (1, 0.0))
            upscores = [Resample(source, target) for source, target in pairwise(grids)]
        self.upscore2, self.upscore_pool4, self.upscore8 = upscores
        for layer in (self.fc6, self.fc7):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.register_buffer("mean", torch.tensor(self.backbone.mean)[:, None, None], False)
        self.register_buffer("std", torch.tensor(self.backbone.std)[:, None, None], False)

    def normalise(self, grey: Tensor) -> Tensor:
        """Scale (B, H, W) grey levels, uint8, to the (B, 3, H, W) that the backbone expects.

        The result lies on the network's device.
        """
        return (grey.to(self.mean.device)[:, None].float() / 255 - self.mean) / self.std

    def features(self, x: Tensor) -> Features:
        """Run everything before the first dropout on a normalised (B, 3, H, W) image."""
        s8, s16, s32 = self.maps(x)
        with self._precision(x):
            fc6 = functional.relu(self.fc6(s32))  # (B, C, h, w)
        return Features(fc6, self.score_pool4(s16.float()), self.score_pool3(s8.float()), _size(x))

    def maps(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run the trunk on a normalised image: maps at strides 8, 16 and 32."""
        with self._precision(x):
            return self.trunk(x)  # type: ignore[no-any-return]

    def _precision(self, x: Tensor) -> torch.autocast:
        """Compute in bfloat16 where the network is `mixed`."""
        return torch.autocast(x.device.type, torch.bfloat16, enabled=self.mixed)

    def draw_masks(self, features: Features, generator: torch.Generator | None) -> Masks:
        """Draw dropout masks for fc6 and fc7, (B, C, h, w).

        They are 0 where dropped and 1 / (1 - dropout) where kept, so that the mean stays. The
        generator is on the device of the features; None: torch's global one.
        """
        keep = 1 - self.dropout
        first, second = (_bernoulli(features.fc6, keep, generator) for _ in range(2))
        return first, second

    def tail(self, features: Features, masks: Masks | None = None) -> Tensor:
        """Run everything from the first dropout on; logits (B, classes, H, W).

        Masks are from `draw_masks`; None, here and below: no dropout.
        """
        first, second = masks or (None, None)
        return self.scores(self.hidden(features, first), features, second)

    def hidden(self, features: Features, mask: Tensor | None = None) -> Tensor:
        """Run the first dropout and fc7 to its ReLU, (B, C, h, w).

        Features of one image take masks of many draws, and run for all of them at once.
        """
        x = features.fc6 if mask is None else features.fc6 * mask
        with self._precision(x):
            return functional.relu(_pointwise(self.fc7, x))

    def scores(self, hidden: Tensor, features: Features, mask: Tensor | None = None) -> Tensor:
        """Run the second dropout and everything after it.

        Parameters
        ----------
        hidden : (B, C, h, w) tensor
            From `hidden`.
        features : Features
        mask : (B, C, h, w) tensor, optional
            Of the second dropout.

        Returns
        -------
        (B, classes, H, W) float tensor
            Logits.
        """
        x = self.score_fr((hidden if mask is None else hidden * mask).float())
        if self.published:
            return self._published_upscores(x, features)
        x = self.upscore2(x, _size(features.pool4)) + features.pool4
        x = self.upscore_pool4(x, _size(features.pool3)) + features.pool3
        return self.upscore8(x, features.size)  # type: ignore[no-any-return]

    def _published_upscores(self, x: Tensor, features: Features) -> Tensor:
        """Upsample and crop by Shelhamer's offsets: 5, 9, 31."""
        x = self.upscore2(x)
        x = x + _crop(features.pool4, 5, _size(x))
        x = self.upscore_pool4(x)
        x = x + _crop(features.pool3, 9, _size(x))
        return _crop(self.upscore8(x), 31, features.size)

    def forward(self, x: Tensor, masks: Masks | None = None) -> Tensor:
        """Return logits (B, classes, H, W) of a normalised image; dropout only by `masks`."""
        return self.tail(self.features(x), masks)


class Resample(nn.Module):
    """Resize a map bilinearly to another grid over the same image, each cell where it lies.

    A grid is its stride and the image pixel on which its cell 0 is centred. Beyond the outermost
    cells their value holds.
    """

    def __init__(self, source: tuple[float, float], target: tuple[float, float]) -> None:
        super().__init__()
        self.source, self.target = source, target

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Resize (B, C, h, w) to (B, C, *size)."""
        rows, cols = (
            _bilinear_weights(int(n), int(m), self.source, self.target).to(x)
            for n, m in zip(size, x.shape[-2:], strict=True)
        )
        return rows @ (x @ cols.T)  # (H, h) · (B, C, h, w) · (w, W)


@lru_cache(maxsize=64)
def _bilinear_weights(
    length: int, cells: int, source: tuple[float, float], target: tuple[float, float]
) -> Tensor:
    """Weigh each of the source's cells for each of the target's, (length, cells)."""
    with torch.inference_mode(False):  # it is kept, and may be trained through later
        at = (torch.arange(length) * target[0] + target[1] - source[1]) / source[0]
        at = at.clamp(0, cells - 1)[:, None]
        return (1 - (at - torch.arange(cells)).abs()).clamp(min=0)


def _bernoulli(like: Tensor, keep: float, generator: torch.Generator | None) -> Tensor:
    """Draw 1 / keep with probability `keep`, to 2⁻¹⁷, else 0; ``bernoulli_`` takes 4 times longer.

    Bits are dealt in the order of (B, h, w, C), whatever the layout of `like`.
    """
    batch, channels, height, width = like.shape
    words = torch.empty(-(-like.numel() // 4), dtype=torch.int64, device=like.device)
    bits = words.random_(-(2**63), None, generator=generator).view(torch.int16)[: like.numel()]
    highest = max(round(keep * 2**16), 1) - 2**15 - 1
    kept = (bits <= highest).view(batch, height, width, channels).permute(0, 3, 1, 2)
    return kept.to(like.dtype).mul_(1 / keep)


def _pointwise(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """Run a 1×1 convolution as one matrix product, which a CPU does 1.6 times faster."""
    y = functional.linear(x.permute(0, 2, 3, 1), layer.weight[:, :, 0, 0], layer.bias)
    return y.permute(0, 3, 1, 2)


def _size(x: Tensor) -> tuple[int, int]:
    return x.shape[-2], x.shape[-1]


def _crop(x: Tensor, offset: int, size: tuple[int, int]) -> Tensor:
    return x[..., offset : offset + size[0], offset : offset + size[1]]


def _zeros(layer: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def _bilinear(channels: int, kernel: int, stride: int) -> nn.ConvTranspose2d:
    """Return a transposed convolution that starts as bilinear upsampling of each channel."""
    layer = nn.ConvTranspose2d(channels, channels, kernel, stride, bias=False)
    ramp = 1 - (torch.arange(kernel) - (kernel - 1) / 2).abs() / stride
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[range(channels), range(channels)] = ramp[:, None] * ramp
    return layer
