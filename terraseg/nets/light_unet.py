"""A U-Net with a light decoder: what trains fastest for its accuracy on a processor."""

from dataclasses import replace
from typing import Literal

import numpy as np
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from torch import Tensor, nn

from terraseg.errors import BadOption
from terraseg.nets.encoders import EncoderOptions, build_encoder, encoder_shape
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
    training. `deepest` is the reduction of the coarsest map that is used, None for the encoder's last.
    """

    def __init__(
        self,
        bands: int,
        classes: int,
        encoder: EncoderOptions,
        *,
        decoder: DecoderWidth = "light",
        dropout: float = 0.0,
        deepest: int | None = None,
    ) -> None:
        super().__init__()
        built = build_encoder(cut_at(encoder, deepest), bands=bands)
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


def cut_at(encoder: EncoderOptions, deepest: int | None) -> EncoderOptions:
    """The encoder without its maps coarser than `deepest`, and without the layers that make them; all of it for None.

    On small patches the deepest stage of a classifier holds most of the weights and a handful of places to use them on.
    """
    if deepest is None:
        return encoder
    shape = encoder_shape(encoder.name)
    places = tuple(found.place for found in shape.maps if found.reduction <= deepest)
    if not places:
        raise BadOption(
            f"encoder {encoder.name!r} begins at a reduction of {shape.reductions[0]}: set deepest to that or more"
        )
    return encoder if len(places) == len(shape.maps) else replace(encoder, places=places)


def light_stride(encoder: str, deepest: int | None) -> int:
    """The network's stride."""
    places = cut_at(EncoderOptions(encoder), deepest).places
    return encoder_shape(encoder, places=places).stride


def decoder_widths(decoder: DecoderWidth, depth: int) -> tuple[int, ...]:
    """Channels of the decoder's `depth` blocks, coarsest first; other depths than five stretch the table.

    Stretched widths are cut to multiples of 16, in which processors and GPUs multiply: 40 channels cost a third more than 32.

    >>> decoder_widths("light", 5)
    (128, 64, 48, 32, 16)
    >>> decoder_widths("light", 4)
    (128, 64, 32, 16)
    """
    coarsest, *finer = WIDTHS[decoder]
    if depth == len(WIDTHS[decoder]):
        return WIDTHS[decoder]
    stretched = np.interp(np.linspace(0, len(finer) - 1, depth - 1), range(len(finer)), finer)
    return (coarsest, *(max(finer[-1], int(width) // 16 * 16) for width in stretched))
