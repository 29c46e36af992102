"""segmentation-models-pytorch's decoders, made fit for any image size: for training, for tiles, and for export."""

from collections.abc import Callable
from dataclasses import dataclass

from segmentation_models_pytorch.decoders.deeplabv3.decoder import DeepLabV3Decoder, DeepLabV3PlusDecoder
from segmentation_models_pytorch.decoders.dpt.decoder import DPTDecoder, FusionBlock
from segmentation_models_pytorch.decoders.fpn.decoder import FPNDecoder
from segmentation_models_pytorch.decoders.linknet.decoder import LinknetDecoder
from segmentation_models_pytorch.decoders.manet.decoder import MAnetDecoder
from segmentation_models_pytorch.decoders.pan.decoder import PANDecoder
from segmentation_models_pytorch.decoders.pspnet.decoder import PSPDecoder
from segmentation_models_pytorch.decoders.segformer.decoder import SegformerDecoder
from segmentation_models_pytorch.decoders.unetplusplus.decoder import UnetPlusPlusDecoder
from segmentation_models_pytorch.decoders.upernet.decoder import UPerNetDecoder
from torch import Tensor, nn

from terraseg.errors import BadOption
from terraseg.nets.pooling import PooledBranch, enlarge, export_ready

ATROUS_RATES = (12, 24, 36)


@dataclass(frozen=True)
class DecoderSettings:
    """Channels of the decoder (which of its layers they are is said by each recipe), dropout, and the deepest reduction."""

    width: int
    dropout: float
    output_stride: int


@dataclass(frozen=True)
class Recipe:
    """How a network of this family is put together.

    `build` gives the decoder for the encoder's channels, the image's own first, and the settings; `defaults` are the
    published ones. The decoder reads `depth` levels (None: all), of which `needs` must be there. A head of kernel `kernel`
    follows on `outputs(width)` channels. `reduction` is the decoder's, None for that of the deepest map. `pooled` says that
    the decoder normalises values pooled over the image, which takes two images in training. Sizes are padded to
    `coarsest` times the encoder's stride. `stages` says that it reads the last four stages, even two of one size, as a
    dilated encoder has them.
    """

    build: Callable[[tuple[int, ...], DecoderSettings], nn.Module]
    defaults: DecoderSettings
    kernel: int
    reduction: int | None
    depth: int | None = None
    needs: tuple[int, ...] = ()
    outputs: Callable[[int], int] = lambda width: width
    pooled: bool = False
    coarsest: int = 1
    stages: bool = False


def _halving(width: int, depth: int) -> tuple[int, ...]:
    """Channels of a U-shaped decoder's blocks, coarsest first, the finest `width`."""
    return tuple(width * 2**level for level in reversed(range(depth)))


def _unetplusplus(channels: tuple[int, ...], s: DecoderSettings) -> nn.Module:
    depth = len(channels) - 1
    decoder: nn.Module = UnetPlusPlusDecoder(channels, _halving(s.width, depth), n_blocks=depth)
    return decoder


def _manet(channels: tuple[int, ...], s: DecoderSettings) -> nn.Module:
    depth = len(channels) - 1
    decoder: nn.Module = MAnetDecoder(list(channels), list(_halving(s.width, depth)), n_blocks=depth)
    return decoder


def _linknet(channels: tuple[int, ...], s: DecoderSettings) -> nn.Module:
    decoder: nn.Module = LinknetDecoder(list(channels), prefinal_channels=s.width, n_blocks=len(channels) - 1)
    return decoder


def _fpn(channels: tuple[int, ...], s: DecoderSettings) -> nn.Module:
    if s.width % 64:
        raise BadOption(f"network fpn with width = {s.width}: it normalises groups, pass a multiple of 64")
    decoder: nn.Module = FPNDecoder(
        list(channels), pyramid_channels=s.width, segmentation_channels=s.width // 2, dropout=s.dropout
    )
    for block in decoder.seg_blocks:  # type: ignore[union-attr]  # the library's ModuleList
        block.block = nn.Sequential(*(layer for conv in block.block for layer in _centred(conv)))
    return decoder


def _centred(conv: nn.Module) -> list[nn.Module]:
    """A block of FPN that enlarges by itself, aligned at the corners: it convolves, then comes an upsampling by centres."""
    up = [nn.Upsample(scale_factor=2.0, mode="bilinear", align_corners=False)] if conv.upsample else []
    conv.upsample = False  # type: ignore[assignment]  # the library's flag
    return [conv, *up]


def _pspnet(channels: tuple[int, ...], s: DecoderSettings) -> nn.Module:
    decoder = export_ready(PSPDecoder(list(channels), out_channels=s.width, dropout=s.dropout))
    pyramid = decoder.psp
    pyramid.blocks = nn.ModuleList(PooledBranch(block.pool) for block in pyramid.blocks)  # type: ignore[union-attr]
    return decoder


def _deeplabv3(channels: tuple[int, ...], s: DecoderSettings) -> nn.Module:
    decoder: nn.Module = DeepLabV3Decoder(
        channels[-1], s.width, ATROUS_RATES, aspp_separable=False, aspp_dropout=s.dropout
    )
    return decoder


def _deeplabv3plus(channels: tuple[int, ...], s: DecoderSettings) -> nn.Module:
    decoder: nn.Module = DeepLabV3PlusDecoder(
        channels,
        5,
        s.width,
        ATROUS_RATES,
        16,
        aspp_separable=True,
        aspp_dropout=s.dropout,
    )
    # The library knows 8 and 16 only; the quarter-size map is met from any reduction.
    decoder.up = nn.Upsample(scale_factor=s.output_stride / 4, mode="bilinear", align_corners=False)
    return decoder


def _pan(channels: tuple[int, ...], s: DecoderSettings) -> nn.Module:
    decoder: nn.Module = PANDecoder(channels, 5, s.width)
    for block in decoder.modules():
        if hasattr(block, "align_corners"):
            block.align_corners = False  # type: ignore[assignment]  # the library's flag
    return decoder


def _upernet(channels: tuple[int, ...], s: DecoderSettings) -> nn.Module:
    return export_ready(UPerNetDecoder(channels, decoder_channels=s.width))


def _segformer(channels: tuple[int, ...], s: DecoderSettings) -> nn.Module:
    decoder: nn.Module = SegformerDecoder(list(channels), segmentation_channels=s.width)
    return decoder


RECIPES: dict[str, Recipe] = {
    "unetplusplus": Recipe(_unetplusplus, DecoderSettings(16, 0.0, 32), 3, 1, needs=(2, 3, 4, 5)),
    "manet": Recipe(_manet, DecoderSettings(16, 0.0, 32), 3, 1),
    "linknet": Recipe(_linknet, DecoderSettings(32, 0.0, 32), 1, 1),
    "fpn": Recipe(
        _fpn, DecoderSettings(256, 0.2, 32), 1, 4, depth=5, needs=(2, 3, 4), outputs=lambda width: width // 2
    ),
    "pspnet": Recipe(_pspnet, DecoderSettings(512, 0.2, 32), 3, 8, depth=3, pooled=True),
    "deeplabv3": Recipe(_deeplabv3, DecoderSettings(256, 0.5, 8), 1, None, pooled=True),
    "deeplabv3plus": Recipe(_deeplabv3plus, DecoderSettings(256, 0.5, 16), 1, 4, needs=(2,), pooled=True),
    "pan": Recipe(_pan, DecoderSettings(32, 0.0, 16), 3, 4, depth=5, pooled=True, coarsest=8, stages=True),
    "upernet": Recipe(_upernet, DecoderSettings(256, 0.0, 32), 1, 4, depth=5, needs=(2, 3, 4), pooled=True),
    "segformer": Recipe(_segformer, DecoderSettings(256, 0.0, 32), 1, 4, depth=5, needs=(2, 3, 4)),
}
"""The networks by name. The width is: of `unetplusplus` and `manet` the finest block's (each coarser one has twice as many),
of `linknet` the last block's, of `fpn` the pyramid's, of the others that of all the decoder's layers."""


def build_dpt_decoder(channels: tuple[int, ...], reductions: tuple[int, ...], width: int) -> nn.Module:
    """The decoder of dense prediction transformers over four maps, which ends at half the image's size."""
    decoder: nn.Module = DPTDecoder(
        channels,
        reductions,
        encoder_has_prefix_tokens=False,
        readout="ignore",
        intermediate_channels=(width, 2 * width, 4 * width, 4 * width),
        fusion_channels=width,
    )
    decoder.fusion_blocks = nn.ModuleList(_CentredFusion(block) for block in decoder.fusion_blocks)  # type: ignore[union-attr]
    return decoder


class _CentredFusion(nn.Module):
    """The library's fusion block, but its upsampling goes by centres."""

    def __init__(self, block: FusionBlock) -> None:
        super().__init__()
        self.residual_conv_block1 = block.residual_conv_block1
        self.residual_conv_block2 = block.residual_conv_block2
        self.project = block.project

    def forward(self, feature: Tensor, previous: Tensor | None = None) -> Tensor:
        x: Tensor = self.residual_conv_block1(feature)
        if previous is not None:
            x = x + previous
        fused: Tensor = self.project(enlarge(self.residual_conv_block2(x), 2))
        return fused
