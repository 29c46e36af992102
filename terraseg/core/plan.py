"""What training will do and why: every setting that the user need not choose."""

from dataclasses import asdict, dataclass, field
from typing import Any

from terraseg.core.grid import Grid
from terraseg.core.scale import PixelSize, Working, scale_to


@dataclass(frozen=True)
class Plan:
    """The settings of a training run, each with a reason in one line under its name in `reasons`.

    What is seen: the network works on pixels of `gsd_m` metres, `reduction` pixels of the model along either axis; scenes
    of another ground sample distance are brought to the model's first. `gsd_m` is None without a CRS, `aspect` is a
    pixel's width over its height. `crop` is in these working pixels, `tile` and `overlap` of prediction are in the
    model's. `batch` patches make an optimizer step, in `accumulate` parts. `centred_share` of them are cut around a pixel
    of a class, all classes alike; the others fall uniformly.

    How long: exactly one of `steps`, optimizer steps, and `time_budget_s`, seconds of wall time, is set.
    `validate_every` counts steps between two validations (0: as often as the budget allows, about twelve times a run);
    training stops early after `patience` of them without a gain.

    How it learns: `loss` maps names of `nets.losses` to their shares; `class_weights` is one number a class, None for
    none. `schedule` is "one-cycle", "cosine" or "poly" over the peak `learning_rate`, rising over the share `warm_up`;
    the encoder learns at `encoder_rate` times that, and not at all in the share `freeze` of the run. `average` is "none",
    "ema" or "swa": a mean of the weights, kept where it is better in validation. `gradient_clip` bounds the norm of the
    gradient, 0 leaves it alone. `precision` is "bf16" or "fp32"; `device` is torch's name for it.
    """

    network: str
    network_options: dict[str, Any]
    crop: int
    batch: int
    steps: int | None
    time_budget_s: float | None
    learning_rate: float
    weight_decay: float
    precision: str
    device: str
    threads: int
    augment: tuple[str, ...]
    validate_every: int
    patience: int
    tile: int
    overlap: int
    seed: int
    reasons: dict[str, str] = field(default_factory=dict)
    gsd_m: float | None = None
    aspect: float = 1.0
    reduction: int = 1
    loss: dict[str, float] = field(default_factory=lambda: {"ce": 1.0})
    class_weights: tuple[float, ...] | None = None
    label_smoothing: float = 0.0
    centred_share: float = 0.1
    schedule: str = "one-cycle"
    warm_up: float = 0.3
    encoder_rate: float = 1.0
    freeze: float = 0.0
    average: str = "none"
    accumulate: int = 1
    gradient_clip: float = 0.0

    def working(self, grid: Grid) -> Working:
        """How a scene is brought to working pixels; one without a CRS is reduced as it is."""
        if self.gsd_m is None:
            return Working(reduction=self.reduction)
        return Working(scale_to(PixelSize(self.gsd_m / self.reduction, self.aspect), grid), self.reduction)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        weights = None if self.class_weights is None else list(self.class_weights)
        return {**asdict(self), "augment": list(self.augment), "class_weights": weights}

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Plan":
        """The inverse of `to_json`."""
        weights = value.get("class_weights")
        settled = {"augment": tuple(value["augment"]), "class_weights": None if weights is None else tuple(weights)}
        return Plan(**{**value, **settled})


@dataclass(frozen=True)
class StepTime:
    """What one training step of a network costs here: seconds and bytes a sample of `crop` pixels."""

    network: str
    encoder: str
    crop: int
    seconds: float
    memory: int


@dataclass(frozen=True)
class Hardware:
    """The machine as training finds it: cores really available, memory in bytes, the accelerator if there is one.

    `timings` are measured steps of candidate networks, by which the plan chooses; empty when none was measured.
    """

    cores: int
    memory: int
    device: str
    device_name: str
    device_memory: int
    bf16: bool
    timings: tuple[StepTime, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**asdict(self), "timings": [asdict(timing) for timing in self.timings]}

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Hardware":
        """The inverse of `to_json`."""
        return Hardware(**{**value, "timings": tuple(StepTime(**timing) for timing in value["timings"])})
