"""Pretrained weights: from a local file, from the hub's cache, from an earlier model; and what is refused."""

import socket
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from terraseg.errors import BadOption, UnknownName, UnreadableFile
from terraseg.nets import pretrained
from terraseg.nets.build import build_network
from terraseg.nets.encoders import EncoderOptions, build_encoder, encoder_names, encoder_shape, take
from terraseg.nets.pretrained import adapt_bands, hub_id

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


FAMILIES = {
    "test_convnext": 32,
    "test_efficientnet": 32,
    "test_mambaout": 32,
    "test_maxvit": 160,
    "test_vit": 16,
    "edgenext_xx_small": 32,
    "efficientvit_b0": 32,
    "efficientvit_m0": 64,
    "ghostnet_050": 32,
    "mobilenetv3_small_050": 32,
    "pvt_v2_b0": 32,
    "regnetx_002": 32,
    "swin_tiny_patch4_window7_224": 32,
    "vgg11_bn": 32,
}
"""Encoders of many kinds and the multiple that sizes are padded to."""


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

    monkeypatch.setattr(pretrained, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(pretrained, "getproxies", dict)
    monkeypatch.setattr(socket, "create_connection", unreachable)
    with pytest.raises(BadOption, match=r"network is unreachable.*pass pretrained_path"):
        build_network("dynamic-unet", bands=3, classes=2, options={"encoder": "resnet18", "pretrained": True})


def test_hub_weights_come_from_its_cache(classifier: tuple[nn.Module, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    model, path = classifier
    asked: list[tuple[str, str]] = []

    def cached(place: str, name: str) -> str:
        asked.append((place, name))
        return str(path)

    monkeypatch.setattr(pretrained, "try_to_load_from_cache", cached)
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


@pytest.mark.skipif(not WEIGHTS.is_file(), reason=f"{WEIGHTS} is absent")
@pytest.mark.parametrize("bands", [3, 4])
def test_imagenet_weights_load_with_the_classifier_left_over(bands: int) -> None:
    options = {"encoder": "mobilenetv2_100", "pretrained_path": str(WEIGHTS)}
    network = build_network("dynamic-unet", bands=bands, classes=5, options=options)
    stem = network.state_dict()["encoder.conv_stem.weight"]
    source = load_file(WEIGHTS)["conv_stem.weight"]
    expected = source if bands == 3 else torch.cat([source, source[:, :1]], 1) * 3 / 4
    torch.testing.assert_close(stem, expected)


@pytest.mark.parametrize("name", FAMILIES)
def test_encoders_of_every_family_train_under_a_u_net(name: str) -> None:
    """Maps with the channels last, maps from a quarter or a sixteenth on, windows of a fixed count: any size goes in."""
    network = build_network("unet-light", bands=2, classes=3, options={"encoder": name, "decoder": "tiny"})
    shape = encoder_shape(name)
    assert shape.stride == FAMILIES[name]
    logits = network(torch.rand(2, 2, 33, 50))
    assert logits.shape == (2, 3, 33, 50)
    logits.square().mean().backward()
    assert all(p.grad is not None for p in network.parameters())
    with torch.no_grad():
        assert network.eval()(torch.rand(1, 2, 1, 70)).shape == (1, 3, 1, 70)


@pytest.mark.parametrize("name", ["test_mambaout", "test_convnext", "test_vit"])
def test_maps_come_with_the_channels_first(name: str) -> None:
    encoder = build_encoder(EncoderOptions(name), bands=3)
    shape = encoder.shape
    assert shape.channels_last == (name == "test_mambaout")
    with torch.no_grad():
        outputs = encoder.module.eval()(torch.rand(1, 3, 96, 64))
    maps = take(outputs, shape.by_size, channels_last=shape.channels_last)
    assert [tuple(m.shape[1:]) for m in maps] == [
        (f.channels, 96 // f.reduction, 64 // f.reduction) for f in shape.by_size
    ]
    torch.testing.assert_close(maps[-1].sum(1), outputs[-1].sum(-1 if shape.channels_last else 1))


def test_the_shape_is_found_without_touching_the_generator() -> None:
    """Initial weights depend on the seed alone, whatever was asked before."""
    encoder_shape.cache_clear()
    state = torch.get_rng_state()
    assert encoder_shape("test_vit").reductions == (16,)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", ["hiera_tiny_224", "inception_v3"])
def test_an_encoder_of_one_size_is_refused_in_a_sentence(name: str) -> None:
    with pytest.raises(BadOption, match=r"cannot be used on images of any size \(.*\): take another, 'resnet34' say"):
        encoder_shape(name)


def test_a_repeated_image_is_answered_as_before_by_twice_the_bands() -> None:
    kernel, image = torch.randn(5, 3, 3, 3), torch.rand(1, 3, 9, 9)
    before = nn.functional.conv2d(image, kernel)
    torch.testing.assert_close(nn.functional.conv2d(torch.cat([image, image], 1), adapt_bands(kernel, 6)), before)
    grey = nn.functional.conv2d(image[:, :1], adapt_bands(kernel, 1))
    torch.testing.assert_close(grey, nn.functional.conv2d(image[:, :1].expand(-1, 3, -1, -1), kernel))


def test_a_transformer_s_weights_are_found_in_the_classifier_s_names(tmp_path: Path) -> None:
    model = timm.create_model("test_vit", num_classes=2)
    path = tmp_path / "vit.safetensors"
    save_file({key: t.clone() for key, t in model.state_dict().items()}, path)
    state = build_encoder(EncoderOptions("test_vit", pretrained_path=str(path)), bands=6).module.state_dict()
    source = model.state_dict()
    assert torch.equal(state["model.blocks.0.attn.qkv.weight"], source["blocks.0.attn.qkv.weight"])
    torch.testing.assert_close(
        state["model.patch_embed.proj.weight"], adapt_bands(source["patch_embed.proj.weight"], 6)
    )


def test_names_are_found_by_text_and_by_pattern() -> None:
    assert "resnet18" in encoder_names("net18")
    assert encoder_names("resnet1?") == ("resnet18",)
    with pytest.raises(UnknownName, match="no encoder with 'resnot'"):
        encoder_names("resnot")


def test_the_hub_s_place_is_told_without_a_network() -> None:
    assert hub_id("resnet18.tv_in1k") == "timm/resnet18.tv_in1k"
    assert hub_id("test_mambaout") is None or str(hub_id("test_mambaout")).startswith("timm/")
