"""Weights that others trained: files in timm's key names, timm's hub, and how they meet other bands."""

import socket
from collections.abc import Iterable
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
from torch import Tensor, nn

from terraseg.errors import BadOption, UnreadableFile

HUB_FILE = "model.safetensors"


def load_encoder_weights(module: nn.Module, path: Path, *, bands: int) -> None:
    """Fill the encoder from a .safetensors file in timm's key names.

    Keys that the encoder has no use for, a classifier's say, are left over. A missing or misshapen one raises `BadOption`
    with their count and names.
    """
    found = _in_feature_names(read_safetensors(path), module)
    wanted = module.state_dict()
    missing = [key for key in wanted if key not in found and not key.endswith("num_batches_tracked")]
    if missing:
        raise BadOption(f"{path} lacks {_count(missing, len(wanted))}: pass the weights of the same encoder as named")
    kept = {key: found[key] for key in wanted if key in found}
    for key in _first_convolutions(module):
        if kept[key].shape[1] != wanted[key].shape[1]:
            kept[key] = adapt_bands(kept[key], bands)
    misshapen = [key for key, tensor in kept.items() if tensor.shape != wanted[key].shape]
    if misshapen:
        raise BadOption(
            f"{path} has another shape for {_count(misshapen, len(wanted))}: pass the encoder's own weights"
        )
    module.load_state_dict(kept, strict=False)


def adapt_bands(kernel: Tensor, bands: int) -> Tensor:
    """A first convolution (outputs, inputs, h, w) for another number of input bands, as timm does it from three.

    One band gets the sum over the inputs. Otherwise the inputs repeat in turn and are scaled by old over new count, so that
    grey imagery, equal in every band, is answered as before wherever the kernel was grey itself.

    >>> adapt_bands(torch.ones(1, 3, 1, 1), 6).flatten().tolist()
    [0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
    """
    inputs = kernel.shape[1]
    if bands == 1:
        return kernel.float().sum(1, keepdim=True).to(kernel.dtype)
    order = torch.arange(bands) % inputs
    return (kernel.float()[:, order] * (inputs / bands)).to(kernel.dtype)


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file by name; `UnreadableFile` when it is missing or of another kind."""
    if not path.is_file():
        raise UnreadableFile(f"{path} is no file: pass pretrained_path the .safetensors file of the weights")
    try:
        return dict(load_file(path))
    except (SafetensorError, OSError) as error:
        message = f"{path} cannot be read as safetensors ({error}): convert the weights, pickles are never opened"
        raise UnreadableFile(message) from error


def hub_id(name: str) -> str | None:
    """Where timm's hub keeps the pretrained weights of an encoder, None where it has none; asks no network.

    >>> hub_id("resnet18.tv_in1k")
    'timm/resnet18.tv_in1k'
    """
    config: Any = timm.get_pretrained_cfg(name)
    return str(config.hf_hub_id) if config is not None and config.hf_hub_id else None


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


def _in_feature_names(tensors: dict[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """The tensors under their own names and under those of timm's feature networks.

    Most of these flatten the first level of names; those that ask the classifier itself for its maps keep it as "model".
    """
    if all(key.startswith("model.") for key in module.state_dict()):
        return {f"model.{key}": tensor for key, tensor in tensors.items()} | tensors
    flattened = {key.replace(".", "_", 1): tensor for key, tensor in tensors.items()}
    return {**flattened, **tensors}


def _first_convolutions(module: nn.Module) -> list[str]:
    names = module.pretrained_cfg.get("first_conv") or ()  # type: ignore[operator, union-attr]  # timm's attribute
    names = (names,) if isinstance(names, str) else names
    keys = module.state_dict().keys()
    forms = [form for name in names for form in (name, name.replace(".", "_", 1), f"model.{name}")]
    return [key for form in forms if (key := f"{form}.weight") in keys]


def _count(keys: Iterable[str], total: int) -> str:
    names = list(keys)
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return f"{len(names)} of the encoder's {total} tensors ({shown})"
