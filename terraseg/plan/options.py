"""The [train] table of the project file."""

import re
from dataclasses import dataclass
from typing import Literal

from terraseg.errors import BadOption


@dataclass(frozen=True)
class TrainOptions:
    """What the user wants otherwise than planned; everything left out is chosen by the rules.

    network         unet-light, simple-unet, unet, unet-resnet, dynamic-unet or residual-unet
    encoder         a timm encoder, for unet-light, unet-resnet and dynamic-unet
    pretrained_path encoder weights in timm's key names (.safetensors), or the folder of an earlier model
    crop            side of a training patch in pixels
    batch           patches per optimizer step
    steps           length of training in optimizer steps; excludes time_budget
    time_budget     length of training in wall time: "90s", "8m", "1h"
    learning_rate   peak of the one-cycle policy
    precision       "bf16" or "fp32"; "auto" takes bf16 where the machine computes in it
    augment         names of augmentations: "d4", "scale", and "photometric" (pictures) or "radiometric" (measurements)
    patience        validations without a gain after which training stops; 0 never stops early
    seed            of the weights, the patches and the augmentation
    """

    network: str = ""
    encoder: str = ""
    pretrained_path: str = ""
    crop: int | None = None
    batch: int | None = None
    steps: int | None = None
    time_budget: str = ""
    learning_rate: float | None = None
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    augment: tuple[str, ...] | None = None
    patience: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps is not None and self.time_budget:
            raise BadOption(f"[train] sets steps = {self.steps} and time_budget = {self.time_budget!r}: choose one")
        for name in ("crop", "batch", "steps"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise BadOption(f"[train] sets {name} = {value}: pass a number above 0")
        if self.time_budget:
            seconds(self.time_budget)


UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(duration: str) -> float:
    """Seconds of a duration such as "90s", "8m" or "1h30m".

    >>> seconds("1h30m")
    5400.0
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)([smh])", duration.strip().lower())
    total = sum(float(number) * UNITS[unit] for number, unit in parts)
    if total <= 0 or "".join(n + u for n, u in parts) != duration.strip().lower():
        raise BadOption(f"the duration {duration!r} cannot be read: write it as 90s, 8m or 1h30m")
    return total
