"""The options of each network: one dataclass a family, plain values only."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from terraseg.nets.light_unet import DecoderWidth
from terraseg.nets.residual_unet import Bottleneck, Shortcut

Width = Annotated[int, Field(ge=1, le=1024)]
Rate = Annotated[float, Field(ge=0, lt=1)]

INITIAL = frozenset({"pretrained", "pretrained_path"})
"""Options that choose the initial weights and leave the architecture as it is."""


@dataclass(frozen=True)
class SimpleUNetOptions:
    """Of `simple-unet`: a whole earlier model to start from."""

    pretrained_path: str | None = None


@dataclass(frozen=True)
class ClassicUNetOptions:
    """Of `unet`: levels, channels of the first one, batch normalisation; a whole earlier model to start from."""

    depth: Annotated[int, Field(ge=1, le=8)] = 4
    width: Width = 64
    batch_norm: bool = False
    pretrained_path: str | None = None


@dataclass(frozen=True)
class ResidualUNetOptions:
    """Of `residual-unet`: kind of shortcut and bottleneck, channels of the first block; an earlier model to start from."""

    shortcut: Shortcut = "concat"
    bottleneck: Bottleneck = "parallel"
    width: Width = 32
    pretrained_path: str | None = None


@dataclass(frozen=True)
class WithEncoder:
    """Of every network with an encoder: its timm name, its initial weights and its stochastic depth.

    `pretrained_path` may also be a whole earlier model to start from.
    """

    encoder: str = "resnet18"
    pretrained: bool = False
    pretrained_path: str | None = None
    drop_path: Rate = 0.0


@dataclass(frozen=True)
class ResNetUNetOptions(WithEncoder):
    """Of `unet-resnet`: the encoder is a ResNet."""

    encoder: str = "resnet101"


@dataclass(frozen=True)
class LightUNetOptions(WithEncoder):
    """Of `unet-light`.

    `decoder` is how wide the decoder's five blocks are, from the finest: "tiny" 8-16-32-48-96, "light" 16-32-48-64-128,
    "wide" 32-64-96-128-256. `dropout` is the share of the encoder's deepest channels dropped in training. `deepest` leaves
    out what the encoder makes at a coarser reduction than that: quicker, and enough for small patches.
    """

    decoder: DecoderWidth = "light"
    dropout: Rate = 0.0
    deepest: Literal[4, 8, 16, 32] | None = None


@dataclass(frozen=True)
class DynamicUNetOptions(WithEncoder):
    """Of `dynamic-unet`: dropout besides."""

    encoder: str = "resnet34"
    dropout: Rate = 0.0


@dataclass(frozen=True)
class DecoderOptions(WithEncoder):
    """Of `unetplusplus`, `manet`, `linknet`, `upernet` and `segformer`.

    `width` is the channels of the decoder, see `nets.decoders.RECIPES`; None takes the published one.
    """

    width: Width | None = None


@dataclass(frozen=True)
class DropoutOptions(DecoderOptions):
    """Of `fpn` and `pspnet`: as of the other decoders, and the share of the decoder's channels dropped in training."""

    dropout: Rate | None = None


@dataclass(frozen=True)
class DilatedOptions(DropoutOptions):
    """Of `deeplabv3` and `deeplabv3plus`: as of `fpn`, and the encoder's total reduction, kept to 8 or 16 by dilation.

    With `output_stride` 32 the encoder stays as it is, which every encoder can.
    """

    output_stride: Literal[8, 16, 32] | None = None


@dataclass(frozen=True)
class PanOptions(DecoderOptions):
    """Of `pan`: as of the other decoders, and the encoder's total reduction, 16 by dilation or 32 without."""

    output_stride: Literal[16, 32] | None = None


@dataclass(frozen=True)
class DptOptions(WithEncoder):
    """Of `dpt`: the encoder is a transformer; channels of the fusion, dropout before the classes."""

    encoder: str = "vit_tiny_patch16_224"
    width: Width = 64
    dropout: Rate = 0.1
