"""Trees, counted by their crowns."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classreader import ClassRaster
from terraseg.pixels.discs import split_discs
from terraseg.pixels.margin import margin_pixels, surrounded

REACH_M = 40.0
"""How far around a window crowns are followed."""


@dataclass(frozen=True, eq=False)
class Crowns:
    """Tree crowns, (n,) each: map coordinates of their middles, and the area of ground that each covers.

    Areas are square metres with a CRS, else pixels.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    area: NDArray[np.float64]

    @property
    def diameter(self) -> NDArray[np.float64]:
        """The diameter of a circle of each crown's area."""
        return np.asarray(2 * np.sqrt(self.area / np.pi))

    def __len__(self) -> int:
        return len(self.x)


def find_crowns(raster: ClassRaster, trees: Collection[int], *, smallest: float) -> Crowns:
    """The crowns of the classes `trees` whose middle lies on the map, those that touch split by `split_discs`.

    Crowns narrower than `smallest` (metres with a CRS, else pixels) are bushes and not counted. The areas are those that the
    map shows: what a taller crown hides of a lower one is the taller one's. Memory is a window of the map and what the
    crowns take.
    """
    grid = raster.grid
    rows, cols, areas = [], [], []
    for part in surrounded(raster, margin_pixels(grid, REACH_M)):
        mask = np.isin(part.ids, list(trees))
        if not mask.any():
            continue
        parts = split_discs(mask, sampling=part.sampling, least=smallest / 2)
        pixels = np.bincount(parts.labels.ravel(), minlength=len(parts.row) + 1)[1:]
        core = part.in_core(parts.row, parts.col)
        rows.append(parts.row[core] + part.row)
        cols.append(parts.col[core] + part.col)
        areas.append(pixels[core] * (part.sampling[0] * part.sampling[1]))
    none = [np.zeros(0)]
    row, col = np.concatenate(none + rows), np.concatenate(none + cols)
    x, y = grid.to_map(row + 0.5, col + 0.5)
    return Crowns(x, y, np.concatenate(none + areas))
