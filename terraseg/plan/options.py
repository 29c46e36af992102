"""The [train], [sample] and [optimize] tables of the project file."""

import re
from dataclasses import dataclass, field
from typing import Literal

from terraseg.errors import BadOption

Quality = Literal["fast", "balanced", "best"]
Augmentations = tuple[str, ...]


@dataclass(frozen=True)
class TrainOptions:
    """The [train] table: what is trained and for how long. Everything left out is chosen by the rules.

    quality         "fast", "balanced" or "best": how long and how large, where nothing below says it
    time_budget     length of training in wall time: "90s", "8m", "1h"
    epochs          length of training in rounds over the training pixels
    steps           length of training in optimizer steps
    network         a name that `terraseg models` lists
    encoder         a timm encoder, for the networks that have one
    pretrained_path encoder weights in timm's key names (.safetensors), or the folder of an earlier model
    loss            "ce", "focal", "dice", "jaccard", "lovasz", "tversky", "boundary", or shares: {ce = 1, dice = 1}
    learning_rate   peak of the schedule, or "find" to take what a range test suggests
    precision       "bf16" or "fp32"; "auto" takes bf16 where the machine computes in it
    patience        validations without a gain after which training stops; 0 never stops early
    seed            of the weights, the patches and the augmentation
    """

    quality: Quality = "balanced"
    time_budget: str = ""
    epochs: int | None = None
    steps: int | None = None
    network: str = ""
    encoder: str = ""
    pretrained_path: str = ""
    loss: str | dict[str, float] = ""
    learning_rate: float | Literal["find"] | None = None
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    patience: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        lengths = {"steps": self.steps, "epochs": self.epochs, "time_budget": self.time_budget}
        given = [f"{name} = {value!r}" for name, value in lengths.items() if value]
        if len(given) > 1:
            raise BadOption(f"[train] sets {' and '.join(given)}: choose one")
        _above_zero("train", {"epochs": self.epochs, "steps": self.steps})
        if self.time_budget:
            seconds(self.time_budget)


@dataclass(frozen=True)
class SampleOptions:
    """The [sample] table: what of the scenes a training step sees.

    reduction       pixels of the imagery that make one of the network's, along either axis
    crop            side of a training patch, in the network's pixels
    batch           patches per optimizer step
    accumulate      parts in which a batch is computed, to spare memory
    augment         names of augmentations, such as "d4", "scale", "photometric" (pictures) or "radiometric" (measurements)
    centred_share   share of the patches that are cut around a pixel of a class, all classes alike
    cache_gb        disk space for copies of the scenes that patches are cut from, in 10^9 bytes
    """

    reduction: int | None = None
    crop: int | None = None
    batch: int | None = None
    accumulate: int | None = None
    augment: Augmentations | None = None
    centred_share: float | None = None
    cache_gb: float = 4.0

    def __post_init__(self) -> None:
        names = ("reduction", "crop", "batch", "accumulate")
        _above_zero("sample", {name: getattr(self, name) for name in names})
        if self.centred_share is not None and not 0 <= self.centred_share <= 1:
            raise BadOption(f"[sample] sets centred_share = {self.centred_share}: pass a share from 0 to 1")
        if self.cache_gb < 0:
            raise BadOption(f"[sample] sets cache_gb = {self.cache_gb}: pass 0, for none, or more")


@dataclass(frozen=True)
class OptimizeOptions:
    """The [optimize] table: how the network learns from what it sees.

    schedule        "one-cycle", "cosine" or "poly"
    warm_up         share of the run in which the learning rate rises
    weight_decay    of AdamW
    encoder_rate    the encoder's learning rate as a share of the rest's
    freeze          share of the run in which the encoder stands still
    average         "ema" or "swa": a mean of the weights, kept where it is better in validation; "none"
    gradient_clip   bound of the gradient's norm; 0 for none
    class_weights   "none", "auto" (rare classes count more), or one number a class
    label_smoothing share of certainty that the labels are not given
    """

    schedule: Literal["one-cycle", "cosine", "poly"] = "one-cycle"
    warm_up: float | None = None
    weight_decay: float | None = None
    encoder_rate: float | None = None
    freeze: float | None = None
    average: Literal["auto", "none", "ema", "swa"] = "auto"
    gradient_clip: float | None = None
    class_weights: Literal["none", "auto"] | tuple[float, ...] = "none"
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        for name in ("warm_up", "freeze", "label_smoothing"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1:
                raise BadOption(f"[optimize] sets {name} = {value}: pass a share from 0 to below 1")
        for name in ("weight_decay", "encoder_rate", "gradient_clip"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise BadOption(f"[optimize] sets {name} = {value}: pass 0 or more")


@dataclass(frozen=True)
class TrainingOptions:
    """The three tables by which a user overrides the plan."""

    train: TrainOptions = field(default_factory=TrainOptions)
    sample: SampleOptions = field(default_factory=SampleOptions)
    optimize: OptimizeOptions = field(default_factory=OptimizeOptions)


def _above_zero(table: str, values: dict[str, int | None]) -> None:
    for name, value in values.items():
        if value is not None and value < 1:
            raise BadOption(f"[{table}] sets {name} = {value}: pass a number above 0")


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
