"""The [evaluate] table of the project file."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge

Part = Literal["auto", "all", "train", "validation", "test"]


@dataclass(frozen=True)
class EvaluateOptions:
    """Which pixels are scored.

    part   "all" takes whole scenes; "train", "validation" and "test" the windows with that role; "auto" the test scenes,
           where there are none the validation windows, and without those whole scenes
    block  side in pixels of the squares that are read and counted at once: memory, not results, depends on it
    """

    part: Part = "auto"
    block: Annotated[int, Ge(1)] = 1024
