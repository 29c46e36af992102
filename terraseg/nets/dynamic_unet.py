"""A U-Net on any image classifier, its decoder inferred from the encoder's feature maps."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from terraseg.nets.encoders import EncoderOptions, build_encoder, take
from terraseg.nets.padding import crop_to, image_size, pad_to_stride


class DynamicUNet(nn.Module):
    """`dynamic-unet`: the network behind fastai's DynamicUnet and arcgis.learn's UnetClassifier, on any timm encoder.

    Between two neighbouring sizes of the encoder stands one decoder block; a last upsampling reaches the input's size, where
    the input itself joins. `dropout` is the share of the encoder's deepest channels dropped in training. Layers as in Howard
    and Gugger, "fastai: a layered API for deep learning", Information 11 (2020).
    """

    def __init__(self, bands: int, classes: int, encoder: EncoderOptions, *, dropout: float = 0.0) -> None:
        super().__init__()
        built = build_encoder(encoder, bands=bands)
        self.encoder, self.shape = built.module, built.shape
        self.stride: int = built.shape.stride
        sizes = [found.channels for found in built.shape.by_size]
        channels = sizes[-1]
        self.middle = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Dropout2d(dropout),
            *_conv_relu(channels, 2 * channels),
            *_conv_relu(2 * channels, channels),
        )
        self.blocks = nn.ModuleList()
        steps = [coarse // fine for fine, coarse in pairwise(built.shape.reductions)]
        last = len(steps) - 1
        for place, (skip, step) in enumerate(zip(reversed(sizes[:-1]), reversed(steps), strict=True)):
            block = _DecoderBlock(channels, skip, step, halve=place == last)
            self.blocks.append(block)
            channels = block.outputs
        finest = built.shape.reductions[0]
        self.to_input = _pixel_shuffle(channels, channels, finest) if finest > 1 else nn.Identity()
        channels += bands
        self.cross = nn.Sequential(*_conv_relu(channels, channels), nn.Conv2d(channels, channels, 3, padding=1))
        self.final = nn.Conv2d(channels, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, classes, h, w) of normalised images (n, bands, h, w)."""
        padded = pad_to_stride(images, self.stride)
        features = take(self.encoder(padded), self.shape.by_size, channels_last=self.shape.channels_last)
        x = self.middle(features[-1])
        for block, skip in zip(self.blocks, features[-2::-1], strict=True):
            x = block(x, skip)
        x = torch.cat([self.to_input(x), padded], 1)
        x = torch.relu(self.cross(x) + x)
        return crop_to(self.final(x), image_size(images))


class _DecoderBlock(nn.Module):
    def __init__(self, inputs: int, skip: int, step: int, *, halve: bool) -> None:
        super().__init__()
        joined = inputs // 2 + skip
        self.outputs = joined // 2 if halve else joined
        self.up = _pixel_shuffle(inputs, inputs // 2, step)
        self.norm = nn.BatchNorm2d(skip)
        self.convs = nn.Sequential(*_conv_relu(joined, self.outputs), *_conv_relu(self.outputs, self.outputs))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        joined = torch.cat([self.up(x), self.norm(skip)], 1)
        out: Tensor = self.convs(torch.relu(joined))
        return out


def _conv_relu(inputs: int, outputs: int) -> tuple[nn.Module, nn.Module]:
    conv = nn.Conv2d(inputs, outputs, 3, padding=1)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    return conv, nn.ReLU()


def _pixel_shuffle(inputs: int, outputs: int, scale: int) -> nn.Sequential:
    """Upsampling by sub-pixels that begins as a nearest-neighbour one and so without checkerboard (Aitken et al., 2017)."""
    conv = nn.Conv2d(inputs, outputs * scale**2, 1)
    each = nn.init.kaiming_normal_(torch.empty(outputs, inputs, 1, 1), nonlinearity="relu")
    assert conv.bias is not None
    with torch.no_grad():
        conv.weight.copy_(each.repeat_interleave(scale**2, dim=0))
        conv.bias.zero_()
    return nn.Sequential(conv, nn.ReLU(), nn.PixelShuffle(scale))
