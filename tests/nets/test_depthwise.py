"""Strided depthwise convolutions in float32 among 16-bit ones: same weights, same numbers, a tighter rounding."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from terraseg.nets.build import build_network
from terraseg.nets.depthwise import StridedDepthwise, with_strided_depthwise


def convolution(*, stride: int = 2, groups: int = 8, bias: bool = True) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(8, 8, 3, stride=stride, padding=1, groups=groups, bias=bias)


@pytest.mark.parametrize("bias", [False, True])
def test_it_is_the_convolution_that_it_stands_for(bias: bool) -> None:
    conv, maps = convolution(bias=bias), torch.randn(2, 8, 11, 14)
    other = StridedDepthwise(conv)
    assert torch.equal(other(maps), conv(maps))
    assert other.state_dict().keys() == conv.state_dict().keys()


def test_under_autocast_it_is_float32_inside_and_keeps_the_type_outside() -> None:
    conv, maps = convolution(), torch.randn(2, 8, 11, 14).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = StridedDepthwise(conv)(maps)
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, conv(maps.float()).bfloat16())


def test_its_gradients_under_autocast_are_those_of_float32() -> None:
    conv, maps = convolution(), torch.randn(2, 8, 16, 16)
    conv(maps).square().mean().backward()
    wanted, layer = conv.weight.grad, StridedDepthwise(deepcopy(conv))
    layer.weight.grad = None
    with torch.autocast("cpu", dtype=torch.bfloat16):
        layer(maps).square().mean().backward()
    assert wanted is not None
    torch.testing.assert_close(layer.weight.grad, wanted)


def test_only_depthwise_convolutions_with_a_stride_are_replaced() -> None:
    layers = nn.Sequential(
        convolution(), nn.Sequential(convolution(stride=1)), convolution(groups=2), nn.Conv2d(1, 4, 3, stride=2)
    )
    with_strided_depthwise(layers)
    assert [type(layer) for layer in layers] == [StridedDepthwise, nn.Sequential, nn.Conv2d, nn.Conv2d]


def test_encoders_are_built_with_it_and_keep_their_weights_names() -> None:
    import timm

    network = build_network("unet-light", bands=3, classes=2, options={"encoder": "mobilenetv2_050"})
    replaced = [m for m in network.encoder.modules() if isinstance(m, StridedDepthwise)]  # type: ignore[union-attr]
    plain = timm.create_model("mobilenetv2_050", features_only=True, in_chans=3)
    assert len(replaced) == 4
    assert network.encoder.state_dict().keys() == plain.state_dict().keys()  # type: ignore[union-attr]
