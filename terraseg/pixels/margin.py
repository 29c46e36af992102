"""Windows of a class map with the pixels around them, for what is measured over a distance."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classreader import ClassRaster
from terraseg.core.grid import Grid
from terraseg.core.window import Window, cut
from terraseg.shapes.ground import pixel_size_m

SIDE = 1024
"""Side, in pixels, of the windows that are worked on one at a time: a fixed lattice, so that results are always the same."""


@dataclass(frozen=True, eq=False)
class Surrounded:
    """A window of a map with a margin: `ids` (height, width) of class ids, whose pixel (0, 0) is (`row`, `col`) of the map.

    Beyond the map's edge its last pixels go on, so that the edge cuts nothing off. `core` is the window itself within
    `ids`, `sampling` the (height, width) of a pixel there: metres on the ground with a CRS, else 1.
    """

    ids: NDArray[np.uint8]
    row: int
    col: int
    core: Window
    sampling: tuple[float, float]

    def in_core(self, row: NDArray[np.int64], col: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which positions in `ids` belong to the window itself."""
        core = self.core
        return (row >= core.row) & (row < core.row_stop) & (col >= core.col) & (col < core.col_stop)


def surrounded(raster: ClassRaster, margin: int) -> Iterator[Surrounded]:
    """The map window by window, row by row, each with `margin` pixels around it; together the cores cover it once."""
    grid = raster.grid
    for core in cut(grid.window, SIDE, SIDE):
        wide = Window(core.row - margin, core.col - margin, core.height + 2 * margin, core.width + 2 * margin)
        there = wide.intersection(grid.window)
        beyond = (
            (there.row - wide.row, wide.row_stop - there.row_stop),
            (there.col - wide.col, wide.col_stop - there.col_stop),
        )
        ids = np.pad(raster.read(there), beyond, mode="edge")
        place = core.shifted(-wide.row, -wide.col)
        yield Surrounded(ids, wide.row, wide.col, place, sampling_at(grid, core))


def sampling_at(grid: Grid, window: Window) -> tuple[float, float]:
    """The (height, width) of a pixel in the middle of a window: metres on the ground with a CRS, else 1."""
    if grid.crs is None:
        return 1.0, 1.0
    row, col = window.row + window.height / 2, window.col + window.width / 2
    return pixel_size_m(grid.crs, grid.transform, row, col)


def margin_pixels(grid: Grid, metres: float, *, least: int = 32, most: int = SIDE) -> int:
    """How many pixels a distance on the ground is, kept within bounds; without a CRS a metre counts as a pixel."""
    sides = grid.pixel_size_m or (1.0, 1.0)
    return int(np.clip(np.ceil(metres / min(sides)), least, most))
