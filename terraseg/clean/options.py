"""The [clean] table of the project file."""

from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import Legend
from terraseg.errors import BadOption

ByClass = float | dict[str, float]
"""A number for all classes but the background, or a number by class name; what is not named is 0."""

Below = Literal["auto", "background", "next", "void"]


@dataclass(frozen=True)
class CleanOptions:
    """What becomes of a map between prediction and polygons; as they are, nothing does.

    Every number may be a table by class name instead, {building = 0.7, tree = 0.5}; one number is for all classes but the
    background. The steps are taken in this order. Areas and radii are those on the ground; without a CRS they count pixels.

    threshold    a pixel whose class has a lower probability is given up; needs the confidence or the probabilities
    below        what a pixel that is given up becomes: "background", the "next" best class that reaches its own threshold
                 (needs the probabilities), or "void"; "auto" is the background where there is one, else the next best where
                 the probabilities are there, else void
    smooth_m     a pixel becomes what is commonest within this radius around it
    min_hole_m2  holes in a class with less ground are filled, whatever is in them
    min_area_m2  objects with less ground go to the neighbour with which they share most border
    """

    threshold: ByClass = 0.0
    below: Below = "auto"
    smooth_m: ByClass = 0.0
    min_hole_m2: ByClass = 0.0
    min_area_m2: ByClass = 0.0

    def __post_init__(self) -> None:
        for name in (f.name for f in fields(self) if f.name != "below"):
            value = getattr(self, name)
            for number in value.values() if isinstance(value, dict) else (value,):
                high = 1.0 if name == "threshold" else float("inf")
                if not 0 <= number <= high:
                    limits = "a probability from 0 to 1" if name == "threshold" else "0 or more"
                    raise BadOption(f"[clean] {name} = {value}: pass {limits}")

    @property
    def is_off(self) -> bool:
        """True when nothing would change."""
        values = (self.threshold, self.smooth_m, self.min_hole_m2, self.min_area_m2)
        return all(not any(v.values()) if isinstance(v, dict) else not v for v in values)

    @property
    def has_threshold(self) -> bool:
        """True when the probabilities matter."""
        return any(self.threshold.values()) if isinstance(self.threshold, dict) else bool(self.threshold)


def by_id(legend: Legend, value: ByClass) -> NDArray[np.float64]:
    """A setting as an array (256,) by map id; `UnknownName` for a class that is not in the legend."""
    found = np.zeros(256)
    if isinstance(value, dict):
        for name, number in value.items():
            found[legend.ids[legend.index_of(name)]] = number
        return found
    found[list(legend.ids)] = value
    if legend.background_index is not None:
        found[legend.ids[legend.background_index]] = 0.0
    return found
