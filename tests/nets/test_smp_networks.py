"""segmentation-models-pytorch's networks over our encoders: the library's own answers, any size, training, weights."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from terraseg.errors import BadOption, UnknownName
from terraseg.nets.build import NETWORKS, build_network, network_stride, parameter_count
from terraseg.nets.decoders import RECIPES
from terraseg.nets.encoders import EncoderOptions, build_encoder
from terraseg.nets.pooling import GridMean

TINY = {"encoder": "test_resnet"}
FAMILY: dict[str, dict[str, Any]] = {**dict.fromkeys(RECIPES, TINY), "dpt": {"encoder": "test_vit", "width": 16}}


@pytest.fixture
def by_centres(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The library's upsampling aligned at pixel centres, as ours is."""
    own = F.interpolate

    def interpolate(
        maps: Tensor,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: Any = None,
        **_: Any,
    ) -> Tensor:
        aligned = None if align_corners is None else False
        return own(maps, size, scale_factor, mode, aligned)

    monkeypatch.setattr(F, "interpolate", interpolate)
    return iter(())


def lively(network: nn.Module, bands: int) -> nn.Module:
    """The network with batch statistics that are no initial ones, in evaluation mode."""
    with torch.no_grad():
        for _ in range(2):
            network(torch.randn(2, bands, 128, 128))
    return network.eval()


@pytest.mark.parametrize("name", RECIPES)
def test_the_library_s_own_network_answers_the_same(name: str, by_centres: None) -> None:
    """Tensor by tensor in the order of their making; so published layers, widths and dilations are held too."""
    torch.manual_seed(0)
    theirs = lively(smp.create_model(name, "tu-test_resnet", encoder_weights=None, in_channels=4, classes=3), 4)
    ours = build_network(name, bands=4, classes=3, options=TINY)
    source, own = theirs.state_dict(), ours.state_dict()
    assert [t.shape for t in own.values()] == [t.shape for t in source.values()]
    ours.load_state_dict(dict(zip(own, source.values(), strict=True)))
    image = torch.randn(1, 4, 256, 128)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(image), theirs(image), atol=1e-5, rtol=1e-4)


def test_the_library_s_dpt_answers_the_same(by_centres: None) -> None:
    torch.manual_seed(0)
    library = smp.DPT(
        "tu-test_vit",
        encoder_weights=None,
        decoder_readout="ignore",
        decoder_intermediate_channels=(16, 32, 64, 64),
        decoder_fusion_channels=16,
        in_channels=4,
        classes=3,
        dynamic_img_size=True,
    )
    theirs = lively(library, 4)
    ours = build_network("dpt", bands=4, classes=3, options=FAMILY["dpt"])
    named = {key.replace("segmentation_head.head.", "head."): t for key, t in theirs.state_dict().items()}
    ours.load_state_dict({key: named[key] for key in ours.state_dict()})
    image = torch.randn(1, 4, 96, 160)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(image), theirs(image), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", FAMILY)
def test_output_has_the_input_s_size_for_all_bands_and_classes(name: str) -> None:
    for bands, classes in ((1, 3), (5, 1)):
        network = build_network(name, bands=bands, classes=classes, options=FAMILY[name]).eval()
        with torch.no_grad():
            for height, width in ((1, 1), (37, 51), (64, 3)):
                assert network(torch.rand(2, bands, height, width)).shape == (2, classes, height, width)


@pytest.mark.parametrize("name", FAMILY)
def test_steps_in_bfloat16_lower_the_loss_and_reach_every_weight(name: str) -> None:
    torch.manual_seed(0)
    network = build_network(name, bands=4, classes=1, options=FAMILY[name]).to(memory_format=torch.channels_last)
    images, target = torch.rand(2, 4, 70, 66), torch.full((2, 1, 70, 66), 3.0)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    losses = []
    for _ in range(6):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(images.to(memory_format=torch.channels_last))
        loss = (logits.float() - target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert min(losses[1:]) < losses[0]
    gradients = {key: p.grad for key, p in network.named_parameters()}
    assert all(g is not None and bool(torch.isfinite(g).all()) for g in gradients.values())


def test_the_stride_is_that_of_the_maps_read() -> None:
    strides = {name: network_stride(name, options) for name, options in FAMILY.items()}
    other = {"pspnet": 8, "deeplabv3": 8, "deeplabv3plus": 16, "pan": 128}
    assert strides == {**dict.fromkeys(FAMILY, 32), **other}
    assert network_stride("deeplabv3plus", {**TINY, "output_stride": 8}) == 8
    assert network_stride("pan", {**TINY, "output_stride": 32}) == 256


@pytest.mark.parametrize("name", FAMILY)
def test_the_padding_is_outside_the_answer(name: str) -> None:
    """The same network gives the same at the top left when it gets the mirrored image itself."""
    torch.manual_seed(1)
    network = build_network(name, bands=3, classes=2, options=FAMILY[name]).eval()
    stride = network_stride(name, FAMILY[name])
    image = torch.rand(1, 3, stride + 5, stride + 7)
    order = [[*range(size), *range(size - 1, 2 * size - 2 * stride - 1, -1)] for size in image.shape[-2:]]
    whole = image[:, :, order[0]][:, :, :, order[1]]
    assert whole.shape[-2:] == (2 * stride, 2 * stride)
    with torch.no_grad():
        assert torch.equal(network(image), network(whole)[..., : stride + 5, : stride + 7])


@pytest.mark.parametrize("name", [name for name, recipe in RECIPES.items() if recipe.pooled])
def test_one_image_cannot_train_where_pooled_values_are_normalised(name: str) -> None:
    network = build_network(name, bands=3, classes=2, options=TINY)
    with pytest.raises(BadOption, match="set batch to 2 or more"):
        network(torch.rand(1, 3, 64, 64))
    assert network.eval()(torch.rand(1, 3, 64, 64)).shape == (1, 2, 64, 64)


@pytest.mark.parametrize("name", [name for name, plan in NETWORKS.items() if hasattr(plan.options(), "width")])
def test_a_narrower_network_has_fewer_parameters(name: str) -> None:
    options = {key: value for key, value in FAMILY.get(name, {}).items() if key != "width"}
    with torch.device("meta"):
        wide, narrow = (
            parameter_count(build_network(name, bands=3, classes=2, options={**options, "width": width}))
            for width in (128, 64)
        )
    assert narrow < wide


@pytest.mark.parametrize("name", ["fpn", "pspnet", "deeplabv3", "deeplabv3plus", "dpt"])
def test_dropout_is_the_option_s(name: str) -> None:
    network = build_network(name, bands=3, classes=2, options={**FAMILY[name], "dropout": 0.37})
    rates = [m.p for m in network.modules() if isinstance(m, nn.Dropout | nn.Dropout2d)]
    assert 0.37 in rates


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("fpn", {"encoder": "test_vit"}, "maps that are 16 times smaller.*needs 4, 8 and 32 too: take another"),
        ("pspnet", {"encoder": "test_vit"}, "needs 8 too"),
        ("pan", {"encoder": "test_vit", "output_stride": 32}, "needs"),
        ("deeplabv3plus", {"encoder": "vgg11_bn"}, "set output_stride = 32"),
        ("deeplabv3", {"encoder": "test_vit"}, "set output_stride = 32"),
        ("upernet", {"encoder": "inception_v3"}, "any size"),
        ("fpn", {**TINY, "width": 100}, "multiple of 64"),
        ("dpt", {"encoder": "efficientvit_m0"}, "plain transformer"),
        ("deeplabv3", {**TINY, "output_stride": 4}, "output_stride = 4"),
        ("linknet", {**TINY, "dropout": 0.1}, "means nothing there"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadOption, match=message):
        build_network(name, bands=3, classes=2, options=options)


def test_an_unknown_encoder_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'resnet34'"):
        build_network("linknet", bands=3, classes=2, options={"encoder": "resnet3"})


@pytest.mark.parametrize("name", ["fpn", "pspnet", "deeplabv3plus", "dpt"])
def test_encoder_weights_are_loaded_and_fitted_to_the_bands(name: str, tmp_path: Path) -> None:
    torch.manual_seed(2)
    prefix = "model." if name == "dpt" else ""
    encoder = build_encoder(EncoderOptions(FAMILY[name]["encoder"]), bands=3)
    source = {key.removeprefix(prefix): t for key, t in encoder.module.state_dict().items()}
    file = tmp_path / "encoder.safetensors"
    save_file(source, file)
    network = build_network(name, bands=5, classes=2, options={**FAMILY[name], "pretrained_path": str(file)})
    cut = f"encoder.{prefix}"
    own = {key.removeprefix(cut): t for key, t in network.state_dict().items() if key.startswith(cut)}
    other = [key for key in own if own[key].shape != source[key].shape]
    assert len(other) == 1
    assert own[other[0]].shape[1] == 5
    assert all(torch.equal(own[key], source[key]) for key in own if key not in other)


@given(height=st.integers(1, 40), width=st.integers(1, 40), cells=st.integers(1, 7))
@settings(max_examples=60, deadline=None)
def test_grid_means_are_adaptive_pooling(height: int, width: int, cells: int) -> None:
    maps = torch.rand(2, 3, height, width, dtype=torch.float64)
    torch.testing.assert_close(GridMean(cells)(maps), F.adaptive_avg_pool2d(maps, cells))
