"""The residual U-Net with a dilated bottleneck, made for ISPRS Potsdam and Inria (M. Sebai)."""

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from terraseg.nets.padding import crop_to, image_size, pad_to_stride

RESIDUAL_STRIDE = 16
DILATIONS = (1, 2, 4, 8)

Shortcut = Literal["concat", "add"]
Bottleneck = Literal["parallel", "serial"]


class ResidualUNet(nn.Module):
    """`residual-unet`: blocks joined with their own input, four dilated branches at the bottom; stride 16.

    `shortcut` "concat" sets a block's output beside its input, as the source does and calls residual; "add" adds the
    input through a 1x1 projection. `bottleneck` "parallel" gives every dilated branch the same input, "serial" chains
    them; both concatenate all four. `width` is the first block's, 32 in the source; the bottom's is 16 times that.
    """

    def __init__(
        self,
        bands: int,
        classes: int,
        *,
        shortcut: Shortcut = "concat",
        bottleneck: Bottleneck = "parallel",
        width: int = 32,
    ) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width, 8 * width]
        skips = _skip_channels(bands, widths, shortcut)
        blocks = zip([bands, *skips[:-1]], widths, strict=True)
        self.encoder = nn.ModuleList(_ResidualBlock(inputs, size, shortcut) for inputs, size in blocks)
        self.pool = nn.MaxPool2d(2)
        self.bottom = _DilatedBottom(skips[-1], 16 * width, serial=bottleneck == "serial")
        channels = len(DILATIONS) * 16 * width
        self.up, self.decoder = nn.ModuleList(), nn.ModuleList()
        for size, skip in zip(reversed(widths), reversed(skips), strict=True):
            self.up.append(nn.ConvTranspose2d(channels, size, 2, stride=2))
            self.decoder.append(_ResidualBlock(size + skip, size, shortcut))
            channels = _block_channels(size + skip, size, shortcut)
        self.final = nn.Conv2d(channels, classes, 1)
        self.apply(_he_normal)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, classes, h, w) of normalised images (n, bands, h, w)."""
        x = pad_to_stride(images, RESIDUAL_STRIDE)
        skips: list[Tensor] = []
        for block in self.encoder:
            skips.append(block(x))
            x = self.pool(skips[-1])
        x = self.bottom(x)
        for up, block, skip in zip(self.up, self.decoder, reversed(skips), strict=True):
            x = block(torch.cat([up(x), skip], 1))
        return crop_to(self.final(x), image_size(images))


class _ResidualBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.convs = _conv_relu_norm_twice(inputs, outputs, 1)
        self.project = nn.Conv2d(inputs, outputs, 1) if shortcut == "add" else None

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.convs(x)
        return torch.cat([y, x], 1) if self.project is None else y + self.project(x)


class _DilatedBottom(nn.Module):
    def __init__(self, inputs: int, width: int, *, serial: bool) -> None:
        super().__init__()
        self.serial = serial
        starts = [inputs, *[width if serial else inputs] * (len(DILATIONS) - 1)]
        branches = zip(starts, DILATIONS, strict=True)
        self.branches = nn.ModuleList(_conv_relu_norm_twice(start, width, dilation) for start, dilation in branches)

    def forward(self, x: Tensor) -> Tensor:
        outputs: list[Tensor] = []
        for branch in self.branches:
            outputs.append(branch(outputs[-1] if self.serial and outputs else x))
        return torch.cat(outputs, 1)


def _conv_relu_norm_twice(inputs: int, outputs: int, dilation: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for start, stop in pairwise((inputs, outputs, outputs)):
        conv = nn.Conv2d(start, stop, 3, padding=dilation, dilation=dilation)
        layers += [conv, nn.ReLU(), nn.BatchNorm2d(stop)]
    return nn.Sequential(*layers)


def _block_channels(inputs: int, width: int, shortcut: Shortcut) -> int:
    return width + inputs if shortcut == "concat" else width


def _skip_channels(bands: int, widths: list[int], shortcut: Shortcut) -> list[int]:
    channels: list[int] = []
    for width in widths:
        channels.append(_block_channels(channels[-1] if channels else bands, width, shortcut))
    return channels


def _he_normal(module: nn.Module) -> None:
    """He et al., "Delving deep into rectifiers", ICCV 2015."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
