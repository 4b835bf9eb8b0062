"""Trunks: backbones without their classifiers, each divided into a stem and the rest."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional


class Trunk(nn.Module):
    """A backbone without its classifier, divided at stride 4 or before."""

    def stem(self, x: Tensor) -> Tensor:
        """Turn a normalised image, (B, 3, H, W), into the map that `rest` wants."""
        raise NotImplementedError

    def rest(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Turn that map into three, (B, C, h, w) each, at strides 8, 16 and 32."""
        raise NotImplementedError

    def stem_parameters(self) -> list[nn.Parameter]:
        """List what `stem` holds."""
        return []


class VGG16Trunk(Trunk):
    """The 13 convolutions, numbered as torchvision's ``features``; pools in ceil mode.

    Parameters
    ----------
    input_padding : int
        Padding of the first convolution: 100 in FCN8 (Long et al. 2015), 1 in VGG16.
    """

    def __init__(self, input_padding: int = 1) -> None:
        layers: list[nn.Module] = []
        channels = 3
        for width, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
            for _ in range(depth):
                padding = 1 if layers else input_padding
                layers += [nn.Conv2d(channels, width, 3, padding=padding), nn.ReLU(inplace=True)]
                channels = width
            layers.append(nn.MaxPool2d(2, 2, ceil_mode=True))
        super().__init__()
        for index, layer in enumerate(layers):
            self.add_module(str(index), layer)

    def stem(self, x: Tensor) -> Tensor:
        """Run the two blocks up to stride 4: (B, 128, H/4, W/4)."""
        for layer in list(self.children())[:10]:
            x = layer(x)
        return x

    def stem_parameters(self) -> list[nn.Parameter]:
        """List what `stem` holds."""
        return [p for layer in list(self.children())[:10] for p in layer.parameters()]

    def rest(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run the blocks from stride 4 to pool3, pool4 and pool5, of 256, 512 and 512 channels."""
        pools = []
        for layer in list(self.children())[10:]:
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d):
                pools.append(x)
        pool3, pool4, pool5 = pools
        return pool3, pool4, pool5


class TimmTrunk(Trunk):
    """A timm network as a trunk; the image is padded to a multiple of 32 below and right.

    Parameters
    ----------
    name : str
        timm's name, without weights.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        import timm

        self.body: Any = timm.create_model(name, features_only=True, out_indices=(2, 3, 4))

    def stem(self, x: Tensor) -> Tensor:
        """Pad the image: (B, 3, H', W'), multiples of 32."""
        height, width = x.shape[-2:]
        return functional.pad(x, (0, -width % 32, 0, -height % 32), mode="replicate")

    def rest(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run the network, to its maps at strides 8, 16 and 32."""
        s8, s16, s32 = self.body(x)
        return s8, s16, s32


class EfficientNetTrunk(TimmTrunk):
    """An EfficientNet of timm, divided at stride 4."""

    def stem(self, x: Tensor) -> Tensor:
        """Run the layers up to stride 4: (B, C, H'/4, W'/4)."""
        x = self.body.bn1(self.body.conv_stem(super().stem(x)))
        for block in self.body.blocks[:2]:
            x = block(x)
        return x

    def stem_parameters(self) -> list[nn.Parameter]:
        """List what `stem` holds."""
        first = (self.body.conv_stem, self.body.bn1, *self.body.blocks[:2])
        return [parameter for layer in first for parameter in layer.parameters()]

    def rest(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run the layers from stride 4, to its maps at strides 8, 16 and 32."""
        blocks = self.body.blocks
        s8 = blocks[2](x)
        s16 = blocks[4](blocks[3](s8))
        return s8, s16, blocks[6](blocks[5](s16))
