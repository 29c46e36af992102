"""The five networks against their published layer tables, at any band count, class count and image size."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from terraseg.errors import BadOption, UnknownName
from terraseg.nets.build import architecture_options, build_network, network_stride, parameter_count
from terraseg.nets.light_unet import WIDTHS, DecoderWidth

LIGHT: dict[str, dict[str, Any]] = {
    "simple-unet": {},
    "unet": {"width": 8},
    "unet-light": {"encoder": "mobilenetv2_050"},
    "unet-resnet": {"encoder": "resnet18"},
    "dynamic-unet": {"encoder": "mobilenetv2_100"},
    "residual-unet": {"width": 4},
}
STRIDES = {"simple-unet": 8, "unet": 8, "unet-light": 32, "unet-resnet": 64, "dynamic-unet": 32, "residual-unet": 16}


def conv(inputs: int, outputs: int, kernel: int, *, bias: bool = True) -> int:
    return inputs * outputs * kernel**2 + (outputs if bias else 0)


def norm(width: int) -> int:
    return 2 * width


def layers(network: nn.Module) -> list[tuple[int, int, int, int, int]]:
    """(inputs, outputs, kernel, stride, dilation) of every convolution, in order of their making."""
    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    found = [m for m in network.modules() if isinstance(m, kinds)]
    return [(m.in_channels, m.out_channels, m.kernel_size[0], m.stride[0], m.dilation[0]) for m in found]


def test_simple_unet_has_its_layers() -> None:
    network = build_network("simple-unet", bands=4, classes=2, options={})
    down = [(4, 32, 7), (32, 32, 7), (32, 64, 3), (64, 64, 3), (64, 128, 3), (128, 128, 3)]
    up = [(128, 64, 3), (64, 64, 3), (64, 64, 3, 2), (128, 32, 3), (32, 32, 3), (32, 32, 3, 2)]
    up += [(64, 2, 3), (2, 2, 3), (2, 2, 3, 2)]
    table = [(*row[:3], row[3] if len(row) > 3 else 1, 1) for row in down + up]
    assert layers(network) == table
    norms = [32, 32, 64, 64, 128, 128, 64, 64, 32, 32, 2, 2]
    assert parameter_count(network) == sum(conv(*row[:3]) for row in down + up) + sum(map(norm, norms))
    pools = [m for m in network.modules() if isinstance(m, nn.MaxPool2d)]
    assert [(p.kernel_size, p.stride, p.padding) for p in pools] == [(3, 2, 1)] * 3


@pytest.mark.parametrize("batch_norm", [False, True])
def test_unet_has_its_layers(batch_norm: bool) -> None:
    network = build_network("unet", bands=3, classes=6, options={"batch_norm": batch_norm})
    blocks = [(3, 64), (64, 128), (128, 256), (256, 512), (512, 256), (256, 128), (128, 64)]
    expected = sum(conv(i, o, 3) + conv(o, o, 3) for i, o in blocks)
    expected += sum(conv(2 * w, w, 2) for w in (256, 128, 64)) + conv(64, 6, 1)
    expected += sum(2 * norm(o) for _, o in blocks) if batch_norm else 0
    assert parameter_count(network) == expected
    assert [row for row in layers(network) if row[2] == 2] == [
        (512, 256, 2, 2, 1),
        (256, 128, 2, 2, 1),
        (128, 64, 2, 2, 1),
    ]


def resnet_parameters(bands: int, blocks: tuple[int, ...], *, bottleneck: bool) -> int:
    """He et al., "Deep residual learning", 2016, table 1, without the classifier."""
    total = conv(bands, 64, 7, bias=False) + norm(64)
    inputs = 64
    for stage, count in enumerate(blocks):
        width = 64 * 2**stage
        outputs = 4 * width if bottleneck else width
        for block in range(count):
            if bottleneck:
                total += conv(inputs, width, 1, bias=False) + conv(width, width, 3, bias=False)
                total += conv(width, outputs, 1, bias=False) + 2 * norm(width) + norm(outputs)
            else:
                total += conv(inputs, width, 3, bias=False) + conv(width, width, 3, bias=False) + 2 * norm(width)
            if block == 0 and inputs != outputs:
                total += conv(inputs, outputs, 1, bias=False) + norm(outputs)
            inputs = outputs
    return total


@pytest.mark.parametrize(
    ("encoder", "blocks", "widths"),
    [
        ("resnet18", (2, 2, 2, 2), (64, 128, 256, 512)),
        ("resnet34", (3, 4, 6, 3), (64, 128, 256, 512)),
        ("resnet50", (3, 4, 6, 3), (256, 512, 1024, 2048)),
        ("resnet101", (3, 4, 23, 3), (256, 512, 1024, 2048)),
    ],
)
def test_unet_resnet_has_its_layers(encoder: str, blocks: tuple[int, ...], widths: tuple[int, ...]) -> None:
    built = build_network("unet-resnet", bands=3, classes=2, options={"encoder": encoder})
    w2, w3, w4, w5 = widths
    decoder = [(w5, 512, 256), (w5 + 256, 512, 256), (w4 + 256, 512, 256), (w3 + 256, 256, 64), (w2 + 64, 128, 128)]
    decoder.append((128, 128, 32))
    expected = [row for i, m, o in decoder for row in ((i, m, 3, 1, 1), (m, o, 4, 2, 1))]
    expected += [(32, 32, 3, 1, 1), (32, 2, 1, 1, 1)]
    assert layers(built)[-len(expected) :] == expected
    count = resnet_parameters(3, blocks, bottleneck=w5 == 2048)
    count += sum(conv(i, o, k) for i, o, k, _, _ in expected)
    assert parameter_count(built) == count
    assert isinstance(built.encoder, nn.ModuleDict)
    pool = built.encoder["maxpool"]
    assert isinstance(pool, nn.MaxPool2d)
    assert (pool.kernel_size, pool.stride, pool.padding) == (2, 2, 0)


def dynamic_decoder_parameters(channels: tuple[int, ...], bands: int, classes: int) -> int:
    """After fastai's DynamicUnet, from the encoder's channels, finest first, each half the size of the one before."""
    deepest = channels[-1]
    total = norm(deepest) + conv(deepest, 2 * deepest, 3) + conv(2 * deepest, deepest, 3)
    x = deepest
    for place, skip in enumerate(channels[-2::-1]):
        joined = x // 2 + skip
        out = joined // 2 if place == len(channels) - 2 else joined
        total += conv(x, 4 * (x // 2), 1) + norm(skip) + conv(joined, out, 3) + conv(out, out, 3)
        x = out
    total += conv(x, 4 * x, 1)
    return total + 2 * conv(x + bands, x + bands, 3) + conv(x + bands, classes, 1)


def test_dynamic_unet_has_its_layers() -> None:
    network = build_network("dynamic-unet", bands=4, classes=3, options={})
    encoder = resnet_parameters(4, (3, 4, 6, 3), bottleneck=False)
    assert parameter_count(network) == encoder + dynamic_decoder_parameters((64, 64, 128, 256, 512), 4, 3)


@pytest.mark.parametrize("bottleneck", ["parallel", "serial"])
@pytest.mark.parametrize("shortcut", ["concat", "add"])
def test_residual_unet_has_its_layers(shortcut: str, bottleneck: str) -> None:
    network = build_network(
        "residual-unet", bands=3, classes=6, options={"shortcut": shortcut, "bottleneck": bottleneck}
    )

    def twice(inputs: int, outputs: int) -> int:
        return conv(inputs, outputs, 3) + conv(outputs, outputs, 3) + 2 * norm(outputs)

    def block(inputs: int, outputs: int) -> tuple[int, int]:
        added = shortcut == "add"
        return twice(inputs, outputs) + (
            conv(inputs, outputs, 1) if added else 0
        ), outputs if added else inputs + outputs

    expected, x = 0, 3
    skips: list[int] = []
    for width in (32, 64, 128, 256):
        count, x = block(x, width)
        expected, skips = expected + count, [*skips, x]
    later = 512 if bottleneck == "serial" else x
    expected += twice(x, 512) + 3 * twice(later, 512)
    x = 4 * 512
    for width, skip in zip((256, 128, 64, 32), reversed(skips), strict=True):
        count, out = block(width + skip, width)
        expected, x = expected + conv(x, width, 2) + count, out
    assert parameter_count(network) == expected + conv(x, 6, 1)
    assert [row[4] for row in layers(network) if row[4] > 1] == [2, 2, 4, 4, 8, 8]


def test_residual_unet_begins_he_normal() -> None:
    torch.manual_seed(0)
    network = build_network("residual-unet", bands=3, classes=2, options={})
    weights = {name: p for name, p in network.named_parameters() if p.ndim == 4 and p.shape[2] == 3}
    for name, weight in weights.items():
        expected = (2 / (weight.shape[1] * 9)) ** 0.5
        assert float(weight.detach().std()) == pytest.approx(expected, rel=0.1), name
    assert all(not m.bias.any() for m in network.modules() if isinstance(m, nn.Conv2d) and m.bias is not None)


@pytest.mark.parametrize("name", LIGHT)
def test_output_has_the_input_s_size_for_all_bands_and_classes(name: str) -> None:
    for bands, classes in ((1, 2), (3, 1), (4, 6), (6, 2)):
        network = build_network(name, bands=bands, classes=classes, options=LIGHT[name]).eval()
        with torch.no_grad():
            for height, width in ((1, 1), (37, 51), (64, 3)):
                assert network(torch.rand(2, bands, height, width)).shape == (2, classes, height, width)


@pytest.mark.parametrize("name", LIGHT)
def test_stride_is_the_size_that_needs_no_padding(name: str) -> None:
    assert network_stride(name, LIGHT[name]) == STRIDES[name]


@given(height=st.integers(1, 40), width=st.integers(1, 40))
@settings(max_examples=15, deadline=None)
def test_padding_inside_is_numpy_s_symmetric(height: int, width: int) -> None:
    """An odd image scores as its mirrored extension does, wherever the mirror is shorter than the image."""
    torch.manual_seed(1)
    network = build_network("unet", bands=2, classes=3, options={"width": 4, "depth": 3}).eval()
    image = torch.rand(1, 2, height, width)
    rows, cols = -height % 4, -width % 4
    padded = mirrored(mirrored(image, rows, 2), cols, 3)
    with torch.no_grad():
        assert torch.equal(network(image), network(padded)[..., :height, :width])


def mirrored(image: Tensor, extra: int, axis: int) -> Tensor:
    size = image.shape[axis]
    order = [*range(size), *(max(0, size - 1 - i) for i in range(extra))]
    return image[:, :, order] if axis == 2 else image[:, :, :, order]


@pytest.mark.parametrize("name", LIGHT)
def test_training_works_channels_last_in_bfloat16(name: str) -> None:
    torch.manual_seed(0)
    network = build_network(name, bands=3, classes=2, options=LIGHT[name])
    network = network.to(memory_format=torch.channels_last)
    images = torch.rand(2, 3, 70, 66).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(images)
    logits.float().square().mean().backward()
    assert logits.shape == (2, 2, 70, 66)
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    assert len(gradients) == len(list(network.parameters()))
    assert all(bool(torch.isfinite(g).all()) for g in gradients)


@pytest.mark.parametrize("name", ["dynamic-unet", "unet-light"])
def test_dropout_acts_in_training_only(name: str) -> None:
    network = build_network(name, bands=3, classes=2, options={**LIGHT[name], "dropout": 0.5})
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        network.eval()
        assert torch.equal(network(image), network(image))
        for module in network.modules():
            if isinstance(module, nn.Dropout2d):
                module.train()
        assert not torch.equal(network(image), network(image))


@pytest.mark.parametrize("encoder", ["convnext_atto", "vgg11_bn"])
def test_dynamic_unet_takes_encoders_that_begin_at_other_strides(encoder: str) -> None:
    network = build_network("dynamic-unet", bands=2, classes=2, options={"encoder": encoder}).eval()
    with torch.no_grad():
        assert network(torch.rand(1, 2, 33, 40)).shape == (1, 2, 33, 40)


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("unet-resent", {}, UnknownName, "did you mean 'unet-resnet'"),
        ("unet", {"dept": 3}, BadOption, "did you mean 'depth'"),
        ("unet", {"depth": 0}, BadOption, "depth = 0"),
        ("residual-unet", {"shortcut": "sum"}, BadOption, "'concat' or 'add'"),
        ("unet-resnet", {"encoder": "resnet152"}, UnknownName, "resnet101"),
        ("dynamic-unet", {"encoder": "resnet3"}, UnknownName, "did you mean 'resnet34'"),
        ("dynamic-unet", {"encoder": "inception_v3"}, BadOption, "take another"),
        ("dynamic-unet", {"encoder": "vgg11", "drop_path": 0.1}, BadOption, "set drop_path = 0"),
        ("unet-light", {"decoder": "narrow"}, BadOption, "decoder = 'narrow'"),
    ],
)
def test_what_cannot_be_built_is_refused_with_the_fix(
    name: str, options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        build_network(name, bands=3, classes=2, options=options)


def test_no_bands_or_no_classes_are_refused() -> None:
    with pytest.raises(BadOption, match="at least one of each"):
        build_network("unet", bands=0, classes=2, options={})


def test_architecture_options_leave_out_initial_weights() -> None:
    options = {"encoder": "resnet18", "pretrained": True, "pretrained_path": "a.safetensors"}
    assert architecture_options(options) == {"encoder": "resnet18"}


@pytest.mark.parametrize(
    ("decoder", "widths"),
    [("tiny", (96, 48, 32, 16, 8)), ("light", (128, 64, 48, 32, 16)), ("wide", (256, 128, 96, 64, 32))],
)
def test_unet_light_has_its_decoder(decoder: DecoderWidth, widths: tuple[int, ...]) -> None:
    """Each block convolves [upsampled, skip] to its width and once more, both with batch normalisation and no bias."""
    built = build_network("unet-light", bands=4, classes=3, options={"encoder": "resnet18", "decoder": decoder})
    assert WIDTHS[decoder] == widths
    inputs, skips = (512, *widths[:-1]), (256, 128, 64, 64, 0)
    blocks = sum(
        conv(i + s, w, 3, bias=False) + conv(w, w, 3, bias=False) + 2 * 2 * w
        for i, s, w in zip(inputs, skips, widths, strict=True)
    )
    count = resnet_parameters(4, (2, 2, 2, 2), bottleneck=False) + blocks + conv(widths[-1], 3, 3)
    assert parameter_count(built) == count


def test_unet_light_is_light_by_default() -> None:
    """Bundles of before the choice was there have the same tensors in the same order."""
    default, light = (
        build_network("unet-light", bands=3, classes=2, options={"encoder": "test_resnet", **more}).state_dict()
        for more in ({}, {"decoder": "light", "dropout": 0.0})
    )
    assert [(key, t.shape) for key, t in default.items()] == [(key, t.shape) for key, t in light.items()]
    assert {key.partition(".")[0] for key in default} == {"encoder", "decoder", "head"}


def test_unet_light_takes_an_encoder_that_starts_at_a_quarter() -> None:
    built = build_network("unet-light", bands=3, classes=2, options={"encoder": "convnext_atto"}).eval()
    assert built(torch.rand(1, 3, 70, 41)).shape == (1, 2, 70, 41)


def test_unet_light_can_leave_out_the_coarsest_maps() -> None:
    options = {"encoder": "test_resnet", "deepest": 16}
    assert network_stride("unet-light", options) == 16
    network = build_network("unet-light", bands=3, classes=2, options=options)
    whole = build_network("unet-light", bands=3, classes=2, options={"encoder": "test_resnet"})
    assert parameter_count(network) < parameter_count(whole)
    network(torch.rand(2, 3, 37, 51)).square().mean().backward()
    assert all(p.grad is not None for p in network.parameters())
    with pytest.raises(BadOption, match="set deepest to that or more"):
        build_network("unet-light", bands=3, classes=2, options={"encoder": "test_vit", "deepest": 8})
