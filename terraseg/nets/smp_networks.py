"""segmentation-models-pytorch's networks over our encoders: any timm encoder, any bands, classes and image size."""

from dataclasses import replace

from segmentation_models_pytorch.base.initialization import initialize_decoder, initialize_head
from torch import Tensor, nn

from terraseg.errors import BadOption
from terraseg.nets.decoders import RECIPES, DecoderSettings, build_dpt_decoder
from terraseg.nets.encoders import EncoderOptions, Shape, block_count, build_encoder, encoder_shape, take
from terraseg.nets.padding import crop_to, image_size, pad_to_stride
from terraseg.nets.pooling import enlarge
from terraseg.nets.pyramid import Pyramid, build_pyramid

DPT_MAPS = 4
UNDILATED = 32


class SmpNetwork(nn.Module):
    """An encoder, one of the library's decoders, a convolution to the classes, and an upsampling to the image's size.

    Layers and their initial weights are the library's; enlarging goes by pixel centres throughout where the library aligns
    corners, so that a tile's size does not shift what it shows.
    """

    def __init__(
        self, name: str, bands: int, classes: int, *, encoder: EncoderOptions, settings: DecoderSettings
    ) -> None:
        super().__init__()
        recipe = RECIPES[name]
        built = build_encoder(smp_encoder(name, encoder, settings), bands=bands)
        self.encoder, self.pooled = built.module, recipe.pooled
        self.stride = built.shape.stride * recipe.coarsest
        self.pyramid = _pyramid(name, encoder.name, built.shape, settings)
        self.decoder = recipe.build((bands, *self.pyramid.channels), settings)
        self.head = nn.Conv2d(recipe.outputs(settings.width), classes, recipe.kernel, padding=recipe.kernel // 2)
        self.enlargement = recipe.reduction or built.shape.reductions[-1]
        initialize_decoder(self.decoder)
        initialize_head(self.head)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, classes, h, w) of normalised images (n, bands, h, w)."""
        if self.pooled and self.training:
            _check_batch(images)
        padded = pad_to_stride(images, self.stride)
        maps = self.pyramid.read(padded, self.encoder(padded))
        logits = enlarge(self.head(self.decoder(maps)), self.enlargement)
        return crop_to(logits, image_size(images))


class DptNetwork(nn.Module):
    """`dpt`: four maps of a plain transformer, from a quarter, a half, three quarters and all of its depth, or of an encoder
    with maps at 4, 8, 16 and 32, brought to these reductions and fused from the coarsest on.

    Ranftl, Bochkovskiy and Koltun, "Vision transformers for dense prediction", ICCV 2021, without the class token, which
    timm's feature networks do not give out.
    """

    def __init__(self, bands: int, classes: int, encoder: EncoderOptions, *, width: int, dropout: float) -> None:
        super().__init__()
        places = dpt_places(encoder.name)
        built = build_encoder(replace(encoder, places=places), bands=bands)
        self.encoder, self.shape = built.module, built.shape
        self.stride = dpt_stride(encoder.name)
        maps = built.shape.maps[-DPT_MAPS:]
        self.maps = maps
        channels, reductions = tuple(m.channels for m in maps), tuple(m.reduction for m in maps)
        self.decoder = build_dpt_decoder(channels, reductions, width)
        self.head = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Conv2d(width, classes, 1),
        )
        initialize_decoder(self.decoder)
        initialize_head(self.head)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, classes, h, w) of normalised images (n, bands, h, w)."""
        padded = pad_to_stride(images, self.stride)
        maps = take(self.encoder(padded), self.maps, channels_last=self.shape.channels_last)
        decoded = self.decoder(maps, [None] * DPT_MAPS)
        return crop_to(enlarge(self.head(decoded), 2), image_size(images))


def smp_encoder(name: str, encoder: EncoderOptions, settings: DecoderSettings) -> EncoderOptions:
    """The encoder as one of the networks asks for it: dilated, and without the layers that its decoder never reads."""
    recipe = RECIPES[name]
    dilated = None if settings.output_stride == UNDILATED else settings.output_stride
    shape = encoder_shape(encoder.name, output_stride=dilated)
    if dilated is not None and shape.reductions[-1] != dilated:
        raise BadOption(
            f"encoder {encoder.name!r} under network {name} shrinks by {shape.reductions[-1]}, not by the output_stride ="
            f" {dilated} asked for: set output_stride = {UNDILATED}, or take another encoder, resnet18 say"
        )
    _pyramid(name, encoder.name, shape, settings)
    read = tuple(m.place for m in shape.maps if recipe.depth is None or m.reduction <= 2**recipe.depth)
    return replace(encoder, output_stride=dilated, places=None if len(read) == len(shape.maps) else read)


def smp_stride(name: str, encoder: str, settings: DecoderSettings) -> int:
    """The number that heights and widths must be multiples of to need no padding."""
    asked = smp_encoder(name, EncoderOptions(encoder), settings)
    shape = encoder_shape(encoder, output_stride=asked.output_stride, places=asked.places)
    return shape.stride * RECIPES[name].coarsest


def dpt_places(encoder: str) -> tuple[int, ...] | None:
    """The blocks of a plain transformer whose outputs `dpt` reads; None for an encoder with maps of four sizes."""
    shape = encoder_shape(encoder)
    reductions = shape.reductions
    if len(reductions) == 1 and reductions[0] in (8, 16, 32):
        count = block_count(encoder)
        if count >= DPT_MAPS:
            return tuple(count * k // DPT_MAPS - 1 for k in range(1, DPT_MAPS + 1))
    if tuple(m.reduction for m in shape.maps[-DPT_MAPS:]) == (4, 8, 16, 32):
        return None
    raise BadOption(
        f"encoder {encoder!r} under network dpt has maps at {', '.join(map(str, reductions))}: it needs a plain transformer"
        " of patch 8, 16 or 32, vit_tiny_patch16_224 say, or an encoder with maps at 4, 8, 16 and 32"
    )


def dpt_stride(encoder: str) -> int:
    """The number that heights and widths must be multiples of: the coarsest fused map is 32 times smaller."""
    places = dpt_places(encoder)
    return max(32, encoder_shape(encoder, places=places).stride)


def _pyramid(name: str, encoder: str, shape: Shape, settings: DecoderSettings) -> Pyramid:
    recipe, who = RECIPES[name], f"encoder {encoder!r} under network {name}"
    if not recipe.stages:
        return build_pyramid(shape, who, depth=recipe.depth, needs=recipe.needs)
    last = shape.maps[-4:]
    wanted = (4, 8, 16, settings.output_stride)
    if tuple(m.reduction for m in last) != wanted:
        found = ", ".join(str(m.reduction) for m in shape.maps)
        raise BadOption(
            f"{who} has maps at {found}, and the network needs {wanted}: take another encoder, resnet18 say"
        )
    return Pyramid((None, *last), shape.channels_last)


def _check_batch(images: Tensor) -> None:
    if images.shape[0] < 2:
        raise BadOption(
            "a batch of one image cannot train a network that normalises values pooled over the image: set batch to 2 or more"
        )
