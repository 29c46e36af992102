"""What vectorize and measure need of a map on disk, or in memory: a grid, and windows of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import Legend
from terraseg.core.grid import Grid
from terraseg.core.window import Window
from terraseg.errors import UnknownClass


class ByteRaster(Protocol):
    """One band of bytes that is read window by window; of a confidence, 0 to 254 stands for 0 to 1 and 255 for nodata."""

    @property
    def grid(self) -> Grid:
        """Where the pixels lie."""
        ...

    def read(self, window: Window) -> NDArray[np.uint8]:
        """The pixels (height, width) of a window inside the grid."""
        ...


class ClassRaster(Protocol):
    """A class map that is read window by window; its pixels are class ids of the legend, and 255 is nodata."""

    @property
    def grid(self) -> Grid:
        """Where the pixels lie."""
        ...

    @property
    def legend(self) -> Legend:
        """What the ids mean."""
        ...

    def read(self, window: Window) -> NDArray[np.uint8]:
        """The class ids (height, width) of a window inside the grid."""
        ...


class LayerRaster(Protocol):
    """A map of overlapping classes that is read window by window; its pixels are bit masks (see `Coding`), 255 is nodata."""

    @property
    def grid(self) -> Grid:
        """Where the pixels lie."""
        ...

    @property
    def legend(self) -> Legend:
        """The classes by bit."""
        ...

    def read(self, window: Window) -> NDArray[np.uint8]:
        """The label bytes (height, width) of a window inside the grid."""
        ...


@dataclass(frozen=True, eq=False)
class ByteArray:
    """A `ByteRaster` in memory; `values` (height, width) are of the grid's size."""

    grid: Grid
    values: NDArray[np.uint8]

    def __post_init__(self) -> None:
        _check_shape(self.grid, self.values)

    def read(self, window: Window) -> NDArray[np.uint8]:
        """The pixels (height, width) of a window inside the grid."""
        return self.values[window.slices]


@dataclass(frozen=True, eq=False)
class ClassArray:
    """A `ClassRaster` in memory; `ids` (height, width) are of the grid's size."""

    grid: Grid
    legend: Legend
    ids: NDArray[np.uint8]

    def __post_init__(self) -> None:
        _check_shape(self.grid, self.ids)

    def read(self, window: Window) -> NDArray[np.uint8]:
        """The class ids (height, width) of a window inside the grid."""
        return self.ids[window.slices]


def _check_shape(grid: Grid, values: NDArray[np.uint8]) -> None:
    if values.shape != (grid.height, grid.width):
        raise ValueError(
            f"an array of {values.shape} for a grid of {grid.height} x {grid.width} pixels: they must agree"
        )


def check_known(legend: Legend, ids: Iterable[int]) -> None:
    """Raises `UnknownClass` for a class id found in a map that its legend lacks."""
    for found in ids:
        if found not in legend.ids:
            known = ", ".join(f"{c.id} {c.name}" for c in legend.classes)
            raise UnknownClass(
                f"the map holds the class id {found}, which its legend ({known}) lacks: pass a map whose legend is whole"
            )
