"""What training will do and why: every setting that the user need not choose."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Plan:
    """The settings of a training run, each with a reason in one line under its name in `reasons`.

    `crop`, `tile` and `overlap` are pixels, `learning_rate` is the peak of the one-cycle policy. Exactly one of `steps`
    and `time_budget_s` is set: the length of training in optimizer steps, or in seconds of wall time. `precision` is
    "bf16" or "fp32"; `device` is torch's name for it. `validate_every` counts steps between two validations (0: as
    often as the budget allows, about twelve times a run); training stops early after `patience` of them without a gain.
    `loss` is a name of `nets.losses`; `gradient_clip` bounds the norm of the gradient, 0 leaves it alone.
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
    loss: str = "ce"
    gradient_clip: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**asdict(self), "augment": list(self.augment)}

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Plan":
        """The inverse of `to_json`."""
        return Plan(**{**value, "augment": tuple(value["augment"])})


@dataclass(frozen=True)
class Hardware:
    """The machine as training finds it: cores really available, memory in bytes, and the accelerator if there is one."""

    cores: int
    memory: int
    device: str
    device_name: str
    device_memory: int
    bf16: bool
