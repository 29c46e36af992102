"""Fine-tuning from an earlier model: what comes over, what begins anew, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from terraseg.core.classes import PALETTE, LandClass, Legend
from terraseg.core.modelspec import ModelSpec
from terraseg.errors import BadOption
from terraseg.nets.build import build_network, network_stride
from terraseg.nets.pretrained import adapt_bands

TINY = {"encoder": "test_resnet"}
NETWORKS: dict[str, dict[str, Any]] = {
    "unet-light": TINY,
    "unet": {"width": 4},
    "dynamic-unet": TINY,
    "simple-unet": {},
    "fpn": TINY,
    "dpt": {"encoder": "test_vit", "width": 16},
}
LAST = {"unet-light": "head", "unet": "final", "dynamic-unet": "final", "fpn": "head", "dpt": "head.4"}


def save(folder: Path, name: str, options: dict[str, Any], *, bands: int = 3, classes: int = 5) -> nn.Module:
    torch.manual_seed(4)
    network = build_network(name, bands=bands, classes=classes, options=options)
    folder.mkdir(exist_ok=True)
    save_file({key: t.contiguous() for key, t in network.state_dict().items()}, folder / "weights.safetensors")
    return network


def spec(name: str, options: dict[str, Any]) -> ModelSpec:
    legend = Legend(tuple(LandClass(k, f"class {k}", PALETTE[k]) for k in range(5)))
    stride = network_stride(name, options)
    return ModelSpec(
        name, legend, ("red", "green", "blue"), "uint8", (100.0,) * 3, (50.0,) * 3, 0.5, 256, 64, stride, options
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_an_earlier_model_of_the_same_kind_comes_over_whole_and_in_silence(name: str, tmp_path: Path) -> None:
    earlier = save(tmp_path, name, NETWORKS[name]).state_dict()
    said: list[str] = []
    for path in (tmp_path, tmp_path / "weights.safetensors"):
        options = {**NETWORKS[name], "pretrained_path": str(path)}
        own = build_network(name, bands=3, classes=5, options=options, say=said.append).state_dict()
        assert all(torch.equal(own[key], t) for key, t in earlier.items())
    assert said == []


@pytest.mark.parametrize("name", LAST)
def test_with_other_classes_all_but_the_last_layer_is_kept(name: str, tmp_path: Path) -> None:
    earlier = save(tmp_path, name, NETWORKS[name]).state_dict()
    said: list[str] = []
    options = {**NETWORKS[name], "pretrained_path": str(tmp_path)}
    own = build_network(name, bands=3, classes=2, options=options, say=said.append).state_dict()
    kept = {key for key, t in earlier.items() if own[key].shape == t.shape and torch.equal(own[key], t)}
    assert own.keys() - kept == {f"{LAST[name]}.weight", f"{LAST[name]}.bias"}
    assert said == [
        f"starts from {tmp_path}: the model had 5 classes and gets 2; {LAST[name]} begins anew; all else is kept"
    ]


def test_the_simple_u_net_s_last_block_is_its_last_layer(tmp_path: Path) -> None:
    earlier = save(tmp_path, "simple-unet", {}).state_dict()
    own = build_network("simple-unet", bands=3, classes=2, options={"pretrained_path": str(tmp_path)}).state_dict()
    kept = {key for key, t in earlier.items() if own[key].shape == t.shape and torch.equal(own[key], t)}
    assert {key.partition(".")[0] for key in own.keys() - kept} == {"upconv1"}


@pytest.mark.parametrize(("name", "entry"), [("unet-light", "encoder.conv1.0.weight"), ("unet", "encoder.0.0.weight")])
def test_with_other_bands_the_first_convolution_is_adapted(name: str, entry: str, tmp_path: Path) -> None:
    """A model of six bands then answers the image twice over as it answered the image."""
    earlier = save(tmp_path, name, NETWORKS[name]).eval()
    said: list[str] = []
    options = {**NETWORKS[name], "pretrained_path": str(tmp_path)}
    network = build_network(name, bands=6, classes=5, options=options, say=said.append).eval()
    source, own = earlier.state_dict(), network.state_dict()
    assert [key for key in own if own[key].shape != source[key].shape] == [entry]
    assert torch.equal(own[entry], adapt_bands(source[entry], 6))
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(network(torch.cat([image, image], 1)), earlier(image), atol=1e-4, rtol=1e-4)
    assert said == [f"starts from {tmp_path}: the first convolution is adapted from 3 to 6 bands; all else is kept"]


def test_layers_that_join_the_bands_again_begin_anew_and_are_named(tmp_path: Path) -> None:
    save(tmp_path, "dynamic-unet", TINY)
    said: list[str] = []
    options = {**TINY, "pretrained_path": str(tmp_path)}
    build_network("dynamic-unet", bands=4, classes=2, options=options, say=said.append)
    assert "from 3 to 4 bands; the model had 5 classes and gets 2; cross.0, cross.2, final begin anew" in said[0]


def test_a_network_that_carries_its_bands_through_every_layer_is_refused(tmp_path: Path) -> None:
    save(tmp_path, "residual-unet", {"width": 4})
    with pytest.raises(BadOption, match="pass imagery with 3 bands, or train anew"):
        build_network("residual-unet", bands=4, classes=5, options={"width": 4, "pretrained_path": str(tmp_path)})


def test_a_model_of_another_network_is_refused_naming_both(tmp_path: Path) -> None:
    save(tmp_path, "unet-light", TINY)
    options = {**TINY, "pretrained_path": str(tmp_path)}
    with pytest.raises(
        BadOption, match="a model of network unet-light, and fpn is to be trained: set network = 'unet-light'"
    ):
        build_network("fpn", bands=3, classes=5, options=options, earlier=spec("unet-light", TINY))
    with pytest.raises(BadOption, match=r"does not fit the network.*same network and options"):
        build_network("unetplusplus", bands=3, classes=5, options=options)


def test_a_model_of_other_options_is_refused_naming_them(tmp_path: Path) -> None:
    save(tmp_path, "unet-light", TINY)
    options = {**TINY, "decoder": "wide", "pretrained_path": str(tmp_path)}
    with pytest.raises(
        BadOption, match="with decoder = 'light', and unet-light with decoder = 'wide' is to be trained"
    ):
        build_network("unet-light", bands=3, classes=5, options=options, earlier=spec("unet-light", TINY))
    with pytest.raises(BadOption, match="does not fit the network"):
        build_network("unet-light", bands=3, classes=5, options=options)


def test_defaults_that_are_written_out_are_no_other_options(tmp_path: Path) -> None:
    save(tmp_path, "unet-light", TINY)
    options = {**TINY, "decoder": "light", "pretrained_path": str(tmp_path)}
    built = build_network("unet-light", bands=3, classes=5, options=options, earlier=spec("unet-light", TINY))
    assert built.training
