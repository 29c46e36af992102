"""Networks by name: what the name builds, with which options, and what prediction must know of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import nn

from terraseg.core.modelspec import ModelSpec
from terraseg.core.options import read_options
from terraseg.errors import BadOption, BrokenBundle, UnknownName, nearest
from terraseg.nets.dynamic_unet import DynamicUNet
from terraseg.nets.encoders import EncoderOptions, encoder_stride, read_safetensors
from terraseg.nets.light_unet import LightUNet
from terraseg.nets.residual_unet import RESIDUAL_STRIDE, Bottleneck, ResidualUNet, Shortcut
from terraseg.nets.resnet_unet import RESNET_STRIDE, RESNETS, ResNetUNet
from terraseg.nets.unet import SIMPLE_STRIDE, ClassicUNet, SimpleUNet

O = TypeVar("O")  # noqa: E741  # the options of a network

INITIAL = frozenset({"pretrained", "pretrained_path"})
"""Options that choose the initial weights and leave the architecture as it is."""

Width = Annotated[int, Field(ge=1, le=1024)]
Rate = Annotated[float, Field(ge=0, lt=1)]


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
class ResNetUNetOptions:
    """Of `unet-resnet`: the ResNet and its initial weights, or a whole earlier model to start from."""

    encoder: str = "resnet101"
    pretrained: bool = False
    pretrained_path: str | None = None


@dataclass(frozen=True)
class LightUNetOptions:
    """Of `unet-light`: the encoder, its weights and its stochastic depth, or a whole earlier model to start from."""

    encoder: str = "resnet18"
    pretrained: bool = False
    pretrained_path: str | None = None
    drop_path: Rate = 0.0


@dataclass(frozen=True)
class DynamicUNetOptions:
    """Of `dynamic-unet`: the encoder, its weights and its dropout, or a whole earlier model to start from."""

    encoder: str = "resnet34"
    pretrained: bool = False
    pretrained_path: str | None = None
    dropout: Rate = 0.0
    drop_path: Rate = 0.0


@dataclass(frozen=True)
class ResidualUNetOptions:
    """Of `residual-unet`: kind of shortcut and bottleneck, channels of the first block; an earlier model to start from."""

    shortcut: Shortcut = "concat"
    bottleneck: Bottleneck = "parallel"
    width: Width = 32
    pretrained_path: str | None = None


@dataclass(frozen=True)
class Blueprint(Generic[O]):
    """A network's options, how it is built from (bands, classes, options), and its stride."""

    options: type[O]
    build: Callable[[int, int, O], nn.Module]
    stride: Callable[[O], int]


def _resnet_unet(bands: int, classes: int, options: ResNetUNetOptions) -> nn.Module:
    if options.encoder.split(".")[0] not in RESNETS:
        raise UnknownName(f"unet-resnet has no encoder {options.encoder!r}: {nearest(options.encoder, RESNETS)}")
    encoder = EncoderOptions(options.encoder, options.pretrained, options.pretrained_path)
    return ResNetUNet(bands, classes, encoder)


def _light_unet(bands: int, classes: int, options: LightUNetOptions) -> nn.Module:
    encoder = EncoderOptions(options.encoder, options.pretrained, options.pretrained_path, options.drop_path)
    return LightUNet(bands, classes, encoder)


def _dynamic_unet(bands: int, classes: int, options: DynamicUNetOptions) -> nn.Module:
    encoder = EncoderOptions(options.encoder, options.pretrained, options.pretrained_path, options.drop_path)
    return DynamicUNet(bands, classes, encoder, dropout=options.dropout)


NETWORKS: dict[str, Blueprint[Any]] = {
    "simple-unet": Blueprint(SimpleUNetOptions, lambda c, k, _: SimpleUNet(c, k), lambda _: SIMPLE_STRIDE),
    "unet": Blueprint(
        ClassicUNetOptions,
        lambda c, k, o: ClassicUNet(c, k, depth=o.depth, width=o.width, batch_norm=o.batch_norm),
        lambda o: 2 ** (o.depth - 1),
    ),
    "unet-resnet": Blueprint(ResNetUNetOptions, _resnet_unet, lambda _: RESNET_STRIDE),
    "unet-light": Blueprint(LightUNetOptions, _light_unet, lambda o: encoder_stride(o.encoder)),
    "dynamic-unet": Blueprint(DynamicUNetOptions, _dynamic_unet, lambda o: encoder_stride(o.encoder)),
    "residual-unet": Blueprint(
        ResidualUNetOptions,
        lambda c, k, o: ResidualUNet(c, k, shortcut=o.shortcut, bottleneck=o.bottleneck, width=o.width),
        lambda _: RESIDUAL_STRIDE,
    ),
}


def build_network(name: str, *, bands: int, classes: int, options: Mapping[str, Any]) -> nn.Module:
    """The network of that name: normalised float32 images (n, bands, h, w) to logits (n, classes, h, w).

    `options` are plain values, see the options class of each name in `NETWORKS`. Initial weights come from torch's random
    generator unless `pretrained` or `pretrained_path` says otherwise. Raises `UnknownName` for a network or an encoder,
    `BadOption` for an option, `UnreadableFile` for a weights file.

    >>> network = build_network("unet", bands=4, classes=2, options={"depth": 3, "width": 8})
    >>> tuple(network(torch.zeros(1, 4, 37, 51)).shape)
    (1, 2, 37, 51)
    """
    if bands < 1 or classes < 1:
        raise BadOption(f"a network for {bands} bands and {classes} classes: it needs at least one of each")
    blueprint, checked = _checked(name, options)
    path = checked.pretrained_path
    if path is None:
        return _built(blueprint, bands, classes, checked)
    file = _weights_file(Path(path))
    tensors = read_safetensors(file)
    plain = _checked(name, architecture_options(options))[1]
    network = _built(blueprint, bands, classes, plain)
    if not _is_whole_model(network, tensors) and hasattr(checked, "encoder"):
        return _built(blueprint, bands, classes, checked)
    _start_from(network, tensors, file)
    return network


def rebuild_network(spec: ModelSpec, weights: Mapping[str, NDArray[Any]]) -> nn.Module:
    """The trained network of a bundle, in evaluation mode, on the CPU.

    A legend of two classes may belong to a network with one logit; the weights decide. Raises `BrokenBundle` when the
    weights are not those of the network that the spec describes.
    """
    tensors = {key: torch.from_numpy(array.copy()) for key, array in weights.items()}
    counts = [len(spec.legend), 1] if len(spec.legend) == 2 else [len(spec.legend)]
    options = architecture_options(spec.network_options)
    for classes in counts:
        network = build_network(spec.network, bands=len(spec.bands), classes=classes, options=options)
        if {k: v.shape for k, v in network.state_dict().items()} == {k: v.shape for k, v in tensors.items()}:
            network.load_state_dict(tensors)
            return network.eval()
    expected = f"{spec.network} with {len(spec.bands)} bands and {len(spec.legend)} classes"
    raise BrokenBundle(f"the weights do not fit {expected} as model.json describes it: train or export the model again")


def network_stride(name: str, options: Mapping[str, Any]) -> int:
    """The network's total downsampling: sizes that are a multiple of it need no padding inside."""
    blueprint, checked = _checked(name, options)
    return blueprint.stride(checked)


def architecture_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options without those that only choose initial weights: what a bundle keeps to rebuild its network."""
    return {key: value for key, value in options.items() if key not in INITIAL}


def parameter_count(network: nn.Module) -> int:
    """The number of trainable parameters."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def _checked(name: str, options: Mapping[str, Any]) -> tuple[Blueprint[Any], Any]:
    if name not in NETWORKS:
        raise UnknownName(f"there is no network {name!r}: {nearest(name, NETWORKS)}")
    blueprint = NETWORKS[name]
    return blueprint, read_options(blueprint.options, dict(options), f"the options of network {name}")


def _built(blueprint: Blueprint[Any], bands: int, classes: int, options: Any) -> nn.Module:
    return blueprint.build(bands, classes, options)


def _weights_file(path: Path) -> Path:
    return path / "weights.safetensors" if path.is_dir() else path


def _is_whole_model(network: nn.Module, tensors: Mapping[str, torch.Tensor]) -> bool:
    own = network.state_dict().keys()
    return len(own & tensors.keys()) > len(own) // 2


def _start_from(network: nn.Module, tensors: Mapping[str, torch.Tensor], file: Path) -> None:
    """Load an earlier model of the same kind; only the last convolution may differ, where the classes do."""
    wanted = network.state_dict()
    fits = {key: t for key, t in tensors.items() if key in wanted and t.shape == wanted[key].shape}
    lost = [key for key in wanted if key not in fits and not key.startswith("final.")]
    if lost:
        raise BadOption(
            f"{file} does not fit the network: {len(lost)} of its {len(wanted)} tensors are missing or of another shape"
            f" ({', '.join(lost[:5])}): pass a model of the same network, options and bands"
        )
    network.load_state_dict(fits, strict=False)
