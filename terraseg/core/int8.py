"""What is known of a model in bytes: how it was calibrated, and how far it agrees with the exact one."""

from dataclasses import asdict, dataclass
from typing import Any

from terraseg.errors import BrokenBundle

LEAST_AGREEMENT = 0.99
"""The share of pixels on which a model in bytes must map what the exact one maps."""


@dataclass(frozen=True)
class Int8Report:
    """The agreement of a model in bytes with the exact one: the share of equal pixels on held-out windows.

    `calibrated` and `judged` count the windows whose values set the scales and those on which both were compared, `pixels`
    the pixels of the latter. `floats` says in words which layers still count in 32 bit, "" for none.
    """

    agreement: float
    calibrated: int
    judged: int
    pixels: int
    floats: str = ""

    @property
    def is_good(self) -> bool:
        """Whether the model may be used without being forced."""
        return self.agreement >= LEAST_AGREEMENT

    @property
    def sentence(self) -> str:
        """The report in one sentence."""
        kept = f"; {self.floats} still count in 32 bit" if self.floats else ""
        return (
            f"int8 agrees with exact on {self.agreement:.2%} of {self.pixels / 1e6:.2f} megapixels in {self.judged} held-out "
            f"windows, after calibration on {self.calibrated} others{kept}"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Int8Report":
        """The inverse of `to_json`; `BrokenBundle` for a value that is none."""
        try:
            return Int8Report(**value)
        except TypeError as error:
            raise BrokenBundle(f"no report of a model in bytes: {error}") from error
