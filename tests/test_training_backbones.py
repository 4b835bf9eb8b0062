import errno
import math
import zipfile

import pytest
import timm
import torch
from safetensors.torch import save_file
from skimage import data
from skimage.transform import resize

from alnb.errors import ConfigError, TrainerError
from alnb.training import backbones
from alnb.training.fcn8 import FCN8

EGYPTIAN_CAT, ESPRESSO = 285, 967  # ImageNet's classes


@pytest.mark.parametrize(("photo", "name"), [("chelsea", EGYPTIAN_CAT), ("coffee", ESPRESSO)])
@torch.inference_mode()
def test_the_weights_from_pip_know_a_photograph(photo, name):
    network = timm.create_model("tf_efficientnet_lite0").eval()
    network.load_state_dict(backbones.in_order(network, backbones.lite0_weights()), strict=False)
    image = resize(getattr(data, photo)(), (224, 224), anti_aliasing=True) * 255
    x = torch.from_numpy(image).float().permute(2, 0, 1)[None]

    assert network((x - 127) / 128).argmax().item() == name


@torch.inference_mode()
def test_the_embedded_trunk_is_that_network():
    full = timm.create_model("tf_efficientnet_lite0").eval()
    full.load_state_dict(backbones.in_order(full, backbones.lite0_weights()), strict=False)
    ours = FCN8("efficientnet_lite0", input_padding=0).eval()
    ours.backbone.load(ours, None)
    x = torch.linspace(-1, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)

    s8, s16, s32 = ours.trunk(x)

    wanted = full.bn1(full.conv_stem(x))
    for block in full.blocks:
        wanted = block(wanted)
    assert torch.equal(s32, wanted)
    assert [tuple(s.shape[1:]) for s in (s8, s16)] == [(40, 8, 8), (112, 4, 4)]


def test_grey_is_normalised_as_the_weights_want_it():
    network = FCN8("efficientnet_lite0", input_padding=0)
    grey = torch.tensor([[[0, 127, 255]]], dtype=torch.uint8)

    x = network.normalise(grey)

    assert x.shape == (1, 3, 1, 3)
    assert x[0, 2, 0].tolist() == pytest.approx([-127 / 128, 0, 1], abs=1e-6)


MEASURED = (
    "resnet18", "regnetx_002", "regnety_002", "mobilenetv2_050", "mobilenetv3_small_050",
    "mobilenetv3_large_100", "efficientnet_b0", "densenet121",
)  # fmt: skip


def test_every_family_of_timm_is_measured():
    assert {name.rstrip("0123456789") for name in MEASURED} == backbones.TIMM_CENTRES.keys()


@pytest.mark.parametrize("name", MEASURED)
def test_cells_of_a_timm_network_lie_where_they_are_said_to(name):
    backbone = backbones.find(f"timm/{name}")
    trunk = averaging(backbone.trunk(0)).eval()
    x = torch.ones((1, 3, 1024, 32), requires_grad=True)

    for s, stride, said in zip(trunk(x), (8, 16, 32), backbone.centres, strict=True):
        cell = s.shape[2] // 2
        (field,) = torch.autograd.grad(s[0, :, cell].sum(), x, retain_graph=True)
        weight = field[0].sum((0, 2)).double()
        centre = float((weight * torch.arange(1024)).sum() / weight.sum()) - stride * cell
        assert centre == pytest.approx(said, abs=0.5)


def averaging(network):
    """Let each layer average, so that a gradient is a receptive field."""
    for module in list(network.modules()):
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.constant_(module.weight, 1 / module.weight[0].numel())
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(module.weight)
        for key, child in list(module.named_children()):
            if isinstance(child, torch.nn.MaxPool2d):
                pool = torch.nn.AvgPool2d(child.kernel_size, child.stride, child.padding)
                setattr(module, key, pool)
            elif type(child).__name__ in SHAPELESS:
                setattr(module, key, torch.nn.Identity())
    return network


SHAPELESS = {"ReLU", "ReLU6", "SiLU", "Hardswish", "SEModule", "SqueezeExcite"}


@torch.inference_mode()
def test_a_timm_network_is_a_backbone():
    network = FCN8("timm/resnet18", input_padding=0).eval()

    assert network(torch.zeros(1, 3, 33, 47)).shape == (1, 2, 33, 47)


@torch.inference_mode()
def test_weights_of_a_timm_network_come_by_name():
    full = timm.create_model("resnet18").eval()
    network = FCN8("timm/resnet18", input_padding=0).eval()

    said = network.backbone.load(network, full.state_dict())

    x = torch.linspace(-1, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)
    assert torch.equal(network.trunk(x)[2], full.forward_features(x))
    assert said == "resnet18 with ImageNet weights"


def test_a_failed_download_of_timm_names_the_embedded_backbone(monkeypatch):
    network = FCN8("timm/resnet18", input_padding=0)

    def offline(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(timm, "create_model", offline)

    with pytest.raises(TrainerError, match="choose --backbone efficientnet_lite0"):
        network.backbone.load(network, None)


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "resnet18d", "tf_efficientnet_lite0"])
def test_a_family_that_was_not_measured_is_refused_with_those_there_are(name):
    sentence = f"'timm/{name}': where its maps lie .* was not measured. Of timm there are resnetN, "
    with pytest.raises(ConfigError, match=sentence):
        backbones.find(f"timm/{name}")


def test_weights_of_the_embedded_backbone_may_come_by_name_in_any_order():
    network = FCN8("efficientnet_lite0", input_padding=0)
    body = network.trunk.body
    values = {k: torch.full_like(v, 3) for k, v in sorted(body.state_dict().items())}

    network.backbone.load(network, values)

    assert (body.conv_stem.weight == 3).all()


def test_weights_of_another_shape_are_refused():
    network = FCN8("efficientnet_lite0", input_padding=0)

    with pytest.raises(TrainerError, match="shapes differ"):
        network.backbone.load(network, {"a": torch.zeros(1)})


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("vgg", "backbone 'vgg' is unknown; there are vgg16, efficientnet_lite0 and timm/NAME"),
        ("timm/resnet19", "backbone 'timm/resnet19': timm can't build it"),
    ],
)
def test_an_unknown_backbone_is_a_sentence(name, sentence):
    with pytest.raises(ConfigError, match=sentence):
        backbones.find(name)


@pytest.fixture(scope="module")
def vgg16():
    with torch.device("meta"):  # 134 million numbers need no initialisation here
        network = FCN8("vgg16", input_padding=0)
    return network.to_empty(device="cpu")


def test_a_file_of_convolutions_is_enough_for_vgg16(vgg16, shared):
    file = shared / "weights" / "vgg16_features_fp16.safetensors"
    tensors = backbones.read_weights(file)

    said = vgg16.backbone.load(vgg16, tensors)

    assert "no fc6 and fc7" in said
    assert torch.equal(vgg16.trunk.state_dict()["28.bias"], tensors["features.28.bias"].float())


def test_fc6_and_fc7_are_the_classifier_reshaped(vgg16):
    state = {f"features.{k}": v for k, v in vgg16.trunk.state_dict().items()}
    state["classifier.0.weight"] = torch.zeros(4096, 25088)
    state["classifier.0.weight"][5, 3 * 49 + 2 * 7 + 1] = 1.0  # channel 3, row 2, column 1
    state["classifier.0.bias"] = torch.arange(4096.0)
    state["classifier.3.weight"] = torch.eye(4096)
    state["classifier.3.bias"] = torch.zeros(4096)

    vgg16.backbone.load(vgg16, state)

    assert vgg16.fc6.weight[5, 3, 2, 1].item() == 1.0
    assert vgg16.fc6.bias[7].item() == 7.0


def test_weights_of_another_network_are_refused(vgg16):
    with pytest.raises(TrainerError, match="not those of VGG16"):
        vgg16.backbone.load(vgg16, {"features.0.weight": torch.zeros(1)})


def test_a_failed_download_says_which_file_and_where(vgg16, monkeypatch, tmp_path):
    def offline(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr("torchvision.models.VGG16_Weights.get_state_dict", offline)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    with pytest.raises(TrainerError, match=backbones.VGG16_FILE) as error:
        vgg16.backbone.load(vgg16, None)
    assert str(tmp_path / "checkpoints" / backbones.VGG16_FILE) in str(error.value)


def test_weights_are_read_from_either_kind_of_file(tmp_path):
    value = {"a": torch.ones(2)}
    torch.save(value, tmp_path / "a.pth")
    save_file(value, tmp_path / "a.safetensors")

    for name in ("a.pth", "a.safetensors"):
        assert torch.equal(backbones.read_weights(tmp_path / name)["a"], value["a"])


class Harmful:
    def __reduce__(self):
        return (print, ("this ran",))


def test_weights_that_would_run_code_are_refused(tmp_path, capsys):
    torch.save({"a": Harmful()}, tmp_path / "a.pth")

    with pytest.raises(TrainerError, match=r"a\.pth: the file can't be read"):
        backbones.read_weights(tmp_path / "a.pth")
    assert "this ran" not in capsys.readouterr().out


def test_missing_weights_are_a_sentence(tmp_path):
    with pytest.raises(TrainerError, match="there is no such file"):
        backbones.read_weights(tmp_path / "none.pth")


def test_weights_that_claim_more_than_the_file_holds_are_refused(tmp_path):
    torch.save({"a": torch.ones(1).expand(2**40)}, tmp_path / "claims.pth")
    torch.save({"a": torch.zeros(2**20)}, tmp_path / "plain.pth")
    with (
        zipfile.ZipFile(tmp_path / "plain.pth") as plain,
        zipfile.ZipFile(tmp_path / "packed.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for one in plain.infolist():
            packed.writestr(one.filename, plain.read(one))

    for name in ("claims.pth", "packed.pth"):
        with pytest.raises(TrainerError, match=f"{name}: the file can't be read"):
            backbones.read_weights(tmp_path / name)
    assert backbones.read_weights(tmp_path / "plain.pth")["a"].shape == (2**20,)


@pytest.fixture(scope="module")
def lite0():
    return FCN8("efficientnet_lite0")


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_an_empty_file_of_weights_is_not_imagenet(lite0, tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    (torch.save if ending == "pth" else save_file)({}, path)
    before = {name: value.clone() for name, value in lite0.state_dict().items()}

    with pytest.raises(TrainerError, match="not those of EfficientNet-Lite0"):
        lite0.backbone.load(lite0, backbones.read_weights(path))
    path.write_bytes(b"")
    with pytest.raises(TrainerError, match="can't be read"):
        backbones.read_weights(path)
    assert all(torch.equal(value, before[name]) for name, value in lite0.state_dict().items())


def test_weights_that_are_no_numbers_are_refused(lite0):
    tensors = backbones.lite0_weights()
    name = next(iter(tensors))
    for value, why in ((torch.full_like(tensors[name], math.nan), "not finite"),
                       (tensors[name].to(torch.int32), "names or shapes differ")):  # fmt: skip
        with pytest.raises(TrainerError, match=why):
            lite0.backbone.load(lite0, tensors | {name: value})


@pytest.mark.parametrize("shape", [(4096, 7), (0,)])
def test_another_classifier_than_vgg16s_is_refused(vgg16, shape):
    tensors = {"features.0.weight": torch.zeros(1), "classifier.0.weight": torch.zeros(shape)}

    with pytest.raises(TrainerError, match="not those of VGG16"):
        vgg16.backbone.load(vgg16, tensors)


def test_a_network_is_read_as_it_was_written_or_not_at_all(lite0, tmp_path):
    path = tmp_path / "a.safetensors"
    backbones.write_weights(lite0, path, {"who": "me"})
    content = path.read_bytes()
    other = FCN8("efficientnet_lite0")
    before = {name: value.clone() for name, value in other.state_dict().items()}

    for at in (len(content) - 1, len(content) // 2):
        path.write_bytes(content[:at] + bytes([content[at] ^ 64]) + content[at + 1 :])
        with pytest.raises(TrainerError, match="was changed"):
            backbones.load_weights(other, path)
    for state in ({}, {"a": torch.zeros(1)}, dict(list(lite0.state_dict().items())[:-1])):
        save_file(state, path)
        with pytest.raises(TrainerError, match="of another network"):
            backbones.load_weights(other, path)
    assert all(torch.equal(value, before[name]) for name, value in other.state_dict().items())

    path.write_bytes(content)
    assert backbones.load_weights(other, path)["who"] == "me"
    ours, theirs = other.state_dict(), lite0.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_weights_without_room_are_an_error_of_the_disk_and_leave_nothing(disk):
    disk.fill(left=8192)
    with pytest.raises(OSError, match="No space left on device") as error:
        backbones.write_weights(torch.nn.Linear(100, 100), disk.path / "w" / "a.safetensors")

    assert error.value.errno == errno.ENOSPC
    assert [*(disk.path / "w").iterdir()] == []
