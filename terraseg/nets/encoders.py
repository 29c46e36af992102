"""Image classifiers as encoders: timm's networks cut to their feature maps, with weights from its hub or a local file."""

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import timm
import torch
from huggingface_hub import hf_hub_download, try_to_load_from_cache
from huggingface_hub.constants import ENDPOINT
from huggingface_hub.errors import HfHubHTTPError
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.models import adapt_input_conv
from torch import Tensor, nn

from terraseg.errors import BadOption, UnknownName, UnreadableFile, nearest

SUGGESTED = ("resnet18", "resnet34", "resnet50", "mobilenetv2_100", "efficientnet_b0", "convnext_tiny")
"""Encoders worth a try, for messages; timm knows several hundred more."""

HUB_FILE = "model.safetensors"

# What timm raises for a classifier that it cannot cut into feature maps or that lacks an argument.
_UNFIT = (RuntimeError, AttributeError, AssertionError, TypeError, ValueError, KeyError)


@dataclass(frozen=True)
class EncoderOptions:
    """Which encoder and which initial weights.

    `name` is timm's, with a tag of its weights if one is meant ("resnet50.tv_in1k"). `pretrained_path`, a .safetensors file
    in timm's key names, comes before `pretrained`, timm's hub. `drop_path` is the rate of stochastic depth.
    """

    name: str
    pretrained: bool = False
    pretrained_path: str | None = None
    drop_path: float = 0.0


@dataclass(frozen=True)
class Encoder:
    """A network from images to feature maps, finest first: one for each size, with its channels and its reduction.

    `features` are the places of these maps in the module's output, which may hold several maps of one size.
    """

    module: nn.Module
    features: tuple[int, ...]
    channels: tuple[int, ...]
    reductions: tuple[int, ...]


def build_encoder(options: EncoderOptions, *, bands: int) -> Encoder:
    """The timm encoder `options.name` for that many bands, with initial, local or hub weights.

    With pretrained weights the first convolution is adapted to the bands: unchanged for three, else repeated and scaled so
    that the response to equal bands stays what it was (timm's rule). Raises `UnknownName` for a name that timm lacks,
    `BadOption` for an encoder whose maps do not halve exactly and for weights that cannot be had, `UnreadableFile` for a
    weights file that cannot be read.
    """
    module = _create(options, bands)
    path = options.pretrained_path
    if path is None and options.pretrained:
        path = download_weights(module, options.name)
    if path is not None:
        load_encoder_weights(module, Path(path), bands=bands)
    encoder = _by_size(module)
    _check_sizes(encoder, options.name, bands)
    return encoder


@lru_cache(maxsize=64)
def encoder_stride(name: str) -> int:
    """The total downsampling of an encoder."""
    with torch.device("meta"):
        return _by_size(_create(EncoderOptions(name), 3)).reductions[-1]


def load_encoder_weights(module: nn.Module, path: Path, *, bands: int) -> None:
    """Fill the encoder from a .safetensors file in timm's key names.

    Keys that the encoder has no use for, a classifier's say, are left over. A missing or misshapen one raises `BadOption`
    with their count and names.
    """
    found = _in_feature_names(read_safetensors(path))
    wanted = module.state_dict()
    missing = [key for key in wanted if key not in found and not key.endswith("num_batches_tracked")]
    if missing:
        raise BadOption(f"{path} lacks {_count(missing, len(wanted))}: pass the weights of the same encoder as named")
    kept = {key: found[key] for key in wanted if key in found}
    for key in _first_convolutions(module):
        if kept[key].shape[1] != wanted[key].shape[1]:
            kept[key] = adapt_input_conv(bands, kept[key])
    misshapen = [key for key, tensor in kept.items() if tensor.shape != wanted[key].shape]
    if misshapen:
        raise BadOption(
            f"{path} has another shape for {_count(misshapen, len(wanted))}: pass the encoder's own weights"
        )
    module.load_state_dict(kept, strict=False)


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file by name; `UnreadableFile` when it is missing or of another kind."""
    if not path.is_file():
        raise UnreadableFile(f"{path} is no file: pass pretrained_path the .safetensors file of the weights")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        message = f"{path} cannot be read as safetensors ({error}): convert the weights, pickles are never opened"
        raise UnreadableFile(message) from error


def download_weights(module: nn.Module, name: str) -> str:
    """The local path of the encoder's weights from timm's hub, kept in the hub's own cache after the first time.

    Raises `BadOption`, which tells to pass a local file, when the hub cannot be reached or has none as safetensors.
    """
    remedy = "pass pretrained_path, a local .safetensors file in timm's key names, or pretrained = false"
    place = module.pretrained_cfg.get("hf_hub_id")  # type: ignore[operator, union-attr]  # timm's attribute
    if not place:
        raise BadOption(f"timm's hub has no weights of encoder {name!r}: {remedy}")
    cached = try_to_load_from_cache(place, HUB_FILE)
    if isinstance(cached, str):
        return cached
    try:
        _reach(ENDPOINT)
        return hf_hub_download(place, HUB_FILE)
    except (OSError, HfHubHTTPError) as error:
        reason = str(error).strip().split("\n")[0]
        wanted = f"the pretrained weights of encoder {name!r} cannot be had from {ENDPOINT}/{place}"
        raise BadOption(f"{wanted} ({reason}): {remedy}") from error


def _reach(endpoint: str) -> None:
    """Fail at once without a network: the hub's client would try again for most of a minute."""
    address = urlsplit(endpoint)
    if address.hostname and address.scheme not in getproxies():
        socket.create_connection((address.hostname, address.port or 443), timeout=10).close()


def _create(options: EncoderOptions, bands: int) -> nn.Module:
    base = options.name.split(".")[0]
    if not timm.is_model(base):
        close = get_close_matches(base, timm.list_models(), n=5) or list(SUGGESTED)
        raise UnknownName(
            f"timm has no encoder {options.name!r}: {nearest(base, close)}, and others of timm.list_models()"
        )
    extra: dict[str, Any] = {"drop_path_rate": options.drop_path} if options.drop_path else {}
    try:
        module = timm.create_model(options.name, pretrained=False, features_only=True, in_chans=bands, **extra)
    except _UNFIT as error:
        named = f"encoder {options.name!r}" + (f" with drop_path = {options.drop_path}" if extra else "")
        raise BadOption(f"{named} cannot be used ({error}): take another one, {SUGGESTED[1]!r} say") from error
    assert isinstance(module, nn.Module)
    return module


def _by_size(module: nn.Module) -> Encoder:
    """Where several maps have one size the last counts: it has seen most."""
    reductions = [int(r) for r in module.feature_info.reduction()]  # type: ignore[operator, union-attr]  # timm's attribute
    channels = [int(c) for c in module.feature_info.channels()]  # type: ignore[operator, union-attr]  # timm's attribute
    last = {reduction: place for place, reduction in enumerate(reductions)}
    places = tuple(last[reduction] for reduction in sorted(last))
    return Encoder(module, places, tuple(channels[p] for p in places), tuple(sorted(last)))


def _check_sizes(encoder: Encoder, name: str, bands: int) -> None:
    size = 2 * encoder.reductions[-1]
    training = encoder.module.training
    try:
        with torch.no_grad():
            outputs = encoder.module.eval()(torch.zeros(1, bands, size, size))
    except _UNFIT as error:
        raise BadOption(f"encoder {name!r} fails on {size} px ({error}): take another, {SUGGESTED[1]!r} say") from error
    encoder.module.train(training)
    found = [tuple(outputs[place].shape[1:]) for place in encoder.features]
    sides = [size // reduction for reduction in encoder.reductions]
    if found != [(c, side, side) for c, side in zip(encoder.channels, sides, strict=True)]:
        raise BadOption(
            f"encoder {name!r} turns {size} px into maps of {found} (channels, height, width), not of {sides} px with the"
            f" channels first: take one that halves exactly, {SUGGESTED[1]!r} say"
        )


def _in_feature_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under their own names and under those of timm's feature networks, which flatten the first level."""
    flattened = {key.replace(".", "_", 1): tensor for key, tensor in tensors.items()}
    return {**flattened, **tensors}


def _first_convolutions(module: nn.Module) -> list[str]:
    names = module.pretrained_cfg.get("first_conv") or ()  # type: ignore[operator, union-attr]  # timm's attribute
    names = (names,) if isinstance(names, str) else names
    keys = module.state_dict().keys()
    candidates = [f"{form}.weight" for name in names for form in (name, name.replace(".", "_", 1))]
    return [key for key in candidates if key in keys]


def _count(keys: Iterable[str], total: int) -> str:
    names = list(keys)
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return f"{len(names)} of the encoder's {total} tensors ({shown})"
