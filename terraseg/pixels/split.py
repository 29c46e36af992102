"""Touching objects parted all over a map of any size."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from terraseg.core.classes import VOID
from terraseg.core.classreader import ByteRaster, ClassRaster
from terraseg.core.grid import Grid
from terraseg.core.window import Window, cut
from terraseg.pixels.necks import split_at_necks
from terraseg.shapes.chains import linked

CELL = 512
"""Side of the cells in which objects are parted; each sees its neighbours all around it."""

FULL_CONFIDENCE = 254
"""The byte of a confidence raster that stands for probability 1."""


@dataclass(frozen=True)
class Neck:
    """Objects of a class, by its value in the raster, part where they are narrower than `share` of their width."""

    class_id: int
    share: float


@dataclass(frozen=True, eq=False)
class Parts:
    """The number of the object that each pixel belongs to; 0 where nothing was parted."""

    grid: Grid
    numbers: NDArray[np.int32]
    names: NDArray[np.int64]

    def read(self, window: Window) -> NDArray[np.int64]:
        """The object numbers (height, width) of a window inside the grid."""
        return self.names[self.numbers[window.slices]]


def split_parts(
    raster: ClassRaster,
    necks: Sequence[Neck],
    numbers: NDArray[np.int32],
    *,
    confidence: ByteRaster | None = None,
    cell: int = CELL,
) -> Parts:
    """The objects of some classes of a map, written into `numbers` (height, width), which are 0 at first: a scratch file.

    With a `confidence`, the probability of the class at each pixel, objects part where that dips too.

    Each cell of a fixed lattice is parted together with the cells around it, so an object of at most a cell's size is seen
    whole. Over the border between two cells two pixels are of one object if the left or upper cell saw them so: an object
    has no edge there that it would not have elsewhere. Nothing depends on how the map is read later.
    """
    grid = raster.grid
    count = 0
    seams: list[NDArray[np.int64]] = []
    for window in cut(grid.window, cell, cell):
        around = window_around(window, cell).intersection(grid.window)
        ids = raster.read(around)
        sure = None if confidence is None else _probability(confidence.read(around))
        inner = window.shifted(-around.row, -around.col)
        for neck in necks:
            found = _objects(ids == neck.class_id, neck.share, inner, sure)
            seams.append(_over_seams(found, inner, around, grid))
            own = found[inner.slices]
            seen, small = np.unique(own, return_inverse=True)
            lowest = 0 if seen[0] == 0 else 1
            renamed = small.reshape(own.shape) + lowest
            place = numbers[window.slices]
            place[renamed > 0] = (renamed + count)[renamed > 0]
            count += int(renamed.max())
    return Parts(grid, numbers, _names(numbers, seams, count))


def window_around(window: Window, margin: int) -> Window:
    """The window with a margin on all sides."""
    return Window(window.row - margin, window.col - margin, window.height + 2 * margin, window.width + 2 * margin)


def _probability(values: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The probabilities that bytes stand for, 1 where none is known."""
    return np.where(values == VOID, np.float32(1), values / np.float32(FULL_CONFIDENCE)).astype(np.float32)


def _objects(
    mask: NDArray[np.bool_], share: float, inner: Window, sure: NDArray[np.float32] | None
) -> NDArray[np.int32]:
    """Object numbers in a window, for what hangs together with its inner part; 0 elsewhere."""
    pieces, _ = ndimage.label(mask)
    near = np.unique(pieces[inner.slices])
    is_near = np.zeros(int(pieces.max(initial=0)) + 1, dtype=np.bool_)
    is_near[near[near > 0]] = True
    return split_at_necks(is_near[pieces], neck=share, sure=sure)


def _over_seams(found: NDArray[np.int32], inner: Window, around: Window, grid: Grid) -> NDArray[np.int64]:
    """Pairs (n, 2) of flat positions in the raster, inside the inner window and just right of or below it, of one object."""
    pairs = [np.zeros((0, 2), np.int64)]
    rows, cols = inner.slices
    if inner.col_stop < found.shape[1]:
        one, two = found[rows, inner.col_stop - 1], found[rows, inner.col_stop]
        at = np.flatnonzero((one > 0) & (one == two)) + inner.row + around.row
        left = at * grid.width + inner.col_stop - 1 + around.col
        pairs.append(np.column_stack([left, left + 1]))
    if inner.row_stop < found.shape[0]:
        one, two = found[inner.row_stop - 1, cols], found[inner.row_stop, cols]
        at = np.flatnonzero((one > 0) & (one == two)) + inner.col + around.col
        upper = (inner.row_stop - 1 + around.row) * grid.width + at
        pairs.append(np.column_stack([upper, upper + grid.width]))
    return np.concatenate(pairs)


def _names(numbers: NDArray[np.int32], seams: list[NDArray[np.int64]], count: int) -> NDArray[np.int64]:
    """The lowest number of each object, by the numbers of its parts in the cells."""
    pairs = np.concatenate([np.zeros((0, 2), np.int64), *seams])
    flat = numbers.reshape(-1)
    links = np.unique(np.column_stack([flat[pairs[:, 0]], flat[pairs[:, 1]]]), axis=0)
    group, first = linked(count + 1, links[:, 0], links[:, 1])
    return first[group]
