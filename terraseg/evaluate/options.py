"""The [evaluate] table of the project file."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge

Part = Literal["all", "train", "validation", "test"]


@dataclass(frozen=True)
class EvaluateOptions:
    """Which pixels are scored.

    part   "all" takes whole scenes, the others the windows with that role in training
    block  side in pixels of the squares that are read and counted at once: memory, not results, depends on it
    """

    part: Part = "all"
    block: Annotated[int, Ge(1)] = 1024
