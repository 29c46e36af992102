"""What a network costs: its parameters, and its arithmetic per pixel of imagery."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from terraseg.nets.build import architecture_options, build_network, network_stride, parameter_count
from terraseg.nets.encoders import EncoderOptions, encoder_module

TILE = 256
"""The side in pixels of the square that arithmetic is counted on, or the next multiple of the network's stride."""


@dataclass(frozen=True)
class Cost:
    """Trainable parameters, floating-point operations of a forward pass per input pixel, and the stride.

    A multiplication and an addition count as two operations; normalisations, activations and resizing count as none.
    Attention over all places, as in plain transformers and `manet`, costs more per pixel on larger tiles than on `TILE`.
    """

    parameters: int
    flops_per_pixel: float
    stride: int

    @property
    def gflops_per_megapixel(self) -> float:
        """Billions of operations for a million pixels."""
        return self.flops_per_pixel / 1e3


def network_cost(name: str, *, bands: int, classes: int, options: Mapping[str, Any]) -> Cost:
    """What the network of that name costs; neither weights nor numbers are made, only sizes followed.

    Raises as `build_network` does, without looking for pretrained weights.
    """
    plain = architecture_options(options)
    with torch.device("meta"):
        network = build_network(name, bands=bands, classes=classes, options=plain).eval()
    stride = network_stride(name, plain)
    side = -(-TILE // stride) * stride
    return Cost(parameter_count(network), forward_flops(network, bands, side) / side**2, stride)


def forward_flops(module: nn.Module, bands: int, side: int) -> int:
    """The operations of a forward pass on one image of `side` x `side` pixels, as torch counts them."""
    device = next((p.device for p in module.parameters()), torch.device("meta"))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.zeros(1, bands, side, side, device=device))
    return int(counter.get_total_flops())


def encoder_parameter_count(name: str) -> int:
    """The parameters of a timm encoder for three bands, without its classifier."""
    with torch.device("meta"):
        return parameter_count(encoder_module(EncoderOptions(name), 3, {}))
