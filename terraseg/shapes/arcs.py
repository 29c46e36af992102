"""The borders of a partition of pixels as arcs: traced strip by strip, and the same however the strips are cut.

A **corner** is a lattice point where the border between regions turns or where more than two border lines meet; the
latter are **nodes**. An **arc** is the border between one pair of regions from node to node, or a ring without any. Two
neighbours share their arcs, so whatever is done to an arc is done to both, and the polygons stay a valid coverage as long
as no two arcs cross.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terraseg.shapes.chains import END, chains_of, offsets_of, rows_of

OUTSIDE = -1
"""The region number of pixels that belong to no region."""

EAST, SOUTH, WEST, NORTH = range(4)

BLOCK = 50_000
"""Arcs that are copied at once."""


@dataclass(frozen=True, eq=False)
class Arcs:
    """Arcs (n,) with their vertices one after the other: arc k has x[offsets[k]:offsets[k + 1]] and the same of y.

    x is the column and y the row of a lattice point. An arc has the region `right` on its right hand, seen on a screen,
    and `left`, the lower number or `OUTSIDE`, on its left. It leaves its first node and arrives at its last in the
    directions `leaves` and `arrives`: 0 east, 1 south, 2 west, 3 north. A ring does not repeat its first vertex, the lowest
    in the order of rows and columns.
    """

    x: NDArray[np.number]
    y: NDArray[np.number]
    offsets: NDArray[np.int64]
    right: NDArray[np.int32]
    left: NDArray[np.int32]
    leaves: NDArray[np.int8]
    arrives: NDArray[np.int8]
    is_ring: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.right)

    @staticmethod
    def nothing() -> "Arcs":
        """No arcs."""
        whole, byte = np.zeros(0, np.int32), np.zeros(0, np.int8)
        return Arcs(whole, whole, np.zeros(1, np.int64), whole, whole, byte, byte, np.zeros(0, np.bool_))

    @staticmethod
    def joined(parts: "list[Arcs]") -> "Arcs":
        """The arcs of all parts, one part after the other."""
        if not parts:
            return Arcs.nothing()
        lengths = np.concatenate([np.diff(p.offsets) for p in parts])
        names = ("x", "y", "right", "left", "leaves", "arrives", "is_ring")
        return Arcs(offsets=offsets_of(lengths), **{n: np.concatenate([getattr(p, n) for p in parts]) for n in names})

    def rows(self, chosen: NDArray[np.integer], *, short: NDArray[np.bool_] | None = None) -> "Arcs":
        """The arcs of the given numbers, in that order; those marked in `short` (n,) without their second vertices."""
        lengths = np.diff(self.offsets)[chosen]
        less = np.zeros(len(chosen), dtype=np.bool_) if short is None else short[chosen]
        offsets = offsets_of(lengths - less)
        x, y = np.empty(offsets[-1], self.x.dtype), np.empty(offsets[-1], self.y.dtype)
        # Places take eight bytes, vertices four: they are not made for all at once.
        for start in range(0, len(chosen), BLOCK):
            rows = slice(start, start + BLOCK)
            place = rows_of(self.offsets, chosen[rows])
            if less[rows].any():
                second = offsets_of(lengths[rows])[:-1][less[rows]] + 1
                place = np.delete(place, second)
            into = slice(offsets[start], offsets[min(start + BLOCK, len(chosen))])
            x[into], y[into] = self.x[place], self.y[place]
        names = ("right", "left", "leaves", "arrives", "is_ring")
        return Arcs(x=x, y=y, offsets=offsets, **{n: getattr(self, n)[chosen] for n in names})

    def with_vertices(self, x: NDArray[np.number], y: NDArray[np.number], lengths: NDArray[np.integer]) -> "Arcs":
        """The same arcs with other vertices."""
        return Arcs(x, y, offsets_of(lengths), self.right, self.left, self.leaves, self.arrives, self.is_ring)

    def order(self) -> NDArray[np.intp]:
        """The arcs' numbers by the row and column of their first vertex and the direction in which they leave it."""
        first = self.offsets[:-1]
        return np.lexsort((self.leaves, self.x[first], self.y[first]))


@dataclass(frozen=True, eq=False)
class OpenArcs:
    """What is known above a seam: the last row of regions, and the arcs that go on below it.

    `top` is the lattice row under that row of pixels. `head` and `tail` are the columns at which an arc comes from below
    and goes on below, `END` where it begins or ends at a node.
    """

    top: int
    above: NDArray[np.int32]
    arcs: Arcs
    head: NDArray[np.int64]
    tail: NDArray[np.int64]

    @staticmethod
    def start(width: int) -> "OpenArcs":
        """Nothing yet: before the first strip of a raster."""
        none = np.zeros(0, np.int64)
        return OpenArcs(0, np.full(width, OUTSIDE, np.int32), Arcs.nothing(), none, none)


@dataclass(frozen=True, eq=False)
class Corners:
    """Corners of a strip in the order of rows, then columns; `row`, `col`, `is_node` (n,), `around` (n, 4).

    `around` holds the regions of the four pixels that meet there, clockwise from the lower right: south-east, south-west,
    north-west, north-east. Quadrant q so lies on the right hand of someone who leaves in direction q.
    """

    row: NDArray[np.int64]
    col: NDArray[np.int64]
    around: NDArray[np.int32]
    is_node: NDArray[np.bool_]


def trace_strip(open_arcs: OpenArcs, regions: NDArray[np.int32]) -> tuple[Arcs, OpenArcs, Corners]:
    """The arcs that are whole with the next strip of full rows of region numbers (height, width), and those still open.

    Regions must be connected over pixel sides. A raster ends with a strip of one row of `OUTSIDE`. The corners are those
    of the lattice rows from `open_arcs.top` on, the strip's lower edge left out.
    """
    top, height = open_arcs.top, len(regions)
    padded = np.pad(np.concatenate([open_arcs.above[None], regions]), ((0, 0), (1, 1)), constant_values=OUTSIDE)
    corners = _corners(padded, top)
    points = _Points.of(corners, padded, (top, top + height))
    new = _chains_of_strip(points)
    whole, rest = _stitched(open_arcs, new)
    return whole, OpenArcs(top + height, regions[-1], *rest), corners


def _corners(padded: NDArray[np.int32], top: int) -> Corners:
    north_west, north_east = padded[:-1, :-1], padded[:-1, 1:]
    south_west, south_east = padded[1:, :-1], padded[1:, 1:]
    east, west = north_east != south_east, north_west != south_west
    south, north = south_east != south_west, north_east != north_west
    row, col = np.nonzero((east != west) | (south != north) | (east & south))
    around = np.stack([part[row, col] for part in (south_east, south_west, north_west, north_east)], axis=1)
    lines = sum(part[row, col].astype(np.int8) for part in (east, west, south, north))
    return Corners(row.astype(np.int64) + top, col.astype(np.int64), around, np.asarray(lines) > 2)


@dataclass(frozen=True, eq=False)
class _Points:
    """The corners of a strip, and a point in the middle of each vertical pixel side that a seam cuts.

    `seam` is 1 for points of the upper seam, 2 for those of the lower one, 0 for corners. All in the order of rows.
    """

    row: NDArray[np.int64]
    col: NDArray[np.int64]
    around: NDArray[np.int32]
    is_node: NDArray[np.bool_]
    seam: NDArray[np.int8]

    @staticmethod
    def of(corners: Corners, padded: NDArray[np.int32], rows: tuple[int, int]) -> "_Points":
        parts = [_cut(padded[0], rows[0], 1), None, _cut(padded[-1], rows[1], 2)]
        none = np.zeros(len(corners.row), np.int8)
        parts[1] = _Points(corners.row, corners.col, corners.around, corners.is_node, none)
        fields = ("row", "col", "around", "is_node", "seam")
        return _Points(*(np.concatenate([getattr(part, name) for part in parts]) for name in fields))


def _cut(row: NDArray[np.int32], lattice_row: int, seam: int) -> _Points:
    """The points at which borders run down through a row of pixels."""
    col = np.flatnonzero(row[:-1] != row[1:])
    west, east = row[col], row[col + 1]
    count = len(col)
    return _Points(
        np.full(count, lattice_row, np.int64),
        col.astype(np.int64),
        np.stack([east, west, west, east], axis=1),
        np.ones(count, np.bool_),
        np.full(count, seam, np.int8),
    )


def _chains_of_strip(points: _Points) -> "tuple[Arcs, NDArray[np.int64], NDArray[np.int64]]":
    """The arcs inside a strip, and the columns at which their heads and tails lie on its seams: column + 1, negative for
    the upper seam, 0 for a node or a ring.
    """
    directions = np.arange(4)
    right, left = points.around, points.around[:, (directions - 1) % 4]
    goes = right > left
    goes[points.seam == 1, NORTH] = False
    goes[points.seam == 2, SOUTH] = False
    code = np.flatnonzero(goes.ravel())
    vertex, direction = np.divmod(code, 4)
    end = _ends(points, vertex, direction)
    # At a point that is no node one arc passes: the one half-edge that leaves it goes on.
    leaving = np.full(len(points.row), END, dtype=np.int64)
    leaving[vertex] = np.arange(len(vertex))
    following = np.where(points.is_node[end], END, leaving[end])
    chains = chains_of(following)
    order, starts = chains.order, chains.starts
    first, last = order[starts[:-1]], order[starts[1:] - 1]
    place, lengths = _vertices(points, vertex[order], end[last], chains.starts, chains.is_ring)
    arcs = Arcs(
        x=points.col[place].astype(np.int32),
        y=points.row[place].astype(np.int32),
        offsets=offsets_of(lengths),
        right=right.ravel()[code[first]],
        left=left.ravel()[code[first]],
        leaves=direction[first].astype(np.int8),
        arrives=direction[last].astype(np.int8),
        is_ring=chains.is_ring,
    )
    sign = np.array([0, -1, 1])
    head = sign[points.seam[vertex[first]]] * (points.col[vertex[first]] + 1)
    tail = sign[points.seam[end[last]]] * (points.col[end[last]] + 1)
    return arcs, np.where(chains.is_ring, 0, head), np.where(chains.is_ring, 0, tail)


def _ends(points: _Points, vertex: NDArray[np.int64], direction: NDArray[np.int64]) -> NDArray[np.int64]:
    """The next point in a direction: in a row the next one, in a column the next one by column."""
    number = len(points.row)
    by_column = np.argsort(points.col, kind="stable")
    below, above = np.empty(number, np.int64), np.empty(number, np.int64)
    below[by_column], above[by_column] = np.roll(by_column, -1), np.roll(by_column, 1)
    return np.choose(direction, [vertex + 1, below[vertex], vertex - 1, above[vertex]])


def _vertices(
    points: _Points,
    vertex: NDArray[np.int64],
    last: NDArray[np.int64],
    starts: NDArray[np.int64],
    is_ring: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The corners of each chain with its last one, seam points left out, and how many these are."""
    place = np.insert(vertex, starts[1:], last)
    chain = np.repeat(np.arange(len(is_ring)), np.diff(starts) + 1)
    kept = points.seam[place] == 0
    kept[starts[1:] + np.arange(len(is_ring))] &= ~is_ring
    return place[kept], np.bincount(chain[kept], minlength=len(is_ring))


def _stitched(
    before: OpenArcs, new: "tuple[Arcs, NDArray[np.int64], NDArray[np.int64]]"
) -> "tuple[Arcs, tuple[Arcs, NDArray[np.int64], NDArray[np.int64]]]":
    """Old and new arcs joined where they meet on the upper seam: the whole ones, and the open ones with head and tail."""
    arcs, head, tail = new
    old = len(before.arcs)
    pieces = Arcs.joined([before.arcs, arcs])
    width = len(before.above) + 1
    begins = np.full(width, END, dtype=np.int64)
    begins[before.head[before.head >= 0]] = np.flatnonzero(before.head >= 0)
    begins[-1 - head[head < 0]] = np.flatnonzero(head < 0) + old
    following = np.full(len(pieces), END, dtype=np.int64)
    following[:old] = np.where(before.tail >= 0, begins[before.tail], END)
    following[old:] = np.where(tail < 0, begins[np.where(tail < 0, -1 - tail, 0)], END)
    chains = chains_of(following)
    first, last = chains.order[chains.starts[:-1]], chains.order[chains.starts[1:] - 1]
    lengths = np.diff(pieces.offsets)[chains.order]
    place = rows_of(pieces.offsets, chains.order)
    joined = Arcs(
        x=pieces.x[place],
        y=pieces.y[place],
        offsets=offsets_of(np.bincount(chains.chain, weights=lengths, minlength=len(first)).astype(np.int64)),
        right=pieces.right[first],
        left=pieces.left[first],
        leaves=pieces.leaves[first],
        arrives=pieces.arrives[last],
        is_ring=chains.is_ring | pieces.is_ring[first],
    )
    heads = np.concatenate([np.full(old, END), np.where(head > 0, head - 1, END)])[first]
    tails = np.concatenate([np.full(old, END), np.where(tail > 0, tail - 1, END)])[last]
    is_open = ~joined.is_ring & ((heads >= 0) | (tails >= 0))
    rest = np.flatnonzero(is_open)
    whole = _turned(joined.rows(np.flatnonzero(~is_open)))
    return whole, (joined.rows(rest), heads[rest], tails[rest])


def _turned(arcs: Arcs) -> Arcs:
    """The same arcs, each ring starting at its lowest vertex."""
    lengths = np.diff(arcs.offsets)
    owner = np.repeat(np.arange(len(arcs)), lengths)
    order = np.lexsort((arcs.x, arcs.y, owner))
    shift = np.where(arcs.is_ring, order[arcs.offsets[:-1]] - arcs.offsets[:-1], 0)
    within = np.arange(len(arcs.x)) - arcs.offsets[owner]
    place = arcs.offsets[owner] + (within + shift[owner]) % lengths[owner]
    return arcs.with_vertices(arcs.x[place], arcs.y[place], lengths)
