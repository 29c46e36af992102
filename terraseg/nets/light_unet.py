"""A U-Net with a light decoder: what trains fastest for its accuracy on a processor."""

from typing import Literal

import numpy as np
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from torch import Tensor, nn

from terraseg.nets.encoders import EncoderOptions, build_encoder
from terraseg.nets.padding import crop_to, image_size, pad_to_stride
from terraseg.nets.pyramid import build_pyramid

DecoderWidth = Literal["tiny", "light", "wide"]

WIDTHS: dict[DecoderWidth, tuple[int, ...]] = {
    "tiny": (96, 48, 32, 16, 8),
    "light": (128, 64, 48, 32, 16),
    "wide": (256, 128, 96, 64, 32),
}
"""Channels of the decoder's five blocks, coarsest first, for an encoder that shrinks by 32."""


class LightUNet(nn.Module):
    """`unet-light`: any timm encoder under segmentation-models-pytorch's U-Net decoder of few channels.

    The decoder doubles the size by nearest neighbour, joins the encoder's map of that size, and convolves twice with batch
    normalisation; a 3x3 convolution gives the logits. Encoders that have no map of some size (ConvNeXt and transformers
    begin at a quarter) get blocks without a skip there. `dropout` is the share of the encoder's deepest channels dropped in
    training.
    """

    def __init__(
        self,
        bands: int,
        classes: int,
        encoder: EncoderOptions,
        *,
        decoder: DecoderWidth = "light",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        built = build_encoder(encoder, bands=bands)
        self.encoder = built.module
        self.stride = built.shape.stride
        self.pyramid = build_pyramid(built.shape, f"encoder {encoder.name!r} under network unet-light")
        channels = (bands, *self.pyramid.channels)
        widths = decoder_widths(decoder, len(self.pyramid.levels))
        self.dropout = nn.Dropout2d(dropout)
        self.decoder = UnetDecoder(encoder_channels=channels, decoder_channels=widths, n_blocks=len(widths))
        self.head = nn.Conv2d(widths[-1], classes, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, classes, h, w) of normalised images (n, bands, h, w)."""
        padded = pad_to_stride(images, self.stride)
        *maps, deepest = self.pyramid.read(padded, self.encoder(padded))
        return crop_to(self.head(self.decoder([*maps, self.dropout(deepest)])), image_size(images))


def decoder_widths(decoder: DecoderWidth, depth: int) -> tuple[int, ...]:
    """Channels of the decoder's `depth` blocks, coarsest first; other depths than five stretch the table.

    >>> decoder_widths("light", 5)
    (128, 64, 48, 32, 16)
    >>> decoder_widths("tiny", 4)
    (96, 48, 24, 8)
    """
    coarsest, *finer = WIDTHS[decoder]
    places = np.linspace(0, len(finer) - 1, depth - 1)
    return (coarsest, *(int(w) for w in np.interp(places, range(len(finer)), finer).round()))
