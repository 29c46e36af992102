"""From the corners of a partition of pixels to its polygons: exact, and the same however the corners were gathered.

A **corner** is a lattice point where the border between regions turns or where more than two border lines meet. Between
two corners a border runs straight, so the corners alone hold the partition: each border line is found by looking for
the next corner along its row or column. Corners gathered block by block need no stitching, and since every region that
passes a meeting point has a vertex there, the polygons are a valid coverage.
"""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

OUTSIDE = -1
"""The region number of pixels that belong to no region."""


@dataclass(frozen=True, eq=False)
class Corners:
    """Corners in the order of rows, then columns; `row` and `col` (n,), `around` (n, 4).

    `around` holds the regions of the four pixels that meet there, clockwise from the lower right: south-east, south-west,
    north-west, north-east. Quadrant q so lies on the right hand of someone who leaves in direction q: east, south, west,
    north.
    """

    row: NDArray[np.int64]
    col: NDArray[np.int64]
    around: NDArray[np.int32]

    @staticmethod
    def joined(parts: "list[Corners]") -> "Corners":
        """Corners of blocks of rows, given from top to bottom."""
        if not parts:
            return Corners(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4), np.int32))
        return Corners(
            np.concatenate([p.row for p in parts]),
            np.concatenate([p.col for p in parts]),
            np.concatenate([p.around for p in parts]),
        )


def find_corners(regions: NDArray[np.int32], *, top: int) -> Corners:
    """The corners between the rows of a block of full rows of region numbers, shape (height, width).

    Only lattice rows inside the block are looked at: hand the last row of one block on as the first of the next, and
    start and end the raster with a row of `OUTSIDE`. `top` is the lattice row between the block's first two rows.
    """
    padded = np.pad(regions, ((0, 0), (1, 1)), constant_values=OUTSIDE)
    north_west, north_east = padded[:-1, :-1], padded[:-1, 1:]
    south_west, south_east = padded[1:, :-1], padded[1:, 1:]
    east, west = north_east != south_east, north_west != south_west
    south, north = south_east != south_west, north_east != north_west
    row, col = np.nonzero((east != west) | (south != north) | (east & south))
    around = np.stack([part[row, col] for part in (south_east, south_west, north_west, north_east)], axis=1)
    return Corners(row.astype(np.int64) + top, col.astype(np.int64), around)


def polygons_of_corners(corners: Corners, *, count: int) -> NDArray[np.object_]:
    """The polygon of each region 0 to `count` - 1 in pixel coordinates (x = column, y = row), holes kept.

    Each region must be connected over pixel sides. Rings start at their first vertex in the order of rows and columns, and
    turn clockwise on a screen outside and the other way round holes; holes come in the order of their first vertices.
    """
    if count == 0:
        return np.zeros(0, dtype=object)
    region, following, vertex = _half_edges(corners)
    order, starts = _in_ring_order(following)
    rings = np.append(starts, len(order))
    x, y = corners.col[vertex[order]], corners.row[vertex[order]]
    is_hole = _twice_area(x, y, rings) < 0
    ring_region = region[order[starts]]
    if (np.bincount(ring_region[~is_hole], minlength=count) != 1).any():
        raise AssertionError("a region with two outer rings is not connected over pixel sides")
    sequence = np.lexsort((np.arange(len(starts)), is_hole, ring_region))
    taken, offsets = _closed(rings, sequence)
    points = np.column_stack([x[taken], y[taken]]).astype(np.float64)
    polygons = np.concatenate([[0], np.cumsum(np.bincount(ring_region, minlength=count))])
    built = shapely.from_ragged_array(shapely.GeometryType.POLYGON, points, (offsets, polygons))
    return np.asarray(built, dtype=object)


def _half_edges(corners: Corners) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
    """Directed border lines, each with the region on its right, the line that follows round that region, and its start."""
    around, number = corners.around, len(corners.row)
    directions = np.arange(4)
    right = around[:, directions]
    is_border = (right != around[:, (directions - 1) % 4]) & (right != OUTSIDE)
    code = np.flatnonzero(is_border.ravel())
    vertex, direction = np.divmod(code, 4)
    region = right.ravel()[code]

    by_column = np.argsort(corners.col, kind="stable")
    below, above = np.empty(number, np.int64), np.empty(number, np.int64)
    below[by_column], above[by_column] = np.roll(by_column, -1), np.roll(by_column, 1)
    end = np.choose(direction, [vertex + 1, below[vertex], vertex - 1, above[vertex]])

    # At the end the region's own pixels are looked for from the far side: where it touches itself over a corner the two
    # borders there cross to the far pixel, so that a hole is a ring of its own and never a loop in the outer one.
    left, ahead = (direction + 3) % 4, direction
    turn = np.where(around[end, ahead] == region, ahead, (direction + 1) % 4)
    turn = np.where(around[end, left] == region, left, turn)
    place = np.zeros(4 * number, dtype=np.int32)
    place[code] = np.arange(len(code), dtype=np.int32)
    return region, place[4 * end + turn], vertex


def _in_ring_order(following: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """All half-edges ring after ring, and where each ring starts; rings and their starts by their lowest half-edge."""
    number = len(following)
    rings, ring = connected_components(_graph(following), directed=True, connection="weak")
    first = np.empty(rings, dtype=np.int64)
    first[ring[::-1]] = np.arange(number - 1, -1, -1)
    first.sort()
    before = np.empty(number, dtype=np.int32)
    before[following] = np.arange(number, dtype=np.int32)
    # All rings cut open and tied into one string, which a breadth-first walk then reads in order.
    string = following.copy()
    string[before[first]] = np.roll(first, -1)
    order = breadth_first_order(_graph(string), first[0], directed=True, return_predecessors=False)
    length = np.bincount(ring, minlength=rings)[ring[first]]
    return order, np.cumsum(length) - length


def _graph(following: NDArray[np.int32]) -> csr_array:
    number = len(following)
    return csr_array((np.ones(number), following, np.arange(number + 1, dtype=np.int32)), shape=(number, number))


def _twice_area(x: NDArray[np.int64], y: NDArray[np.int64], rings: NDArray[np.int64]) -> NDArray[np.int64]:
    """Twice the signed area of each ring: positive where it turns clockwise on a screen."""
    following = np.arange(1, len(x) + 1)
    following[rings[1:] - 1] = rings[:-1]
    return np.asarray(np.add.reduceat(x * y[following] - x[following] * y, rings[:-1]))


def _closed(rings: NDArray[np.int64], sequence: NDArray[np.intp]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of the vertices with rings in a new sequence, each closed by its first vertex, and the ring offsets."""
    length = np.diff(rings)[sequence] + 1
    offsets = np.concatenate([[0], np.cumsum(length)])
    taken = np.arange(offsets[-1]) + np.repeat(rings[:-1][sequence] - offsets[:-1], length)
    taken[offsets[1:] - 1] = rings[:-1][sequence]
    return taken, offsets
