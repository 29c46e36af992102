"""A U-Net with a light decoder: what trains fastest for its accuracy on a processor."""

from itertools import pairwise

import torch
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from torch import Tensor, nn

from terraseg.errors import BadOption
from terraseg.nets.encoders import EncoderOptions, build_encoder
from terraseg.nets.padding import crop_to, image_size, pad_to_stride

WIDEST = 128
"""Channels of the decoder's coarsest block; each finer one has fewer, down to 16."""
NARROWEST = 16


class LightUNet(nn.Module):
    """`unet-light`: any timm encoder under segmentation-models-pytorch's U-Net decoder of few channels.

    The decoder doubles the size by nearest neighbour, joins the encoder's map of that size, and convolves twice with batch
    normalisation; a 3x3 convolution gives the logits. Five blocks have 128, 64, 48, 32 and 16 channels. Encoders whose
    first map is coarser than half the image (ConvNeXt, transformers) get blocks without a skip there.
    """

    def __init__(self, bands: int, classes: int, encoder: EncoderOptions) -> None:
        super().__init__()
        built = build_encoder(encoder, bands=bands)
        self.encoder = built.module
        self.places = built.features
        self.stride = built.reductions[-1]
        if any(fine * 2 != coarse for fine, coarse in pairwise(built.reductions)):
            steps = ", ".join(map(str, built.reductions))
            raise BadOption(
                f"encoder {encoder.name!r} shrinks by {steps}: unet-light needs one that halves step by step"
            )
        depth = self.stride.bit_length() - 1
        self.skipped = depth - len(built.reductions)
        channels = (bands, *(0 for _ in range(self.skipped)), *built.channels)
        widths = light_widths(depth)
        self.decoder = UnetDecoder(encoder_channels=channels, decoder_channels=widths, n_blocks=depth)
        self.head = nn.Conv2d(widths[-1], classes, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, classes, h, w) of normalised images (n, bands, h, w)."""
        padded = pad_to_stride(images, self.stride)
        maps = self.encoder(padded)
        n, _, height, width = padded.shape
        empty = [padded.new_empty(n, 0, height >> level, width >> level) for level in range(1, self.skipped + 1)]
        decoded = self.decoder([padded, *empty, *(maps[place] for place in self.places)])
        return crop_to(self.head(decoded), image_size(images))


def light_widths(depth: int) -> tuple[int, ...]:
    """Channels of the decoder's blocks, coarsest first.

    >>> light_widths(5)
    (128, 64, 48, 32, 16)
    """
    steps = torch.linspace(64, NARROWEST, depth - 1) if depth > 1 else torch.tensor([])
    return (WIDEST, *(int(w) for w in steps.round().tolist()))
