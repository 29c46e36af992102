"""What there is to choose from: the networks with their costs, and timm's encoders by name."""

from dataclasses import asdict, dataclass
from typing import Any

from terraseg.errors import BadOption, UnknownName, nearest
from terraseg.nets.build import NETWORKS, default_encoder
from terraseg.nets.cost import encoder_parameter_count, network_cost
from terraseg.nets.encoders import encoder_names, encoder_shape
from terraseg.nets.pretrained import hub_id

PAGE = 20
"""Encoders that one listing builds and shows."""


@dataclass(frozen=True)
class NetworkRow:
    """A network with an encoder: what it is and what it costs; the costs are None where `refused` says why it cannot be.

    `encoder` is None for a network without one, `pretrained` the place of the encoder's weights on timm's hub, None where
    there are none.
    """

    name: str
    summary: str
    encoder: str | None
    parameters: int | None
    gflops_per_megapixel: float | None
    stride: int | None
    pretrained: str | None
    refused: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


@dataclass(frozen=True)
class EncoderRow:
    """A timm encoder: its parameters without the classifier (None where it gives no maps) and its weights on timm's hub."""

    name: str
    parameters: int | None
    pretrained: str | None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def list_networks(
    *, encoder: str | None = None, bands: int = 3, classes: int = 2, match: str = ""
) -> tuple[NetworkRow, ...]:
    """Every network whose name or description holds `match`, in the order of `NETWORKS`; with `encoder` where it takes one.

    Raises `UnknownName` for an encoder that timm lacks and for a `match` that is nowhere, `BadOption` for one that no
    network can use.
    """
    if encoder is not None:
        encoder_shape(encoder)
    wanted = match.lower()
    names = [name for name, plan in NETWORKS.items() if wanted in name or wanted in plan.summary.lower()]
    if not names:
        raise UnknownName(f"no network has {match!r} in its name or description: {nearest(match, NETWORKS)}")
    return tuple(_row(name, encoder, bands, classes) for name in names)


def _row(name: str, encoder: str | None, bands: int, classes: int) -> NetworkRow:
    usual, summary = default_encoder(name), NETWORKS[name].summary
    chosen = None if usual is None else encoder or usual
    options = {} if chosen is None else {"encoder": chosen}
    pretrained = None if chosen is None else hub_id(chosen)
    try:
        cost = network_cost(name, bands=bands, classes=classes, options=options)
    except (BadOption, UnknownName) as error:
        return NetworkRow(name, summary, chosen, None, None, None, pretrained, str(error))
    gflops = round(cost.gflops_per_megapixel, 1)
    return NetworkRow(name, summary, chosen, cost.parameters, gflops, cost.stride, pretrained)


def list_encoders(text: str) -> tuple[tuple[EncoderRow, ...], int]:
    """The first `PAGE` of timm's encoders with that text in their name, and how many there are in all.

    `text` may hold wildcards ("res*18"). Raises `UnknownName` when none has it.
    """
    names = encoder_names(text)
    return tuple(EncoderRow(name, _parameters(name), hub_id(name)) for name in names[:PAGE]), len(names)


def _parameters(name: str) -> int | None:
    try:
        return encoder_parameter_count(name)
    except BadOption:
        return None
