"""Pretrained weights: from a local file, from the hub's cache, from an earlier model; and what is refused."""

import socket
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from terraseg.errors import BadOption, UnreadableFile
from terraseg.nets import encoders
from terraseg.nets.build import build_network
from terraseg.nets.encoders import EncoderOptions, build_encoder

WEIGHTS = Path("../shared/data/weights/mobilenetv2_100_imagenet.safetensors")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    """A classifier in timm's form, random but not initial, with its weights in a file."""
    torch.manual_seed(3)
    model = timm.create_model("resnet18", num_classes=7)
    assert isinstance(model, nn.Module)
    path = tmp_path_factory.mktemp("weights") / "resnet18.safetensors"
    save_file({key: t.clone() for key, t in model.state_dict().items()}, path)
    return model.eval(), path


def features(module: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        found = module.eval()(images)[-1]
    assert isinstance(found, Tensor)
    return found


def test_local_weights_give_the_classifier_s_own_features(classifier: tuple[nn.Module, Path]) -> None:
    model, path = classifier
    encoder = build_encoder(EncoderOptions("resnet18", pretrained_path=str(path)), bands=3)
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected = model.forward_features(images)  # type: ignore[operator]  # timm's method
    assert torch.equal(features(encoder.module, images), expected)


@pytest.mark.parametrize("bands", [1, 2, 4, 6])
def test_other_band_counts_keep_the_response_to_equal_bands(classifier: tuple[nn.Module, Path], bands: int) -> None:
    """Grey imagery, the same value in every band, must look the same to the first layer; but for two or four bands only
    in sum over its colours, so the filters are made grey first.
    """
    _, path = classifier
    tensors = load_file(path)
    tensors["conv1.weight"] = tensors["conv1.weight"].mean(1, keepdim=True).expand(-1, 3, -1, -1).contiguous()
    grey = path.with_name("grey.safetensors")
    save_file(tensors, grey)
    image = torch.rand(1, 1, 64, 64)
    options = EncoderOptions("resnet18", pretrained_path=str(grey))
    three = features(build_encoder(options, bands=3).module, image.expand(1, 3, 64, 64))
    other = features(build_encoder(options, bands=bands).module, image.expand(1, bands, 64, 64))
    torch.testing.assert_close(other, three, rtol=1e-3, atol=1e-3)


def test_flattened_names_are_found(tmp_path: Path) -> None:
    """A ConvNeXt's feature network names its stages "stages_0" where the file has "stages.0"."""
    model = timm.create_model("convnext_atto", num_classes=2)
    path = tmp_path / "convnext.safetensors"
    save_file({key: t.clone() for key, t in model.state_dict().items()}, path)
    encoder = build_encoder(EncoderOptions("convnext_atto", pretrained_path=str(path)), bands=4)
    state = encoder.module.state_dict()
    assert torch.equal(
        state["stages_1.blocks.0.mlp.fc1.weight"], model.state_dict()["stages.1.blocks.0.mlp.fc1.weight"]
    )
    assert state["stem_0.weight"].shape[1] == 4


def test_missing_tensors_are_counted_and_named(classifier: tuple[nn.Module, Path], tmp_path: Path) -> None:
    tensors = {key: t for key, t in load_file(classifier[1]).items() if not key.startswith("layer4.1.conv")}
    path = tmp_path / "partial.safetensors"
    save_file(tensors, path)
    with pytest.raises(
        BadOption, match=r"lacks 2 of the encoder's .*layer4\.1\.conv1\.weight, layer4\.1\.conv2\.weight"
    ):
        build_encoder(EncoderOptions("resnet18", pretrained_path=str(path)), bands=3)


def test_weights_of_another_encoder_are_refused(classifier: tuple[nn.Module, Path]) -> None:
    with pytest.raises(BadOption, match="pass the weights of the same encoder"):
        build_encoder(EncoderOptions("resnet34", pretrained_path=str(classifier[1])), bands=3)


def test_files_that_are_no_weights_are_refused(tmp_path: Path) -> None:
    pickle = tmp_path / "model.pth"
    torch.save({"a": torch.zeros(1)}, pickle)
    for path, message in ((tmp_path / "absent.safetensors", "is no file"), (pickle, "pickles are never opened")):
        with pytest.raises(UnreadableFile, match=message):
            build_encoder(EncoderOptions("resnet18", pretrained_path=str(path)), bands=3)


def test_without_a_network_the_error_names_pretrained_path(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> socket.socket:
        raise OSError("network is unreachable")

    monkeypatch.setattr(encoders, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(encoders, "getproxies", dict)
    monkeypatch.setattr(socket, "create_connection", unreachable)
    with pytest.raises(BadOption, match=r"network is unreachable.*pass pretrained_path"):
        build_network("dynamic-unet", bands=3, classes=2, options={"encoder": "resnet18", "pretrained": True})


def test_hub_weights_come_from_its_cache(classifier: tuple[nn.Module, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    model, path = classifier
    asked: list[tuple[str, str]] = []

    def cached(place: str, name: str) -> str:
        asked.append((place, name))
        return str(path)

    monkeypatch.setattr(encoders, "try_to_load_from_cache", cached)
    encoder = build_encoder(EncoderOptions("resnet18.tv_in1k", pretrained=True), bands=3)
    assert asked == [("timm/resnet18.tv_in1k", "model.safetensors")]
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected = model.forward_features(images)  # type: ignore[operator]  # timm's method
    assert torch.equal(features(encoder.module, images), expected)


@pytest.mark.parametrize("name", ["unet-light", "unet-resnet", "dynamic-unet"])
def test_networks_take_encoder_weights(classifier: tuple[nn.Module, Path], name: str) -> None:
    model, path = classifier
    options = {"encoder": "resnet18", "pretrained_path": str(path)}
    network = build_network(name, bands=3, classes=2, options=options)
    own = network.state_dict()
    assert all(torch.equal(own[f"encoder.{k}"], t) for k, t in model.state_dict().items() if not k.startswith("fc"))


@pytest.mark.parametrize("name", ["unet", "dynamic-unet"])
def test_an_earlier_model_of_the_same_kind_is_a_start(name: str, tmp_path: Path) -> None:
    """All its tensors come over, but for the last convolution where the classes differ."""
    kinds: dict[str, dict[str, Any]] = {"unet": {"width": 4}, "dynamic-unet": {"encoder": "mobilenetv2_050"}}
    options = kinds[name]
    earlier = build_network(name, bands=3, classes=5, options=options)
    save_file(earlier.state_dict(), tmp_path / "weights.safetensors")
    for path in (tmp_path, tmp_path / "weights.safetensors"):
        network = build_network(name, bands=3, classes=2, options={**options, "pretrained_path": str(path)})
        own = network.state_dict()
        kept = {k for k, t in earlier.state_dict().items() if t.shape == own[k].shape}
        assert own.keys() - kept == {"final.weight", "final.bias"}
        assert all(torch.equal(own[k], earlier.state_dict()[k]) for k in kept)
    with pytest.raises(BadOption, match="same network, options and bands"):
        build_network(name, bands=4, classes=5, options={**options, "pretrained_path": str(tmp_path)})


@pytest.mark.skipif(not WEIGHTS.is_file(), reason=f"{WEIGHTS} is absent")
@pytest.mark.parametrize("bands", [3, 4])
def test_imagenet_weights_load_with_the_classifier_left_over(bands: int) -> None:
    options = {"encoder": "mobilenetv2_100", "pretrained_path": str(WEIGHTS)}
    network = build_network("dynamic-unet", bands=bands, classes=5, options=options)
    stem = network.state_dict()["encoder.conv_stem.weight"]
    source = load_file(WEIGHTS)["conv_stem.weight"]
    expected = source if bands == 3 else torch.cat([source, source[:, :1]], 1) * 3 / 4
    torch.testing.assert_close(stem, expected)
