"""An earlier model as the start of training: what of its weights fits, what is adapted, what begins anew."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from terraseg.errors import BadOption
from terraseg.nets.pretrained import adapt_bands

Builder = Callable[[int, int], nn.Module]
"""A network of fixed name and options from its bands and classes."""

Sizes = dict[str, torch.Size]

LOST = 0.25
"""The share of an earlier model's weights that may begin anew; beyond it little is left to start from."""


@dataclass(frozen=True)
class Start:
    """The tensors to load, complete but for the layers that begin anew, and what to tell of it, "" when all fits."""

    tensors: dict[str, Tensor]
    note: str


def start_from(build: Builder, tensors: Mapping[str, Tensor], *, bands: int, classes: int, file: str) -> Start:
    """What a network for these bands and classes takes over from an earlier model of the same network and options.

    With other classes the layers that give the classes begin anew. With other bands the first convolution is adapted as
    encoder weights are, and further layers that join the bands begin anew. Raises `BadOption` for tensors of another
    network or other options, and for a network whose weights depend on the bands for the greater part.
    """
    wanted = _sizes(build, bands, classes)
    found = {key: tensor.shape for key, tensor in tensors.items()}
    if found == wanted:
        return Start(dict(tensors), "")
    entry, exit_ = _entry(build, bands, classes, wanted), _exit(build, bands, classes, wanted)
    if entry not in found or exit_ not in found or len(found[entry]) != len(wanted[entry]):
        raise _unfit(file, wanted, found)
    old_bands, old_classes = found[entry][1], found[exit_][0]
    whole = _sizes(build, old_bands, old_classes)
    if found != whole:
        raise _unfit(file, whole, found)
    kept = {key: tensor for key, tensor in tensors.items() if tensor.shape == wanted[key]}
    if old_bands != bands:
        kept |= {
            key: adapt_bands(tensor, bands)
            for key, tensor in tensors.items()
            if _sees(tensor, old_bands, bands, wanted[key])
        }
    anew = [key for key in wanted if key not in kept]
    share = sum(wanted[key].numel() for key in anew) / sum(size.numel() for size in wanted.values())
    if share > LOST:
        raise BadOption(
            f"{file} is of a model for {old_bands} bands, and {share:.0%} of its weights depend on their number: pass"
            f" imagery with {old_bands} bands, or train anew without pretrained_path"
        )
    return Start(kept, _note(file, (old_bands, bands), (old_classes, classes), _layers(anew)))


def is_whole_model(build: Builder, tensors: Mapping[str, Tensor], *, bands: int, classes: int) -> bool:
    """Whether the tensors are those of a network of this kind, and not of an encoder alone."""
    own = _sizes(build, bands, classes).keys()
    return len(own & tensors.keys()) > len(own) // 2


def _sizes(build: Builder, bands: int, classes: int) -> Sizes:
    with torch.device("meta"):
        return {key: tensor.shape for key, tensor in build(bands, classes).state_dict().items()}


def _entry(build: Builder, bands: int, classes: int, wanted: Sizes) -> str:
    """The first convolution: the first tensor that grows with the bands."""
    more = _sizes(build, bands + 1, classes)
    return next(key for key in wanted if more[key] != wanted[key])


def _exit(build: Builder, bands: int, classes: int, wanted: Sizes) -> str:
    """The bias of the last convolution: the last tensor that grows with the classes."""
    more = _sizes(build, bands, classes + 1)
    return next(key for key in reversed(wanted) if more[key] != wanted[key])


def _sees(tensor: Tensor, old: int, new: int, wanted: torch.Size) -> bool:
    """Whether a tensor is a convolution of the bands themselves, and not of what later layers make of them."""
    return tensor.ndim == 4 and tensor.shape[1] == old and wanted == (tensor.shape[0], new, *tensor.shape[2:])


def _unfit(file: str, wanted: Sizes, found: Sizes) -> BadOption:
    lost = [key for key in wanted if found.get(key) != wanted[key]] or [key for key in found if key not in wanted]
    return BadOption(
        f"{file} does not fit the network: {len(lost)} of {len(wanted)} tensors are missing or of another shape"
        f" ({', '.join(lost[:5])}): pass a model of the same network and options, or the encoder's weights alone"
    )


def _layers(keys: list[str]) -> list[str]:
    """The layers that own the tensors, each once."""
    return list(dict.fromkeys(key.rpartition(".")[0] for key in keys))


def _note(file: str, bands: tuple[int, int], classes: tuple[int, int], anew: list[str]) -> str:
    parts = []
    if bands[0] != bands[1]:
        parts.append(f"the first convolution is adapted from {bands[0]} to {bands[1]} bands")
    if classes[0] != classes[1]:
        parts.append(f"the model had {classes[0]} classes and gets {classes[1]}")
    if anew:
        parts.append(f"{', '.join(anew)} {'begins' if len(anew) == 1 else 'begin'} anew")
    return f"starts from {file}: {'; '.join(parts)}; all else is kept"
