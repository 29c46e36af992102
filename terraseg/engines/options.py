"""The [engine] table of the project file."""

from dataclasses import dataclass
from typing import Literal

from terraseg.core.scorer import Precision

Augmentation = Literal["none", "flips", "d4", "d4+scales"]


@dataclass(frozen=True)
class EngineOptions:
    """What runs a model, and how.

    engine     "onnx", "openvino", "torch", or "auto": the fastest that is installed and can run the model
    precision  "exact" counts in 32 bit; "fast" in 16 bit where the machine has that in hardware; "int8" in bytes, with a
               model calibrated on the imagery, whose agreement with the exact one is measured first
    tta        how many views of a tile are scored and averaged: "none" one, "flips" 4, "d4" 8, "d4+scales" 24
    force_int8 also takes an int8 model that disagrees with the exact one on more than 1 % of the pixels
    """

    engine: str = "auto"
    precision: Precision = "exact"
    tta: Augmentation = "none"
    force_int8: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What of it a map depends on."""
        return self.precision, self.tta
