"""The pieces of a class map: what hangs together in each strip of rows that fits into memory."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from terraseg.core.classes import VOID
from terraseg.core.classreader import ClassRaster
from terraseg.core.grid import Grid
from terraseg.core.window import Window, cut

STRIP_PIXELS = 2**21
"""Pixels read at once unless the caller says otherwise: about 100 MB of working memory."""


def strip_rows_of(grid: Grid) -> int:
    """How many full rows are read at once by default."""
    return max(1, min(grid.height, STRIP_PIXELS // grid.width))


def strip_pieces(raster: ClassRaster, strip_rows: int) -> Iterator[tuple[Window, NDArray[np.uint8], NDArray[np.int64]]]:
    """Strips of full rows from the top: the window, its class ids, and its pieces as `label_pieces` numbers them."""
    for window in cut(raster.grid.window, strip_rows, raster.grid.width):
        ids = raster.read(window)
        yield window, ids, label_pieces(ids)


def label_pieces(ids: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The number of each pixel's piece, from 1 in the order of the pieces' first pixels; 0 is nodata. Shape as `ids`.

    A piece is what is of one class and hangs together over pixel sides. Method: the runs of equal pixels in each row are
    linked to those below that they touch, so that the work grows with the borders and not with the number of classes.

    >>> label_pieces(np.array([[7, 7, 255], [3, 7, 7], [3, 3, 255]], dtype=np.uint8)).tolist()
    [[1, 1, 0], [2, 1, 1], [2, 2, 0]]
    """
    begins = np.ones(ids.shape, dtype=np.bool_)
    begins[:, 1:] = ids[:, 1:] != ids[:, :-1]
    run = np.cumsum(begins, dtype=np.int32).reshape(ids.shape) - 1
    # Two runs that touch do so over neighbouring columns; the first of them is where one of the two begins.
    meets = (ids[1:] == ids[:-1]) & (begins[1:] | begins[:-1])
    runs = int(run[-1, -1]) + 1
    piece, first = linked(runs, run[:-1][meets], run[1:][meets])
    is_land = ids[begins][first] != VOID
    number = np.where(is_land, np.cumsum(is_land), 0)
    return np.asarray(number[piece][run], dtype=np.int64)


def linked(
    count: int, one: NDArray[np.integer], two: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The groups of `count` things that links `one[k]` to `two[k]` tie together, numbered by their first members.

    Gives the group of each thing, shape (count,), and the first member of each group, ascending.
    """
    links = coo_array((np.ones(len(one), dtype=np.int8), (one, two)), shape=(count, count))
    groups, component = connected_components(links.tocsr(), directed=False)
    first = np.empty(groups, dtype=np.int64)
    first[component[::-1]] = np.arange(count - 1, -1, -1)
    rank = np.empty(groups, dtype=np.int64)
    rank[np.argsort(first)] = np.arange(groups)
    return rank[component], np.sort(first)
