"""The [report] table of the project file."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge


@dataclass(frozen=True)
class ReportOptions:
    """What the report page shows, and how large it may be.

    title       heading of the page; the run's name when empty
    max_side    longer side of a picture in pixels
    max_scenes  so many scenes are shown, in the order they come; 0 gives a page without pictures
    max_mb      the file stays below so many megabytes: pictures shrink for it
    """

    title: str = ""
    max_side: Annotated[int, Ge(96)] = 1600
    max_scenes: Annotated[int, Ge(0)] = 24
    max_mb: Annotated[float, Ge(0.5)] = 10.0
