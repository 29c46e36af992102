"""The two plain U-Nets: the small one of the 38-Cloud tutorial and the classic teaching form."""

import torch
from torch import Tensor, nn

from terraseg.nets.padding import crop_to, image_size, pad_to_stride

SIMPLE_STRIDE = 8


class SimpleUNet(nn.Module):
    """`simple-unet`: three contracting and three expanding blocks (M. Cordeiro, 2020, for the 38-Cloud set).

    Takes (n, bands, h, w) and gives logits (n, classes, h, w). The parameters' names and order are those of its source.
    """

    def __init__(self, bands: int, classes: int) -> None:
        super().__init__()
        self.conv1 = _contracting(bands, 32, 7)
        self.conv2 = _contracting(32, 64, 3)
        self.conv3 = _contracting(64, 128, 3)
        self.upconv3 = _expanding(128, 64)
        self.upconv2 = _expanding(64 + 64, 32)
        self.upconv1 = _expanding(32 + 32, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of normalised images."""
        first = self.conv1(pad_to_stride(images, SIMPLE_STRIDE))
        second = self.conv2(first)
        third = self.upconv3(self.conv3(second))
        x = self.upconv2(torch.cat([third, second], 1))
        return crop_to(self.upconv1(torch.cat([x, first], 1)), image_size(images))


def _contracting(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, kernel, padding=kernel // 2),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2, padding=1),
    )


def _expanding(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
        nn.ConvTranspose2d(outputs, outputs, 3, stride=2, padding=1, output_padding=1),
    )


class ClassicUNet(nn.Module):
    """`unet`: blocks of two 3x3 convolutions, 2x2 max-pools down, transposed convolutions and skips up.

    `depth` counts the levels (4: widths 64, 128, 256, 512 at `width` 64); the stride is 2 to the power `depth` - 1. After
    Ronneberger, Fischer and Brox, "U-Net", MICCAI 2015, with "same" padding.
    """

    def __init__(self, bands: int, classes: int, *, depth: int = 4, width: int = 64, batch_norm: bool = False) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(depth)]
        inputs = [bands, *widths[:-1]]
        self.stride: int = 2 ** (depth - 1)
        self.encoder = nn.ModuleList(_double_conv(i, o, batch_norm) for i, o in zip(inputs, widths, strict=True))
        self.pool = nn.MaxPool2d(2)
        above = widths[-2::-1]
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, stride=2) for w in above)
        self.decoder = nn.ModuleList(_double_conv(2 * w, w, batch_norm) for w in above)
        self.final = nn.Conv2d(width, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, classes, h, w) of normalised images (n, bands, h, w)."""
        x = pad_to_stride(images, self.stride)
        skips: list[Tensor] = []
        for level, block in enumerate(self.encoder):
            x = block(self.pool(x) if level else x)
            skips.append(x)
        for up, block, skip in zip(self.up, self.decoder, skips[-2::-1], strict=True):
            x = block(torch.cat([skip, up(x)], 1))
        return crop_to(self.final(x), image_size(images))


def _double_conv(inputs: int, outputs: int, batch_norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in (inputs, outputs):
        layers.append(nn.Conv2d(width, outputs, 3, padding=1))
        if batch_norm:
            layers.append(nn.BatchNorm2d(outputs))
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)
