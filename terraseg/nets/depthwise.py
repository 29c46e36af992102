"""Depthwise convolutions that training on a processor can afford."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class StridedDepthwise(nn.Module):
    """A depthwise convolution with a stride, in float32 on processors even where the rest is computed in 16 bit.

    oneDNN has no quick 16-bit kernel for its gradients: at 96 channels and 64 px they take six times as long as in float32, at
    576 channels and 8 px sixty times, and of a training step of a MobileNetV2 a third. Holds the parameters of the
    `nn.Conv2d` that it stands for under their names, so that weights fit both. On other devices it is that convolution.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias
        self.stride, self.padding, self.dilation, self.groups = conv.stride, conv.padding, conv.dilation, conv.groups

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (n, channels, h, w) to smaller ones, in the type that they have."""
        if maps.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return self._convolved(maps)
        with torch.autocast("cpu", enabled=False):
            return self._convolved(maps.float()).to(maps.dtype)

    def _convolved(self, maps: Tensor) -> Tensor:
        return F.conv2d(maps, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


def with_strided_depthwise(module: nn.Module) -> nn.Module:
    """The module with `StridedDepthwise` in the place of every depthwise convolution that has a stride.

    Subclasses of `nn.Conv2d` that pad in their own way stay as they are.
    """
    for name, child in module.named_children():
        if type(child) is not nn.Conv2d:
            with_strided_depthwise(child)
        elif child.groups == child.in_channels > 1 and max(child.stride) > 1 and child.padding_mode == "zeros":
            setattr(module, name, StridedDepthwise(child))
    return module
