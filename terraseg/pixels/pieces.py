"""The pieces of a class map: what hangs together in each strip of rows that fits into memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import VOID
from terraseg.core.classreader import ClassRaster
from terraseg.core.grid import Grid
from terraseg.core.window import Window, cut
from terraseg.shapes.chains import linked

STRIP_PIXELS = 2**21
"""Pixels read at once unless the caller says otherwise: about 100 MB of working memory."""


def strip_rows_of(grid: Grid) -> int:
    """How many full rows are read at once by default."""
    return max(1, min(grid.height, STRIP_PIXELS // grid.width))


@dataclass(frozen=True, eq=False)
class Strip:
    """A strip of full rows: class `ids` and what else parts one object from the next, all (height, width).

    `pieces` numbers what hangs together as `label_pieces` does. `keys` is equal where two neighbouring pixels belong
    together: the ids themselves, unless objects that touch were split.
    """

    window: Window
    ids: NDArray[np.uint8]
    keys: NDArray[np.integer]
    pieces: NDArray[np.int64]


class PartRaster(Protocol):
    """Numbers by which neighbouring pixels of one class are told apart, read window by window."""

    def read(self, window: Window) -> NDArray[np.integer]:
        """The numbers (height, width) of a window, from 0."""
        ...


def strip_pieces(raster: ClassRaster, strip_rows: int, *, parts: PartRaster | None = None) -> Iterator[Strip]:
    """Strips of full rows from the top, with their pieces.

    `parts` holds a number for each pixel, by which neighbours of one class are told apart where they are two objects.
    """
    for window in cut(raster.grid.window, strip_rows, raster.grid.width):
        ids = raster.read(window)
        keys: NDArray[np.integer] = ids
        if parts is not None:
            keys = parted_keys(ids, parts.read(window))
        yield Strip(window, ids, keys, label_pieces(keys))


def parted_keys(ids: NDArray[np.uint8], parts: NDArray[np.integer]) -> NDArray[np.int64]:
    """Keys for `label_pieces` by which pixels of one id hang together only where their numbers, from 0, are equal too."""
    keys = (parts.astype(np.int64) << 8) | ids
    keys[ids == VOID] = VOID
    return keys


def label_pieces(keys: NDArray[np.integer]) -> NDArray[np.int64]:
    """The number of each pixel's piece, from 1 in the order of the pieces' first pixels; 0 is nodata. Shape as `keys`.

    A piece is what has one key, a class id say, and hangs together over pixel sides; the key 255 is nodata. Method: the
    runs of equal pixels in each row are linked to those below that they touch, so that the work grows with the borders and
    not with the number of classes.

    >>> label_pieces(np.array([[7, 7, 255], [3, 7, 7], [3, 3, 255]], dtype=np.uint8)).tolist()
    [[1, 1, 0], [2, 1, 1], [2, 2, 0]]
    """
    begins = np.ones(keys.shape, dtype=np.bool_)
    begins[:, 1:] = keys[:, 1:] != keys[:, :-1]
    run = np.cumsum(begins, dtype=np.int32).reshape(keys.shape) - 1
    # Two runs that touch do so over neighbouring columns; the first of them is where one of the two begins.
    meets = (keys[1:] == keys[:-1]) & (begins[1:] | begins[:-1])
    runs = int(run[-1, -1]) + 1
    piece, first = linked(runs, run[:-1][meets], run[1:][meets])
    is_land = keys[begins][first] != VOID
    number = np.where(is_land, np.cumsum(is_land), 0)
    return np.asarray(number[piece][run], dtype=np.int64)
