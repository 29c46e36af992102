"""Image classifiers as encoders: any of timm's networks, cut to its feature maps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from terraseg.errors import BadOption, UnknownName, nearest
from terraseg.nets.depthwise import with_strided_depthwise
from terraseg.nets.pretrained import download_weights, load_encoder_weights

SUGGESTED = ("resnet18", "resnet34", "resnet50", "mobilenetv2_100", "efficientnet_b0", "convnext_tiny")
"""Encoders worth a try, for messages; timm knows several hundred more."""

# What timm raises for a classifier that it cannot cut into feature maps or that lacks an argument.
_UNFIT = (RuntimeError, AttributeError, AssertionError, TypeError, ValueError, KeyError, NotImplementedError)

# How timm's encoders are asked for sizes other than the one they were made for: most need nothing, transformers this.
_SIZE_ARGUMENTS: tuple[dict[str, Any], ...] = ({}, {"dynamic_img_size": True})


@dataclass(frozen=True)
class EncoderOptions:
    """Which encoder and which initial weights.

    `name` is timm's, with a tag of its weights if one is meant ("resnet50.tv_in1k"). `pretrained_path`, a .safetensors file
    in timm's key names, comes before `pretrained`, timm's hub. `drop_path` is the rate of stochastic depth. `output_stride`
    keeps the deepest maps at that reduction by dilation, None leaves the encoder as it is. `places` picks blocks of an
    encoder that has as many maps as blocks (a plain transformer), None those that timm takes.
    """

    name: str
    pretrained: bool = False
    pretrained_path: str | None = None
    drop_path: float = 0.0
    output_stride: int | None = None
    places: tuple[int, ...] | None = None


@dataclass(frozen=True)
class FeatureMap:
    """One of an encoder's outputs: its place among them, its channels, and how often smaller than the image it is."""

    place: int
    channels: int
    reduction: int


@dataclass(frozen=True)
class Shape:
    """What an encoder makes of an image: all its maps in order, whether their channels stand last, and the size it needs.

    A height and a width must be multiples of `stride`: for most encoders the reduction of the last map, for those that
    attend within windows of a fixed count the size they were made for. `arguments` are those that timm needs for it.
    """

    maps: tuple[FeatureMap, ...]
    channels_last: bool
    stride: int
    arguments: tuple[tuple[str, Any], ...] = ()

    @property
    def by_size(self) -> tuple[FeatureMap, ...]:
        """One map a size, finest first; of several of one size the last, which has seen most."""
        last = {found.reduction: found for found in self.maps}
        return tuple(last[reduction] for reduction in sorted(last))

    @property
    def reductions(self) -> tuple[int, ...]:
        """The reductions of `by_size`."""
        return tuple(found.reduction for found in self.by_size)


@dataclass(frozen=True)
class Encoder:
    """A timm network from images to feature maps, and the shape of these."""

    module: nn.Module
    shape: Shape


def build_encoder(options: EncoderOptions, *, bands: int) -> Encoder:
    """The timm encoder `options.name` for that many bands, with initial, local or hub weights.

    With pretrained weights the first convolution is adapted to the bands, see `adapt_bands`. Raises `UnknownName` for a name
    that timm lacks, `BadOption` for an encoder that takes one size only or whose maps do not divide the image, and for
    weights that cannot be had, `UnreadableFile` for a weights file that cannot be read.
    """
    shape = encoder_shape(options.name, output_stride=options.output_stride, places=options.places)
    module = encoder_module(options, bands, dict(shape.arguments))
    path = options.pretrained_path
    if path is None and options.pretrained:
        path = download_weights(module, options.name)
    if path is not None:
        load_encoder_weights(module, Path(path), bands=bands)
    return Encoder(module, shape)


def take(outputs: Sequence[Tensor], maps: Sequence[FeatureMap], *, channels_last: bool) -> list[Tensor]:
    """Those maps of an encoder's outputs, as (n, channels, h, w) whatever the encoder's own order of axes."""
    chosen = [outputs[found.place] for found in maps]
    return [found.permute(0, 3, 1, 2).contiguous() for found in chosen] if channels_last else chosen


def encoder_names(pattern: str = "*") -> tuple[str, ...]:
    """The encoders of timm whose names hold a text, or match it where it has wildcards, in the order of their names.

    Raises `UnknownName` when there is none.

    >>> encoder_names("resnet1?")
    ('resnet18',)
    """
    names = timm.list_models(pattern if "*" in pattern or "?" in pattern else f"*{pattern}*")
    if not names:
        raise UnknownName(f"timm has no encoder with {pattern!r} in its name: pass a part of one, resnet say")
    return tuple(names)


def encoder_stride(name: str) -> int:
    """The number that heights and widths must be multiples of to need no padding."""
    return encoder_shape(name).stride


@lru_cache(maxsize=256)
def encoder_shape(name: str, *, output_stride: int | None = None, places: tuple[int, ...] | None = None) -> Shape:
    """The maps of an encoder, found by sending an image without content through it; nothing is computed."""
    options = EncoderOptions(name, output_stride=output_stride, places=places)
    reasons: list[str] = []
    for arguments in _SIZE_ARGUMENTS:
        try:
            with torch.device("meta"):
                module = encoder_module(options, 3, arguments).eval()
        except BadOption as error:
            if not reasons:
                raise
            reasons.append(str(error))
            continue
        for stride in _strides(module):
            shape, reason = _probe(module, stride, arguments)
            if shape is not None:
                return shape
            reasons.append(reason)
    raise BadOption(
        f"encoder {name!r} cannot be used on images of any size ({reasons[0]}): take another, {SUGGESTED[1]!r} say"
    )


@lru_cache(maxsize=256)
def block_count(name: str) -> int:
    """The number of maps that an encoder can give: for a plain transformer, its blocks."""
    with torch.device("meta"):
        module: Any = timm.create_model(name)
    return len(module.feature_info)


def _strides(module: nn.Module) -> list[int]:
    """Multiples that may suit an encoder: its last map's reduction, then the size it was made for."""
    reduction = max(int(r) for r in _info(module).reduction())
    made_for = int(_config(module).get("input_size", (3, 0, 0))[-1])
    return [reduction] if made_for <= reduction or made_for % reduction else [reduction, made_for]


def _probe(module: nn.Module, stride: int, arguments: Mapping[str, Any]) -> tuple[Shape | None, str]:
    height, width = stride, 3 * stride
    channels = [int(c) for c in _info(module).channels()]
    reductions = [int(r) for r in _info(module).reduction()]
    try:
        with torch.no_grad():
            outputs = module(torch.zeros(1, 3, height, width, device="meta"))
    except _UNFIT as error:
        return (
            None,
            f"{height} x {width} px: {str(error).strip().splitlines()[0] if str(error) else type(error).__name__}",
        )
    found = [tuple(output.shape[1:]) for output in outputs]
    first = [(c, height // r, width // r) for c, r in zip(channels, reductions, strict=True)]
    last = [(rows, cols, c) for c, rows, cols in first]
    if found not in (first, last):
        return None, f"{height} x {width} px become maps of {found}, not of {first}"
    maps = tuple(FeatureMap(k, c, r) for k, (c, r) in enumerate(zip(channels, reductions, strict=True)))
    return Shape(maps, found == last, stride, tuple(arguments.items())), ""


def encoder_module(options: EncoderOptions, bands: int, arguments: Mapping[str, Any]) -> nn.Module:
    """A feature network of timm with its initial weights; `arguments` are those that it needs for any image size."""
    base = options.name.split(".")[0]
    if not timm.is_model(base):
        close = get_close_matches(base, timm.list_models(), n=5) or list(SUGGESTED)
        raise UnknownName(
            f"timm has no encoder {options.name!r}: {nearest(base, close)}, and others of timm.list_models()"
        )
    asked = {"drop_path_rate": options.drop_path or None, "output_stride": options.output_stride}
    wanted = {"out_indices": options.places, **asked}
    extra: dict[str, Any] = {key: value for key, value in wanted.items() if value is not None}
    try:
        module = timm.create_model(
            options.name, pretrained=False, features_only=True, in_chans=bands, **extra, **arguments
        )
    except _UNFIT as error:
        raise BadOption(_refusal(options, error)) from error
    assert isinstance(module, nn.Module)
    return with_strided_depthwise(module)


def _refusal(options: EncoderOptions, error: Exception) -> str:
    """One sentence; the option that timm's network lacks is named with its way out."""
    named = f"encoder {options.name!r}"
    if options.output_stride is not None:
        way_out = f"set output_stride = 32, or take another, {SUGGESTED[1]!r} say"
        return f"{named} cannot be dilated to output_stride = {options.output_stride} ({error}): {way_out}"
    if options.drop_path:
        way_out = f"set drop_path = 0, or take another, {SUGGESTED[1]!r} say"
        return f"{named} with drop_path = {options.drop_path} cannot be used ({error}): {way_out}"
    return f"{named} cannot be used ({error}): take another one, {SUGGESTED[1]!r} say"


def _info(module: nn.Module) -> Any:
    return module.feature_info


def _config(module: nn.Module) -> dict[str, Any]:
    config: Any = getattr(module, "pretrained_cfg", None)
    return dict(config) if config else {}
