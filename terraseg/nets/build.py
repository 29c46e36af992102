"""Networks by name: what the name builds, with which options, and what prediction must know of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from numpy.typing import NDArray
from torch import nn

from terraseg.core.modelspec import ModelSpec
from terraseg.core.options import read_options
from terraseg.errors import BadOption, BrokenBundle, UnknownName, nearest
from terraseg.nets.decoders import RECIPES, DecoderSettings
from terraseg.nets.dynamic_unet import DynamicUNet
from terraseg.nets.encoders import EncoderOptions, encoder_stride
from terraseg.nets.light_unet import LightUNet, light_stride
from terraseg.nets.options import (
    INITIAL,
    ClassicUNetOptions,
    DecoderOptions,
    DilatedOptions,
    DptOptions,
    DropoutOptions,
    DynamicUNetOptions,
    LightUNetOptions,
    PanOptions,
    ResidualUNetOptions,
    ResNetUNetOptions,
    SimpleUNetOptions,
    WithEncoder,
)
from terraseg.nets.pretrained import read_safetensors
from terraseg.nets.residual_unet import RESIDUAL_STRIDE, ResidualUNet
from terraseg.nets.resnet_unet import RESNET_STRIDE, RESNETS, ResNetUNet
from terraseg.nets.smp_networks import DptNetwork, SmpNetwork, dpt_stride, smp_stride
from terraseg.nets.start import is_whole_model, start_from
from terraseg.nets.unet import SIMPLE_STRIDE, ClassicUNet, SimpleUNet

O = TypeVar("O")  # noqa: E741  # the options of a network
Say = Callable[[str], None]


@dataclass(frozen=True)
class Blueprint(Generic[O]):
    """A network's options, how it is built from (bands, classes, options), its stride, and what it is in a line."""

    options: type[O]
    build: Callable[[int, int, O], nn.Module]
    stride: Callable[[O], int]
    summary: str


def _encoder(options: WithEncoder) -> EncoderOptions:
    return EncoderOptions(options.encoder, options.pretrained, options.pretrained_path, options.drop_path)


def _resnet_unet(bands: int, classes: int, options: ResNetUNetOptions) -> nn.Module:
    if options.encoder.split(".")[0] not in RESNETS:
        raise UnknownName(f"unet-resnet has no encoder {options.encoder!r}: {nearest(options.encoder, RESNETS)}")
    return ResNetUNet(bands, classes, _encoder(options))


def _settings(name: str, options: Any) -> DecoderSettings:
    """The options with the published values where nothing else was said."""
    published = RECIPES[name].defaults
    given = {key: getattr(options, key, None) for key in ("width", "dropout", "output_stride")}
    return DecoderSettings(**{key: getattr(published, key) if v is None else v for key, v in given.items()})


def _smp(name: str, options: type[O], summary: str) -> Blueprint[O]:
    def build(bands: int, classes: int, o: Any) -> nn.Module:
        return SmpNetwork(name, bands, classes, encoder=_encoder(o), settings=_settings(name, o))

    def stride(o: Any) -> int:
        return smp_stride(name, o.encoder, _settings(name, o))

    return Blueprint(options, build, stride, summary)


NETWORKS: dict[str, Blueprint[Any]] = {
    "unet-light": Blueprint(
        LightUNetOptions,
        lambda c, k, o: LightUNet(c, k, _encoder(o), decoder=o.decoder, dropout=o.dropout, deepest=o.deepest),
        lambda o: light_stride(o.encoder, o.deepest),
        "U-Net of few channels over any encoder: learns most in a given time",
    ),
    "simple-unet": Blueprint(
        SimpleUNetOptions,
        lambda c, k, _: SimpleUNet(c, k),
        lambda _: SIMPLE_STRIDE,
        "three blocks down, three up (M. Cordeiro, for 38-Cloud)",
    ),
    "unet": Blueprint(
        ClassicUNetOptions,
        lambda c, k, o: ClassicUNet(c, k, depth=o.depth, width=o.width, batch_norm=o.batch_norm),
        lambda o: 2 ** (o.depth - 1),
        "the classic teaching form (Ronneberger, 2015)",
    ),
    "unet-resnet": Blueprint(
        ResNetUNetOptions, _resnet_unet, lambda _: RESNET_STRIDE, "ResNet encoder with skips (deepsense.ai)"
    ),
    "dynamic-unet": Blueprint(
        DynamicUNetOptions,
        lambda c, k, o: DynamicUNet(c, k, _encoder(o), dropout=o.dropout),
        lambda o: encoder_stride(o.encoder),
        "decoder inferred for any encoder (as fast.ai and arcgis.learn)",
    ),
    "residual-unet": Blueprint(
        ResidualUNetOptions,
        lambda c, k, o: ResidualUNet(c, k, shortcut=o.shortcut, bottleneck=o.bottleneck, width=o.width),
        lambda _: RESIDUAL_STRIDE,
        "residual blocks, dilated bottleneck (M. Sebai, for Potsdam and Inria)",
    ),
    "unetplusplus": _smp("unetplusplus", DecoderOptions, "U-Net with nested, dense skips (Zhou, 2018)"),
    "manet": _smp("manet", DecoderOptions, "U-Net with attention over places and channels (Fan, 2020)"),
    "linknet": _smp("linknet", DecoderOptions, "U-Net that adds its skips: small and fast (Chaurasia, 2017)"),
    "fpn": _smp("fpn", DropoutOptions, "feature pyramid, summed at a quarter of the size (Kirillov, 2019)"),
    "pspnet": _smp("pspnet", DropoutOptions, "pyramid pooling at an eighth of the size (Zhao, 2017)"),
    "deeplabv3": _smp("deeplabv3", DilatedOptions, "dilated encoder, dilated pyramid (Chen, 2017)"),
    "deeplabv3plus": _smp("deeplabv3plus", DilatedOptions, "DeepLabV3 that meets a quarter-size map (Chen, 2018)"),
    "pan": _smp("pan", PanOptions, "pyramid attention on a dilated encoder (Li, 2018)"),
    "upernet": _smp("upernet", DecoderOptions, "pyramid pooling under a feature pyramid (Xiao, 2018)"),
    "segformer": _smp("segformer", DecoderOptions, "all maps mixed point by point at a quarter (Xie, 2021)"),
    "dpt": Blueprint(
        DptOptions,
        lambda c, k, o: DptNetwork(c, k, _encoder(o), width=o.width, dropout=o.dropout),
        lambda o: dpt_stride(o.encoder),
        "plain transformers for dense prediction (Ranftl, 2021)",
    ),
}


def build_network(
    name: str,
    *,
    bands: int,
    classes: int,
    options: Mapping[str, Any],
    earlier: ModelSpec | None = None,
    say: Say | None = None,
) -> nn.Module:
    """The network of that name: normalised float32 images (n, bands, h, w) to logits (n, classes, h, w).

    `options` are plain values, see `nets.options`. Initial weights come from torch's random generator unless `pretrained`
    or `pretrained_path` says otherwise: the file of an encoder's weights, or an earlier model's folder or weights file, of
    the same network and options. Where that model had other bands or classes, `say` gets one sentence on what became of
    them; `earlier`, its description, makes the message on another network name both. Raises `UnknownName` for a network or
    an encoder, `BadOption` for an option, `UnreadableFile` for a weights file.

    >>> network = build_network("unet", bands=4, classes=2, options={"depth": 3, "width": 8})
    >>> tuple(network(torch.zeros(1, 4, 37, 51)).shape)
    (1, 2, 37, 51)
    """
    if bands < 1 or classes < 1:
        raise BadOption(f"a network for {bands} bands and {classes} classes: it needs at least one of each")
    blueprint, checked = _checked(name, options)
    path = checked.pretrained_path
    if path is None:
        return blueprint.build(bands, classes, checked)
    if earlier is not None:
        _check_earlier(name, options, earlier)
    file = _weights_file(Path(path))
    tensors = read_safetensors(file)
    plain = _checked(name, architecture_options(options))[1]

    def build(of_bands: int, of_classes: int) -> nn.Module:
        return blueprint.build(of_bands, of_classes, plain)

    whole = Path(path).is_dir() or is_whole_model(build, tensors, bands=bands, classes=classes)
    if hasattr(checked, "encoder") and not whole:
        return blueprint.build(bands, classes, checked)
    start = start_from(build, tensors, bands=bands, classes=classes, file=str(path))
    network = build(bands, classes)
    network.load_state_dict(start.tensors, strict=False)
    if start.note and say is not None:
        say(start.note)
    return network


def rebuild_network(spec: ModelSpec, weights: Mapping[str, NDArray[Any]]) -> nn.Module:
    """The trained network of a bundle, in evaluation mode, on the CPU.

    A legend of two classes may belong to a network with one logit; the weights decide. Raises `BrokenBundle` when the
    weights are not those of the network that the spec describes.
    """
    tensors = {key: torch.from_numpy(array.copy()) for key, array in weights.items()}
    single = len(spec.legend) == 2 and not spec.overlapping
    counts = [len(spec.legend), 1] if single else [len(spec.legend)]
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


def default_encoder(name: str) -> str | None:
    """The encoder that a network takes when none is named; None for a network without one."""
    encoder: str | None = getattr(_checked(name, {})[1], "encoder", None)
    return encoder


def parameter_count(network: nn.Module) -> int:
    """The number of trainable parameters."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def _checked(name: str, options: Mapping[str, Any]) -> tuple[Blueprint[Any], Any]:
    if name not in NETWORKS:
        raise UnknownName(f"there is no network {name!r}: {nearest(name, NETWORKS)}")
    blueprint = NETWORKS[name]
    return blueprint, read_options(blueprint.options, dict(options), f"the options of network {name}")


def _weights_file(path: Path) -> Path:
    return path / "weights.safetensors" if path.is_dir() else path


def _check_earlier(name: str, options: Mapping[str, Any], earlier: ModelSpec) -> None:
    """Refuse to start from a model of another network or other options, naming both."""
    if earlier.network != name:
        raise BadOption(
            f"pretrained_path is a model of network {earlier.network}, and {name} is to be trained: set network ="
            f" {earlier.network!r}, or pass the weights of the encoder alone"
        )
    asked, had = (vars(_checked(name, architecture_options(o))[1]) for o in (options, earlier.network_options))
    other = [key for key in asked if asked[key] != had[key]]
    if other:
        wants, has = (", ".join(f"{key} = {values[key]!r}" for key in other) for values in (asked, had))
        raise BadOption(
            f"pretrained_path is a model of network {name} with {has}, and {name} with {wants} is to be trained:"
            f" set {has}, or train anew without pretrained_path"
        )
