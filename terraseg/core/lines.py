"""Lines with their attributes: the middle of streets."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import Legend


@dataclass(frozen=True, eq=False)
class LineTable:
    """Centre lines, row by row; all arrays have shape (n,).

    `geometry` holds shapely line strings in map coordinates, `class_id` the map ids. With a CRS `width` and `length` are
    metres on the ground, without one pixels; a width that is nowhere to be seen is NaN.
    """

    geometry: NDArray[np.object_]
    class_id: NDArray[np.uint8]
    width: NDArray[np.float64]
    length: NDArray[np.float64]
    legend: Legend
    crs: str | None

    def __post_init__(self) -> None:
        lengths = {len(column) for column in (self.geometry, self.class_id, self.width, self.length)}
        if len(lengths) != 1:
            raise ValueError(f"line columns of the lengths {sorted(lengths)}: each line needs one value of each")

    def __len__(self) -> int:
        return len(self.geometry)

    def columns(self) -> dict[str, NDArray[np.generic]]:
        """The attributes by the names that they have in files."""
        names = {c.id: c.name for c in self.legend.classes}
        unit = "px" if self.crs is None else "m"
        return {
            "class_id": self.class_id,
            "class_name": np.array([names[int(i)] for i in self.class_id], dtype=object),
            f"width_{unit}": self.width,
            f"length_{unit}": self.length,
        }
