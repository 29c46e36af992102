"""What there is to choose from: networks, and encoders for those that take one."""

from terraseg.api.table import Table
from terraseg.engines.choose import require_training


def networks() -> Table:
    """The networks by name, what each is, and its default backbone where it takes one.

    Raises `MissingExtra` where the packages for training are not installed.
    """
    require_training()
    from terraseg.nets.build import NETWORKS, default_encoder

    rows = tuple((name, blueprint.summary, default_encoder(name)) for name, blueprint in NETWORKS.items())
    return Table(("network", "what", "backbone"), rows)


def available_backbones(pattern: str = "") -> tuple[str, ...]:
    """Names for `backbone`: those worth a try, or all of timm's that match a pattern such as "resnet*" or "*".

    timm knows over a thousand; the few that cannot be cut into feature maps say so when they are built. Raises
    `MissingExtra` where the packages for training are not installed.
    """
    require_training()
    from terraseg.nets.encoders import SUGGESTED, encoder_names

    return encoder_names(pattern) if pattern else SUGGESTED
