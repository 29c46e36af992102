"""The [evaluate] table of the project file."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge

Part = Literal["auto", "all", "train", "validation", "test"]


@dataclass(frozen=True)
class EvaluateOptions:
    """Which pixels are scored, and what is said of them.

    part           "all" takes whole scenes; "train", "validation" and "test" the windows with that role; "auto" the test
                   scenes, where there are none the validation windows, and without those whole scenes
    block          side in pixels of the squares that are read and counted at once: memory, not results, depends on it
    shapes         also score outlines and objects: boundary IoU, object precision, recall and F1, recall by size
    boundary_px    width in pixels of the seams along outlines that boundary IoU compares
    least_object   objects of less than so many square metres (pixels without a CRS) count neither as true nor as mapped
    interval_side  side in pixels of the blocks that are drawn for confidence intervals; without it twice the range over which
                   the labels are correlated
    resamples      how often they are drawn; 0 leaves the intervals out
    worst          so many tiles, those with the most wrong pixels, become pictures: these blocks, joined up to 128 px a side
    """

    part: Part = "auto"
    block: Annotated[int, Ge(1)] = 1024
    shapes: bool = True
    boundary_px: Annotated[int, Ge(1)] = 7
    least_object: Annotated[float, Ge(0)] = 0.0
    interval_side: Annotated[int, Ge(8)] | None = None
    resamples: Annotated[int, Ge(0)] = 1000
    worst: Annotated[int, Ge(0)] = 20
