"""What a learning-rate range test found: how the loss went as the rate rose."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from terraseg.errors import UnreadableFile


@dataclass(frozen=True)
class LrCurve:
    """Learning rates in rising order, the smoothed loss of the step taken at each, and two rates to train with.

    `suggestion_steepest` is where the loss falls fastest over the logarithm of the rate, `suggestion_valley` the middle
    of its longest fall; both are among `rates` and fit for the peak of a one-cycle policy.

    >>> curve = LrCurve((0.1, 1.0), (0.7, 0.5), 1.0, 0.1)
    >>> LrCurve.from_json(curve.to_json()) == curve
    True
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion_steepest: float
    suggestion_valley: float

    def __post_init__(self) -> None:
        if len(self.rates) != len(self.losses):
            raise ValueError(f"{len(self.rates)} rates and {len(self.losses)} losses: each rate needs one loss")
        if not all(math.isfinite(value) for value in (*self.rates, *self.losses)):
            raise ValueError("a rate or a loss that is not finite: end the curve before it")
        if any(a >= b for a, b in zip(self.rates, self.rates[1:], strict=False)):
            raise ValueError("learning rates that do not rise: pass them in the order of the test")
        for name in ("suggestion_steepest", "suggestion_valley"):
            if getattr(self, name) not in self.rates:
                raise ValueError(f"{name} = {getattr(self, name):g} is none of the rates of the test")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**asdict(self), "rates": list(self.rates), "losses": list(self.losses)}

    @staticmethod
    def from_json(value: dict[str, Any]) -> "LrCurve":
        """The inverse of `to_json`; `UnreadableFile` when the value is no curve."""
        try:
            return LrCurve(**{**value, "rates": tuple(value["rates"]), "losses": tuple(value["losses"])})
        except (KeyError, TypeError, ValueError) as error:
            raise UnreadableFile(
                f"this JSON is no learning-rate curve ({error}): delete lr_find.json and run `terraseg lr-find` again"
            ) from error
